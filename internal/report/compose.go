package report

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
	"dane_exporter/probe/tlsa"
)

// Limits of what a Document holds of the text of servers and zones. Honest servers
// and zones stay below them.
const (
	maxName         = 300 // bytes of a name or a line
	maxRecords      = 100 // of one lookup, and nameservers of one zone
	maxLines        = 40  // of one dialogue
	maxCertificates = 8   // of one chain
	maxNames        = 40  // of one certificate
	maxPatterns     = 100 // of one policy
)

// NewDocument returns the Document of a probe.
func NewDocument(r *probe.Report) *Document {
	v := &r.Verdict
	c := &composer{report: r, d: &Document{
		Schema: Schema,
		Target: Printable(r.Target.String()), Asked: Printable(r.Target.Asked),
		Module: composeModule(r.Module),
		Start:  r.Start.UTC(), Duration: r.Duration.Seconds(), Timeout: r.Deadline.Seconds(),
		Complete: r.Facts.Complete, Truncated: r.Facts.Truncated,
		At: v.At.UTC(), Outcome: string(v.Outcome), Meaning: outcomeMeaning(v.Outcome), Success: v.Success,
		Findings: composeFindings(v.Findings), Advice: []Advice{}, Later: composeLater(r.Later),
		Services: []Service{}, Lookups: []Lookup{}, Zones: []Zone{}, Phases: []Phase{},
	}}
	if r.Target.Address.IsValid() {
		c.d.Hostname = Printable(r.Target.Name)
	}
	for _, a := range v.Advice {
		info := a.Topic.Info()
		c.d.Advice = append(c.d.Advice, Advice{
			Topic: string(a.Topic), Host: short(a.Host), Port: a.Port,
			Meaning: info.Text, Detail: Printable(a.Detail), Remedy: info.Remedy,
		})
	}
	for _, lookup := range r.Facts.Lookups() {
		c.d.Lookups = append(c.d.Lookups, c.lookup(lookup))
	}
	for i := range v.Services {
		c.d.Services = append(c.d.Services, c.service(&v.Services[i]))
	}
	c.d.MTASTS = c.mtaSTS()
	for _, phase := range r.Facts.Phases {
		c.d.Phases = append(c.d.Phases, Phase{phase.Name, phase.Start.Sub(r.Start).Seconds(), phase.End.Sub(r.Start).Seconds()})
	}
	return c.d
}

// composer makes one Document.
type composer struct {
	report *probe.Report
	d      *Document
}

func composeModule(m probe.Module) Module {
	composed := Module{
		Name: m.Name, Discover: string(m.Discover), Policy: string(m.Policy), Require: string(m.Require), Proxy: m.Proxy.String(),
	}
	for _, keyType := range m.KeyTypes {
		composed.KeyTypes = append(composed.KeyTypes, string(keyType))
	}
	for _, address := range m.SourceAddresses {
		composed.SourceAddresses = append(composed.SourceAddresses, address.String())
	}
	return composed
}

// outcomeMeaning describes an outcome.
func outcomeMeaning(outcome dane.Outcome) string {
	switch outcome {
	case dane.Authenticated:
		return "a DANE client connects and authenticates the server"
	case dane.Encrypted:
		return "a DANE client requires TLS, but cannot authenticate the server: none of the TLSA records is usable"
	case dane.Opportunistic:
		return "DANE does not apply; a DANE client connects without it"
	case dane.None:
		return "there is nothing to connect to"
	case dane.Unreachable:
		return "no client can connect, with or without DANE"
	case dane.Refused:
		return "DANE-validating clients do not connect"
	default:
		return "the exporter could not determine the outcome"
	}
}

func composeFindings(findings []dane.Finding) []Finding {
	all := []Finding{}
	for _, f := range findings {
		info := f.Reason.Info()
		finding := Finding{
			Reason: string(f.Reason), Effect: string(info.Effect), Host: short(f.Host), Port: f.Port, Lookup: string(f.Lookup),
			Meaning: info.Meaning, Detail: Printable(f.Detail), Remedy: info.Remedy,
		}
		if f.Address.IsValid() {
			finding.Address = f.Address.String()
		}
		all = append(all, finding)
	}
	return all
}

func composeLater(v *dane.Verdict) *Later {
	if v == nil {
		return nil
	}
	later := &Later{
		At: v.At.UTC(), Outcome: string(v.Outcome), Meaning: outcomeMeaning(v.Outcome), Success: v.Success,
		Findings: composeFindings(v.Findings), Services: []LaterService{},
	}
	for i := range v.Services {
		s := &v.Services[i]
		later.Services = append(later.Services, LaterService{short(s.Host), s.Port, string(s.Outcome)})
	}
	return later
}

func (c *composer) service(v *dane.ServiceVerdict) Service {
	rollover := v.RolloverStatus()
	s := Service{
		Host: short(v.Host), Port: v.Port, Protocol: v.Service.Protocol, Outcome: string(v.Outcome), Base: short(v.Base),
		Records: []Record{}, Endpoints: []Endpoint{}, Until: optionalTime(v.Until),
		RolloverReady: optionalBool(rollover.RolloverReady), SurvivesRenewal: optionalBool(rollover.SurvivesRenewal),
	}
	if v.Policy != c.report.Module.Policy {
		s.Policy = string(v.Policy)
	}
	s.Names, _ = shortList(v.Names, maxNames)
	preference, weight := v.Service.Preference, v.Service.Weight
	if mx := c.report.Facts.MX; mx != nil && mx.Found() {
		s.Preference = &preference
	}
	if c.report.Facts.SRV != nil {
		s.Preference, s.Weight = &preference, &weight
	}
	for _, r := range v.Records[:min(len(v.Records), maxRecords)] {
		s.Records = append(s.Records, composeRecord(r))
	}
	for i := range v.Endpoints {
		s.Endpoints = append(s.Endpoints, composeEndpoint(&v.Endpoints[i]))
	}
	for _, n := range v.Nameservers[:min(len(v.Nameservers), maxRecords)] {
		s.Nameservers = append(s.Nameservers, composeNameserver(n))
	}
	for i, lookup := range c.report.Facts.Lookups() {
		for j := range v.Service.TLSA {
			if lookup.Answer == &v.Service.TLSA[j].Answer {
				s.Lookups = append(s.Lookups, i)
			}
		}
	}
	s.Publish = composePublish(v)
	return s
}

func composeRecord(v dane.RecordVerdict) Record {
	r := v.Record
	record := Record{
		Usage: uint8(r.Usage), Selector: uint8(r.Selector), MatchingType: uint8(r.MatchingType), Data: composeData(r.Data),
		Standing: v.Usability.String(), Why: Printable(v.Why), Matches: v.Matches,
	}
	if len(r.Data) > maxDigest {
		record.Size = len(r.Data)
	}
	return record
}

// maxDigest is the size of a SHA-512 digest, in bytes.
const maxDigest = 64

func composeData(data []byte) Data {
	if len(data) > maxDigest {
		return Data(fmt.Sprintf("sha256:%x", sha256.Sum256(data)))
	}
	return Data(fmt.Sprintf("%x", data))
}

func composeEndpoint(v *dane.EndpointVerdict) Endpoint {
	f := v.Facts
	e := Endpoint{
		Address: v.Address.String(), KeyType: string(f.KeyType), Outcome: string(v.Outcome), Skipped: v.Skipped, Reason: string(v.Reason), Error: errorText(f.Err),
		NameMatch: optionalBool(v.NameMatch), PKIX: optionalBool(v.PKIX), PKIXWhy: errorText(v.PKIXErr),
	}
	if f.Reused {
		e.AsOf = optionalTime(f.Time())
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
		e.TLS = &TLS{tls.VersionName(f.TLSVersion), tls.CipherSuiteName(f.Cipher), dane.GroupName(f.Group), short(f.SNI)}
	}
	e.Certificates, e.MoreCertificates = composeCertificates(f)
	for _, m := range v.Matches[:min(len(v.Matches), maxRecords)] {
		e.Matches = append(e.Matches, composeMatch(m, f.Chain))
	}
	return e
}

func composeCertificates(f *dane.Endpoint) (some []Certificate, more int) {
	if f.Chain == nil {
		for _, der := range f.Raw[:min(len(f.Raw), maxCertificates)] {
			some = append(some, Certificate{Size: len(der), SHA256: sha256Hex(der)})
		}
		return some, len(f.Raw) - len(some)
	}
	all := f.Chain.Certificates
	for _, certificate := range all[:min(len(all), maxCertificates)] {
		some = append(some, composeCertificate(certificate))
	}
	return some, max(len(all), len(f.Raw)) - len(some)
}

func composeCertificate(x *x509.Certificate) Certificate {
	c := Certificate{
		Parsed: true, Size: len(x.Raw), SHA256: sha256Hex(x.Raw), SPKI: sha256Hex(x.RawSubjectPublicKeyInfo),
		Subject: shortName(x.Subject), Issuer: shortName(x.Issuer), Serial: short(fmt.Sprintf("%x", x.SerialNumber)),
		NotBefore: optionalTime(x.NotBefore), NotAfter: optionalTime(x.NotAfter),
	}
	names := slices.Clone(x.DNSNames)
	for _, ip := range x.IPAddresses {
		names = append(names, ip.String())
	}
	c.Names, c.MoreNames = shortList(names, maxNames)
	return c
}

// shortName returns the name of a certificate, as by short.
func shortName(name pkix.Name) string { return short(tlsa.NameText(name, maxName+utf8.UTFMax)) }

func sha256Hex(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

func composeMatch(m tlsa.Match, chain *tlsa.Chain) Match {
	composed := Match{Authenticates: m.Authenticates(), Matches: m.Matches, Why: Printable(m.Why)}
	if m.Depth >= 0 && m.Matches {
		depth := m.Depth
		composed.Depth = &depth
	}
	if certificate := comparedCertificate(m, chain); certificate != nil {
		if served, err := tlsa.NewRecord(certificate, m.Record.Usage, m.Record.Selector, m.Record.MatchingType); err == nil {
			composed.Served = composeData(served.Data)
		}
	}
	return composed
}

// comparedCertificate returns the certificate that a record was compared with: the
// leaf for an end-entity usage, otherwise the issuer that matches. It returns nil if
// none matches.
func comparedCertificate(m tlsa.Match, chain *tlsa.Chain) *x509.Certificate {
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

func composeNameserver(v dane.NameserverVerdict) Nameserver {
	n := Nameserver{
		Name: short(v.Name), Address: v.Address.String(), Up: optionalBool(v.Up), Consistent: optionalBool(v.Consistent),
		Expiry: optionalTime(v.Expiry), Why: Printable(v.Why),
	}
	if v.SerialKnown {
		serial := v.Serial
		n.Serial = &serial
	}
	return n
}

// composePublish returns the records of the served leaf certificates. They are 3 1
// 1, as RFC 7672 §3.1.1 recommends for mail: a renewal with the same key keeps the
// record. There are none if the lookup of the records failed: the published records
// are unknown, and more records would not help. There are none for a host whose name
// is an address, because an address has no records. There are none for a host that
// clients reach without SRV records, because DANE does not apply (RFC 7673 §3.1).
func composePublish(v *dane.ServiceVerdict) []Publish {
	if _, err := netip.ParseAddr(v.Host); err == nil || v.Service.Fallback {
		return nil
	}
	if v.Base == "" && slices.ContainsFunc(v.Service.TLSA, func(l dane.TLSALookup) bool { return l.Answer.Status.Failed() }) {
		return nil
	}
	owner, matchingType := publishOwner(v), publishMatchingType(v.Records)
	var all []Publish
	for _, e := range v.Endpoints {
		if e.Facts.Chain == nil || len(e.Facts.Chain.Certificates) == 0 || e.Facts.ALPNRefused || e.Facts.SNI != publishBase(v) {
			continue // with another SNI, or without ALPN, a server may send the certificate of another service
		}
		record, err := tlsa.NewRecord(e.Facts.Chain.Certificates[0], tlsa.DANEEE, tlsa.SPKI, matchingType)
		if err != nil {
			continue
		}
		if !authenticates(record, v, e.Facts.Chain) {
			continue
		}
		text := record.String()
		if slices.ContainsFunc(all, func(p Publish) bool { return p.Record == text }) {
			continue
		}
		published := slices.ContainsFunc(v.Records, func(r dane.RecordVerdict) bool { return r.Record.String() == text })
		all = append(all, Publish{owner, text, owner + " IN TLSA " + text, published})
	}
	return all
}

// authenticates reports whether a record authenticates a server together with the
// published records. One with a stronger digest may supersede it (RFC 7671 §9).
func authenticates(record tlsa.Record, v *dane.ServiceVerdict, chain *tlsa.Chain) bool {
	set := []tlsa.Record{record}
	for _, published := range v.Records {
		if r := published.Record; r.Usage == record.Usage && r.Selector == record.Selector {
			set = append(set, published.Record)
		}
	}
	return tlsa.Verifier{Usages: tlsa.Client(), Names: v.Names}.Match(set, chain)[0].Authenticates()
}

// publishMatchingType returns SHA-256, or SHA-512 if there is a usable 3 1 2 record.
// Clients ignore the weaker of two digests (RFC 7671 §9).
func publishMatchingType(published []dane.RecordVerdict) tlsa.MatchingType {
	strong := func(r dane.RecordVerdict) bool {
		return r.Usability == tlsa.Usable && r.Record.Usage == tlsa.DANEEE && r.Record.Selector == tlsa.SPKI && r.Record.MatchingType == tlsa.SHA512
	}
	if slices.ContainsFunc(published, strong) {
		return tlsa.SHA512
	}
	return tlsa.SHA256
}

// publishBase returns the TLSA base domain of records to publish, which clients send as
// SNI once there are records (RFC 7672 §8.1).
func publishBase(v *dane.ServiceVerdict) string {
	if v.Base == "" && len(v.Service.TLSA) > 0 {
		return v.Service.TLSA[0].Base
	}
	return cmp.Or(v.Base, v.Host)
}

// publishOwner returns the owner name of records to publish. It is that of the
// records that apply, otherwise that of the first candidate for the TLSA base
// domain. If it is an alias, the records belong at its canonical name, unless that
// is a special-use name.
func publishOwner(v *dane.ServiceVerdict) string {
	for _, lookup := range v.Service.TLSA {
		if v.Base != "" && lookup.Base != v.Base {
			continue
		}
		canonical := lookup.Answer.Canonical
		if len(lookup.Answer.Aliases) > 0 && canonical != "" && !dane.IsSpecialUse(dane.TextName(canonical), v.Host) {
			return short(canonical)
		}
		return short(lookup.Answer.Name)
	}
	return fmt.Sprintf("_%d._tcp.%s.", v.Port, short(v.Host))
}

func (c *composer) lookup(l dane.Lookup) Lookup {
	a := l.Answer
	signed := a.Validity()
	composed := Lookup{
		Kind: string(l.Kind), Name: short(a.Name), Host: short(l.Host), Status: a.Status.String(), Why: Printable(a.Why),
		Error: errorText(a.Err), Inconsistent: Printable(a.Inconsistent), Rcode: a.Rcode, Records: []string{}, Chain: []int{},
		Inception: optionalTime(signed.Inception), Expiry: optionalTime(signed.Expiry),
		TTL: a.TTL.Seconds(), Server: Printable(a.Server), RTT: a.RTT.Seconds(),
		Queries: a.Work.Queries, Signatures: a.Work.Signatures, Hashes: a.Work.Hashes,
	}
	if a.Canonical != a.Name {
		composed.Canonical = short(a.Canonical)
	}
	if composed.Error == composed.Why {
		composed.Error = ""
	}
	for i, record := range a.Records {
		if i == maxRecords {
			composed.MoreRecords = len(a.Records) - i
			break
		}
		composed.Records = append(composed.Records, short(strings.Join(strings.Fields(record.String()), " ")))
	}
	for _, alias := range a.Aliases {
		composed.Aliases = append(composed.Aliases, Alias{short(alias.From), short(alias.To), alias.Status.String()})
	}
	for _, ede := range a.EDE {
		composed.EDE = append(composed.EDE, short(ede))
	}
	for _, link := range a.Chain {
		composed.Chain = append(composed.Chain, c.zone(link))
	}
	return composed
}

// zone returns the index of a link of a chain in Document.Zones, and adds it if it is
// new. Links that differ only in the key that signs the answer count as one.
func (c *composer) zone(l dnssec.Link) int {
	zone := Zone{Zone: short(l.Zone), Status: l.Status.String(), Why: Printable(l.Why)}
	same := func(z Zone) bool { return z.Zone == zone.Zone && z.Status == zone.Status && z.Why == zone.Why }
	if i := slices.IndexFunc(c.d.Zones, same); i >= 0 {
		return i
	}
	for _, ds := range l.DS[:min(len(l.DS), maxRecords)] {
		zone.DS = append(zone.DS, DS{ds.Tag, ds.Algorithm, ds.DigestType, ds.Used})
	}
	for _, key := range l.Keys[:min(len(l.Keys), maxRecords)] {
		zone.Keys = append(zone.Keys, Key{key.Tag, key.Algorithm, key.SEP, key.Signing})
	}
	c.d.Zones = append(c.d.Zones, zone)
	return len(c.d.Zones) - 1
}

// mtaSTS returns nil if the module does not have mta_sts.
func (c *composer) mtaSTS() *MTASTS {
	facts, verdict := c.report.Facts.MTASTS, c.report.Verdict.MTASTS
	if facts == nil || verdict == nil {
		return nil
	}
	m := &MTASTS{
		Standing: map[dane.PolicyState]string{
			dane.PolicyUnknown: "unknown", dane.PolicyNone: "none",
			dane.PolicyTesting: "testing", dane.PolicyEnforced: "enforced",
		}[verdict.State],
		Senders: composeSenders(verdict.Senders), Services: []ServiceSenders{}, Lookups: []Lookup{},
		Record: recordError(facts.RecordErr), Report: recordError(facts.TLSRPTErr),
		Host: short(facts.Host.Name), Why: errorText(facts.PolicyErr),
	}
	if facts.RecordErr == nil {
		m.RecordID = short(facts.Record.ID)
	}
	if facts.TLSRPTErr == nil {
		m.TLSRPT, _ = shortList(facts.TLSRPT.RUA, maxPatterns)
	}
	for _, s := range verdict.Services {
		m.Services = append(m.Services, composeServiceSenders(s))
	}
	if p := facts.Policy; p != nil {
		m.Policy = &Policy{Mode: string(p.Mode), MaxAge: p.MaxAge.Seconds()}
		m.Policy.MX, m.Policy.MoreMX = shortList(p.MX, maxPatterns)
	}
	for _, f := range facts.Fetches {
		fetch := Fetch{Address: f.Address.String(), Error: errorText(f.Err)}
		if f.Certificate != nil {
			certificate := composeCertificate(f.Certificate)
			fetch.Certificate = &certificate
		}
		m.Fetches = append(m.Fetches, fetch)
	}
	for i, lookup := range facts.Lookups() {
		m.Lookups = append(m.Lookups, c.lookup(lookup))
		if lookup.Answer == facts.TXT {
			m.RecordLookup = &i
		}
		if lookup.Answer == facts.TLSRPTTXT {
			m.ReportLookup = &i
		}
	}
	return m
}

func composeServiceSenders(s dane.ServiceSenders) ServiceSenders {
	composed := ServiceSenders{
		Host: short(s.Host), Port: s.Port, Covered: optionalBool(s.Covered),
		Senders: composeSenders(s.Senders), Endpoints: []EndpointSenders{},
	}
	for _, e := range s.Endpoints {
		composed.Endpoints = append(composed.Endpoints, EndpointSenders{
			Address: e.Address.String(), KeyType: string(e.KeyType), Skipped: e.Skipped,
			Passes: optionalBool(e.Passes), Why: Printable(e.Why), Senders: composeSenders(e.Senders),
		})
	}
	return composed
}

func composeSenders(s dane.Senders) Senders {
	return Senders{string(s.DANE), string(s.MTASTS), string(s.Both)}
}

// recordError returns the error of an MTA-STS or TLSRPT record. It returns "" if
// there is no record.
func recordError(err error) string {
	if errors.Is(err, mtasts.ErrNoRecord) {
		return ""
	}
	return errorText(err)
}

// short returns a name or a line, printable and cut at maxName bytes.
func short(text string) string {
	if len(text) > maxName {
		return Printable(text[:maxName]) + "…"
	}
	return Printable(text)
}

// shortList returns the first entries of a list, each as by short, and the number of
// omitted ones.
func shortList(list []string, limit int) (some []string, more int) {
	for i, text := range list {
		if i == limit {
			return some, len(list) - limit
		}
		some = append(some, short(text))
	}
	return some, 0
}

// optionalBool returns nil if m was not measured.
func optionalBool(m dane.Measure) *bool {
	if m == dane.NotMeasured {
		return nil
	}
	yes := m == dane.Yes
	return &yes
}

// optionalTime returns nil if t is zero.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// errorText returns "" if err is nil.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return Printable(err.Error())
}
