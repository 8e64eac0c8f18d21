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
				b.tlsMX(config)
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
			Description: "The mail server completes the TLS handshake and then rejects the client, as a server does that requires a known certificate. DANE clients do not deliver.",
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
		{
			Name:        "tls-unsupported-here",
			Description: "The mail server supports only finite-field Diffie-Hellman, which OpenSSL implements and the exporter does not. Its certificate matches the TLSA record.",
			Module:      "smtp_mx", Outcome: "unknown", Reasons: []string{"tls_unsupported_here"},
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.tlsMX(server.TLSConfigDHE(certificate.Chain()))
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "tls-unsupported-here-mismatch",
			Description: "The mail server supports only finite-field Diffie-Hellman, and its certificate does not match the TLSA record. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.tlsMX(server.TLSConfigDHE(b.leaf("mx").Chain()))
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
		{
			Name:        "tls-unsupported-here-no-tlsa",
			Description: "The mail server supports only finite-field Diffie-Hellman, and has no TLSA record. DANE does not apply.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"no_tlsa", "tls_unsupported_here"},
			build: func(b *builder) { b.tlsMX(server.TLSConfigDHE(b.leaf("mx").Chain())) },
		},
		{
			Name:        "unparsable-certificate-mismatch",
			Description: "The exporter cannot parse the certificate, which does not match the TLSA record. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.issueWithSubject(unparsableSubject()))
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
		{
			Name:        "no-common-cipher",
			Description: "The mail server has no certificate for its cipher suite, so it fails every TLS handshake. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"tls_handshake_failed"},
			build: func(b *builder) {
				certificate := b.issue(b.webCA, server.Leaf{Names: []string{"mx"}, Key: server.RSA})
				config := server.TLSConfig(certificate.Chain())
				config.MaxVersion, config.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
				b.tlsMX(config)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "large-client-hello-reset",
			Description: "A device before the mail server closes the connection after a ClientHello of two packets, as clients with ML-KEM send it. Other DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Reasons: []string{"large_client_hello_dropped"},
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.tlsMX(server.TLSConfigOldPath(certificate.Chain(), false))
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "tls-1-0",
			Description: "The mail server supports no version of TLS above 1.0. Some DANE clients authenticate it. Others require TLS 1.2 and do not deliver.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Reasons: []string{"tls_obsolete"},
			build: func(b *builder) {
				certificate := b.issue(b.webCA, server.Leaf{Names: []string{"mx"}, Key: server.RSA})
				config := server.TLSConfig(certificate.Chain())
				config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
				b.tlsMX(config)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "xmpp-alpn",
			Description: "An XMPP server and a web server share port 443, and ALPN selects the certificate. DANE clients authenticate the XMPP server.",
			Module:      "xmpp_client", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate, at := b.leaf("@"), b.a("chat")
				b.add("_xmpps-client._tcp SRV 5 0 443 chat")
				b.add("_xmpp-client._tcp SRV 0 0 0 .")
				b.serve(at, 443, server.TLS{
					Config: server.TLSConfigByALPN(b.leaf("web").Chain(), "xmpp-client", certificate.Chain()),
					Inside: server.XMPP{Domain: b.hostname("@"), NoStartTLS: true},
				})
				b.tlsa("_443._tcp.chat", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "https-alpn-refused",
			Description: "A web server refuses every client that names another protocol than its own in ALPN. Clients without ALPN authenticate it.",
			Module:      "https", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("@")
				config := server.TLSConfig(certificate.Chain())
				config.NextProtos = []string{"acme-tls/1"}
				b.serveTLS(b.a("@"), 443, config)
				b.tlsa("_443._tcp", 3, 1, 1, certificate)
			},
		},
	}
}

// tlsMX adds a mail server with that configuration of TLS.
func (b *builder) tlsMX(config *tls.Config) {
	b.serve(b.mx("mx"), 25, server.SMTP{Name: b.hostname("mx"), TLS: config})
}

// requireClientCertificate adds a mail server that is good, but requires a
// certificate of the client and speaks one version of TLS only.
func (b *builder) requireClientCertificate(version uint16) {
	certificate := b.leaf("mx")
	config := server.TLSConfig(certificate.Chain())
	config.ClientAuth, config.MinVersion, config.MaxVersion = tls.RequireAnyClientCert, version, version
	b.tlsMX(config)
	b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
}
