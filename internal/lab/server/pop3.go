package server

import (
	"context"
	"crypto/tls"
	"net"
)

// POP3 is a POP3 server without accounts (RFC 1939).
type POP3 struct {
	TLS        *tls.Config // for STLS
	NoStartTLS bool        // STLS is neither a capability nor a known command
	Reject     bool        // STLS is answered with -ERR
}

// Serve implements Handler.
func (p POP3) Serve(_ context.Context, conn net.Conn) {
	d := newDialogue(conn)
	d.reply("+OK ready")
	p.serveCommands(d, false)
}

// serveCommands serves commands until QUIT or the end of the connection (RFC 2595 §4).
func (p POP3) serveCommands(d *dialogue, encrypted bool) {
	for {
		command, ok := d.command()
		switch {
		case !ok:
			return
		case command == "CAPA" && (encrypted || p.NoStartTLS):
			d.reply("+OK", "UIDL", ".")
		case command == "CAPA":
			d.reply("+OK", "UIDL", "STLS", ".")
		case command == "QUIT":
			d.reply("+OK until next time")
			return
		case command == "STLS" && p.Reject:
			d.reply("-ERR not now")
		case command == "STLS" && !encrypted && !p.NoStartTLS:
			d.reply("+OK go ahead")
			if secured := d.startTLS(p.TLS); secured != nil {
				p.serveCommands(secured, true)
			}
			return
		default:
			d.reply("-ERR no such command")
		}
	}
}
