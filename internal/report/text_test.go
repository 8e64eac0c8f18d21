package report

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/handshake"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// mismatch is a domain whose one mail server serves another certificate than
// its TLSA record is of.
func mismatch(t *testing.T) *probe.Report {
	t.Helper()
	record, err := dns.NewRR("example.org. 3600 IN MX 10 mx.example.org.")
	if err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	mx := &dnssec.Answer{
		Name: "example.org.", Status: dnssec.Secure, Why: "example.org. MX is signed by example.org.",
		Records: []dns.RR{record}, TTL: time.Hour, Server: "192.0.2.53:53", RTT: 3 * time.Millisecond,
		Zone: dnssec.Validity{Expiry: noon.Add(day)}, Work: dnssec.Work{Queries: 4, Signatures: 3},
		EDE: []string{"22 (No Reachable Authority)"},
		Chain: []dnssec.Link{
			{Zone: ".", Status: dnssec.Secure, Why: "its keys are signed by key 1", Keys: []dnssec.Key{{Tag: 1, Algorithm: 8, SEP: true, Signing: true}, {Tag: 2, Algorithm: 8}}},
			{Zone: "example.org.", Status: dnssec.Secure, Why: "its keys are signed by key 3", DS: []dnssec.DS{{Tag: 3, Algorithm: 13, DigestType: 2, Used: true}}},
		},
	}
	a := *mx
	a.Name, a.Records, a.EDE = "mx.example.org.", nil, nil
	a.Aliases = []dnssec.Alias{{From: "mx.example.org.", To: "host.example.org.", Status: dnssec.Secure}}
	leaf := &x509.Certificate{
		Raw: []byte("leaf"), RawSubjectPublicKeyInfo: []byte("key"), SerialNumber: big.NewInt(0xbeef),
		Subject: pkix.Name{CommonName: "mx.example.org"}, Issuer: pkix.Name{CommonName: "Some CA"},
		DNSNames: []string{"mx.example.org", "mail.example.org"}, NotBefore: noon.Add(-day), NotAfter: noon.Add(-time.Hour),
	}
	published := tlsa.Record{Usage: tlsa.DANEEE, Selector: tlsa.SPKI, MatchingType: tlsa.SHA256, Data: []byte{0xab, 0xcd}}
	facts := dane.Endpoint{
		Address: netip.MustParseAddr("192.0.2.1"), Reached: dane.StageTLS, SNI: "mx.example.org",
		Dialogue:   starttls.Dialogue{Offered: true, Transcript: starttls.Transcript{{Text: "220 ready"}, {Sent: true, Text: "EHLO probe.example"}}},
		TLSVersion: tls.VersionTLS13, Cipher: tls.TLS_AES_128_GCM_SHA256, Chain: &tlsa.Chain{Certificates: []*x509.Certificate{leaf}},
	}
	skipped := dane.Endpoint{Address: netip.MustParseAddr("2001:db8::1"), Skipped: true, Err: errors.New("no way to IPv6 addresses from here")}
	return &probe.Report{
		Target: probe.Target{Asked: "example.org", Name: "example.org"},
		Module: probe.Module{Name: "smtp_mx", Policy: dane.SMTPRelay, Require: dane.RequireDANE},
		Start:  noon, Duration: 1234 * time.Millisecond, Deadline: 30 * time.Second,
		Facts: dane.Facts{MX: mx, Complete: true, Hosts: []dane.Host{{Name: "mx.example.org", A: &a}},
			Phases: []dane.Phase{{Name: "tls", Span: dane.Span{Start: noon.Add(time.Second), End: noon.Add(1200 * time.Millisecond)}}}},
		Verdict: dane.Verdict{
			At: noon, Outcome: dane.Refused,
			Services: []dane.ServiceVerdict{{
				Host: "mx.example.org", Port: 25, Policy: dane.SMTPRelay, Preference: 10, Outcome: dane.Refused, Base: "mx.example.org", Names: []string{"mx.example.org", "example.org"},
				Records: []dane.RecordVerdict{{Record: published, Usability: tlsa.Usable}},
				Endpoints: []dane.EndpointVerdict{
					{Address: facts.Address, Outcome: dane.Refused, Facts: &facts, NameMatch: dane.Yes, PKIX: dane.No, PKIXWhy: "the certificate has expired",
						Matches: []tlsa.Match{{Record: published, Failure: tlsa.Mismatch, Why: "the leaf's key is another"}}},
					{Address: skipped.Address, Skipped: true, Facts: &skipped},
				},
			}},
			Findings: []dane.Finding{{Reason: dane.TLSAMismatch, Host: "mx.example.org", Port: 25, Address: facts.Address, Detail: "3 1 1 abcd: the leaf's key is another"}},
		},
	}
}

const mismatchText = `example.org: refused: a DANE client does not go on
probe_success 0: module smtp_mx, policy smtp-relay, require dane
probed 2026-03-01 12:00:00 UTC, took 1.234s of 30s

Findings
  tlsa_mismatch (refuses): mx.example.org port 25, 192.0.2.1
    None of the TLSA records matches the certificates that the server sends. The usual cause is a
      renewed certificate and a record that was not.
    Seen: 3 1 1 abcd: the leaf's key is another
    Remedy: Publish the record of the certificate that is served, or serve the certificate that the
      record is of. For the next renewal, publish the new record first and keep the key.

mx.example.org port 25, preference 10: refused
  TLSA base domain mx.example.org
  names expected in the certificate: mx.example.org, example.org
  TLSA 3 1 1 abcd
    usable
  ready for a roll-over, with a next key published: no
  matches nothing that was seen: TLSA 3 1 1 abcd
    a server with a second kind of key may serve it: set key_types

  192.0.2.1: refused
    server: 220 ready
    client: EHLO probe.example
    TLS 1.3, TLS_AES_128_GCM_SHA256, SNI mx.example.org
    certificate 0: CN=mx.example.org
        issuer CN=Some CA
        names mx.example.org, mail.example.org
        valid from 2026-02-28 12:00:00 UTC to 2026-03-01 11:00:00 UTC (expired)
        serial beef
        SHA-256 9f91161f43433e49a6de6db680d79f60159f2e4ac9172621a12846428158440b
        SPKI SHA-256 2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683
    TLSA 3 1 1 abcd
        does not authenticate: the leaf's key is another
    the certificate is for one of the names expected: yes
    the Web PKI accepts it: no: the certificate has expired

  2001:db8::1: skipped: no way to IPv6 addresses from here

Look-ups
  MX example.org.: secure
    example.org. MX is signed by example.org.
    example.org. 3600 IN MX 10 mx.example.org.
    chain . > example.org.
    signatures valid until 2026-03-02 12:00:00 UTC
    the resolver says: 22 (No Reachable Authority)
    answered by 192.0.2.53:53 in 3ms
    kept for 1h0m0s
    cost: queries 4, signatures checked 3, hashes computed 0
  A mx.example.org.: secure
    example.org. MX is signed by example.org.
    mx.example.org. is an alias of host.example.org.: secure
    chain . > example.org.
    signatures valid until 2026-03-02 12:00:00 UTC
    answered by 192.0.2.53:53 in 3ms
    kept for 1h0m0s
    cost: queries 4, signatures checked 3, hashes computed 0

Chain of trust
  .: secure
    its keys are signed by key 1
    key 1, algorithm 8, secure entry point, signs
    key 2, algorithm 8
  example.org.: secure
    its keys are signed by key 3
    DS 3, algorithm 13, digest type 2, leads to a key in use

Phases, from the start of the probe
  tls             1s to 1.2s
`

func TestText(t *testing.T) {
	if got := text(t, mismatch(t)); got != mismatchText {
		t.Errorf("got\n%s", got)
	}
}

// TestParts changes one thing and wants its line.
func TestParts(t *testing.T) {
	tests := []struct {
		name   string
		change func(*probe.Report)
		want   string
	}{
		{"a target that is not allowed: nothing but a finding", func(r *probe.Report) {
			*r = probe.Report{Target: r.Target, Verdict: dane.Verdict{Outcome: dane.Unknown, Findings: []dane.Finding{{Reason: dane.TargetNotAllowed}}}}
		}, "\n  target_not_allowed (on our side)\n"},
		{"cut short", func(r *probe.Report) { r.Facts.Complete = false }, "\nnot complete: the deadline cut something short\n"},
		{"a finding of DNS", func(r *probe.Report) {
			r.Verdict.Findings = []dane.Finding{{Reason: dane.DNSSECBogus, Host: "mx.example.org", Lookup: dane.LookupA}}
		}, "\n  dnssec_bogus (refuses): mx.example.org, look-up A\n"},
		{"no TLSA records", func(r *probe.Report) { r.Verdict.Services[0].Base = "" }, "\n  no secure TLSA records apply\n"},
		{"a service of another policy than the module's", func(r *probe.Report) { r.Verdict.Services[0].Policy = dane.Client },
			"\nmx.example.org port 25, preference 10: refused\n  judged by policy client\n"},
		{"a record that is no use", func(r *probe.Report) {
			r.Verdict.Services[0].Records[0].Usability, r.Verdict.Services[0].Records[0].Why = tlsa.Unusable, "usage 0 is not for mail"
		}, "\n    unusable: usage 0 is not for mail\n"},
		{"a whole certificate in DNS", func(r *probe.Report) {
			r.Verdict.Services[0].Records[0].Record.Data = make([]byte, 1000)
		}, "\n  TLSA 3 1 1 " + strings.Repeat("00", 32) + "… (1000 bytes)\n"},
		{"an end in sight", func(r *probe.Report) { r.Verdict.Services[0].Until = noon }, "\n  authenticated until 2026-03-01 12:00:00 UTC, if no certificate changes\n"},
		{"no connection", func(r *probe.Report) {
			*r.Verdict.Services[0].Endpoints[0].Facts = dane.Endpoint{Err: errors.New("connection refused")}
		}, "\n    ended: connection refused\n"},
		{"judged for another moment: what differs", func(r *probe.Report) {
			later := r.Verdict
			later.At, later.Outcome = noon.AddDate(0, 0, 14), dane.Unreachable
			later.Services = []dane.ServiceVerdict{{Host: "mx.example.org", Port: 25, Outcome: dane.Unreachable}}
			later.Findings = []dane.Finding{{Reason: dane.CertificateExpired, Host: "mx.example.org", Port: 25, Detail: "it ended"}}
			r.Later = &later
		}, `
Judged for 2026-03-15 12:00:00 UTC: unreachable: no client gets through, with DANE or without
  probe_success would be 0. Only the dates of certificates are judged for that moment: what was
    served, DNS and its DNSSEC statuses are as of now.
  mx.example.org port 25: unreachable, now refused
  new: certificate_expired (refuses): mx.example.org port 25
    it ended
  gone: tlsa_mismatch (refuses): mx.example.org port 25, 192.0.2.1
    3 1 1 abcd: the leaf's key is another
`},
		{"advice", func(r *probe.Report) {
			r.Verdict.Advice = []dane.Advice{{Topic: dane.MicrosoftUnsigned, Host: "mx.example.org", Port: 25, Detail: "its name"}}
		}, "\n\nAdvice, whatever the outcome\n  microsoft_unsigned_host: mx.example.org port 25\n"},
		{"name servers", func(r *probe.Report) {
			r.Verdict.Services[0].Nameservers = []dane.NameserverVerdict{
				{Name: "ns1.example.org", Address: netip.MustParseAddr("192.0.2.53"), Up: dane.Yes, Consistent: dane.Yes, Serial: 7, SerialKnown: true, Expiry: noon},
				{Name: "ns2.example.org", Address: netip.MustParseAddr("192.0.2.54"), Up: dane.No, Why: "no reply in time"},
			}
		}, `
  the name servers of the zone that holds the TLSA records:
    ns1.example.org (192.0.2.53): up, the same TLSA records, serial 7, signed until 2026-03-01
      12:00:00 UTC
    ns2.example.org (192.0.2.54): does not answer for the zone
      no reply in time
`},
		{"certificates beyond us", func(r *probe.Report) {
			e := r.Verdict.Services[0].Endpoints[0].Facts
			e.Chain, e.Raw = nil, [][]byte{[]byte("leaf")}
		}, "\n    certificate 0: not parsed, 4 bytes\n        SHA-256 9f91161f43433e49a6de6db680d79f60159f2e4ac9172621a12846428158440b\n"},
		{"connections by a way of their own", func(r *probe.Report) {
			r.Module.SourceAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.7")}
			r.Module.Proxy = handshake.Proxy{Address: netip.MustParseAddrPort("192.0.2.1:1080"), User: "me", Password: "key"}
		}, "connections left by 192.0.2.7\nconnections went through socks5://me:<secret>@192.0.2.1:1080\n"},
		{"a service of an SRV record", func(r *probe.Report) {
			r.Facts.MX, r.Facts.SRV = nil, []dane.SRVLookup{{}}
			r.Verdict.Services[0].Preference, r.Verdict.Services[0].Weight = 5, 7
		}, "\nmx.example.org port 25, priority 5, weight 7: refused\n"},
		{"a look-up that failed", func(r *probe.Report) { r.Facts.MX.Err = errors.New("SERVFAIL") }, "\n    failed: SERVFAIL\n"},
		{"very many records", func(r *probe.Report) {
			for range 200 {
				r.Facts.MX.Records = append(r.Facts.MX.Records, r.Facts.MX.Records[0])
			}
		}, "\n    … and 101 more\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mismatch(t)
			test.change(r)
			if got := text(t, r); !strings.Contains(got, test.want) {
				t.Errorf("no %q in\n%s", test.want, got)
			}
		})
	}
}

// TestHostile: nothing that a server or zone says reaches a terminal as it is.
func TestHostile(t *testing.T) {
	for _, hostile := range []string{"\x1b[2J", "a\nb\r\nc", "\xff\xfe\x00", "\u202egnp", strings.Repeat("x", 1<<20), strings.Repeat("\x07", 1<<20)} {
		r := mismatch(t)
		r.Target.Name, r.Facts.MX.Name, r.Facts.MX.Why, r.Facts.MX.EDE = hostile, hostile, hostile, []string{hostile}
		r.Verdict.Findings[0].Host, r.Verdict.Findings[0].Detail = hostile, hostile
		e := r.Verdict.Services[0].Endpoints[0].Facts
		e.Dialogue.Transcript[0].Text, e.SNI, e.Err = hostile, hostile, errors.New(hostile)
		e.Chain.Certificates[0].Subject, e.Chain.Certificates[0].DNSNames = pkix.Name{CommonName: hostile}, []string{hostile}
		got := text(t, r)
		if strings.ContainsAny(got, "\x1b\r\x00\x07\u202e") || !utf8.ValidString(got) {
			t.Errorf("%.20q came through", hostile)
		}
		if len(got) > 200_000 {
			t.Errorf("%.20q: %d bytes", hostile, len(got))
		}
		if lines := strings.Count(got, "\n"); lines < strings.Count(mismatchText, "\n") {
			t.Errorf("%.20q: only %d lines", hostile, lines)
		}
	}
}

func TestPrintable(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain text, ÄÖ, 漢", "plain text, ÄÖ, 漢"},
		{"tab\tline\n", `tab\tline\n`},
		{"\x1b[31m", `\x1b[31m`},
		{"\x80\xff", `\x80\xff`},
		{"\ufffd", "\ufffd"},
		{"\u202e", `\u202e`},
		{"it's", "it's"},
	}
	for _, test := range tests {
		if got := Printable(test.in); got != test.want {
			t.Errorf("Printable(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestBreakAt(t *testing.T) {
	tests := []struct {
		text        string
		room        int
		first, rest string
	}{
		{"short", 10, "short", ""},
		{"one two three", 7, "one two", "three"},
		{"one two three", 6, "one", "two three"},
		{"äöü äöü", 7, "äöü äöü", ""},
		{"unbreakable", 3, "unbreakable", ""},
		{"unbreakable word", 3, "unbreakable", "word"},
		{"a   b", 2, "a", "b"},
	}
	for _, test := range tests {
		if first, rest := breakAt(test.text, test.room); first != test.first || rest != test.rest {
			t.Errorf("breakAt(%q, %d) = %q, %q", test.text, test.room, first, rest)
		}
	}
}

// TestLongLines: what is longer than a line goes on two columns further in, and no further.
func TestLongLines(t *testing.T) {
	var b strings.Builder
	p := newPage(&b)
	p.line(4, "%s", strings.Repeat("nine char ", 24))
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	var indents []int
	for line := range strings.Lines(b.String()) {
		indents = append(indents, len(line)-len(strings.TrimLeft(line, " ")))
	}
	if !slices.Equal(indents, []int{4, 6, 6}) {
		t.Errorf("indented by %v:\n%s", indents, &b)
	}
}

// TestWriteFails: the caller hears of it.
func TestWriteFails(t *testing.T) {
	broken := errors.New("the pipe is broken")
	if err := Text(writer(func([]byte) (int, error) { return 0, broken }), mismatch(t)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func text(t *testing.T, r *probe.Report) string {
	t.Helper()
	var b strings.Builder
	if err := Text(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Whoever reads a handshake that another probe made is told how old it is.
func TestTextTellsTheAgeOfAHandshake(t *testing.T) {
	for _, story := range []struct {
		name string
		made time.Duration // after the probe began
		want string
	}{
		{"before the probe", -12 * time.Second, "another probe's handshake, as of 12 s ago"},
		{"while it ran", time.Second, "another probe's handshake, made at the same time"},
	} {
		r := mismatch(t)
		facts := r.Verdict.Services[0].Endpoints[0].Facts
		facts.Reused, facts.TLS = true, dane.Span{Start: noon, End: noon.Add(story.made)}
		if got := text(t, r); !strings.Contains(got, story.want) {
			t.Errorf("%s: %q is not in\n%s", story.name, story.want, got)
		}
	}
}
