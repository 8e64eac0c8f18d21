package server

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
)

// IMAP is an IMAP server without accounts (RFC 9051).
type IMAP struct {
	TLS        *tls.Config // for STARTTLS
	NoStartTLS bool        // STARTTLS is neither a capability nor a known command
	Reject     bool        // STARTTLS is answered with NO
}

// Serve implements Handler.
func (i IMAP) Serve(_ context.Context, conn net.Conn) {
	d := newDialogue(conn)
	d.reply("* OK ready")
	i.serveCommands(d, false)
}

// serveCommands serves commands (RFC 9051 §6.1, §6.2) until LOGOUT or the end of the
// connection.
func (i IMAP) serveCommands(d *dialogue, encrypted bool) {
	for {
		words, ok := d.words()
		if !ok {
			return
		}
		if len(words) < 2 {
			d.reply("* BAD expected a tag and a command")
			continue
		}
		switch tag, command := words[0], strings.ToUpper(words[1]); {
		case command == "CAPABILITY":
			d.reply("* CAPABILITY "+i.capabilities(encrypted), tag+" OK done")
		case command == "LOGOUT":
			d.reply("* BYE until next time", tag+" OK done")
			return
		case command == "STARTTLS" && i.Reject:
			d.reply(tag + " NO not now")
		case command == "STARTTLS" && !encrypted && !i.NoStartTLS:
			d.reply(tag + " OK go ahead")
			if secured := d.startTLS(i.TLS); secured != nil {
				i.serveCommands(secured, true)
			}
			return
		default:
			d.reply(tag + " BAD no such command")
		}
	}
}

func (i IMAP) capabilities(encrypted bool) string {
	if encrypted || i.NoStartTLS {
		return "IMAP4rev2"
	}
	return "IMAP4rev2 STARTTLS LOGINDISABLED"
}
