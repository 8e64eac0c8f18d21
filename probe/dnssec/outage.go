package dnssec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// classifyFailure finds out whether a failure such as SERVFAIL or REFUSED is that of
// the zone's nameservers or of the resolvers, which may have lost their network or may
// refuse this client. It sends controls: queries for random names, which no cache
// holds. The zone is at fault if its own control answers. Otherwise, it is at fault
// unless one of these is true:
//
//   - no control in any other zone answers;
//   - two of the zones at the top fail: topControls and the top-level domain;
//   - a third of the witnesses failed within an hour of the zone, and they have
//     no common cause: see manyFail.
//
// A top-level domain that fails is thus at fault itself if the other zones at the top
// answer. Senders see the same, wherever they are.
//
// Only zones that had answered before are witnesses. So an owner of many broken
// zones does not hide the failures of others.
//
// If the controls prove the zone at fault, Answer.FaultZone is that zone, see faultZone.
//
// If the resolvers are at fault, the error becomes ErrResolverFailed. If the Meter
// refuses a control, there is no verdict: the error becomes ErrBudget.
func (l *lookup) classifyFailure(ctx context.Context, a Answer) Answer {
	r := l.resolver
	a.FaultZone = ""
	cause := r.outage.recentCause(l.rules.at)
	if cause == "" {
		p := newPostMortem(l)
		var err error
		if p.failed == "." && !r.hasRoot(l.rules.at) { // no name can be validated without it
			p.cause = "the keys of the root"
		} else {
			err = p.run(ctx)
		}
		a.Work.Queries += int(p.queries.Load())
		switch {
		case ctx.Err() != nil:
			late := timeoutAnswer(l.question, context.Cause(ctx))
			late.Work = a.Work
			return late
		case err != nil:
			a.Why = fmt.Sprintf("there is no verdict on the zone or the resolver: %v; without it: %s", err, a.Why)
			a.Err = fmt.Errorf("look up %s: %w", l.question, err)
			return a
		case p.cause == "":
			r.failing.record(p.domain, p.since)
			a.FaultZone = p.faultZone(ctx, l)
			if p.above != "" {
				a.Why += "; the zone " + p.above + " above it fails too"
			}
			return a
		case p.total:
			r.outage.record(l.rules.at, p.cause)
		}
		cause = p.cause
	}
	a.Why = "the resolver fails for " + cause + " (" + a.Why + "): check the resolver, its network access and its access list"
	a.Err = fmt.Errorf("%w: %w", ErrResolverFailed, a.Err)
	return a
}

// Time limits of faultZone for finding the zone that contains a name. If the zone has not
// answered a control yet, it may be silent. The shorter limit then allows only what earlier
// lookups have proven.
const (
	containerTime       = 2 * time.Second
	silentContainerTime = 100 * time.Millisecond
)

// faultZone returns the zone at fault for the failed lookup l. That is the highest zone whose
// control fails, if the controls of all zones above it answer. If no control fails, it is the
// zone that is proven to contain the names that could not be looked up. faultZone returns the
// empty string if that is not known, such as when a control has no clear outcome.
func (p *postMortem) faultZone(ctx context.Context, l *lookup) string {
	if state, known := p.state(p.zone); known && state == controlAnswers {
		return l.containerOfFailure(ctx, containerTime)
	}
	if zone, answer := p.highestFailing(p.parents); !answer {
		return zone
	}
	between := l.zonesBetween(p.domain, p.zone)
	if _, known := p.state(p.zone); !known { // the control is not complete, or waits for controlInterval
		if len(between) > 0 {
			return ""
		}
		return l.containerOfFailure(ctx, silentContainerTime)
	}
	p.controlPaidBy(ctx, l.account.unrecorded().control, p.since, between...)
	if zone, answer := p.highestFailing(between); !answer {
		return zone
	}
	if state, _ := p.state(p.zone); state == controlFails {
		return p.zone
	}
	return l.containerOfFailure(ctx, containerTime)
}

// highestFailing returns the highest zone whose control fails. answer reports whether the
// controls of all zones answer. zones are in ascending order, the lowest first. If a control
// of a higher zone has no clear outcome, there is no zone.
func (p *postMortem) highestFailing(zones []string) (zone string, answer bool) {
	for _, zone := range slices.Backward(zones) {
		switch state, known := p.state(zone); {
		case !known, state == controlUnclear:
			return "", false
		case state == controlFails:
			return zone, false
		}
	}
	return "", true
}

// state returns the outcome of the control of a zone, if there was one.
func (p *postMortem) state(zone string) (state controlState, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	state, known = p.states[zone]
	return state, known
}

// zonesBetween returns the known zones above zone, up to its registered domain. The lowest is
// first, and the registered domain is last.
func (l *lookup) zonesBetween(domain, zone string) (between []string) {
	for n := labels(zone) - 1; n >= labels(domain); n-- {
		ancestor := suffix(zone, n)
		cached, _ := l.resolver.cache.get(ancestor, l.rules.at)
		if ancestor == domain || cached.zone != nil || l.evidence.zones[ancestor] != nil {
			between = append(between, ancestor)
		}
	}
	return between
}

// containerOfFailure returns the zone that is proven to contain all names for which the
// resolvers reported a failure, or the empty string. An alias proves nothing, because a
// resolver that fails for its target fails for the alias too.
func (l *lookup) containerOfFailure(ctx context.Context, limit time.Duration) (container string) {
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	names := make(map[string]bool)
	var alias atomic.Bool
	for q, r := range l.evidence.replies {
		switch {
		case r.usable():
			continue
		case q.qtype == dns.TypeDS:
			names[parentOf(q.name)] = true // the parent contains the DS
			continue
		case q.qtype != dns.TypeDNSKEY:
			group.Go(func() {
				if l.mayBeAlias(ctx, q.name) {
					alias.Store(true)
				}
			})
		}
		names[q.name] = true
	}
	for name := range names {
		zone := l.repeatUnrecorded(ctx, question{name, dns.TypeNone}).FaultZone
		if zone == "" || container != "" && zone != container {
			return ""
		}
		container = zone
	}
	if group.Wait(); alias.Load() {
		return ""
	}
	return container
}

// mayBeAlias reports whether a name may be an alias. It queries for the CNAME record, for which
// a resolver does not follow the alias. A resolver that has followed the alias before has the
// record in its cache, so a failure or silence shows that the zone of the name fails.
func (l *lookup) mayBeAlias(ctx context.Context, name string) (maybe bool) {
	defer func() {
		if recover() != nil {
			maybe = true
		}
	}()
	answer := l.repeatUnrecorded(ctx, question{name, dns.TypeCNAME})
	switch {
	case answer.Found() || len(answer.Aliases) > 0:
		return true
	case errors.Is(answer.Err, ErrServer), errors.Is(answer.Err, ErrUnreachable), errors.Is(answer.Err, ErrDeadline):
		return false
	default:
		return answer.Status.Failed()
	}
}

// repeatUnrecorded looks up another question within the remaining limits of l.
func (l *lookup) repeatUnrecorded(ctx context.Context, q question) Answer {
	again := l.resolver.newLookup(q, upstream{}, l.budget.share(1))
	again.account = l.account.unrecorded()
	defer again.account.close()
	return again.run(ctx)
}

// hasRoot reports whether the keys of the root are cached, or none are needed.
func (r *Resolver) hasRoot(at time.Time) bool {
	cached, _ := r.cache.get(".", at)
	return cached.zone != nil || len(r.anchors["."]) == 0
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
	failed   string    // the name that failed
	zone     string    // its zone, as far as is known
	domain   string    // its registered domain
	since    time.Time // controls must have started at this time or later
	pay      func() error
	queries  atomic.Int64

	parents []string // controlsAbove, the lowest zone first
	own     *witness // of the domain; nil if there is none
	others  []witness
	mu      sync.Mutex
	states  map[string]controlState // by zone
	refusal error                   // of a control; wraps ErrBudget

	// The verdict.
	cause string // names or zones that the resolvers fail for; empty: the zone is at fault
	total bool   // no control answers
	sure  bool   // the resolvers are at fault, whatever a control that was refused would show
	above string // the zone above that explains the failure; may be empty
}

// Limits on the time and the number of controls of a failed lookup.
const (
	postMortemTime = 2 * time.Second        // for all controls; a second unless some are repeated or wait for controlInterval
	ownHeadStart   = 200 * time.Millisecond // the time in which the zone itself can spare the others their controls
	maxWitnesses   = 16
)

// If a domain still fails, the controls since its first failure count, unless they are
// older than reuseControls.
const (
	reuseControls = 2 * time.Second
	stillFailing  = 10 * time.Second
)

func newPostMortem(l *lookup) *postMortem {
	r := l.resolver
	p := &postMortem{resolver: r, failed: l.failedName(), since: l.started, states: make(map[string]controlState)}
	p.zone = l.closestZone(p.failed)
	p.domain = registeredDomain(p.zone)
	p.parents = r.controlsAbove(p.zone)
	if first, ok := r.failing.get(p.domain); ok && l.started.Sub(first) < stillFailing {
		p.since = later(first, l.started.Add(-reuseControls))
	}
	p.pay = func() error {
		err := l.account.control()
		if err == nil {
			p.queries.Add(1)
		}
		return err
	}
	return p
}

// run sends the controls and judges them. It repeats some if the verdict depends on
// answers that may come from a cache. The error wraps ErrBudget.
func (p *postMortem) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, postMortemTime)
	defer cancel()
	ownDone := make(chan struct{})
	go func() {
		defer close(ownDone)
		p.control(ctx, p.since, p.zone)
	}()
	headStart := time.NewTimer(ownHeadStart)
	defer headStart.Stop()
	select {
	case <-ownDone:
	case <-headStart.C:
	}
	p.judge(false)
	if answers := p.cause == ""; answers || p.refused() != nil {
		return p.refused()
	}
	p.own, p.others = p.resolver.witnesses.sample(p.domain, maxWitnesses)
	p.control(ctx, p.since, p.controlZones()...)
	if recent := p.ambiguous(); len(recent) > 0 {
		p.control(ctx, nextSecond(p.since), recent...)
	}
	late := ctx.Err() != nil // then recent answers are the best evidence
	if p.judge(late); p.cause != "" {
		<-ownDone // if the zone answers, it is at fault
		p.judge(late)
	}
	p.total = p.total && !late
	p.record()
	if p.sure {
		return nil
	}
	return p.refused()
}

// refused returns the refusal of a control, or nil.
func (p *postMortem) refused() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refusal
}

// controlZones returns the zones of the controls, except that of the failed zone.
func (p *postMortem) controlZones() []string {
	zones := slices.Concat(topControls(), p.parents)
	if p.resolver.topZone() != "." { // a private network may reach these alone
		anchored := slices.Sorted(maps.Keys(p.resolver.anchors))
		zones = append(zones, anchored[:min(len(anchored), maxWitnesses)]...)
	}
	for _, w := range p.others {
		zones = append(zones, w.zone)
	}
	if p.own != nil {
		zones = append(zones, p.own.zone)
	}
	slices.Sort(zones)
	return slices.DeleteFunc(slices.Compact(zones), func(zone string) bool { return zone == p.zone })
}

// control runs one control for each zone, in parallel.
func (p *postMortem) control(ctx context.Context, since time.Time, zones ...string) {
	p.controlPaidBy(ctx, p.pay, since, zones...)
}

func (p *postMortem) controlPaidBy(ctx context.Context, pay func() error, since time.Time, zones ...string) {
	var group sync.WaitGroup
	for _, zone := range zones {
		group.Go(func() {
			result, err := p.resolver.control(ctx, zone, since, pay)
			if result.state == controlRecent && !result.started.Before(nextSecond(p.since)) {
				result.state = controlAnswers // the records were cached after the failure
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if err != nil {
				p.refusal = err
			}
			if _, known := p.states[zone]; result.done || !known {
				p.states[zone] = result.state
			}
		})
	}
	group.Wait()
}

// ambiguous returns the zones whose answers may come from a cache if the verdict depends
// on them.
func (p *postMortem) ambiguous() (recent []string) {
	p.judge(true)
	cause := p.cause
	if p.judge(false); p.cause == cause || p.refused() != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for zone, state := range p.states {
		if state == controlRecent {
			recent = append(recent, zone)
		}
	}
	return recent
}

// judge sets the verdict. Recent answers count as answers if recent is true, and as unclear otherwise.
func (p *postMortem) judge(recent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cause, p.total, p.sure, p.above = "", false, false, ""
	states := make(map[string]controlState, len(p.states))
	var failing []string
	answering := 0
	for zone, state := range p.states {
		if state == controlRecent {
			state = controlUnclear
			if recent {
				state = controlAnswers
			}
		}
		states[zone] = state
		switch {
		case zone == p.zone:
		case state == controlFails:
			failing = append(failing, zone)
		case state == controlAnswers:
			answering++
		}
	}
	if states[p.zone] == controlAnswers {
		return
	}
	slices.Sort(failing)
	fails := func(zone string) bool { return slices.Contains(failing, zone) }
	for _, parent := range p.parents {
		if fails(parent) {
			p.above = parent
		}
	}
	tops := topControls()
	if n := len(p.parents); n > 0 {
		tops = append(tops, p.parents[n-1])
	}
	slices.Sort(tops)
	failingTops := len(slices.DeleteFunc(slices.Compact(tops), func(zone string) bool { return !fails(zone) }))
	topsFail := p.resolver.topZone() == "." && failingTops >= 2 // otherwise the network may be private
	p.sure = topsFail && states[p.zone] == controlFails
	switch {
	case answering == 0 && len(failing) == 0:
		p.cause, p.total = "this name, and nothing shows that it reaches any nameserver", true
	case answering == 0:
		p.cause, p.total = "every name that it has not cached, such as in "+strings.Join(failing, ", "), true
	case topsFail:
		p.cause = "zones such as " + strings.Join(failing, ", ")
	case p.own != nil && (p.own.zone == p.zone || states[p.own.zone] != controlAnswers) && manyFail(*p.own, p.others, states, p.parents):
		p.cause = "zones that have no common cause, such as " + strings.Join(failing, ", ")
	}
}

// record records the states of the witnesses, unless a control was refused.
func (p *postMortem) record() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusal != nil {
		return
	}
	for _, w := range p.others {
		p.resolver.witnesses.record(w.zone, p.states[w.zone])
	}
	if own := p.own; own != nil {
		state := p.states[own.zone]
		if own.zone == p.zone && state < controlRecent {
			state = controlFails
		}
		p.resolver.witnesses.record(own.zone, state)
	}
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

// recentCause returns the cause of an outage that was recorded within failureTTL of a
// time, or the empty string.
func (o *outage) recentCause(at time.Time) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen.IsZero() || at.Sub(o.seen).Abs() > failureTTL {
		return ""
	}
	return o.why
}

// failingDomains records domains that are at fault, with the time of the first failure.
type failingDomains struct {
	mu    sync.Mutex
	since map[string]time.Time
}

// maxFailing is the number of domains that are kept.
const maxFailing = 1024

func (f *failingDomains) get(domain string) (since time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	since, ok = f.since[domain]
	return since, ok
}

// record records that a domain has failed since a time.
func (f *failingDomains) record(domain string, since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known, ok := f.since[domain]; ok && since.Sub(known) < stillFailing {
		return
	}
	if f.since == nil || len(f.since) >= maxFailing {
		f.since = make(map[string]time.Time)
	}
	f.since[domain] = since
}

// clear records that a lookup in a domain succeeded.
func (f *failingDomains) clear(domain string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.since, domain)
}
