package transport

import (
	"slices"
	"sync"
	"time"
)

// How a server that fails is passed over.
const (
	tolerated  = 2               // failures in a row that change nothing yet
	firstPause = 5 * time.Second // how long it is then asked last
	longest    = 5 * time.Minute // that pause doubles with each failed trial, up to this
)

// health remembers whether a server answered lately. One that failed several
// times in a row is set aside: it is asked after the others. Once its pause is
// over, the next query to it is a trial, which counts as failed until it is
// answered, so that no second query waits for the same silence.
type health struct {
	mutex    sync.Mutex
	failures int           // in a row
	pause    time.Duration // the last, zero if there was none
	until    time.Time     // when the pause ends
}

// good says whether the server is asked in its turn: it was not set aside, or
// is due for a trial.
func (h *health) good(now time.Time) bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return !now.Before(h.until)
}

// asked notes that a query goes out.
func (h *health) asked(now time.Time) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.pause > 0 && !now.Before(h.until) {
		h.setAside(now)
	}
}

// answered notes a response, whatever it says: the past is forgotten.
func (h *health) answered() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.failures, h.pause, h.until = 0, 0, time.Time{}
}

// failed notes that a query brought no response, or brought it too late.
func (h *health) failed(now time.Time) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if now.Before(h.until) {
		return // known, and the trial was counted beforehand
	}
	if h.failures++; h.failures >= tolerated {
		h.setAside(now)
	}
}

func (h *health) setAside(now time.Time) {
	h.pause = min(max(2*h.pause, firstPause), longest)
	h.until = now.Add(h.pause)
}

// byHealth puts the servers that were set aside behind the others. Else the
// order of the configuration stands. The list is not to be written to.
func byHealth(servers []*server, now time.Time) []*server {
	if !slices.ContainsFunc(servers, func(s *server) bool { return !s.health.good(now) }) {
		return servers
	}
	var good, aside []*server
	for _, s := range servers {
		if s.health.good(now) {
			good = append(good, s)
		} else {
			aside = append(aside, s)
		}
	}
	return append(good, aside...)
}
