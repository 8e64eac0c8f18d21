package dnssec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// breakdown remembers when the resolvers failed at everything. They are taken to
// do so for a moment more, so that a crowd of look-ups asks once (RFC 9520 wants
// such restraint).
type breakdown struct {
	mu   sync.Mutex
	seen time.Time
}

func (b *breakdown) note(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = at
}

// recent reports whether it was seen within bogusMemory of a time.
func (b *breakdown) recent(at time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.seen.IsZero() && at.Sub(b.seen).Abs() <= bogusMemory
}

// settle finds out whose failure a look-up ended in. A response code such as
// SERVFAIL or REFUSED does not say: it may be that of the zone's servers, or of
// a resolver that has lost its way out, or allows us nothing. One that works has
// the keys of the root. Where all fail at these too, the failure is ours.
func (g *gathering) settle(ctx context.Context, a Answer) Answer {
	keys := question{g.top(), dns.TypeDNSKEY}
	if !g.broken.recent(g.rules.at) {
		ways := g.ways()
		a.Work.Queries += len(ways)
		if !g.allFail(ctx, keys, ways) {
			return a
		}
		g.broken.note(g.rules.at)
	}
	a.Why = fmt.Sprintf("the resolver fails at everything, at %s too: check it, its way out and its access list (%s)", keys, a.Why)
	a.Err = fmt.Errorf("%w but with a failure, at %s too: %w", ErrUnreachable, keys, a.Err)
	return a
}

// ways are each resolver, told not to check and not told so: one that refuses
// the CD bit works all the same.
func (g *gathering) ways() []via {
	var ways []via
	servers := g.transport.Servers()
	for _, server := range servers[:min(len(servers), opinionServers)] {
		ways = append(ways, via{server: server}, via{server: server, checked: true})
	}
	return ways
}

// allFail asks one question anew, in each of several ways at once. It is false
// where one brings an answer, be it cut short, or ctx ends before all have failed.
func (g *gathering) allFail(ctx context.Context, q question, ways []via) bool {
	limited, cancel := context.WithTimeout(ctx, opinionTime)
	defer cancel()
	working := make(chan bool, len(ways))
	for _, way := range ways {
		go func() {
			works := true // whatever panics says nothing of the resolver
			defer func() {
				_ = recover()
				working <- works
			}()
			r := g.shared(limited, inquiry{q, way})
			works = r.truncated || r.err == nil && answers(r.rcode)
		}()
	}
	for range ways {
		if <-working {
			return false
		}
	}
	return ctx.Err() == nil && len(ways) > 0
}

// refused reports whether a look-up ended in a response code that is a failure,
// whoever was asked.
func refused(a Answer) bool {
	return errors.Is(a.Err, ErrServer) && !errors.Is(a.Err, ErrUnreachable)
}

// top is the zone that everything is validated from: the root, unless only
// others have anchors.
func (r *Resolver) top() string {
	if len(r.anchors["."]) > 0 || len(r.anchors) == 0 {
		return "."
	}
	var zones []string
	for zone := range r.anchors {
		zones = append(zones, zone)
	}
	return slices.Min(zones)
}
