package dnssec

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Keep holds the zones at the top of every chain of trust ready, so that no
// look-up waits for them: those with trust anchors and the largest top-level
// domains from the start, and whichever top-level domains are used. Each is
// asked for again before its time ends. Keep returns when ctx ends.
func (r *Resolver) Keep(ctx context.Context) {
	r.Prime(ctx, r.tops()...)
	for {
		timer := time.NewTimer(r.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		r.Prime(ctx, r.ageing()...)
	}
}

// How often the zones at the top are looked through, and how long before its
// end one is asked for again at the latest; before a tenth of its life is left
// in any case. A resolver that gives what is left of its own TTL is so asked a
// few times more, and a zone whose keys change is seen in good time.
const (
	keepInterval = time.Minute
	keepAhead    = 2 * time.Minute
)

// Prime judges zones anew, whatever the cache has of them, and returns when all
// are judged or ctx ends. Those above come first, since no verdict outlives that
// on the zone above. What does not validate changes nothing.
func (r *Resolver) Prime(ctx context.Context, zones ...string) {
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
				// The cache has what there is to know; a flight catches what panics.
				_, _, _ = r.priming.Do(ctx, q.name, r.options.QueryTimeout, func(ctx context.Context, _ func(Answer)) Answer {
					g := r.newGathering(q, via{}, r.limits)
					g.anew = q.name
					return g.run(ctx)
				})
			})
		}
		group.Wait()
	}
}

// tops are the zones to begin with.
func (r *Resolver) tops() []string {
	var zones []string
	for zone := range r.anchors {
		zones = append(zones, zone)
	}
	if len(r.anchors["."]) > 0 {
		zones = append(zones, "com.", "net.", "org.")
	}
	return zones
}

// ageing lists the zones to ask for again: those with anchors, and top-level
// domains that were used.
func (r *Resolver) ageing() []string {
	at := r.now()
	var zones []string
	for _, e := range r.cache.tops() {
		left, life := e.until.Sub(at), e.until.Sub(e.made)
		wanted := e.used || len(r.anchors[e.name]) > 0
		if wanted && left < max(keepAhead, life/10) {
			zones = append(zones, e.name)
		}
	}
	for zone := range r.anchors { // one that could not be had yet
		if _, ok := r.cache.get(zone, at); !ok && !slices.Contains(zones, zone) {
			zones = append(zones, zone)
		}
	}
	return zones
}

// pause is how long nothing need be done: until a moment after the next zone at
// the top ends, and not for long.
func (r *Resolver) pause() time.Duration {
	at := r.now()
	pause := keepInterval
	for _, e := range r.cache.tops() {
		if left := e.until.Sub(at); left > 0 {
			pause = min(pause, left+time.Second)
		}
	}
	return pause
}
