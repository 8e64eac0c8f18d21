package lab

import (
	"fmt"
	"strings"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
)

// hostileScenarios returns scenarios with servers and zones that could exhaust time
// or memory. Each probe must end in time, within its limits, and with a reason
// that names the server or zone at fault.
func hostileScenarios() []Scenario {
	return append(endlessServers(), largeZones()...)
}

// endlessServers returns scenarios with servers that send without end, or stall.
func endlessServers() []Scenario {
	return []Scenario{
		{
			Name:        "endless-banner",
			Description: "The greeting consists of lines without end.",
			Module:      "smtp_mx", Outcome: "unreachable", Reasons: []string{"protocol_error"},
			build: func(b *builder) { b.customMX(server.Flood{Repeat: "220-welcome\r\n"}, true) },
		},
		{
			Name:        "megabyte-line",
			Description: "The greeting is a single line of megabytes.",
			Module:      "smtp_mx", Outcome: "unreachable", Reasons: []string{"protocol_error"},
			build: func(b *builder) { b.customMX(server.Flood{Opening: "220 ", Repeat: "welcome "}, true) },
		},
		{
			Name:        "endless-reply",
			Description: "The reply to EHLO lists extensions without end.",
			Module:      "smtp_mx", Outcome: "unreachable", Reasons: []string{"protocol_error"},
			build: func(b *builder) {
				b.customMX(server.Flood{Opening: "220 mx ESMTP\r\n", Listen: true, Repeat: "250-XANOTHER\r\n"}, true)
			},
		},
		{
			Name:        "handshake-stall",
			Description: "After STARTTLS, the mail server sends nothing. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"timeout"},
			build: func(b *builder) {
				b.customMX(server.NoHandshake{Name: b.hostname("mx"), Then: server.SilenceAfterHello}, true)
			},
		},
		{
			Name:        "alert-storm",
			Description: "Instead of a ServerHello, the mail server sends TLS warnings without end. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"tls_handshake_failed"},
			build: func(b *builder) {
				b.customMX(server.NoHandshake{Name: b.hostname("mx"), Then: server.AlertsAfterHello}, true)
			},
		},
		{
			Name:        "endless-handshake",
			Description: "The mail server starts a handshake message of 16 MiB. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"tls_handshake_failed"},
			build: func(b *builder) {
				b.customMX(server.NoHandshake{Name: b.hostname("mx"), Then: server.RecordAfterHello}, true)
			},
		},
		{
			Name:        "huge-chain",
			Description: "The mail server sends certificates of 180 kB. OpenSSL, and thus most senders, accept 100 KiB; they do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"tls_handshake_failed"},
			build: func(b *builder) { b.longChain(180_000) },
		},
		{
			Name:        "long-chain",
			Description: "The mail server sends its issuer's certificate again and again, 50 kB in all. DANE clients authenticate it.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.longChain(50_000) },
		},
	}
}

// longChain adds a mail server that is good, but sends a chain of at least that
// many bytes.
func (b *builder) longChain(bytes int) {
	certificate := b.leaf("mx")
	var more []*server.Certificate
	for size := len(certificate.DER); size < bytes; size += len(b.webCA.DER) {
		more = append(more, &b.webCA.Certificate)
	}
	b.serve(b.mx("mx"), 25, server.SMTP{Name: b.hostname("mx"), TLS: server.TLSConfig(certificate.ChainWith(more...))})
	b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
}

// largeZones returns scenarios with unusually many records or unusual names.
func largeZones() []Scenario {
	return []Scenario{
		{
			Name:        "thousand-tlsa",
			Description: "There are a thousand TLSA records, as many as fit into a response, and one matches. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"many_records"},
			build: func(b *builder) {
				b.goodMX()
				for i := range 1000 {
					b.add("_25._tcp.mx TLSA 3 1 1 %064x", i)
				}
			},
		},
		{
			Name:        "hundreds-of-mx",
			Description: "The domain has two hundred MX hosts. A probe is limited to fifty of them.",
			Module:      "smtp_mx", Outcome: "authenticated", Reasons: []string{"limit_exceeded"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{})
				certificate := b.leaf("mx")
				b.serveSMTP(b.a("mx"), certificate)
				b.tlsa("tlsa", 3, 1, 1, certificate)
				for i := range 200 {
					b.add("@ MX 10 mx%03d", i)
					b.add("mx%03d CNAME mx", i)
				}
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "hundreds-of-addresses",
			Description: "The mail server has three hundred addresses. A probe is limited to sixteen of them.",
			Module:      "smtp_mx", Outcome: "authenticated", Reasons: []string{"limit_exceeded"},
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.add("@ MX 10 mx")
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
				for i := range 300 {
					address := b.address6()
					b.add("mx AAAA %s", address)
					if i < 16 { // the limit of a probe
						b.serveSMTP(address, certificate)
					}
				}
			},
		},
		{
			Name:        "every-byte",
			Description: "The names of the two mail servers contain every byte that a label can have, so they are no hostnames. Clients do not connect.",
			Module:      "smtp_mx", Outcome: "none", Reasons: []string{"invalid_hostname"},
			build: func(b *builder) {
				certificate := b.leaf("mx")
				address := b.address()
				b.serveSMTP(address, certificate)
				for i, first := range []int{0, 128} {
					host := everyByte(first, first+128)
					b.add("@ MX %d %s", 10+i, host)
					b.add("%s A %s", host, address)
					b.tlsa("_25._tcp."+host, 3, 1, 1, certificate)
				}
			},
		},
	}
}

// everyByte returns a relative name with the bytes from first to end-1, in labels of
// at most 63 bytes. Letters stand for themselves; other bytes are escaped as zone
// files allow (RFC 1035 §5.1).
func everyByte(first, end int) string {
	const most = 63
	var name strings.Builder
	for i := first; i < end; i++ {
		if i > first && (i-first)%most == 0 {
			name.WriteByte('.')
		}
		if letter := 'a' <= i|0x20 && i|0x20 <= 'z'; letter {
			name.WriteByte(byte(i))
			continue
		}
		fmt.Fprintf(&name, `\%03d`, i)
	}
	return name.String()
}
