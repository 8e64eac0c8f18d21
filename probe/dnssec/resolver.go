package dnssec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/flight"
)

// SHA1 is the policy for signatures made with SHA-1 (algorithms 5 and 7).
type SHA1 string

// The values of Options.SHA1.
const (
	SHA1Insecure SHA1 = "insecure" // not supported: the zone counts as unsigned (RFC 9905)
	SHA1Accept   SHA1 = "accept"   // supported like any other algorithm
)

// Options are the settings of a Resolver. A zero field takes its default.
type Options struct {
	SHA1               SHA1          // default SHA1Insecure
	NSEC3MaxIterations uint16        // NSEC3 records with more iterations prove nothing (RFC 9276 §3.2); default 50
	CacheBytes         int           // maximum estimated size of the cache of zones, and names without a zone cut, in bytes; default 32 MiB
	QueryTimeout       time.Duration // for one query with its retries; default 5 s

	// Observe is called after each lookup that was made, with the type of the records, such
	// as "TLSA", and the time that queries and validation took; default: nothing is called.
	// Equal lookups in flight are one.
	Observe func(recordType string, took time.Duration)
}

func (o Options) withDefaults() Options {
	if o.SHA1 == "" {
		o.SHA1 = SHA1Insecure
	}
	if o.NSEC3MaxIterations == 0 {
		o.NSEC3MaxIterations = 50
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = 32 << 20
	}
	if o.QueryTimeout <= 0 {
		o.QueryTimeout = 5 * time.Second
	}
	if o.Observe == nil {
		o.Observe = func(string, time.Duration) {}
	}
	return o
}

// Resolver looks up names through a Transport and validates the answers from
// its trust anchors down. It is safe for concurrent use.
type Resolver struct {
	transport Transport
	anchors   map[string][]*dns.DS // by zone
	now       func() time.Time
	options   Options
	limits    limits
	speculate bool // query for the chain before a signature names its zones
	cache     *zoneCache
	failures  *failureCache
	sigs      *sigCache // nil: no signatures are cached
	outage    outage
	controls  controls
	failing   failingDomains
	witnesses *witnesses
	suspicion chan struct{} // holds an element if the resolvers may have failed
	droppedCD droppedCD

	lookups    flight.Group[question, *Answer]
	queries    flight.Group[query, *reply]
	prefetches flight.Group[string, Answer]

	limited atomic.Uint64 // lookups that exceeded a limit
}

// lookupTimeout bounds a lookup, even if its callers would wait longer.
const lookupTimeout = time.Minute

// New returns a Resolver. The time that now returns decides which signatures
// and cached zones are valid, and nothing else.
func New(transport Transport, anchors []Anchor, now func() time.Time, options Options) *Resolver {
	options = options.withDefaults()
	r := &Resolver{
		transport: transport,
		anchors:   make(map[string][]*dns.DS),
		now:       now,
		options:   options,
		limits:    defaultLimits(),
		speculate: true,
		cache:     newZoneCache(options.CacheBytes),
		failures:  newFailureCache(failureEntries),
		sigs:      newSigCache(options.CacheBytes / bytesPerSig),
		witnesses: newWitnesses(),
		suspicion: make(chan struct{}, 1),
	}
	for i := range anchors {
		zone := fold(anchors[i].Hdr.Name)
		r.anchors[zone] = append(r.anchors[zone], &anchors[i])
	}
	return r
}

// Lookup looks up the records of one type at name and validates the answer. A
// failure is an Answer with Err set. Equal lookups in flight share one Answer,
// so callers must not modify its records.
func (r *Resolver) Lookup(ctx context.Context, name string, qtype uint16) Answer {
	return r.LookupWithin(ctx, nil, name, qtype)
}

// LookupWithin is Lookup with a Meter that limits it. The Answer of a lookup that the
// Meter ended has status Indeterminate and wraps ErrBudget.
func (r *Resolver) LookupWithin(ctx context.Context, meter Meter, name string, qtype uint16) Answer {
	q, err := newQuestion(name, qtype)
	if err != nil {
		return Answer{Name: name, Type: qtype, Canonical: name, Why: err.Error(), Err: err}
	}
	found, joined, err := r.lookups.Do(ctx, q, lookupTimeout, func(ctx context.Context, _ func(*Answer)) *Answer {
		return r.lookup(ctx, meter, q)
	})
	if err == nil && joined && errors.Is(found.Err, ErrBudget) {
		// The client that started the lookup has no budget left. This one has its own.
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		found = r.lookup(ctx, meter, q)
	}
	switch {
	case err == nil:
		return *found
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
		return timeoutAnswer(q, err)
	}
	return Answer{Name: q.name, Type: qtype, Canonical: q.name, Why: err.Error(), Err: fmt.Errorf("look up %s: %w", q, err)}
}

// lookup makes one lookup, unless it failed a moment ago.
func (r *Resolver) lookup(ctx context.Context, meter Meter, q question) *Answer {
	if failed, ok := r.failures.get(q, r.now()); ok {
		return &failed
	}
	used := &account{meter: meter, stalled: func() { r.lookups.Detach(q) }}
	defer used.close()
	started := time.Now()
	answer := r.resolve(ctx, q, used)
	r.options.Observe(dns.TypeToString[q.qtype], time.Since(started))
	if refusal := used.refused(); refusal != nil && answer.Status.Failed() && !errors.Is(answer.Err, ErrBudget) && !errors.Is(answer.Err, ErrResolverFailed) {
		// What was refused, such as a retry, might have shown that the zone is good. A failure
		// of the resolvers is no verdict on the zone.
		answer = Answer{Name: q.name, Type: q.qtype, Canonical: q.name, Work: answer.Work, EDE: answer.EDE,
			Why: fmt.Sprintf("there is no verdict: %v; without what was refused: %s", refusal, answer.Why),
			Err: fmt.Errorf("look up %s: %w", q, refusal)}
		r.limited.Add(1)
	}
	if ctx.Err() == nil { // otherwise the retries may be incomplete
		r.failures.put(q, answer, r.now())
	}
	return &answer
}

// timeoutAnswer is the Answer of a lookup that was cut short by err.
func timeoutAnswer(q question, err error) Answer {
	return Answer{Name: q.name, Type: q.qtype, Canonical: q.name, Why: "the lookup timed out before there was a verdict",
		Err: fmt.Errorf("%w: look up %s: %w", ErrDeadline, q, err)}
}

// Check validates a response that some server returned for one question, as
// Lookup validates the response of a resolver. The zones above and their keys
// come from the resolvers and the cache. Check does not retry for a better
// answer, and it does not change the response. The meter limits it, as in LookupWithin.
func (r *Resolver) Check(ctx context.Context, meter Meter, name string, qtype uint16, response *dns.Msg) Answer {
	q, err := newQuestion(name, qtype)
	if err != nil {
		return Answer{Name: name, Type: qtype, Canonical: name, Why: err.Error(), Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	l := r.newLookup(q, upstream{}, r.limits)
	l.account = &account{meter: meter}
	defer l.account.close()
	l.asked[q] = true
	l.receive(ctx, arrival{q, newReply(response.Copy(), q), false}, []question{q})
	answer := l.run(ctx)
	if isServerFailure(answer) {
		answer = l.classifyFailure(ctx, answer)
	}
	if answer.Status == Bogus {
		answer = l.checkRoot(ctx, answer)
	}
	return answer
}

// SignatureExpiry returns the time at which the first RRset of a response loses
// its last signature, according to the unverified signatures. It returns the
// zero time if there are none. Check verifies signatures.
func SignatureExpiry(response *dns.Msg, at time.Time) time.Time {
	response = response.Copy()
	var first Validity
	for _, set := range slices.Concat(group(response.Answer), group(response.Ns)) {
		var last time.Time
		for _, sig := range set.sigs {
			if expiry := signatureTimes(sig, at).Expiry; expiry.After(last) {
				last = expiry
			}
		}
		first = first.And(Validity{Expiry: last})
	}
	return first.Expiry
}

// Stats are the counters of a Resolver, for metrics.
type Stats struct {
	CacheEntries int    // zones and names in the cache now
	CacheBytes   int    // their estimated size in bytes
	CacheHits    uint64 // zones that a lookup needed and found in the cache
	CacheMisses  uint64 // zones that a lookup needed and had to validate
	Limited      uint64 // lookups that exceeded a limit
}

// Add returns the sums of both.
func (s Stats) Add(other Stats) Stats {
	return Stats{
		CacheEntries: s.CacheEntries + other.CacheEntries,
		CacheBytes:   s.CacheBytes + other.CacheBytes,
		CacheHits:    s.CacheHits + other.CacheHits,
		CacheMisses:  s.CacheMisses + other.CacheMisses,
		Limited:      s.Limited + other.Limited,
	}
}

// Counters returns s without the current size of the cache.
func (s Stats) Counters() Stats {
	s.CacheEntries, s.CacheBytes = 0, 0
	return s
}

// Stats returns the current counters.
func (r *Resolver) Stats() Stats {
	stats := r.cache.stats()
	stats.Limited = r.limited.Load()
	return stats
}
