package dane

import (
	"errors"
	"strings"
	"testing"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// MemSize counts everything whose size a zone or a server chooses, and counts
// shared data once.
func TestMemSize(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	chain := [][]byte{make([]byte, 10_000)}
	type report struct { // measured together
		Facts   Facts
		Verdict Verdict
		Later   *Verdict
	}
	size := func(r report) int {
		verdicts := []*Verdict{&r.Verdict}
		if r.Later != nil {
			verdicts = append(verdicts, r.Later)
		}
		return MemSize(&r.Facts, verdicts...)
	}
	answer := func(a dnssec.Answer) report { return report{Facts: Facts{MX: &a}} }
	service := func(s Service) report { return report{Facts: Facts{Hosts: []Host{{Services: []Service{s}}}}} }
	endpoints := func(all ...Endpoint) report { return service(Service{Endpoints: all}) }
	verdict := func(v ServiceVerdict) report { return report{Verdict: Verdict{Services: []ServiceVerdict{v}}} }
	matches := []EndpointVerdict{{Matches: []tlsa.Match{{Why: long}}}}

	for _, c := range []struct {
		name        string
		report      report
		least, most int // bytes beyond those of an empty report
	}{
		{"nothing", report{}, 0, 0},
		{"record", answer(dnssec.Answer{Records: []dns.RR{&dns.TXT{Txt: []string{long}}}}), 10_000, 30_000},
		{"explanation of an answer", answer(dnssec.Answer{Why: long}), 10_000, 15_000},
		{"chain of trust", answer(dnssec.Answer{Chain: make([]dnssec.Link, 50)}), 50 * 300, 50_000},
		{"explanation of a link", answer(dnssec.Answer{Chain: []dnssec.Link{{Why: long}}}), 10_000, 15_000},
		{"extended DNS error", answer(dnssec.Answer{EDE: []string{long}}), 10_000, 15_000},
		{"dialogue", endpoints(Endpoint{Dialogue: starttls.Dialogue{Transcript: starttls.Transcript{{Text: long}}}}), 10_000, 15_000},
		{"large certificate, which may consist of many small elements", endpoints(Endpoint{Raw: chain}), 125_000, 145_000},
		{"certificate in a larger message", endpoints(Endpoint{Raw: [][]byte{make([]byte, 100, 50_000)}}), 49_900, 60_000},
		{"plaintext after STARTTLS", endpoints(Endpoint{Dialogue: starttls.Dialogue{EarlyData: long}}), 10_000, 15_000},
		{"the same certificate at another address", endpoints(Endpoint{Raw: chain}, Endpoint{Raw: chain}), 120_000, 160_000},
		{"second handshake with an address", endpoints(Endpoint{Other: &Endpoint{Raw: chain}}), 120_000, 160_000},
		{"empty certificate", endpoints(Endpoint{Raw: [][]byte{{}}}), 0, 5_000},
		{"nameservers", service(Service{Nameservers: &Nameservers{Servers: make([]Nameserver, 16)}}), 16 * 1000, 100_000},
		{"MTA-STS policy", report{Facts: Facts{MTASTS: &MTASTS{Fetches: []PolicyFetch{{Fetched: mtasts.Fetched{Text: []byte(long)}}}}}}, 10_000, 20_000},
		{"finding", report{Verdict: Verdict{Findings: []Finding{{Detail: long}}}}, 10_000, 15_000},
		{"advice", report{Verdict: Verdict{Advice: []Advice{{Detail: long}}}}, 10_000, 15_000},
		{"verdict on a record", verdict(ServiceVerdict{Records: []RecordVerdict{{Why: long}}}), 10_000, 15_000},
		{"verdict on the Web PKI", verdict(ServiceVerdict{Endpoints: []EndpointVerdict{{PKIXErr: errors.New(long)}}}), 10_000, 15_000},
		{"match", verdict(ServiceVerdict{Endpoints: matches}), 10_000, 15_000},
		{"second verdict", report{Later: &Verdict{Services: []ServiceVerdict{{Endpoints: matches}}}}, 10_000, 15_000},
	} {
		bytes := size(c.report) - size(report{})
		if bytes < c.least || bytes > c.most {
			t.Errorf("%s: %d bytes, want %d to %d", c.name, bytes, c.least, c.most)
		}
	}
}
