package server

import (
	"context"
	"crypto/tls"
	"net"
)

// Sieve keeps the filters of nobody's mail: ManageSieve (RFC 5804).
type Sieve struct {
	TLS        *tls.Config // for STARTTLS
	NoStartTLS bool        // it is no capability, and the command is unknown
	Reject     bool        // STARTTLS is answered with NO
}

// Serve implements Handler.
func (s Sieve) Serve(_ context.Context, conn net.Conn) { s.talk(newDialogue(conn), false) }

// talk greets with the capabilities, as a server does again inside TLS (RFC
// 5804 §2.2), and serves commands until LOGOUT or the end of the connection.
func (s Sieve) talk(d *dialogue, encrypted bool) {
	s.capabilities(d, encrypted)
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
			if secured := d.secure(s.TLS); secured != nil {
				s.talk(secured, true)
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
