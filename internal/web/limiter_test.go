package web

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestLimiter runs requests through the queue, with the clock of a synctest
// bubble.
func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l limiter
		l.setLimit(2)
		type result struct {
			err    error
			waited time.Duration
		}
		acquire := func(ctx context.Context) <-chan result {
			done := make(chan result, 1)
			start := time.Now()
			go func() { done <- result{l.acquire(ctx, time.Second), time.Since(start)} }()
			synctest.Wait()
			return done
		}
		want := func(name string, got <-chan result, err error, waited time.Duration) {
			t.Helper()
			if got := <-got; got != (result{err, waited}) {
				t.Errorf("%s: got %+v, want %v after %v", name, got, err, waited)
			}
		}
		background := t.Context()

		want("first", acquire(background), nil, 0)
		want("second", acquire(background), nil, 0)
		third := acquire(background)
		cancelled, cancel := context.WithCancel(background)
		fourth := acquire(cancelled)
		want("fifth, with two waiting", acquire(background), rejectedQueueFull, 0)

		time.Sleep(300 * time.Millisecond) // of the bubble's clock
		cancel()
		want("fourth, its client disconnected", fourth, rejectedClientGone, 300*time.Millisecond)
		l.release()
		want("third, after a release", third, nil, 300*time.Millisecond)

		want("sixth, no release", acquire(background), rejectedQueueWait, time.Second)
		short, cancel := context.WithTimeout(background, 100*time.Millisecond)
		defer cancel()
		want("seventh, the scrape ends first", acquire(short), rejectedQueueWait, 100*time.Millisecond)

		eighth := acquire(background)
		l.setLimit(3)
		want("eighth, after a higher limit", eighth, nil, 0)
		for range 3 {
			l.release()
		}
		if l.inFlight != 0 || len(l.queue) != 0 {
			t.Errorf("at the end: %d in flight, %d waiting; want none", l.inFlight, len(l.queue))
		}
	})
}

// TestLimiterWithoutWait: a wait of 0 takes a free slot and does not wait for one.
func TestLimiterWithoutWait(t *testing.T) {
	var l limiter
	l.setLimit(1)
	if err := l.acquire(t.Context(), 0); err != nil {
		t.Errorf("free slot: got %v", err)
	}
	if err := l.acquire(t.Context(), 0); err != rejectedQueueWait {
		t.Errorf("no free slot: got %v, want %v", err, rejectedQueueWait)
	}
	l.release()
	if err := l.acquire(t.Context(), 0); err != nil {
		t.Errorf("after a release: got %v", err)
	}
}
