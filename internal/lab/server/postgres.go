package server

import (
	"context"
	"crypto/tls"
	"io"
	"net"
)

// Postgres is a PostgreSQL server up to the TLS handshake: it answers SSLRequest
// with one letter, and closes the connection on anything that follows.
type Postgres struct {
	TLS        *tls.Config
	NoStartTLS bool // the answer is N
	Garbage    bool // the answer is an undefined letter
}

// sslRequest is the client's first message: its length, and a code in place of the
// protocol version.
const sslRequest = "\x00\x00\x00\x08\x04\xd2\x16\x2f"

// Serve implements Handler.
func (p Postgres) Serve(ctx context.Context, conn net.Conn) {
	request := make([]byte, len(sslRequest))
	if _, err := io.ReadFull(conn, request); err != nil || string(request) != sslRequest {
		return
	}
	switch {
	case p.Garbage:
		io.WriteString(conn, "?")
	case p.NoStartTLS:
		io.WriteString(conn, "N")
	default:
		io.WriteString(conn, "S")
		TLS{Config: p.TLS}.Serve(ctx, conn)
		return
	}
	io.CopyN(io.Discard, conn, 1) // until the client closes
}
