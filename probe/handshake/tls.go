package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"runtime"
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
	asked           bool                // the server requested a certificate of the client
}

// offer is what a ClientHello offers, apart from the name of the server.
type offer struct {
	keyType dane.KeyType // the only one that can answer; empty: all
	alpn    string       // empty: no ALPN
	noALPN  bool         // alpn stays empty
	small   bool         // no ML-KEM, so that the ClientHello fits into one packet
	patient bool         // only the context limits the wait for the reply to STARTTLS
}

// growStack makes room on the stack for X25519MLKEM768, which alone needs 13 KiB, before there
// is much to copy. That saves 2 % of the CPU time of a probe. While an attempt waits for
// its address and connects, it must not have such a stack.
//
//go:noinline
func growStack() {
	var room [16 << 10]byte // needs 32 KiB of stack: a stack is a power of two
	runtime.KeepAlive(&room)
}

// startTLS makes the TLS handshake that a sender makes. If the offer has a key type,
// only a server with a key of that type can answer. It fails with errChainTooLong
// before an oversized chain is parsed.
func startTLS(ctx context.Context, conn net.Conn, sni string, o offer) (*session, error) {
	growStack()
	if o.keyType != "" {
		return startTLSWithKeyType(ctx, conn, sni, o)
	}
	asked := false
	var sent [][]byte
	config := clientConfig(sni)
	config.VerifyPeerCertificate = func(chain [][]byte, _ [][]*x509.Certificate) error { sent = chain; return verifyChainSize(chain) }
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return new(tls.Certificate), nil // senders have none
	}
	if o.alpn != "" {
		config.NextProtos = []string{o.alpn}
	}
	config.CurvePreferences = o.groups()
	client := tls.Client(conn, config)
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, classifyTLSError(err, asked, sent)
	}
	state := client.ConnectionState()
	return &session{client, state.Version, state.CipherSuite, uint16(state.CurveID), state.PeerCertificates, asked}, nil
}

// groups returns the groups of the key exchange, preferred ones first: those of OpenSSL
// 3.5 that crypto/tls and utls support. The key share of ML-KEM does not fit into one
// packet.
func (o offer) groups() []tls.CurveID {
	groups := []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	if o.small {
		return groups[1:]
	}
	return groups
}

// clientConfig offers what a mail sender offers: every version and cipher suite
// of crypto/tls. It offers no session resumption, because a resumed session
// shows no certificates. The judge authenticates the server later, from the chain.
func clientConfig(sni string) *tls.Config {
	return &tls.Config{
		ServerName:             sni,
		InsecureSkipVerify:     true,
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
func verifyChainSize(chain [][]byte) error {
	size := 0
	for _, certificate := range chain {
		size += len(certificate)
	}
	if size > MaxChain {
		return fmt.Errorf("%w: %d bytes; OpenSSL and many others stop at %d", errChainTooLong, size, MaxChain)
	}
	return nil
}

// classifyTLSError attaches the causes that show in the error of a handshake.
// crypto/tls exports no error types for its limits, so the text decides. asked
// reports whether the server requested a certificate of the client. sent has the
// certificates of the server.
func classifyTLSError(err error, asked bool, sent [][]byte) error {
	switch text := err.Error(); {
	case asked && rejectsCertificate(alertOf(err)):
		return clientCertificateRequired(err, sent)
	case strings.Contains(text, "failed to parse certificate"), strings.Contains(text, "certificate containing RSA key larger than"):
		return dane.WithCause(dane.CauseUnparsable, fmt.Errorf("a certificate cannot be parsed: %w", err))
	default:
		return err
	}
}

// clientCertificateError is the error of a server that ends the session after it
// has requested a certificate and received none.
type clientCertificateError struct {
	err  error
	sent [][]byte // the certificates of the server, if it ended the handshake
}

func (e *clientCertificateError) Error() string {
	return "the server requests a certificate of the client, and receives none: " + e.err.Error()
}

func (e *clientCertificateError) Unwrap() error { return e.err }

func clientCertificateRequired(err error, sent [][]byte) error {
	return dane.WithCause(dane.CauseClientCertificate, &clientCertificateError{err, sent})
}

// alertOf returns the text of the TLS alert that the server sent, without the
// prefix "tls: "; empty if err is no such alert. crypto/tls and utls export no
// common type for alerts.
func alertOf(err error) string {
	alert, ok := errors.AsType[*net.OpError](err)
	if !ok || alert.Op != "remote error" {
		return ""
	}
	return strings.TrimPrefix(alert.Err.Error(), "tls: ")
}

// rejectsCertificate reports whether an alert is one with which servers reject a
// client without a certificate. That is certificate_required in TLS 1.3 (RFC 8446
// §4.4.2.4), and handshake_failure before (RFC 5246 §7.4.6). Some servers send other
// alerts about certificates instead (RFC 5246 §7.2.2).
func rejectsCertificate(alert string) bool {
	switch alert {
	case "certificate required", "handshake failure", "bad certificate", "unsupported certificate",
		"unknown certificate", "unknown certificate authority", "access denied", "alert(41)":
		return true
	}
	return false
}

func rawCertificates(certificates []*x509.Certificate) [][]byte {
	raw := make([][]byte, len(certificates))
	for i, certificate := range certificates {
		raw[i] = certificate.Raw
	}
	return raw
}
