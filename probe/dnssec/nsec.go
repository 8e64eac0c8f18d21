package dnssec

import (
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// types is the type bitmap of an NSEC or NSEC3 record.
type types []uint16

func (t types) has(rrtype uint16) bool { return slices.Contains(t, rrtype) }

// delegates reports whether the record stands on the parent's side of a zone
// cut, an "ancestor delegation" record: it speaks for its owner's DS alone
// (RFC 6840 §4.1).
func (t types) delegates() bool { return t.has(dns.TypeNS) && !t.has(dns.TypeSOA) }

// lacks reports whether the bitmap, which belongs to name itself, proves that
// there are no records of qtype, and says otherwise why not.
func (t types) lacks(name string, qtype uint16) (bool, string) {
	switch {
	case t.has(qtype):
		return false, fmt.Sprintf("it lists %s among the types of %s", typeName(qtype), name)
	case t.has(dns.TypeCNAME):
		return false, fmt.Sprintf("it lists a CNAME at %s (RFC 6840 §4.3)", name)
	case qtype == dns.TypeDS && t.has(dns.TypeSOA) && name != ".":
		return false, fmt.Sprintf("it comes from the zone %s itself, not from its parent (RFC 6840 §4.4)", name)
	case qtype != dns.TypeDS && t.delegates():
		return false, fmt.Sprintf("it comes from the parent's side of the zone cut at %s (RFC 6840 §4.1)", name)
	}
	return true, ""
}

// nsecRecord is one NSEC record of a zone (RFC 4034 §4).
type nsecRecord struct {
	zone, owner, next string
	types             types
}

func (d *denial) addNSEC(set *rrset) {
	for _, rr := range records[*dns.NSEC](set.records) {
		d.nsec = append(d.nsec, &nsecRecord{zone: d.zone, owner: set.name, next: fold(rr.NextDomain), types: rr.TypeBitMap})
	}
}

// covers reports whether n proves that name does not exist as a name of its
// own, and may say so: not from above a delegation or a DNAME (RFC 6840 §4.1,
// RFC 6672 §5.3.4.1). The last record of a zone points back at the apex, and no
// other points backwards or out of the zone (RFC 4034 §4.1.1).
func (n *nsecRecord) covers(name string) bool {
	if below(name, n.owner) && (n.types.delegates() || n.types.has(dns.TypeDNAME)) {
		return false
	}
	if !within(name, n.zone) || compareNames(n.owner, name) >= 0 {
		return false
	}
	last := n.next == n.zone
	return last || within(n.next, n.zone) && compareNames(name, n.next) < 0
}

// emptyNonTerminal reports whether a record that covers name shows all the same
// that something exists below it (RFC 4592 §2.2.2).
func (n *nsecRecord) emptyNonTerminal(name string) bool { return below(n.next, name) }

// encloser is the closest name above name that exists, as a record that covers
// name shows: what name shares with one of its two ends.
func (n *nsecRecord) encloser(name string) string {
	return suffix(name, max(shared(name, n.owner), shared(name, n.next)))
}

func nsecMatching(list []*nsecRecord, name string) *nsecRecord {
	for _, n := range list {
		if n.owner == name {
			return n
		}
	}
	return nil
}

func nsecCovering(list []*nsecRecord, name string) *nsecRecord {
	for _, n := range list {
		if n.covers(name) {
			return n
		}
	}
	return nil
}

func nsecNodata(list []*nsecRecord, name string, qtype uint16) (absence, string) {
	if n := nsecMatching(list, name); n != nil {
		if ok, why := n.types.lacks(name, qtype); !ok {
			return unproven, "the NSEC record of " + name + " proves nothing: " + why
		}
		return denied, ""
	}
	n := nsecCovering(list, name)
	if n == nil {
		return unproven, "no NSEC record matches or covers " + name
	}
	if n.emptyNonTerminal(name) {
		return denied, ""
	}
	wildcard := wildcardAt(n.encloser(name))
	w := nsecMatching(list, wildcard)
	if w == nil {
		return unproven, fmt.Sprintf("no NSEC record matches %s or %s", name, wildcard)
	}
	if ok, why := w.types.lacks(wildcard, qtype); !ok {
		return unproven, "the NSEC record of " + wildcard + " proves nothing: " + why
	}
	return denied, ""
}

func nsecNameError(list []*nsecRecord, name string) (absence, string) {
	n := nsecCovering(list, name)
	if n == nil {
		return unproven, "no NSEC record covers " + name
	}
	if n.emptyNonTerminal(name) {
		return unproven, "an NSEC record shows that names exist below " + name
	}
	wildcard := wildcardAt(n.encloser(name))
	w := nsecCovering(list, wildcard)
	if w == nil || w.emptyNonTerminal(wildcard) {
		return unproven, "no NSEC record covers the wildcard " + wildcard
	}
	return denied, ""
}

func nsecNoCloser(list []*nsecRecord, name, wildcard string) (absence, string) {
	for _, n := range list {
		if n.covers(name) && !n.emptyNonTerminal(name) && wildcardAt(n.encloser(name)) == wildcard {
			return denied, ""
		}
	}
	return unproven, fmt.Sprintf("no NSEC record proves that nothing closer to %s exists than %s", name, wildcard)
}

func nsecDelegation(list []*nsecRecord, name string) (cut, string) {
	if n := nsecMatching(list, name); n != nil {
		ok, why := n.types.lacks(name, dns.TypeDS)
		switch {
		case n.types.has(dns.TypeCNAME) && !n.types.has(dns.TypeNS):
			return noCut, "" // an alias is no delegation
		case !ok:
			return unprovenCut, "the NSEC record of " + name + " proves nothing: " + why
		case n.types.has(dns.TypeNS):
			return insecureCut, fmt.Sprintf("the NSEC record of %s in %s proves a delegation without DS", name, n.zone)
		}
		return noCut, ""
	}
	if a, _ := nsecNameError(list, name); a == denied {
		return nothingBelow, ""
	}
	a, why := nsecNodata(list, name, dns.TypeDS)
	if a == denied {
		return noCut, ""
	}
	return unprovenCut, why
}
