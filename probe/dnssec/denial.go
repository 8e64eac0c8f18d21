package dnssec

import "github.com/miekg/dns"

// denial is the proof of one zone that names or types do not exist: the
// authentic NSEC or NSEC3 records of a reply.
type denial struct {
	zone   string
	nsec   nsecSet
	nsec3  *nsec3Set // nil: no NSEC3 records
	proof  proof     // the validity and TTL that all records share
	signed bool      // some records came with signatures, valid or not
	why    string    // why a record was rejected, if any was
}

func (d *denial) empty() bool { return len(d.nsec) == 0 && d.nsec3 == nil }

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
// only if a limit is exceeded.
func (v *validation) denial(r *reply, z *zone) (*denial, error) {
	d := &denial{zone: z.name}
	first := true
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
			f, isBogus := asBogus(err)
			if !isBogus {
				return nil, err
			}
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
			d.proof.validity = d.proof.validity.And(p.validity)
			d.proof.ttl = min(d.proof.ttl, p.ttl)
		}
	}
	return d, nil
}

// deny proves that q has no records. It tries the proof that belongs to the
// response code first, then the other one: the code is not signed, and the proof
// decides. It returns the proven response code.
func (d *denial) deny(q question, rcode int) (denialResult, int, error) {
	nxdomain := rcode == dns.RcodeNameError
	first, err := d.denyAs(q, nxdomain)
	if err != nil || first.absence != unproven {
		return first, rcode, err
	}
	other, err := d.denyAs(q, !nxdomain)
	switch {
	case err != nil:
		return denialResult{}, 0, err
	case other.absence == unproven:
		return first, rcode, nil
	case other.absence == optedOut:
		return other, rcode, nil // nothing is proven, so the code of the response stands
	case nxdomain:
		return other, dns.RcodeSuccess, nil
	}
	return other, dns.RcodeNameError, nil
}

// denyAs proves that the name of q does not exist, or else that it has no
// records of the type.
func (d *denial) denyAs(q question, nxdomain bool) (denialResult, error) {
	if nxdomain {
		return d.nameError(q.name)
	}
	return d.nodata(q.name, q.qtype)
}

// nodata proves that the name exists and has no records of qtype (RFC 4035 §5.4,
// RFC 5155 §8.5 to 8.7).
func (d *denial) nodata(name string, qtype uint16) (denialResult, error) {
	if d.nsec3 != nil {
		return d.nsec3.nodata(name, qtype)
	}
	return d.explain(d.nsec.nodata(name, qtype)), nil
}

// nameError proves that neither the name nor a wildcard for it exists (RFC 4035
// §5.4, RFC 5155 §8.4).
func (d *denial) nameError(name string) (denialResult, error) {
	if d.nsec3 != nil {
		return d.nsec3.nameError(name)
	}
	return d.explain(d.nsec.nameError(name)), nil
}

// noCloserMatch proves that nothing exists between name and the wildcard that it
// was expanded from (RFC 4035 §5.3.4, RFC 5155 §8.8).
func (d *denial) noCloserMatch(name, wildcard string) (denialResult, error) {
	if d.nsec3 != nil {
		return d.nsec3.noCloserMatch(name, wildcard)
	}
	return d.explain(d.nsec.noCloserMatch(name, wildcard)), nil
}

// delegation judges the zone cut at name by the denial of its DS (RFC 4035 §5.2,
// RFC 5155 §8.9).
func (d *denial) delegation(name string) (cutResult, error) {
	if d.nsec3 != nil {
		return d.nsec3.delegation(name)
	}
	result := d.nsec.delegation(name)
	result.why = d.reason(result.why)
	return result, nil
}

// isNXNAME reports whether an NSEC record at the name itself has the type
// NXNAME. A server that signs online denies a name with such a record (RFC 9824).
func (d *denial) isNXNAME(name string) bool {
	n := d.nsec.matching(name)
	return n != nil && n.types.has(dns.TypeNXNAME)
}

func (d *denial) explain(result denialResult) denialResult {
	result.why = d.reason(result.why)
	return result
}

// reason returns why a proof with NSEC records fails. A rejected record comes
// before what the others lack.
func (d *denial) reason(lack string) string {
	switch {
	case d.why != "":
		return d.why
	case d.empty():
		return "the answer has no NSEC or NSEC3 records"
	}
	return lack
}
