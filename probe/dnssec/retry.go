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
			if a.FaultZone != "" && a.FaultZone != first.FaultZone {
				first.FaultZone = "" // the resolvers disagree
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
	return errors.Is(a.Err, ErrServer)
}

// topZone returns the zone whose keys every validation needs: the root, unless
// only other zones have anchors.
func (r *Resolver) topZone() string {
	if len(r.anchors["."]) > 0 || len(r.anchors) == 0 {
		return "."
	}
	return slices.Min(slices.Collect(maps.Keys(r.anchors)))
}
