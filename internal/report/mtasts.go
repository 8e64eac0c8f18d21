package report

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/mtasts"
)

// mtaSTS shows what the domain publishes for MTA-STS and TLSRPT, and what
// senders make of it that know DANE, MTA-STS, or both.
func (p *page) mtaSTS(r *probe.Report) {
	facts, verdict := r.Facts.MTASTS, r.Verdict.MTASTS
	if facts == nil || verdict == nil {
		return
	}
	p.heading("MTA-STS beside DANE")
	p.senders(r.Target.String(), verdict)
	p.policy(facts, verdict.Standing)
	p.tlsrpt(facts)
	for _, lookup := range facts.Lookups() {
		p.lookup(lookup)
	}
}

// senders is a table of what three senders end up with: at the domain, and at
// each service.
func (p *page) senders(target string, v *dane.MTASTSVerdict) {
	type row struct {
		at string
		dane.Senders
	}
	rows := []row{{target, v.Senders}}
	for _, s := range v.Services {
		rows = append(rows, row{fmt.Sprintf("%s port %d", s.Host, s.Port), s.Senders})
	}
	wide := len("a sender that knows")
	for _, row := range rows {
		wide = max(wide, len(row.at))
	}
	// Outcomes have 13 letters at most; where hosts have long names, the lines are long.
	line := func(at, dane, mtaSTS, both string) {
		p.unbroken(2, "%-*s  %-13s  %-13s  %s", wide, at, dane, mtaSTS, both)
	}
	line("a sender that knows", "DANE alone", "MTA-STS alone", "both")
	for _, row := range rows {
		line(row.at, string(row.DANE), string(row.MTASTS), string(row.Both))
	}
	for _, s := range v.Services {
		p.underMTASTS(s)
	}
}

// underMTASTS shows what MTA-STS has to say of one service.
func (p *page) underMTASTS(s dane.ServiceSenders) {
	if s.Covered != dane.NotMeasured {
		p.line(2, "%s is named by the policy: %s", s.Host, measure(s.Covered))
	}
	for _, e := range s.Endpoints {
		why := ""
		if e.Why != "" {
			why = ": " + e.Why
		}
		passes := "not measured"
		if e.Passes != dane.NotMeasured {
			passes = measure(e.Passes)
		}
		p.line(2, "%s port %d at %s is as MTA-STS wants it: %s%s", s.Host, s.Port, e.Address, passes, why)
	}
}

// policy shows the way from the record to the policy, as far as it leads.
func (p *page) policy(m *dane.MTASTS, standing dane.PolicyStanding) {
	p.line(2, "policy: %s", map[dane.PolicyStanding]string{
		dane.PolicyUnknown:  "not known, for reasons on our side",
		dane.PolicyNone:     "none in force; a sender that has a copy of an earlier one keeps to it until that ends",
		dane.PolicyTesting:  "being tested: senders deliver, and report what fails",
		dane.PolicyEnforced: "enforced: senders deliver only where it is met",
	}[standing])
	switch {
	case m.TXT == nil || m.TXT.Status.Failed():
		return
	case errors.Is(m.RecordErr, mtasts.ErrNoRecord):
		p.line(4, "there is no record at %s", m.TXT.Name)
		return
	case m.RecordErr != nil:
		p.line(4, "the record does not count: %v", m.RecordErr)
		return
	}
	p.line(4, "record with id %s", m.Record.ID)
	for i := range m.Fetches {
		p.fetch(m.Host.Name, &m.Fetches[i])
	}
	if m.PolicyErr != nil {
		p.line(4, "the policy does not count: %v", m.PolicyErr)
	}
	if m.Policy == nil {
		return
	}
	p.line(4, "mode %s, kept for %s", m.Policy.Mode, Days(m.Policy.MaxAge))
	for i, pattern := range m.Policy.MX {
		if i == maxRecords {
			p.line(4, "… and %d more", len(m.Policy.MX)-i)
			break
		}
		p.line(4, "mx %s", pattern)
	}
}

func (p *page) fetch(host string, f *dane.PolicyFetch) {
	if f.Err != nil {
		p.line(4, "%s at %s: %v", host, f.Address, f.Err)
	} else {
		p.line(4, "%s at %s: fetched", host, f.Address)
	}
	if f.Certificate != nil {
		p.line(6, "its certificate is valid from %s to %s", moment(f.Certificate.NotBefore), moment(f.Certificate.NotAfter))
	}
}

func (p *page) tlsrpt(m *dane.MTASTS) {
	switch {
	case m.TLSRPTTXT == nil || m.TLSRPTTXT.Status.Failed():
		p.line(2, "TLSRPT: not known")
	case errors.Is(m.TLSRPTErr, mtasts.ErrNoRecord):
		p.line(2, "TLSRPT: no record, so nobody reports failures")
	case m.TLSRPTErr != nil:
		p.line(2, "TLSRPT: the record does not count: %v", m.TLSRPTErr)
	default:
		p.line(2, "TLSRPT: reports go to %s", strings.Join(m.TLSRPT.RUA, ", "))
	}
}

// Days writes a long duration as policies mean it: in days, where it has any.
func Days(d time.Duration) string {
	const day = 24 * time.Hour
	if d < day {
		return d.String()
	}
	return fmt.Sprintf("%.3g days", d.Hours()/day.Hours())
}
