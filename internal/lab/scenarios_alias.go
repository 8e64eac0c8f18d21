package lab

import (
	"crypto/tls"
	"net/netip"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
)

// aliasScenarios returns scenarios with CNAMEs at the host and at the owner name
// of the TLSA records. The servers send the matching certificate only if SNI is
// the right name.
func aliasScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "mx-cname",
			Description: "The MX host is an alias, and the TLSA record is at the canonical name. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("host")
				b.serveBySNI(b.aliasedMX(), "host", certificate)
				b.tlsa("_25._tcp.host", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "mx-cname-tlsa-at-alias",
			Description: "The MX host is an alias, and the TLSA record is at the alias. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.serveBySNI(b.aliasedMX(), "mx", certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "tlsa-cname",
			Description: "The owner name of the TLSA records is an alias into the signed zone of a provider. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.aliasedTLSA(zone.Zone{}) },
		},
		{
			Name:        "tlsa-cname-unsigned",
			Description: "The owner name of the TLSA records is an alias into an unsigned zone. DANE does not apply.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"tlsa_insecure"},
			build: func(b *builder) { b.aliasedTLSA(zone.Zone{Unsigned: true}) },
		},
		{
			Name:        "tlsa-cname-dangling",
			Description: "The owner name of the TLSA records is an alias for a name that does not exist. DANE does not apply.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"tlsa_alias_dangling"},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.leaf("mx"))
				b.add("_25._tcp.mx CNAME _dane.gone")
			},
		},
	}
}

// aliasedMX makes mx an alias for host, and the domain's MX host.
func (b *builder) aliasedMX() netip.Addr {
	b.add("@ MX 10 mx")
	b.add("mx CNAME host")
	return b.a("host")
}

// serveBySNI adds a mail server that sends certificate if SNI is name, and another
// certificate otherwise.
func (b *builder) serveBySNI(at netip.Addr, name string, certificate *server.Certificate) {
	fallback := b.leaf("mx", "host")
	config := server.TLSConfigBySNI(fallback.Chain(), map[string]tls.Certificate{b.hostname(name): certificate.Chain()})
	b.serve(at, 25, server.SMTP{Name: b.hostname("host"), TLS: config})
}

// aliasedTLSA adds a mail server whose matching record is in the zone hoster, at
// the target of an alias.
func (b *builder) aliasedTLSA(hoster zone.Zone) {
	certificate := b.leaf("mx")
	b.serveSMTP(b.mx("mx"), certificate)
	b.add("_25._tcp.mx CNAME mx._dane.hoster")
	hoster.Apex, hoster.Records = "hoster", "ns A 198.51.100.11\nmx._dane TLSA "+tlsaData(3, 1, 1, certificate)
	b.zone(hoster)
}
