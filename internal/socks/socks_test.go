package socks

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A proxy that says its lines from a script: what it expects, and what it answers.
type line struct{ want, say string }

func play(t *testing.T, script ...line) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer theirs.Close()
		for _, l := range script {
			got := make([]byte, len(l.want))
			if _, err := io.ReadFull(theirs, got); err != nil || string(got) != l.want {
				t.Errorf("the proxy got %q (%v), wants %q", got, err, l.want)
				return
			}
			if _, err := io.WriteString(theirs, l.say); err != nil {
				return // whoever has heard enough goes
			}
		}
	}()
	t.Cleanup(func() { theirs.Close(); <-ended })
	return ours
}

const (
	hello   = "\x05\x01\x00"
	welcome = "\x05\x00"
	ask4    = "\x05\x01\x00\x01\xc0\x00\x02\x19\x00\x19" // 192.0.2.25 port 25
	done4   = "\x05\x00\x00\x01\xc6\x33\x64\x07\x04\x01" // from 198.51.100.7 port 1025
)

func TestConnect(t *testing.T) {
	const ask6 = "\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x19"
	const secret = "\x01\x02me\x03key"
	v4, v6 := "192.0.2.25:25", "[2001:db8::1]:25"
	for _, story := range []struct {
		name, to, user, password string
		script                   []line
		from                     string
		refused                  Code
		err                      string
	}{
		{"no password", v4, "", "", []line{{hello, welcome}, {ask4, done4}}, "198.51.100.7:1025", 0, ""},
		{"an IPv4 address in IPv6 clothes", "[::ffff:192.0.2.25]:25", "", "", []line{{hello, welcome}, {ask4, done4}}, "198.51.100.7:1025", 0, ""},
		{"IPv6", v6, "", "", []line{{hello, welcome}, {ask6, done4}}, "198.51.100.7:1025", 0, ""},
		{"a password", v4, "me", "key", []line{{"\x05\x01\x02", "\x05\x02"}, {secret, "\x01\x00"}, {ask4, done4}}, "198.51.100.7:1025", 0, ""},
		{"it keeps its own address to itself", v4, "", "", []line{{hello, welcome}, {ask4, "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"}}, "", 0, ""},
		{"it calls itself by a name", v4, "", "", []line{{hello, welcome}, {ask4, "\x05\x00\x00\x03\x04self\x04\x01"}}, "", 0, ""},
		{"the server refuses", v4, "", "", []line{{hello, welcome}, {ask4, "\x05\x05\x00\x01"}}, "", ConnectionRefused, "the proxy says: connection refused"},
		{"a code that nobody knows", v4, "", "", []line{{hello, welcome}, {ask4, "\x05\x63\x00\x01"}}, "", 99, "the proxy says: code 99"},
		{"a wrong password", v4, "me", "key", []line{{"\x05\x01\x02", "\x05\x02"}, {secret, "\x01\x01"}}, "", 0, "rejects user and password"},
		{"it wants a password", v4, "", "", []line{{hello, "\x05\xff"}}, "", 0, "wants a password"},
		{"it takes no password", v4, "me", "key", []line{{"\x05\x01\x02", "\x05\xff"}}, "", 0, "takes no password"},
		{"it takes what was not offered", v4, "me", "key", []line{{"\x05\x01\x02", welcome}}, "", 0, "was not offered"},
		{"SOCKS4", v4, "", "", []line{{hello, "\x00\x5b"}}, "", 0, "not SOCKS5"},
		{"a web server", v4, "", "", []line{{hello, "HTTP/1.1 400"}}, "", 0, "not SOCKS5"},
		{"it hangs up", v4, "", "", []line{{hello, welcome}, {ask4, "\x05\x00"}}, "", 0, "wait for the proxy to connect"},
		{"it hangs up within its address", v4, "", "", []line{{hello, welcome}, {ask4, "\x05\x00\x00\x04\x20\x01"}}, "", 0, "read the address"},
		{"an address of no type", v4, "", "", []line{{hello, welcome}, {ask4, "\x05\x00\x00\x09"}}, "", 0, "address type 9"},
		{"a user without end", v4, strings.Repeat("u", 256), "", []line{{"\x05\x01\x02", "\x05\x02"}}, "", 0, "longer than 255 bytes"},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			from, err := Connect(t.Context(), play(t, story.script...), netip.MustParseAddrPort(story.to), story.user, story.password)
			if story.err == "" {
				if err != nil || from.IsValid() != (story.from != "") || from.IsValid() && from.String() != story.from {
					t.Errorf("got %s, %v; want %s", from, err, story.from)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), story.err) {
				t.Fatalf("got %v, want %q", err, story.err)
			}
			var refused *Refused
			if errors.As(err, &refused) != (story.refused != 0) || refused != nil && refused.Code != story.refused {
				t.Errorf("got %#v, want code %d", err, story.refused)
			}
		})
	}
}

// What comes behind the answer is the server's, and must not be read here.
func TestConnectReadsNoFurther(t *testing.T) {
	conn := play(t, line{hello, welcome}, line{ask4, done4 + "220 mx"})
	if _, err := Connect(t.Context(), conn, netip.MustParseAddrPort("192.0.2.25:25"), "", ""); err != nil {
		t.Fatal(err)
	}
	banner := make([]byte, 6)
	if _, err := io.ReadFull(conn, banner); err != nil || string(banner) != "220 mx" {
		t.Errorf("got %q, %v", banner, err)
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Connect(ctx, ours, netip.MustParseAddrPort("192.0.2.25:25"), "", ""); err == nil {
		t.Error("a silent proxy connected")
	}
}
