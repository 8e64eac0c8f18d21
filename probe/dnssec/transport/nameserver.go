package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
)

// Nameserver is a nameserver from which zones are transferred, over TCP or TLS.
type Nameserver struct{ server *server }

// ParseNameserver parses a nameserver. It is written as for New, but without "system",
// and an address without a scheme means TCP.
func ParseNameserver(text string) (Nameserver, error) {
	s, err := parseServer(text)
	if err != nil || strings.HasPrefix(text, "udp://") || !slices.Contains([]string{"udp", "tcp", "tls"}, s.network) {
		return Nameserver{}, fmt.Errorf("%q is not a nameserver; must be an address, such as 192.0.2.1, 192.0.2.1:5353, [2001:db8::1]:53, tls://192.0.2.1 or tls://192.0.2.1:853#ns.example.net", text)
	}
	return Nameserver{s}, nil
}

// Dial connects to the nameserver. A server over TLS is authenticated as a resolver is.
// Zone transfers need TLS 1.3 and the protocol name "dot" (RFC 9103 §7.1, §7.2).
func (n Nameserver) Dial(ctx context.Context, roots *x509.CertPool) (net.Conn, error) {
	tcp, err := n.server.dialTCP(ctx)
	if err != nil || n.server.network != "tls" {
		return tcp, err
	}
	name := cmp.Or(n.server.tlsName, n.server.address.Addr().WithZone("").String())
	conn := tls.Client(tcp, &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS13, NextProtos: []string{"dot"}})
	if err := conn.HandshakeContext(ctx); err != nil {
		tcp.Close()
		return nil, fmt.Errorf("TLS handshake: %w", untrustedError{err})
	}
	return conn, nil
}
