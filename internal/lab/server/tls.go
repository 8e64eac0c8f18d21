package server

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
)

// TLS is a server with implicit TLS.
type TLS struct {
	Config *tls.Config
	Inside Handler // serves the connection inside TLS; nil: nothing is sent there
}

// Serve implements Handler.
func (t TLS) Serve(ctx context.Context, conn net.Conn) {
	secured := tls.Server(conn, t.Config)
	if secured.Handshake() != nil {
		return
	}
	if t.Inside != nil {
		t.Inside.Serve(ctx, secured)
		secured.Close()
		return
	}
	io.Copy(io.Discard, secured) // until the client closes
	secured.Close()
}

// TLSConfig returns a configuration with one certificate chain, whatever the SNI.
func TLSConfig(certificate tls.Certificate) *tls.Config {
	return TLSConfigBySNI(certificate, nil)
}

// TLSConfigDual returns a configuration with two certificates. The server uses the
// first one whose key type the client supports.
func TLSConfigDual(first, second tls.Certificate) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{first, second}}
}

// TLSConfigBySNI returns a configuration that selects the chain by SNI (RFC 6066 §3).
// Names are lower case without the final dot. fallback is for all other names.
func TLSConfigBySNI(fallback tls.Certificate, byName map[string]tls.Certificate) *tls.Config {
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
