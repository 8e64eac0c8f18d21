package dane

import (
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// Memory of the parts of facts and verdicts, estimated generously, in bytes.
const (
	sizeOfAnswer     = 2 << 10
	sizeOfRecord     = 300 // plus twice the wire format, because miekg/dns may hold data as hexadecimal text
	sizeOfLink       = 512
	sizeOfServer     = 2 << 10
	sizeOfLine       = 64
	sizeOfFinding    = 300
	sizeOfMatch      = 128
	sizeOfParsedCert = 1 << 10
	// A parsed certificate takes about four times its encoding. A large one
	// that consists of many small elements takes up to fourteen times.
	sizePerByte      = 5
	sizePerSmallByte = 15
	usualCertSize    = 2 << 10 // bytes beyond it count as small elements
)

// MemSize estimates the memory that facts and verdicts on them take, in bytes.
// Zones and servers choose most of it, so what keeps reports must bound it.
func MemSize(facts *Facts, verdicts ...*Verdict) int {
	var s sizer
	for _, lookup := range facts.Lookups() {
		s.addAnswer(lookup.Answer)
	}
	for i := range facts.Hosts {
		for j := range facts.Hosts[i].Services {
			s.addService(&facts.Hosts[i].Services[j])
		}
	}
	for _, lookup := range facts.MTASTSLookups() {
		s.addAnswer(lookup.Answer)
	}
	if facts.MTASTS != nil {
		s.addMTASTS(facts.MTASTS)
	}
	for _, d := range facts.Delegations { // other reports may share it; the last one keeps it
		s.bytes += d.MemSize()
	}
	for _, v := range verdicts {
		s.addVerdict(v)
	}
	return s.bytes
}

// MemSize estimates the memory that the facts of an endpoint take, in bytes.
func (e *Endpoint) MemSize() int {
	var s sizer
	s.addEndpoint(e)
	return s.bytes
}

// AnswerSize estimates the memory that an answer takes, in bytes.
func AnswerSize(answer *dnssec.Answer) int {
	var s sizer
	s.addAnswer(answer)
	return s.bytes
}

// sizer adds up memory. Handshakes that receive the same certificate at the same
// time share it in memory (crypto/tls caches it), so each counts once.
type sizer struct {
	bytes        int
	certificates map[*byte]bool // by their first byte
}

func (s *sizer) addService(service *Service) {
	for i := range service.Endpoints {
		for e := &service.Endpoints[i]; e != nil; e = e.Other {
			s.addEndpoint(e)
		}
	}
	if renewal := service.Renewal; renewal != nil {
		for i := range renewal.CAA {
			s.addAnswer(&renewal.CAA[i])
		}
		s.addAnswer(&renewal.Challenge)
		s.addAnswer(renewal.WildcardChallenge)
	}
	if service.Nameservers == nil {
		return
	}
	s.addAnswer(service.Nameservers.NS)
	for _, server := range service.Nameservers.Servers {
		s.bytes += sizeOfServer
		s.addAnswer(server.TLSA)
		s.addAnswer(server.SOA)
	}
}

func (s *sizer) addEndpoint(e *Endpoint) {
	s.bytes += sizeOfServer + len(e.Dialogue.EarlyData)
	for _, line := range e.Dialogue.Transcript {
		s.bytes += sizeOfLine + len(line.Text)
	}
	for _, raw := range e.Raw {
		s.addCertificate(raw)
	}
}

// addCertificate counts a certificate and the rest of the TLS message that it
// arrived in: the slice keeps the whole message alive.
func (s *sizer) addCertificate(raw []byte) {
	if len(raw) == 0 || s.certificates[&raw[0]] {
		return
	}
	if s.certificates == nil {
		s.certificates = make(map[*byte]bool)
	}
	s.certificates[&raw[0]] = true
	s.bytes += sizeOfParsedCert + ParsedSize(len(raw), usualCertSize) + cap(raw) - len(raw)
}

// ParsedSize estimates the memory in bytes that n bytes of certificates take as they were
// sent and parsed. Bytes beyond usual count as small elements.
func ParsedSize(n, usual int) int {
	usual = min(n, usual)
	return sizePerByte*usual + sizePerSmallByte*(n-usual)
}

func (s *sizer) addMTASTS(m *MTASTS) {
	for _, fetch := range m.Fetches {
		s.bytes += sizeOfServer + len(fetch.Text)
		if fetch.Certificate != nil {
			s.addCertificate(fetch.Certificate.Raw)
		}
	}
}

func (s *sizer) addAnswer(a *dnssec.Answer) {
	if a == nil {
		return
	}
	s.bytes += sizeOfAnswer + len(a.Why)
	for _, record := range a.Records {
		s.bytes += sizeOfRecord + 2*dns.Len(record)
	}
	for i := range a.Chain {
		s.bytes += sizeOfLink + len(a.Chain[i].Why)
	}
	for _, text := range a.EDE {
		s.bytes += sizeOfLine + len(text)
	}
}

func (s *sizer) addVerdict(v *Verdict) {
	for _, finding := range v.Findings {
		s.bytes += sizeOfFinding + len(finding.Detail)
	}
	for _, advice := range v.Advice {
		s.bytes += sizeOfFinding + len(advice.Detail)
	}
	for i := range v.Services {
		for _, record := range v.Services[i].Records {
			s.bytes += sizeOfMatch + len(record.Why)
		}
		for _, endpoint := range v.Services[i].Endpoints {
			s.bytes += sizeOfFinding
			if endpoint.PKIXErr != nil {
				s.bytes += len(endpoint.PKIXErr.Error())
			}
			s.addMatches(endpoint.Matches)
		}
	}
}

func (s *sizer) addMatches(all []tlsa.Match) {
	for i := range all {
		s.bytes += sizeOfMatch + len(all[i].Why)
	}
}
