package starttls

import (
	"context"
	"net"
)

// direct is TLS from the first byte (RFC 8314 §3 calls it implicit): there is
// nothing to say before it, and nothing to take leave from inside.
type direct struct{}

func (direct) Start(context.Context, net.Conn) (Dialogue, error) {
	return Dialogue{Offered: true}, nil
}

func (direct) Goodbye(context.Context, net.Conn) {}
