package dnssec

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"
)

// A witness is a zone of a registered domain that has answered a control. If it and
// other witnesses stop answering at the same time, the resolvers are at fault, unless
// the zones share a cause.
type witness struct {
	domain      string // the registered domain
	zone        string
	nameservers []string  // the registered domains and networks of its nameservers; empty if not known
	failedAt    time.Time // when it was first seen to fail since it last answered; zero: it answers

	seen    time.Time // when a lookup in it last succeeded
	checked time.Time // when its control was last queued
	proven  bool      // its control has answered
	rank    uint64    // random
}

// witnesses are the zones that may be witnesses, by registered domain. They are
// bounded. A new one replaces a known one only after forgetAfter, so that many new zones
// change no verdict.
type witnesses struct {
	queue chan string // domains whose control is due, for KeepWarm

	mu        sync.Mutex
	domains   map[string]*witness
	forgotten time.Time // when forget was last called
}

const (
	maxDomains     = 1024
	maxQueue       = 64
	forgetAfter    = 6 * time.Hour    // without a successful lookup; scrape intervals are shorter
	recheckAfter   = 30 * time.Second // a witness that failed and then answers a lookup is checked again
	simultaneous   = time.Hour        // zones that fail within that time may have one cause; scrape intervals are shorter
	minFailedShare = 3                // 3: at least a third must fail
)

func newWitnesses() *witnesses {
	return &witnesses{queue: make(chan string, maxQueue), domains: make(map[string]*witness)}
}

// seen records that a lookup in a zone succeeded. That may be the answer of a cache,
// so a control of the zone is queued if it is not known to answer.
func (w *witnesses) seen(zone string) {
	domain := registeredDomain(zone)
	if labels(domain) < 2 || !within(zone, domain) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.domains[domain]
	if known == nil {
		if len(w.domains) >= maxDomains && !w.forget() {
			return
		}
		known = &witness{domain: domain, zone: zone, rank: rand.Uint64()}
		w.domains[domain] = known
	}
	known.seen = time.Now()
	if known.proven && known.failedAt.IsZero() || time.Since(known.checked) < recheckAfter {
		return
	}
	select {
	case w.queue <- domain:
		known.checked = time.Now()
	default:
	}
}

// forget forgets the domains that are no longer looked up, at most once a minute. It
// reports whether there is room.
func (w *witnesses) forget() bool {
	if time.Since(w.forgotten) < time.Minute {
		return false
	}
	w.forgotten = time.Now()
	maps.DeleteFunc(w.domains, func(_ string, known *witness) bool { return time.Since(known.seen) > forgetAfter })
	return len(w.domains) < maxDomains
}

// sample returns the witness of a registered domain, if there is one, and up to n other
// ones: of lowest rank, so that lookups that fail at the same time share their controls.
func (w *witnesses) sample(domain string, n int) (own *witness, others []witness) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.domains[domain]; known != nil && known.proven {
		copied := *known
		own = &copied
	}
	if own == nil {
		return nil, nil // the others would change nothing
	}
	for _, other := range w.domains {
		if other.proven && other.domain != domain {
			others = append(others, *other)
		}
	}
	slices.SortFunc(others, func(a, b witness) int { return cmp.Compare(a.rank, b.rank) })
	return own, others[:min(n, len(others))]
}

// record records the outcome of a control.
func (w *witnesses) record(zone string, state controlState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.domains[registeredDomain(zone)]
	switch {
	case known == nil:
	case state >= controlRecent:
		known.failedAt, known.proven = time.Time{}, true
	case state == controlFails && known.proven && known.failedAt.IsZero():
		known.failedAt = time.Now()
	}
}

// keepWitnesses runs the controls that are due until ctx ends.
func (r *Resolver) keepWitnesses(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case domain := <-r.witnesses.queue:
			r.checkWitness(ctx, domain)
		}
	}
}

// checkWitness runs the control of a witness and looks up its nameservers. KeepWarm pays
// for that: it is done once for all probes.
func (r *Resolver) checkWitness(ctx context.Context, domain string) {
	w := r.witnesses
	w.mu.Lock()
	current := w.domains[domain]
	if current == nil { // it made room for another
		w.mu.Unlock()
		return
	}
	known := *current
	w.mu.Unlock()
	result, err := r.control(ctx, known.zone, time.Now(), unpaid)
	if err != nil {
		return
	}
	if result.state >= controlRecent && len(known.nameservers) == 0 {
		w.setNameservers(domain, r.nameserverMarks(ctx, known.zone))
	}
	w.record(known.zone, result.state)
}

// setNameservers sets what the nameservers of a domain may have in common with others.
func (w *witnesses) setNameservers(domain string, marks []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.domains[domain]; known != nil {
		known.nameservers = marks
	}
}

// unpaid pays for a query that serves all probes.
func unpaid() error { return nil }

// Limits on what is kept of the nameservers of a zone.
const (
	maxNameserverNames = 4
	maxNetworks        = 16
	nameserverTime     = 3 * time.Second // for all lookups of one zone: other zones wait
)

// nameserverMarks returns what the nameservers of a zone may have in common with those of
// other zones: their registered domains, and the networks of their addresses. The names
// alone are not enough, because a provider may serve each zone under names in the zone. It
// returns nothing if not all is known in time.
func (r *Resolver) nameserverMarks(ctx context.Context, zone string) (marks []string) {
	ctx, cancel := context.WithTimeout(ctx, nameserverTime)
	defer cancel()
	add := func(mark string) {
		if mark != "" && !slices.Contains(marks, mark) && len(marks) < maxNameserverNames+maxNetworks {
			marks = append(marks, mark)
		}
	}
	servers := records[*dns.NS](r.unvalidated(ctx, question{zone, dns.TypeNS}))
	servers = servers[:min(len(servers), maxNameserverNames)]
	addresses := make([][]dns.RR, 2*len(servers))
	var lookups sync.WaitGroup
	for i, ns := range servers {
		add(registeredDomain(fold(ns.Ns)))
		for j, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			lookups.Go(func() { addresses[2*i+j] = r.unvalidated(ctx, question{fold(ns.Ns), qtype}) })
		}
	}
	lookups.Wait()
	for _, address := range slices.Concat(addresses...) {
		switch rr := address.(type) {
		case *dns.A:
			add(network(rr.A, 24))
		case *dns.AAAA:
			add(network(rr.AAAA, 48))
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return marks
}

// unvalidated returns the records that a resolver returns for a question.
func (r *Resolver) unvalidated(ctx context.Context, q question) []dns.RR {
	reply := r.exchangeShared(ctx, query{question: q}, unpaid)
	if !reply.usable() {
		return nil
	}
	set := reply.find(q.name, q.qtype)
	if set == nil {
		return nil
	}
	return set.records
}

// network returns the network of an address with that many bits, as text. It is empty if
// there is none.
func network(ip net.IP, bits int) string {
	address, ok := netip.AddrFromSlice(ip)
	prefix, err := address.Unmap().Prefix(bits)
	if !ok || err != nil {
		return ""
	}
	return prefix.String()
}

// manyFail reports whether own and at least a third of all witnesses fail without a
// common cause. Zones with a domain, nameserver domain or network in common count once,
// and count as answering if one of them answers. So do the zones below one of parents that
// explains their failure. Witnesses that have failed for much longer or whose state is
// unclear do not count.
func manyFail(own witness, others []witness, states map[string]controlState, parents []string) bool {
	type cluster struct {
		marks  []string // what its zones have in common
		answer bool
	}
	var clusters []*cluster
	parents = slices.DeleteFunc(slices.Clone(parents), func(parent string) bool { return !explains(parent, others, states) })
	add := func(w witness, answers bool) *cluster {
		merged := &cluster{marks: append([]string{w.domain}, w.nameservers...), answer: answers}
		if len(w.nameservers) == 0 {
			merged.marks = append(merged.marks, "") // unknown nameservers may be those of other zones
		}
		for _, parent := range parents {
			if within(w.zone, parent) {
				merged.marks = append(merged.marks, parent)
			}
		}
		clusters = slices.DeleteFunc(clusters, func(c *cluster) bool {
			common := slices.ContainsFunc(c.marks, func(mark string) bool { return slices.Contains(merged.marks, mark) })
			if common {
				merged.marks, merged.answer = append(merged.marks, c.marks...), merged.answer || c.answer
			}
			return common
		})
		clusters = append(clusters, merged)
		return merged
	}
	now := time.Now()
	failedAt := func(w witness) time.Time {
		if w.failedAt.IsZero() {
			return now
		}
		return w.failedAt
	}
	for _, w := range others {
		switch state, known := states[w.zone]; {
		case !known:
		case state >= controlRecent:
			add(w, true)
		case state == controlFails && failedAt(w).Sub(failedAt(own)).Abs() <= simultaneous:
			add(w, false)
		}
	}
	if add(own, false).answer {
		return false
	}
	failing := 0
	for _, c := range clusters {
		if !c.answer {
			failing++
		}
	}
	return failing >= 2 && failing*minFailedShare >= len(clusters)
}

// minElsewhere is the number of witnesses that must answer elsewhere before a parent that
// answers is the common cause of the failures below it.
const minElsewhere = 3

// explains reports whether a zone is the common cause of the failures below it: no
// witness below it answers, and the zone fails itself, or all witnesses elsewhere answer.
func explains(parent string, witnesses []witness, states map[string]controlState) bool {
	answering, failing := 0, 0 // elsewhere
	for _, w := range witnesses {
		state, known := states[w.zone]
		switch below := within(w.zone, parent); {
		case !known:
		case state >= controlRecent && below:
			return false
		case state >= controlRecent:
			answering++
		case state == controlFails && !below:
			failing++
		}
	}
	state, known := states[parent]
	return known && state == controlFails || answering >= minElsewhere && failing == 0
}

// RegisteredDomain returns the registered domain that a fully qualified name belongs to,
// in lower case. Zones below one registered domain may fail for one cause.
func RegisteredDomain(name string) string { return registeredDomain(fold(name)) }

// registeredDomain returns the registered domain that a name belongs to: one label
// below a public suffix. It returns the name itself if it is a suffix. Suffixes below
// which a company gives names to its customers do not count: zones below them may fail
// for one cause.
func registeredDomain(name string) string {
	plain := strings.TrimSuffix(name, ".")
	suffixed, official := publicsuffix.PublicSuffix(plain)
	for !official && strings.Contains(suffixed, ".") {
		_, parent, _ := strings.Cut(suffixed, ".")
		suffixed, official = publicsuffix.PublicSuffix(parent)
	}
	return suffix(name, labels(suffixed+".")+1)
}
