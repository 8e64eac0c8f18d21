package lab

import (
	"fmt"

	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// dnssecScenarios: what DNSSEC does not prove, or disproves.
func dnssecScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "no-tlsa",
			Story:  "The zones are signed, and prove that there is no TLSA record.",
			Module: "smtp_mx", Outcome: "opportunistic", Reasons: []string{"no_tlsa"},
			build: func(b *builder) { b.mail(b.mx("mx"), b.leaf("mx")) },
		},
		{
			Name:   "unsigned",
			Story:  "The domain's zone is not signed; its TLSA record is worth nothing.",
			Module: "smtp_mx", Outcome: "opportunistic", Reasons: []string{"address_insecure", "mx_insecure"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Unsigned: true})
				b.good()
			},
		},
		{
			Name:   "optout-unsigned",
			Story:  "The mail server is in an unsigned zone, which the NSEC3 chain of its signed parent leaves out.",
			Module: "smtp_mx", Outcome: "opportunistic", Reasons: []string{"address_insecure"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{NSEC3: &zone.NSEC3{OptOut: true}})
				b.add("@ MX 10 mx.plain")
				b.unsignedHost("plain", "mx")
			},
		},
		{
			Name:   "bogus-signature",
			Story:  "The signature of the TLSA record does not verify.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"dnssec_bogus"},
			build: func(b *builder) {
				b.good()
				b.broken(zone.Corrupt(zone.At(b.name("_25._tcp.mx"), dns.TypeTLSA)))
			},
		},
		{
			Name:   "expired-signature",
			Story:  "Nobody signs the zone any more: its signatures ended yesterday.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"dnssec_bogus"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{})
				b.good()
				b.broken(zone.Expire(zone.In(b.domain)))
			},
		},
		{
			Name:   "wrong-ds",
			Story:  "The parent's DS is of a key that the zone no longer has.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"dnssec_bogus"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Delegation: zone.Former})
				b.good()
			},
		},
		{
			Name:   "tlsa-denial-bogus",
			Story:  "The answer that there is no TLSA record comes without its proof.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"dnssec_bogus"},
			build: func(b *builder) {
				b.mail(b.mx("mx"), b.leaf("mx"))
				b.broken(zone.DropProof(zone.At(b.name("_25._tcp.mx"), dns.TypeTLSA)))
			},
		},
		{
			Name:   "tlsa-servfail",
			Story:  "The look-up of the TLSA records fails, in a signed zone.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"dns_failure"},
			build: func(b *builder) {
				b.good()
				b.broken(zone.Rcode(zone.At(b.name("_25._tcp.mx"), dns.TypeTLSA), dns.RcodeServerFailure))
			},
		},
		{
			Name:   "insecure-host-tlsa-servfail",
			Story:  "The look-up of the TLSA records fails, in an unsigned zone: nobody should ask there.",
			Module: "smtp_mx", Outcome: "opportunistic", Reasons: []string{"address_insecure"},
			build: func(b *builder) {
				b.add("@ MX 10 mx.plain")
				b.unsignedHost("plain", "mx")
				b.broken(zone.Rcode(zone.At(b.name("_25._tcp.mx.plain"), dns.TypeTLSA), dns.RcodeServerFailure))
			},
		},
		{
			Name:   "one-bad-resolver",
			Story:  "One of the two resolvers hands out a TLSA record with a broken signature, the other a good one.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true, Reasons: []string{"resolver_inconsistent"},
			build: func(b *builder) {
				b.good()
				b.broken(zone.From(zone.FirstServer, zone.Garble(zone.At(b.name("_25._tcp.mx"), dns.TypeTLSA))))
			},
		},
		{
			Name:   "insecure-mx-secure-host",
			Story:  "The domain is unsigned; its mail server is at a hoster who is signed and has the right record.",
			Module: "smtp_mx", Outcome: "opportunistic", Reasons: []string{"mx_insecure"}, Advice: []string{"unsigned_domain_signed_host"},
			build: func(b *builder) { b.unsignedAtHoster(true) },
		},
		{
			Name:   "insecure-mx-mismatch",
			Story:  "The domain is unsigned; its mail server is at a hoster who is signed and has a wrong record.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"mx_insecure", "tlsa_mismatch"}, Advice: []string{"unsigned_domain_signed_host"},
			build: func(b *builder) { b.unsignedAtHoster(false) },
		},
	}
}

// unsignedHost puts a mail server into an unsigned zone.
func (b *builder) unsignedHost(apex, host string) {
	address := b.address()
	b.mail(address, b.leaf(host+"."+apex))
	b.zone(zone.Zone{Apex: apex, Unsigned: true, Records: fmt.Sprintf("%s A %s", host, address)})
}

// unsignedAtHoster makes the domain unsigned, with a mail server in a signed
// zone elsewhere, whose record is of the certificate that it shows, or not.
func (b *builder) unsignedAtHoster(right bool) {
	apex := "hoster-of-" + b.domain
	host := "mx." + apex
	address, shown := b.address(), b.leaf(host)
	published := shown
	if !right {
		published = b.leaf(host)
	}
	b.ownZone(zone.Zone{Unsigned: true})
	b.add("@ MX 10 %s", host)
	b.mail(address, shown)
	b.zone(zone.Zone{Apex: apex, Records: fmt.Sprintf("mx A %s\n_25._tcp.mx TLSA %s\n", address, tlsaData(3, 1, 1, published))})
}
