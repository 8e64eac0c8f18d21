package server

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"time"
)

// Flood is a server that sends without end: Opening, then Repeat forever.
type Flood struct {
	Opening string
	Listen  bool // read one line between Opening and the flood
	Repeat  string
}

// Serve implements Handler.
func (f Flood) Serve(_ context.Context, conn net.Conn) {
	io.WriteString(conn, f.Opening)
	if f.Listen {
		if _, ok := newDialogue(conn).command(); !ok {
			return
		}
	}
	writeForever(conn, f.Repeat)
}

// writeForever writes text again and again, about 4 KiB at a time, until a write fails.
func writeForever(conn net.Conn, text string) {
	block := strings.Repeat(text, max(1, 4096/len(text)))
	for {
		if _, err := io.WriteString(conn, block); err != nil {
			return
		}
	}
}

// AfterClientHello is what a server sends instead of a ServerHello.
type AfterClientHello string

const (
	SilenceAfterHello AfterClientHello = "silence" // nothing, and it keeps the connection open
	AlertsAfterHello  AfterClientHello = "alerts"  // warning alerts without end
	RecordAfterHello  AfterClientHello = "record"  // a handshake message of the maximum length, without end
)

// NoHandshake is a mail server that accepts STARTTLS but makes no handshake.
type NoHandshake struct {
	Name string // its hostname
	Then AfterClientHello
}

// Serve implements Handler.
func (s NoHandshake) Serve(ctx context.Context, conn net.Conn) {
	misbehave := func(*tls.ClientHelloInfo) (*tls.Config, error) {
		s.misbehave(ctx, conn)
		return nil, io.EOF
	}
	SMTP{Name: s.Name, TLS: &tls.Config{GetConfigForClient: misbehave}}.Serve(ctx, conn)
}

func (s NoHandshake) misbehave(ctx context.Context, conn net.Conn) {
	switch s.Then {
	case AlertsAfterHello:
		// A record of type alert, TLS 1.2: warning, user_canceled (RFC 5246 §7.2).
		writeForever(conn, "\x15\x03\x03\x00\x02\x01\x5a")
	case RecordAfterHello:
		// A record of type handshake with 16 KiB, the first of which begin a
		// Certificate message of 16 MiB (RFC 5246 §6.2.1, §7.4).
		writeForever(conn, "\x16\x03\x03\x40\x00\x0b\xff\xff\xff"+strings.Repeat("\x00", 1<<14-4))
	default:
		closed := make(chan struct{})
		go func() { io.Copy(io.Discard, conn); close(closed) }()
		select {
		case <-ctx.Done():
		case <-closed:
		}
	}
}

// Garbage is a server that sends bytes of no protocol and closes.
type Garbage struct{}

// Serve implements Handler.
func (Garbage) Serve(_ context.Context, conn net.Conn) {
	io.WriteString(conn, "\x00\xff\x1b[2J<html>\r\nhello?\r\n")
}

// Tarpit is a mail server that sends its greeting at one byte per second, without end.
type Tarpit struct{}

// Serve implements Handler.
func (Tarpit) Serve(ctx context.Context, conn net.Conn) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for _, err := io.WriteString(conn, "220-"); err == nil; _, err = io.WriteString(conn, "x") {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
