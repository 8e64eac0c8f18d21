package dnssec

import (
	"slices"

	"github.com/miekg/dns"
)

// denial is what a reply contains to prove that names or types of one zone do not
// exist: its authentic NSEC and NSEC3 records. A zone that changes the method, or that
// several operators sign, may send records of several chains (RFC 8901 §5.2). Each
// proof is made with the records of one chain, and one proof is enough.
type denial struct {
	zone   string
	chains []*chain // cheapest first
	signed bool     // some records came with signatures, valid or not
	why    string   // why a record was rejected, if any was
	// unchecked is the fault of a record whose signature costs too much. It may be valid,
	// so what the other records do not prove is not bogus.
	unchecked *fault
}

func (d *denial) empty() bool { return len(d.chains) == 0 }

// maxChains is the number of chains of a denial that are tried.
const maxChains = 4

// chain is the NSEC records of a denial, or the NSEC3 records with the same
// parameters.
type chain struct {
	prover
	proof proof // the validity and TTL that all records share
}

// prover proves what does not exist. The methods fail if a limit is exceeded.
type prover interface {
	// nodata proves that the name exists and has no records of qtype (RFC 4035 §5.4,
	// RFC 5155 §8.5 to 8.7).
	nodata(name string, qtype uint16) (denialResult, error)
	// nameError proves that neither the name nor a wildcard for it exists (RFC 4035
	// §5.4, RFC 5155 §8.4).
	nameError(name string) (denialResult, error)
	// noCloserMatch proves that nothing exists between name and the wildcard that it
	// was expanded from (RFC 4035 §5.3.4, RFC 5155 §8.8).
	noCloserMatch(name, wildcard string) (denialResult, error)
	// delegation judges the zone cut at name by the denial of its DS (RFC 4035 §5.2,
	// RFC 5155 §8.9).
	delegation(name string) (cutResult, error)
}

// absence is how far it is proven that something does not exist.
type absence uint8

const (
	unproven absence = iota
	optedOut         // it may exist in an unsigned delegation, so its absence is insecure (RFC 5155 §9.2)
	denied           // it does not exist
)

// denialResult is the absence of a name or type, and the reason unless denied.
type denialResult struct {
	absence absence
	why     string
}

// provenDenial is a denialResult, the chain that proves it, and the response code
// that is proven. There is no chain if the absence is unproven.
type provenDenial struct {
	denialResult
	chain *chain
	rcode int
}

// cut is what a parent proves about a zone cut at a name without DS.
type cut uint8

const (
	unprovenCut  cut = iota
	presumedCut      // there may be a delegation without DS: opt-out, or too many iterations
	insecureCut      // a delegation without DS
	noCut            // the name is no delegation
	nothingBelow     // nothing exists at the name or below it
)

// cutResult is the verdict on a cut. It has a reason for unprovenCut,
// presumedCut and insecureCut.
type cutResult struct {
	cut cut
	why string
}

// provenCut is a cutResult and the chain that proves it, if any does.
type provenCut struct {
	cutResult
	chain *chain
}

// denialSigs returns the signatures over the denial in a reply.
func denialSigs(r *reply) []*dns.RRSIG {
	var sigs []*dns.RRSIG
	for _, set := range r.authority {
		switch set.rrtype {
		case dns.TypeNSEC, dns.TypeNSEC3, dns.TypeSOA:
			sigs = append(sigs, set.sigs...)
		}
	}
	return sigs
}

// denial verifies the NSEC and NSEC3 records of a reply that z signed. It fails
// only if a limit of the lookup is exceeded.
func (v *validation) denial(r *reply, z *zone) (*denial, error) {
	d := &denial{zone: z.name}
	for _, set := range r.authority {
		if set.rrtype != dns.TypeNSEC && set.rrtype != dns.TypeNSEC3 || !within(set.name, z.name) {
			continue
		}
		d.signed = d.signed || len(set.sigs) > 0
		p, err := v.authenticate(set, z.keys, z.name)
		if err == nil && p.wildcard != "" {
			err = bogus("%s was expanded from the wildcard %s", set, p.wildcard) // its owner is not the name that was signed
		}
		if err != nil {
			if f, isBogus := asBogus(err); isBogus {
				d.why = f.why
			} else if f, isUnchecked := asUnchecked(err); isUnchecked {
				d.unchecked = f
			} else {
				return nil, err
			}
			continue
		}
		if set.rrtype == dns.TypeNSEC {
			d.addNSEC(set, p)
		} else {
			d.addNSEC3(set, p, v)
		}
	}
	slices.SortStableFunc(d.chains, func(a, b *chain) int { return a.cost() - b.cost() })
	d.chains = d.chains[:min(len(d.chains), maxChains)]
	return d, nil
}

// cost returns the number of hashes for one name, and −1 for NSEC.
func (c *chain) cost() int {
	if s, ok := c.prover.(*nsec3Set); ok {
		return int(s.iterations)
	}
	return -1
}

// unproven returns the fault of a denial that does not prove what it should. The
// fault is bogus unless some of the records could not be checked.
func (d *denial) unproven(format string, args ...any) *fault {
	if d.unchecked != nil {
		own := *d.unchecked
		return &own
	}
	return bogus(format, args...)
}

// add adds the proof of one more record to the chain.
func (c *chain) add(p proof) {
	if c.proof.key == nil {
		c.proof = p
		return
	}
	c.proof.validity = c.proof.validity.And(p.validity)
	c.proof.ttl = min(c.proof.ttl, p.ttl)
}

// best makes a proof with each chain and returns the best result, with the chain that
// gave it.
func (d *denial) best(prove func(prover) (denialResult, error)) (best provenDenial, err error) {
	best.why = d.reason("")
	for i, c := range d.chains {
		result, err := prove(c)
		if err != nil {
			return provenDenial{}, err
		}
		switch {
		case result.absence > best.absence:
			best = provenDenial{denialResult: result, chain: c}
		case i == 0:
			best.why = d.reason(result.why)
		}
		if best.absence == denied {
			break
		}
	}
	return best, nil
}

// deny proves that q has no records. It tries the proof that belongs to the
// response code first, then the other one: the code is not signed, and the proof
// decides.
func (d *denial) deny(q question, rcode int) (provenDenial, error) {
	nxdomain := rcode == dns.RcodeNameError
	first, err := d.denyAs(q, nxdomain)
	first.rcode = rcode
	if err != nil || first.absence == denied {
		return first, err
	}
	other, err := d.denyAs(q, !nxdomain)
	switch {
	case err != nil:
		return provenDenial{}, err
	case other.absence <= first.absence:
		return first, nil
	case other.absence == optedOut:
		other.rcode = rcode // nothing is proven, so the code of the response stands
	case nxdomain:
		other.rcode = dns.RcodeSuccess
	default:
		other.rcode = dns.RcodeNameError
	}
	return other, nil
}

// denyAs proves that the name of q does not exist, or else that it has no
// records of the type.
func (d *denial) denyAs(q question, nxdomain bool) (provenDenial, error) {
	return d.best(func(p prover) (denialResult, error) {
		if nxdomain {
			return p.nameError(q.name)
		}
		return p.nodata(q.name, q.qtype)
	})
}

// noCloserMatch proves that nothing exists between name and a wildcard.
func (d *denial) noCloserMatch(name, wildcard string) (provenDenial, error) {
	return d.best(func(p prover) (denialResult, error) { return p.noCloserMatch(name, wildcard) })
}

// delegation judges the zone cut at name by the denial of its DS.
func (d *denial) delegation(name string) (best provenCut, err error) {
	best.why = d.reason("")
	for i, c := range d.chains {
		result, err := c.delegation(name)
		if err != nil {
			return provenCut{}, err
		}
		switch {
		case result.cut > best.cut:
			best = provenCut{result, c}
		case i == 0:
			best.why = d.reason(result.why)
		}
		if best.cut > presumedCut {
			break
		}
	}
	return best, nil
}

// isNXNAME reports whether an NSEC record at the name itself has the type
// NXNAME. A server that signs online denies a name with such a record (RFC 9824).
func (c *chain) isNXNAME(name string) bool {
	s, ok := c.prover.(*nsecSet)
	if !ok {
		return false
	}
	n := s.matching(name)
	return n != nil && n.types.has(dns.TypeNXNAME)
}

// reason returns why a proof fails. A rejected record comes before what the others
// lack.
func (d *denial) reason(lack string) string {
	switch {
	case d.why != "":
		return d.why
	case d.empty():
		return "the answer has no NSEC or NSEC3 records"
	}
	return lack
}
