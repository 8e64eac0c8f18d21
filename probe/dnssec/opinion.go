package dnssec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// via says whom a look-up asks, and how.
type via struct {
	server  string // empty: the resolvers in turn, as the transport does
	checked bool   // with CD=0: the resolver may validate too, and withhold what it finds bogus
}

func (w via) String() string {
	if w.checked {
		return w.server + " with CD=0"
	}
	return w.server
}

// How far a look-up asks around before it calls an answer bad.
const (
	opinionServers = 4               // resolvers that are asked again
	opinionTime    = 3 * time.Second // for all of them together
)

// contestable: another resolver, or the same asked otherwise, may give an
// answer that is better than this.
func contestable(a Answer) bool {
	return a.Status == Bogus || errors.Is(a.Err, ErrServer) || errors.Is(a.Err, ErrStripped)
}

// secondOpinion asks for what failed again: each of the other resolvers on its
// own, then each of all with CD=0: one that validates looks for a good answer by
// itself among a zone's name servers (RFC 6840 appendix B). What validates
// wins. What the first look-up proved stands; together they share what it left of
// its limits. cut: no better answer came, and some were given up at a limit.
func (g *gathering) secondOpinion(ctx context.Context, first Answer) (answer Answer, cut bool) {
	ctx, cancel := context.WithTimeout(ctx, opinionTime)
	defer cancel()
	servers := g.transport.Servers()
	servers = servers[:min(len(servers), opinionServers)]
	blamed := g.servers()
	var others, unchecked []via
	for _, server := range servers {
		if len(blamed) != 1 || blamed[0] != server {
			others = append(others, via{server: server})
		}
		unchecked = append(unchecked, via{server: server, checked: true})
	}
	share := g.ledger.share(len(others) + len(unchecked))
	work, ede := first.Work, first.EDE
	for _, round := range [][]via{others, unchecked} {
		for i, a := range g.consult(ctx, round, share) {
			work = work.plus(a.Work)
			if better := !a.Status.Failed() && a.Err == nil; better && first.Inconsistent == "" {
				a.Inconsistent = fmt.Sprintf("%s: %s; %s gave an answer that validates", strings.Join(blamed, ", "), first.Why, round[i])
				first = a
				continue
			}
			ede = appendNew(ede, a.EDE)
			cut = cut || errors.Is(a.Err, ErrLimit)
		}
		if first.Inconsistent != "" {
			first.Work = work
			return first, false
		}
	}
	first.Work, first.EDE = work, ede
	return first, cut
}

// consult makes the look-up anew, in each of several ways at once.
func (g *gathering) consult(ctx context.Context, ways []via, l limits) []Answer {
	answers := make([]Answer, len(ways))
	var group sync.WaitGroup
	for i, way := range ways {
		again := g.Resolver.newGathering(g.question, way, l)
		for name, z := range g.evidence.zones {
			again.evidence.zones[name] = z
		}
		group.Go(func() {
			defer func() {
				if problem := recover(); problem != nil {
					answers[i].Err = fmt.Errorf("internal error: %v", problem)
				}
			}()
			answers[i] = again.run(ctx)
		})
	}
	group.Wait()
	return answers
}

// servers names those whose replies the verdict rests on.
func (g *gathering) servers() []string {
	var names []string
	for _, r := range g.evidence.replies {
		if r.server != "" && !slices.Contains(names, r.server) {
			names = append(names, r.server)
		}
	}
	slices.Sort(names)
	return names
}

func appendNew(list, more []string) []string {
	for _, text := range more {
		if len(list) < maxEDE && !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}
