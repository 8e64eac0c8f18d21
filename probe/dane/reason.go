package dane

import "slices"

// Reason is the name of a finding, one of a closed list. Metrics, alerts, pages
// and documents use these names.
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

// Effect is what a finding means for the client.
type Effect string

const (
	EffectError    Effect = "error"    // DANE clients do not deliver to this host or target
	EffectDegraded Effect = "degraded" // DANE protects less than it could
	EffectWarning  Effect = "warning"  // nothing yet
	EffectInternal Effect = "internal" // we could not judge; not the server's fault
)

// ReasonInfo explains one reason.
type ReasonInfo struct {
	Reason  Reason
	Effect  Effect
	Meaning string // what was found
	Senders string // what senders or clients do now
	Remedy  string // what to do about it
	Verify  string // how to see that it is mended; Markdown
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
	nothingKnown      = "Nothing is known about them. Nothing is wrong with the target."
	withSecureTLSA    = "With secure TLSA records, senders that validate DANE do not deliver to this host. "
	mtastsAsNoOne     = "MTA-STS senders without a cached policy deliver as if there were none."
	outcomeNotUnknown = "The outcome is no longer `unknown`."
	tlsaMatches       = "`dane_tlsa_match` is 1."
	signTheDomain     = "Sign the domain and publish its DS record at the registrar."
)

// reasons is the table of all reasons. It is never modified.
var reasons = []ReasonInfo{
	{NoSuchDomain, EffectWarning,
		"The domain does not exist, and the answer proves it or leaves no doubt.",
		"No sender can deliver there: every mail server bounces the mail.",
		"Check the spelling of the target, and that the domain is still registered.",
		"`dig +dnssec MX` at the domain does not return NXDOMAIN, and the outcome is no longer `none`."},
	{NullMX, EffectWarning,
		"The domain states by a null MX record that it receives no mail (RFC 7505).",
		"Senders bounce the mail, as the domain asks.",
		"None if this is intended; otherwise publish MX records and remove the null MX.",
		"`check` lists the hosts once the null MX is gone. Until its TTL has passed in every cache, senders differ."},
	{NoAddress, EffectWarning,
		"The host has no address record of a family that the module asks for (ip_protocol), so there is nothing to connect to.",
		"Senders try the other hosts of the domain. If there is none, mail waits or bounces.",
		"Publish an address for the host, or remove it from the records that name it. A host with IPv6 alone is reported too if the module has `ip_protocol: ip4`.",
		"The host appears in `dane_endpoints`."},
	{DNSFailure, EffectError,
		"A lookup that matters failed: the nameservers returned an error. A DANE client must not continue without the answer (RFC 7672 §2.1.2).",
		"Senders that validate DANE keep the mail and retry for some days; the others deliver.",
		"Query the zone's nameservers for this name and type. Nameservers and firewalls that mishandle TLSA queries, or drop large answers, are the usual cause. The finding names the lookup that failed: mx, a, aaaa, srv or tlsa. Query each nameserver of the zone over UDP and TCP; a module with `nameservers: true` does so.",
		"`dane_dnssec_status` of that lookup is no longer `indeterminate`."},
	{DNSSECBogus, EffectError,
		"An answer that should be signed does not validate, so it does not count: signatures are missing, expired or wrong, or a DS record matches no key.",
		"Validating resolvers do not return such data, so mail servers that use them keep the mail, with DANE or without. Mail servers that use other resolvers still deliver.",
		"Sign the zone again, or make the DS record at the parent match its keys. The detail names the zone and the record. If the signer stopped, start it and sign the whole zone. If keys were replaced too early, restore the old DNSKEY or change the DS record. If nothing else helps, remove the DS record at the registrar: after its TTL the zone is insecure instead of bogus.",
		"`dane_dnssec_valid` is 1 again for each lookup. Caches may hold the failure for a few more minutes (at most five, RFC 9520 §3.2)."},
	{MXInsecure, EffectDegraded,
		"The MX records are not protected by DNSSEC, so an attacker on the path can name other hosts. The hosts are judged, but the domain is at best opportunistic (RFC 7672 §2.2.1).",
		"Senders deliver, with TLS if the server offers it. Postfix still checks the TLSA records of the hosts, and refuses a host that does not match.",
		signTheDomain,
		"`dane_dnssec_status{lookup=\"mx\"}` is `secure`, and the outcome is `authenticated` if the hosts have DANE."},
	{SRVInsecure, EffectDegraded,
		"The SRV records are not protected by DNSSEC, so an attacker on the path can name other hosts, and DANE does not apply to the hosts that they name (RFC 7673 §3.1).",
		"Clients connect, and authenticate the server by the Web PKI and the service domain.",
		signTheDomain,
		"`dane_dnssec_status{lookup=\"srv\"}` is `secure`."},
	{NoSRV, EffectWarning,
		"The domain has no SRV records for the service, and its clients have no fallback.",
		"Clients connect to the domain itself on the default port, or do not find the service.",
		"Publish SRV records for the service; or probe its host by name, with another module.",
		"`check` lists the hosts."},
	{SRVNone, EffectWarning,
		"The domain states by an SRV record with the target \".\" that it does not offer the service (RFC 2782).",
		"No client connects.",
		"None if this is intended; otherwise name a host in the record.",
		"`check` lists the hosts."},
	{AddressInsecure, EffectDegraded,
		"The host's addresses are not protected by DNSSEC, so mail servers, and clients that follow SRV records, do not look up its TLSA records (RFC 7672 §2.2.2, RFC 7673 §3.2).",
		"Senders deliver without DANE, with TLS if the server offers it. They do not query for TLSA records.",
		"Sign the zone that contains the host's addresses, or name the host in a signed zone.",
		"`dane_dnssec_status` of the lookups `a` and `aaaa` is `secure`."},
	{TLSAInsecure, EffectDegraded,
		"The zone that would hold the TLSA records is not protected by DNSSEC, so they prove nothing.",
		senderWithout,
		"Sign the zone that holds the TLSA records. If they are reached through an alias, sign the zone of the alias target.",
		"`dane_dnssec_status{lookup=\"tlsa\"}` is `secure`."},
	{NoTLSA, EffectDegraded,
		"It is proven that no TLSA records are published for this service.",
		senderWithout,
		"Publish TLSA records for the service, for example 3 1 1 with the SHA-256 digest of the server's public key. `dane_exporter tlsa --connect HOST:25` prints the record. If records existed yesterday, find out who or which tool changed the zone.",
		"`dane_tlsa_records{usable=\"yes\"}` is above 0, and `dane_tlsa_match` is 1."},
	{TLSAUnusable, EffectDegraded,
		"A TLSA record cannot be used: it is malformed, has unknown parameters, or has a certificate usage that this client does not support. If no record is usable, the server cannot be authenticated.",
		"If another record is usable, it alone counts. If none is, senders require TLS and do not authenticate the server: the outcome is `encrypted`.",
		"Replace it with a well-formed record. Mail servers act on usages 2 and 3 only (RFC 7672 §3.1). `check` prints for each record why it cannot be used.",
		"`dane_tlsa_records{usable=\"no\"}` is 0."},
	{TLSAAliasDangling, EffectDegraded,
		"The name of the TLSA records is an alias whose target has no records.",
		senderWithout,
		"Publish the TLSA records at the alias target, or remove the alias.",
		"`check` shows the alias target, and records there."},
	{TLSAMismatch, EffectError,
		"None of the TLSA records matches the certificates that the server sends. The usual cause: the certificate was renewed and the record was not.",
		"Senders that validate DANE do not deliver to this host. They try the others, keep the mail, and bounce it after some days. Other senders notice nothing.",
		"Publish the record for the certificate that is served, or serve the certificate that the record describes. For the next renewal, publish the new record first and keep the key. Publishing is faster: `dane_exporter tlsa --connect HOST:25` prints the record of the current certificate. Caches hold the old records for their TTL, `dane_tlsa_ttl_seconds`, so senders return within that time. [rollover.md](rollover.md) describes a renewal that does not break mail.",
		"`dane_exporter tlsa --connect HOST:25 --check` exits with 0, and `dane_tlsa_match` is 1."},
	{TrustAnchorNotSent, EffectError,
		"A TLSA record names an issuer that the server leaves out of the chain that it sends, so no client can match it (RFC 7671 §5.2.2).",
		senderRefuses,
		"Send the whole chain, including the certificate that the record describes, even a root; or publish a record for a certificate that is sent. In Postfix, `smtpd_tls_chain_files` takes the whole chain. CAs leave their root out of the files that they deliver, so append it, or publish a record of the intermediate.",
		"`check` lists the certificate among those sent, and `dane_tlsa_match` is 1."},
	{ChainInvalid, EffectError,
		"A TLSA record matches a certificate that was sent, but the chain from the server's certificate does not lead to it.",
		senderRefuses,
		"Send every intermediate certificate, and check signatures, CA flags and path lengths of the chain. Usually an intermediate is missing, or one of an earlier issue is sent.",
		tlsaMatches},
	{NameMismatch, EffectError,
		"The chain leads to the trust anchor, but the server's certificate is valid for other names (RFC 7672 §3.2.2).",
		senderRefuses,
		"Issue a certificate that contains the TLSA base domain, or publish a DANE-EE(3) record, for which names do not count. `check` lists the expected names and those of the certificate.",
		"`dane_certificate_name_match` and `dane_tlsa_match` are 1."},
	{CertificateExpired, EffectError,
		"A certificate whose dates count has expired.",
		senderRefuses,
		"Renew it. Only DANE-EE(3) records ignore dates. Check the expiry of the intermediates too: `dane_certificate_chain_not_after_timestamp_seconds`.",
		"`dane_authenticated_until_timestamp_seconds` is in the future."},
	{CertificateNotYetValid, EffectError,
		"A certificate whose dates count is not valid yet.",
		senderRefuses,
		"Check the clock of the issuer, or wait. Check the exporter's own clock too: the self-check reports it.",
		tlsaMatches},
	{PKIXUntrusted, EffectError,
		"A record with a PKIX usage also requires a chain to a Web PKI root, and there is none.",
		"Clients that act on usages 0 and 1 do not connect. Mail servers ignore such records.",
		"Send the complete chain of a public CA, or publish a record with usage 2 or 3.",
		"`dane_pkix_valid` is 1."},
	{ConnectFailed, EffectError,
		"There was no connection, or it ended before TLS: refused, reset, closed, or no route.",
		"No sender delivers to this host, with DANE or without: mail goes to the other hosts, or waits.",
		"Check that the service runs and that no firewall drops the connection. If every host has this reason, the exporter's own provider may block the port. `dane_exporter check --self --smtp-host HOST` shows whether this side is the cause.",
		"`dane_endpoint_up` is 1."},
	{Timeout, EffectError,
		"The server did not answer in time.",
		"No sender with this timeout delivers to the host. Mail servers wait longer: five minutes for a greeting (RFC 5321 §4.5.3.2.1).",
		"Check the load of the service and of what precedes it. If every host has this reason, the exporter's own provider may block the port. Servers that delay the greeting for unknown clients, such as Postfix's postscreen, need a module with a longer `timeout`, or the exporter's address on their allowlist: see [etiquette.md](etiquette.md).",
		"`dane_endpoint_up` is 1, and the phases in `check` show which step takes the time."},
	{ClientRejected, EffectError,
		"The server rejected the client before STARTTLS: in SMTP, with a 4xx or 5xx reply.",
		"Not known: the server rejected the exporter and may accept others.",
		"Allow the exporter's address at the server, or find the cause in its reply: a blocklist, a rate limit, maintenance, a domain that it does not serve. [etiquette.md](etiquette.md) says how to avoid rejection.",
		"`check` shows a dialogue that reaches STARTTLS."},
	{ProtocolError, EffectError,
		"The server sent something that is not valid in its protocol.",
		"Most likely no sender delivers to this host.",
		"Check which program listens on this port. A middlebox may rewrite the dialogue.",
		"`check` shows the dialogue that the server's software speaks."},
	{StartTLSNotOffered, EffectError,
		"The server does not offer STARTTLS. With secure TLSA records, clients refuse; without them, mail is sent in cleartext.",
		withSecureTLSA + "Without, all senders deliver in cleartext.",
		"Enable STARTTLS, and check that no middlebox removes it from the server's reply.",
		"`dane_starttls_offered` is 1."},
	{StartTLSRejected, EffectError,
		"The server offers STARTTLS and then rejects the command.",
		withSecureTLSA + "Without, most senders deliver in cleartext.",
		"Check the server's log: usually it cannot read its key or certificate.",
		"`dane_tls_info` is present."},
	{TLSHandshakeFailed, EffectError,
		"The TLS handshake failed.",
		withSecureTLSA + "Without, many senders retry in cleartext.",
		"Check the server's protocol versions, cipher suites and certificate. The detail contains its alert or the client's error.",
		"`dane_tls_info` is present."},
	{MTASTSRecordInvalid, EffectWarning,
		"The MTA-STS record at _mta-sts is malformed, or there are several. Senders then assume that the domain has no policy (RFC 8461 §3.1).",
		"MTA-STS senders continue without a policy, or with the one in their cache.",
		"Publish exactly one TXT record there, such as v=STSv1; id=20260131; with an id of letters and digits.",
		"`dane_mta_sts_record_valid` is 1."},
	{MTASTSPolicyUnavailable, EffectWarning,
		"There is an MTA-STS record, or its lookup failed, and the policy cannot be fetched. Senders without a cached policy continue without MTA-STS; others use theirs until it expires (RFC 8461 §3.3).",
		mtastsAsNoOne,
		"Serve the policy at https://mta-sts.DOMAIN/.well-known/mta-sts.txt with status 200, no redirect, and a certificate of a public CA for that name.",
		"`dane_mta_sts_policy_fetched` is 1."},
	{MTASTSPolicyInvalid, EffectWarning,
		"The MTA-STS policy is not valid: not text/plain, too large, or malformed. Senders continue as if there were no policy (RFC 8461 §3.2).",
		mtastsAsNoOne,
		"Correct the file: version: STSv1, mode, max_age and one mx for each MX host, one per line, served as text/plain.",
		"`dane_mta_sts_policy_fetched` is 1."},
	{MTASTSHostNotCovered, EffectWarning,
		"The MTA-STS policy does not list this MX host. In mode enforce, MTA-STS senders do not deliver to it (RFC 8461 §4.1).",
		"In mode enforce, MTA-STS senders do not deliver to this host; they try the others.",
		"Add an mx line for the host to the policy and change the id of the record, or remove the host from the MX records. Senders read the new policy only when the id of the record changes or their copy expires.",
		"`dane_mta_sts_host_covered` is 1."},
	{MTASTSDisagreement, EffectWarning,
		"DANE and the MTA-STS policy, which is in mode enforce, treat this host differently: senders of one kind deliver to it, those of the other do not. Where secure TLSA records exist, senders that support both follow DANE (RFC 8461 §2).",
		"One kind of sender delivers, the other does not: mail from some correspondents arrives and from others it does not.",
		"The detail says which senders do not deliver, and why. Serve a certificate of a public CA for the host's own name, and keep the TLSA records consistent with it. [mta-sts.md](mta-sts.md) explains which sender follows what.",
		"`check --module smtp_mx_mta_sts` lists the same result for the three kinds of sender."},
	{TLSRPTRecordInvalid, EffectWarning,
		"The TLSRPT record at _smtp._tls is malformed, or there are several, so senders report no TLS failures (RFC 8460 §3).",
		"Senders deliver as before. None reports failures.",
		"Publish exactly one TXT record there, such as v=TLSRPTv1; rua=mailto:tls-reports@example.org.",
		"`dane_tlsrpt_record_valid` is 1."},
	{NameserverInconsistent, EffectWarning,
		"A nameserver of the zone returns TLSA records other than the resolver's, or signatures that are not valid, or does not serve the zone. Senders whose resolver queries it get another result.",
		"It depends on the nameserver that a sender's resolver queries: some get the right records, others do not.",
		"Check the zone transfers of the nameserver that the detail names: it missed an update, or signs with keys that were removed. Or remove it from the NS records. `dane_nameserver_soa_serial` shows which one is behind.",
		"`dane_nameserver_tlsa_consistent` is 1 for each nameserver."},
	{ResolverUnreachable, EffectInternal,
		"No DNS resolver answers the exporter, so nothing could be judged.",
		nothingKnown,
		"Check resolver.servers in the configuration, and the network in between.",
		"`dane_exporter check --self` exits with 0, and `dane_exporter_resolver_ok` is 1."},
	{DNSSECStripped, EffectInternal,
		"The DNS resolver removes DNSSEC records, so nothing can be validated.",
		nothingKnown,
		"Set resolver.servers to a resolver that returns them; a local Unbound or Knot Resolver does.",
		"`dane_exporter check --self` exits with 0."},
	{ResolverInconsistent, EffectInternal,
		"The resolvers disagree: one returned an answer that does not validate, another returned one that does.",
		"Senders deliver. Those that use a resolver like the bad one may not.",
		"Nothing at the target. Check the resolver that the detail names; a forwarder may have a bad answer in its cache.",
		"The finding is gone. `dane_exporter_dns_errors_total` shows which resolver has problems."},
	{LimitExceeded, EffectInternal,
		"To judge this target would exceed a limit of the exporter: too many hosts, addresses, aliases, signatures or hashes.",
		"Mail servers have limits too, and may also give up.",
		"Check what the zone publishes; no ordinary zone comes near the limits. `check` names the limit.",
		outcomeNotUnknown},
	{ProbeDeadline, EffectInternal,
		"The deadline of the scrape came before the probe was complete.",
		nothingKnown,
		"Raise scrape_timeout and the module's timeout; 30 s is a good value for both. If only some domains need that long, give them a module and a scrape job of their own.",
		"`dane_probe_complete` is 1."},
	{IPv6Unavailable, EffectInternal,
		"This machine, or the module's proxy, has no IPv6 connectivity, so IPv6 addresses were not judged.",
		"Senders deliver; the host's IPv6 addresses were not examined.",
		"Give the exporter, or its proxy, IPv6; or set ip_protocol to ip4 and accept that half of the endpoints are not monitored.",
		"`dane_endpoints` counts the IPv6 addresses too, `dane_endpoints_skipped` is 0, and `check` connects to them."},
	{ProxyFailed, EffectInternal,
		"The module's SOCKS5 proxy cannot be reached, rejects the exporter, or does not report in time whether it connected to the server.",
		nothingKnown,
		"Check the proxy, and the user and password, in the module's proxy setting; the detail contains its reply.",
		"`dane_endpoint_up` is present again."},
	{TargetNotAllowed, EffectInternal,
		"The configuration does not allow this target, or an address that it leads to.",
		nothingKnown,
		"Add the name to access.targets, or the network to access.allow_networks, if the exporter may connect to it. Before you list a private network, read [security-model.md](security-model.md).",
		outcomeNotUnknown},
	{CertificateUnparsable, EffectInternal,
		"The TLS library of the exporter cannot parse the server's certificate, so it was not judged.",
		"It depends on their TLS library. Most fail too, some are lenient.",
		"Check the certificate; other clients may accept it. `openssl x509` may show more. Issuing the certificate again is the remedy.",
		outcomeNotUnknown},
	{RootsUnavailable, EffectInternal,
		"This machine has no CA certificates. TLSA records with a PKIX usage need them, so those were not judged.",
		"Nothing is known about those that act on PKIX usages. DANE-TA and DANE-EE records are judged.",
		"Install CA certificates (in a container, the package ca-certificates), or set SSL_CERT_FILE.",
		"`dane_pkix_valid` is present."},
	{InternalError, EffectInternal,
		"The exporter failed to do its part.",
		nothingKnown,
		"Read the detail and the exporter's log, and please report a bug.",
		"`dane_exporter_panics_total` does not increase."},
}
