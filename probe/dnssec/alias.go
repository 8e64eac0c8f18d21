package dnssec

import (
	"errors"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// answer judges a question and follows its aliases. Each step is judged alone,
// in its own zone. The answer has the status of the worst step. The error is
// errMissing or nil.
func (v *validation) answer(q question) (*Answer, error) {
	b := newAnswerBuilder(q)
	seen := map[string]bool{q.name: true}
	r, err := v.reply(q)
	inherited := false // r is the reply to an earlier name of the alias chain
	for {
		current := question{b.answer.Canonical, q.qtype}
		var s step
		b.addReply(r)
		if err == nil {
			s, err = v.step(current, r)
		}
		if _, isBogus := asBogus(err); isBogus && inherited {
			// The reply to an alias may be incomplete about the target.
			inherited = false
			r, err = v.reply(current)
			continue
		}
		if errors.Is(err, errMissing) {
			return nil, err
		}
		if err != nil {
			return b.fail(err), nil
		}
		b.addStep(s)
		if s.target == "" {
			return &b.answer, nil
		}
		b.addAlias(s)
		switch {
		case seen[s.target]:
			return b.fail(bogus("the aliases of %s form a loop, back to %s", q.name, s.target)), nil
		case len(b.answer.Aliases) >= v.budget.limits.aliases:
			return b.fail(exceeded(v.budget.limits.aliases, "aliases")), nil
		}
		seen[s.target] = true
		if inherited = r.mayAnswer(s.target); !inherited {
			r, err = v.reply(question{s.target, q.qtype})
		}
	}
}

// cname judges a CNAME of the zone.
func (v *validation) cname(set *rrset, r *reply) (step, error) {
	s, err := v.positive(set, r)
	if err != nil {
		return step{}, err
	}
	if s.status == Secure && isAmbiguous(set) {
		return step{}, inZone(bogus("%s has %d records, and only one is allowed (RFC 2181 §10.1)", set, len(set.records)), s.zone)
	}
	if s.target, s.records = targetOf(set.records[0]), nil; s.target == "" {
		return step{}, inZone(bogus("%s cannot be parsed", set), s.zone)
	}
	return s, nil
}

// dname judges an alias that is synthesized from a DNAME (RFC 6672 §5.3.1). The
// DNAME is signed. The target is computed here, and a CNAME in the reply must
// agree with it.
func (v *validation) dname(q question, set, cname *rrset, r *reply) (step, error) {
	s, err := v.positive(set, r)
	if err != nil {
		return step{}, err
	}
	if s.status == Secure && isAmbiguous(set) {
		return step{}, inZone(bogus("%s has %d records, and only one is allowed (RFC 6672 §2.4)", set, len(set.records)), s.zone)
	}
	s.records = nil
	record, ok := set.records[0].(*dns.DNAME)
	if !ok {
		return step{}, bogus("%s cannot be parsed", set)
	}
	target, ok := substitute(q.name, set.name, fold(record.Target))
	if !ok {
		s.rcode = dns.RcodeYXDomain
		s.why += "; the resulting name is too long"
		return s, nil
	}
	if cname != nil {
		sent := targetOf(cname.records[0])
		if sent != target && (s.status == Secure || sent == "") {
			return step{}, inZone(bogus("the CNAME of %s does not follow from %s: its target is %s instead of %s", q.name, set, sent, target), s.zone)
		}
		target = sent
	}
	if q.qtype == dns.TypeCNAME {
		s.records = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: q.name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET,
			Ttl: set.records[0].Header().Ttl}, Target: target}}
		return s, nil
	}
	s.target = target
	return s, nil
}

// substitute replaces owner at the end of name with target (RFC 6672 §2.2). It
// returns false if the result is not a valid name.
func substitute(name, owner, target string) (string, bool) {
	result := strings.TrimSuffix(name, owner)
	if owner == "." {
		result = name
	}
	if target != "." {
		result += target
	}
	_, err := wireName(result)
	return result, err == nil
}

// targetOf returns the target of a CNAME or DNAME record, or the empty string.
func targetOf(alias dns.RR) string {
	switch record := alias.(type) {
	case *dns.CNAME:
		return fold(record.Target)
	case *dns.DNAME:
		return fold(record.Target)
	}
	return ""
}

// isAmbiguous reports whether the records of an alias have different targets.
// Only an insecure zone may have such an alias; like other resolvers, this one
// follows the first record. Duplicates of one record do not count (RFC 2181 §5).
func isAmbiguous(alias *rrset) bool {
	return slices.ContainsFunc(alias.records, func(rr dns.RR) bool { return targetOf(rr) != targetOf(alias.records[0]) })
}
