package probe

import (
	"encoding/hex"
	"strings"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// baseCandidates returns the names under which a client of this policy looks
// for TLSA records of a host, best first: the TLSA base domain is the first of
// them that has secure ones (RFC 7671 §7, RFC 7672 §2.2.2).
//
// The fully expanded name comes first, if each alias and the addresses are
// secure; then the host's own name. Names between the two never count.
// Under SMTPRelay, insecure addresses mean that TLSA does not apply at all,
// unless the host's own CNAME is secure: then its own name may have records. So
// it is for hosts that SRV records name (RFC 7673 §3.2), and an insecure SRV
// record leads to none (§3.1).
func baseCandidates(host *Host, service *Service, policy Policy) []string {
	addresses := addressAnswer(host)
	if addresses == nil || !service.secure() {
		return nil
	}
	var candidates []string
	alias := len(addresses.Aliases) > 0
	if alias && addresses.Status == dnssec.Secure {
		candidates = append(candidates, nameOf(addresses.Canonical))
	}
	ownNameCounts := !needsSecureAddress(service, policy) || addresses.Status == dnssec.Secure ||
		alias && addresses.Aliases[0].Status == dnssec.Secure
	if ownNameCounts {
		candidates = append(candidates, host.Name)
	}
	return candidates
}

// needsSecureAddress reports whether insecure addresses keep a client from
// looking for TLSA records.
func needsSecureAddress(service *Service, policy Policy) bool {
	return policy == SMTPRelay || service.SRV != nil
}

// addressAnswer returns the address look-up whose status counts: of those
// that gave addresses, the worst. Where the target named the address, it is
// the worst of those that did not fail. nil: there is none.
func addressAnswer(host *Host) *dnssec.Answer {
	var worst *dnssec.Answer
	for _, answer := range []*dnssec.Answer{host.A, host.AAAA} {
		if answer == nil || answer.Status.Failed() || !answer.Found() && !host.Pinned.IsValid() {
			continue
		}
		if worst == nil || answer.Status < worst.Status {
			worst = answer
		}
	}
	return worst
}

// tlsaState is what the look-ups of all candidates come to.
type tlsaState uint8

const (
	tlsaNotApplicable tlsaState = iota // there is no candidate
	tlsaFailed                         // a look-up that matters failed
	tlsaInsecure                       // records may be there, and prove nothing
	tlsaNone                           // their absence is proven
	tlsaFound                          // secure records
)

// decideTLSA goes through the look-ups in the order of the candidates, as a
// client does: none or insecure leads to the next, a failure ends it, secure
// records are what was looked for. It returns the state and the look-up that decided.
func decideTLSA(lookups []TLSALookup) (tlsaState, *TLSALookup) {
	state, decided := tlsaNotApplicable, (*TLSALookup)(nil)
	for i := range lookups {
		lookup := &lookups[i]
		switch {
		case lookup.Answer.Status.Failed():
			return tlsaFailed, lookup
		case lookup.Answer.Status == dnssec.Insecure:
			if state == tlsaNotApplicable {
				state, decided = tlsaInsecure, lookup
			}
		case len(tlsaRecords(&lookup.Answer)) > 0:
			return tlsaFound, lookup
		default:
			state, decided = tlsaNone, lookup
		}
	}
	return state, decided
}

// tlsaRecords returns the TLSA records of an answer. Data that is no
// hexadecimal can't come off the wire.
func tlsaRecords(answer *dnssec.Answer) []tlsa.Record {
	var records []tlsa.Record
	for _, rr := range answer.Records {
		if record, ok := rr.(*dns.TLSA); ok {
			records = append(records, recordOf(record))
		}
	}
	return records
}

// recordOf takes a record out of DNS. miekg holds the data as hexadecimal text.
func recordOf(rr *dns.TLSA) tlsa.Record {
	data, _ := hex.DecodeString(rr.Certificate)
	return tlsa.Record{
		Usage:        tlsa.Usage(rr.Usage),
		Selector:     tlsa.Selector(rr.Selector),
		MatchingType: tlsa.MatchingType(rr.MatchingType),
		Data:         data,
	}
}

// nameOf writes a name of DNS as reports do: lower case, without trailing dot.
// The root stays a dot.
func nameOf(fqdn string) string {
	name := dns.CanonicalName(fqdn)
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}
