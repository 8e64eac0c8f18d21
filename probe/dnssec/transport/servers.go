package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// Where servers listen unless told otherwise (RFC 1035 §4.2, RFC 7858 §3.1).
const (
	dnsPort = 53
	tlsPort = 853
)

// server is one resolver. It is named once and for all, by address: metrics
// and pages show the name.
type server struct {
	name    string
	network string // "udp", with TCP where that does not suffice; "tcp"; "tls"
	address netip.AddrPort
	peer    string // over TLS: whom the certificate must name; empty: the address

	sockets chan struct{} // holds an element for each UDP socket that is open
	streams *streams
	health  health
}

// parseServers reads the list of a configuration, in order, without doubles.
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
			of, err := systemServers(resolvConf)
			if err != nil {
				return nil, err
			}
			for _, s := range of {
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
	default:
		return nil, fmt.Errorf("resolver %q: want udp://, tcp:// or tls:// before the address, or nothing", text)
	}
	rest, peer, named := strings.Cut(rest, "#")
	if named {
		if network != "tls" {
			return nil, fmt.Errorf("resolver %q: only a resolver over tls:// shows a certificate that could hold a name", text)
		}
		if peer = strings.ToLower(strings.TrimSuffix(peer, ".")); !isHostName(peer) {
			return nil, fmt.Errorf("resolver %q: want the name in its certificate after the #, as tls://192.0.2.53#dns.example.net", text)
		}
	}
	address, err := netip.ParseAddrPort(rest)
	if err != nil {
		host, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]"))
		if err != nil && network == "tls" {
			return nil, fmt.Errorf("resolver %q: no name can be looked up without a resolver; want its address, as tls://192.0.2.53, and behind it "+
				"the name in its certificate, as tls://192.0.2.53#dns.example.net, if that is not for the address", text)
		}
		if err != nil {
			return nil, fmt.Errorf("resolver %q: want \"system\" or an address, as 192.0.2.53, 192.0.2.53:53 or [2001:db8::53]:53", text)
		}
		address = netip.AddrPortFrom(host, port)
	}
	if address.Port() == 0 {
		return nil, fmt.Errorf("resolver %q: nothing answers on port 0", text)
	}
	return newServer(network, address, peer), nil
}

func newServer(network string, address netip.AddrPort, peer string) *server {
	s := &server{name: address.String(), network: network, address: address, peer: peer, sockets: make(chan struct{}, maxSockets)}
	if network != "udp" {
		s.name = network + "://" + s.name
	}
	if peer != "" {
		s.name += "#" + peer
	}
	return s
}

// isHostName says whether a name in lower case can be one of a certificate:
// letters, digits and hyphens (RFC 1123 §2.1), and no address.
func isHostName(name string) bool {
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

// systemServers reads the name servers of a resolv.conf(5). Without any, the
// machine itself is the one; what is no address is passed over, as the C
// library does.
func systemServers(path string) ([]*server, error) {
	config, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the system's name servers: %w", err)
	}
	if len(config.Servers) == 0 {
		return []*server{newServer("udp", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort), "")}, nil
	}
	var servers []*server
	for _, text := range config.Servers {
		if host, err := netip.ParseAddr(text); err == nil {
			servers = append(servers, newServer("udp", netip.AddrPortFrom(host, dnsPort), ""))
		}
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("read the system's name servers: none of the %d in %s is an address", len(config.Servers), path)
	}
	return servers, nil
}
