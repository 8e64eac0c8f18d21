package report

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/tlsa"
)

func (c *composer) service(v *dane.ServiceVerdict) Service {
	practice := v.RolloverStatus()
	s := Service{
		Host: short(v.Host), Port: v.Port, Outcome: string(v.Outcome), Base: short(v.Base),
		Records: []Record{}, Endpoints: []Endpoint{}, Until: known(v.Until),
		RolloverReady: measured(practice.RolloverReady), SurvivesRenewal: measured(practice.SurvivesRenewal),
	}
	if v.Policy != c.report.Module.Policy {
		s.Policy = string(v.Policy)
	}
	s.Names, _ = shortened(v.Names, maxNames)
	if mx := c.report.Facts.MX; mx != nil && mx.Found() {
		s.Preference = &v.Service.Preference
	}
	if c.report.Facts.SRV != nil {
		s.Preference, s.Weight = &v.Service.Preference, &v.Service.Weight
	}
	for _, r := range v.Records[:min(len(v.Records), maxRecords)] {
		s.Records = append(s.Records, recordOf(r))
	}
	for i := range v.Endpoints {
		s.Endpoints = append(s.Endpoints, endpointOf(&v.Endpoints[i]))
	}
	for _, n := range v.Nameservers[:min(len(v.Nameservers), maxRecords)] {
		s.Nameservers = append(s.Nameservers, nameserverOf(n))
	}
	facts := factsOf(c.report, v)
	if facts == nil {
		return s
	}
	s.Protocol = facts.Protocol
	for i, lookup := range c.report.Facts.Lookups() {
		if slices.ContainsFunc(facts.TLSA, func(l dane.TLSALookup) bool { return lookup.Answer.Name == l.Answer.Name }) &&
			lookup.Kind == dane.LookupTLSA && lookup.Host == v.Host {
			s.Lookups = append(s.Lookups, i)
		}
	}
	s.Publish = publish(v, facts)
	return s
}

// factsOf finds the service that a verdict is about.
func factsOf(r *probe.Report, v *dane.ServiceVerdict) *dane.Service {
	for i := range r.Facts.Hosts {
		host := &r.Facts.Hosts[i]
		for j := range host.Services {
			if host.Name == v.Host && host.Services[j].Port == v.Port {
				return &host.Services[j]
			}
		}
	}
	return nil
}

func recordOf(v dane.RecordVerdict) Record {
	r := v.Record
	return Record{
		Usage: uint8(r.Usage), Selector: uint8(r.Selector), MatchingType: uint8(r.MatchingType), Data: dataOf(r.Data),
		Standing: v.Usability.String(), Why: Printable(v.Why), Matches: v.Matches,
	}
}

func dataOf(data []byte) Data {
	const most = 64 // bytes, as SHA-512 has
	if len(data) > most {
		return Data(fmt.Sprintf("sha256:%x", sha256.Sum256(data)))
	}
	return Data(fmt.Sprintf("%x", data))
}

func endpointOf(v *dane.EndpointVerdict) Endpoint {
	f := v.Facts
	e := Endpoint{
		Address: v.Address.String(), KeyType: string(f.KeyType), Outcome: string(v.Outcome), Skipped: v.Skipped, Reason: string(v.Reason), Error: told(f.Err),
		NameMatch: measured(v.NameMatch), PKIX: measured(v.PKIX), PKIXWhy: Printable(v.PKIXWhy),
	}
	if f.Reused {
		e.AsOf = known(f.Time())
	}
	for i, line := range f.Dialogue.Transcript {
		if i == maxLines {
			e.MoreLines = len(f.Dialogue.Transcript) - i
			break
		}
		from := "server"
		if line.Sent {
			from = "client"
		}
		e.Dialogue = append(e.Dialogue, Line{from, short(line.Text)})
	}
	if f.Reached == dane.StageTLS {
		e.TLS = &TLS{tls.VersionName(f.TLSVersion), tls.CipherSuiteName(f.Cipher), short(f.SNI)}
	}
	e.Certificates, e.MoreCertificates = certificatesOf(f)
	for _, m := range v.Matches[:min(len(v.Matches), maxRecords)] {
		e.Matches = append(e.Matches, matchOf(m, f.Chain))
	}
	return e
}

func certificatesOf(f *dane.Endpoint) (some []Certificate, more int) {
	if f.Chain == nil {
		for _, der := range f.Raw[:min(len(f.Raw), maxCertificates)] {
			some = append(some, Certificate{Size: len(der), SHA256: digest(der)})
		}
		return some, len(f.Raw) - len(some)
	}
	all := f.Chain.Certificates
	for _, certificate := range all[:min(len(all), maxCertificates)] {
		some = append(some, certificateOf(certificate))
	}
	return some, max(len(all), len(f.Raw)) - len(some)
}

func certificateOf(x *x509.Certificate) Certificate {
	c := Certificate{
		Parsed: true, Size: len(x.Raw), SHA256: digest(x.Raw), SPKI: digest(x.RawSubjectPublicKeyInfo),
		Subject: short(x.Subject.String()), Issuer: short(x.Issuer.String()), Serial: short(fmt.Sprintf("%x", x.SerialNumber)),
		NotBefore: known(x.NotBefore), NotAfter: known(x.NotAfter),
	}
	c.Names, c.MoreNames = shortened(namesIn(x), maxNames)
	return c
}

func digest(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

func matchOf(m tlsa.Match, chain *tlsa.Chain) Match {
	composed := Match{Authenticates: m.Authenticates(), Matches: m.Matches, Why: Printable(m.Why)}
	if m.Depth >= 0 && m.Matches {
		depth := m.Depth
		composed.Depth = &depth
	}
	if compared := comparedWith(m, chain); compared != nil {
		if served, err := tlsa.NewRecord(compared, m.Record.Usage, m.Record.Selector, m.Record.MatchingType); err == nil {
			composed.Served = dataOf(served.Data)
		}
	}
	return composed
}

// comparedWith is the one certificate that a record was compared with: the leaf,
// where the record speaks of it, or the issuer that matches. Else there is none.
func comparedWith(m tlsa.Match, chain *tlsa.Chain) *x509.Certificate {
	if chain == nil || len(chain.Certificates) == 0 {
		return nil
	}
	switch usage := m.Record.Usage; {
	case usage == tlsa.DANEEE, usage == tlsa.PKIXEE:
		return chain.Certificates[0]
	case m.Matches && m.Depth >= 0 && m.Depth < len(chain.Certificates):
		return chain.Certificates[m.Depth]
	default:
		return nil
	}
}

func nameserverOf(v dane.NameserverVerdict) Nameserver {
	n := Nameserver{
		Name: short(v.Name), Address: v.Address.String(), Up: measured(v.Up), Consistent: measured(v.Consistent),
		Expiry: known(v.Expiry), Why: Printable(v.Why),
	}
	if v.SerialKnown {
		serial := v.Serial
		n.Serial = &serial
	}
	return n
}
