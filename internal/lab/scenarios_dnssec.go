package lab

import (
	"fmt"

	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// dnssecScenarios returns scenarios with insecure, bogus and failed lookups.
func dnssecScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "no-tlsa",
			Description: "The zones are signed and prove that there is no TLSA record. DANE does not apply.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"no_tlsa"},
			build: func(b *builder) { b.serveSMTP(b.mx("mx"), b.leaf("mx")) },
		},
		{
			Name:        "unsigned",
			Description: "The domain's zone is not signed. DANE clients ignore its TLSA record.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"address_insecure", "mx_insecure"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Unsigned: true})
				b.goodMX()
			},
		},
		{
			Name:        "optout-unsigned",
			Description: "The mail server is in an unsigned zone that the parent's NSEC3 chain omits by opt-out. DANE does not apply.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"address_insecure"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{NSEC3: &zone.NSEC3{OptOut: true}})
				b.add("@ MX 10 mx.plain")
				b.unsignedHost("plain", "mx")
			},
		},
		{
			Name:        "bogus-signature",
			Description: "The signature of the TLSA record is invalid. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"dnssec_bogus"},
			build: func(b *builder) {
				b.goodMX()
				b.inject(zone.Corrupt(zone.At(b.name("_25._tcp.mx"), dns.TypeTLSA)))
			},
		},
		{
			Name:        "expired-signature",
			Description: "The signatures of the zone expired yesterday. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"dnssec_bogus"},
			Series: []string{`dane_outcome_zone{zone="expired-signature.lab.test"} 1`},
			build: func(b *builder) {
				b.ownZone(zone.Zone{})
				b.goodMX()
				b.inject(zone.Expire(zone.In(b.domain)))
			},
		},
		{
			Name:        "wrong-ds",
			Description: "The DS record in the parent zone is for a key that the zone no longer has. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"dnssec_bogus"},
			Series: []string{`dane_outcome_zone{zone="wrong-ds.lab.test"} 1`},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Delegation: zone.Former})
				b.goodMX()
			},
		},
		{
			Name:        "tlsa-denial-bogus",
			Description: "The response without a TLSA record lacks the proof that there is none. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"dnssec_bogus"},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.leaf("mx"))
				b.inject(zone.DropProof(zone.At(b.name("_25._tcp.mx"), dns.TypeTLSA)))
			},
		},
		{
			Name:        "tlsa-servfail",
			Description: "The lookup of the TLSA records fails in a signed zone. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"dns_failure"},
			build: func(b *builder) {
				b.goodMX()
				b.inject(zone.Rcode(zone.At(b.name("_25._tcp.mx"), dns.TypeTLSA), dns.RcodeServerFailure))
			},
		},
		{
			Name:        "insecure-host-tlsa-servfail",
			Description: "The lookup of the TLSA records fails in an unsigned zone. DANE clients do not look them up there, and deliver.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"address_insecure"},
			build: func(b *builder) {
				b.add("@ MX 10 mx.plain")
				b.unsignedHost("plain", "mx")
				b.inject(zone.Rcode(zone.At(b.name("_25._tcp.mx.plain"), dns.TypeTLSA), dns.RcodeServerFailure))
			},
		},
		{
			Name:        "one-bad-resolver",
			Description: "One of two resolvers returns the TLSA record with an invalid signature. The other returns it correctly, and DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Reasons: []string{"resolver_inconsistent"},
			build: func(b *builder) {
				b.goodMX()
				b.inject(zone.From(zone.FirstServer, zone.Garble(zone.At(b.name("_25._tcp.mx"), dns.TypeTLSA))))
			},
		},
		{
			Name:        "insecure-mx-secure-host",
			Description: "The domain is unsigned; its mail server is in the signed zone of a provider, with a matching record. DANE clients deliver without DNSSEC for the MX record.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"mx_insecure"}, Advice: []string{"unsigned_domain_signed_host"},
			build: func(b *builder) { b.unsignedAtHoster(true) },
		},
		{
			Name:        "insecure-mx-mismatch",
			Description: "The domain is unsigned; its mail server is in the signed zone of a provider, with a record that does not match. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"mx_insecure", "tlsa_mismatch"}, Advice: []string{"unsigned_domain_signed_host"},
			build: func(b *builder) { b.unsignedAtHoster(false) },
		},
	}
}

// brokenTLD is a top-level domain with expired signatures over its keys.
const brokenTLD = "broken-tld."

// brokenTLDScenarios returns domains that fail because of one top-level domain.
func brokenTLDScenarios() []Scenario {
	explained := []string{`dane_outcome_zone{zone="broken-tld"} 1`}
	return []Scenario{
		{
			Name: "first.broken-tld", OwnTLD: true,
			Description: "The signatures over the keys of the top-level domain expired yesterday. All signed and unsigned domains below it are bogus.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"dnssec_bogus"}, Series: explained,
			build: func(b *builder) {
				b.zones = append(b.zones, zone.Zone{Apex: brokenTLD})
				b.inject(zone.Expire(zone.At(brokenTLD, dns.TypeDNSKEY)))
				b.ownZone(zone.Zone{})
				b.goodMX()
			},
		},
		{
			Name: "second.broken-tld", OwnTLD: true,
			Description: "An unsigned domain below the same top-level domain. It is bogus, because the top-level domain does not prove that it is unsigned.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"dnssec_bogus"}, Series: explained,
			build: func(b *builder) {
				b.ownZone(zone.Zone{Unsigned: true})
				b.serveSMTP(b.mx("mx"), b.leaf("mx"))
			},
		},
		{
			Name:        "mx-in-broken-tld",
			Description: "The domain is valid, but its only mail server is below the broken top-level domain. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"dnssec_bogus"}, Series: explained,
			build: func(b *builder) { b.add("@ MX 10 mx.first.%s", brokenTLD) },
		},
		{
			Name:        "broken-tld-and-mismatch",
			Description: "One mail server is below the broken top-level domain, and the TLSA record of the other one does not match. The zone is not the only cause of the outcome.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"dnssec_bogus", "tlsa_mismatch"}, Absent: []string{`dane_outcome_zone{zone="broken-tld"}`},
			build: func(b *builder) {
				b.add("@ MX 10 mx.first.%s", brokenTLD)
				b.add("@ MX 20 mx")
				b.serveSMTP(b.a("mx"), b.leaf("mx"))
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
	}
}

// unsignedHost adds a mail server in an unsigned zone.
func (b *builder) unsignedHost(apex, host string) {
	address := b.address()
	b.serveSMTP(address, b.leaf(host+"."+apex))
	b.zone(zone.Zone{Apex: apex, Unsigned: true, Records: fmt.Sprintf("%s A %s", host, address)})
}

// unsignedAtHoster makes the domain unsigned, with a mail server in a signed zone
// of a provider. Its record is of the certificate that it sends if matching is set.
func (b *builder) unsignedAtHoster(matching bool) {
	apex := "hoster-of-" + b.domain
	host := "mx." + apex
	address, sent := b.address(), b.leaf(host)
	published := sent
	if !matching {
		published = b.leaf(host)
	}
	b.ownZone(zone.Zone{Unsigned: true})
	b.add("@ MX 10 %s", host)
	b.serveSMTP(address, sent)
	b.zone(zone.Zone{Apex: apex, Records: fmt.Sprintf("mx A %s\n_25._tcp.mx TLSA %s\n", address, tlsaData(3, 1, 1, published))})
}
