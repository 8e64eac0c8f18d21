package lab

import (
	"crypto/tls"

	"dane_exporter/internal/lab/server"
)

// tlsScenarios returns scenarios about TLS itself: what the server requires of the
// client, and what it supports.
func tlsScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "client-certificate-required",
			Description: "The mail server requires a certificate of the client, and rejects the client after the TLS 1.3 handshake. No mail server without a certificate delivers.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"client_certificate_required"},
			build: func(b *builder) { b.requireClientCertificate(tls.VersionTLS13) },
		},
		{
			Name:        "client-certificate-required-tls12",
			Description: "The mail server requires a certificate of the client, and rejects the client in the TLS 1.2 handshake. No mail server without a certificate delivers.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"client_certificate_required"},
			build: func(b *builder) { b.requireClientCertificate(tls.VersionTLS12) },
		},
		{
			Name:        "client-certificate-requested",
			Description: "The mail server requests a certificate of the client, and does not require it. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mx")
				config := server.TLSConfig(certificate.Chain())
				config.ClientAuth = tls.RequestClientCert
				b.serve(b.mx("mx"), 25, server.SMTP{Name: b.hostname("mx"), TLS: config})
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "https-client-certificate-required",
			Description: "A web server requires a certificate of the client. Clients without one cannot use it.",
			Module:      "https", Outcome: "refused", Reasons: []string{"client_certificate_required"},
			build: func(b *builder) {
				certificate := b.leaf("@")
				config := server.TLSConfig(certificate.Chain())
				config.ClientAuth = tls.RequireAnyClientCert
				b.serveTLS(b.a("@"), 443, config)
				b.tlsa("_443._tcp", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "rejected-inside-tls",
			Description: "The mail server completes the TLS handshake and then rejects the client, as one does that requires a known certificate. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"client_rejected"},
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.serve(b.mx("mx"), 25, server.SMTP{Name: b.hostname("mx"), TLS: server.TLSConfig(certificate.Chain()), Inside: "421 4.7.0 no certificate, no service"})
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "rejected-inside-tls-no-tlsa",
			Description: "The mail server has no TLSA record, completes the TLS handshake and then rejects the client. No sender delivers.",
			Module:      "smtp_mx", Outcome: "unreachable", Reasons: []string{"client_rejected", "no_tlsa"},
			build: func(b *builder) {
				b.serve(b.mx("mx"), 25, server.SMTP{Name: b.hostname("mx"), TLS: server.TLSConfig(b.leaf("mx").Chain()), Inside: "550 5.7.1 go away"})
			},
		},
	}
}

// requireClientCertificate adds a mail server that is good, but requires a
// certificate of the client and speaks one version of TLS only.
func (b *builder) requireClientCertificate(version uint16) {
	certificate := b.leaf("mx")
	config := server.TLSConfig(certificate.Chain())
	config.ClientAuth, config.MinVersion, config.MaxVersion = tls.RequireAnyClientCert, version, version
	b.serve(b.mx("mx"), 25, server.SMTP{Name: b.hostname("mx"), TLS: config})
	b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
}
