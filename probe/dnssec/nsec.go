package dnssec

import (
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// typeBitmap is the type bitmap of an NSEC or NSEC3 record.
type typeBitmap []uint16

func (t typeBitmap) has(rrtype uint16) bool { return slices.Contains(t, rrtype) }

// isDelegation reports whether the record is from the parent's side of a zone
// cut, an "ancestor delegation" record. It denies only the DS of its owner
// (RFC 6840 §4.1).
func (t typeBitmap) isDelegation() bool { return t.has(dns.TypeNS) && !t.has(dns.TypeSOA) }

// isAlias reports whether the owner is an alias and therefore no delegation.
func (t typeBitmap) isAlias() bool { return t.has(dns.TypeCNAME) && !t.has(dns.TypeNS) }

// deny returns nil if the bitmap, whose owner is name, proves that there are no
// records of qtype.
func (t typeBitmap) deny(name string, qtype uint16) error {
	switch {
	case t.has(qtype):
		return fmt.Errorf("it lists %s among the types of %s", typeName(qtype), name)
	case t.has(dns.TypeCNAME):
		return fmt.Errorf("it lists a CNAME at %s (RFC 6840 §4.3)", name)
	case qtype == dns.TypeDS && t.has(dns.TypeSOA) && name != ".":
		return fmt.Errorf("it comes from the zone %s itself, not from its parent (RFC 6840 §4.4)", name)
	case qtype != dns.TypeDS && t.isDelegation():
		return fmt.Errorf("it comes from the parent's side of the zone cut at %s (RFC 6840 §4.1)", name)
	}
	return nil
}

// nsecRecord is one NSEC record of a zone (RFC 4034 §4).
type nsecRecord struct {
	zone, owner, next string
	types             typeBitmap
}

// covers reports whether n proves that name does not exist as a name of its own.
// A record at a delegation or a DNAME proves nothing about names below it
// (RFC 6840 §4.1, RFC 6672 §5.3.4.1). The next name of the last record is the
// apex. No other record points backwards or out of the zone (RFC 4034 §4.1.1).
func (n *nsecRecord) covers(name string) bool {
	if below(name, n.owner) && (n.types.isDelegation() || n.types.has(dns.TypeDNAME)) {
		return false
	}
	if !within(name, n.zone) || compareNames(n.owner, name) >= 0 {
		return false
	}
	last := n.next == n.zone
	return last || within(n.next, n.zone) && compareNames(name, n.next) < 0
}

// emptyNonTerminal reports whether something exists below name, which n covers
// (RFC 4592 §2.2.2).
func (n *nsecRecord) emptyNonTerminal(name string) bool { return below(n.next, name) }

// encloser returns the closest encloser of name, which n covers: the labels that
// name shares with the owner or the next name of n, whichever are more.
func (n *nsecRecord) encloser(name string) string {
	return suffix(name, max(commonLabels(name, n.owner), commonLabels(name, n.next)))
}

// nsecSet is the NSEC records of a denial.
type nsecSet struct{ records []*nsecRecord }

// addNSEC adds records with their proof.
func (d *denial) addNSEC(set *rrset, p proof) {
	i := slices.IndexFunc(d.chains, func(c *chain) bool { _, ok := c.prover.(*nsecSet); return ok })
	if i < 0 {
		i = len(d.chains)
		d.chains = append(d.chains, &chain{prover: &nsecSet{}})
	}
	c := d.chains[i]
	c.add(p)
	list := c.prover.(*nsecSet)
	for _, rr := range records[*dns.NSEC](set.records) {
		list.records = append(list.records, &nsecRecord{zone: d.zone, owner: set.name, next: fold(rr.NextDomain), types: rr.TypeBitMap})
	}
}

// matching returns the record whose owner is name, or nil.
func (s *nsecSet) matching(name string) *nsecRecord {
	for _, n := range s.records {
		if n.owner == name {
			return n
		}
	}
	return nil
}

// covering returns a record that covers name, or nil.
func (s *nsecSet) covering(name string) *nsecRecord {
	for _, n := range s.records {
		if n.covers(name) {
			return n
		}
	}
	return nil
}

func (s *nsecSet) nodata(name string, qtype uint16) (denialResult, error) {
	if n := s.matching(name); n != nil {
		if err := n.types.deny(name, qtype); err != nil {
			return denialResult{unproven, fmt.Sprintf("the NSEC record of %s proves nothing: %v", name, err)}, nil
		}
		return denialResult{absence: denied}, nil
	}
	n := s.covering(name)
	if n == nil {
		return denialResult{unproven, "no NSEC record matches or covers " + name}, nil
	}
	if n.emptyNonTerminal(name) {
		return denialResult{absence: denied}, nil
	}
	wildcard := wildcardAt(n.encloser(name))
	w := s.matching(wildcard)
	if w == nil {
		return denialResult{unproven, fmt.Sprintf("no NSEC record matches %s or %s", name, wildcard)}, nil
	}
	if err := w.types.deny(wildcard, qtype); err != nil {
		return denialResult{unproven, fmt.Sprintf("the NSEC record of %s proves nothing: %v", wildcard, err)}, nil
	}
	return denialResult{absence: denied}, nil
}

func (s *nsecSet) nameError(name string) (denialResult, error) {
	n := s.covering(name)
	if n == nil {
		return denialResult{unproven, "no NSEC record covers " + name}, nil
	}
	if n.emptyNonTerminal(name) {
		return denialResult{unproven, "an NSEC record shows that names exist below " + name}, nil
	}
	wildcard := wildcardAt(n.encloser(name))
	w := s.covering(wildcard)
	if w == nil || w.emptyNonTerminal(wildcard) {
		return denialResult{unproven, "no NSEC record covers the wildcard " + wildcard}, nil
	}
	return denialResult{absence: denied}, nil
}

func (s *nsecSet) noCloserMatch(name, wildcard string) (denialResult, error) {
	for _, n := range s.records {
		if n.covers(name) && !n.emptyNonTerminal(name) && wildcardAt(n.encloser(name)) == wildcard {
			return denialResult{absence: denied}, nil
		}
	}
	return denialResult{unproven, fmt.Sprintf("no NSEC record proves that %s has no closer match than %s", name, wildcard)}, nil
}

func (s *nsecSet) delegation(name string) (cutResult, error) {
	if n := s.matching(name); n != nil {
		if n.types.isAlias() {
			return cutResult{cut: noCut}, nil
		}
		if err := n.types.deny(name, dns.TypeDS); err != nil {
			return cutResult{unprovenCut, fmt.Sprintf("the NSEC record of %s proves nothing: %v", name, err)}, nil
		}
		if n.types.has(dns.TypeNS) {
			return cutResult{insecureCut, fmt.Sprintf("the NSEC record of %s in %s proves a delegation without DS", name, n.zone)}, nil
		}
		return cutResult{cut: noCut}, nil
	}
	if result, err := s.nameError(name); err != nil || result.absence == denied {
		return cutResult{cut: nothingBelow}, err
	}
	result, err := s.nodata(name, dns.TypeDS)
	if err != nil {
		return cutResult{}, err
	}
	if result.absence == denied {
		return cutResult{cut: noCut}, nil
	}
	return cutResult{unprovenCut, result.why}, nil
}
