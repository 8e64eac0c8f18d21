package lab

import (
	"crypto/tls"
	"fmt"

	"dane_exporter/internal/lab/server"
)

// protocol is one that begins in the clear, and what its servers are called.
type protocol struct {
	name, what string
	port       uint16
	server     func(manner) server.Handler
}

// manner is how a server goes about STARTTLS.
type manner struct {
	name          string // of the host
	config        *tls.Config
	none, rejects bool // it does not offer it, or then rejects it
}

// protocols are all but SMTP and XMPP. The name of each is its module's too.
func protocols() []protocol {
	return []protocol{
		{"lmtp", "A mail store that others deliver to", 24, func(m manner) server.Handler {
			store := server.LMTP{Name: m.name, TLS: m.config, NoStartTLS: m.none}
			if m.rejects {
				store.Reject = "454 4.7.0 TLS is not available"
			}
			return store
		}},
		{"imap", "A mail store that is read by IMAP", 143, func(m manner) server.Handler {
			return server.IMAP{TLS: m.config, NoStartTLS: m.none, Reject: m.rejects}
		}},
		{"pop3", "A mailbox that is read by POP3", 110, func(m manner) server.Handler {
			return server.POP3{TLS: m.config, NoStartTLS: m.none, Reject: m.rejects}
		}},
		{"sieve", "A ManageSieve server", 4190, func(m manner) server.Handler {
			return server.Sieve{TLS: m.config, NoStartTLS: m.none, Reject: m.rejects}
		}},
		{"ldap", "A directory", 389, func(m manner) server.Handler {
			return server.LDAP{TLS: m.config, NoStartTLS: m.none, Reject: m.rejects}
		}},
		{"postgres", "A PostgreSQL server", 5432, func(m manner) server.Handler {
			return server.Postgres{TLS: m.config, NoStartTLS: m.none, Garbage: m.rejects}
		}},
	}
}

// protocolScenarios: what may become of STARTTLS in each protocol, whatever it
// calls that. The target is the host.
func protocolScenarios() []Scenario {
	var all []Scenario
	for _, p := range protocols() {
		rejected := Scenario{
			Name:  p.name + "-starttls-rejected",
			Story: "The same, and it offers TLS, and then rejects it.", Outcome: "refused", Reasons: []string{"starttls_rejected"},
			build: p.build(manner{rejects: true}, true),
		}
		if p.name == "postgres" { // its servers can say no in one way alone
			rejected.Name, rejected.Story = "postgres-garbage", "What listens there answers with a letter that PostgreSQL does not have."
			rejected.Outcome, rejected.Reasons = "unreachable", []string{"protocol_error"}
		}
		for _, s := range []Scenario{
			{
				Name:    p.name + "-good",
				Story:   fmt.Sprintf("%s: it begins in the clear, goes on in TLS, and has a 3 1 1 record of its key.", p.what),
				Outcome: "authenticated", Success: true,
				Series: []string{fmt.Sprintf(`dane_starttls_offered{port="%d"} 1`, p.port)},
				build:  p.build(manner{}, true),
			},
			{
				Name:    p.name + "-mismatch",
				Story:   "The same, and the record is of its former key.",
				Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
				build: p.build(manner{}, false),
			},
			{
				Name:    p.name + "-no-starttls",
				Story:   "The same, and it does not offer TLS.",
				Outcome: "refused", Reasons: []string{"starttls_not_offered"},
				Series: []string{fmt.Sprintf(`dane_starttls_offered{port="%d"} 0`, p.port)},
				build:  p.build(manner{none: true}, true),
			},
			rejected,
		} {
			s.Module = p.name
			all = append(all, s)
		}
	}
	return all
}

// build makes the domain a server, with a record that is right or is not.
func (p protocol) build(m manner, right bool) func(*builder) {
	return func(b *builder) {
		certificate := b.leaf("@")
		m.name, m.config = b.bare("@"), server.Always(certificate.Chain())
		b.serve(b.a("@"), p.port, p.server(m))
		if !right {
			certificate = b.leaf("@")
		}
		b.tlsa(fmt.Sprintf("_%d._tcp", p.port), 3, 1, 1, certificate)
	}
}
