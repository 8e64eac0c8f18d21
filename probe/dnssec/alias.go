package dnssec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// lookup follows a question through its aliases; each step is judged alone,
// in its own zone, and the answer is as good as the worst.
func (v *validation) lookup(q question) (Answer, error) {
	a := &account{Answer: Answer{Name: q.name, Type: q.qtype, Status: Secure, Canonical: q.name}}
	seen := map[string]bool{q.name: true}
	r, err := v.ask(q)
	inherited := false
	for {
		var s step
		a.heard(r)
		if err == nil {
			s, err = v.step(question{a.Canonical, q.qtype}, r)
		}
		if inherited && isBogus(err) != nil {
			// The reply to the alias need not hold all about its target.
			inherited = false
			r, err = v.ask(question{a.Canonical, q.qtype})
			continue
		}
		if err == errMissing {
			return Answer{}, err
		}
		if err != nil {
			return a.failed(err), nil
		}
		a.add(s)
		if s.target == "" {
			return a.Answer, nil
		}
		a.follow(s)
		switch {
		case seen[s.target]:
			return a.failed(bogus("the aliases of %s lead in a circle, back to %s", q.name, s.target)), nil
		case len(a.Aliases) >= v.ledger.limits.aliases:
			return a.failed(exceeded(v.ledger.limits.aliases, "aliases")), nil
		}
		seen[s.target] = true
		if inherited = r.speaksOf(s.target); !inherited {
			r, err = v.ask(question{s.target, q.qtype})
		}
	}
}

// cname judges an alias that is written in the zone.
func (v *validation) cname(set *rrset, r *reply) (step, error) {
	s, err := v.positive(set, r)
	if err != nil {
		return step{}, err
	}
	if s.status == Secure && ambiguous(set) {
		return step{}, at(bogus("%s has %d records, and only one is allowed (RFC 2181 §10.1)", set, len(set.records)), s.zone)
	}
	if s.target, s.records = targetOf(set), nil; s.target == "" {
		return step{}, at(bogus("%s cannot be read", set), s.zone)
	}
	return s, nil
}

// dname judges an alias that is synthesized from a DNAME (RFC 6672 §5.3.1):
// the DNAME is signed, and the substitution is done here; what the reply has
// as CNAME must equal it.
func (v *validation) dname(q question, set, cname *rrset, r *reply) (step, error) {
	s, err := v.positive(set, r)
	if err != nil {
		return step{}, err
	}
	if s.status == Secure && ambiguous(set) {
		return step{}, at(bogus("%s has %d records, and only one is allowed (RFC 6672 §2.4)", set, len(set.records)), s.zone)
	}
	s.records = nil
	record, ok := set.records[0].(*dns.DNAME)
	if !ok {
		return step{}, bogus("%s cannot be read", set)
	}
	target, ok := substitute(q.name, set.name, fold(record.Target))
	if !ok {
		s.rcode = dns.RcodeYXDomain
		s.why += "; the name that it gives is too long"
		return s, nil
	}
	if cname != nil && targetOf(cname) != target {
		if s.status == Secure || targetOf(cname) == "" {
			return step{}, at(bogus("the CNAME of %s is not what %s gives: %s instead of %s", q.name, set, targetOf(cname), target), s.zone)
		}
		target = targetOf(cname)
	}
	if q.qtype == dns.TypeCNAME {
		s.records = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: q.name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET,
			Ttl: set.records[0].Header().Ttl}, Target: target}}
		return s, nil
	}
	s.target = target
	return s, nil
}

// substitute replaces owner at the end of name by target (RFC 6672 §2.2).
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

// targetOf is where a CNAME leads; of several, which only an insecure zone may
// have, the first counts, as for other resolvers.
func targetOf(cname *rrset) string {
	if record, ok := cname.records[0].(*dns.CNAME); ok {
		return fold(record.Target)
	}
	return ""
}

// ambiguous reports whether the records of an alias differ. One record that
// came twice is one (RFC 2181 §5).
func ambiguous(alias *rrset) bool {
	target := func(rr dns.RR) string {
		switch record := rr.(type) {
		case *dns.CNAME:
			return fold(record.Target)
		case *dns.DNAME:
			return fold(record.Target)
		}
		return ""
	}
	return slices.ContainsFunc(alias.records, func(rr dns.RR) bool { return target(rr) != target(alias.records[0]) })
}

// account makes an Answer of steps.
type account struct {
	Answer
	started bool
}

// heard notes what came with a reply.
func (a *account) heard(r *reply) {
	if r == nil {
		return
	}
	a.Rcode = r.rcode
	if a.Server == "" {
		a.Server, a.RTT = r.server, r.rtt
	}
	a.EDE = appendNew(a.EDE, r.ede)
}

func (a *account) add(s step) {
	if s.status < a.Status || a.Status == Secure {
		a.Why = s.why
	}
	a.Status = Worst(a.Status, s.status)
	if !a.started || s.ttl < a.TTL {
		a.TTL = s.ttl
	}
	a.started = true
	a.Rcode, a.Records = s.rcode, s.records
	a.addChain(s.zone.links())
	if s.zone.secure() {
		a.Zone = a.Zone.And(s.valid).And(s.zone.own)
		a.markSigning(s)
	}
	a.Parents = a.Parents.And(s.zone.parents)
}

func (a *account) follow(s step) {
	a.Aliases = append(a.Aliases, Alias{From: a.Canonical, To: s.target, Status: s.status})
	a.Canonical = s.target
}

// failed ends the account with an error; what was reached stays in it.
func (a *account) failed(err error) Answer {
	f, ok := err.(*fault)
	if !ok {
		f = &fault{status: Indeterminate, why: err.Error(), err: err}
	}
	a.Records = nil
	if f.status <= a.Status {
		a.Status, a.Why = f.status, f.why
	}
	a.Err = f.err
	if f.err != nil {
		a.Err = fmt.Errorf("look up %s %s: %w", a.Name, typeName(a.Type), f.err)
	}
	a.addChain(f.links())
	return a.Answer
}

// addChain adds the links that are not there yet: chains of several steps
// share their upper part. The list becomes the account's own.
func (a *account) addChain(links []Link) {
	if len(a.Chain) == 0 && len(links) > 0 {
		a.Chain = links
		return
	}
	for _, link := range links {
		known := false
		for _, have := range a.Chain {
			known = known || have.Zone == link.Zone && have.Status == link.Status
		}
		if !known {
			a.Chain = append(a.Chain, link)
		}
	}
}

// markSigning notes in the chain which key of the zone signed the answer. The
// links are shared with other look-ups, so their keys are copied first.
func (a *account) markSigning(s step) {
	if s.signing == nil {
		return
	}
	for i := range a.Chain {
		if a.Chain[i].Zone != s.zone.name {
			continue
		}
		keys := append([]Key(nil), a.Chain[i].Keys...)
		for j := range keys {
			if keys[j].Tag == s.signing.tag && keys[j].Algorithm == s.signing.Algorithm {
				keys[j].Signing = true
			}
		}
		signingFirst(keys)
		a.Chain[i].Keys = keys
	}
}
