package lab

import (
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// origin is the zone with the records of all scenarios that have no zone of
// their own.
const origin = "lab.test."

// authorities are the CAs that issue the lab's certificates.
type authorities struct {
	webRoot     *server.Authority // the root of the lab's Web PKI
	webCA       *server.Authority // an intermediate below webRoot
	privateRoot *server.Authority // a root that is in no root store
	privateCA   *server.Authority // an intermediate below privateRoot
}

func newAuthorities(now time.Time) (a authorities, err error) {
	if a.webRoot, err = server.NewRoot("Lab Web Root", now); err != nil {
		return a, err
	}
	if a.webCA, err = a.webRoot.Intermediate("Lab Web CA"); err != nil {
		return a, err
	}
	if a.privateRoot, err = server.NewRoot("Lab Private Root", now); err != nil {
		return a, err
	}
	a.privateCA, err = a.privateRoot.Intermediate("Lab Private CA")
	return a, err
}

// plan collects the zones, faults and servers of all scenarios.
type plan struct {
	authorities
	now      time.Time
	hosts    int             // number of IPv4 addresses assigned
	hosts6   int             // number of IPv6 addresses assigned
	records  strings.Builder // of origin
	zones    []zone.Zone
	faults   []zone.Fault
	copies   []zone.Copy
	handlers map[netip.AddrPort]server.Handler
	owners   map[netip.AddrPort]string // name of the scenario of each handler

	// onlyClient is the only address that a server accepts connections from.
	// Servers that are not listed accept all.
	onlyClient map[netip.AddrPort]netip.Addr
}

func newPlan(a authorities, now time.Time) *plan {
	return &plan{
		authorities: a,
		now:         now,
		handlers:    map[netip.AddrPort]server.Handler{},
		owners:      map[netip.AddrPort]string{},
		onlyClient:  map[netip.AddrPort]netip.Addr{},
	}
}

// add builds a scenario and adds it to the plan.
func (p *plan) add(s Scenario) error {
	b := &builder{plan: p, scenario: s.Name, domain: s.domain()}
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

// allZones returns the zones of the scenarios and those above them. The root is
// signed with RSASHA256, like the real one.
func (p *plan) allZones() []zone.Zone {
	return append([]zone.Zone{
		{Apex: ".", Algorithms: []uint8{dns.RSASHA256}},
		{Apex: "test."},
		{Apex: origin, Records: "ns A 198.51.100.10\n" + p.records.String()},
	}, p.zones...)
}

// builder builds one scenario. Names are relative to its domain unless they end
// in a dot; "@" is the domain. It keeps the first error.
type builder struct {
	*plan
	scenario string
	domain   string
	text     strings.Builder
	separate *zone.Zone // nil: the domain's records are part of origin
	err      error
}

// ownZone makes the domain a separate zone.
func (b *builder) ownZone(z zone.Zone) { b.separate = &z }

// zone adds another zone. Its apex is relative to the domain, and its records are
// relative to its apex.
func (b *builder) zone(z zone.Zone) {
	z.Apex = b.name(z.Apex)
	b.zones = append(b.zones, z)
}

// inject adds faults to the zones.
func (b *builder) inject(faults ...zone.Fault) { b.faults = append(b.faults, faults...) }

// add adds one record of the domain in zone-file form.
func (b *builder) add(format string, values ...any) {
	fmt.Fprintf(&b.text, format+"\n", values...)
}

// name returns the absolute form of a relative name.
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

// hostname returns the absolute name without the final dot, as in certificates
// and SNI.
func (b *builder) hostname(relative string) string { return strings.TrimSuffix(b.name(relative), ".") }

// address returns an unused IPv4 address.
func (b *builder) address() netip.Addr {
	b.hosts++
	const each = 200
	nets := []byte{2, 113}
	if b.hosts >= each*len(nets) {
		b.fail(errors.New("no IPv4 addresses left"))
		return netip.Addr{}
	}
	last := byte(10 + b.hosts%each)
	if nets[b.hosts/each] == 2 {
		return netip.AddrFrom4([4]byte{192, 0, 2, last})
	}
	return netip.AddrFrom4([4]byte{203, 0, 113, last})
}

// address6 returns an unused IPv6 address.
func (b *builder) address6() netip.Addr {
	b.hosts6++
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 13: 1, 14: byte(b.hosts6 >> 8), 15: byte(b.hosts6)})
}

// mx adds an MX record for host and gives host an IPv4 address.
func (b *builder) mx(host string) netip.Addr {
	b.add("@ MX 10 %s", host)
	return b.a(host)
}

// a adds an A record for host with a new address.
func (b *builder) a(host string) netip.Addr {
	address := b.address()
	b.add("%s A %s", host, address)
	return address
}

// serve adds a server at a port of an address, in place of any that is there.
func (b *builder) serve(at netip.Addr, port uint16, handler server.Handler) {
	place := netip.AddrPortFrom(at, port)
	b.handlers[place], b.owners[place] = handler, b.scenario
}

// serveTLS adds a working server with implicit TLS. The port decides what it speaks
// inside.
func (b *builder) serveTLS(at netip.Addr, port uint16, config *tls.Config) {
	var inside server.Handler
	switch port {
	case 465:
		inside = server.SMTP{Name: b.hostname("@"), NoStartTLS: true}
	case 636:
		inside = server.LDAP{NoStartTLS: true}
	case 993:
		inside = server.IMAP{NoStartTLS: true}
	case 995:
		inside = server.POP3{NoStartTLS: true}
	case 5223, 5270:
		inside = server.XMPP{Domain: b.hostname("@"), NoStartTLS: true, ServerToServer: port == 5270}
	}
	b.serve(at, port, server.TLS{Config: config, Inside: inside})
}

// serveSMTP adds a working mail server with that certificate.
func (b *builder) serveSMTP(at netip.Addr, certificate *server.Certificate) {
	b.serve(at, 25, server.SMTP{Name: b.hostname("mx"), TLS: server.TLSConfig(certificate.Chain())})
}

// goodMX adds a mail server with a certificate of the Web PKI and its TLSA record
// at _25._tcp.mx. Most scenarios start from it and break one thing.
func (b *builder) goodMX() *server.Certificate {
	certificate := b.leaf("mx")
	b.serveSMTP(b.mx("mx"), certificate)
	b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
	return certificate
}

// leaf issues a certificate of the Web PKI for those names.
func (b *builder) leaf(names ...string) *server.Certificate {
	return b.issue(b.webCA, server.Leaf{Names: names})
}

// privateLeaf issues a certificate of the private CA, which is in no root store.
func (b *builder) privateLeaf(names ...string) *server.Certificate {
	return b.issue(b.privateCA, server.Leaf{Names: names})
}

// issueWithSubject issues a certificate of the private CA with that subject, in
// DER. It takes the results of hostileSubject and the like.
func (b *builder) issueWithSubject(subject []byte, err error) *server.Certificate {
	if err != nil {
		b.fail(err)
	}
	return b.issue(b.privateCA, server.Leaf{RawSubject: subject})
}

func (b *builder) issue(from *server.Authority, leaf server.Leaf) *server.Certificate {
	for i, name := range leaf.Names {
		leaf.Names[i] = b.hostname(name)
	}
	certificate, err := from.Issue(leaf)
	if err != nil {
		b.fail(err)
		return new(server.Certificate)
	}
	return certificate
}

// tlsa adds the TLSA record of a certificate.
func (b *builder) tlsa(owner string, usage, selector, matchingType uint8, certificate *server.Certificate) {
	b.add("%s TLSA %s", owner, tlsaData(usage, selector, matchingType, certificate))
}

// fail records an error unless there is one already.
func (b *builder) fail(err error) { b.err = cmp.Or(b.err, err) }

// tlsaData returns the data of the TLSA record of a certificate (RFC 6698 §2.1),
// in zone-file form.
func tlsaData(usage, selector, matchingType uint8, certificate *server.Certificate) string {
	data := certificate.DER
	if selector == 1 {
		data = certificate.PublicKey
	}
	switch matchingType {
	case 1:
		digest := sha256.Sum256(data)
		data = digest[:]
	case 2:
		digest := sha512.Sum512(data)
		data = digest[:]
	}
	return fmt.Sprintf("%d %d %d %x", usage, selector, matchingType, data)
}

// hostileSubject returns a subject with characters that break lines, labels, HTML
// and terminals. It is unusually long, and has octets that are not UTF-8.
func hostileSubject() ([]byte, error) {
	const hostile = "a\"b\\c\nd\r\n# HELP\x00\x1b[31m<script>\u202e{}=\u2028"
	return subject(
		asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(hostile + strings.Repeat("é", 500))},
		asn1.RawValue{Tag: asn1.TagT61String, Bytes: []byte("\xff\xfe\x80")},
	)
}

// unparsableSubject returns a subject with characters that PrintableString does
// not allow. Many certificates have them: crypto/x509 rejects these, OpenSSL
// does not.
func unparsableSubject() ([]byte, error) {
	return subject(asn1.RawValue{Tag: asn1.TagPrintableString, Bytes: []byte("mail_server@lab")})
}

// subject returns the DER of a distinguished name of common names with those
// octets, some of which crypto/x509 would not write.
func subject(commonNames ...asn1.RawValue) ([]byte, error) {
	var name pkix.RDNSequence
	for _, value := range commonNames {
		attribute := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: value}
		name = append(name, pkix.RelativeDistinguishedNameSET{attribute})
	}
	return asn1.Marshal(name)
}
