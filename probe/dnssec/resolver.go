// Package dnssec is a validating stub resolver (RFC 4033 §2, "validating
// security-aware stub resolver"): it asks recursive resolvers, which need not
// validate, and proves what they say for itself, from the trust anchors down.
//
// A look-up alternates two things. gather.go asks: for the records wanted, and
// for the DS and DNSKEY records of the zones above them. validate.go judges:
// a pure function over the replies that came, which gives the verdict, or
// names the replies that it still needs.
//
// The verdict on an RRset follows RFC 4035 §5. Its signature names the zone
// that made it. The keys of that zone are believed where a DS in the zone above
// names one of them that signs them all, and the DS where it is signed in turn,
// up to a trust anchor (chain.go). A signature is checked over the canonical
// form of the RRset (authenticate.go, canonical.go, signature.go). That something
// does not exist is proven by NSEC or NSEC3 records (denial.go, nsec.go,
// nsec3.go), never assumed. Aliases are followed here, each judged as a step of
// its own (alias.go).
//
// Data without a valid signature is insecure only below a delegation that a
// secure zone proves to have no DS which can be followed. Everywhere else it is
// bogus. To tell the two apart, the names from the deepest zone known down to
// the data are asked for their DS one by one.
package dnssec

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"dane_exporter/internal/flight"

	"github.com/miekg/dns"
)

// Resolver looks names up through a Transport and validates what comes back,
// from its trust anchors down. It is safe for concurrent use.
type Resolver struct {
	transport Transport
	anchors   map[string][]*dns.DS
	now       func() time.Time
	options   Options
	limits    limits
	speculate bool // ask for the chain before a signature names it
	cache     *zoneCache
	memo      *memo
	lookups   flight.Group[question, *Answer]
	queries   flight.Group[inquiry, *reply]
	priming   flight.Group[string, Answer]
	limited   atomic.Uint64 // look-ups given up at a limit
	broken    breakdown
}

// lookupTimeout bounds a look-up, however long those who wait for it would.
const lookupTimeout = time.Minute

// New returns a Resolver. now decides which signatures and cached zones are
// valid, nothing else. Options left at zero take their defaults.
func New(transport Transport, anchors []Anchor, now func() time.Time, options Options) *Resolver {
	options = options.withDefaults()
	r := &Resolver{transport: transport, now: now, options: options, limits: defaultLimits(), speculate: true,
		anchors: make(map[string][]*dns.DS), cache: newZoneCache(options.CacheEntries, options.CacheBytes), memo: newMemo(memoEntries)}
	for i := range anchors {
		zone := fold(anchors[i].Hdr.Name)
		r.anchors[zone] = append(r.anchors[zone], &anchors[i])
	}
	return r
}

// Lookup asks for the records of one type at name and validates the answer.
// It never fails: a failure is an Answer with Err set. Equal look-ups that are
// under way at the same time share one Answer: nobody may change its records.
func (r *Resolver) Lookup(ctx context.Context, name string, qtype uint16) Answer {
	q, err := newQuestion(name, qtype)
	if err != nil {
		return Answer{Name: name, Type: qtype, Canonical: name, Why: err.Error(), Err: err}
	}
	found, _, err := r.lookups.Do(ctx, q, lookupTimeout, func(ctx context.Context, _ func(*Answer)) *Answer {
		answer := r.gather(ctx, q)
		return &answer
	})
	if err == nil {
		return *found
	}
	answer := Answer{Name: q.name, Type: qtype, Canonical: q.name}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		answer.Why = "the time for the look-up ran out before its verdict"
		answer.Err = fmt.Errorf("%w: look up %s: %w", ErrDeadline, q, err)
		return answer
	}
	answer.Why, answer.Err = err.Error(), fmt.Errorf("look up %s: %w", q, err)
	return answer
}

// Stats are the Resolver's counters, for metrics.
type Stats struct {
	CacheEntries int    // zones and names held now
	CacheBytes   int    // what they take, estimated
	CacheHits    uint64 // zones that a look-up needed and the cache had
	CacheMisses  uint64 // zones that a look-up needed and had to judge
	Limited      uint64 // look-ups given up because they would have cost too much
}

// Stats returns the counters as they are now.
func (r *Resolver) Stats() Stats {
	stats := r.cache.stats()
	stats.Limited = r.limited.Load()
	return stats
}
