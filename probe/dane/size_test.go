package dane

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

// TestMemSize: whatever a zone or a server makes long is counted, and what a report
// refers to several times is counted once.
func TestMemSize(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	chain := [][]byte{make([]byte, 10_000)}
	type report struct { // what is measured together
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

	for _, story := range []struct {
		name        string
		report      report
		least, most int // bytes beyond those of an empty report
	}{
		{"nothing", report{}, 0, 0},
		{"a record", answer(dnssec.Answer{Records: []dns.RR{&dns.TXT{Txt: []string{long}}}}), 10_000, 30_000},
		{"why an answer is what it is", answer(dnssec.Answer{Why: long}), 10_000, 15_000},
		{"a chain of trust", answer(dnssec.Answer{Chain: make([]dnssec.Link, 50)}), 50 * 300, 50_000},
		{"a link of it", answer(dnssec.Answer{Chain: []dnssec.Link{{Why: long}}}), 10_000, 15_000},
		{"an extended error", answer(dnssec.Answer{EDE: []string{long}}), 10_000, 15_000},
		{"a dialogue", endpoints(Endpoint{Dialogue: starttls.Dialogue{Transcript: starttls.Transcript{{Text: long}}}}), 10_000, 15_000},
		{"a large certificate, which may be of many small things", endpoints(Endpoint{Raw: chain}), 120_000, 160_000},
		{"the same at another address", endpoints(Endpoint{Raw: chain}, Endpoint{Raw: chain}), 120_000, 160_000},
		{"a further handshake at the address", endpoints(Endpoint{Other: &Endpoint{Raw: chain}}), 120_000, 160_000},
		{"a certificate of no octets", endpoints(Endpoint{Raw: [][]byte{{}}}), 0, 5_000},
		{"name servers", service(Service{Nameservers: &Nameservers{Servers: make([]Nameserver, 16)}}), 16 * 1000, 100_000},
		{"a policy", report{Facts: Facts{MTASTS: &MTASTS{Fetches: []PolicyFetch{{Fetched: mtasts.Fetched{Text: []byte(long)}}}}}}, 10_000, 20_000},
		{"a finding", report{Verdict: Verdict{Findings: []Finding{{Detail: long}}}}, 10_000, 15_000},
		{"advice", report{Verdict: Verdict{Advice: []Advice{{Detail: long}}}}, 10_000, 15_000},
		{"a record that is judged", verdict(ServiceVerdict{Records: []RecordVerdict{{Why: long}}}), 10_000, 15_000},
		{"a match", verdict(ServiceVerdict{Endpoints: matches}), 10_000, 15_000},
		{"a verdict for later", report{Later: &Verdict{Services: []ServiceVerdict{{Endpoints: matches}}}}, 10_000, 15_000},
	} {
		bytes := size(story.report) - size(report{})
		if bytes < story.least || bytes > story.most {
			t.Errorf("%s: %d bytes, want %d to %d", story.name, bytes, story.least, story.most)
		}
	}
}
