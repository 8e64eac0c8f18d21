package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"strings"
)

// SMTP is a mail server that supports STARTTLS and accepts no mail. With only Name
// and TLS set, it works correctly; the other fields break it.
type SMTP struct {
	Name string      // its hostname
	TLS  *tls.Config // for STARTTLS

	Greeting   string // instead of 220, maybe of several lines; unless the last begins with 2, only QUIT is served
	Noise      string // lines that are not part of a reply, sent before each reply
	Hello      string // reply to EHLO outside TLS, instead of the list of extensions
	NoStartTLS bool   // STARTTLS is neither an extension nor a known command
	Reject     string // reply to STARTTLS, instead of 220
	Inside     string // reply to EHLO and HELO inside TLS, instead of 250
	BreakTLS   bool   // answer the ClientHello with an SMTP reply
	Inject     string // plain text sent together with the reply to STARTTLS

	hello string // the hello command; default EHLO
}

// Serve implements Handler.
func (s SMTP) Serve(_ context.Context, conn net.Conn) {
	greeting := cmp.Or(s.Greeting, "220 "+s.Name+" ESMTP")
	s.hello = cmp.Or(s.hello, "EHLO")
	d := newDialogue(conn)
	d.noise = s.Noise
	d.reply(greeting)
	s.serveCommands(d, strings.HasPrefix(greeting[strings.LastIndexByte(greeting, '\n')+1:], "2"), false)
}

// serveCommands serves commands (RFC 5321 §4.1) until QUIT or the end of the connection.
func (s SMTP) serveCommands(d *dialogue, accepted, encrypted bool) {
	for {
		command, ok := d.command()
		switch {
		case !ok:
			return
		case command == "QUIT":
			d.reply("221 " + s.Name + " closing")
			return
		case !accepted:
			d.reply("503 not here")
		case command == s.hello && s.Hello != "" && !encrypted:
			d.reply(s.Hello)
		case encrypted && s.Inside != "" && (command == s.hello || command == "HELO"):
			d.reply(s.Inside)
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

// startTLS answers STARTTLS (RFC 3207 §4). It reports whether the plain dialogue has
// ended.
func (s SMTP) startTLS(d *dialogue) bool {
	if s.Reject != "" {
		d.reply(s.Reject)
		return false
	}
	d.reply("220 go ahead" + s.Inject)
	if s.BreakTLS {
		d.conn.Read(make([]byte, 1)) // any byte, or the end
		d.reply("421 " + s.Name + " lost its TLS")
		return true
	}
	if secured := d.startTLS(s.TLS); secured != nil {
		s.serveCommands(secured, true, true)
	}
	return true
}

// LMTP is an LMTP server: like SMTP, but with LHLO instead of EHLO and HELO, which
// are unknown commands (RFC 2033 §4.1).
type LMTP SMTP

// Serve implements Handler.
func (l LMTP) Serve(ctx context.Context, conn net.Conn) {
	l.hello = "LHLO"
	SMTP(l).Serve(ctx, conn)
}
