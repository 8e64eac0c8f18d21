package starttls

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// scriptedConn is a connection whose peer sends a fixed text in pieces, once or
// endlessly, and discards what it receives.
type scriptedConn struct {
	net.Conn // nil: nothing else is used
	text     string
	piece    int
	endless  bool
	at, read int
}

func (c *scriptedConn) Read(p []byte) (int, error) {
	if c.at == len(c.text) {
		if !c.endless || c.text == "" {
			return 0, io.EOF
		}
		c.at = 0
	}
	n := copy(p[:min(len(p), c.piece)], c.text[c.at:])
	c.at += n
	c.read += n
	return n, nil
}

func (c *scriptedConn) Write(p []byte) (int, error)   { return len(p), nil }
func (c *scriptedConn) SetDeadline(_ time.Time) error { return nil }

func (c *scriptedConn) SetReadDeadline(_ time.Time) error { return nil }

// FuzzDialogues checks that whatever a server sends, a dialogue ends, stays
// within its read limit, returns printable text only, and leads to TLS only if
// all input was consumed.
func FuzzDialogues(f *testing.F) {
	for protocol, server := range wellBehaved() {
		text := strings.Join(server, "")
		for _, cut := range []int{len(text), len(text) / 2} {
			f.Add(protocol, text[:cut], uint16(4096), false)
			f.Add(protocol, text[:cut], uint16(1), true)
		}
		f.Add(protocol, text+"more", uint16(4096), false)
	}
	for _, endless := range []string{"x", "\n", "* x\r\n", "a OK\r\n", "220-x\r\n", "+OK\r\n", "\"x\"\r\n", "<a>", "\x00", "* {9}\r\n", "E", "\x30\x82\x0f\xff"} {
		for _, protocol := range Names() {
			f.Add(protocol, endless, uint16(4096), true)
		}
	}
	f.Fuzz(func(t *testing.T, protocol, text string, piece uint16, endless bool) {
		if !slices.Contains(Names(), protocol) || protocol == ImplicitTLS {
			t.Skip()
		}
		client := newClient(t, protocol)
		conn := &scriptedConn{text: text, piece: int(piece) + 1, endless: endless}
		dialogue, err := client.Start(t.Context(), conn)
		switch {
		case err == nil:
			if conn.piece >= len(text) && conn.at < len(text) || !dialogue.Offered {
				t.Errorf("TLS begins after %d of %d bytes, offered %v", conn.at, len(text), dialogue.Offered)
			}
		case errors.Is(err, ErrNotOffered), isType[*Rejected](err), isType[*ProtocolError](err):
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Errorf("undocumented error: %v", err)
		case endless && text != "":
			t.Errorf("end of input of an endless server: %v", err)
		}
		if conn.read > maxTotal {
			t.Errorf("%d bytes read", conn.read)
		}
		if err != nil && !isPrintable(err.Error()) {
			t.Errorf("not printable: %q", err)
		}
		for _, line := range dialogue.Transcript {
			if !isPrintable(line.Text) {
				t.Errorf("not printable: %q", line.Text)
			}
		}

		conn.read = 0
		client.Goodbye(t.Context(), conn)
		if conn.read > maxTotal {
			t.Errorf("%d bytes read in Goodbye", conn.read)
		}
	})
}

// FuzzFirstExchange checks the first exchange and the goodbye for any input inside
// TLS. They end, read no more than the limit, and return documented errors of
// printable text.
func FuzzFirstExchange(f *testing.F) {
	ports := []uint16{25, 24, 143, 110, 4190, 389, 5222, 5269, 465, 636, 993, 995, 5223, 5270}
	for _, answer := range []string{ehlo, greeting + ehlo, "c OK\r\n", "* PREAUTH\r\nc OK\r\n", "+OK\r\n.\r\n", "-ERR\r\n", sieveGreeting, xmppFeatures, streamError("host-unknown"), response(0, 0, "", "")} {
		for _, port := range ports {
			f.Add(port, answer, uint16(4096), false)
			f.Add(port, answer[:len(answer)/2], uint16(1), true)
		}
	}
	for _, endless := range []string{"x", "\n", "\x00", "250-x\r\n", "250\r\n", "550 no\r\n", "* x\r\n", "* {0}\r\n", "{0}\r\n", "+OK\r\n", "X\r\n", "\"x\"\r\n", "<a>", "<a/>", xmppHeader + "<stream:features>", " ", "\x30\x00", "\x30\x84\x00\x00\x0f\xff"} {
		for _, port := range ports {
			f.Add(port, endless, uint16(4096), true)
		}
	}
	f.Fuzz(func(t *testing.T, port uint16, text string, piece uint16, endless bool) {
		client, err := New(ByPort(port).Name, Settings{EHLO: "probe.example.net", Domain: "example.org", Port: port})
		if err != nil {
			t.Skip()
		}
		conn := &scriptedConn{text: text, piece: int(piece) + 1, endless: endless}
		made, err := client.FirstExchange(t.Context(), conn)
		switch {
		case err == nil, !made:
		case isType[*Rejected](err), isType[*ProtocolError](err):
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Errorf("undocumented error: %v", err)
		case endless && text != "":
			t.Errorf("end of input of an endless server: %v", err)
		}
		if err != nil && !isPrintable(err.Error()) {
			t.Errorf("not printable: %q", err)
		}
		client.Goodbye(t.Context(), conn)
		if conn.read > maxTotal {
			t.Errorf("%d bytes read", conn.read)
		}
	})
}
