package lab

import (
	"fmt"
	"net/netip"
	"strings"

	"dane_exporter/internal/lab/server"
)

// daneEEScenarios returns scenarios with DANE-EE records that do not match, and with
// records that are unusable.
func daneEEScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "tlsa-mismatch",
			Description: "The mail server has a new key, but the record is of the old one. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.leaf("mx"))
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
		{
			Name:        "sha512-wrong-sha256-right",
			Description: "The SHA-256 record matches and the SHA-512 record does not. By digest agility (RFC 7671 §9), only the latter counts; DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.goodMX()
				b.tlsa("_25._tcp.mx", 3, 1, 2, b.leaf("mx"))
			},
		},
		{
			Name:        "pkix-usages-only",
			Description: "The only record has usage 1, which mail clients cannot use. They require TLS but do not authenticate the server.",
			Module:      "smtp_mx", Outcome: "encrypted", Reasons: []string{"tlsa_unusable"}, Advice: []string{"pkix_usage_on_relay"},
			build: func(b *builder) {
				certificate := b.leaf("mx")
				b.serveSMTP(b.mx("mx"), certificate)
				b.tlsa("_25._tcp.mx", 1, 1, 1, certificate)
			},
		},
		{
			Name:        "malformed-tlsa",
			Description: "The SHA-256 digest in the only record is one octet short. DANE clients require TLS but do not authenticate the server.",
			Module:      "smtp_mx", Outcome: "encrypted", Reasons: []string{"tlsa_unusable"},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.leaf("mx"))
				b.add("_25._tcp.mx TLSA 3 1 1 %s", strings.Repeat("ab", 31))
			},
		},
		{
			Name:        "malformed-and-good",
			Description: "One record is one octet short, the other one matches. DANE clients use the latter.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Reasons: []string{"tlsa_unusable"},
			build: func(b *builder) {
				b.goodMX()
				b.add("_25._tcp.mx TLSA 3 1 1 %s", strings.Repeat("ab", 31))
			},
		},
	}
}

// daneTAScenarios returns scenarios with DANE-TA records, under which the chain,
// dates and names count.
func daneTAScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "dane-ta",
			Description: "The record is of a private root, which the server sends with its chain. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.privateRootMX(b.privateLeaf("mx"))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.privateRoot.Certificate)
			},
		},
		{
			Name:        "dane-ta-intermediate",
			Description: "The record is of the intermediate CA that issued the certificate. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.privateLeaf("mx"))
				b.tlsa("_25._tcp.mx", 2, 0, 1, &b.privateCA.Certificate)
			},
		},
		{
			Name:        "dane-ta-anchor-in-dns",
			Description: "The server does not send the root, but a 2 0 0 record contains it. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"trust_anchor_not_in_chain"},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.privateLeaf("mx"))
				b.tlsa("_25._tcp.mx", 2, 0, 0, &b.privateRoot.Certificate)
			},
		},
		{
			Name:        "dane-ta-key-in-dns",
			Description: "The server does not send the root, but a 2 1 0 record contains its public key. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"trust_anchor_not_in_chain"},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.privateLeaf("mx"))
				b.tlsa("_25._tcp.mx", 2, 1, 0, &b.privateRoot.Certificate)
			},
		},
		{
			Name:        "dane-ta-root-not-sent",
			Description: "The record is of a Web PKI root, which the server does not send. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"trust_anchor_not_sent"},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.leaf("mx"))
				b.tlsa("_25._tcp.mx", 2, 0, 1, &b.webRoot.Certificate)
			},
		},
		{
			Name:        "dane-ta-of-leaf",
			Description: "The usage 2 record is of the server's own certificate, which is not a trust anchor. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				certificate := b.privateLeaf("mx")
				b.privateRootMX(certificate)
				b.tlsa("_25._tcp.mx", 2, 1, 1, certificate)
			},
		},
		{
			Name:        "dane-ta-wrong-chain",
			Description: "The record is of a CA certificate that the server sends but that did not issue its own. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"chain_invalid"},
			build: func(b *builder) {
				b.serveChain(b.mx("mx"), b.leaf("mx"), &b.privateCA.Certificate, &b.privateRoot.Certificate)
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.privateRoot.Certificate)
			},
		},
		{
			Name:        "dane-ta-name-mismatch",
			Description: "The chain leads to the trust anchor, but the certificate names another host. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"name_mismatch"},
			build: func(b *builder) {
				b.privateRootMX(b.privateLeaf("other"))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.privateRoot.Certificate)
			},
		},
		{
			Name:        "dane-ta-domain-name",
			Description: "The certificate names the mail domain, not the host. DANE clients accept either, and authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.privateRootMX(b.privateLeaf("@"))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.privateRoot.Certificate)
			},
		},
		{
			Name:        "dane-ta-alias-name",
			Description: "The MX host is an alias, and record and certificate are for its canonical name. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.serveBySNI(b.aliasedMX(), "host", b.privateLeaf("host"))
				b.tlsa("_25._tcp.host", 2, 1, 1, &b.privateCA.Certificate)
			},
		},
		{
			Name:        "dane-ta-alias-original-name",
			Description: "The TLSA record is at the canonical name of the MX host, but the certificate names the alias. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"name_mismatch"},
			build: func(b *builder) {
				b.serveBySNI(b.aliasedMX(), "host", b.privateLeaf("mx"))
				b.tlsa("_25._tcp.host", 2, 1, 1, &b.privateCA.Certificate)
			},
		},
		{
			Name:        "dane-ta-cn-only",
			Description: "The certificate has no dNSName, and its common name is the host. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.privateRootMX(b.issue(b.privateCA, server.Leaf{CommonName: b.hostname("mx")}))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.privateRoot.Certificate)
			},
		},
		{
			Name:        "dane-ta-cn-and-other-name",
			Description: "The common name is the host, but a dNSName is another one, so the common name does not count. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"name_mismatch"},
			build: func(b *builder) {
				b.privateRootMX(b.issue(b.privateCA, server.Leaf{CommonName: b.hostname("mx"), Names: []string{"other"}}))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.privateRoot.Certificate)
			},
		},
		{
			Name:        "dane-ta-expired",
			Description: "The certificate expired yesterday, and under DANE-TA dates count. DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"certificate_expired"},
			build: func(b *builder) {
				b.privateRootMX(b.issue(b.privateCA, server.Leaf{Names: []string{"mx"}, NotAfter: b.now.AddDate(0, 0, -1)}))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.privateRoot.Certificate)
			},
		},
		{
			Name:        "dane-ta-anchor-expired",
			Description: "The record is of an intermediate CA certificate that has expired. Postfix and other clients with OpenSSL ignore its dates and authenticate the server; others refuse.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"trust_anchor_out_of_date"},
			build: func(b *builder) {
				expired := b.must(b.privateRoot.IntermediateUntil("Lab Expired CA", b.now.AddDate(0, 0, -1)))
				b.serveSMTP(b.mx("mx"), b.issue(expired, server.Leaf{Names: []string{"mx"}}))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &expired.Certificate)
			},
		},
		{
			Name:        "dane-ta-client-certificate",
			Description: "The server's certificate is for TLS clients only (extended key usage clientAuth). DANE clients do not deliver.",
			Module:      "smtp_mx", Outcome: "refused", Reasons: []string{"chain_invalid"},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.issue(b.privateCA, server.Leaf{Names: []string{"mx"}, ForClients: true}))
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.privateCA.Certificate)
			},
		},
		{
			Name:        "dane-ee-client-certificate",
			Description: "The server's certificate is for TLS clients only, but under DANE-EE its purpose does not count. DANE clients authenticate the server.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.mxWithRecord(3, 1, server.Leaf{Names: []string{"mx"}, ForClients: true})
			},
		},
		{
			Name:        "dane-ta-cross-signed",
			Description: "The server sends two certificates of its issuer. The first leads to another root than that of the record. Clients with OpenSSL follow only the first, and do not deliver.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Advice: []string{"chain_order"},
			build: func(b *builder) {
				crossed, err := b.webRoot.CrossSign(b.privateCA)
				if err != nil {
					b.fail(err)
					return
				}
				b.serveChain(b.mx("mx"), b.privateLeaf("mx"), crossed, &b.privateCA.Certificate, &b.privateRoot.Certificate)
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.privateRoot.Certificate)
			},
		},
		{
			Name:        "dane-ta-deep-chain",
			Description: "The record is of a root that is the 13th certificate above the server's. Postfix verifies 11 by default, and does not deliver.",
			Module:      "smtp_mx", Outcome: "authenticated", Success: true, Reasons: []string{"chain_too_deep"},
			build: func(b *builder) {
				issuer, above := b.privateRoot, []*server.Certificate{&b.privateRoot.Certificate}
				for i := range 12 {
					issuer = b.must(issuer.Intermediate(fmt.Sprintf("Lab Deep CA %d", i)))
					above = append([]*server.Certificate{&issuer.Certificate}, above...)
				}
				b.serveChain(b.mx("mx"), b.issue(issuer, server.Leaf{Names: []string{"mx"}}), above...)
				b.tlsa("_25._tcp.mx", 2, 1, 1, &b.privateRoot.Certificate)
			},
		},
	}
}

// must returns an authority, or the private CA after an error, which it records.
func (b *builder) must(authority *server.Authority, err error) *server.Authority {
	if err != nil {
		b.fail(err)
		return b.privateCA
	}
	return authority
}

// privateRootMX adds a mail server that sends certificate and its chain, including
// the private root.
func (b *builder) privateRootMX(certificate *server.Certificate) {
	b.serveChain(b.mx("mx"), certificate, &b.privateCA.Certificate, &b.privateRoot.Certificate)
}

// serveChain adds a mail server that sends certificate and then others.
func (b *builder) serveChain(at netip.Addr, certificate *server.Certificate, others ...*server.Certificate) {
	b.serve(at, 25, server.SMTP{Name: b.hostname("mx"), TLS: server.TLSConfig(certificate.ChainWith(others...))})
}
