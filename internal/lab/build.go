package lab

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// origin is the zone that the scenarios live in, unless they have their own.
const origin = "lab.test."

// authorities are those that the lab's certificates come from.
type authorities struct {
	webRoot *server.Authority // the Web PKI's
	web     *server.Authority // below webRoot
	ownRoot *server.Authority // in no root store
	own     *server.Authority // below ownRoot
}

func newAuthorities(now time.Time) (a authorities, err error) {
	if a.webRoot, err = server.NewRoot("Lab Web Root", now); err != nil {
		return a, err
	}
	if a.web, err = a.webRoot.Intermediate("Lab Web CA"); err != nil {
		return a, err
	}
	if a.ownRoot, err = server.NewRoot("Lab Private Root", now); err != nil {
		return a, err
	}
	a.own, err = a.ownRoot.Intermediate("Lab Private CA")
	return a, err
}

// plan is what the scenarios come to, together.
type plan struct {
	authorities
	now      time.Time
	hosts    int             // IPv4 addresses given out so far
	hosts6   int             // and IPv6 addresses
	records  strings.Builder // of origin
	zones    []zone.Zone
	faults   []zone.Fault
	copies   []zone.Copy
	handlers map[netip.AddrPort]server.Handler
	owners   map[netip.AddrPort]string     // the scenario that each handler serves
	only     map[netip.AddrPort]netip.Addr // the only client of servers that are particular
}

func newPlan(a authorities, now time.Time) *plan {
	return &plan{authorities: a, now: now, handlers: map[netip.AddrPort]server.Handler{}, owners: map[netip.AddrPort]string{}, only: map[netip.AddrPort]netip.Addr{}}
}

// add builds one scenario.
func (p *plan) add(s Scenario) error {
	b := &builder{plan: p, scenario: s.Name, domain: s.Name + "." + origin}
	s.build(b)
	if b.err != nil {
		return b.err
	}
	if b.separate == nil {
		fmt.Fprintf(&p.records, "$ORIGIN %s\n%s", b.domain, b.text.String())
		return nil
	}
	b.separate.Apex, b.separate.Records = b.domain, b.text.String()
	p.zones = append(p.zones, *b.separate)
	return nil
}

// allZones are the scenarios' zones and those that lead to them. The root is
// signed as the real one is.
func (p *plan) allZones() []zone.Zone {
	return append([]zone.Zone{
		{Apex: ".", Algorithms: []uint8{dns.RSASHA256}},
		{Apex: "test."},
		{Apex: origin, Records: "ns A 198.51.100.10\n" + p.records.String()},
	}, p.zones...)
}

// builder writes one scenario. Names are relative to its domain unless they
// end in a dot; "@" is the domain. The first error stays.
type builder struct {
	*plan
	scenario string
	domain   string
	text     strings.Builder
	separate *zone.Zone // nil: the domain's records are in origin
	err      error
}

// ownZone makes the domain a zone of its own.
func (b *builder) ownZone(z zone.Zone) { b.separate = &z }

// zone adds a zone beside those of the domain; its records are relative to its apex.
func (b *builder) zone(z zone.Zone) {
	z.Apex = b.name(z.Apex)
	b.zones = append(b.zones, z)
}

// broken adds faults.
func (b *builder) broken(faults ...zone.Fault) { b.faults = append(b.faults, faults...) }

// add adds a line of records in zone-file form.
func (b *builder) add(format string, values ...any) {
	fmt.Fprintf(&b.text, format+"\n", values...)
}

// name makes a relative name absolute.
func (b *builder) name(relative string) string {
	switch {
	case relative == "@":
		return b.domain
	case strings.HasSuffix(relative, "."):
		return relative
	default:
		return relative + "." + b.domain
	}
}

// bare is name without the trailing dot, as certificates and SNI have it.
func (b *builder) bare(relative string) string { return strings.TrimSuffix(b.name(relative), ".") }

// address gives out an IPv4 address that nobody has.
func (b *builder) address() netip.Addr {
	b.hosts++
	const each = 200
	nets := []byte{2, 113}
	if b.hosts >= each*len(nets) {
		b.fail(fmt.Errorf("no addresses left"))
		return netip.Addr{}
	}
	last := byte(10 + b.hosts%each)
	if nets[b.hosts/each] == 2 {
		return netip.AddrFrom4([4]byte{192, 0, 2, last})
	}
	return netip.AddrFrom4([4]byte{203, 0, 113, last})
}

// address6 gives out an IPv6 address that nobody has.
func (b *builder) address6() netip.Addr {
	b.hosts6++
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 13: 1, 14: byte(b.hosts6 >> 8), 15: byte(b.hosts6)})
}

// mx makes host the domain's mail server, with one IPv4 address.
func (b *builder) mx(host string) netip.Addr {
	b.add("@ MX 10 %s", host)
	return b.a(host)
}

// a gives host an IPv4 address.
func (b *builder) a(host string) netip.Addr {
	address := b.address()
	b.add("%s A %s", host, address)
	return address
}

// serve starts a server at a port of an address.
func (b *builder) serve(at netip.Addr, port uint16, handler server.Handler) {
	place := netip.AddrPortFrom(at, port)
	b.handlers[place], b.owners[place] = handler, b.scenario
}

// mail starts a good mail server that shows certificate.
func (b *builder) mail(at netip.Addr, certificate *server.Certificate) {
	b.serve(at, 25, server.SMTP{Name: b.bare("mx"), TLS: server.Always(certificate.Chain())})
}

// good is a mail server with a certificate of the Web PKI, and its TLSA record
// at _25._tcp.mx: what most scenarios break one thing of.
func (b *builder) good() *server.Certificate {
	certificate := b.leaf("mx")
	b.mail(b.mx("mx"), certificate)
	b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
	return certificate
}

// leaf issues a certificate of the Web PKI for names.
func (b *builder) leaf(names ...string) *server.Certificate {
	return b.issue(b.web, server.Leaf{Names: names})
}

// ownLeaf issues a certificate of the CA that no root store has.
func (b *builder) ownLeaf(names ...string) *server.Certificate {
	return b.issue(b.own, server.Leaf{Names: names})
}

// issueTo issues one for a subject whose DER has just been made.
func (b *builder) issueTo(subject []byte, err error) *server.Certificate {
	if err != nil {
		b.fail(err)
	}
	return b.issue(b.own, server.Leaf{RawSubject: subject})
}

func (b *builder) issue(from *server.Authority, leaf server.Leaf) *server.Certificate {
	for i, name := range leaf.Names {
		leaf.Names[i] = b.bare(name)
	}
	certificate, err := from.Issue(leaf)
	if err != nil {
		b.fail(err)
		return new(server.Certificate)
	}
	return certificate
}

// tlsa publishes the record of a certificate.
func (b *builder) tlsa(owner string, usage, selector, matchingType uint8, certificate *server.Certificate) {
	b.add("%s TLSA %s", owner, tlsaData(usage, selector, matchingType, certificate))
}

// fail keeps the first error.
func (b *builder) fail(err error) { b.err = cmp.Or(b.err, err) }
