package handshake

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"slices"
)

// Values of TLS that crypto/tls does not export.
const (
	recordAlert     = 21
	recordHandshake = 22

	messageServerHello     = 2
	messageCertificate     = 11
	messageServerHelloDone = 14

	extensionServerName        = 0
	extensionGroups            = 10
	extensionPointFormats      = 11
	extensionSchemes           = 13
	extensionALPN              = 16
	extensionEncryptThenMAC    = 22
	extensionMasterSecret      = 23
	extensionSessionTicket     = 35
	extensionSupportedVersions = 43
	extensionPSKModes          = 45
	extensionKeyShare          = 51
	extensionRenegotiation     = 0xff01
)

// openSSLSuites are the cipher suites of TLS 1.2 that OpenSSL 3 offers to a server
// that it authenticates ("HIGH:MEDIUM:!aNULL"), in its order. It is never modified.
var openSSLSuites = []struct {
	id   uint16
	name string
}{
	{0xc02c, "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}, {0xc030, "ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
	{0x00a3, "DHE_DSS_WITH_AES_256_GCM_SHA384"}, {0x009f, "DHE_RSA_WITH_AES_256_GCM_SHA384"},
	{0xcca9, "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"}, {0xcca8, "ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
	{0xccaa, "DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"}, {0xc0af, "ECDHE_ECDSA_WITH_AES_256_CCM_8"},
	{0xc0ad, "ECDHE_ECDSA_WITH_AES_256_CCM"}, {0xc0a3, "DHE_RSA_WITH_AES_256_CCM_8"},
	{0xc09f, "DHE_RSA_WITH_AES_256_CCM"}, {0xc05d, "ECDHE_ECDSA_WITH_ARIA_256_GCM_SHA384"},
	{0xc061, "ECDHE_RSA_WITH_ARIA_256_GCM_SHA384"}, {0xc057, "DHE_DSS_WITH_ARIA_256_GCM_SHA384"},
	{0xc053, "DHE_RSA_WITH_ARIA_256_GCM_SHA384"}, {0xc024, "ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"},
	{0xc028, "ECDHE_RSA_WITH_AES_256_CBC_SHA384"}, {0x006b, "DHE_RSA_WITH_AES_256_CBC_SHA256"},
	{0x006a, "DHE_DSS_WITH_AES_256_CBC_SHA256"}, {0xc073, "ECDHE_ECDSA_WITH_CAMELLIA_256_CBC_SHA384"},
	{0xc077, "ECDHE_RSA_WITH_CAMELLIA_256_CBC_SHA384"}, {0x00c4, "DHE_RSA_WITH_CAMELLIA_256_CBC_SHA256"},
	{0x00c3, "DHE_DSS_WITH_CAMELLIA_256_CBC_SHA256"}, {0xc00a, "ECDHE_ECDSA_WITH_AES_256_CBC_SHA"},
	{0xc014, "ECDHE_RSA_WITH_AES_256_CBC_SHA"}, {0x0039, "DHE_RSA_WITH_AES_256_CBC_SHA"},
	{0x0038, "DHE_DSS_WITH_AES_256_CBC_SHA"}, {0x0088, "DHE_RSA_WITH_CAMELLIA_256_CBC_SHA"},
	{0x0087, "DHE_DSS_WITH_CAMELLIA_256_CBC_SHA"}, {0x009d, "RSA_WITH_AES_256_GCM_SHA384"},
	{0xc0a1, "RSA_WITH_AES_256_CCM_8"}, {0xc09d, "RSA_WITH_AES_256_CCM"},
	{0xc051, "RSA_WITH_ARIA_256_GCM_SHA384"}, {0x003d, "RSA_WITH_AES_256_CBC_SHA256"},
	{0x00c0, "RSA_WITH_CAMELLIA_256_CBC_SHA256"}, {0x0035, "RSA_WITH_AES_256_CBC_SHA"},
	{0x0084, "RSA_WITH_CAMELLIA_256_CBC_SHA"}, {0xc02b, "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
	{0xc02f, "ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, {0x00a2, "DHE_DSS_WITH_AES_128_GCM_SHA256"},
	{0x009e, "DHE_RSA_WITH_AES_128_GCM_SHA256"}, {0xc0ae, "ECDHE_ECDSA_WITH_AES_128_CCM_8"},
	{0xc0ac, "ECDHE_ECDSA_WITH_AES_128_CCM"}, {0xc0a2, "DHE_RSA_WITH_AES_128_CCM_8"},
	{0xc09e, "DHE_RSA_WITH_AES_128_CCM"}, {0xc05c, "ECDHE_ECDSA_WITH_ARIA_128_GCM_SHA256"},
	{0xc060, "ECDHE_RSA_WITH_ARIA_128_GCM_SHA256"}, {0xc056, "DHE_DSS_WITH_ARIA_128_GCM_SHA256"},
	{0xc052, "DHE_RSA_WITH_ARIA_128_GCM_SHA256"}, {0xc023, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"},
	{0xc027, "ECDHE_RSA_WITH_AES_128_CBC_SHA256"}, {0x0067, "DHE_RSA_WITH_AES_128_CBC_SHA256"},
	{0x0040, "DHE_DSS_WITH_AES_128_CBC_SHA256"}, {0xc072, "ECDHE_ECDSA_WITH_CAMELLIA_128_CBC_SHA256"},
	{0xc076, "ECDHE_RSA_WITH_CAMELLIA_128_CBC_SHA256"}, {0x00be, "DHE_RSA_WITH_CAMELLIA_128_CBC_SHA256"},
	{0x00bd, "DHE_DSS_WITH_CAMELLIA_128_CBC_SHA256"}, {0xc009, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA"},
	{0xc013, "ECDHE_RSA_WITH_AES_128_CBC_SHA"}, {0x0033, "DHE_RSA_WITH_AES_128_CBC_SHA"},
	{0x0032, "DHE_DSS_WITH_AES_128_CBC_SHA"}, {0x0045, "DHE_RSA_WITH_CAMELLIA_128_CBC_SHA"},
	{0x0044, "DHE_DSS_WITH_CAMELLIA_128_CBC_SHA"}, {0x009c, "RSA_WITH_AES_128_GCM_SHA256"},
	{0xc0a0, "RSA_WITH_AES_128_CCM_8"}, {0xc09c, "RSA_WITH_AES_128_CCM"},
	{0xc050, "RSA_WITH_ARIA_128_GCM_SHA256"}, {0x003c, "RSA_WITH_AES_128_CBC_SHA256"},
	{0x00ba, "RSA_WITH_CAMELLIA_128_CBC_SHA256"}, {0x002f, "RSA_WITH_AES_128_CBC_SHA"},
	{0x0041, "RSA_WITH_CAMELLIA_128_CBC_SHA"},
}

// tls13Suites are the cipher suites of TLS 1.3 that OpenSSL 3 offers.
var tls13Suites = []uint16{tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256, tls.TLS_AES_128_GCM_SHA256}

// openSSLGroups are the groups that OpenSSL 3.0 offers: X25519, P-256, X448, P-521,
// P-384, ffdhe2048 to ffdhe8192.
var openSSLGroups = []uint16{29, 23, 30, 25, 24, 0x100, 0x101, 0x102, 0x103, 0x104}

// openSSLSchemes are the signature schemes that releases 3.0 to 3.5 of OpenSSL
// offer: ECDSA, Ed25519, Ed448, RSA-PSS, RSA, DSA, and the Brainpool curves of TLS
// 1.3 (RFC 8734).
var openSSLSchemes = []uint16{0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x081a, 0x081b, 0x081c, 0x0809, 0x080a, 0x080b,
	0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0303, 0x0301, 0x0302, 0x0402, 0x0502, 0x0602, 0x0203, 0x0201}

// openSSLHello returns a record with a ClientHello like those of OpenSSL 3, for a
// version of TLS, 1.2 or 1.3, and all earlier ones. It offers what crypto/tls and
// utls do not implement, so it shows only how far a server goes.
func openSSLHello(version uint16, sni, alpn string) ([]byte, error) {
	random := make([]byte, 64)
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("making a ClientHello: %w", err)
	}
	var suites []uint16
	if version == tls.VersionTLS13 {
		suites = append(suites, tls13Suites...)
	}
	for _, suite := range openSSLSuites {
		suites = append(suites, suite.id)
	}
	var sessionID, extensions []byte
	add := func(id uint16, data []byte) {
		extensions = append(binary.BigEndian.AppendUint16(extensions, id), vector16(data)...)
	}
	if sni != "" {
		add(extensionServerName, vector16(append([]byte{0}, vector16([]byte(sni))...)))
	}
	add(extensionPointFormats, vector8([]byte{0}))
	add(extensionGroups, vector16(numbers(openSSLGroups)))
	add(extensionSessionTicket, nil)
	if alpn != "" {
		add(extensionALPN, vector16(vector8([]byte(alpn))))
	}
	add(extensionEncryptThenMAC, nil)
	add(extensionMasterSecret, nil)
	add(extensionSchemes, vector16(numbers(openSSLSchemes)))
	add(extensionRenegotiation, vector8(nil))
	if version == tls.VersionTLS13 {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("making a ClientHello: %w", err)
		}
		sessionID = random[32:]
		add(extensionSupportedVersions, vector8(numbers([]uint16{tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS11, tls.VersionTLS10})))
		add(extensionPSKModes, vector8([]byte{1}))
		add(extensionKeyShare, vector16(append(numbers([]uint16{uint16(tls.X25519)}), vector16(key.PublicKey().Bytes())...)))
	}
	body := numbers([]uint16{tls.VersionTLS12})
	body = append(body, random[:32]...)
	body = append(body, vector8(sessionID)...)
	body = append(body, vector16(numbers(suites))...)
	body = append(body, vector8([]byte{0})...) // no compression
	body = append(body, vector16(extensions)...)
	message := append([]byte{1, 0}, vector16(body)...) // ClientHello; its length has three bytes
	return append([]byte{recordHandshake, 3, 1}, vector16(message)...), nil
}

func numbers(all []uint16) []byte {
	var b []byte
	for _, n := range all {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return b
}

// vector8 and vector16 precede data by its length in one or two bytes.
func vector8(data []byte) []byte { return append([]byte{byte(len(data))}, data...) }
func vector16(data []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
}

// serverHello is what a ServerHello or HelloRetryRequest selects.
type serverHello struct {
	version, suite      uint16
	secureRenegotiation bool   // RFC 5746; always set in TLS 1.3, which has no renegotiation
	group               uint16 // of the key share in TLS 1.3; 0: none
}

// parseServerHello parses the body of a ServerHello (RFC 8446 §4.1.3).
func parseServerHello(body []byte) (h serverHello, ok bool) {
	in := input{rest: body}
	var compression []byte
	version, random, sessionID, suite := in.number(2), in.take(32), in.vector(1), in.number(2)
	compression = in.take(1)
	if in.failed || len(sessionID) > 32 || len(random) != 32 || compression[0] != 0 {
		return h, false
	}
	h.version, h.suite = uint16(version), uint16(suite)
	if len(in.rest) == 0 { // no extensions
		return h, true
	}
	extensions := input{rest: in.vector(2)}
	for len(extensions.rest) > 0 && !extensions.failed {
		id, data := extensions.number(2), input{rest: extensions.vector(2)}
		switch id {
		case extensionSupportedVersions:
			h.version = uint16(data.number(2))
		case extensionRenegotiation:
			h.secureRenegotiation = true
		case extensionKeyShare:
			h.group = uint16(data.number(2))
		}
	}
	h.secureRenegotiation = h.secureRenegotiation || h.version >= tls.VersionTLS13
	return h, !in.failed && !extensions.failed
}

// offered reports whether a client like OpenSSL accepts what the server selects.
func (h serverHello) offered() bool {
	if h.version == tls.VersionTLS13 {
		return slices.Contains(tls13Suites, h.suite) && (h.group == 0 || slices.Contains(openSSLGroups, h.group))
	}
	return h.version >= tls.VersionTLS10 && h.version <= tls.VersionTLS12 && suiteName(h.suite) != ""
}

// suiteName returns the name of a suite that OpenSSL offers, else "".
func suiteName(id uint16) string {
	for _, suite := range openSSLSuites {
		if suite.id == id {
			return "TLS_" + suite.name
		}
	}
	if slices.Contains(tls13Suites, id) {
		return tls.CipherSuiteName(id)
	}
	return ""
}

// input reads the numbers and vectors of a TLS message.
type input struct {
	rest   []byte
	failed bool // a read exceeded the input; it and those after it return nothing
}

func (in *input) take(n int) []byte {
	if in.failed = in.failed || n > len(in.rest); in.failed {
		in.rest = nil
		return nil
	}
	taken := in.rest[:n]
	in.rest = in.rest[n:]
	return taken
}

func (in *input) number(size int) int {
	n := 0
	for _, b := range in.take(size) {
		n = n<<8 | int(b)
	}
	return n
}

// vector reads a vector that its length precedes, in a number of bytes.
func (in *input) vector(size int) []byte { return in.take(in.number(size)) }
