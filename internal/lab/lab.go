package lab

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// Lab is the world of all scenarios. It is safe for concurrent use.
type Lab struct {
	internet *zone.Internet
	roots    *x509.CertPool
	servers  map[netip.AddrPort]*server.Server
	plan     *plan

	mu     sync.Mutex // of what is broken while the lab runs
	broken map[string]Fault
}

// New signs the zones and starts the servers. Signatures are in date whenever
// now says it is; certificates, for a year from now.
func New(now func() time.Time) (*Lab, error) {
	l := &Lab{roots: x509.NewCertPool(), servers: map[netip.AddrPort]*server.Server{}, broken: map[string]Fault{}}
	authorities, err := newAuthorities(now())
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
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
			return fmt.Errorf("server of %s: %w", at, err)
		}
		l.servers[at] = started
	}
	return nil
}

// Close stops the servers, ends their connections and waits for them.
func (l *Lab) Close() {
	for _, s := range l.servers {
		s.Close()
	}
}

// DNS is the lab's recursive resolvers. They do not validate.
func (l *Lab) DNS() *zone.Internet { return l.internet }

// Query asks a name server of the lab's zones at its address.
func (l *Lab) Query(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	return l.internet.Ask(ctx, server, query)
}

// Anchors are the trust anchors of the lab's root.
func (l *Lab) Anchors() []dns.DS { return l.internet.Anchors() }

// Roots is the lab's Web PKI.
func (l *Lab) Roots() *x509.CertPool { return l.roots.Clone() }

// Networks are the documentation addresses, on which all its servers are.
func Networks() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("2001:db8::/32"),
	}
}

// Dial connects to a server of the lab. Where there is none, or one that takes
// no connections from there, the error is the one that package net gives for a
// refused connection. The connection's addresses are those of the lab, or from
// where that is valid.
func (l *Lab) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	remote := net.TCPAddrFromAddrPort(to)
	s, ok := l.servers[to]
	if only, picky := l.plan.only[to]; !ok || picky && from != only {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: remote, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	loopback, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr().String())
	if err != nil {
		return nil, disguise(err, remote)
	}
	return conn{loopback, client(from, to.Addr(), loopback.LocalAddr()), remote}, nil
}

// disguise makes an error of dialling one of dialling remote.
func disguise(err error, remote net.Addr) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return err
	}
	told := *op
	told.Addr = remote
	return &told
}

// client is where the lab's clients seem to be: where they say, or at an
// address in the family of the server's.
func client(from, serverAddress netip.Addr, loopback net.Addr) net.Addr {
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

// conn is a connection as it would be outside.
type conn struct {
	net.Conn
	local, remote net.Addr
}

func (c conn) LocalAddr() net.Addr  { return c.local }
func (c conn) RemoteAddr() net.Addr { return c.remote }

// Scenario is one domain of the lab.
type Scenario struct {
	Name    string   // the first label of its target
	Story   string   // one sentence: what is the case
	Module  string   // that it is meant for: built in, or one of Modules
	Outcome string   // what comes out, in the public words
	Success bool     // probe_success
	Reasons []string // of the findings: each once, sorted
	Advice  []string // topics of the advice given: each once, sorted
	Later   string   // the outcome in a fortnight, if nothing changes; empty: the same
	Series  []string // what the metrics say beside, as "name{label="value"} 1"; labels left out may have any value
	build   func(*builder)
}

// Target is what to probe.
func (s Scenario) Target() string { return s.Name + "." + strings.TrimSuffix(origin, ".") }

// Scenarios lists all, in an order for reading.
func Scenarios() []Scenario {
	var all []Scenario
	for _, chapter := range [][]Scenario{goodScenarios(), discoveryScenarios(), dnssecScenarios(), aliasScenarios(), recordScenarios(), practiceScenarios(), nameserverScenarios(), trustAnchorScenarios(), serverScenarios(), hostileScenarios(), clientScenarios(), protocolScenarios(), routeScenarios(), srvScenarios(), mailSRVScenarios(), servicesScenarios(), mtaSTSScenarios()} {
		all = append(all, chapter...)
	}
	return all
}
