package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"

	"dane_exporter/probe/dane"
)

// Access limits what a probe may connect to.
type Access struct {
	Targets       []string       `yaml:"targets"`        // patterns of target names and addresses, for path.Match
	Ports         []uint16       `yaml:"ports"`          // allowed ports of services; empty: all
	AllowNetworks []netip.Prefix `yaml:"allow_networks"` // allowed special-purpose networks
	DenyNetworks  []netip.Prefix `yaml:"deny_networks"`  // forbidden networks; overrides AllowNetworks
}

// ErrNotAllowed is wrapped when the configuration forbids a connection.
var ErrNotAllowed = dane.WithCause(dane.CauseNotAllowed, errors.New("not allowed"))

// allowsTarget reports whether a target may be probed: its name must be listed
// and, if the target is an address, the address too.
func (a Access) allowsTarget(t Target) bool {
	return a.lists(t.Name) && (!t.Address.IsValid() || a.lists(t.Address.String()))
}

func (a Access) lists(name string) bool {
	for _, pattern := range a.Targets {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			return true
		}
	}
	return false
}

// checkService returns an error that wraps ErrNotAllowed if a service must not
// be connected to: its port is not listed, or its address is forbidden. A
// request or a zone may have chosen the port.
func (a Access) checkService(service netip.AddrPort) error {
	if len(a.Ports) > 0 && !slices.Contains(a.Ports, service.Port()) {
		return fmt.Errorf("port %d is not in access.ports: %w", service.Port(), ErrNotAllowed)
	}
	return a.checkAddress(service.Addr())
}

// checkAddress returns an error that wraps ErrNotAllowed if addr is denied, or is
// in a special-purpose network that is not allowed. An IPv4-mapped IPv6 address
// counts as the IPv4 address. The internal networks of clouds count as
// special-purpose networks.
func (a Access) checkAddress(addr netip.Addr) error {
	addr = addr.WithZone("").Unmap()
	for _, network := range a.DenyNetworks {
		if network.Contains(addr) {
			return fmt.Errorf("%s is in %s of access.deny_networks: %w", addr, network, ErrNotAllowed)
		}
	}
	for _, network := range a.AllowNetworks {
		if network.Contains(addr) {
			return nil
		}
	}
	for _, special := range specialPurpose {
		if special.Contains(addr) {
			return fmt.Errorf("%s is in the special-purpose network %s (RFC 6890), which is not in access.allow_networks: %w", addr, special, ErrNotAllowed)
		}
	}
	for _, internal := range cloudInternal {
		if internal.Contains(addr) {
			return fmt.Errorf("%s is in %s, which a cloud uses for services inside its network, and which is not in access.allow_networks: %w", addr, internal, ErrNotAllowed)
		}
	}
	return nil
}

// cloudInternal lists public networks that a cloud uses for services inside its
// network: no registry reserves them, and they do not answer from outside.
var cloudInternal = []netip.Prefix{
	netip.MustParsePrefix("168.63.129.16/32"), // Azure: resolver, DHCP, and the endpoint of the VM agent
	netip.MustParsePrefix("161.26.0.0/24"),    // IBM Cloud: resolvers of the private network
}

// specialPurpose lists the networks of the IANA special-purpose address
// registries (RFC 6890) and multicast: no public mail server has an address in
// them. For IPv6, that is everything outside 2000::/3, the only block of global
// unicast addresses that IANA assigns from, and within it the networks that
// embed IPv4 addresses.
var specialPurpose = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("224.0.0.0/3"),
	netip.MustParsePrefix("::/3"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
	netip.MustParsePrefix("4000::/2"),
	netip.MustParsePrefix("8000::/1"),
}
