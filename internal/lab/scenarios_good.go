package lab

import (
	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// goodScenarios returns scenarios in which DANE clients authenticate the server.
func goodScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "good",
			Description: "One mail server with a 3 1 1 record of its key. DANE clients authenticate it.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tlsa_rollover_ready 0`, `dane_tlsa_stale_records 0`, `dane_tlsa_survives_renewal 1`},
			build:  func(b *builder) { b.goodMX() },
		},
		{
			Name:        "good-nsec3",
			Description: "A mail server as in good, in its own zone, signed with Ed25519 and NSEC3. DANE clients authenticate it.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"nsec3_iterations"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Algorithms: []uint8{dns.ED25519}, CSK: true, NSEC3: &zone.NSEC3{Iterations: 5, Salt: "C0FFEE"}})
				b.goodMX()
			},
		},
		{
			Name:        "good-ipv6",
			Description: "The mail server has only an IPv6 address. DANE clients authenticate it.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.add("@ MX 10 mx")
				b.ipv6("mx", certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "good-dual-stack",
			Description: "The mail server has an IPv4 and an IPv6 address. DANE clients authenticate both.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.ipv6("mx", b.goodMX()) },
		},
		{
			Name:        "rollover",
			Description: "One record matches the current key, another one the next key. DANE clients authenticate the server, also after the rollover.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tlsa_rollover_ready 1`, `dane_tlsa_stale_records 1`, `dane_tlsa_survives_renewal 1`},
			build: func(b *builder) {
				b.goodMX()
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
		{
			Name:        "full-certificate-tlsa",
			Description: "A 3 0 0 record contains the whole certificate. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.serveSMTP(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 3, 0, 0, certificate)
			},
		},
		{
			Name:        "wildcard-tlsa",
			Description: "The TLSA record is at a wildcard name, for all ports of the host. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.serveSMTP(b.mx("mx"), certificate)
				b.tlsa("*._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "dane-ee-expired",
			Description: "The certificate expired yesterday. DANE clients authenticate the server, because DANE-EE ignores dates.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.issue(b.webCA, server.Leaf{Names: []string{"mx"}, NotAfter: b.now.AddDate(0, 0, -1)})
				b.serveSMTP(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "hostile-subject",
			Description: "The certificate's subject contains control characters, quotes, HTML and invalid UTF-8. DANE clients authenticate the server, because DANE-EE ignores the subject.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.issueWithSubject(hostileSubject())
				b.serveSMTP(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
	}
}
