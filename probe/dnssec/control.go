package dnssec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/flight"
)

// controlState is the outcome of a control: a query for a name that no cache can
// hold, a random name in a zone. It shows whether the resolvers reach that zone now. A
// resolver that lost its uplink still answers from its cache, such as for the keys of the root.
type controlState int

// The outcomes of a control, from worst to best.
const (
	controlFails   controlState = iota // no resolver has an answer
	controlUnclear                     // a resolver may have deduced the answer from cached records (RFC 8198)
	controlRecent                      // the same, but it cached these records within the last second
	controlAnswers                     // the answer comes from the zone
)

// Time limits of a control. Its first query has controlHeadStart before the others are
// sent.
const (
	controlTime      = 800 * time.Millisecond
	controlHeadStart = 400 * time.Millisecond
)

// controlInterval returns the minimum time between two controls of a zone, for all
// lookups together. The zones belong to others. The root and top-level domains
// answer many more queries than other zones.
func controlInterval(zone string) time.Duration {
	if labels(zone) <= 1 {
		return 250 * time.Millisecond
	}
	return time.Second
}

// controls runs controls, one at a time for each zone, and keeps their results. Lookups
// that fail at about the same time thus share them.
type controls struct {
	flights flight.Group[string, controlResult]

	mu        sync.Mutex
	results   map[string]controlResult
	preferred string // the server that answered last
}

// controlResult is a control that was started at a time.
type controlResult struct {
	state   controlState
	started time.Time
	done    bool
	err     error // wraps ErrBudget if the control was refused
}

// maxControls is the number of results above which old ones are dropped.
const maxControls = 1024

// control returns the outcome of a control of zone that started at since or later. It
// may wait for that time, and for controlInterval. pay is called before each query, and
// its error is returned. The outcome is unclear if ctx ends first.
func (r *Resolver) control(ctx context.Context, zone string, since time.Time, pay func() error) (controlResult, error) {
	last := r.controls.get(zone)
	for waitUntil(ctx, since) {
		if last.done && !last.started.Before(since) {
			return last, nil
		}
		if last.done && !waitUntil(ctx, last.started.Add(controlInterval(zone))) {
			break
		}
		result, joined, err := r.controls.flights.Do(ctx, zone, controlTime, func(ctx context.Context, _ func(controlResult)) controlResult {
			return r.runNextControl(ctx, zone, pay)
		})
		switch {
		case err != nil:
			return controlResult{state: controlUnclear}, nil
		case result.err != nil && !joined: // a joined control was refused by the budget of another
			return controlResult{state: controlUnclear}, result.err
		case !result.done && !waitUntil(ctx, result.started.Add(controlInterval(zone))):
			return controlResult{state: controlUnclear}, nil
		}
		last = result
	}
	return controlResult{state: controlUnclear}, nil
}

// runNextControl runs a control of zone and keeps its result. If controlInterval has not
// passed since the last one, it does nothing.
func (r *Resolver) runNextControl(ctx context.Context, zone string, pay func() error) controlResult {
	result := controlResult{started: time.Now()}
	if last := r.controls.get(zone); result.started.Before(last.started.Add(controlInterval(zone))) {
		return last
	}
	if err := pay(); err != nil {
		return controlResult{err: err}
	}
	r.controls.put(zone, result) // a control that is cut short counts for the interval
	result.state, result.err = r.runControl(ctx, zone, r.controls.order(r.retryServers()), pay)
	if result.err == nil && !errors.Is(ctx.Err(), context.Canceled) { // otherwise no lookup waits for it
		result.done = true
		r.controls.put(zone, result)
	}
	return result
}

// get returns the last control of a zone, or the zero value.
func (c *controls) get(zone string) controlResult {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.results[zone]
}

func (c *controls) put(zone string, result controlResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.results == nil {
		c.results = make(map[string]controlResult)
	}
	if len(c.results) >= maxControls {
		maps.DeleteFunc(c.results, func(_ string, old controlResult) bool {
			return time.Since(old.started) > reuseControls // longer than controlInterval
		})
	}
	c.results[zone] = result
}

// order returns servers, the one that answered last first.
func (c *controls) order(servers []string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(servers, c.preferred); i > 0 {
		servers = slices.Concat(servers[i:], servers[:i])
	}
	return servers
}

// runControl queries for a random name in zone, and returns the best outcome. One server
// is enough if it answers. Otherwise the others are queried too, and all with CD=0, in
// parallel. A query that is not answered before ctx ends has failed. The first query
// has been paid for; pay is called before each other one.
func (r *Resolver) runControl(ctx context.Context, zone string, servers []string, pay func() error) (controlState, error) {
	q, err := newQuestion(fmt.Sprintf("dane-exporter-%016x.%s", rand.Uint64(), strings.TrimPrefix(zone, ".")), dns.TypeA)
	if err != nil { // too long
		return controlUnclear, nil
	}
	first, cancel := context.WithTimeout(ctx, controlHeadStart)
	defer cancel()
	best := r.exchangeControl(first, q, upstream{server: servers[0]})
	if best != controlFails || ctx.Err() != nil {
		r.controls.answered(servers[0], best)
		return best, nil
	}
	var rest []upstream
	for i, server := range servers {
		if i > 0 {
			rest = append(rest, upstream{server: server})
		}
		rest = append(rest, upstream{server: server, checking: true})
	}
	states := make(chan controlState, len(rest))
	for i, u := range rest {
		if err := pay(); err != nil {
			return controlUnclear, fmt.Errorf("%d of %d queries: %w", i+1, len(rest)+1, err)
		}
		go func() {
			state := r.exchangeControl(ctx, q, u)
			r.controls.answered(u.server, state)
			states <- state
		}()
	}
	for range rest {
		if best = max(best, <-states); best == controlAnswers { // the others would change nothing
			break
		}
	}
	return best, nil
}

// answered records which server answered a control.
func (c *controls) answered(server string, state controlState) {
	if state == controlFails {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.preferred = server
}

// exchangeControl sends one question to an upstream.
func (r *Resolver) exchangeControl(ctx context.Context, q question, u upstream) (state controlState) {
	defer func() {
		if recover() != nil {
			state = controlUnclear // a panic is no failure of the resolver
		}
	}()
	return controlStateOf(r.exchange(ctx, query{q, u}))
}

// controlStateOf judges a reply. No resolver deduces an answer from records that are
// unsigned or have opt-out (RFC 8198 §5.4). Other records that are no longer new have
// less than their original TTL.
func controlStateOf(r *reply) controlState {
	if !r.truncated && !r.usable() {
		return controlFails
	}
	state := controlAnswers
	for set := range r.sets() {
		optOut := set.rrtype == dns.TypeNSEC3 && slices.ContainsFunc(set.records, func(rr dns.RR) bool { return rr.(*dns.NSEC3).Flags&1 != 0 })
		if set.rrtype == dns.TypeSOA || optOut {
			continue
		}
		for _, sig := range set.sigs {
			state = min(state, controlRecent)
			if set.ttl() < seconds(sig.OrigTtl) {
				state = controlUnclear
			}
		}
	}
	return state
}

// nextSecond returns the time from which on resolvers count the TTL of what they have
// cached at t as one second less.
func nextSecond(t time.Time) time.Time {
	const margin = 20 * time.Millisecond
	return t.Truncate(time.Second).Add(time.Second + margin)
}

// waitUntil waits until a time, and reports whether it did so before ctx ended.
func waitUntil(ctx context.Context, t time.Time) bool {
	if wait := time.Until(t); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

func later(t, u time.Time) time.Time {
	if u.After(t) {
		return u
	}
	return t
}

// topControls returns the zones at the top that are controls for every lookup: the
// root and large top-level domains, whose nameservers are in many networks.
func topControls() []string { return []string{".", "com.", "net.", "org."} }

// controlsAbove returns the zones above a zone whose failure would explain its own:
// public suffixes, if the root has an anchor, and other zones with anchors. A
// private network may not reach the rest.
func (r *Resolver) controlsAbove(zone string) []string {
	var zones []string
	domain := registeredDomain(zone)
	for n := labels(zone) - 1; n > 0; n-- {
		above := suffix(zone, n)
		if len(r.anchors[above]) > 0 || r.topZone() == "." && n < labels(domain) {
			zones = append(zones, above)
		}
	}
	return zones
}
