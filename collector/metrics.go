package collector

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
)

// Metric describes one metric. Its name and labels are public: they never change.
type Metric struct {
	Name string
	Type model.MetricType
	// Labels are the label names in the order of their values. A metric of an
	// endpoint also has address and key_type, after host and port, if the module
	// sets per_address and key_types.
	Labels []string
	Help   string
	// Endpoint reports whether the metric is measured at each address of a host and
	// for each of key_types. Without per_address, the worst address is exported.
	Endpoint bool
	// Summary reports whether modules with series: summary export the metric.
	Summary bool

	// keepGreatest selects the greatest of several values of one label set.
	// The default is the least, which is the worst of a boolean or an expiry.
	keepGreatest bool
}

// endpointMetric is a Metric of an endpoint. The type has no methods: it makes the
// compiler reject an endpoint metric that is set without its endpoint.
type endpointMetric struct{ Metric }

// The metrics of a probe, in the order of the documentation.
var (
	probeSuccess = summaryGauge("probe_success",
		"Whether all endpoints that count fulfil the requirement of the module.")
	probeDuration = summaryGauge("probe_duration_seconds",
		"Duration of the probe in seconds.")
	probeComplete = summaryGauge("dane_probe_complete",
		"Whether everything was measured; 0 if the deadline cut the probe short.")
	phaseDuration = gauge("dane_probe_phase_duration_seconds",
		"Time from the first start to the last end of one phase of the probe, in seconds.",
		"phase")

	outcome = summaryGauge("dane_outcome",
		"Outcome for a DANE client delivering to the target. Exactly one outcome is 1. While it is unknown, the others are absent. With connect: false in the module, all are absent unless the lookups decide the outcome.",
		"outcome")
	outcomeZone = summaryGauge("dane_outcome_zone",
		"Zone whose data or nameservers are the only reason why DANE clients refuse the target. The value is always 1. Absent if there is no such zone or it is not known.",
		"zone")
	hostCount = summaryGauge("dane_hosts",
		"Number of hosts of the target, at most 50. Absent if the lookup of the hosts failed.")
	hostsRefused = summaryGauge("dane_hosts_refused",
		"Number of hosts that a DANE client refuses at one or more ports of the module. Absent if none is refused and at least one could not be judged.")
	hostsWithTLSA = summaryGauge("dane_hosts_with_tlsa",
		"Number of hosts with a secure, usable TLSA record. Absent if this is not known for every host.")
	hostOutcome = gauge("dane_host_outcome",
		"Outcome for a DANE client connecting to the service. Exactly one outcome is 1. While it is unknown, the others are absent.",
		"host", "port", "outcome")
	endpoints = gauge("dane_endpoints",
		"Number of addresses of the service with this outcome, if any. An address counts once, with the worst outcome of its key types.",
		"host", "port", "outcome")
	endpointsSkipped = gauge("dane_endpoints_skipped",
		"Number of addresses of the service that were not tried because the exporter has no IPv6. No other metric includes them. Absent if none was skipped.",
		"host", "port")
	finding = summaryGauge("dane_finding",
		"A finding of the probe. The value is always 1. Labels that do not apply are empty. With series: summary, only ten findings with the effects error and degraded are exported, without address.",
		"reason", "effect", "host", "port", "address")
	authenticatedFrom = summaryGauge("dane_authenticated_from_timestamp_seconds",
		"Start of the validity of the certificate whose expiry is dane_authenticated_until_timestamp_seconds, in Unix seconds. If the server does not send that certificate, of its own certificate.",
		"host", "port")
	authenticatedUntil = summaryGauge("dane_authenticated_until_timestamp_seconds",
		"Time at which DANE authentication will fail if nothing changes, in Unix seconds. Only dates that DANE checks count.",
		"host", "port")

	dnssecValid = gauge("dane_dnssec_valid",
		"Whether the answer to the lookup is secure.",
		"lookup", "name", "host")
	dnssecInfo = gauge("dane_dnssec_info",
		"DNSSEC status of the lookup, and the zone and algorithm of the signature that proves it secure. The value is always 1.",
		"lookup", "name", "host", "status", "signer", "algorithm")
	signatureInception = summaryGauge("dane_dnssec_signature_inception_timestamp_seconds",
		"Inception of the signature whose expiry is dane_dnssec_signature_expiry_timestamp_seconds, in Unix seconds.",
		"zone")
	signatureExpiry = summaryGauge("dane_dnssec_signature_expiry_timestamp_seconds",
		"Earliest expiry of the signatures by the zone that the lookups depend on, in Unix seconds.",
		"zone")

	tlsaRecords = gauge("dane_tlsa_records",
		"Number of TLSA records that a client of this policy can use (yes), cannot use (no), or ignores in favour of a stronger digest (superseded). The last two are absent if there are none.",
		"host", "port", "usable")
	tlsaTTL = gauge("dane_tlsa_ttl_seconds",
		"TTL of the TLSA records in seconds: how long resolvers may cache them.",
		"host", "port")
	tlsaMatch = endpointGauge("dane_tlsa_match",
		"Whether the TLSA records authenticate the certificates that the server sends.",
		"host", "port")
	tlsaRecordMatch = maxGauge("dane_tlsa_record_match",
		"Whether the TLSA record matches the certificates of at least one endpoint.",
		"host", "port", "usage", "selector", "matching_type", "data")
	rolloverReady = gauge("dane_tlsa_rollover_ready",
		"Whether the record of a next key is published. It is 1 if one record matches, and another record of a server certificate or key matches no endpoint. It is also 1 if records of the leaf and of an issuer match. The unmatched record may be of a second type of key of the server: set key_types.",
		"host", "port")
	survivesRenewal = gauge("dane_tlsa_survives_renewal",
		"Whether a renewed certificate with the same key and issuer would still be authenticated.",
		"host", "port")
	staleRecords = gauge("dane_tlsa_stale_records",
		"Number of usable TLSA records of server certificates and keys that match no endpoint, including the record of a next key. Such a record may be of a second type of key of the server: set key_types.",
		"host", "port")

	certificateNotBefore = summaryEndpointGauge("dane_certificate_not_before_timestamp_seconds",
		"Start of the validity of the server's own certificate, in Unix seconds. Of several addresses, that of the certificate that expires first.",
		"host", "port")
	certificateNotAfter = summaryEndpointGauge("dane_certificate_not_after_timestamp_seconds",
		"Expiry of the server's own certificate, in Unix seconds.",
		"host", "port")
	certificateChainNotAfter = endpointGauge("dane_certificate_chain_not_after_timestamp_seconds",
		"Earliest expiry of all certificates that the server sends, in Unix seconds.",
		"host", "port")
	certificateInfo = endpointGauge("dane_certificate_info",
		"Subject, issuer and digests of the server's own certificate. The value is always 1.",
		"host", "port", "subject", "issuer", "serial", "fingerprint_sha256", "spki_sha256")
	certificateNameMatch = endpointGauge("dane_certificate_name_match",
		"Whether the server's certificate is valid for one of the expected names, independent of DANE.",
		"host", "port")
	pkixValid = endpointGauge("dane_pkix_valid",
		"Whether the Web PKI accepts the server's certificates, independent of DANE.",
		"host", "port")
	endpointUp = endpointGauge("dane_endpoint_up",
		"Whether a TCP connection to the endpoint succeeded.",
		"host", "port")
	startTLSOffered = endpointGauge("dane_starttls_offered",
		"Whether the server offers STARTTLS.",
		"host", "port")
	tlsInfo = endpointGauge("dane_tls_info",
		"TLS version, cipher suite and key-exchange group of the handshake. The value is always 1. The group is empty if the key exchange used none.",
		"host", "port", "version", "cipher", "group")
	handshakeTime = endpointGauge("dane_handshake_timestamp_seconds",
		"Time at which the TLS handshake completed, in Unix seconds. It is before the probe, by limits.handshake_reuse at most, if the probe reused a handshake.",
		"host", "port")

	nameserverUp = gauge("dane_nameserver_up",
		"Whether the nameserver answers authoritatively for the zone. This and all other metrics of nameservers and delegations need nameservers: true in the module.",
		"zone", "nameserver", "address")
	nameserverSerial = gauge("dane_nameserver_soa_serial",
		"SOA serial number of the zone at the nameserver.",
		"zone", "nameserver", "address")
	nameserverExpiry = gauge("dane_nameserver_signature_expiry_timestamp_seconds",
		"Time at which the first signature in the nameserver's answers expires, in Unix seconds.",
		"zone", "nameserver", "address")
	nameserverKeysValid = gauge("dane_nameserver_keys_valid",
		"Whether the keys of the zone that the nameserver returns validate.",
		"zone", "nameserver", "address")
	nameserverConsistent = gauge("dane_nameserver_tlsa_consistent",
		"Whether the nameserver returns the TLSA records that the resolver returned, with valid signatures.",
		"zone", "nameserver", "address", "host", "port")
	nameserverDSConsistent = gauge("dane_nameserver_ds_consistent",
		"Whether the nameserver of a parent zone returns the same DS records of the delegated zone as most others, with valid signatures. A valid proof that there are none counts as an empty set.",
		"zone", "nameserver", "address", "delegation")

	delegationChecked = gauge("dane_delegation_checked_timestamp_seconds",
		"Time of the last examination of the delegation, by queries to the nameservers of the zone and of its parent, in Unix seconds. Probes share the result for an hour.",
		"zone")
	delegationDS = gauge("dane_delegation_ds_records",
		"Number of DS records of the zone in its parent.",
		"zone")
	delegationDSInfo = gauge("dane_delegation_ds_info",
		"DS record of the zone in its parent, and whether it matches a key of the zone: yes, no, or unknown. The value is always 1.",
		"zone", "key_tag", "algorithm", "digest_type", "matches")
	delegationKeys = gauge("dane_delegation_keys",
		"Number of keys that the zone publishes.",
		"zone")
	delegationIdleKeys = gauge("dane_delegation_keys_idle",
		"Number of unused keys of the zone: no DS record matches them, and they made no signature in the answers. They may be prepared for a rollover. Absent if no nameserver of the zone returned a signature by one of its keys.",
		"zone")
	delegationCDSConsistent = gauge("dane_delegation_cds_consistent",
		"Whether the nameservers of the zone return equal CDS and CDNSKEY records. Absent if the zone has none.",
		"zone")
	delegationCDSPending = gauge("dane_delegation_cds_pending",
		"Whether the CDS or CDNSKEY records of the zone request other DS records than its parent has. Absent if the zone has none, if they are not consistent, or if the DS records are not known.",
		"zone")
	delegationNSConsistent = gauge("dane_delegation_nameservers_consistent",
		"Whether the NS records in the parent name the same nameservers as those in the zone.",
		"zone")

	mxPreference = gauge("dane_mx_preference",
		"Preference of the MX host. Senders try the lowest first.",
		"host")
	mtaSTSRecordPresent = gauge("dane_mta_sts_record_present",
		"Whether the domain has an MTA-STS record. This and all other metrics of MTA-STS and TLSRPT need mta_sts in the module.")
	mtaSTSRecordValid = gauge("dane_mta_sts_record_valid",
		"Whether the MTA-STS record is valid: it is well-formed and the only one.")
	mtaSTSPolicyFetched = gauge("dane_mta_sts_policy_fetched",
		"Whether the policy that the MTA-STS record announces was fetched and is valid.")
	mtaSTSMode = gauge("dane_mta_sts_mode",
		"Mode of the MTA-STS policy. Exactly one mode is 1.",
		"mode")
	mtaSTSMaxAge = gauge("dane_mta_sts_max_age_seconds",
		"Time that senders may cache the MTA-STS policy, in seconds.")
	mtaSTSHostCovered = gauge("dane_mta_sts_host_covered",
		"Whether the MTA-STS policy lists the MX host.",
		"host")
	mtaSTSHostPasses = endpointGauge("dane_mta_sts_host_passes",
		"Whether the MX host fulfils MTA-STS: STARTTLS and a Web PKI certificate for its name. The policy is not considered.",
		"host", "port")
	mtaSTSSenderOutcome = gauge("dane_mta_sts_sender_outcome",
		"Outcome for a sender that implements only DANE (dane), only MTA-STS (mta_sts), or both (both). Exactly one outcome of each sender is 1. While it is unknown, the others are absent.",
		"sender", "outcome")
	mtaSTSCertificateNotBefore = gauge("dane_mta_sts_certificate_not_before_timestamp_seconds",
		"Start of the validity of the certificate of the MTA-STS policy host, in Unix seconds.")
	mtaSTSCertificateNotAfter = gauge("dane_mta_sts_certificate_not_after_timestamp_seconds",
		"Expiry of the certificate of the MTA-STS policy host, in Unix seconds.")
	tlsrptRecordPresent = gauge("dane_tlsrpt_record_present",
		"Whether the name has a TLSRPT record. The name is the domain, or the TLSA base domain of a mail server: for failures of DANE, senders use the record there (RFC 8460 §1.1).", "name")
	tlsrptRecordValid = gauge("dane_tlsrpt_record_valid",
		"Whether the TLSRPT record is valid: it is well-formed and the only one.", "name")

	truncated = gauge("dane_truncated",
		"A list of the target is exported only in part: TLSA records of a service, hosts, addresses of a host, nameservers, delegations, or zones. The value is always 1.",
		"what")
)

// ProbeMetrics returns the description of every metric that a probe may return, in
// the order of the documentation.
func ProbeMetrics() []Metric {
	return []Metric{
		*probeSuccess, *probeDuration, *probeComplete, *phaseDuration,
		*outcome, *outcomeZone, *hostCount, *hostsRefused, *hostsWithTLSA, *hostOutcome, *endpoints, *endpointsSkipped, *finding,
		*authenticatedFrom, *authenticatedUntil,
		*dnssecValid, *dnssecInfo, *signatureInception, *signatureExpiry,
		*tlsaRecords, *tlsaTTL, tlsaMatch.Metric, *tlsaRecordMatch, *rolloverReady, *survivesRenewal, *staleRecords,
		certificateNotBefore.Metric, certificateNotAfter.Metric, certificateChainNotAfter.Metric, certificateInfo.Metric, certificateNameMatch.Metric, pkixValid.Metric,
		endpointUp.Metric, startTLSOffered.Metric, tlsInfo.Metric, handshakeTime.Metric,
		*nameserverUp, *nameserverSerial, *nameserverExpiry, *nameserverKeysValid, *nameserverConsistent, *nameserverDSConsistent,
		*delegationChecked, *delegationDS, *delegationDSInfo, *delegationKeys, *delegationIdleKeys,
		*delegationCDSConsistent, *delegationCDSPending, *delegationNSConsistent,
		*mxPreference,
		*mtaSTSRecordPresent, *mtaSTSRecordValid, *mtaSTSPolicyFetched, *mtaSTSMode, *mtaSTSMaxAge,
		*mtaSTSHostCovered, mtaSTSHostPasses.Metric, *mtaSTSSenderOutcome, *mtaSTSCertificateNotBefore, *mtaSTSCertificateNotAfter,
		*tlsrptRecordPresent, *tlsrptRecordValid,
		*truncated,
	}
}

// The metrics of the exporter itself.
var (
	exporterProbes = counter("dane_exporter_probes_total",
		"Probes completed, by module and outcome.", "module", "outcome")
	exporterInFlight = gauge("dane_exporter_probes_in_flight",
		"Probes currently in progress.")
	exporterRejected = counter("dane_exporter_probes_rejected_total",
		"Probes rejected because too many were in progress.", "reason")
	exporterDuration = histogram("dane_exporter_probe_duration_seconds",
		"Duration of probes in seconds.", "module")
	exporterHandshakeDuration = histogram("dane_exporter_handshake_duration_seconds",
		"Time from the start of the TCP connection to the end of the TLS handshake in seconds, by protocol of the service. Each completed handshake counts once.", "protocol")
	exporterLookupDuration = histogram("dane_exporter_lookup_duration_seconds",
		"Duration of lookups including validation in seconds, by record type. Equal lookups at the same time count once.", "type")
	exporterConnects = counter("dane_exporter_connects_total",
		"TCP connections attempted to the probed servers, by port and result.", "port", "result")
	exporterHandshakesReused = counter("dane_exporter_handshakes_reused_total",
		"Handshakes that a probe reused from another probe, made at the same time or recently.")
	exporterPanics = counter("dane_exporter_panics_total",
		"Panics recovered during probes and HTTP requests.")
	exporterDNSQueries = counter("dane_exporter_dns_queries_total",
		"Queries sent to resolvers.", "server", "transport")
	exporterDNSErrors = counter("dane_exporter_dns_errors_total",
		"Queries to resolvers that got no answer.", "server", "error")
	exporterDNSLimited = counter("dane_exporter_dns_limit_exceeded_total",
		"Lookups abandoned because they exceeded the limits on work.")
	exporterCacheEntries = gauge("dane_exporter_dns_cache_entries",
		"Names in the caches of zones and their validated keys, including names that are known not to be zones.")
	exporterCacheBytes = gauge("dane_exporter_dns_cache_bytes",
		"Estimated memory that the caches of validated zones use, in bytes.")
	exporterCacheRequests = counter("dane_exporter_dns_cache_requests_total",
		"Zones that lookups needed, by whether the cache of the resolver contained them.", "result")
	exporterReloadSuccessful = gauge("dane_exporter_config_last_reload_successful",
		"Whether the last load of the configuration file succeeded.")
	exporterReloadTime = gauge("dane_exporter_config_last_reload_success_timestamp_seconds",
		"Time of the last successful load of the configuration file, in Unix seconds.")
	exporterUnknownModules = counter("dane_exporter_module_unknown_total",
		"Requests for modules that the configuration does not define.")
	exporterResolverOK = gauge("dane_exporter_resolver_ok",
		"Whether the self-check found the resolver suitable for validation. Series about modules with their own resolver have the label module.", "module", "server")
	exporterTrustAnchorOK = gauge("dane_exporter_trust_anchor_ok",
		"Whether a trust anchor authenticates the root keys that the resolvers return. Absent if no resolver returned any.", "module")
	exporterNewRootKeys = gauge("dane_exporter_root_keys_without_anchor",
		"Number of key-signing keys of the root that match no trust anchor. If it is above 0, update the trust anchors before these keys alone sign the root. Absent if no resolver returned root keys that validate.", "module")
	exporterDiscoveryTargets = gauge("dane_exporter_discovery_targets",
		"Number of domains in the current list of the source. Absent until a list has been read.", "source")
	exporterDiscoveryUp = gauge("dane_exporter_discovery_up",
		"Whether the last attempt to read the list of the source succeeded. If not, the previous list remains in use. Absent until the first attempt has ended.", "source")
	exporterDiscoverySuccess = gauge("dane_exporter_discovery_last_success_timestamp_seconds",
		"Time at which the list of the source was last read or found unchanged, in Unix seconds.", "source")
	exporterDiscoveryBadLines = gauge("dane_exporter_discovery_bad_lines",
		"Number of lines or zone members in the current list of the source that are not domain names. The log has the first ten.", "source")
	exporterDiscoveryMXPending = gauge("dane_exporter_discovery_mx_pending",
		"Number of domains whose MX records have not been looked up yet. If it is above 0, /sd?by=mx returns status 503. Absent until /sd?by=mx is requested.")
	exporterDiscoveryMXFailed = gauge("dane_exporter_discovery_mx_failed",
		"Number of domains whose last MX lookup failed. Their last known hosts remain in use. Absent until /sd?by=mx is requested.")
	exporterInfo = gauge("dane_exporter_info",
		"URL of --web.external-url without a final slash, for links from alerts and dashboards. The value is always 1.", "external_url")
	exporterBuildInfo = gauge("dane_exporter_build_info", // as client_golang describes it
		"A metric with a constant '1' value labeled by version, revision, branch, goversion from which dane_exporter was built, and the goos and goarch for the build.")
)

// ExporterMetrics returns the description of every metric of the exporter itself,
// sorted by name. The metrics of the Go runtime and the process are not included.
func ExporterMetrics() []Metric {
	all := []Metric{
		*exporterProbes, *exporterInFlight, *exporterRejected, *exporterDuration, *exporterHandshakeDuration, *exporterLookupDuration, *exporterConnects, *exporterHandshakesReused, *exporterPanics,
		*exporterDNSQueries, *exporterDNSErrors, *exporterDNSLimited, *exporterCacheEntries, *exporterCacheBytes, *exporterCacheRequests,
		*exporterReloadSuccessful, *exporterReloadTime, *exporterUnknownModules,
		*exporterResolverOK, *exporterTrustAnchorOK, *exporterNewRootKeys,
		*exporterDiscoveryTargets, *exporterDiscoveryUp, *exporterDiscoverySuccess, *exporterDiscoveryBadLines, *exporterDiscoveryMXPending, *exporterDiscoveryMXFailed,
		*exporterInfo, *exporterBuildInfo,
	}
	slices.SortFunc(all, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func gauge(name, help string, labels ...string) *Metric {
	return &Metric{Name: name, Type: model.MetricTypeGauge, Help: help, Labels: labels}
}

// summaryGauge returns a gauge that modules with series: summary export too.
func summaryGauge(name, help string, labels ...string) *Metric {
	m := gauge(name, help, labels...)
	m.Summary = true
	return m
}

// maxGauge returns a gauge that keeps the greatest value of each label set.
func maxGauge(name, help string, labels ...string) *Metric {
	m := gauge(name, help, labels...)
	m.keepGreatest = true
	return m
}

func endpointGauge(name, help string, labels ...string) *endpointMetric {
	m := gauge(name, help, labels...)
	m.Endpoint = true
	return &endpointMetric{*m}
}

func summaryEndpointGauge(name, help string, labels ...string) *endpointMetric {
	m := endpointGauge(name, help, labels...)
	m.Summary = true
	return m
}

func counter(name, help string, labels ...string) *Metric {
	return &Metric{Name: name, Type: model.MetricTypeCounter, Help: help, Labels: labels}
}

func histogram(name, help string, labels ...string) *Metric {
	return &Metric{Name: name, Type: model.MetricTypeHistogram, Help: help, Labels: labels}
}

// merge returns the value that represents two values of one label set.
func (m *Metric) merge(a, b float64) float64 {
	if m.keepGreatest {
		return max(a, b)
	}
	return min(a, b)
}

func (m *Metric) desc() *prometheus.Desc {
	return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
}

func (m *Metric) newCounter() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: m.Name, Help: m.Help})
}

func (m *Metric) newCounterVec() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

func (m *Metric) newGauge() prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: m.Name, Help: m.Help})
}

// newHistogramVec returns histograms that are classic, with these buckets, and native. Clients
// that request protobuf get both. Each of at most 160 native buckets is at most 10 % wide.
func (m *Metric) newHistogramVec(buckets ...float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: m.Name, Help: m.Help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
	}, m.Labels)
}
