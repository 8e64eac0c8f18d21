package dane

import (
	"errors"
	"testing"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

// issueNext returns a root, and the current and the next certificate of a server.
func issueNext(t *testing.T, name string) (root, current, next *certificate) {
	const day = 24 * time.Hour
	root = issue(t, "root", nil, nil, noon.Add(-day), noon.Add(400*day))
	current = issue(t, name, root, nil, noon.Add(-day), noon.Add(90*day))
	return root, current, issue(t, name, root, nil, noon, noon.Add(90*day))
}

// TestTimeline follows a rollover from probe to probe: a new record, first at one of two
// nameservers, its key, and the removal of the old record.
func TestTimeline(t *testing.T) {
	const name = "mx.example.org"
	root, old, next := issueNext(t, name)
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

// TestTimelineSafe follows the record of a next key from probe to probe, one in an hour. The
// first probe sees the old record only.
func TestTimelineSafe(t *testing.T) {
	const name = "mx.example.org"
	root, old, next := issueNext(t, name)
	oldRecord, nextRecord := record(tlsa.DANEEE, tlsa.SPKI, old), record(tlsa.DANEEE, tlsa.SPKI, next)
	type probe struct {
		ttl    time.Duration
		second string // what the second nameserver does; empty: nameservers are not queried
	}
	for _, c := range []struct {
		name, sentence string
		probes         []probe
		want           time.Duration // from the first probe until the key is safe to serve; 0: not known
	}{
		{"at once", "Two TTLs after both nameservers have it.", []probe{{time.Hour, "old"}, {time.Hour, "both"}}, 3 * time.Hour},
		{"later", "The later nameserver counts.", []probe{{time.Hour, "old"}, {time.Hour, "old"}, {time.Hour, "both"}}, 4 * time.Hour},
		{"never", "A nameserver lacks it.", []probe{{time.Hour, "old"}, {time.Hour, "old"}}, 0},
		{"silent", "A nameserver that does not answer may lack it.", []probe{{time.Hour, "old"}, {time.Hour, "silent"}}, 0},
		{"bogus", "Resolvers do not accept its answer.", []probe{{time.Hour, "old"}, {time.Hour, "bogus"}}, 0},
		{"silent later", "It had the record.", []probe{{time.Hour, "old"}, {time.Hour, "both"}, {time.Hour, "silent"}}, 3 * time.Hour},
		{"lost", "A nameserver returned to the old zone.", []probe{{time.Hour, "old"}, {time.Hour, "both"}, {time.Hour, "old"}}, 0},
		{"lost and found", "The time starts again.", []probe{{time.Hour, "old"}, {time.Hour, "both"}, {time.Hour, "old"}, {time.Hour, "both"}}, 5 * time.Hour},
		{"another record at one nameserver", "Both have this one.", []probe{{time.Hour, "old"}, {time.Hour, "both"}, {time.Hour, "more"}}, 3 * time.Hour},
		{"TTL lowered with the change", "Resolvers have the old records for the old TTL.", []probe{{time.Hour, "old"}, {time.Minute, "both"}}, 3 * time.Hour},
		{"TTL raised with the change", "The new TTL counts.", []probe{{time.Minute, "old"}, {time.Hour, "both"}}, 3 * time.Hour},
		{"wildcard", "Resolvers keep the records longer than the proof of the wildcard.", []probe{{time.Hour, "old"}, {time.Hour, "both, as a wildcard"}}, 5 * time.Hour},
		{"alias", "The nameservers of the alias may have another one.", []probe{{time.Hour, "old"}, {time.Hour, "both, by an alias"}}, 0},
		{"nameservers not queried", "The first probe that sees the record counts.", []probe{{time.Hour, ""}, {time.Hour, ""}}, 3 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			var timeline Timeline
			for hour, p := range c.probes {
				records := []string{oldRecord}
				if hour > 0 {
					records = append(records, nextRecord)
				}
				service := Service{TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, records...)}, Endpoints: []Endpoint{completed(chainOf(t, old, root))}}
				service.TLSA[0].Answer.TTL = p.ttl
				second := tlsaLookup(dnssec.Secure, name, records...).Answer
				server := Nameserver{TLSA: &second}
				switch p.second {
				case "old":
					second = tlsaLookup(dnssec.Secure, name, oldRecord).Answer
				case "more":
					second = tlsaLookup(dnssec.Secure, name, append(records, record(tlsa.DANEEE, tlsa.Cert, next))...).Answer
				case "bogus":
					second.Status = dnssec.Bogus
				case "both, as a wildcard":
					second.Records[0].Header().Ttl = 7200
				case "both, by an alias":
					service.TLSA[0].Answer.Aliases = []dnssec.Alias{{From: "_25._tcp.mx.example.org", To: "tlsa.example.org", Status: dnssec.Secure}}
				case "silent":
					server = Nameserver{Err: errors.New("no answer")}
				}
				if p.second != "" {
					service.Nameservers = &Nameservers{Servers: []Nameserver{{TLSA: &service.TLSA[0].Answer}, server}}
				}
				facts := &Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name), service)}}
				at := noon.Add(time.Duration(hour) * time.Hour)
				verdict := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay}, at)
				timeline = timeline.Observe(&verdict.Services[0], at)
			}
			if len(timeline.Steps) != 2 {
				t.Fatalf("steps %+v", timeline.Steps)
			}
			var got time.Duration
			if safe := timeline.Steps[1].Safe(); !safe.IsZero() {
				got = safe.Sub(noon)
			}
			if got != c.want {
				t.Errorf("%s\nsafe after %s, want %s: %+v", c.sentence, got, c.want, timeline.Steps[1])
			}
		})
	}
}
