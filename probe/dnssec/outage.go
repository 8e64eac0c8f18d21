package dnssec

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// classifyFailure finds out whether a failure such as SERVFAIL or REFUSED is that of
// the zone's nameservers or of the resolvers, which may have lost their network or may
// refuse this client. It sends controls: queries for random names, which no cache
// holds. The zone is at fault if its own control answers. Otherwise, it is at fault
// unless one of these is true:
//
//   - no control in any other zone answers;
//   - the one in the top-level domain fails, or two of topControls do;
//   - a third of the witnesses failed within an hour of the zone, and they have
//     neither domain nor nameservers in common with it or with each other.
//
// Only zones that had answered before are witnesses. So an owner of many broken
// zones does not hide the failures of others.
//
// If the resolvers are at fault, the error becomes ErrResolverFailed.
func (l *lookup) classifyFailure(ctx context.Context, a Answer) Answer {
	r := l.resolver
	if !r.outage.recent(l.rules.at) {
		p := &postMortem{resolver: r, since: l.started, failed: l.failedName()}
		p.zone = l.closestZone(p.failed)
		p.run(ctx)
		a.Work.Queries += p.queries
		for range p.queries { // paid afterwards: a refusal takes nothing from this verdict
			_ = l.account.query(true)
		}
		if ctx.Err() != nil {
			late := timeoutAnswer(l.question, context.Cause(ctx))
			late.Work = a.Work
			return late
		}
		if p.cause == "" {
			return a
		}
		if p.total {
			r.outage.record(l.rules.at, p.cause)
		}
		a.Why = p.cause + " (" + a.Why + ")"
	} else {
		a.Why = r.outage.cause() + " (" + a.Why + ")"
	}
	a.Why = "the resolver fails for " + a.Why + ": check the resolver, its network access and its access list"
	a.Err = fmt.Errorf("%w: %w", ErrResolverFailed, a.Err)
	return a
}

// failedName returns the name for which the resolvers reported a failure.
func (l *lookup) failedName() string {
	var names []string
	for q, r := range l.evidence.replies {
		if !r.usable() {
			names = append(names, q.name)
		}
	}
	if len(names) == 0 {
		return l.question.name
	}
	return slices.Min(names)
}

// closestZone returns the zone that name belongs to as far as it is known, and at
// least the registered domain.
func (l *lookup) closestZone(name string) string {
	registered := registeredDomain(name)
	for n := labels(name); n > labels(registered); n-- {
		ancestor := suffix(name, n)
		if cached, _ := l.resolver.cache.get(ancestor, l.rules.at); cached.zone != nil || l.evidence.zones[ancestor] != nil {
			return ancestor
		}
	}
	return registered
}

// postMortem decides whether the resolvers are at fault for a failed lookup.
type postMortem struct {
	resolver *Resolver
	since    time.Time // controls must have started at this time or later
	failed   string    // the name that failed
	zone     string    // its zone, as far as is known

	mu      sync.Mutex
	states  map[string]controlState // by zone
	queries int

	cause string // names or zones that the resolvers fail for; empty: the zone is at fault
	total bool   // no control answers
}

// maxWitnesses is the maximum number of witnesses that a failed lookup queries.
const maxWitnesses = 24

// run sends the controls and sets cause and total. It repeats them if the verdict
// depends on an answer that may come from a cache.
func (p *postMortem) run(ctx context.Context) {
	r := p.resolver
	own, others := r.witnesses.sample(p.zone, maxWitnesses)
	zones := slices.Concat([]string{p.zone, r.topLevelOf(p.failed)}, r.topControls())
	for _, w := range others {
		zones = append(zones, w.zone)
	}
	if own != nil {
		zones = append(zones, own.zone)
	}
	slices.Sort(zones)
	zones = slices.Compact(zones)
	p.control(ctx, zones)
	if !p.certain() {
		nextSecond(ctx)
		p.since = time.Now()
		p.control(ctx, zones)
		for zone, state := range p.states {
			if state == controlRecent { // it has just been queried
				p.states[zone] = controlAnswers
			}
		}
	}
	if ctx.Err() == nil {
		p.judge(own, others)
	}
}

// certain reports whether the verdict cannot change if recent answers are checked
// again: there are none, or the zone itself answers, or a zone answers and no other
// zone fails.
func (p *postMortem) certain() bool {
	above := p.resolver.topLevelOf(p.failed)
	recent, fails, answers := false, false, false
	for zone, state := range p.states {
		recent = recent || state == controlRecent
		fails = fails || state == controlFails && (zone != p.zone || zone == above)
		answers = answers || state == controlAnswers
	}
	return !recent || p.states[p.zone] == controlAnswers || answers && !fails
}

// judge sets cause and total. The witness of the zone is nil if there is none.
func (p *postMortem) judge(own *witness, others []witness) {
	r, above := p.resolver, p.resolver.topLevelOf(p.failed)
	if p.zone != above && p.states[p.zone] == controlAnswers {
		return
	}
	switch {
	case own == nil:
	case own.zone != p.zone && p.states[own.zone] >= controlRecent: // another zone of the domain answers
		r.witnesses.record(own.zone, p.states[own.zone])
		own = nil
	default:
		own.failedAt = r.witnesses.record(own.zone, controlFails)
	}
	for i, w := range others {
		others[i].failedAt = r.witnesses.record(w.zone, p.states[w.zone])
	}
	var failing []string
	answering := 0
	for zone, state := range p.states {
		switch {
		case zone == p.zone && zone != above:
		case state == controlFails:
			failing = append(failing, zone)
		case state >= controlRecent:
			answering++
		}
	}
	slices.Sort(failing)
	failsAt := func(zone string) bool { return p.states[zone] == controlFails }
	failingTops := len(slices.DeleteFunc(r.topControls(), func(zone string) bool { return !failsAt(zone) }))
	switch {
	case answering == 0 && len(failing) == 0:
		p.cause, p.total = "this name, and nothing shows that it reaches any nameserver", true
	case answering == 0:
		p.cause, p.total = "every name that it has not cached, such as in "+strings.Join(failing, ", "), true
	case failsAt(above), failingTops >= 2:
		p.cause = "zones such as " + strings.Join(failing, ", ")
	case own != nil && manyFail(*own, others, p.states):
		p.cause = "zones that have no nameserver in common, such as " + strings.Join(failing, ", ")
	}
}

// control runs one control for each zone, in parallel.
func (p *postMortem) control(ctx context.Context, zones []string) {
	p.states = make(map[string]controlState)
	var group sync.WaitGroup
	for _, zone := range zones {
		group.Go(func() {
			state, queries := p.resolver.control(ctx, zone, p.since)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.states[zone] = state
			p.queries += queries
		})
	}
	group.Wait()
}

// outage records for failureTTL that all resolvers fail, so that concurrent lookups
// check only once.
type outage struct {
	mu   sync.Mutex
	seen time.Time
	why  string
}

func (o *outage) record(at time.Time, why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen, o.why = at, why
}

func (o *outage) cause() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.why
}

// recent reports whether an outage was recorded within failureTTL of a time.
func (o *outage) recent(at time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.seen.IsZero() && at.Sub(o.seen).Abs() <= failureTTL
}
