package web

import (
	"context"
	"errors"
	"sync"
	"time"
)

// limiter keeps the number of probes in flight below a limit, and makes a
// bounded number of others wait for a place, first come, first served.
type limiter struct {
	mu       sync.Mutex
	limit    int
	inFlight int
	waiting  []chan struct{} // each is closed when its owner has a place
}

// Why a probe was turned away, as the metrics' label says it.
const (
	rejectedFull = "queue_full" // as many wait already as may be in flight
	rejectedWait = "queue_wait" // no place came free in time
	rejectedGone = "client_gone"
)

// resize changes the limit. What is in flight stays.
func (l *limiter) resize(limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = limit
	l.admit()
}

// take waits for a place, at most for wait. It returns why there is none, or
// "": then leave must be called.
func (l *limiter) take(ctx context.Context, wait time.Duration) (rejected string) {
	place, full := l.enter()
	if full {
		return rejectedFull
	}
	select {
	case <-place: // without a look at the clock, where there is one at once
		return ""
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	select {
	case <-place:
		return ""
	case <-ctx.Done():
		rejected = rejectedWait
		if errors.Is(ctx.Err(), context.Canceled) {
			rejected = rejectedGone
		}
	}
	if !l.withdraw(place) {
		l.leave() // the place came in the same moment
	}
	return rejected
}

// enter takes a place or the end of the queue. full: there is neither.
func (l *limiter) enter() (place chan struct{}, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inFlight >= l.limit && len(l.waiting) >= l.limit {
		return nil, true
	}
	place = make(chan struct{})
	l.waiting = append(l.waiting, place)
	l.admit()
	return place, false
}

// withdraw leaves the queue; false: the place has been given already.
func (l *limiter) withdraw(place chan struct{}) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, waiting := range l.waiting {
		if waiting == place {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// leave gives a place back.
func (l *limiter) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	l.admit()
}

// admit gives free places to those who wait. The caller holds mu.
func (l *limiter) admit() {
	for l.inFlight < l.limit && len(l.waiting) > 0 {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.inFlight++
	}
}
