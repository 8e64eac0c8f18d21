package dane

import (
	"slices"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

// ServiceKey identifies a service of a target.
type ServiceKey struct {
	Host string
	Port uint16
}

// Key returns the key of the service.
func (v *ServiceVerdict) Key() ServiceKey { return ServiceKey{v.Host, v.Port} }

// Timeline is the history of the TLSA records of one service, as probes saw it: from the
// publication of a record to the time at which it can be removed. It has no records of
// issuers, because they do not change with a key.
type Timeline struct {
	Began time.Time // end of the first probe
	Steps []TimelineStep
}

// Timelines are the timelines of the services of one target: those of which a probe saw
// records and a handshake. It is a slice because a map takes several times as much memory.
type Timelines []ServiceTimeline

// ServiceTimeline is the timeline of one service.
type ServiceTimeline struct {
	Service ServiceKey
	Timeline
}

// Of returns the timeline of a service, and whether there is one.
func (t Timelines) Of(service ServiceKey) (Timeline, bool) {
	for _, s := range t {
		if s.Service == service {
			return s.Timeline, true
		}
	}
	return Timeline{}, false
}

// Observe returns the timelines after another probe of the target. It does not change t.
// If the probe found no services, it adds nothing.
func (t Timelines) Observe(services []ServiceVerdict, at time.Time) Timelines {
	if len(services) == 0 {
		return t
	}
	var next Timelines
	for i := range services {
		known, _ := t.Of(services[i].Key())
		if timeline := known.Observe(&services[i], at); !timeline.Began.IsZero() {
			next = append(next, ServiceTimeline{services[i].Key(), timeline})
		}
	}
	return next
}

// TimelineStep is the history of one record. A time is zero if it was not seen.
type TimelineStep struct {
	Record tlsa.Record
	// Published is when the record was first seen. It equals Timeline.Began if the
	// record was there before.
	Published time.Time
	// Everywhere is when every nameserver of the zone was first seen to have the record. It
	// is zero while one lacks it, if nameservers are not queried or did not answer, and if
	// an alias leads to the record: the nameservers of aliases are not queried.
	Everywhere time.Time
	Queried    bool      // nameservers are queried
	Served     time.Time // when a server was first seen with the key or certificate
	Replaced   time.Time // when no server was first seen to have it, after one had it
	// TTL is the longest TTL that was seen, also of the records before this one: resolvers
	// may cache them for that time.
	TTL time.Duration
}

// Safe returns when the key is safe to serve: two TTLs after all nameservers had the
// record (RFC 7671 §8.1), or after it was first seen if they are not queried. It is zero
// if a nameserver lacks the record or did not answer.
func (s TimelineStep) Safe() time.Time {
	switch {
	case !s.Everywhere.IsZero():
		return s.Everywhere.Add(2 * s.TTL)
	case s.Queried:
		return time.Time{}
	default:
		return s.Published.Add(2 * s.TTL)
	}
}

// Removable returns when the record can be removed: two TTLs after its key was replaced,
// so that the change can be undone. It is zero if the key is served, or was never
// served.
func (s TimelineStep) Removable() time.Time {
	if s.Replaced.IsZero() {
		return time.Time{}
	}
	return s.Replaced.Add(2 * s.TTL)
}

// maxSteps is the maximum number of records of a timeline. A rollover does not need more.
const maxSteps = 16

// Observe returns the timeline after another probe of the service. It does not change t.
// A probe that made no handshake or got no records adds nothing.
func (t Timeline) Observe(v *ServiceVerdict, at time.Time) Timeline {
	if v.Answer == nil || !v.RolloverStatus().Measured {
		return t
	}
	next := Timeline{Began: t.Began}
	if next.Began.IsZero() {
		next.Began = at
	}
	ttl := v.ttl()
	for _, step := range t.Steps {
		ttl = max(ttl, step.TTL)
	}
	for _, record := range v.Records {
		if record.Usability != tlsa.Usable || ofIssuer(record.Record) || len(next.Steps) == maxSteps {
			continue
		}
		step := TimelineStep{Record: record.Record, Published: at}
		if i := slices.IndexFunc(t.Steps, func(s TimelineStep) bool { return s.Record.String() == record.Record.String() }); i >= 0 {
			step = t.Steps[i]
		}
		step.TTL = ttl
		step.Queried = v.Service.Nameservers != nil
		switch everywhere := v.everywhere(step.Record); {
		case everywhere == No:
			step.Everywhere = time.Time{}
		case everywhere == Yes && step.Everywhere.IsZero():
			step.Everywhere = at
		}
		switch {
		case record.Matches:
			step.Replaced = time.Time{}
			if step.Served.IsZero() {
				step.Served = at
			}
		case !step.Served.IsZero() && step.Replaced.IsZero():
			step.Replaced = at
		}
		next.Steps = append(next.Steps, step)
	}
	slices.SortStableFunc(next.Steps, func(a, b TimelineStep) int { return a.Published.Compare(b.Published) })
	return next
}

// InProgress reports whether there is a rollover: several records, or a change since the
// first probe.
func (t Timeline) InProgress() bool {
	changed := func(s TimelineStep) bool { return !s.Published.Equal(t.Began) || !s.Replaced.IsZero() }
	return len(t.Steps) > 1 || slices.ContainsFunc(t.Steps, changed)
}

// ttl returns the longest TTL of the records. Nameservers return the full TTL, and a
// resolver returns the rest of it.
func (v *ServiceVerdict) ttl() time.Duration {
	longest := v.Answer.LongestTTL()
	if v.Service.Nameservers != nil {
		for _, server := range v.Service.Nameservers.Servers {
			if server.TLSA != nil {
				longest = max(longest, server.TLSA.LongestTTL())
			}
		}
	}
	return longest
}

// everywhere reports whether all nameservers of the zone have a record. It is not measured
// if they were not all queried, if one did not answer, or if an alias leads to the records.
func (v *ServiceVerdict) everywhere(record tlsa.Record) Measure {
	n := v.Service.Nameservers
	if n == nil {
		return NotMeasured
	}
	result := Yes
	if len(v.Nameservers) == 0 || len(v.Answer.Aliases) > 0 || n.Truncated || len(n.Unresolved) > 0 {
		result = NotMeasured
	}
	for i, server := range v.Nameservers {
		answer := n.Servers[i].TLSA
		switch {
		case server.Consistent == NotMeasured:
			result = NotMeasured
		case server.Consistent == No && (answer.Status != dnssec.Secure || !slices.Contains(recordTexts(answer), record.String())):
			return No
		}
	}
	return result
}
