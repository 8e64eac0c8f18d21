package dnssec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// rules are the parameters of a verdict besides the replies.
type rules struct {
	at      time.Time
	anchors map[string][]*dns.DS
	options Options
}

// evidence is everything collected for one lookup: replies as received, and
// verdicts on zones and cuts that were proven before.
type evidence struct {
	replies map[question]*reply
	zones   map[string]*zone
	noCuts  map[string]noZoneCut
	bogus   map[string]*fault // zones that recently failed to validate
}

// verdict is the result of validate: an answer, or the questions whose replies
// are missing. The zones, noCuts and bogus found on the way hold for any lookup.
type verdict struct {
	answer  *Answer // nil if questions are missing
	missing []question
	zones   map[string]*zone
	noCuts  map[string]noZoneCut
	bogus   map[string]*fault
}

// noZoneCut is a proof by a zone that a name in it is not a zone cut. With
// nxdomain, nothing exists at the name or below it.
type noZoneCut struct {
	nxdomain bool
	until    time.Time
}

// validate judges the evidence for one question. It sends no queries and reads
// no clock: the same evidence gives the same verdict, and a reply that no rule
// needs changes nothing. The budget counts and keeps what validate computes, so
// that repeated calls with more evidence do not compute it again. A question of
// the type NONE is about the zone that contains the name, see containingZone.
func validate(q question, e evidence, r rules, budget *workBudget) verdict {
	v := &validation{
		evidence:   e,
		rules:      r,
		budget:     budget,
		zones:      make(map[string]*zone),
		bogus:      make(map[string]*fault),
		noCuts:     make(map[string]noZoneCut),
		iterations: make(map[string]uint16),
	}
	result := verdict{zones: v.zones, noCuts: v.noCuts, bogus: v.bogus}
	judge := v.answer
	if q.qtype == dns.TypeNone {
		judge = v.containingZone
	}
	answer, err := judge(q)
	if err != nil {
		result.missing = v.missing
		return result
	}
	answer.Work = budget.work
	for _, name := range slices.Sorted(maps.Keys(v.iterations)) {
		answer.NSEC3 = append(answer.NSEC3, NSEC3{name, v.iterations[name]})
	}
	result.answer = answer
	return result
}

// validation is one run of validate.
type validation struct {
	evidence   evidence
	rules      rules
	budget     *workBudget
	zones      map[string]*zone  // validated in this run
	bogus      map[string]*fault // found in this run
	noCuts     map[string]noZoneCut
	signers    []string          // zones that a signature names
	iterations map[string]uint16 // of zones with authentic NSEC3 records
	missing    []question
}

// require notes that the verdict needs the reply to q.
func (v *validation) require(q question) {
	if v.evidence.replies[q] == nil && !slices.Contains(v.missing, q) {
		v.missing = append(v.missing, q)
	}
}

// reply returns the usable reply to q. The error is errMissing, or a fault if
// the reply is unusable, which then is returned too.
func (v *validation) reply(q question) (*reply, error) {
	v.budget.addNeeded(q)
	r := v.evidence.replies[q]
	switch {
	case r == nil:
		v.require(q)
		return nil, errMissing
	case !r.usable():
		return r, unusableReply(q, r)
	}
	return r, nil
}

// step is the verdict on one name of a lookup: records, a denial, or an alias.
type step struct {
	status  Status
	why     string
	zone    *zone // the zone that answers; if insecure, the zone that ends the chain
	valid   Validity
	ttl     time.Duration
	signing *key // that signed the data or the denial; nil if the zone is insecure
	rcode   int
	records []dns.RR
	target  string // of an alias; otherwise empty
}

// step judges what r answers to q (RFC 4035 §5).
func (v *validation) step(q question, r *reply) (step, error) {
	dname := r.dnameAbove(q.name)
	if q.qtype != dns.TypeCNAME || dname == nil {
		if set := r.find(q.name, q.qtype); set != nil {
			return v.positive(set, r)
		}
	}
	cname := r.find(q.name, dns.TypeCNAME)
	if dname != nil {
		// A signature over a CNAME that follows from a DNAME does not count (RFC 6672
		// §5.3.1). A CNAME that does not is judged alone.
		s, err := v.dname(q, dname, cname, r)
		if _, isBogus := asBogus(err); !isBogus || cname == nil || len(cname.sigs) == 0 {
			return s, err
		}
	}
	switch {
	case cname != nil && q.qtype == dns.TypeCNAME:
		return v.positive(cname, r)
	case cname != nil:
		return v.cname(cname, r)
	}
	return v.negative(q, r)
}

// positive judges an RRset at the name queried.
func (v *validation) positive(set *rrset, r *reply) (step, error) {
	s, err := v.trySigners(v.signersOf(set.sigs, set.name, set.rrtype), func(signer string) (step, error) {
		return v.signedBy(signer, set, r)
	})
	if err != nil {
		if s, err = v.statusOfUnsigned(set.name, set.rrtype, set.String(), err); err != nil {
			return step{}, err
		}
		s.ttl = set.ttl()
	}
	s.records, s.rcode = set.all(), dns.RcodeSuccess
	return s, nil
}

// trySigners calls judge for the zones that claim to have signed something,
// until one is not bogus. If all are bogus, it returns the first error. If there
// are no signers, it returns errUnsigned.
func (v *validation) trySigners(signers []string, judge func(signer string) (step, error)) (step, error) {
	first := errUnsigned
	for i, signer := range signers[:min(len(signers), v.budget.limits.signers)] {
		s, err := judge(signer)
		if _, isBogus := asBogus(err); !isBogus {
			return s, err
		}
		if i == 0 {
			first = err
		}
	}
	return step{}, first
}

// signedBy judges set as an RRset of the zone signer.
func (v *validation) signedBy(signer string, set *rrset, r *reply) (step, error) {
	z, err := v.signerZone(signer)
	switch {
	case err != nil:
		return step{}, err
	case z == nil:
		return step{}, v.signerIsNoZone(set.String(), signer)
	case !z.secure():
		return insecureStep(z, set.ttl()), nil
	}
	p, err := v.authenticate(set, z.keys, z.name)
	if err != nil {
		return step{}, inZone(err, z)
	}
	s := step{status: Secure, zone: z, valid: p.validity, ttl: p.ttl, signing: p.key}
	s.why = set.String() + " is signed by " + z.name + " (" + keyName(p.tag, p.algorithm) + "), valid until " + clock(p.validity.Expiry)
	if p.wildcard == "" {
		return s, nil
	}
	return v.expanded(s, set, p.wildcard, r)
}

// expanded judges an RRset that was expanded from a wildcard. It is secure only
// if nothing closer to the name exists (RFC 4035 §5.3.4).
func (v *validation) expanded(s step, set *rrset, wildcard string, r *reply) (step, error) {
	d, err := v.denial(r, s.zone)
	if err != nil {
		return step{}, err
	}
	result, err := d.noCloserMatch(set.name, wildcard)
	if err != nil {
		return step{}, err
	}
	switch result.absence {
	case unproven:
		return step{}, inZone(d.unproven("%s was expanded from the wildcard %s without proof that the name itself does not exist: %s", set, wildcard, result.why), s.zone)
	case optedOut:
		s.status, s.why = Insecure, result.why
	default:
		s.why += ", from the wildcard " + wildcard
	}
	s.valid, s.ttl = s.valid.And(result.chain.proof.validity), min(s.ttl, result.chain.proof.ttl)
	return s, nil
}

// negative judges a reply without an RRset at the name queried.
func (v *validation) negative(q question, r *reply) (step, error) {
	s, err := v.trySigners(v.signersOf(denialSigs(r), q.name, q.qtype), func(signer string) (step, error) {
		return v.deniedBy(signer, q, r)
	})
	if err == nil {
		return s, nil
	}
	s, err = v.statusOfUnsigned(q.name, q.qtype, "the answer that "+q.String()+" does not exist", err)
	s.rcode = r.rcode
	return s, err
}

// deniedBy judges r as a denial of q by the zone signer.
func (v *validation) deniedBy(signer string, q question, r *reply) (step, error) {
	z, err := v.signerZone(signer)
	switch {
	case err != nil:
		return step{}, err
	case z == nil:
		return step{}, v.signerIsNoZone("the denial of "+q.String(), signer)
	case !z.secure():
		s := insecureStep(z, 0)
		s.rcode = r.rcode
		return s, nil
	}
	d, err := v.denial(r, z)
	if err != nil {
		return step{}, err
	}
	soa, err := v.checkSOA(r, z)
	if err != nil {
		return step{}, err
	}
	result, err := d.deny(q, r.rcode)
	if err != nil {
		return step{}, err
	}
	if result.absence == unproven {
		return step{}, inZone(d.unproven("%s does not prove its answer that %s does not exist: %s", z.name, q, result.why), z)
	}
	if result.absence == denied && result.chain.isNXNAME(q.name) {
		result.rcode = dns.RcodeNameError
	}
	p := result.chain.proof
	s := step{status: Secure, zone: z, valid: p.validity.And(soa), ttl: p.ttl, signing: p.key, rcode: result.rcode}
	if result.absence == optedOut {
		s.status, s.why = Insecure, result.why
	} else {
		s.why = fmt.Sprintf("%s proves that there is no %s, valid until %s", z.name, q, clock(s.valid.Expiry))
	}
	return s, nil
}

// checkSOA verifies the SOA that comes with a denial, and returns its validity. No
// proof depends on it, but it is part of the answer (RFC 2308 §3).
func (v *validation) checkSOA(r *reply, z *zone) (valid Validity, err error) {
	for _, set := range r.authority {
		if set.rrtype != dns.TypeSOA || set.name != z.name {
			continue
		}
		p, err := v.authenticate(set, z.keys, z.name)
		if err != nil {
			return Validity{}, inZone(err, z)
		}
		valid = valid.And(p.validity)
	}
	return valid, nil
}

// statusOfUnsigned judges data that no signature proves. The data is insecure if
// a zone above it is insecure, and bogus otherwise. err is errUnsigned or the
// fault of the signatures; any other error is returned as it is.
func (v *validation) statusOfUnsigned(name string, rrtype uint16, what string, err error) (step, error) {
	unsigned := errors.Is(err, errUnsigned)
	if _, isBogus := asBogus(err); !isBogus && !unsigned {
		return step{}, err
	}
	if rrtype == dns.TypeDS {
		name = parentOf(name)
	}
	z, zoneErr := v.enclosingZone(name)
	if zoneErr != nil {
		f, isBogus := asBogus(zoneErr)
		switch {
		case !isBogus:
			return step{}, zoneErr
		case unsigned:
			why := fmt.Sprintf("%s carries no signature, and no insecure delegation above it is proven: %s", what, f.why)
			return step{}, &fault{status: Bogus, why: why, above: f.above, failed: f.failed, zone: f.zone}
		}
		return step{}, ofContainer(err, f.zone)
	}
	switch {
	case !z.secure():
		return insecureStep(z, 0), nil
	case unsigned:
		return step{}, v.unsigned(z, what)
	}
	return step{}, ofContainer(err, z.name)
}

// ofContainer records the zone that contains bogus data as the zone at fault, unless err is
// about the chain of trust. It does not record the signer, because a signature can name any
// zone above as its signer. It returns err.
func ofContainer(err error, container string) error {
	if f, isBogus := asBogus(err); isBogus && f.failed != "" {
		return err
	}
	return atFault(err, container)
}

func insecureStep(z *zone, ttl time.Duration) step {
	why := z.link.Why
	if z.parent != nil {
		why = fmt.Sprintf("the zone %s is insecure: %s", z.name, z.link.Why)
	}
	return step{status: Insecure, why: why, zone: z, ttl: ttl}
}

// signerIsNoZone returns the fault of a signature by a name that is not a zone.
func (v *validation) signerIsNoZone(what, signer string) error {
	f := bogus("%s is signed by %s, which is proven not to be a zone", what, signer)
	if z, err := v.enclosingZone(signer); err == nil {
		f.above = z
	}
	return f
}
