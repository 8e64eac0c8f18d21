package lab

import "strings"

// recordScenarios: DANE-EE records that are wrong, or that nobody can use.
func recordScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "tlsa-mismatch",
			Story:  "The mail server has a new key, and the record is still of the old one.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.mail(b.mx("mx"), b.leaf("mx"))
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
		{
			Name:   "sha512-wrong-sha256-right",
			Story:  "Digest agility: the SHA-512 record decides, and it is of another key than the SHA-256 record beside it.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.good()
				b.tlsa("_25._tcp.mx", 3, 1, 2, b.leaf("mx"))
			},
		},
		{
			Name:   "pkix-usages-only",
			Story:  "The only record has usage 1, which mail servers do not act on: TLS without authentication.",
			Module: "smtp_mx", Outcome: "encrypted", Reasons: []string{"tlsa_unusable"}, Advice: []string{"pkix_usage_on_relay"},
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.mail(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 1, 1, 1, certificate)
			},
		},
		{
			Name:   "malformed-tlsa",
			Story:  "The only record has a SHA-256 digest that is an octet short.",
			Module: "smtp_mx", Outcome: "encrypted", Reasons: []string{"tlsa_unusable"},
			build: func(b *builder) {
				b.mail(b.mx("mx"), b.leaf("mx"))
				b.add("_25._tcp.mx TLSA 3 1 1 %s", strings.Repeat("ab", 31))
			},
		},
		{
			Name:   "malformed-beside-good",
			Story:  "One record is an octet short; the one beside it is right.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true, Reasons: []string{"tlsa_unusable"},
			build: func(b *builder) {
				b.good()
				b.add("_25._tcp.mx TLSA 3 1 1 %s", strings.Repeat("ab", 31))
			},
		},
	}
}
