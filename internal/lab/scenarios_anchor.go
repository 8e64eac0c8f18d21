package lab

import (
	"net/netip"

	"dane_exporter/internal/lab/server"
)

// trustAnchorScenarios: DANE-TA records, where the chain, the dates and the
// names count.
func trustAnchorScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "dane-ta",
			Story:  "The record is of a private root, and the server sends it with the rest.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.underOwnRoot(b.ownLeaf("mx"))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.ownRoot.Certificate)
			},
		},
		{
			Name:   "dane-ta-intermediate",
			Story:  "The record is of the intermediate that issued the certificate.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.mail(b.mx("mx"), b.ownLeaf("mx"))
				b.tlsa("_25._tcp.mx", 2, 0, 1, &b.own.Certificate)
			},
		},
		{
			Name:   "dane-ta-anchor-in-dns",
			Story:  "The server does not send the root; a 2 0 0 record has the whole of it.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"trust_anchor_not_in_chain"},
			build: func(b *builder) {
				b.mail(b.mx("mx"), b.ownLeaf("mx"))
				b.tlsa("_25._tcp.mx", 2, 0, 0, &b.ownRoot.Certificate)
			},
		},
		{
			Name:   "dane-ta-key-in-dns",
			Story:  "The server does not send the root; a 2 1 0 record has its public key.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"trust_anchor_not_in_chain"},
			build: func(b *builder) {
				b.mail(b.mx("mx"), b.ownLeaf("mx"))
				b.tlsa("_25._tcp.mx", 2, 1, 0, &b.ownRoot.Certificate)
			},
		},
		{
			Name:   "dane-ta-root-not-sent",
			Story:  "The record is of a root of the Web PKI, and the server, as web servers do, does not send it.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"trust_anchor_not_sent"},
			build: func(b *builder) {
				b.mail(b.mx("mx"), b.leaf("mx"))
				b.tlsa("_25._tcp.mx", 2, 0, 1, &b.webRoot.Certificate)
			},
		},
		{
			Name:   "dane-ta-of-leaf",
			Story:  "A usage 2 record of the server's own certificate: a leaf is no trust anchor.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				certificate := b.ownLeaf("mx")
				b.underOwnRoot(certificate)
				b.tlsa("_25._tcp.mx", 2, 1, 1, certificate)
			},
		},
		{
			Name:   "dane-ta-wrong-chain",
			Story:  "The record is of a certificate that the server sends, and that did not issue its own.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"chain_invalid"},
			build: func(b *builder) {
				b.sending(b.mx("mx"), b.leaf("mx"), &b.own.Certificate, &b.ownRoot.Certificate)
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.ownRoot.Certificate)
			},
		},
		{
			Name:   "dane-ta-name-mismatch",
			Story:  "The chain is right, and the certificate is for another host.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"name_mismatch"},
			build: func(b *builder) {
				b.underOwnRoot(b.ownLeaf("other"))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.ownRoot.Certificate)
			},
		},
		{
			Name:   "dane-ta-domain-name",
			Story:  "The certificate names the mail domain and not the host: that will do.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.underOwnRoot(b.ownLeaf("@"))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.ownRoot.Certificate)
			},
		},
		{
			Name:   "dane-ta-alias-name",
			Story:  "The mail server's name is an alias, and the certificate names what it leads to, where the record is.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.mailByName(b.aliasedMX(), "host", b.ownLeaf("host"))
				b.tlsa("_25._tcp.host", 2, 1, 1, &b.own.Certificate)
			},
		},
		{
			Name:   "dane-ta-alias-original-name",
			Story:  "The same, but the certificate names the alias, which is not the TLSA base domain.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"name_mismatch"},
			build: func(b *builder) {
				b.mailByName(b.aliasedMX(), "host", b.ownLeaf("mx"))
				b.tlsa("_25._tcp.host", 2, 1, 1, &b.own.Certificate)
			},
		},
		{
			Name:   "dane-ta-cn-only",
			Story:  "The certificate has no dNSName, and the host's name as its common name.",
			Module: "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.underOwnRoot(b.issue(b.own, server.Leaf{CommonName: b.bare("mx")}))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.ownRoot.Certificate)
			},
		},
		{
			Name:   "dane-ta-cn-beside-other-name",
			Story:  "The common name is the host's, and a dNSName is another's: the common name does not count.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"name_mismatch"},
			build: func(b *builder) {
				b.underOwnRoot(b.issue(b.own, server.Leaf{CommonName: b.bare("mx"), Names: []string{"other"}}))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.ownRoot.Certificate)
			},
		},
		{
			Name:   "dane-ta-expired",
			Story:  "The certificate ended yesterday, and under DANE-TA dates count.",
			Module: "smtp_mx", Outcome: "refused", Reasons: []string{"certificate_expired"},
			build: func(b *builder) {
				b.underOwnRoot(b.issue(b.own, server.Leaf{Names: []string{"mx"}, NotAfter: b.now.AddDate(0, 0, -1)}))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.ownRoot.Certificate)
			},
		},
	}
}

// underOwnRoot makes mx a mail server that sends certificate and all above it,
// the private root included.
func (b *builder) underOwnRoot(certificate *server.Certificate) {
	b.sending(b.mx("mx"), certificate, &b.own.Certificate, &b.ownRoot.Certificate)
}

// sending starts a mail server that sends certificate and then others.
func (b *builder) sending(at netip.Addr, certificate *server.Certificate, others ...*server.Certificate) {
	b.serve(at, 25, server.SMTP{Name: b.bare("mx"), TLS: server.Always(certificate.Sent(others...))})
}
