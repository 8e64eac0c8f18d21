package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"strings"
)

// SMTP is a mail server that talks, may start TLS, and takes no mail. Its zero
// value but for Name and TLS is a good one.
type SMTP struct {
	Name string      // as it calls itself
	TLS  *tls.Config // for STARTTLS

	Greeting   string // instead of a 220; anything but 2xx and only QUIT is served
	NoStartTLS bool   // EHLO does not offer it, and the command is unknown
	Reject     string // the reply to STARTTLS, instead of a 220
	BreakTLS   bool   // answers the ClientHello with more SMTP
	Inject     string // comes in the clear right behind the 220 to STARTTLS

	hello string // the command; default EHLO
}

// Serve implements Handler.
func (s SMTP) Serve(_ context.Context, conn net.Conn) {
	greeting := cmp.Or(s.Greeting, "220 "+s.Name+" ESMTP")
	s.hello = cmp.Or(s.hello, "EHLO")
	d := newDialogue(conn)
	d.reply(greeting)
	s.talk(d, strings.HasPrefix(greeting, "2"), false)
}

// talk serves commands (RFC 5321 §4.1) until QUIT or the end of the connection.
func (s SMTP) talk(d *dialogue, welcome, encrypted bool) {
	for {
		command, ok := d.command()
		switch {
		case !ok:
			return
		case command == "QUIT":
			d.reply("221 " + s.Name + " closing")
			return
		case !welcome:
			d.reply("503 not here")
		case command == s.hello:
			d.reply(s.extensions(encrypted)...)
		case command == "HELO" && s.hello == "EHLO", command == "NOOP", command == "RSET":
			d.reply("250 " + s.Name)
		case command == "STARTTLS" && !encrypted && !s.NoStartTLS:
			if s.startTLS(d) {
				return
			}
		default:
			d.reply("502 no such command")
		}
	}
}

func (s SMTP) extensions(encrypted bool) []string {
	lines := []string{"250-" + s.Name, "250-PIPELINING", "250-SIZE 10240000"}
	if !encrypted && !s.NoStartTLS {
		lines = append(lines, "250-STARTTLS")
	}
	return append(lines, "250 8BITMIME")
}

// startTLS answers STARTTLS (RFC 3207 §4) and reports whether the plain
// dialogue is over.
func (s SMTP) startTLS(d *dialogue) bool {
	if s.Reject != "" {
		d.reply(s.Reject)
		return false
	}
	d.reply("220 go ahead" + s.Inject)
	if s.BreakTLS {
		d.conn.Read(make([]byte, 1)) // whatever it is, or the end
		d.reply("421 " + s.Name + " lost its TLS")
		return true
	}
	if secured := d.secure(s.TLS); secured != nil {
		s.talk(secured, true, true)
	}
	return true
}
