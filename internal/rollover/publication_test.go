package rollover

import (
	"testing"
	"time"
)

// TestPublication observes servers over time. Each step has the answers of one moment
// and what follows from all until then.
func TestPublication(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	type servers map[string]Observation // by address
	published := func(ttl time.Duration) Observation { return Observation{Status: Published, Why: "3 1 1 bb", TTL: ttl} }
	missing := func(ttl time.Duration) Observation { return Observation{Status: Missing, TTL: ttl} }
	type step struct {
		minute  int
		servers servers
		status  Status
		safe    int // minute; 0: not known
		changes int // number of observations that are new
	}
	tests := []struct {
		name, sentence string
		steps          []step
	}{
		{"one server", "Two TTLs count from the first time that the server had the record.", []step{
			{1, servers{"192.0.2.1": missing(time.Hour)}, Missing, 0, 1},
			{2, servers{"192.0.2.1": published(time.Hour)}, Published, 122, 1},
			{9, servers{"192.0.2.1": published(time.Hour)}, Published, 122, 0},
		}},
		{"slow secondary", "The last server counts.", []step{
			{1, servers{"192.0.2.1": published(time.Minute), "192.0.2.2": missing(time.Minute)}, Missing, 0, 2},
			{30, servers{"192.0.2.1": published(time.Minute), "192.0.2.2": published(time.Minute)}, Published, 32, 1},
		}},
		{"TTL lowered", "Resolvers keep the old RRset for the old TTL.", []step{
			{1, servers{"192.0.2.1": missing(time.Hour)}, Missing, 0, 1},
			{2, servers{"192.0.2.1": published(time.Minute)}, Published, 122, 1},
		}},
		{"TTL raised", "The new TTL counts too: RFC 7671 names no side.", []step{
			{1, servers{"192.0.2.1": missing(time.Minute)}, Missing, 0, 1},
			{2, servers{"192.0.2.1": published(time.Hour)}, Published, 122, 1},
		}},
		{"first record", "Resolvers keep the denial for the negative TTL.", []step{
			{1, servers{"192.0.2.1": {Status: Published, TTL: time.Minute, NegativeTTL: time.Hour}}, Published, 121, 1},
		}},
		{"lost again", "A server that returns to the old zone starts anew.", []step{
			{1, servers{"192.0.2.1": published(time.Minute)}, Published, 3, 1},
			{2, servers{"192.0.2.1": missing(time.Minute)}, Missing, 0, 1},
			{10, servers{"192.0.2.1": published(time.Minute)}, Published, 12, 1},
		}},
		{"bogus for a while", "A server that serves bogus data may have served the old RRset.", []step{
			{1, servers{"192.0.2.1": published(time.Minute)}, Published, 3, 1},
			{2, servers{"192.0.2.1": {Status: Invalid}}, Invalid, 0, 1},
			{10, servers{"192.0.2.1": published(time.Minute)}, Published, 12, 1},
		}},
		{"silent for a while", "A server that does not answer is not known, and keeps its time.", []step{
			{1, servers{"192.0.2.1": published(time.Minute)}, Published, 3, 1},
			{2, servers{"192.0.2.1": {Status: Unknown}}, Unknown, 0, 1},
			{10, servers{"192.0.2.1": published(time.Minute)}, Published, 3, 1},
		}},
		{"server added", "A new server of the zone counts from when it is seen.", []step{
			{1, servers{"192.0.2.1": published(time.Minute)}, Published, 3, 1},
			{10, servers{"192.0.2.1": published(time.Minute), "192.0.2.2": published(time.Minute)}, Published, 12, 1},
		}},
		{"server removed", "A server that left the zone no longer counts.", []step{
			{1, servers{"192.0.2.1": published(time.Minute), "192.0.2.2": missing(time.Minute)}, Missing, 0, 2},
			{10, servers{"192.0.2.1": published(time.Minute)}, Published, 3, 0},
		}},
		{"invalid and silent", "A certain failure is worse than an unknown result.", []step{
			{1, servers{"192.0.2.1": {Status: Invalid}, "192.0.2.2": {Status: Unknown}}, Invalid, 0, 2},
		}},
		{"no server", "Without an answer nothing is known.", []step{{1, servers{}, Unknown, 0, 0}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var p Publication
			for _, step := range test.steps {
				var all []Observation
				for address, o := range step.servers {
					o.Address, o.Nameserver = address, "ns.example.org"
					all = append(all, o)
				}
				changed := p.Observe(at(step.minute), all)
				var safe time.Time
				if step.safe > 0 {
					safe = at(step.safe)
				}
				if p.Status() != step.status || !p.Safe().Equal(safe) || len(changed) != step.changes {
					t.Errorf("%s\nminute %d: %s, safe at %s, %d changes; want %s, %s, %d", test.sentence, step.minute,
						p.Status(), p.Safe(), len(changed), step.status, safe, step.changes)
				}
			}
		})
	}
}
