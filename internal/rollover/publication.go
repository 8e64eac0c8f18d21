package rollover

import (
	"maps"
	"slices"
	"time"
)

// Status is the state of the record of the new key at one server.
type Status string

// The statuses, best first.
const (
	Published Status = "published" // a record in a secure RRset authenticates the new key; of an alias: it leads to the records
	Unknown   Status = "unknown"   // no answer, or none that could be judged
	Missing   Status = "missing"   // the RRset, or the proof that there is none, is secure and has no such record or alias
	Invalid   Status = "invalid"   // the answer is not secure
)

// Observation is what one server answered at one time.
type Observation struct {
	Name       string // the name that was queried: of the records, or an alias that leads to them
	Nameserver string
	Address    string
	Status     Status
	Why        string // explanation: the record or alias, or why there is none

	// TTL is how long resolvers keep the answer: that of the RRset, or of the proof that
	// there is none (RFC 2308 §5). It is zero with Unknown and Invalid.
	TTL time.Duration
	// NegativeTTL is how long resolvers keep the proof that there is no RRset. It is zero
	// if the RRset also has records of other keys: then there was an RRset before.
	NegativeTTL time.Duration
}

// Publication records when nameservers were first seen with the records of one service and
// with the aliases that lead to them. The zero value has no observations.
type Publication struct {
	// Since has the time at which each address was first seen with the record or alias, by
	// the Key of the observation. It has no entry for an address that was later seen without it.
	Since map[string]time.Time
	// TTL is the longest time for which resolvers may keep an RRset or denial that was seen.
	TTL time.Duration

	latest []Observation
}

// Observe adds what all servers of the zone answered. It returns the observations
// that differ from the previous ones in status or explanation.
func (p *Publication) Observe(at time.Time, servers []Observation) (changed []Observation) {
	since := make(map[string]time.Time, len(servers))
	for _, o := range servers {
		p.TTL = max(p.TTL, o.TTL, o.NegativeTTL)
		first, seen := p.Since[o.Key()]
		switch {
		case o.Status == Published && !seen:
			since[o.Key()] = at
		case seen && (o.Status == Published || o.Status == Unknown):
			since[o.Key()] = first // a server that does not answer has not lost the record
		}
		if !slices.ContainsFunc(p.latest, o.sameState) {
			changed = append(changed, o)
		}
	}
	p.Since, p.latest = since, slices.Clone(servers)
	return changed
}

// Key returns the name and the address that were queried.
func (o Observation) Key() string { return o.Name + " " + o.Address }

func (o Observation) sameState(other Observation) bool {
	return o.Key() == other.Key() && o.Nameserver == other.Nameserver && o.Status == other.Status && o.Why == other.Why
}

// Status returns the worst status among the latest observations, Unknown without any.
func (p *Publication) Status() Status {
	worst := Published
	order := []Status{Published, Unknown, Missing, Invalid}
	for _, o := range p.latest {
		if slices.Index(order, o.Status) > slices.Index(order, worst) {
			worst = o.Status
		}
	}
	if len(p.latest) == 0 {
		return Unknown
	}
	return worst
}

// Servers returns the latest observations.
func (p *Publication) Servers() []Observation { return slices.Clone(p.latest) }

// Complete returns the time since which all servers have the record. It is zero if a
// server lacks the record or did not answer.
func (p *Publication) Complete() time.Time {
	if p.Status() != Published {
		return time.Time{}
	}
	return slices.MaxFunc(slices.Collect(maps.Values(p.Since)), time.Time.Compare)
}

// Safe returns when the new key is safe to serve. It is zero if Complete is.
func (p *Publication) Safe() time.Time {
	complete := p.Complete()
	if complete.IsZero() {
		return complete
	}
	return complete.Add(2 * p.TTL)
}
