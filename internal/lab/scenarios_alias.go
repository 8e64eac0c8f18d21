package lab

import (
	"crypto/tls"
	"net/netip"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
)

// aliasScenarios: CNAMEs at the host and at the TLSA records' owner. The
// servers show the right certificate to who asks for the right name alone.
func aliasScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "mx-cname",
			Story:  "The mail server's name is an alias, and the TLSA record is at the name it leads to.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("host")
				b.mailByName(b.aliasedMX(), "host", certificate)
				b.tlsa("_25._tcp.host", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "mx-cname-tlsa-at-alias",
			Story:  "The mail server's name is an alias, and the TLSA record is at the alias.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.mailByName(b.aliasedMX(), "mx", certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "tlsa-cname",
			Story:  "The name of the TLSA records is an alias into the signed zone of a hoster.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.aliasedTLSA(zone.Zone{}) },
		},
		{
			Name:   "tlsa-cname-unsigned",
			Story:  "The name of the TLSA records is an alias into a zone that is not signed.",
			Module: "smtp_mx", Outcome: "opportunistic", Reasons: []string{"tlsa_insecure"},
			build: func(b *builder) { b.aliasedTLSA(zone.Zone{Unsigned: true}) },
		},
		{
			Name:   "tlsa-cname-dangling",
			Story:  "The name of the TLSA records is an alias to a name that does not exist.",
			Module: "smtp_mx", Outcome: "opportunistic", Reasons: []string{"tlsa_alias_dangling"},
			build: func(b *builder) {
				b.mail(b.mx("mx"), b.leaf("mx"))
				b.add("_25._tcp.mx CNAME _dane.gone")
			},
		},
	}
}

// aliasedMX makes mx an alias of host, and the domain's mail server.
func (b *builder) aliasedMX() netip.Addr {
	b.add("@ MX 10 mx")
	b.add("mx CNAME host")
	return b.a("host")
}

// mailByName starts a mail server that shows certificate to who asks for name,
// and another one to all others.
func (b *builder) mailByName(at netip.Addr, name string, certificate *server.Certificate) {
	fallback := b.leaf("mx", "host")
	config := server.BySNI(fallback.Chain(), map[string]tls.Certificate{b.bare(name): certificate.Chain()})
	b.serve(at, 25, server.SMTP{Name: b.bare("host"), TLS: config})
}

// aliasedTLSA publishes the right record in a zone hoster, at the end of an alias.
func (b *builder) aliasedTLSA(hoster zone.Zone) {
	certificate := b.leaf("mx")
	b.mail(b.mx("mx"), certificate)
	b.add("_25._tcp.mx CNAME mx._dane.hoster")
	hoster.Apex, hoster.Records = "hoster", "mx._dane TLSA "+tlsaData(3, 1, 1, certificate)
	b.zone(hoster)
}
