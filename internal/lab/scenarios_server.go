package lab

import "dane_exporter/internal/lab/server"

// serverScenarios returns scenarios in which there is no TLS handshake, or no
// certificate that can be parsed.
func serverScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "no-starttls",
			Description: "The mail server has a TLSA record but does not offer STARTTLS. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"starttls_not_offered"},
			build: func(b *builder) { b.customMX(server.SMTP{Name: b.hostname("mx"), NoStartTLS: true}, true) },
		},
		{
			Name:        "no-starttls-no-tlsa",
			Description: "The mail server has no TLSA record and does not offer STARTTLS. DANE does not apply.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"no_tlsa", "starttls_not_offered"},
			build: func(b *builder) { b.customMX(server.SMTP{Name: b.hostname("mx"), NoStartTLS: true}, false) },
		},
		{
			Name:        "starttls-rejected",
			Description: "The mail server offers STARTTLS but replies 454 to it. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"starttls_rejected"},
			build: func(b *builder) {
				b.customMX(server.SMTP{Name: b.hostname("mx"), Reject: "454 4.7.0 TLS is not available"}, true)
			},
		},
		{
			Name:        "tls-handshake-failed",
			Description: "After STARTTLS, the mail server continues in plain text. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"tls_handshake_failed"},
			build: func(b *builder) { b.customMX(server.SMTP{Name: b.hostname("mx"), BreakTLS: true}, true) },
		},
		{
			Name:        "client-rejected",
			Description: "The mail server rejects all clients with its greeting.",
			Module:      "smtp_mx", Outcome: "unreachable", Reasons: []string{"client_rejected"},
			build: func(b *builder) {
				b.customMX(server.SMTP{Name: b.hostname("mx"), Greeting: "554 5.7.1 your address is on a list"}, true)
			},
		},
		{
			Name:        "garbage-banner",
			Description: "The server does not speak SMTP.",
			Module:      "smtp_mx", Outcome: "unreachable", Reasons: []string{"protocol_error"},
			build: func(b *builder) { b.customMX(server.Garbage{}, true) },
		},
		{
			Name:        "tarpit",
			Description: "The mail server sends its greeting at one byte per second, without end.",
			Module:      "smtp_mx", Outcome: "unreachable", Reasons: []string{"timeout"},
			build: func(b *builder) { b.customMX(server.Tarpit{}, true) },
		},
		{
			Name:        "connection-refused",
			Description: "The mail server does not listen.",
			Module:      "smtp_mx", Outcome: "unreachable", Reasons: []string{"connect_failed"},
			build: func(b *builder) {
				b.mx("mx")
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
		{
			Name:        "unparsable-certificate",
			Description: "The subject contains characters that its string type does not allow. OpenSSL accepts the certificate, but Go cannot parse it.",
			Module:      "smtp_mx", Outcome: "unknown", Reasons: []string{"certificate_unparsable"},
			build: func(b *builder) {
				certificate := b.issueWithSubject(unparsableSubject())
				b.serveSMTP(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
	}
}

// customMX adds handler as the mail server mx, and a TLSA record if published is set.
func (b *builder) customMX(handler server.Handler, published bool) {
	b.serve(b.mx("mx"), 25, handler)
	if published {
		b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
	}
}
