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

	"dane_exporter/internal/printable"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
	"dane_exporter/probe/tlsa"
)

// NewDocument returns the Document of a probe.
func NewDocument(r *probe.Report) *Document {
	v := &r.Verdict
	c := &composer{report: r, zones: make(map[zoneKey]int), served: make(map[servedKey]Data), zoneBudget: budget{zoneBytes}, d: &Document{
		Schema: Schema,
		Target: Printable(r.Target.String()), Asked: Printable(r.Target.Asked),
		Module: composeModule(r.Module),
		Start:  r.Start.UTC(), Duration: r.Duration.Seconds(), Timeout: r.Deadline.Seconds(),
		Complete: r.Facts.Complete, Truncated: r.Facts.Truncated,
		At: v.At.UTC(), Outcome: string(v.Outcome), Meaning: outcomeMeaning(v.Outcome), Zone: short(v.FaultZone), Success: v.Success,
		Severity: v.Severity(r.Module.Require).String(),
		Advice:   []Advice{}, Later: composeLater(r.Later),
		Services: []Service{}, Lookups: []Lookup{}, Zones: []Zone{}, Phases: []Phase{},
	}}
	if r.Target.Address.IsValid() {
		c.d.Hostname = Printable(r.Target.Name)
	}
	c.d.Findings, c.d.MoreFindings = composeFindings(v.Findings)
	advice := budget{findingBytes}
	for _, a := range v.Advice {
		info := a.Topic.Info()
		host, detail := short(a.Host), advice.text(a.Detail)
		if !advice.take(host, info.Text, detail, info.Remedy) {
			break
		}
		c.d.Advice = append(c.d.Advice, Advice{
			Topic: string(a.Topic), Host: host, Port: a.Port, Meaning: info.Text, Detail: detail, Remedy: info.Remedy,
		})
	}
	lookups := append(r.Facts.Lookups(), r.Facts.RenewalLookups()...)
	c.lookups = make(map[*dnssec.Answer]int, len(lookups))
	c.d.Lookups = slices.Grow(c.d.Lookups, len(lookups))
	for i, lookup := range lookups {
		c.lookups[lookup.Answer] = i
		c.d.Lookups = append(c.d.Lookups, c.lookup(lookup, share(lookupBytes, len(lookups), lookupMinimum)))
	}
	c.d.Services = slices.Grow(c.d.Services, len(v.Services))
	endpoints := 0
	for i := range v.Services {
		endpoints += len(v.Services[i].Endpoints)
	}
	for i := range v.Services {
		c.d.Services = append(c.d.Services, c.service(&v.Services[i], share(serviceBytes, len(v.Services), serviceMinimum), endpoints))
	}
	c.d.MTASTS = c.mtaSTS()
	c.delegations()
	for _, phase := range r.Facts.Phases {
		c.d.Phases = append(c.d.Phases, Phase{phase.Name, phase.Start.Sub(r.Start).Seconds(), phase.End.Sub(r.Start).Seconds()})
	}
	return c.d
}

// composer makes one Document.
type composer struct {
	report     *probe.Report
	d          *Document
	lookups    map[*dnssec.Answer]int // indexes into Document.Lookups
	zones      map[zoneKey]int        // indexes into Document.Zones
	zoneBudget budget
	served     map[servedKey]Data // data of records that were computed before
}

// zoneKey identifies a zone of a Document.
type zoneKey struct {
	zone   string
	status dnssec.Status
	why    string
}

// servedKey identifies the data of a record for a certificate.
type servedKey struct {
	certificate  *x509.Certificate
	selector     tlsa.Selector
	matchingType tlsa.MatchingType
}

func composeModule(m probe.Module) Module {
	composed := Module{
		Name: m.Name, Discover: string(m.Discover), Policy: string(m.Policy), Require: string(m.Require), Proxy: m.Proxy.String(),
	}
	for _, keyType := range m.KeyTypes {
		composed.KeyTypes = append(composed.KeyTypes, string(keyType))
	}
	if m.Resolver != nil {
		composed.Resolvers = m.Resolver.Servers
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
	case dane.Undecided:
		return "the lookups do not decide the outcome, and the module makes no connections"
	default:
		return "the exporter could not determine the outcome"
	}
}

// composeFindings returns the findings of a verdict, and the number of omitted ones.
// Errors are omitted last.
func composeFindings(findings []dane.Finding) (all []Finding, more int) {
	all = []Finding{}
	composed := make(map[int]Finding)
	b := budget{findingBytes}
	effects := []dane.Effect{dane.EffectError, dane.EffectInternal, dane.EffectDegraded, dane.EffectWarning}
	rank := func(i int) int { return slices.Index(effects, findings[i].Reason.Info().Effect) }
	kept := keep(len(findings), maxFindings, rank, func(i int) bool {
		f := findings[i]
		info := f.Reason.Info()
		finding := Finding{
			Reason: string(f.Reason), Effect: string(info.Effect), Host: short(f.Host), Port: f.Port, Lookup: string(f.Lookup), Zone: short(f.Zone),
			Meaning: info.Meaning, Detail: b.text(f.Detail), Remedy: info.Remedy,
		}
		if f.Address.IsValid() {
			finding.Address = f.Address.String()
		}
		composed[i] = finding
		return b.take(finding.Host, finding.Zone, finding.Meaning, finding.Detail, finding.Remedy)
	})
	for _, i := range kept {
		all = append(all, composed[i])
	}
	return all, len(findings) - len(all)
}

func composeLater(v *dane.Verdict) *Later {
	if v == nil {
		return nil
	}
	later := &Later{
		At: v.At.UTC(), Outcome: string(v.Outcome), Meaning: outcomeMeaning(v.Outcome), Success: v.Success,
		Services: []LaterService{},
	}
	later.Findings, later.MoreFindings = composeFindings(v.Findings)
	for i := range v.Services {
		s := &v.Services[i]
		later.Services = append(later.Services, LaterService{short(s.Host), s.Port, string(s.Outcome)})
	}
	return later
}

// service composes one service within a budget. endpoints is the number of endpoints of all services.
func (c *composer) service(v *dane.ServiceVerdict, b *budget, endpoints int) Service {
	rollover := v.RolloverStatus()
	s := Service{
		Host: short(v.Host), Port: v.Port, Protocol: v.Service.Protocol, Outcome: string(v.Outcome), Base: short(v.Base),
		Records: []Record{}, Endpoints: []Endpoint{}, Until: optionalTime(v.Until),
		RolloverReady: optionalBool(rollover.RolloverReady), SurvivesRenewal: optionalBool(rollover.SurvivesRenewal),
	}
	if v.Policy != c.report.Module.Policy {
		s.Policy = string(v.Policy)
	}
	composed, recordBudget := make(map[int]Record), b.half()
	b.left -= recordBudget.left
	records := keep(len(v.Records), maxRecords, func(i int) int { return recordRank(v.Records[i]) }, func(i int) bool {
		composed[i] = composeRecord(v.Records[i], &recordBudget)
		return recordBudget.take(string(composed[i].Data), composed[i].Why)
	})
	s.Names, _ = b.list(v.Names, maxNames)
	preference, weight := v.Service.Preference, v.Service.Weight
	if mx := c.report.Facts.MX; mx != nil && mx.Found() {
		s.Preference = &preference
	}
	if c.report.Facts.SRV != nil {
		s.Preference, s.Weight = &preference, &weight
	}
	b.left += recordBudget.left
	for _, i := range records {
		s.Records = append(s.Records, composed[i])
	}
	s.MoreRecords = len(v.Records) - len(s.Records)
	for i := range v.Endpoints {
		s.Endpoints = append(s.Endpoints, c.endpoint(&v.Endpoints[i], records, share(endpointBytes, endpoints, endpointMinimum)))
	}
	for _, n := range v.Nameservers[:min(len(v.Nameservers), maxRecords)] {
		nameserver := composeNameserver(n, b)
		if !b.take(nameserver.Name, nameserver.Why) {
			break
		}
		s.Nameservers = append(s.Nameservers, nameserver)
	}
	s.MoreNameservers = len(v.Nameservers) - len(s.Nameservers)
	for j := range v.Service.TLSA {
		if i, ok := c.lookups[&v.Service.TLSA[j].Answer]; ok {
			s.Lookups = append(s.Lookups, i)
		}
	}
	s.Publish = composePublish(v)
	s.Rollover = c.rollover(v, b)
	return s
}

// rollover composes the timeline of a service. Without earlier probes, it has what
// this probe saw.
func (c *composer) rollover(v *dane.ServiceVerdict, b *budget) (steps []RolloverStep) {
	timeline, known := c.report.Timelines.Of(v.Key())
	if !known {
		timeline = timeline.Observe(v, c.report.End())
	}
	if !timeline.InProgress() {
		return nil
	}
	for _, step := range timeline.Steps {
		record := composeRecord(dane.RecordVerdict{Record: step.Record}, b)
		if !b.take(string(record.Data)) {
			break
		}
		composed := RolloverStep{Record: record, Everywhere: optionalTime(step.Everywhere), Safe: optionalTime(step.Safe()),
			Served: optionalTime(step.Served), Replaced: optionalTime(step.Replaced), Removable: optionalTime(step.Removable())}
		if !step.Published.Equal(timeline.Began) {
			composed.Published = optionalTime(step.Published)
		}
		steps = append(steps, composed)
	}
	return steps
}

func composeRecord(v dane.RecordVerdict, b *budget) Record {
	r := v.Record
	record := Record{
		Usage: uint8(r.Usage), Selector: uint8(r.Selector), MatchingType: uint8(r.MatchingType), Data: composeData(r.Data),
		Standing: v.Usability.String(), Why: b.text(v.Why), Matches: v.Matches,
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

// endpoint composes one endpoint within a budget. records are the indexes of the
// records of its service that the Document has.
func (c *composer) endpoint(v *dane.EndpointVerdict, records []int, b *budget) Endpoint {
	f := v.Facts
	e := Endpoint{
		Address: v.Address.String(), KeyType: string(f.KeyType), Outcome: string(v.Outcome), Skipped: v.Skipped, Reason: string(v.Reason), Error: b.errorText(f.Err),
		NameMatch: optionalBool(v.NameMatch), PKIX: optionalBool(v.PKIX), PKIXWhy: b.errorText(v.PKIXErr),
	}
	b.take(e.Error, e.PKIXWhy)
	if f.Reused {
		e.AsOf = optionalTime(f.Time())
	}
	if f.Reached == dane.StageTLS {
		e.TLS = &TLS{tls.VersionName(f.TLSVersion), tls.CipherSuiteName(f.Cipher), dane.GroupName(f.Group), short(f.SNI)}
	}
	matches := b.half()
	e.Matches, e.MoreMatches = c.matches(v.Matches, records, f.Chain, &matches)
	dialogue := b.half()
	transcript := f.Dialogue.Transcript[:min(len(f.Dialogue.Transcript), maxLines)]
	e.Dialogue = slices.Grow(e.Dialogue, len(transcript))
	for _, line := range transcript {
		text := short(line.Text)
		if !dialogue.take(text) {
			break
		}
		from := "server"
		if line.Sent {
			from = "client"
		}
		e.Dialogue = append(e.Dialogue, Line{from, text})
	}
	e.MoreLines = len(f.Dialogue.Transcript) - len(e.Dialogue)
	b.left = matches.left + dialogue.left
	e.Certificates, e.MoreCertificates = composeCertificates(f, b)
	return e
}

// matches composes the comparisons of an endpoint with the records that the Document has,
// and returns how many are omitted. Those that decide the outcome are omitted last.
func (c *composer) matches(all []tlsa.Match, records []int, chain *tlsa.Chain, b *budget) (some []Match, more int) {
	if len(all) == 0 {
		return nil, 0
	}
	composed := make(map[int]Match)
	kept := keep(len(records), maxRecords, func(n int) int { return matchRank(all, records[n]) }, func(n int) bool {
		i := records[n]
		if i >= len(all) {
			return false
		}
		match := Match{Record: n, Authenticates: all[i].Authenticates(), Matches: all[i].Matches, Why: b.text(all[i].Why)}
		if !b.take(match.Why, strings.Repeat("f", 2*maxDigest)) {
			return false
		}
		if depth := all[i].Depth; depth >= 0 && all[i].Matches {
			match.Depth = &depth
		}
		match.Served = c.servedData(all[i], chain)
		composed[n] = match
		return true
	})
	for _, n := range kept {
		some = append(some, composed[n])
	}
	return some, len(all) - len(some)
}

func matchRank(all []tlsa.Match, i int) int {
	switch {
	case i >= len(all):
		return 3
	case all[i].Authenticates():
		return 0
	case all[i].Matches:
		return 1
	default:
		return 2
	}
}

// servedData returns the data that the record of a match would have for the certificate that
// it was compared with.
func (c *composer) servedData(m tlsa.Match, chain *tlsa.Chain) Data {
	certificate := comparedCertificate(m, chain)
	if certificate == nil {
		return ""
	}
	key := servedKey{certificate, m.Record.Selector, m.Record.MatchingType}
	data, ok := c.served[key]
	if !ok {
		if record, err := tlsa.NewRecord(certificate, m.Record.Usage, m.Record.Selector, m.Record.MatchingType); err == nil {
			data = composeData(record.Data)
		}
		c.served[key] = data
	}
	return data
}

func composeCertificates(f *dane.Endpoint, b *budget) (some []Certificate, more int) {
	if f.Chain == nil {
		for _, der := range f.Raw[:min(len(f.Raw), maxCertificates)] {
			some = append(some, Certificate{Size: len(der), SHA256: sha256Hex(der)})
		}
		return some, len(f.Raw) - len(some)
	}
	all := f.Chain.Certificates
	for depth, certificate := range all[:min(len(all), maxCertificates)] {
		composed := composeCertificate(certificate, b)
		if !b.take(composed.Subject, composed.Issuer, composed.Serial, strings.Repeat("f", 4*maxDigest)) && depth > 0 {
			break // the leaf is shown in any case
		}
		some = append(some, composed)
	}
	return some, max(len(all), len(f.Raw)) - len(some)
}

func composeCertificate(x *x509.Certificate, b *budget) Certificate {
	c := Certificate{
		Parsed: true, Size: len(x.Raw), SHA256: sha256Hex(x.Raw), SPKI: sha256Hex(x.RawSubjectPublicKeyInfo),
		Subject: shortName(x.Subject), Issuer: shortName(x.Issuer), Serial: short(fmt.Sprintf("%x", x.SerialNumber)),
		NotBefore: optionalTime(x.NotBefore), NotAfter: optionalTime(x.NotAfter),
	}
	names := slices.Clone(x.DNSNames)
	for _, ip := range x.IPAddresses {
		names = append(names, ip.String())
	}
	half := b.half() // the other half is for the other certificates
	spent := half.left
	c.Names, c.MoreNames = half.list(names, maxNames)
	b.left -= spent - half.left
	return c
}

// shortName returns the name of a certificate, as by short.
func shortName(name pkix.Name) string { return short(tlsa.NameText(name, maxName+utf8.UTFMax)) }

func sha256Hex(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

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

// delegations composes the delegations.
func (c *composer) delegations() {
	all := c.report.Facts.Delegations
	for _, d := range all[:min(len(all), maxDelegations)] {
		c.d.Delegations = append(c.d.Delegations, composeDelegation(d, share(delegationBytes, min(len(all), maxDelegations), 0)))
	}
	c.d.MoreDelegations = len(all) - len(c.d.Delegations)
}

func composeDelegation(d *dane.Delegation, b *budget) Delegation {
	composed := Delegation{
		Zone: short(d.Zone), Parent: short(d.Parent), Checked: d.At.UTC(),
		CDSConsistent: optionalBool(d.CDS.Agree), CDSWhy: b.text(d.CDS.Why),
		CDSPending: optionalBool(d.CDSPending), CDSRequested: b.text(d.Requested),
		NSConsistent: optionalBool(d.NS.Agree), NSWhy: b.text(d.NS.Why),
	}
	if d.DSKnown {
		composed.DS = []DelegationDS{}
	}
	for _, ds := range d.DS { // at most 16, as keys
		one := DelegationDS{Tag: ds.Tag, Algorithm: ds.AlgorithmName(), DigestType: ds.DigestName()}
		if ds.Compared {
			one.Matches = optionalBool(dane.MeasureOf(ds.Used))
		}
		composed.DS = append(composed.DS, one)
	}
	if d.KeysKnown {
		composed.Keys = []DelegationKey{}
	}
	_, idleKnown := d.IdleKeys()
	for _, key := range d.Keys {
		one := DelegationKey{Tag: key.Tag, Algorithm: key.AlgorithmName(), SEP: key.SEP}
		if idleKnown {
			one.Idle = optionalBool(dane.MeasureOf(key.Idle()))
		}
		composed.Keys = append(composed.Keys, one)
	}
	compose := func(servers []dane.NameserverVerdict) (list []Nameserver) {
		for _, v := range servers {
			nameserver := composeNameserver(v, b)
			if !b.take(nameserver.Name, nameserver.Why) {
				composed.MoreNameservers++
				continue
			}
			list = append(list, nameserver)
		}
		return list
	}
	composed.ParentNameservers, composed.Nameservers = compose(d.ParentServers), compose(d.Servers)
	return composed
}

func composeNameserver(v dane.NameserverVerdict, b *budget) Nameserver {
	n := Nameserver{
		Name: short(v.Name), Address: v.Address.String(), Up: optionalBool(v.Up), Consistent: optionalBool(v.Consistent),
		Expiry: optionalTime(v.Expiry), Why: b.text(v.Why),
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
		text := record.String()
		if slices.ContainsFunc(all, func(p Publish) bool { return p.Record == text }) || !authenticates(record, v, e.Facts.Chain) {
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

// lookup composes one lookup within a budget.
func (c *composer) lookup(l dane.Lookup, b *budget) Lookup {
	a := l.Answer
	signed := a.Validity()
	composed := Lookup{
		Kind: string(l.Kind), Name: short(a.Name), Host: short(l.Host), Status: a.Status.String(), Why: b.text(a.Why),
		Error: b.errorText(a.Err), Inconsistent: b.text(a.Inconsistent), Rcode: a.Rcode, Records: []string{}, Chain: []int{},
		Inception: optionalTime(signed.Inception), Expiry: optionalTime(signed.Expiry),
		TTL: a.TTL.Seconds(), Server: short(a.Server), RTT: a.RTT.Seconds(),
		Queries: a.Work.Queries, Signatures: a.Work.Signatures, Hashes: a.Work.Hashes,
	}
	if a.Canonical != a.Name {
		composed.Canonical = short(a.Canonical)
	}
	if composed.Error == composed.Why {
		composed.Error = ""
	}
	for _, record := range a.Records[:min(len(a.Records), maxRecords)] {
		text := short(strings.Join(strings.Fields(record.String()), " "))
		if !b.take(text) {
			break
		}
		composed.Records = append(composed.Records, text)
	}
	composed.MoreRecords = len(a.Records) - len(composed.Records)
	for _, alias := range a.Aliases[:min(len(a.Aliases), maxNotes)] {
		composed.Aliases = append(composed.Aliases, Alias{short(alias.From), short(alias.To), alias.Status.String()})
	}
	composed.EDE, _ = b.list(a.EDE, maxNotes)
	for _, link := range a.Chain {
		if i, ok := c.zone(link); ok {
			composed.Chain = append(composed.Chain, i)
		}
	}
	composed.MoreLinks = len(a.Chain) - len(composed.Chain)
	return composed
}

// zone returns the index of a link of a chain in Document.Zones, and adds it if it is
// new. Links that differ only in the key that signs the answer count as one. ok is
// false if the Document has too many zones.
func (c *composer) zone(l dnssec.Link) (index int, ok bool) {
	key := zoneKey{l.Zone, l.Status, l.Why}
	if i, ok := c.zones[key]; ok {
		return i, true
	}
	if len(c.d.Zones) == maxZones {
		return 0, false
	}
	zone := Zone{Zone: short(l.Zone), Status: l.Status.String(), Why: short(l.Why)}
	if c.zoneBudget.take(zone.Zone, zone.Why) {
		for _, ds := range l.DS[:min(len(l.DS), maxRecords)] {
			if !c.zoneBudget.take() {
				break
			}
			zone.DS = append(zone.DS, DS{ds.Tag, ds.Algorithm, ds.DigestType, ds.Used})
		}
		for _, key := range l.Keys[:min(len(l.Keys), maxRecords)] {
			if !c.zoneBudget.take() {
				break
			}
			zone.Keys = append(zone.Keys, Key{key.Tag, key.Algorithm, key.SEP, key.Signing})
		}
	}
	c.zones[key] = len(c.d.Zones)
	c.d.Zones = append(c.d.Zones, zone)
	return len(c.d.Zones) - 1, true
}

// mtaSTS returns nil if the module does not have mta_sts.
func (c *composer) mtaSTS() *MTASTS {
	facts, verdict := c.report.Facts.MTASTS, c.report.Verdict.MTASTS
	if facts == nil || verdict == nil {
		return nil
	}
	b := &budget{senderBytes}
	m := &MTASTS{
		Standing: map[dane.PolicyState]string{
			dane.PolicyUnknown: "unknown", dane.PolicyNone: "none",
			dane.PolicyTesting: "testing", dane.PolicyEnforced: "enforced",
		}[verdict.State],
		Senders: composeSenders(verdict.Senders), Services: []ServiceSenders{}, Lookups: []Lookup{},
		Record: recordError(facts.RecordErr),
		Host:   short(facts.Host.Name), Why: errorText(facts.PolicyErr),
	}
	if facts.RecordErr == nil {
		m.RecordID = short(facts.Record.ID)
	}
	for _, s := range verdict.Services {
		m.Services = append(m.Services, composeServiceSenders(s))
	}
	if p := facts.Policy; p != nil {
		m.Policy = &Policy{Mode: string(p.Mode), MaxAge: p.MaxAge.Seconds()}
		m.Policy.MX, m.Policy.MoreMX = b.list(p.MX, maxPatterns)
	}
	for _, f := range facts.Fetches {
		fetch := Fetch{Address: f.Address.String(), Error: b.errorText(f.Err)}
		if f.Certificate != nil {
			certificate := composeCertificate(f.Certificate, b)
			fetch.Certificate = &certificate
		}
		m.Fetches = append(m.Fetches, fetch)
	}
	records := c.report.Facts.TLSRPTs()
	lookups := c.report.Facts.MTASTSLookups()
	for i, lookup := range lookups {
		m.Lookups = append(m.Lookups, c.lookup(lookup, share(lookupBytes, len(lookups), lookupMinimum)))
		if lookup.Answer == facts.TXT {
			m.RecordLookup = &i
		}
		for _, record := range records {
			if lookup.Answer == record.TXT {
				composed := TLSRPT{Name: short(record.Domain), Error: recordError(record.Err), Lookup: i}
				if record.Err == nil {
					composed.RUA, _ = b.list(record.Record.RUA, maxPatterns)
				}
				m.TLSRPT = append(m.TLSRPT, composed)
			}
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
			Passes: optionalBool(e.Passes), Why: short(e.Why), Senders: composeSenders(e.Senders),
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
func short(text string) string { return printable.Text(text, maxName) }

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

// errorText is text for an error. It returns "" if err is nil.
func (b *budget) errorText(err error) string {
	if err == nil {
		return ""
	}
	return b.text(err.Error())
}

// errorText returns "" if err is nil.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return Printable(err.Error())
}
