package dnssec

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// rules are what a verdict depends on besides the replies.
type rules struct {
	at      time.Time
	anchors map[string][]*dns.DS
	options Options
}

// evidence is everything gathered for one look-up: replies as they came, and
// zones judged before.
type evidence struct {
	replies map[question]*reply
	zones   map[string]*zone
	bogus   map[string]*fault // zones that failed moments ago
}

// verdict is what validate makes of the evidence: an answer, or the questions
// whose replies are still needed. Zones, uncut and bogus are what it learned on
// the way; they hold for any look-up.
type verdict struct {
	answer  Answer
	missing []question
	zones   map[string]*zone
	uncut   map[string]uncut
	bogus   map[string]*fault
}

// uncut is a name that its zone proves to be no zone cut; void, if it proves
// that nothing exists there or below.
type uncut struct {
	void  bool
	until time.Time
}

// validate judges the evidence for one question. It asks nobody and reads no
// clock: the same evidence gives the same verdict, and a reply that no rule
// needs changes nothing. The ledger counts what it computes, and remembers it.
func validate(q question, e evidence, r rules, l *ledger) verdict {
	v := &validation{evidence: e, rules: r, ledger: l}
	answer, err := v.lookup(q)
	if err != nil {
		return verdict{missing: v.missing, zones: v.judged, uncut: v.uncut, bogus: v.failed}
	}
	answer.Work = l.work
	if len(v.iterations) > 0 {
		for _, name := range slices.Sorted(maps.Keys(v.iterations)) {
			answer.NSEC3 = append(answer.NSEC3, NSEC3{name, v.iterations[name]})
		}
	}
	return verdict{answer: answer, zones: v.judged, uncut: v.uncut, bogus: v.failed}
}

// validation is one run of validate. Its maps begin as nil: most look-ups write
// to none of them.
type validation struct {
	evidence
	rules
	judged     map[string]*zone  // here
	failed     map[string]*fault // here
	uncut      map[string]uncut
	named      []string          // zones that a signature names
	iterations map[string]uint16 // of zones with NSEC3 records that hold
	ledger     *ledger
	missing    []question
}

// put writes to a map that may be nil.
func put[K comparable, V any](m *map[K]V, key K, value V) {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[key] = value
}

// want notes a question whose reply the verdict needs.
func (v *validation) want(q question) {
	if v.replies[q] == nil && !slices.Contains(v.missing, q) {
		v.missing = append(v.missing, q)
	}
}

// ask returns the reply to a question if it can be built on.
func (v *validation) ask(q question) (*reply, error) {
	v.ledger.need(q)
	r := v.replies[q]
	switch {
	case r == nil:
		v.want(q)
		return nil, errMissing
	case r.err != nil || !answers(r.rcode):
		return r, failing(q, r)
	}
	return r, nil
}

// step is the verdict on one name of a look-up: records, nothing, or an alias.
type step struct {
	status  Status
	why     string
	zone    *zone // the zone that answers; where insecure, the one that ended the chain
	valid   Validity
	ttl     time.Duration
	signing *key
	rcode   int
	records []dns.RR
	target  string // where an alias leads; empty otherwise
}

// step judges what r says of q (RFC 4035 §5).
func (v *validation) step(q question, r *reply) (step, error) {
	dname := r.dnameAbove(q.name)
	if q.qtype != dns.TypeCNAME || dname == nil {
		if set := r.find(q.name, q.qtype); set != nil {
			return v.positive(set, r)
		}
	}
	cname := r.find(q.name, dns.TypeCNAME)
	switch {
	case cname != nil && (dname == nil || len(cname.sigs) > 0):
		return v.cname(cname, r)
	case dname != nil:
		return v.dname(q, dname, cname, r)
	}
	return v.negative(q, r)
}

// positive judges an RRset at the name asked for.
func (v *validation) positive(set *rrset, r *reply) (step, error) {
	s, err := v.signed(set, r)
	if err != nil {
		if s, err = v.unlessInsecure(set.name, set.rrtype, set.String(), err); err != nil {
			return step{}, err
		}
		s.ttl = set.ttl()
	}
	s.records, s.rcode = set.records, dns.RcodeSuccess
	return s, nil
}

// signed looks for the zone that signed set.
func (v *validation) signed(set *rrset, r *reply) (step, error) {
	return v.firstGood(v.signersOf(set.sigs, set.name, set.rrtype), func(signer string) (step, error) {
		return v.signedBy(signer, set, r)
	})
}

// firstGood judges by each of the zones that claim to have signed something,
// until one is not bogus; if all are, the first tells why. Where nobody signed
// who could, the error is errUnsigned.
func (v *validation) firstGood(signers []string, judge func(signer string) (step, error)) (step, error) {
	var first error
	for _, signer := range signers[:min(len(signers), v.ledger.limits.signers)] {
		s, err := judge(signer)
		if err == nil || isBogus(err) == nil {
			return s, err
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		return step{}, errUnsigned
	}
	return step{}, first
}

func (v *validation) signedBy(signer string, set *rrset, r *reply) (step, error) {
	z, err := v.signer(signer)
	switch {
	case err != nil:
		return step{}, err
	case z == nil:
		return step{}, v.notZone(set.String(), signer)
	case !z.secure():
		return insecureStep(z, set.ttl()), nil
	}
	p, f := v.authenticate(set, z.keys, z.name)
	if f != nil {
		return step{}, at(f, z)
	}
	s := step{status: Secure, zone: z, valid: p.Validity, ttl: p.ttl, signing: p.key}
	s.why = set.String() + " is signed by " + z.name + " (" + keyName(p.tag, p.alg) + "), valid until " + clock(p.Expiry)
	if p.wildcard == "" {
		return s, nil
	}
	return v.expanded(s, set, p.wildcard, r)
}

// expanded judges an RRset that was expanded from a wildcard: it counts only
// where nothing closer to the name exists (RFC 4035 §5.3.4).
func (v *validation) expanded(s step, set *rrset, wildcard string, r *reply) (step, error) {
	d, err := v.denial(r, s.zone)
	if err != nil {
		return step{}, err
	}
	a, why, limit := d.noCloser(set.name, wildcard)
	switch {
	case limit != nil:
		return step{}, limit
	case a == unproven:
		return step{}, at(bogus("%s was expanded from the wildcard %s without proof that the name itself does not exist: %s", set, wildcard, why), s.zone)
	case a == optedOut:
		s.status = Insecure
		s.why = why
	default:
		s.why += ", from the wildcard " + wildcard
	}
	s.valid, s.ttl = s.valid.And(d.proof.Validity), min(s.ttl, d.proof.ttl)
	return s, nil
}

// negative judges a reply that has nothing at the name asked for.
func (v *validation) negative(q question, r *reply) (step, error) {
	s, err := v.deniedBy(q, r)
	if err == nil {
		return s, nil
	}
	s, err = v.unlessInsecure(q.name, q.qtype, "the answer that "+q.String()+" does not exist", err)
	s.rcode = r.rcode
	return s, err
}

func (v *validation) deniedBy(q question, r *reply) (step, error) {
	return v.firstGood(v.signersOf(denialSigs(r), q.name, q.qtype), func(signer string) (step, error) {
		return v.deniedByZone(signer, q, r)
	})
}

func (v *validation) deniedByZone(signer string, q question, r *reply) (step, error) {
	z, err := v.signer(signer)
	switch {
	case err != nil:
		return step{}, err
	case z == nil:
		return step{}, v.notZone("the denial of "+q.String(), signer)
	case !z.secure():
		s := insecureStep(z, 0)
		s.rcode = r.rcode
		return s, nil
	}
	d, err := v.denial(r, z)
	if err != nil {
		return step{}, err
	}
	if f := v.spoiled(r, z); f != nil {
		return step{}, f
	}
	a, rcode, why, limit := d.denies(q, r.rcode)
	if limit != nil {
		return step{}, limit
	}
	if a == denied && d.disowns(q.name) {
		rcode = dns.RcodeNameError
	}
	s := step{status: Secure, zone: z, valid: d.proof.Validity, ttl: d.proof.ttl, rcode: rcode}
	switch a {
	case unproven:
		return step{}, at(bogus("%s does not prove its answer that %s does not exist: %s", z.name, q, why), z)
	case optedOut:
		s.status, s.why = Insecure, why
	default:
		s.why = fmt.Sprintf("%s proves that there is no %s, valid until %s", z.name, q, clock(s.valid.Expiry))
	}
	return s, nil
}

// spoiled: the SOA that comes with a denial is part of the answer (RFC 2308 §3)
// and must hold too, though no proof rests on it.
func (v *validation) spoiled(r *reply, z *zone) *fault {
	for _, set := range r.authority {
		if set.rrtype != dns.TypeSOA || set.name != z.name {
			continue
		}
		if _, f := v.authenticate(set, z.keys, z.name); f != nil {
			return at(f, z)
		}
	}
	return nil
}

// denies tries the proof that goes with the response code first, then the
// other: the code itself is not signed, and what is proven counts.
func (d *denial) denies(q question, rcode int) (absence, int, string, *fault) {
	nameError := func() (absence, string, *fault) { return d.nameError(q.name) }
	nodata := func() (absence, string, *fault) { return d.nodata(q.name, q.qtype) }
	first, second, other := nodata, nameError, dns.RcodeNameError
	if rcode == dns.RcodeNameError {
		first, second, other = nameError, nodata, dns.RcodeSuccess
	}
	a, why, limit := first()
	if a != unproven || limit != nil {
		return a, rcode, why, limit
	}
	if a, whyOther, limit := second(); a != unproven || limit != nil {
		if a == optedOut {
			other = rcode // nothing is proven: what was said stands
		}
		return a, other, whyOther, limit
	}
	return unproven, rcode, why, nil
}

// unlessInsecure is the last word on data that no signature proves: where the
// walk down from the anchor finds an insecure zone above it, it is insecure;
// else it is bogus, as err says, or because what has no signature at all.
func (v *validation) unlessInsecure(name string, rrtype uint16, what string, err error) (step, error) {
	if isBogus(err) == nil && err != errUnsigned {
		return step{}, err
	}
	if rrtype == dns.TypeDS {
		name = parentOf(name)
	}
	z, walked := v.apex(name)
	switch f := isBogus(walked); {
	case walked != nil && f == nil:
		return step{}, walked
	case f != nil && err == errUnsigned:
		why := fmt.Sprintf("%s carries no signature, and nothing proves that it needs none: %s", what, f.why)
		return step{}, &fault{status: Bogus, why: why, above: f.above, failed: f.failed}
	case walked == nil && !z.secure():
		return insecureStep(z, 0), nil
	case err == errUnsigned:
		return step{}, v.unsigned(z, what)
	}
	return step{}, err
}

func insecureStep(z *zone, ttl time.Duration) step {
	return step{status: Insecure, why: insecureWhy(z), zone: z, ttl: ttl}
}

func insecureWhy(z *zone) string {
	if z.parent == nil {
		return z.link.Why
	}
	return fmt.Sprintf("the zone %s is insecure: %s", z.name, z.link.Why)
}

// notZone is the fault of a signature by a name that is no zone.
func (v *validation) notZone(what, signer string) error {
	f := bogus("%s is signed by %s, which the zone above it proves to be no zone", what, signer)
	if z, err := v.apex(signer); err == nil {
		f.above = z
	}
	return f
}

// at notes the zone in which f happened.
func at(f *fault, z *zone) *fault {
	if f.above == nil {
		f.above = z
	}
	return f
}
