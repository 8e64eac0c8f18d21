package dnssec_test

import (
	"cmp"
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

	"dane_exporter/probe/dnssec"
)

// TestScenario runs every scenario of testdata/*.txt (the README there describes
// the format), with and without speculative queries, and each question twice:
// neither speculation nor caches may change a verdict.
func TestScenario(t *testing.T) {
	t.Parallel()
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
					// A virtual clock, so that a server that does not answer costs no time.
					synctest.Test(t, s.run)
				})
			}
		})
	}
}

func (s *scenario) run(t *testing.T) {
	with, without := s.play(t, true), s.play(t, false)
	for i := range with {
		if !reflect.DeepEqual(with[i], without[i]) {
			t.Errorf("%s: the verdict depends on speculation:\nwith    %+v\nwithout %+v", s.asks[i].at, with[i], without[i])
		}
	}
}

// play looks up the questions of the scenario with a new resolver.
func (s *scenario) play(t *testing.T, speculate bool) []summary {
	now := today
	transport := newCountingTransport(s.net)
	r := dnssec.New(transport, s.trustAnchors, func() time.Time { return now }, s.options)
	r.Speculate(speculate)
	s.limits.apply(r)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var verdicts []summary
	for _, ask := range s.asks {
		now = today.Add(ask.later)
		a := r.Lookup(ctx, ask.name, ask.qtype)
		for _, problem := range ask.want.compare(a, transport.count) {
			t.Errorf("%s: %s\nspeculate %v: %s: %s", ask.at, problem, speculate, a.Status, a.Why)
		}
		verdict := summarize(a)
		r.ClearFailures()
		again := summarize(r.Lookup(ctx, ask.name, ask.qtype))
		// The retries that found a difference may not be needed again.
		again.Differ = verdict.Differ
		if verdict.Error != "limit" && !reflect.DeepEqual(again, verdict) {
			t.Errorf("%s: speculate %v: the second lookup is\n%+v, the first\n%+v", ask.at, speculate, again, verdict)
		}
		verdicts = append(verdicts, verdict)
	}
	return verdicts
}

// summary is the part of an Answer that must not depend on speculation or caches.
type summary struct {
	Status    dnssec.Status
	Error     string
	Rcode     int
	Canonical string
	Aliases   []dnssec.Alias
	Records   []string
	Differ    bool
	FaultZone string
}

func summarize(a dnssec.Answer) summary {
	e := summary{Status: a.Status, Error: errorWord(a.Err), Canonical: a.Canonical, Aliases: a.Aliases, Differ: a.Inconsistent != "", FaultZone: a.FaultZone}
	if !a.Status.Failed() {
		e.Rcode = a.Rcode
	}
	for _, rr := range a.Records {
		e.Records = append(e.Records, rr.String())
	}
	return e
}

// errorWords are the errors of lookups, as scenarios name them.
var errorWords = map[string]error{
	"unreachable": dnssec.ErrUnreachable,
	"stripped":    dnssec.ErrStripped,
	"root":        dnssec.ErrRootBogus,
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

// compare returns the differences between an answer and the expectation. asked
// returns the number of queries for a question.
func (w expectation) compare(a dnssec.Answer, asked func(string) int) []string {
	var problems []string
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if a.Status != w.status {
		wrong("%s, want %s", a.Status, w.status)
	}
	if got := errorWord(a.Err); got != w.err {
		wrong("error %q, want %q", got, w.err)
	}
	if !w.status.Failed() && a.Rcode != w.rcode {
		wrong("%s, want %s", dns.RcodeToString[a.Rcode], dns.RcodeToString[w.rcode])
	}
	if len(a.Records) != w.records {
		wrong("%d records, want %d", len(a.Records), w.records)
	}
	if w.canonical != "" && a.Canonical != w.canonical {
		wrong("canonical name %s, want %s", a.Canonical, w.canonical)
	}
	if got := cmp.Or(a.FaultZone, "none"); w.faultZone != "" && got != w.faultZone {
		wrong("the zone at fault is %s, want %s", got, w.faultZone)
	}
	if a.FaultZone != "" && !a.Status.Failed() {
		wrong("the lookup did not fail, and the zone at fault is %s", a.FaultZone)
	}
	if w.ttl >= 0 && a.TTL != w.ttl {
		wrong("TTL %s, want %s", a.TTL, w.ttl)
	}
	if w.ede != "" && !strings.Contains(strings.Join(a.EDE, "\n"), w.ede) {
		wrong("extended errors %q, want %q", a.EDE, w.ede)
	}
	if (a.Inconsistent != "") != w.differ {
		wrong("inconsistent: %q", a.Inconsistent)
	}
	for _, why := range w.why {
		if !strings.Contains(a.Why, why) {
			wrong("Why does not contain %q", why)
		}
	}
	spent := map[string]int{"queries": a.Work.Queries, "signatures": a.Work.Signatures, "hashes": a.Work.Hashes}
	for what, most := range w.atMost {
		if spent[what] > most {
			wrong("%d %s, want at most %d", spent[what], what, most)
		}
	}
	for question, want := range w.asked {
		if n := asked(question); (n > 0) != want {
			wrong("%s was asked %d times", question, n)
		}
	}
	return problems
}

func (l testLimits) apply(r *dnssec.Resolver) {
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
