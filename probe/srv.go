package probe

import (
	"cmp"
	"context"
	"slices"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// SRVLookup is the look-up of the SRV records of one service, as the module
// names it.
type SRVLookup struct {
	SRVSettings
	Answer dnssec.Answer
}

// secure reports whether it is certain that a service is the domain's: nothing
// led to it, or a secure SRV record.
func (s *Service) secure() bool { return s.SRV == nil || s.SRV.Status == dnssec.Secure }

// discoverSRV finds the services that the SRV records of the target name (RFC
// 2782). A look-up that fails costs its services alone: it is the service that
// was looked up which the client gives up (RFC 7673 §3.1), and where several
// will do for it, the others are left. But it cannot know then that there are no
// records, so it does not fall back.
func (r *run) discoverSRV(ctx context.Context, facts *Facts) {
	facts.SRV = make([]SRVLookup, len(r.module.SRV))
	var asked []task
	for i := range facts.SRV {
		lookup := &facts.SRV[i]
		lookup.SRVSettings = r.module.SRV[i]
		asked = append(asked, task{
			do:    func() { lookup.Answer = r.lookUp(ctx, lookup.owner(r.target.Name), dns.TypeSRV) },
			fault: &lookup.Answer.Err,
		})
	}
	together(asked...)

	var named []namedService
	for i := range facts.SRV {
		named = append(named, facts.SRV[i].services()...)
	}
	if len(named) == 0 && !slices.ContainsFunc(facts.SRV, SRVLookup.failed) {
		named = r.fallBack(facts.SRV)
	}
	slices.SortStableFunc(named, func(a, b namedService) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.host, b.host), cmp.Compare(a.Port, b.Port))
	})
	named = once(named)
	if len(named) > maxHosts {
		named = named[:maxHosts]
		facts.Truncated = append(facts.Truncated, "hosts")
	}
	facts.Hosts = byHost(named)
}

// namedService is a service and the name of its host.
type namedService struct {
	host string
	Service
}

// failed reports whether it is unknown which services there are.
func (l SRVLookup) failed() bool { return l.Answer.Status.Failed() }

// services lists what the records of a look-up name, unless it failed. The
// target "." stands for no service at all.
func (l *SRVLookup) services() []namedService {
	if l.failed() {
		return nil
	}
	var named []namedService
	for _, rr := range l.Answer.Records {
		if srv, ok := rr.(*dns.SRV); ok && srv.Target != "." {
			named = append(named, namedService{nameOf(srv.Target), Service{
				Port: srv.Port, Protocol: l.Protocol, Preference: srv.Priority, Weight: srv.Weight, SRV: &l.Answer,
			}})
		}
	}
	return named
}

// fallBack is where clients of some services go when there are no SRV records:
// to the domain itself. Clients of others have nowhere to go.
func (r *run) fallBack(lookups []SRVLookup) []namedService {
	var named []namedService
	for i := range lookups {
		if port := fallbackPort(lookups[i].Service); port != 0 && !lookups[i].Answer.Found() {
			named = append(named, namedService{r.target.Name, Service{Port: port, Protocol: lookups[i].Protocol}})
		}
	}
	return named
}

// fallbackPort is the port of a service whose clients go to the domain itself
// in want of SRV records; 0: they do not. XMPP over TLS from the first byte
// (XEP-0368), and mail (RFC 6186 §3), have no such rule.
func fallbackPort(service string) uint16 {
	switch service {
	case "xmpp-client":
		return 5222 // RFC 6120 §3.2.2
	case "xmpp-server":
		return 5269 // RFC 6120 §3.2.2
	case "sips":
		return 5061 // RFC 3263 §4.2
	}
	return 0
}

// once drops what is named again, and would be tried later.
func once(named []namedService) []namedService {
	type place struct {
		host, protocol string
		port           uint16
	}
	seen := make(map[place]bool)
	return slices.DeleteFunc(named, func(s namedService) bool {
		at := place{s.host, s.Protocol, s.Port}
		again := seen[at]
		seen[at] = true
		return again
	})
}

// byHost gathers the services of each host, in the order in which a client
// comes to them.
func byHost(named []namedService) []Host {
	var hosts []Host
	for _, s := range named {
		i := slices.IndexFunc(hosts, func(h Host) bool { return h.Name == s.host })
		if i < 0 {
			i = len(hosts)
			hosts = append(hosts, Host{Name: s.host})
		}
		hosts[i].Services = append(hosts[i].Services, s.Service)
	}
	return hosts
}
