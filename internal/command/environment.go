package command

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"dane_exporter/internal/config"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

// environment is what probes run in: the Internet or the lab.
type environment interface {
	// adjust returns the configuration with the changes that the environment needs.
	adjust(*config.Config) *config.Config
	// build returns the environment of a prober, without resolvers and trust anchors.
	build() probe.Environment
	// transport returns a transport to the resolvers of settings. It reads the addresses of
	// the system's resolvers. The certificates of resolvers over TLS and HTTPS must chain to
	// one of roots. The transport calls observe after each DNS query.
	transport(settings probe.ResolverSettings, roots *x509.CertPool, observe func(transport.Event)) (dnssec.Transport, error)
	// anchors returns the trust anchors of settings.
	anchors(settings probe.ResolverSettings) ([]dnssec.Anchor, error)
	// files returns the files and directories that build and anchors read.
	files(*config.Config) []string
	// resolvConf returns the path of the file with the addresses of the resolvers of
	// the system. It is empty if the configuration does not use it.
	resolvConf(*config.Config) string
}

// newProber returns a prober with the settings of c. Its errors are those of newViews.
func newProber(c *config.Config, env environment) (*probe.Prober, error) {
	built := env.build()
	views, err := newViews(c, env, built, nil, false, observer{query: func(*view, transport.Event) {}})
	if err != nil {
		return nil, err
	}
	return newProberIn(built, c, views), nil
}

func newProberIn(env probe.Environment, c *config.Config, v views) *probe.Prober {
	settings := probe.Settings{Access: c.Access, HandshakeReuse: c.Limits.HandshakeReuse}
	return probe.New(env, settings).WithResolvers(v.resolvers())
}

// internet is the environment of all commands outside of the lab.
type internet struct {
	resolvConfPath string // default /etc/resolv.conf
}

func (internet) adjust(c *config.Config) *config.Config { return c }

func (internet) build() probe.Environment {
	return probe.Environment{
		Now:      time.Now,
		Dial:     dial,
		Query:    queryServer(transport.QueryServer),
		Roots:    systemRoots(),
		Hostname: hostname(),
	}
}

func (i internet) transport(settings probe.ResolverSettings, roots *x509.CertPool, observe func(transport.Event)) (dnssec.Transport, error) {
	return transport.New(settings.Servers, transport.Options{
		Timeout: settings.Timeout, Attempts: settings.Attempts, Observe: observe,
		Roots: roots, ResolvConf: i.resolvConfPath,
	})
}

// anchors returns the built-in trust anchors, or those of a file.
func (internet) anchors(settings probe.ResolverSettings) ([]dnssec.Anchor, error) {
	if settings.TrustAnchors == config.BuiltinAnchors {
		return dnssec.BuiltinAnchors(), nil
	}
	file, err := os.Open(settings.TrustAnchors)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	anchors, err := dnssec.ParseAnchors(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", settings.TrustAnchors, err)
	}
	return anchors, nil
}

func (internet) files(c *config.Config) []string {
	files, directories := rootPaths()
	all := slices.Concat(files, directories)
	resolvers := c.Resolvers()
	for _, module := range slices.Sorted(maps.Keys(resolvers)) {
		if path := resolvers[module].TrustAnchors; path != config.BuiltinAnchors && !slices.Contains(all, path) {
			all = append(all, path)
		}
	}
	return all
}

func (i internet) resolvConf(c *config.Config) string {
	for _, settings := range c.Resolvers() {
		if slices.Contains(settings.Servers, "system") {
			return cmp.Or(i.resolvConfPath, "/etc/resolv.conf")
		}
	}
	return ""
}

// dial connects to an address by TCP. from is the source address, or the zero
// Addr for any. If this machine has no route to the address, the error wraps
// probe.ErrNoIPv6 or probe.ErrNoRoute.
func dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1} // a probe ends before the first keep-alive would be sent
	if from.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	return conn, withRouteError(err, to)
}

// queryServer returns ask, with errors that wrap probe.ErrNoIPv6 or
// probe.ErrNoRoute if this machine has no route to the server.
func queryServer[Query, Response any](ask func(context.Context, netip.AddrPort, Query) (Response, error)) func(context.Context, netip.AddrPort, Query) (Response, error) {
	return func(ctx context.Context, server netip.AddrPort, query Query) (Response, error) {
		response, err := ask(ctx, server, query)
		return response, withRouteError(err, server)
	}
}

// withRouteError returns the error of a connection to an address. If this machine
// has no route to the address, it wraps probe.ErrNoIPv6 or probe.ErrNoRoute.
func withRouteError(err error, to netip.AddrPort) error {
	switch {
	case err == nil || hasRoute(to):
		return err
	case to.Addr().Unmap().Is4():
		return fmt.Errorf("%w: %w", probe.ErrNoRoute, err)
	default:
		return fmt.Errorf("%w: %w", probe.ErrNoIPv6, err)
	}
}

// hasRoute reports whether this machine has a route and a source address for an
// address. Connecting a UDP socket involves the local kernel only. A TCP
// connection can fail with the same error if a distant router has no route.
func hasRoute(to netip.AddrPort) bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		// Without a descriptor or memory for the socket, the routes are not known.
		return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
	}
	conn.Close()
	return true
}

// hostname returns the name of this machine for EHLO, or "" if it is not fully qualified.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || !strings.Contains(name, ".") {
		return ""
	}
	return name
}
