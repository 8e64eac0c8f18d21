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

// reciter is a connection whose other end says what it has to say, in pieces,
// once or for ever, and does not listen.
type reciter struct {
	net.Conn // nil: nothing else is used
	text     string
	piece    int
	endless  bool
	at, read int
}

func (r *reciter) Read(p []byte) (int, error) {
	if r.at == len(r.text) {
		if !r.endless || r.text == "" {
			return 0, io.EOF
		}
		r.at = 0
	}
	n := copy(p[:min(len(p), r.piece)], r.text[r.at:])
	r.at += n
	r.read += n
	return n, nil
}

func (r *reciter) Write(p []byte) (int, error)   { return len(p), nil }
func (r *reciter) SetDeadline(_ time.Time) error { return nil }

// Whatever a server says, a dialogue ends, has read no more than it may, tells
// only what can be printed, and leads to TLS only where nothing is left over.
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
		if !slices.Contains(Names(), protocol) || protocol == "tls" {
			t.Skip()
		}
		p := speaker(t, protocol)
		conn := &reciter{text: text, piece: int(piece) + 1, endless: endless}
		dialogue, err := p.Start(t.Context(), conn)
		var rejected *Rejected
		var broken *ProtocolError
		switch {
		case err == nil:
			if conn.piece >= len(text) && conn.at < len(text) || !dialogue.Offered {
				t.Errorf("TLS begins after %d of %d bytes, offered %v", conn.at, len(text), dialogue.Offered)
			}
		case errors.Is(err, ErrNotOffered), errors.As(err, &rejected), errors.As(err, &broken):
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Errorf("an error of no known kind: %v", err)
		case endless && text != "":
			t.Errorf("an end without an end: %v", err)
		}
		if conn.read > maxTotal {
			t.Errorf("%d bytes read", conn.read)
		}
		if err != nil && !isPrintable(err.Error()) {
			t.Errorf("not fit to print: %q", err)
		}
		for _, line := range dialogue.Transcript {
			if !isPrintable(line.Text) {
				t.Errorf("not fit to print: %q", line.Text)
			}
		}

		conn.read = 0
		p.Goodbye(t.Context(), conn)
		if conn.read > maxTotal {
			t.Errorf("%d bytes read to say goodbye", conn.read)
		}
	})
}
