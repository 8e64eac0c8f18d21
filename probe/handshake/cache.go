package handshake

import (
	"container/list"
	"sync"
	"time"

	"dane_exporter/probe/dane"
)

// Bounds of the cache.
const (
	maxCacheEntries = 4096
	maxCacheBytes   = 32 << 20 // estimated
)

// cache keeps the results of recent handshakes, each for a fixed time. Beyond its
// bounds it drops the oldest first. It is safe for concurrent use; the results
// are shared and never modified.
type cache struct {
	lifetime time.Duration
	mu       sync.Mutex
	entries  map[Key]*list.Element
	order    *list.List // of *entry, oldest first
	bytes    int
}

type entry struct {
	key     Key
	attempt attempt
	expires time.Time
	bytes   int
}

func newCache(lifetime time.Duration) *cache {
	return &cache{lifetime: lifetime, entries: make(map[Key]*list.Element), order: list.New()}
}

// get returns the attempt of a key, if there is one that has not expired.
func (c *cache) get(key Key) (attempt, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.evict()
	if element, ok := c.entries[key]; ok {
		return element.Value.(*entry).attempt, true
	}
	return attempt{}, false
}

// put keeps an attempt whose result will hold for a while.
func (c *cache) put(key Key, a attempt) {
	if c.lifetime <= 0 || !cacheable(a.endpoint.Err) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.entries[key]; ok {
		c.remove(element)
	}
	e := &entry{key: key, attempt: a, expires: time.Now().Add(c.lifetime), bytes: a.endpoint.MemSize()}
	c.entries[key] = c.order.PushBack(e)
	c.bytes += e.bytes
	c.evict()
}

// cacheable reports whether the result may stand for the next attempt: a
// complete handshake, or the server's answer that it does not do STARTTLS. Any
// other failure may be gone a second later, and to repeat it costs the server little.
func cacheable(err error) bool {
	if err == nil {
		return true
	}
	cause := causeOfDialogue(err)
	return cause == dane.CauseStartTLSNotOffered || cause == dane.CauseStartTLSRejected
}

// evict drops what has expired, and the oldest entries beyond the bounds.
func (c *cache) evict() {
	now := time.Now()
	for element := c.order.Front(); element != nil; element = c.order.Front() {
		if c.order.Len() <= maxCacheEntries && c.bytes <= maxCacheBytes && now.Before(element.Value.(*entry).expires) {
			return
		}
		c.remove(element)
	}
}

func (c *cache) remove(element *list.Element) {
	e := c.order.Remove(element).(*entry)
	delete(c.entries, e.key)
	c.bytes -= e.bytes
}
