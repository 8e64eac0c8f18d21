package zone

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// denial proves what a zone does not hold. Each method returns the NSEC or
// NSEC3 records that a response of its kind carries, each once.
// encloser is always the closest encloser of name (RFC 4592 §3.3.1).
type denial interface {
	// noData: name exists without the type asked (RFC 4035 §3.1.3.1, RFC 5155 §7.2.3, §7.2.4).
	noData(name string) []dns.RR
	// noName: neither name nor a wildcard for it exists (RFC 4035 §3.1.3.2, RFC 5155 §7.2.2).
	noName(name, encloser string) []dns.RR
	// expanded: the answer came from the wildcard under encloser (RFC 4035 §3.1.3.3, RFC 5155 §7.2.6).
	expanded(name, encloser string) []dns.RR
	// expandedNoData: so it would, without the type asked (RFC 4035 §3.1.3.4, RFC 5155 §7.2.5).
	expandedNoData(name, encloser string) []dns.RR
	// all is the whole chain, in its order.
	all() []dns.RR
}

// unproven is the denial of an unsigned zone: its word.
type unproven struct{}

func (unproven) noData(string) []dns.RR                 { return nil }
func (unproven) noName(string, string) []dns.RR         { return nil }
func (unproven) expanded(string, string) []dns.RR       { return nil }
func (unproven) expandedNoData(string, string) []dns.RR { return nil }
func (unproven) all() []dns.RR                          { return nil }

// nsecChain holds a zone's NSEC records in canonical order (RFC 4034 §4).
type nsecChain []*dns.NSEC

func newNSECChain(l *loaded) nsecChain {
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

// at returns the record that matches name, or else covers it: the last whose
// owner is not after name. The apex comes before every other name.
func (c nsecChain) at(name string) dns.RR {
	i, found := slices.BinarySearchFunc(c, name, func(record *dns.NSEC, name string) int {
		return compareNames(record.Hdr.Name, name)
	})
	if !found {
		i--
	}
	return c[i]
}

func (c nsecChain) noData(name string) []dns.RR { return []dns.RR{c.at(name)} }

func (c nsecChain) noName(name, encloser string) []dns.RR {
	return once(c.at(name), c.at(wildcardOf(encloser)))
}

func (c nsecChain) expanded(name, _ string) []dns.RR { return []dns.RR{c.at(name)} }

func (c nsecChain) expandedNoData(name, encloser string) []dns.RR {
	return once(c.at(name), c.at(wildcardOf(encloser)))
}

func (c nsecChain) all() []dns.RR {
	list := make([]dns.RR, len(c))
	for i, record := range c {
		list[i] = record
	}
	return list
}

// nsec3Chain holds a zone's NSEC3 records in the order of their hashes.
type nsec3Chain struct {
	NSEC3
	apex    string
	names   map[string]bool // that have a record of their own
	records []hashed
}

type hashed struct {
	hash   string // base32, upper case
	record *dns.NSEC3
}

func newNSEC3Chain(l *loaded) *nsec3Chain {
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

// chooseNames takes every name, or with opt-out those alone that are more than
// an insecure delegation or the way to one (RFC 5155 §7.1).
func (c *nsec3Chain) chooseNames(l *loaded) {
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

func (c *nsec3Chain) record(name string, l *loaded) *dns.NSEC3 {
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

// param makes the NSEC3PARAM of the apex (RFC 5155 §4).
func (p *NSEC3) param(apex string) dns.RR {
	return &dns.NSEC3PARAM{
		Hdr:  dns.RR_Header{Name: apex, Rrtype: dns.TypeNSEC3PARAM, Class: dns.ClassINET},
		Hash: dns.SHA1, Iterations: p.Iterations, Salt: p.Salt, SaltLength: uint8(len(p.Salt) / 2),
	}
}

// at returns the record that matches name, or else covers it; the chain is a ring.
func (c *nsec3Chain) at(name string) dns.RR {
	i, found := slices.BinarySearchFunc(c.records, c.hash(name), func(h hashed, hash string) int {
		return cmp.Compare(h.hash, hash)
	})
	if !found {
		i = (i - 1 + len(c.records)) % len(c.records)
	}
	return c.records[i].record
}

// provable is the nearest ancestor of name that has a record of its own: the
// closest provable encloser of RFC 5155 §1.3.
func (c *nsec3Chain) provable(name string) string {
	for _, above := range ancestors(name, c.apex) {
		if c.names[above] {
			return above
		}
	}
	return c.apex
}

func (c *nsec3Chain) noData(name string) []dns.RR {
	if c.names[name] {
		return []dns.RR{c.at(name)}
	}
	encloser := c.provable(name) // an insecure delegation that opt-out left out
	return once(c.at(encloser), c.at(nextCloser(name, encloser)))
}

func (c *nsec3Chain) noName(name, _ string) []dns.RR {
	encloser := c.provable(name)
	return once(c.at(encloser), c.at(nextCloser(name, encloser)), c.at(wildcardOf(encloser)))
}

func (c *nsec3Chain) expanded(name, encloser string) []dns.RR {
	return []dns.RR{c.at(nextCloser(name, encloser))}
}

func (c *nsec3Chain) expandedNoData(name, encloser string) []dns.RR {
	return once(c.at(encloser), c.at(nextCloser(name, encloser)), c.at(wildcardOf(encloser)))
}

func (c *nsec3Chain) all() []dns.RR {
	list := make([]dns.RR, len(c.records))
	for i, h := range c.records {
		list[i] = h.record
	}
	return list
}

// once drops repetitions of the same record.
func once(records ...dns.RR) []dns.RR {
	var distinct []dns.RR
	for _, rr := range records {
		if !slices.Contains(distinct, rr) {
			distinct = append(distinct, rr)
		}
	}
	return distinct
}
