package report

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/tlsa"
)

func (p *page) services(r *probe.Report) {
	for i := range r.Verdict.Services {
		service := &r.Verdict.Services[i]
		preference := ""
		switch {
		case r.Facts.SRV != nil:
			preference = fmt.Sprintf(", priority %d, weight %d", service.Service.Preference, service.Service.Weight)
		case r.Facts.MX != nil && r.Facts.MX.Found():
			preference = fmt.Sprintf(", preference %d", service.Service.Preference)
		}
		p.heading(fmt.Sprintf("%s port %d%s: %s", service.Host, service.Port, preference, service.Outcome))
		p.records(service, r.Module)
		p.nameservers(service)
		for j := range service.Endpoints {
			p.endpoint(&service.Endpoints[j], r.Verdict.At, r.Start)
		}
	}
}

func (p *page) records(s *dane.ServiceVerdict, m probe.Module) {
	if s.Policy != m.Policy {
		p.line(2, "judged by policy %s", s.Policy)
	}
	if s.Base == "" {
		p.line(2, "no secure TLSA records apply")
	} else {
		p.line(2, "TLSA base domain %s", s.Base)
	}
	if len(s.Names) > 0 {
		p.line(2, "names expected in the certificate: %s", strings.Join(s.Names, ", "))
	}
	for _, record := range s.Records {
		p.line(2, "%s", recordText(record.Record))
		p.line(4, "%s", standing(record))
	}
	p.practice(s.RolloverStatus(), len(m.KeyTypes) > 0)
	if !s.Until.IsZero() {
		p.line(2, "authenticated until %s, if no certificate changes", moment(s.Until))
	}
}

// practice shows how the records are kept. Where not every kind of key was
// asked for, a server may have more certificates than were seen.
func (p *page) practice(practice dane.RolloverStatus, everyKey bool) {
	if practice.RolloverReady != dane.NotMeasured {
		p.line(2, "ready for a roll-over, with a next key published: %s", measure(practice.RolloverReady))
	}
	if practice.SurvivesRenewal != dane.NotMeasured {
		p.line(2, "survives a renewal with the same key: %s", measure(practice.SurvivesRenewal))
	}
	for _, record := range practice.Stale {
		p.line(2, "matches nothing that was seen: %s", recordText(record))
	}
	if len(practice.Stale) > 0 && !everyKey {
		p.line(4, "a server with a second kind of key may serve it: set key_types")
	}
}

// nameservers shows what each server of the zone with the records said itself.
func (p *page) nameservers(s *dane.ServiceVerdict) {
	if len(s.Nameservers) > 0 {
		p.line(2, "the name servers of the zone that holds the TLSA records:")
	}
	for _, v := range s.Nameservers {
		p.line(4, "%s (%s): %s", v.Name, v.Address, strings.Join(nameserver(v), ", "))
		if v.Why != "" {
			p.line(6, "%s", v.Why)
		}
	}
}

// nameserver says in a few words how a name server answered.
func nameserver(v dane.NameserverVerdict) []string {
	words := []string{map[dane.Measure]string{dane.Yes: "up", dane.No: "does not answer for the zone", dane.NotMeasured: "not asked"}[v.Up]}
	switch v.Consistent {
	case dane.Yes:
		words = append(words, "the same TLSA records")
	case dane.No:
		words = append(words, "not the same TLSA records")
	}
	if v.SerialKnown {
		words = append(words, fmt.Sprintf("serial %d", v.Serial))
	}
	if !v.Expiry.IsZero() {
		words = append(words, "signed until "+moment(v.Expiry))
	}
	return words
}

// standing says what a client makes of a record before it sees a certificate.
func standing(r dane.RecordVerdict) string {
	word := r.Usability.String()
	if r.Why == "" || r.Why == word {
		return word
	}
	return word + ": " + r.Why
}

// recordText is a record as zone files have it, its data cut where it is long.
func recordText(r tlsa.Record) string {
	const most = 64 // bytes; more than any digest has is a whole certificate or rubbish
	if len(r.Data) <= most {
		return "TLSA " + r.String()
	}
	size := len(r.Data)
	r.Data = r.Data[:32]
	return fmt.Sprintf("TLSA %s… (%d bytes)", r, size)
}

// endpoint tells of one address. at is the moment of the verdict, begun that of
// the probe.
func (p *page) endpoint(v *dane.EndpointVerdict, at, begun time.Time) {
	p.blank()
	name := v.Address.String()
	if v.Facts.KeyType != "" {
		name += ", " + string(v.Facts.KeyType) + " key"
	}
	if v.Skipped {
		p.line(2, "%s: skipped: %v", name, v.Facts.Err)
		return
	}
	p.line(2, "%s: %s", name, v.Outcome)
	if v.Facts.Reused {
		p.line(4, "another probe's handshake, %s", asOf(v.Facts.Time(), begun))
	}
	for _, line := range v.Facts.Dialogue.Transcript {
		speaker := "server"
		if line.Sent {
			speaker = "client"
		}
		p.line(4, "%s: %s", speaker, line.Text)
	}
	if v.Facts.Reached == dane.StageTLS {
		p.line(4, "%s, %s, SNI %s", tls.VersionName(v.Facts.TLSVersion), tls.CipherSuiteName(v.Facts.Cipher), v.Facts.SNI)
	}
	if v.Facts.Err != nil {
		p.line(4, "ended: %v", v.Facts.Err)
	}
	p.chain(v.Facts, at)
	p.matches(v)
}

// chain shows the certificates as they were sent.
func (p *page) chain(e *dane.Endpoint, at time.Time) {
	if e.Chain == nil {
		for depth, der := range e.Raw {
			p.line(4, "certificate %d: not parsed, %d bytes", depth, len(der))
			p.line(8, "SHA-256 %x", sha256.Sum256(der))
		}
		return
	}
	for depth, certificate := range e.Chain.Certificates {
		p.certificate(depth, certificate, at)
	}
}

func (p *page) certificate(depth int, c *x509.Certificate, at time.Time) {
	p.line(4, "certificate %d: %s", depth, orNone(c.Subject.String()))
	p.line(8, "issuer %s", orNone(c.Issuer.String()))
	if names := namesIn(c); len(names) > 0 {
		p.line(8, "names %s", strings.Join(names, ", "))
	}
	p.line(8, "valid from %s to %s%s", moment(c.NotBefore), moment(c.NotAfter), outOfDate(c, at))
	p.line(8, "serial %x", c.SerialNumber)
	p.line(8, "SHA-256 %x", sha256.Sum256(c.Raw))
	p.line(8, "SPKI SHA-256 %x", sha256.Sum256(c.RawSubjectPublicKeyInfo))
}

func namesIn(c *x509.Certificate) []string {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// outOfDate says whether at lies outside of a certificate's dates.
func outOfDate(c *x509.Certificate, at time.Time) string {
	switch {
	case at.After(c.NotAfter):
		return " (expired)"
	case at.Before(c.NotBefore):
		return " (not yet valid)"
	default:
		return ""
	}
}

// matches shows what became of each record at this endpoint, and what the
// certificates are worth without DANE.
func (p *page) matches(v *dane.EndpointVerdict) {
	for _, match := range v.Matches {
		result := "does not authenticate"
		if match.Authenticates() {
			result = "authenticates"
		}
		p.line(4, "%s", recordText(match.Record))
		p.line(8, "%s: %s", result, match.Why)
	}
	if v.NameMatch != dane.NotMeasured {
		p.line(4, "the certificate is for one of the names expected: %s", measure(v.NameMatch))
	}
	if v.PKIX != dane.NotMeasured {
		why := ""
		if v.PKIXWhy != "" {
			why = ": " + v.PKIXWhy
		}
		p.line(4, "the Web PKI accepts it: %s%s", measure(v.PKIX), why)
	}
}

// asOf says how old something was when the probe began.
func asOf(at, begun time.Time) string {
	age := begun.Sub(at).Round(time.Second)
	if age <= 0 {
		return "made at the same time"
	}
	return fmt.Sprintf("as of %d s ago", int(age.Seconds()))
}

func measure(m dane.Measure) string {
	if m == dane.Yes {
		return "yes"
	}
	return "no"
}

func orNone(name string) string {
	if name == "" {
		return "(empty)"
	}
	return name
}
