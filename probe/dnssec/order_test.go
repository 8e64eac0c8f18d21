package dnssec_test

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
)

// orderQuestions limits the questions of one scenario in TestOrder. The time of the
// test grows with their square. With 7, it takes about six seconds of one CPU for
// all scenarios. The pairs share the cache of signatures, so that they cost no
// arithmetic.
const orderQuestions = 7

// orderQuestion is a question of TestOrder.
type orderQuestion struct {
	name  string
	qtype uint16
}

func (q orderQuestion) String() string { return q.name + " " + dns.TypeToString[q.qtype] }

// TestOrder checks that the verdict on each question of a scenario is the same with
// a cold cache and after any other of its questions. The first questions are those
// of the scenario. Questions of the other scenarios of the file and the apexes of
// its zones follow by turns, up to orderQuestions.
func TestOrder(t *testing.T) {
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
			var others []orderQuestion
			for _, s := range scenarios {
				for _, ask := range s.asks {
					others = append(others, orderQuestion{ask.name, ask.qtype})
				}
			}
			for _, s := range scenarios {
				t.Run(s.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { s.checkOrder(t, others) })
				})
			}
		})
	}
}

// checkOrder compares the verdicts on the questions of a scenario, at each time at
// which the scenario asks.
func (s *scenario) checkOrder(t *testing.T, others []orderQuestion) {
	var times []time.Duration
	for _, ask := range s.asks {
		if !slices.Contains(times, ask.later) {
			times = append(times, ask.later)
		}
	}
	questions := s.questions(others)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, later := range times {
		at := func() time.Time { return today.Add(later) }
		fresh := dnssec.New(s.net, s.trustAnchors, at, s.options)
		s.limits.apply(fresh)
		cold := make([]summary, len(questions))
		after := make([]*dnssec.Resolver, len(questions)) // the resolver that was asked this question
		for i, q := range questions {
			after[i] = fresh.Fork()
			a := after[i].Lookup(ctx, q.name, q.qtype)
			if errors.Is(a.Err, dnssec.ErrInternal) {
				t.Fatal(a.Err)
			}
			cold[i] = orderSummary(a)
		}
		for i, first := range questions {
			for j, second := range questions {
				a := after[i].Fork().Lookup(ctx, second.name, second.qtype)
				// What is cached costs nothing, so only a cold lookup may exceed a limit.
				if warm := orderSummary(a); cold[j].Error != "limit" && !reflect.DeepEqual(warm, cold[j]) {
					t.Errorf("%s after %s is\n%+v, and with a cold cache\n%+v: %s", second, first, warm, cold[j], a.Why)
				}
			}
		}
	}
}

// questions returns the questions of a scenario.
func (s *scenario) questions(others []orderQuestion) []orderQuestion {
	var list []orderQuestion
	add := func(q orderQuestion) {
		if len(list) < orderQuestions && !slices.Contains(list, q) {
			list = append(list, q)
		}
	}
	for _, ask := range s.asks {
		add(orderQuestion{ask.name, ask.qtype})
	}
	for i := range max(len(s.zones), len(others)) {
		if i < len(others) {
			add(others[i])
		}
		if i < len(s.zones) {
			add(orderQuestion{s.zones[len(s.zones)-1-i].Apex, dns.TypeSOA}) // the deepest are the last
		}
	}
	return list
}

// orderSummary is summarize without Differ: what is cached needs no retry.
func orderSummary(a dnssec.Answer) summary {
	s := summarize(a)
	s.Differ = false
	return s
}
