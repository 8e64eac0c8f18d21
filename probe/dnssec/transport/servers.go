package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/printable"
)

// Default ports (RFC 1035 §4.2, RFC 7858 §3.1, RFC 9110 §4.2.2).
const (
	dnsPort   = 53
	tlsPort   = 853
	httpsPort = 443
)

// server is one resolver.
type server struct {
	name    string // in metrics and on pages; contains the address and does not change
	network string // "udp" (and TCP for truncated responses), "tcp", "tls" or "https"
	address netip.AddrPort
	path    string // of the URL, with "https"
	tlsName string // name that the certificate must have; empty: the address

	sockets chan struct{} // holds an element for each UDP socket that is open
	streams *streamPool   // connections over TCP or TLS
	https   *httpsPool    // connections over HTTPS
	health  health
}

// exchange sends a query over "udp", "tcp", "tls" or "https" and returns the response. It
// fails with context.DeadlineExceeded after the timeout, and with the error of
// ctx if that ends first.
func (s *server) exchange(ctx context.Context, timeout time.Duration, network string, q packedQuery) (*dns.Msg, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	exchange := s.streams.exchange
	switch network {
	case "udp":
		exchange = s.exchangeUDP
	case "https":
		exchange = s.https.exchange
	}
	response, err := exchange(limited, q)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return response, err
}

// dialTCP connects to the server over TCP.
func (s *server) dialTCP(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", s.address.String())
}

// tlsDialer returns a function that connects to the server over TLS. There is no fallback
// to clear text.
func (s *server) tlsDialer(roots *x509.CertPool) func(context.Context) (net.Conn, error) {
	config := s.tlsConfig(roots)
	return func(ctx context.Context) (net.Conn, error) { return s.dialTLS(ctx, config) }
}

func (s *server) dialTLS(ctx context.Context, config *tls.Config) (net.Conn, error) {
	tcp, err := s.dialTCP(ctx)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(tcp, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		tcp.Close()
		return nil, fmt.Errorf("TLS handshake: %w", untrustedError{err})
	}
	return conn, nil
}

// tlsConfig returns the configuration that authenticates the server, by the strict profile
// of RFC 8310 §5: the certificate must chain to one of roots, and must be for the
// configured authentication domain name (RFC 8310 §8.1), or for the address if no name is
// configured.
func (s *server) tlsConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{ServerName: s.host(), RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// host returns the name that the certificate must have: the configured name, or the address.
func (s *server) host() string { return cmp.Or(s.tlsName, s.address.Addr().WithZone("").String()) }

// url returns the URL of a server over HTTPS.
func (s *server) url() string {
	authority := s.host()
	if s.address.Port() != httpsPort || strings.Contains(authority, ":") {
		authority = net.JoinHostPort(authority, strconv.Itoa(int(s.address.Port())))
	}
	return "https://" + authority + s.path
}

// untrustedError is an error whose text may quote data from the server, such as
// the names in its certificate. Its text is printable, in one line, and short.
type untrustedError struct{ err error }

func (e untrustedError) Error() string { return printable.Text(e.err.Error(), 300) }

func (e untrustedError) Unwrap() error { return e.err }

// parseServers returns the servers of a list in its order, without duplicates.
func parseServers(texts []string, resolvConf string) ([]*server, error) {
	var servers []*server
	known := make(map[string]bool)
	add := func(s *server) {
		if !known[s.name] {
			known[s.name] = true
			servers = append(servers, s)
		}
	}
	for _, text := range texts {
		if text == "system" {
			system, err := systemServers(resolvConf)
			if err != nil {
				return nil, err
			}
			for _, s := range system {
				add(s)
			}
			continue
		}
		s, err := parseServer(text)
		if err != nil {
			return nil, err
		}
		add(s)
	}
	if len(servers) == 0 {
		return nil, errors.New("no resolver: the list of servers is empty")
	}
	return servers, nil
}

// parseServer parses one server in the form that New documents.
func parseServer(text string) (*server, error) {
	network, rest, found := strings.Cut(text, "://")
	if !found {
		network, rest = "udp", text
	}
	port := uint16(dnsPort)
	switch network {
	case "udp", "tcp":
	case "tls":
		port = tlsPort
	case "https":
		port = httpsPort
	default:
		return nil, fmt.Errorf("resolver %q: the scheme must be udp://, tcp://, tls:// or https://", text)
	}
	rest, tlsName, named := strings.Cut(rest, "#")
	if named {
		if network != "tls" && network != "https" {
			return nil, fmt.Errorf("resolver %q: a certificate name after # is allowed only with tls:// and https://", text)
		}
		if tlsName = strings.ToLower(strings.TrimSuffix(tlsName, ".")); !isHostname(tlsName) {
			return nil, fmt.Errorf("resolver %q: the certificate name after # must be a hostname, as in tls://192.0.2.53#dns.example.net", text)
		}
	}
	path := ""
	if network == "https" {
		var found bool
		var err error
		rest, path, found = strings.Cut(rest, "/")
		if path, err = parsePath(path, found); err != nil {
			return nil, fmt.Errorf("resolver %q: %w", text, err)
		}
	}
	address, err := netip.ParseAddrPort(rest)
	if err != nil {
		host, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]"))
		if err != nil && (network == "tls" || network == "https") {
			form := network + "://192.0.2.53" + path
			return nil, fmt.Errorf("resolver %q: must have an IP address, as in %s, since no name can be looked up without a resolver; "+
				"if the certificate is not for the address, add its name, as in %s#dns.example.net", text, form, form)
		}
		if err != nil {
			return nil, fmt.Errorf("resolver %q: must be \"system\" or an IP address, such as 192.0.2.53, 192.0.2.53:53 or [2001:db8::53]:53", text)
		}
		address = netip.AddrPortFrom(host, port)
	}
	if address.Port() == 0 {
		return nil, fmt.Errorf("resolver %q: the port must not be 0", text)
	}
	return newServer(network, address, path, tlsName), nil
}

// newServer returns a server without connections. New adds the pools of connections.
func newServer(network string, address netip.AddrPort, path, tlsName string) *server {
	s := &server{name: address.String() + path, network: network, address: address, path: path, tlsName: tlsName, sockets: make(chan struct{}, maxSockets)}
	if network != "udp" {
		s.name = network + "://" + s.name
	}
	if tlsName != "" {
		s.name += "#" + tlsName
	}
	return s
}

// isHostname reports whether a name in lower case can be the DNS name of a
// certificate: labels of letters, digits and hyphens (RFC 1123 §2.1), and not an
// IP address.
func isHostname(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
			strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return true
}

// systemServers returns the nameservers of a resolv.conf(5) file. As in the C
// library, a file without nameservers means the local host, and a nameserver that
// is not an IP address is ignored.
func systemServers(path string) ([]*server, error) {
	config, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the system's nameservers: %w", err)
	}
	if len(config.Servers) == 0 {
		return []*server{newServer("udp", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort), "", "")}, nil
	}
	var servers []*server
	for _, text := range config.Servers {
		if host, err := netip.ParseAddr(text); err == nil {
			servers = append(servers, newServer("udp", netip.AddrPortFrom(host, dnsPort), "", ""))
		}
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("read the system's nameservers: none of the %d in %s is an IP address", len(config.Servers), path)
	}
	return servers, nil
}
