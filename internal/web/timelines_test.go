package web

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

// TestTimelinesAreBounded observes more targets than are followed. A target that cannot be
// judged keeps its timelines.
func TestTimelinesAreBounded(t *testing.T) {
	var followed timelines
	report := func(name string, services ...dane.ServiceVerdict) *probe.Report {
		return &probe.Report{Target: probe.Target{Name: name}, Start: time.Unix(1, 0), Verdict: dane.Verdict{Services: services}}
	}
	service := dane.ServiceVerdict{Host: "mx.example.org", Port: 25, Service: new(dane.Service),
		Answer: new(dnssec.Answer), Endpoints: []dane.EndpointVerdict{{Matches: []tlsa.Match{{}}}}}
	for i := range maxTimelines + 10 {
		followed.observe(report(fmt.Sprintf("%d.example.org", i), service))
	}
	if n := len(followed.byTarget); n != maxTimelines {
		t.Errorf("%d targets are followed, want %d", n, maxTimelines)
	}
	last := report(fmt.Sprintf("%d.example.org", maxTimelines+9))
	followed.observe(last)
	if _, ok := last.Timelines.Of(service.Key()); !ok {
		t.Error("a report without services loses the timelines of its target")
	}
}

// TestTimelineOfServices probes a mail server with four services: each has a timeline.
func TestTimelineOfServices(t *testing.T) {
	prober, _ := labProber(t)
	f := newFixture(t, prober, nil)
	f.get("/probe?target=services-one-broken.lab.test&module=mail_server")
	for _, followed := range f.timelines.byTarget {
		served := make(map[uint16]bool)
		for _, timeline := range followed {
			key := timeline.Service
			if key.Host != "services-one-broken.lab.test" || len(timeline.Steps) != 1 {
				t.Errorf("%v: %+v", key, timeline)
				continue
			}
			served[key.Port] = !timeline.Steps[0].Served.IsZero()
		}
		if want := map[uint16]bool{25: true, 465: false, 587: true, 993: true}; !maps.Equal(served, want) {
			t.Errorf("served %v, want %v", served, want)
		}
	}
	if n := len(f.timelines.byTarget); n != 1 {
		t.Errorf("%d targets", n)
	}
}

// TestTimelinePage checks that the page shows the timeline of each record of a rollover,
// and none if there is one record.
func TestTimelinePage(t *testing.T) {
	prober, _ := labProber(t)
	f := newFixture(t, prober, nil)
	f.get("/probe?target=rollover.lab.test")
	f.wantPage("/report?target=rollover.lab.test", 200, "<h4>Rollover</h4>", `<ol class="timeline"><li><span>published</span> <time>before the first probe</time></li>`,
		"<li><span>safe to serve</span> <time>20", "<li><span>served</span> <time>not yet</time></li>")
	f.get("/probe?target=good.lab.test")
	if _, page := f.get("/report?target=good.lab.test"); strings.Contains(page, "Rollover</h4>") {
		t.Error("the page shows a rollover of one record")
	}
}
