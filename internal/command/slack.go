package command

import (
	"math"
	"runtime"
	"runtime/debug"
)

// slack is how much garbage may lie about before it is collected, in bytes,
// beside what the garbage collector allows in any case. What an exporter holds is
// a few megabytes, so that it would be collected for every score of probes, and
// that took a quarter of the CPU.
const slack = 24 << 20

// keepSlack holds slack until release is called. It is counted as memory in
// use, and so defers the collection, by as much as GOGC says; since nobody writes
// to it, it takes none. The runtime's memory limit (GOMEMLIMIT) counts it too, and
// is raised by it, so that the operator's limit is on what is taken.
func keepSlack() (release func()) {
	unused := make([]byte, slack)
	limit := debug.SetMemoryLimit(-1) // which only asks
	if limit < math.MaxInt64-slack {
		debug.SetMemoryLimit(limit + slack)
	}
	return func() {
		debug.SetMemoryLimit(limit)
		runtime.KeepAlive(unused)
	}
}
