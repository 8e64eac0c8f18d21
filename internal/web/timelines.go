package web

import (
	"sync"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// maxTimelines is the maximum number of targets whose rollovers are recorded. A target of one
// host takes about 300 bytes.
const maxTimelines = 20_000

// timelines records the rollovers of all targets, from probe to probe. It is empty when the
// program starts.
type timelines struct {
	mu       sync.Mutex
	byTarget map[targetKey]dane.Timelines
}

// observe adds a probe to the timelines of its target, and the timelines to the report.
func (t *timelines) observe(r *probe.Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := targetKey{r.Target.String(), r.Module.Name}
	r.Timelines = t.byTarget[key].Observe(r.Verdict.Services, r.End())
	if len(r.Timelines) == 0 {
		delete(t.byTarget, key)
		return
	}
	if t.byTarget == nil {
		t.byTarget = make(map[targetKey]dane.Timelines)
	}
	if _, ok := t.byTarget[key]; !ok && len(t.byTarget) >= maxTimelines {
		for other := range t.byTarget { // any
			delete(t.byTarget, other)
			break
		}
	}
	t.byTarget[key] = r.Timelines
}
