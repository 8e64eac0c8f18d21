package dnssec

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"encoding/base32"
	"encoding/hex"
	"fmt"

	"github.com/miekg/dns"
)

// nsec3Set is the NSEC3 records of a reply that belong to one chain of a zone:
// the same hash, salt and iterations (RFC 5155 §8.2).
type nsec3Set struct {
	zone       string
	salt       []byte
	iterations uint16
	records    []nsec3Record
	weak       string // why the set proves nothing but that it cannot be relied upon
	ledger     *ledger
}

type nsec3Record struct {
	owner, next []byte // hashes
	optOut      bool
	types       types
}

// addNSEC3 takes in records with the one known hash, SHA-1, and known flags;
// others are ignored (RFC 5155 §8.1, §8.2). So are records of another chain
// than the first.
func (d *denial) addNSEC3(set *rrset, v *validation) {
	owner := hashLabel(set.name, d.zone)
	for _, rr := range records[*dns.NSEC3](set.records) {
		next, err := base32.HexEncoding.WithPadding(base32.NoPadding).DecodeString(upper(rr.NextDomain))
		salt, saltErr := hex.DecodeString(saltText(rr.Salt))
		if rr.Hash != dns.SHA1 || rr.Flags&^1 != 0 || owner == nil || err != nil || saltErr != nil || len(next) != sha1.Size {
			d.why = fmt.Sprintf("%s is no NSEC3 record that can be used (RFC 5155 §8.1, §8.2)", set)
			continue
		}
		if d.nsec3 == nil {
			d.nsec3 = &nsec3Set{zone: d.zone, salt: salt, iterations: rr.Iterations, ledger: v.ledger}
			put(&v.iterations, d.zone, rr.Iterations)
			if most := v.options.NSEC3MaxIterations; rr.Iterations > most {
				d.nsec3.weak = fmt.Sprintf("the NSEC3 records of %s have %d iterations, and above %d they prove nothing (RFC 9276 §3.2)", d.zone, rr.Iterations, most)
			}
		}
		if rr.Iterations != d.nsec3.iterations || !bytes.Equal(salt, d.nsec3.salt) {
			continue
		}
		d.nsec3.records = append(d.nsec3.records, nsec3Record{owner: owner, next: next, optOut: rr.Flags&1 != 0, types: rr.TypeBitMap})
	}
}

// hashLabel decodes the owner of an NSEC3 record, a hash directly below the
// apex (RFC 5155 §3.3); nil where it is not one.
func hashLabel(owner, zone string) []byte {
	if labels(owner) != labels(zone)+1 || !within(owner, zone) {
		return nil
	}
	list := wireLabels(owner)
	if len(list) == 0 {
		return nil
	}
	hash, err := base32.HexEncoding.WithPadding(base32.NoPadding).DecodeString(upper(string(list[0])))
	if err != nil || len(hash) != sha1.Size {
		return nil
	}
	return hash
}

func upper(s string) string { return string(bytes.ToUpper([]byte(s))) }

// saltText is the salt in hexadecimal; a zone file writes none as "-".
func saltText(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// nsec3Hash is RFC 5155 §5.
func nsec3Hash(name string, salt []byte, iterations uint16) []byte {
	wire, err := wireName(name)
	if err != nil {
		return nil
	}
	h := digest(crypto.SHA1, append(wire, salt...))
	for range iterations {
		h = digest(crypto.SHA1, append(h, salt...))
	}
	return h
}

func (s *nsec3Set) matching(name string) (*nsec3Record, *fault) {
	h, limit := s.ledger.hash(name, s.salt, s.iterations)
	if limit != nil {
		return nil, limit
	}
	for i := range s.records {
		if bytes.Equal(s.records[i].owner, h) {
			return &s.records[i], nil
		}
	}
	return nil, nil
}

func (s *nsec3Set) covering(name string) (*nsec3Record, *fault) {
	h, limit := s.ledger.hash(name, s.salt, s.iterations)
	if limit != nil {
		return nil, limit
	}
	for i := range s.records {
		if s.records[i].covers(h) {
			return &s.records[i], nil
		}
	}
	return nil, nil
}

// covers: h lies strictly between owner and next; the last record of the chain
// points back at the first (RFC 5155 §3.1.7).
func (r *nsec3Record) covers(h []byte) bool {
	after, before := bytes.Compare(r.owner, h) < 0, bytes.Compare(h, r.next) < 0
	if bytes.Compare(r.owner, r.next) < 0 {
		return after && before
	}
	return !bytes.Equal(h, r.owner) && (after || before)
}

// encloser is the closest encloser proof (RFC 5155 §8.3): the longest name
// above name that exists, and the record that covers the next closer name.
type encloser struct {
	name  string
	cover *nsec3Record
}

func (s *nsec3Set) encloser(name string) (*encloser, string, *fault) {
	for n := labels(name) - 1; n >= labels(s.zone); n-- {
		candidate := suffix(name, n)
		r, limit := s.matching(candidate)
		if limit != nil {
			return nil, "", limit
		}
		if r == nil {
			continue
		}
		if r.types.has(dns.TypeDNAME) || r.types.delegates() {
			return nil, fmt.Sprintf("the NSEC3 record of %s stands above a delegation or DNAME and says nothing of names below", candidate), nil
		}
		next := suffix(name, n+1)
		cover, limit := s.covering(next)
		if limit != nil {
			return nil, "", limit
		}
		if cover == nil {
			return nil, "no NSEC3 record covers the next closer name " + next, nil
		}
		return &encloser{candidate, cover}, "", nil
	}
	return nil, "no NSEC3 record shows which name above " + name + " exists", nil
}

func (s *nsec3Set) nodata(name string, qtype uint16) (absence, string, *fault) {
	if s.weak != "" {
		return optedOut, s.weak, nil
	}
	r, limit := s.matching(name)
	if limit != nil {
		return unproven, "", limit
	}
	if r != nil {
		if ok, why := r.types.lacks(name, qtype); !ok {
			return unproven, "the NSEC3 record of " + name + " proves nothing: " + why, nil
		}
		return denied, "", nil
	}
	e, why, limit := s.encloser(name)
	if e == nil {
		return unproven, why, limit
	}
	wildcard := wildcardAt(e.name)
	w, limit := s.matching(wildcard)
	if limit != nil {
		return unproven, "", limit
	}
	if w != nil { // RFC 5155 §8.7
		if ok, why := w.types.lacks(wildcard, qtype); !ok {
			return unproven, "the NSEC3 record of " + wildcard + " proves nothing: " + why, nil
		}
		return s.grade(e, name)
	}
	if e.cover.optOut { // RFC 5155 §8.6
		return s.grade(e, name)
	}
	return unproven, fmt.Sprintf("no NSEC3 record matches %s or %s", name, wildcard), nil
}

// grade: where the next closer name falls into an opt-out span, an unsigned
// delegation may hide there (RFC 5155 §6, §9.2).
func (s *nsec3Set) grade(e *encloser, name string) (absence, string, *fault) {
	if e.cover.optOut {
		return optedOut, fmt.Sprintf("%s falls into an NSEC3 opt-out span of %s, where unsigned delegations are not listed", name, s.zone), nil
	}
	return denied, "", nil
}

func (s *nsec3Set) nameError(name string) (absence, string, *fault) {
	if s.weak != "" {
		return optedOut, s.weak, nil
	}
	e, why, limit := s.encloser(name)
	if e == nil {
		return unproven, why, limit
	}
	wildcard := wildcardAt(e.name)
	w, limit := s.covering(wildcard)
	if limit != nil {
		return unproven, "", limit
	}
	if w == nil {
		return unproven, "no NSEC3 record covers the wildcard " + wildcard, nil
	}
	return s.grade(e, name)
}

// noCloser: the wildcard itself proves its parent, so that only the next
// closer name needs to be covered (RFC 5155 §8.8).
func (s *nsec3Set) noCloser(name, wildcard string) (absence, string, *fault) {
	if s.weak != "" {
		return optedOut, s.weak, nil
	}
	next := suffix(name, labels(wildcard)) // the asterisk stands for one label more
	cover, limit := s.covering(next)
	if limit != nil {
		return unproven, "", limit
	}
	if cover == nil {
		return unproven, "no NSEC3 record covers the next closer name " + next, nil
	}
	return s.grade(&encloser{suffix(name, labels(wildcard)-1), cover}, name)
}

func (s *nsec3Set) delegation(name string) (cut, string, *fault) {
	if s.weak != "" {
		return insecureCut, s.weak, nil
	}
	r, limit := s.matching(name)
	if limit != nil {
		return unprovenCut, "", limit
	}
	if r != nil {
		ok, why := r.types.lacks(name, dns.TypeDS)
		switch {
		case r.types.has(dns.TypeCNAME) && !r.types.has(dns.TypeNS):
			return noCut, "", nil // an alias is no delegation
		case !ok:
			return unprovenCut, "the NSEC3 record of " + name + " proves nothing: " + why, nil
		case r.types.has(dns.TypeNS):
			return insecureCut, fmt.Sprintf("an NSEC3 record of %s proves that %s is a delegation without DS", s.zone, name), nil
		}
		return noCut, "", nil
	}
	e, why, limit := s.encloser(name)
	if e == nil {
		return unprovenCut, why, limit
	}
	if e.cover.optOut {
		return insecureCut, fmt.Sprintf("%s falls into an NSEC3 opt-out span of %s, where delegations without DS are not listed (RFC 5155 §8.9)", name, s.zone), nil
	}
	return nothingBelow, "", nil
}
