package probe

import (
	"cmp"
	"context"
	"errors"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// PublishedName is an alias that leads to TLSA records, or the name that has the records.
type PublishedName struct {
	Name   string
	Target string // of the alias, as the resolvers return it; empty at the end
	// Nameservers are those of the zone that holds the name. They are nil if that is no
	// signed zone, or if it is not known because the lookup failed.
	Nameservers *dane.Nameservers
}

// LookupPublished looks up the TLSA records of a port under one name, in A-labels, by
// the resolvers. It then queries each nameserver of the zones that hold the records and
// the aliases that lead to them, in this order: aliases first. It does not choose the
// TLSA base domain of a host that is an alias, as a probe does. Failures are part of the
// answers.
func (p *Prober) LookupPublished(ctx context.Context, name string, port uint16) (dnssec.Answer, []PublishedName) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	held := p.env.Pool.newUsage(end)
	defer held.close()

	r := p.newRun(Target{Name: name, Port: port}, Module{}, held)
	answer := r.lookup(ctx, r.meter(), dane.TLSAOwner(name, port), dns.TypeTLSA)
	var names []PublishedName
	for _, alias := range answer.Aliases {
		names = append(names, PublishedName{Name: alias.From, Target: alias.To})
	}
	names = append(names, PublishedName{Name: answer.Canonical})
	errs, jobs := make([]error, len(names)), make([]job, len(names))
	for i := range names {
		jobs[i] = job{
			run: func() { names[i].Nameservers = r.queryNameservers(ctx, &answer, names[i].Name) },
			err: &errs[i],
		}
	}
	runAll(jobs...)
	answer.Err = cmp.Or(answer.Err, errors.Join(errs...))
	return answer, names
}
