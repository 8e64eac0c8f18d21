package dnssec

import (
	"container/list"
	"sync"
	"time"
)

// zoneCache keeps zones that were judged, secure and insecure, until their
// TTL or signatures end; of too many, the one unused for longest goes first.
// Bogus is never kept. It also keeps names that are no zone cut: no verdict
// rests on those, they only spare useless queries.
type zoneCache struct {
	mu      sync.Mutex
	limit   int
	entries map[string]*list.Element
	order   *list.List // of *cacheEntry, the last used first
	bytes   int
	hits    uint64
	misses  uint64
}

type cacheEntry struct {
	name  string
	zone  *zone // nil: the name is no zone cut
	until time.Time
	size  int
}

func newZoneCache(limit int) *zoneCache {
	return &zoneCache{limit: limit, entries: make(map[string]*list.Element), order: list.New()}
}

// get returns what is known of a name at a time.
func (c *zoneCache) get(name string, at time.Time) (z *zone, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.entries[name]
	if element == nil {
		return nil, false
	}
	entry := element.Value.(*cacheEntry)
	if at.After(entry.until) || entry.zone != nil && !entry.zone.holds(at) {
		c.remove(element)
		return nil, false
	}
	c.order.MoveToFront(element)
	return entry.zone, true
}

// put keeps a zone, or, where z is nil, that name is no zone cut. A zone is
// not displaced by the lesser knowledge.
func (c *zoneCache) put(name string, z *zone, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.entries[name]; element != nil {
		if z == nil && element.Value.(*cacheEntry).zone != nil {
			return
		}
		c.remove(element)
	}
	entry := &cacheEntry{name: name, zone: z, until: until, size: sizeOf(name, z)}
	c.entries[name] = c.order.PushFront(entry)
	c.bytes += entry.size
	for c.order.Len() > c.limit {
		c.remove(c.order.Back())
	}
}

func (c *zoneCache) remove(element *list.Element) {
	entry := c.order.Remove(element).(*cacheEntry)
	delete(c.entries, entry.name)
	c.bytes -= entry.size
}

// count notes how many zones of a look-up came from the cache.
func (c *zoneCache) count(hits, misses int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hits += uint64(hits)
	c.misses += uint64(misses)
}

func (c *zoneCache) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{CacheEntries: c.order.Len(), CacheBytes: c.bytes, CacheHits: c.hits, CacheMisses: c.misses}
}

// sizeOf estimates the memory of an entry: its text, and a flat sum for the rest.
func sizeOf(name string, z *zone) int {
	size := 200 + 2*len(name)
	if z == nil {
		return size
	}
	size += 400 + len(z.link.Why) + 16*len(z.link.Keys) + 8*len(z.link.DS)
	for _, key := range z.keys {
		size += 100 + len(key.PublicKey) + len(key.Hdr.Name)
	}
	return size
}
