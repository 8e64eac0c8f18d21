package lab

import (
	"fmt"
	"strings"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
)

// hostileScenarios: servers and zones that want to cost time and memory. Each
// probe ends in time and in bounds, and blames whom there is to blame.
func hostileScenarios() []Scenario {
	return append(floods(), multitudes()...)
}

// floods: servers that do not stop, or stop at the wrong moment.
func floods() []Scenario {
	return []Scenario{
		{
			Name:   "endless-banner",
			Story:  "The greeting has a line after another, and no last one.",
			Module: "smtp_mx", Outcome: "unreachable", Reasons: []string{"protocol_error"},
			build: func(b *builder) { b.oddMX(server.Flood{Again: "220-welcome\r\n"}, true) },
		},
		{
			Name:   "megabyte-line",
			Story:  "The greeting is one line of megabytes.",
			Module: "smtp_mx", Outcome: "unreachable", Reasons: []string{"protocol_error"},
			build: func(b *builder) { b.oddMX(server.Flood{Opening: "220 ", Again: "welcome "}, true) },
		},
		{
			Name:   "endless-reply",
			Story:  "The reply to EHLO lists extensions without end.",
			Module: "smtp_mx", Outcome: "unreachable", Reasons: []string{"protocol_error"},
			build: func(b *builder) {
				b.oddMX(server.Flood{Opening: "220 mx ESMTP\r\n", Listen: true, Again: "250-XANOTHER\r\n"}, true)
			},
		},
		{
			Name:   "handshake-stall",
			Story:  "After STARTTLS the mail server says nothing more.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"timeout"},
			build: func(b *builder) {
				b.oddMX(server.NoHandshake{Name: b.bare("mx"), Then: server.SilenceAfterHello}, true)
			},
		},
		{
			Name:   "alert-storm",
			Story:  "In place of a handshake the mail server sends warnings of TLS without end.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"tls_handshake_failed"},
			build: func(b *builder) {
				b.oddMX(server.NoHandshake{Name: b.bare("mx"), Then: server.AlertsAfterHello}, true)
			},
		},
		{
			Name:   "endless-handshake",
			Story:  "The mail server begins a handshake message of 16 MiB.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"tls_handshake_failed"},
			build: func(b *builder) {
				b.oddMX(server.NoHandshake{Name: b.bare("mx"), Then: server.RecordAfterHello}, true)
			},
		},
		{
			Name:   "huge-chain",
			Story:  "The mail server sends 180 kB of certificates. OpenSSL, and so most senders, take 100 KiB.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"tls_handshake_failed"},
			build: func(b *builder) { b.longChain(180_000) },
		},
		{
			Name:   "long-chain",
			Story:  "The mail server sends a certificate fifty times more often than needed: strange, and no harm.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.longChain(50_000) },
		},
	}
}

// longChain is a good mail server but for a chain of at least that many bytes.
func (b *builder) longChain(bytes int) {
	certificate := b.leaf("mx")
	var more []*server.Certificate
	for size := len(certificate.DER); size < bytes; size += len(b.web.DER) {
		more = append(more, &b.web.Certificate)
	}
	b.serve(b.mx("mx"), 25, server.SMTP{Name: b.bare("mx"), TLS: server.Always(certificate.Sent(more...))})
	b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
}

// multitudes: zones that publish more than anybody needs, or names that nobody
// has.
func multitudes() []Scenario {
	return []Scenario{
		{
			Name:   "thousand-tlsa",
			Story:  "There are a thousand TLSA records, as many as fit into an answer; one of them is right.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.good()
				for i := range 1000 {
					b.add("_25._tcp.mx TLSA 3 1 1 %064x", i)
				}
			},
		},
		{
			Name:   "hundreds-of-mx",
			Story:  "There are two hundred MX hosts: fifty are probed.",
			Module: "smtp_mx", Outcome: "authenticated", Reasons: []string{"limit_exceeded"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{})
				certificate := b.leaf("mx")
				b.mail(b.a("mx"), certificate)
				b.tlsa("tlsa", 3, 1, 1, certificate)
				for i := range 200 {
					b.add("@ MX 10 mx%03d", i)
					b.add("mx%03d CNAME mx", i)
				}
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "hundreds-of-addresses",
			Story:  "The mail server has three hundred addresses: the first sixteen are probed, and answer.",
			Module: "smtp_mx", Outcome: "authenticated", Reasons: []string{"limit_exceeded"},
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.add("@ MX 10 mx")
				b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
				for i := range 300 {
					address := b.address6()
					b.add("mx AAAA %s", address)
					if i < 16 { // the others are never called
						b.mail(address, certificate)
					}
				}
			},
		},
		{
			Name:   "every-byte",
			Story:  "The names of the two mail servers hold every byte that a label may have.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mx")
				address := b.address()
				b.mail(address, certificate)
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

// everyByte is a relative name with the bytes from first to before end, in
// labels of at most 63: letters as they are, the others as zone files may write
// any (RFC 1035 §5.1).
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
