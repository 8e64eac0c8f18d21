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

// script is what a server does when it is asked: it waits, and then says "ok",
// an rcode, or "broken". Without more to say it is silent for as long as the
// client waits.
type script []string

const queryTime = 2 * time.Second

// cast plays scripts, and writes down who was asked when.
type cast struct {
	began   time.Time
	scripts map[string]script

	mutex sync.Mutex
	asks  []string
}

func (c *cast) query(ctx context.Context, s *server) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	c.mutex.Lock()
	c.asks = append(c.asks, fmt.Sprintf("%s %s", s.name, time.Since(c.began)))
	line := ""
	if left := c.scripts[s.name]; len(left) > 0 {
		line, c.scripts[s.name] = left[0], left[1:]
	}
	c.mutex.Unlock()

	after, says, found := strings.Cut(line, " ")
	if !found {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	delay, err := time.ParseDuration(after)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	switch says {
	case "broken":
		return nil, errors.New("broken")
	case "panic":
		panic("a defect")
	case "ok":
		return new(dns.Msg), nil
	default:
		return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.StringToRcode[says]}}, nil
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
	for _, story := range []struct {
		name     string
		servers  string
		scripts  map[string]script
		attempts int
		want     string   // who won or failed first with what, or part of the error
		asks     []string // whom, and when
		ends     time.Duration
	}{
		{"the first answers, and no other is asked", "a b", map[string]script{"a": {"20ms ok"}, "b": {"0s ok"}}, 2,
			"a NOERROR", []string{"a 0s"}, 20 * time.Millisecond},
		{"a silent server gets company", "a b", map[string]script{"b": {"20ms ok"}}, 2,
			"b NOERROR", []string{"a 0s", "b 500ms"}, 520 * time.Millisecond},
		{"the slow server answers after all", "a b", map[string]script{"a": {"600ms ok"}, "b": {"200ms ok"}}, 2,
			"a NOERROR", []string{"a 0s", "b 500ms"}, 600 * time.Millisecond},
		{"two silent servers, a third", "a b c", map[string]script{"c": {"0s ok"}}, 2,
			"c NOERROR", []string{"a 0s", "b 500ms", "c 1s"}, time.Second},
		{"a broken server costs no time", "a b", map[string]script{"a": {"0s broken"}, "b": {"20ms ok"}}, 2,
			"b NOERROR", []string{"a 0s", "b 0s"}, 20 * time.Millisecond},
		{"nor one that fails", "a b", map[string]script{"a": {"0s SERVFAIL"}, "b": {"20ms ok"}}, 2,
			"b NOERROR", []string{"a 0s", "b 0s"}, 20 * time.Millisecond},
		{"one that fails is asked once, the broken one again", "a b", map[string]script{"a": {"0s REFUSED"}, "b": {"0s broken", "0s ok"}}, 2,
			"b NOERROR", []string{"a 0s", "b 0s", "b 0s"}, 0},
		{"all fail: the first failure", "a b", map[string]script{"a": {"30ms REFUSED"}, "b": {"0s SERVFAIL"}}, 2,
			"a REFUSED", []string{"a 0s", "b 30ms"}, 30 * time.Millisecond},
		{"a failure is worth more than silence", "a b", map[string]script{"b": {"0s SERVFAIL"}}, 1,
			"b SERVFAIL", []string{"a 0s", "b 500ms"}, queryTime},
		{"a lone silent server is asked again when its time is over", "a", map[string]script{"a": {"", "10ms ok"}}, 2,
			"a NOERROR", []string{"a 0s", "a 2s"}, 2010 * time.Millisecond},
		{"a server is never asked twice at once", "a b", nil, 2,
			"a: context deadline exceeded; b: context deadline exceeded; a: ", []string{"a 0s", "b 500ms", "a 2s", "b 2.5s"}, 4500 * time.Millisecond},
		{"a defect of ours is an error like another", "a b", map[string]script{"a": {"0s panic"}}, 1,
			"a: internal error: a defect; b: ", []string{"a 0s", "b 0s"}, queryTime},
	} {
		t.Run(story.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &cast{began: time.Now(), scripts: story.scripts}
				r := race{attempts: story.attempts, headStart: queryTime / patience, query: c.query}
				response, name, err := r.run(t.Context(), serversNamed(strings.Fields(story.servers)...))
				got := fmt.Sprint(err)
				if err == nil {
					got = name + " " + dns.RcodeToString[response.Rcode]
				}
				if !strings.HasPrefix(got, story.want) {
					t.Errorf("%q, want %q", got, story.want)
				}
				if !slices.Equal(c.asks, story.asks) {
					t.Errorf("asked %q, want %q", c.asks, story.asks)
				}
				if took := time.Since(c.began); took != story.ends {
					t.Errorf("it took %s, want %s", took, story.ends)
				}
			})
		})
	}
}

// Once a server has been silent twice, the good one is asked first, but for a
// trial now and then; a trial that is answered restores the order.
func TestASilentServerSlowsNobodyForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := serversNamed("silent", "good")
		c := &cast{scripts: make(map[string]script)}
		look := func() string {
			c.began, c.asks, c.scripts["good"] = time.Now(), nil, script{"0s ok"}
			r := race{attempts: 2, headStart: queryTime / patience, query: c.query}
			if _, _, err := r.run(t.Context(), byHealth(servers, time.Now())); err != nil {
				t.Fatal(err)
			}
			return strings.Join(c.asks, ", ")
		}
		const slow, fast = "silent 0s, good 500ms", "good 0s"
		for _, step := range []struct {
			after time.Duration
			want  string
		}{
			{0, slow}, {0, slow}, {0, fast}, {0, fast},
			{firstPause, slow}, {0, fast},
			{firstPause, fast}, {firstPause, slow}, // the pause has doubled
			{firstPause, fast},
		} {
			time.Sleep(step.after)
			if got := look(); got != step.want {
				t.Fatalf("%s later: %s, want %s", step.after, got, step.want)
			}
		}

		time.Sleep(4 * firstPause)
		c.scripts["silent"] = script{"10ms ok", "10ms ok"}
		for range 2 {
			if got := look(); got != "silent 0s" {
				t.Errorf("it is back, and %s", got)
			}
		}
	})
}

// Who was asked to keep a slow server company, and had no time to answer, has
// not failed.
func TestCompanyIsNotBlamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := serversNamed("slow", "company")
		for range 2 * tolerated {
			c := &cast{scripts: map[string]script{"slow": {"600ms ok"}}}
			r := race{attempts: 1, headStart: queryTime / patience, query: c.query}
			if _, name, err := r.run(t.Context(), servers); err != nil || name != "slow" {
				t.Errorf("%s answered, %v", name, err)
			}
		}
		for _, s := range servers {
			if s.health.failures != 0 {
				t.Errorf("%s has failed %d times", s.name, s.health.failures)
			}
		}
	})
}

// A caller who leaves says nothing about the server.
func TestNobodyIsBlamedForACallerWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := serversNamed("a", "b")
		for range 2 * tolerated {
			ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
			r := race{attempts: 1, headStart: queryTime / patience, query: (&cast{}).query}
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
