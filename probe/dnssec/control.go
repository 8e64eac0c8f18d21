package dnssec

import (
	"context"
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
	controlRecent                      // the same, but it cached these records within this second
	controlAnswers                     // the answer comes from the zone
)

// Time limits of a control. A resolver that fails with CD=1 is queried again with
// CD=0.
const (
	controlTime   = 3 * time.Second
	controlCDTime = 2 * time.Second // of which with CD=1
)

// controls runs controls, one at a time for each zone, and keeps their results for the
// lookups that were in progress meanwhile. Concurrent lookups that fail thus cost few
// queries.
type controls struct {
	flights flight.Group[string, controlResult]

	mu      sync.Mutex
	results map[string]controlResult
}

type controlResult struct {
	state   controlState
	started time.Time
	queries int
}

// maxControls is the maximum number of results kept.
const maxControls = 256

// control returns the outcome of a control of zone that started at since or later,
// and the number of queries that were sent for it. It is unclear if ctx ends.
func (r *Resolver) control(ctx context.Context, zone string, since time.Time) (state controlState, queries int) {
	if known, ok := r.controls.get(zone, since); ok {
		return known.state, 0
	}
	for ctx.Err() == nil {
		result, joined, err := r.controls.flights.Do(ctx, zone, controlTime, func(ctx context.Context, _ func(controlResult)) controlResult {
			result := controlResult{started: time.Now()}
			result.state, result.queries = r.runControl(ctx, zone, r.retryServers())
			r.controls.put(zone, result)
			return result
		})
		switch {
		case err != nil:
			return controlUnclear, 0
		case !result.started.Before(since):
			if joined {
				result.queries = 0
			}
			return result.state, result.queries
		}
	}
	return controlUnclear, 0
}

func (c *controls) get(zone string, since time.Time) (controlResult, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	result, ok := c.results[zone]
	return result, ok && !result.started.Before(since)
}

func (c *controls) put(zone string, result controlResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.results == nil || len(c.results) >= maxControls {
		c.results = make(map[string]controlResult)
	}
	c.results[zone] = result
}

// runControl queries servers for a random name in zone, in parallel, and returns
// the best outcome. A query that is not answered before ctx ends has failed.
func (r *Resolver) runControl(ctx context.Context, zone string, servers []string) (best controlState, queries int) {
	q, err := newQuestion(fmt.Sprintf("dane-exporter-%016x.%s", rand.Uint64(), strings.TrimPrefix(zone, ".")), dns.TypeA)
	if err != nil { // too long
		return controlUnclear, 0
	}
	withCD, cancel := context.WithTimeout(ctx, controlCDTime)
	defer cancel()
	best = r.exchangeControl(withCD, q, servers, false)
	if best != controlFails || ctx.Err() != nil {
		return best, len(servers)
	}
	return r.exchangeControl(ctx, q, servers, true), 2 * len(servers)
}

// exchangeControl sends one question to each server, in parallel.
func (r *Resolver) exchangeControl(ctx context.Context, q question, servers []string, checking bool) (best controlState) {
	states := make(chan controlState, len(servers))
	for _, server := range servers {
		go func() {
			state := controlUnclear // a panic is no failure of the resolver
			defer func() {
				_ = recover()
				states <- state
			}()
			state = controlStateOf(r.exchange(ctx, query{q, upstream{server, checking}}))
		}()
	}
	for range servers {
		if best = max(best, <-states); best == controlAnswers { // the others would change nothing
			break
		}
	}
	return best
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

// nextSecond waits until resolvers count the TTL of what they have cached as one
// second less.
func nextSecond(ctx context.Context) {
	const margin = 20 * time.Millisecond
	now := time.Now()
	timer := time.NewTimer(now.Truncate(time.Second).Add(time.Second + margin).Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// topControls returns the zones at the top that are controls for every lookup: the
// root and large top-level domains, whose nameservers are in many networks. If the
// root has no anchor, they are the zones with anchors.
func (r *Resolver) topControls() []string {
	if r.topZone() != "." {
		return slices.Sorted(maps.Keys(r.anchors))
	}
	return []string{".", "com.", "net.", "org."}
}

// topLevelOf returns the top-level domain above name, or the deepest zone with an
// anchor if the root has none.
func (r *Resolver) topLevelOf(name string) string {
	if r.topZone() == "." {
		return suffix(name, min(1, labels(name)))
	}
	for n := labels(name); n > 0; n-- {
		if len(r.anchors[suffix(name, n)]) > 0 {
			return suffix(name, n)
		}
	}
	return r.topZone()
}
