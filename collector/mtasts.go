package collector

import (
	"errors"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
)

// mtaSTS exports what the domain publishes for MTA-STS and TLSRPT, and what
// that means for the hosts that are exported.
func (e *exposition) mtaSTS(report *probe.Report, x *excerpt) {
	facts, verdict := report.Facts.MTASTS, report.Verdict.MTASTS
	if facts == nil || verdict == nil {
		return
	}
	if answered(facts.TXT) {
		present := !errors.Is(facts.RecordErr, mtasts.ErrNoRecord)
		e.set(mtaSTSRecordPresent, number(present))
		if present {
			e.set(mtaSTSRecordValid, number(facts.RecordErr == nil))
		}
	}
	if answered(facts.TLSRPTTXT) {
		present := !errors.Is(facts.TLSRPTErr, mtasts.ErrNoRecord)
		e.set(tlsrptRecordPresent, number(present))
		if present {
			e.set(tlsrptRecordValid, number(facts.TLSRPTErr == nil))
		}
	}
	if answered(facts.TXT) && facts.RecordErr == nil && verdict.Standing != dane.PolicyUnknown {
		e.set(mtaSTSPolicyFetched, number(facts.Policy != nil))
	}
	e.setTime(mtaSTSCertificate, facts.CertificateExpiry())
	if facts.Policy != nil {
		for _, possible := range mtasts.Modes() {
			e.set(mtaSTSMode, number(possible == facts.Policy.Mode), string(possible))
		}
		e.set(mtaSTSMaxAge, facts.Policy.MaxAge.Seconds())
	}
	e.senders(verdict.Senders)
	for _, service := range verdict.Services {
		if s := x.service(service.Host, service.Port); s != nil {
			e.underMTASTS(s, service)
		}
	}
}

// senders exports what each kind of sender ends up with at the domain.
func (e *exposition) senders(s dane.Senders) {
	for _, possible := range dane.Outcomes() {
		e.set(mtaSTSSenderOutcome, number(possible == s.DANE), "dane", string(possible))
		e.set(mtaSTSSenderOutcome, number(possible == s.MTASTS), "mta_sts", string(possible))
		e.set(mtaSTSSenderOutcome, number(possible == s.Both), "both", string(possible))
	}
}

// underMTASTS exports what MTA-STS means for one service.
func (e *exposition) underMTASTS(s *service, senders dane.ServiceSenders) {
	if senders.Covered != dane.NotMeasured {
		e.set(mtaSTSHostCovered, number(senders.Covered == dane.Yes), s.Host)
	}
	for _, endpoint := range senders.Endpoints {
		if !endpoint.Skipped && endpoint.Passes != dane.NotMeasured && s.endpoint(endpoint.Address, endpoint.KeyType) != nil {
			e.setAt(endpoint.Address, endpoint.KeyType, mtaSTSHostPasses, number(endpoint.Passes == dane.Yes), s.Host, s.port)
		}
	}
}

// answered reports whether a look-up came to a result: the records, or that
// there are none.
func answered(answer *dnssec.Answer) bool {
	return answer != nil && !answer.Status.Failed()
}
