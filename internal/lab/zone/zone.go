package zone

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Zone describes a zone. By default it has no records but those of its apex, is
// signed with ECDSA P-256 and NSEC, and has a secure delegation.
type Zone struct {
	Apex string

	// Records are in zone-file form, relative to Apex, with a default TTL of one
	// hour. SOA and NS records of the apex are added if missing, as are the NS and DS
	// records of delegations to other zones of the Internet. DS records given here
	// replace the latter. Nameservers need no address; Ask reaches those that have one.
	Records string

	Unsigned   bool
	Algorithms []uint8 // each signs the zone; default ECDSAP256SHA256
	CSK        bool    // one combined signing key per algorithm instead of KSK and ZSK
	Keys       []Key   // instead of those that follow from Algorithms and CSK
	NSEC3      *NSEC3  // nil: NSEC

	Delegation Delegation // DS records in the parent zone
	Digests    []uint8    // digest types of the DS records; default SHA256
}

// NSEC3 contains the NSEC3 parameters of a zone (RFC 5155 §3.1).
type NSEC3 struct {
	Iterations uint16
	Salt       string // hexadecimal
	OptOut     bool   // the chain omits insecure delegations
}

// Delegation selects the DS records in the parent zone.
type Delegation int

const (
	Secure   Delegation = iota // of each key-signing key, if the zone is signed
	Insecure                   // none
	Former                     // of a key that the zone no longer has
)

// node contains the RRsets of one name, by type. An empty non-terminal has none.
type node map[uint16][]dns.RR

// zoneData is a zone with its keys, all records and denial of existence.
type zoneData struct {
	Zone
	apex   string
	keys   []Key
	nodes  map[string]node
	denial denial
}

// load parses the zone's own records. Afterwards delegations must be added, and
// finish called.
func load(z Zone) (*zoneData, error) {
	l := &zoneData{Zone: z, apex: dns.CanonicalName(z.Apex), nodes: map[string]node{}}
	if _, ok := dns.IsDomainName(l.apex); !ok {
		return nil, fmt.Errorf("zone %q: not a domain name", z.Apex)
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

func (l *zoneData) makeKeys() error {
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

// apexRecords are the default records of the apex.
const apexRecords = "@ SOA ns hostmaster 1 7200 3600 1209600 300\n@ NS ns\n"

// parse adds the records of text, but no SOA and NS records of the apex if there are
// any already.
func (l *zoneData) parse(text string) error {
	existing := maps.Clone(l.nodes[l.apex])
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
			return fmt.Errorf("%s is outside the zone", header.Name)
		}
		if header.Name == l.apex && existing[header.Rrtype] != nil {
			continue
		}
		l.add(rr)
	}
	return parser.Err()
}

// asReceived packs and unpacks a record. Zone files can write the same octet of a
// name in several ways, and this package compares names as text.
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

func (l *zoneData) add(rr dns.RR) {
	name, rrtype := rr.Header().Name, rr.Header().Rrtype
	if l.nodes[name] == nil {
		l.nodes[name] = node{}
	}
	l.nodes[name][rrtype] = append(l.nodes[name][rrtype], rr)
}

// delegate adds the NS records of child and, in a signed zone, its DS records.
func (l *zoneData) delegate(child *zoneData) error {
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

// ds returns the DS records of the zone for its parent.
func (l *zoneData) ds() ([]dns.RR, error) {
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
			if key, err = l.formerKey(key); err != nil {
				return nil, err
			}
		}
		for _, digest := range digests {
			ds := key.Public.ToDS(digest)
			if ds == nil {
				return nil, fmt.Errorf("zone %s: make DS: unknown digest type %d", l.apex, digest)
			}
			records = append(records, ds)
		}
	}
	return records, nil
}

// formerKey returns another key than key with the same algorithm and flags. There
// are few RSA keys, so a new key may equal key; then it tries the next.
func (l *zoneData) formerKey(key Key) (Key, error) {
	for i := 1; ; i++ {
		other, err := NewKey(l.apex, fmt.Sprintf("former %d", i), key.Public.Algorithm, key.Public.Flags)
		if err != nil || other.Public.PublicKey != key.Public.PublicKey {
			return other, err
		}
	}
}

// finish removes the names that delegations and DNAMEs hide, and adds empty
// non-terminals, keys and the denial of existence.
func (l *zoneData) finish() error {
	if len(l.nodes[l.apex][dns.TypeSOA]) != 1 {
		return fmt.Errorf("zone %s: %d SOA records, want 1", l.apex, len(l.nodes[l.apex][dns.TypeSOA]))
	}
	l.occlude()
	l.addEmptyNonTerminals()
	for _, key := range l.keys {
		l.add(key.Public)
	}
	switch {
	case l.Unsigned:
		l.denial = noDenial{}
	case l.NSEC3 != nil:
		l.add(l.NSEC3.param(l.apex))
		l.denial = newNSEC3Chain(l)
	default:
		l.denial = newNSECChain(l)
	}
	return nil
}

// occlude removes names below zone cuts and DNAMEs, and glue at zone cuts.
func (l *zoneData) occlude() {
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

// addEmptyNonTerminals adds a node for each empty non-terminal.
func (l *zoneData) addEmptyNonTerminals() {
	for _, name := range slices.Collect(maps.Keys(l.nodes)) {
		for _, above := range ancestors(name, l.apex) {
			if l.nodes[above] == nil {
				l.nodes[above] = node{}
			}
		}
	}
}

// isCut reports whether name is a zone cut to a child zone.
func (l *zoneData) isCut(name string) bool {
	return name != l.apex && l.nodes[name][dns.TypeNS] != nil
}

func (l *zoneData) soa() []dns.RR { return l.nodes[l.apex][dns.TypeSOA] }

// negativeTTL returns the TTL of NSEC and NSEC3 records (RFC 9077 §3).
func (l *zoneData) negativeTTL() uint32 {
	soa := l.soa()[0].(*dns.SOA)
	return min(soa.Minttl, soa.Hdr.Ttl)
}

// names returns the zone's names in canonical order.
func (l *zoneData) names() []string {
	return slices.SortedFunc(maps.Keys(l.nodes), compareNames)
}
