package probe

import (
	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

// What the parts of a report take in memory, estimated generously, in bytes.
const (
	bulkOfReport  = 8 << 10
	bulkOfAnswer  = 2 << 10
	bulkOfRecord  = 300 // and twice what it has on the wire, since its data may be kept as hexadecimal
	bulkOfLink    = 512
	bulkOfServer  = 2 << 10
	bulkOfLine    = 64
	bulkOfFinding = 300
	bulkOfMatch   = 128

	// A certificate is parsed into some four times its octets, and a large one
	// that is made of many small things into fourteen times.
	bulkOfCertificate = 1 << 10
	bulkOfOctet       = 5
	bulkOfSmallOctet  = 15
	usualCertificate  = 2 << 10 // what is beyond is taken to be small things
)

// Bulk estimates what a report holds in memory, in bytes. Zones and servers
// choose most of it, so that who keeps reports must look first.
func (r *Report) Bulk() int {
	b := bulk{bytes: bulkOfReport}
	for _, lookup := range r.Facts.Lookups() {
		b.answer(lookup.Answer)
	}
	for i := range r.Facts.Hosts {
		for j := range r.Facts.Hosts[i].Services {
			b.service(&r.Facts.Hosts[i].Services[j])
		}
	}
	if m := r.Facts.MTASTS; m != nil {
		b.mtaSTS(m)
	}
	b.verdict(&r.Verdict)
	if r.Later != nil {
		b.verdict(r.Later)
	}
	return b.bytes
}

// bulk adds up what is held. Handshakes that brought the same certificate at
// one time share it (crypto/tls sees to that), so each counts once.
type bulk struct {
	bytes        int
	certificates map[*byte]bool // by their first octet
}

func (b *bulk) service(s *Service) {
	for i := range s.Endpoints {
		for e := &s.Endpoints[i]; e != nil; e = e.Other {
			b.endpoint(e)
		}
	}
	if s.Authority == nil {
		return
	}
	b.answer(s.Authority.NS)
	for _, server := range s.Authority.Servers {
		b.bytes += bulkOfServer
		b.answer(server.TLSA)
		b.answer(server.SOA)
	}
}

func (b *bulk) endpoint(e *Endpoint) {
	b.bytes += bulkOfServer
	for _, line := range e.Dialogue.Transcript {
		b.bytes += bulkOfLine + len(line.Text)
	}
	for _, raw := range e.Raw {
		b.certificate(raw)
	}
}

// certificate counts one with what follows it in the message that it came in,
// which is held whole: a server may send what it likes beside certificates.
func (b *bulk) certificate(raw []byte) {
	if len(raw) == 0 || b.certificates[&raw[0]] {
		return
	}
	if b.certificates == nil {
		b.certificates = make(map[*byte]bool)
	}
	b.certificates[&raw[0]] = true
	usual := min(len(raw), usualCertificate)
	b.bytes += bulkOfCertificate + bulkOfOctet*usual + bulkOfSmallOctet*(len(raw)-usual) + cap(raw) - len(raw)
}

func (b *bulk) mtaSTS(m *MTASTS) {
	for _, lookup := range m.Lookups() {
		b.answer(lookup.Answer)
	}
	for _, fetch := range m.Fetches {
		b.bytes += bulkOfServer + len(fetch.Text)
		if fetch.Certificate != nil {
			b.certificate(fetch.Certificate.Raw)
		}
	}
}

func (b *bulk) answer(a *dnssec.Answer) {
	if a == nil {
		return
	}
	b.bytes += bulkOfAnswer + len(a.Why)
	for _, record := range a.Records {
		b.bytes += bulkOfRecord + 2*dns.Len(record)
	}
	for i := range a.Chain {
		b.bytes += bulkOfLink + len(a.Chain[i].Why)
	}
	for _, text := range a.EDE {
		b.bytes += bulkOfLine + len(text)
	}
}

func (b *bulk) verdict(v *Verdict) {
	for _, finding := range v.Findings {
		b.bytes += bulkOfFinding + len(finding.Detail)
	}
	for _, advice := range v.Advice {
		b.bytes += bulkOfFinding + len(advice.Detail)
	}
	for i := range v.Services {
		for _, record := range v.Services[i].Records {
			b.bytes += bulkOfMatch + len(record.Why)
		}
		for _, endpoint := range v.Services[i].Endpoints {
			b.bytes += bulkOfFinding + len(endpoint.PKIXWhy)
			b.matches(endpoint.Matches)
		}
	}
}

func (b *bulk) matches(all []tlsa.Match) {
	for i := range all {
		b.bytes += bulkOfMatch + len(all[i].Why)
	}
}
