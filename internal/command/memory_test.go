package command

import (
	"bytes"
	"io"
	"log/slog"
	"math"
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
		{"a cgroup of 512 MiB", nil, memlimit.Limit(512 << 20), gcPercent, 429496729},
		{"GOMEMLIMIT is set", map[string]string{"GOMEMLIMIT": "1TiB"}, memlimit.Limit(512 << 20), gcPercent, before},
		{"GOMEMLIMIT is off", map[string]string{"GOMEMLIMIT": "off"}, memlimit.Limit(512 << 20), gcPercent, before},
		{"GOGC is set", map[string]string{"GOGC": "50"}, memlimit.Limit(512 << 20), 100, 429496729},
		{"no limit", nil, noLimit, gcPercent, before},
		{"no cgroup", nil, func() (uint64, error) { return 0, io.ErrUnexpectedEOF }, gcPercent, before},
		{"no limit, as a large number", nil, memlimit.Limit(math.MaxInt64 &^ 4095), gcPercent, before},
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
			if percent != test.percent || limit != test.limit || (log.Len() > 0) != (limit != before) {
				t.Errorf("GOGC %d, memory limit %d, want %d and %d; log: %s", percent, limit, test.percent, test.limit, &log)
			}
			if percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1); percent != 100 || limit != before {
				t.Errorf("afterwards: GOGC %d, memory limit %d", percent, limit)
			}
		})
	}
}
