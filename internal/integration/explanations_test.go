//go:build integration

package integration

import (
	"slices"
	"strings"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
)

// An explanation is a class of disagreements in which Unbound and we differ on
// purpose. A disagreement belongs to the class only if an experiment confirms it:
// without the change that one side objects to, both agree on a verdict that one of
// them had before. Where no experiment is possible, applies must be narrow.
type explanation struct {
	class   string // what Unbound and we do, and the RFC
	applies func(disagreement) bool
	// revert undoes the change; original is the response before all changes.
	revert func(d disagreement, q question, response, original *dns.Msg)
	// question returns the question of the experiment; nil means the same question.
	question func(disagreement) question
}

// explanations returns the known classes of disagreements; the first that applies wins.
func explanations() []explanation {
	return []explanation{
		{
			class: "Unbound requires every record of a response to validate; we require those that the verdict depends on. " +
				"RFC 4035 §5.3.3: if several signatures cover an RRset, local policy decides whether one is enough; §5.4: in a denial, the NSEC records that prove it count",
			applies: func(d disagreement) bool { return !d.ours.Status.Failed() && statusOf(d.reference).Failed() },
			revert:  keepAuthentic,
		},
		{
			class: "Unbound requires the signature of signed data to validate; for us the data are insecure, because opt-out may hide an unsigned delegation of the name. " +
				"RFC 4035 §5.2: data below a delegation that is proven to have no DS is insecure; RFC 5155 §6: an opt-out span may hide such delegations",
			applies: func(d disagreement) bool { return d.ours.Status == dnssec.Insecure && statusOf(d.reference).Failed() },
			revert: func(d disagreement, q question, response, original *dns.Msg) {
				if q != d.question {
					keepAuthentic(d, q, response, original)
					return
				}
				response.Rcode = original.Rcode
				response.Answer, response.Ns = withoutSignatures(response.Answer), withoutSignatures(response.Ns)
			},
		},
		{
			class: "Unbound accepts an answer in the authority section; we do not. RFC 1035 §4.1: answers are in the answer section",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && d.mutatedBy(moveAnswer)
			},
			revert: func(_ disagreement, _ question, response, original *dns.Msg) {
				if len(response.Answer) == 0 {
					answers := func(r dns.RR) bool {
						return slices.ContainsFunc(original.Answer, func(a dns.RR) bool { return sameRRset(a, r) })
					}
					response.Answer = slices.DeleteFunc(slices.Clone(response.Ns), func(r dns.RR) bool { return !answers(r) })
					response.Ns = slices.DeleteFunc(response.Ns, answers)
				}
			},
		},
		{
			class: "Unbound accepts DNSKEY, DS and NSEC records that were expanded from a wildcard; we do not. " +
				"RFC 4035 §5.3.4: an expanded RRset is valid only if the name itself does not exist, and these records imply that it exists",
			applies: func(d disagreement) bool { return d.ours.Status.Failed() && d.servedAny(isForbiddenExpansion) },
			revert: func(_ disagreement, _ question, response, original *dns.Msg) {
				if slices.ContainsFunc(slices.Concat(response.Answer, response.Ns), isForbiddenExpansion) {
					response.Answer, response.Ns = original.Answer, original.Ns
				}
			},
		},
		{
			class: "a DS matches a revoked key: Unbound uses the key; we do not. " +
				"RFC 5011 §2.1: a revoked key serves only to validate its own revocation",
			applies: func(d disagreement) bool { return d.ours.Status.Failed() && d.servedAny(isRevoked) },
			revert: func(_ disagreement, _ question, response, original *dns.Msg) {
				if covered := response.Question[0].Qtype; covered == dns.TypeDS || covered == dns.TypeDNSKEY {
					response.Answer = original.Answer
				}
			},
		},
		{
			class: "a response has the code YXDOMAIN: Unbound passes it on without validation; we require proof of the records. " +
				"RFC 6672 §2.2: the code is the result of a DNAME, so there is a DNAME to validate",
			applies: func(d disagreement) bool { return d.ours.Status.Failed() && d.reference.Rcode == dns.RcodeYXDomain },
			revert: func(_ disagreement, _ question, response, original *dns.Msg) {
				if response.Rcode == dns.RcodeYXDomain {
					response.Rcode = original.Rcode
				}
			},
		},
		{
			class: "a name has two CNAME records: Unbound drops all but the first, which then validates. RFC 2181 §10.1: a name has one CNAME; RFC 4035 §5.3.2: the signature covers the whole RRset",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && (d.mutatedBy(addRecord) || d.mutatedBy(changeRecord)) && d.answerHas(dns.TypeCNAME)
			},
			revert: func(_ disagreement, _ question, response, original *dns.Msg) {
				response.Answer = slices.DeleteFunc(response.Answer, func(r dns.RR) bool { return r.Header().Rrtype == dns.TypeCNAME && !hasRecord(original.Answer, r) })
			},
		},
		{
			class: "the response code contradicts the records: Unbound and we differ in which of the two counts. " +
				"RFC 4035 §5: records are authenticated by signatures; the code is not signed",
			applies: func(d disagreement) bool { return !d.ours.Status.Failed() },
			revert:  func(_ disagreement, _ question, response, original *dns.Msg) { response.Rcode = original.Rcode },
		},
		{
			class: "a zone signs a DS of a zone two or more cuts below: Unbound validates from zone to zone; we accept the signer, " +
				"which has authority over all names below it, as both do for other records. RFC 4035 §5.3.1 demands the zone that contains the RRset",
			applies: func(d disagreement) bool {
				return !d.ours.Status.Failed() && statusOf(d.reference).Failed() &&
					(d.mutatedBy(signWithParentOrChild) || d.mutatedBy(signWithOtherZone) || d.mutatedBy(changeSigner))
			},
			revert: func(_ disagreement, q question, response, original *dns.Msg) {
				if q.qtype == dns.TypeDS {
					response.Answer = original.Answer
				}
			},
		},
		{
			class: "an ancestor zone signs an NSEC or NSEC3 record: Unbound accepts it; we do not. " +
				"RFC 4035 §5.3.1: the signer is the zone that contains the RRset; RFC 5155 §3: the owner name ends with the name of the zone",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && !statusOf(d.reference).Failed() &&
					(d.mutatedBy(signWithParentOrChild) || d.mutatedBy(signWithOtherZone) || d.mutatedBy(changeSigner))
			},
			revert: func(_ disagreement, _ question, response, original *dns.Msg) { response.Ns = original.Ns },
		},
		{
			class: "an alias is insecure and its target is bogus: Unbound does not validate beyond the alias. " +
				"RFC 4035 §4.3: an RRset that should validate and does not is bogus",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && statusOf(d.reference) == dnssec.Insecure &&
					slices.ContainsFunc(d.ours.Aliases, func(a dnssec.Alias) bool { return a.Status == dnssec.Insecure })
			},
			revert:   func(disagreement, question, *dns.Msg, *dns.Msg) {},
			question: func(d disagreement) question { return question{d.ours.Canonical, d.question.qtype} },
		},
		{
			class: "an NSEC record lists NXNAME, which Unbound 1.17 does not support. RFC 9824 §3.1: the name does not exist",
			applies: func(d disagreement) bool {
				return d.ours.Status == statusOf(d.reference) && d.ours.Rcode == dns.RcodeNameError && d.reference.Rcode == dns.RcodeSuccess && d.mutatedBy(changeBitmap)
			},
		},
		{
			class: "the next name of an NSEC record is outside its zone, so the record proves nothing for us. RFC 4034 §4.1.1: the next owner name is in the zone",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && d.mutatedBy(changeNext)
			},
			revert: func(_ disagreement, _ question, response, original *dns.Msg) { keepOriginalNSEC(response, original) },
		},
		{
			class: "NSEC3 records have different parameters, and one has too many iterations: for Unbound the zone is insecure. " +
				"RFC 5155 §8.2: a validator may treat such a response as bogus",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && statusOf(d.reference) == dnssec.Insecure && d.mutatedBy(changeIterations)
			},
			revert: func(_ disagreement, _ question, response, _ *dns.Msg) {
				if mixedNSEC3Parameters(response.Ns) {
					response.Ns = slices.DeleteFunc(response.Ns, func(r dns.RR) bool { n, ok := r.(*dns.NSEC3); return ok && n.Iterations > nsec3Limit })
				}
			},
		},
		{
			class: "NSEC3 records have different parameters, and Unbound uses them all. RFC 5155 §8.2: a validator may treat such a response as bogus",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && !statusOf(d.reference).Failed() && (d.mutatedBy(changeIterations) || d.mutatedBy(changeSalt))
			},
			revert: func(_ disagreement, _ question, response, original *dns.Msg) {
				if mixedNSEC3Parameters(response.Ns) {
					response.Ns = original.Ns
				}
			},
		},
		{
			class: "an NSEC record lists both NS and CNAME: it proves nothing for us, and a delegation for Unbound. " +
				"RFC 6840 §4.3: if the CNAME bit is set, the absence of another type is not proven",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && !statusOf(d.reference).Failed() && d.mutatedBy(changeBitmap) && d.servedAny(hasNSAndCNAME)
			},
			revert: func(_ disagreement, _ question, response, original *dns.Msg) {
				if slices.ContainsFunc(response.Ns, hasNSAndCNAME) {
					response.Ns = original.Ns
				}
			},
		},
		{
			class: "the NSEC3 record of the closest encloser lists a DNAME: it proves nothing for us, and Unbound checks its opt-out flag first. " +
				"RFC 5155 §8.3: the closest encloser has no DNAME",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && statusOf(d.reference) == dnssec.Insecure && d.mutatedBy(changeBitmap) && d.servedAny(isApexWithDNAME)
			},
			revert: func(_ disagreement, _ question, response, original *dns.Msg) {
				if slices.ContainsFunc(response.Ns, isApexWithDNAME) {
					response.Ns = original.Ns
				}
			},
		},
		{
			class: "of two DS records the one with SHA-1 is right and the one with SHA-256 is wrong: Unbound uses the first; we do not. " +
				"RFC 4509 §3: a DS with SHA-1 is ignored if there is one with SHA-256",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && !statusOf(d.reference).Failed() && strings.Contains(d.ours.Why, "matches the DS set") && d.servedAny(isSHA1DS)
			},
		},
		{
			class:   "a response has records of another class, and Unbound passes them on. RFC 1035 §4.1.2: a question is for one class",
			applies: func(d disagreement) bool { return d.mutatedBy(changeClass) },
			revert: func(_ disagreement, _ question, response, _ *dns.Msg) {
				response.Answer = slices.DeleteFunc(response.Answer, func(r dns.RR) bool { return r.Header().Class != dns.ClassINET })
			},
		},
		{
			class: "Unbound queries the target of an alias again, although the response has it, and gets a worse response. " +
				"RFC 1034 §4.3.2: a response has the alias and the records of its target",
			applies: func(d disagreement) bool {
				return !d.ours.Status.Failed() && statusOf(d.reference).Failed() && len(d.ours.Aliases) > 0
			},
			revert: func(d disagreement, q question, response, original *dns.Msg) {
				if q != d.question && slices.ContainsFunc(d.ours.Aliases, func(a dnssec.Alias) bool { return a.To == q.name }) {
					response.Rcode, response.Answer, response.Ns = original.Rcode, original.Answer, original.Ns
				}
			},
		},
		{
			class: "a proof is missing in its own response, and Unbound has it in its cache from the response to the question. " +
				"RFC 8198 §5: a resolver may use cached NSEC and NSEC3 records; we use those of the response that must have them",
			applies: func(d disagreement) bool { return d.ours.Status.Failed() && !statusOf(d.reference).Failed() },
			revert: func(d disagreement, q question, response, original *dns.Msg) {
				if q == d.question {
					return
				}
				for _, r := range original.Ns {
					if !hasRecord(response.Ns, r) && d.servedAuthority(r) {
						response.Ns = append(response.Ns, r)
					}
				}
			},
		},
		{
			class: "the proof for an alias is in the response about its target, and Unbound combines the two. " +
				"RFC 4035 §3.1.3.3: the proof that a wildcard applies is part of the response",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && !statusOf(d.reference).Failed() && slices.ContainsFunc(d.reference.Ns, func(r dns.RR) bool { return !d.servedAuthority(r) })
			},
			revert: func(d disagreement, q question, response, original *dns.Msg) {
				if q == d.question {
					response.Ns = original.Ns
				}
			},
		},
	}
}

// mixedNSEC3Parameters reports whether the NSEC3 records of a section have
// different parameters.
func mixedNSEC3Parameters(section []dns.RR) bool {
	type parameters struct {
		salt       string
		iterations uint16
	}
	seen := make(map[parameters]bool)
	for _, r := range section {
		if n, ok := r.(*dns.NSEC3); ok {
			seen[parameters{n.Salt, n.Iterations}] = true
		}
	}
	return len(seen) > 1
}

// keepAuthentic removes all records from a response that the original does not
// have, and RRsets without valid signatures. It restores the original SOA.
func keepAuthentic(_ disagreement, _ question, response, original *dns.Msg) {
	response.Answer = authentic(response.Answer, original.Answer)
	response.Ns = authentic(response.Ns, original.Ns)
	soa := func(r dns.RR) bool { return covered(r) == dns.TypeSOA }
	response.Ns = slices.DeleteFunc(response.Ns, soa)
	for _, record := range original.Ns {
		if soa(record) {
			response.Ns = append(response.Ns, record)
		}
	}
}

// keepOriginalNSEC restores the authority section if one of its NSEC records is changed.
func keepOriginalNSEC(response, original *dns.Msg) {
	for _, record := range response.Ns {
		if n, ok := record.(*dns.NSEC); ok && !hasRecord(original.Ns, n) {
			response.Ns = slices.Clone(original.Ns)
			return
		}
	}
}

// authentic returns the distinct records of a section that original has too, without
// RRsets that lost all their signatures.
func authentic(section, original []dns.RR) []dns.RR {
	var rest []dns.RR
	for _, r := range section {
		if hasRecord(original, r) && !hasRecord(rest, r) {
			rest = append(rest, r)
		}
	}
	signed := func(section []dns.RR, r dns.RR) bool {
		return slices.ContainsFunc(section, func(s dns.RR) bool { return s.Header().Rrtype == dns.TypeRRSIG && sameRRset(s, r) })
	}
	return slices.DeleteFunc(slices.Clone(rest), func(r dns.RR) bool { return signed(original, r) && !signed(rest, r) })
}

// sameRRset reports whether two records belong to the same RRset or its signatures.
func sameRRset(a, b dns.RR) bool {
	return covered(a) == covered(b) && dns.CanonicalName(a.Header().Name) == dns.CanonicalName(b.Header().Name)
}

// isForbiddenExpansion reports whether a record is the signature of an RRset that
// was expanded from a wildcard, although its type cannot be.
func isForbiddenExpansion(record dns.RR) bool {
	sig, ok := record.(*dns.RRSIG)
	return ok && slices.Contains([]uint16{dns.TypeDNSKEY, dns.TypeDS, dns.TypeNSEC, dns.TypeNSEC3}, sig.TypeCovered) &&
		signedOwner(sig.Hdr.Name, sig.Labels) != dns.CanonicalName(sig.Hdr.Name)
}

// hasNSAndCNAME reports whether the bitmap of an NSEC or NSEC3 record has both types.
func hasNSAndCNAME(record dns.RR) bool {
	var bitmap []uint16
	switch n := record.(type) {
	case *dns.NSEC:
		bitmap = n.TypeBitMap
	case *dns.NSEC3:
		bitmap = n.TypeBitMap
	}
	return slices.Contains(bitmap, dns.TypeNS) && slices.Contains(bitmap, dns.TypeCNAME)
}

// isApexWithDNAME reports whether a record is the NSEC3 of a zone apex with a DNAME.
func isApexWithDNAME(record dns.RR) bool {
	n, ok := record.(*dns.NSEC3)
	return ok && slices.Contains(n.TypeBitMap, dns.TypeSOA) && slices.Contains(n.TypeBitMap, dns.TypeDNAME)
}

// isSHA1DS reports whether a record is a DS with a SHA-1 digest.
func isSHA1DS(record dns.RR) bool {
	ds, ok := record.(*dns.DS)
	return ok && ds.DigestType == dns.SHA1
}

// isRevoked reports whether a record is a revoked DNSKEY.
func isRevoked(record dns.RR) bool {
	key, ok := record.(*dns.DNSKEY)
	return ok && key.Flags&dns.REVOKE != 0
}

// withoutSignatures returns a section without its RRSIG records.
func withoutSignatures(section []dns.RR) []dns.RR {
	return slices.DeleteFunc(slices.Clone(section), func(r dns.RR) bool { return r.Header().Rrtype == dns.TypeRRSIG })
}

// hasRecord reports whether a section has a record, whatever its TTL.
func hasRecord(section []dns.RR, record dns.RR) bool {
	return slices.ContainsFunc(section, func(r dns.RR) bool { return dns.IsDuplicate(r, record) })
}

// mutatedBy reports whether the trial uses a mutation.
func (d disagreement) mutatedBy(mutation string) bool {
	return slices.ContainsFunc(d.trial.changes, func(c change) bool { return c.mutation == mutation })
}

// servedAny reports whether a response of the trial had a record that matches.
func (d disagreement) servedAny(matches func(dns.RR) bool) bool {
	d.trial.mu.Lock()
	defer d.trial.mu.Unlock()
	for _, response := range d.trial.answers {
		if slices.ContainsFunc(response.Answer, matches) || slices.ContainsFunc(response.Ns, matches) {
			return true
		}
	}
	return false
}

// servedAuthority reports whether the response to the question has a record in its
// authority section.
func (d disagreement) servedAuthority(record dns.RR) bool {
	response, err := d.trial.answer(d.question)
	return err == nil && hasRecord(response.Ns, record)
}

// answerHas reports whether the response to the question has answer records of a type.
func (d disagreement) answerHas(rrtype uint16) bool {
	response, err := d.trial.answer(d.question)
	return err == nil && slices.ContainsFunc(response.Answer, func(r dns.RR) bool { return r.Header().Rrtype == rrtype })
}
