package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"unicode"
)

// dialTCP returns what connects to a server over TCP.
func dialTCP(s *server) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.address.String())
	}
}

// dialTLS returns what connects to a server over TLS and checks that it is the
// one meant, in the strict profile of RFC 8310 §5: its certificate leads to one
// of roots and is for its authentication domain name (§8.1) or, where it is
// configured by address alone, for that address. There is no way around it.
func dialTLS(s *server, roots *x509.CertPool) func(context.Context) (net.Conn, error) {
	settings := &tls.Config{ServerName: s.peer, RootCAs: roots, MinVersion: tls.VersionTLS12}
	if s.peer == "" {
		settings.ServerName = s.address.Addr().WithZone("").String()
	}
	connect := dialTCP(s)
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := connect(ctx)
		if err != nil {
			return nil, err
		}
		encrypted := tls.Client(conn, settings)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("handshake: %w", foreign{err})
		}
		return encrypted, nil
	}
}

// foreign is an error whose text may quote what the server sent, such as the
// names in its certificate.
type foreign struct{ error }

func (f foreign) Error() string {
	const most = 300
	text := f.error.Error()
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func (f foreign) Unwrap() error { return f.error }
