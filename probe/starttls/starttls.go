// Package starttls speaks the dialogues that come before TLS, as a client that
// wants nothing but the handshake. Each protocol has a file of its own.
package starttls

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// Protocol is one way from an open connection to the first byte of TLS.
type Protocol interface {
	// Start leads conn to the point where the ClientHello is due. It honours
	// ctx: when ctx ends, the dialogue does. The transcript is returned in any case.
	//
	// Errors: ErrNotOffered, *Rejected, *ProtocolError, or one of the
	// connection's own (time-out, reset), wrapped.
	Start(ctx context.Context, conn net.Conn) (Transcript, error)
	// Goodbye takes leave inside TLS. Its errors interest nobody.
	Goodbye(conn net.Conn)
}

// Settings are what a dialogue needs to know.
type Settings struct {
	EHLO string // the name to greet with: an FQDN or an address literal, as "[192.0.2.1]"
}

// New returns the protocol of that name, "smtp" or "tls".
func New(name string, s Settings) (Protocol, error) {
	return nil, fmt.Errorf("no protocol %q", name)
}

// Names lists the protocols that New knows, sorted.
func Names() []string { return nil }

// ErrNotOffered: the server spoke its protocol well and did not offer STARTTLS.
var ErrNotOffered = errors.New("the server does not offer STARTTLS")

// Rejected is a server's "no" to a step of the dialogue.
type Rejected struct {
	Step  string // "greeting", "EHLO", "STARTTLS"
	Reply Reply
}

func (r *Rejected) Error() string { return "" }

// Reply is an SMTP-style reply (RFC 5321 §4.2).
type Reply struct {
	Code  int
	Lines []string // text of each line, without code
}

// ProtocolError is an answer that is none in this protocol.
type ProtocolError struct {
	Step string // what was waited for
	Got  string // quoted and bounded
}

func (e *ProtocolError) Error() string { return "" }

// Transcript is the dialogue as it went, for people: bounded, and printable
// whatever the server sent.
type Transcript []Line

// Line is one line of a dialogue.
type Line struct {
	Sent bool // by us
	Text string
}
