package dane

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// Topic names one piece of advice of a closed list.
type Topic string

const (
	PKIXUsageOnRelay       Topic = "pkix_usage_on_relay"
	ShortLivedCertificate  Topic = "short_lived_certificate_pinned"
	AnchorNotInChain       Topic = "trust_anchor_not_in_chain"
	AnchorOutOfDate        Topic = "trust_anchor_out_of_date"
	IssuerPinnedAlone      Topic = "intermediate_pinned_alone"
	ManyRecords            Topic = "many_records"
	ChainOrder             Topic = "chain_order"
	NoNextKey              Topic = "no_next_key"
	SHA1Zone               Topic = "sha1_zone"
	UnsupportedDS          Topic = "unsupported_ds"
	NSEC3Iterations        Topic = "nsec3_iterations"
	MicrosoftUnsigned      Topic = "microsoft_unsigned_host"
	UnsignedBeforeSignedMX Topic = "unsigned_domain_signed_host"
	DSWithoutKey           Topic = "ds_without_key"
	KeysWithoutDS          Topic = "keys_without_ds"
	CDSPending             Topic = "cds_pending"
	ObsoleteDS             Topic = "obsolete_ds"
	DelegationDiffers      Topic = "delegation_differs"
)

// Advice is a possible improvement of a target that works. It affects neither the
// outcome nor success. Fields that do not apply are empty.
type Advice struct {
	Topic  Topic
	Host   string
	Port   uint16
	Detail string // the record, zone or date that it refers to
}

// TopicInfo explains one topic.
type TopicInfo struct {
	Topic  Topic
	Text   string // what was found, and its possible consequence
	Remedy string
}

// Info returns the explanation of t.
func (t Topic) Info() TopicInfo {
	for _, info := range Topics() {
		if info.Topic == t {
			return info
		}
	}
	return TopicInfo{Topic: t}
}

// Topics returns the table of all topics.
func Topics() []TopicInfo {
	return []TopicInfo{
		{PKIXUsageOnRelay,
			"A TLSA record has certificate usage 0 or 1. Mail servers do not act on these usages (RFC 7672 §3.1.3): some treat them like 2 and 3, others as unusable.",
			"Replace usage 0 with 2 and usage 1 with 3."},
		{ShortLivedCertificate,
			"The TLSA record matches a whole certificate with a short lifetime. After every renewal it no longer matches, even if the key stays the same.",
			"Publish a 3 1 1 record, which matches the key alone, and keep the key when you renew the certificate."},
		{AnchorNotInChain,
			"A DANE-TA record describes no issuer that the server sends. Clients do not fetch it from elsewhere. If the record contains the full certificate, some clients cannot use it from there (RFC 7672 §3.1.2).",
			"Configure the server to send the whole chain, including the certificate that the record describes, even a root. Or publish a record for a certificate that is sent."},
		{AnchorOutOfDate,
			"A DANE-TA record describes a certificate that has expired or is not valid yet. It is not self-issued, so its dates do not count in Postfix and in other clients with OpenSSL. Clients that check the dates of every certificate do not connect.",
			"Replace the certificate by one that is valid, and publish its record in addition, at least two TTLs before. Or publish a DANE-EE record."},
		{IssuerPinnedAlone,
			"Only records of intermediate certificates authenticate the server. CAs choose among several intermediates and retire them without notice. The next certificate may have another one, and then no record matches.",
			"Publish a 3 1 1 record of the server's key in addition, and keep the key. Or publish the records of all intermediates that the CA may use."},
		{ManyRecords,
			"The service has more than 12 TLSA records. Some large senders fail on such answers.",
			"Remove the records of keys and issuers that are no longer used."},
		{ChainOrder,
			"The server sends several certificates that may have issued the same certificate. One path leads to the certificate of a TLSA record, another does not. Postfix and other clients with OpenSSL follow one path only, and do not connect.",
			"Send only the certificates of the path to the one that the record describes, in this order, each followed by its issuer. Or publish a DANE-EE record."},
		{NoNextKey,
			"The renewal of the certificate is late: at most a quarter of its lifetime is left, and at most 14 days. No record for the next one is published. A new key matches no record until its record is published and the old one has expired from all caches.",
			"Publish the record for the next key in addition to the current one, at least two TTLs before the key is used. Or renew with the same key under a 3 1 1 record."},
		{SHA1Zone,
			"A zone is signed only with RSASHA1 (algorithm 5 or 7). Validators that follow RFC 9905 treat it as unsigned, others validate it. So DANE applies for some senders only.",
			"Sign the zone with algorithm 13 or 8 and replace its DS record."},
		{UnsupportedDS,
			"A zone has DS records, but each has an algorithm or a digest type that this exporter and most validators do not support. They treat the zone as unsigned, so DANE does not apply.",
			"Sign the zone with algorithm 13 or 8, and publish a DS record with digest type 2."},
		{NSEC3Iterations,
			"A zone uses additional NSEC3 hash iterations. RFC 9276 §3.1 requires zero iterations. Above their own limit, validators treat answers with such records as insecure, or fail.",
			"Set the NSEC3 iterations of the zone to 0 and use no salt."},
		{MicrosoftUnsigned,
			"The mail host is a Microsoft 365 host under mail.protection.outlook.com. That zone is not signed, so DANE cannot protect the host.",
			"Enable DNSSEC and DANE for the domain in Exchange Online, and change the MX record to the host under mx.microsoft that it names."},
		{UnsignedBeforeSignedMX,
			"The mail host is signed and has TLSA records, but the domain whose MX record names it is not signed. An attacker who forges the MX record redirects the mail, so the host's DANE protects little.",
			"Sign the domain and publish its DS record at the registrar. The host needs no change."},
		{DSWithoutKey,
			"A DS record matches no key of the zone, and another one does. Validators ignore it as long as the zone is signed with its algorithm. Otherwise strict validators fail, such as Unbound with harden-algo-downgrade.",
			"If no rollover is in progress, remove the DS record at the registrar."},
		{KeysWithoutDS,
			"The zone is signed, but its parent has no DS record for it. Validators treat the zone as unsigned, so DANE does not apply to it.",
			"Publish the DS record at the registrar. If you have published it before, check whether the registrar removed it."},
		{CDSPending,
			"The zone requests other DS records by CDS or CDNSKEY records (RFC 7344), and the parent has not changed them yet. Some parents do not support such requests.",
			"If the parent supports CDS, wait, and keep the current key meanwhile. Otherwise change the DS records at the registrar."},
		{ObsoleteDS,
			"A DS record has an algorithm or a digest type that must not or should not be used any more (RFC 9904, RFC 9905). A validator that supports none of the DS records treats the zone as unsigned.",
			"Publish DS records with digest type 2 only. Sign the zone with algorithm 13 or 8."},
		{DelegationDiffers,
			"The parent delegates the zone to other nameservers than the zone itself names (RFC 1034 §4.2.2). Resolvers use both lists, so a change of provider reaches some of them late.",
			"Make the NS records at the registrar and those in the zone equal."},
	}
}

// shortLifetime is the longest lifetime of certificates that are renewed automatically.
const shortLifetime = 100 * 24 * time.Hour

// The renewal of a certificate is late if no more than this share of its lifetime is left,
// and no more than so many days. ACME clients renew before. There is no minimum: a
// certificate may be valid for a day. The alerts have the same rule: make docs writes it
// into deploy/mixin.
const (
	LateShare = 0.25
	LateDays  = 14
)

// latePeriod returns the time before the expiry of a certificate in which its renewal is late.
func latePeriod(lifetime time.Duration) time.Duration {
	return min(time.Duration(LateShare*float64(lifetime)), LateDays*24*time.Hour)
}

// manyRecords is the largest number of TLSA records that all senders are known to accept.
const manyRecords = 12

// advise adds advice on what the facts show.
func (j *judge) advise() {
	for i := range j.verdict.Services {
		j.adviseOnRecords(&j.verdict.Services[i])
		j.adviseOnIntermediates(&j.verdict.Services[i])
		j.adviseOnPaths(&j.verdict.Services[i])
		j.adviseOnRenewal(&j.verdict.Services[i])
		j.adviseOnHost(&j.verdict.Services[i])
	}
	j.adviseOnZones()
}

// addAdvice adds each piece of advice once.
func (j *judge) addAdvice(topic Topic, v *ServiceVerdict, format string, args ...any) {
	advice := Advice{Topic: topic, Detail: fmt.Sprintf(format, args...)}
	if v != nil {
		advice.Host, advice.Port = v.Host, v.Port
	}
	if !slices.Contains(j.verdict.Advice, advice) {
		j.verdict.Advice = append(j.verdict.Advice, advice)
	}
}

func (j *judge) adviseOnRecords(v *ServiceVerdict) {
	if len(v.Records) > manyRecords {
		j.addAdvice(ManyRecords, v, "%d records", len(v.Records))
	}
	for i, record := range v.Records {
		if v.Policy == SMTPRelay && record.Record.Usage <= tlsa.PKIXEE {
			j.addAdvice(PKIXUsageOnRelay, v, "%s", record.Record)
		}
		for _, e := range v.Endpoints {
			if e.Outcome != Authenticated {
				continue
			}
			match := e.Matches[i]
			if anchorNotInChain(match) && (!record.Matches || match.Matches) {
				j.addAdvice(AnchorNotInChain, v, "%s", record.Record)
			}
			if match.Authenticates() && match.AnchorOutOfDate != "" && !authenticatedWithoutPath(&e) {
				j.addAdvice(AnchorOutOfDate, v, "%s: %s", record.Record, match.AnchorOutOfDate)
			}
		}
	}
}

// anchorNotInChain reports whether a record describes an issuer that a server did not send.
func anchorNotInChain(m tlsa.Match) bool {
	return m.Record.Usage == tlsa.DANETA && m.Usability == tlsa.Usable &&
		(m.Failure == tlsa.AnchorNotSent || m.Failure == tlsa.Mismatch || m.Matches && m.Depth < 0)
}

// adviseOnIntermediates reports records that depend on the choice of intermediate by a
// CA of the Web PKI. Operators control the intermediates of private CAs.
func (j *judge) adviseOnIntermediates(v *ServiceVerdict) {
	ofServer := func(r RecordVerdict) bool { return r.Usability == tlsa.Usable && !ofIssuer(r.Record) }
	if slices.ContainsFunc(v.Records, ofServer) {
		return
	}
	for i := range v.Endpoints {
		e := &v.Endpoints[i]
		byRoot := func(m tlsa.Match) bool { return m.Authenticates() && !ofIntermediate(m, e.Facts.Chain.Certificates) }
		if e.Outcome != Authenticated || e.PKIX != Yes || slices.ContainsFunc(e.Matches, byRoot) {
			continue
		}
		used := slices.IndexFunc(e.Matches, tlsa.Match.Authenticates)
		j.addAdvice(IssuerPinnedAlone, v, "%s", e.Matches[used].Record)
	}
}

// ofIntermediate reports whether a record describes a certificate of the chain that
// another CA issued.
func ofIntermediate(m tlsa.Match, chain []*x509.Certificate) bool {
	if m.Depth < 1 || m.Depth >= len(chain) {
		return false
	}
	issuer := chain[m.Depth]
	return !bytes.Equal(issuer.RawIssuer, issuer.RawSubject)
}

// maxPostfixDepth is the greatest depth of an anchor that Postfix accepts: two more
// than the default of smtp_tls_scert_verifydepth.
const maxPostfixDepth = 11

// adviseOnPaths compares the paths to anchors with the one path that senders with
// OpenSSL follow, at the endpoints that no DANE-EE record authenticates.
func (j *judge) adviseOnPaths(v *ServiceVerdict) {
	for i := range v.Endpoints {
		e := &v.Endpoints[i]
		if e.Outcome != Authenticated || authenticatedWithoutPath(e) {
			continue
		}
		single := j.verifier(v, j.verdict.At).SinglePath(recordsOf(v), e.Facts.Chain)
		switch {
		case v.Policy == SMTPRelay && single.Depth > maxPostfixDepth:
			j.find(Finding{Reason: ChainTooDeep, Host: v.Host, Port: v.Port, Address: e.Address,
				Detail: fmt.Sprintf("the chain has %d certificates above the server's, Postfix accepts %d", single.Depth, maxPostfixDepth)})
		case single.Failure != "" && !single.Open:
			j.addAdvice(ChainOrder, v, "%s: %s", e.Address, single.Failure)
		}
	}
}

// authenticatedWithoutPath reports whether a record authenticates the endpoint for
// which the chain does not matter.
func authenticatedWithoutPath(e *EndpointVerdict) bool {
	return slices.ContainsFunc(e.Matches, func(m tlsa.Match) bool { return m.Authenticates() && m.Record.Usage == tlsa.DANEEE })
}

func (j *judge) adviseOnRenewal(v *ServiceVerdict) {
	status := v.RolloverStatus()
	for _, e := range v.Endpoints {
		if e.Outcome != Authenticated {
			continue
		}
		leaf := e.Facts.Chain.Certificates[0]
		lifetime, left := leaf.NotAfter.Sub(leaf.NotBefore), leaf.NotAfter.Sub(j.verdict.At)
		if status.SurvivesRenewal == No && lifetime <= shortLifetime && !slices.ContainsFunc(e.Matches, survivesRenewal) {
			j.addAdvice(ShortLivedCertificate, v, "the certificate is valid for %d days", int(lifetime.Hours()/24))
		}
		byIssuer := func(m tlsa.Match) bool { return m.Authenticates() && ofIssuer(m.Record) }
		if status.RolloverReady == No && left >= 0 && left <= latePeriod(lifetime) && !slices.ContainsFunc(e.Matches, byIssuer) {
			j.addAdvice(NoNextKey, v, "the certificate expires at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
		}
	}
}

func (j *judge) adviseOnHost(v *ServiceVerdict) {
	mx := j.facts.MX
	if mx == nil || !mx.Found() {
		return
	}
	if strings.HasSuffix(v.Host, ".mail.protection.outlook.com") {
		j.addAdvice(MicrosoftUnsigned, v, "%s", v.Host)
	}
	if mx.Status == dnssec.Insecure && v.Base != "" {
		j.addAdvice(UnsignedBeforeSignedMX, v, "%s", j.rules.Target)
	}
}

// adviseOnZones checks the zones that contain the answers. It ignores the zones
// above them, such as a top-level domain, because the operator cannot change them.
func (j *judge) adviseOnZones() {
	for _, lookup := range j.facts.Lookups() {
		link := deepestLink(lookup.Answer, lookup.Answer.Canonical)
		switch {
		case onlySHA1(link):
			j.addAdvice(SHA1Zone, nil, "%s, which is %s here", TextName(link.Zone), link.Status)
		case link.Status == dnssec.Insecure && len(link.DS) > 0:
			j.addAdvice(UnsupportedDS, nil, "%s: %s", TextName(link.Zone), link.Why)
		}
		for _, hashed := range lookup.Answer.NSEC3 {
			if hashed.Iterations > 0 && hashed.Zone == link.Zone {
				j.addAdvice(NSEC3Iterations, nil, "%s: %d iterations", TextName(hashed.Zone), hashed.Iterations)
			}
		}
	}
}

// onlySHA1 reports whether the DS records of a zone lead to RSASHA1 keys, and
// to no other keys that validators use (RFC 9904, RFC 9905).
func onlySHA1(link dnssec.Link) bool {
	has := func(algorithms ...uint8) bool {
		return slices.ContainsFunc(link.DS, func(ds dnssec.DS) bool { return slices.Contains(algorithms, ds.Algorithm) })
	}
	return has(dns.RSASHA1, dns.RSASHA1NSEC3SHA1) &&
		!has(dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519, dns.ED448)
}
