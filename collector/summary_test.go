package collector

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/tlsa"
)

// TestSummary checks the series of a module with series: summary. All other tests
// have a module without it.
func TestSummary(t *testing.T) {
	r := healthy()
	r.Module.Series = probe.SeriesSummary
	const want = `dane_authenticated_from_timestamp_seconds{host="mx.example.org",port="25"} 1.65e+09
dane_authenticated_until_timestamp_seconds{host="mx.example.org",port="25"} 1.95e+09
dane_certificate_not_after_timestamp_seconds{host="mx.example.org",port="25"} 2e+09
dane_certificate_not_before_timestamp_seconds{host="mx.example.org",port="25"} 1.76e+09
dane_dnssec_signature_expiry_timestamp_seconds{zone="example.org"} 1.8e+09
dane_dnssec_signature_inception_timestamp_seconds{zone="example.org"} 1.7e+09
dane_hosts 1
dane_hosts_refused 0
dane_hosts_with_tlsa 1
dane_outcome{outcome="authenticated"} 1
dane_outcome{outcome="encrypted"} 0
dane_outcome{outcome="none"} 0
dane_outcome{outcome="opportunistic"} 0
dane_outcome{outcome="refused"} 0
dane_outcome{outcome="unknown"} 0
dane_outcome{outcome="unreachable"} 0
dane_probe_complete 1
probe_duration_seconds 1.5
probe_success 1
`
	if got := expose(t, r); got != want {
		t.Errorf("got\n%s", diff(got, want))
	}
	if n := strings.Count(want, "\n"); n > 20 {
		t.Errorf("%d samples, want at most 20", n)
	}
}

func TestSummaryCases(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.1")
	tests := []struct {
		name   string
		change func(*probe.Report)
		series []string
		want   string
	}{
		{"findings: errors and degraded only",
			func(r *probe.Report) {
				r.Verdict.Findings = []dane.Finding{
					{Reason: dane.TLSAMismatch, Host: "mx.example.org", Port: 25, Address: address},
					{Reason: dane.NoTLSA, Host: "mx.example.org", Port: 25},
					{Reason: dane.NullMX}, {Reason: dane.ProbeDeadline},
				}
			},
			[]string{finding.Name},
			`dane_finding{reason="no_tlsa",effect="degraded",host="mx.example.org",port="25",address=""} 1
dane_finding{reason="tlsa_mismatch",effect="error",host="mx.example.org",port="25",address=""} 1
`},
		{"findings: at most ten, errors first, without addresses",
			func(r *probe.Report) {
				r.Verdict.Findings = []dane.Finding{{Reason: dane.MXInsecure}}
				for port := range uint16(9) {
					r.Verdict.Findings = append(r.Verdict.Findings, dane.Finding{Reason: dane.Timeout, Host: "mx.example.org", Port: 1 + port})
				}
				for i := range 50 * 16 {
					host := fmt.Sprintf("mx%d.example.org", i/16)
					r.Facts.Hosts = append(r.Facts.Hosts, dane.Host{Name: host})
					r.Verdict.Findings = append(r.Verdict.Findings, dane.Finding{Reason: dane.TLSAMismatch, Host: host, Port: 25,
						Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 16)})})
				}
			},
			[]string{finding.Name},
			timeouts(1, 2, 3, 4, 5, 6, 7, 8, 9) + `dane_finding{reason="tlsa_mismatch",effect="error",host="mx0.example.org",port="25",address=""} 1` + "\n"},
		{"the zone that is the only cause of the outcome",
			func(r *probe.Report) { r.Verdict.FaultZone = "Org" },
			[]string{outcomeZone.Name},
			`dane_outcome_zone{zone="org"} 1` + "\n"},
		{"the smallest share left counts, not the earliest end",
			func(r *probe.Report) {
				// 40 days of 90 are left, and 30 days of 35.
				addCertificate(r, "192.0.2.2", start.AddDate(0, 0, -50), start.AddDate(0, 0, 40))
				addCertificate(r, "192.0.2.3", start.AddDate(0, 0, -5), start.AddDate(0, 0, 30))
				inService(r, 465, "192.0.2.2")
				inService(r, 587, "192.0.2.3")
			},
			[]string{certificateNotBefore.Name, certificateNotAfter.Name},
			`dane_certificate_not_after_timestamp_seconds{host="mx.example.org",port="465"} 1.7758224e+09
dane_certificate_not_before_timestamp_seconds{host="mx.example.org",port="465"} 1.7680464e+09
`},
		{"a certificate that has expired has the smallest share",
			func(r *probe.Report) {
				addCertificate(r, "192.0.2.2", start.AddDate(0, 0, -90), start.AddDate(0, 0, -1))
				inService(r, 465, "192.0.2.2")
			},
			[]string{certificateNotAfter.Name},
			`dane_certificate_not_after_timestamp_seconds{host="mx.example.org",port="465"} 1.77228e+09` + "\n"},
		{"addresses and key types have no labels",
			func(r *probe.Report) {
				r.Module.KeyTypes, r.Module.PerAddress = dane.KeyTypes(), true
				endpointOf(r).Facts.KeyType = dane.RSA
			},
			[]string{certificateNotAfter.Name},
			`dane_certificate_not_after_timestamp_seconds{host="mx.example.org",port="25"} 2e+09` + "\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := healthy()
			r.Module.Series = probe.SeriesSummary
			test.change(r)
			if got := expose(t, r, test.series...); got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
		})
	}
}

// timeouts returns the series of the finding timeout at ports of the first host.
func timeouts(ports ...int) string {
	var b strings.Builder
	for _, port := range ports {
		fmt.Fprintf(&b, "dane_finding{reason=\"timeout\",effect=\"error\",host=\"mx.example.org\",port=\"%d\",address=\"\"} 1\n", port)
	}
	return b.String()
}

// addCertificate adds an endpoint whose certificate has these dates.
func addCertificate(r *probe.Report, address string, notBefore, notAfter time.Time) {
	e := addEndpoint(r, address)
	leaf := *e.Facts.Chain.Certificates[0]
	leaf.NotBefore, leaf.NotAfter = notBefore, notAfter
	e.Facts.Chain = &tlsa.Chain{Certificates: []*x509.Certificate{&leaf}}
}

// inService moves the endpoint with an address to a service of its own.
func inService(r *probe.Report, port uint16, address string) {
	first := serviceOf(r)
	moved, facts := *first, *first.Service
	moved.Port, facts.Port = port, port
	moved.Service, moved.Endpoints = &facts, nil
	var kept []dane.EndpointVerdict
	for _, e := range first.Endpoints {
		if e.Address.String() == address {
			moved.Endpoints = append(moved.Endpoints, e)
		} else {
			kept = append(kept, e)
		}
	}
	first.Endpoints = kept
	r.Verdict.Services = append(r.Verdict.Services, moved)
}
