package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"

	"dane_exporter/internal/socks"
)

// Proxy is a SOCKS5 proxy that connections go through. The zero value is none.
type Proxy struct {
	Address        netip.AddrPort
	User, Password string // both empty: it asks for none
}

// ParseProxy reads socks5://[user:password@]address:port. The error says what
// form is wanted, and repeats nothing: there may be a password in it.
func ParseProxy(text string) (Proxy, error) {
	wanted := errors.New(`wanted socks5://192.0.2.1:1080 or socks5://user:password@[2001:db8::1]:1080, with an address, not a name`)
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "socks5" || parsed.Path != "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return Proxy{}, wanted
	}
	proxy := Proxy{User: parsed.User.Username()}
	proxy.Password, _ = parsed.User.Password()
	if proxy.Address, err = netip.ParseAddrPort(parsed.Host); err != nil || proxy.Address.Port() == 0 {
		return Proxy{}, wanted
	}
	if parsed.User != nil && proxy.User == "" || len(proxy.User) > socks.MaxCredential || len(proxy.Password) > socks.MaxCredential {
		return Proxy{}, fmt.Errorf("user and password have at most %d bytes each, and there is no password without a user", socks.MaxCredential)
	}
	return proxy, nil
}

// String is the proxy as in the configuration, but for the password. Empty: there is none.
func (p Proxy) String() string {
	switch {
	case p == Proxy{}:
		return ""
	case p.User == "":
		return "socks5://" + p.Address.String()
	default:
		return "socks5://" + url.User(p.User).String() + ":<secret>@" + p.Address.String()
	}
}

// MarshalText is String, so that nothing that writes a Module shows the password.
func (p Proxy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// errProxy: the proxy is why there is no connection, not the server.
var errProxy = errors.New("the proxy failed")

// route is the way that a connection takes to its server.
type route struct {
	proxy  Proxy
	source netip.Addr // of this machine; the zero Addr: whichever it picks
}

// routeTo is the way to an address that the module wants.
func (r *run) routeTo(to netip.AddrPort) route {
	next := to
	if r.module.Proxy != (Proxy{}) {
		next = r.module.Proxy.Address
	}
	way := route{proxy: r.module.Proxy}
	for _, source := range r.module.SourceAddresses {
		if source.Is4() == next.Addr().Unmap().Is4() {
			way.source = source
			break
		}
	}
	return way
}

// dial opens a connection to an address as the module wants it.
func (r *run) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return r.dialBy(ctx, r.routeTo(to), to)
}

func (p *Prober) dialBy(ctx context.Context, way route, to netip.AddrPort) (net.Conn, error) {
	proxy := way.proxy
	if proxy == (Proxy{}) {
		return p.world.Dial(ctx, way.source, to)
	}
	conn, err := p.world.Dial(ctx, way.source, proxy.Address)
	if err != nil {
		return nil, fmt.Errorf("%w: connecting to %s: %v", errProxy, proxy, err)
	}
	from, err := socks.Connect(ctx, conn, to, proxy.User, proxy.Password)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("through %s: %w", proxy, blameProxy(err, to))
	}
	return proxied{conn, from, to}, nil
}

// blameProxy says whose failure it is that a proxy did not connect. That it
// has no way to IPv6 is to us as if we had none.
func blameProxy(err error, to netip.AddrPort) error {
	var refused *socks.ReplyError
	if !errors.As(err, &refused) {
		return fmt.Errorf("%w: %v", errProxy, err)
	}
	switch code := refused.Code; {
	case to.Addr().Is6() && (code == socks.NetworkUnreachable || code == socks.AddressTypeUnsupported):
		return fmt.Errorf("%w: %w", ErrNoIPv6, err)
	case code == socks.NetworkUnreachable, code == socks.HostUnreachable, code == socks.ConnectionRefused, code == socks.TTLExpired:
		return err
	default:
		return fmt.Errorf("%w: %w", errProxy, err)
	}
}

// proxied is a connection as it is beyond the proxy.
type proxied struct {
	net.Conn
	from, to netip.AddrPort
}

// LocalAddr is the address that the server sees, where the proxy tells it.
func (p proxied) LocalAddr() net.Addr {
	if !p.from.IsValid() {
		return p.Conn.LocalAddr()
	}
	return net.TCPAddrFromAddrPort(p.from)
}

// RemoteAddr is the server's.
func (p proxied) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.to) }
