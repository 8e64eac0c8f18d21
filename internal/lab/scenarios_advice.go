package lab

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// adviceScenarios returns scenarios in which no DANE client fails today, but the
// configuration should be improved or watched: rollovers, several keys, NSEC3
// iterations, SHA-1.
func adviceScenarios() []Scenario {
	const day = 24 * time.Hour
	return []Scenario{
		{
			Name:        "rollover-ee-ta",
			Description: "One record is of the key, another of its issuer: one still matches if the other is late in a rollover. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tlsa_rollover_ready 1`, `dane_tlsa_stale_records 0`, `dane_tlsa_survives_renewal 1`},
			build: func(b *builder) {
				certificate := b.privateLeaf("mx")
				b.serveSMTP(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.privateCA.Certificate)
			},
		},
		{
			Name:        "short-lived-pinned",
			Description: "A 3 0 1 record is of a certificate that is valid for 90 days. DANE clients authenticate the server until its next renewal.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"short_lived_certificate_pinned"},
			Series: []string{`dane_tlsa_rollover_ready 0`, `dane_tlsa_survives_renewal 0`},
			build: func(b *builder) {
				b.mxWithRecord(3, 0, server.Leaf{Names: []string{"mx"}, NotAfter: b.now.Add(60 * day), Lifetime: 90 * day})
			},
		},
		{
			Name:        "ends-soon-no-next-key",
			Description: "The certificate expires in a week, and no record of another key is published. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"no_next_key"},
			build: func(b *builder) {
				b.mxWithRecord(3, 1, server.Leaf{Names: []string{"mx"}, NotAfter: b.now.Add(7 * day)})
			},
		},
		{
			Name:        "ends-soon-dane-ta",
			Description: "The record is of the issuer, so dates count, and the certificate expires in five days. DANE clients authenticate the server until then.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Later: "refused",
			Series: []string{`dane_tlsa_survives_renewal 1`},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.issue(b.privateCA, server.Leaf{Names: []string{"mx"}, NotAfter: b.now.Add(5 * day)}))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.privateCA.Certificate)
			},
		},
		{
			Name:        "both-keys",
			Description: "The server has an ECDSA and an RSA key, each with its record. DANE clients authenticate both.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tlsa_match{key_type="ecdsa"} 1`, `dane_tlsa_match{key_type="rsa"} 1`, `dane_tls_info{key_type="rsa",version="TLS 1.3"} 1`},
			build:  func(b *builder) { b.bothKeys(tls.VersionTLS13, true) },
		},
		{
			Name:        "both-keys-tls12",
			Description: "The server has an ECDSA and an RSA key, each with its record, and supports only TLS 1.2. DANE clients authenticate both.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tls_info{key_type="ecdsa",version="TLS 1.2"} 1`, `dane_tls_info{key_type="rsa",version="TLS 1.2"} 1`},
			build:  func(b *builder) { b.bothKeys(tls.VersionTLS12, true) },
		},
		{
			Name:        "both-keys-one-stale",
			Description: "The record of the server's RSA key is of its former key. DANE clients that get the ECDSA certificate deliver; those that get the RSA certificate do not.",
			Module:      "smtp_mx_full", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			Series: []string{`dane_tlsa_match{key_type="ecdsa"} 1`, `dane_tlsa_match{key_type="rsa"} 0`, `dane_tlsa_stale_records 1`},
			build:  func(b *builder) { b.bothKeys(tls.VersionTLS13, false) },
		},
		{
			Name:        "rsa-key-alone",
			Description: "The server has only an RSA key. DANE clients authenticate it; the missing ECDSA key is no failure.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tlsa_match{key_type="rsa"} 1`},
			build: func(b *builder) {
				b.mxWithRecord(3, 1, server.Leaf{Names: []string{"mx"}, Key: server.RSA})
			},
		},
		{
			Name:        "ed25519-key-alone",
			Description: "The server's only key is Ed25519. A handshake that offers all key types, as senders do, authenticates it.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true,
			Series: []string{`dane_tlsa_match{key_type="ed25519"} 1`},
			build: func(b *builder) {
				b.mxWithRecord(3, 1, server.Leaf{Names: []string{"mx"}, Key: server.Ed25519})
			},
		},
		{
			Name:        "nsec3-iterations",
			Description: "The zone has 150 additional NSEC3 iterations. DANE clients authenticate the server, but validators disagree on what does not exist.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"nsec3_iterations"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{NSEC3: &zone.NSEC3{Iterations: 150}})
				b.goodMX()
			},
		},
		{
			Name:        "nsec3-iterations-denial",
			Description: "The zone has 150 additional NSEC3 iterations and no TLSA records. Its denial of existence counts as insecure, so DANE does not apply.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"tlsa_insecure"}, Advice: []string{"nsec3_iterations"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{NSEC3: &zone.NSEC3{Iterations: 150}})
				b.serveSMTP(b.mx("mx"), b.leaf("mx"))
			},
		},
		{
			Name:        "sha1-zone",
			Description: "The zone is signed only with RSASHA1, which only some validators accept. Without it, DANE does not apply.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"address_insecure", "mx_insecure"}, Advice: []string{"sha1_zone"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Algorithms: []uint8{dns.RSASHA1}})
				b.goodMX()
			},
		},
		{
			Name:        "unsupported-ds",
			Description: "The zone of the mail host has a DS record with algorithm 12 (GOST), which validators do not support. They treat the zone as unsigned.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"address_insecure"}, Advice: []string{"unsupported_ds"},
			build: func(b *builder) {
				address := b.address()
				b.add("@ MX 10 mx.mail")
				b.add("mail DS 4711 12 2 %s", strings.Repeat("00", 32))
				b.serveSMTP(address, b.leaf("mx.mail"))
				b.zone(zone.Zone{Apex: "mail", Records: fmt.Sprintf("mx A %s", address)})
			},
		},
		{
			Name:        "microsoft-old-host",
			Description: "The domain is signed, but its mail host is Microsoft 365's unsigned one. DANE does not apply.",
			Module:      "smtp_mx", Outcome: "opportunistic", Reasons: []string{"address_insecure"}, Advice: []string{"microsoft_unsigned_host"},
			build: func(b *builder) {
				const host = "microsoft-old-host-lab-test.mail.protection"
				address := b.address()
				b.add("@ MX 10 %s.outlook.com.", host)
				b.serveSMTP(address, b.leaf(host+".outlook.com."))
				b.zone(zone.Zone{Apex: "com."})
				b.zone(zone.Zone{Apex: "outlook.com.", Unsigned: true, Records: fmt.Sprintf("%s A %s", host, address)})
			},
		},
	}
}

// bothKeys adds a mail server with an ECDSA and an RSA key and one TLS version, and
// records of both keys. Unless matching is set, the record in place of the RSA
// key's is of another key.
func (b *builder) bothKeys(version uint16, matching bool) {
	ecdsa, rsa := b.leaf("mx"), b.issue(b.webCA, server.Leaf{Names: []string{"mx"}, Key: server.RSA})
	config := server.TLSConfigDual(ecdsa.Chain(), rsa.Chain())
	config.MinVersion, config.MaxVersion = version, version
	b.serve(b.mx("mx"), 25, server.SMTP{Name: b.hostname("mx"), TLS: config})
	b.tlsa("_25._tcp.mx", 3, 1, 1, ecdsa)
	if !matching {
		rsa = b.leaf("mx")
	}
	b.tlsa("_25._tcp.mx", 3, 1, 1, rsa)
}

// mxWithRecord adds a mail server with a certificate of the Web PKI and a SHA-256
// record of it.
func (b *builder) mxWithRecord(usage, selector uint8, leaf server.Leaf) {
	certificate := b.issue(b.webCA, leaf)
	b.serveSMTP(b.mx("mx"), certificate)
	b.tlsa("_25._tcp.mx", usage, selector, 1, certificate)
}
