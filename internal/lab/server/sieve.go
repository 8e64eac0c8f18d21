package server

import (
	"context"
	"crypto/tls"
	"net"
)

// Sieve is a ManageSieve server without accounts (RFC 5804).
type Sieve struct {
	TLS        *tls.Config // for STARTTLS
	NoStartTLS bool        // STARTTLS is neither a capability nor a known command
	Reject     bool        // STARTTLS is answered with NO
	Silent     bool        // the capabilities are not listed inside TLS until a client asks
}

// Serve implements Handler.
func (s Sieve) Serve(_ context.Context, conn net.Conn) { s.serveCommands(newDialogue(conn), false) }

// serveCommands sends the capabilities, as servers must also do inside TLS (RFC 5804
// §2.2), and serves commands until LOGOUT or the end of the connection.
func (s Sieve) serveCommands(d *dialogue, encrypted bool) {
	if !encrypted || !s.Silent {
		s.capabilities(d, encrypted)
	}
	for {
		command, ok := d.command()
		switch {
		case !ok:
			return
		case command == "CAPABILITY":
			s.capabilities(d, encrypted)
		case command == "LOGOUT":
			d.reply(`OK "until next time"`)
			return
		case command == "STARTTLS" && s.Reject:
			d.reply(`NO "not now"`)
		case command == "STARTTLS" && !encrypted && !s.NoStartTLS:
			d.reply(`OK "go ahead"`)
			if secured := d.startTLS(s.TLS); secured != nil {
				s.serveCommands(secured, true)
			}
			return
		default:
			d.reply(`NO "no such command"`)
		}
	}
}

func (s Sieve) capabilities(d *dialogue, encrypted bool) {
	lines := []string{`"IMPLEMENTATION" "lab"`, `"SIEVE" "fileinto"`}
	if !encrypted && !s.NoStartTLS {
		lines = append(lines, `"STARTTLS"`)
	}
	d.reply(append(lines, "OK")...)
}
