package collector

import (
	"errors"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
)

// setMTASTS exports the MTA-STS and TLSRPT records and the policy of the domain, and
// their effect on the hosts that are exported.
func (s *metricSet) setMTASTS(report *probe.Report, v *view) {
	facts, verdict := report.Facts.MTASTS, report.Verdict.MTASTS
	if facts == nil || verdict == nil {
		return
	}
	if isAnswered(facts.TXT) {
		present := !errors.Is(facts.RecordErr, mtasts.ErrNoRecord)
		s.set(mtaSTSRecordPresent, boolValue(present))
		if present {
			s.set(mtaSTSRecordValid, boolValue(facts.RecordErr == nil))
		}
	}
	for _, record := range report.Facts.TLSRPTs() {
		s.setMeasure(tlsrptRecordPresent, record.Present(), record.Domain)
		if record.Present() == dane.Yes {
			s.set(tlsrptRecordValid, boolValue(record.Err == nil), record.Domain)
		}
	}
	if isAnswered(facts.TXT) && facts.RecordErr == nil && verdict.State != dane.PolicyUnknown {
		s.set(mtaSTSPolicyFetched, boolValue(facts.Policy != nil))
	}
	if fetch := facts.Fetched(); fetch != nil && fetch.Certificate != nil {
		s.setTime(mtaSTSCertificateNotBefore, fetch.Certificate.NotBefore)
		s.setTime(mtaSTSCertificateNotAfter, fetch.Certificate.NotAfter)
	}
	if facts.Policy != nil {
		for _, mode := range mtasts.Modes() {
			s.set(mtaSTSMode, boolValue(mode == facts.Policy.Mode), string(mode))
		}
		s.set(mtaSTSMaxAge, facts.Policy.MaxAge.Seconds())
	}
	s.setSenders(verdict.Senders)
	for _, senders := range verdict.Services {
		if service := v.service(senders.Host, senders.Port); service != nil {
			s.setServiceMTASTS(service, senders)
		}
	}
}

// setSenders exports the outcome at the domain for each kind of sender.
func (s *metricSet) setSenders(senders dane.Senders) {
	s.setOutcome(mtaSTSSenderOutcome, senders.DANE, "dane")
	s.setOutcome(mtaSTSSenderOutcome, senders.MTASTS, "mta_sts")
	s.setOutcome(mtaSTSSenderOutcome, senders.Both, "both")
}

// setServiceMTASTS exports whether the policy lists a host, and whether its
// endpoints fulfil MTA-STS.
func (s *metricSet) setServiceMTASTS(service *service, senders dane.ServiceSenders) {
	s.setMeasure(mtaSTSHostCovered, senders.Covered, service.Host)
	for _, endpoint := range senders.Endpoints {
		if !endpoint.Skipped && endpoint.Passes != dane.NotMeasured && service.endpoint(endpoint.Address, endpoint.KeyType) != nil {
			s.setForEndpoint(mtaSTSHostPasses, endpoint.Address, endpoint.KeyType, boolValue(endpoint.Passes == dane.Yes), service.Host, service.port)
		}
	}
}

// isAnswered reports whether a lookup succeeded: it returned records, or proved that
// there are none.
func isAnswered(answer *dnssec.Answer) bool {
	return answer != nil && !answer.Status.Failed()
}
