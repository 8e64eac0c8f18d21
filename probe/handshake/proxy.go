package handshake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"

	"dane_exporter/internal/socks"
	"dane_exporter/probe/dane"
)

// Proxy is a SOCKS5 proxy for connections. The zero value is no proxy.
type Proxy struct {
	Address        netip.AddrPort
	User, Password string // empty: the proxy requires none
	PasswordInFile bool   // Password is not from the text that ParseProxy parses
}

// MaxPassword is the maximum length of a password, in bytes.
const MaxPassword = socks.MaxCredential

// ParseProxy parses socks5://[user:password@]address:port. The error says which
// form is valid, and repeats nothing of text, which may contain a password.
func ParseProxy(text string) (Proxy, error) {
	invalid := errors.New(`use the form socks5://192.0.2.1:1080 or socks5://[2001:db8::1]:1080, with an address, not a name, and user:password@ before the address if the proxy needs them`)
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "socks5" || parsed.Path != "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return Proxy{}, invalid
	}
	proxy := Proxy{User: parsed.User.Username()}
	proxy.Password, _ = parsed.User.Password()
	if proxy.Address, err = netip.ParseAddrPort(parsed.Host); err != nil || proxy.Address.Port() == 0 {
		return Proxy{}, invalid
	}
	if parsed.User != nil && proxy.User == "" || len(proxy.User) > socks.MaxCredential || len(proxy.Password) > socks.MaxCredential {
		return Proxy{}, fmt.Errorf("user and password must not exceed %d bytes each, and a password needs a user", socks.MaxCredential)
	}
	return proxy, nil
}

// String returns the proxy as in the configuration, with a mask for a password. It is
// empty if there is no proxy.
func (p Proxy) String() string {
	switch {
	case p == Proxy{}:
		return ""
	case p.User == "":
		return "socks5://" + p.Address.String()
	case p.Password == "" || p.PasswordInFile:
		return "socks5://" + url.User(p.User).String() + "@" + p.Address.String()
	default:
		return "socks5://" + url.User(p.User).String() + ":<secret>@" + p.Address.String()
	}
}

// MarshalText returns String, so that no encoder writes the password.
func (p Proxy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Route is the way that a connection takes to a server.
type Route struct {
	Proxy  Proxy
	Source netip.Addr // local address; the zero Addr: the system chooses
}

// errProxy is wrapped by errors for which the proxy, not the server, is the cause.
var errProxy = errors.New("the proxy failed")

// Dial opens a connection to an address by a route. grow counts the memory that the
// connection takes until it is closed.
func (c *Client) Dial(ctx context.Context, route Route, to netip.AddrPort, grow Grow) (net.Conn, error) {
	return grow.dial(func() (net.Conn, error) { return c.dialRoute(ctx, route, to) })
}

func (c *Client) dialRoute(ctx context.Context, route Route, to netip.AddrPort) (net.Conn, error) {
	proxy := route.Proxy
	if proxy == (Proxy{}) {
		return c.dial(ctx, route.Source, to)
	}
	conn, err := c.dial(ctx, route.Source, proxy.Address)
	if err != nil {
		return nil, dane.WithCause(dane.CauseProxy, fmt.Errorf("%w: connecting to %s: %v", errProxy, proxy, err)) //nolint:errorlint // must not be classified as an error of the server
	}
	from, err := socks.Connect(ctx, conn, to, proxy.User, proxy.Password)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("through %s: %w", proxy, classifyProxyError(err, to))
	}
	return proxied{conn, from, to}, nil
}

// classifyProxyError separates failures of the proxy from failures of the server
// that it reports. A proxy without IPv6 counts like a machine without IPv6.
func classifyProxyError(err error, to netip.AddrPort) error {
	reply, ok := errors.AsType[*socks.ReplyError](err)
	if !ok {
		return dane.WithCause(dane.CauseProxy, fmt.Errorf("%w: %v", errProxy, err)) //nolint:errorlint // must not be classified as an error of the server
	}
	switch code := reply.Code; {
	case to.Addr().Is6() && (code == socks.NetworkUnreachable || code == socks.AddressTypeUnsupported):
		return dane.WithCause(dane.CauseIPv6Unavailable, fmt.Errorf("no IPv6 connectivity: %w", err))
	case code == socks.NetworkUnreachable, code == socks.HostUnreachable, code == socks.ConnectionRefused, code == socks.TTLExpired:
		return err
	default:
		return dane.WithCause(dane.CauseProxy, fmt.Errorf("%w: %w", errProxy, err))
	}
}

// proxied is a connection through a proxy, with the addresses of its far side.
type proxied struct {
	net.Conn
	from, to netip.AddrPort
}

// LocalAddr returns the address that the server sees, if the proxy reports it.
func (p proxied) LocalAddr() net.Addr {
	if !p.from.IsValid() {
		return p.Conn.LocalAddr()
	}
	return net.TCPAddrFromAddrPort(p.from)
}

// RemoteAddr returns the server's address.
func (p proxied) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.to) }
