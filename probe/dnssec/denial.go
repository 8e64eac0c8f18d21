package dnssec

import "github.com/miekg/dns"

// denial is what one zone proves about names and types that do not exist: the
// NSEC or NSEC3 records of a reply that the zone's keys signed.
type denial struct {
	zone  string
	nsec  []*nsecRecord
	nsec3 *nsec3Set
	proof proof  // the time and TTL that all of them share
	tried bool   // some came with signatures, good or not
	why   string // why a record was left out
}

func (d *denial) empty() bool { return len(d.nsec) == 0 && d.nsec3 == nil }

// absence is how well something is proven not to exist.
type absence uint8

const (
	unproven absence = iota
	optedOut         // it may exist in an unsigned part, which is as good as insecure (RFC 5155 §9.2)
	denied           // it does not exist
)

// cut is what a parent says about a zone cut at a name without DS.
type cut uint8

const (
	unprovenCut  cut = iota
	insecureCut      // a delegation without DS, or one that opt-out may hide
	noCut            // the name is no delegation
	nothingBelow     // the name does not exist, nor anything below it
)

// denialSigs gathers the signatures over the denial in a reply.
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

// denial verifies the NSEC and NSEC3 records of a reply that z signed.
func (v *validation) denial(r *reply, z *zone) (*denial, error) {
	d := &denial{zone: z.name}
	first := true
	for _, set := range r.authority {
		if set.rrtype != dns.TypeNSEC && set.rrtype != dns.TypeNSEC3 || !within(set.name, z.name) {
			continue
		}
		d.tried = d.tried || len(set.sigs) > 0
		p, f := v.authenticate(set, z.keys, z.name)
		if f != nil && f.status != Bogus {
			return nil, f
		}
		if f == nil && p.wildcard != "" {
			f = bogus("%s was expanded from the wildcard %s", set, p.wildcard) // its owner is not the name that was signed
		}
		if f != nil {
			d.why = f.why
			continue
		}
		if set.rrtype == dns.TypeNSEC {
			d.addNSEC(set)
		} else {
			d.addNSEC3(set, v)
		}
		if first {
			d.proof, first = p, false
		} else {
			d.proof.Validity = d.proof.And(p.Validity)
			d.proof.ttl = min(d.proof.ttl, p.ttl)
		}
	}
	return d, nil
}

// explain says why a proof fails: an invalid record first, else what it lacks.
func (d *denial) explain(lacks string) string {
	switch {
	case d.why != "":
		return d.why
	case d.empty():
		return "it sent no NSEC or NSEC3 records"
	}
	return lacks
}

// nodata: the name exists, without records of qtype (RFC 4035 §5.4, RFC 5155 §8.5 to 8.7).
func (d *denial) nodata(name string, qtype uint16) (absence, string, *fault) {
	if d.nsec3 != nil {
		return d.nsec3.nodata(name, qtype)
	}
	a, why := nsecNodata(d.nsec, name, qtype)
	return a, d.explain(why), nil
}

// nameError: neither the name nor a wildcard for it exists (RFC 4035 §5.4, RFC 5155 §8.4).
func (d *denial) nameError(name string) (absence, string, *fault) {
	if d.nsec3 != nil {
		return d.nsec3.nameError(name)
	}
	a, why := nsecNameError(d.nsec, name)
	return a, d.explain(why), nil
}

// noCloser: nothing exists between name and wildcard, which it was expanded
// from (RFC 4035 §5.3.4, RFC 5155 §8.8).
func (d *denial) noCloser(name, wildcard string) (absence, string, *fault) {
	if d.nsec3 != nil {
		return d.nsec3.noCloser(name, wildcard)
	}
	a, why := nsecNoCloser(d.nsec, name, wildcard)
	return a, d.explain(why), nil
}

// disowns reports whether a record at the name itself says that the name does
// not exist, as servers do that sign while they answer (RFC 9824, NXNAME).
func (d *denial) disowns(name string) bool {
	n := nsecMatching(d.nsec, name)
	return n != nil && n.types.has(dns.TypeNXNAME)
}

// delegation: what the denial of a DS at name says of a zone cut there
// (RFC 4035 §5.2, RFC 5155 §8.9).
func (d *denial) delegation(name string) (cut, string, *fault) {
	if d.nsec3 != nil {
		return d.nsec3.delegation(name)
	}
	c, why := nsecDelegation(d.nsec, name)
	return c, d.explain(why), nil
}
