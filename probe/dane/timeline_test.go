package dane

import (
	"testing"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

// TestTimeline follows a rollover from probe to probe: a new record, first at one of two
// nameservers, its key, and the removal of the old record.
func TestTimeline(t *testing.T) {
	const name = "mx.example.org"
	day := 24 * time.Hour
	root := issue(t, "root", nil, nil, noon.Add(-day), noon.Add(400*day))
	old := issue(t, name, root, nil, noon.Add(-day), noon.Add(90*day))
	next := issue(t, name, root, nil, noon, noon.Add(90*day))
	oldRecord, nextRecord := record(tlsa.DANEEE, tlsa.SPKI, old), record(tlsa.DANEEE, tlsa.SPKI, next)
	at := func(hour int) time.Time { return noon.Add(time.Duration(hour) * time.Hour) }

	var timeline Timeline
	observe := func(hour int, sent *certificate, everywhere bool, records ...string) Timeline {
		service := Service{TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, records...)}}
		service.TLSA[0].Answer.TTL = time.Hour
		service.Endpoints = []Endpoint{failedAt(StageNone, errorWithCause(CauseTimeout))}
		if sent != nil {
			service.Endpoints = []Endpoint{completed(chainOf(t, sent, root))}
		}
		second := tlsaLookup(dnssec.Secure, name, records...).Answer
		if !everywhere {
			second = tlsaLookup(dnssec.Secure, name, oldRecord).Answer
		}
		service.Nameservers = &Nameservers{Servers: []Nameserver{{TLSA: &service.TLSA[0].Answer}, {TLSA: &second}}}
		facts := &Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name), service)}}
		verdict := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay}, at(hour))
		before := timeline
		timeline = timeline.Observe(&verdict.Services[0], at(hour))
		return before
	}
	check := func(stage string, inProgress bool, want ...TimelineStep) {
		t.Helper()
		if timeline.InProgress() != inProgress || len(timeline.Steps) != len(want) {
			t.Fatalf("%s: in progress %t, steps %v", stage, timeline.InProgress(), timeline.Steps)
		}
		for i, step := range timeline.Steps {
			w := want[i]
			if !step.Published.Equal(w.Published) || !step.Everywhere.Equal(w.Everywhere) || !step.Served.Equal(w.Served) || !step.Replaced.Equal(w.Replaced) || step.TTL != time.Hour {
				t.Errorf("%s: step %d: %+v, want %+v", stage, i, step, w)
			}
		}
	}
	observe(0, old, true, oldRecord)
	check("before", false, TimelineStep{Published: at(0), Everywhere: at(0), Served: at(0)})
	first := TimelineStep{Published: at(0), Everywhere: at(0), Served: at(0)}
	observe(1, old, false, oldRecord, nextRecord)
	check("at one nameserver", true, first, TimelineStep{Published: at(1)})
	if safe := timeline.Steps[1].Safe(); !safe.IsZero() {
		t.Errorf("safe at %s while one nameserver lacks it", safe)
	}
	before := observe(2, old, true, oldRecord, nextRecord)
	check("at both", true, first, TimelineStep{Published: at(1), Everywhere: at(2)})
	if !before.Steps[1].Everywhere.IsZero() {
		t.Error("the timeline of the report before was changed")
	}
	observe(3, nil, true, oldRecord, nextRecord)
	check("no handshake", true, first, TimelineStep{Published: at(1), Everywhere: at(2)})
	observe(4, next, true, oldRecord, nextRecord)
	first.Replaced = at(4)
	check("replaced", true, first, TimelineStep{Published: at(1), Everywhere: at(2), Served: at(4)})
	if safe, removable := timeline.Steps[1].Safe(), timeline.Steps[0].Removable(); !safe.Equal(at(4)) || !removable.Equal(at(6)) {
		t.Errorf("safe at %s, removable at %s", safe, removable)
	}
	observe(6, next, true, nextRecord)
	check("removed", true, TimelineStep{Published: at(1), Everywhere: at(2), Served: at(4)})
}
