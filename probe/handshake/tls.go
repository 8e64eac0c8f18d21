package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"dane_exporter/probe/dane"
)

// MaxChain is the maximum size in bytes of the certificates of one endpoint:
// the default of OpenSSL (SSL_CTX_set_max_cert_list), and so of senders that use it.
const MaxChain = 100 << 10

// errChainTooLong is returned when a server sends more certificates than senders accept.
var errChainTooLong = errors.New("the server sends more certificates than clients accept")

// session is a TLS session whose handshake is complete.
type session struct {
	net.Conn
	version, cipher uint16              // constants of crypto/tls
	group           uint16              // of the key exchange; 0: none, or not known
	certificates    []*x509.Certificate // as sent, leaf first
}

// startTLS makes the TLS handshake that a sender makes or, if keyType is not
// empty, one that only a key of that type can answer. It fails with
// errChainTooLong before an oversized chain is parsed.
func startTLS(ctx context.Context, conn net.Conn, sni string, keyType dane.KeyType) (*session, error) {
	if keyType != "" {
		return startTLSWithKeyType(ctx, conn, sni, keyType)
	}
	client := tls.Client(conn, clientConfig(sni))
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, classifyTLSError(err)
	}
	state := client.ConnectionState()
	return &session{client, state.Version, state.CipherSuite, uint16(state.CurveID), state.PeerCertificates}, nil
}

// clientConfig offers what a mail sender offers: every version and cipher suite
// of crypto/tls. It offers no session resumption, because a resumed session
// shows no certificates. The judge authenticates the server later, from the chain.
func clientConfig(sni string) *tls.Config {
	return &tls.Config{
		ServerName:             sni,
		InsecureSkipVerify:     true,
		VerifyPeerCertificate:  verifyChainSize,
		MinVersion:             tls.VersionTLS10,
		CipherSuites:           cipherSuiteIDs,
		SessionTicketsDisabled: true,
	}
}

// cipherSuiteIDs lists all cipher suites of crypto/tls. It is never modified.
var cipherSuiteIDs = allCipherSuites()

func allCipherSuites() []uint16 {
	var ids []uint16
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		ids = append(ids, suite.ID)
	}
	return ids
}

// verifyChainSize returns an error that wraps errChainTooLong if a chain exceeds MaxChain.
func verifyChainSize(chain [][]byte, _ [][]*x509.Certificate) error {
	size := 0
	for _, certificate := range chain {
		size += len(certificate)
	}
	if size > MaxChain {
		return fmt.Errorf("%w: %d bytes; OpenSSL and many others stop at %d", errChainTooLong, size, MaxChain)
	}
	return nil
}

// classifyTLSError separates the limits of crypto/tls from faults of the server.
// crypto/tls exports no error types for them, so the text decides.
func classifyTLSError(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "remote error: tls: handshake failure"), strings.Contains(text, "remote error: tls: insufficient security"):
		return fmt.Errorf("%w (this client supports no finite-field Diffie-Hellman, no Ed448 and no Brainpool curves; others may)", err)
	case strings.Contains(text, "failed to parse certificate"), strings.Contains(text, "certificate containing RSA key larger than"):
		return dane.WithCause(dane.CauseUnparsable, fmt.Errorf("a certificate cannot be parsed: %w", err))
	default:
		return err
	}
}

func rawCertificates(certificates []*x509.Certificate) [][]byte {
	raw := make([][]byte, len(certificates))
	for i, certificate := range certificates {
		raw[i] = certificate.Raw
	}
	return raw
}
