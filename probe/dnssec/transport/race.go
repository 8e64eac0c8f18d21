package transport

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// race sends the same query to several servers until one answers. It queries the
// first alone. It queries the next as well whenever a server fails, and whenever
// none has responded for a head start. The first answer wins and cancels the
// other queries.
type race struct {
	attempts  int           // queries to each server, one after the other
	headStart time.Duration // wait for a response before the next server is queried as well
	query     func(context.Context, *server) (*dns.Msg, error)

	upstreams []*upstream // best first
	sent      int         // queries sent so far
	pending   int         // queries without a result so far
	results   chan result

	failure     *dns.Msg // the first response that reports a failure
	failureFrom string   // name of the server that sent it
	errs        queryErrors
}

// upstream is a server in a race.
type upstream struct {
	server   *server
	attempts int  // queries sent to it
	order    int  // of the last of them: number of queries that were sent before
	pending  bool // the last of them has no result so far
	failed   bool // it reported a failure, and is not queried again
}

// result is the outcome of one query: a response or an error.
type result struct {
	upstream *upstream
	response *dns.Msg
	err      error
}

// run returns the first answer and the name of the server that sent it. Without
// an answer, it returns the first response that reports a failure; without
// that, an error. All queries have ended when it returns.
func (r *race) run(ctx context.Context, servers []*server) (*dns.Msg, string, error) {
	if len(servers) == 1 {
		return r.runSingle(ctx, servers[0])
	}
	for _, s := range servers {
		r.upstreams = append(r.upstreams, &upstream{server: s})
	}
	r.results = make(chan result)
	racing, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.NewTimer(r.headStart)
	defer silence.Stop()
	next := func() {
		if r.queryNext(racing) {
			silence.Reset(r.headStart)
		}
	}

	for next(); r.pending > 0; {
		select {
		case <-silence.C:
			next()
		case res := <-r.results:
			r.record(ctx, res)
			if res.err == nil && !res.upstream.failed {
				r.penalise(res.upstream)
				cancel()
				r.drain()
				return res.response, res.upstream.server.name, nil
			}
			next()
		}
	}
	return r.allFailed(ctx)
}

// runSingle is run with one server. It needs no goroutine and no timer.
func (r *race) runSingle(ctx context.Context, s *server) (*dns.Msg, string, error) {
	u := &upstream{server: s}
	for u.attempts < r.attempts && !u.failed && ctx.Err() == nil {
		u.attempts++
		s.health.sent(time.Now())
		r.pending++
		response, err := r.query(ctx, s)
		r.record(ctx, result{u, response, err})
		if err == nil && !u.failed {
			return response, s.name, nil
		}
	}
	return r.allFailed(ctx)
}

// allFailed returns the result of a race without an answer.
func (r *race) allFailed(ctx context.Context) (*dns.Msg, string, error) {
	if r.failure != nil {
		return r.failure, r.failureFrom, nil
	}
	if err := ctx.Err(); err != nil {
		r.errs = append(r.errs, err)
	}
	return nil, "", r.errs
}

// queryNext queries the best of the servers with the fewest attempts, and reports
// whether there is one left to query.
func (r *race) queryNext(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	var next *upstream
	for _, u := range r.upstreams {
		if !u.failed && !u.pending && u.attempts < r.attempts && (next == nil || u.attempts < next.attempts) {
			next = u
		}
	}
	if next == nil {
		return false
	}
	next.attempts++
	next.order = r.sent
	next.pending = true
	next.server.health.sent(time.Now())
	r.sent++
	r.pending++
	go func() {
		res := result{upstream: next}
		defer func() {
			if problem := recover(); problem != nil {
				res.err = fmt.Errorf("internal error: %v", problem)
			}
			r.results <- res
		}()
		res.response, res.err = r.query(ctx, next.server)
	}()
	return true
}

// record stores the outcome of a query. An error after the caller has left does
// not count against the server.
func (r *race) record(ctx context.Context, res result) {
	u := res.upstream
	r.pending--
	u.pending = false
	if res.err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", u.server.name, res.err))
		if ctx.Err() == nil {
			u.server.health.failed(time.Now())
		}
		return
	}
	u.server.health.responded()
	if faultOfResponse(res.response) != "" {
		u.failed = true
		if r.failure == nil {
			r.failure, r.failureFrom = res.response, u.server.name
		}
	}
}

// penalise counts a failure for each server that was queried before the winner
// and has not responded.
func (r *race) penalise(winner *upstream) {
	for _, u := range r.upstreams {
		if u.pending && u.order < winner.order {
			u.server.health.failed(time.Now())
		}
	}
}

// drain waits for the cancelled queries to end.
func (r *race) drain() {
	for ; r.pending > 0; r.pending-- {
		<-r.results
	}
}

// queryErrors are the errors of all queries of a race. The text is in one line.
type queryErrors []error

func (e queryErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e queryErrors) Unwrap() []error { return e }

const (
	toleratedFailures = 2               // the failure in a row that brings the first penalty
	firstPenalty      = 5 * time.Second // doubles with each failed trial
	maxPenalty        = 5 * time.Minute
)

// health records whether a server responded recently. A server that failed
// several times in a row has a penalty: until it ends, the server is queried after
// the others. The next query after that is a trial. It counts as failed until
// there is a response, so that no other query waits for a dead server meanwhile.
type health struct {
	mutex    sync.Mutex
	failures int           // in a row
	penalty  time.Duration // the last one; 0 if there was none since the last response
	until    time.Time     // end of the penalty
}

// isGood reports whether the server has no penalty, or is due for a trial.
func (h *health) isGood(now time.Time) bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return !now.Before(h.until)
}

// sent records that a query is sent to the server.
func (h *health) sent(now time.Time) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.penalty > 0 && !now.Before(h.until) {
		h.extendPenalty(now)
	}
}

// responded records a response, whatever it says. It ends the penalty and resets
// the count of failures.
func (h *health) responded() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.failures, h.penalty, h.until = 0, 0, time.Time{}
}

// failed records that a query brought no response, or brought it too late.
func (h *health) failed(now time.Time) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if now.Before(h.until) {
		return // the server has its penalty already; a trial is counted when it is sent
	}
	if h.failures++; h.failures >= toleratedFailures {
		h.extendPenalty(now)
	}
}

func (h *health) extendPenalty(now time.Time) {
	h.penalty = min(max(2*h.penalty, firstPenalty), maxPenalty)
	h.until = now.Add(h.penalty)
}

// byHealth returns the servers with those that have a penalty last, otherwise in
// the given order. The result may be the argument itself: it must not be written to.
func byHealth(servers []*server, now time.Time) []*server {
	if !slices.ContainsFunc(servers, func(s *server) bool { return !s.health.isGood(now) }) {
		return servers
	}
	var good, penalised []*server
	for _, s := range servers {
		if s.health.isGood(now) {
			good = append(good, s)
		} else {
			penalised = append(penalised, s)
		}
	}
	return append(good, penalised...)
}
