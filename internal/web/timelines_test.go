package web

import (
	"fmt"
	"testing"
	"time"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// TestTimelinesAreBounded observes more targets than are followed. A target that cannot be
// judged keeps its timelines.
func TestTimelinesAreBounded(t *testing.T) {
	var followed timelines
	report := func(name string, services ...dane.ServiceVerdict) *probe.Report {
		return &probe.Report{Target: probe.Target{Name: name}, Start: time.Unix(1, 0), Verdict: dane.Verdict{Services: services}}
	}
	service := dane.ServiceVerdict{Host: "mx.example.org", Port: 25, Service: new(dane.Service)}
	for i := range maxTimelines + 10 {
		followed.observe(report(fmt.Sprintf("%d.example.org", i), service))
	}
	if n := len(followed.byTarget); n != maxTimelines {
		t.Errorf("%d targets are followed, want %d", n, maxTimelines)
	}
	last := report(fmt.Sprintf("%d.example.org", maxTimelines+9))
	followed.observe(last)
	if _, ok := last.Timelines[service.Key()]; !ok {
		t.Error("a report without services loses the timelines of its target")
	}
}
