package dnssec_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// today is the moment at which every story is told.
var today = time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return today }

// story is one look-up: what the zones are, what is broken in them, what is
// asked, and what the verdict must be.
type story struct {
	name    string
	zones   []zone.Zone
	faults  []zone.Fault
	options dnssec.Options

	ask   string
	qtype uint16

	status  dnssec.Status
	why     string // a part of Answer.Why
	err     error
	rcode   int
	records int
	check   func(*testing.T, dnssec.Answer)
}

const nothingFound = 0

func tell(t *testing.T, stories []story) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			for _, guess := range []bool{true, false} {
				net, err := zone.New(clock, s.zones...)
				if err != nil {
					t.Fatal(err)
				}
				net.Break(s.faults...)
				r := dnssec.New(net, net.Anchors(), clock, s.options)
				r.Speculate(guess)
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				s.judge(t, guess, r.Lookup(ctx, s.ask, s.qtype))
				if again := r.Lookup(ctx, s.ask, s.qtype); again.Status != s.status || again.Why == "" {
					t.Errorf("asked again: %s (%s), and %s before", again.Status, again.Why, s.status)
				}
			}
		})
	}
}

func (s story) judge(t *testing.T, guess bool, a dnssec.Answer) {
	t.Helper()
	if a.Status != s.status || !errors.Is(a.Err, s.err) || (a.Err == nil) != (s.err == nil) || !strings.Contains(a.Why, s.why) {
		t.Errorf("guessing %v: %s %v: %s\nwanted %s %v: … %s …", guess, a.Status, a.Err, a.Why, s.status, s.err, s.why)
	}
	if !a.Status.Failed() && a.Rcode != s.rcode {
		t.Errorf("guessing %v: rcode %s, wanted %s", guess, dns.RcodeToString[a.Rcode], dns.RcodeToString[s.rcode])
	}
	if len(a.Records) != s.records {
		t.Errorf("guessing %v: %d records, wanted %d", guess, len(a.Records), s.records)
	}
	if a.Why == "" {
		t.Error("no why")
	}
	if s.check != nil {
		s.check(t, a)
	}
}

// world is a root, a top-level domain, and one zone with a mail server.
func world(records string, change ...func(*zone.Zone)) []zone.Zone {
	example := zone.Zone{Apex: "example.org.", Records: `
@ MX 10 mx
mx A 192.0.2.1
_25._tcp.mx TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000001
` + records}
	for _, f := range change {
		f(&example)
	}
	return []zone.Zone{{Apex: "org."}, example}
}

func nsec3(optOut bool, iterations uint16) func(*zone.Zone) {
	return func(z *zone.Zone) { z.NSEC3 = &zone.NSEC3{Iterations: iterations, Salt: "ab12", OptOut: optOut} }
}

const tlsa = "_25._tcp.mx.example.org."

func TestSecureAnswers(t *testing.T) {
	var stories []story
	for algorithm, name := range map[uint8]string{5: "RSASHA1", 7: "RSASHA1-NSEC3-SHA1", 8: "RSASHA256", 10: "RSASHA512",
		13: "ECDSAP256SHA256", 14: "ECDSAP384SHA384", 15: "ED25519"} {
		stories = append(stories, story{
			name:    "signed with " + name,
			zones:   world("", func(z *zone.Zone) { z.Algorithms = []uint8{algorithm} }),
			options: dnssec.Options{SHA1: dnssec.SHA1Accept},
			ask:     tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, why: name, records: 1,
			check: func(t *testing.T, a dnssec.Answer) {
				if len(a.Chain) != 3 || a.Chain[0].Zone != "." || a.Chain[2].Zone != "example.org." || !a.Chain[2].Keys[0].Signing {
					t.Errorf("chain: %+v", a.Chain)
				}
				if a.Zone.Expiry.Before(today) || a.Parents.Expiry.Before(today) || a.TTL <= 0 || a.Server == "" || a.Work.Signatures == 0 {
					t.Errorf("answer: %+v", a)
				}
			},
		})
	}
	tell(t, stories)
}
