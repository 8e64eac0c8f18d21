package dnssec

import (
	"container/list"
	"sync"
	"time"
)

// zoneCache keeps what was proven of names until TTL or signatures end: zones,
// secure and insecure, and names that are no zone cut; no verdict rests on the
// latter, they only spare useless queries. That a zone is bogus it remembers
// for a few seconds. Of too many entries, or too many bytes, the one unused for
// longest goes first.
type zoneCache struct {
	mu       sync.Mutex
	most     int // entries
	mostSize int // bytes, as sizeOf estimates
	entries  map[string]*list.Element
	order    *list.List // of *cacheEntry, the last used first
	bytes    int
	hits     uint64
	misses   uint64
}

// bogusMemory is how long a zone that failed to validate is not asked for
// again (RFC 4035 §4.7, required by RFC 9520): long enough that a crowd of
// look-ups is one failure, and so short that a repair is seen by the next probe.
const bogusMemory = 5 * time.Second

// clockSlack is how much earlier than an entry a look-up may have begun that
// uses it. Where it is more, the clock was set back, and what was kept until a
// moment of the other time would be kept for as long as the clock was wrong.
const clockSlack = 5 * time.Minute

// known is what the cache has of a name: a zone, or that it is bogus, and why;
// neither: the name is no zone cut.
type known struct {
	zone  *zone
	fault *fault
}

type cacheEntry struct {
	known
	name  string
	made  time.Time
	until time.Time
	size  int
	used  bool // by a look-up after the one that made it
}

func newZoneCache(entries, bytes int) *zoneCache {
	return &zoneCache{most: entries, mostSize: bytes, entries: make(map[string]*list.Element), order: list.New()}
}

// get returns what is known of a name at a time.
func (c *zoneCache) get(name string, at time.Time) (k known, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.entries[name]
	if element == nil {
		return known{}, false
	}
	entry := element.Value.(*cacheEntry)
	early := at.Before(entry.made.Add(-clockSlack))
	if early || at.After(entry.until) || entry.zone != nil && !entry.zone.holds(at) {
		c.remove(element)
		return known{}, false
	}
	c.order.MoveToFront(element)
	return entry.known, true
}

// use notes that a look-up rests on a zone, and says whether it is the one kept.
func (c *zoneCache) use(z *zone) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.entries[z.name]
	if element == nil || element.Value.(*cacheEntry).zone != z {
		return false
	}
	element.Value.(*cacheEntry).used = true
	return true
}

// tops lists the root and the top-level domains that are kept.
func (c *zoneCache) tops() []cacheEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []cacheEntry
	for name, element := range c.entries {
		if entry := element.Value.(*cacheEntry); entry.zone != nil && labels(name) <= 1 {
			list = append(list, *entry)
		}
	}
	return list
}

// put keeps what is known of a name at a time. A zone is not displaced by lesser
// knowledge.
func (c *zoneCache) put(name string, k known, at, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.entries[name]; element != nil {
		if k.zone == nil && element.Value.(*cacheEntry).zone != nil {
			return
		}
		c.remove(element)
	}
	entry := &cacheEntry{name: name, known: k, made: at, until: until, size: sizeOf(name, k)}
	c.entries[name] = c.order.PushFront(entry)
	c.bytes += entry.size
	for c.order.Len() > c.most || c.bytes > c.mostSize {
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
func sizeOf(name string, k known) int {
	size := 200 + 2*len(name)
	if k.fault != nil {
		size += 100 + len(k.fault.why)
	}
	if k.zone == nil {
		return size
	}
	size += 400 + len(k.zone.link.Why) + 16*len(k.zone.link.Keys) + 8*len(k.zone.link.DS)
	for _, key := range k.zone.keys {
		size += 400 + 4*len(key.rdata) + len(key.Hdr.Name)
	}
	return size
}
