package lab

import (
	"net/netip"
	"strings"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
)

// clientScenarios returns scenarios under the policy "client" (RFC 6698, RFC 7671),
// with all four usages. The target is the host.
func clientScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "https-pkix-ee",
			Description: "A web server has a certificate of the Web PKI and a 1 1 1 record of its key. DANE clients authenticate it.",
			Module:      "https", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.web443(1, b.leaf("@")) },
		},
		{
			Name:        "https-pkix-untrusted",
			Description: "A 1 1 1 record matches the certificate, but no trusted root has issued it. DANE clients do not connect.",
			Module:      "https", Outcome: "refused", Reasons: []string{"pkix_untrusted"},
			build: func(b *builder) { b.web443(1, b.privateLeaf("@")) },
		},
		{
			Name:        "https-dane-ee",
			Description: "A 3 1 1 record matches a certificate that no trusted root has issued. DANE clients authenticate the server, because DANE-EE needs no root.",
			Module:      "https", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.web443(3, b.privateLeaf("@")) },
		},
		{
			Name:        "https-no-tlsa",
			Description: "A web server has no TLSA record. DANE does not apply.",
			Module:      "https", Outcome: "opportunistic", Reasons: []string{"no_tlsa"},
			build: func(b *builder) {
				b.serveTLS(b.a("@"), 443, server.TLSConfig(b.leaf("@").Chain()))
			},
		},
		{
			Name:        "https-malformed-tlsa",
			Description: "The digest in the only record of a web server is one octet short. DANE clients require TLS and do not authenticate the server.",
			Module:      "https", Outcome: "encrypted", Reasons: []string{"tlsa_unusable"},
			build: func(b *builder) {
				b.serveTLS(b.a("@"), 443, server.TLSConfig(b.leaf("@").Chain()))
				b.add("_443._tcp TLSA 3 1 1 %s", strings.Repeat("ab", 31))
			},
		},
		{
			Name:        "https-unsigned",
			Description: "A web server is in an unsigned zone. Its TLSA record does not count.",
			Module:      "https", Outcome: "opportunistic", Reasons: []string{"tlsa_insecure"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Unsigned: true})
				b.web443(3, b.leaf("@"))
			},
		},
		{
			Name:        "submission-dane-ee",
			Description: "A submission server with STARTTLS has a 3 1 1 record. DANE clients authenticate it.",
			Module:      "submission", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.serve(b.a("@"), 587, server.SMTP{Name: b.hostname("@"), TLS: server.TLSConfig(certificate.Chain())})
				b.tlsa("_587._tcp", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "submission-no-starttls",
			Description: "A submission server has a TLSA record but does not offer STARTTLS. DANE clients do not connect.",
			Module:      "submission", Outcome: "refused", Reasons: []string{"starttls_not_offered"},
			build: func(b *builder) {
				b.serve(b.a("@"), 587, server.SMTP{Name: b.hostname("@"), NoStartTLS: true})
				b.tlsa("_587._tcp", 3, 1, 1, b.leaf("@"))
			},
		},
		{
			Name:        "submissions-dane-ta",
			Description: "A submission server with implicit TLS has a record of its private root. DANE clients authenticate it.",
			Module:      "submissions", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				chain := b.privateLeaf("@").ChainWith(&b.privateCA.Certificate, &b.privateRoot.Certificate)
				b.serveTLS(b.a("@"), 465, server.TLSConfig(chain))
				b.tlsa("_465._tcp", 2, 0, 1, &b.privateRoot.Certificate)
			},
		},
	}
}

// web443 makes the domain a web server with a record of its certificate's key.
func (b *builder) web443(usage uint8, certificate *server.Certificate) {
	b.serveTLS(b.a("@"), 443, server.TLSConfig(certificate.Chain()))
	b.tlsa("_443._tcp", usage, 1, 1, certificate)
}

// servicesScenarios returns scenarios with several services of one host, which is
// the target.
func servicesScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "services-good",
			Description: "One mail server has four services, each with its TLSA record. DANE clients authenticate all.",
			Module:      "mail_server", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.mailServices(b.leaf("@")) },
		},
		{
			Name:        "services-one-broken",
			Description: "One of the four services of a mail server has another key. Its DANE clients do not connect.",
			Module:      "mail_server", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			Series: []string{`dane_host_outcome{port="465",outcome="refused"} 1`, `dane_host_outcome{port="993",outcome="authenticated"} 1`},
			build: func(b *builder) {
				at := b.mailServices(b.leaf("@"))
				b.serveTLS(at, 465, server.TLSConfig(b.leaf("@").Chain()))
			},
		},
		{
			Name:        "services-one-without-tlsa",
			Description: "One of the four services of a mail server has no TLSA record. DANE does not apply to it.",
			Module:      "mail_server", Outcome: "opportunistic", Reasons: []string{"no_tlsa"},
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.startMailServices(b.a("@"), certificate)
				for _, owner := range []string{"_25._tcp", "_465._tcp", "_587._tcp"} {
					b.tlsa(owner, 3, 1, 1, certificate)
				}
			},
		},
	}
}

// mailServices makes the domain a mail server with four services, each with a
// record of the certificate. It returns the server's address.
func (b *builder) mailServices(certificate *server.Certificate) netip.Addr {
	at := b.a("@")
	b.startMailServices(at, certificate)
	for _, owner := range []string{"_25._tcp", "_465._tcp", "_587._tcp", "_993._tcp"} {
		b.tlsa(owner, 3, 1, 1, certificate)
	}
	return at
}

// startMailServices adds the servers of the four services, without records.
func (b *builder) startMailServices(at netip.Addr, certificate *server.Certificate) {
	for _, port := range []uint16{25, 587} {
		b.serve(at, port, server.SMTP{Name: b.hostname("@"), TLS: server.TLSConfig(certificate.Chain())})
	}
	for _, port := range []uint16{465, 993} {
		b.serveTLS(at, port, server.TLSConfig(certificate.Chain()))
	}
}
