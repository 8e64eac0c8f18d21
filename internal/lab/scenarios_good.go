package lab

import (
	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// goodScenarios: everything is in order, or enough is.
func goodScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "good",
			Story:  "One mail server, and a 3 1 1 record of its key.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tlsa_rollover_ready 0`, `dane_tlsa_stale_records 0`, `dane_tlsa_survives_renewal 1`},
			build:  func(b *builder) { b.good() },
		},
		{
			Name:   "good-nsec3",
			Story:  "The same in a zone of its own, signed with Ed25519, that denies by NSEC3.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"nsec3_iterations"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Algorithms: []uint8{dns.ED25519}, CSK: true, NSEC3: &zone.NSEC3{Iterations: 5, Salt: "C0FFEE"}})
				b.good()
			},
		},
		{
			Name:   "good-ipv6",
			Story:  "The mail server has an IPv6 address and no other.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.add("@ MX 10 mx")
				b.ipv6("mx", certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "good-dual-stack",
			Story:  "The mail server has an address of each family.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.ipv6("mx", b.good()) },
		},
		{
			Name:   "rollover",
			Story:  "Records of the key in use and of the next one.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tlsa_rollover_ready 1`, `dane_tlsa_stale_records 1`, `dane_tlsa_survives_renewal 1`},
			build: func(b *builder) {
				b.good()
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
		{
			Name:   "full-certificate-tlsa",
			Story:  "A 3 0 0 record: the whole certificate stands in DNS.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.mail(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 3, 0, 0, certificate)
			},
		},
		{
			Name:   "wildcard-tlsa",
			Story:  "The TLSA record is a wildcard's, for every port of the host.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.mail(b.mx("mx"), certificate)
				b.tlsa("*._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "dane-ee-expired",
			Story:  "The certificate ended yesterday; under DANE-EE its dates do not count.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.issue(b.web, server.Leaf{Names: []string{"mx"}, NotAfter: b.now.AddDate(0, 0, -1)})
				b.mail(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "hostile-subject",
			Story:  "The certificate's subject is made to hurt whoever prints it; DANE-EE does not read it.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.issueTo(hostileSubject())
				b.mail(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
	}
}
