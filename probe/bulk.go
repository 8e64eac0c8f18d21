package probe

import (
	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
)

// What the parts of a report take in memory, estimated generously, in bytes.
const (
	bulkOfReport  = 8 << 10
	bulkOfAnswer  = 2 << 10
	bulkOfRecord  = 300 // and twice what it has on the wire, since its data may be kept as hexadecimal
	bulkOfServer  = 2 << 10
	bulkOfLine    = 64
	bulkOfFinding = 300
	bulkOfOctet   = 5 // an octet of a certificate: itself, and what it is parsed into
)

// Bulk estimates what a report holds in memory, in bytes. Zones and servers
// choose most of it, so that who keeps reports must look first.
func (r *Report) Bulk() int {
	bulk := bulkOfReport
	for _, lookup := range r.Facts.Lookups() {
		bulk += answerBulk(lookup.Answer)
	}
	for i := range r.Facts.Hosts {
		for j := range r.Facts.Hosts[i].Services {
			bulk += r.Facts.Hosts[i].Services[j].bulk()
		}
	}
	if m := r.Facts.MTASTS; m != nil {
		bulk += m.bulk()
	}
	for _, finding := range r.Verdict.Findings {
		bulk += bulkOfFinding + len(finding.Detail)
	}
	return bulk
}

func (s *Service) bulk() int {
	bulk := 0
	for i := range s.Endpoints {
		bulk += bulkOfServer
		for _, line := range s.Endpoints[i].Dialogue.Transcript {
			bulk += bulkOfLine + len(line.Text)
		}
		for _, raw := range s.Endpoints[i].Raw {
			bulk += bulkOfOctet * len(raw)
		}
	}
	if s.Authority == nil {
		return bulk
	}
	bulk += answerBulk(s.Authority.NS)
	for _, server := range s.Authority.Servers {
		bulk += bulkOfServer + answerBulk(server.TLSA) + answerBulk(server.SOA)
	}
	return bulk
}

func (m *MTASTS) bulk() int {
	bulk := 0
	for _, lookup := range m.Lookups() {
		bulk += answerBulk(lookup.Answer)
	}
	for _, fetch := range m.Fetches {
		bulk += bulkOfServer + len(fetch.Text)
		if fetch.Certificate != nil {
			bulk += bulkOfOctet * len(fetch.Certificate.Raw)
		}
	}
	return bulk
}

func answerBulk(a *dnssec.Answer) int {
	if a == nil {
		return 0
	}
	bulk := bulkOfAnswer
	for _, record := range a.Records {
		bulk += bulkOfRecord + 2*dns.Len(record)
	}
	return bulk
}
