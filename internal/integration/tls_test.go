//go:build integration

package integration

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

// Results of posttls-finger with a server that speaks TLS from the first byte.
const (
	established  = "established"
	notPossible  = "failed"
	onlyTheLeaf  = onlyWWW + "_443._tcp.www {{tlsa 3 1 1 .Leaf}}"
	onlyAnother  = onlyWWW + "_443._tcp.www {{tlsa 3 1 1 .Other}}"
	onlyTheIssue = onlyWWW + "_443._tcp.www {{tlsa 2 1 1 .Intermediate}}"
)

// tlsCases returns web servers with limited or unusual TLS.
func tlsCases() []webCase {
	rsa := []string{"-newkey", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"}
	const ours, unfinished = "crypto/tls does not implement it", "s_client reports the handshake alone; in TLS 1.3 the server rejects the client after it (RFC 8446 §2)"
	limited := func(name, desc string, key []string, options ...string) webCase {
		return webCase{scenario: scenario{name: name, desc: desc, records: onlyTheLeaf,
			server: server{certificate: certificate{key: key}, options: options}},
			outcome: "unknown", reasons: []string{"tls_unsupported_here"}, reference: "authenticated", postfix: established, why: ours}
	}
	with := func(c webCase, change func(*webCase)) webCase {
		change(&c)
		return c
	}
	mismatch := func(c *webCase) {
		c.name, c.desc, c.records = c.name+"-mismatch", c.desc+", and another certificate than the record's", onlyAnother
		c.outcome, c.reasons, c.reference, c.why = "refused", []string{"tlsa_mismatch"}, "", ""
	}
	refusedByAll := func(c *webCase) {
		c.outcome, c.reasons, c.reference, c.postfix, c.why = "refused", []string{"tls_handshake_failed"}, "", notPossible, ""
	}
	accepted := func(reasons ...string) func(*webCase) {
		return func(c *webCase) {
			c.outcome, c.reasons, c.reference, c.why = "authenticated", reasons, "", ""
		}
	}
	onlyPostfix := func(c *webCase) {
		c.reference, c.why = "refused", "by default, s_client does not offer these suites, and Postfix does"
	}
	required := func(c *webCase) {
		c.outcome, c.reasons, c.reference, c.postfix, c.why = "refused", []string{"client_certificate_required"}, "", "", ""
	}
	dhe := limited("tls-dhe", "finite-field Diffie-Hellman only", rsa, "-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384")
	x448 := limited("tls-x448", "X448 only", nil, "-groups", "X448")
	pss := limited("tls-pss-key", "a key for RSA-PSS", []string{"-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"})
	ed448 := limited("tls-ed448-key", "an Ed448 key", []string{"-newkey", "ed448"})
	return []webCase{
		dhe, with(dhe, mismatch),
		with(dhe, func(c *webCase) {
			c.name, c.desc, c.records = c.name+"-ta", c.desc+", 2 1 1 of the intermediate", onlyTheIssue
		}),
		limited("tls-static-rsa", "static RSA with SHA-256 CBC and AES-256 only", rsa, "-tls1_2", "-cipher", "AES256-SHA256"),
		with(limited("tls-ccm", "AES-CCM only", nil, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM"), onlyPostfix),
		with(limited("tls-camellia", "Camellia only", nil, "-tls1_2", "-cipher", "ECDHE-ECDSA-CAMELLIA256-SHA384"), onlyPostfix),
		limited("tls-cbc-sha384", "CBC with SHA-384 only", nil, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"),
		x448, with(x448, mismatch),
		limited("tls-x448-tls13", "X448 in TLS 1.3 only", nil, "-tls1_3", "-groups", "X448"),
		with(limited("tls-ffdhe", "ffdhe2048 in TLS 1.3 only, which Postfix offers since version 3.8", nil, "-tls1_3", "-groups", "ffdhe2048"), func(c *webCase) { c.postfix = "" }),
		pss, with(pss, mismatch), ed448, with(ed448, mismatch),
		limited("tls-ed448-tls13", "an Ed448 key, TLS 1.3 only", []string{"-newkey", "ed448"}, "-tls1_3"),
		with(limited("tls-brainpool-key", "a Brainpool key, which OpenSSL 3.0 does not offer", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"}), refusedByAll),
		with(limited("tls-brainpool-group", "a Brainpool group only, which OpenSSL does not offer", nil, "-tls1_2", "-groups", "brainpoolP256r1"), refusedByAll),
		with(limited("tls-psk-only", "no suite without a pre-shared key", nil, "-tls1_2", "-nocert", "-psk", "abcd", "-cipher", "PSK"), refusedByAll),
		with(limited("tls-1-0", "TLS 1.0 only", rsa, "-tls1", "-cipher", "ALL:@SECLEVEL=0"), func(c *webCase) {
			accepted("tls_obsolete")(c)
			c.reference, c.why = "refused", "s_client of Debian requires security level 2, which excludes TLS 1.0 and 1.1; Postfix sets level 0"
		}),
		with(limited("tls-1-1", "TLS 1.1 only", nil, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), func(c *webCase) {
			accepted("tls_obsolete")(c)
			c.reference, c.why = "refused", "s_client of Debian requires security level 2, which excludes TLS 1.0 and 1.1; Postfix sets level 0"
		}),
		with(limited("tls-1-2", "TLS 1.2 only", nil, "-tls1_2"), accepted()),
		with(limited("tls-1-3", "TLS 1.3 only", nil, "-tls1_3"), accepted()),
		with(limited("tls-secp384r1", "a group without a key share", nil, "-tls1_3", "-groups", "secp384r1"), accepted()),
		with(limited("tls-client-requested", "a client certificate requested", nil, "-verify", "1"), accepted()),
		with(limited("tls-client-required-12", "a client certificate required, in TLS 1.2", nil, "-tls1_2", "-Verify", "1"), required),
		with(limited("tls-client-required-13", "a client certificate required, in TLS 1.3", nil, "-tls1_3", "-Verify", "1"), func(c *webCase) {
			required(c)
			c.reference, c.why = "authenticated", unfinished
		}),
		with(limited("tls-alpn", "ALPN with the protocol of a web client", nil, "-alpn", "h2,http/1.1"), accepted()),
		with(limited("tls-alpn-other", "ALPN with another protocol alone", nil, "-alpn", "acme-tls/1"), accepted()),
	}
}

// postfixTLS makes a handshake as Postfix's smtp(8) does at a level that requires
// TLS, and returns whether it succeeds, with the output.
func postfixTLS(t testing.TB, dir string, server netip.AddrPort) (result, text string) {
	t.Helper()
	text = output(t, "posttls-finger", "-o", "config_directory="+filepath.Join(dir, "postfix"), "-w", "-c", "-l", "encrypt", "-t", "5", "-T", "2",
		"["+server.Addr().String()+"]:443")
	if strings.Contains(text, "TLS connection established") {
		return established, text
	}
	return notPossible, text
}
