package zone

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxAliases bounds a chain of aliases, as resolvers do.
const maxAliases = 16

// reply is a response in the making.
type reply struct {
	internet *Internet
	state    state
	now      time.Time
	dnssec   bool // the DO bit: signatures and proofs are wanted
	msg      *dns.Msg
	err      error // the first failure to sign
}

// resolve follows the question through the zones to its end.
func (r *reply) resolve(name string, qtype uint16) {
	for range maxAliases {
		zone := r.internet.zoneOf(name, qtype)
		next := r.ask(zone, name, qtype)
		if next == "" {
			return
		}
		name = next
	}
	r.msg.Rcode = dns.RcodeServerFailure
}

// ask adds what one zone has to say of name. If that is an alias, it returns
// the name to go on with.
func (r *reply) ask(zone *loaded, name string, qtype uint16) (next string) {
	for _, above := range ancestors(name, zone.apex) {
		if set := zone.nodes[above][dns.TypeDNAME]; set != nil {
			return r.redirect(zone, set, name, qtype)
		}
		if zone.isCut(above) { // to a zone that is not there, or it would have been asked
			r.msg.Rcode = dns.RcodeServerFailure
			return ""
		}
	}
	if zone.isCut(name) && qtype != dns.TypeDS {
		r.msg.Rcode = dns.RcodeServerFailure
		return ""
	}
	if n, ok := zone.nodes[name]; ok {
		return r.exact(zone, n, name, qtype)
	}
	return r.missing(zone, name, qtype)
}

// exact answers for a name that exists.
func (r *reply) exact(zone *loaded, n node, name string, qtype uint16) (next string) {
	found, next := r.fromNode(zone, n, name, qtype)
	if !found {
		r.negative(zone, zone.denial.noData(name))
	}
	return next
}

// missing answers for a name that does not exist: by a wildcard, if there is one.
func (r *reply) missing(zone *loaded, name string, qtype uint16) (next string) {
	encloser := zone.apex
	for _, above := range ancestors(name, zone.apex) {
		if _, ok := zone.nodes[above]; ok {
			encloser = above
			break
		}
	}
	n, ok := zone.nodes[wildcardOf(encloser)]
	if !ok {
		r.msg.Rcode = dns.RcodeNameError
		r.negative(zone, zone.denial.noName(name, encloser))
		return ""
	}
	found, next := r.fromNode(zone, n, name, qtype)
	if !found {
		r.negative(zone, zone.denial.expandedNoData(name, encloser))
		return ""
	}
	r.prove(zone, zone.denial.expanded(name, encloser))
	return next
}

// fromNode adds the RRset asked for, or the alias at its place, owned by name.
func (r *reply) fromNode(zone *loaded, n node, name string, qtype uint16) (found bool, next string) {
	if qtype == dns.TypeANY {
		for _, rrtype := range slices.Sorted(maps.Keys(n)) {
			r.msg.Answer = append(r.msg.Answer, r.signed(zone, n[rrtype], name)...)
		}
		return len(n) > 0, ""
	}
	if set := n[qtype]; set != nil {
		r.msg.Answer = append(r.msg.Answer, r.signed(zone, set, name)...)
		return true, ""
	}
	if set := n[dns.TypeCNAME]; set != nil {
		r.msg.Answer = append(r.msg.Answer, r.signed(zone, set, name)...)
		return true, dns.CanonicalName(set[0].(*dns.CNAME).Target)
	}
	return false, ""
}

// redirect adds a DNAME and the CNAME that follows from it (RFC 6672 §3.1).
func (r *reply) redirect(zone *loaded, set []dns.RR, name string, qtype uint16) (next string) {
	dname := set[0].(*dns.DNAME)
	r.msg.Answer = append(r.msg.Answer, r.signed(zone, set, dname.Hdr.Name)...)
	target := strings.TrimSuffix(name, dname.Hdr.Name) + strings.TrimPrefix(dns.CanonicalName(dname.Target), ".")
	if _, err := dns.PackDomainName(target, make([]byte, 256), 0, nil, false); err != nil {
		r.msg.Rcode = dns.RcodeYXDomain
		return ""
	}
	r.msg.Answer = append(r.msg.Answer, &dns.CNAME{
		Hdr:    dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: dname.Hdr.Ttl},
		Target: target,
	})
	if qtype == dns.TypeCNAME {
		return ""
	}
	return target
}

// negative adds the SOA and a proof.
func (r *reply) negative(zone *loaded, proof []dns.RR) {
	soa := zone.soa()
	at := len(r.msg.Ns)
	r.msg.Ns = append(r.msg.Ns, r.signed(zone, soa, zone.apex)...)
	for _, rr := range r.msg.Ns[at:] {
		rr.Header().Ttl = zone.negativeTTL() // RFC 2308 §3
	}
	r.prove(zone, proof)
}

// prove adds records of denial, for who asked for them.
func (r *reply) prove(zone *loaded, proof []dns.RR) {
	if !r.dnssec {
		return
	}
	for _, rr := range proof {
		r.msg.Ns = append(r.msg.Ns, r.signed(zone, []dns.RR{rr}, rr.Header().Name)...)
	}
}

// signed copies set and its signatures, all owned by owner: the set's own name,
// or one that a wildcard stands for.
func (r *reply) signed(zone *loaded, set []dns.RR, owner string) []dns.RR {
	set = r.state.edited(zone, set)
	var copies []dns.RR
	for _, rr := range set {
		copies = append(copies, dns.Copy(rr))
	}
	if r.dnssec {
		signatures, err := r.state.signatures(zone, set, r.now)
		if err != nil && r.err == nil {
			r.err = err
		}
		for _, signature := range signatures {
			copies = append(copies, dns.Copy(signature))
		}
	}
	for _, rr := range copies {
		rr.Header().Name = owner
	}
	return copies
}
