package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// discover finds the hosts that the target leads to. If there are none, facts.MX
// or facts.SRV shows the judge why.
func (r *run) discover(ctx context.Context, facts *dane.Facts) {
	switch r.module.Discover {
	case DiscoverMX:
		r.discoverMX(ctx, facts)
	case DiscoverSRV:
		r.discoverSRV(ctx, facts)
	default:
		facts.Hosts = []dane.Host{{Name: r.target.Name, Pinned: r.target.Address, Services: r.module.services(r.target.Port)}}
	}
}

// discoverMX finds the hosts that the MX records of the target name. A domain
// without MX records is its own mail host (RFC 5321 §5.1).
func (r *run) discoverMX(ctx context.Context, facts *dane.Facts) {
	answer := r.lookup(ctx, r.meter(), r.target.Name, dns.TypeMX)
	facts.MX = &answer
	if answer.Status.Failed() || !answer.NameExists() {
		return
	}
	if !answer.Found() {
		facts.Hosts = []dane.Host{{Name: r.target.Name, Services: r.module.services(0)}}
		return
	}
	if dane.IsNullMX(answer.Records) {
		return
	}
	hosts := mxHosts(answer.Records)
	if len(hosts) > maxHosts {
		hosts = hosts[:maxHosts]
		facts.Truncated = append(facts.Truncated, "hosts")
	}
	for _, mx := range hosts {
		host := dane.Host{Name: mx.name, Services: r.module.services(0), Fault: dane.FaultOfMX(mx.name, r.target.Name)}
		if host.Fault == dane.HostAddress {
			host.Pinned = netip.MustParseAddr(mx.name).WithZone("").Unmap()
		}
		for i := range host.Services {
			host.Services[i].Preference = mx.preference
		}
		facts.Hosts = append(facts.Hosts, host)
	}
}

// mxHost is a host that MX records name.
type mxHost struct {
	name       string
	preference uint16
}

// mxHosts returns each MX host once, with its best preference, in the order in
// which a client tries them. A null MX among other records names no host.
func mxHosts(records []dns.RR) []mxHost {
	best := make(map[string]uint16)
	for _, rr := range records {
		if mx, ok := rr.(*dns.MX); ok && mx.Mx != "." {
			name := dane.TextName(mx.Mx)
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

// discoverSRV finds the services that the SRV records of the target name
// (RFC 2782). A failed lookup loses only its own services: a client gives up the
// service that it looked up (RFC 7673 §3.1), and if it accepts several, the
// others remain. As records may exist then, there is no fallback.
func (r *run) discoverSRV(ctx context.Context, facts *dane.Facts) {
	facts.SRV = make([]dane.SRVLookup, len(r.module.SRV))
	var jobs []job
	for i := range facts.SRV {
		lookup := &facts.SRV[i]
		lookup.Service, lookup.Protocol = r.module.SRV[i].Service, r.module.SRV[i].Protocol
		jobs = append(jobs, job{
			run: func() { lookup.Answer = r.lookup(ctx, r.meter(), srvOwner(lookup.Service, r.target.Name), dns.TypeSRV) },
			err: &lookup.Answer.Err,
		})
	}
	runAll(jobs...)

	var services []namedService
	for i := range facts.SRV {
		services = append(services, srvServices(&facts.SRV[i])...)
	}
	if len(services) == 0 && !slices.ContainsFunc(facts.SRV, dane.SRVLookup.Failed) {
		services = r.fallback(facts.SRV)
	}
	slices.SortStableFunc(services, func(a, b namedService) int {
		return cmp.Or(cmp.Compare(a.service.Preference, b.service.Preference), cmp.Compare(b.service.Weight, a.service.Weight),
			cmp.Compare(a.host, b.host), cmp.Compare(a.service.Port, b.service.Port))
	})
	services = firstOfEach(services)
	if len(services) > maxHosts {
		services = services[:maxHosts]
		facts.Truncated = append(facts.Truncated, "hosts")
	}
	facts.Hosts = groupByHost(services)
	for i := range facts.Hosts {
		facts.Hosts[i].Fault = dane.FaultOfName(facts.Hosts[i].Name, r.target.Name)
	}
}

// srvOwner returns the name of the SRV records of a domain (RFC 2782). Every
// protocol here runs over TCP.
func srvOwner(service, domain string) string { return "_" + service + "._tcp." + domain }

// namedService is a service and the name of its host.
type namedService struct {
	host    string
	service dane.Service
}

// srvServices returns the services that the records of a lookup name; none if it
// failed. The target "." means that there is no such service.
func srvServices(lookup *dane.SRVLookup) []namedService {
	if lookup.Failed() {
		return nil
	}
	var services []namedService
	for _, rr := range lookup.Answer.Records {
		if srv, ok := rr.(*dns.SRV); ok && srv.Target != "." {
			services = append(services, namedService{dane.TextName(srv.Target), dane.Service{
				Port: srv.Port, Protocol: lookup.Protocol, Preference: srv.Priority, Weight: srv.Weight, SRV: &lookup.Answer,
			}})
		}
	}
	return services
}

// fallback returns where the clients of some services connect if there are no
// SRV records: the domain itself. Clients of the others have no fallback.
func (r *run) fallback(lookups []dane.SRVLookup) []namedService {
	var services []namedService
	for i := range lookups {
		if port := fallbackPort(lookups[i].Service); port != 0 && !lookups[i].Answer.Found() {
			services = append(services, namedService{r.target.Name, dane.Service{Port: port, Protocol: lookups[i].Protocol, Fallback: true}})
		}
	}
	return services
}

// fallbackPort returns the port of the domain itself that clients of a service
// connect to if there are no SRV records; 0 if they do not. Direct TLS for XMPP
// (XEP-0368) and mail access (RFC 6186 §3) have no such rule.
func fallbackPort(service string) uint16 {
	switch service {
	case "xmpp-client":
		return 5222 // RFC 6120 §3.2.2
	case "xmpp-server":
		return 5269 // RFC 6120 §3.2.2
	case "sips":
		return 5061 // RFC 3261 §19.1.2, RFC 3263 §4.2
	}
	return 0
}

// firstOfEach drops services that are listed again, to be tried later.
func firstOfEach(services []namedService) []namedService {
	type key struct {
		host, protocol string
		port           uint16
	}
	seen := make(map[key]bool)
	return slices.DeleteFunc(services, func(s namedService) bool {
		k := key{s.host, s.service.Protocol, s.service.Port}
		again := seen[k]
		seen[k] = true
		return again
	})
}

// groupByHost returns the hosts of services, in the order in which a client
// comes to them.
func groupByHost(services []namedService) []dane.Host {
	var hosts []dane.Host
	for _, s := range services {
		i := slices.IndexFunc(hosts, func(h dane.Host) bool { return h.Name == s.host })
		if i < 0 {
			i = len(hosts)
			hosts = append(hosts, dane.Host{Name: s.host})
		}
		hosts[i].Services = append(hosts[i].Services, s.service)
	}
	return hosts
}

// ErrNotLookedUp is wrapped by the error of an MX lookup that failed because of the
// resolvers or the memory limit of all probes. The domain is not the cause.
var ErrNotLookedUp = errors.New("the resolvers or this exporter fail")

// mxTimeout limits the time of LookupMX. Lookups in broken zones take seconds.
const mxTimeout = 30 * time.Second

// LookupMX returns the MX hosts of a domain, by preference. A domain without MX records is
// its own host. There is no host if the domain does not exist or receives no mail, or if
// access.targets forbids it.
func (p *Prober) LookupMX(ctx context.Context, domain string) (hosts []string, err error) {
	target := Target{Asked: domain, Name: domain}
	if !p.access.allowsTarget(target) || dane.IsSpecialUse(domain, domain) {
		return nil, nil
	}
	defer dane.CatchPanic(&err)
	limited, cancel := context.WithTimeout(ctx, mxTimeout)
	defer cancel()
	limited, end := context.WithCancelCause(limited)
	defer end(nil)
	held := p.env.Pool.newUsage(end)
	defer held.close()
	var facts dane.Facts
	r := p.newRun(target, Module{Discover: DiscoverMX}, held)
	r.discoverMX(limited, &facts)
	if answer := facts.MX; answer.Status.Failed() {
		err := fmt.Errorf("look up the MX records of %s: %s", domain, answer.Why)
		if held.err() != nil || resolversFail(ctx, r.resolver, answer.Err) {
			return nil, fmt.Errorf("%w: %w", ErrNotLookedUp, err)
		}
		return nil, err
	}
	for i := range facts.Hosts {
		if facts.Hosts[i].Fault == dane.HostFine {
			hosts = append(hosts, facts.Hosts[i].Name)
		}
	}
	return hosts, nil
}

// resolversFail reports whether the resolvers are the cause of the error of a lookup. If they
// did not answer, they are the cause only if they reach no other zone either: otherwise, the
// nameservers of the domain may be silent.
func resolversFail(ctx context.Context, resolver *dnssec.Resolver, err error) bool {
	switch {
	case errors.Is(err, dnssec.ErrResolverFailed), errors.Is(err, dnssec.ErrStripped), errors.Is(err, dnssec.ErrRootBogus):
		return true
	case errors.Is(err, dnssec.ErrUnreachable), errors.Is(err, dnssec.ErrDeadline):
		return !resolver.HasUplink(ctx)
	default:
		return false
	}
}
