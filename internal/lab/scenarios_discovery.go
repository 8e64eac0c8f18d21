package lab

import (
	"fmt"

	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// discoveryScenarios returns scenarios about the way from the domain to its hosts
// and their addresses.
func discoveryScenarios() []Scenario {
	return append(faultyMXScenarios(), []Scenario{
		{
			Name:        "two-mx-one-broken",
			Description: "The second of two mail servers has a new key but no new record. DANE clients deliver to the first.",
			Module:      "smtp_mx", Outcome: "authenticated", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.goodMX()
				b.add("@ MX 20 mx2")
				b.serveSMTP(b.a("mx2"), b.leaf("mx2"))
				b.tlsa("_25._tcp.mx2", 3, 1, 1, b.leaf("mx2"))
			},
		},
		{
			Name:        "two-addresses-one-broken",
			Description: "At one of its two addresses, the mail server has another key. DANE clients deliver to the other address.",
			Module:      "smtp_mx", Outcome: "authenticated", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.goodMX()
				b.serveSMTP(b.a("mx"), b.leaf("mx"))
			},
		},
		{
			Name:        "fifty-mx-one-broken",
			Description: "One of fifty mail servers has a new key but no new record. DANE clients deliver to the others.",
			Module:      "smtp_mx", Outcome: "authenticated", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{})
				certificate, other := b.leaf("mx"), b.leaf("mx")
				for i := range 50 {
					host := fmt.Sprintf("mx%02d", i)
					if i == 37 {
						b.serveSMTP(b.mx(host), other)
					} else {
						b.serveSMTP(b.mx(host), certificate)
					}
					b.tlsa("_25._tcp."+host, 3, 1, 1, certificate)
				}
			},
		},
		{
			Name:        "no-mx",
			Description: "The domain has no MX record, so it is its own mail server. DANE clients authenticate it.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.serveSMTP(b.a("@"), certificate)
				b.tlsa("_25._tcp", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "null-mx",
			Description: "The domain accepts no mail: it has a null MX (RFC 7505 §3). Clients do not connect.",
			Module:      "smtp_mx", Outcome: "none", Reasons: []string{"null_mx"},
			build: func(b *builder) { b.add("@ MX 0 .") },
		},
		{
			Name:        "no-such-domain",
			Description: "The domain does not exist. Clients do not connect.",
			Module:      "smtp_mx", Outcome: "none", Reasons: []string{"no_such_domain"},
			build: func(*builder) {},
		},
		{
			Name:        "no-address",
			Description: "The name of the mail server exists but has no address. Clients do not connect.",
			Module:      "smtp_mx", Outcome: "none", Reasons: []string{"no_address"},
			build: func(b *builder) {
				b.add("@ MX 10 mx")
				b.add(`mx TXT "no address"`)
			},
		},
		{
			Name:        "mx-servfail",
			Description: "The lookup of the MX records fails. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"dns_failure"},
			build: func(b *builder) {
				b.goodMX()
				b.inject(zone.Rcode(zone.At(b.domain, dns.TypeMX), dns.RcodeServerFailure))
			},
		},
	}...)
}

// faultyMXScenarios returns scenarios with MX records that no mail server follows,
// or that only some follow.
func faultyMXScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "null-mx-conflict",
			Description: "The domain has a null MX and the MX record of a working mail server. Postfix bounces all mail; other DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Reasons: []string{"null_mx_conflict"},
			build: func(b *builder) {
				b.goodMX()
				b.add("@ MX 0 .")
			},
		},
		{
			Name:        "null-mx-twice",
			Description: "The domain has two null MX records with different preferences. Postfix bounces all mail, and there is no other host.",
			Module:      "smtp_mx", Outcome: "none", Reasons: []string{"null_mx_conflict"},
			build: func(b *builder) { b.add("@ MX 0 .\n@ MX 10 .") },
		},
		{
			Name:        "mx-is-address",
			Description: "The MX record names an address. Postfix connects to it without DANE; other senders may not deliver.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"mx_names_address"},
			build: func(b *builder) {
				at := b.a("mx")
				b.serveSMTP(at, b.leaf("mx"))
				b.add("@ MX 10 %s.", at)
			},
		},
		{
			Name:        "mx-not-a-hostname",
			Description: "One MX record has a name in UTF-8, another a stray quotation mark. Clients deliver to the third, which they authenticate.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Reasons: []string{"invalid_hostname"},
			build: func(b *builder) {
				b.goodMX()
				b.add(`@ MX 5 b\195\188cher`)
				b.add(`@ MX 5 \"mx`)
			},
		},
		{
			Name:        "mx-localhost",
			Description: "The MX record names localhost, a special-use name (RFC 6761 §6.3). Clients do not connect.",
			Module:      "smtp_mx", Outcome: "none", Reasons: []string{"special_use_name"},
			build: func(b *builder) {
				b.add("@ MX 10 localhost.")
				b.inject(zone.DropProof(zone.Under("localhost.")))
			},
		},
		{
			Name:        "mx-alias-invalid",
			Description: "The mail server is an alias of a name below invalid, for which the resolver answers itself. Clients do not connect.",
			Module:      "smtp_mx", Outcome: "none", Reasons: []string{"special_use_name"},
			build: func(b *builder) {
				b.add("@ MX 10 mx")
				b.add("mx CNAME parked.invalid.")
				b.inject(zone.DropProof(zone.Under("invalid.")), zone.DropProof(zone.At("mx."+b.domain, dns.TypeA, dns.TypeAAAA)))
			},
		},
		{
			Name:        "tlsa-alias-invalid",
			Description: "The TLSA name is an alias of a name below invalid, for which the resolver answers itself. There are no records, so DANE does not apply.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"tlsa_alias_dangling"},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.leaf("mx"))
				b.add("_25._tcp.mx CNAME parked.invalid.")
				b.inject(zone.DropProof(zone.Under("invalid.")), zone.DropProof(zone.At("_25._tcp.mx."+b.domain, dns.TypeTLSA)))
			},
		},
		{
			Name:        "mx-nonexistent-tld",
			Description: "The MX record names a host below a top-level domain that does not exist. Clients do not connect.",
			Module:      "smtp_mx", Outcome: "none", Reasons: []string{"no_address"},
			build: func(b *builder) { b.add("@ MX 10 mx.nonexistent.") },
		},
	}
}
