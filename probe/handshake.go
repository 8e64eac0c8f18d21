package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
)

// session is a TLS session whose handshake is complete.
type session struct {
	net.Conn
	version, cipher uint16              // as crypto/tls numbers them
	certificates    []*x509.Certificate // as sent, leaf first
}

// secure makes a TLS session of a connection, as a sender does, or with keys of
// one type alone. It ends the handshake where the chain is too long to be looked at.
func secure(ctx context.Context, conn net.Conn, sni string, key KeyType) (*session, error) {
	if key != "" {
		return secureWithKey(ctx, conn, sni, key)
	}
	client := tls.Client(conn, clientConfig(sni))
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := client.ConnectionState()
	return &session{client, state.Version, state.CipherSuite, state.PeerCertificates}, nil
}

func rawOf(certificates []*x509.Certificate) [][]byte {
	raw := make([][]byte, len(certificates))
	for i, certificate := range certificates {
		raw[i] = certificate.Raw
	}
	return raw
}
