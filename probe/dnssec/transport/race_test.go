package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// script has a line for each query to a server: a delay, and then "ok", a response
// code, "broken" for an error, or "panic". Without a line, the server does not respond.
type script []string

const queryTimeout = 2 * time.Second

// fakeServers answers queries by the scripts of the servers, and records the
// queries: to which server, and how long after start.
type fakeServers struct {
	start   time.Time
	scripts map[string]script

	mutex   sync.Mutex
	queries []string
}

func (f *fakeServers) query(ctx context.Context, s *server) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	f.mutex.Lock()
	f.queries = append(f.queries, fmt.Sprintf("%s %s", s.name, time.Since(f.start)))
	line := ""
	if rest := f.scripts[s.name]; len(rest) > 0 {
		line, f.scripts[s.name] = rest[0], rest[1:]
	}
	f.mutex.Unlock()

	wait, outcome, found := strings.Cut(line, " ")
	if !found {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	delay, err := time.ParseDuration(wait)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	switch outcome {
	case "broken":
		return nil, errors.New("broken")
	case "panic":
		panic("a bug")
	case "ok":
		return new(dns.Msg), nil
	default:
		return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.StringToRcode[outcome]}}, nil
	}
}

func serversNamed(names ...string) []*server {
	var servers []*server
	for _, name := range names {
		servers = append(servers, &server{name: name})
	}
	return servers
}

func TestRace(t *testing.T) {
	for _, test := range []struct {
		name     string
		servers  string
		scripts  map[string]script
		attempts int
		want     string   // server and response code, or the start of the error
		queries  []string // servers and times
		duration time.Duration
	}{
		{"the first server answers", "a b", map[string]script{"a": {"20ms ok"}, "b": {"0s ok"}}, 2,
			"a NOERROR", []string{"a 0s"}, 20 * time.Millisecond},
		{"the second server is queried after a head start", "a b", map[string]script{"b": {"20ms ok"}}, 2,
			"b NOERROR", []string{"a 0s", "b 500ms"}, 520 * time.Millisecond},
		{"the first server answers late, but before the second", "a b", map[string]script{"a": {"600ms ok"}, "b": {"200ms ok"}}, 2,
			"a NOERROR", []string{"a 0s", "b 500ms"}, 600 * time.Millisecond},
		{"two silent servers and a third", "a b c", map[string]script{"c": {"0s ok"}}, 2,
			"c NOERROR", []string{"a 0s", "b 500ms", "c 1s"}, time.Second},
		{"an error costs no time", "a b", map[string]script{"a": {"0s broken"}, "b": {"20ms ok"}}, 2,
			"b NOERROR", []string{"a 0s", "b 0s"}, 20 * time.Millisecond},
		{"a failure costs no time", "a b", map[string]script{"a": {"0s SERVFAIL"}, "b": {"20ms ok"}}, 2,
			"b NOERROR", []string{"a 0s", "b 0s"}, 20 * time.Millisecond},
		{"after a failure no retry, after an error a retry", "a b", map[string]script{"a": {"0s REFUSED"}, "b": {"0s broken", "0s ok"}}, 2,
			"b NOERROR", []string{"a 0s", "b 0s", "b 0s"}, 0},
		{"only failures: the first one", "a b", map[string]script{"a": {"30ms REFUSED"}, "b": {"0s SERVFAIL"}}, 2,
			"a REFUSED", []string{"a 0s", "b 30ms"}, 30 * time.Millisecond},
		{"a failure and no response", "a b", map[string]script{"b": {"0s SERVFAIL"}}, 1,
			"b SERVFAIL", []string{"a 0s", "b 500ms"}, queryTimeout},
		{"a single silent server is queried again after the timeout", "a", map[string]script{"a": {"", "10ms ok"}}, 2,
			"a NOERROR", []string{"a 0s", "a 2s"}, 2010 * time.Millisecond},
		{"one query at a time to each server", "a b", nil, 2,
			"a: context deadline exceeded; b: context deadline exceeded; a: ", []string{"a 0s", "b 500ms", "a 2s", "b 2.5s"}, 4500 * time.Millisecond},
		{"a panic is an error", "a b", map[string]script{"a": {"0s panic"}}, 1,
			"a: internal error: a bug; b: ", []string{"a 0s", "b 0s"}, queryTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeServers{start: time.Now(), scripts: test.scripts}
				r := race{attempts: test.attempts, headStart: queryTimeout / headStarts, query: f.query}
				response, name, err := r.run(t.Context(), serversNamed(strings.Fields(test.servers)...))
				got := fmt.Sprint(err)
				if err == nil {
					got = name + " " + dns.RcodeToString[response.Rcode]
				}
				if !strings.HasPrefix(got, test.want) {
					t.Errorf("got %q, want %q", got, test.want)
				}
				if !slices.Equal(f.queries, test.queries) {
					t.Errorf("got queries %q, want %q", f.queries, test.queries)
				}
				if took := time.Since(f.start); took != test.duration {
					t.Errorf("it took %s, want %s", took, test.duration)
				}
			})
		})
	}
}

// TestPenaltyInRace checks that the good server is queried first once the other
// has been silent twice, except for a trial after each penalty. A trial that is
// answered restores the order.
func TestPenaltyInRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := serversNamed("silent", "good")
		f := &fakeServers{scripts: make(map[string]script)}
		lookup := func() string {
			f.start, f.queries, f.scripts["good"] = time.Now(), nil, script{"0s ok"}
			r := race{attempts: 2, headStart: queryTimeout / headStarts, query: f.query}
			if _, _, err := r.run(t.Context(), byHealth(servers, time.Now())); err != nil {
				t.Fatal(err)
			}
			return strings.Join(f.queries, ", ")
		}
		const slow, fast = "silent 0s, good 500ms", "good 0s"
		for _, step := range []struct {
			after time.Duration
			want  string
		}{
			{0, slow}, {0, slow}, {0, fast}, {0, fast},
			{firstPenalty, slow}, {0, fast},
			{firstPenalty, fast}, {firstPenalty, slow}, // the penalty has doubled
			{firstPenalty, fast},
		} {
			time.Sleep(step.after)
			if got := lookup(); got != step.want {
				t.Fatalf("after %s: got %s, want %s", step.after, got, step.want)
			}
		}

		time.Sleep(4 * firstPenalty)
		f.scripts["silent"] = script{"10ms ok", "10ms ok"}
		for range 2 {
			if got := lookup(); got != "silent 0s" {
				t.Errorf("got %s, want one query to the server that responds again", got)
			}
		}
	})
}

// TestNoPenaltyForSecondServer checks that a server has not failed if it was
// queried in addition to a slow one and had no time to respond.
func TestNoPenaltyForSecondServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := serversNamed("slow", "second")
		for range 2 * toleratedFailures {
			f := &fakeServers{scripts: map[string]script{"slow": {"600ms ok"}}}
			r := race{attempts: 1, headStart: queryTimeout / headStarts, query: f.query}
			if _, name, err := r.run(t.Context(), servers); err != nil || name != "slow" {
				t.Errorf("%s answered, %v", name, err)
			}
		}
		for _, s := range servers {
			if s.health.failures != 0 {
				t.Errorf("%s has %d failures", s.name, s.health.failures)
			}
		}
	})
}

// TestNoPenaltyAfterCancellation checks that a server has not failed if the caller
// stopped waiting.
func TestNoPenaltyAfterCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := serversNamed("a", "b")
		for range 2 * toleratedFailures {
			ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
			r := race{attempts: 1, headStart: queryTimeout / headStarts, query: (&fakeServers{}).query}
			if _, _, err := r.run(ctx, servers); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			cancel()
		}
		if got := byHealth(servers, time.Now()); got[0] != servers[0] || servers[0].health.failures != 0 {
			t.Errorf("%s is first, and a has %d failures", got[0].name, servers[0].health.failures)
		}
	})
}

func TestHealth(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return start.Add(d) }

	t.Run("one failure brings no penalty", func(t *testing.T) {
		var h health
		h.failed(at(0))
		if !h.isGood(at(0)) {
			t.Error("it has a penalty")
		}
	})
	t.Run("failures that are not in a row bring no penalty", func(t *testing.T) {
		var h health
		for range 5 {
			h.failed(at(0))
			h.responded()
		}
		if !h.isGood(at(0)) {
			t.Error("it has a penalty")
		}
	})
	t.Run("many concurrent failures bring one penalty", func(t *testing.T) {
		var h health
		for range 100 {
			h.failed(at(0))
		}
		if h.isGood(at(firstPenalty-1)) || !h.isGood(at(firstPenalty)) {
			t.Errorf("penalty until %s, want %s", h.until, at(firstPenalty))
		}
	})
	t.Run("one trial at a time", func(t *testing.T) {
		var h health
		h.failed(at(0))
		h.failed(at(0))
		h.sent(at(firstPenalty))
		if h.isGood(at(firstPenalty)) {
			t.Error("a second query waits for the same trial")
		}
		h.responded()
		if !h.isGood(at(firstPenalty)) {
			t.Error("it has a penalty after a response")
		}
	})
	t.Run("penalties double up to the maximum", func(t *testing.T) {
		var h health
		h.failed(at(0))
		h.failed(at(0))
		now, last := at(0), time.Duration(0)
		for range 50 {
			penalty := h.until.Sub(now)
			if want := min(max(2*last, firstPenalty), maxPenalty); penalty != want {
				t.Fatalf("got a penalty of %s after one of %s, want %s", penalty, last, want)
			}
			now, last = h.until, penalty
			h.sent(now)
			h.failed(now)
		}
		if last != maxPenalty {
			t.Errorf("the last penalty is %s, want %s", last, maxPenalty)
		}
	})
}
