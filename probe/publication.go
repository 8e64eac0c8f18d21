package probe

import (
	"context"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// LookupPublished looks up the TLSA records of a port under one name, in A-labels, by
// the resolvers. It then queries each nameserver of the zone that holds them. It does not
// decide which name a client uses for a host that is an alias: a probe decides that.
// Failures are part of the answers. The nameservers are nil if the records
// are in no signed zone, or if their zone is not known because the lookup failed.
func (p *Prober) LookupPublished(ctx context.Context, name string, port uint16) (dnssec.Answer, *dane.Nameservers) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	held := p.env.Pool.newUsage(end)
	defer held.close()

	r := p.newRun(Target{Name: name, Port: port}, Module{}, held)
	lookup := dane.TLSALookup{Base: name, Answer: r.lookup(ctx, r.meter(), dane.TLSAOwner(name, port), dns.TypeTLSA)}
	service := dane.Service{Port: port}
	service.TLSAResult.Lookup = &lookup
	r.queryNameservers(ctx, &service)
	return lookup.Answer, service.Nameservers
}
