package lab

import "dane_exporter/internal/lab/server"

// serverScenarios: servers that do not come as far as TLS, or as a certificate
// that can be read.
func serverScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "no-starttls",
			Story:  "There is a TLSA record, and the mail server does not offer STARTTLS.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"starttls_not_offered"},
			build: func(b *builder) { b.oddMX(server.SMTP{Name: b.bare("mx"), NoStartTLS: true}, true) },
		},
		{
			Name:   "no-starttls-no-tlsa",
			Story:  "The mail server does not offer STARTTLS, and nobody said that it would.",
			Module: "smtp_mx", Outcome: "opportunistic", Reasons: []string{"no_tlsa", "starttls_not_offered"},
			build: func(b *builder) { b.oddMX(server.SMTP{Name: b.bare("mx"), NoStartTLS: true}, false) },
		},
		{
			Name:   "starttls-rejected",
			Story:  "The mail server offers STARTTLS, and answers it with 454.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"starttls_rejected"},
			build: func(b *builder) {
				b.oddMX(server.SMTP{Name: b.bare("mx"), Reject: "454 4.7.0 TLS is not available"}, true)
			},
		},
		{
			Name:   "tls-handshake-failed",
			Story:  "After STARTTLS the mail server goes on in plain text.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"tls_handshake_failed"},
			build: func(b *builder) { b.oddMX(server.SMTP{Name: b.bare("mx"), BreakTLS: true}, true) },
		},
		{
			Name:   "plaintext-injected",
			Story:  "Behind the reply to STARTTLS comes more in the clear, as if an attacker had put it there.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"protocol_error"},
			build: func(b *builder) { b.oddMX(server.SMTP{Name: b.bare("mx"), Inject: "\r\n250 OK"}, true) },
		},
		{
			Name:   "client-rejected",
			Story:  "The mail server turns us away with its greeting.",
			Module: "smtp_mx", Outcome: "unreachable", Reasons: []string{"client_rejected"},
			build: func(b *builder) {
				b.oddMX(server.SMTP{Name: b.bare("mx"), Greeting: "554 5.7.1 your address is on a list"}, true)
			},
		},
		{
			Name:   "garbage-banner",
			Story:  "What listens there does not speak SMTP.",
			Module: "smtp_mx", Outcome: "unreachable", Reasons: []string{"protocol_error"},
			build: func(b *builder) { b.oddMX(server.Garbage{}, true) },
		},
		{
			Name:   "tarpit",
			Story:  "The mail server greets with a byte a second, and never ends.",
			Module: "smtp_mx", Outcome: "unreachable", Reasons: []string{"timeout"},
			build: func(b *builder) { b.oddMX(server.Tarpit{}, true) },
		},
		{
			Name:   "connection-refused",
			Story:  "Nothing listens at the mail server's address.",
			Module: "smtp_mx", Outcome: "unreachable", Reasons: []string{"connect_failed"},
			build: func(b *builder) {
				b.mx("mx")
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
		{
			Name:   "unparsable-certificate",
			Story:  "The subject has characters that its string type does not allow: OpenSSL does not care, Go's library cannot read it.",
			Module: "smtp_mx", Outcome: "unknown", Reasons: []string{"certificate_unparsable"},
			build: func(b *builder) {
				certificate := b.issueTo(unparsableSubject())
				b.mail(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
	}
}

// oddMX makes handler the mail server mx, with a TLSA record or without.
func (b *builder) oddMX(handler server.Handler, published bool) {
	b.serve(b.mx("mx"), 25, handler)
	if published {
		b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
	}
}
