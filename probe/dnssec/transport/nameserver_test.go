package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"

	"dane_exporter/probe/dnssec/transport"
)

func TestParseNameserver(t *testing.T) {
	for _, text := range []string{"192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:53", "tcp://192.0.2.1", "tls://192.0.2.1", "tls://192.0.2.1:853#ns.example.net"} {
		if _, err := transport.ParseNameserver(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "system", "ns.example.net", "udp://192.0.2.1", "https://192.0.2.1/dns-query", "192.0.2.1:0", "tls://ns.example.net", "192.0.2.1#ns.example.net"} {
		if _, err := transport.ParseNameserver(text); err == nil || !strings.Contains(err.Error(), "is not a nameserver; must be an address") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestDialNameserver connects to nameservers over TLS 1.3 that have, or lack, a certificate
// for the name, and to one that supports TLS 1.2 only.
func TestDialNameserver(t *testing.T) {
	a := newAuthority(t)
	for _, c := range []struct {
		name, authName string
		version        uint16
		want           string // part of the error
	}{
		{"the right name", "dns.example.net", tls.VersionTLS13, ""},
		{"another name", "other.example.net", tls.VersionTLS13, "not other.example.net"},
		{"no name: the address", "", tls.VersionTLS13, "127.0.0.1"},
		{"TLS 1.2", "dns.example.net", tls.VersionTLS12, "protocol version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
				Certificates: []tls.Certificate{a.issue(t, func(*x509.Certificate) {})}, MinVersion: tls.VersionTLS12, MaxVersion: c.version, NextProtos: []string{"dot"},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go func() { defer conn.Close(); _ = conn.(*tls.Conn).HandshakeContext(context.Background()) }()
				}
			}()
			text := "tls://" + listener.Addr().String()
			if c.authName != "" {
				text += "#" + c.authName
			}
			server, err := transport.ParseNameserver(text)
			if err != nil {
				t.Fatal(err)
			}
			var conn net.Conn
			if conn, err = server.Dial(t.Context(), a.pool()); err == nil {
				if got := conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; got != "dot" {
					t.Errorf("the protocol is %q", got)
				}
				conn.Close()
			}
			if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
