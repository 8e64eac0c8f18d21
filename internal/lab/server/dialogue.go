package server

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
)

// dialogue is lines to and fro.
type dialogue struct {
	conn  net.Conn
	lines *bufio.Scanner
}

// newDialogue reads lines of at most a few KiB.
func newDialogue(conn net.Conn) *dialogue {
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 4096)
	return &dialogue{conn, lines}
}

func (d *dialogue) reply(lines ...string) {
	fmt.Fprint(d.conn, strings.Join(lines, "\r\n")+"\r\n") // an error shows at the next read
}

// words returns the next line, taken apart; false at the end.
func (d *dialogue) words() ([]string, bool) {
	if !d.lines.Scan() {
		return nil, false
	}
	return strings.Fields(d.lines.Text()), true
}

// command returns the first word of the next line, in upper case.
func (d *dialogue) command() (string, bool) {
	words, ok := d.words()
	if len(words) == 0 {
		return "", ok
	}
	return strings.ToUpper(words[0]), ok
}

// secure goes on inside TLS. It returns nil where the handshake fails.
func (d *dialogue) secure(config *tls.Config) *dialogue {
	secured := tls.Server(d.conn, config)
	if secured.Handshake() != nil {
		return nil
	}
	return newDialogue(secured)
}
