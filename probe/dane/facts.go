package dane

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// Facts is what a probe found out about one target, without judgement. It is
// not modified once the probe has returned it: reports share answers and chains.
type Facts struct {
	Denied    bool // access.targets forbids the target: no query was sent
	Special   bool // the target is a special-use name: no query was sent
	Discovery Span
	MX        *dnssec.Answer // nil unless hosts are found by MX records
	SRV       []SRVLookup    // nil unless hosts are found by SRV records
	Hosts     []Host         // in the order in which a client tries them
	MTASTS    *MTASTS        // nil unless the module asks for it
	// Delegations are the examined delegations of the zones that the lookups depend on,
	// sorted by zone.
	Delegations    []*Delegation
	DelegationsErr error // a PanicError that lost a delegation; nil as a rule
	Phases         []Phase
	Complete       bool     // false if the deadline cut a part of the probe short
	Truncated      []string // what exceeded a limit of the probe: "hosts", "addresses"
	Err            error    // a PanicError that lost the discovery; nil as a rule
}

// Host is one server name that the target leads to.
type Host struct {
	Name       string         // A-labels, lower case, no final dot
	Pinned     netip.Addr     // the only address to connect to, where the target or Name is an address
	Fault      HostFault      // why clients do not connect to the host, or do so without DANE
	FaultyName string         // the alias target that has the fault; empty: Name
	A, AAAA    *dnssec.Answer // nil: not looked up
	Lookup     Span           // of the address lookups
	Services   []Service
	Err        error // a PanicError that lost the host; nil as a rule
}

// Service is one port of one host. TLSA records belong to a service.
type Service struct {
	Port        uint16
	Protocol    string         // a name of package starttls
	Policy      Policy         // whose rules apply; empty: the module's
	Preference  uint16         // of the MX record, or priority of the SRV record
	Weight      uint16         // of the SRV record
	SRV         *dnssec.Answer // the lookup that named the service; nil unless found by SRV records
	Fallback    bool           // no SRV record named the service: clients connect to the domain itself
	TLSA        []TLSALookup   // one for each candidate for the TLSA base domain that was queried, in order
	TLSAResult  TLSAResult     // DecideTLSA(TLSA); must be set whenever TLSA is
	Endpoints   []Endpoint
	Nameservers *Nameservers // of the zone that holds the TLSA records; nil: not queried
	TLSRPT      *TLSRPT      // of the TLSA base domain; nil: not looked up
	Renewal     *Renewal     // nil: not looked up
	Err         error        // a PanicError that lost the service; nil as a rule
}

// NamedSecurely reports whether DANE may apply to the service: a secure SRV
// record named it, or it was found without SRV. A client that falls back because
// there are no SRV records does so without DANE (RFC 7673 §3.1).
func (s *Service) NamedSecurely() bool {
	return !s.Fallback && (s.SRV == nil || s.SRV.Status == dnssec.Secure)
}

// SRVLookup is the lookup of the SRV records of one service.
type SRVLookup struct {
	Service  string // without underscore: "xmpp-client"
	Protocol string // spoken by the servers that the records name
	Answer   dnssec.Answer
}

// Failed reports whether it is unknown which services exist.
func (l SRVLookup) Failed() bool { return l.Answer.Status.Failed() }

// Endpoint is one address of a service, and how far a handshake with it got.
// If the module lists key types, each address has one Endpoint for each.
type Endpoint struct {
	Address       netip.Addr
	KeyType       KeyType   // the only one that was offered; empty: all
	Reached       Stage     // the last stage that was completed
	Err           error     // why the handshake, or the first exchange after it, failed; CauseOf classifies it
	TimedOutEarly bool      // the probe's deadline came before the server had the minimum time to answer
	Reused        bool      // the handshake was made by another probe, or for both
	Copied        bool      // not tried: the handshake for the previous key type failed before TLS
	Other         *Endpoint // another handshake at the address that showed less; nil: none
	Skipped       bool      // does not count: no IPv6 here, or no key of this type there
	Dialogue      starttls.Dialogue
	SNI           string
	ALPNRefused   bool   // the handshake was complete only without ALPN, so another service may have answered
	LargeDropped  bool   // the server answered only a ClientHello of one packet, without ML-KEM
	TLSVersion    uint16 // a constant of crypto/tls
	Cipher        uint16 // a constant of crypto/tls

	// InsecureRenegotiation reports that the server selects TLS 1.2 or earlier and
	// does not support RFC 5746.
	InsecureRenegotiation bool

	Group    uint16      // of the key exchange, for GroupName; 0: none, as with static RSA, or not known
	Raw      [][]byte    // certificates as sent, leaf first; before StageTLS without proof that the server has the key
	Chain    *tlsa.Chain // Raw, parsed; nil before StageTLS
	Connect  Span
	StartTLS Span
	TLS      Span
}

// Time returns when the last stage of the handshake ended; zero if nothing was tried.
func (e *Endpoint) Time() time.Time {
	for _, span := range []Span{e.TLS, e.StartTLS, e.Connect} {
		if !span.Start.IsZero() {
			return span.End
		}
	}
	return time.Time{}
}

// KeyType is the type of a server's key. A server with keys of several types
// chooses by what the client offers, so one handshake shows one of them.
type KeyType string

const (
	ECDSA KeyType = "ecdsa"
	RSA   KeyType = "rsa"
)

// KeyTypes lists the key types that a module may ask for.
func KeyTypes() []KeyType { return []KeyType{ECDSA, RSA} }

// Stage is a stage of a handshake with an endpoint.
type Stage uint8

const (
	StageNone     Stage = iota
	StageConnect        // the TCP connection is open
	StageStartTLS       // the server is ready for TLS
	StageTLS            // the TLS handshake is complete
)

// Span is the time that some work took; zero if it was not done.
type Span struct{ Start, End time.Time }

// Union returns the shortest span that covers s and t.
func (s Span) Union(t Span) Span {
	if s.Start.IsZero() {
		return t
	}
	if t.Start.IsZero() {
		return s
	}
	if t.Start.Before(s.Start) {
		s.Start = t.Start
	}
	if t.End.After(s.End) {
		s.End = t.End
	}
	return s
}

// Phase is one kind of work of a probe, from its first start to its last end.
type Phase struct {
	Name string // "discover", "lookup", "connect", "starttls", "tls"
	Span
}

// LookupKind names what was looked up: the value of the label lookup.
type LookupKind string

const (
	LookupMX   LookupKind = "mx"
	LookupSRV  LookupKind = "srv"
	LookupA    LookupKind = "a"
	LookupAAAA LookupKind = "aaaa"
	LookupTLSA LookupKind = "tlsa"
	LookupTXT  LookupKind = "txt" // of MTA-STS and TLSRPT
	LookupCAA  LookupKind = "caa"

	LookupChallenge LookupKind = "acme_challenge" // TXT records at _acme-challenge
)

// Lookup is one lookup of a probe.
type Lookup struct {
	Kind   LookupKind
	Host   string // the host that it was made for; empty for MX and SRV
	Answer *dnssec.Answer
}

// Lookups returns all lookups for DANE in the order in which a client makes them.
func (f *Facts) Lookups() []Lookup {
	var all []Lookup
	add := func(kind LookupKind, host string, answer *dnssec.Answer) {
		if answer != nil {
			all = append(all, Lookup{kind, host, answer})
		}
	}
	add(LookupMX, "", f.MX)
	for i := range f.SRV {
		add(LookupSRV, "", &f.SRV[i].Answer)
	}
	for i := range f.Hosts {
		host := &f.Hosts[i]
		add(LookupA, host.Name, host.A)
		add(LookupAAAA, host.Name, host.AAAA)
		for j := range host.Services {
			for k := range host.Services[j].TLSA {
				add(LookupTLSA, host.Name, &host.Services[j].TLSA[k].Answer)
			}
		}
	}
	return all
}

// Panics returns the panics that were recovered during the probe.
func (f *Facts) Panics() []*PanicError {
	var all []*PanicError
	add := func(err error) {
		if panicked, ok := errors.AsType[*PanicError](err); ok {
			all = append(all, panicked)
		}
	}
	add(f.Err)
	add(f.DelegationsErr)
	if f.MTASTS != nil {
		add(f.MTASTS.Err)
	}
	for _, lookup := range slices.Concat(f.Lookups(), f.MTASTSLookups(), f.RenewalLookups()) {
		add(lookup.Answer.Err)
	}
	for i := range f.Hosts {
		add(f.Hosts[i].Err)
		for j := range f.Hosts[i].Services {
			service := &f.Hosts[i].Services[j]
			add(service.Err)
			for k := range service.Endpoints {
				for e := &service.Endpoints[k]; e != nil; e = e.Other {
					add(e.Err)
				}
			}
			if service.Nameservers != nil {
				for k := range service.Nameservers.Servers {
					add(service.Nameservers.Servers[k].Err)
				}
			}
		}
	}
	return all
}

// IsNullMX reports whether MX records say that the domain receives no mail
// (RFC 7505 §3): a null MX is the only record. Its preference should be 0; Postfix
// ignores it.
func IsNullMX(records []dns.RR) bool { return len(records) == 1 && isNull(records[0]) }

// Addresses returns the addresses of the host that a client may connect to,
// IPv4 first, without duplicates. The addresses of a failed lookup are lost.
func (h *Host) Addresses() []netip.Addr {
	switch {
	case h.Fault.blocks():
		return nil
	case h.Pinned.IsValid():
		return []netip.Addr{h.Pinned}
	}
	var addresses []netip.Addr
	for _, answer := range []*dnssec.Answer{h.A, h.AAAA} {
		if answer == nil || answer.Status.Failed() {
			continue
		}
		for _, rr := range answer.Records {
			if addr := addressOf(rr); addr.IsValid() {
				addresses = append(addresses, addr)
			}
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return slices.Compact(addresses)
}

func addressOf(rr dns.RR) netip.Addr {
	var addr netip.Addr
	switch rr := rr.(type) {
	case *dns.A:
		addr, _ = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		addr, _ = netip.AddrFromSlice(rr.AAAA)
		return addr
	}
	return addr.Unmap()
}

// lostAddresses reports whether a lookup of the host's addresses failed.
func (h *Host) lostAddresses() bool {
	return h.A != nil && h.A.Status.Failed() || h.AAAA != nil && h.AAAA.Status.Failed()
}
