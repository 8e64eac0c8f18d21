// Package lab is a small signed Internet in one process: a root, the TLD test,
// and below lab.test one domain for each case in which DANE works or fails.
//
// [Scenarios] is the table of these domains: what is set up, and the outcome for
// a DANE client. [Lab.DNS] resolves their names. Their addresses are those
// reserved for documentation (RFC 5737, RFC 3849), with the usual ports, and
// [Lab.Dial] connects to servers in this process instead. So the lab needs neither
// a network nor IPv6.
//
// The lab shares no code with what it tests: it signs zones and makes TLSA records
// itself.
package lab

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// Lab runs the DNS and the servers of all scenarios. It is safe for concurrent use.
type Lab struct {
	internet *zone.Internet
	roots    *x509.CertPool
	servers  map[netip.AddrPort]*server.Server
	plan     *plan

	mu     sync.Mutex
	broken map[string]Fault // by scenario: what Break did
}

// New signs the zones and starts the servers. Signatures are valid at any time
// that now returns later. Certificates are valid for a year from the time it
// returns first.
func New(now func() time.Time) (*Lab, error) {
	l := &Lab{roots: x509.NewCertPool(), servers: map[netip.AddrPort]*server.Server{}, broken: map[string]Fault{}}
	authorities, err := newAuthorities(now())
	if err != nil {
		return nil, fmt.Errorf("lab: make CAs: %w", err)
	}
	l.roots.AddCert(authorities.webRoot.X509())
	plan := newPlan(authorities, now())
	l.plan = plan
	for _, scenario := range Scenarios() {
		if err := plan.add(scenario); err != nil {
			return nil, fmt.Errorf("lab: scenario %s: %w", scenario.Name, err)
		}
	}
	if l.internet, err = zone.New(now, plan.allZones()...); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	l.internet.Break(plan.faults...)
	for _, c := range plan.copies {
		if err := l.internet.Add(c); err != nil {
			return nil, fmt.Errorf("lab: %w", err)
		}
	}
	plan.handlers[proxyAddress()] = server.SOCKS{Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		return l.Dial(ctx, proxyAddress().Addr(), to)
	}}
	if err := l.start(plan.handlers); err != nil {
		l.Close()
		return nil, fmt.Errorf("lab: %w", err)
	}
	return l, nil
}

func (l *Lab) start(handlers map[netip.AddrPort]server.Handler) error {
	for at, handler := range handlers {
		started, err := server.Start(handler)
		if err != nil {
			return fmt.Errorf("start server for %s: %w", at, err)
		}
		l.servers[at] = started
	}
	return nil
}

// Close stops the servers, closes their connections and waits for them to end.
func (l *Lab) Close() {
	for _, s := range l.servers {
		s.Close()
	}
}

// DNS returns the lab's two recursive resolvers. They do not validate.
func (l *Lab) DNS() *zone.Internet { return l.internet }

// Query sends a query to the authoritative nameserver at that address. The errors
// are those of [zone.Internet.Ask].
func (l *Lab) Query(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	return l.internet.Ask(ctx, server, query)
}

// Anchors returns the trust anchors of the lab's root zone.
func (l *Lab) Anchors() []dns.DS { return l.internet.Anchors() }

// Roots returns the root certificates of the lab's Web PKI.
func (l *Lab) Roots() *x509.CertPool { return l.roots.Clone() }

// Networks returns the documentation networks, which contain the addresses of all
// servers.
func Networks() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("2001:db8::/32"),
	}
}

// Dial connects to a server of the lab. If there is no server at that address, or
// it does not accept connections from there, the error is that of package net for
// a refused connection. The connection reports the lab's addresses; its local
// address is from, if that is valid.
func (l *Lab) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	remote := net.TCPAddrFromAddrPort(to)
	s, ok := l.servers[to]
	if client, restricted := l.plan.onlyClient[to]; !ok || restricted && from != client {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: remote, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	loopback, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr().String())
	if err != nil {
		return nil, withRemote(err, remote)
	}
	return conn{loopback, localAddr(from, to.Addr(), loopback.LocalAddr()), remote}, nil
}

// withRemote replaces the loopback address in an error of package net by remote.
func withRemote(err error, remote net.Addr) error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return err
	}
	replaced := *op
	replaced.Addr = remote
	return &replaced
}

// localAddr returns the local address that a connection reports: from if it is
// valid, and else an address of the same family as the server's.
func localAddr(from, serverAddress netip.Addr, loopback net.Addr) net.Addr {
	local := *loopback.(*net.TCPAddr)
	switch {
	case from.IsValid():
		local.IP = from.AsSlice()
	case serverAddress.Is6():
		local.IP = net.ParseIP("2001:db8::1")
	default:
		local.IP = net.IPv4(198, 51, 100, 1)
	}
	return &local
}

// conn is a connection that reports addresses of the lab.
type conn struct {
	net.Conn
	local, remote net.Addr
}

func (c conn) LocalAddr() net.Addr  { return c.local }
func (c conn) RemoteAddr() net.Addr { return c.remote }
