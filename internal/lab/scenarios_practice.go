package lab

import (
	"crypto/tls"
	"fmt"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// practiceScenarios: all is well today, or is not DANE's matter, and something
// could be better.
func practiceScenarios() []Scenario {
	const day = 24 * time.Hour
	return []Scenario{
		{
			Name:   "rollover-ee-ta",
			Story:  "A record of the key and one of its issuer: where one is late at a roll-over, the other holds.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tlsa_rollover_ready 1`, `dane_tlsa_stale_records 0`, `dane_tlsa_survives_renewal 1`},
			build: func(b *builder) {
				certificate := b.ownLeaf("mx")
				b.mail(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.own.Certificate)
			},
		},
		{
			Name:   "short-lived-pinned",
			Story:  "A 3 0 1 record of a certificate that lives for 90 days: the next renewal breaks it.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"short_lived_certificate_pinned"},
			Series: []string{`dane_tlsa_rollover_ready 0`, `dane_tlsa_survives_renewal 0`},
			build: func(b *builder) {
				b.publishing(3, 0, server.Leaf{Names: []string{"mx"}, NotAfter: b.now.Add(60 * day), Lifetime: 90 * day})
			},
		},
		{
			Name:   "ends-soon-no-next-key",
			Story:  "The certificate ends in a week, and no record of another key is published.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"no_next_key"},
			build: func(b *builder) {
				b.publishing(3, 1, server.Leaf{Names: []string{"mx"}, NotAfter: b.now.Add(7 * day)})
			},
		},
		{
			Name:   "ends-soon-dane-ta",
			Story:  "The record is of the issuer, under which dates count, and the certificate ends in five days.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true, Later: "refused",
			Series: []string{`dane_tlsa_survives_renewal 1`},
			build: func(b *builder) {
				b.mail(b.mx("mx"), b.issue(b.own, server.Leaf{Names: []string{"mx"}, NotAfter: b.now.Add(5 * day)}))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.own.Certificate)
			},
		},
		{
			Name:   "both-keys",
			Story:  "The server has an ECDSA and an RSA key, and each has its record.",
			Module: "smtp_mx_full", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tlsa_match{key_type="ecdsa"} 1`, `dane_tlsa_match{key_type="rsa"} 1`, `dane_tls_info{key_type="rsa",version="tls 1.3"} 1`},
			build:  func(b *builder) { b.bothKeys(tls.VersionTLS13, true) },
		},
		{
			Name:   "both-keys-tls12",
			Story:  "The same, by TLS 1.2 alone.",
			Module: "smtp_mx_full", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tls_info{key_type="ecdsa",version="tls 1.2"} 1`, `dane_tls_info{key_type="rsa",version="tls 1.2"} 1`},
			build:  func(b *builder) { b.bothKeys(tls.VersionTLS12, true) },
		},
		{
			Name:   "both-keys-one-stale",
			Story:  "The same, but the record of the RSA key is of the former one: who offers both keys does not see it.",
			Module: "smtp_mx_full", Outcome: "authenticated", Reasons: []string{"tlsa_mismatch"},
			Series: []string{`dane_tlsa_match{key_type="ecdsa"} 1`, `dane_tlsa_match{key_type="rsa"} 0`, `dane_tlsa_stale_records 1`},
			build:  func(b *builder) { b.bothKeys(tls.VersionTLS13, false) },
		},
		{
			Name:   "rsa-key-alone",
			Story:  "The server has an RSA key and no other: it is not failed for that.",
			Module: "smtp_mx_full", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tlsa_match{key_type="rsa"} 1`},
			build: func(b *builder) {
				b.publishing(3, 1, server.Leaf{Names: []string{"mx"}, Key: server.RSA})
			},
		},
		{
			Name:   "ed25519-key-alone",
			Story:  "The server has a key of neither type that is asked for: it is met as senders meet it, who offer all.",
			Module: "smtp_mx_full", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tlsa_match{key_type="ed25519"} 1`},
			build: func(b *builder) {
				b.publishing(3, 1, server.Leaf{Names: []string{"mx"}, Key: server.Ed25519})
			},
		},
		{
			Name:   "nsec3-iterations",
			Story:  "The zone hashes the names in its denial 151 times: what is there is secure, and validators differ on what is not.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"nsec3_iterations"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{NSEC3: &zone.NSEC3{Iterations: 150}})
				b.good()
			},
		},
		{
			Name:   "nsec3-iterations-denial",
			Story:  "The same without TLSA records: the proof that there are none proves nothing, so that the zone is as good as unsigned there.",
			Module: "smtp_mx", Outcome: "opportunistic", Reasons: []string{"tlsa_insecure"}, Advice: []string{"nsec3_iterations"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{NSEC3: &zone.NSEC3{Iterations: 150}})
				b.mail(b.mx("mx"), b.leaf("mx"))
			},
		},
		{
			Name:   "sha1-zone",
			Story:  "The zone is signed with RSASHA1 alone, which some validators believe and others do not.",
			Module: "smtp_mx", Outcome: "opportunistic", Reasons: []string{"address_insecure", "mx_insecure"}, Advice: []string{"sha1_zone"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Algorithms: []uint8{dns.RSASHA1}})
				b.good()
			},
		},
		{
			Name:   "microsoft-old-host",
			Story:  "The domain is signed, and its mail host is the one of Microsoft 365 that is not.",
			Module: "smtp_mx", Outcome: "opportunistic", Reasons: []string{"address_insecure"}, Advice: []string{"microsoft_unsigned_host"},
			build: func(b *builder) {
				const host = "microsoft-old-host-lab-test.mail.protection"
				address := b.address()
				b.add("@ MX 10 %s.outlook.com.", host)
				b.mail(address, b.leaf(host+".outlook.com."))
				b.zone(zone.Zone{Apex: "com."})
				b.zone(zone.Zone{Apex: "outlook.com.", Unsigned: true, Records: fmt.Sprintf("%s A %s", host, address)})
			},
		},
	}
}

// bothKeys makes mx a mail server with an ECDSA and an RSA key, in one version of
// TLS, and publishes records of both, that of the RSA key being of another one
// unless it is right.
func (b *builder) bothKeys(version uint16, right bool) {
	ecdsa, rsa := b.leaf("mx"), b.issue(b.web, server.Leaf{Names: []string{"mx"}, Key: server.RSA})
	config := server.Both(ecdsa.Chain(), rsa.Chain())
	config.MinVersion, config.MaxVersion = version, version
	b.serve(b.mx("mx"), 25, server.SMTP{Name: b.bare("mx"), TLS: config})
	b.tlsa("_25._tcp.mx", 3, 1, 1, ecdsa)
	if !right {
		rsa = b.leaf("mx")
	}
	b.tlsa("_25._tcp.mx", 3, 1, 1, rsa)
}

// publishing makes mx a mail server with a certificate of the Web PKI and a
// SHA-256 record of it.
func (b *builder) publishing(usage, selector uint8, leaf server.Leaf) {
	certificate := b.issue(b.web, leaf)
	b.mail(b.mx("mx"), certificate)
	b.tlsa("_25._tcp.mx", usage, selector, 1, certificate)
}
