package probe

// Reason names one finding of a closed list. Metrics, alerts, pages and docs
// use these words.
type Reason string

const (
	NoSuchDomain           Reason = "no_such_domain"
	NullMX                 Reason = "null_mx"
	NoAddress              Reason = "no_address"
	DNSFailure             Reason = "dns_failure"
	DNSSECBogus            Reason = "dnssec_bogus"
	MXInsecure             Reason = "mx_insecure"
	AddressInsecure        Reason = "address_insecure"
	TLSAInsecure           Reason = "tlsa_insecure"
	NoTLSA                 Reason = "no_tlsa"
	TLSAUnusable           Reason = "tlsa_unusable"
	TLSAAliasDangling      Reason = "tlsa_alias_dangling"
	TLSAMismatch           Reason = "tlsa_mismatch"
	TrustAnchorNotSent     Reason = "trust_anchor_not_sent"
	ChainInvalid           Reason = "chain_invalid"
	NameMismatch           Reason = "name_mismatch"
	CertificateExpired     Reason = "certificate_expired"
	CertificateNotYetValid Reason = "certificate_not_yet_valid"
	PKIXUntrusted          Reason = "pkix_untrusted"
	ConnectFailed          Reason = "connect_failed"
	Timeout                Reason = "timeout"
	ClientRejected         Reason = "client_rejected"
	ProtocolError          Reason = "protocol_error"
	StartTLSNotOffered     Reason = "starttls_not_offered"
	StartTLSRejected       Reason = "starttls_rejected"
	TLSHandshakeFailed     Reason = "tls_handshake_failed"

	ResolverUnreachable   Reason = "resolver_unreachable"
	DNSSECStripped        Reason = "dnssec_stripped"
	ResolverInconsistent  Reason = "resolver_inconsistent"
	LimitExceeded         Reason = "limit_exceeded"
	ProbeDeadline         Reason = "probe_deadline"
	IPv6Unavailable       Reason = "ipv6_unavailable"
	TargetNotAllowed      Reason = "target_not_allowed"
	CertificateUnparsable Reason = "certificate_unparsable"
	InternalError         Reason = "internal_error"
)

// Effect is what a finding does to the client.
type Effect string

const (
	Refuses Effect = "refuses" // this host or target gets no mail from a DANE client
	Lowers  Effect = "lowers"  // DANE gives less than it could
	Warns   Effect = "warns"   // nothing yet
	Ours    Effect = "ours"    // we could not judge; it is not the server's fault
)

// ReasonInfo teaches one reason.
type ReasonInfo struct {
	Reason  Reason
	Effect  Effect
	Meaning string // one sentence: what is the case
	Remedy  string // one or two sentences: what to do about it
}

// Info returns what there is to know of r.
func (r Reason) Info() ReasonInfo {
	for _, info := range Reasons() {
		if info.Reason == r {
			return info
		}
	}
	return ReasonInfo{Reason: r}
}

// Reasons is the table of all reasons: metrics, pages, commands and docs are made from it.
func Reasons() []ReasonInfo {
	return []ReasonInfo{
		{NoSuchDomain, Refuses, "", ""},
	}
}
