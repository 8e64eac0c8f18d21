package discovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unique"

	"dane_exporter/probe"
)

const (
	// maxLookups is the number of concurrent MX lookups. Those of broken zones take
	// seconds.
	maxLookups = 64
	// retryInterval is the time after which lookups that failed are repeated.
	retryInterval = 5 * time.Minute
	// resolverPause is the time between two lookups while the resolvers fail.
	resolverPause = time.Second
)

// mxSet has the MX hosts of a domain, separated by spaces. Domains with equal hosts share the
// memory of one mxSet. The zero mxSet means that the records were not looked up yet.
type mxSet = unique.Handle[string]

// mxTable has the MX hosts of each domain. New domains are looked up first, then those
// whose lookup failed, then all others in turn.
type mxTable struct {
	env     Environment
	changed func()        // called after the hosts of a domain have changed
	wake    chan struct{} // has an element if there may be more to look up; has a buffer of one

	mu       sync.Mutex
	rate     int
	interval time.Duration
	domains  *List
	sets     []mxSet   // of each domain
	failed   []bool    // of each domain: the last lookup failed
	queue    []uint32  // domains to look up first
	next     int       // domain to look up if the queue is empty
	retry    time.Time // time at which failed lookups are repeated
	troubled bool      // the last lookup failed because of the resolvers or this exporter
	pending  int       // number of domains that were not looked up yet
	failures int       // number of domains whose last lookup failed
}

func newMXTable(env Environment, changed func()) *mxTable {
	return &mxTable{env: env, changed: changed, wake: make(chan struct{}, 1), domains: new(List)}
}

// use sets the rate in lookups per second, and the interval between two lookups of one domain.
func (t *mxTable) use(rate int, interval time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rate, t.interval = rate, interval
}

// setDomains replaces the domains. Results of domains that remain are kept.
func (t *mxTable) setDomains(domains *List) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sets, failed := make([]mxSet, domains.Len()), make([]bool, domains.Len())
	t.queue, t.pending, t.failures = nil, 0, 0
	old := 0
	for i := range sets {
		for old < t.domains.Len() && string(t.domains.At(old)) < string(domains.At(i)) {
			old++
		}
		if old < t.domains.Len() && string(t.domains.At(old)) == string(domains.At(i)) {
			sets[i], failed[i] = t.sets[old], t.failed[old]
		}
		if sets[i] == (mxSet{}) {
			t.queue = append(t.queue, uint32(i))
			t.pending++
		}
		if failed[i] {
			t.failures++
		}
	}
	if t.next < t.domains.Len() { // continue at the same domain of the new list
		t.next, _ = domains.find(string(t.domains.At(t.next)))
	}
	t.domains, t.sets, t.failed = domains, sets, failed
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run looks up MX records until ctx ends.
func (t *mxTable) run(ctx context.Context) {
	var lookups sync.WaitGroup
	defer lookups.Wait()
	slots := make(chan struct{}, maxLookups)
	for ctx.Err() == nil {
		domain, least, pause := t.nextDomain()
		if domain != "" {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			lookups.Go(func() {
				defer func() { <-slots }()
				hosts, err := t.env.LookupMX(ctx, domain)
				if ctx.Err() == nil {
					t.record(domain, hosts, err)
				}
			})
		}
		t.wait(ctx, least, pause)
	}
}

// wait waits for least, and then until pause has passed or there may be more to look up.
func (t *mxTable) wait(ctx context.Context, least, pause time.Duration) {
	timer := time.NewTimer(least)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	timer.Reset(pause - least)
	select {
	case <-timer.C:
	case <-t.wake:
	case <-ctx.Done():
	}
}

// nextDomain returns the domain to look up now, or "" if there is none. The caller calls it
// again after pause, or earlier if there may be more to look up. It must wait for least, which
// limits the rate.
func (t *mxTable) nextDomain() (domain string, least, pause time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.domains.Len()
	if n == 0 {
		return "", 0, time.Hour
	}
	least = time.Second / time.Duration(max(1, t.rate))
	if t.troubled {
		least = max(least, resolverPause)
	}
	if now := t.env.Now(); len(t.queue) == 0 && t.failures > 0 && !now.Before(t.retry) {
		t.retry = now.Add(retryInterval)
		for i, failed := range t.failed {
			if failed {
				t.queue = append(t.queue, uint32(i))
			}
		}
	}
	if len(t.queue) > 0 {
		domain = string(t.domains.At(int(t.queue[0])))
		t.queue = t.queue[1:]
		return domain, least, least
	}
	if t.pending > 0 { // the lookups are in progress
		return "", least, resolverPause
	}
	t.next %= n
	domain = string(t.domains.At(t.next))
	t.next++
	pause = max(least, t.interval/time.Duration(n))
	if t.failures > 0 {
		pause = min(pause, max(least, retryInterval))
	}
	return domain, least, pause
}

// record stores the result of a lookup. After a failed lookup, the known hosts of the domain
// remain. If none are known, the domain has no host after the second failure.
func (t *mxTable) record(domain string, hosts []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, found := t.domains.find(domain)
	if !found {
		return
	}
	unknown := t.sets[i] == (mxSet{})
	t.troubled = errors.Is(err, probe.ErrNotLookedUp)
	if t.troubled {
		if unknown {
			t.queue = append(t.queue, uint32(i))
		}
		return
	}
	again := t.failed[i]
	if failed := err != nil; failed != again {
		t.failed[i] = failed
		if failed {
			t.failures++
		} else {
			t.failures--
		}
	}
	switch {
	case err != nil && !unknown:
		return
	case err != nil && !again: // the first lookup may have failed because of the load after a start
		t.queue = append(t.queue, uint32(i))
		return
	}
	set := unique.Make(strings.Join(hosts, " "))
	if unknown {
		t.pending--
	}
	if set != t.sets[i] {
		t.sets[i] = set
		t.changed()
	}
}

// MXStatus is the state of the MX lookups.
type MXStatus struct {
	Wanted  bool // a request needed the records
	Pending int  // number of domains that were not looked up yet
	Failed  int  // number of domains whose last lookup failed
}

func (t *mxTable) status() MXStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	return MXStatus{Pending: t.pending, Failed: t.failures}
}

// hostCounts returns how many domains use each host, and the sources that list any of them.
// It returns a NotReadyError if the records of a domain were not looked up yet. It also does
// so if the lookups of most domains failed and their hosts are not known: after a start while
// a top-level domain is broken, the hosts of all domains below it would be missing.
func (t *mxTable) hostCounts(lists []*List) (map[string]hostUse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	type group struct {
		set  mxSet
		mask uint64
	}
	counts := make(map[group]int)
	missing, failed, all, i := 0, 0, 0, 0
	for name, mask := range merged(lists) {
		for i < t.domains.Len() && string(t.domains.At(i)) < string(name) {
			i++
		}
		all++
		if i == t.domains.Len() || string(t.domains.At(i)) != string(name) || t.sets[i] == (mxSet{}) {
			missing++
			continue
		}
		if t.failed[i] && t.sets[i].Value() == "" {
			failed++
		}
		counts[group{t.sets[i], mask}]++
	}
	if missing > 0 {
		return nil, notReady(fmt.Errorf("the MX records of %d of %d domains have not been looked up yet", missing, all))
	}
	if failed > all/2 {
		return nil, notReady(fmt.Errorf("the MX lookups of %d of %d domains fail; a zone above them may be broken", failed, all))
	}
	uses := make(map[string]hostUse)
	for g, count := range counts {
		for host := range strings.FieldsSeq(g.set.Value()) {
			use := uses[host]
			use.domains += count
			use.mask |= g.mask
			uses[host] = use
		}
	}
	return uses, nil
}

// hostUse has the number of domains that use a host, and the sources that list them.
type hostUse struct {
	domains int
	mask    uint64
}
