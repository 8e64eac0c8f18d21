package dane

import (
	"testing"

	"dane_exporter/probe/dnssec"
)

// The outcome of a target follows from the outcomes of its services.
func TestTargetOutcome(t *testing.T) {
	type at struct {
		host       string
		port       uint16
		preference uint16
		outcome    Outcome
	}
	srv := []SRVLookup{{Answer: dnssec.Answer{Status: dnssec.Secure}}}
	lost := append(srv, SRVLookup{Answer: dnssec.Answer{Status: dnssec.Bogus}})
	ours := append(srv, SRVLookup{Answer: dnssec.Answer{Status: dnssec.Indeterminate, Err: dnssec.ErrUnreachable}})
	for _, c := range []struct {
		name     string
		facts    Facts
		services []at
		want     Outcome
	}{
		{"all of a host", Facts{}, []at{{"mx", 25, 0, Authenticated}, {"mx", 465, 0, Authenticated}}, Authenticated},
		{"one of a host is refused", Facts{}, []at{{"mx", 25, 0, Authenticated}, {"mx", 465, 0, Refused}}, Refused},
		{"one of a host has no TLSA", Facts{}, []at{{"mx", 25, 0, Opportunistic}, {"mx", 465, 0, Authenticated}}, Opportunistic},
		{"each service has a host that works", Facts{},
			[]at{{"mx1", 25, 10, Refused}, {"mx1", 465, 10, Authenticated}, {"mx2", 25, 20, Authenticated}, {"mx2", 465, 20, Refused}}, Authenticated},
		{"one service works nowhere", Facts{},
			[]at{{"mx1", 25, 10, Refused}, {"mx1", 465, 10, Authenticated}, {"mx2", 25, 20, Unreachable}, {"mx2", 465, 20, Authenticated}}, Refused},
		{"SRV records give a choice", Facts{SRV: srv}, []at{{"chat", 5222, 5, Refused}, {"chat", 5223, 10, Authenticated}}, Authenticated},
		{"and the better of it counts", Facts{SRV: srv}, []at{{"chat", 5222, 5, Opportunistic}, {"chat", 5223, 10, Authenticated}}, Opportunistic},
		{"or none", Facts{SRV: srv}, []at{{"chat", 5222, 5, Unreachable}, {"chat", 5223, 10, Refused}}, Refused},
		{"one lookup of SRV records is lost, and another host works", Facts{SRV: lost}, []at{{"chat", 5223, 10, Authenticated}}, Authenticated},
		{"one is lost, and no other host works", Facts{SRV: lost}, []at{{"chat", 5223, 10, Unreachable}}, Refused},
		{"one is lost, and the other hosts have no address", Facts{SRV: lost}, []at{{"chat", 5223, 10, None}}, Refused},
		{"one is lost by our fault", Facts{SRV: ours}, []at{{"chat", 5223, 10, Authenticated}}, Authenticated},
		{"one is lost by our fault, and no other host works", Facts{SRV: ours}, []at{{"chat", 5223, 10, None}}, Unknown},
		{"nothing at all", Facts{}, nil, None},
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
				t.Error("a lookup failed, and the probe succeeds")
			}
		})
	}
}
