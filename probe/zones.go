package probe

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// What the name servers of all zones of one probe may be asked.
const (
	maxProbeNameservers = 32  // addresses, counted for each zone
	maxAuthorityLookups = 128 // of TLSA records, at one address for one service
)

// zones are those whose name servers a probe asks. Several services may be in
// one zone: its servers are found once, and asked once for its SOA record.
type zones struct {
	mu                 sync.Mutex
	found              map[string]func() *servedZone
	addresses, lookups int // that are left
}

// servedZone is one of them.
type servedZone struct {
	name      string
	ns        dnssec.Answer
	servers   []Nameserver // nothing is asked of them yet
	truncated bool
	soa       map[netip.Addr]func() direct
}

// direct is what a server says when it is asked itself.
type direct struct {
	answer *dnssec.Answer
	expiry time.Time // of its signatures
	err    error
}

func newZones() *zones {
	return &zones{found: make(map[string]func() *servedZone), addresses: maxProbeNameservers, lookups: maxAuthorityLookups}
}

// take takes up to wanted off what is left of a bound.
func (z *zones) take(left *int, wanted int) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	taken := min(*left, wanted)
	*left -= taken
	return taken
}

// zone finds the servers of a zone, once.
func (r *run) zone(ctx context.Context, name string) *servedZone {
	r.zones.mu.Lock()
	find := r.zones.found[name]
	if find == nil {
		find = sync.OnceValue(func() *servedZone { return r.findZone(ctx, name) })
		r.zones.found[name] = find
	}
	r.zones.mu.Unlock()
	return find()
}

func (r *run) findZone(ctx context.Context, name string) *servedZone {
	z := &servedZone{name: name, ns: r.lookUp(ctx, name, dns.TypeNS), soa: make(map[netip.Addr]func() direct)}
	z.servers, z.truncated = r.nameservers(ctx, z.ns.Records)
	for _, server := range z.servers {
		z.soa[server.Address] = sync.OnceValue(func() direct { return r.askDirectly(ctx, server.Address, name, dns.TypeSOA) })
	}
	return z
}
