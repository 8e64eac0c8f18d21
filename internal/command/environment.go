package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	// build returns the environment of a prober. observe is called after each DNS query.
	build(settings config.Resolver, observe func(transport.Event)) (probe.Environment, error)
	// withResolvers returns env with resolvers whose addresses are read anew.
	withResolvers(env probe.Environment, settings config.Resolver, observe func(transport.Event)) (probe.Environment, error)
	// files returns the files and directories that build reads, except the one of resolvConf.
	files(config.Resolver) []string
	// resolvConf returns the path of the file with the addresses of the resolvers of
	// the system. It is empty if the settings do not use it.
	resolvConf(config.Resolver) string
}

// newProber returns a prober with the settings of c. It fails if a resolver
// address is invalid, or if the trust anchors cannot be read.
func newProber(c *config.Config, env environment, observe func(transport.Event)) (*probe.Prober, error) {
	built, err := env.build(c.Resolver, observe)
	if err != nil {
		return nil, err
	}
	return newProberIn(built, c), nil
}

func newProberIn(env probe.Environment, c *config.Config) *probe.Prober {
	attempts := time.Duration(c.Resolver.Attempts * len(env.DNS.Servers()))
	return probe.New(env, probe.Settings{
		DNS: dnssec.Options{
			SHA1:               c.Resolver.SHA1,
			NSEC3MaxIterations: c.Resolver.NSEC3MaxIterations,
			QueryTimeout:       c.Resolver.Timeout * attempts,
		},
		Access:         c.Access,
		HandshakeReuse: c.Limits.HandshakeReuse,
	})
}

// internet is the environment of all commands outside of the lab.
type internet struct {
	resolvConfPath string // default /etc/resolv.conf
}

func (internet) adjust(c *config.Config) *config.Config { return c }

func (i internet) build(settings config.Resolver, observe func(transport.Event)) (probe.Environment, error) {
	anchors, err := loadAnchors(settings.TrustAnchors)
	if err != nil {
		return probe.Environment{}, err
	}
	return i.withResolvers(probe.Environment{
		Now:      time.Now,
		Dial:     dial,
		Query:    queryServer(transport.QueryServer),
		Anchors:  anchors,
		Roots:    systemRoots(),
		Hostname: hostname(),
	}, settings, observe)
}

func (i internet) withResolvers(env probe.Environment, settings config.Resolver, observe func(transport.Event)) (probe.Environment, error) {
	servers, err := transport.New(settings.Servers, transport.Options{
		Timeout: settings.Timeout, Attempts: settings.Attempts, Observe: observe,
		Roots: env.Roots, ResolvConf: i.resolvConfPath,
	})
	if err != nil {
		return probe.Environment{}, fmt.Errorf("configure the resolvers: %w", err)
	}
	env.DNS = servers
	return env, nil
}

func (internet) files(settings config.Resolver) []string {
	files, directories := rootPaths()
	all := slices.Concat(files, directories)
	if settings.TrustAnchors != config.BuiltinAnchors {
		all = append(all, settings.TrustAnchors)
	}
	return all
}

func (i internet) resolvConf(settings config.Resolver) string {
	if !slices.Contains(settings.Servers, "system") {
		return ""
	}
	return cmp.Or(i.resolvConfPath, "/etc/resolv.conf")
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

// loadAnchors returns the trust anchors of the setting resolver.trust_anchors: the
// built-in ones, or those of a file.
func loadAnchors(setting string) ([]dnssec.Anchor, error) {
	if setting == config.BuiltinAnchors {
		return dnssec.BuiltinAnchors(), nil
	}
	file, err := os.Open(setting)
	if err != nil {
		return nil, fmt.Errorf("read resolver.trust_anchors: %w", err)
	}
	defer file.Close()
	anchors, err := dnssec.ParseAnchors(file)
	if err != nil {
		return nil, fmt.Errorf("read resolver.trust_anchors: %s: %w", setting, err)
	}
	return anchors, nil
}

// hostname returns the name of this machine for EHLO, or "" if it is not fully qualified.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || !strings.Contains(name, ".") {
		return ""
	}
	return name
}
