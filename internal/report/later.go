package report

import (
	"slices"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// later shows the verdict for another moment beside the one above: what it
// comes to, and where the two differ.
func (p *page) later(r *probe.Report) {
	if r.Later == nil {
		return
	}
	later := *r.Later
	p.heading("Judged for " + moment(later.At) + ": " + string(later.Outcome) + ": " + sentence(later.Outcome))
	p.line(2, "probe_success would be %d. Only the dates of certificates are judged for that moment: what was "+
		"served, DNS and its DNSSEC statuses are as of now.", success(later))
	for i, service := range later.Services {
		if i < len(r.Verdict.Services) && r.Verdict.Services[i].Outcome != service.Outcome {
			p.line(2, "%s port %d: %s, now %s", service.Host, service.Port, service.Outcome, r.Verdict.Services[i].Outcome)
		}
	}
	p.differing("new", later.Findings, r.Verdict.Findings)
	p.differing("gone", r.Verdict.Findings, later.Findings)
}

// differing shows the findings of one verdict that the other has not.
func (p *page) differing(word string, findings, others []dane.Finding) {
	for _, finding := range findings {
		same := func(other dane.Finding) bool {
			return other.Reason == finding.Reason && other.Host == finding.Host && other.Port == finding.Port &&
				other.Address == finding.Address && other.Lookup == finding.Lookup
		}
		if slices.ContainsFunc(others, same) {
			continue
		}
		p.line(2, "%s: %s (%s)%s", word, finding.Reason, effect(finding.Reason.Info().Effect), where(finding))
		if finding.Detail != "" {
			p.line(4, "%s", finding.Detail)
		}
	}
}
