package dnssec

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// zoneCache holds verdicts on names until their TTL or their signatures end: zones,
// secure and insecure, and names that are no zone cut. It holds bogus zones for
// failureTTL. The same replies would prove a cached verdict again. Earlier lookups
// therefore save queries and change no verdict. If it exceeds its limit, it evicts
// the least recently used entry.
type zoneCache struct {
	maxBytes int // as estimated by sizeOf

	mu      sync.Mutex
	entries map[string]*list.Element
	order   *list.List // of *cacheEntry, most recently used first
	bytes   int
	hits    uint64
	misses  uint64
}

// clockSlack is how much older than an entry a lookup that uses it may be. If it
// is older still, the clock was set back, and the entry would outlive its TTL by
// the error of the clock.
const clockSlack = 5 * time.Minute

// cachedName is what the cache holds about a name. It is a zone, the fault of a
// bogus zone, or the proof that the name is no zone cut. If it is empty, the name
// probably is no zone cut. That only saves speculative queries.
type cachedName struct {
	zone  *zone
	fault *fault
	noCut *noZoneCut
}

type cacheEntry struct {
	name   string
	value  cachedName
	stored time.Time
	until  time.Time
	size   int
	used   bool // by a lookup after the one that stored it
}

func newZoneCache(maxBytes int) *zoneCache {
	return &zoneCache{maxBytes: maxBytes, entries: make(map[string]*list.Element), order: list.New()}
}

// get returns what is cached about a name at a time.
func (c *zoneCache) get(name string, at time.Time) (value cachedName, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.entries[name]
	if element == nil {
		return cachedName{}, false
	}
	entry := element.Value.(*cacheEntry)
	early := at.Before(entry.stored.Add(-clockSlack))
	if early || at.After(entry.until) || entry.value.zone != nil && !entry.value.zone.validAt(at) {
		c.remove(element)
		return cachedName{}, false
	}
	c.order.MoveToFront(element)
	return entry.value, true
}

// use marks the entry of a zone as used, and reports whether the cache holds
// that zone.
func (c *zoneCache) use(z *zone) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.entries[z.name]
	if element == nil || element.Value.(*cacheEntry).value.zone != z {
		return false
	}
	element.Value.(*cacheEntry).used = true
	return true
}

// topLevel returns the entries of the root and of top-level domains.
func (c *zoneCache) topLevel() []cacheEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []cacheEntry
	for name, element := range c.entries {
		if entry := element.Value.(*cacheEntry); entry.value.zone != nil && labels(name) <= 1 {
			list = append(list, *entry)
		}
	}
	return list
}

// put caches a verdict on a name. A zone is replaced only by a zone.
func (c *zoneCache) put(name string, value cachedName, at, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.entries[name]; element != nil {
		if value.zone == nil && element.Value.(*cacheEntry).value.zone != nil {
			return
		}
		c.remove(element)
	}
	entry := &cacheEntry{name: name, value: value, stored: at, until: until, size: sizeOf(name, value)}
	c.entries[name] = c.order.PushFront(entry)
	c.bytes += entry.size
	for c.bytes > c.maxBytes {
		c.remove(c.order.Back())
	}
}

func (c *zoneCache) remove(element *list.Element) {
	entry := c.order.Remove(element).(*cacheEntry)
	delete(c.entries, entry.name)
	c.bytes -= entry.size
}

// count adds to the counters of hits and misses.
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

// sizeOf estimates the size of an entry in bytes: its text, and a constant for
// the rest.
func sizeOf(name string, value cachedName) int {
	size := 200 + 2*len(name)
	if value.fault != nil {
		size += 100 + len(value.fault.why)
	}
	if value.zone == nil {
		return size
	}
	link := value.zone.link
	size += 400 + len(link.Why) + 16*len(link.Keys) + 8*len(link.DS)
	for _, key := range value.zone.keys {
		size += 400 + 4*len(key.rdata) + len(key.record.Hdr.Name)
	}
	return size
}

// sigCache holds the digests of signatures that verified, so that their
// arithmetic is not repeated for each probe. It proves only that a key made a
// signature over some octets: dates, names and what the key may sign are checked
// each time. The cache has two generations of equal size. When the current one
// is full, it becomes the previous one, and the signatures that were not used
// since are dropped.
type sigCache struct {
	size int // of one generation

	mu                sync.Mutex
	current, previous map[sigKey]struct{}
}

// sigKey is the digest of a key, the octets signed, and the signature.
type sigKey [sha256.Size]byte

// bytesPerSig is the ratio of the size of the cache of zones, in bytes, to the number of
// entries of the cache of signatures: a signed zone takes about 2 KB and needs up to four
// entries. Each entry takes about 80 bytes.
const bytesPerSig = 512

func newSigCache(entries int) *sigCache {
	return &sigCache{size: max(1, entries/2), current: make(map[sigKey]struct{})}
}

// newSigKey computes a sigKey. The length in front of each part makes it
// unambiguous.
func newSigKey(k *key, data, signature []byte) (id sigKey) {
	hash := sha256.New()
	var length [4]byte
	for _, part := range [][]byte{k.rdata, data, signature} {
		binary.BigEndian.PutUint32(length[:], uint32(len(part)))
		hash.Write(length[:])
		hash.Write(part)
	}
	hash.Sum(id[:0])
	return id
}

// has reports whether a signature is cached.
func (c *sigCache) has(id sigKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.current[id]; ok {
		return true
	}
	_, ok := c.previous[id]
	if ok {
		c.addLocked(id)
	}
	return ok
}

// add caches a signature that verified.
func (c *sigCache) add(id sigKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addLocked(id)
}

func (c *sigCache) addLocked(id sigKey) {
	if len(c.current) >= c.size {
		c.previous, c.current = c.current, make(map[sigKey]struct{})
	}
	c.current[id] = struct{}{}
}
