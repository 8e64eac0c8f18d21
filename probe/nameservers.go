package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/handshake"

	"github.com/miekg/dns"
)

// Limits on the queries to authoritative nameservers.
const (
	nameserverTimeout   = 5 * time.Second // of one query, including its retry
	maxNameservers      = 16              // addresses of one zone
	maxProbeNameservers = 32              // addresses of all zones of one probe
	maxNameserverTLSA   = 128             // TLSA queries of one probe: one for each service and address
)

// errNotAuthoritative is wrapped when a nameserver does not serve a zone that is
// delegated to it.
var errNotAuthoritative = dane.WithCause(dane.CauseNotAuthoritative, errors.New("no authoritative answer"))

// zones holds the zones whose nameservers a probe queries. Several services may
// be in one zone: its nameservers are looked up once, and queried once for its SOA.
type zones struct {
	mu                 sync.Mutex
	byName             map[string]func() *servedZone
	addresses, queries int // left
}

func newZones() *zones {
	return &zones{byName: make(map[string]func() *servedZone), addresses: maxProbeNameservers, queries: maxNameserverTLSA}
}

// take takes up to n of what is left of a limit, and returns how many it took.
func (z *zones) take(left *int, n int) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	taken := min(*left, n)
	*left -= taken
	return taken
}

// servedZone is a zone whose nameservers are queried.
type servedZone struct {
	name  string
	ns    dnssec.Answer
	found dane.Nameservers // not queried yet
	soa   map[netip.Addr]func() directAnswer
}

// directAnswer is what a nameserver answers when it is queried directly.
type directAnswer struct {
	answer  *dnssec.Answer
	expiry  time.Time    // of its signatures
	signers []dnssec.Key // of the signatures by the zone whose name was queried
	err     error
}

// zone looks up the nameservers of a zone, once.
func (r *run) zone(ctx context.Context, name string) *servedZone {
	r.zones.mu.Lock()
	find := r.zones.byName[name]
	if find == nil {
		find = sync.OnceValue(func() *servedZone { return r.findZone(ctx, name) })
		r.zones.byName[name] = find
	}
	r.zones.mu.Unlock()
	return find()
}

func (r *run) findZone(ctx context.Context, name string) *servedZone {
	z := &servedZone{name: name, ns: r.lookup(ctx, r.nameserverMeter(), name, dns.TypeNS), soa: make(map[netip.Addr]func() directAnswer)}
	z.found = r.findNameservers(ctx, name, dane.NSNames(z.ns.Records), maxNameservers)
	for _, server := range z.found.Servers {
		z.soa[server.Address] = sync.OnceValue(func() directAnswer { return r.queryDirectly(ctx, server.Address, name, dns.TypeSOA) })
	}
	return z
}

// findNameservers looks up the addresses of the nameservers with these names. It returns at
// most limit addresses. If there are more, it keeps the first ones of each nameserver.
func (r *run) findNameservers(ctx context.Context, zone string, names []string, limit int) (found dane.Nameservers) {
	if len(names) > maxNameservers {
		names, found.Truncated = names[:maxNameservers], true
	}
	hosts := make([]dane.Host, len(names))
	var jobs []job
	for i := range hosts {
		hosts[i].Name = names[i]
		jobs = append(jobs, job{run: func() { r.lookupAddresses(ctx, r.nameserverMeter(), &hosts[i]) }, err: &hosts[i].Err})
	}
	runAll(jobs...)

	ranks := make(map[netip.Addr]int) // position among the addresses of its host
	for i := range hosts {
		addresses, cut := limitAddresses(&hosts[i])
		found.Truncated = found.Truncated || cut
		failed := hosts[i].Err != nil || lookupFailed(hosts[i].A) || lookupFailed(hosts[i].AAAA)
		// Resolvers may use a glue address of the parent that the zone itself lacks.
		if len(addresses) == 0 && (failed || dns.IsSubDomain(zone, dns.Fqdn(hosts[i].Name))) {
			found.Unresolved = append(found.Unresolved, hosts[i].Name)
		}
		for rank, address := range addresses {
			if _, known := ranks[address]; !known {
				ranks[address] = rank
				found.Servers = append(found.Servers, dane.Nameserver{Name: hosts[i].Name, Address: address})
			}
		}
	}
	slices.SortStableFunc(found.Servers, func(a, b dane.Nameserver) int { return cmp.Compare(ranks[a.Address], ranks[b.Address]) })
	if n := r.zones.take(&r.zones.addresses, min(len(found.Servers), limit)); len(found.Servers) > n {
		found.Servers, found.Truncated = found.Servers[:n], true
	}
	slices.SortFunc(found.Servers, func(a, b dane.Nameserver) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Address.Compare(b.Address))
	})
	return found
}

// lookupFailed reports whether a lookup that was made has no result.
func lookupFailed(answer *dnssec.Answer) bool {
	return answer != nil && (answer.Err != nil || answer.Status.Failed())
}

// queryNameservers queries the nameservers of the zone that holds owner: the name of the
// TLSA records that were looked up, or an alias that leads to it. It returns nil if that
// is no signed zone.
func (r *run) queryNameservers(ctx context.Context, lookup *dnssec.Answer, owner string) *dane.Nameservers {
	name := dane.ZoneOf(lookup, owner)
	if name == "" || r.prober.env.Query == nil {
		return nil
	}
	zone := r.zone(ctx, name)
	found := zone.found
	n := r.zones.take(&r.zones.queries, len(found.Servers))
	nameservers := &dane.Nameservers{Zone: dane.TextName(name), NS: &zone.ns, Servers: slices.Clone(found.Servers[:n]),
		Truncated: found.Truncated || n < len(found.Servers), Unresolved: found.Unresolved}

	var jobs []job
	for i := range nameservers.Servers {
		server := &nameservers.Servers[i]
		jobs = append(jobs, job{
			run: func() { r.queryNameserver(ctx, server, zone, owner, owner != lookup.Canonical) },
			err: &server.Err,
		})
	}
	runAll(jobs...)
	return nameservers
}

// queryNameserver queries one server for the TLSA records at owner, for the SOA record of
// the zone and, if owner is an alias, for its CNAME record.
func (r *run) queryNameserver(ctx context.Context, server *dane.Nameserver, zone *servedZone, owner string, isAlias bool) {
	if server.Err = r.prober.access.checkAddress(server.Address); server.Err != nil {
		return
	}
	started := time.Now()
	var tlsa, soa, alias directAnswer
	jobs := []job{
		{
			run: func() { tlsa = r.queryDirectly(ctx, server.Address, owner, dns.TypeTLSA) },
			err: &tlsa.err,
		},
		{
			run: func() { soa = zone.soa[server.Address]() },
			err: &soa.err,
		},
	}
	if isAlias {
		jobs = append(jobs, job{
			run: func() { alias = r.queryDirectly(ctx, server.Address, owner, dns.TypeCNAME) },
			err: &alias.err,
		})
	}
	runAll(jobs...)
	server.TLSA, server.SOA, server.Alias = tlsa.answer, soa.answer, alias.answer
	server.Err = cmp.Or(tlsa.err, soa.err, alias.err)
	server.Expiry = dnssec.Validity{Expiry: tlsa.expiry}.And(dnssec.Validity{Expiry: soa.expiry}).Expiry
	r.explain(ctx, server, started)
}

// explain records whether the error of a server has another cause than the server. started is
// the time before the first query to it.
func (r *run) explain(ctx context.Context, server *dane.Nameserver, started time.Time) {
	server.Skipped = dane.CauseOf(server.Err) == dane.CauseIPv6Unavailable
	server.TimedOutEarly = server.Err != nil && timedOutEarly(ctx, started, r.minWait)
}

// queryDirectly sends one query to a nameserver, as a resolver would, and
// validates the answer.
func (r *run) queryDirectly(ctx context.Context, address netip.Addr, name string, qtype uint16) directAnswer {
	response, err := r.exchangeDirectly(ctx, address, name, qtype)
	switch {
	case err != nil:
		return directAnswer{err: err}
	case response.Rcode != dns.RcodeSuccess && response.Rcode != dns.RcodeNameError:
		return directAnswer{err: fmt.Errorf("%w: %s to %s %s", errNotAuthoritative, dns.RcodeToString[response.Rcode], dane.TextName(name), dns.TypeToString[qtype])}
	case !response.Authoritative:
		return directAnswer{err: fmt.Errorf("%w to %s %s", errNotAuthoritative, dane.TextName(name), dns.TypeToString[qtype])}
	}
	expiry := dnssec.SignatureExpiry(response, r.prober.env.Now())
	answer := r.resolver.Check(ctx, r.nameserverMeter(), name, qtype, response)
	if err := r.usage.keep(dane.AnswerSize(&answer)); err != nil {
		return directAnswer{err: dane.WithCause(dane.CauseLimit, err)}
	}
	return directAnswer{answer: &answer, expiry: expiry, signers: signersIn(response, name)}
}

// exchangeDirectly sends one query to a nameserver. Its errors are those of Environment.Query.
// They have a cause if the exporter or its machine is the cause.
func (r *run) exchangeDirectly(ctx context.Context, address netip.Addr, name string, qtype uint16) (*dns.Msg, error) {
	const maxUDPSize = 1232 // as in queries to the resolvers
	if err := r.nameserverMeter().Query(false); err != nil {
		return nil, dane.WithCause(dane.CauseLimit, err)
	}
	query := new(dns.Msg).SetQuestion(name, qtype)
	query.RecursionDesired = false
	query.SetEdns0(maxUDPSize, true)
	ctx, cancel := context.WithTimeout(ctx, nameserverTimeout)
	defer cancel()
	response, err := r.prober.env.Query(ctx, netip.AddrPortFrom(address, 53), query)
	if err != nil && handshake.Exhausted(err) && dane.CauseOf(err) != dane.CauseIPv6Unavailable {
		return nil, dane.WithCause(dane.CauseInternal, err)
	}
	return response, err
}

// maxSigners is the maximum number of keys that signersIn returns.
const maxSigners = 32

// signersIn returns the keys of zone that made signatures in a response.
func signersIn(response *dns.Msg, zone string) []dnssec.Key {
	var keys []dnssec.Key
	for _, rr := range slices.Concat(response.Answer, response.Ns) {
		sig, ok := rr.(*dns.RRSIG)
		if !ok || len(keys) == maxSigners || dns.CanonicalName(sig.SignerName) != zone {
			continue
		}
		if key := (dnssec.Key{Tag: sig.KeyTag, Algorithm: sig.Algorithm}); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}
