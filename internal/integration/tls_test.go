//go:build integration

package integration

import (
	"encoding/binary"
	"encoding/pem"
	"io"
	"net"
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

// TestSecureRenegotiation shows why the exporter warns of servers without RFC 5746:
// Postfix refuses them, in any version before TLS 1.3, and accepts TLS 1.0 with it. The
// server sends its first messages and makes no key exchange.
func TestSecureRenegotiation(t *testing.T) {
	const refusal = "unsafe legacy renegotiation disabled"
	dir := tempDir(t)
	configureLoopback(t)
	writeFile(t, filepath.Join(dir, "postfix"), "main.cf", "compatibility_level = 3.6\n")
	block, _ := pem.Decode([]byte(readFile(t, selfSignedPair(t, dir, "renegotiation", "rsa", "rsa_keygen_bits:2048"))))
	vector := func(size int, data string) string {
		length := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
		return string(length[4-size:]) + data
	}
	for _, c := range []struct {
		name, version, extensions string
		refused                   bool
	}{
		{"TLS 1.2 with RFC 5746", "\x03\x03", vector(2, "\xff\x01\x00\x01\x00"), false},
		{"TLS 1.2 without", "\x03\x03", "", true},
		{"TLS 1.0 with RFC 5746", "\x03\x01", vector(2, "\xff\x01\x00\x01\x00"), false},
		{"TLS 1.0 without", "\x03\x01", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			flight := "\x02" + vector(3, c.version+strings.Repeat("r", 32)+"\x00"+"\x00\x2f"+"\x00"+c.extensions) + // TLS_RSA_WITH_AES_128_CBC_SHA
				"\x0b" + vector(3, vector(3, vector(3, string(block.Bytes)))) + "\x0e\x00\x00\x00"
			listener, err := net.Listen("tcp", "127.0.0.1:443")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan string, 1)
			go func() {
				answer := make([]byte, 4096)
				conn, err := listener.Accept()
				if err != nil {
					served <- err.Error()
					return
				}
				defer conn.Close()
				_, _ = conn.Read(answer)
				_, _ = io.WriteString(conn, "\x16"+c.version+vector(2, flight))
				n, _ := conn.Read(answer)
				served <- string(answer[:min(n, 1)])
			}()
			_, text := postfixTLS(t, dir, netip.MustParseAddrPort("127.0.0.1:443"))
			listener.Close()
			answer := <-served
			if refused := strings.Contains(text, refusal); refused != c.refused {
				t.Errorf("Postfix refuses: %t, want %t\n%s", refused, c.refused, text)
			}
			if want := map[bool]string{true: "\x15", false: "\x16"}[c.refused]; answer != want { // an alert, or the key exchange
				t.Errorf("Postfix answers with record type %q, want %q", answer, want)
			}
		})
	}
}
