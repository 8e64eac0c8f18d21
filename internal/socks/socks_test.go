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

// step is one step of a scripted proxy: the bytes that it expects, and those that
// it then sends.
type step struct{ expect, send string }

// startProxy returns a connection to a proxy that follows a script and then closes.
func startProxy(t *testing.T, script ...step) net.Conn {
	t.Helper()
	client, proxy := net.Pipe()
	t.Cleanup(func() { client.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer proxy.Close()
		for _, s := range script {
			got := make([]byte, len(s.expect))
			if _, err := io.ReadFull(proxy, got); err != nil || string(got) != s.expect {
				t.Errorf("the proxy received %q (%v), want %q", got, err, s.expect)
				return
			}
			if _, err := io.WriteString(proxy, s.send); err != nil {
				return // the client has closed the connection
			}
		}
	}()
	t.Cleanup(func() { proxy.Close(); <-done })
	return client
}

// Messages of the protocol.
const (
	offer    = "\x05\x01\x00"
	accept   = "\x05\x00"
	connect4 = "\x05\x01\x00\x01\xc0\x00\x02\x19\x00\x19" // 192.0.2.25 port 25
	reply4   = "\x05\x00\x00\x01\xc6\x33\x64\x07\x04\x01" // from 198.51.100.7 port 1025
)

func TestConnect(t *testing.T) {
	const connect6 = "\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x19"
	const login = "\x01\x02me\x03key"
	v4, v6 := "192.0.2.25:25", "[2001:db8::1]:25"
	for _, test := range []struct {
		name, to, user, password string
		script                   []step
		from                     string
		code                     Code
		err                      string
	}{
		{"no password", v4, "", "", []step{{offer, accept}, {connect4, reply4}}, "198.51.100.7:1025", 0, ""},
		{"an IPv4-mapped IPv6 address", "[::ffff:192.0.2.25]:25", "", "", []step{{offer, accept}, {connect4, reply4}}, "198.51.100.7:1025", 0, ""},
		{"IPv6", v6, "", "", []step{{offer, accept}, {connect6, reply4}}, "198.51.100.7:1025", 0, ""},
		{"username and password", v4, "me", "key", []step{{"\x05\x01\x02", "\x05\x02"}, {login, "\x01\x00"}, {connect4, reply4}}, "198.51.100.7:1025", 0, ""},
		{"the bound address is unspecified", v4, "", "", []step{{offer, accept}, {connect4, "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"}}, "", 0, ""},
		{"the bound address is a domain name", v4, "", "", []step{{offer, accept}, {connect4, "\x05\x00\x00\x03\x04self\x04\x01"}}, "", 0, ""},
		{"the target refuses the connection", v4, "", "", []step{{offer, accept}, {connect4, "\x05\x05\x00\x01"}}, "", ConnectionRefused, "the proxy replied: connection refused"},
		{"an unknown reply code", v4, "", "", []step{{offer, accept}, {connect4, "\x05\x63\x00\x01"}}, "", 99, "the proxy replied: code 99"},
		{"a wrong password", v4, "me", "key", []step{{"\x05\x01\x02", "\x05\x02"}, {login, "\x01\x01"}}, "", 0, "rejected username and password"},
		{"authentication required", v4, "", "", []step{{offer, "\x05\xff"}}, "", 0, "requires authentication"},
		{"password not supported", v4, "me", "key", []step{{"\x05\x01\x02", "\x05\xff"}}, "", 0, "does not support username and password"},
		{"a method that was not offered", v4, "me", "key", []step{{"\x05\x01\x02", accept}}, "", 0, "was not offered"},
		{"SOCKS4", v4, "", "", []step{{offer, "\x00\x5b"}}, "", 0, "not SOCKS5"},
		{"an HTTP server", v4, "", "", []step{{offer, "HTTP/1.1 400"}}, "", 0, "not SOCKS5"},
		{"closed within the reply", v4, "", "", []step{{offer, accept}, {connect4, "\x05\x00"}}, "", 0, "read the proxy's reply to CONNECT"},
		{"closed within the bound address", v4, "", "", []step{{offer, accept}, {connect4, "\x05\x00\x00\x04\x20\x01"}}, "", 0, "read the bound address"},
		{"an unknown address type", v4, "", "", []step{{offer, accept}, {connect4, "\x05\x00\x00\x09"}}, "", 0, "address type 9"},
		{"a username that is too long", v4, strings.Repeat("u", 256), "", []step{{"\x05\x01\x02", "\x05\x02"}}, "", 0, "longer than 255 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			from, err := Connect(t.Context(), startProxy(t, test.script...), netip.MustParseAddrPort(test.to), test.user, test.password)
			if test.err == "" {
				if err != nil || from.IsValid() != (test.from != "") || from.IsValid() && from.String() != test.from {
					t.Errorf("got %s, %v; want %s", from, err, test.from)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Fatalf("got %v, want %q", err, test.err)
			}
			reply, ok := errors.AsType[*ReplyError](err)
			if ok != (test.code != 0) || ok && reply.Code != test.code {
				t.Errorf("got %#v, want code %d", err, test.code)
			}
		})
	}
}

// TestConnectReadsNoFurther checks that the bytes after the reply, which come from
// the target, stay unread.
func TestConnectReadsNoFurther(t *testing.T) {
	conn := startProxy(t, step{offer, accept}, step{connect4, reply4 + "220 mx"})
	if _, err := Connect(t.Context(), conn, netip.MustParseAddrPort("192.0.2.25:25"), "", ""); err != nil {
		t.Fatal(err)
	}
	banner := make([]byte, 6)
	if _, err := io.ReadFull(conn, banner); err != nil || string(banner) != "220 mx" {
		t.Errorf("got %q, %v; want the target's banner", banner, err)
	}
}

func TestConnectHonoursContext(t *testing.T) {
	client, proxy := net.Pipe()
	defer client.Close()
	defer proxy.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Connect(ctx, client, netip.MustParseAddrPort("192.0.2.25:25"), "", ""); err == nil {
		t.Error("connected through a silent proxy")
	}
}
