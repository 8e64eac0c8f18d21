package dane

import (
	"testing"

	"dane_exporter/probe/dnssec"
)

// The outcome of a target follows from the outcomes of its services.
func TestTargetOutcome(t *testing.T) {
	type service struct {
		host       string
		port       uint16
		preference uint16
		outcome    Outcome
	}
	srv := []SRVLookup{{Answer: dnssec.Answer{Status: dnssec.Secure}}}
	bogus := append(srv, SRVLookup{Answer: dnssec.Answer{Status: dnssec.Bogus}})
	unreachable := append(srv, SRVLookup{Answer: dnssec.Answer{Status: dnssec.Indeterminate, Err: dnssec.ErrUnreachable}})
	for _, c := range []struct {
		name     string
		facts    Facts
		services []service
		want     Outcome
	}{
		{"host: all services are authenticated", Facts{}, []service{{"mx", 25, 0, Authenticated}, {"mx", 465, 0, Authenticated}}, Authenticated},
		{"host: one service is refused", Facts{}, []service{{"mx", 25, 0, Authenticated}, {"mx", 465, 0, Refused}}, Refused},
		{"host: one service has no TLSA records", Facts{}, []service{{"mx", 25, 0, Opportunistic}, {"mx", 465, 0, Authenticated}}, Opportunistic},
		{"each service works on one host", Facts{},
			[]service{{"mx1", 25, 10, Refused}, {"mx1", 465, 10, Authenticated}, {"mx2", 25, 20, Authenticated}, {"mx2", 465, 20, Refused}}, Authenticated},
		{"one service works on no host", Facts{},
			[]service{{"mx1", 25, 10, Refused}, {"mx1", 465, 10, Authenticated}, {"mx2", 25, 20, Unreachable}, {"mx2", 465, 20, Authenticated}}, Refused},
		{"SRV: a client may choose the second port", Facts{SRV: srv}, []service{{"chat", 5222, 5, Refused}, {"chat", 5223, 10, Authenticated}}, Authenticated},
		{"SRV: the best priority that works counts", Facts{SRV: srv}, []service{{"chat", 5222, 5, Opportunistic}, {"chat", 5223, 10, Authenticated}}, Opportunistic},
		{"SRV: no service works", Facts{SRV: srv}, []service{{"chat", 5222, 5, Unreachable}, {"chat", 5223, 10, Refused}}, Refused},
		{"SRV: one lookup is bogus, another service works", Facts{SRV: bogus}, []service{{"chat", 5223, 10, Authenticated}}, Authenticated},
		{"SRV: one lookup is bogus, no other service works", Facts{SRV: bogus}, []service{{"chat", 5223, 10, Unreachable}}, Refused},
		{"SRV: one lookup is bogus, the other host has no address", Facts{SRV: bogus}, []service{{"chat", 5223, 10, None}}, Refused},
		{"SRV: no resolver answers one lookup, another service works", Facts{SRV: unreachable}, []service{{"chat", 5223, 10, Authenticated}}, Authenticated},
		{"SRV: no resolver answers one lookup, no other service works", Facts{SRV: unreachable}, []service{{"chat", 5223, 10, None}}, Unknown},
		{"no services", Facts{}, nil, None},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := &judge{facts: &c.facts}
			for _, s := range c.services {
				j.verdict.Services = append(j.verdict.Services, ServiceVerdict{Service: &Service{Preference: s.preference}, Host: s.host, Port: s.port, Outcome: s.outcome})
			}
			if j.verdict.Outcome = j.targetOutcome(); j.verdict.Outcome != c.want {
				t.Errorf("got %s, want %s", j.verdict.Outcome, c.want)
			}
			if lost := j.lostServices(); len(lost) > 0 && j.succeeds() {
				t.Error("the probe succeeds although an SRV lookup failed")
			}
		})
	}
}
