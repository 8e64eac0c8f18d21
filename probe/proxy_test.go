package probe

import (
	"context"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/handshake"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"
)

// proxyServer is a SOCKS5 proxy on loopback that notes what it is asked for and
// gives one answer. After a good one it lets the connection be served.
type proxyServer struct {
	password string // empty: it asks for none
	code     byte
	serve    func(net.Conn)
	asked    chan netip.AddrPort
}

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
			if err := p.speak(conn); err != nil {
				t.Errorf("the proxy: %v", err)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-ended })
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

func (p proxyServer) speak(conn net.Conn) error {
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
		return fmt.Errorf("asked for a name: %v", request)
	}
	addr, _ := netip.AddrFromSlice(read(size))
	port := read(2)
	p.asked <- netip.AddrPortFrom(addr, uint16(port[0])<<8|uint16(port[1]))
	if _, err := conn.Write([]byte{5, p.code, 0, 1, 198, 51, 100, 7, 4, 1}); err != nil {
		return err
	}
	if p.code == 0 {
		p.serve(conn)
	}
	return nil
}

func TestProbeThroughAProxy(t *testing.T) {
	const mail = "@ MX 10 mx\nmx A 192.0.2.25\n" + anyRecord
	const mail6 = "@ MX 10 mx\nmx AAAA 2001:db8::25\n" + anyRecord
	greeted := make(chan string, 1)
	rejecting := func(conn net.Conn) {
		io.WriteString(conn, "220 mx\r\n")
		line := make([]byte, 64)
		n, _ := conn.Read(line)
		greeted <- string(line[:n])
		io.WriteString(conn, "554 no\r\n")
		conn.Read(line) // QUIT
	}
	for _, story := range []struct {
		name, records string
		proxy         proxyServer
		user          string
		want          dane.Outcome
		reason        dane.Reason
		asked         string
	}{
		{"it leads to the server", mail, proxyServer{serve: rejecting}, "", dane.Unreachable, dane.ClientRejected, "192.0.2.25:25"},
		{"with a password", mail, proxyServer{serve: rejecting, password: "me:key"}, "me:key@", dane.Unreachable, dane.ClientRejected, "192.0.2.25:25"},
		{"IPv6 too", mail6, proxyServer{serve: rejecting}, "", dane.Unreachable, dane.ClientRejected, "[2001:db8::25]:25"},
		{"the server refuses the proxy", mail, proxyServer{code: 5}, "", dane.Unreachable, dane.ConnectFailed, "192.0.2.25:25"},
		{"the proxy finds no way to the server", mail, proxyServer{code: 4}, "", dane.Unreachable, dane.ConnectFailed, "192.0.2.25:25"},
		{"the proxy has no IPv6", mail6, proxyServer{code: 3}, "", dane.Unknown, dane.IPv6Unavailable, "[2001:db8::25]:25"},
		{"the proxy forbids it", mail, proxyServer{code: 2}, "", dane.Unknown, dane.ProxyFailed, "192.0.2.25:25"},
		{"the proxy has a failure of its own", mail, proxyServer{code: 1}, "", dane.Unknown, dane.ProxyFailed, "192.0.2.25:25"},
		{"a wrong password", mail, proxyServer{password: "me:key"}, "me:other@", dane.Unknown, dane.ProxyFailed, ""},
		{"a password that is missing", mail, proxyServer{password: "me:key"}, "", dane.Unknown, dane.ProxyFailed, ""},
	} {
		t.Run(story.name, func(t *testing.T) {
			story.proxy.asked = make(chan netip.AddrPort, 1)
			at := story.proxy.start(t)
			n := internet(t, story.records)
			dial := func(ctx context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
				if to != at {
					return nil, fmt.Errorf("a connection to %s, past the proxy", to)
				}
				return new(net.Dialer).DialContext(ctx, "tcp", to.String())
			}
			module := mailModule(10 * time.Second)
			var err error
			if module.Proxy, err = handshake.ParseProxy("socks5://" + story.user + at.String()); err != nil {
				t.Fatal(err)
			}
			report := proberOf(n, n.Anchors(), dial, "192.0.2.0/24", "2001:db8::/32").Probe(t.Context(), Target{Name: "example.org"}, module)
			if report.Verdict.Outcome != story.want || !slices.Equal(reasonsOf(report.Verdict), []dane.Reason{story.reason}) {
				t.Errorf("got %s, %v; want %s, %s", report.Verdict.Outcome, report.Verdict.Findings, story.want, story.reason)
			}
			if story.asked == "" {
				return
			}
			if got := <-story.proxy.asked; got.String() != story.asked {
				t.Errorf("the proxy was asked for %s, want %s", got, story.asked)
			}
			if story.reason == dane.ClientRejected {
				// The server sees the proxy's address, so that is the literal to greet with.
				if got := <-greeted; got != "EHLO [198.51.100.7]\r\n" {
					t.Errorf("greeted with %q", got)
				}
			}
		})
	}
}

func TestProxyThatIsNotThere(t *testing.T) {
	n := internet(t, "@ MX 10 mx\nmx AAAA 2001:db8::25\n"+anyRecord)
	refuse := func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
		return nil, fmt.Errorf("%w: %w", ErrNoIPv6, syscall.ENETUNREACH)
	}
	module := mailModule(10 * time.Second)
	module.Proxy = handshake.Proxy{Address: netip.MustParseAddrPort("[2001:db8::1]:1080")}
	report := proberOf(n, n.Anchors(), refuse, "2001:db8::/32").Probe(t.Context(), Target{Name: "example.org"}, module)
	if report.Verdict.Outcome != dane.Unknown || !slices.Equal(reasonsOf(report.Verdict), []dane.Reason{dane.ProxyFailed}) {
		t.Errorf("got %s, %v", report.Verdict.Outcome, report.Verdict.Findings)
	}
}

// The proxy may go where the exporter may not: access holds all the same.
func TestAccessHoldsBehindAProxy(t *testing.T) {
	n := internet(t, "@ MX 10 mx\nmx A 10.0.0.1\n"+anyRecord)
	module := mailModule(10 * time.Second)
	module.Proxy = handshake.Proxy{Address: netip.MustParseAddrPort("192.0.2.1:1080")}
	report := proberOf(n, n.Anchors(), neverDials(t), "192.0.2.0/24").Probe(t.Context(), Target{Name: "example.org"}, module)
	if !slices.Equal(reasonsOf(report.Verdict), []dane.Reason{dane.TargetNotAllowed}) {
		t.Errorf("got %v", report.Verdict.Findings)
	}
}

// A machine without IPv6 is not the server's fault: its IPv6 endpoints are
// skipped, unless the module demands IPv6.
func TestWithoutIPv6(t *testing.T) {
	const one = "@ MX 10 mx\nmx A 192.0.2.25\nmx AAAA 2001:db8::25\n"
	for _, story := range []struct {
		name, records string
		protocol      IPProtocol
		want          dane.Outcome
		success       bool
		reasons       []dane.Reason
		skipped       int
	}{
		{"both families, IPv4 is probed", one, IPAuto, dane.Opportunistic, true, []dane.Reason{dane.IPv6Unavailable, dane.NoTLSA, dane.StartTLSNotOffered}, 1},
		{"IPv6 is not wanted", one, IP4, dane.Opportunistic, true, []dane.Reason{dane.NoTLSA, dane.StartTLSNotOffered}, 0},
		{"IPv6 is demanded", one, IP6, dane.Unknown, false, []dane.Reason{dane.IPv6Unavailable, dane.NoTLSA}, 0},
		{"a second host has IPv6 alone", one + "@ MX 20 mx2\nmx2 AAAA 2001:db8::26\n", IPAuto, dane.Opportunistic, true, []dane.Reason{dane.IPv6Unavailable, dane.NoTLSA, dane.StartTLSNotOffered}, 2},
		{"the only host has IPv6 alone", "@ MX 10 mx\nmx AAAA 2001:db8::25\n", IPAuto, dane.Unknown, false, []dane.Reason{dane.IPv6Unavailable, dane.NoTLSA}, 1},
	} {
		t.Run(story.name, func(t *testing.T) {
			n := internet(t, story.records)
			dial := func(_ context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
				if to.Addr().Is6() {
					return nil, ErrNoIPv6
				}
				ours, theirs := net.Pipe()
				go func() {
					defer theirs.Close()
					lines := make([]byte, 256)
					io.WriteString(theirs, "220 mx\r\n")
					theirs.Read(lines)
					io.WriteString(theirs, "250 mx\r\n")
					theirs.Read(lines)
				}()
				return ours, nil
			}
			module := mailModule(10 * time.Second)
			module.IPProtocol, module.Require = story.protocol, dane.RequireIfPublished
			report := proberOf(n, n.Anchors(), dial, "192.0.2.0/24", "2001:db8::/32").Probe(t.Context(), Target{Name: "example.org"}, module)
			v := report.Verdict
			if v.Outcome != story.want || v.Success != story.success || !slices.Equal(reasonsOf(v), story.reasons) {
				t.Errorf("got %s, success %t, %v; want %s, %t, %v", v.Outcome, v.Success, v.Findings, story.want, story.success, story.reasons)
			}
			skipped := 0
			for _, service := range v.Services {
				for _, e := range service.Endpoints {
					if e.Skipped {
						skipped++
					}
				}
			}
			if skipped != story.skipped {
				t.Errorf("%d endpoints were skipped, want %d", skipped, story.skipped)
			}
		})
	}
}

func TestSourceAddresses(t *testing.T) {
	n := internet(t, "@ MX 10 mx\nmx A 192.0.2.25\nmx AAAA 2001:db8::25\n"+anyRecord)
	left := make(chan string, 2)
	dial := func(_ context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
		left <- from.String() + " to " + to.String()
		return nil, errors.New("closed")
	}
	module := mailModule(10 * time.Second)
	module.SourceAddresses = []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7")}
	proberOf(n, n.Anchors(), dial, "192.0.2.0/24", "2001:db8::/32").Probe(t.Context(), Target{Name: "example.org"}, module)
	got := []string{<-left, <-left}
	slices.Sort(got)
	if want := []string{"198.51.100.7 to 192.0.2.25:25", "2001:db8::7 to [2001:db8::25]:25"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
