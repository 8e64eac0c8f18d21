package lab

import "net/netip"

// proxyAddress is where the lab's SOCKS5 proxy listens, and what it connects from.
func proxyAddress() netip.AddrPort { return netip.MustParseAddrPort("198.51.100.20:1080") }

// sourceAddress is the one that a scenario's server takes connections from.
func sourceAddress() netip.Addr { return netip.MustParseAddr("198.51.100.7") }

// Modules are those that scenarios need beside the built-in ones, as a
// configuration file has them. At lab_proxy there is a proxy, at
// lab_proxy_dead there is none.
const Modules = `modules:
  lab_proxy: {proxy: "socks5://198.51.100.20:1080"}
  lab_proxy_ip6: {proxy: "socks5://198.51.100.20:1080", ip_protocol: ip6}
  lab_proxy_dead: {proxy: "socks5://198.51.100.21:1080"}
  lab_source: {source_addresses: [198.51.100.7]}
  lab_ip4: {ip_protocol: ip4}
  lab_ip6: {ip_protocol: ip6}
`
