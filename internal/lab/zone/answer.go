package zone

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxAliases is the maximum length of an alias chain, as in resolvers.
const maxAliases = 16

// responder builds one response.
type responder struct {
	internet *Internet
	state    state
	now      time.Time
	dnssec   bool // DO bit: add signatures and proofs
	msg      *dns.Msg
	err      error // the first error of signing
}

// followAliases answers the question, following aliases from zone to zone. A chain
// that is too long is answered with SERVFAIL.
func (r *responder) followAliases(name string, qtype uint16) {
	for range maxAliases {
		zone := r.internet.zoneOf(name, qtype)
		next := r.answerFrom(zone, name, qtype)
		if next == "" {
			return
		}
		name = next
	}
	r.msg.Rcode = dns.RcodeServerFailure
}

// answerFrom adds the answer of one zone. If that is an alias, it returns the target.
func (r *responder) answerFrom(zone *zoneData, name string, qtype uint16) (next string) {
	for _, above := range ancestors(name, zone.apex) {
		if set := zone.nodes[above][dns.TypeDNAME]; set != nil {
			return r.answerDNAME(zone, set, name, qtype)
		}
		if zone.isCut(above) { // to a zone outside this Internet
			r.msg.Rcode = dns.RcodeServerFailure
			return ""
		}
	}
	if zone.isCut(name) && qtype != dns.TypeDS {
		r.msg.Rcode = dns.RcodeServerFailure
		return ""
	}
	if n, ok := zone.nodes[name]; ok {
		return r.answerExisting(zone, n, name, qtype)
	}
	return r.answerMissing(zone, name, qtype)
}

// answerExisting answers for a name that exists.
func (r *responder) answerExisting(zone *zoneData, n node, name string, qtype uint16) (next string) {
	found, next := r.answerFromNode(zone, n, name, qtype)
	if !found {
		r.negative(zone, zone.denial.noData(name))
	}
	return next
}

// answerMissing answers for a name that does not exist, from a wildcard if there is one.
func (r *responder) answerMissing(zone *zoneData, name string, qtype uint16) (next string) {
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
		r.negative(zone, zone.denial.nxdomain(name, encloser))
		return ""
	}
	found, next := r.answerFromNode(zone, n, name, qtype)
	if !found {
		r.negative(zone, zone.denial.wildcardNoData(name, encloser))
		return ""
	}
	r.prove(zone, zone.denial.wildcardAnswer(name, encloser))
	return next
}

// answerFromNode adds the RRset of the type asked for, or the CNAME in its place, with
// the owner name name.
func (r *responder) answerFromNode(zone *zoneData, n node, name string, qtype uint16) (found bool, next string) {
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

// answerDNAME adds a DNAME and the CNAME synthesised from it (RFC 6672 §3.1).
func (r *responder) answerDNAME(zone *zoneData, set []dns.RR, name string, qtype uint16) (next string) {
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

// negative adds the SOA and a proof to the authority section.
func (r *responder) negative(zone *zoneData, proof []dns.RR) {
	soa := zone.soa()
	at := len(r.msg.Ns)
	r.msg.Ns = append(r.msg.Ns, r.signed(zone, soa, zone.apex)...)
	for _, rr := range r.msg.Ns[at:] {
		rr.Header().Ttl = zone.negativeTTL() // RFC 2308 §3
	}
	r.prove(zone, proof)
}

// prove adds NSEC or NSEC3 records to the authority section, if DO is set.
func (r *responder) prove(zone *zoneData, proof []dns.RR) {
	if !r.dnssec {
		return
	}
	for _, rr := range proof {
		r.msg.Ns = append(r.msg.Ns, r.signed(zone, []dns.RR{rr}, rr.Header().Name)...)
	}
}

// signed returns copies of set and its signatures with that owner name: the set's own
// name, or one that a wildcard matches.
func (r *responder) signed(zone *zoneData, set []dns.RR, owner string) []dns.RR {
	set = r.state.applyEdits(zone, set)
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
