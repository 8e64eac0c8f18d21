package report

import (
	"errors"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/mtasts"
)

func (c *composer) mtaSTS() {
	facts, verdict := c.report.Facts.MTASTS, c.report.Verdict.MTASTS
	if facts == nil || verdict == nil {
		return
	}
	m := &MTASTS{
		Standing: map[dane.PolicyStanding]string{
			dane.PolicyUnknown: "unknown", dane.PolicyNone: "none",
			dane.PolicyTesting: "testing", dane.PolicyEnforced: "enforced",
		}[verdict.Standing],
		Senders: sendersOf(verdict.Senders), Services: []ServiceSenders{}, Lookups: []Lookup{},
		RecordID: short(facts.Record.ID), Record: unlessNone(facts.RecordErr),
		Why: told(facts.PolicyErr), Report: unlessNone(facts.TLSRPTErr),
	}
	for _, s := range verdict.Services {
		m.Services = append(m.Services, serviceSendersOf(s))
	}
	if p := facts.Policy; p != nil {
		m.Policy = &Policy{Mode: string(p.Mode), MaxAge: p.MaxAge.Seconds()}
		m.Policy.MX, m.Policy.MoreMX = shortened(p.MX, maxPatterns)
	}
	for _, f := range facts.Fetches {
		fetch := Fetch{Address: f.Address.String(), Error: told(f.Err)}
		if f.Certificate != nil {
			certificate := certificateOf(f.Certificate)
			fetch.Certificate = &certificate
		}
		m.Fetches = append(m.Fetches, fetch)
	}
	m.TLSRPT, _ = shortened(facts.TLSRPT.RUA, maxPatterns)
	for _, lookup := range facts.Lookups() {
		m.Lookups = append(m.Lookups, c.lookup(lookup))
	}
	c.d.MTASTS = m
}

func serviceSendersOf(s dane.ServiceSenders) ServiceSenders {
	composed := ServiceSenders{short(s.Host), s.Port, measured(s.Covered), sendersOf(s.Senders), []EndpointSenders{}}
	for _, e := range s.Endpoints {
		composed.Endpoints = append(composed.Endpoints,
			EndpointSenders{e.Address.String(), string(e.KeyType), e.Skipped, measured(e.Passes), Printable(e.Why), sendersOf(e.Senders)})
	}
	return composed
}

func sendersOf(s dane.Senders) Senders {
	return Senders{string(s.DANE), string(s.MTASTS), string(s.Both)}
}

// unlessNone is the text of an error that is more than the absence of a record.
func unlessNone(err error) string {
	if errors.Is(err, mtasts.ErrNoRecord) {
		return ""
	}
	return told(err)
}
