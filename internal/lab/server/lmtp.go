package server

import (
	"context"
	"net"
)

// LMTP is a mail store that other servers deliver to: SMTP, but that its
// clients say LHLO, and EHLO and HELO are unknown (RFC 2033 §4.1).
type LMTP SMTP

// Serve implements Handler.
func (l LMTP) Serve(ctx context.Context, conn net.Conn) {
	l.hello = "LHLO"
	SMTP(l).Serve(ctx, conn)
}
