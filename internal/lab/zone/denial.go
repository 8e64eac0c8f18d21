package zone

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// denial makes proofs of non-existence. Each method returns the NSEC or NSEC3
// records of one kind of response, without duplicates. encloser is the closest
// encloser of name (RFC 4592 §3.3.1).
type denial interface {
	// noData is for a name that exists without the type (RFC 4035 §3.1.3.1, RFC 5155 §7.2.3, §7.2.4).
	noData(name string) []dns.RR
	// nxdomain is for a name that does not exist and matches no wildcard (RFC 4035 §3.1.3.2, RFC 5155 §7.2.2).
	nxdomain(name, encloser string) []dns.RR
	// wildcardAnswer is for an answer from the wildcard below encloser (RFC 4035 §3.1.3.3, RFC 5155 §7.2.6).
	wildcardAnswer(name, encloser string) []dns.RR
	// wildcardNoData is for a name that matches a wildcard without the type (RFC 4035 §3.1.3.4, RFC 5155 §7.2.5).
	wildcardNoData(name, encloser string) []dns.RR
	// all returns the whole chain in order.
	all() []dns.RR
}

// noDenial is the denial of an unsigned zone, which proves nothing.
type noDenial struct{}

func (noDenial) noData(string) []dns.RR                 { return nil }
func (noDenial) nxdomain(string, string) []dns.RR       { return nil }
func (noDenial) wildcardAnswer(string, string) []dns.RR { return nil }
func (noDenial) wildcardNoData(string, string) []dns.RR { return nil }
func (noDenial) all() []dns.RR                          { return nil }

// nsecChain contains a zone's NSEC records in canonical order (RFC 4034 §4).
type nsecChain []*dns.NSEC

func newNSECChain(l *zoneData) nsecChain {
	var owners []string
	for _, name := range l.names() {
		if len(l.nodes[name]) > 0 {
			owners = append(owners, name)
		}
	}
	chain := make(nsecChain, len(owners))
	for i, owner := range owners {
		chain[i] = &dns.NSEC{
			Hdr:        dns.RR_Header{Name: owner, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: l.negativeTTL()},
			NextDomain: owners[(i+1)%len(owners)],
			TypeBitMap: slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(l.nodes[owner])), dns.TypeRRSIG, dns.TypeNSEC))),
		}
	}
	return chain
}

// matchingOrCovering returns the record that matches name, or else the one that covers
// it: the last whose owner does not sort after name. The apex sorts first.
func (c nsecChain) matchingOrCovering(name string) dns.RR {
	i, found := slices.BinarySearchFunc(c, name, func(record *dns.NSEC, name string) int {
		return compareNames(record.Hdr.Name, name)
	})
	if !found {
		i--
	}
	return c[i]
}

func (c nsecChain) noData(name string) []dns.RR { return []dns.RR{c.matchingOrCovering(name)} }

func (c nsecChain) nxdomain(name, encloser string) []dns.RR {
	return distinct(c.matchingOrCovering(name), c.matchingOrCovering(wildcardOf(encloser)))
}

func (c nsecChain) wildcardAnswer(name, _ string) []dns.RR {
	return []dns.RR{c.matchingOrCovering(name)}
}

func (c nsecChain) wildcardNoData(name, encloser string) []dns.RR {
	return distinct(c.matchingOrCovering(name), c.matchingOrCovering(wildcardOf(encloser)))
}

func (c nsecChain) all() []dns.RR {
	list := make([]dns.RR, len(c))
	for i, record := range c {
		list[i] = record
	}
	return list
}

// nsec3Chain contains a zone's NSEC3 records in the order of their hashes.
type nsec3Chain struct {
	NSEC3
	apex    string
	names   map[string]bool // that have an NSEC3 record
	records []hashed
}

type hashed struct {
	hash   string // base32, upper case
	record *dns.NSEC3
}

func newNSEC3Chain(l *zoneData) *nsec3Chain {
	c := &nsec3Chain{NSEC3: *l.NSEC3, apex: l.apex, names: map[string]bool{}}
	c.chooseNames(l)
	for name := range c.names {
		c.records = append(c.records, hashed{c.hash(name), c.record(name, l)})
	}
	slices.SortFunc(c.records, func(a, b hashed) int { return cmp.Compare(a.hash, b.hash) })
	for i, h := range c.records {
		h.record.NextDomain = c.records[(i+1)%len(c.records)].hash
	}
	return c
}

// chooseNames selects the names with an NSEC3 record: all, or with opt-out all but
// insecure delegations and the empty non-terminals that lead only to them (RFC 5155
// §7.1).
func (c *nsec3Chain) chooseNames(l *zoneData) {
	for name, n := range l.nodes {
		insecure := l.isCut(name) && n[dns.TypeDS] == nil
		if len(n) == 0 || c.OptOut && insecure {
			continue
		}
		c.names[name] = true
		for _, above := range ancestors(name, l.apex) {
			c.names[above] = true
		}
	}
}

func (c *nsec3Chain) hash(name string) string {
	return dns.HashName(name, dns.SHA1, c.Iterations, c.Salt)
}

func (c *nsec3Chain) record(name string, l *zoneData) *dns.NSEC3 {
	types := slices.Sorted(maps.Keys(l.nodes[name]))
	if len(types) > 0 && (!l.isCut(name) || l.nodes[name][dns.TypeDS] != nil) {
		types = slices.Sorted(slices.Values(append(types, dns.TypeRRSIG)))
	}
	record := &dns.NSEC3{
		Hdr: dns.RR_Header{
			Name:   strings.ToLower(c.hash(name)) + "." + strings.TrimPrefix(c.apex, "."),
			Rrtype: dns.TypeNSEC3, Class: dns.ClassINET, Ttl: l.negativeTTL(),
		},
		Hash: dns.SHA1, Iterations: c.Iterations, Salt: c.Salt, SaltLength: uint8(len(c.Salt) / 2),
		HashLength: 20, TypeBitMap: types,
	}
	if c.OptOut {
		record.Flags = 1
	}
	return record
}

// param returns the NSEC3PARAM record of the apex (RFC 5155 §4).
func (p *NSEC3) param(apex string) dns.RR {
	return &dns.NSEC3PARAM{
		Hdr:  dns.RR_Header{Name: apex, Rrtype: dns.TypeNSEC3PARAM, Class: dns.ClassINET},
		Hash: dns.SHA1, Iterations: p.Iterations, Salt: p.Salt, SaltLength: uint8(len(p.Salt) / 2),
	}
}

// matchingOrCovering returns the record that matches name, or else the one that covers
// it. The last record covers the hashes before the first.
func (c *nsec3Chain) matchingOrCovering(name string) dns.RR {
	i, found := slices.BinarySearchFunc(c.records, c.hash(name), func(h hashed, hash string) int {
		return cmp.Compare(h.hash, hash)
	})
	if !found {
		i = (i - 1 + len(c.records)) % len(c.records)
	}
	return c.records[i].record
}

// closestProvableEncloser returns the nearest ancestor of name with an NSEC3 record (RFC
// 5155 §1.3).
func (c *nsec3Chain) closestProvableEncloser(name string) string {
	for _, above := range ancestors(name, c.apex) {
		if c.names[above] {
			return above
		}
	}
	return c.apex
}

func (c *nsec3Chain) noData(name string) []dns.RR {
	if c.names[name] {
		return []dns.RR{c.matchingOrCovering(name)}
	}
	encloser := c.closestProvableEncloser(name) // name is an insecure delegation that opt-out omits
	return distinct(c.matchingOrCovering(encloser), c.matchingOrCovering(nextCloser(name, encloser)))
}

func (c *nsec3Chain) nxdomain(name, _ string) []dns.RR {
	encloser := c.closestProvableEncloser(name)
	return distinct(c.matchingOrCovering(encloser), c.matchingOrCovering(nextCloser(name, encloser)), c.matchingOrCovering(wildcardOf(encloser)))
}

func (c *nsec3Chain) wildcardAnswer(name, encloser string) []dns.RR {
	return []dns.RR{c.matchingOrCovering(nextCloser(name, encloser))}
}

func (c *nsec3Chain) wildcardNoData(name, encloser string) []dns.RR {
	return distinct(c.matchingOrCovering(encloser), c.matchingOrCovering(nextCloser(name, encloser)), c.matchingOrCovering(wildcardOf(encloser)))
}

func (c *nsec3Chain) all() []dns.RR {
	list := make([]dns.RR, len(c.records))
	for i, h := range c.records {
		list[i] = h.record
	}
	return list
}

// distinct returns the records without duplicates.
func distinct(records ...dns.RR) []dns.RR {
	var all []dns.RR
	for _, rr := range records {
		if !slices.Contains(all, rr) {
			all = append(all, rr)
		}
	}
	return all
}
