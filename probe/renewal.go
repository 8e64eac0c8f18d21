package probe

import (
	"context"
	"errors"
	"strings"
	"sync"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// renewals holds the lookups of CAs that a probe makes. Several hosts have the same
// parents, and each name is looked up once.
type renewals struct {
	mu     sync.Mutex
	byName map[string]func() dnssec.Answer
}

// lookupCAA looks up the CAA records at one name, once.
func (r *run) lookupCAA(ctx context.Context, name string) dnssec.Answer {
	r.renewals.mu.Lock()
	find := r.renewals.byName[name]
	if find == nil {
		find = sync.OnceValue(func() dnssec.Answer { return r.lookup(ctx, r.nameserverMeter(), name, dns.TypeCAA) })
		if r.renewals.byName == nil {
			r.renewals.byName = make(map[string]func() dnssec.Answer)
		}
		r.renewals.byName[name] = find
	}
	r.renewals.mu.Unlock()
	return find()
}

// lookupRenewal makes the lookups that a CA makes before it issues the next certificate
// of a service.
func (r *run) lookupRenewal(ctx context.Context, host *dane.Host, service *dane.Service) error {
	renewal := &dane.Renewal{Name: host.Name}
	if lookup := service.TLSAResult.Lookup; lookup != nil && lookup.Answer.Found() {
		renewal.Name = lookup.Base
	}
	var errs [2]error
	runAll(
		job{
			run: func() { renewal.CAA = r.climbCAA(ctx, renewal.Name) },
			err: &errs[0],
		},
		job{
			run: func() {
				renewal.Challenge = r.lookup(ctx, r.nameserverMeter(), "_acme-challenge."+renewal.Name, dns.TypeTXT)
			},
			err: &errs[1],
		},
	)
	service.Renewal = renewal
	return errors.Join(errs[:]...)
}

// climbCAA looks up CAA records at a name, then at each parent up to the top-level domain
// (RFC 8659 §3). It stops if there are records or a lookup fails.
func (r *run) climbCAA(ctx context.Context, name string) []dnssec.Answer {
	var answers []dnssec.Answer
	for name != "" {
		answer := r.lookupCAA(ctx, name)
		answers = append(answers, answer)
		if answer.Status.Failed() || answer.Found() {
			break
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return answers
}
