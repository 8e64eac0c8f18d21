package lab

import (
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// discoveryScenarios returns scenarios about the way from the domain to its hosts
// and their addresses.
func discoveryScenarios() []Scenario {
	return []Scenario{
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
			Description: "The domain accepts no mail: it has a null MX (RFC 7505). Clients do not connect.",
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
	}
}
