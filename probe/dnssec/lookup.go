package dnssec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// lookup is one lookup in progress: it sends queries and validates the replies
// until there is a verdict.
type lookup struct {
	resolver *Resolver
	question question
	upstream upstream
	started  time.Time
	refresh  string // the zone whose cache entry is ignored; empty: none
	rules    rules
	evidence evidence
	budget   *workBudget
	account  *account             // nil: no Meter limits the lookup
	noCuts   map[string]noZoneCut // names found to be no zone cut
	bogus    map[string]*fault    // zones found to be bogus

	asked       map[question]bool // questions in flight or answered
	speculative int               // number of speculative questions
	arrivals    chan arrival
}

// arrival is the reply to a question that was sent.
type arrival struct {
	question    question
	reply       *reply
	speculative bool
}

// resolve looks up one question. It retries with the other resolvers before it
// returns a bad answer.
func (r *Resolver) resolve(ctx context.Context, q question, used *account) Answer {
	l := r.newLookup(q, upstream{}, r.limits)
	l.account = used
	answer := l.run(ctx)
	limited := false
	if isRetryable(answer) && !l.isKnownBogus(answer) {
		answer, limited = l.retryOthers(ctx, answer)
	}
	if isServerFailure(answer) {
		answer = l.classifyFailure(ctx, answer)
	}
	if !answer.Status.Failed() {
		zone := l.closestZone(answer.Canonical)
		r.witnesses.seen(zone)
		r.failing.clear(registeredDomain(zone))
	}
	if answer.Status == Bogus {
		if ctx.Err() == nil { // otherwise the retries may be incomplete
			l.storeBogus(answer)
		}
		retries := "no resolver returned a valid answer"
		if limited {
			retries = "no valid answer was found within the limits of a lookup"
		}
		answer.Why += "; " + retries + "; if the zone was repaired, a forwarder may have cached the bad answer for its TTL"
		answer = l.checkRoot(ctx, answer)
	}
	if concernsResolver(answer) || failedZone(answer) == r.topZone() {
		r.Suspect()
	}
	if errors.Is(answer.Err, ErrLimit) {
		r.limited.Add(1)
	}
	return answer
}

// checkRoot sets the error of a bogus answer to ErrRootBogus if the root does not validate either.
// Then no zone can be judged. The clock of this machine is the usual cause.
func (l *lookup) checkRoot(ctx context.Context, a Answer) Answer {
	r := l.resolver
	if len(r.anchors["."]) == 0 {
		return a
	}
	failed := failedZone(a)
	if failed == "" && len(a.Chain) > 0 { // data that the last zone signs is bogus
		failed = a.Chain[len(a.Chain)-1].Zone
	}
	if failed != "." {
		if labels(failed) > 1 && len(r.anchors[failed]) == 0 {
			return a // the chain of trust from the root to the zone above validates
		}
		again := r.newLookup(question{otherTopLevel(failed), dns.TypeDS}, upstream{}, l.budget.share(1))
		again.account = l.account
		other := again.run(ctx)
		a.Work = a.Work.plus(other.Work)
		if other.Status != Bogus {
			return a
		}
		a.Why = other.Why
	}
	a.FaultZone = ""
	a.Why = "the root does not validate: check the clock of this machine, resolver.trust_anchors and the resolvers (" + a.Why + ")"
	a.Err = fmt.Errorf("look up %s: %w", l.question, ErrRootBogus)
	return a
}

// otherTopLevel returns a top-level domain that a zone is not in.
func otherTopLevel(zone string) string {
	if within(zone, "com.") {
		return "org."
	}
	return "com."
}

// concernsResolver reports whether a lookup may have failed because of the resolvers
// or the network to them.
func concernsResolver(a Answer) bool {
	for _, err := range []error{ErrUnreachable, ErrResolverFailed, ErrStripped, ErrDeadline, ErrRootBogus} {
		if errors.Is(a.Err, err) {
			return true
		}
	}
	return false
}

func (r *Resolver) newLookup(q question, u upstream, lim limits) *lookup {
	return &lookup{
		resolver: r,
		question: q,
		upstream: u,
		started:  time.Now(),
		rules:    rules{at: r.now(), anchors: r.anchors, options: r.options},
		evidence: evidence{replies: make(map[question]*reply), zones: make(map[string]*zone),
			noCuts: make(map[string]noZoneCut), bogus: make(map[string]*fault)},
		budget:   newWorkBudget(lim, r.sigs),
		noCuts:   make(map[string]noZoneCut),
		bogus:    make(map[string]*fault),
		asked:    make(map[question]bool),
		arrivals: make(chan arrival),
	}
}

// run queries and validates until there is a verdict.
func (l *lookup) run(ctx context.Context) Answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.budget.spend = func(cost int) error {
		if ctx.Err() != nil {
			return fmt.Errorf("%w: look up %s: %w", ErrDeadline, l.question, context.Cause(ctx))
		}
		return l.account.compute(cost)
	}
	l.loadCached(l.question.name)
	var needed []question
	if l.question.qtype != dns.TypeNone {
		needed = append(needed, l.question)
	}
	for {
		if !l.fetch(ctx, needed) {
			answer := timeoutAnswer(l.question, context.Cause(ctx))
			answer.Work = l.budget.work
			return answer
		}
		result := l.validate()
		if f := l.budget.queriesExceeded(); f != nil {
			return Answer{Name: l.question.name, Type: l.question.qtype, Canonical: l.question.name, Work: l.budget.work,
				Why: f.why, Err: fmt.Errorf("look up %s: %w", l.question, f.err)}
		}
		if len(result.missing) == 0 {
			l.store(result.answer)
			return *result.answer
		}
		needed = result.missing
	}
}

// fetch sends the questions that are needed, and speculative ones, and waits
// for the replies to the former. It returns false if ctx ends first.
func (l *lookup) fetch(ctx context.Context, needed []question) bool {
	var unasked []question
	for _, q := range needed {
		if l.markAsked(q) {
			unasked = append(unasked, q)
		}
	}
	for _, q := range needed {
		if !q.ofChain() {
			l.speculate(ctx, q.name)
		}
	}
	if len(unasked) == 1 && len(needed) == 1 {
		// A single query, as in a cached zone, needs no goroutine. That saves 4 % of
		// the CPU time of a probe.
		l.receive(ctx, arrival{unasked[0], l.ask(ctx, unasked[0], false), false}, needed)
	} else {
		for _, q := range unasked {
			l.send(ctx, q, false)
		}
	}
	for slices.ContainsFunc(needed, func(q question) bool { return l.evidence.replies[q] == nil }) {
		select {
		case a := <-l.arrivals:
			l.receive(ctx, a, needed)
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// validate judges the replies so far. It loads the cached zones that the
// verdict needs.
func (l *lookup) validate() verdict {
	for {
		result := validate(l.question, l.evidence, l.rules, l.budget)
		maps.Copy(l.evidence.zones, result.zones)
		maps.Copy(l.noCuts, result.noCuts)
		maps.Copy(l.bogus, result.bogus)
		loaded := false
		for _, q := range result.missing {
			loaded = l.loadCached(q.name) || loaded
		}
		if !loaded {
			return result
		}
	}
}

// loadCached adds what the cache holds about name and the names above to the
// evidence, and reports whether it added anything. A retry does not use cached
// proofs that a name is no zone cut, because the zone may have changed since.
func (l *lookup) loadCached(name string) (added bool) {
	for n := labels(name); n >= 0; n-- {
		ancestor := suffix(name, n)
		if ancestor == l.refresh || l.evidence.zones[ancestor] != nil || l.evidence.bogus[ancestor] != nil {
			continue
		}
		cached, _ := l.resolver.cache.get(ancestor, l.rules.at)
		if cached.zone != nil {
			l.evidence.zones[ancestor], added = cached.zone, true
		}
		if cached.fault != nil {
			l.evidence.bogus[ancestor], added = cached.fault, true
		}
		if _, loaded := l.evidence.noCuts[ancestor]; cached.noCut != nil && !loaded && l.upstream == (upstream{}) {
			l.evidence.noCuts[ancestor], added = *cached.noCut, true
		}
	}
	return added
}

// speculate queries for the chain of name before it is known where its zones
// begin. Each name above may be a zone, except those with an underscore label
// and those that the cache knows.
func (l *lookup) speculate(ctx context.Context, name string) {
	r := l.resolver
	if !r.speculate {
		return
	}
	covered := false // by a known zone or an anchor
	for n := 0; n <= min(labels(name), r.limits.speculativeLevels); n++ {
		if l.speculative+2 > l.budget.limits.speculativeQueries() {
			return
		}
		candidate := suffix(name, n)
		z := l.evidence.zones[candidate]
		anchored := len(r.anchors[candidate]) > 0
		if z != nil && !z.secure() || l.evidence.bogus[candidate] != nil || strings.HasPrefix(candidate, "_") {
			return
		}
		covered = covered || z != nil || anchored
		if _, cached := r.cache.get(candidate, l.rules.at); cached || z != nil || !covered {
			continue
		}
		for _, qtype := range []uint16{dns.TypeDS, dns.TypeDNSKEY} {
			q := question{candidate, qtype}
			if qtype == dns.TypeDS && anchored || !l.markAsked(q) {
				continue
			}
			l.speculative++
			l.send(ctx, q, true)
		}
	}
}

// speculateOn queries for the chains of the other zones that a reply leads to:
// the signers of its RRsets, or their owners if they are unsigned.
func (l *lookup) speculateOn(ctx context.Context, r *reply) {
	for set := range r.sets() {
		name := set.name
		if len(set.sigs) > 0 {
			name = fold(set.sigs[0].SignerName)
		}
		if !within(l.question.name, name) {
			l.loadCached(name)
			l.speculate(ctx, name)
		}
	}
}

// markAsked notes that q will be sent. It returns false if q was sent before.
func (l *lookup) markAsked(q question) bool {
	if l.asked[q] {
		return false
	}
	l.asked[q] = true
	l.budget.work.Queries++
	return true
}

// send sends one question. The reply arrives on l.arrivals, unless ctx ends
// first.
func (l *lookup) send(ctx context.Context, q question, speculative bool) {
	go func() {
		select {
		case l.arrivals <- arrival{q, l.ask(ctx, q, speculative), speculative}:
		case <-ctx.Done():
		}
	}()
}

// ask returns the reply to one question. Queries for the chain of trust are
// shared with other lookups. The query for the data itself is always sent.
func (l *lookup) ask(ctx context.Context, q question, speculative bool) (r *reply) {
	defer func() {
		if problem := recover(); problem != nil {
			r = &reply{err: fmt.Errorf("%w: %v", ErrInternal, problem)}
		}
	}()
	if err := l.account.hold(sizeOfQuery, speculative); err != nil {
		return &reply{err: err}
	}
	defer l.account.release(sizeOfQuery)
	end, err := l.account.begin(ctx) // before the query is shared: others must not wait for this client
	if err != nil {
		return &reply{err: fmt.Errorf("%w: %s: waiting for other queries to end: %w", ErrDeadline, q, err)}
	}
	defer end()
	if q.ofChain() {
		return l.resolver.exchangeShared(ctx, query{q, l.upstream}, func() error { return l.account.query(speculative) })
	}
	if err := l.account.query(speculative); err != nil {
		return &reply{err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, l.resolver.options.QueryTimeout)
	defer cancel()
	return l.resolver.exchange(ctx, query{q, l.upstream})
}

// receive adds a reply to the evidence. A speculative query that failed proves
// nothing: it is repeated if its reply is needed.
func (l *lookup) receive(ctx context.Context, a arrival, needed []question) {
	if err := l.account.hold(a.reply.size, a.speculative); err != nil {
		a.reply = &reply{err: err, server: a.reply.server}
	}
	if a.speculative && !a.reply.usable() {
		delete(l.asked, a.question)
		if slices.Contains(needed, a.question) && l.markAsked(a.question) {
			l.send(ctx, a.question, false)
		}
		return
	}
	l.evidence.replies[a.question] = a.reply
	if !a.question.ofChain() {
		l.speculateOn(ctx, a.reply)
	}
}

// store caches the zones that this lookup validated, and the names that are no
// zone cut.
func (l *lookup) store(a *Answer) {
	cache, at := l.resolver.cache, l.rules.at
	hits, misses := 0, 0
	for name, z := range l.evidence.zones {
		if cache.use(z) {
			hits++
			continue
		}
		misses++
		cache.put(name, cachedName{zone: z}, at, z.until)
	}
	for name, noCut := range l.noCuts {
		value := cachedName{}
		if !noCut.nxdomain { // the name may be created while the proof is cached
			value.noCut = &noCut
		}
		cache.put(name, value, at, noCut.until)
	}
	cache.count(hits, misses)
	if a.Status != Secure || a.Type == dns.TypeDS {
		return
	}
	// There is no cut between the apex of the zone that signed the answer and the
	// answer.
	for n := labels(a.Canonical); n > labels(a.Signer); n-- {
		name := suffix(a.Canonical, n)
		if _, ok := cache.get(name, at); !ok {
			cache.put(name, cachedName{}, at, at.Add(min(a.TTL, maxTTL)))
		}
	}
}

// storeBogus caches for failureTTL that a zone is bogus, if the verdict depends
// on that.
func (l *lookup) storeBogus(a Answer) {
	if l.account.refused() != nil { // the retries may be incomplete
		return
	}
	if failed := failedZone(a); l.bogus[failed] != nil && !l.isKnownBogus(a) {
		now := l.resolver.now() // a lookup may take longer than failureTTL
		known := *l.bogus[failed]
		known.zone = a.FaultZone
		l.resolver.cache.put(failed, cachedName{fault: &known}, now, now.Add(failureTTL))
	}
}

// isKnownBogus reports whether the verdict depends on a zone that the cache
// held as bogus.
func (l *lookup) isKnownBogus(a Answer) bool {
	return a.Status == Bogus && l.evidence.bogus[failedZone(a)] != nil
}

// failedZone returns the zone at which the chain of trust failed, or the empty
// string if it did not.
func failedZone(a Answer) string {
	if n := len(a.Chain); n > 0 && a.Chain[n-1].Status == Bogus {
		return a.Chain[n-1].Zone
	}
	return ""
}
