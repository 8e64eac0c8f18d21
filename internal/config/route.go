package config

import (
	"net/netip"
	"slices"

	"dane_exporter/probe/handshake"
)

// proxy reads a proxy, or "" for none. What is wrong is told without
// repeating what was given: there may be a password in it.
func proxy(into *handshake.Proxy) read {
	return func(v value) {
		given, ok := v.scalar("a proxy, as socks5://192.0.2.1:1080")
		if !ok {
			return
		}
		if given == "" {
			*into = handshake.Proxy{}
			return
		}
		parsed, err := handshake.ParseProxy(given)
		if err != nil {
			v.wrong("not a proxy: %v", err)
			return
		}
		*into = parsed
	}
}

// sources reads the addresses to leave by, of each family at most one.
func sources(into *[]netip.Addr) read {
	const wanted = "addresses of this machine"
	return func(v value) {
		var addresses []netip.Addr
		v.list(wanted, func(element value) {
			given, ok := element.scalar(wanted)
			if !ok {
				return
			}
			addr, err := netip.ParseAddr(given)
			addr = addr.Unmap()
			twin := func(other netip.Addr) bool { return other.Is4() == addr.Is4() }
			switch {
			case err != nil || addr.IsUnspecified() || addr.IsMulticast():
				element.wrong("%s is no address of this machine; wanted one such as 192.0.2.7", quote(given))
			case slices.ContainsFunc(addresses, twin):
				element.wrong("%s is the second address of its family; wanted at most one IPv4 and one IPv6 address", quote(given))
			default:
				addresses = append(addresses, addr)
			}
		})
		*into = addresses
	}
}
