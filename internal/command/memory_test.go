package command

import (
	"bytes"
	"io"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// TestTuneMemory checks GOGC and GOMEMLIMIT while serving, and that both are restored.
func TestTuneMemory(t *testing.T) {
	const before = 1 << 40
	noLimit := func() (uint64, error) { return 0, memlimit.ErrNoLimit }
	for _, test := range []struct {
		name        string
		environment map[string]string
		cgroup      memlimit.Provider
		percent     int
		limit       int64
	}{
		{"a cgroup of 512 MiB", nil, memlimit.Limit(512 << 20), maxGCPercent, 429496729},
		{"GOMEMLIMIT is set", map[string]string{"GOMEMLIMIT": "1TiB"}, memlimit.Limit(512 << 20), maxGCPercent, before},
		{"GOMEMLIMIT is off", map[string]string{"GOMEMLIMIT": "off"}, memlimit.Limit(512 << 20), maxGCPercent, before},
		{"GOGC is set", map[string]string{"GOGC": "50"}, memlimit.Limit(512 << 20), 100, 429496729},
		{"no limit", nil, noLimit, maxGCPercent, before},
		{"no cgroup", nil, func() (uint64, error) { return 0, io.ErrUnexpectedEOF }, maxGCPercent, before},
		{"no limit, as a large number", nil, memlimit.Limit(math.MaxInt64 &^ 4095), maxGCPercent, before},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer debug.SetGCPercent(debug.SetGCPercent(100))
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(before))
			s := newSession(nil, io.Discard, io.Discard)
			s.getenv = func(name string) string { return test.environment[name] }
			var log bytes.Buffer
			restore := s.tuneMemory(test.cgroup, slog.New(slog.NewTextHandler(&log, nil)))
			percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
			debug.SetGCPercent(percent)
			restore()
			// The live heap of the tests may be large.
			tuned := test.percent == maxGCPercent && percent >= minGCPercent && percent <= maxGCPercent
			if !tuned && percent != test.percent || limit != test.limit || (log.Len() > 0) != (limit != before) {
				t.Errorf("GOGC %d, memory limit %d, want %d and %d; log: %s", percent, limit, test.percent, test.limit, &log)
			}
			if percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1); percent != 100 || limit != before {
				t.Errorf("afterwards: GOGC %d, memory limit %d", percent, limit)
			}
		})
	}
}

func TestGCPercentOfHeap(t *testing.T) {
	for live, want := range map[uint64]int{0: 600, 1 << 20: 600, 4 << 20: 600, 8 << 20: 300, 12 << 20: 200, 32 << 20: 200, 64 << 20: 100, 100 << 20: 75, 1 << 40: 75} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d live bytes: GOGC %d, want %d", live, got, want)
		}
	}
}

// TestTuneGC checks that GOGC follows the live heap.
func TestTuneGC(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	stop := tuneGC()
	live := make([]byte, 200<<20)
	current := 0
	for current != minGCPercent { // until the test times out
		runtime.GC()
		current = debug.SetGCPercent(maxGCPercent)
		debug.SetGCPercent(current)
	}
	runtime.KeepAlive(live)
	stop()
	if after := debug.SetGCPercent(100); after != 100 {
		t.Errorf("GOGC %d after stop", after)
	}
}
