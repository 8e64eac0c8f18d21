package dane

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// TLSALookup is the lookup of the TLSA records under one candidate for the TLSA base domain.
type TLSALookup struct {
	Base   string // the candidate, in the form of Host.Name
	Answer dnssec.Answer
}

// TLSAState is what the TLSA lookups of a service lead to.
type TLSAState uint8

const (
	StateNotApplicable TLSAState = iota // there is no candidate for the base domain
	StateFailed                         // a lookup that matters failed
	StateInsecure                       // records, if any, prove nothing
	StateAbsent                         // their absence is proven
	StateFound                          // secure records exist
)

// TLSAResult is the state of the TLSA lookups of a service, and the lookup that decided it.
type TLSAResult struct {
	State  TLSAState
	Lookup *TLSALookup // nil with StateNotApplicable
}

// DecideTLSA examines the lookups in the order of the candidates, as a client
// does. An absent or insecure RRset leads to the next candidate, and the first
// secure RRset is the result (RFC 7672 §2.2.3). A failure ends the search
// (RFC 7672 §2.2.2). The result points into lookups.
func DecideTLSA(lookups []TLSALookup) TLSAResult {
	var result TLSAResult
	for i := range lookups {
		lookup := &lookups[i]
		switch {
		case lookup.Answer.Status.Failed():
			return TLSAResult{StateFailed, lookup}
		case lookup.Answer.Status == dnssec.Insecure:
			if result.State == StateNotApplicable {
				result = TLSAResult{StateInsecure, lookup}
			}
		case len(TLSARecords(&lookup.Answer)) > 0:
			return TLSAResult{StateFound, lookup}
		default:
			result = TLSAResult{StateAbsent, lookup}
		}
	}
	return result
}

// Usable reports whether secure records were found of which a client of this
// policy can use at least one.
func (r TLSAResult) Usable(policy Policy) bool {
	return r.State == StateFound && anyUsable(tlsa.Assess(TLSARecords(&r.Lookup.Answer), usagesOf(policy)))
}

// anyUsable reports whether a client can use at least one of the records.
func anyUsable(assessments []tlsa.Assessment) bool {
	return slices.ContainsFunc(assessments, func(a tlsa.Assessment) bool { return a.Usability == tlsa.Usable })
}

// Final reports whether no further candidate may be looked up.
func (r TLSAResult) Final() bool { return r.State == StateFound || r.State == StateFailed }

// BaseCandidates returns the candidates for the TLSA base domain of a service,
// best first. The base domain is the first of them with secure TLSA records
// (RFC 7671 §7, RFC 7672 §2.2.3).
//
// The fully expanded host name comes first if every alias step and the addresses are
// secure ("Secure CNAME" in RFC 7672 §2.2.2). The host's own name follows. Names
// between the two never count (RFC 7672 §2.2.3).
//
// Under SMTPRelay, insecure addresses mean that TLSA does not apply, unless the
// host's own CNAME is secure. In that case the host's own name may have records
// ("Insecure CNAME" in RFC 7672 §2.2.2).
//
// Of a host that a secure SRV record names, one secure address RRset suffices.
// Without one there is no lookup, even if a CNAME is secure (RFC 7673 §3.2). An
// insecure SRV record leads to no candidate (RFC 7673 §3.1).
func BaseCandidates(host *Host, service *Service, policy Policy) []string {
	addresses := host.deciding(service)
	if addresses == nil || !service.NamedSecurely() {
		return nil
	}
	if service.SRV != nil && addresses.Status != dnssec.Secure {
		return nil
	}
	var candidates []string
	alias := len(addresses.Aliases) > 0
	if alias && addresses.Status == dnssec.Secure {
		candidates = append(candidates, TextName(addresses.Canonical))
	}
	ownNameCounts := policy != SMTPRelay || addresses.Status == dnssec.Secure ||
		alias && addresses.Aliases[0].Status == dnssec.Secure
	if ownNameCounts {
		candidates = append(candidates, host.Name)
	}
	return candidates
}

// needsSecureAddress reports whether a client skips the TLSA lookup for insecure addresses.
func needsSecureAddress(service *Service, policy Policy) bool {
	return policy == SMTPRelay || service.SRV != nil
}

// AddressAnswer returns the address lookup whose status counts: the worst of
// those that returned addresses or, where the target is an address, the worst
// of those that did not fail. It returns nil if there is none.
func (h *Host) AddressAnswer() *dnssec.Answer {
	worst, _ := h.addressAnswers()
	return worst
}

// deciding returns the address lookup whose status decides whether the TLSA records
// of a service are looked up. It is the best one if an SRV record named the service
// (RFC 7673 §3.2), else the worst one (RFC 7672 §2.2.2).
func (h *Host) deciding(service *Service) *dnssec.Answer {
	worst, best := h.addressAnswers()
	if service.SRV != nil {
		return best
	}
	return worst
}

// addressAnswers returns the address lookups of worst and of best status.
func (h *Host) addressAnswers() (worst, best *dnssec.Answer) {
	if h.Fault != HostFine {
		return nil, nil
	}
	for _, answer := range []*dnssec.Answer{h.A, h.AAAA} {
		if answer == nil || answer.Status.Failed() || !answer.Found() && !h.Pinned.IsValid() {
			continue
		}
		if worst == nil || answer.Status < worst.Status {
			worst = answer
		}
		if best == nil || answer.Status > best.Status {
			best = answer
		}
	}
	return worst, best
}

// TLSAOwner returns the fully qualified name of the TLSA records of a TCP port (RFC 6698 §3).
func TLSAOwner(base string, port uint16) string {
	return "_" + strconv.Itoa(int(port)) + "._tcp." + dns.Fqdn(base)
}

// TLSARecords returns the TLSA records of an answer.
func TLSARecords(answer *dnssec.Answer) []tlsa.Record {
	var records []tlsa.Record
	for _, rr := range answer.Records {
		if record, ok := rr.(*dns.TLSA); ok {
			records = append(records, tlsaRecord(record))
		}
	}
	return records
}

// tlsaRecord converts a record of miekg/dns, which holds the data as hexadecimal
// text that is always valid in a record from the wire.
func tlsaRecord(rr *dns.TLSA) tlsa.Record {
	data, _ := hex.DecodeString(rr.Certificate)
	return tlsa.Record{
		Usage:        tlsa.Usage(rr.Usage),
		Selector:     tlsa.Selector(rr.Selector),
		MatchingType: tlsa.MatchingType(rr.MatchingType),
		Data:         data,
	}
}

// TextName returns a DNS name as reports write it: lower case, without the
// final dot. The root is ".".
func TextName(fqdn string) string {
	name := dns.CanonicalName(fqdn)
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}
