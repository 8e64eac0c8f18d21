package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"

	"dane_exporter/probe/dane"

	utls "github.com/refraction-networking/utls"
)

// startTLSWithKeyType makes a TLS handshake for which the server needs a key of
// one type. In TLS 1.3 the signature schemes of the offer decide this (RFC 8446
// §4.2.3), in TLS 1.2 and earlier also the cipher suites (RFC 8422 §2).
// crypto/tls does not let its caller choose the schemes, utls does.
func startTLSWithKeyType(ctx context.Context, conn net.Conn, sni string, o offer) (*session, error) {
	asked := false
	var sent [][]byte
	client := utls.UClient(conn, &utls.Config{
		ServerName:             sni,
		InsecureSkipVerify:     true,
		VerifyPeerCertificate:  func(chain [][]byte, _ [][]*x509.Certificate) error { sent = chain; return verifyChainSize(chain) },
		MinVersion:             utls.VersionTLS10,
		SessionTicketsDisabled: true,
		GetClientCertificate: func(*utls.CertificateRequestInfo) (*utls.Certificate, error) {
			asked = true
			return new(utls.Certificate), nil
		},
	}, utls.HelloCustom)
	if err := client.ApplyPreset(clientHello(sni, o)); err != nil {
		return nil, fmt.Errorf("offering only %s keys: %w", o.keyType, err)
	}
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, classifyTLSError(err, asked, sent)
	}
	state := client.ConnectionState()
	return &session{client, state.Version, state.CipherSuite, groupOf(client), state.PeerCertificates, asked}, nil
}

// groupOf returns the group of the key exchange in TLS 1.3. It returns 0 for
// earlier versions: utls does not export the group of their ServerKeyExchange.
func groupOf(client *utls.UConn) uint16 {
	if hello := client.HandshakeState.ServerHello; hello != nil {
		return uint16(hello.ServerShare.Group)
	}
	return 0
}

// clientHello returns the ClientHello that only a key of one type can answer. It
// offers all versions, and otherwise what crypto/tls offers.
func clientHello(sni string, o offer) *utls.ClientHelloSpec {
	keyType := o.keyType
	var groups []utls.CurveID
	var shares []utls.KeyShare
	for _, group := range o.groups() {
		groups = append(groups, utls.CurveID(group))
		if group == tls.X25519MLKEM768 || group == tls.X25519 { // as crypto/tls
			shares = append(shares, utls.KeyShare{Group: utls.CurveID(group)})
		}
	}
	extensions := []utls.TLSExtension{
		&utls.ExtendedMasterSecretExtension{},
		&utls.RenegotiationInfoExtension{Renegotiation: utls.RenegotiateNever},
		&utls.SupportedCurvesExtension{Curves: groups},
		&utls.SupportedPointsExtension{SupportedPoints: []byte{0}}, // uncompressed
		&utls.SignatureAlgorithmsExtension{SupportedSignatureAlgorithms: signatureSchemes(keyType)},
		// The signatures in the chain may be of any type: only the leaf's key is restricted.
		&utls.SignatureAlgorithmsCertExtension{SupportedSignatureAlgorithms: append(signatureSchemes(dane.ECDSA), append(signatureSchemes(dane.RSA), utls.Ed25519)...)},
		&utls.SupportedVersionsExtension{Versions: []uint16{utls.VersionTLS13, utls.VersionTLS12, utls.VersionTLS11, utls.VersionTLS10}},
		&utls.KeyShareExtension{KeyShares: shares},
	}
	if o.alpn != "" {
		extensions = append(extensions, &utls.ALPNExtension{AlpnProtocols: []string{o.alpn}})
	}
	if sni != "" {
		extensions = append([]utls.TLSExtension{&utls.SNIExtension{ServerName: sni}}, extensions...)
	}
	return &utls.ClientHelloSpec{
		TLSVersMin:         utls.VersionTLS10,
		TLSVersMax:         utls.VersionTLS13,
		CipherSuites:       cipherSuites(keyType),
		CompressionMethods: []byte{0}, // none
		Extensions:         extensions,
	}
}

// signatureSchemes returns the signature schemes of a key type, strongest first.
func signatureSchemes(keyType dane.KeyType) []utls.SignatureScheme {
	if keyType == dane.ECDSA {
		return []utls.SignatureScheme{utls.ECDSAWithP256AndSHA256, utls.ECDSAWithP384AndSHA384, utls.ECDSAWithP521AndSHA512, utls.ECDSAWithSHA1}
	}
	return []utls.SignatureScheme{utls.PSSWithSHA256, utls.PSSWithSHA384, utls.PSSWithSHA512,
		utls.PKCS1WithSHA256, utls.PKCS1WithSHA384, utls.PKCS1WithSHA512, utls.PKCS1WithSHA1}
}

// cipherSuites returns the cipher suites of TLS 1.3, which do not depend on the
// key, and those of earlier versions that need a key of the type.
func cipherSuites(keyType dane.KeyType) []uint16 {
	var suites []uint16
	for _, suite := range append(utls.CipherSuites(), utls.InsecureCipherSuites()...) {
		ecdsa := strings.Contains(suite.Name, "_ECDSA_")
		tls13 := len(suite.SupportedVersions) == 1 && suite.SupportedVersions[0] == utls.VersionTLS13
		if tls13 || ecdsa == (keyType == dane.ECDSA) {
			suites = append(suites, suite.ID)
		}
	}
	return suites
}
