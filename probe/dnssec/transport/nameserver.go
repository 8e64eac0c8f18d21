package transport

import (
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

// ParseNameserver parses a nameserver over TCP or TLS. The forms are those of New; an address
// without a scheme means TCP.
func ParseNameserver(text string) (Nameserver, error) {
	s, err := parseServer(text)
	if err != nil || strings.HasPrefix(text, "udp://") || !slices.Contains([]string{"udp", "tcp", "tls"}, s.network) {
		return Nameserver{}, fmt.Errorf("%q is not a nameserver; must be an address, such as 192.0.2.1, 192.0.2.1:5353, [2001:db8::1]:53, tls://192.0.2.1 or tls://192.0.2.1:853#ns.example.net", text)
	}
	return Nameserver{s}, nil
}

// Dial connects to the nameserver. It authenticates a server over TLS like a resolver.
// Zone transfers need TLS 1.3 and the protocol name "dot" (RFC 9103 §7.1, §7.2).
func (n Nameserver) Dial(ctx context.Context, roots *x509.CertPool) (net.Conn, error) {
	if n.server.network != "tls" {
		return n.server.dialTCP(ctx)
	}
	config := n.server.tlsConfig(roots)
	config.MinVersion, config.NextProtos = tls.VersionTLS13, []string{"dot"}
	return n.server.dialTLS(ctx, config)
}
