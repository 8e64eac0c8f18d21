package collector

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

// Families returns the metrics of one probe: sorted, without duplicates, valid
// whatever the report has in it.
func Families(report *probe.Report) []*dto.MetricFamily {
	e := newExposition(report.Module)
	x := newExcerpt(report)
	e.target(report)
	e.findings(x)
	for _, found := range x.lookups {
		e.lookup(found)
	}
	for _, s := range x.services {
		e.service(s)
		e.records(s)
		e.practice(s)
		e.nameservers(s)
		for _, endpoint := range s.Endpoints {
			if !endpoint.Skipped && endpoint.Facts != nil {
				e.endpoint(s, endpoint)
			}
		}
	}
	e.preferences(report, x)
	e.mtaSTS(report, x)
	for what, over := range x.over {
		e.set(truncated, number(over), what)
	}
	return e.gather()
}

// target exports what is said of the probe as a whole.
func (e *exposition) target(report *probe.Report) {
	e.set(probeSuccess, number(report.Verdict.Success))
	e.set(probeDuration, report.Duration.Seconds())
	e.set(probeTimeout, report.Deadline.Seconds())
	e.set(probeComplete, number(report.Facts.Complete))
	for _, phase := range report.Facts.Phases {
		e.set(phaseDuration, phase.End.Sub(phase.Start).Seconds(), phase.Name)
	}
	for _, possible := range dane.Outcomes() {
		e.set(outcome, number(possible == report.Verdict.Outcome), string(possible))
	}
}

func (e *exposition) findings(x *excerpt) {
	distinct := make(map[[4]string]bool)
	for _, found := range x.findings {
		port, address := "", ""
		if found.Port != 0 {
			port = strconv.Itoa(int(found.Port))
		}
		if found.Address.IsValid() {
			address = found.Address.String()
		}
		e.set(finding, 1, string(found.Reason), found.Host, port, address)
		distinct[[4]string{string(found.Reason), label(found.Host), port, address}] = true
	}
	e.set(findings, float64(len(distinct)))
}

func (e *exposition) lookup(l *lookup) {
	if l.measured {
		e.set(dnssecValid, number(l.status == dnssec.Secure), string(l.kind), l.name, l.host)
	}
	for _, possible := range dnssec.Statuses() {
		e.set(dnssecStatus, number(possible == l.status), string(l.kind), l.name, l.host, possible.String())
	}
	e.validity(l, "zone", l.zone)
	e.validity(l, "parents", l.parents)
}

func (e *exposition) validity(l *lookup, scope string, of dnssec.Validity) {
	e.setTime(signatureExpiry, of.Expiry, string(l.kind), l.name, l.host, scope)
	e.setTime(signatureInception, of.Since, string(l.kind), l.name, l.host, scope)
}

// setTime measures a moment; the zero time is none.
func (e *exposition) setTime(name string, at time.Time, labels ...string) {
	if !at.IsZero() {
		e.set(name, float64(at.Unix()), labels...)
	}
}

// ours says whether a look-up failed for reasons that say nothing of the zone.
func ours(err error) bool {
	for _, own := range []error{dnssec.ErrUnreachable, dnssec.ErrStripped, dnssec.ErrLimit, dnssec.ErrDeadline} {
		if errors.Is(err, own) {
			return true
		}
	}
	_, fault := errors.AsType[*dane.PanicError](err)
	return fault
}

func (e *exposition) service(s *service) {
	counts, skipped := s.count()
	for _, possible := range dane.Outcomes() {
		e.set(hostOutcome, number(possible == s.Outcome), s.Host, s.port, string(possible))
		e.set(endpoints, float64(counts[possible]), s.Host, s.port, string(possible))
	}
	e.set(endpointsSkipped, float64(skipped), s.Host, s.port)
	e.setTime(authenticatedUntil, s.Until, s.Host, s.port)
}

// count counts the addresses of a service by their outcomes, the worst of each
// where it was met for several key types; and those not tried for want of IPv6.
func (s *service) count() (counts map[dane.Outcome]int, skipped int) {
	met, unmet := make(map[netip.Addr]dane.Outcome), make(map[netip.Addr]bool)
	for _, endpoint := range s.Endpoints {
		known, again := met[endpoint.Address]
		switch {
		case endpoint.Skipped && endpoint.Facts != nil && dane.CauseOf(endpoint.Facts.Err) == dane.CauseIPv6Unavailable:
			unmet[endpoint.Address] = true
		case endpoint.Skipped:
		case again:
			met[endpoint.Address] = worse(known, endpoint.Outcome)
		default:
			met[endpoint.Address] = endpoint.Outcome
		}
	}
	counts = make(map[dane.Outcome]int)
	for _, outcome := range met {
		counts[outcome]++
	}
	return counts, len(unmet)
}

// records exports the TLSA records of a service, where it is known whether
// there are any.
func (e *exposition) records(s *service) {
	if !s.recordsKnown() {
		return
	}
	standings := map[tlsa.Usability]string{tlsa.Usable: "yes", tlsa.Unusable: "no", tlsa.Superseded: "superseded"}
	counts := make(map[tlsa.Usability]int)
	for _, record := range s.Records {
		counts[record.Usability]++
	}
	for standing, word := range standings {
		e.set(tlsaRecords, float64(counts[standing]), s.Host, s.port, word)
	}
	if s.Answer != nil && len(s.Records) > 0 {
		e.set(tlsaTTL, s.Answer.TTL.Seconds(), s.Host, s.port)
	}
	if !s.matched() {
		return
	}
	for _, record := range s.Records {
		if record.Usability == tlsa.Unusable {
			continue // it is compared with nothing
		}
		r := record.Record
		e.set(tlsaRecordMatch, number(record.Matches), s.Host, s.port,
			strconv.Itoa(int(r.Usage)), strconv.Itoa(int(r.Selector)), strconv.Itoa(int(r.MatchingType)), data(r))
	}
}

// practice exports how the TLSA records are kept.
func (e *exposition) practice(s *service) {
	practice := s.RolloverStatus()
	e.measure(rolloverReady, practice.RolloverReady, s.Host, s.port)
	e.measure(survivesRenewal, practice.SurvivesRenewal, s.Host, s.port)
	if practice.Measured {
		e.set(staleRecords, float64(len(practice.Stale)), s.Host, s.port)
	}
}

// nameservers exports what the servers said of the zone that holds the records.
func (e *exposition) nameservers(s *service) {
	for _, v := range s.Nameservers {
		labels := func() []string { return []string{s.Host, s.port, v.Name, v.Address.String()} }
		e.measure(nameserverUp, v.Up, labels()...)
		e.measure(nameserverConsistent, v.Consistent, labels()...)
		if v.SerialKnown {
			e.set(nameserverSerial, float64(v.Serial), labels()...)
		}
		e.setTime(nameserverExpiry, v.Expiry, labels()...)
	}
}

// measure measures what may not have been measured.
func (e *exposition) measure(name string, m dane.Measure, labels ...string) {
	if m != dane.NotMeasured {
		e.set(name, number(m == dane.Yes), labels...)
	}
}

// recordsKnown says whether a look-up of TLSA records came to a result.
func (s *service) recordsKnown() bool {
	if s.Answer != nil {
		return true
	}
	if s.facts == nil {
		return false
	}
	for i := range s.facts.TLSA {
		answer := &s.facts.TLSA[i].Answer
		if answer.Err != nil || answer.Status.Failed() {
			return false
		}
	}
	return len(s.facts.TLSA) > 0
}

// matched says whether records were held against the certificates of some endpoint.
func (s *service) matched() bool {
	for _, endpoint := range s.Endpoints {
		if len(endpoint.Matches) > 0 {
			return true
		}
	}
	return false
}

// data writes a record's data: a digest in hex, and the digest of anything longer.
func data(r tlsa.Record) string {
	if r.MatchingType != tlsa.Full {
		return hex.EncodeToString(r.Data)
	}
	digest := sha256.Sum256(r.Data)
	return "sha256:" + hex.EncodeToString(digest[:])
}

// endpoint exports what was measured at one address.
func (e *exposition) endpoint(s *service, v dane.EndpointVerdict) {
	facts := v.Facts
	set := func(name string, value float64, more ...string) {
		e.setAt(v.Address, facts.KeyType, name, value, append([]string{s.Host, s.port}, more...)...)
	}
	measure := func(name string, m dane.Measure) {
		if m != dane.NotMeasured {
			set(name, number(m == dane.Yes))
		}
	}
	measure(endpointUp, up(v))
	measure(startTLSOffered, offered(s, facts))
	measure(certificateNameMatch, v.NameMatch)
	measure(pkixValid, v.PKIX)
	if len(v.Matches) > 0 {
		set(tlsaMatch, number(authenticates(v.Matches)))
	}
	if facts.Reached < dane.StageTLS {
		return
	}
	set(tlsInfo, 1, tls.VersionName(facts.TLSVersion), cipherName(facts.Cipher))
	if at := facts.TLS.End; !at.IsZero() {
		set(handshakeTime, float64(at.UnixMilli())/1000)
	}
	if facts.Chain == nil || len(facts.Chain.Certificates) == 0 {
		return
	}
	leaf := facts.Chain.Certificates[0]
	first := leaf.NotAfter
	for _, certificate := range facts.Chain.Certificates {
		if certificate.NotAfter.Before(first) {
			first = certificate.NotAfter
		}
	}
	set(certificateNotAfter, float64(leaf.NotAfter.Unix()))
	set(certificateChainUntil, float64(first.Unix()))
	fingerprint := sha256.Sum256(leaf.Raw)
	key := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	set(certificateInfo, 1, leaf.Subject.String(), leaf.Issuer.String(), fmt.Sprintf("%x", leaf.SerialNumber),
		hex.EncodeToString(fingerprint[:]), hex.EncodeToString(key[:]))
}

// cipherNames is what crypto/tls calls its cipher suites, asked once.
var cipherNames = namesOf(append(tls.CipherSuites(), tls.InsecureCipherSuites()...))

func namesOf(suites []*tls.CipherSuite) map[uint16]string {
	names := make(map[uint16]string)
	for _, suite := range suites {
		names[suite.ID] = suite.Name
	}
	return names
}

func cipherName(id uint16) string {
	if name, known := cipherNames[id]; known {
		return name
	}
	return tls.CipherSuiteName(id) // in hexadecimal
}

// up says whether the endpoint took the connection; not where it was us who
// did not try, or not long enough.
func up(v dane.EndpointVerdict) dane.Measure {
	switch {
	case v.Facts.Reached >= dane.StageConnect:
		return dane.Yes
	case v.Facts.Err == nil || v.Reason.Info().Effect == dane.EffectInternal:
		return dane.NotMeasured
	default:
		return dane.No
	}
}

// offered says whether the dialogue got to know of STARTTLS.
func offered(s *service, facts *dane.Endpoint) dane.Measure {
	if s.facts == nil || s.facts.Protocol == "tls" {
		return dane.NotMeasured
	}
	switch {
	case facts.Dialogue.Offered:
		return dane.Yes
	case errors.Is(facts.Err, starttls.ErrNotOffered):
		return dane.No
	default:
		return dane.NotMeasured
	}
}

func authenticates(matches []tlsa.Match) bool {
	for _, match := range matches {
		if match.Authenticates() {
			return true
		}
	}
	return false
}

// preferences exports those of the MX records; a host named by several has its
// lowest.
func (e *exposition) preferences(report *probe.Report, x *excerpt) {
	if report.Facts.MX == nil || !report.Facts.MX.Found() {
		return
	}
	for _, s := range x.services {
		e.set(mxPreference, float64(s.Service.Preference), s.Host)
	}
}
