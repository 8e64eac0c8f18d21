package server

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
)

// Flood is a server that does not stop talking. After Opening it waits for a
// line of the client where it shall have one, and then says Again without end.
type Flood struct {
	Opening string // said at first
	Listen  bool   // to one line, between Opening and the flood
	Again   string
}

// Serve implements Handler.
func (f Flood) Serve(_ context.Context, conn net.Conn) {
	io.WriteString(conn, f.Opening)
	if f.Listen {
		if _, ok := newDialogue(conn).command(); !ok {
			return
		}
	}
	pour(conn, f.Again)
}

// pour writes text again and again, a few KiB at a time, until nobody takes it.
func pour(conn net.Conn, text string) {
	much := strings.Repeat(text, max(1, 4096/len(text)))
	for {
		if _, err := io.WriteString(conn, much); err != nil {
			return
		}
	}
}

// AfterClientHello are ways to go on where a handshake would begin.
type AfterClientHello string

// What a server may do instead of a ServerHello.
const (
	SilenceAfterHello AfterClientHello = "silence" // it says nothing, and stays
	AlertsAfterHello  AfterClientHello = "alerts"  // it sends warnings without end
	RecordAfterHello  AfterClientHello = "record"  // it announces the longest handshake message, and sends it without end
)

// NoHandshake is a mail server up to STARTTLS that has no handshake to offer.
type NoHandshake struct {
	Name string // as it calls itself
	Then AfterClientHello
}

// Serve implements Handler.
func (s NoHandshake) Serve(ctx context.Context, conn net.Conn) {
	instead := func(*tls.ClientHelloInfo) (*tls.Config, error) {
		s.instead(ctx, conn)
		return nil, io.EOF
	}
	SMTP{Name: s.Name, TLS: &tls.Config{GetConfigForClient: instead}}.Serve(ctx, conn)
}

func (s NoHandshake) instead(ctx context.Context, conn net.Conn) {
	switch s.Then {
	case AlertsAfterHello:
		// A record of type alert, TLS 1.2: warning, user_canceled (RFC 5246 §7.2).
		pour(conn, "\x15\x03\x03\x00\x02\x01\x5a")
	case RecordAfterHello:
		// A record of type handshake with 16 KiB, the first of which begin a
		// Certificate message of 16 MiB (RFC 5246 §6.2.1, §7.4).
		pour(conn, "\x16\x03\x03\x40\x00\x0b\xff\xff\xff"+strings.Repeat("\x00", 1<<14-4))
	default:
		gone := make(chan struct{})
		go func() { io.Copy(io.Discard, conn); close(gone) }()
		select {
		case <-ctx.Done():
		case <-gone:
		}
	}
}
