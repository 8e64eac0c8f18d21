package collector

import (
	"slices"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/tlsa"
)

// setHosts exports the number of hosts of the target. It counts all hosts of the
// report, not only those that are exported.
func (s *metricSet) setHosts(report *probe.Report) {
	if !hostsKnown(&report.Facts) {
		return
	}
	names := make(map[string]bool)
	for i := range report.Facts.Hosts {
		names[report.Facts.Hosts[i].Name] = true
	}
	refused, withTLSA, recordsUnknown := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	allJudged := true
	for i := range report.Verdict.Services {
		v := &report.Verdict.Services[i]
		switch v.Outcome {
		case dane.Refused:
			refused[v.Host] = true
		case dane.Unknown, dane.Undecided:
			allJudged = false
		}
		switch {
		case hasUsableRecord(v):
			withTLSA[v.Host] = true
		case !provenWithoutRecords(v):
			recordsUnknown[v.Host] = true
		}
	}
	s.set(hostCount, float64(len(names)))
	if len(refused) > 0 || allJudged {
		s.set(hostsRefused, float64(len(refused)))
	}
	for host := range withTLSA {
		delete(recordsUnknown, host)
	}
	if len(recordsUnknown) == 0 {
		s.set(hostsWithTLSA, float64(len(withTLSA)))
	}
}

// hostsKnown reports whether the lookups that name the hosts of the target succeeded.
func hostsKnown(facts *dane.Facts) bool {
	return !facts.Denied && facts.Err == nil &&
		(facts.MX == nil || !facts.MX.Status.Failed()) &&
		!slices.ContainsFunc(facts.SRV, dane.SRVLookup.Failed)
}

// hasUsableRecord reports whether the service has a secure TLSA record that a client of
// its policy can use.
func hasUsableRecord(v *dane.ServiceVerdict) bool {
	return slices.ContainsFunc(v.Records, func(r dane.RecordVerdict) bool { return r.Usability == tlsa.Usable })
}

// provenWithoutRecords reports, for a service without usable TLSA records, whether this
// is proven: the lookups succeeded, or no lookup was necessary.
func provenWithoutRecords(v *dane.ServiceVerdict) bool {
	if len(v.Service.TLSA) > 0 {
		return recordsKnown(v)
	}
	return v.Outcome != dane.Refused && v.Outcome != dane.Unknown
}
