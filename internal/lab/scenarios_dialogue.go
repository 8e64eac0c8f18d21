package lab

import (
	"strings"

	"dane_exporter/internal/lab/server"
)

// dialogueScenarios returns scenarios of SMTP dialogues that RFC 5321 does not
// allow or that are unusual. The outcomes are those of Postfix.
func dialogueScenarios() []Scenario {
	all := []Scenario{
		{
			Name:        "dialogue-foreign-lines",
			Description: "Blank lines and lines that are not part of a reply precede each reply of the mail server. DANE clients authenticate it.",
			Outcome:     "authenticated", Success: true,
			build: func(b *builder) { b.dialogueMX(server.SMTP{Noise: "\r\nproxy: hello\r\n"}, true) },
		},
		{
			Name:        "dialogue-codes-differ",
			Description: "The lines of a reply have different codes. The last one counts, so DANE clients authenticate the server.",
			Outcome:     "authenticated", Success: true,
			build: func(b *builder) {
				b.dialogueMX(server.SMTP{Greeting: "554-wait\r\n220 mx", Hello: "550-mx\r\n250-STARTTLS\r\n250 SIZE"}, true)
			},
		},
		{
			Name:        "dialogue-dropped",
			Description: "The mail server greets with 220- and then rejects the client, as postscreen does with clients on a blocklist.",
			Outcome:     "unreachable", Reasons: []string{"client_rejected"},
			build: func(b *builder) {
				b.dialogueMX(server.SMTP{Greeting: "220-mx ESMTP\r\n550 5.7.1 blocked using dnsbl.example"}, true)
			},
		},
		{
			Name:        "dialogue-named-starttls",
			Description: "The only line of the reply to EHLO is STARTTLS. That is the name of the server, not an extension. DANE clients do not deliver.",
			Outcome:     "refused", Reasons: []string{"starttls_not_offered"},
			build: func(b *builder) { b.dialogueMX(server.SMTP{Hello: "250 STARTTLS"}, true) },
		},
		{
			Name:        "dialogue-late-starttls",
			Description: "STARTTLS follows two kilobytes of extensions, which are all that Postfix reads. Postfix does not deliver; senders without that limit do.",
			Outcome:     "refused", Reasons: []string{"starttls_not_offered"},
			build: func(b *builder) {
				b.dialogueMX(server.SMTP{Hello: "250-mx\r\n" + strings.Repeat("250-XANOTHER\r\n", 200) + "250 STARTTLS"}, true)
			},
		},
		{
			Name:        "dialogue-ehlo-refused",
			Description: "The mail server refuses EHLO with 550 and accepts HELO, after which there is no STARTTLS. DANE clients do not deliver.",
			Outcome:     "refused", Reasons: []string{"starttls_not_offered"},
			build: func(b *builder) { b.dialogueMX(server.SMTP{Hello: "550 5.7.1 not you"}, true) },
		},
		{
			Name:        "dialogue-ehlo-refused-no-tlsa",
			Description: "The mail server has no TLSA record, refuses EHLO and accepts HELO. Clients deliver in cleartext.",
			Outcome:     "opportunistic", Reasons: []string{"no_tlsa", "starttls_not_offered"},
			build: func(b *builder) { b.dialogueMX(server.SMTP{Hello: "550 5.7.1 not you"}, false) },
		},
		{
			Name:        "plaintext-injected",
			Description: "More plaintext follows the reply to STARTTLS, as an attacker might inject it. DANE clients discard it and authenticate the server.",
			Outcome:     "authenticated", Success: true, Reasons: []string{"plaintext_after_starttls"},
			build: func(b *builder) { b.dialogueMX(server.SMTP{Inject: "\r\n250 OK"}, true) },
		},
	}
	for i := range all {
		all[i].Module = "smtp_mx"
	}
	return all
}

// dialogueMX makes mx a mail server with that dialogue, and adds its TLSA record
// if tlsa is set.
func (b *builder) dialogueMX(smtp server.SMTP, tlsa bool) {
	certificate := b.leaf("mx")
	smtp.Name, smtp.TLS = b.hostname("mx"), server.TLSConfig(certificate.Chain())
	b.add("@ MX 10 mx")
	b.serve(b.a("mx"), 25, smtp)
	if tlsa {
		b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
	}
}
