package dnssec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Problem is a problem of a resolver that the self-check found, from a closed
// list. It is empty if there is none.
type Problem string

// The problems of a resolver.
const (
	ProblemNoAnswer     Problem = "silent"     // it does not answer
	ProblemNoTCP        Problem = "no_tcp"     // large answers are lost
	ProblemStripped     Problem = "strips"     // it withholds DNSSEC records
	ProblemRefusesCD    Problem = "refuses_cd" // it fails for queries with CD=1
	ProblemFakesAnswers Problem = "lies"       // it returns addresses for names that do not exist
	ProblemWrongRoot    Problem = "wrong_root" // its keys match no trust anchor
	ProblemWrongTime    Problem = "wrong_time" // no signature over its keys is valid now: our clock is wrong
	ProblemNoUplink     Problem = "no_uplink"  // it answers from its cache alone
	ProblemOther        Problem = "fails"      // anything else
)

// Health is the result of the self-check for one resolver.
type Health struct {
	Server  string
	Problem Problem
	Why     string // the problem and its remedy, in words; empty if there is no problem
	// Anchored reports whether its keys of the zone with the trust anchors match an
	// anchor. It is nil if the resolver returned no signed keys.
	Anchored *bool
	// NewKeys are the tags of its key-signing keys of that zone, validated, that match no
	// anchor and are not revoked. The zone may soon be signed by them alone.
	NewKeys []uint16
}

// SelfCheckResult is the result of the self-check.
type SelfCheckResult struct {
	Resolvers []Health // in the order of use
}

// Healthy reports whether no resolver has a problem.
func (s SelfCheckResult) Healthy() bool {
	return !slices.ContainsFunc(s.Resolvers, func(h Health) bool { return h.Problem != "" })
}

// Anchored reports whether the keys of any resolver match a trust anchor. known
// is false if no resolver returned keys.
func (s SelfCheckResult) Anchored() (anchored, known bool) {
	for _, h := range s.Resolvers {
		if h.Anchored != nil {
			anchored, known = anchored || *h.Anchored, true
		}
	}
	return anchored, known
}

// NewKeys returns the tags of new keys that any resolver returned, sorted. known is false
// if no resolver returned keys that validate.
func (s SelfCheckResult) NewKeys() (tags []uint16, known bool) {
	for _, h := range s.Resolvers {
		known = known || h.Anchored != nil && *h.Anchored
		tags = append(tags, h.NewKeys...)
	}
	slices.Sort(tags)
	return slices.Compact(tags), known
}

// String returns the result in one line.
func (s SelfCheckResult) String() string {
	var texts []string
	for _, h := range s.Resolvers {
		if h.Problem == "" {
			texts = append(texts, h.Server+" is good")
		} else {
			texts = append(texts, h.Server+" "+h.Why)
		}
	}
	return strings.Join(texts, "; ")
}

// Limits on the time of a self-check and of Alive. A failure of a resolver must be
// known within 30 s.
const (
	selfCheckTimeout = 12 * time.Second
	uplinkTimeout    = 3 * time.Second
	aliveTimeout     = 3 * time.Second
)

// Suspicions returns a channel that receives a value after failed lookups, unless
// controls showed that a zone is the cause. It also receives one after lookups for
// which the root did not validate. Each value is a reason for a self-check.
func (r *Resolver) Suspicions() <-chan struct{} { return r.suspicion }

// Suspect makes Suspicions receive.
func (r *Resolver) Suspect() {
	select {
	case r.suspicion <- struct{}{}:
	default:
	}
}

// Alive reports whether each resolver returns keys of the root that validate now.
// Resolvers have these in their caches, so it may be called often. It does not show
// whether they have an uplink.
func (r *Resolver) Alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	var dead atomic.Bool
	var group sync.WaitGroup
	for _, server := range r.transport.Servers() {
		group.Go(func() {
			defer func() { _ = recover() }()
			c := newServerCheck(r, server)
			if _, answer := c.lookup(ctx, question{c.top, dns.TypeDNSKEY}, upstream{server: server}); answer.Status.Failed() {
				dead.Store(true)
			}
		})
	}
	group.Wait()
	return !dead.Load()
}

// HasUplink reports whether a resolver currently reaches a zone at the top of the DNS. If so,
// a lookup that no resolver answers fails because of nameservers below that zone.
func (r *Resolver) HasUplink(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, uplinkTimeout)
	defer cancel()
	since := nextSecond(time.Now()) // data that was cached before does not count
	var reached atomic.Bool
	var group sync.WaitGroup
	for _, zone := range r.usedTopLevels() {
		group.Go(func() {
			if control, err := r.control(ctx, zone, since, unpaid); err == nil && control.state >= controlRecent {
				reached.Store(true)
				cancel() // one zone is enough
			}
		})
	}
	group.Wait()
	return reached.Load()
}

// SelfCheck queries each resolver for what every lookup needs: the keys of the
// root, whether a top-level domain is signed, and names that it cannot have in its
// cache. It neither uses nor changes the caches of r.
func (r *Resolver) SelfCheck(ctx context.Context) SelfCheckResult {
	ctx, cancel := context.WithTimeout(ctx, selfCheckTimeout)
	defer cancel()
	servers := r.transport.Servers()
	result := SelfCheckResult{Resolvers: make([]Health, len(servers))}
	var group sync.WaitGroup
	for i, server := range servers {
		group.Go(func() {
			result.Resolvers[i] = Health{Server: server, Problem: ProblemOther, Why: "could not be checked: internal error"}
			defer func() { _ = recover() }()
			result.Resolvers[i] = newServerCheck(r, server).run(ctx)
		})
	}
	group.Wait()
	return result
}

// serverCheck is the self-check of one server.
type serverCheck struct {
	resolver *Resolver // with empty caches
	server   string
	top      string   // the zone with the trust anchors
	tops     []string // zones whose controls show whether it has an uplink
}

func newServerCheck(r *Resolver, server string) *serverCheck {
	var anchors []Anchor
	for _, set := range r.anchors {
		for _, anchor := range set {
			anchors = append(anchors, *anchor)
		}
	}
	return &serverCheck{resolver: New(r.transport, anchors, r.now, r.options), server: server, top: r.topZone(), tops: r.usedTopLevels()}
}

func (c *serverCheck) run(ctx context.Context) Health {
	l, answer := c.lookup(ctx, c.question(), upstream{server: c.server})
	if c.keys(l) == nil && errors.Is(answer.Err, ErrServer) {
		l, _ = c.lookup(ctx, question{c.top, dns.TypeDNSKEY}, upstream{server: c.server})
	}
	health := Health{Server: c.server, Anchored: c.anchored(l), NewKeys: c.newKeys(l)}
	if answer.Status.Failed() {
		health.Problem, health.Why = c.diagnose(ctx, l, answer)
		if health.Problem == ProblemRefusesCD { // the first query may have failed by chance
			c = newServerCheck(c.resolver, c.server)
			if l, again := c.lookup(ctx, c.question(), upstream{server: c.server}); !again.Status.Failed() {
				health = Health{Server: c.server, Anchored: c.anchored(l), NewKeys: c.newKeys(l)}
			}
		}
	} else if failing := c.unreachable(ctx); failing != "" {
		health.Problem, health.Why = ProblemNoUplink, noUplink(failing)
	} else if c.resolver.droppedCD.lasts(c.server, time.Now()) && !c.respondsToCD(ctx) {
		health.Problem = ProblemRefusesCD
		health.Why = "does not respond to queries with CD=1, so lookups are slow and do not show why a zone fails; allow these queries, or set resolver.servers to another resolver"
	}
	if health.Problem != "" {
		return health
	}
	if address := c.fakeAddress(ctx); address != "" {
		health.Problem = ProblemFakesAnswers
		health.Why = fmt.Sprintf("returns the address %s for a name that does not exist, so that the absence of names cannot be validated; "+
			"turn this off, or set resolver.servers to another resolver", address)
	}
	return health
}

// respondsToCD reports whether the server responds to one more query with CD=1. The
// first one may have been lost.
func (c *serverCheck) respondsToCD(ctx context.Context) bool {
	limited, cancel := context.WithTimeout(ctx, c.resolver.options.QueryTimeout)
	defer cancel()
	again := c.resolver.exchangeOnce(limited, query{question{c.top, dns.TypeDNSKEY}, upstream{server: c.server}})
	return !errors.Is(again.err, ErrUnreachable)
}

// question is the question of the check. Its answer, positive or negative, needs
// the keys of the top zone.
func (c *serverCheck) question() question {
	if c.top == "." {
		return question{"com.", dns.TypeDS}
	}
	return question{c.top, dns.TypeDNSKEY}
}

func (c *serverCheck) lookup(ctx context.Context, q question, u upstream) (*lookup, Answer) {
	l := c.resolver.newLookup(q, u, c.resolver.limits)
	return l, l.run(ctx)
}

// keys returns the keys of the top zone as the server returned them, or nil.
func (c *serverCheck) keys(l *lookup) *rrset {
	if r := l.evidence.replies[question{c.top, dns.TypeDNSKEY}]; r != nil {
		return r.find(c.top, dns.TypeDNSKEY)
	}
	return nil
}

// anchored returns the value of Health.Anchored.
func (c *serverCheck) anchored(l *lookup) *bool {
	if set := c.keys(l); set == nil || len(set.sigs) == 0 || len(c.resolver.anchors) == 0 {
		return nil
	}
	z := l.evidence.zones[c.top]
	anchored := z != nil && z.secure()
	return &anchored
}

// newKeys returns the value of Health.NewKeys.
func (c *serverCheck) newKeys(l *lookup) (tags []uint16) {
	if anchored := c.anchored(l); anchored == nil || !*anchored {
		return nil
	}
	for _, k := range newKeys(c.keys(l).all()) {
		matches := func(anchor *dns.DS) bool { return dsMatches(anchor, k, c.top) }
		if k.record.Flags&dns.SEP != 0 && k.record.Flags&dns.REVOKE == 0 && !slices.ContainsFunc(c.resolver.anchors[c.top], matches) {
			tags = append(tags, k.tag)
		}
	}
	return tags
}

// diagnose finds out why an answer is unusable, the most specific cause first.
func (c *serverCheck) diagnose(ctx context.Context, l *lookup, a Answer) (Problem, string) {
	const remedy = "set resolver.servers to a resolver that does not, such as your own Unbound, Knot Resolver or BIND"
	keys, now := c.keys(l), c.resolver.now()
	if keys != nil && (errors.Is(a.Err, ErrUnreachable) || errors.Is(a.Err, ErrServer)) {
		if failing := c.unreachable(ctx); failing != "" {
			return ProblemNoUplink, noUplink(failing)
		}
	}
	switch {
	case errors.Is(a.Err, ErrUnreachable) && c.answersShortQuery(ctx), l.truncated():
		return ProblemNoTCP, "answers short queries, but long answers are lost: allow TCP to its port 53, and UDP fragments or datagrams of 1232 octets"
	case errors.Is(a.Err, ErrUnreachable), errors.Is(a.Err, ErrDeadline):
		return ProblemNoAnswer, "does not answer: check resolver.servers and the network to it (" + a.Why + ")"
	case errors.Is(a.Err, ErrStripped), a.Status == Bogus && l.isUnsigned(c.question()):
		return ProblemStripped, "strips DNSSEC records, so that nothing can be validated: " + remedy
	case keys != nil && !c.matchAnchors(keys):
		return ProblemWrongRoot, fmt.Sprintf("returns keys of %s that match no trust anchor: check resolver.trust_anchors, and whether another server answers in its place", c.top)
	case keys != nil && !anyValidAt(keys.sigs, now):
		return ProblemWrongTime, fmt.Sprintf("returns keys of %s whose signatures are valid %s, but the clock of this machine is at %s: set the clock",
			c.top, validityText(keys.sigs, now), clock(now))
	}
	if _, checked := c.lookup(ctx, c.question(), upstream{server: c.server, checking: true}); !checked.Status.Failed() {
		return ProblemRefusesCD, "fails for queries with CD=1, so that every lookup has to be repeated: " + remedy + " (" + a.Why + ")"
	}
	return ProblemOther, "returns nothing that validates: " + remedy + " (" + a.Why + ")"
}

// usedTopLevels returns topControls and a few more top-level domains in use. A
// resolver may deduce what does not exist in the former from its cache. If the root has no
// anchor, the network may be private: it returns the zones with anchors instead.
func (r *Resolver) usedTopLevels() []string {
	const most = 8
	zones := topControls()
	if r.topZone() != "." {
		zones = slices.Sorted(maps.Keys(r.anchors))
	}
	for _, e := range r.cache.topLevel() {
		if len(zones) < most && !slices.Contains(zones, e.name) {
			zones = append(zones, e.name)
		}
	}
	return zones
}

// unreachable returns the zones that the server does not reach, if it reaches no
// zone or fails for several of those at the top. It is empty if all is well.
func (c *serverCheck) unreachable(ctx context.Context) string {
	zones := c.tops
	states := make([]controlState, len(zones))
	waitUntil(ctx, nextSecond(time.Now())) // records that a lookup has just cached are no longer new
	limited, cancel := context.WithTimeout(ctx, uplinkTimeout)
	defer cancel()
	var group sync.WaitGroup
	for i, zone := range zones {
		group.Go(func() { states[i], _ = c.resolver.runControl(limited, zone, []string{c.server}, unpaid) })
	}
	group.Wait()
	var failing []string
	for i, zone := range zones {
		if states[i] == controlFails {
			failing = append(failing, zone)
		}
	}
	answers := slices.ContainsFunc(states, func(state controlState) bool { return state >= controlRecent })
	if len(failing) >= 2 || len(failing) > 0 && !answers {
		return strings.Join(failing, ", ")
	}
	return ""
}

func noUplink(failing string) string {
	return "fails for names that it has not cached, such as in " + failing + ": check its network and the servers that it forwards queries to"
}

// answersShortQuery reports whether the server answers a query with a short
// answer that needs no EDNS.
func (c *serverCheck) answersShortQuery(ctx context.Context) bool {
	response, err := c.resolver.transport.ExchangeWith(ctx, c.server, new(dns.Msg).SetQuestion(".", dns.TypeSOA))
	return err == nil && response != nil
}

// fakeAddress returns the address that the server returns for a name that cannot
// exist, if any. RFC 6761 §6.4 advises against such queries in general. This one shows
// what the resolver does with them.
func (c *serverCheck) fakeAddress(ctx context.Context) string {
	response, err := c.resolver.transport.ExchangeWith(ctx, c.server, new(dns.Msg).SetQuestion("no-such-name.invalid.", dns.TypeA))
	if err != nil || response == nil {
		return ""
	}
	for _, rr := range response.Answer {
		if a, ok := rr.(*dns.A); ok {
			return a.A.String()
		}
	}
	return ""
}

// matchAnchors reports whether a key matches a trust anchor.
func (c *serverCheck) matchAnchors(set *rrset) bool {
	for _, k := range newKeys(set.all()) {
		for _, anchor := range c.resolver.anchors[c.top] {
			if dsMatches(anchor, k, c.top) {
				return true
			}
		}
	}
	return false
}

// truncated reports whether a reply was truncated, over TCP too.
func (l *lookup) truncated() bool {
	for _, r := range l.evidence.replies {
		if r.truncated {
			return true
		}
	}
	return false
}

// isUnsigned reports whether the reply to q has no signatures.
func (l *lookup) isUnsigned(q question) bool {
	r := l.evidence.replies[q]
	if r == nil || r.err != nil {
		return false
	}
	for set := range r.sets() {
		if len(set.sigs) > 0 {
			return false
		}
	}
	return true
}

// anyValidAt reports whether a signature is valid at a time, or there are none.
func anyValidAt(sigs []*dns.RRSIG, at time.Time) bool {
	for _, sig := range sigs {
		if times := signatureTimes(sig, at); !at.Before(times.Inception) && !at.After(times.Expiry) {
			return true
		}
	}
	return len(sigs) == 0
}

// validityText formats the time from the first inception to the last expiry of
// signatures.
func validityText(sigs []*dns.RRSIG, at time.Time) string {
	all := signatureTimes(sigs[0], at)
	for _, sig := range sigs[1:] {
		one := signatureTimes(sig, at)
		if one.Inception.Before(all.Inception) {
			all.Inception = one.Inception
		}
		if one.Expiry.After(all.Expiry) {
			all.Expiry = one.Expiry
		}
	}
	return "from " + clock(all.Inception) + " to " + clock(all.Expiry)
}
