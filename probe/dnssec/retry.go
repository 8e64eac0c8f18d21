package dnssec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Limits on retries.
const (
	retryServers = 4               // resolvers that are retried
	retryTime    = 3 * time.Second // for all retries together
)

// isRetryable reports whether another resolver, or the same one queried in
// another way, may return a better answer than a.
func isRetryable(a Answer) bool {
	return a.Status == Bogus || errors.Is(a.Err, ErrServer) || errors.Is(a.Err, ErrStripped)
}

// retryOthers repeats a lookup that failed: with each of the other resolvers,
// then with each of all with CD=0. A validating resolver that is queried with
// CD=0 tries the other nameservers of a zone itself. The first answer that
// validates is returned. The retries use what the first lookup proved, and share
// what it left of its limits. limited reports that there is no better answer and
// that some retries exceeded a limit.
func (l *lookup) retryOthers(ctx context.Context, first Answer) (answer Answer, limited bool) {
	ctx, cancel := context.WithTimeout(ctx, retryTime)
	defer cancel()
	failed := l.servers()
	var others, checking []upstream
	for _, server := range l.resolver.retryServers() {
		if len(failed) != 1 || failed[0] != server {
			others = append(others, upstream{server: server})
		}
		checking = append(checking, upstream{server: server, checking: true})
	}
	lim := l.budget.share(len(others) + len(checking))
	work, ede := first.Work, first.EDE
	for _, round := range [][]upstream{others, checking} {
		for _, result := range l.repeat(ctx, round, lim) {
			a := result.answer
			work = work.plus(a.Work)
			if better := !a.Status.Failed() && a.Err == nil; better && first.Inconsistent == "" {
				a.Inconsistent = fmt.Sprintf("%s: %s; %s gave an answer that validates", strings.Join(failed, ", "), first.Why, result.upstream)
				first = a
				continue
			}
			ede = appendNew(ede, a.EDE)
			limited = limited || errors.Is(a.Err, ErrLimit)
		}
		if first.Inconsistent != "" {
			first.Work = work
			return first, false
		}
	}
	first.Work, first.EDE = work, ede
	return first, limited
}

// retryServers returns the resolvers that a retry queries.
func (r *Resolver) retryServers() []string {
	servers := r.transport.Servers()
	return servers[:min(len(servers), retryServers)]
}

// retryResult is the answer of one retry.
type retryResult struct {
	upstream upstream
	answer   Answer
}

// repeat repeats the lookup with each upstream, in parallel.
func (l *lookup) repeat(ctx context.Context, upstreams []upstream, lim limits) []retryResult {
	results := make([]retryResult, len(upstreams))
	var group sync.WaitGroup
	for i, u := range upstreams {
		results[i].upstream = u
		again := l.resolver.newLookup(l.question, u, lim)
		again.account = l.account
		maps.Copy(again.evidence.zones, l.evidence.zones)
		group.Go(func() {
			defer func() {
				if problem := recover(); problem != nil {
					results[i].answer.Err = fmt.Errorf("%w: %v", ErrInternal, problem)
				}
			}()
			results[i].answer = again.run(ctx)
		})
	}
	group.Wait()
	return results
}

// servers returns the servers whose replies the lookup has used.
func (l *lookup) servers() []string {
	var names []string
	for _, r := range l.evidence.replies {
		if r.server != "" && !slices.Contains(names, r.server) {
			names = append(names, r.server)
		}
	}
	slices.Sort(names)
	return names
}

// isServerFailure reports whether a lookup ended with a response code that is a
// failure.
func isServerFailure(a Answer) bool {
	return errors.Is(a.Err, ErrServer) && !errors.Is(a.Err, ErrUnreachable)
}

// classifyFailure finds out whether a failure such as SERVFAIL or REFUSED is that
// of the zone's nameservers or of the resolvers, which may have lost their network
// or deny us access. A working resolver has the keys of the root. If all
// resolvers fail for these too, the error becomes ErrUnreachable.
func (l *lookup) classifyFailure(ctx context.Context, a Answer) Answer {
	r := l.resolver
	keys := question{r.topZone(), dns.TypeDNSKEY}
	if !r.outage.recent(l.rules.at) {
		// A resolver that refuses queries with CD=1 works all the same.
		var upstreams []upstream
		for _, server := range r.retryServers() {
			upstreams = append(upstreams, upstream{server: server}, upstream{server: server, checking: true})
		}
		a.Work.Queries += len(upstreams)
		pay := func() error { return l.account.query(false) }
		if !r.allFail(ctx, keys, upstreams, pay) {
			return a
		}
		r.outage.record(l.rules.at)
	}
	a.Why = fmt.Sprintf("the resolver fails for every query, even for %s: check the resolver, its network access and its access list (%s)", keys, a.Why)
	a.Err = fmt.Errorf("%w except with failures, even for %s: %w", ErrUnreachable, keys, a.Err)
	return a
}

// allFail sends one question to each upstream, in parallel. It returns false if
// one returns an answer, even a truncated one, or if ctx ends before all fail, or if pay
// refuses a query.
func (r *Resolver) allFail(ctx context.Context, q question, upstreams []upstream, pay func() error) bool {
	limited, cancel := context.WithTimeout(ctx, retryTime)
	defer cancel()
	working := make(chan bool, len(upstreams))
	for _, u := range upstreams {
		go func() {
			works := true // a panic is no failure of the resolver
			defer func() {
				_ = recover()
				working <- works
			}()
			reply := r.exchangeShared(limited, query{q, u}, pay)
			works = reply.truncated || reply.usable() || errors.Is(reply.err, ErrBudget)
		}()
	}
	for range upstreams {
		if <-working {
			return false
		}
	}
	return ctx.Err() == nil && len(upstreams) > 0
}

// topZone returns the zone whose keys every validation needs: the root, unless
// only other zones have anchors.
func (r *Resolver) topZone() string {
	if len(r.anchors["."]) > 0 || len(r.anchors) == 0 {
		return "."
	}
	return slices.Min(slices.Collect(maps.Keys(r.anchors)))
}

// outage remembers for failureTTL that all resolvers fail, so that a crowd of
// lookups checks once.
type outage struct {
	mu   sync.Mutex
	seen time.Time
}

func (o *outage) record(at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = at
}

// recent reports whether an outage was recorded within failureTTL of a time.
func (o *outage) recent(at time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.seen.IsZero() && at.Sub(o.seen).Abs() <= failureTTL
}
