package lab

import (
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// discoveryScenarios: from the domain to its hosts and their addresses.
func discoveryScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "two-mx-one-broken",
			Story:  "The second of two mail servers has a new key and no new record: mail gets through by the first.",
			Module: "smtp_mx", Outcome: "authenticated", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.good()
				b.add("@ MX 20 mx2")
				b.mail(b.a("mx2"), b.leaf("mx2"))
				b.tlsa("_25._tcp.mx2", 3, 1, 1, b.leaf("mx2"))
			},
		},
		{
			Name:   "two-addresses-one-broken",
			Story:  "One of the mail server's two addresses shows another key.",
			Module: "smtp_mx", Outcome: "authenticated", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.good()
				b.mail(b.a("mx"), b.leaf("mx"))
			},
		},
		{
			Name:   "no-mx",
			Story:  "The domain has no MX record: it is its own mail server.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.mail(b.a("@"), certificate)
				b.tlsa("_25._tcp", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "null-mx",
			Story:  "The domain says by a null MX that it takes no mail.",
			Module: "smtp_mx", Outcome: "none", Reasons: []string{"null_mx"},
			build: func(b *builder) { b.add("@ MX 0 .") },
		},
		{
			Name:   "no-such-domain",
			Story:  "The domain does not exist.",
			Module: "smtp_mx", Outcome: "none", Reasons: []string{"no_such_domain"},
			build: func(*builder) {},
		},
		{
			Name:   "no-address",
			Story:  "The mail server's name exists and has no address.",
			Module: "smtp_mx", Outcome: "none", Reasons: []string{"no_address"},
			build: func(b *builder) {
				b.add("@ MX 10 mx")
				b.add(`mx TXT "moved out"`)
			},
		},
		{
			Name:   "mx-servfail",
			Story:  "The look-up of the MX records fails.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"dns_failure"},
			build: func(b *builder) {
				b.good()
				b.broken(zone.Rcode(zone.At(b.domain, dns.TypeMX), dns.RcodeServerFailure))
			},
		},
	}
}
