package command

import (
	"log/slog"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent is GOGC while serving, unless the operator sets it. The default of 100 takes
// 7 % more CPU for a probe in internal/bench. 400 takes no less CPU, and 90 MiB more
// memory with 10,000 targets.
const gcPercent = 200

// memoryShare is the ratio of GOMEMLIMIT to the memory limit of the cgroup. The rest is
// for memory that the Go runtime does not count, such as the binary and kernel buffers,
// and for what is allocated before a collection ends. With 0.9, TestHostileFleet once
// exceeded GOMEMLIMIT by 45 MiB on a busy machine, and the kernel ended the process.
const memoryShare = 0.8

// tuneMemory sets GOGC, and sets GOMEMLIMIT to a share of the limit that cgroupLimit
// returns. It does not change values that the operator has set by environment
// variables. restore undoes it.
func (s *session) tuneMemory(cgroupLimit memlimit.Provider, logger *slog.Logger) (restore func()) {
	percent, limit := -1, int64(-1)
	if s.getenv("GOGC") == "" {
		percent = debug.SetGCPercent(gcPercent)
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
		if percent >= 0 {
			debug.SetGCPercent(percent)
		}
		if limit >= 0 {
			debug.SetMemoryLimit(limit)
		}
	}
}
