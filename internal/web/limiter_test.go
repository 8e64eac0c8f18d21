package web

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestLimiter tells a queue's life, on a clock of its own.
func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l limiter
		l.resize(2)
		type visit struct {
			result string
			waited time.Duration
		}
		come := func(ctx context.Context) <-chan visit {
			done := make(chan visit, 1)
			start := time.Now()
			go func() { done <- visit{l.take(ctx, time.Second), time.Since(start)} }()
			synctest.Wait()
			return done
		}
		want := func(name string, of <-chan visit, result string, waited time.Duration) {
			t.Helper()
			if got := <-of; got != (visit{result, waited}) {
				t.Errorf("%s: %+v, want %q after %v", name, got, result, waited)
			}
		}
		background := t.Context()

		want("the first", come(background), "", 0)
		want("the second", come(background), "", 0)
		third := come(background)
		leaving, leave := context.WithCancel(background)
		fourth := come(leaving)
		want("the fifth finds two waiting", come(background), rejectedFull, 0)

		time.Sleep(300 * time.Millisecond) // of the bubble's clock
		leave()
		want("the fourth does not want to wait", fourth, rejectedGone, 300*time.Millisecond)
		l.leave()
		want("the third has the place that came free", third, "", 300*time.Millisecond)

		want("the sixth waits in vain", come(background), rejectedWait, time.Second)
		hurried, cancel := context.WithTimeout(background, 100*time.Millisecond)
		defer cancel()
		want("the seventh has a scrape that ends", come(hurried), rejectedWait, 100*time.Millisecond)

		eighth := come(background)
		l.resize(3)
		want("the eighth is let in by a new limit", eighth, "", 0)
		for range 3 {
			l.leave()
		}
		if l.inFlight != 0 || len(l.waiting) != 0 {
			t.Errorf("in the end: %d in flight, %d waiting", l.inFlight, len(l.waiting))
		}
	})
}

// TestLimiterWithoutWait: a place that is free is had at once, even by those
// who would not wait.
func TestLimiterWithoutWait(t *testing.T) {
	var l limiter
	l.resize(1)
	if got := l.take(t.Context(), 0); got != "" {
		t.Errorf("got %q", got)
	}
	if got := l.take(t.Context(), 0); got != rejectedWait {
		t.Errorf("got %q", got)
	}
	l.leave()
	if got := l.take(t.Context(), 0); got != "" {
		t.Errorf("got %q", got)
	}
}
