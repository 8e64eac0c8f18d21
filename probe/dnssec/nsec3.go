package dnssec

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// nsec3Set is the NSEC3 records of a reply that belong to one chain of a zone:
// the same hash, salt and iterations (RFC 5155 §8.2).
type nsec3Set struct {
	zone       string
	salt       []byte
	iterations uint16
	records    []nsec3Record
	weak       string // why the records prove nothing, if they have too many iterations
	budget     *workBudget
}

type nsec3Record struct {
	owner, next []byte // hashes
	optOut      bool
	types       typeBitmap
}

// addNSEC3 adds records with the only defined hash, SHA-1, and known flags, with
// their proof. It ignores others (RFC 5155 §8.1, §8.2).
func (d *denial) addNSEC3(set *rrset, p proof, v *validation) {
	owner := hashLabel(set.name, d.zone)
	for _, rr := range records[*dns.NSEC3](set.records) {
		next, err := decodeHash(rr.NextDomain)
		salt, saltErr := decodeSalt(rr.Salt)
		if rr.Hash != dns.SHA1 || rr.Flags&^1 != 0 || owner == nil || err != nil || saltErr != nil || len(next) != sha1.Size {
			d.why = fmt.Sprintf("%s is not a usable NSEC3 record (RFC 5155 §8.1, §8.2)", set)
			continue
		}
		c := d.nsec3Chain(salt, rr.Iterations, v)
		c.add(p)
		list := c.prover.(*nsec3Set)
		list.records = append(list.records, nsec3Record{owner: owner, next: next, optOut: rr.Flags&1 != 0, types: rr.TypeBitMap})
	}
}

// nsec3Chain returns the chain with a salt and a number of iterations. It adds it if
// there is none.
func (d *denial) nsec3Chain(salt []byte, iterations uint16, v *validation) *chain {
	for _, c := range d.chains {
		if s, ok := c.prover.(*nsec3Set); ok && s.iterations == iterations && bytes.Equal(s.salt, salt) {
			return c
		}
	}
	s := &nsec3Set{zone: d.zone, salt: salt, iterations: iterations, budget: v.budget}
	v.iterations[d.zone] = max(v.iterations[d.zone], iterations)
	if limit := v.rules.options.NSEC3MaxIterations; iterations > limit {
		s.weak = fmt.Sprintf("the NSEC3 records of %s have %d iterations, and above %d they prove nothing (RFC 9276 §3.2)", d.zone, iterations, limit)
	}
	c := &chain{prover: s}
	d.chains = append(d.chains, c)
	return c
}

// hashLabel decodes the owner of an NSEC3 record, a hash directly below the apex
// (RFC 5155 §3). It returns nil for any other name.
func hashLabel(owner, zone string) []byte {
	if labels(owner) != labels(zone)+1 || !within(owner, zone) {
		return nil
	}
	list := wireLabels(owner)
	if len(list) == 0 {
		return nil
	}
	hash, err := decodeHash(string(list[0]))
	if err != nil || len(hash) != sha1.Size {
		return nil
	}
	return hash
}

func decodeHash(s string) ([]byte, error) {
	return base32.HexEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(s))
}

// decodeSalt decodes a salt in hexadecimal. Zone files write an empty salt as
// "-".
func decodeSalt(s string) ([]byte, error) {
	if s == "-" {
		s = ""
	}
	return hex.DecodeString(s)
}

// nsec3Hash computes the hash of a name (RFC 5155 §5), or nil if the name is
// invalid.
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

// matching returns the record whose owner is the hash of name, or nil. It fails
// if a limit is exceeded, as do the methods below.
func (s *nsec3Set) matching(name string) (*nsec3Record, error) {
	return s.find(name, func(r *nsec3Record, hash []byte) bool { return bytes.Equal(r.owner, hash) })
}

// covering returns a record that covers the hash of name, or nil.
func (s *nsec3Set) covering(name string) (*nsec3Record, error) {
	return s.find(name, (*nsec3Record).covers)
}

func (s *nsec3Set) find(name string, fits func(r *nsec3Record, hash []byte) bool) (*nsec3Record, error) {
	h, err := s.budget.hash(name, s.salt, s.iterations)
	if err != nil {
		return nil, err
	}
	for i := range s.records {
		if fits(&s.records[i], h) {
			return &s.records[i], nil
		}
	}
	return nil, nil
}

// covers reports whether h is strictly between owner and next. The next hash of
// the last record of the chain is the first (RFC 5155 §3.1.7).
func (r *nsec3Record) covers(h []byte) bool {
	after, before := bytes.Compare(r.owner, h) < 0, bytes.Compare(h, r.next) < 0
	if bytes.Compare(r.owner, r.next) < 0 {
		return after && before
	}
	return !bytes.Equal(h, r.owner) && (after || before)
}

// closestEncloser is a closest encloser proof (RFC 5155 §8.3): the longest
// ancestor that exists, and the record that covers the next closer name.
type closestEncloser struct {
	name  string
	cover *nsec3Record // nil: there is no proof
	why   string       // why there is no proof
}

// encloser finds the closest encloser of name.
func (s *nsec3Set) encloser(name string) (closestEncloser, error) {
	for n := labels(name) - 1; n >= labels(s.zone); n-- {
		candidate := suffix(name, n)
		r, err := s.matching(candidate)
		if err != nil {
			return closestEncloser{}, err
		}
		if r == nil {
			continue
		}
		if r.types.has(dns.TypeDNAME) || r.types.isDelegation() {
			return closestEncloser{why: fmt.Sprintf("the NSEC3 record of %s is for a delegation or DNAME and proves nothing about names below it", candidate)}, nil
		}
		next := suffix(name, n+1)
		cover, err := s.covering(next)
		if err != nil {
			return closestEncloser{}, err
		}
		if cover == nil {
			return closestEncloser{why: "no NSEC3 record covers the next closer name " + next}, nil
		}
		return closestEncloser{name: candidate, cover: cover}, nil
	}
	return closestEncloser{why: "no NSEC3 record matches a name above " + name}, nil
}

func (s *nsec3Set) nodata(name string, qtype uint16) (denialResult, error) {
	if s.weak != "" {
		return denialResult{optedOut, s.weak}, nil
	}
	r, err := s.matching(name)
	if err != nil {
		return denialResult{}, err
	}
	if r != nil {
		if err := r.types.deny(name, qtype); err != nil {
			return denialResult{unproven, fmt.Sprintf("the NSEC3 record of %s proves nothing: %v", name, err)}, nil
		}
		return denialResult{absence: denied}, nil
	}
	e, err := s.encloser(name)
	switch {
	case err != nil:
		return denialResult{}, err
	case e.cover == nil:
		return denialResult{unproven, e.why}, nil
	}
	wildcard := wildcardAt(e.name)
	w, err := s.matching(wildcard)
	if err != nil {
		return denialResult{}, err
	}
	if w != nil { // RFC 5155 §8.7
		if err := w.types.deny(wildcard, qtype); err != nil {
			return denialResult{unproven, fmt.Sprintf("the NSEC3 record of %s proves nothing: %v", wildcard, err)}, nil
		}
		return s.optOutResult(e.cover, name), nil
	}
	// RFC 5155 §8.6 is for DS. For other types §8.5 demands a record of the name itself;
	// like Unbound, this takes the name for an unsigned delegation, which is insecure.
	if e.cover.optOut {
		return s.optOutResult(e.cover, name), nil
	}
	return denialResult{unproven, fmt.Sprintf("no NSEC3 record matches %s or %s", name, wildcard)}, nil
}

// optOutResult returns denied, or optedOut if cover, which covers the next closer
// name, has the opt-out flag: an unsigned delegation may exist in its span
// (RFC 5155 §6, §9.2).
func (s *nsec3Set) optOutResult(cover *nsec3Record, name string) denialResult {
	if cover.optOut {
		return denialResult{optedOut, fmt.Sprintf("%s falls into an NSEC3 opt-out span of %s, where unsigned delegations are not listed", name, s.zone)}
	}
	return denialResult{absence: denied}
}

func (s *nsec3Set) nameError(name string) (denialResult, error) {
	if s.weak != "" {
		return denialResult{optedOut, s.weak}, nil
	}
	e, err := s.encloser(name)
	switch {
	case err != nil:
		return denialResult{}, err
	case e.cover == nil:
		return denialResult{unproven, e.why}, nil
	}
	wildcard := wildcardAt(e.name)
	w, err := s.covering(wildcard)
	if err != nil {
		return denialResult{}, err
	}
	if w == nil {
		return denialResult{unproven, "no NSEC3 record covers the wildcard " + wildcard}, nil
	}
	return s.optOutResult(e.cover, name), nil
}

// noCloserMatch needs a cover for the next closer name only, because the wildcard
// itself proves its parent (RFC 5155 §8.8).
func (s *nsec3Set) noCloserMatch(name, wildcard string) (denialResult, error) {
	if s.weak != "" {
		return denialResult{optedOut, s.weak}, nil
	}
	next := suffix(name, labels(wildcard)) // the asterisk stands for one label more
	cover, err := s.covering(next)
	if err != nil {
		return denialResult{}, err
	}
	if cover == nil {
		return denialResult{unproven, "no NSEC3 record covers the next closer name " + next}, nil
	}
	return s.optOutResult(cover, name), nil
}

func (s *nsec3Set) delegation(name string) (cutResult, error) {
	if s.weak != "" {
		return cutResult{presumedCut, s.weak}, nil
	}
	r, err := s.matching(name)
	if err != nil {
		return cutResult{}, err
	}
	if r != nil {
		if r.types.isAlias() {
			return cutResult{cut: noCut}, nil
		}
		if err := r.types.deny(name, dns.TypeDS); err != nil {
			return cutResult{unprovenCut, fmt.Sprintf("the NSEC3 record of %s proves nothing: %v", name, err)}, nil
		}
		if r.types.has(dns.TypeNS) {
			return cutResult{insecureCut, fmt.Sprintf("an NSEC3 record of %s proves that %s is a delegation without DS", s.zone, name)}, nil
		}
		return cutResult{cut: noCut}, nil
	}
	e, err := s.encloser(name)
	switch {
	case err != nil:
		return cutResult{}, err
	case e.cover == nil:
		return cutResult{unprovenCut, e.why}, nil
	case e.cover.optOut:
		return cutResult{presumedCut, fmt.Sprintf("%s falls into an NSEC3 opt-out span of %s, where delegations without DS are not listed (RFC 5155 §8.9)", name, s.zone)}, nil
	}
	return cutResult{cut: nothingBelow}, nil
}
