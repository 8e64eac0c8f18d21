package report

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
)

// beside is what is found of a domain whose mail server the policy does not
// like, and DANE does.
func beside() *probe.Report {
	txt := &dnssec.Answer{Name: "_mta-sts.example.org.", Status: dnssec.Insecure, Why: "example.org. is unsigned"}
	address := netip.MustParseAddr("192.0.2.1")
	senders := dane.Senders{DANE: dane.Authenticated, MTASTS: dane.Refused, Both: dane.Authenticated}
	return &probe.Report{
		Target: probe.Target{Name: "example.org"},
		Facts: dane.Facts{MTASTS: &dane.MTASTS{
			TXT: txt, Record: mtasts.Record{ID: "20260301"}, TLSRPTTXT: txt, TLSRPT: mtasts.TLSRPT{RUA: []string{"mailto:a@example.org", "https://example.org/"}},
			Host: dane.Host{Name: "mta-sts.example.org"},
			Fetches: []dane.PolicyFetch{
				{Address: netip.MustParseAddr("192.0.2.80"), Err: errors.New("connecting to 192.0.2.80:443: refused")},
				{Address: netip.MustParseAddr("192.0.2.81"), Fetched: mtasts.Fetched{Certificate: &x509.Certificate{NotBefore: noon, NotAfter: noon.Add(time.Hour)}}},
			},
			Policy: &mtasts.Policy{Mode: mtasts.Enforce, MaxAge: 36 * time.Hour, MX: []string{"mx.example.org"}},
		}},
		Verdict: dane.Verdict{MTASTS: &dane.MTASTSVerdict{
			Standing: dane.PolicyEnforced, Senders: senders,
			Services: []dane.ServiceSenders{{Host: "mx.example.org", Port: 25, Covered: dane.Yes, Senders: senders,
				Endpoints: []dane.EndpointSenders{{Address: address, Passes: dane.No, Why: "it ended\x1b[2J", Senders: senders}}}},
		}},
	}
}

func textOf(t *testing.T, r *probe.Report) string {
	t.Helper()
	var b strings.Builder
	if err := Text(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSendersSideBySide(t *testing.T) {
	const want = `
MTA-STS beside DANE
  a sender that knows     DANE alone     MTA-STS alone  both
  example.org             authenticated  refused        authenticated
  mx.example.org port 25  authenticated  refused        authenticated
  mx.example.org is named by the policy: yes
  mx.example.org port 25 at 192.0.2.1 is as MTA-STS wants it: no: it ended\x1b[2J
  policy: enforced: senders deliver only where it is met
    record with id 20260301
    mta-sts.example.org at 192.0.2.80: connecting to 192.0.2.80:443: refused
    mta-sts.example.org at 192.0.2.81: fetched
      its certificate is valid from 2026-03-01 12:00:00 UTC to 2026-03-01 13:00:00 UTC
    mode enforce, kept for 1.5 days
    mx mx.example.org
  TLSRPT: reports go to mailto:a@example.org, https://example.org/
  TXT _mta-sts.example.org.: insecure
`
	if got := textOf(t, beside()); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}
}

func TestMTASTSAsFarAsItLeads(t *testing.T) {
	broken := &dnssec.Answer{Name: "_mta-sts.example.org.", Status: dnssec.Bogus, Why: "the signature has ended"}
	for _, story := range []struct {
		name   string
		change func(*probe.Report)
		want   []string
		not    []string
	}{
		{"nobody asked", func(r *probe.Report) { r.Facts.MTASTS, r.Verdict.MTASTS = nil, nil },
			nil, []string{"MTA-STS"}},
		{"no record", func(r *probe.Report) {
			r.Facts.MTASTS.RecordErr, r.Facts.MTASTS.TLSRPTErr = mtasts.ErrNoRecord, mtasts.ErrNoRecord
			r.Verdict.MTASTS.Standing = dane.PolicyNone
		}, []string{"policy: none in force", "there is no record at _mta-sts.example.org.", "TLSRPT: no record, so nobody reports failures"}, []string{"record with id", "mode"}},
		{"records that do not count", func(r *probe.Report) {
			r.Facts.MTASTS.RecordErr, r.Facts.MTASTS.TLSRPTErr = &mtasts.SyntaxError{Why: "it has no id"}, &mtasts.SyntaxError{Why: "it has no rua"}
		}, []string{"the record does not count: it has no id", "TLSRPT: the record does not count: it has no rua"}, []string{"record with id"}},
		{"look-ups that failed", func(r *probe.Report) {
			r.Facts.MTASTS.TXT, r.Facts.MTASTS.TLSRPTTXT = broken, nil
			r.Verdict.MTASTS.Standing = dane.PolicyUnknown
		}, []string{"policy: not known, for reasons on our side", "TLSRPT: not known", "TXT _mta-sts.example.org.: bogus"}, []string{"record with id"}},
		{"a policy that does not count", func(r *probe.Report) {
			r.Facts.MTASTS.Policy, r.Facts.MTASTS.PolicyErr = nil, &mtasts.SyntaxError{Line: 2, Text: "mode: report", Why: "the mode is wrong"}
		}, []string{`the policy does not count: line 2: "mode: report": the mode is wrong`}, []string{"mode enforce"}},
		{"a short life, and an address that was not measured", func(r *probe.Report) {
			r.Facts.MTASTS.Policy.MaxAge = time.Hour
			r.Verdict.MTASTS.Services[0].Endpoints[0].Passes = dane.NotMeasured
		}, []string{"kept for 1h0m0s", "is as MTA-STS wants it: not measured: it ended"}, nil},
		{"patterns without end", func(r *probe.Report) { r.Facts.MTASTS.Policy.MX = make([]string, 1000) },
			[]string{"… and 900 more"}, nil},
	} {
		t.Run(story.name, func(t *testing.T) {
			r := beside()
			story.change(r)
			got := textOf(t, r)
			for _, part := range story.want {
				if !strings.Contains(got, part) {
					t.Errorf("%q is not in\n%s", part, got)
				}
			}
			for _, part := range story.not {
				if strings.Contains(got, part) {
					t.Errorf("%q is in\n%s", part, got)
				}
			}
		})
	}
}
