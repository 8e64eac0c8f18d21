package lab

import (
	"net/netip"

	"dane_exporter/internal/lab/server"
)

// servicesScenarios: several services of one host, which is the target.
func servicesScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "services-good",
			Story:  "One mail server with four services, each with its TLSA record.",
			Module: "mail_server", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.mailServices(b.leaf("@")) },
		},
		{
			Name:   "services-one-broken",
			Story:  "The same, and one service shows another key: its clients have nowhere else to go.",
			Module: "mail_server", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			Series: []string{`dane_host_outcome{port="465",outcome="refused"} 1`, `dane_host_outcome{port="993",outcome="authenticated"} 1`},
			build: func(b *builder) {
				at := b.mailServices(b.leaf("@"))
				b.serve(at, 465, server.TLS{Config: server.Always(b.leaf("@").Chain())})
			},
		},
		{
			Name:   "services-one-without-tlsa",
			Story:  "The same, and one service has no TLSA record.",
			Module: "mail_server", Outcome: "opportunistic", Reasons: []string{"no_tlsa"},
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.mailServers(b.a("@"), certificate)
				for _, owner := range []string{"_25._tcp", "_465._tcp", "_587._tcp"} {
					b.tlsa(owner, 3, 1, 1, certificate)
				}
			},
		},
	}
}

// mailServices makes the domain a mail server with four services, each with a
// record of the certificate.
func (b *builder) mailServices(certificate *server.Certificate) netip.Addr {
	at := b.a("@")
	b.mailServers(at, certificate)
	for _, owner := range []string{"_25._tcp", "_465._tcp", "_587._tcp", "_993._tcp"} {
		b.tlsa(owner, 3, 1, 1, certificate)
	}
	return at
}

// mailServers starts those services.
func (b *builder) mailServers(at netip.Addr, certificate *server.Certificate) {
	for _, port := range []uint16{25, 587} {
		b.serve(at, port, server.SMTP{Name: b.bare("@"), TLS: server.Always(certificate.Chain())})
	}
	for _, port := range []uint16{465, 993} {
		b.serve(at, port, server.TLS{Config: server.Always(certificate.Chain())})
	}
}
