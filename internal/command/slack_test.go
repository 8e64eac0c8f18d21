package command

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

// TestSlack: the collection is deferred while slack is kept, by as much as GOGC
// says of 24 MiB, and a memory limit leaves as much to the exporter as before.
func TestSlack(t *testing.T) {
	for _, story := range []struct {
		name        string
		percent     int // GOGC
		limit, kept int64
	}{
		{"as Go is", 100, math.MaxInt64, math.MaxInt64},
		{"a sparing operator", 50, math.MaxInt64, math.MaxInt64},
		{"a memory limit", 100, 1 << 30, 1<<30 + slack},
	} {
		t.Run(story.name, func(t *testing.T) {
			defer debug.SetGCPercent(debug.SetGCPercent(story.percent))
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(story.limit))
			before := nextCollection()
			release := keepSlack()
			during, kept := nextCollection(), debug.SetMemoryLimit(-1)
			release()
			after, limit := nextCollection(), debug.SetMemoryLimit(-1)
			// The slack itself, and the garbage that may lie beside it, give or take what else goes on.
			const most = 4 << 20
			want := slack + slack*int64(story.percent)/100
			if got := during - before; got < want-most || got > want+most {
				t.Errorf("the next collection is at %d bytes instead of %d, want %d more", during, before, want)
			}
			if after > before+most {
				t.Errorf("the next collection is at %d bytes after the slack was released, and was at %d", after, before)
			}
			if kept != story.kept || limit != story.limit {
				t.Errorf("the memory limit is %d while slack is kept and %d after it, want %d and %d", kept, limit, story.kept, story.limit)
			}
		})
	}
}

// nextCollection is how large the heap may grow until garbage is collected.
func nextCollection() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.NextGC)
}
