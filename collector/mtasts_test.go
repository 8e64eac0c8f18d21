package collector

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
)

// withMTASTS adds an enforced policy, which all hosts fulfil, to a report of healthy.
func withMTASTS(r *probe.Report) *probe.Report {
	insecure := dnssec.Answer{Status: dnssec.Insecure}
	r.Facts.MTASTS = &dane.MTASTS{
		TXT: &insecure, Record: mtasts.Record{ID: "1"}, TLSRPT: dane.TLSRPT{Domain: "example.org", TXT: &insecure},
		Policy: &mtasts.Policy{Mode: mtasts.Enforce, MaxAge: 7 * 24 * time.Hour, MX: []string{"mx.example.org"}},
		Fetches: []dane.PolicyFetch{{
			Fetched: mtasts.Fetched{Certificate: &x509.Certificate{NotBefore: time.Unix(1_980_000_000, 0), NotAfter: time.Unix(1_990_000_000, 0)}},
		}},
	}
	v := &dane.MTASTSVerdict{State: dane.PolicyEnforced}
	for _, s := range r.Verdict.Services {
		added := dane.ServiceSenders{Host: s.Host, Port: s.Port, Covered: dane.Yes}
		for _, e := range s.Endpoints {
			added.Endpoints = append(added.Endpoints, dane.EndpointSenders{Address: e.Address, Passes: dane.Yes})
		}
		v.Services = append(v.Services, added)
	}
	r.Verdict.MTASTS = v
	return r
}

func TestMTASTS(t *testing.T) {
	const (
		record  = "dane_mta_sts_record_present 1\ndane_mta_sts_record_valid 1\n"
		host    = `dane_mta_sts_host_covered{host="mx.example.org"} 1` + "\n" + `dane_mta_sts_host_passes{host="mx.example.org",port="25"} 1` + "\n"
		expires = "dane_mta_sts_certificate_not_after_timestamp_seconds 1.99e+09\ndane_mta_sts_certificate_not_before_timestamp_seconds 1.98e+09\n"
		passes  = `dane_mta_sts_host_passes{host="mx.example.org",port="25"} 1` + "\n"
	)
	failed := &dnssec.Answer{Status: dnssec.Indeterminate, Err: dnssec.ErrDeadline}
	uncovered := func(r *probe.Report) { r.Verdict.MTASTS.Services[0].Covered = dane.NotMeasured }
	noPolicy := func(r *probe.Report) {
		uncovered(r)
		r.Facts.MTASTS.Policy, r.Verdict.MTASTS.State = nil, dane.PolicyNone
	}
	noFetch := func(r *probe.Report) {
		noPolicy(r)
		r.Facts.MTASTS.Fetches = nil
	}
	for _, test := range []struct {
		name   string
		change func(*probe.Report)
		want   string
	}{
		{"no problems", func(*probe.Report) {},
			expires + host + "dane_mta_sts_max_age_seconds 604800\n" +
				`dane_mta_sts_mode{mode="enforce"} 1` + "\n" + `dane_mta_sts_mode{mode="none"} 0` + "\n" + `dane_mta_sts_mode{mode="testing"} 0` + "\n" +
				"dane_mta_sts_policy_fetched 1\n" + record + "dane_tlsrpt_record_present{name=\"example.org\"} 1\ndane_tlsrpt_record_valid{name=\"example.org\"} 1\n"},
		{"a module without mta_sts", func(r *probe.Report) { r.Facts.MTASTS, r.Verdict.MTASTS = nil, nil },
			""},
		{"no record of either kind: no policy is fetched, and the host still passes", func(r *probe.Report) {
			noFetch(r)
			r.Facts.MTASTS.RecordErr, r.Facts.MTASTS.TLSRPT.Err = mtasts.ErrNoRecord, mtasts.ErrNoRecord
		}, passes + "dane_mta_sts_record_present 0\ndane_tlsrpt_record_present{name=\"example.org\"} 0\n"},
		{"an invalid record", func(r *probe.Report) {
			noFetch(r)
			r.Facts.MTASTS.RecordErr = &mtasts.SyntaxError{}
		}, passes + "dane_mta_sts_record_present 1\ndane_mta_sts_record_valid 0\ndane_tlsrpt_record_present{name=\"example.org\"} 1\ndane_tlsrpt_record_valid{name=\"example.org\"} 1\n"},
		{"an invalid TLSRPT record", func(r *probe.Report) {
			noFetch(r)
			r.Facts.MTASTS.RecordErr, r.Facts.MTASTS.TLSRPT.Err = mtasts.ErrNoRecord, &mtasts.SyntaxError{}
		}, passes + "dane_mta_sts_record_present 0\ndane_tlsrpt_record_present{name=\"example.org\"} 1\ndane_tlsrpt_record_valid{name=\"example.org\"} 0\n"},
		{"failed lookups measure nothing", func(r *probe.Report) {
			noFetch(r)
			r.Facts.MTASTS.TXT, r.Facts.MTASTS.TLSRPT.TXT, r.Verdict.MTASTS.State = failed, failed, dane.PolicyUnknown
		}, passes},
		{"the policy host answers 404", func(r *probe.Report) {
			noPolicy(r)
			r.Facts.MTASTS.Fetches[0].Err = &mtasts.StatusError{Code: 404}
		}, expires + passes + "dane_mta_sts_policy_fetched 0\n" + record + "dane_tlsrpt_record_present{name=\"example.org\"} 1\ndane_tlsrpt_record_valid{name=\"example.org\"} 1\n"},
		{"TLSRPT record of the TLSA base domain", func(r *probe.Report) {
			noFetch(r)
			r.Facts.MTASTS.RecordErr = mtasts.ErrNoRecord
			r.Facts.Hosts = []dane.Host{{Services: []dane.Service{
				{TLSRPT: &dane.TLSRPT{Domain: "mx.example.org", TXT: r.Facts.MTASTS.TLSRPT.TXT, Err: mtasts.ErrNoRecord}},
				{TLSRPT: &dane.TLSRPT{Domain: "mx.example.org", TXT: r.Facts.MTASTS.TLSRPT.TXT, Err: mtasts.ErrNoRecord}},
				{TLSRPT: &dane.TLSRPT{Domain: "mx.example.net", TXT: failed}},
			}}}
		}, "dane_mta_sts_record_present 0\ndane_tlsrpt_record_present{name=\"example.org\"} 1\ndane_tlsrpt_record_present{name=\"mx.example.org\"} 0\ndane_tlsrpt_record_valid{name=\"example.org\"} 1\n"},
		{"no time left to fetch the policy", func(r *probe.Report) {
			noPolicy(r)
			r.Facts.MTASTS.Fetches[0] = dane.PolicyFetch{Err: errors.New("no time left"), TimedOutEarly: true}
			r.Verdict.MTASTS.State = dane.PolicyUnknown
		}, passes + record + "dane_tlsrpt_record_present{name=\"example.org\"} 1\ndane_tlsrpt_record_valid{name=\"example.org\"} 1\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := withMTASTS(healthy())
			test.change(r)
			var names []string
			for _, metric := range ProbeMetrics() {
				isMTASTS := strings.HasPrefix(metric.Name, "dane_mta_sts_") || strings.HasPrefix(metric.Name, "dane_tlsrpt_")
				if isMTASTS && metric.Name != mtaSTSSenderOutcome.Name {
					names = append(names, metric.Name)
				}
			}
			if got := expose(t, r, names...); got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
		})
	}
}

// TestMTASTSAddresses checks that the host has the value of its worst measured address,
// and with per_address each address has its own.
func TestMTASTSAddresses(t *testing.T) {
	r := healthy()
	addEndpoint(r, "192.0.2.2")
	addEndpoint(r, "192.0.2.3")
	withMTASTS(r)
	measured := r.Verdict.MTASTS.Services[0].Endpoints
	measured[1].Passes, measured[2].Passes = dane.No, dane.NotMeasured
	if got, want := expose(t, r, mtaSTSHostPasses.Name), mtaSTSHostPasses.Name+`{host="mx.example.org",port="25"} 0`+"\n"; got != want {
		t.Errorf("got %swant %s", got, want)
	}
	r.Module.PerAddress = true
	if got, want := expose(t, r, mtaSTSHostPasses.Name), mtaSTSHostPasses.Name+`{host="mx.example.org",port="25",address="192.0.2.1"} 1`+"\n"+
		mtaSTSHostPasses.Name+`{host="mx.example.org",port="25",address="192.0.2.2"} 0`+"\n"; got != want {
		t.Errorf("got %swant %s", got, want)
	}
}

// TestMTASTSSenders checks that each of three senders has a series for all outcomes,
// of which exactly one is 1.
func TestMTASTSSenders(t *testing.T) {
	r := withMTASTS(healthy())
	r.Verdict.MTASTS.Senders = dane.Senders{DANE: dane.Authenticated, MTASTS: dane.Refused, Both: dane.Opportunistic}
	series := expose(t, r, mtaSTSSenderOutcome.Name)
	if got := strings.Count(series, "\n"); got != 3*len(dane.Outcomes()) {
		t.Errorf("%d series", got)
	}
	var holding []string
	for line := range strings.Lines(series) {
		if labels, holds := strings.CutSuffix(line, " 1\n"); holds {
			holding = append(holding, strings.TrimPrefix(labels, mtaSTSSenderOutcome.Name))
		}
	}
	if got, want := strings.Join(holding, ""), `{sender="both",outcome="opportunistic"}{sender="dane",outcome="authenticated"}{sender="mta_sts",outcome="refused"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
