package dane

import (
	"net/netip"
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
		{"two hosts of equal preference, the second worse", Facts{}, []service{{"mx1", 25, 10, Authenticated}, {"mx2", 25, 10, Opportunistic}}, Opportunistic},
		{"two hosts of equal preference, the first worse", Facts{}, []service{{"mx1", 25, 10, Opportunistic}, {"mx2", 25, 10, Authenticated}}, Opportunistic},
		{"no services", Facts{}, nil, None},
		{"lookups: one host is not decided", Facts{}, []service{{"mx1", 25, 10, Undecided}, {"mx2", 25, 20, Refused}}, Undecided},
		{"lookups: the best host is refused, the next is not decided", Facts{}, []service{{"mx1", 25, 10, Refused}, {"mx2", 25, 20, Undecided}}, Undecided},
		{"lookups: all hosts are refused", Facts{}, []service{{"mx1", 25, 10, Refused}, {"mx2", 25, 20, Refused}}, Refused},
		{"lookups: of two equal hosts, one delivers without DANE", Facts{}, []service{{"mx1", 25, 10, Undecided}, {"mx2", 25, 10, Opportunistic}}, Opportunistic},
		{"lookups: a better host is not decided", Facts{}, []service{{"mx1", 25, 10, Undecided}, {"mx2", 25, 20, Opportunistic}}, Undecided},
		{"lookups: a worse host is not decided", Facts{}, []service{{"mx1", 25, 10, Opportunistic}, {"mx2", 25, 20, Undecided}}, Opportunistic},
		{"lookups: one host could not be judged", Facts{}, []service{{"mx1", 25, 10, Unknown}, {"mx2", 25, 20, Undecided}}, Undecided},
		{"lookups: a host without an address", Facts{}, []service{{"mx1", 25, 10, None}, {"mx2", 25, 20, Undecided}}, Undecided},
		{"lookups: one port is refused", Facts{}, []service{{"mx1", 25, 0, Refused}, {"mx1", 465, 0, Undecided}}, Refused},
		{"lookups: one port delivers without DANE", Facts{}, []service{{"mx1", 25, 0, Opportunistic}, {"mx1", 465, 0, Undecided}}, Undecided},
		{"lookups: the MX records are insecure", Facts{MX: &dnssec.Answer{Status: dnssec.Insecure}}, []service{{"mx1", 25, 10, Undecided}}, Undecided},
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

// A client gets the certificate of one key type of an address, and cannot choose:
// the worst counts. Addresses are alternatives.
func TestKeyTypesAreNoAlternatives(t *testing.T) {
	first, second := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	endpoint := func(address netip.Addr, outcome Outcome) EndpointVerdict {
		return EndpointVerdict{Address: address, Outcome: outcome}
	}
	skipped := EndpointVerdict{Address: first, Outcome: Unknown, Skipped: true}
	for _, c := range []struct {
		name      string
		endpoints []EndpointVerdict
		want      Outcome
	}{
		{"both key types are authenticated", []EndpointVerdict{endpoint(first, Authenticated), endpoint(first, Authenticated)}, Authenticated},
		{"the second key type has no record", []EndpointVerdict{endpoint(first, Authenticated), endpoint(first, Refused)}, Refused},
		{"the first key type has no record", []EndpointVerdict{endpoint(first, Refused), endpoint(first, Authenticated)}, Refused},
		{"one key type could not be judged", []EndpointVerdict{endpoint(first, Authenticated), endpoint(first, Unknown)}, Unknown},
		{"one key type fails", []EndpointVerdict{endpoint(first, Unreachable), endpoint(first, Opportunistic)}, Unreachable},
		{"the server has one key type", []EndpointVerdict{endpoint(first, Authenticated), skipped}, Authenticated},
		{"another address has records for both", []EndpointVerdict{endpoint(first, Authenticated), endpoint(first, Refused), endpoint(second, Authenticated), endpoint(second, Authenticated)}, Authenticated},
		{"each address lacks the record of one", []EndpointVerdict{endpoint(first, Authenticated), endpoint(first, Refused), endpoint(second, Refused), endpoint(second, Authenticated)}, Refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := &judge{facts: &Facts{}}
			j.verdict.Services = []ServiceVerdict{{Service: &Service{}, Endpoints: c.endpoints}}
			if got := j.targetOutcome(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			mtasts := &MTASTSVerdict{Services: []ServiceSenders{{}}}
			for _, e := range c.endpoints {
				mtasts.Services[0].Endpoints = append(mtasts.Services[0].Endpoints,
					EndpointSenders{Address: e.Address, Skipped: e.Skipped, Senders: Senders{MTASTS: e.Outcome, Both: e.Outcome}})
			}
			if got := j.sendersAtDomain(mtasts); got.MTASTS != c.want || got.Both != c.want {
				t.Errorf("MTA-STS: got %s and %s, want %s", got.MTASTS, got.Both, c.want)
			}
		})
	}
}
