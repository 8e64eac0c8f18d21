package probe

import (
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
	NoNextKey              Topic = "no_next_key"
	SHA1Zone               Topic = "sha1_zone"
	NSEC3Iterations        Topic = "nsec3_iterations"
	MicrosoftUnsigned      Topic = "microsoft_unsigned_host"
	UnsignedBeforeSignedMX Topic = "unsigned_domain_signed_host"
)

// Advice is something to do better, where nothing is wrong today. It is never
// part of the outcome, nor of success. Fields that do not apply are empty.
type Advice struct {
	Topic  Topic
	Host   string
	Port   uint16
	Detail string // what it is about: the record, the zone, the date
}

// TopicInfo teaches one topic.
type TopicInfo struct {
	Topic  Topic
	Text   string // what is the case, and what may come of it
	Remedy string
}

// Info returns what there is to know of t.
func (t Topic) Info() TopicInfo {
	for _, info := range Topics() {
		if info.Topic == t {
			return info
		}
	}
	return TopicInfo{Topic: t}
}

// Topics is the table of all topics.
func Topics() []TopicInfo {
	return []TopicInfo{
		{PKIXUsageOnRelay,
			"A TLSA record has usage 0 or 1. Mail servers do not act on those (RFC 7672 §3.1.3), some treat them like 2 and 3, others as unusable.",
			"Replace 0 by 2 and 1 by 3."},
		{ShortLivedCertificate,
			"The record pins the whole of a certificate that lives for weeks: each renewal breaks it, even one that keeps the key.",
			"Publish 3 1 1, which pins the key alone, and keep the key when renewing."},
		{AnchorNotInChain,
			"A DANE-TA record is of a certificate that the server does not send. Clients do not look for it elsewhere; where the record holds it in full, not every client can use it from there (RFC 7671 §5.2.2).",
			"Let the server send the whole chain, the certificate that the record is of included, be it a root; or publish the record of a certificate that is sent."},
		{NoNextKey,
			"The certificate ends soon, and no record of the next one is published. A new key would match nothing until the old record has left every cache.",
			"Publish the record of the next key beside today's, well before it is used: its TTL at least; or renew with the same key under a 3 1 1 record."},
		{SHA1Zone,
			"A zone is signed with RSASHA1 alone (algorithm 5 or 7). Validators that obey RFC 9905 treat it as unsigned, others believe it: senders differ in whether DANE applies.",
			"Sign the zone with algorithm 13 or 8 and exchange its DS record."},
		{NSEC3Iterations,
			"A zone hashes the names in its denial more than once. RFC 9276 §3.1 wants zero iterations; above limits of their own, validators treat what such records deny as insecure, or fail.",
			"Set the zone's NSEC3 iterations to 0, and its salt to none."},
		{MicrosoftUnsigned,
			"The mail host is one of Microsoft 365 below mail.protection.outlook.com, which is not signed: DANE cannot protect it.",
			"Enable DNSSEC and DANE for the domain in Exchange Online, and change the MX record to the host below mx.microsoft that it names."},
		{UnsignedBeforeSignedMX,
			"The mail host is signed and has TLSA records, and the domain in front of it is not signed: whoever can forge its MX record leads mail elsewhere, and the host's DANE is worth little.",
			"Sign the domain and publish its DS record at the registrar. The host needs no change."},
	}
}

// The times that advice goes by.
const (
	shortLife = 100 * 24 * time.Hour // of a certificate that is renewed by a machine
	soon      = 14 * 24 * time.Hour
)

// advise goes through what was found for what could be better.
func (j *judgement) advise() {
	for i := range j.Services {
		j.adviseOnRecords(&j.Services[i])
		j.adviseOnRenewal(&j.Services[i])
		j.adviseOnHost(&j.Services[i])
	}
	j.adviseOnZones()
}

// note gives each advice once.
func (j *judgement) note(topic Topic, v *ServiceVerdict, format string, args ...any) {
	advice := Advice{Topic: topic, Detail: fmt.Sprintf(format, args...)}
	if v != nil {
		advice.Host, advice.Port = v.Host, v.Port
	}
	if !slices.Contains(j.Advice, advice) {
		j.Advice = append(j.Advice, advice)
	}
}

func (j *judgement) adviseOnRecords(v *ServiceVerdict) {
	for i, record := range v.Records {
		if v.Policy == SMTPRelay && record.Record.Usage <= tlsa.PKIXEE {
			j.note(PKIXUsageOnRelay, v, "%s", record.Record)
		}
		for _, e := range v.Endpoints {
			if i < len(e.Matches) && anchorNotInChain(e.Matches[i]) && e.Outcome == Authenticated {
				j.note(AnchorNotInChain, v, "%s", record.Record)
			}
		}
	}
}

// anchorNotInChain: the record means an issuer that is known, and was not sent.
func anchorNotInChain(m tlsa.Match) bool {
	return m.Record.Usage == tlsa.DANETA && (m.Failure == tlsa.AnchorNotSent || m.Matches && m.Depth < 0)
}

func (j *judgement) adviseOnRenewal(v *ServiceVerdict) {
	practice := v.Practice()
	for _, e := range v.Endpoints {
		if e.Outcome != Authenticated {
			continue
		}
		leaf := e.Facts.Chain.Certificates[0]
		life, left := leaf.NotAfter.Sub(leaf.NotBefore), leaf.NotAfter.Sub(j.At)
		if practice.SurvivesRenewal == No && life <= shortLife && !slices.ContainsFunc(e.Matches, outlivesRenewal) {
			j.note(ShortLivedCertificate, v, "the certificate lives for %d days", int(life.Hours()/24))
		}
		byIssuer := func(m tlsa.Match) bool { return m.Authenticates() && ofIssuer(m.Record) }
		if practice.RolloverReady == No && left >= 0 && left <= soon && !slices.ContainsFunc(e.Matches, byIssuer) {
			j.note(NoNextKey, v, "the certificate ends at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
		}
	}
}

func (j *judgement) adviseOnHost(v *ServiceVerdict) {
	mx := j.facts.MX
	if mx == nil || !mx.Found() {
		return
	}
	if strings.HasSuffix(v.Host, ".mail.protection.outlook.com") {
		j.note(MicrosoftUnsigned, v, "%s", v.Host)
	}
	if mx.Status == dnssec.Insecure && v.Base != "" {
		j.note(UnsignedBeforeSignedMX, v, "%s", j.rules.Target)
	}
}

// adviseOnZones looks at the zones that the answers come from. Those above them,
// a top-level domain say, are not for the reader to change.
func (j *judgement) adviseOnZones() {
	for _, lookup := range j.facts.Lookups() {
		link := deepestLink(lookup.Answer)
		if sha1Alone(link) {
			j.note(SHA1Zone, nil, "%s, which is %s here", nameOf(link.Zone), link.Status)
		}
		for _, hashed := range lookup.Answer.NSEC3 {
			if hashed.Iterations > 0 && hashed.Zone == link.Zone {
				j.note(NSEC3Iterations, nil, "%s: %d iterations", nameOf(hashed.Zone), hashed.Iterations)
			}
		}
	}
}

// sha1Alone reports whether the DS records of a zone lead to keys of RSASHA1,
// and to no others that validators use (RFC 9904, RFC 9905).
func sha1Alone(link dnssec.Link) bool {
	of := func(algorithms ...uint8) bool {
		return slices.ContainsFunc(link.DS, func(ds dnssec.DS) bool { return slices.Contains(algorithms, ds.Algorithm) })
	}
	return of(dns.RSASHA1, dns.RSASHA1NSEC3SHA1) &&
		!of(dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519)
}
