package command

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"dane_exporter/internal/config"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

// surroundings are where probes take place.
type surroundings interface {
	// adapt returns the configuration as it is in force here.
	adapt(*config.Config) *config.Config
	// world is reached by these settings. observe is told of each DNS query.
	world(settings config.Resolver, observe func(transport.Event)) (probe.Environment, error)
}

// newProber makes the prober that obeys a configuration, in its surroundings.
// The error says what of the outside world is not as the configuration has it.
func newProber(c *config.Config, where surroundings, observe func(transport.Event)) (*probe.Prober, error) {
	world, err := where.world(c.Resolver, observe)
	if err != nil {
		return nil, err
	}
	return proberOf(c, world), nil
}

func proberOf(c *config.Config, world probe.Environment) *probe.Prober {
	retries := time.Duration(c.Resolver.Attempts * len(world.DNS.Servers()))
	return probe.New(world, probe.Settings{
		DNS: dnssec.Options{
			SHA1:               c.Resolver.SHA1,
			NSEC3MaxIterations: c.Resolver.NSEC3MaxIterations,
			QueryTimeout:       c.Resolver.Timeout * retries,
		},
		Access:         c.Access,
		HandshakeReuse: c.Limits.HandshakeReuse,
	})
}

// internet is the world outside this machine.
type internet struct{}

func (internet) adapt(c *config.Config) *config.Config { return c }

func (internet) world(settings config.Resolver, observe func(transport.Event)) (probe.Environment, error) {
	servers, err := transport.New(settings.Servers, transport.Options{
		Timeout: settings.Timeout, Attempts: settings.Attempts, Observe: observe,
	})
	if err != nil {
		return probe.Environment{}, fmt.Errorf("reach the resolvers: %w", err)
	}
	anchors, err := anchors(settings.TrustAnchors)
	if err != nil {
		return probe.Environment{}, err
	}
	return probe.Environment{
		Now:      time.Now,
		Dial:     dial,
		DNS:      servers,
		Query:    blamingIPv6(transport.QueryServer),
		Anchors:  anchors,
		Roots:    systemRoots(),
		Hostname: hostname(),
	}, nil
}

func dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1} // a probe is over before one would be due
	if from.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil && to.Addr().Is6() && !routed(to) {
		return nil, fmt.Errorf("%w: %w", probe.ErrNoIPv6, err)
	}
	return conn, err
}

// blamingIPv6 lets ask name the cause where this machine has no way to a server.
func blamingIPv6[Query, Response any](ask func(context.Context, netip.AddrPort, Query) (Response, error)) func(context.Context, netip.AddrPort, Query) (Response, error) {
	return func(ctx context.Context, server netip.AddrPort, query Query) (Response, error) {
		response, err := ask(ctx, server, query)
		if err != nil && server.Addr().Is6() && !routed(server) {
			err = fmt.Errorf("%w: %w", probe.ErrNoIPv6, err)
		}
		return response, err
	}
}

// routed reports whether this machine has a route and a source address for an
// address. Connecting a UDP socket asks the kernel alone, while a TCP
// connection may fail in the same words because a router far away has no route.
func routed(to netip.AddrPort) bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// anchors reads the trust anchors that the configuration names.
func anchors(named string) ([]dnssec.Anchor, error) {
	if named == config.BuiltinAnchors {
		return dnssec.BuiltinAnchors(), nil
	}
	file, err := os.Open(named)
	if err != nil {
		return nil, fmt.Errorf("read resolver.trust_anchors: %w", err)
	}
	defer file.Close()
	anchors, err := dnssec.ParseAnchors(file)
	if err != nil {
		return nil, fmt.Errorf("read resolver.trust_anchors: %s: %w", named, err)
	}
	return anchors, nil
}

// systemRoots are the certificate authorities that this machine trusts; nil
// where it knows of none, as containers built from nothing do: what needs them
// is then not measured.
func systemRoots() *x509.CertPool {
	roots, err := x509.SystemCertPool()
	if err != nil || roots.Equal(x509.NewCertPool()) {
		return nil
	}
	return roots
}

// hostname is this machine's name if it can stand in EHLO: fully qualified.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || !strings.Contains(name, ".") {
		return ""
	}
	return name
}
