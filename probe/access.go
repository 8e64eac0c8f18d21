package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
)

// Access says where a probe may go.
type Access struct {
	Targets       []string       `yaml:"targets"`        // patterns of target names and addresses, as path.Match reads them
	Ports         []uint16       `yaml:"ports"`          // of services that may be connected to; empty: all
	AllowNetworks []netip.Prefix `yaml:"allow_networks"` // special-purpose networks that may be connected to
	DenyNetworks  []netip.Prefix `yaml:"deny_networks"`  // those that may not be, whatever else is said of them
}

// ErrNotAllowed: the configuration forbids connecting to an address.
var ErrNotAllowed = errors.New("not allowed")

// allowsTarget reports whether a target may be probed: its name must be listed,
// and, where it names an address, that too.
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
// be connected to: its port is not listed, or its address is special. The port
// may have been the choice of whoever asks, or of a zone.
func (a Access) checkService(service netip.AddrPort) error {
	if len(a.Ports) > 0 && !slices.Contains(a.Ports, service.Port()) {
		return fmt.Errorf("port %d, which access.ports does not list: %w", service.Port(), ErrNotAllowed)
	}
	return a.checkAddress(service.Addr())
}

// checkAddress returns an error that wraps ErrNotAllowed if addr is denied, or
// is special and its network is not listed. An IPv4 address in IPv6 clothes is
// judged as what it is, the operator's networks included.
func (a Access) checkAddress(addr netip.Addr) error {
	addr = addr.WithZone("").Unmap()
	for _, network := range a.DenyNetworks {
		if network.Contains(addr) {
			return fmt.Errorf("%s lies in %s, which access.deny_networks lists: %w", addr, network, ErrNotAllowed)
		}
	}
	for _, network := range a.AllowNetworks {
		if network.Contains(addr) {
			return nil
		}
	}
	for _, special := range specialPurpose {
		if special.Contains(addr) {
			return fmt.Errorf("%s lies in the special-purpose network %s (RFC 6890), which access.allow_networks does not list: %w", addr, special, ErrNotAllowed)
		}
	}
	return nil
}

// specialPurpose lists the networks of the IANA special-purpose address
// registries (RFC 6890) and multicast: none of them is a mail server on the
// Internet. Of IPv6 all but 2000::/3 is such (RFC 4291 §2.4), and within it the
// networks in which an IPv4 address of any kind may hide.
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
