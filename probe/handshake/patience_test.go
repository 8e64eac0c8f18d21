package handshake

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/probe/dane"
)

// smtpUntil is a mail server that speaks SMTP up to STARTTLS, and waits before its
// reply to that.
type smtpUntil struct {
	wait time.Duration  // before the reply to STARTTLS
	then server.Handler // serves the connection after the reply; nil: there is no reply
}

func (s smtpUntil) Serve(ctx context.Context, conn net.Conn) {
	lines := bufio.NewReader(conn)
	fmt.Fprint(conn, "220 mx.example.org\r\n")
	lines.ReadString('\n')
	fmt.Fprint(conn, "250-mx.example.org\r\n250 STARTTLS\r\n")
	lines.ReadString('\n')
	if s.then == nil {
		io.Copy(io.Discard, conn)
		return
	}
	time.Sleep(s.wait) // of the clock in the bubble
	fmt.Fprint(conn, "220 go ahead\r\n")
	s.then.Serve(ctx, conn)
}

// answer is a server that reads a ClientHello and sends fixed bytes.
type answer struct {
	bytes  string
	stays  bool // open
	closes bool // the answer is the end of the connection
}

func (a answer) Serve(_ context.Context, conn net.Conn) {
	conn.Read(make([]byte, 4096))
	if a.closes {
		return
	}
	io.WriteString(conn, a.bytes)
	if a.stays {
		io.Copy(io.Discard, conn)
	}
}

// connection is how a server behaves on one connection.
type connection struct {
	delay time.Duration // before the connection is open
	server.Handler
}

// probeServer makes one handshake with a server, whose last connection repeats.
func probeServer(t *testing.T, key Key, timeout time.Duration, behaviour ...connection) (e dane.Endpoint, connections int) {
	client := New(func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
		next := behaviour[min(connections, len(behaviour)-1)]
		connections++
		select {
		case <-time.After(next.delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		near, far := bufferedPipe()
		go func() {
			defer far.Close()
			next.Serve(t.Context(), far)
		}()
		return near, nil
	}, "probe.example.net", time.Hour)
	key.SNI = "mx.example.org"
	if !key.Address.IsValid() {
		key.Address = netip.MustParseAddrPort("192.0.2.25:25")
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout+time.Second) // so that the attempt has ended
	defer cancel()
	e = client.Do(ctx, Request{Key: key, Timeout: timeout, MinWait: 5 * time.Second})
	return e, connections
}

// TestSlowAndSilentServers checks how long a server may take, and the cause of the
// error when the time is over.
func TestSlowAndSilentServers(t *testing.T) {
	rsa, ecdsa := leafOf(t, server.RSA), leafOf(t, server.ECDSA)
	smtp := func(config *tls.Config) server.Handler { return server.SMTP{Name: "mx.example.org", TLS: config} }
	raw := func(a answer) server.Handler { return smtpUntil{then: a} }
	after := func(delay time.Duration, h server.Handler) connection { return connection{delay, h} }
	healthy := server.TLSConfig(ecdsa)
	tlsOnly := server.TLS{Config: healthy, Inside: answer{bytes: "250 mx.example.org\r\n", stays: true}}
	const second, alert = time.Second, "\x15\x03\x03\x00\x02\x02\x28" // handshake_failure
	for _, c := range []struct {
		name, why   string
		timeout     time.Duration
		behaviour   []connection
		want        dane.Cause
		text        string // of the error
		connections int
		dropped     bool // the large ClientHello
	}{
		{"silence after STARTTLS, once", "Another connection may reach a server that answers.",
			20 * second, []connection{{0, smtpUntil{}}, {0, smtp(healthy)}}, dane.CauseNone, "", 2, false},
		{"silence after STARTTLS, always", "The second attempt has the rest of the time.",
			20 * second, []connection{{0, smtpUntil{}}}, dane.CauseTimeout, "the server falls silent after STARTTLS", 2, false},
		{"a slow reply to STARTTLS", "The second attempt waits longer.",
			20 * second, []connection{{0, smtpUntil{7 * second, tlsOnly}}}, dane.CauseNone, "", 2, false},
		{"a slow reply to STARTTLS, and a short deadline", "There is no time for a second attempt, so the first has all of the time.",
			11 * second, []connection{{0, smtpUntil{9 * second, tlsOnly}}}, dane.CauseNone, "", 1, false},
		{"a slow greeting and a slow reply to STARTTLS", "The second attempt has no time for both.",
			20 * second, []connection{{5 * second, smtpUntil{9 * second, tlsOnly}}}, dane.CauseNone, "", 1, false},
		{"silence after STARTTLS, and a short deadline", "The error names the step.",
			11 * second, []connection{{0, smtpUntil{}}}, dane.CauseTimeout, "STARTTLS", 1, false},

		{"a slow first connection, then slow answers to every ClientHello", "The second wait is no shorter than the first, so the size is not the cause.",
			18 * second, []connection{after(5*second, smtp(slow(ecdsa, 5500*time.Millisecond))), {0, smtp(slow(ecdsa, 5500*time.Millisecond))}}, dane.CauseNone, "", 2, false},
		{"a slow first connection, then silence after the large ClientHello only", "The second answer comes immediately.",
			18 * second, []connection{after(5*second, smtp(server.TLSConfigOldPath(ecdsa, true))), {0, smtp(server.TLSConfigOldPath(ecdsa, true))}}, dane.CauseNone, "", 2, true},
		{"the large ClientHello is reset, and the server is slow", "A reset is not a slow answer.",
			20 * second, []connection{{0, raw(answer{closes: true})}, {0, smtp(slow(ecdsa, 7*second))}}, dane.CauseNone, "", 2, true},

		{"a broken server with a slow greeting", "There is time for one further offer, which decides.",
			20 * second, []connection{after(8*second, raw(answer{bytes: alert}))}, dane.CauseTLS, "fails too (alert handshake failure)", 2, false},
		{"a broken server with a very slow greeting", "There is no time for another offer, and the alert may be due to our own limit.",
			20 * second, []connection{after(12*second, raw(answer{bytes: alert}))}, dane.CauseTLSUnsupported, "another handshake takes 12s, and 8s are left", 1, false},
		{"a closing server with a slow greeting", "There is no time for a third offer, and the server that closes is the cause.",
			20 * second, []connection{after(8*second, raw(answer{closes: true}))}, dane.CauseTLS, "EOF", 2, false},
		{"a closing server, then no connection", "The earlier result is kept.",
			20 * second, []connection{{0, raw(answer{closes: true})}, {0, raw(answer{closes: true})}, {time.Hour, nil}}, dane.CauseTLS, "EOF", 3, false},
		{"a broken server that then stalls", "The server had time to answer, so it is the cause.",
			20 * second, []connection{{0, raw(answer{bytes: alert})}, {0, raw(answer{stays: true})}}, dane.CauseTLS, "does not complete its answer within 6s", 2, false},
		{"a broken server that then stalls within the answer", "A client does not get further.",
			20 * second, []connection{{0, raw(answer{bytes: alert})}, {0, raw(answer{bytes: "\x16\x03\x03\x00\x50\x02", stays: true})}}, dane.CauseTLS, "does not complete its answer within 6s", 2, false},
		{"a broken server that then sends garbage", "A client does not get further.",
			20 * second, []connection{{0, raw(answer{bytes: alert})}, {0, raw(answer{bytes: "\x00\x01\x02\x03\x04\x05"})}}, dane.CauseTLS, "not TLS", 2, false},
		{"a broken server that then stalls, late", "The server had too little time to answer, and the error names the deadline.",
			10 * second, []connection{after(4500*time.Millisecond, raw(answer{bytes: alert})), {2 * second, raw(answer{stays: true})}}, dane.CauseTLSUnsupported, "the server has not completed its answer: context deadline exceeded", 2, false},
		{"an unsupported server with a slow greeting", "OpenSSL gets further.",
			20 * second, []connection{after(8*second, smtp(server.TLSConfigDHE(rsa)))}, dane.CauseTLSUnsupported, "certificates: 1", 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, connections := probeServer(t, Key{Protocol: "smtp"}, c.timeout, c.behaviour...)
				if got := dane.CauseOf(e.Err); got != c.want || e.Err != nil && !strings.Contains(e.Err.Error(), c.text) || (e.Err == nil) != (e.Reached == dane.StageTLS) {
					t.Errorf("cause %d, want %d; stage %d: %v\n%s", got, c.want, e.Reached, e.Err, c.why)
				}
				if connections != c.connections || e.LargeDropped != c.dropped {
					t.Errorf("%d connections, want %d; large ClientHello dropped %t\n%s", connections, c.connections, e.LargeDropped, c.why)
				}
			})
		})
	}
}

// TestSlowServerWithKeyType checks that a server that is slow with every ClientHello is
// found to be slow if a key type is offered, too.
func TestSlowServerWithKeyType(t *testing.T) {
	ecdsa := leafOf(t, server.ECDSA)
	synctest.Test(t, func(t *testing.T) {
		handler := server.SMTP{Name: "mx.example.org", TLS: slow(ecdsa, 8*time.Second)}
		e, connections := probeServer(t, Key{Protocol: "smtp", KeyType: dane.ECDSA}, 20*time.Second, connection{0, handler})
		if e.Err != nil || connections != 2 || e.LargeDropped {
			t.Errorf("%d connections, large ClientHello dropped %t: %v", connections, e.LargeDropped, e.Err)
		}
	})
}

// TestRequestEndsAfterSTARTTLS checks a request that ends before its shared attempt.
// The error names what the attempt waits for.
func TestRequestEndsAfterSTARTTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := New(func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
			near, far := bufferedPipe()
			go func() {
				defer far.Close()
				smtpUntil{}.Serve(t.Context(), far)
			}()
			return near, nil
		}, "probe.example.net", time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
		defer cancel()
		e := client.Do(ctx, Request{Key: Key{Address: netip.MustParseAddrPort("192.0.2.25:25"), Protocol: "smtp", SNI: "mx.example.org"}, Timeout: 20 * time.Second, MinWait: 5 * time.Second})
		if e.Err == nil || dane.CauseOf(e.Err) != dane.CauseTimeout || !strings.Contains(e.Err.Error(), "waiting for the reply to STARTTLS of 192.0.2.25:25") {
			t.Errorf("cause %d: %v", dane.CauseOf(e.Err), e.Err)
		}
	})
}

// TestClientCertificates checks servers that require a certificate of the client.
// Mail senders have none, and XMPP servers have one.
func TestClientCertificates(t *testing.T) {
	ecdsa := leafOf(t, server.ECDSA)
	demand := func(version uint16, level tls.ClientAuthType) *tls.Config {
		config := server.TLSConfig(ecdsa)
		config.ClientAuth, config.MaxVersion = level, version
		return config
	}
	const streamError = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>" +
		"<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
	port := func(protocol string) netip.AddrPort {
		number := map[string]uint16{"smtp": 25, "xmpp-client": 5222, "xmpp-server": 5269, "tls": 5270, "xmpps-client": 5223}[protocol]
		return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.25"), number)
	}
	for _, c := range []struct {
		name, why string
		protocol  string
		config    *tls.Config
		inside    server.Handler // nil: the lab's server
		want      dane.Cause
		stage     dane.Stage
		raw       bool // the certificates were seen
	}{
		{"smtp, TLS 1.3", "A sender has no certificate.", "smtp", demand(tls.VersionTLS13, tls.RequireAnyClientCert), nil, dane.CauseClientCertificate, dane.StageTLS, true},
		{"smtp, TLS 1.2", "A sender has no certificate.", "smtp", demand(tls.VersionTLS12, tls.RequireAnyClientCert), nil, dane.CauseClientCertificate, dane.StageStartTLS, false},
		{"xmpp-client, TLS 1.3", "A user's client has no certificate.", "xmpp-client", demand(tls.VersionTLS13, tls.RequireAnyClientCert), nil, dane.CauseClientCertificate, dane.StageTLS, true},
		{"xmpp-client, TLS 1.2", "A user's client has no certificate.", "xmpp-client", demand(tls.VersionTLS12, tls.RequireAnyClientCert), nil, dane.CauseClientCertificate, dane.StageStartTLS, false},
		{"xmpp-server, TLS 1.3", "The handshake is complete before the server rejects the client.", "xmpp-server", demand(tls.VersionTLS13, tls.RequireAnyClientCert), nil, dane.CauseNone, dane.StageTLS, true},
		{"xmpp-server, TLS 1.2", "The handshake cannot be completed, so it is our limit.", "xmpp-server", demand(tls.VersionTLS12, tls.RequireAnyClientCert), nil, dane.CauseTLSUnsupported, dane.StageStartTLS, true},
		{"xmpp-server, stream error", "An answer inside TLS proves that the handshake is complete.", "xmpp-server", demand(tls.VersionTLS13, tls.RequestClientCert), answer{bytes: streamError}, dane.CauseNone, dane.StageTLS, true},
		{"xmpp-server, stream error, TLS 1.2", "An answer inside TLS proves that the handshake is complete.", "xmpp-server", demand(tls.VersionTLS12, tls.RequestClientCert), answer{bytes: streamError}, dane.CauseNone, dane.StageTLS, true},
		{"xmpp-server, closed", "The missing certificate may be the reason.", "xmpp-server", demand(tls.VersionTLS13, tls.RequestClientCert), answer{closes: true}, dane.CauseTLSUnsupported, dane.StageTLS, true},
		{"xmpp-server, closed, no certificate requested", "The server is the cause.", "xmpp-server", demand(tls.VersionTLS13, tls.NoClientCert), answer{closes: true}, dane.CauseConnect, dane.StageTLS, true},
		{"xmpp-client, closed", "A user's client has no certificate.", "xmpp-client", demand(tls.VersionTLS13, tls.RequestClientCert), answer{closes: true}, dane.CauseClientCertificate, dane.StageTLS, true},
		{"implicit TLS of XMPP servers, TLS 1.3", "As with STARTTLS.", "tls", demand(tls.VersionTLS13, tls.RequireAnyClientCert), nil, dane.CauseNone, dane.StageTLS, true},
		{"implicit TLS of XMPP servers, TLS 1.2", "As with STARTTLS.", "tls", demand(tls.VersionTLS12, tls.RequireAnyClientCert), nil, dane.CauseTLSUnsupported, dane.StageStartTLS, true},
	} {
		for _, keyType := range []dane.KeyType{"", dane.ECDSA} {
			t.Run(c.name+", key type "+string(keyType), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					xmpp := server.XMPP{Domain: "example.org", TLS: c.config, ServerToServer: c.protocol != "xmpp-client"}
					var handler server.Handler = xmpp
					switch {
					case c.protocol == "smtp":
						handler = server.SMTP{Name: "mx.example.org", TLS: c.config}
					case c.protocol == "tls":
						handler = server.TLS{Config: c.config, Inside: xmpp}
					case c.inside != nil:
						handler = proceed{server.TLS{Config: c.config, Inside: c.inside}}
					}
					e, connections := probeServer(t, Key{Protocol: c.protocol, Domain: "example.org", Address: port(c.protocol), KeyType: keyType}, 20*time.Second, connection{0, handler})
					if got := dane.CauseOf(e.Err); got != c.want || e.Reached != c.stage || (len(e.Raw) > 0) != c.raw || connections != 1 {
						t.Errorf("cause %d, want %d; stage %d, want %d; %d certificates, %d connections: %v\n%s", got, c.want, e.Reached, c.stage, len(e.Raw), connections, e.Err, c.why)
					}
				})
			})
		}
	}
}

// proceed is an XMPP server that agrees to TLS, whatever the stream asks for.
type proceed struct{ then server.Handler }

func (p proceed) Serve(ctx context.Context, conn net.Conn) {
	buffer := make([]byte, 4096)
	conn.Read(buffer)
	io.WriteString(conn, "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"+
		"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>")
	conn.Read(buffer)
	io.WriteString(conn, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	p.then.Serve(ctx, conn)
}

// handlerFunc is a server that is one function.
type handlerFunc func(net.Conn)

func (f handlerFunc) Serve(_ context.Context, conn net.Conn) { f(conn) }

// tappedTLS is a server that completes TLS and then uses the connection below it.
func tappedTLS(config *tls.Config, then func(plain net.Conn)) server.Handler {
	return handlerFunc(func(conn net.Conn) {
		if tls.Server(conn, config).Handshake() == nil {
			then(conn)
		}
	})
}

// TestHostileInsideTLS checks servers that send arbitrary data inside TLS. The
// attempt ends in time, with one connection, and the server is the cause.
func TestHostileInsideTLS(t *testing.T) {
	config := server.TLSConfig(leafOf(t, server.ECDSA))
	optional := config.Clone()
	optional.ClientAuth = tls.RequestClientCert
	smtp := func(inside server.Handler) server.Handler {
		return smtpUntil{then: server.TLS{Config: config, Inside: inside}}
	}
	flood := func(opening, repeat string) server.Handler {
		return smtp(handlerFunc(func(conn net.Conn) {
			io.WriteString(conn, opening)
			// More than any limit. The pipe takes all of it.
			io.WriteString(conn, strings.Repeat(repeat, 1<<20/len(repeat)))
			io.Copy(io.Discard, conn)
		}))
	}
	drip := func(text string) server.Handler {
		return smtp(handlerFunc(func(conn net.Conn) {
			for i := 0; ; i++ {
				if _, err := io.WriteString(conn, text[i%len(text):i%len(text)+1]); err != nil {
					return
				}
				time.Sleep(time.Second) // of the clock in the bubble
			}
		}))
	}
	deaf := handlerFunc(func(conn net.Conn) { // ignores that the client ends its half
		io.Copy(io.Discard, conn)
		time.Sleep(time.Minute)
	})
	smtpKey, web := Key{Protocol: "smtp"}, Key{Protocol: "tls", Address: netip.MustParseAddrPort("192.0.2.25:443")}
	for _, c := range []struct {
		name    string
		key     Key
		delay   time.Duration // of the connection
		server  server.Handler
		want    dane.Cause
		text    string
		atLeast time.Duration // of the attempt
		atMost  time.Duration
	}{
		{"endless line", smtpKey, 0, flood("250-", "x"), dane.CauseProtocol, "more than 262144 bytes", 0, time.Second},
		{"endless continuation lines", smtpKey, 0, flood("", "250-x\r\n"), dane.CauseProtocol, "more than 262144 bytes", 0, time.Second},
		{"endless blank lines", smtpKey, 0, flood("", "\n"), dane.CauseProtocol, "more than 262144 bytes", 0, time.Second},
		{"endless binary", smtpKey, 0, flood("", "\x00\xff\x1b"), dane.CauseProtocol, "more than 262144 bytes", 0, time.Second},
		{"thousands of lines, then the end of the reply", smtpKey, 0, smtp(answer{bytes: strings.Repeat("250-x\r\n", 10000) + "250 x\r\n", stays: true}), dane.CauseNone, "", 0, 2 * time.Second},
		{"half a reply, then closed", smtpKey, 0, smtp(answer{bytes: "250-mx\r\n25"}), dane.CauseConnect, "reading the reply to EHLO inside TLS", 0, time.Second},
		{"half a reply, then silence", smtpKey, 0, smtp(answer{bytes: "250-mx\r\n25", stays: true}), dane.CauseTimeout, "reading the reply to EHLO inside TLS", 20 * time.Second, 20 * time.Second},
		{"slow drip of a reply that never ends", smtpKey, 0, drip("250-x\r\n"), dane.CauseTimeout, "reading the reply to EHLO inside TLS", 20 * time.Second, 20 * time.Second},
		{"a reply byte by byte", smtpKey, 0, drip("250 x\r\n"), dane.CauseNone, "", 6 * time.Second, 8 * time.Second},
		{"a reply before the command", smtpKey, 0, smtp(handlerFunc(func(conn net.Conn) { io.WriteString(conn, "250 mx\r\n"); io.Copy(io.Discard, conn) })), dane.CauseNone, "", 0, 2 * time.Second},
		{"plaintext after the handshake", smtpKey, 0, smtpUntil{then: tappedTLS(config, func(plain net.Conn) { io.WriteString(plain, "250 mx.example.org\r\n"); io.Copy(io.Discard, plain) })}, dane.CauseTLS, "tls:", 0, 2 * time.Second},
		{"a record that does not decrypt", smtpKey, 0, smtpUntil{then: tappedTLS(config, func(plain net.Conn) {
			io.WriteString(plain, "\x17\x03\x03\x00\x20"+strings.Repeat("x", 32))
			io.Copy(io.Discard, plain)
		})}, dane.CauseTLS, "bad record MAC", 0, 2 * time.Second},
		{"plaintext after the handshake, key type", Key{Protocol: "smtp", KeyType: dane.ECDSA}, 0, smtpUntil{then: tappedTLS(config, func(plain net.Conn) { io.WriteString(plain, "250 mx.example.org\r\n"); io.Copy(io.Discard, plain) })}, dane.CauseTLS, "tls:", 0, 2 * time.Second},
		{"silence", smtpKey, 0, smtp(nil), dane.CauseTimeout, "reading the reply to EHLO inside TLS", 20 * time.Second, 20 * time.Second},

		{"web, certificate requested, the server keeps the session open", web, 0, server.TLS{Config: optional, Inside: deaf}, dane.CauseNone, "", 5 * time.Second, 5 * time.Second},
		{"web, certificate requested, little time left", web, 17 * time.Second, server.TLS{Config: optional, Inside: deaf}, dane.CauseNone, "", 18 * time.Second, 19 * time.Second},
		{"web, certificate requested, endless data", web, 0, server.TLS{Config: optional, Inside: handlerFunc(func(conn net.Conn) {
			io.WriteString(conn, strings.Repeat("x", 1<<20))
		})}, dane.CauseNone, "", 0, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				started := time.Now()
				e, connections := probeServer(t, c.key, 20*time.Second, connection{c.delay, c.server})
				elapsed := time.Since(started)
				if got := dane.CauseOf(e.Err); got != c.want || e.Err != nil && !strings.Contains(e.Err.Error(), c.text) || e.Reached != dane.StageTLS || connections != 1 {
					t.Errorf("cause %d, want %d; stage %d, %d connections: %v", got, c.want, e.Reached, connections, e.Err)
				}
				if elapsed < c.atLeast || elapsed > c.atMost {
					t.Errorf("after %v, want %v to %v", elapsed, c.atLeast, c.atMost)
				}
				time.Sleep(time.Hour) // of the clock in the bubble: the servers end
			})
		})
	}
}

// TestRequestEndsWhileAnAlertMayCome checks a request that ends during the wait for
// an alert. The server has not rejected the client by then.
func TestRequestEndsWhileAnAlertMayCome(t *testing.T) {
	config := server.TLSConfig(leafOf(t, server.ECDSA))
	config.ClientAuth = tls.RequestClientCert
	synctest.Test(t, func(t *testing.T) {
		client := New(func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
			near, far := bufferedPipe()
			go func() {
				defer far.Close()
				server.TLS{Config: config, Inside: handlerFunc(func(conn net.Conn) { io.Copy(io.Discard, conn); time.Sleep(time.Minute) })}.Serve(t.Context(), far)
			}()
			time.Sleep(6 * time.Second) // of the clock in the bubble
			return near, nil
		}, "probe.example.net", time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		e := client.Do(ctx, Request{Key: Key{Address: netip.MustParseAddrPort("192.0.2.25:443"), Protocol: "tls", SNI: "mx.example.org"}, Timeout: 20 * time.Second, MinWait: 5 * time.Second})
		if e.Err != nil || e.Reached != dane.StageTLS {
			t.Errorf("stage %d, cause %d: %v", e.Reached, dane.CauseOf(e.Err), e.Err)
		}
		time.Sleep(time.Hour) // of the clock in the bubble: the server ends
	})
}
