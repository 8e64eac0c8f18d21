package probe

import (
	"cmp"
	"context"
	"fmt"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// lookup makes one lookup, which meter limits. A panic in it becomes the error of the answer, so
// that what waits for the answer gets one.
func (r *run) lookup(ctx context.Context, meter dnssec.Meter, name string, qtype uint16) (answer dnssec.Answer) {
	name = dns.Fqdn(name)
	refused := func(err error) dnssec.Answer {
		return dnssec.Answer{Name: name, Type: qtype, Canonical: name, Why: err.Error(), Err: fmt.Errorf("%w: %w", dnssec.ErrBudget, err)}
	}
	err := r.usage.Grow(sizeOfLookup)
	if err != nil {
		return refused(err)
	}
	defer func() { _ = r.usage.Grow(-sizeOfLookup) }() // which cannot fail
	job{
		run: func() { answer = r.resolver.LookupWithin(ctx, meter, name, qtype) },
		err: &err,
	}.do()
	if err != nil {
		return dnssec.Answer{Name: name, Type: qtype, Why: "the lookup failed with an internal error", Err: err}
	}
	if err := r.usage.keep(dane.AnswerSize(&answer)); err != nil {
		return refused(err)
	}
	return dane.WithoutSpecialUse(answer, r.target.Name)
}

// lookupAddresses looks up the A and AAAA records of a host, each with a status of its own.
func (r *run) lookupAddresses(ctx context.Context, meter dnssec.Meter, host *dane.Host) {
	var jobs []job
	start := func(qtype uint16) *dnssec.Answer {
		answer := new(dnssec.Answer)
		jobs = append(jobs, job{
			run: func() { *answer = r.lookup(ctx, meter, host.Name, qtype) },
			err: &answer.Err,
		})
		return answer
	}
	if r.module.IPProtocol != IP6 {
		host.A = start(dns.TypeA)
	}
	if r.module.IPProtocol != IP4 {
		host.AAAA = start(dns.TypeAAAA)
	}
	runAll(jobs...)
}

// lookupTLSA looks up the TLSA records of a service under one candidate for the
// base domain after the other, until the result is final. own returns the answer
// under the host's own name, whose lookup is already in progress.
func (r *run) lookupTLSA(ctx context.Context, meter dnssec.Meter, host *dane.Host, service *dane.Service, own func() dnssec.Answer) {
	for _, base := range dane.BaseCandidates(host, service, cmp.Or(service.Policy, r.module.Policy)) {
		lookup := dane.TLSALookup{Base: base}
		if base == host.Name {
			lookup.Answer = own()
		} else {
			lookup.Answer = r.lookup(ctx, meter, dane.TLSAOwner(base, service.Port), dns.TypeTLSA)
		}
		service.TLSA = append(service.TLSA, lookup)
		if service.TLSAResult = dane.DecideTLSA(service.TLSA); service.TLSAResult.Final() {
			return
		}
	}
}
