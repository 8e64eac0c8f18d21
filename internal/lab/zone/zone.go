package zone

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Zone describes one zone. Its zero value but for Apex is a zone that holds
// nothing of its own, signed with P-256 and NSEC, and securely delegated.
type Zone struct {
	Apex string

	// Records are in zone-file form, relative to Apex; the TTL is an hour unless
	// they say otherwise. SOA and NS of the apex are added where they are missing.
	// The name servers need not exist: only Ask asks those that have addresses. A delegation to a
	// zone of the same Internet need not be written: its NS and DS are added.
	// DS records that are written take the place of those.
	Records string

	Unsigned   bool
	Algorithms []uint8 // signs with each; default ECDSAP256SHA256
	CSK        bool    // one key for each algorithm instead of KSK and ZSK
	Keys       []Key   // in place of those that Algorithms and CSK would give
	NSEC3      *NSEC3  // nil: NSEC

	Delegation Delegation // what the parent says of this zone
	Digests    []uint8    // digest types of the DS records; default SHA256
}

// NSEC3 are the parameters of a zone's hashed denial (RFC 5155 §3.1).
type NSEC3 struct {
	Iterations uint16
	Salt       string // hexadecimal
	OptOut     bool   // leaves insecure delegations out of the chain
}

// Delegation says which DS records the parent holds.
type Delegation int

const (
	Secure   Delegation = iota // the DS of each key-signing key, if the zone is signed
	Insecure                   // none
	Former                     // the DS of a key that the zone no longer has
)

// node is one name of a zone and its RRsets. An empty non-terminal has none.
type node map[uint16][]dns.RR

// loaded is a zone ready to answer.
type loaded struct {
	Zone
	apex   string
	keys   []Key
	nodes  map[string]node
	denial denial
}

// load reads the zone's own records. Delegations come from outside, then finish.
func load(z Zone) (*loaded, error) {
	l := &loaded{Zone: z, apex: dns.CanonicalName(z.Apex), nodes: map[string]node{}}
	if _, ok := dns.IsDomainName(l.apex); !ok {
		return nil, fmt.Errorf("zone %q: no domain name", z.Apex)
	}
	if err := l.makeKeys(); err != nil {
		return nil, err
	}
	for _, text := range []string{l.Records, apexRecords} {
		if err := l.parse(text); err != nil {
			return nil, fmt.Errorf("zone %s: %w", l.apex, err)
		}
	}
	return l, nil
}

func (l *loaded) makeKeys() error {
	if l.Unsigned {
		return nil
	}
	if l.Keys != nil {
		l.keys = l.Keys
		return nil
	}
	algorithms := l.Algorithms
	if len(algorithms) == 0 {
		algorithms = []uint8{dns.ECDSAP256SHA256}
	}
	roles := []string{"ksk", "zsk"}
	if l.CSK {
		roles = []string{"csk"}
	}
	for _, algorithm := range algorithms {
		for _, role := range roles {
			flags := uint16(dns.ZONE | dns.SEP)
			if role == "zsk" {
				flags = dns.ZONE
			}
			key, err := NewKey(l.apex, role, algorithm, flags)
			if err != nil {
				return err
			}
			l.keys = append(l.keys, key)
		}
	}
	return nil
}

// apexRecords are what every apex has and the text need not say.
const apexRecords = "@ SOA ns hostmaster 1 7200 3600 1209600 300\n@ NS ns\n"

// parse adds the records of text; an SOA or NS RRset of the apex that is there
// already stays as it is.
func (l *loaded) parse(text string) error {
	there := maps.Clone(l.nodes[l.apex])
	parser := dns.NewZoneParser(strings.NewReader(text), l.apex, "")
	parser.SetDefaultTTL(3600)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		rr, err := asReceived(rr)
		if err != nil {
			return err
		}
		header := rr.Header()
		header.Name = dns.CanonicalName(header.Name)
		if !dns.IsSubDomain(l.apex, header.Name) {
			return fmt.Errorf("%s lies outside", header.Name)
		}
		if header.Name == l.apex && there[header.Rrtype] != nil {
			continue
		}
		l.add(rr)
	}
	return parser.Err()
}

// asReceived writes a record as it comes off the wire: a zone file may write the
// same octet of a name in several ways, and names are compared as text here.
func asReceived(rr dns.RR) (dns.RR, error) {
	wire := make([]byte, dns.Len(rr)+1)
	end, err := dns.PackRR(rr, wire, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", rr, err)
	}
	received, _, err := dns.UnpackRR(wire[:end], 0)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", rr, err)
	}
	return received, nil
}

func (l *loaded) add(rr dns.RR) {
	name, rrtype := rr.Header().Name, rr.Header().Rrtype
	if l.nodes[name] == nil {
		l.nodes[name] = node{}
	}
	l.nodes[name][rrtype] = append(l.nodes[name][rrtype], rr)
}

// delegate adds the delegation of child. Only a signed zone has use for DS.
func (l *loaded) delegate(child *loaded) error {
	at := l.nodes[child.apex]
	if at[dns.TypeNS] == nil {
		for _, ns := range child.nodes[child.apex][dns.TypeNS] {
			l.add(dns.Copy(ns))
		}
	}
	if at[dns.TypeDS] != nil || l.Unsigned {
		return nil
	}
	records, err := child.ds()
	if err != nil {
		return err
	}
	for _, ds := range records {
		l.add(ds)
	}
	return nil
}

// ds makes the DS records that belong to the zone in its parent.
func (l *loaded) ds() ([]dns.RR, error) {
	if l.Unsigned || l.Delegation == Insecure {
		return nil, nil
	}
	digests := l.Digests
	if len(digests) == 0 {
		digests = []uint8{dns.SHA256}
	}
	var records []dns.RR
	for _, key := range l.keys {
		if !key.SEP() {
			continue
		}
		if l.Delegation == Former {
			var err error
			if key, err = l.former(key); err != nil {
				return nil, err
			}
		}
		for _, digest := range digests {
			ds := key.Public.ToDS(digest)
			if ds == nil {
				return nil, fmt.Errorf("zone %s: no DS with digest type %d", l.apex, digest)
			}
			records = append(records, ds)
		}
	}
	return records, nil
}

// former makes a key that might have stood where key stands. RSA keys are few,
// so the first that is made may be key itself.
func (l *loaded) former(key Key) (Key, error) {
	for i := 1; ; i++ {
		other, err := NewKey(l.apex, fmt.Sprintf("former %d", i), key.Public.Algorithm, key.Public.Flags)
		if err != nil || other.Public.PublicKey != key.Public.PublicKey {
			return other, err
		}
	}
}

// finish makes of the records a zone: without what a delegation or a DNAME
// hides, with empty non-terminals, keys and a chain of denial.
func (l *loaded) finish() error {
	if len(l.nodes[l.apex][dns.TypeSOA]) != 1 {
		return fmt.Errorf("zone %s: %d SOA records", l.apex, len(l.nodes[l.apex][dns.TypeSOA]))
	}
	l.occlude()
	l.nameEmpty()
	for _, key := range l.keys {
		l.add(key.Public)
	}
	switch {
	case l.Unsigned:
		l.denial = unproven{}
	case l.NSEC3 != nil:
		l.add(l.NSEC3.param(l.apex))
		l.denial = newNSEC3Chain(l)
	default:
		l.denial = newNSECChain(l)
	}
	return nil
}

// occlude drops names below cuts and DNAMEs, and glue at cuts.
func (l *loaded) occlude() {
	for _, name := range slices.Collect(maps.Keys(l.nodes)) {
		for _, above := range ancestors(name, l.apex) {
			if l.isCut(above) || l.nodes[above][dns.TypeDNAME] != nil {
				delete(l.nodes, name)
			}
		}
		if l.isCut(name) {
			maps.DeleteFunc(l.nodes[name], func(rrtype uint16, _ []dns.RR) bool {
				return rrtype != dns.TypeNS && rrtype != dns.TypeDS
			})
		}
	}
}

// nameEmpty adds the empty non-terminals.
func (l *loaded) nameEmpty() {
	for _, name := range slices.Collect(maps.Keys(l.nodes)) {
		for _, above := range ancestors(name, l.apex) {
			if l.nodes[above] == nil {
				l.nodes[above] = node{}
			}
		}
	}
}

// isCut reports whether name is delegated away.
func (l *loaded) isCut(name string) bool {
	return name != l.apex && l.nodes[name][dns.TypeNS] != nil
}

func (l *loaded) soa() []dns.RR { return l.nodes[l.apex][dns.TypeSOA] }

// negativeTTL is the TTL of denial (RFC 9077 §3).
func (l *loaded) negativeTTL() uint32 {
	soa := l.soa()[0].(*dns.SOA)
	return min(soa.Minttl, soa.Hdr.Ttl)
}

// names returns the zone's names in canonical order.
func (l *loaded) names() []string {
	return slices.SortedFunc(maps.Keys(l.nodes), compareNames)
}
