package probe

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"strings"

	utls "github.com/refraction-networking/utls"
)

// secureWithKey makes a TLS session for which the server needs a key of one
// type. In TLS 1.3 the signature schemes offered decide that (RFC 8446
// §4.2.3), up to TLS 1.2 the cipher suites too (RFC 8422 §2). crypto/tls lets
// nobody choose the schemes; this is the one place that needs another library.
func secureWithKey(ctx context.Context, conn net.Conn, sni string, key KeyType) (*session, error) {
	client := utls.UClient(conn, &utls.Config{
		ServerName:             sni,
		InsecureSkipVerify:     true,
		VerifyPeerCertificate:  func(chain [][]byte, _ [][]*x509.Certificate) error { return bearable(chain) },
		MinVersion:             utls.VersionTLS10,
		SessionTicketsDisabled: true,
	}, utls.HelloCustom)
	if err := client.ApplyPreset(helloFor(key, sni)); err != nil {
		return nil, fmt.Errorf("offer %s keys alone: %w", key, err)
	}
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := client.ConnectionState()
	return &session{client, state.Version, state.CipherSuite, state.PeerCertificates}, nil
}

// helloFor is the ClientHello that only a key of one type can answer: all
// versions, and whatever else the client of every other handshake offers.
func helloFor(key KeyType, sni string) *utls.ClientHelloSpec {
	extensions := []utls.TLSExtension{
		&utls.ExtendedMasterSecretExtension{},
		&utls.RenegotiationInfoExtension{Renegotiation: utls.RenegotiateNever},
		&utls.SupportedCurvesExtension{Curves: []utls.CurveID{utls.X25519, utls.CurveP256, utls.CurveP384, utls.CurveP521}},
		&utls.SupportedPointsExtension{SupportedPoints: []byte{0}}, // uncompressed
		&utls.SignatureAlgorithmsExtension{SupportedSignatureAlgorithms: schemesOf(key)},
		// The signatures in the chain may be of any kind: its issuers' keys are not asked for.
		&utls.SignatureAlgorithmsCertExtension{SupportedSignatureAlgorithms: append(schemesOf(ECDSA), append(schemesOf(RSA), utls.Ed25519)...)},
		&utls.SupportedVersionsExtension{Versions: []uint16{utls.VersionTLS13, utls.VersionTLS12, utls.VersionTLS11, utls.VersionTLS10}},
		&utls.KeyShareExtension{KeyShares: []utls.KeyShare{{Group: utls.X25519}, {Group: utls.CurveP256}}},
	}
	if sni != "" {
		extensions = append([]utls.TLSExtension{&utls.SNIExtension{ServerName: sni}}, extensions...)
	}
	return &utls.ClientHelloSpec{
		TLSVersMin:         utls.VersionTLS10,
		TLSVersMax:         utls.VersionTLS13,
		CipherSuites:       suitesOf(key),
		CompressionMethods: []byte{0}, // none
		Extensions:         extensions,
	}
}

// schemesOf lists the signature schemes of a key type, the strong ones first.
func schemesOf(key KeyType) []utls.SignatureScheme {
	if key == ECDSA {
		return []utls.SignatureScheme{utls.ECDSAWithP256AndSHA256, utls.ECDSAWithP384AndSHA384, utls.ECDSAWithP521AndSHA512, utls.ECDSAWithSHA1}
	}
	return []utls.SignatureScheme{utls.PSSWithSHA256, utls.PSSWithSHA384, utls.PSSWithSHA512,
		utls.PKCS1WithSHA256, utls.PKCS1WithSHA384, utls.PKCS1WithSHA512, utls.PKCS1WithSHA1}
}

// suitesOf lists the cipher suites of TLS 1.3, which leave the key open, and
// those of earlier versions that need a key of the type.
func suitesOf(key KeyType) []uint16 {
	var suites []uint16
	for _, suite := range append(utls.CipherSuites(), utls.InsecureCipherSuites()...) {
		ecdsa := strings.Contains(suite.Name, "_ECDSA_")
		open := len(suite.SupportedVersions) == 1 && suite.SupportedVersions[0] == utls.VersionTLS13
		if open || ecdsa == (key == ECDSA) {
			suites = append(suites, suite.ID)
		}
	}
	return suites
}
