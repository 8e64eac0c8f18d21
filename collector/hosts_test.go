package collector

import (
	"testing"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

func TestHosts(t *testing.T) {
	// addHost adds a second host with a copy of the first host's service.
	addHost := func(r *probe.Report) *dane.ServiceVerdict {
		host, verdict, service := r.Facts.Hosts[0], *serviceOf(r), *serviceOf(r).Service
		host.Name, verdict.Host = "mx2.example.org", "mx2.example.org"
		service.TLSA = []dane.TLSALookup{service.TLSA[0]}
		verdict.Service = &service
		r.Facts.Hosts = append(r.Facts.Hosts, host)
		r.Verdict.Services = append(r.Verdict.Services, verdict)
		return &r.Verdict.Services[len(r.Verdict.Services)-1]
	}
	withoutRecords := func(v *dane.ServiceVerdict, status dnssec.Status) {
		v.Base, v.Answer, v.Records = "", nil, nil
		v.Service.TLSA[0].Answer.Status = status
	}
	tests := []struct {
		name   string
		change func(*probe.Report)
		want   string
	}{
		{"one host, authenticated", func(*probe.Report) {},
			"dane_hosts 1\ndane_hosts_refused 0\ndane_hosts_with_tlsa 1\n"},
		{"two hosts, one refused", func(r *probe.Report) { addHost(r).Outcome = dane.Refused },
			"dane_hosts 2\ndane_hosts_refused 1\ndane_hosts_with_tlsa 2\n"},
		{"two hosts, one proven to have no records", func(r *probe.Report) {
			v := addHost(r)
			v.Outcome = dane.Opportunistic
			withoutRecords(v, dnssec.Secure)
		}, "dane_hosts 2\ndane_hosts_refused 0\ndane_hosts_with_tlsa 1\n"},
		{"a record that no client can use does not count", func(r *probe.Report) {
			serviceOf(r).Records[0].Usability = tlsa.Unusable
			serviceOf(r).Outcome = dane.Encrypted
		}, "dane_hosts 1\ndane_hosts_refused 0\ndane_hosts_with_tlsa 0\n"},
		{"a failed lookup of records: refused, and their number is not known", func(r *probe.Report) {
			v := addHost(r)
			v.Outcome = dane.Refused
			withoutRecords(v, dnssec.Bogus)
		}, "dane_hosts 2\ndane_hosts_refused 1\n"},
		{"a host that could not be judged: that none is refused is not known", func(r *probe.Report) {
			addHost(r).Outcome = dane.Unknown
		}, "dane_hosts 2\ndane_hosts_with_tlsa 2\n"},
		{"a host that could not be judged, and a refused one", func(r *probe.Report) {
			serviceOf(r).Outcome = dane.Refused
			addHost(r).Outcome = dane.Unknown
		}, "dane_hosts 2\ndane_hosts_refused 1\ndane_hosts_with_tlsa 2\n"},
		{"insecure addresses: no records were looked up, and none apply", func(r *probe.Report) {
			v := serviceOf(r)
			v.Outcome, v.Base, v.Answer, v.Records, v.Service.TLSA = dane.Opportunistic, "", nil, nil, nil
		}, "dane_hosts 1\ndane_hosts_refused 0\ndane_hosts_with_tlsa 0\n"},
		{"bogus addresses: no records were looked up, and some may exist", func(r *probe.Report) {
			v := serviceOf(r)
			v.Outcome, v.Base, v.Answer, v.Records, v.Service.TLSA = dane.Refused, "", nil, nil, nil
		}, "dane_hosts 1\ndane_hosts_refused 1\n"},
		{"two services of one host count as one host", func(r *probe.Report) {
			v := addHost(r)
			v.Host, r.Facts.Hosts = "mx.example.org", r.Facts.Hosts[:1]
			withoutRecords(v, dnssec.Bogus)
			v.Outcome = dane.Refused
		}, "dane_hosts 1\ndane_hosts_refused 1\ndane_hosts_with_tlsa 1\n"},
		{"a null MX: there is no host", func(r *probe.Report) { r.Facts.Hosts, r.Verdict.Services = nil, nil },
			"dane_hosts 0\ndane_hosts_refused 0\ndane_hosts_with_tlsa 0\n"},
		{"a bogus MX lookup: the hosts are not known", func(r *probe.Report) {
			r.Facts.MX.Status, r.Facts.Hosts, r.Verdict.Services = dnssec.Bogus, nil, nil
		}, ""},
		{"a failed SRV lookup: the hosts are not known", func(r *probe.Report) {
			r.Facts.SRV = []dane.SRVLookup{{Service: "imaps", Answer: dnssec.Answer{Status: dnssec.Indeterminate}}}
		}, ""},
		{"a target that is not allowed", func(r *probe.Report) { *r = probe.Report{Facts: dane.Facts{Denied: true}} }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := healthy()
			test.change(r)
			if got := expose(t, r, hostCount.Name, hostsRefused.Name, hostsWithTLSA.Name); got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
		})
	}
}
