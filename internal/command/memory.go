package command

import (
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Limits of GOGC while serving, unless the operator sets it. Go lets the heap grow to 4 MiB
// times GOGC/100 in any case; with 600, that is minGarbage.
const (
	maxGCPercent = 600
	minGCPercent = 75
)

// Limits of the garbage that may accumulate between two collections, in bytes. The limits of
// GOGC take precedence. With few targets, little memory is live, and without a minimum a
// collection took an eighth of the CPU time of a probe in internal/bench. Above the maximum,
// more garbage takes much memory and saves little CPU time.
const (
	minGarbage = 24 << 20
	maxGarbage = 64 << 20
)

// gcPercent returns GOGC for a heap with a number of live bytes: 200 within the limits.
func gcPercent(live uint64) int {
	allowed := min(max(2*live, minGarbage), maxGarbage)
	return int(min(max(100*allowed/max(live, 1), minGCPercent), maxGCPercent))
}

// tuneGC sets GOGC after each collection. stop ends that and restores GOGC.
func tuneGC() (stop func()) {
	var mu sync.Mutex // guards GOGC
	stopped := false
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	var tune func()
	tune = func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		metrics.Read(live)
		debug.SetGCPercent(gcPercent(live[0].Value.Uint64()))
		// The cleanup of an unreachable object runs after the next collection. The object has 16
		// bytes because smaller ones share blocks, which may live longer.
		runtime.AddCleanup(new([16]byte), func(tune func()) { tune() }, tune)
	}
	before := debug.SetGCPercent(maxGCPercent)
	tune()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		debug.SetGCPercent(before)
	}
}

// memoryShare is the ratio of GOMEMLIMIT to the memory limit of the cgroup. The rest is
// for memory that the Go runtime does not count, such as the binary and kernel buffers,
// and for what is allocated before a collection ends. With 0.9, TestHostileFleet once
// exceeded GOMEMLIMIT by 45 MiB on a busy machine, and the kernel ended the process.
const memoryShare = 0.8

// tuneMemory sets GOGC, and sets GOMEMLIMIT to a share of the limit that cgroupLimit
// returns. It does not change values that the operator has set by environment
// variables. restore undoes it.
func (s *session) tuneMemory(cgroupLimit memlimit.Provider, logger *slog.Logger) (restore func()) {
	restoreGC, limit := func() {}, int64(-1)
	if s.getenv("GOGC") == "" {
		restoreGC = tuneGC()
	}
	if s.getenv("GOMEMLIMIT") == "" {
		// An error means that there is no limit, or none that can be read: Go's
		// default remains.
		if bytes, err := memlimit.ApplyRatio(cgroupLimit, memoryShare)(); err == nil && bytes < math.MaxInt64/2 {
			limit = debug.SetMemoryLimit(int64(bytes))
			logger.Info("Memory limit set from the cgroup", "GOMEMLIMIT", bytes)
		}
	}
	return func() {
		restoreGC()
		if limit >= 0 {
			debug.SetMemoryLimit(limit)
		}
	}
}
