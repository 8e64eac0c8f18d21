package probe

import (
	"cmp"
	"context"
	"slices"

	"github.com/miekg/dns"
)

// Limits on what one target may lead to. Honest ones stay far below.
const (
	maxHosts     = 50
	maxAddresses = 16 // of one host
)

// discover finds the hosts that the target leads to. It leaves facts.Hosts
// empty where there is none: Judge says from facts.MX why.
func (r *run) discover(ctx context.Context, facts *Facts) {
	if r.module.Discover == DiscoverNone {
		facts.Hosts = []Host{{Name: r.target.Name, Pinned: r.target.Address}}
		return
	}
	answer := r.resolver.Lookup(ctx, dns.Fqdn(r.target.Name), dns.TypeMX)
	facts.MX = &answer
	if answer.Status.Failed() || !answer.NameExists() {
		return
	}
	if !answer.Found() {
		// RFC 5321 §5.1: without MX records the domain is its own mail host.
		facts.Hosts = []Host{{Name: r.target.Name}}
		return
	}
	if isNullMX(answer.Records) {
		return
	}
	facts.Hosts = mxHosts(answer.Records)
	if len(facts.Hosts) > maxHosts {
		facts.Hosts = facts.Hosts[:maxHosts]
		facts.Truncated = append(facts.Truncated, "hosts")
	}
}

// isNullMX reports whether records say that the domain takes no mail
// (RFC 7505 §3): a null MX stands alone.
func isNullMX(records []dns.RR) bool {
	for _, rr := range records {
		if mx, ok := rr.(*dns.MX); !ok || mx.Mx != "." {
			return false
		}
	}
	return true
}

// mxHosts lists each MX host once, with its best preference, in the order in
// which a client tries them. A null MX beside others names no host.
func mxHosts(records []dns.RR) []Host {
	best := make(map[string]uint16)
	for _, rr := range records {
		if mx, ok := rr.(*dns.MX); ok && mx.Mx != "." {
			name := nameOf(mx.Mx)
			if preference, seen := best[name]; !seen || mx.Preference < preference {
				best[name] = mx.Preference
			}
		}
	}
	hosts := make([]Host, 0, len(best))
	for name, preference := range best {
		hosts = append(hosts, Host{Name: name, Preference: preference})
	}
	slices.SortFunc(hosts, func(a, b Host) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), cmp.Compare(a.Name, b.Name))
	})
	return hosts
}
