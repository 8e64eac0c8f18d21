package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// nameserverTime is how long a name server is waited for, its second try included.
const nameserverTime = 5 * time.Second

// maxNameservers is how many addresses of a zone's name servers are asked, if
// other zones leave as many of maxProbeNameservers.
const maxNameservers = 16

// errNoAuthority: a server does not serve a zone that is delegated to it.
var errNoAuthority = errors.New("it does not answer with authority")

// Authority is the zone that holds a service's TLSA records, and what each of
// its name servers says of them when it is asked itself. A resolver shows the
// answer of one; the others may have missed a transfer weeks ago.
type Authority struct {
	Zone      string         // written as Host.Name is
	NS        *dnssec.Answer // the look-up of its name servers
	Servers   []Nameserver   // each address of each, by name
	Truncated bool           // there are more addresses than are asked
}

// Nameserver is one address of a name server, and how it answered.
type Nameserver struct {
	Name    string
	Address netip.Addr
	Err     error // why there is no answer with authority; nil: there is
	Skipped bool  // not asked, and nobody's fault: no IPv6 here
	Hurried bool  // our deadline came before it had had a fair time
	// TLSA and SOA are its own answers, judged with the zone's keys as the
	// resolvers give them; nil where it did not answer.
	TLSA, SOA *dnssec.Answer
	// Expiry is when the first RRset in its answers loses its last signature,
	// going by what the signatures say; zero: it sent none.
	Expiry time.Time
}

// Serial returns the serial number of the zone that the server has, if known.
func (n *Nameserver) Serial() (serial uint32, known bool) {
	if n.SOA == nil || len(n.SOA.Records) != 1 {
		return 0, false
	}
	soa, ok := n.SOA.Records[0].(*dns.SOA)
	if !ok {
		return 0, false
	}
	return soa.Serial, true
}

// askAuthority asks the name servers of the zone that holds the records of a
// service. It leaves service.Authority empty where that is no signed zone.
func (r *run) askAuthority(ctx context.Context, service *Service) {
	_, lookup := decideTLSA(service.TLSA)
	if lookup == nil || r.world.Query == nil {
		return
	}
	name := zoneOf(&lookup.Answer)
	if name == "" {
		return
	}
	zone := r.zone(ctx, name)
	asked := r.zones.take(&r.zones.lookups, len(zone.servers))
	service.Authority = &Authority{Zone: nameOf(name), NS: &zone.ns,
		Servers: slices.Clone(zone.servers[:asked]), Truncated: zone.truncated || asked < len(zone.servers)}

	var tasks []task
	for i := range service.Authority.Servers {
		server := &service.Authority.Servers[i]
		tasks = append(tasks, task{
			do:    func() { r.askNameserver(ctx, server, zone, lookup.Answer.Canonical) },
			fault: &server.Err,
		})
	}
	together(tasks...)
}

// zoneOf names the zone that an answer comes from, and whose keys are proven:
// the deepest of its chain, unless the chain ends in the insecure, or broke
// between zones.
func zoneOf(answer *dnssec.Answer) string {
	deepest := deepestLink(answer)
	if deepest.Status != dnssec.Secure || answer.Status == dnssec.Insecure {
		return ""
	}
	return deepest.Zone
}

// deepestLink is the last link of an answer's chain: that of the zone that it
// comes from, as far as the chain leads.
func deepestLink(answer *dnssec.Answer) dnssec.Link {
	for _, link := range slices.Backward(answer.Chain) { // a zone stands behind those above it
		if dns.IsSubDomain(link.Zone, answer.Canonical) {
			return link
		}
	}
	return dnssec.Link{}
}

// nameservers looks up the addresses of the name servers. Where there are too
// many, each server keeps its first ones.
func (r *run) nameservers(ctx context.Context, records []dns.RR) (servers []Nameserver, truncated bool) {
	var names []string
	for _, rr := range records {
		if ns, ok := rr.(*dns.NS); ok {
			names = append(names, nameOf(ns.Ns))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxNameservers {
		names, truncated = names[:maxNameservers], true
	}
	hosts := make([]Host, len(names))
	var tasks []task
	for i := range hosts {
		hosts[i].Name = names[i]
		tasks = append(tasks, task{do: func() { r.lookUpAddresses(ctx, &hosts[i]) }, fault: &hosts[i].Fault})
	}
	together(tasks...)

	ranks := make(map[netip.Addr]int)
	for i := range hosts {
		addresses, cut := addressesOf(&hosts[i])
		truncated = truncated || cut
		for rank, address := range addresses {
			if _, known := ranks[address]; !known {
				ranks[address] = rank
				servers = append(servers, Nameserver{Name: hosts[i].Name, Address: address})
			}
		}
	}
	slices.SortStableFunc(servers, func(a, b Nameserver) int { return cmp.Compare(ranks[a.Address], ranks[b.Address]) })
	if most := r.zones.take(&r.zones.addresses, min(len(servers), maxNameservers)); len(servers) > most {
		servers, truncated = servers[:most], true
	}
	slices.SortFunc(servers, func(a, b Nameserver) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Address.Compare(b.Address))
	})
	return servers, truncated
}

// askNameserver asks one server for the TLSA records at owner and for the
// SOA record of the zone.
func (r *run) askNameserver(ctx context.Context, server *Nameserver, zone *servedZone, owner string) {
	if server.Err = r.access.checkAddress(server.Address); server.Err != nil {
		return
	}
	begun := time.Now()
	var tlsa, soa direct
	together(
		task{
			do:    func() { tlsa = r.askDirectly(ctx, server.Address, owner, dns.TypeTLSA) },
			fault: &tlsa.err,
		},
		task{
			do:    func() { soa = zone.soa[server.Address]() },
			fault: &soa.err,
		},
	)
	server.TLSA, server.SOA = tlsa.answer, soa.answer
	server.Err = cmp.Or(tlsa.err, soa.err)
	server.Expiry = dnssec.Validity{Expiry: tlsa.expiry}.And(dnssec.Validity{Expiry: soa.expiry}).Expiry
	server.Skipped = errors.Is(server.Err, ErrNoIPv6)
	server.Hurried = server.Err != nil && !hasTime(ctx) && time.Since(begun) < r.fairTime
}

// askDirectly asks a server one question, as a resolver would, and judges the
// answer and notes when its signatures end.
func (r *run) askDirectly(ctx context.Context, address netip.Addr, name string, qtype uint16) direct {
	const maxUDPSize = 1232 // as the resolvers are asked
	query := new(dns.Msg).SetQuestion(name, qtype)
	query.RecursionDesired = false
	query.SetEdns0(maxUDPSize, true)
	ctx, cancel := context.WithTimeout(ctx, nameserverTime)
	defer cancel()
	response, err := r.world.Query(ctx, netip.AddrPortFrom(address, 53), query)
	switch {
	case err != nil:
		return direct{err: err}
	case response.Rcode != dns.RcodeSuccess && response.Rcode != dns.RcodeNameError:
		return direct{err: fmt.Errorf("%w: %s to %s %s", errNoAuthority, dns.RcodeToString[response.Rcode], nameOf(name), dns.TypeToString[qtype])}
	case !response.Authoritative:
		return direct{err: fmt.Errorf("%w to %s %s", errNoAuthority, nameOf(name), dns.TypeToString[qtype])}
	}
	answer := r.resolver.Check(ctx, name, qtype, response)
	return direct{answer: &answer, expiry: dnssec.SignatureExpiry(response, r.world.Now())}
}
