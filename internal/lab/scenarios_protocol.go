package lab

import (
	"crypto/tls"
	"fmt"

	"dane_exporter/internal/lab/server"
)

// protocol is a protocol with STARTTLS or its equivalent.
type protocol struct {
	name        string // of the protocol and its module
	description string // of a server
	port        uint16
	server      func(startTLS) server.Handler
}

// startTLS is how a server handles STARTTLS. It offers and accepts it by default.
type startTLS struct {
	hostname string
	config   *tls.Config
	none     bool // the server does not offer it
	rejects  bool // the server offers and then rejects it
}

// protocols returns all protocols with STARTTLS but SMTP and XMPP.
func protocols() []protocol {
	return []protocol{
		{"lmtp", "An LMTP server", 24, func(s startTLS) server.Handler {
			store := server.LMTP{Name: s.hostname, TLS: s.config, NoStartTLS: s.none}
			if s.rejects {
				store.Reject = "454 4.7.0 TLS is not available"
			}
			return store
		}},
		{"imap", "An IMAP server", 143, func(s startTLS) server.Handler {
			return server.IMAP{TLS: s.config, NoStartTLS: s.none, Reject: s.rejects}
		}},
		{"pop3", "A POP3 server", 110, func(s startTLS) server.Handler {
			return server.POP3{TLS: s.config, NoStartTLS: s.none, Reject: s.rejects}
		}},
		{"sieve", "A ManageSieve server", 4190, func(s startTLS) server.Handler {
			return server.Sieve{TLS: s.config, NoStartTLS: s.none, Reject: s.rejects}
		}},
		{"ldap", "An LDAP server", 389, func(s startTLS) server.Handler {
			return server.LDAP{TLS: s.config, NoStartTLS: s.none, Reject: s.rejects}
		}},
		{"postgres", "A PostgreSQL server", 5432, func(s startTLS) server.Handler {
			return server.Postgres{TLS: s.config, NoStartTLS: s.none, Garbage: s.rejects}
		}},
	}
}

// protocolScenarios returns four scenarios for each protocol. The target is the host.
func protocolScenarios() []Scenario {
	var all []Scenario
	for _, p := range protocols() {
		rejected := Scenario{
			Name:        p.name + "-starttls-rejected",
			Description: p.description + " offers TLS but then rejects it. DANE clients do not connect.", Outcome: "refused", Reasons: []string{"starttls_rejected"},
			build: p.build(startTLS{rejects: true}, true),
		}
		if p.name == "postgres" { // its only refusal is not to offer TLS
			rejected.Name, rejected.Description = "postgres-garbage", "The server answers with a letter that the PostgreSQL protocol does not define."
			rejected.Outcome, rejected.Reasons = "unreachable", []string{"protocol_error"}
		}
		for _, s := range []Scenario{
			{
				Name:        p.name + "-good",
				Description: p.description + " with opportunistic TLS has a 3 1 1 record of its key. DANE clients authenticate it.",
				Outcome:     "authenticated", Success: true,
				Series: []string{fmt.Sprintf(`dane_starttls_offered{port="%d"} 1`, p.port)},
				build:  p.build(startTLS{}, true),
			},
			{
				Name:        p.name + "-mismatch",
				Description: p.description + " has a new key but no new record. DANE clients do not connect.",
				Outcome:     "refused", Reasons: []string{"tlsa_mismatch"},
				build: p.build(startTLS{}, false),
			},
			{
				Name:        p.name + "-no-starttls",
				Description: p.description + " has a TLSA record but does not offer TLS. DANE clients do not connect.",
				Outcome:     "refused", Reasons: []string{"starttls_not_offered"},
				Series: []string{fmt.Sprintf(`dane_starttls_offered{port="%d"} 0`, p.port)},
				build:  p.build(startTLS{none: true}, true),
			},
			rejected,
		} {
			s.Module = p.name
			all = append(all, s)
		}
	}
	return append(all, Scenario{
		Name:        "sieve-silent-inside-tls",
		Description: "A ManageSieve server does not list its capabilities inside TLS until the client asks. DANE clients authenticate it.",
		Module:      "sieve", Outcome: "authenticated", Success: true,
		build: func(b *builder) {
			certificate := b.leaf("@")
			b.serve(b.a("@"), 4190, server.Sieve{TLS: server.TLSConfig(certificate.Chain()), Silent: true})
			b.tlsa("_4190._tcp", 3, 1, 1, certificate)
		},
	})
}

// build makes the domain a server, with a record of its key if matching is set.
func (p protocol) build(s startTLS, matching bool) func(*builder) {
	return func(b *builder) {
		certificate := b.leaf("@")
		s.hostname, s.config = b.hostname("@"), server.TLSConfig(certificate.Chain())
		b.serve(b.a("@"), p.port, p.server(s))
		if !matching {
			certificate = b.leaf("@")
		}
		b.tlsa(fmt.Sprintf("_%d._tcp", p.port), 3, 1, 1, certificate)
	}
}
