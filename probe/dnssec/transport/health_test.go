package transport

import (
	"testing"
	"time"
)

func TestHealth(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return start.Add(d) }

	t.Run("one failure changes nothing", func(t *testing.T) {
		var h health
		h.failed(at(0))
		if !h.good(at(0)) {
			t.Error("set aside")
		}
	})
	t.Run("failures that are not in a row change nothing", func(t *testing.T) {
		var h health
		for range 5 {
			h.failed(at(0))
			h.answered()
		}
		if !h.good(at(0)) {
			t.Error("set aside")
		}
	})
	t.Run("many failures at once are one silence", func(t *testing.T) {
		var h health
		for range 100 {
			h.failed(at(0))
		}
		if h.good(at(firstPause-1)) || !h.good(at(firstPause)) {
			t.Errorf("set aside until %s, want %s", h.until, at(firstPause))
		}
	})
	t.Run("one trial at a time", func(t *testing.T) {
		var h health
		h.failed(at(0))
		h.failed(at(0))
		h.asked(at(firstPause))
		if h.good(at(firstPause)) {
			t.Error("a second query waits for the same silence")
		}
		h.answered()
		if !h.good(at(firstPause)) {
			t.Error("set aside though it answers")
		}
	})
	t.Run("pauses double up to the longest", func(t *testing.T) {
		var h health
		h.failed(at(0))
		h.failed(at(0))
		now, last := at(0), time.Duration(0)
		for range 50 {
			pause := h.until.Sub(now)
			if want := min(max(2*last, firstPause), longest); pause != want {
				t.Fatalf("a pause of %s after one of %s", pause, last)
			}
			now, last = h.until, pause
			h.asked(now)
			h.failed(now)
		}
		if last != longest {
			t.Errorf("the last pause is %s", last)
		}
	})
}
