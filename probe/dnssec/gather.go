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

// gathering is one look-up under way: it asks, lets validate judge what came,
// and asks for what the verdict still needs, until there is one. What is asked
// beforehand on a guess is used if the verdict comes to need it, and changes
// nothing but the time that it takes.
type gathering struct {
	*Resolver
	question question
	via      via
	anew     string // the zone that is judged whatever the cache has of it
	rules    rules
	evidence evidence
	ledger   *ledger
	uncut    map[string]uncut
	failed   map[string]*fault // zones, in this look-up

	pending  []question // that are being asked, or were
	guesses  int        // among them
	underWay int        // those whose replies have not been taken in
	// Questions that are asked beside this goroutine, all but the last and only
	// one, end with beside, which stop ends; their replies come as arrivals.
	beside   context.Context
	stop     func()
	arrivals chan arrival
}

type arrival struct {
	question question
	reply    *reply
	guessed  bool
}

// gather looks one question up, and asks around before it calls an answer bad.
// ctx is the look-up's own.
func (r *Resolver) gather(ctx context.Context, q question) Answer {
	g := r.newGathering(q, via{}, r.limits)
	answer := g.run(ctx)
	cut := false
	if contestable(answer) && !g.foreknown(answer) {
		answer, cut = g.secondOpinion(ctx, answer)
	}
	if refused(answer) {
		answer = g.settle(ctx, answer)
	}
	if answer.Status == Bogus {
		g.rememberBogus(answer)
		better := "no resolver gave better"
		if cut {
			better = "no better answer was found within the limits of a look-up"
		}
		answer.Why += "; " + better + ", and where the zone has been repaired, a forwarder's cache may hold the bad answer for its TTL"
	}
	if errors.Is(answer.Err, ErrLimit) {
		r.limited.Add(1)
	}
	return answer
}

func (r *Resolver) newGathering(q question, way via, l limits) *gathering {
	return &gathering{
		Resolver: r,
		question: q,
		via:      way,
		rules:    rules{at: r.now(), anchors: r.anchors, options: r.options},
		evidence: evidence{replies: make(map[question]*reply), zones: make(map[string]*zone)},
		ledger:   newLedger(l, r.memo),
		stop:     func() {},
	}
}

// run asks and judges until there is a verdict.
func (g *gathering) run(ctx context.Context) Answer {
	defer func() { g.stop() }()
	q := g.question
	g.recall(q.name)
	for needed := []question{q}; ; {
		if !g.obtain(ctx, needed) {
			return g.interrupted(ctx)
		}
		result := g.judge()
		if l := g.ledger.limits; len(g.ledger.needed) > l.queries-l.guessed() {
			return g.exhausted()
		}
		if len(result.missing) == 0 {
			g.remember(result.answer)
			return result.answer
		}
		needed = result.missing
	}
}

// obtain asks what is needed, and what may turn out to be, and waits for the
// former; false where ctx ended first.
func (g *gathering) obtain(ctx context.Context, needed []question) bool {
	var fresh []question
	for _, q := range needed {
		if g.begin(q) {
			fresh = append(fresh, q)
		}
	}
	for _, q := range needed {
		if !q.ofChain() {
			g.guess(ctx, q.name)
		}
	}
	if len(fresh) == 1 && g.underWay == 0 { // as in a zone that is known: nobody else need wait for it
		g.underWay++
		g.take(ctx, arrival{question: fresh[0], reply: g.ask(ctx, fresh[0])}, needed)
	} else {
		for _, q := range fresh {
			g.send(ctx, q, false)
		}
	}
	return g.receive(ctx, needed)
}

// judge validates what is there, with what the cache has of the zones that the
// verdict turns out to need.
func (g *gathering) judge() verdict {
	for {
		result := validate(g.question, g.evidence, g.rules, g.ledger)
		maps.Copy(g.evidence.zones, result.zones)
		for name, u := range result.uncut {
			put(&g.uncut, name, u)
		}
		for name, f := range result.bogus {
			put(&g.failed, name, f)
		}
		recalled := false
		for _, next := range result.missing {
			recalled = g.recall(next.name) || recalled
		}
		if !recalled {
			return result
		}
	}
}

// recall takes what the cache knows of the zones above a name, and says whether
// it is news.
func (g *gathering) recall(name string) (news bool) {
	for n := labels(name); n >= 0; n-- {
		ancestor := suffix(name, n)
		if ancestor == g.anew || g.evidence.zones[ancestor] != nil || g.evidence.bogus[ancestor] != nil {
			continue
		}
		k, _ := g.cache.get(ancestor, g.rules.at)
		if k.zone != nil {
			g.evidence.zones[ancestor], news = k.zone, true
		}
		if k.fault != nil {
			put(&g.evidence.bogus, ancestor, k.fault)
			news = true
		}
	}
	return news
}

// prepare asks for the chains of the other zones that a reply leads to: those
// that signed it, or those of its names where nobody did.
func (g *gathering) prepare(ctx context.Context, r *reply) {
	for _, section := range [][]*rrset{r.answer, r.authority} {
		for _, set := range section {
			name := set.name
			if len(set.sigs) > 0 {
				name = fold(set.sigs[0].SignerName)
			}
			if !within(g.question.name, name) {
				g.recall(name)
				g.guess(ctx, name)
			}
		}
	}
}

// guess asks for the chain of a name before anybody knows where its zones
// begin: every name above it may be one, but for underscore labels, and those
// that are known.
func (g *gathering) guess(ctx context.Context, name string) {
	if !g.speculate {
		return
	}
	top := ""
	for n := 0; n <= min(labels(name), g.limits.guesses); n++ {
		if g.guesses+2 > g.ledger.limits.guessed() {
			return
		}
		candidate := suffix(name, n)
		z := g.evidence.zones[candidate]
		anchored := len(g.anchors[candidate]) > 0
		switch {
		case z != nil && !z.secure(), g.evidence.bogus[candidate] != nil, strings.HasPrefix(candidate, "_"):
			return
		case z != nil || anchored:
			top = candidate
		}
		if _, known := g.cache.get(candidate, g.rules.at); known || z != nil || top == "" && !anchored {
			continue
		}
		for _, qtype := range []uint16{dns.TypeDS, dns.TypeDNSKEY} {
			q := question{candidate, qtype}
			if qtype == dns.TypeDS && anchored || !g.begin(q) {
				continue
			}
			g.guesses++
			g.send(ctx, q, true)
		}
	}
}

// begin notes that a question will be asked; false where it is being asked, or was.
func (g *gathering) begin(q question) bool {
	if slices.Contains(g.pending, q) {
		return false
	}
	g.pending = append(g.pending, q)
	g.ledger.work.Queries++
	return true
}

// send asks one question; its reply arrives on its own, if the verdict is not
// out before.
func (g *gathering) send(ctx context.Context, q question, guessed bool) {
	g.underWay++
	if g.beside == nil {
		g.arrivals = make(chan arrival)
		g.beside, g.stop = context.WithCancel(ctx)
	}
	ctx = g.beside
	go func() {
		select {
		case g.arrivals <- arrival{q, g.ask(ctx, q), guessed}:
		case <-ctx.Done():
		}
	}()
}

// ask waits for the reply to one question. That about the target is asked for
// anew, those about the chain are shared with other look-ups.
func (g *gathering) ask(ctx context.Context, q question) (r *reply) {
	defer func() {
		if problem := recover(); problem != nil {
			r = &reply{err: fmt.Errorf("internal error: %v", problem)}
		}
	}()
	if q.ofChain() {
		return g.shared(ctx, inquiry{q, g.via})
	}
	limited, cancel := context.WithTimeout(ctx, g.options.QueryTimeout)
	defer cancel()
	return g.exchange(limited, inquiry{q, g.via})
}

// inquiry is a question, and of whom it is asked.
type inquiry struct {
	question
	via via
}

// shared asks one question, together with whoever else asks it now.
func (r *Resolver) shared(ctx context.Context, q inquiry) *reply {
	got, _, err := r.queries.Do(ctx, q, r.options.QueryTimeout, func(ctx context.Context, _ func(*reply)) *reply { return r.exchange(ctx, q) })
	if err != nil {
		return &reply{err: fmt.Errorf("%w: %s: %w", ErrDeadline, q, err)}
	}
	return got
}

// receive takes replies in until those needed are there; false where ctx ended
// first.
func (g *gathering) receive(ctx context.Context, needed []question) bool {
	for slices.ContainsFunc(needed, func(q question) bool { return g.evidence.replies[q] == nil }) {
		select {
		case a := <-g.arrivals:
			g.take(ctx, a, needed)
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// take takes a reply in. A guess that fails proves nothing: if it was needed,
// it is asked again.
func (g *gathering) take(ctx context.Context, a arrival, needed []question) {
	g.underWay--
	if a.guessed && (a.reply.err != nil || !answers(a.reply.rcode)) {
		g.pending = slices.DeleteFunc(g.pending, func(q question) bool { return q == a.question })
		if slices.Contains(needed, a.question) && g.begin(a.question) {
			g.send(ctx, a.question, false)
		}
		return
	}
	g.evidence.replies[a.question] = a.reply
	if !a.question.ofChain() {
		g.prepare(ctx, a.reply)
	}
}

// exchange sends one query as a validator does: DNSSEC records wanted, checking
// left to us (RFC 4035 §4.9.1, §4.9.2, RFC 6840 §5.9).
func (r *Resolver) exchange(ctx context.Context, q inquiry) *reply {
	query := &dns.Msg{
		MsgHdr:   dns.MsgHdr{RecursionDesired: true, CheckingDisabled: !q.via.checked},
		Question: []dns.Question{{Name: q.name, Qtype: q.qtype, Qclass: dns.ClassINET}},
	}
	query.SetEdns0(maxUDPSize, true)
	start := time.Now()
	response, server, err := r.carry(ctx, query, q.via.server)
	if err == nil && response == nil {
		err = errors.New("an empty response")
	}
	if err != nil {
		return &reply{err: fmt.Errorf("%w: %s: %w", ErrUnreachable, q, err), server: server}
	}
	answer := newReply(response)
	answer.server, answer.rtt = server, time.Since(start)
	if answer.truncated = response.Truncated; answer.truncated {
		answer.err = fmt.Errorf("%w: the answer to %s is truncated, and TCP did not bring it whole", ErrServer, q)
	}
	return answer
}

func (r *Resolver) carry(ctx context.Context, query *dns.Msg, server string) (*dns.Msg, string, error) {
	if server == "" {
		return r.transport.Exchange(ctx, query)
	}
	response, err := r.transport.ExchangeWith(ctx, server, query)
	return response, server, err
}

// maxUDPSize is the EDNS buffer size: what the least MTU of IPv6, 1280 octets
// (RFC 8200 §5), leaves beside its header and that of UDP.
const maxUDPSize = 1232

// remember keeps the zones that this look-up judged for the next, and the
// names that are no zone cut.
func (g *gathering) remember(a Answer) {
	hits, misses := 0, 0
	for name, z := range g.evidence.zones {
		if g.cache.use(z) {
			hits++
			continue
		}
		misses++
		g.cache.put(name, known{zone: z}, g.rules.at, z.until)
	}
	for name, u := range g.uncut {
		g.cache.put(name, known{}, g.rules.at, u.until)
	}
	g.cache.count(hits, misses)
	if a.Status != Secure || len(a.Chain) == 0 || a.Type == dns.TypeDS {
		return
	}
	// A secure answer lies in the last zone of its chain: no cut in between.
	apex := a.Chain[len(a.Chain)-1].Zone
	for n := labels(a.Canonical); n > labels(apex) && within(a.Canonical, apex); n-- {
		if _, ok := g.cache.get(suffix(a.Canonical, n), g.rules.at); ok {
			continue
		}
		g.cache.put(suffix(a.Canonical, n), known{}, g.rules.at, g.rules.at.Add(a.TTL))
	}
}

// rememberBogus keeps for a moment that a zone is bogus, where the verdict
// rests on that.
func (g *gathering) rememberBogus(a Answer) {
	if failed := failedZone(a); g.failed[failed] != nil && !g.foreknown(a) {
		g.cache.put(failed, known{fault: g.failed[failed]}, g.rules.at, g.rules.at.Add(bogusMemory))
	}
}

// foreknown reports whether the verdict rests on a zone of which the cache
// already had that it is bogus.
func (g *gathering) foreknown(a Answer) bool {
	return a.Status == Bogus && g.evidence.bogus[failedZone(a)] != nil
}

// failedZone is the zone at which the chain of trust broke; empty where it did not.
func failedZone(a Answer) string {
	if n := len(a.Chain); n > 0 && a.Chain[n-1].Status == Bogus {
		return a.Chain[n-1].Zone
	}
	return ""
}

func (g *gathering) interrupted(ctx context.Context) Answer {
	return Answer{Name: g.question.name, Type: g.question.qtype, Canonical: g.question.name, Work: g.ledger.work,
		Why: "the time for the look-up ran out before its verdict",
		Err: fmt.Errorf("%w: look up %s: %w", ErrDeadline, g.question, context.Cause(ctx))}
}

func (g *gathering) exhausted() Answer {
	f := exceeded(g.ledger.limits.queries, "queries")
	return Answer{Name: g.question.name, Type: g.question.qtype, Canonical: g.question.name, Work: g.ledger.work,
		Why: f.why, Err: fmt.Errorf("look up %s: %w", g.question, f.err)}
}
