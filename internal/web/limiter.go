package web

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// limiter bounds the number of concurrent probes or pages. Requests above the limit wait
// in a queue, first come, first served, that is as long as the limit or backlog.
type limiter struct {
	backlog  int
	mu       sync.Mutex
	limit    int
	inFlight int
	queue    []chan struct{} // each is closed when its request gets a slot
}

// rejection is the reason why a probe got no slot: a value of the label reason
// of dane_exporter_probes_rejected_total.
type rejection string

const (
	rejectedQueueFull  rejection = "queue_full"
	rejectedQueueWait  rejection = "queue_wait"  // no slot became free in time
	rejectedClientGone rejection = "client_gone" // the client disconnected while it waited
)

func (r rejection) Error() string { return "probe rejected: " + string(r) }

// setLimit changes the limit. It does not end probes in flight.
func (l *limiter) setLimit(limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = limit
	l.grant()
}

// acquire waits for a slot, until ctx is done or for at most wait. The caller
// must call release after it returns nil. Any error is a rejection.
func (l *limiter) acquire(ctx context.Context, wait time.Duration) error {
	slot, err := l.enqueue()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	select {
	case <-slot:
		return nil
	case <-ctx.Done():
	}
	switch {
	case !l.dequeue(slot): // it was granted before ctx was done, or in the meantime
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return rejectedClientGone
	default:
		return rejectedQueueWait
	}
}

// enqueue appends a request to the queue and grants it a slot if one is free. It
// returns rejectedQueueFull if neither is possible.
func (l *limiter) enqueue() (chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inFlight >= l.limit && len(l.queue) >= max(l.limit, l.backlog) {
		return nil, rejectedQueueFull
	}
	slot := make(chan struct{})
	l.queue = append(l.queue, slot)
	l.grant()
	return slot, nil
}

// dequeue removes a request from the queue. It returns false if the request has
// a slot already.
func (l *limiter) dequeue(slot chan struct{}) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.queue, slot)
	if i < 0 {
		return false
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	return true
}

// release returns a slot.
func (l *limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	l.grant()
}

// grant gives free slots to the requests at the front of the queue. The caller
// holds mu.
func (l *limiter) grant() {
	for l.inFlight < l.limit && len(l.queue) > 0 {
		close(l.queue[0])
		l.queue = l.queue[1:]
		l.inFlight++
	}
}
