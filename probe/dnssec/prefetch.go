package dnssec

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// KeepWarm keeps the zones at the top of every chain of trust in the cache, so that no
// lookup waits for them. It prefetches the zones with trust anchors and the largest
// top-level domains. Then it refreshes the zones with trust anchors and every top-level
// domain in use before they expire. It also records which zones answer, to distinguish
// an outage of the resolvers from an outage of a zone. It returns when ctx ends.
func (r *Resolver) KeepWarm(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { r.keepWitnesses(ctx) })
	r.Prefetch(ctx, r.initialZones()...)
	for {
		timer := time.NewTimer(r.refreshDelay())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		r.Prefetch(ctx, r.dueZones()...)
	}
}

// KeepWarm checks the zones every refreshInterval. It refreshes a zone
// refreshAhead before it expires, or when a tenth of its lifetime is left,
// whichever is earlier. A resolver that returns the rest of its own TTL is thus
// queried a few times more, and a change of keys is seen in time.
const (
	refreshInterval = time.Minute
	refreshAhead    = 2 * time.Minute
)

// Prefetch validates zones, even if the cache holds them, and caches them. It
// returns when all are validated or ctx ends. Upper zones come first, because no
// verdict outlives that on the zone above. A zone that does not validate leaves
// the cache unchanged.
func (r *Resolver) Prefetch(ctx context.Context, zones ...string) {
	levels := make(map[int][]question)
	for _, zone := range zones {
		if q, err := newQuestion(zone, dns.TypeDNSKEY); err == nil {
			levels[labels(q.name)] = append(levels[labels(q.name)], q)
		}
	}
	for _, level := range slices.Sorted(maps.Keys(levels)) {
		var group sync.WaitGroup
		for _, q := range levels[level] {
			group.Go(func() {
				// The result is in the cache. The flight group recovers panics.
				_, _, _ = r.prefetches.Do(ctx, q.name, r.options.QueryTimeout, func(ctx context.Context, _ func(Answer)) Answer {
					l := r.newLookup(q, upstream{}, r.limits)
					l.refresh = q.name
					return l.run(ctx)
				})
			})
		}
		group.Wait()
	}
}

// initialZones returns the zones that are prefetched at the start.
func (r *Resolver) initialZones() []string {
	zones := slices.Collect(maps.Keys(r.anchors))
	if len(r.anchors["."]) > 0 {
		zones = append(zones, "com.", "net.", "org.")
	}
	return zones
}

// dueZones returns the zones to refresh: of those with anchors and the top-level
// domains in use, the ones that expire soon.
func (r *Resolver) dueZones() []string {
	at := r.now()
	var zones []string
	for _, e := range r.cache.topLevel() {
		left, life := e.until.Sub(at), e.until.Sub(e.stored)
		keep := e.used || len(r.anchors[e.name]) > 0
		if keep && left < max(refreshAhead, life/10) {
			zones = append(zones, e.name)
		}
	}
	for zone := range r.anchors { // zones that were not available yet
		if _, ok := r.cache.get(zone, at); !ok && !slices.Contains(zones, zone) {
			zones = append(zones, zone)
		}
	}
	return zones
}

// refreshDelay returns the time until the next check: a second after the next
// zone expires, and at most refreshInterval.
func (r *Resolver) refreshDelay() time.Duration {
	at := r.now()
	delay := refreshInterval
	for _, e := range r.cache.topLevel() {
		if left := e.until.Sub(at); left > 0 {
			delay = min(delay, left+time.Second)
		}
	}
	return delay
}
