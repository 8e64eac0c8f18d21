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
	SRVInsecure            Reason = "srv_insecure"
	NoSRV                  Reason = "no_srv"
	SRVNone                Reason = "srv_none"
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
	NameserverInconsistent Reason = "nameserver_inconsistent"

	MTASTSRecordInvalid     Reason = "mta_sts_record_invalid"
	MTASTSPolicyUnavailable Reason = "mta_sts_policy_unavailable"
	MTASTSPolicyInvalid     Reason = "mta_sts_policy_invalid"
	MTASTSHostNotCovered    Reason = "mta_sts_host_not_covered"
	MTASTSDisagreement      Reason = "mta_sts_disagreement"
	TLSRPTRecordInvalid     Reason = "tlsrpt_record_invalid"

	ResolverUnreachable   Reason = "resolver_unreachable"
	DNSSECStripped        Reason = "dnssec_stripped"
	ResolverInconsistent  Reason = "resolver_inconsistent"
	LimitExceeded         Reason = "limit_exceeded"
	ProbeDeadline         Reason = "probe_deadline"
	IPv6Unavailable       Reason = "ipv6_unavailable"
	ProxyFailed           Reason = "proxy_failed"
	TargetNotAllowed      Reason = "target_not_allowed"
	CertificateUnparsable Reason = "certificate_unparsable"
	RootsUnavailable      Reason = "roots_unavailable"
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
	if info, known := reasonInfos[r]; known {
		return info
	}
	return ReasonInfo{Reason: r}
}

// reasonInfos is Reasons by name, made once and never written to.
var reasonInfos = infosByReason()

func infosByReason() map[Reason]ReasonInfo {
	infos := make(map[Reason]ReasonInfo)
	for _, info := range Reasons() {
		infos[info.Reason] = info
	}
	return infos
}

// Reasons is the table of all reasons: metrics, pages, commands and docs are made from it.
func Reasons() []ReasonInfo {
	return []ReasonInfo{
		{NoSuchDomain, Warns,
			"The domain does not exist, and that is proven or answered without doubt.",
			"Check the spelling of the target, and that the domain is still registered."},
		{NullMX, Warns,
			"The domain says by a null MX record that it receives no mail (RFC 7505).",
			"Nothing, if that is meant; otherwise publish MX records and remove the null MX."},
		{NoAddress, Warns,
			"The host has no address record of a kind that the module asks for (ip_protocol), so there is nothing to connect to.",
			"Publish an address for the host, or take it out of the records that name it."},
		{DNSFailure, Refuses,
			"A look-up that matters failed: the name servers answered with an error. A DANE client must not go on without the answer (RFC 7672 §2.1.2).",
			"Query the zone's name servers for this name and type. Servers and firewalls that mishandle TLSA queries, or drop large answers, are the usual cause."},
		{DNSSECBogus, Refuses,
			"An answer should be signed and does not validate, so it counts for nothing: signatures missing, expired or wrong, or a DS record that no longer fits.",
			"Re-sign the zone, or make the DS record at the parent fit its keys. The detail names the zone and the record."},
		{MXInsecure, Lowers,
			"The MX records are not protected by DNSSEC, so anybody on the way can name other hosts. The hosts are judged all the same, but the domain is never better than opportunistic (RFC 7672 §2.2.1).",
			"Sign the domain and publish its DS record at the registrar."},
		{SRVInsecure, Lowers,
			"The SRV records are not protected by DNSSEC, so anybody on the way can name other hosts, and DANE does not apply to those that they name (RFC 7673 §3.1).",
			"Sign the domain and publish its DS record at the registrar."},
		{NoSRV, Warns,
			"The domain has no SRV records for the service, and its clients do not look further.",
			"Publish SRV records for the service; or probe its host by name, with another module."},
		{SRVNone, Warns,
			"The domain says by an SRV record with the target . that it does not offer the service (RFC 2782).",
			"Nothing, if that is meant; otherwise name a host in the record."},
		{AddressInsecure, Lowers,
			"The host's addresses are not protected by DNSSEC, so mail servers, and clients that follow SRV records, do not look for its TLSA records (RFC 7672 §2.2.2, RFC 7673 §3.2).",
			"Sign the zone in which the host's addresses lie, or name the host in a signed zone."},
		{TLSAInsecure, Lowers,
			"TLSA records are looked for in a zone that is not protected by DNSSEC, where they prove nothing.",
			"Sign the zone that holds the TLSA records; where they are reached through an alias, the zone that the alias leads to."},
		{NoTLSA, Lowers,
			"It is proven that no TLSA records are published for this service.",
			"Publish TLSA records for the service, for instance 3 1 1 with the SHA-256 digest of the server's public key."},
		{TLSAUnusable, Lowers,
			"A TLSA record cannot be used: malformed, of unknown parameters, or of a certificate usage that this client does not act on. Where none is usable, the peer cannot be authenticated.",
			"Replace it by a well-formed record. Mail servers act on usages 2 and 3 alone (RFC 7672 §3.1)."},
		{TLSAAliasDangling, Lowers,
			"The name of the TLSA records is an alias that leads to nothing.",
			"Publish the TLSA records where the alias points, or remove the alias."},
		{TLSAMismatch, Refuses,
			"None of the TLSA records matches the certificates that the server sends. The usual cause is a renewed certificate and a record that was not.",
			"Publish the record of the certificate that is served, or serve the certificate that the record is of. For the next renewal, publish the new record first and keep the key."},
		{TrustAnchorNotSent, Refuses,
			"A TLSA record names an issuer that the server leaves out of the chain it sends, so no client can match it (RFC 7671 §5.2.2).",
			"Send the whole chain including the certificate that the record is of, the root as well; or publish a record of a certificate that is sent."},
		{ChainInvalid, Refuses,
			"A TLSA record matches a certificate that was sent, but the chain from the server's certificate does not lead to it.",
			"Send every intermediate certificate, and check signatures, CA flags and path lengths of the chain."},
		{NameMismatch, Refuses,
			"The chain leads to the trust anchor, but the server's certificate is for other names (RFC 7672 §3.2.2).",
			"Issue a certificate that contains the TLSA base domain, or publish a DANE-EE(3) record, for which names do not count."},
		{CertificateExpired, Refuses,
			"A certificate whose dates count has expired.",
			"Renew it. Only DANE-EE(3) records disregard dates."},
		{CertificateNotYetValid, Refuses,
			"A certificate whose dates count is not valid yet.",
			"Check the clock of whoever issued it, or wait."},
		{PKIXUntrusted, Refuses,
			"A record of a PKIX usage needs a chain to a root of the Web PKI as well, and there is none.",
			"Send the complete chain of a public CA, or publish a record of usage 2 or 3."},
		{ConnectFailed, Refuses,
			"No connection, or one that ended before TLS: refused, reset, hung up, or no route.",
			"Check that the service runs and that no firewall drops the connection. If every host looks like this, the exporter's own provider may block the port."},
		{Timeout, Refuses,
			"The server did not answer in time.",
			"Check the service's load and whatever stands in front of it. If every host looks like this, the exporter's own provider may block the port."},
		{ClientRejected, Refuses,
			"The server turned the client away before STARTTLS: in SMTP with a 4xx or 5xx reply.",
			"Allow the exporter's address at the server, or look for the reason in its reply: a blocklist, a rate limit, a maintenance, a domain that it does not serve."},
		{ProtocolError, Refuses,
			"The server answered with something that is not its protocol.",
			"Check what listens on this port; a middlebox may be rewriting the dialogue."},
		{StartTLSNotOffered, Refuses,
			"The server does not offer STARTTLS. With secure TLSA records that is a refusal; without, mail goes on unencrypted.",
			"Turn STARTTLS on, and check that no middlebox removes it from what the server offers."},
		{StartTLSRejected, Refuses,
			"The server offers STARTTLS and then rejects the command.",
			"Check the server's log: most often it cannot read its key or certificate."},
		{TLSHandshakeFailed, Refuses,
			"The TLS handshake failed.",
			"Check the server's protocol versions, cipher suites and certificate; the detail holds its alert or our error."},
		{MTASTSRecordInvalid, Warns,
			"The MTA-STS record at _mta-sts is malformed, or there are several, so that senders take it that the domain has no policy (RFC 8461 §3.1).",
			"Publish exactly one TXT record there, as v=STSv1; id=20260131; with an id of letters and digits."},
		{MTASTSPolicyUnavailable, Warns,
			"There is an MTA-STS record, or its look-up fails, and the policy cannot be had. Senders that hold no copy go on without MTA-STS; others keep to theirs until it ends (RFC 8461 §3.3).",
			"Serve the policy at https://mta-sts.DOMAIN/.well-known/mta-sts.txt with status 200, no redirect, and a certificate of a public CA for that name."},
		{MTASTSPolicyInvalid, Warns,
			"What is served as the MTA-STS policy is none: not text/plain, too large, or malformed. Senders go on as if there were no policy (RFC 8461 §3.2).",
			"Correct the file: version: STSv1, mode, max_age and one mx for each MX host, a line each, served as text/plain."},
		{MTASTSHostNotCovered, Warns,
			"The MTA-STS policy does not name this MX host. Under mode enforce, MTA-STS senders do not deliver to it (RFC 8461 §4.1).",
			"Add an mx line for the host to the policy and change the id of the record, or remove the host from the MX records."},
		{MTASTSDisagreement, Warns,
			"DANE and the MTA-STS policy, which is in mode enforce, treat this host differently: senders of one kind deliver to it, those of the other do not. Where secure TLSA records exist, senders that know both go by DANE (RFC 8461 §2).",
			"The detail says who does not deliver, and why. Serve a certificate of a public CA for the host's own name, and keep the TLSA records in step with it."},
		{TLSRPTRecordInvalid, Warns,
			"The TLSRPT record at _smtp._tls is malformed, or there are several, so that nobody reports failures of TLS (RFC 8460 §3).",
			"Publish exactly one TXT record there, as v=TLSRPTv1; rua=mailto:tls-reports@example.org."},
		{NameserverInconsistent, Warns,
			"One of the zone's name servers has other TLSA records than the resolver gave, or signatures that do not hold, or does not serve the zone: senders whose resolver asks that one see another domain.",
			"Look at the zone transfers of the server that the detail names: it missed an update, or signs with keys that are gone. Or take it out of the NS records."},
		{ResolverUnreachable, Ours,
			"No DNS resolver answers the exporter, so nothing could be judged.",
			"Check resolver.servers in the configuration, and the network between."},
		{DNSSECStripped, Ours,
			"The DNS resolver withholds DNSSEC records, so nothing can be validated.",
			"Set resolver.servers to a resolver that passes them on; a local Unbound or Knot Resolver does."},
		{ResolverInconsistent, Ours,
			"The resolvers disagree: one gave an answer that does not validate, another gave one that does.",
			"Nothing at the target. Look at the resolver that the detail names; a forwarder may be holding a bad answer in its cache."},
		{LimitExceeded, Ours,
			"Judging this target would have cost more than the exporter's limits allow: too many hosts, addresses, aliases, signatures or hashes.",
			"Look at what the zone publishes; nothing that honest zones need comes near the limits."},
		{ProbeDeadline, Ours,
			"The scrape's deadline came before the probe was through.",
			"Raise scrape_timeout and the module's timeout. 30 s is a good value for both."},
		{IPv6Unavailable, Ours,
			"This machine, or the module's proxy, has no way to IPv6 addresses, so they were not judged.",
			"Give the exporter, or its proxy, IPv6, or set ip_protocol to ip4 and know that half of the endpoints go unwatched."},
		{ProxyFailed, Ours,
			"The module's SOCKS5 proxy cannot be reached, turns the exporter away, or does not say in time whether it got through to the server.",
			"Check the proxy, and user and password, in the module's proxy; the detail holds what it said."},
		{TargetNotAllowed, Ours,
			"The configuration does not allow this target, or the address that it leads to.",
			"Add the name to access.targets, or the network to access.allow_networks, if the exporter may go there."},
		{CertificateUnparsable, Ours,
			"The server's certificate cannot be read by the library in use here, so it was not judged.",
			"Look at the certificate; other clients may accept it."},
		{RootsUnavailable, Ours,
			"This machine has no CA certificates, which TLSA records of the PKIX usages need, so they were not judged.",
			"Install CA certificates, in a container the package ca-certificates, or point SSL_CERT_FILE at them."},
		{InternalError, Ours,
			"The exporter could not do its part.",
			"Look at the detail and the exporter's log, and please report a defect."},
	}
}
