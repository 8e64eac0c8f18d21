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
	byName map[dns.Question]func() dnssec.Answer
}

// lookupOnce makes a lookup of a CA, once.
func (r *run) lookupOnce(ctx context.Context, name string, qtype uint16) dnssec.Answer {
	question := dns.Question{Name: name, Qtype: qtype}
	r.renewals.mu.Lock()
	find := r.renewals.byName[question]
	if find == nil {
		find = sync.OnceValue(func() dnssec.Answer { return r.lookup(ctx, r.nameserverMeter(), name, qtype) })
		if r.renewals.byName == nil {
			r.renewals.byName = make(map[dns.Question]func() dnssec.Answer)
		}
		r.renewals.byName[question] = find
	}
	r.renewals.mu.Unlock()
	return find()
}

// lookupRenewal makes the lookups that a CA makes before it issues the next certificate
// of a service, which is for the name of the host or for the wildcard that covers it.
func (r *run) lookupRenewal(ctx context.Context, host *dane.Host, service *dane.Service) error {
	renewal := &dane.Renewal{Name: host.Name}
	if lookup := service.TLSAResult.Lookup; lookup != nil && lookup.Answer.Found() {
		renewal.Name = lookup.Base
	}
	// CAs issue no wildcards for a whole top-level domain or public suffix.
	_, parent, _ := strings.Cut(renewal.Name, ".")
	name := dns.Fqdn(renewal.Name)
	wildcard := dnssec.RegisteredDomain(name) != name
	var errs [3]error
	jobs := []job{
		{
			run: func() { renewal.CAA = r.climbCAA(ctx, renewal.Name, wildcard) },
			err: &errs[0],
		},
		{
			run: func() { renewal.Challenge = r.lookupChallenge(ctx, renewal.Name) },
			err: &errs[1],
		},
	}
	if wildcard {
		jobs = append(jobs, job{
			run: func() {
				answer := r.lookupChallenge(ctx, parent)
				renewal.WildcardChallenge = &answer
			},
			err: &errs[2],
		})
	}
	runAll(jobs...)
	service.Renewal = renewal
	return errors.Join(errs[:]...)
}

// lookupChallenge looks up the TXT records by which an ACME client proves control of a name.
func (r *run) lookupChallenge(ctx context.Context, name string) dnssec.Answer {
	return r.lookupOnce(ctx, "_acme-challenge."+name, dns.TypeTXT)
}

// climbCAA looks up CAA records at a name, then at each parent up to the top-level domain,
// until a lookup decides (RFC 8659 §3). With wildcard, the lookup at the name itself does not
// end the search: a wildcard certificate does not depend on it.
func (r *run) climbCAA(ctx context.Context, name string, wildcard bool) []dnssec.Answer {
	var answers []dnssec.Answer
	for at := name; at != ""; _, at, _ = strings.Cut(at, ".") {
		answer := r.lookupOnce(ctx, at, dns.TypeCAA)
		answers = append(answers, answer)
		if dane.Decides(&answer) && (!wildcard || at != name) {
			break
		}
	}
	return answers
}
