package probe

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/handshake"
)

// proxyServer is a SOCKS5 proxy on loopback (RFC 1928). It records the address that
// it is asked for and sends one reply. After the reply "succeeded" it serves the
// connection itself.
type proxyServer struct {
	password  string // "user:password" (RFC 1929); empty: none is required
	code      byte   // of the reply
	ip6Code   byte   // of the reply to requests for IPv6 addresses; 0: code
	serve     func(net.Conn)
	requested chan netip.AddrPort
}

// start starts the proxy and returns its address.
func (p proxyServer) start(t *testing.T) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			if err := p.serveConn(conn); err != nil {
				t.Errorf("proxy: %v", err)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-ended })
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// serveConn serves one connection. It returns an error if the client asks for a name.
func (p proxyServer) serveConn(conn net.Conn) error {
	read := func(n int) []byte {
		octets := make([]byte, n)
		io.ReadFull(conn, octets)
		return octets
	}
	methods := read(int(read(2)[1]))
	if p.password == "" {
		conn.Write([]byte{5, 0})
	} else {
		if !slices.Contains(methods, 2) {
			_, err := conn.Write([]byte{5, 0xff})
			return err
		}
		conn.Write([]byte{5, 2})
		user := read(int(read(2)[1]))
		password := read(int(read(1)[0]))
		if string(user)+":"+string(password) != p.password {
			_, err := conn.Write([]byte{1, 1})
			return err
		}
		conn.Write([]byte{1, 0})
	}
	request := read(4)
	size := map[byte]int{1: 4, 4: 16}[request[3]]
	if size == 0 {
		return fmt.Errorf("request for a name: %v", request)
	}
	addr, _ := netip.AddrFromSlice(read(size))
	port := read(2)
	p.requested <- netip.AddrPortFrom(addr, uint16(port[0])<<8|uint16(port[1]))
	code := p.code
	if addr.Is6() {
		code = cmp.Or(p.ip6Code, code)
	}
	if _, err := conn.Write([]byte{5, code, 0, 1, 198, 51, 100, 7, 4, 1}); err != nil {
		return err
	}
	if code == 0 {
		p.serve(conn)
	}
	return nil
}

// A failure that the proxy reports is the server's only if the proxy tried to
// connect to it.
func TestProbeThroughProxy(t *testing.T) {
	const mail = "@ MX 10 mx\nmx A 192.0.2.25\n" + anyRecord
	const mail6 = "@ MX 10 mx\nmx AAAA 2001:db8::25\n" + anyRecord
	ehlo := make(chan string, 1)
	rejecting := func(conn net.Conn) {
		io.WriteString(conn, "220 mx\r\n")
		line := make([]byte, 64)
		n, _ := conn.Read(line)
		ehlo <- string(line[:n])
		io.WriteString(conn, "554 no\r\n")
		conn.Read(line) // QUIT
	}
	for _, c := range []struct {
		name, records string
		proxy         proxyServer
		user          string
		want          dane.Outcome
		reason        dane.Reason
		requested     string
	}{
		{"connected", mail, proxyServer{serve: rejecting}, "", dane.Unreachable, dane.ClientRejected, "192.0.2.25:25"},
		{"connected, with a password", mail, proxyServer{serve: rejecting, password: "me:key"}, "me:key@", dane.Unreachable, dane.ClientRejected, "192.0.2.25:25"},
		{"connected, IPv6", mail6, proxyServer{serve: rejecting}, "", dane.Unreachable, dane.ClientRejected, "[2001:db8::25]:25"},
		{"connection refused by the server", mail, proxyServer{code: 5}, "", dane.Unreachable, dane.ConnectFailed, "192.0.2.25:25"},
		{"host unreachable", mail, proxyServer{code: 4}, "", dane.Unreachable, dane.ConnectFailed, "192.0.2.25:25"},
		{"network unreachable, IPv6", mail6, proxyServer{code: 3}, "", dane.Unknown, dane.IPv6Unavailable, "[2001:db8::25]:25"},
		{"not allowed by the proxy", mail, proxyServer{code: 2}, "", dane.Unknown, dane.ProxyFailed, "192.0.2.25:25"},
		{"general failure of the proxy", mail, proxyServer{code: 1}, "", dane.Unknown, dane.ProxyFailed, "192.0.2.25:25"},
		{"wrong password", mail, proxyServer{password: "me:key"}, "me:other@", dane.Unknown, dane.ProxyFailed, ""},
		{"no password", mail, proxyServer{password: "me:key"}, "", dane.Unknown, dane.ProxyFailed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.proxy.requested = make(chan netip.AddrPort, 1)
			address := c.proxy.start(t)
			n := newInternet(t, c.records)
			dial := func(ctx context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
				if to != address {
					return nil, fmt.Errorf("connection to %s, not through the proxy", to)
				}
				return new(net.Dialer).DialContext(ctx, "tcp", to.String())
			}
			module := mailModule(10 * time.Second)
			var err error
			if module.Proxy, err = handshake.ParseProxy("socks5://" + c.user + address.String()); err != nil {
				t.Fatal(err)
			}
			report := newProber(n, n.Anchors(), dial, "192.0.2.0/24", "2001:db8::/32").Probe(t.Context(), Target{Name: "example.org"}, module)
			if report.Verdict.Outcome != c.want || !slices.Equal(reasonsOf(report.Verdict), []dane.Reason{c.reason}) {
				t.Errorf("got %s, %v; want %s, %s", report.Verdict.Outcome, report.Verdict.Findings, c.want, c.reason)
			}
			if c.requested == "" {
				return
			}
			if got := <-c.proxy.requested; got.String() != c.requested {
				t.Errorf("the proxy received a request for %s, want %s", got, c.requested)
			}
			if c.reason == dane.ClientRejected {
				// The server sees the address of the proxy, so EHLO has that address literal.
				if got := <-ehlo; got != "EHLO [198.51.100.7]\r\n" {
					t.Errorf("EHLO line %q", got)
				}
			}
		})
	}
}

// An IPv6 endpoint behind a proxy without IPv6 is skipped, like one of a machine
// without IPv6, unless the module requires IPv6.
func TestProxyWithoutIPv6(t *testing.T) {
	n := newInternet(t, "@ MX 10 mx\nmx A 192.0.2.25\nmx AAAA 2001:db8::25\n"+anyRecord)
	proxy := proxyServer{ip6Code: 3, requested: make(chan netip.AddrPort, 2), serve: func(conn net.Conn) {
		io.WriteString(conn, "554 no\r\n")
		conn.Read(make([]byte, 64)) // QUIT
	}}
	address := proxy.start(t)
	dial := func(ctx context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", to.String())
	}
	for _, c := range []struct {
		protocol IPProtocol
		skipped  []bool // of each endpoint, IPv4 first
		want     dane.Outcome
		reasons  []dane.Reason
	}{
		{IPAuto, []bool{false, true}, dane.Unreachable, []dane.Reason{dane.ClientRejected, dane.IPv6Unavailable}},
		{IP6, []bool{false}, dane.Unknown, []dane.Reason{dane.IPv6Unavailable}},
	} {
		module := mailModule(10 * time.Second)
		module.IPProtocol, module.Proxy = c.protocol, handshake.Proxy{Address: address}
		report := newProber(n, n.Anchors(), dial, "192.0.2.0/24", "2001:db8::/32").Probe(t.Context(), Target{Name: "example.org"}, module)
		var skipped []bool
		for _, e := range report.Verdict.Services[0].Endpoints {
			skipped = append(skipped, e.Skipped)
		}
		if report.Verdict.Outcome != c.want || !slices.Equal(reasonsOf(report.Verdict), c.reasons) || !slices.Equal(skipped, c.skipped) {
			t.Errorf("%s: got %s, skipped %v, %v; want %s, %v, %v", c.protocol, report.Verdict.Outcome, skipped, report.Verdict.Findings, c.want, c.skipped, c.reasons)
		}
		for range skipped {
			<-proxy.requested
		}
	}
}

// If the proxy cannot be reached, even for lack of IPv6, the proxy is the cause.
func TestProxyUnreachable(t *testing.T) {
	n := newInternet(t, "@ MX 10 mx\nmx AAAA 2001:db8::25\n"+anyRecord)
	refuse := func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
		return nil, fmt.Errorf("%w: %w", ErrNoIPv6, syscall.ENETUNREACH)
	}
	module := mailModule(10 * time.Second)
	module.Proxy = handshake.Proxy{Address: netip.MustParseAddrPort("[2001:db8::1]:1080")}
	report := newProber(n, n.Anchors(), refuse, "2001:db8::/32").Probe(t.Context(), Target{Name: "example.org"}, module)
	if report.Verdict.Outcome != dane.Unknown || !slices.Equal(reasonsOf(report.Verdict), []dane.Reason{dane.ProxyFailed}) {
		t.Errorf("got %s, %v", report.Verdict.Outcome, report.Verdict.Findings)
	}
}

// access applies to the addresses of servers behind a proxy.
func TestAccessHoldsBehindProxy(t *testing.T) {
	n := newInternet(t, "@ MX 10 mx\nmx A 10.0.0.1\n"+anyRecord)
	module := mailModule(10 * time.Second)
	module.Proxy = handshake.Proxy{Address: netip.MustParseAddrPort("192.0.2.1:1080")}
	report := newProber(n, n.Anchors(), failOnDial(t), "192.0.2.0/24").Probe(t.Context(), Target{Name: "example.org"}, module)
	if !slices.Equal(reasonsOf(report.Verdict), []dane.Reason{dane.TargetNotAllowed}) {
		t.Errorf("got %v", report.Verdict.Findings)
	}
}
