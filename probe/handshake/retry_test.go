package handshake

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/probe/dane"
)

// leafOf issues a certificate with a key type.
func leafOf(t *testing.T, key server.KeyType) tls.Certificate {
	t.Helper()
	root, err := server.NewRoot("Root", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := root.Issue(server.Leaf{Names: []string{"mx.example.org"}, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return leaf.Chain()
}

// silentAbove returns a server that drops what follows a ClientHello of more than
// some bytes, and all ClientHellos if none is small enough.
type silentAbove struct {
	limit int
	smtp  server.SMTP
}

func (s silentAbove) Serve(ctx context.Context, conn net.Conn) {
	s.smtp.Serve(ctx, &limitedWrites{Conn: conn, limit: s.limit})
}

// limitedWrites is the server's end of a connection that returns no data after a
// TLS record of more than limit bytes has begun.
type limitedWrites struct {
	net.Conn
	limit int
}

func (l *limitedWrites) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n >= 5 && p[0] == recordHandshake && int(p[3])<<8|int(p[4]) > l.limit {
		_, err = io.Copy(io.Discard, l.Conn)
		return 0, err
	}
	return n, err
}

// rejectsMLKEM returns the configuration of a server that cannot decode a ClientHello
// with ML-KEM.
func rejectsMLKEM(certificate tls.Certificate) *tls.Config {
	config := server.TLSConfig(certificate)
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if !slices.Contains(hello.SupportedCurves, tls.X25519MLKEM768) {
			return nil, nil
		}
		io.WriteString(hello.Conn, "\x15\x03\x03\x00\x02\x02\x32") // alert decode_error
		hello.Conn.Close()
		return nil, io.EOF
	}
	return config
}

// slow returns the configuration of a server that answers each ClientHello late.
func slow(certificate tls.Certificate, delay time.Duration) *tls.Config {
	config := server.TLSConfig(certificate)
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		time.Sleep(delay) // of the clock in the bubble
		return nil, nil
	}
	return config
}

// TestFurtherHandshakes checks which handshakes follow a failed one, and what they
// show.
func TestFurtherHandshakes(t *testing.T) {
	rsa, ecdsa := leafOf(t, server.RSA), leafOf(t, server.ECDSA)
	smtp := func(config *tls.Config) server.Handler { return server.SMTP{Name: "mx.example.org", TLS: config} }
	only := func(suite uint16, certificate tls.Certificate) *tls.Config {
		return &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}, Certificates: []tls.Certificate{certificate}}
	}
	http := func(protocols ...string) server.Handler {
		config := server.TLSConfig(ecdsa)
		config.NextProtos = protocols
		return server.TLS{Config: config}
	}
	for _, c := range []struct {
		name        string
		server      server.Handler
		key         Key
		want        dane.Cause // CauseNone: the handshake is complete
		text        string     // of the error
		connections int
		alpnRefused bool
		dropped     bool
		seen        bool // certificates are known, although the handshake failed
	}{
		{"healthy server: one handshake", smtp(server.TLSConfig(ecdsa)), Key{Protocol: "smtp"}, dane.CauseNone, "", 1, false, false, false},
		{"ML-KEM: closed", smtp(server.TLSConfigOldPath(ecdsa, false)), Key{Protocol: "smtp"}, dane.CauseNone, "", 2, false, true, false},
		{"ML-KEM: silence", smtp(server.TLSConfigOldPath(ecdsa, true)), Key{Protocol: "smtp"}, dane.CauseNone, "", 2, false, true, false},
		{"more than 1400 bytes: silence", silentAbove{1400, server.SMTP{Name: "mx.example.org", TLS: server.TLSConfig(ecdsa)}}, Key{Protocol: "smtp"}, dane.CauseNone, "", 2, false, true, false},
		{"ML-KEM: decode_error", smtp(rejectsMLKEM(ecdsa)), Key{Protocol: "smtp"}, dane.CauseNone, "", 2, false, true, false},
		{"slow with every ClientHello", smtp(slow(ecdsa, 7*time.Second)), Key{Protocol: "smtp"}, dane.CauseNone, "", 2, false, false, false},
		{"a little slow", smtp(slow(ecdsa, 4*time.Second)), Key{Protocol: "smtp"}, dane.CauseNone, "", 1, false, false, false},
		{"silence, whatever the client offers", silentAbove{0, server.SMTP{Name: "mx.example.org", TLS: server.TLSConfig(ecdsa)}}, Key{Protocol: "smtp"}, dane.CauseTimeout, "", 2, false, false, false},
		{"ML-KEM: closed, key type", smtp(server.TLSConfigOldPath(ecdsa, false)), Key{Protocol: "smtp", KeyType: dane.ECDSA}, dane.CauseNone, "", 2, false, true, false},
		{"ML-KEM: silence, key type", smtp(server.TLSConfigOldPath(ecdsa, true)), Key{Protocol: "smtp", KeyType: dane.ECDSA}, dane.CauseNone, "", 2, false, true, false},
		{"DHE only", smtp(server.TLSConfigDHE(rsa)), Key{Protocol: "smtp"}, dane.CauseTLSUnsupported, "TLS 1.2, TLS_DHE_RSA_WITH_AES_256_GCM_SHA384, certificates: 1", 2, false, false, true},
		{"DHE only, key type: the prober makes the full offer", smtp(server.TLSConfigDHE(rsa)), Key{Protocol: "smtp", KeyType: dane.RSA}, dane.CauseTLS, "handshake failure", 1, false, false, false},
		{"no suite for the key: OpenSSL fails too", smtp(only(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, rsa)), Key{Protocol: "smtp"}, dane.CauseTLS, "fails too (alert handshake failure)", 2, false, false, false},
		{"plaintext instead of TLS", server.SMTP{Name: "mx.example.org", BreakTLS: true}, Key{Protocol: "smtp"}, dane.CauseTLS, "first record does not look like a TLS handshake", 1, false, false, false},
		{"no STARTTLS", server.SMTP{Name: "mx.example.org", NoStartTLS: true}, Key{Protocol: "smtp"}, dane.CauseStartTLSNotOffered, "", 1, false, false, false},
		{"ALPN: ignored", server.TLS{Config: server.TLSConfig(ecdsa)}, Key{Protocol: "tls"}, dane.CauseNone, "", 1, false, false, false},
		{"ALPN: selected", http("h2", "http/1.1"), Key{Protocol: "tls"}, dane.CauseNone, "", 1, false, false, false},
		{"ALPN: refused", http("acme-tls/1"), Key{Protocol: "tls"}, dane.CauseNone, "", 2, true, false, false},
		{"ALPN: refused, key type", http("acme-tls/1"), Key{Protocol: "tls", KeyType: dane.ECDSA}, dane.CauseNone, "", 2, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connections := 0
				client := New(func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
					connections++
					near, far := bufferedPipe()
					go func() {
						defer far.Close()
						c.server.Serve(t.Context(), far)
					}()
					return near, nil
				}, "probe.example.net", time.Hour)
				c.key.SNI, c.key.Address = "mx.example.org", netip.MustParseAddrPort("192.0.2.25:25")
				if c.key.Protocol == "tls" {
					c.key.Address = netip.MustParseAddrPort("192.0.2.25:443")
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				e := client.Do(ctx, Request{Key: c.key, Timeout: 20 * time.Second, MinWait: 5 * time.Second})
				if got := dane.CauseOf(e.Err); got != c.want || e.Err != nil && !strings.Contains(e.Err.Error(), c.text) || (e.Err == nil) != (e.Reached == dane.StageTLS) {
					t.Errorf("cause %d, want %d; stage %d: %v", got, c.want, e.Reached, e.Err)
				}
				if connections != c.connections {
					t.Errorf("%d connections, want %d", connections, c.connections)
				}
				if e.ALPNRefused != c.alpnRefused || e.LargeDropped != c.dropped {
					t.Errorf("ALPN refused %t, large ClientHello dropped %t", e.ALPNRefused, e.LargeDropped)
				}
				if seen := e.Err != nil && len(e.Raw) > 0; seen != c.seen || e.Chain != nil && e.Err != nil {
					t.Errorf("certificates without a handshake: %t, want %t", seen, c.seen)
				}
			})
		})
	}
}

// TestExplanationIsCutShort checks that the server is not the cause while it is not
// known whether OpenSSL gets further.
func TestExplanationIsCutShort(t *testing.T) {
	rsa := leafOf(t, server.RSA)
	for _, c := range []struct {
		name string
		next func(net.Conn) error // what the server does with the second connection
	}{
		{"the second connection is refused", func(net.Conn) error { return io.ErrUnexpectedEOF }},
		{"the second connection gets no answer", func(far net.Conn) error { go io.Copy(io.Discard, far); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connections := 0
				client := New(func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
					near, far := bufferedPipe()
					if connections++; connections > 1 {
						return near, c.next(far)
					}
					go func() {
						defer far.Close()
						server.SMTP{Name: "mx.example.org", TLS: server.TLSConfigDHE(rsa)}.Serve(t.Context(), far)
					}()
					return near, nil
				}, "probe.example.net", time.Hour)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				e := client.Do(ctx, Request{Key: Key{Address: netip.MustParseAddrPort("192.0.2.25:25"), Protocol: "smtp", SNI: "mx.example.org"}, Timeout: 20 * time.Second, MinWait: 5 * time.Second})
				if cause := dane.CauseOf(e.Err); cause != dane.CauseTLSUnsupported || connections != 2 {
					t.Errorf("cause %d after %d connections: %v", cause, connections, e.Err)
				}
			})
		})
	}
}

// TestOpenSSLHello checks the ClientHello with the parser of crypto/tls.
func TestOpenSSLHello(t *testing.T) {
	for _, c := range []struct {
		version       uint16
		suite, group  uint16
		scheme        tls.SignatureScheme
		wantsVersions []uint16
	}{
		{tls.VersionTLS12, 0x009f, 30, 0x0808, []uint16{tls.VersionTLS12, tls.VersionTLS11, tls.VersionTLS10}},
		{tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256, 0x100, 0x0808, []uint16{tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS11, tls.VersionTLS10}},
	} {
		near, far := bufferedPipe()
		var got *tls.ClientHelloInfo
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer far.Close()
			_ = tls.Server(far, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) { got = hello; return nil, io.EOF }}).Handshake()
		}()
		hello, err := openSSLHello(c.version, "mx.example.org", "imap")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := near.Write(hello); err != nil {
			t.Fatal(err)
		}
		<-done
		near.Close()
		if got == nil {
			t.Fatalf("%s: the ClientHello cannot be parsed", tls.VersionName(c.version))
		}
		if got.ServerName != "mx.example.org" || !slices.Equal(got.SupportedProtos, []string{"imap"}) || !slices.Contains(got.CipherSuites, c.suite) ||
			!slices.Contains(got.SupportedCurves, tls.CurveID(c.group)) || !slices.Contains(got.SignatureSchemes, c.scheme) || !slices.Equal(got.SupportedVersions, c.wantsVersions) {
			t.Errorf("%s: %+v", tls.VersionName(c.version), got)
		}
	}
}

// TestReadFlight reads what a server sends before it is encrypted.
func TestReadFlight(t *testing.T) {
	hello := func(version, extensions string) string {
		body := version + strings.Repeat("r", 32) + "\x00" + "\x00\x9f" + "\x00" + extensions
		return "\x02\x00\x00" + string([]byte{byte(len(body))}) + body
	}
	record := func(message string) string {
		return "\x16\x03\x03" + string([]byte{byte(len(message) >> 8), byte(len(message))}) + message
	}
	const certificates, done = "\x0b\x00\x00\x0c\x00\x00\x09\x00\x00\x01A\x00\x00\x02BC", "\x0e\x00\x00\x00"
	const renegotiation = "\x00\x05\xff\x01\x00\x01\x00"
	body := "\x03\x03" + strings.Repeat("r", 32) + "\x00\x13\x02\x00" + "\x00\x0c" + "\x00\x2b\x00\x02\x03\x04" + "\x00\x33\x00\x02\x01\x00"
	tls13 := "\x02\x00\x00" + string([]byte{byte(len(body))}) + body
	for _, c := range []struct {
		name, sent string
		want       string // of the sighting; empty: a refusal
		refusal    string
		chain      []string
	}{
		{"TLS 1.2", record(hello("\x03\x03", renegotiation)) + record(certificates) + record(done), "TLS 1.2, TLS_DHE_RSA_WITH_AES_256_GCM_SHA384, certificates: 2", "", []string{"A", "BC"}},
		{"one record", record(hello("\x03\x03", renegotiation) + certificates + done), "TLS 1.2, TLS_DHE_RSA_WITH_AES_256_GCM_SHA384, certificates: 2", "", []string{"A", "BC"}},
		{"a message in two records", record(hello("\x03\x01", "")) + record(certificates[:7]) + record(certificates[7:]) + record(done), "TLS 1.0, TLS_DHE_RSA_WITH_AES_256_GCM_SHA384, certificates: 2", "", []string{"A", "BC"}},
		{"a warning first", "\x15\x03\x01\x00\x02\x01\x70" + record(hello("\x03\x03", "")+done), "TLS 1.2, TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", "", nil},
		{"closed after the ServerHello", record(hello("\x03\x03", "")), "TLS 1.2, TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", "", nil},
		{"HelloRetryRequest for a group", record(tls13), "TLS 1.3, TLS_AES_256_GCM_SHA384, group 0x0100", "", nil},
		{"SSL 3.0", record(hello("\x03\x00", "")), "", "not offered", nil},
		{"alert", "\x15\x03\x03\x00\x02\x02\x28", "", "alert handshake failure", nil},
		{"alert after the ServerHello", record(hello("\x03\x03", "")) + "\x15\x03\x03\x00\x02\x02\x50", "", "alert internal error", nil},
		{"plaintext", "421 mx lost its TLS\r\n", "", "not TLS", nil},
		{"not a ServerHello", record(certificates), "", "not offered", nil},
		{"malformed certificates", record(hello("\x03\x03", "") + "\x0b\x00\x00\x04\x00\x00\x09\x00"), "", "malformed list", nil},
		{"a message of 16 MiB", record("\x0b\xff\xff\xff" + strings.Repeat("\x00", 100)), "", "too long", nil},
		{"nothing", "", "", "closed", nil},
	} {
		near, far := bufferedPipe()
		io.WriteString(far, c.sent)
		far.Close()
		s, err := readFlight(near)
		if isEnd(err) {
			err = refusal{"closed"}
		}
		switch {
		case c.want == "" && (err == nil || !strings.Contains(err.Error(), c.refusal)):
			t.Errorf("%s: %v, want %q", c.name, err, c.refusal)
		case c.want != "" && (err != nil || s.String() != c.want):
			t.Errorf("%s: %v, %v, want %s", c.name, s, err, c.want)
		}
		var chain []string
		for _, certificate := range s.certificates {
			chain = append(chain, string(certificate))
		}
		if !slices.Equal(chain, c.chain) {
			t.Errorf("%s: certificates %q", c.name, chain)
		}
	}
}

// FuzzReadFlight checks that no input makes the reader panic, or keep more than the
// limit.
func FuzzReadFlight(f *testing.F) {
	f.Add([]byte("\x16\x03\x03\x00\x2e\x02\x00\x00\x2a\x03\x03rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\x00\x00\x9f\x00"))
	f.Add([]byte("\x15\x03\x03\x00\x02\x02\x28"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		near, far := bufferedPipe()
		far.Write(sent)
		far.Close()
		s, _ := readFlight(near)
		size := 0
		for _, certificate := range s.certificates {
			size += len(certificate)
		}
		if size > MaxChain {
			t.Errorf("%d bytes of certificates", size)
		}
	})
}

// TestSecureRenegotiation checks whether the first bytes of a server show that it
// supports RFC 5746.
func TestSecureRenegotiation(t *testing.T) {
	hello := func(version, extensions string, more string) string {
		body := version + strings.Repeat("r", 32) + "\x00" + "\x00\x2f" + "\x00" + extensions
		message := "\x02\x00\x00" + string([]byte{byte(len(body))}) + body + more
		return "\x16\x03\x03" + string([]byte{byte(len(message) >> 8), byte(len(message))}) + message
	}
	for _, c := range []struct {
		name, sent string
		lacks      bool
	}{
		{"supported", hello("\x03\x03", "\x00\x05\xff\x01\x00\x01\x00", ""), false},
		{"no extensions", hello("\x03\x03", "", ""), true},
		{"another extension", hello("\x03\x01", "\x00\x04\x00\x23\x00\x00", ""), true},
		{"more messages in the record than are kept", hello("\x03\x03", "", strings.Repeat("m", 4000)), true},
		{"supported, more messages in the record", hello("\x03\x03", "\x00\x05\xff\x01\x00\x01\x00", strings.Repeat("m", 4000)), false},
		{"TLS 1.3 has no renegotiation", hello("\x03\x03", "\x00\x06\x00\x2b\x00\x02\x03\x04", ""), false},
		{"an alert", "\x15\x03\x03\x00\x02\x02\x28", false},
		{"nothing", "", false},
		{"a ServerHello that is too long to parse", hello("\x03\x03", "\x01\x00\x00\x23\x00\xfc"+strings.Repeat("x", 252), "")[:255], false},
	} {
		near, far := bufferedPipe()
		io.WriteString(far, c.sent)
		far.Close()
		flight := &firstFlight{Conn: near}
		io.Copy(io.Discard, flight)
		if got := flight.lacksSecureRenegotiation(); got != c.lacks {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
