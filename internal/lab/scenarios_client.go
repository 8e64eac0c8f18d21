package lab

import (
	"strings"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
)

// clientScenarios: services that are judged as by RFC 6698 and RFC 7671, with
// all four usages. The target is the host.
func clientScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "https-pkix-ee",
			Story:  "A web server with a certificate of the Web PKI, and a 1 1 1 record of it.",
			Module: "https", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.web443(1, b.leaf("@")) },
		},
		{
			Name:   "https-pkix-untrusted",
			Story:  "A 1 1 1 record of a certificate that no root store leads to.",
			Module: "https", Outcome: "refused", Reasons: []string{"pkix_untrusted"},
			build: func(b *builder) { b.web443(1, b.ownLeaf("@")) },
		},
		{
			Name:   "https-dane-ee",
			Story:  "The same certificate under a 3 1 1 record, which asks for no root store.",
			Module: "https", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.web443(3, b.ownLeaf("@")) },
		},
		{
			Name:   "https-no-tlsa",
			Story:  "A web server as most are.",
			Module: "https", Outcome: "opportunistic", Reasons: []string{"no_tlsa"},
			build: func(b *builder) {
				b.serve(b.a("@"), 443, server.TLS{Config: server.Always(b.leaf("@").Chain())})
			},
		},
		{
			Name:   "https-malformed-tlsa",
			Story:  "The only record is an octet short: for a web client that is as good as none.",
			Module: "https", Outcome: "opportunistic", Reasons: []string{"tlsa_unusable"},
			build: func(b *builder) {
				b.serve(b.a("@"), 443, server.TLS{Config: server.Always(b.leaf("@").Chain())})
				b.add("_443._tcp TLSA 3 1 1 %s", strings.Repeat("ab", 31))
			},
		},
		{
			Name:   "https-unsigned",
			Story:  "A web server in an unsigned zone.",
			Module: "https", Outcome: "opportunistic", Reasons: []string{"tlsa_insecure"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Unsigned: true})
				b.web443(3, b.leaf("@"))
			},
		},
		{
			Name:   "submission-dane-ee",
			Story:  "A submission server with STARTTLS, and a 3 1 1 record.",
			Module: "submission", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.serve(b.a("@"), 587, server.SMTP{Name: b.bare("@"), TLS: server.Always(certificate.Chain())})
				b.tlsa("_587._tcp", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "submission-no-starttls",
			Story:  "A submission server with a TLSA record that does not offer STARTTLS.",
			Module: "submission", Outcome: "refused", Reasons: []string{"starttls_not_offered"},
			build: func(b *builder) {
				b.serve(b.a("@"), 587, server.SMTP{Name: b.bare("@"), NoStartTLS: true})
				b.tlsa("_587._tcp", 3, 1, 1, b.leaf("@"))
			},
		},
		{
			Name:   "submissions-dane-ta",
			Story:  "A submission server with TLS from the first byte, and a record of its private root.",
			Module: "submissions", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				chain := b.ownLeaf("@").Sent(&b.own.Certificate, &b.ownRoot.Certificate)
				b.serve(b.a("@"), 465, server.TLS{Config: server.Always(chain)})
				b.tlsa("_465._tcp", 2, 0, 1, &b.ownRoot.Certificate)
			},
		},
	}
}

// web443 makes the domain a web server, with a record of its certificate's key.
func (b *builder) web443(usage uint8, certificate *server.Certificate) {
	b.serve(b.a("@"), 443, server.TLS{Config: server.Always(certificate.Chain())})
	b.tlsa("_443._tcp", usage, 1, 1, certificate)
}
