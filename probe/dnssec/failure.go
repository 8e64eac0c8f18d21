package dnssec

import (
	"errors"
	"sync"
	"time"
)

// failureTTL is how long a failure is cached. It applies to one lookup, to a zone
// (RFC 4035 §4.7, required by RFC 9520 §3.4), and to an outage of all resolvers. RFC
// 9520 §3.2 demands between a second and five minutes. It recommends a longer time
// while the failure persists. failureTTL is constant, so that the next probe sees a
// repair.
const failureTTL = 5 * time.Second

// failureCache holds the answers of lookups that failed, by question, for
// failureTTL. So many probes of the same name fail only once.
type failureCache struct {
	size int // maximum number of entries

	mu      sync.Mutex
	entries map[question]failure
}

type failure struct {
	answer Answer
	at     time.Time
}

// failureEntries is the size of the cache. An entry takes a few kilobytes.
const failureEntries = 1000

func newFailureCache(size int) *failureCache {
	return &failureCache{size: size, entries: make(map[question]failure)}
}

// get returns the answer to q that is cached at a time. It costs no work.
func (c *failureCache) get(q question, at time.Time) (Answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.entries[q]
	if !ok || !f.validAt(at) {
		return Answer{}, false
	}
	f.answer.Work = Work{}
	return f.answer, true
}

// put caches the answer to q if it is a failure. A full cache drops the failures that
// ended, or all.
func (c *failureCache) put(q question, a Answer, at time.Time) {
	if !isFailure(a) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= c.size {
		for other, f := range c.entries {
			if !f.validAt(at) {
				delete(c.entries, other)
			}
		}
		if len(c.entries) >= c.size {
			clear(c.entries)
		}
	}
	c.entries[q] = failure{a, at}
}

func (f failure) validAt(at time.Time) bool {
	return !at.Before(f.at.Add(-clockSlack)) && !at.After(f.at.Add(failureTTL))
}

// isFailure reports whether a lookup failed because of the zone or the resolvers. A
// lookup that ended by a timeout, by a budget, by its callers or by a panic may succeed
// at the next attempt.
func isFailure(a Answer) bool {
	return a.Status.Failed() && !errors.Is(a.Err, ErrDeadline) && !errors.Is(a.Err, ErrInternal) && !errors.Is(a.Err, ErrBudget)
}
