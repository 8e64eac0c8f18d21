// Package report writes a Report for people, and as JSON for programs.
//
// Text tells it from the end: first what came out, in one line, and what to do
// about it; then how it was found out, look-up by look-up and endpoint by
// endpoint, with all that somebody who doubts it would ask for.
package report

import (
	"io"
	"strconv"
	"strings"
	"time"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// Text writes the whole story of a probe as plain text, 100 columns wide where
// words allow it. It returns the error of writing.
func Text(w io.Writer, r *probe.Report) error {
	p := newPage(w)
	p.verdict(r)
	p.findings(r.Verdict.Findings)
	p.publish(r)
	p.later(r)
	p.advice(r.Verdict.Advice)
	p.services(r)
	p.mtaSTS(r)
	p.lookups(r)
	p.phases(r)
	return p.close()
}

func (p *page) verdict(r *probe.Report) {
	p.line(0, "%s: %s: %s", r.Target, r.Verdict.Outcome, sentence(r.Verdict.Outcome))
	p.line(0, "probe_success %d: module %s, policy %s, require %s", success(r.Verdict), r.Module.Name, r.Module.Policy, r.Module.Require)
	p.line(0, "probed %s, took %s of %s", moment(r.Start), round(r.Duration), round(r.Deadline))
	p.route(r.Module)
	if !r.Facts.Complete {
		p.line(0, "not complete: the deadline cut something short")
	}
}

// route says how the connections left, where the module does.
func (p *page) route(m probe.Module) {
	for _, source := range m.SourceAddresses {
		p.line(0, "connections left by %s", source)
	}
	if proxy := m.Proxy.String(); proxy != "" {
		p.line(0, "connections went through %s", proxy)
	}
}

// success is the value of probe_success.
func success(v dane.Verdict) int {
	if v.Success {
		return 1
	}
	return 0
}

// sentence says what an outcome means.
func sentence(outcome dane.Outcome) string {
	switch outcome {
	case dane.Authenticated:
		return "a DANE client goes on, and knows whom it talks to"
	case dane.Encrypted:
		return "a DANE client insists on TLS, but can use none of the TLSA records to know whom it talks to"
	case dane.Opportunistic:
		return "DANE does not apply; a client does whatever it does without"
	case dane.None:
		return "there is nothing to connect to"
	case dane.Unreachable:
		return "no client gets through, with DANE or without"
	case dane.Refused:
		return "a DANE client does not go on"
	default:
		return "this could not be judged from here"
	}
}

func (p *page) findings(findings []dane.Finding) {
	if len(findings) == 0 {
		return
	}
	p.heading("Findings")
	for _, finding := range findings {
		info := finding.Reason.Info()
		p.line(2, "%s (%s)%s", finding.Reason, effect(info.Effect), where(finding))
		p.line(4, "%s", info.Meaning)
		if finding.Detail != "" {
			p.line(4, "Seen: %s", finding.Detail)
		}
		p.line(4, "Remedy: %s", info.Remedy)
	}
}

func (p *page) advice(advice []dane.Advice) {
	if len(advice) == 0 {
		return
	}
	p.heading("Advice, whatever the outcome")
	for _, a := range advice {
		info := a.Topic.Info()
		p.line(2, "%s%s", a.Topic, where(dane.Finding{Host: a.Host, Port: a.Port}))
		p.line(4, "%s", info.Text)
		p.line(4, "Seen: %s", a.Detail)
		p.line(4, "Remedy: %s", info.Remedy)
	}
}

// effect says what a finding does, in words.
func effect(e dane.Effect) string {
	switch e {
	case dane.EffectError:
		return "refuses"
	case dane.EffectDegraded:
		return "lowers what DANE gives"
	case dane.EffectWarning:
		return "warns"
	default:
		return "on our side"
	}
}

// where says what a finding is about, as ", host port 25, 192.0.2.1".
func where(f dane.Finding) string {
	var parts []string
	if f.Host != "" {
		host := f.Host
		if f.Port != 0 {
			host += " port " + strconv.Itoa(int(f.Port))
		}
		parts = append(parts, host)
	}
	if f.Address.IsValid() {
		parts = append(parts, f.Address.String())
	}
	if f.Lookup != "" {
		parts = append(parts, "look-up "+strings.ToUpper(string(f.Lookup)))
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

func (p *page) phases(r *probe.Report) {
	if len(r.Facts.Phases) == 0 {
		return
	}
	p.heading("Phases, from the start of the probe")
	for _, phase := range r.Facts.Phases {
		p.line(2, "%-9s %8s to %s", phase.Name, round(phase.Start.Sub(r.Start)), round(phase.End.Sub(r.Start)))
	}
}

// moment writes a time in the time zone that everybody knows.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// round leaves of a duration what interests people.
func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
