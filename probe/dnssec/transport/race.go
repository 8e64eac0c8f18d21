package transport

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// race asks servers for the same thing. The first is asked alone; whenever a
// server fails, and whenever all that were asked have been silent for a head
// start, the next is asked as well. The first answer wins, and nobody waits
// for the others any longer.
type race struct {
	attempts  int           // how often each is asked, one after the other
	headStart time.Duration // before the next is asked as well
	query     func(context.Context, *server) (*dns.Msg, error)

	runners  []*runner // best first
	started  int
	underWay int
	arrivals chan arrival

	failing *dns.Msg // the first response that is no answer
	failed  string   // whose it is
	errs    failures
}

// runner is a server in a race.
type runner struct {
	*server
	asked    int  // how often
	place    int  // how many queries went out before the last to it
	underWay bool // that one
	out      bool // it has said that it fails
}

type arrival struct {
	*runner
	response *dns.Msg
	err      error
}

// run returns the first answer and the server that gave it; without any, the
// first response that reports a failure; without that, an error. No query is
// under way any more when it returns.
func (r *race) run(ctx context.Context, servers []*server) (*dns.Msg, string, error) {
	if len(servers) == 1 {
		return r.alone(ctx, servers[0])
	}
	for _, s := range servers {
		r.runners = append(r.runners, &runner{server: s})
	}
	r.arrivals = make(chan arrival)
	racing, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.NewTimer(r.headStart)
	defer silence.Stop()
	next := func() {
		if r.next(racing) {
			silence.Reset(r.headStart)
		}
	}

	for next(); r.underWay > 0; {
		select {
		case <-silence.C:
			next()
		case a := <-r.arrivals:
			r.note(ctx, a)
			if a.err == nil && faultOf(a.response) == "" {
				r.blame(a.place)
				cancel()
				r.wait()
				return a.response, a.name, nil
			}
			next()
		}
	}
	return r.lost(ctx)
}

// alone is the race of one server, to which there is no company.
func (r *race) alone(ctx context.Context, s *server) (*dns.Msg, string, error) {
	one := runner{server: s}
	for one.asked < r.attempts && !one.out && ctx.Err() == nil {
		one.asked++
		s.health.asked(time.Now())
		r.underWay++
		a := arrival{runner: &one}
		a.response, a.err = r.query(ctx, s)
		r.note(ctx, a)
		if a.err == nil && !one.out {
			return a.response, s.name, nil
		}
	}
	return r.lost(ctx)
}

// lost returns what there is without an answer.
func (r *race) lost(ctx context.Context) (*dns.Msg, string, error) {
	if r.failing != nil {
		return r.failing, r.failed, nil
	}
	if err := ctx.Err(); err != nil {
		r.errs = append(r.errs, err)
	}
	return nil, "", r.errs
}

// next asks the best server of those that were asked least, and says whether
// there is any.
func (r *race) next(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	var chosen *runner
	for _, one := range r.runners {
		if !one.out && !one.underWay && one.asked < r.attempts && (chosen == nil || one.asked < chosen.asked) {
			chosen = one
		}
	}
	if chosen == nil {
		return false
	}
	chosen.asked++
	chosen.place = r.started
	chosen.underWay = true
	chosen.health.asked(time.Now())
	r.started++
	r.underWay++
	go func() {
		a := arrival{runner: chosen}
		defer func() {
			if problem := recover(); problem != nil {
				a.err = fmt.Errorf("internal error: %v", problem)
			}
			r.arrivals <- a
		}()
		a.response, a.err = r.query(ctx, chosen.server)
	}()
	return true
}

// note takes down how a query ended. A server is not to blame for a caller who
// waits no longer.
func (r *race) note(ctx context.Context, a arrival) {
	r.underWay--
	a.underWay = false
	if a.err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", a.name, a.err))
		if ctx.Err() == nil {
			a.health.failed(time.Now())
		}
		return
	}
	a.health.answered()
	if faultOf(a.response) != "" {
		a.out = true
		if r.failing == nil {
			r.failing, r.failed = a.response, a.name
		}
	}
}

// blame notes those who were asked before the winner and have said nothing yet.
func (r *race) blame(winner int) {
	for _, one := range r.runners {
		if one.underWay && one.place < winner {
			one.health.failed(time.Now())
		}
	}
}

// wait lets the queries that were cancelled end.
func (r *race) wait() {
	for ; r.underWay > 0; r.underWay-- {
		<-r.arrivals
	}
}

// failures are what became of every query.
type failures []error

func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (f failures) Unwrap() []error { return f }
