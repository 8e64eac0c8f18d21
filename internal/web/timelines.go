package web

import (
	"sync"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// maxTimelines is the maximum number of targets whose rollovers are recorded. A target of one
// host takes about half a kilobyte.
const maxTimelines = 20_000

// timelines records the rollovers of all targets, from probe to probe. It is empty when the
// program starts.
type timelines struct {
	mu       sync.Mutex
	byTarget map[targetKey]map[dane.ServiceKey]dane.Timeline
}

// observe adds a probe to the timelines of its target, and the timelines to the report.
func (t *timelines) observe(r *probe.Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := targetKey{r.Target.String(), r.Module.Name}
	known := t.byTarget[key]
	if len(r.Verdict.Services) == 0 {
		r.Timelines = known
		return
	}
	r.Timelines = make(map[dane.ServiceKey]dane.Timeline, len(r.Verdict.Services))
	end := r.Start.Add(r.Duration) // every answer is older
	for i := range r.Verdict.Services {
		v := &r.Verdict.Services[i]
		r.Timelines[v.Key()] = known[v.Key()].Observe(v, end)
	}
	if t.byTarget == nil {
		t.byTarget = make(map[targetKey]map[dane.ServiceKey]dane.Timeline)
	}
	if _, ok := t.byTarget[key]; !ok && len(t.byTarget) >= maxTimelines {
		for other := range t.byTarget { // any
			delete(t.byTarget, other)
			break
		}
	}
	t.byTarget[key] = r.Timelines
}
