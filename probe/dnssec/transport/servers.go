package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

const dnsPort = 53

// server is one resolver. It is named once and for all, by address: metrics
// and pages show the name.
type server struct {
	name    string
	address netip.AddrPort
	tcpOnly bool
}

// parseServers reads the list of a configuration, in order, without doubles.
func parseServers(texts []string, resolvConf string) ([]server, error) {
	var servers []server
	known := make(map[string]bool)
	add := func(s server) {
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

func parseServer(text string) (server, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "udp", text
	}
	switch scheme {
	case "udp", "tcp":
	case "tls":
		return server{}, fmt.Errorf("resolver %q: DNS over TLS is not supported yet; want udp:// or tcp://", text)
	default:
		return server{}, fmt.Errorf("resolver %q: want udp:// or tcp:// before the address, or neither", text)
	}
	address, err := netip.ParseAddrPort(rest)
	if err != nil {
		host, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]"))
		if err != nil {
			return server{}, fmt.Errorf("resolver %q: want \"system\" or an address, as 192.0.2.53, 192.0.2.53:53 or [2001:db8::53]:53", text)
		}
		address = netip.AddrPortFrom(host, dnsPort)
	}
	if address.Port() == 0 {
		return server{}, fmt.Errorf("resolver %q: nothing answers on port 0", text)
	}
	return newServer(address, scheme == "tcp"), nil
}

func newServer(address netip.AddrPort, tcpOnly bool) server {
	s := server{name: address.String(), address: address, tcpOnly: tcpOnly}
	if tcpOnly {
		s.name = "tcp://" + s.name
	}
	return s
}

// systemServers reads the name servers of a resolv.conf(5). Without any, the
// machine itself is the one; what is no address is passed over, as the C
// library does.
func systemServers(path string) ([]server, error) {
	config, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the system's name servers: %w", err)
	}
	if len(config.Servers) == 0 {
		return []server{newServer(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort), false)}, nil
	}
	var servers []server
	for _, text := range config.Servers {
		if host, err := netip.ParseAddr(text); err == nil {
			servers = append(servers, newServer(netip.AddrPortFrom(host, dnsPort), false))
		}
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("read the system's name servers: none of the %d in %s is an address", len(config.Servers), path)
	}
	return servers, nil
}
