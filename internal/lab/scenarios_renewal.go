package lab

import (
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// renewalScenarios returns scenarios in which mail works, and the lookups of a CA decide
// whether it issues the next certificate. In the module lab_renewal, the CA of the lab is known.
func renewalScenarios() []Scenario {
	const module = "lab_renewal"
	bogusAt := func(name string, qtype uint16) zone.Fault { return zone.Corrupt(zone.At(name, qtype)) }
	return []Scenario{
		{
			Name:        "renewal-good",
			Description: "The CAA records of the domain admit the CA of the certificate. The next certificate can be issued.",
			Module:      module, Outcome: "authenticated", Success: true,
			Series: []string{`dane_dnssec_valid{lookup="caa",name="renewal-good.lab.test"} 1`, `dane_dnssec_valid{lookup="acme_challenge",name="_acme-challenge.mx.renewal-good.lab.test"} 1`},
			build: func(b *builder) {
				b.goodMX()
				b.add(`@ CAA 0 issue "ca.lab.test"`)
			},
		},
		{
			Name:        "renewal-other-ca",
			Description: "The CAA records of the domain admit another CA only. The CA of the current certificate must refuse the next one.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"caa_forbids_issuer"},
			build: func(b *builder) {
				b.goodMX()
				b.add(`@ CAA 0 issue "other.lab.test"`)
			},
		},
		{
			Name:        "renewal-host-caa",
			Description: "The CAA records of the host count, and not those of the domain.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"caa_forbids_issuer"},
			build: func(b *builder) {
				b.goodMX()
				b.add(`mx CAA 0 issue ";"`)
				b.add(`@ CAA 0 issue "ca.lab.test"`)
			},
		},
		{
			Name:        "renewal-caa-bogus",
			Description: "The signature of the CAA records is invalid. CAs must refuse the next certificate.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"caa_lookup_failed"},
			Series: []string{`dane_dnssec_valid{lookup="caa",name="renewal-caa-bogus.lab.test"} 0`},
			build: func(b *builder) {
				b.goodMX()
				b.add(`@ CAA 0 issue "ca.lab.test"`)
				b.inject(bogusAt(b.domain, dns.TypeCAA))
			},
		},
		{
			Name:        "renewal-caa-servfail",
			Description: "The servers of the signed zone fail for CAA records. CAs must refuse the next certificate.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"caa_lookup_failed"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{})
				b.goodMX()
				b.inject(zone.Rcode(zone.Under(b.domain, dns.TypeCAA), dns.RcodeServerFailure))
			},
		},
		{
			Name:        "renewal-caa-servfail-unsigned",
			Description: "The servers of an unsigned zone fail for CAA records. CAs may issue the next certificate.",
			Module:      module, Outcome: "opportunistic", Reasons: []string{"address_insecure", "mx_insecure"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Unsigned: true})
				b.goodMX()
				b.inject(zone.Rcode(zone.Under(b.domain, dns.TypeCAA), dns.RcodeServerFailure))
			},
		},
		{
			Name:        "renewal-challenge-bogus",
			Description: "The name of ACME's DNS challenge is an alias into a zone with expired signatures. CAs that validate by DNS refuse the next certificate.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"acme_challenge_bogus"},
			Series: []string{`dane_dnssec_valid{lookup="acme_challenge",name="_acme-challenge.mx.renewal-challenge-bogus.lab.test"} 0`},
			build: func(b *builder) {
				b.goodMX()
				b.add(`_acme-challenge.mx CNAME token.acme`)
				b.zone(zone.Zone{Apex: b.name("acme"), Records: `token TXT "proof"`})
				b.inject(zone.Expire(zone.In(b.name("acme"))))
			},
		},
		{
			Name:        "renewal-challenge-unsigned",
			Description: "The name of ACME's DNS challenge is an alias into an unsigned zone. CAs need no signatures there.",
			Module:      module, Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.goodMX()
				b.add(`_acme-challenge.mx CNAME token.acme`)
				b.zone(zone.Zone{Apex: b.name("acme"), Unsigned: true, Records: `token TXT "proof"`})
			},
		},
		{
			Name:        "renewal-aliased-host",
			Description: "The host is an alias, and the certificate is for the target. The CAA records of the target admit another CA.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"caa_forbids_issuer"},
			build: func(b *builder) {
				certificate := b.leaf("relay")
				b.add("@ MX 10 mx")
				b.add("mx CNAME relay")
				b.serveSMTP(b.a("relay"), certificate)
				b.tlsa("_25._tcp.relay", 3, 1, 1, certificate)
				b.add(`relay CAA 0 issue "other.lab.test"`)
			},
		},
		{
			Name:        "renewal-challenge-loop",
			Description: "The name of ACME's DNS challenge is an alias that leads back to itself. CAs that validate by DNS refuse the next certificate.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"acme_challenge_bogus"},
			build: func(b *builder) {
				b.goodMX()
				b.add(`_acme-challenge.mx CNAME token`)
				b.add(`token CNAME _acme-challenge.mx`)
			},
		},
		{
			Name:        "renewal-caa-many",
			Description: "There are hundreds of CAA records with long values, and none admits the CA.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"caa_forbids_issuer"},
			build: func(b *builder) {
				b.goodMX()
				for i := range 500 {
					b.add(`@ CAA 0 issue "%0100d.lab.test"`, i)
				}
			},
		},
		{
			Name:        "renewal-wildcard",
			Description: "The certificate is for a wildcard, so neither the CAA records nor the DNS challenge of the host count. The next certificate can be issued.",
			Module:      module, Outcome: "authenticated", Success: true,
			Series: []string{`dane_dnssec_valid{lookup="caa",name="renewal-wildcard.lab.test"} 1`, `dane_dnssec_valid{lookup="acme_challenge",name="_acme-challenge.renewal-wildcard.lab.test"} 1`},
			build: func(b *builder) {
				b.wildcardMX()
				b.add(`mx CAA 0 issue ";"`)
				b.add(`@ CAA 0 issuewild "ca.lab.test"`)
				b.add(`_acme-challenge.mx TXT "proof"`)
				b.inject(bogusAt(b.name("_acme-challenge.mx"), dns.TypeTXT))
			},
		},
		{
			Name:        "renewal-wildcard-forbidden",
			Description: "The certificate is for a wildcard, and the CAA records of the domain forbid wildcards.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"caa_forbids_issuer"},
			build: func(b *builder) {
				b.wildcardMX()
				b.add(`@ CAA 0 issue "ca.lab.test"`)
				b.add(`@ CAA 0 issuewild ";"`)
			},
		},
		{
			Name:        "renewal-other-name",
			Description: "The certificate is for another name, as a DANE-EE record allows. No CA looks up the CAA records of the host.",
			Module:      module, Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("other")
				b.serveSMTP(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
				b.add(`@ CAA 0 issue ";"`)
			},
		},
	}
}

// wildcardMX adds a mail server with a wildcard certificate of the Web PKI.
func (b *builder) wildcardMX() {
	certificate := b.leaf("*")
	b.serveSMTP(b.mx("mx"), certificate)
	b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
}
