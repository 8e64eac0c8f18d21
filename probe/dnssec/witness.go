package dnssec

import (
	"cmp"
	"context"
	"math/rand/v2"
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
	nameservers []string  // the registered domains of its nameservers; empty if not known
	failedAt    time.Time // when it was first seen to fail since it last answered; zero: it answers

	checked time.Time // when its control was last queued
	proven  bool      // its control has answered
	rank    uint64    // random
}

// witnesses are the zones that may be witnesses, by registered domain. They are
// bounded. A known one is never replaced by a new one, so that many new zones change no
// verdict.
type witnesses struct {
	queue chan string // domains whose control is due, for KeepWarm

	mu      sync.Mutex
	domains map[string]*witness
}

const (
	maxDomains     = 1024
	maxQueue       = 64
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
		if len(w.domains) >= maxDomains {
			return
		}
		known = &witness{domain: domain, zone: zone, rank: rand.Uint64()}
		w.domains[domain] = known
	}
	if known.proven && known.failedAt.IsZero() || time.Since(known.checked) < recheckAfter {
		return
	}
	select {
	case w.queue <- domain:
		known.checked = time.Now()
	default:
	}
}

// sample returns the witness of a zone, if there is one, and up to n other ones: of
// lowest rank, so that lookups that fail at the same time share their controls.
func (w *witnesses) sample(zone string, n int) (own *witness, others []witness) {
	domain := registeredDomain(zone)
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

// record records the outcome of a control, and returns the time since which the
// witness has failed.
func (w *witnesses) record(zone string, state controlState) (failedAt time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.domains[registeredDomain(zone)]
	if known == nil {
		return time.Time{}
	}
	switch {
	case state >= controlRecent:
		known.failedAt, known.proven = time.Time{}, true
	case state == controlFails && known.proven && known.failedAt.IsZero():
		known.failedAt = time.Now()
	}
	return known.failedAt
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

// checkWitness runs the control of a witness and looks up its nameservers.
func (r *Resolver) checkWitness(ctx context.Context, domain string) {
	w := r.witnesses
	w.mu.Lock()
	known := *w.domains[domain]
	w.mu.Unlock()
	state, _ := r.control(ctx, known.zone, time.Now())
	if state >= controlRecent && len(known.nameservers) == 0 {
		known.nameservers = r.nameserverDomains(ctx, known.zone)
		w.mu.Lock()
		w.domains[domain].nameservers = known.nameservers
		w.mu.Unlock()
	}
	w.record(known.zone, state)
}

// maxNameserverDomains is the maximum number of domains that is kept of the
// nameservers of a zone.
const maxNameserverDomains = 4

// nameserverDomains returns the registered domains of the nameservers of a zone.
func (r *Resolver) nameserverDomains(ctx context.Context, zone string) []string {
	reply := r.exchangeShared(ctx, query{question: question{zone, dns.TypeNS}}, func() error { return nil })
	if !reply.usable() {
		return nil
	}
	var domains []string
	if set := reply.find(zone, dns.TypeNS); set != nil {
		for _, ns := range records[*dns.NS](set.records) {
			domain := registeredDomain(fold(ns.Ns))
			if !slices.Contains(domains, domain) && len(domains) < maxNameserverDomains {
				domains = append(domains, domain)
			}
		}
	}
	return domains
}

// manyFail reports whether own and at least a third of all witnesses fail. Zones with a
// domain or nameserver domain in common count once, and count as answering if one of
// them answers. Witnesses that have failed for much longer or whose state is unclear do
// not count.
func manyFail(own witness, others []witness, states map[string]controlState) bool {
	type cluster struct {
		marks  []string // domains that its zones have in common
		answer bool
	}
	var clusters []*cluster
	add := func(w witness, answers bool) *cluster {
		merged := &cluster{marks: append([]string{w.domain}, w.nameservers...), answer: answers}
		if len(w.nameservers) == 0 {
			merged.marks = append(merged.marks, "") // unknown nameservers may be those of other zones
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
	for _, w := range others {
		switch state := states[w.zone]; {
		case state >= controlRecent:
			add(w, true)
		case state == controlFails && w.failedAt.Sub(own.failedAt).Abs() <= simultaneous:
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
