package collector

import (
	"cmp"
	"slices"
)

// Series describes one metric of a probe.
type Series struct {
	Name   string
	Labels []string // an endpoint series has address and key_type too, where the module says per_address and key_types
	Help   string
	// Endpoint: it is measured at each address of a host, and the worst of them
	// is exported unless the module says per_address; and for each of key_types.
	Endpoint bool
	// greatest: where several measurements make one series, the greatest stands
	// for them, not the least.
	greatest bool
	rank     int // among all, by name
}

// either is the value that stands for two measurements of one label set.
func (s *Series) either(a, b float64) float64 {
	if s.greatest {
		return max(a, b)
	}
	return min(a, b)
}

// The names of the series, as public as the series themselves.
const (
	probeSuccess          = "probe_success"
	probeDuration         = "probe_duration_seconds"
	probeTimeout          = "probe_timeout_seconds"
	probeComplete         = "dane_probe_complete"
	phaseDuration         = "dane_probe_phase_duration_seconds"
	outcome               = "dane_outcome"
	hostOutcome           = "dane_host_outcome"
	endpoints             = "dane_endpoints"
	endpointsSkipped      = "dane_endpoints_skipped"
	finding               = "dane_finding"
	findings              = "dane_findings"
	authenticatedUntil    = "dane_authenticated_until_timestamp_seconds"
	dnssecValid           = "dane_dnssec_valid"
	dnssecStatus          = "dane_dnssec_status"
	signatureExpiry       = "dane_dnssec_signature_expiry_timestamp_seconds"
	signatureInception    = "dane_dnssec_signature_inception_timestamp_seconds"
	tlsaRecords           = "dane_tlsa_records"
	tlsaTTL               = "dane_tlsa_ttl_seconds"
	tlsaMatch             = "dane_tlsa_match"
	tlsaRecordMatch       = "dane_tlsa_record_match"
	rolloverReady         = "dane_tlsa_rollover_ready"
	survivesRenewal       = "dane_tlsa_survives_renewal"
	staleRecords          = "dane_tlsa_stale_records"
	certificateNotAfter   = "dane_certificate_not_after_timestamp_seconds"
	certificateChainUntil = "dane_certificate_chain_not_after_timestamp_seconds"
	certificateInfo       = "dane_certificate_info"
	certificateNameMatch  = "dane_certificate_name_match"
	pkixValid             = "dane_pkix_valid"
	endpointUp            = "dane_endpoint_up"
	startTLSOffered       = "dane_starttls_offered"
	tlsInfo               = "dane_tls_info"
	handshakeTime         = "dane_handshake_timestamp_seconds"
	nameserverUp          = "dane_nameserver_up"
	nameserverConsistent  = "dane_nameserver_tlsa_consistent"
	nameserverSerial      = "dane_nameserver_soa_serial"
	nameserverExpiry      = "dane_nameserver_signature_expiry_timestamp_seconds"
	mxPreference          = "dane_mx_preference"
	mtaSTSRecordPresent   = "dane_mta_sts_record_present"
	mtaSTSRecordValid     = "dane_mta_sts_record_valid"
	mtaSTSPolicyFetched   = "dane_mta_sts_policy_fetched"
	mtaSTSMode            = "dane_mta_sts_mode"
	mtaSTSMaxAge          = "dane_mta_sts_max_age_seconds"
	mtaSTSHostCovered     = "dane_mta_sts_host_covered"
	mtaSTSHostPasses      = "dane_mta_sts_host_passes"
	mtaSTSSenderOutcome   = "dane_mta_sts_sender_outcome"
	mtaSTSCertificate     = "dane_mta_sts_certificate_not_after_timestamp_seconds"
	tlsrptRecordPresent   = "dane_tlsrpt_record_present"
	tlsrptRecordValid     = "dane_tlsrpt_record_valid"
	truncated             = "dane_truncated"
)

// series is AllSeries by name, made once and never written to.
var series = seriesByName()

func seriesByName() map[string]*Series {
	all := AllSeries()
	slices.SortFunc(all, func(a, b Series) int { return cmp.Compare(a.Name, b.Name) })
	byName := make(map[string]*Series)
	for rank := range all {
		all[rank].rank = rank
		byName[all[rank].Name] = &all[rank]
	}
	return byName
}

// AllSeries lists every series that a probe may return, in the order in which
// they are read best.
func AllSeries() []Series {
	labels := func(names ...string) []string { return names }
	return []Series{
		{Name: probeSuccess,
			Help: "Whether every endpoint that counts meets what the module requires."},
		{Name: probeDuration,
			Help: "How long the probe took, in seconds."},
		{Name: probeTimeout,
			Help: "How long the probe was allowed to take, in seconds."},
		{Name: probeComplete,
			Help: "Whether everything was measured; 0: the deadline cut something short."},
		{Name: phaseDuration, Labels: labels("phase"),
			Help: "Seconds from the first start to the last end of one kind of work."},
		{Name: outcome, Labels: labels("outcome"),
			Help: "What a DANE client ends up with; 1 at the outcome of the target."},
		{Name: hostOutcome, Labels: labels("host", "port", "outcome"),
			Help: "What a DANE client ends up with at one service; 1 at its outcome."},
		{Name: endpoints, Labels: labels("host", "port", "outcome"),
			Help: "How many addresses of a service came out so; the worst of an address counts where key_types has it met more than once."},
		{Name: endpointsSkipped, Labels: labels("host", "port"),
			Help: "How many addresses of a service were not tried, for want of IPv6 here; they count for nothing else."},
		{Name: finding, Labels: labels("reason", "host", "port", "address"), greatest: true,
			Help: "1 for each finding while it holds; labels that do not apply are empty."},
		{Name: findings,
			Help: "How many findings there are."},
		{Name: authenticatedUntil, Labels: labels("host", "port"),
			Help: "When today's authentication ends if no certificate changes, in Unix seconds; only dates that count."},
		{Name: dnssecValid, Labels: labels("lookup", "name", "host"),
			Help: "Whether the answer to a look-up is secure."},
		{Name: dnssecStatus, Labels: labels("lookup", "name", "host", "status"),
			Help: "The DNSSEC status of a look-up; 1 at the present one."},
		{Name: signatureExpiry, Labels: labels("lookup", "name", "host", "scope"),
			Help: "When the first signature expires, in Unix seconds; of the answer and its zone's keys, or of all above."},
		{Name: signatureInception, Labels: labels("lookup", "name", "host", "scope"),
			Help: "When the signature that expires first became valid, in Unix seconds; of the answer and its zone's keys, or of all above."},
		{Name: tlsaRecords, Labels: labels("host", "port", "usable"),
			Help: "How many TLSA records a client of this policy can use, cannot use, or passes over for a stronger digest."},
		{Name: tlsaTTL, Labels: labels("host", "port"),
			Help: "How long the TLSA records may be kept, in seconds."},
		{Name: tlsaMatch, Labels: labels("host", "port"), Endpoint: true,
			Help: "Whether what is served authenticates by the TLSA records."},
		{Name: tlsaRecordMatch, Labels: labels("host", "port", "usage", "selector", "matching_type", "data"), greatest: true,
			Help: "Whether a TLSA record matches what some endpoint serves."},
		{Name: rolloverReady, Labels: labels("host", "port"),
			Help: "Whether a next key is published: a record that matches nothing that was seen beside one that matches, or records of the leaf and of an issuer; a server with a second kind of key may serve the former: set key_types."},
		{Name: survivesRenewal, Labels: labels("host", "port"),
			Help: "Whether a renewed certificate with the same key and issuer would still authenticate."},
		{Name: staleRecords, Labels: labels("host", "port"),
			Help: "How many usable TLSA records match nothing that was seen at any endpoint, a next key's among them; a server with a second kind of key may serve it: set key_types."},
		{Name: certificateNotAfter, Labels: labels("host", "port"), Endpoint: true,
			Help: "When the server's own certificate ends, in Unix seconds."},
		{Name: certificateChainUntil, Labels: labels("host", "port"), Endpoint: true,
			Help: "When the first of all certificates that the server sends ends, in Unix seconds."},
		{Name: certificateInfo, Labels: labels("host", "port", "subject", "issuer", "serial", "fingerprint_sha256", "spki_sha256"), Endpoint: true,
			Help: "The server's own certificate."},
		{Name: certificateNameMatch, Labels: labels("host", "port"), Endpoint: true,
			Help: "Whether the server's certificate is for one of the names expected, whatever DANE says."},
		{Name: pkixValid, Labels: labels("host", "port"), Endpoint: true,
			Help: "Whether the Web PKI accepts the server's certificates, whatever DANE says."},
		{Name: endpointUp, Labels: labels("host", "port"), Endpoint: true,
			Help: "Whether a TCP connection could be made."},
		{Name: startTLSOffered, Labels: labels("host", "port"), Endpoint: true,
			Help: "Whether the server offers STARTTLS."},
		{Name: tlsInfo, Labels: labels("host", "port", "version", "cipher"), Endpoint: true,
			Help: "What was negotiated in the TLS handshake."},
		{Name: handshakeTime, Labels: labels("host", "port"), Endpoint: true,
			Help: "When the TLS handshake was complete, in Unix seconds: before the probe where that of another served, limits.handshake_reuse at the most."},
		{Name: nameserverUp, Labels: labels("host", "port", "nameserver", "address"),
			Help: "Whether a name server of the zone that holds the TLSA records answers with authority."},
		{Name: nameserverConsistent, Labels: labels("host", "port", "nameserver", "address"),
			Help: "Whether a name server has the TLSA records that the resolver gave, with valid signatures."},
		{Name: nameserverSerial, Labels: labels("host", "port", "nameserver", "address"),
			Help: "The serial number of the zone that a name server has."},
		{Name: nameserverExpiry, Labels: labels("host", "port", "nameserver", "address"),
			Help: "When the first signature in a name server's answers expires, in Unix seconds."},
		{Name: mxPreference, Labels: labels("host"),
			Help: "The preference of a mail host; the lowest is tried first."},
		{Name: mtaSTSRecordPresent,
			Help: "Whether there is an MTA-STS record; this and what follows of MTA-STS and TLSRPT with mta_sts in the module."},
		{Name: mtaSTSRecordValid,
			Help: "Whether the MTA-STS record counts: it is the only one, and well-formed."},
		{Name: mtaSTSPolicyFetched,
			Help: "Whether the policy that the MTA-STS record announces could be fetched, and is valid."},
		{Name: mtaSTSMode, Labels: labels("mode"),
			Help: "The mode of the MTA-STS policy; 1 at the present one."},
		{Name: mtaSTSMaxAge,
			Help: "How long senders may keep the MTA-STS policy, in seconds."},
		{Name: mtaSTSHostCovered, Labels: labels("host"),
			Help: "Whether the MTA-STS policy names an MX host."},
		{Name: mtaSTSHostPasses, Labels: labels("host", "port"), Endpoint: true,
			Help: "Whether a mail host is as MTA-STS wants it, by STARTTLS and a certificate of the Web PKI for its name; whatever the policy says."},
		{Name: mtaSTSSenderOutcome, Labels: labels("sender", "outcome"),
			Help: "What a sender ends up with at the domain that knows DANE alone (dane), MTA-STS alone (mta_sts), or both (both); 1 at its outcome."},
		{Name: mtaSTSCertificate,
			Help: "When the certificate of the MTA-STS policy host ends, in Unix seconds."},
		{Name: tlsrptRecordPresent,
			Help: "Whether there is a TLSRPT record."},
		{Name: tlsrptRecordValid,
			Help: "Whether the TLSRPT record counts: it is the only one, and well-formed."},
		{Name: truncated, Labels: labels("what"),
			Help: "Whether there was more than is exported: TLSA records of a service, hosts, addresses of a host, or name servers."},
	}
}
