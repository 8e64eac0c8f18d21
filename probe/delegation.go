package probe

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dane_exporter/internal/flight"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// Limits on the examinations of delegations, which all probes share. The memory limit of a
// probe applies to each examination too.
const (
	delegationInterval = time.Hour       // between two examinations of one delegation
	delegationRetry    = 5 * time.Minute // after one that was not completed
	delegationMaxAge   = 6 * time.Hour   // of a result, if later examinations fail
	delegationTimeout  = 20 * time.Second
	delegationQueries  = 200     // of one examination
	delegationComputed = 250_000 // microseconds of CPU time of one examination, as maxComputed

	maxDelegations     = 32 // of one probe
	maxExaminedByProbe = 6  // of these, that one probe may examine; later probes examine the others
	maxParentServers   = 32 // addresses of one parent that are queried; com has 26
	maxReferrals       = 3  // nameservers of the parent that are queried for its NS records

	maxExaminations  = 32       // in progress
	maxExamined      = 10000    // delegations that are kept, and so examined in an interval
	maxExaminedBytes = 32 << 20 // estimated

	// Examinations of delegations from one parent: a token bucket.
	parentGap   = 100 * time.Millisecond // between two, on average
	parentBurst = 50
)

// delegations holds the results of the examinations of delegations. All probes share it, so
// that the number of probes does not increase the queries to the parent's nameservers.
type delegations struct {
	now     func() time.Time
	flights flight.Group[delegationKey, examination]
	slots   chan struct{}

	mu      sync.Mutex
	entries map[delegationKey]*examined
	bytes   int
	parents map[string]time.Time // by parent: when its token bucket is full again
}

// delegationKey identifies a delegation as seen through one resolver. Another resolver may have
// other zones or trust anchors.
type delegationKey struct {
	view string // as Prober.view returns it
	dane.Cut
}

// examined is a delegation, with the time from which it may be examined again.
type examined struct {
	delegation *dane.Delegation // nil: not completed yet
	running    bool
	next       time.Time // earliest time of the next examination; a running one ends before
	bytes      int
}

// known returns the result of the last examination that measured something, or nil if that is
// too old.
func (e *examined) known(now time.Time) *dane.Delegation {
	if e.delegation != nil && now.Sub(e.delegation.At) > delegationMaxAge {
		return nil
	}
	return e.delegation
}

func newDelegations() *delegations {
	return &delegations{now: time.Now, slots: make(chan struct{}, maxExaminations),
		entries: make(map[delegationKey]*examined), parents: make(map[string]time.Time)}
}

// get returns the last result for a delegation, or nil. due reports whether an examination is
// running, or may start according to its interval.
func (d *delegations) get(key delegationKey) (known *dane.Delegation, due bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[key]
	if e == nil {
		return nil, true
	}
	now := d.now()
	return e.known(now), e.running || !now.Before(e.next)
}

// begin admits an examination if the delegation is due and the limits allow it. The caller
// must call end.
func (d *delegations) begin(key delegationKey) (end func(), admitted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	e := d.entries[key]
	if e != nil && now.Before(e.next) || e == nil && !d.hasRoom(now) {
		return nil, false
	}
	full := d.parents[key.Parent]
	if full.Before(now) {
		full = now
	}
	if full.Sub(now) >= parentBurst*parentGap {
		return nil, false
	}
	select {
	case d.slots <- struct{}{}:
	default:
		return nil, false
	}
	if len(d.parents) >= maxExamined {
		maps.DeleteFunc(d.parents, func(_ string, full time.Time) bool { return full.Before(now) })
	}
	d.parents[key.Parent] = full.Add(parentGap)
	if e == nil {
		e = new(examined)
		d.entries[key] = e
	}
	e.running, e.next = true, now.Add(delegationRetry)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		e.running = false
		<-d.slots
	}, true
}

// hasRoom reports whether there is room for another delegation. If there is none, it first
// drops those that are due again. It never drops others, because they would be examined more
// often.
func (d *delegations) hasRoom(now time.Time) bool {
	full := func() bool { return len(d.entries) >= maxExamined || d.bytes >= maxExaminedBytes }
	if full() {
		maps.DeleteFunc(d.entries, func(_ delegationKey, e *examined) bool {
			drop := !now.Before(e.next)
			if drop {
				d.bytes -= e.bytes
			}
			return drop
		})
	}
	return !full()
}

// put stores the result of an examination. If it measured nothing, the last result that did
// remains. put returns the stored result.
func (d *delegations) put(key delegationKey, found *dane.Delegation) *dane.Delegation {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[key]
	if e == nil {
		return found
	}
	e.next = e.next.Add(delegationInterval - delegationRetry)
	if e.known(found.At) == nil || found.Measured() {
		d.bytes += found.MemSize() - e.bytes
		e.delegation, e.bytes = found, found.MemSize()
	}
	return e.delegation
}

// examination is the result of an examination of a delegation.
type examination struct {
	delegation *dane.Delegation // nil: not completed
	err        error            // a PanicError; nil as a rule
}

// delegation returns the result of an examination of a delegation. It examines the delegation
// if the last result is older than delegationInterval and the limits allow. It returns nil if
// there is no result by the deadline of ctx. The error is a PanicError.
func (r *run) delegation(ctx context.Context, cut dane.Cut) (*dane.Delegation, error) {
	p := r.prober
	key := delegationKey{p.view(r.module.Name), cut}
	known, due := p.delegations.get(key)
	if !due || !r.delegations.mayExamine() {
		return known, nil
	}
	found, _, _ := p.delegations.flights.Do(ctx, key, delegationTimeout, func(ctx context.Context, _ func(examination)) (e examination) {
		job{run: func() { e.delegation, e.err = p.examineNow(ctx, key) }, err: &e.err}.do()
		return e
	})
	if found.delegation == nil {
		known, _ = p.delegations.get(key) // another call may have ended meanwhile
		return known, found.err
	}
	return found.delegation, nil
}

// examineNow examines a delegation if the limits allow. It returns nil if they do not, or if
// ctx ends first. The error is a PanicError.
func (p *Prober) examineNow(ctx context.Context, key delegationKey) (*dane.Delegation, error) {
	end, admitted := p.delegations.begin(key)
	if !admitted {
		return nil, nil
	}
	defer end()
	last, _ := p.delegations.get(key)
	evidence, err := p.examine(ctx, key, cmp.Or(last, new(dane.Delegation)))
	if evidence == nil {
		return nil, err
	}
	return p.delegations.put(key, dane.NewDelegation(evidence)), nil
}

// examine queries the nameservers of a zone and of its parent about the delegation. last is
// the result of the last examination. examine returns nil if ctx or a memory limit ends it,
// because missing answers are then not the fault of a server. The error is a PanicError.
func (p *Prober) examine(ctx context.Context, key delegationKey, last *dane.Delegation) (*dane.DelegationEvidence, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	held := p.env.Pool.newUsage(end)
	defer held.close()
	held.maxComputed = delegationComputed
	r := p.newRun(Target{Name: dane.TextName(key.Zone)}, Module{Name: key.view}, held)
	r.zones.addresses, r.nameserverQueries = maxParentServers+maxNameservers, newQueries(delegationQueries)

	e := &dane.DelegationEvidence{Cut: key.Cut, At: p.delegations.now()}
	if err := r.gatherDelegation(ctx, e, last); err != nil || ctx.Err() != nil {
		return nil, err
	}
	return e, nil
}

// gatherDelegation adds the answers of the resolvers and of the nameservers to e.
func (r *run) gatherDelegation(ctx context.Context, e *dane.DelegationEvidence, last *dane.Delegation) error {
	lookups, cancel := half(ctx)
	defer cancel()
	meter := r.nameserverMeter()
	var parentNS dnssec.Answer
	runAll(
		job{run: func() { parentNS = r.lookup(lookups, meter, e.Parent, dns.TypeNS) }, err: &parentNS.Err},
		job{run: func() { e.DS = r.lookup(lookups, meter, e.Zone, dns.TypeDS) }, err: &e.DS.Err},
		job{run: func() { e.Keys = r.lookup(lookups, meter, e.Zone, dns.TypeDNSKEY) }, err: &e.Keys.Err},
		job{run: func() { e.NS = r.lookup(lookups, meter, e.Zone, dns.TypeNS) }, err: &e.NS.Err},
	)
	parents := r.findNameservers(lookups, e.Parent, dane.NSNames(parentNS.Records), maxParentServers)
	parents.Servers = foundOrLast(parents.Servers, last.ParentServers)
	var found dane.Nameservers // of the zone
	var errs [2]error
	runAll(
		job{
			run: func() { e.ParentServers = r.queryAll(ctx, parents.Servers, r.queryParent, e.Zone) },
			err: &errs[0],
		},
		job{
			run: func() {
				e.Referral = r.referral(ctx, parents.Servers, e.Zone)
				names := slices.Concat(dane.NSNames(e.NS.Records), e.Referral)
				slices.Sort(names)
				found = r.findNameservers(lookups, e.Zone, slices.Compact(names), maxNameservers)
				e.Servers = r.queryAll(ctx, foundOrLast(found.Servers, last.Servers), r.queryZone, e.Zone)
			},
			err: &errs[1],
		},
	)
	e.Truncated = parents.Truncated || found.Truncated
	return errors.Join(errs[:]...)
}

// foundOrLast returns the nameservers found or, if there are none, those of the last
// examination: while a zone is bogus, the addresses of nameservers in it are bogus too.
func foundOrLast(found []dane.Nameserver, last []dane.NameserverVerdict) []dane.Nameserver {
	if len(found) > 0 {
		return found
	}
	for _, v := range last {
		found = append(found, dane.Nameserver{Name: v.Name, Address: v.Address})
	}
	return found
}

// queryAll queries all servers in parallel.
func (r *run) queryAll(ctx context.Context, servers []dane.Nameserver, query func(context.Context, *dane.DelegationServer, string), zone string) []dane.DelegationServer {
	all := make([]dane.DelegationServer, len(servers))
	jobs := make([]job, len(servers))
	for i := range all {
		server := &all[i]
		server.Nameserver = servers[i]
		jobs[i] = job{
			run: func() {
				if server.Err = r.prober.access.checkAddress(server.Address); server.Err != nil {
					return
				}
				started := time.Now()
				query(ctx, server, zone)
				r.explain(ctx, &server.Nameserver, started)
			},
			err: &server.Err,
		}
	}
	runAll(jobs...)
	return all
}

// queryParent queries a server of the parent for the DS records of a zone.
func (r *run) queryParent(ctx context.Context, server *dane.DelegationServer, zone string) {
	ds := r.queryDirectly(ctx, server.Address, zone, dns.TypeDS)
	server.DS, server.Err, server.Expiry = ds.answer, ds.err, ds.expiry
}

// queryZone queries a server of the zone for its keys. If there are any, it also queries for
// the CDS and CDNSKEY records, and for the SOA record. Key-signing keys may sign the others, so
// only the SOA record shows the zone-signing keys in use.
func (r *run) queryZone(ctx context.Context, server *dane.DelegationServer, zone string) {
	keys := r.queryDirectly(ctx, server.Address, zone, dns.TypeDNSKEY)
	server.DNSKEY, server.Err, server.Expiry, server.Signers = keys.answer, keys.err, keys.expiry, keys.signers
	if keys.answer == nil || !keys.answer.Found() {
		return
	}
	var cds, cdnskey, soa directAnswer
	runAll(
		job{run: func() { cds = r.queryDirectly(ctx, server.Address, zone, dns.TypeCDS) }, err: &cds.err},
		job{run: func() { cdnskey = r.queryDirectly(ctx, server.Address, zone, dns.TypeCDNSKEY) }, err: &cdnskey.err},
		job{run: func() { soa = r.queryDirectly(ctx, server.Address, zone, dns.TypeSOA) }, err: &soa.err},
	)
	server.CDS, server.CDNSKEY = cds.answer, cdnskey.answer
	server.Signers = slices.Concat(server.Signers, cds.signers, cdnskey.signers, soa.signers)
}

// referral returns the nameservers to which a server of the parent refers for a zone. It
// queries few servers, in parallel, because the NS records of the servers rarely differ.
func (r *run) referral(ctx context.Context, servers []dane.Nameserver, zone string) []string {
	servers = slices.DeleteFunc(slices.Clone(servers), func(s dane.Nameserver) bool { return r.prober.access.checkAddress(s.Address) != nil })
	slices.SortStableFunc(servers, func(a, b dane.Nameserver) int { // IPv4 first: this machine may have no IPv6
		return cmp.Compare(a.Address.BitLen(), b.Address.BitLen())
	})
	servers = servers[:min(len(servers), maxReferrals)]
	names, errs := make([][]string, len(servers)), make([]error, len(servers))
	var jobs []job
	for i := range servers {
		jobs = append(jobs, job{
			run: func() { names[i] = r.queryReferral(ctx, servers[i].Address, zone) },
			err: &errs[i],
		})
	}
	runAll(jobs...)
	for _, some := range names {
		if len(some) > 0 {
			return some
		}
	}
	return nil
}

// queryReferral returns the nameservers to which a server of the parent refers. A server that
// also serves the zone returns no referral.
func (r *run) queryReferral(ctx context.Context, address netip.Addr, zone string) []string {
	response, err := r.exchangeDirectly(ctx, address, zone, dns.TypeNS)
	if err != nil || response.Rcode != dns.RcodeSuccess || response.Authoritative {
		return nil
	}
	isOthers := func(rr dns.RR) bool { return dns.CanonicalName(rr.Header().Name) != zone }
	names := dane.NSNames(slices.DeleteFunc(slices.Clone(response.Ns), isOthers))
	return names[:min(len(names), maxNameservers)]
}

// probeDelegations holds the delegations that one probe depends on.
type probeDelegations struct {
	mu        sync.Mutex
	begun     map[dane.Cut]bool // at most maxDelegations
	found     []*dane.Delegation
	err       error // PanicErrors
	due       int   // number that were due for an examination
	truncated bool  // there are more than maxDelegations
}

// examineDelegations examines the delegations of the zones that answers depend on, each once.
func (r *run) examineDelegations(ctx context.Context, answers ...*dnssec.Answer) {
	if r.prober.env.Query == nil {
		return
	}
	var examined sync.WaitGroup
	for _, answer := range answers {
		if answer == nil {
			continue
		}
		for _, cut := range dane.Cuts(answer) {
			if r.delegations.begin(cut) {
				examined.Go(func() { r.delegations.add(r.delegation(ctx, cut)) })
			}
		}
	}
	examined.Wait()
}

// begin reports whether the caller must examine a delegation.
func (p *probeDelegations) begin(cut dane.Cut) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.begun[cut]:
		return false
	case len(p.begun) == maxDelegations:
		p.truncated = true
		return false
	case p.begun == nil:
		p.begun = make(map[dane.Cut]bool)
	}
	p.begun[cut] = true
	return true
}

// mayExamine reports whether the probe may examine another delegation itself.
func (p *probeDelegations) mayExamine() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due++
	return p.due <= maxExaminedByProbe
}

// add adds what was found out about a delegation, if anything, and the error.
func (p *probeDelegations) add(d *dane.Delegation, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d != nil {
		p.found = append(p.found, d)
	}
	p.err = errors.Join(p.err, err)
}
