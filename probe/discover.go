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
// empty where there is none: Judge says from facts.MX or facts.SRV why.
func (r *run) discover(ctx context.Context, facts *Facts) {
	switch r.module.Discover {
	case DiscoverMX:
		r.discoverMX(ctx, facts)
	case DiscoverSRV:
		r.discoverSRV(ctx, facts)
	default:
		facts.Hosts = []Host{{Name: r.target.Name, Pinned: r.target.Address, Services: r.module.services(r.target.Port)}}
	}
}

// discoverMX finds the hosts that the MX records of the target name.
func (r *run) discoverMX(ctx context.Context, facts *Facts) {
	answer := r.resolver.Lookup(ctx, dns.Fqdn(r.target.Name), dns.TypeMX)
	facts.MX = &answer
	if answer.Status.Failed() || !answer.NameExists() {
		return
	}
	if !answer.Found() {
		// RFC 5321 §5.1: without MX records the domain is its own mail host.
		facts.Hosts = []Host{{Name: r.target.Name, Services: r.module.services(0)}}
		return
	}
	if isNullMX(answer.Records) {
		return
	}
	hosts := mxHosts(answer.Records)
	if len(hosts) > maxHosts {
		hosts = hosts[:maxHosts]
		facts.Truncated = append(facts.Truncated, "hosts")
	}
	for _, mx := range hosts {
		host := Host{Name: mx.name, Services: r.module.services(0)}
		for i := range host.Services {
			host.Services[i].Preference = mx.preference
		}
		facts.Hosts = append(facts.Hosts, host)
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

// mxHost is a name in an MX record.
type mxHost struct {
	name       string
	preference uint16
}

// mxHosts lists each MX host once, with its best preference, in the order in
// which a client tries them. A null MX beside others names no host.
func mxHosts(records []dns.RR) []mxHost {
	best := make(map[string]uint16)
	for _, rr := range records {
		if mx, ok := rr.(*dns.MX); ok && mx.Mx != "." {
			name := nameOf(mx.Mx)
			if preference, seen := best[name]; !seen || mx.Preference < preference {
				best[name] = mx.Preference
			}
		}
	}
	hosts := make([]mxHost, 0, len(best))
	for name, preference := range best {
		hosts = append(hosts, mxHost{name, preference})
	}
	slices.SortFunc(hosts, func(a, b mxHost) int {
		return cmp.Or(cmp.Compare(a.preference, b.preference), cmp.Compare(a.name, b.name))
	})
	return hosts
}
