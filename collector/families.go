package collector

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	dto "github.com/prometheus/client_model/go"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

// Families returns the metrics of one probe, sorted by name and labels, without
// duplicates. They are valid for every report.
func Families(report *probe.Report) []*dto.MetricFamily {
	s := newMetricSet(report.Module, report.Start)
	v := newView(report)
	s.setTarget(report)
	s.setHosts(report)
	s.setFindings(v.findings)
	for _, l := range v.lookups {
		s.setLookup(l)
	}
	for _, z := range v.zones {
		s.setLifetime(signatureInception, signatureExpiry, z.Since, z.Expiry, z.Zone)
	}
	for _, service := range v.services {
		s.setService(service)
		s.setRecords(service)
		s.setRollover(service)
		s.setNameservers(service)
		for _, endpoint := range service.Endpoints {
			if !endpoint.Skipped && endpoint.Facts != nil {
				s.setEndpoint(service, endpoint)
			}
		}
	}
	for _, d := range v.delegations {
		s.setDelegation(d, v)
	}
	s.setSTARTTLS(report, v)
	s.setPreferences(report, v)
	s.setMTASTS(report, v)
	for what := range v.truncated {
		s.set(truncated, 1, what)
	}
	return s.families()
}

// setTarget exports the metrics of the probe as a whole.
func (s *metricSet) setTarget(report *probe.Report) {
	s.set(probeSuccess, boolValue(report.Verdict.Success))
	s.set(probeDuration, report.Duration.Seconds())
	s.set(probeComplete, boolValue(report.Facts.Complete))
	for _, phase := range report.Facts.Phases {
		s.set(phaseDuration, phase.End.Sub(phase.Start).Seconds(), phase.Name)
	}
	s.setOutcome(outcome, report.Verdict.Outcome)
	if zone := report.Verdict.FaultZone; zone != "" {
		s.set(outcomeZone, 1, zone)
	}
}

// setOutcome exports an outcome as one series for each state. While the outcome is
// unknown, the other states are absent because they were not measured. labels are the
// label values before the label outcome. dane.Undecided has no series.
func (s *metricSet) setOutcome(m *Metric, current dane.Outcome, labels ...string) {
	if current == dane.Undecided {
		return
	}
	for _, state := range dane.Outcomes() {
		if current != dane.Unknown || state == dane.Unknown {
			s.set(m, boolValue(state == current), append(slices.Clone(labels), string(state))...)
		}
	}
}

func (s *metricSet) setFindings(all []dane.Finding) {
	if s.summary {
		all = summaryFindings(all)
	}
	for _, f := range all {
		port, address := "", ""
		if f.Port != 0 {
			port = strconv.Itoa(int(f.Port))
		}
		if f.Address.IsValid() {
			address = f.Address.String()
		}
		s.set(finding, 1, string(f.Reason), string(f.Reason.Info().Effect), f.Host, port, address)
	}
}

// maxSummaryFindings is the maximum number of findings in a summary.
const maxSummaryFindings = 10

// summaryFindings returns the first findings of the effects error and degraded, errors
// first, without the address: the addresses of a host usually share a problem.
func summaryFindings(all []dane.Finding) []dane.Finding {
	var some []dane.Finding
	for _, effect := range []dane.Effect{dane.EffectError, dane.EffectDegraded} {
		for _, f := range all {
			if len(some) == maxSummaryFindings {
				return some
			}
			same := func(g dane.Finding) bool { return g.Reason == f.Reason && g.Host == f.Host && g.Port == f.Port }
			if f.Reason.Info().Effect == effect && !slices.ContainsFunc(some, same) {
				some = append(some, dane.Finding{Reason: f.Reason, Host: f.Host, Port: f.Port})
			}
		}
	}
	return some
}

func (s *metricSet) setLookup(l *lookup) {
	if l.measured {
		s.set(dnssecValid, boolValue(l.status == dnssec.Secure), string(l.kind), l.name, l.host)
	}
	s.set(dnssecInfo, 1, string(l.kind), l.name, l.host, l.status.String(), l.signer, l.algorithm)
}

func (s *metricSet) setService(service *service) {
	s.setOutcome(hostOutcome, service.Outcome, service.Host, service.port)
	counts, skipped := service.countAddresses()
	for outcome, count := range counts {
		s.set(endpoints, float64(count), service.Host, service.port, string(outcome))
	}
	if skipped > 0 {
		s.set(endpointsSkipped, float64(skipped), service.Host, service.port)
	}
	s.setLifetime(authenticatedFrom, authenticatedUntil, service.From, service.Until, service.Host, service.port)
}

// countAddresses returns the number of addresses for each outcome, and the number
// skipped because the exporter has no IPv6. An address with several key types counts
// once, with its worst outcome.
func (s *service) countAddresses() (counts map[dane.Outcome]int, skipped int) {
	outcomes, withoutIPv6 := make(map[netip.Addr]dane.Outcome), make(map[netip.Addr]bool)
	for _, endpoint := range s.Endpoints {
		known, again := outcomes[endpoint.Address]
		switch {
		case endpoint.Skipped && endpoint.Facts != nil && dane.CauseOf(endpoint.Facts.Err) == dane.CauseIPv6Unavailable:
			withoutIPv6[endpoint.Address] = true
		case endpoint.Skipped:
		case again:
			outcomes[endpoint.Address] = dane.Worse(known, endpoint.Outcome)
		default:
			outcomes[endpoint.Address] = endpoint.Outcome
		}
	}
	counts = make(map[dane.Outcome]int)
	for _, outcome := range outcomes {
		counts[outcome]++
	}
	return counts, len(withoutIPv6)
}

// setRecords exports the TLSA records of a service, if it is known whether there
// are any.
func (s *metricSet) setRecords(service *service) {
	if !recordsKnown(&service.ServiceVerdict) {
		return
	}
	counts := make(map[tlsa.Usability]int)
	for _, record := range service.Records {
		counts[record.Usability]++
	}
	for usability, value := range map[tlsa.Usability]string{tlsa.Usable: "yes", tlsa.Unusable: "no", tlsa.Superseded: "superseded"} {
		if counts[usability] > 0 || usability == tlsa.Usable {
			s.set(tlsaRecords, float64(counts[usability]), service.Host, service.port, value)
		}
	}
	if service.Answer != nil && len(service.Records) > 0 {
		s.set(tlsaTTL, service.Answer.TTL.Seconds(), service.Host, service.port)
	}
	if !service.recordsCompared() {
		return
	}
	for _, record := range service.Records {
		if record.Usability == tlsa.Unusable {
			continue // clients do not compare it with certificates
		}
		r := record.Record
		s.set(tlsaRecordMatch, boolValue(record.Matches), service.Host, service.port,
			strconv.Itoa(int(r.Usage)), strconv.Itoa(int(r.Selector)), strconv.Itoa(int(r.MatchingType)), associationData(r))
	}
}

// setRollover exports whether the TLSA records are prepared for the next certificate.
func (s *metricSet) setRollover(service *service) {
	status := service.RolloverStatus()
	s.setMeasure(rolloverReady, status.RolloverReady, service.Host, service.port)
	s.setMeasure(survivesRenewal, status.SurvivesRenewal, service.Host, service.port)
	if status.Measured {
		s.set(staleRecords, float64(len(status.Stale)), service.Host, service.port)
	}
}

// setNameservers exports the answers of the nameservers of the zone that holds the
// TLSA records.
func (s *metricSet) setNameservers(service *service) {
	for _, v := range service.Nameservers {
		s.setNameserver(v)
		s.setMeasure(nameserverConsistent, v.Consistent, v.Zone, v.Name, v.Address.String(), service.Host, service.port)
		if v.SerialKnown {
			s.set(nameserverSerial, float64(v.Serial), v.Zone, v.Name, v.Address.String())
		}
	}
}

func (s *metricSet) setNameserver(v dane.NameserverVerdict) {
	s.setMeasure(nameserverUp, v.Up, v.Zone, v.Name, v.Address.String())
	s.setTime(nameserverExpiry, v.Expiry, v.Zone, v.Name, v.Address.String())
}

// setDelegation exports the result of the last examination of a delegation. It may be hours
// old, so measurements of the probe itself take precedence.
func (s *metricSet) setDelegation(d *dane.Delegation, v *view) {
	s.setTime(delegationChecked, d.At, d.Zone)
	for _, server := range d.ParentServers {
		s.setNameserver(server)
		s.setMeasure(nameserverDSConsistent, server.Consistent, server.Zone, server.Name, server.Address.String(), d.Zone)
	}
	for _, server := range d.Servers {
		s.setMeasure(nameserverKeysValid, server.Consistent, server.Zone, server.Name, server.Address.String())
		if v.hasNameserver(server) {
			server.Up = dane.NotMeasured
		}
		s.setNameserver(server)
	}
	if d.DSKnown {
		s.set(delegationDS, float64(len(d.DS)), d.Zone)
	}
	for _, ds := range d.DS {
		s.set(delegationDSInfo, 1, d.Zone, strconv.Itoa(int(ds.Tag)), ds.AlgorithmName(), ds.DigestName(), ds.Matches())
	}
	if d.KeysKnown {
		s.set(delegationKeys, float64(len(d.Keys)), d.Zone)
	}
	if idle, known := d.IdleKeys(); known {
		s.set(delegationIdleKeys, float64(idle), d.Zone)
	}
	s.setMeasure(delegationCDSConsistent, d.CDS.Agree, d.Zone)
	s.setMeasure(delegationCDSPending, d.CDSPending, d.Zone)
	s.setMeasure(delegationNSConsistent, d.NS.Agree, d.Zone)
}

// recordsKnown reports whether the lookups of TLSA records succeeded.
func recordsKnown(v *dane.ServiceVerdict) bool {
	if v.Answer != nil {
		return true
	}
	for i := range v.Service.TLSA {
		answer := &v.Service.TLSA[i].Answer
		if answer.Err != nil || answer.Status.Failed() {
			return false
		}
	}
	return len(v.Service.TLSA) > 0
}

// recordsCompared reports whether the records were compared with the certificates
// of at least one endpoint.
func (s *service) recordsCompared() bool {
	return slices.ContainsFunc(s.Endpoints, func(e dane.EndpointVerdict) bool { return len(e.Matches) > 0 })
}

// associationData returns a digest in hexadecimal, and the digest of full data,
// which may be too long for a label.
func associationData(r tlsa.Record) string {
	if r.MatchingType != tlsa.Full {
		return hex.EncodeToString(r.Data)
	}
	digest := sha256.Sum256(r.Data)
	return "sha256:" + hex.EncodeToString(digest[:])
}

// setEndpoint exports what was measured at one endpoint.
func (s *metricSet) setEndpoint(service *service, v dane.EndpointVerdict) {
	facts := v.Facts
	set := func(m *endpointMetric, value float64, more ...string) {
		s.setForEndpoint(m, v.Address, facts.KeyType, value, append([]string{service.Host, service.port}, more...)...)
	}
	setMeasure := func(m *endpointMetric, measure dane.Measure) {
		if measure != dane.NotMeasured {
			set(m, boolValue(measure == dane.Yes))
		}
	}
	setMeasure(endpointUp, connected(v))
	setMeasure(certificateNameMatch, v.NameMatch)
	setMeasure(pkixValid, v.PKIX)
	if len(v.Matches) > 0 {
		set(tlsaMatch, boolValue(slices.ContainsFunc(v.Matches, tlsa.Match.Authenticates)))
	}
	if facts.Reached < dane.StageTLS {
		return
	}
	set(tlsInfo, 1, tls.VersionName(facts.TLSVersion), tls.CipherSuiteName(facts.Cipher), dane.GroupName(facts.Group))
	if at := facts.TLS.End; !at.IsZero() {
		set(handshakeTime, float64(at.UnixMilli())/1000)
	}
	if facts.Chain == nil || len(facts.Chain.Certificates) == 0 {
		return
	}
	leaf := facts.Chain.Certificates[0]
	earliest := leaf.NotAfter
	for _, certificate := range facts.Chain.Certificates {
		if certificate.NotAfter.Before(earliest) {
			earliest = certificate.NotAfter
		}
	}
	s.setEndpointLifetime(certificateNotBefore, certificateNotAfter, v.Address, facts.KeyType, leaf.NotBefore, leaf.NotAfter, service.Host, service.port)
	set(certificateChainNotAfter, float64(earliest.Unix()))
	fingerprint := sha256.Sum256(leaf.Raw)
	key := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	set(certificateInfo, 1, tlsa.NameText(leaf.Subject, maxLabel), tlsa.NameText(leaf.Issuer, maxLabel), fmt.Sprintf("%x", leaf.SerialNumber),
		hex.EncodeToString(fingerprint[:]), hex.EncodeToString(key[:]))
}

// connected reports whether the endpoint accepted the connection. It is not measured
// if we did not try, or did not wait long enough.
func connected(v dane.EndpointVerdict) dane.Measure {
	switch {
	case v.Facts.Reached >= dane.StageConnect:
		return dane.Yes
	case v.Facts.Err == nil || v.Reason.Info().Effect == dane.EffectInternal:
		return dane.NotMeasured
	default:
		return dane.No
	}
}

// setSTARTTLS exports whether the exported endpoints offer STARTTLS. It goes through
// all verdicts of the report: of two protocols that share a port, only one may use
// STARTTLS, and the view has one service for both.
func (s *metricSet) setSTARTTLS(report *probe.Report, v *view) {
	for _, verdict := range report.Verdict.Services {
		service := v.service(verdict.Host, verdict.Port)
		if service == nil || verdict.Service.Protocol == "tls" {
			continue
		}
		for _, endpoint := range verdict.Endpoints {
			if endpoint.Skipped || endpoint.Facts == nil || service.endpoint(endpoint.Address, endpoint.Facts.KeyType) == nil {
				continue
			}
			if offered := offersSTARTTLS(endpoint.Facts); offered != dane.NotMeasured {
				s.setForEndpoint(startTLSOffered, endpoint.Address, endpoint.Facts.KeyType, boolValue(offered == dane.Yes), service.Host, service.port)
			}
		}
	}
}

// offersSTARTTLS reports whether the server offers STARTTLS. It is not measured if
// the dialogue ended before the offer.
func offersSTARTTLS(endpoint *dane.Endpoint) dane.Measure {
	switch {
	case endpoint.Dialogue.Offered:
		return dane.Yes
	case errors.Is(endpoint.Err, starttls.ErrNotOffered):
		return dane.No
	default:
		return dane.NotMeasured
	}
}

// setPreferences exports the preferences of the MX records, the lowest of a host
// that several records name.
func (s *metricSet) setPreferences(report *probe.Report, v *view) {
	if report.Facts.MX == nil || !report.Facts.MX.Found() {
		return
	}
	for _, service := range v.services {
		s.set(mxPreference, float64(service.preference), service.Host)
	}
}
