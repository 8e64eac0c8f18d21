package dnssec

import "time"

// Speculate switches speculative queries on or off.
func (r *Resolver) Speculate(on bool) { r.speculate = on }

// These methods lower the limits of a Resolver.
func (r *Resolver) LimitSignatures(n int)   { r.limits.signatures = n }
func (r *Resolver) LimitQueries(n int)      { r.limits.queries = n }
func (r *Resolver) LimitRetryQueries(n int) { r.limits.retryQueries = n }
func (r *Resolver) LimitHashes(n int)       { r.limits.hashes = n }

// LimitSigCache replaces the cache of signatures by one with n entries.
func (r *Resolver) LimitSigCache(n int) { r.sigs = newSigCache(n) }

// DisableSigCache switches the cache of signatures off.
func (r *Resolver) DisableSigCache() { r.sigs = nil }

// ClearZoneCache empties the cache of zones.
func (r *Resolver) ClearZoneCache() { r.cache = newZoneCache(1 << 20) }

// Fork returns a Resolver with the settings and a copy of the caches of r, without the
// failed lookups. The cache of signatures, on which no verdict depends, is shared.
func (r *Resolver) Fork() *Resolver {
	fork := &Resolver{transport: r.transport, anchors: r.anchors, now: r.now, options: r.options, limits: r.limits,
		speculate: r.speculate, cache: newZoneCache(r.options.CacheBytes), failures: newFailureCache(r.failures.size), sigs: r.sigs,
		witnesses: newWitnesses(), suspicion: make(chan struct{}, 1)}
	for element := r.cache.order.Back(); element != nil; element = element.Prev() {
		entry := element.Value.(*cacheEntry)
		fork.cache.put(entry.name, entry.value, entry.stored, entry.until)
	}
	fork.outage.seen, fork.outage.why = r.outage.seen, r.outage.why
	return fork
}

// DroppedCD is droppedCD.
type DroppedCD struct{ d droppedCD }

func (d *DroppedCD) Record(server string, at time.Time)     { d.d.record(server, at) }
func (d *DroppedCD) Clear(upstream, server string)          { d.d.clear(upstream, server) }
func (d *DroppedCD) Lasts(server string, at time.Time) bool { return d.d.lasts(server, at) }

// LimitFailures limits the number of cached failures, and Failures returns it.
// ClearFailures empties the cache, so that a lookup that failed is repeated.
func (r *Resolver) LimitFailures(n int) { r.failures.size = n }
func (r *Resolver) Failures() int       { return len(r.failures.entries) }
func (r *Resolver) ClearFailures()      { clear(r.failures.entries) }

// SizeOfQuery is the memory of a query that waits for its reply.
const SizeOfQuery = sizeOfQuery
