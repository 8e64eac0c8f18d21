package server

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
)

// TLS is a server that speaks TLS from the first byte, and nothing inside it.
type TLS struct{ Config *tls.Config }

// Serve implements Handler.
func (t TLS) Serve(_ context.Context, conn net.Conn) {
	secured := tls.Server(conn, t.Config)
	if secured.Handshake() != nil {
		return
	}
	io.Copy(io.Discard, secured) // until the client goes
	secured.Close()
}

// Always shows one certificate chain, whatever name is asked for.
func Always(certificate tls.Certificate) *tls.Config {
	return BySNI(certificate, nil)
}

// Both has two certificates, and shows the first of a key type that the client
// offers.
func Both(first, second tls.Certificate) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{first, second}}
}

// BySNI shows the chain of the name that the client asks for (RFC 6066 §3),
// in lower case without a trailing dot, and fallback where there is none.
func BySNI(fallback tls.Certificate, byName map[string]tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if certificate, ok := byName[strings.ToLower(hello.ServerName)]; ok {
				return &certificate, nil
			}
			return &fallback, nil
		},
	}
}
