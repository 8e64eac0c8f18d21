package server

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
)

// dialogue reads and writes lines on a connection.
type dialogue struct {
	conn  net.Conn
	lines *bufio.Scanner
	noise string // sent before each reply
}

// newDialogue returns a dialogue that reads lines of at most 4 KiB.
func newDialogue(conn net.Conn) *dialogue {
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 4096)
	return &dialogue{conn: conn, lines: lines}
}

// reply writes lines, each with CRLF.
func (d *dialogue) reply(lines ...string) {
	fmt.Fprint(d.conn, d.noise+strings.Join(lines, "\r\n")+"\r\n") // the next read reports any error
}

// words returns the words of the next line, or false at the end of the input.
func (d *dialogue) words() ([]string, bool) {
	if !d.lines.Scan() {
		return nil, false
	}
	return strings.Fields(d.lines.Text()), true
}

// command returns the first word of the next line in upper case, or false at the
// end of the input.
func (d *dialogue) command() (string, bool) {
	words, ok := d.words()
	if len(words) == 0 {
		return "", ok
	}
	return strings.ToUpper(words[0]), ok
}

// startTLS makes a TLS handshake and returns the dialogue inside TLS, or nil if the
// handshake fails.
func (d *dialogue) startTLS(config *tls.Config) *dialogue {
	secured := tls.Server(d.conn, config)
	if secured.Handshake() != nil {
		return nil
	}
	return newDialogue(secured)
}
