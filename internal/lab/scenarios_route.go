package lab

import (
	"net/netip"

	"dane_exporter/internal/lab/server"
)

// routeScenarios: by which way connections leave, and of which family.
func routeScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "proxy",
			Story:  "The mail server takes connections from the proxy alone, and the module goes through it.",
			Module: "lab_proxy", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.goodFor(proxyAddress().Addr()) },
		},
		{
			Name:   "proxy-not-used",
			Story:  "The same mail server, asked without the proxy.",
			Module: "smtp_mx", Outcome: "unreachable", Reasons: []string{"connect_failed"},
			build: func(b *builder) { b.goodFor(proxyAddress().Addr()) },
		},
		{
			Name:   "proxy-finds-nobody",
			Story:  "The proxy says that nothing listens at the mail server's address: that is the server's fault.",
			Module: "lab_proxy", Outcome: "unreachable", Reasons: []string{"connect_failed"},
			build: func(b *builder) {
				b.mx("mx")
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
		{
			Name:   "proxy-dead",
			Story:  "Nothing listens where the proxy should be: of the mail server, nothing can be said.",
			Module: "lab_proxy_dead", Outcome: "unknown", Reasons: []string{"proxy_failed"},
			build: func(b *builder) { b.good() },
		},
		{
			Name:   "proxy-without-ipv6",
			Story:  "The proxy has no way to the IPv6 address of the mail server, which is skipped.",
			Module: "lab_proxy", Outcome: "authenticated", Success: true, Reasons: []string{"ipv6_unavailable"},
			Series: []string{`dane_endpoints_skipped{port="25"} 1`, `dane_endpoints{outcome="authenticated"} 1`},
			build:  func(b *builder) { b.ipv6("mx", b.good()) },
		},
		{
			Name:   "proxy-without-ipv6-no-ipv4",
			Story:  "The same, and the mail server has no IPv4 address: nothing can be said of it.",
			Module: "lab_proxy", Outcome: "unknown", Reasons: []string{"ipv6_unavailable"},
			Series: []string{`dane_endpoints_skipped{port="25"} 1`, `dane_endpoints{outcome="unknown"} 0`},
			build: func(b *builder) {
				b.add("@ MX 10 mx")
				b.ipv6("mx", b.leaf("mx"))
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
		{
			Name:   "proxy-without-ipv6-demanded",
			Story:  "The proxy has no way to IPv6 addresses, and the module demands them: nothing is skipped.",
			Module: "lab_proxy_ip6", Outcome: "unknown", Reasons: []string{"ipv6_unavailable"},
			Series: []string{`dane_endpoints_skipped{port="25"} 0`, `dane_endpoints{outcome="unknown"} 1`},
			build:  func(b *builder) { b.ipv6("mx", b.good()) },
		},
		{
			Name:   "source-address",
			Story:  "The mail server takes connections from one address alone, by which the module leaves.",
			Module: "lab_source", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.goodFor(sourceAddress()) },
		},
		{
			Name:   "source-address-other",
			Story:  "The same mail server, asked from whichever address the system picks.",
			Module: "smtp_mx", Outcome: "unreachable", Reasons: []string{"connect_failed"},
			build: func(b *builder) { b.goodFor(sourceAddress()) },
		},
		{
			Name:   "ip4-alone",
			Story:  "The key at the mail server's IPv6 address is another, and the module does not look there.",
			Module: "lab_ip4", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.good()
				b.ipv6("mx", b.leaf("mx"))
			},
		},
		{
			Name:   "ip6-alone",
			Story:  "The same, and the module looks nowhere else.",
			Module: "lab_ip6", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.good()
				b.ipv6("mx", b.leaf("mx"))
			},
		},
		{
			Name:   "ip6-demanded",
			Story:  "The module demands IPv6, and the mail server has an IPv4 address alone.",
			Module: "lab_ip6", Outcome: "none", Reasons: []string{"no_address"},
			build: func(b *builder) { b.good() },
		},
	}
}

// goodFor is a good mail server that takes connections from one address alone.
func (b *builder) goodFor(client netip.Addr) {
	certificate, at := b.leaf("mx"), b.mx("mx")
	b.mail(at, certificate)
	b.only[netip.AddrPortFrom(at, 25)] = client
	b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
}

// ipv6 gives host an IPv6 address, and a mail server that shows certificate there.
func (b *builder) ipv6(host string, certificate *server.Certificate) {
	address := b.address6()
	b.add("%s AAAA %s", host, address)
	b.mail(address, certificate)
}
