//go:build integration

package integration

import (
	"slices"
	"strings"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
)

// An explanation is a class of disagreements in which Unbound and we are meant
// to differ. To be taken for one of them, a disagreement has to pass an
// experiment: what offends one side is taken away, and then both have to agree
// on what the other side said before. Where no experiment is possible, the
// description alone has to be narrow enough.
type explanation struct {
	class   string // who does what, and the RFC that says so
	applies func(disagreement) bool
	// cure takes away what offends; pristine is the response before it was broken.
	cure func(d disagreement, q question, response, pristine *dns.Msg)
	// instead is what is asked in the experiment; nil: the same question.
	instead func(disagreement) question
}

func explanations() []explanation {
	return []explanation{
		{
			class: "Unbound wants every record of a response to hold, and we those that the verdict rests on; " +
				"RFC 4035 §5.3.3: where several signatures cover an RRset, local policy says if one is enough; §5.4: of a denial, the NSEC records that prove it count",
			applies: func(d disagreement) bool { return !d.ours.Status.Failed() && statusOf(d.judged).Failed() },
			cure:    keepAuthentic,
		},
		{
			class: "Unbound holds data to the signature that it has, and we call it insecure, since its name may be delegated unsigned, by opt-out, and needs none; " +
				"RFC 4035 §5.2: data below a delegation that is proven to have no DS is insecure; RFC 5155 §6: an opt-out span may hide such delegations",
			applies: func(d disagreement) bool { return d.ours.Status == dnssec.Insecure && statusOf(d.judged).Failed() },
			cure: func(d disagreement, q question, response, pristine *dns.Msg) {
				if q != d.question {
					keepAuthentic(d, q, response, pristine)
					return
				}
				response.Rcode = pristine.Rcode
				response.Answer, response.Ns = unsigned(response.Answer), unsigned(response.Ns)
			},
		},
		{
			class: "Unbound takes an answer from the authority section, and we do not; RFC 1035 §4.1: answers are in the answer section",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && d.broken("the answer in the authority section")
			},
			cure: func(_ disagreement, _ question, response, pristine *dns.Msg) {
				if len(response.Answer) == 0 {
					answers := func(r dns.RR) bool {
						return slices.ContainsFunc(pristine.Answer, func(a dns.RR) bool { return ofOneSet(a, r) })
					}
					response.Answer = slices.DeleteFunc(slices.Clone(response.Ns), func(r dns.RR) bool { return !answers(r) })
					response.Ns = slices.DeleteFunc(response.Ns, answers)
				}
			},
		},
		{
			class: "Unbound takes keys, DS and NSEC records that were expanded from a wildcard, and we do not; " +
				"RFC 4035 §5.3.4: an expanded RRset counts only where the name itself does not exist, and these say that it does",
			applies: func(d disagreement) bool { return d.ours.Status.Failed() && d.told(expanded) },
			cure: func(_ disagreement, _ question, response, pristine *dns.Msg) {
				if slices.ContainsFunc(slices.Concat(response.Answer, response.Ns), expanded) {
					response.Answer, response.Ns = pristine.Answer, pristine.Ns
				}
			},
		},
		{
			class: "a key is revoked, and a DS names it as it is now: Unbound uses it, and we do not; " +
				"RFC 5011 §2.1: a revoked key serves no purpose but to show its revocation",
			applies: func(d disagreement) bool { return d.ours.Status.Failed() && d.told(revoked) },
			cure: func(_ disagreement, _ question, response, pristine *dns.Msg) {
				if covered := response.Question[0].Qtype; covered == dns.TypeDS || covered == dns.TypeDNSKEY {
					response.Answer = pristine.Answer
				}
			},
		},
		{
			class: "a response has the code YXDOMAIN: Unbound passes it on without a look at the rest, and we want proof of the rest; " +
				"RFC 6672 §2.2: the code says what a DNAME led to, so there is a DNAME to prove it",
			applies: func(d disagreement) bool { return d.ours.Status.Failed() && d.judged.Rcode == dns.RcodeYXDomain },
			cure: func(_ disagreement, _ question, response, pristine *dns.Msg) {
				if response.Rcode == dns.RcodeYXDomain {
					response.Rcode = pristine.Rcode
				}
			},
		},
		{
			class: "a name has two aliases: Unbound drops all but the first, and then the signature holds; RFC 2181 §10.1: there is one, RFC 4035 §5.3.2: it is signed with all that are there",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && (d.broken("one more record") || d.broken("change of a record")) && d.answerHas(dns.TypeCNAME)
			},
			cure: func(_ disagreement, _ question, response, pristine *dns.Msg) {
				response.Answer = slices.DeleteFunc(response.Answer, func(r dns.RR) bool { return r.Header().Rrtype == dns.TypeCNAME && !within(pristine.Answer, r) })
			},
		},
		{
			class: "the response code is not the one that belongs to the records, and Unbound and we part over which of the two counts; " +
				"RFC 4035 §5: what is signed proves itself, and nothing signs the code",
			applies: func(d disagreement) bool { return !d.ours.Status.Failed() },
			cure:    func(_ disagreement, _ question, response, pristine *dns.Msg) { response.Rcode = pristine.Rcode },
		},
		{
			class: "a zone further up signs a DS, past the zone in between: Unbound walks from zone to zone, and we take the signer, " +
				"which may do with everything below it as it likes, at its word, as both of us do for other records; RFC 4035 §5.3.1",
			applies: func(d disagreement) bool {
				return !d.ours.Status.Failed() && statusOf(d.judged).Failed() &&
					(d.broken("the signature of the zone above or below") || d.broken("a foreign signature") || d.broken("another signer"))
			},
			cure: func(_ disagreement, q question, response, pristine *dns.Msg) {
				if q.qtype == dns.TypeDS {
					response.Answer = pristine.Answer
				}
			},
		},
		{
			class: "a zone further up signs an NSEC or NSEC3 record: Unbound takes it, and we do not; " +
				"RFC 4035 §5.3.1: the signer is the zone that has the RRset; RFC 5155 §3: the owner's last labels are the zone's name",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && !statusOf(d.judged).Failed() &&
					(d.broken("the signature of the zone above or below") || d.broken("a foreign signature") || d.broken("another signer"))
			},
			cure: func(_ disagreement, _ question, response, pristine *dns.Msg) { response.Ns = pristine.Ns },
		},
		{
			class: "an alias is insecure and what it leads to is bogus: Unbound looks no further than the alias; " +
				"RFC 4035 §4.3: an RRset that should validate and does not is bogus, whatever came before",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && statusOf(d.judged) == dnssec.Insecure &&
					slices.ContainsFunc(d.ours.Aliases, func(a dnssec.Alias) bool { return a.Status == dnssec.Insecure })
			},
			cure:    func(disagreement, question, *dns.Msg, *dns.Msg) {},
			instead: func(d disagreement) question { return question{d.ours.Canonical, d.question.qtype} },
		},
		{
			class: "an NSEC record lists NXNAME, which Unbound 1.17 does not know yet; RFC 9824 §3.1: the name does not exist",
			applies: func(d disagreement) bool {
				return d.ours.Status == statusOf(d.judged) && d.ours.Rcode == dns.RcodeNameError && d.judged.Rcode == dns.RcodeSuccess && d.broken("another type bitmap")
			},
		},
		{
			class: "an NSEC record points out of its zone, and so proves nothing to us; RFC 4034 §4.1.1: the next owner name is one of the zone",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && d.broken("another next name")
			},
			cure: func(_ disagreement, _ question, response, pristine *dns.Msg) { keepAuthenticNSEC(response, pristine) },
		},
		{
			class: "of NSEC3 records with unequal parameters Unbound calls the zone insecure if one has too many iterations; " +
				"RFC 5155 §8.2: a validator may treat such a response as bogus",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && statusOf(d.judged) == dnssec.Insecure && d.broken("other NSEC3 iterations")
			},
			cure: func(_ disagreement, _ question, response, _ *dns.Msg) {
				if unequal(response.Ns) {
					response.Ns = slices.DeleteFunc(response.Ns, func(r dns.RR) bool { n, ok := r.(*dns.NSEC3); return ok && n.Iterations > nsec3Limit })
				}
			},
		},
		{
			class: "NSEC3 records have unequal parameters, and Unbound uses them all; RFC 5155 §8.2: a validator may treat such a response as bogus",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && !statusOf(d.judged).Failed() && (d.broken("other NSEC3 iterations") || d.broken("another NSEC3 salt"))
			},
			cure: func(_ disagreement, _ question, response, pristine *dns.Msg) {
				if unequal(response.Ns) {
					response.Ns = pristine.Ns
				}
			},
		},
		{
			class: "an NSEC record lists both NS and CNAME, and so proves nothing to us, while Unbound takes it for a delegation; " +
				"RFC 6840 §4.3: where the CNAME bit is set, the absence of another type is not proven",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && !statusOf(d.judged).Failed() && d.broken("another type bitmap") && d.told(aliasAndCut)
			},
			cure: func(_ disagreement, _ question, response, pristine *dns.Msg) {
				if slices.ContainsFunc(response.Ns, aliasAndCut) {
					response.Ns = pristine.Ns
				}
			},
		},
		{
			class: "the NSEC3 record of the closest encloser lists a DNAME, and so proves nothing to us, while Unbound looks at its opt-out flag first; " +
				"RFC 5155 §8.3: the closest encloser has no DNAME",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && statusOf(d.judged) == dnssec.Insecure && d.broken("another type bitmap") && d.told(redirects)
			},
			cure: func(_ disagreement, _ question, response, pristine *dns.Msg) {
				if slices.ContainsFunc(response.Ns, redirects) {
					response.Ns = pristine.Ns
				}
			},
		},
		{
			class: "a DS with a SHA-1 digest is right, and one with SHA-256 beside it is wrong: Unbound takes the first, and we do not; " +
				"RFC 4509 §3: where there is one with SHA-256, that with SHA-1 is ignored",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && !statusOf(d.judged).Failed() && strings.Contains(d.ours.Why, "matches the DS set") && d.told(withSHA1)
			},
		},
		{
			class:   "a response has records of another class, and Unbound passes them on; RFC 1035 §4.1.2: what is asked for is of one class",
			applies: func(d disagreement) bool { return d.broken("another class") },
			cure: func(_ disagreement, _ question, response, _ *dns.Msg) {
				response.Answer = slices.DeleteFunc(response.Answer, func(r dns.RR) bool { return r.Header().Class != dns.ClassINET })
			},
		},
		{
			class: "Unbound asks for what an alias leads to by itself, though the response has it, and is told worse; " +
				"RFC 1034 §4.3.2: a response has the alias and what it leads to",
			applies: func(d disagreement) bool {
				return !d.ours.Status.Failed() && statusOf(d.judged).Failed() && len(d.ours.Aliases) > 0
			},
			cure: func(d disagreement, q question, response, pristine *dns.Msg) {
				if q != d.question && slices.ContainsFunc(d.ours.Aliases, func(a dnssec.Alias) bool { return a.To == q.name }) {
					response.Rcode, response.Answer, response.Ns = pristine.Rcode, pristine.Answer, pristine.Ns
				}
			},
		},
		{
			class: "a proof that is missing where it belongs comes with the response to the question itself, and Unbound remembers it from there; " +
				"RFC 8198 §5: a resolver may use what it has of NSEC and NSEC3 records, and we build on the response that has to have them",
			applies: func(d disagreement) bool { return d.ours.Status.Failed() && !statusOf(d.judged).Failed() },
			cure: func(d disagreement, q question, response, pristine *dns.Msg) {
				if q == d.question {
					return
				}
				for _, r := range pristine.Ns {
					if !within(response.Ns, r) && d.given(r) {
						response.Ns = append(response.Ns, r)
					}
				}
			},
		},
		{
			class: "the proof for an alias comes with the response about its target, and Unbound puts the two together; " +
				"RFC 4035 §3.1.3.3: the proof that a wildcard applies belongs to the response that it answers",
			applies: func(d disagreement) bool {
				return d.ours.Status.Failed() && !statusOf(d.judged).Failed() && slices.ContainsFunc(d.judged.Ns, func(r dns.RR) bool { return !d.given(r) })
			},
			cure: func(d disagreement, q question, response, pristine *dns.Msg) {
				if q == d.question {
					response.Ns = pristine.Ns
				}
			},
		},
	}
}

// unequal reports whether a section has NSEC3 records with other parameters than others.
func unequal(section []dns.RR) bool {
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

// keepAuthentic leaves of a response what was there before it was broken, with
// the signatures that hold, and the SOA.
func keepAuthentic(_ disagreement, _ question, response, pristine *dns.Msg) {
	response.Answer = authentic(response.Answer, pristine.Answer)
	response.Ns = authentic(response.Ns, pristine.Ns)
	soa := func(r dns.RR) bool { return covered(r) == dns.TypeSOA }
	response.Ns = slices.DeleteFunc(response.Ns, soa)
	for _, record := range pristine.Ns {
		if soa(record) {
			response.Ns = append(response.Ns, record)
		}
	}
}

func keepAuthenticNSEC(response, pristine *dns.Msg) {
	for _, record := range response.Ns {
		if n, ok := record.(*dns.NSEC); ok && !within(pristine.Ns, n) {
			response.Ns = slices.Clone(pristine.Ns)
			return
		}
	}
}

// authentic leaves the records that original has, too, each once, but for RRsets
// that lost all their signatures.
func authentic(section, original []dns.RR) []dns.RR {
	var rest []dns.RR
	for _, r := range section {
		if within(original, r) && !within(rest, r) {
			rest = append(rest, r)
		}
	}
	signed := func(section []dns.RR, r dns.RR) bool {
		return slices.ContainsFunc(section, func(s dns.RR) bool { return s.Header().Rrtype == dns.TypeRRSIG && ofOneSet(s, r) })
	}
	return slices.DeleteFunc(slices.Clone(rest), func(r dns.RR) bool { return signed(original, r) && !signed(rest, r) })
}

// ofOneSet reports whether two records belong to one RRset, or to its signatures.
func ofOneSet(a, b dns.RR) bool {
	return covered(a) == covered(b) && dns.CanonicalName(a.Header().Name) == dns.CanonicalName(b.Header().Name)
}

// expanded reports whether a record is the signature of one that cannot be
// expanded from a wildcard, and was.
func expanded(record dns.RR) bool {
	sig, ok := record.(*dns.RRSIG)
	return ok && slices.Contains([]uint16{dns.TypeDNSKEY, dns.TypeDS, dns.TypeNSEC, dns.TypeNSEC3}, sig.TypeCovered) &&
		signedOwner(sig.Hdr.Name, sig.Labels) != dns.CanonicalName(sig.Hdr.Name)
}

// aliasAndCut reports whether a record denies as if its owner were both.
func aliasAndCut(record dns.RR) bool {
	var bitmap []uint16
	switch n := record.(type) {
	case *dns.NSEC:
		bitmap = n.TypeBitMap
	case *dns.NSEC3:
		bitmap = n.TypeBitMap
	}
	return slices.Contains(bitmap, dns.TypeNS) && slices.Contains(bitmap, dns.TypeCNAME)
}

// redirects reports whether a record is the NSEC3 of an apex with a DNAME.
func redirects(record dns.RR) bool {
	n, ok := record.(*dns.NSEC3)
	return ok && slices.Contains(n.TypeBitMap, dns.TypeSOA) && slices.Contains(n.TypeBitMap, dns.TypeDNAME)
}

func withSHA1(record dns.RR) bool {
	ds, ok := record.(*dns.DS)
	return ok && ds.DigestType == dns.SHA1
}

func revoked(record dns.RR) bool {
	key, ok := record.(*dns.DNSKEY)
	return ok && key.Flags&dns.REVOKE != 0
}

func unsigned(section []dns.RR) []dns.RR {
	return slices.DeleteFunc(slices.Clone(section), func(r dns.RR) bool { return r.Header().Rrtype == dns.TypeRRSIG })
}

// within reports whether a section has a record; TTLs do not count.
func within(section []dns.RR, record dns.RR) bool {
	return slices.ContainsFunc(section, func(r dns.RR) bool { return dns.IsDuplicate(r, record) })
}

// broken reports whether a mutation is one of the trial's.
func (d disagreement) broken(mutation string) bool {
	return slices.ContainsFunc(d.trial.changes, func(c change) bool { return c.mutation == mutation })
}

// told reports whether any response that was given in the trial has a record.
func (d disagreement) told(has func(dns.RR) bool) bool {
	d.trial.mu.Lock()
	defer d.trial.mu.Unlock()
	for _, response := range d.trial.answers {
		if slices.ContainsFunc(response.Answer, has) || slices.ContainsFunc(response.Ns, has) {
			return true
		}
	}
	return false
}

// given reports whether the response that both got has a record in its authority section.
func (d disagreement) given(record dns.RR) bool {
	response, err := d.trial.answer(d.question)
	return err == nil && within(response.Ns, record)
}

// answerHas reports whether the answer that both got has records of a type.
func (d disagreement) answerHas(rrtype uint16) bool {
	response, err := d.trial.answer(d.question)
	return err == nil && slices.ContainsFunc(response.Answer, func(r dns.RR) bool { return r.Header().Rrtype == rrtype })
}
