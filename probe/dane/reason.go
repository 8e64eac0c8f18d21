package dane

import "slices"

// Reason is the name of a finding, one of a closed list. Metrics, alerts, pages
// and documents use these names.
type Reason string

const (
	NoSuchDomain              Reason = "no_such_domain"
	NullMX                    Reason = "null_mx"
	NullMXConflict            Reason = "null_mx_conflict"
	MXNamesAddress            Reason = "mx_names_address"
	InvalidHostname           Reason = "invalid_hostname"
	SpecialUseName            Reason = "special_use_name"
	NoAddress                 Reason = "no_address"
	DNSFailure                Reason = "dns_failure"
	DNSSECBogus               Reason = "dnssec_bogus"
	MXInsecure                Reason = "mx_insecure"
	SRVInsecure               Reason = "srv_insecure"
	NoSRV                     Reason = "no_srv"
	SRVNone                   Reason = "srv_none"
	AddressInsecure           Reason = "address_insecure"
	TLSAInsecure              Reason = "tlsa_insecure"
	NoTLSA                    Reason = "no_tlsa"
	TLSAUnusable              Reason = "tlsa_unusable"
	TLSAAliasDangling         Reason = "tlsa_alias_dangling"
	TLSAMismatch              Reason = "tlsa_mismatch"
	TrustAnchorNotSent        Reason = "trust_anchor_not_sent"
	ChainInvalid              Reason = "chain_invalid"
	NameMismatch              Reason = "name_mismatch"
	CertificateExpired        Reason = "certificate_expired"
	CertificateNotYetValid    Reason = "certificate_not_yet_valid"
	PKIXUntrusted             Reason = "pkix_untrusted"
	ConnectFailed             Reason = "connect_failed"
	Timeout                   Reason = "timeout"
	ClientRejected            Reason = "client_rejected"
	ProtocolError             Reason = "protocol_error"
	StartTLSNotOffered        Reason = "starttls_not_offered"
	StartTLSRejected          Reason = "starttls_rejected"
	TLSHandshakeFailed        Reason = "tls_handshake_failed"
	ClientCertificateRequired Reason = "client_certificate_required"
	TLSObsolete               Reason = "tls_obsolete"
	LargeClientHelloDropped   Reason = "large_client_hello_dropped"
	PlaintextAfterSTARTTLS    Reason = "plaintext_after_starttls"
	ChainTooDeep              Reason = "chain_too_deep"
	NameserverInconsistent    Reason = "nameserver_inconsistent"
	ParentInconsistent        Reason = "parent_inconsistent"
	LameDelegation            Reason = "lame_delegation"
	CDSInconsistent           Reason = "cds_inconsistent"

	MTASTSRecordInvalid     Reason = "mta_sts_record_invalid"
	MTASTSSyntax            Reason = "mta_sts_syntax"
	MTASTSPolicyUnavailable Reason = "mta_sts_policy_unavailable"
	MTASTSPolicyInvalid     Reason = "mta_sts_policy_invalid"
	MTASTSHostNotCovered    Reason = "mta_sts_host_not_covered"
	MTASTSDisagreement      Reason = "mta_sts_disagreement"
	TLSRPTRecordInvalid     Reason = "tlsrpt_record_invalid"
	TLSRPTSyntax            Reason = "tlsrpt_syntax"

	CAALookupFailed    Reason = "caa_lookup_failed"
	CAAForbidsIssuer   Reason = "caa_forbids_issuer"
	ACMEChallengeBogus Reason = "acme_challenge_bogus"

	ResolverUnreachable   Reason = "resolver_unreachable"
	ResolverFailed        Reason = "resolver_failed"
	DNSSECStripped        Reason = "dnssec_stripped"
	RootBogus             Reason = "root_bogus"
	ResolverInconsistent  Reason = "resolver_inconsistent"
	LimitExceeded         Reason = "limit_exceeded"
	ProbeDeadline         Reason = "probe_deadline"
	IPv6Unavailable       Reason = "ipv6_unavailable"
	ProxyFailed           Reason = "proxy_failed"
	TargetNotAllowed      Reason = "target_not_allowed"
	CertificateUnparsable Reason = "certificate_unparsable"
	TLSUnsupportedHere    Reason = "tls_unsupported_here"
	RootsUnavailable      Reason = "roots_unavailable"
	InternalError         Reason = "internal_error"
)

// Effect is what a finding means for the client.
type Effect string

const (
	EffectError    Effect = "error"    // DANE clients do not deliver to this host or target
	EffectDegraded Effect = "degraded" // DANE protects less than it could
	EffectWarning  Effect = "warning"  // mail is not affected yet
	EffectInternal Effect = "internal" // the exporter could not judge; the cause is on its side
)

// ReasonInfo explains one reason.
type ReasonInfo struct {
	Reason  Reason
	Effect  Effect
	Meaning string // what was found
	Senders string // what senders or clients do now
	Remedy  string // what to do about it
	More    string // further advice for the runbook; Markdown, may be empty
	Verify  string // how to see that the problem is solved; Markdown
}

// Info returns the explanation of r.
func (r Reason) Info() ReasonInfo {
	for _, info := range reasons {
		if info.Reason == r {
			return info
		}
	}
	return ReasonInfo{Reason: r}
}

// Reasons returns the table of all reasons. Metrics, pages, commands, alerts and
// the runbook are made from it.
func Reasons() []ReasonInfo { return slices.Clone(reasons) }

const (
	senderRefuses     = "Senders that validate DANE do not deliver to this host."
	senderWithout     = "Senders deliver without DANE, with TLS if the server offers it."
	nothingKnown      = "Not known. The finding does not mean that anything is wrong with the target."
	withSecureTLSA    = "With secure TLSA records, senders that validate DANE do not deliver to this host. "
	mtastsAsNoOne     = "MTA-STS senders without a cached policy deliver as if there were none."
	outcomeNotUnknown = "The outcome is no longer `unknown`."
	tlsaMatches       = "`dane_tlsa_match` is 1."
	signTheDomain     = "Sign the domain and publish its DS record at the registrar. " + ifSigned
	ifSigned          = "If there is a DS record already, the detail says why it does not count. Validators support algorithm 13 with digest type 2."
)

// reasons is the table of all reasons. It is never modified.
var reasons = []ReasonInfo{
	{Reason: NoSuchDomain, Effect: EffectWarning,
		Meaning: "The domain does not exist: its lookup returned NXDOMAIN, with a valid proof if the zone is signed.",
		Senders: "No sender can deliver: every mail server bounces the mail.",
		Remedy:  "Check the spelling of the target, and that the domain is still registered.",
		Verify:  "`dig +dnssec MX` at the domain does not return NXDOMAIN, and the outcome is no longer `none`."},
	{Reason: NullMX, Effect: EffectWarning,
		Meaning: "The domain states by a null MX record that it receives no mail (RFC 7505 §3).",
		Senders: "Senders bounce the mail, as the domain requests.",
		Remedy:  "Nothing to do if this is intended; otherwise publish MX records and remove the null MX.",
		Verify:  "`check` lists the hosts. Until the TTL of the null MX has passed, some senders still use it."},
	{Reason: NullMXConflict, Effect: EffectError,
		Meaning: "A null MX, which states that the domain receives no mail, is published with other MX records. It must be the only one (RFC 7505 §3).",
		Senders: "Postfix bounces all mail for the domain. Other senders ignore the null MX and deliver to the other hosts.",
		Remedy:  "Remove the null MX if the domain receives mail; otherwise remove the other MX records.",
		Verify:  "`dane_finding{reason=\"null_mx_conflict\"}` is absent."},
	{Reason: MXNamesAddress, Effect: EffectDegraded,
		Meaning: "An MX record names an address in place of a hostname (RFC 5321 §5.1 requires a name). There can be no TLSA records for it.",
		Senders: "Postfix connects to the address, without DANE. Other senders do not deliver to it, and some bounce the mail.",
		Remedy:  "Give the server a name with an address record, and name that in the MX record.",
		Verify:  "`check` lists a hostname."},
	{Reason: InvalidHostname, Effect: EffectWarning,
		Meaning: "An MX or SRV record, or an alias, leads to a name that is not a hostname. The labels of a hostname have letters, digits and hyphens (RFC 5321 §2.3.5). The exporter does not connect to it.",
		Senders: "Postfix ignores the host. Senders try the other hosts of the domain. If there is none, mail waits or bounces.",
		Remedy:  "Name the host by its A-labels: xn--bcher-kva.example, not the characters themselves. Check the zone file for stray characters.",
		Verify:  "`check` lists the host by a valid name."},
	{Reason: SpecialUseName, Effect: EffectWarning,
		Meaning: "The target, an MX or SRV record, or an alias leads to a special-use name. These are localhost and the names below invalid, local, onion and home.arpa (RFC 6761 §6.3, §6.4, RFC 6762 §22.1, RFC 7686 §2, RFC 8375 §4). Such names have no meaning in the public DNS. The exporter does not query for them.",
		Senders: "Senders try the other hosts of the domain. If there is none, mail waits or bounces. A sender may take localhost for itself.",
		Remedy:  "Name a host of the public DNS. A domain that receives no mail publishes a null MX (RFC 7505 §3).",
		Verify:  "`check` lists a host with a public name."},
	{Reason: NoAddress, Effect: EffectWarning,
		Meaning: "The host has no address record of a family that the module requires (ip_protocol), so there is nothing to connect to.",
		Senders: "Senders try the other hosts of the domain. If there is none, mail waits or bounces.",
		Remedy:  "Publish an address for the host, or remove it from the records that name it.",
		More:    "With `ip_protocol: ip4` in the module, a host that has only IPv6 addresses is reported too.",
		Verify:  "The host appears in `dane_endpoints`."},
	{Reason: DNSFailure, Effect: EffectError,
		Meaning: "A lookup that DANE depends on failed: the nameservers returned an error. A DANE client must not continue without the answer (RFC 7672 §2.1.2).",
		Senders: "Senders that validate DANE queue the mail and retry for some days. Other senders deliver.",
		Remedy:  "Query the zone's nameservers for this name and type. Nameservers and firewalls that mishandle TLSA queries, or drop large answers, are the usual cause.",
		More:    "If a lookup of one address family fails, Postfix uses the other. Stricter senders, and clients of SRV records, do not connect (RFC 7672 §2.2.2, RFC 7673 §3.2). The finding names the lookup that failed: mx, a, aaaa, srv or tlsa. Query each nameserver of the zone over UDP and TCP; a module with `nameservers: true` does so.",
		Verify:  "`dane_dnssec_info` of that lookup no longer has the status `indeterminate`."},
	{Reason: DNSSECBogus, Effect: EffectError,
		Meaning: "An answer that must be signed does not validate, so it is not used. Signatures are missing, expired or wrong, or a DS record matches no key.",
		Senders: "Validating resolvers do not return such data, so mail servers that use them queue the mail, with DANE or without. Mail servers that use other resolvers still deliver.",
		Remedy:  "Sign the zone again, or make the DS record at the parent match its keys. The detail names the zone and the record.",
		More:    "If the signer stopped, start it and sign the whole zone. If keys were replaced too early, restore the old DNSKEY or change the DS record. If nothing else helps, remove the DS record at the registrar: after its TTL the zone is insecure instead of bogus.",
		Verify:  "`dane_dnssec_valid` is 1 again for each lookup. Caches may hold the failure for a few more minutes (at most five, RFC 9520 §3.2)."},
	{Reason: MXInsecure, Effect: EffectDegraded,
		Meaning: "The MX records are not protected by DNSSEC, so an attacker on the path can name other hosts. The hosts are judged, but the domain is at best opportunistic (RFC 7672 §2.2.1).",
		Senders: "Senders deliver, with TLS if the server offers it. Postfix still checks the TLSA records of the hosts, and refuses a host that does not match.",
		Remedy:  signTheDomain,
		More:    "If many domains get this finding at the same time, the registrar or the registry may have removed their DS records. With `nameservers: true`, the report then has the advice `keys_without_ds`. An example is `dane_exporter lab check --module smtp_mx_full first.ds-removed`.",
		Verify:  "`dane_dnssec_valid{lookup=\"mx\"}` is 1, and the outcome is `authenticated` if the hosts have DANE."},
	{Reason: SRVInsecure, Effect: EffectDegraded,
		Meaning: "The SRV records are not protected by DNSSEC, so an attacker on the path can name other hosts. DANE does not apply to the hosts that they name (RFC 7673 §3.1).",
		Senders: "Clients connect, and authenticate the server by the Web PKI and the service domain.",
		Remedy:  signTheDomain,
		Verify:  "`dane_dnssec_valid{lookup=\"srv\"}` is 1."},
	{Reason: NoSRV, Effect: EffectWarning,
		Meaning: "The domain has no SRV records for the service. DANE does not apply to the domain itself, to which some clients fall back (RFC 7673 §3.1).",
		Senders: "Clients connect to the domain itself on the default port, without DANE, or do not find the service.",
		Remedy:  "Publish SRV records for the service, or probe its host by name with another module.",
		Verify:  "`check` lists the hosts."},
	{Reason: SRVNone, Effect: EffectWarning,
		Meaning: "The domain states by an SRV record with the target \".\" that it does not offer the service (RFC 2782).",
		Senders: "No client connects.",
		Remedy:  "Nothing to do if this is intended; otherwise name a host in the record.",
		Verify:  "`check` lists the hosts."},
	{Reason: AddressInsecure, Effect: EffectDegraded,
		Meaning: "The host's addresses are not protected by DNSSEC. So mail servers, and clients that follow SRV records, do not look up its TLSA records (RFC 7672 §2.2.2, RFC 7673 §3.2).",
		Senders: "Senders deliver without DANE, with TLS if the server offers it. They do not query for TLSA records.",
		Remedy:  "Sign the zone that contains the host's addresses, or name the host in a signed zone. " + ifSigned,
		Verify:  "`dane_dnssec_valid` of the lookups `a` and `aaaa` is 1."},
	{Reason: TLSAInsecure, Effect: EffectDegraded,
		Meaning: "The zone that would hold the TLSA records is not protected by DNSSEC, so they prove nothing.",
		Senders: senderWithout,
		Remedy:  "Sign the zone that holds the TLSA records. If they are reached through an alias, sign the zone of the alias target. " + ifSigned,
		Verify:  "`dane_dnssec_valid{lookup=\"tlsa\"}` is 1."},
	{Reason: NoTLSA, Effect: EffectDegraded,
		Meaning: "No TLSA records are published for this service, and their absence is proven.",
		Senders: senderWithout,
		Remedy:  "Publish TLSA records for the service, for example 3 1 1 with the SHA-256 digest of the server's public key.",
		More:    "`dane_exporter tlsa --connect HOST:25` prints the record. If records existed before, find out which tool or person removed them.",
		Verify:  "`dane_tlsa_records{usable=\"yes\"}` is above 0, and `dane_tlsa_match` is 1."},
	{Reason: TLSAUnusable, Effect: EffectDegraded,
		Meaning: "A TLSA record cannot be used: it is malformed, has unknown parameters, or has a certificate usage that this client does not support. If no record is usable, the server cannot be authenticated.",
		Senders: "If another record is usable, only that one counts. If none is usable, senders require TLS and do not authenticate the server: the outcome is `encrypted`. Clients of SRV records also require a certificate of the Web PKI (RFC 7673 §4.1). Some clients behave as if there were no records.",
		Remedy:  "Replace it with a well-formed record. Mail servers act on usages 2 and 3 only (RFC 7672 §3.1).",
		More:    "`check` prints for each record why it cannot be used.",
		Verify:  "`dane_tlsa_records{usable=\"no\"}` is 0."},
	{Reason: TLSAAliasDangling, Effect: EffectDegraded,
		Meaning: "The name of the TLSA records is an alias whose target has no records.",
		Senders: senderWithout,
		Remedy:  "Publish the TLSA records at the alias target, or remove the alias.",
		Verify:  "`check` shows the alias target, and records there."},
	{Reason: TLSAMismatch, Effect: EffectError,
		Meaning: "None of the TLSA records matches the certificates that the server sends. The usual cause: the certificate was renewed and the record was not.",
		Senders: "Senders that validate DANE do not deliver to this host. They try the other hosts, queue the mail, and bounce it after some days. Other senders are not affected.",
		Remedy:  "Publish the record for the certificate that is served, or serve the certificate that the record describes. For the next renewal, publish the new record first and keep the key.",
		More:    "Publishing is faster: `dane_exporter tlsa --connect HOST:25` prints the record of the current certificate. Caches hold the old records for their TTL, `dane_tlsa_ttl_seconds`, so senders return within that time. [rollover.md](rollover.md) describes a renewal that does not break mail.",
		Verify:  "`dane_exporter tlsa --connect HOST:25 --check` exits with 0, and `dane_tlsa_match` is 1."},
	{Reason: TrustAnchorNotSent, Effect: EffectError,
		Meaning: "A TLSA record describes an issuer certificate that the server does not send, so no client can match it (RFC 7671 §5.2.2).",
		Senders: senderRefuses,
		Remedy:  "Send the whole chain, including the certificate that the record describes, even a root; or publish a record for a certificate that is sent.",
		More:    "In Postfix, `smtpd_tls_chain_files` takes the whole chain. The files that CAs deliver do not contain the root, so append it, or publish a record of the intermediate.",
		Verify:  "`check` lists the certificate among those sent, and `dane_tlsa_match` is 1."},
	{Reason: ChainInvalid, Effect: EffectError,
		Meaning: "A TLSA record describes a certificate that was sent, or contains it, but no valid chain leads from the server's certificate to it. Each certificate must be for TLS servers, or for a CA that issues them.",
		Senders: senderRefuses + " Some clients do not check the purpose of certificates, and deliver.",
		Remedy:  "Send every intermediate certificate. Check signatures, CA flags and path lengths, and that an extended key usage of any certificate includes serverAuth. Or publish a DANE-EE(3) record, for which these checks do not apply.",
		More:    "The usual causes: an intermediate is missing, or the server sends an outdated one, or a CA issued a certificate for TLS clients only.",
		Verify:  tlsaMatches},
	{Reason: NameMismatch, Effect: EffectError,
		Meaning: "The chain leads to the trust anchor, but the server's certificate is valid for other names (RFC 7672 §3.2.2).",
		Senders: senderRefuses,
		Remedy:  "Issue a certificate that contains the TLSA base domain, or publish a DANE-EE(3) record, for which names do not count.",
		More:    "`check` lists the expected names and those of the certificate.",
		Verify:  "`dane_certificate_name_match` and `dane_tlsa_match` are 1."},
	{Reason: CertificateExpired, Effect: EffectError,
		Meaning: "A certificate whose dates count has expired.",
		Senders: senderRefuses,
		Remedy:  "Renew the certificate. Only under DANE-EE(3) records do dates not count.",
		More:    "Check the expiry of the intermediates too: `dane_certificate_chain_not_after_timestamp_seconds`.",
		Verify:  "`dane_authenticated_until_timestamp_seconds` is in the future."},
	{Reason: CertificateNotYetValid, Effect: EffectError,
		Meaning: "A certificate whose dates count is not valid yet.",
		Senders: senderRefuses,
		Remedy:  "Check the clock of the issuer, or wait.",
		More:    "Check the exporter's own clock too: the self-check reports it.",
		Verify:  tlsaMatches},
	{Reason: PKIXUntrusted, Effect: EffectError,
		Meaning: "A chain to a Web PKI root for a name of the service is required, and there is none. A record with a PKIX usage requires it, and so does an SRV record without a usable TLSA record (RFC 7673 §4.1).",
		Senders: "Clients that act on usages 0 and 1, or follow SRV records, do not connect. Mail servers ignore such records.",
		Remedy:  "Send the complete chain of a public CA, or publish a record with usage 2 or 3.",
		Verify:  "`dane_pkix_valid` is 1."},
	{Reason: ConnectFailed, Effect: EffectError,
		Meaning: "The connection failed, or ended before the server answered the client: refused, reset, closed, or no route.",
		Senders: "No sender delivers to this host, with DANE or without. Senders use the other hosts, or queue the mail.",
		Remedy:  "Check that the service runs and that no firewall drops the connection. If every host has this reason, the exporter's own provider may block the port.",
		More:    "`dane_exporter check --self --smtp-host HOST` shows whether the exporter's network is the cause.",
		Verify:  "`dane_endpoint_up` is 1."},
	{Reason: Timeout, Effect: EffectError,
		Meaning: "The server did not answer in time.",
		Senders: "No sender with this timeout delivers to the host. Mail servers wait longer: five minutes for a greeting (RFC 5321 §4.5.3.2.1).",
		Remedy:  "Check the load of the service, and of proxies and firewalls in front of it. If every host has this reason, the exporter's own provider may block the port.",
		More:    "Some servers delay the greeting for unknown clients, such as Postfix with postscreen. Use a module with a longer `timeout`, or add the exporter's address to their allowlist: see [etiquette.md](etiquette.md).",
		Verify:  "`dane_endpoint_up` is 1, and the phases in `check` show which step takes the time."},
	{Reason: ClientRejected, Effect: EffectError,
		Meaning: "The server rejected the client, before STARTTLS or inside TLS. In SMTP, it sends a 4xx or 5xx reply, which may follow lines with the code 220.",
		Senders: "Not known: the server rejected the exporter and may accept others.",
		Remedy:  "Allow the exporter's address at the server, or find the cause in its reply. Examples are a blocklist, a rate limit, maintenance, or a domain that it does not serve.",
		More:    "[etiquette.md](etiquette.md) says how to avoid rejection.",
		Verify:  "`check` shows a dialogue that reaches STARTTLS, and no finding for the address."},
	{Reason: ProtocolError, Effect: EffectError,
		Meaning: "The server sent something that is not valid in its protocol.",
		Senders: "Probably no sender delivers to this host.",
		Remedy:  "Check which program listens on this port. A middlebox may rewrite the dialogue.",
		Verify:  "`check` shows the expected dialogue."},
	{Reason: StartTLSNotOffered, Effect: EffectError,
		Meaning: "The server does not offer STARTTLS, or refuses EHLO and accepts HELO only. With secure TLSA records, DANE clients do not deliver; without them, mail is sent in cleartext.",
		Senders: withSecureTLSA + "Without them, all senders deliver in cleartext.",
		Remedy:  "Enable STARTTLS, and check that no middlebox removes it from the server's reply.",
		Verify:  "`dane_starttls_offered` is 1."},
	{Reason: StartTLSRejected, Effect: EffectError,
		Meaning: "The server offers STARTTLS and then rejects the command.",
		Senders: withSecureTLSA + "Without them, most senders deliver in cleartext.",
		Remedy:  "Check the server's log. The usual cause: it cannot read its key or certificate.",
		Verify:  "`dane_tls_info` is present."},
	{Reason: TLSHandshakeFailed, Effect: EffectError,
		Meaning: "The TLS handshake failed.",
		Senders: withSecureTLSA + "Without them, many senders retry in cleartext.",
		Remedy:  "Check the server's protocol versions, cipher suites and certificate. The detail contains its alert or the client's error.",
		Verify:  "`dane_tls_info` is present."},
	{Reason: PlaintextAfterSTARTTLS, Effect: EffectWarning,
		Meaning: "The server sent plaintext after the reply by which it agreed to TLS. An attacker on the path can inject such text (CVE-2011-0411).",
		Senders: "Senders discard the text and start TLS, as Postfix does, or end the connection.",
		Remedy:  "Check the server, and load balancers and filters in front of it: nothing may follow that reply. If the text appears on some paths only, an attacker may inject it.",
		More:    "The exporter does not recognize text that arrives later than the reply. The TLS handshake fails instead.",
		Verify:  "`dane_finding{reason=\"plaintext_after_starttls\"}` is absent."},
	{Reason: ChainTooDeep, Effect: EffectWarning,
		Meaning: "The only TLSA records that match describe a certificate further above the server's certificate than Postfix verifies.",
		Senders: "Postfix does not deliver with its default of 9 for smtp_tls_scert_verifydepth, which accepts at most 11 certificates above the server's. OpenSSL itself accepts 101.",
		Remedy:  "Publish a record of a lower certificate of the chain, or a DANE-EE(3) record, for which the chain does not count.",
		More:    "Remove the certificates from the chain that are not needed to reach the one that the record describes.",
		Verify:  "`dane_finding{reason=\"chain_too_deep\"}` is absent."},
	{Reason: ClientCertificateRequired, Effect: EffectError,
		Meaning: "The server requires a certificate of the client, and ends the session because the exporter sends none.",
		Senders: "Mail servers rarely send a certificate, and clients that follow DANE need none. Senders without a certificate do not deliver. Without secure TLSA records, Postfix retries in cleartext later.",
		Remedy:  "Request client certificates without requiring them, at least on ports that the public uses.",
		More:    "In TLS 1.3 the server rejects the client only after the client has completed the handshake, so a test that stops there succeeds. In Postfix, `smtpd_tls_req_ccert` requires certificates, and `smtpd_tls_ask_ccert` requests them. XMPP servers have certificates for each other, so a server that requires one of them does not get this finding.",
		Verify:  "`check` reports no finding for the address."},
	{Reason: TLSObsolete, Effect: EffectWarning,
		Meaning: "The server's TLS is obsolete: its best version is TLS 1.0 or 1.1 (RFC 8996), or it lacks secure renegotiation (RFC 5746).",
		Senders: "Postfix with OpenSSL 3 still accepts TLS 1.0 and 1.1, and refuses a server without secure renegotiation. Senders that require TLS 1.2 refuse both. With secure TLSA records, a sender that refuses does not deliver.",
		Remedy:  "Update the TLS library of the server, and enable TLS 1.2 and 1.3.",
		More:    "`openssl s_client -tls1_2` shows whether the server speaks TLS 1.2. With OpenSSL 3, `-legacy_server_connect` accepts a server without secure renegotiation.",
		Verify:  "`dane_tls_info` has the version `TLS 1.2` or `TLS 1.3`, and `check` reports no finding for the address."},
	{Reason: LargeClientHelloDropped, Effect: EffectWarning,
		Meaning: "The server, or a device before it, drops or rejects a ClientHello of two packets, as clients with ML-KEM send it. It answered a shorter one.",
		Senders: "Senders with OpenSSL 3.5 or later, and Go, offer ML-KEM and fail. Others deliver. With secure TLSA records, a sender that fails does not deliver.",
		Remedy:  "Update the TLS library of the server, and the firewall or load balancer before it. A ClientHello may consist of several TCP segments and TLS records.",
		More:    "`openssl s_client -groups X25519MLKEM768:X25519` of OpenSSL 3.5 reproduces it, and `-groups X25519` succeeds.",
		Verify:  "`check` reports no finding for the address, and `dane_tls_info` has the group that the server prefers."},
	{Reason: MTASTSRecordInvalid, Effect: EffectWarning,
		Meaning: "The MTA-STS record at _mta-sts is malformed, or there are several. Senders then assume that the domain has no policy (RFC 8461 §3.1).",
		Senders: "MTA-STS senders continue without a policy, or with the one in their cache.",
		Remedy:  "Publish exactly one TXT record there, such as v=STSv1; id=20260131; with an id of letters and digits.",
		Verify:  "`dane_mta_sts_record_valid` is 1."},
	{Reason: MTASTSSyntax, Effect: EffectWarning,
		Meaning: "The MTA-STS record or policy has text that its syntax does not allow or that does not count (RFC 8461 §3.1, §3.2). Examples are empty lines, a repeated key, an underscore in mx, and a second record.",
		Senders: "Most MTA-STS senders tolerate the text. Strict ones reject the record or policy, and deliver without MTA-STS.",
		Remedy:  "Remove what the detail names, and change the id of the record.",
		Verify:  "`dane_finding{reason=\"mta_sts_syntax\"}` is absent."},
	{Reason: MTASTSPolicyUnavailable, Effect: EffectWarning,
		Meaning: "There is an MTA-STS record, or its lookup failed, and the policy cannot be fetched. Senders without a cached policy continue without MTA-STS; others use theirs until it expires (RFC 8461 §3.3).",
		Senders: mtastsAsNoOne,
		Remedy:  "Serve the policy at https://mta-sts.DOMAIN/.well-known/mta-sts.txt with status 200, no redirect, and a certificate of a public CA for that name.",
		Verify:  "`dane_mta_sts_policy_fetched` is 1."},
	{Reason: MTASTSPolicyInvalid, Effect: EffectWarning,
		Meaning: "The MTA-STS policy is not valid: not text/plain or malformed (RFC 8461 §3.2), or too large (RFC 8461 §3.3). Senders without a cached policy continue as if there were none.",
		Senders: mtastsAsNoOne,
		Remedy:  "Correct the file: version: STSv1, mode, max_age and one mx for each MX host, one per line, served as text/plain.",
		Verify:  "`dane_mta_sts_policy_fetched` is 1."},
	{Reason: MTASTSHostNotCovered, Effect: EffectWarning,
		Meaning: "The MTA-STS policy does not list this MX host. In mode enforce, MTA-STS senders do not deliver to it (RFC 8461 §4.1).",
		Senders: "In mode enforce, MTA-STS senders do not deliver to this host; they try the others.",
		Remedy:  "Add an mx line for the host to the policy and change the id of the record, or remove the host from the MX records.",
		More:    "Senders read the new policy only when the id of the record changes or their copy expires.",
		Verify:  "`dane_mta_sts_host_covered` is 1."},
	{Reason: MTASTSDisagreement, Effect: EffectWarning,
		Meaning: "The MTA-STS policy is in mode enforce, and DANE and MTA-STS senders treat this host differently: one kind delivers to it, the other does not. MTA-STS must not override a failure of DANE (RFC 8461 §2). If only MTA-STS fails, the text forbids delivery (RFC 8461 §5).",
		Senders: "One kind of sender delivers, the other does not. So mail from only some correspondents arrives. Most senders that support both follow DANE where secure TLSA records exist. A Postfix whose TLS policy comes from mta-sts-daemon alone follows MTA-STS.",
		Remedy:  "The detail says which senders do not deliver, and why. Serve a certificate of a public CA for the host's own name, and keep the TLSA records consistent with it.",
		More:    "[mta-sts.md](mta-sts.md) explains which senders follow DANE, MTA-STS or both.",
		Verify:  "`check --module smtp_mx_mta_sts` lists the same result for the three kinds of sender."},
	{Reason: TLSRPTRecordInvalid, Effect: EffectWarning,
		Meaning: "The TLSRPT record at _smtp._tls is malformed, or there are several, so it does not count (RFC 8460 §3). For DANE, senders may also use the record of the TLSA base domain (RFC 8460 §1.1).",
		Senders: "Senders deliver, and report no failures to the domain.",
		Remedy:  "Publish exactly one TXT record there, such as v=TLSRPTv1; rua=mailto:tls-reports@example.org.",
		Verify:  "`dane_tlsrpt_record_valid` is 1."},
	{Reason: TLSRPTSyntax, Effect: EffectWarning,
		Meaning: "The TLSRPT record has text that its syntax does not allow or that does not count (RFC 8460 §3). Examples are misplaced white space, a URI with a scheme that senders do not support, and a second record.",
		Senders: "Senders deliver. Most report to the URIs that they support. Strict ones reject a record that violates the syntax, and do not report.",
		Remedy:  "Remove what the detail names. Reports are sent to mailto: and https: URIs.",
		Verify:  "`dane_finding{reason=\"tlsrpt_syntax\"}` is absent."},
	{Reason: CAALookupFailed, Effect: EffectWarning,
		Meaning: "The CAA records of the name in the certificate, or of a parent of that name, cannot be validated, although the zone is signed.",
		Senders: "Mail is not affected. CAs must refuse the next certificate (CA/Browser Forum Baseline Requirements, section 3.2.2.8).",
		Remedy:  "Repair the signatures or the servers of the zone. A server that does not know CAA records must still prove that there are none.",
		More:    "`delv CAA mx.example.org` shows what a CA sees. A CA looks up the name, then each parent up to the top-level domain (RFC 8659 §3). So a broken parent counts too. For a wildcard certificate, it begins at the parent.",
		Verify:  "`dane_dnssec_valid{lookup=\"caa\"}` is 1, or `dane_finding{reason=\"caa_lookup_failed\"}` is absent."},
	{Reason: CAAForbidsIssuer, Effect: EffectWarning,
		Meaning: "The CAA records of the name do not admit the CA that issued the current certificate (RFC 8659).",
		Senders: "Mail is not affected. That CA must refuse the next certificate.",
		Remedy:  "Add a CAA record with the domain of the CA, such as 0 issue \"letsencrypt.org\". Or obtain the next certificate from a CA that the records admit.",
		More:    "A failed renewal does not break DANE-EE(3), for which clients ignore the dates of the certificate. It breaks all other usages when the certificate expires. If the CA recognizes a domain that the exporter does not know, list all domains of the CA in `issuers` of the module.",
		Verify:  "`dane_finding{reason=\"caa_forbids_issuer\"}` is absent."},
	{Reason: ACMEChallengeBogus, Effect: EffectWarning,
		Meaning: "The name _acme-challenge below the name in the certificate, or the target of its alias, does not validate. CAs that validate by DNS look up their challenge there (RFC 8555 §8.4).",
		Senders: "Mail is not affected. CAs that validate by DNS must refuse the next certificate.",
		Remedy:  "Repair the signatures of the zone that holds the name. If it is an alias into another zone, check the DS record of that zone.",
		More:    "The finding does not matter if the CA validates the name by HTTP or TLS-ALPN only.",
		Verify:  "`dane_dnssec_valid{lookup=\"acme_challenge\"}` is 1."},
	{Reason: NameserverInconsistent, Effect: EffectWarning,
		Meaning: "A nameserver of the zone returns other TLSA records than the resolver, returns invalid signatures, or does not serve the zone. Senders whose resolver queries it get another result.",
		Senders: "The result depends on the nameserver that a sender's resolver queries: some get the correct records, others do not.",
		Remedy:  "Check the zone transfers of the nameserver that the detail names: it missed an update, or signs with keys that were removed. Otherwise remove it from the NS records.",
		More:    "`dane_nameserver_soa_serial` shows which one is behind. If only some probes report it, one node of an anycast nameserver may have old keys. An example is `dane_exporter lab check --module smtp_mx_full anycast-stale-keys.lab.test`. `dig +nsid` shows the node.",
		Verify:  "`dane_nameserver_tlsa_consistent` and `dane_nameserver_keys_valid` are 1 for each nameserver."},
	{Reason: ParentInconsistent, Effect: EffectWarning,
		Meaning: "A nameserver of the parent zone does not serve it, or returns other DS records than most others, or an invalid signature.",
		Senders: "Most resolvers retry with another nameserver of the parent, so lookups take longer. If a resolver does not retry, or finds only such nameservers, it returns SERVFAIL, and its senders queue the mail.",
		Remedy:  "The operator of the parent zone, such as a registry, must repair the nameserver that the detail names. If the DS records were changed within the last hours, wait.",
		More:    "The exporter queries the nameservers of the parent once an hour for all targets; `dane_delegation_checked_timestamp_seconds` is the time. `dig +dnssec +norecurse @SERVER ZONE DS` repeats the query. If many domains of one parent have the finding, read the status page of the registry.",
		Verify:  "`dane_nameserver_ds_consistent` is 1 for each nameserver of the parent, within about an hour."},
	{Reason: LameDelegation, Effect: EffectWarning,
		Meaning: "A nameserver to which a zone is delegated answers, but does not serve the zone (lame delegation).",
		Senders: "Resolvers query another nameserver, which takes longer. If the others fail too, lookups fail, and senders queue the mail.",
		Remedy:  "Configure the zone on the nameserver that the detail names. Otherwise remove the nameserver from the NS records of the zone and at the registrar.",
		More:    "`dig +norecurse @SERVER ZONE SOA` must return the flag `aa`. If the zone is unsigned, an attacker who takes over a nameserver that is named by mistake controls the answers that some resolvers get.",
		Verify:  "`dane_nameserver_up` is 1 for each nameserver of the zone, within about an hour."},
	{Reason: CDSInconsistent, Effect: EffectWarning,
		Meaning: "The nameservers of a zone return different CDS or CDNSKEY records, or the two name different keys. The parent must not change the DS records then (RFC 9975 §3.1).",
		Senders: "Mail is not affected yet. The key rollover stops: if the old key is removed before the parent has the new DS record, the zone becomes bogus.",
		Remedy:  "Repair the zone transfer to the nameserver that differs. If several DNS providers sign the zone, each must publish the CDS and CDNSKEY records of all (RFC 8901). Keep the old key until the parent has the new DS record.",
		More:    "`dig +dnssec +norecurse @SERVER ZONE CDS` shows the records of one nameserver.",
		Verify:  "`dane_delegation_cds_consistent` is 1, within about an hour."},
	{Reason: ResolverUnreachable, Effect: EffectInternal,
		Meaning: "No DNS resolver answers the exporter, so nothing could be judged.",
		Senders: nothingKnown,
		Remedy:  "Check resolver.servers in the configuration, and the network in between.",
		Verify:  "`dane_exporter check --self` exits with 0, and `dane_exporter_resolver_ok` is 1."},
	{Reason: ResolverFailed, Effect: EffectInternal,
		Meaning: "The DNS resolver answers with failures such as SERVFAIL, and not for one zone alone, so nothing could be judged.",
		Senders: nothingKnown,
		Remedy:  "Check the resolver's network, the servers that it forwards queries to, and its access list.",
		More:    "A resolver without an uplink still answers from its cache.",
		Verify:  "`dane_exporter check --self` exits with 0, and `dane_exporter_resolver_ok` is 1."},
	{Reason: DNSSECStripped, Effect: EffectInternal,
		Meaning: "The DNS resolver removes DNSSEC records, so nothing can be validated.",
		Senders: nothingKnown,
		Remedy:  "Set resolver.servers to a resolver that returns them; a local Unbound or Knot Resolver does.",
		Verify:  "`dane_exporter check --self` exits with 0."},
	{Reason: RootBogus, Effect: EffectInternal,
		Meaning: "The DNSSEC signatures of the root do not validate, so nothing could be judged.",
		Senders: nothingKnown,
		Remedy:  "Check the clock of the exporter's machine, and resolver.trust_anchors. If both are right, the resolver forges answers.",
		More:    "A clock that is wrong by weeks is the usual cause. `dane_exporter check --self` names it.",
		Verify:  "`dane_exporter check --self` exits with 0, and `dane_exporter_trust_anchor_ok` is 1."},
	{Reason: ResolverInconsistent, Effect: EffectInternal,
		Meaning: "The resolvers disagree: one returned an answer that does not validate, and another returned one that does.",
		Senders: "Senders deliver, unless their resolver has the same problem.",
		Remedy:  "Check the resolver that the detail names; a forwarder may have a bad answer in its cache. The target needs no change.",
		Verify:  "`dane_finding{reason=\"resolver_inconsistent\"}` is absent. `dane_exporter_dns_errors_total` shows which resolver has problems."},
	{Reason: LimitExceeded, Effect: EffectInternal,
		Meaning: "The target exceeds a limit of the exporter. It needs too many hosts, addresses, queries, aliases, signatures or hashes, too much memory, or too much time to check certificates.",
		Senders: "Mail servers have limits too, and some may not deliver.",
		Remedy:  "Check what the zone publishes and which certificates the server sends. Ordinary ones are far below the limits.",
		More:    "`check` names the limit.",
		Verify:  outcomeNotUnknown},
	{Reason: ProbeDeadline, Effect: EffectInternal,
		Meaning: "The deadline passed before the probe was complete.",
		Senders: nothingKnown,
		Remedy:  "Raise scrape_timeout and the module's timeout; 30 s is a good value for both.",
		More:    "If only some domains need that long, use a separate module and scrape job for them.",
		Verify:  "`dane_probe_complete` is 1."},
	{Reason: IPv6Unavailable, Effect: EffectInternal,
		Meaning: "This machine, or the module's proxy, has no IPv6 connectivity, so IPv6 addresses were not judged.",
		Senders: "Not known for the IPv6 addresses, which were not probed.",
		Remedy:  "Give the exporter, or its proxy, IPv6; or set ip_protocol to ip4 and accept that IPv6 addresses are not monitored.",
		Verify:  "`dane_endpoints` counts the IPv6 addresses too, `dane_endpoints_skipped` is 0, and `check` connects to them."},
	{Reason: ProxyFailed, Effect: EffectInternal,
		Meaning: "The module's SOCKS5 proxy cannot be reached, rejects the exporter, or does not report in time whether it connected to the server.",
		Senders: nothingKnown,
		Remedy:  "Check the address, user and password in the module's proxy setting, and the proxy itself. The detail contains its reply.",
		Verify:  "`dane_endpoint_up` is present again."},
	{Reason: TargetNotAllowed, Effect: EffectInternal,
		Meaning: "The configuration does not allow this target, or an address that it leads to.",
		Senders: nothingKnown,
		Remedy:  "Add the name to access.targets, or the network to access.allow_networks, if the exporter may connect to it.",
		More:    "Before you list a private network, read [security-model.md](security-model.md).",
		Verify:  outcomeNotUnknown},
	{Reason: CertificateUnparsable, Effect: EffectInternal,
		Meaning: "The TLS library of the exporter cannot parse the server's certificate, so it was not judged. If the certificate matches no TLSA record, the reason is tlsa_mismatch instead.",
		Senders: "The result depends on their TLS library. Most fail too; some accept the certificate.",
		Remedy:  "Check the certificate; other clients may accept it.",
		More:    "`openssl x509` may show the fault. Have the certificate issued again.",
		Verify:  outcomeNotUnknown},
	{Reason: TLSUnsupportedHere, Effect: EffectInternal,
		Meaning: "The server requires a feature that the TLS library of the exporter does not implement, or a certificate that the exporter does not have. So it was not judged. Examples are finite-field Diffie-Hellman, Ed448 keys, and the certificate of another XMPP server.",
		Senders: "Senders with OpenSSL get further than the exporter and probably deliver. Senders with other libraries may fail as the exporter does.",
		Remedy:  "No action is necessary for mail. To let the exporter judge the server, enable an ECDHE suite, the group X25519 or P-256, and an RSA or ECDSA certificate. An XMPP server that requires certificates of other servers is judged if it speaks TLS 1.3.",
		More:    "The detail states what the server selects with an offer like that of OpenSSL, and which records match its certificate. `openssl s_client` with `-dane_tlsa_domain` and `-dane_tlsa_rrdata` completes the handshake.",
		Verify:  outcomeNotUnknown},
	{Reason: RootsUnavailable, Effect: EffectInternal,
		Meaning: "This machine has no CA certificates. TLSA records with a PKIX usage need them, so those were not judged.",
		Senders: "Not known for clients that act on PKIX usages. DANE-TA and DANE-EE records are judged.",
		Remedy:  "Install CA certificates (in a container, the package ca-certificates), or set SSL_CERT_FILE.",
		Verify:  "`dane_pkix_valid` is present."},
	{Reason: InternalError, Effect: EffectInternal,
		Meaning: "The exporter failed: a defect, or a resource of its machine that is used up.",
		Senders: nothingKnown,
		Remedy:  "Read the detail and the exporter's log. If a panic is the cause, report a bug.",
		Verify:  "`dane_exporter_panics_total` does not increase."},
}
