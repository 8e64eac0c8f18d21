package probe

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// lookUpAddresses asks for the addresses of a host: two look-ups, two statuses.
func (r *run) lookUpAddresses(ctx context.Context, host *Host) {
	var asked []task
	ask := func(qtype uint16) *dnssec.Answer {
		answer := new(dnssec.Answer)
		asked = append(asked, task{
			do:    func() { *answer = r.lookUp(ctx, host.Name, qtype) },
			fault: &answer.Err,
		})
		return answer
	}
	if r.module.IPProtocol != IP6 {
		host.A = ask(dns.TypeA)
	}
	if r.module.IPProtocol != IP4 {
		host.AAAA = ask(dns.TypeAAAA)
	}
	together(asked...)
}

// lookUpTLSA asks for the TLSA records of a service as a client does, one
// candidate for the base domain after another until the matter is decided.
// own gives the look-up under the host's own name, which has already begun.
func (r *run) lookUpTLSA(ctx context.Context, host *Host, service *Service, own func() dnssec.Answer) {
	for _, base := range baseCandidates(host, service, cmp.Or(service.Policy, r.module.Policy)) {
		lookup := TLSALookup{Base: base}
		if base == host.Name {
			lookup.Answer = own()
		} else {
			lookup.Answer = r.lookUp(ctx, tlsaOwner(base, service.Port), dns.TypeTLSA)
		}
		service.TLSA = append(service.TLSA, lookup)
		if state, _ := decideTLSA(service.TLSA); state == tlsaFound || state == tlsaFailed {
			return
		}
	}
}

// lookUp makes one look-up. A panic in it is an Answer too, so that whoever
// waits for one gets one.
func (r *run) lookUp(ctx context.Context, name string, qtype uint16) (answer dnssec.Answer) {
	name = dns.Fqdn(name)
	var fault error
	task{
		do:    func() { answer = r.resolver.Lookup(ctx, name, qtype) },
		fault: &fault,
	}.run()
	if fault != nil {
		return dnssec.Answer{Name: name, Type: qtype, Why: "the look-up was lost to a defect", Err: fault}
	}
	return answer
}

// tlsaOwner is the name that holds the TLSA records of a port (RFC 6698 §3).
// Every protocol here runs over TCP.
func tlsaOwner(base string, port uint16) string {
	return "_" + strconv.Itoa(int(port)) + "._tcp." + base
}

// addressesOf lists the addresses of a host that may be connected to, IPv4
// first. Those of a look-up that failed are lost. More than maxAddresses are cut off.
func addressesOf(host *Host) (addresses []netip.Addr, truncated bool) {
	if host.Pinned.IsValid() {
		return []netip.Addr{host.Pinned}, false
	}
	for _, answer := range []*dnssec.Answer{host.A, host.AAAA} {
		if answer == nil || answer.Status.Failed() {
			continue
		}
		for _, rr := range answer.Records {
			if addr := addressIn(rr); addr.IsValid() {
				addresses = append(addresses, addr)
			}
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	addresses = slices.Compact(addresses)
	if len(addresses) > maxAddresses {
		return addresses[:maxAddresses], true
	}
	return addresses, false
}

func addressIn(rr dns.RR) netip.Addr {
	var addr netip.Addr
	switch rr := rr.(type) {
	case *dns.A:
		addr, _ = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		addr, _ = netip.AddrFromSlice(rr.AAAA)
		return addr
	}
	return addr.Unmap()
}

// halfway returns a context that ends when half of ctx's time is gone: a
// probe may spend that much on look-ups, so that handshakes have a fair rest.
func halfway(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, time.Now().Add(time.Until(deadline)/2))
}
