package dnssec_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestScenario tells every scenario of testdata/*.txt (its README explains how
// they are written), each with queries on a guess and without, and each
// question twice: guesses and caches may change no verdict.
func TestScenario(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			scenarios, err := readScenarios(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range scenarios {
				t.Run(s.name, func(t *testing.T) {
					// Time in here is not the world's: who is silent costs none of it.
					synctest.Test(t, s.tell)
				})
			}
		})
	}
}

func (s *scenario) tell(t *testing.T) {
	net, anchors, err := s.build()
	if err != nil {
		t.Fatal(err)
	}
	guessing, asking := s.play(t, net, anchors, true), s.play(t, net, anchors, false)
	for i := range guessing {
		if !reflect.DeepEqual(guessing[i], asking[i]) {
			t.Errorf("%s: the verdict depends on guesses:\nwith    %+v\nwithout %+v", s.asks[i].at, guessing[i], asking[i])
		}
	}
}

// play asks the scenario's questions of a new resolver.
func (s *scenario) play(t *testing.T, net *zone.Internet, anchors []dnssec.Anchor, guess bool) []essence {
	now := today
	w := newWire(net)
	r := dnssec.New(w, anchors, func() time.Time { return now }, s.options)
	r.Speculate(guess)
	s.limits.apply(r)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var verdicts []essence
	for _, ask := range s.asks {
		now = today.Add(ask.later)
		a := r.Lookup(ctx, ask.name, ask.qtype)
		for _, problem := range ask.want.judge(a, w.count) {
			t.Errorf("%s: %s\nguessing %v: %s: %s", ask.at, problem, guess, a.Status, a.Why)
		}
		verdict := essenceOf(a)
		again := essenceOf(r.Lookup(ctx, ask.name, ask.qtype))
		// What is cached is not asked for again, and costs less.
		again.Differ = verdict.Differ
		if verdict.Error != "limit" && !reflect.DeepEqual(again, verdict) {
			t.Errorf("%s: guessing %v: asked again it is\n%+v, and before\n%+v", ask.at, guess, again, verdict)
		}
		verdicts = append(verdicts, verdict)
	}
	return verdicts
}

// essence is what of an Answer may not depend on how it was come by.
type essence struct {
	Status    dnssec.Status
	Error     string
	Rcode     int
	Canonical string
	Aliases   []dnssec.Alias
	Records   []string
	Differ    bool
}

func essenceOf(a dnssec.Answer) essence {
	e := essence{Status: a.Status, Error: errorWord(a.Err), Canonical: a.Canonical, Aliases: a.Aliases, Differ: a.Inconsistent != ""}
	if !a.Status.Failed() {
		e.Rcode = a.Rcode
	}
	for _, rr := range a.Records {
		e.Records = append(e.Records, rr.String())
	}
	return e
}

// errorWords are the errors of look-ups, as scenarios name them.
var errorWords = map[string]error{
	"unreachable": dnssec.ErrUnreachable,
	"stripped":    dnssec.ErrStripped,
	"server":      dnssec.ErrServer,
	"limit":       dnssec.ErrLimit,
	"deadline":    dnssec.ErrDeadline,
}

func errorWord(err error) string {
	for word, known := range errorWords {
		if errors.Is(err, known) {
			return word
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// judge lists what is not as it was expected. asked counts how often a question
// was put to the resolvers.
func (w expectation) judge(a dnssec.Answer, asked func(string) int) []string {
	var problems []string
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if a.Status != w.status {
		wrong("%s, and %s expected", a.Status, w.status)
	}
	if got := errorWord(a.Err); got != w.err {
		wrong("error %q, and %q expected", got, w.err)
	}
	if !w.status.Failed() && a.Rcode != w.rcode {
		wrong("%s, and %s expected", dns.RcodeToString[a.Rcode], dns.RcodeToString[w.rcode])
	}
	if len(a.Records) != w.records {
		wrong("%d records, and %d expected", len(a.Records), w.records)
	}
	if w.canonical != "" && a.Canonical != w.canonical {
		wrong("canonical name %s, and %s expected", a.Canonical, w.canonical)
	}
	if w.ttl >= 0 && a.TTL != w.ttl {
		wrong("TTL %s, and %s expected", a.TTL, w.ttl)
	}
	if w.ede != "" && !strings.Contains(strings.Join(a.EDE, "\n"), w.ede) {
		wrong("extended errors %q, and %q expected", a.EDE, w.ede)
	}
	if (a.Inconsistent != "") != w.differ {
		wrong("inconsistent: %q", a.Inconsistent)
	}
	for _, why := range w.why {
		if !strings.Contains(a.Why, why) {
			wrong("the why lacks %q", why)
		}
	}
	spent := map[string]int{"queries": a.Work.Queries, "signatures": a.Work.Signatures, "hashes": a.Work.Hashes}
	for what, most := range w.atMost {
		if spent[what] > most {
			wrong("%d %s, and at most %d expected", spent[what], what, most)
		}
	}
	for question, want := range w.asked {
		if n := asked(question); (n > 0) != want {
			wrong("%s was asked %d times", question, n)
		}
	}
	return problems
}

func (l lowered) apply(r *dnssec.Resolver) {
	for what, n := range l {
		switch what {
		case "signatures":
			r.LimitSignatures(n)
		case "queries":
			r.LimitQueries(n)
		case "hashes":
			r.LimitHashes(n)
		}
	}
}
