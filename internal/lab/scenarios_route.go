package lab

import (
	"net/netip"

	"dane_exporter/internal/lab/server"
)

// routeScenarios returns scenarios about proxies, source addresses and address
// families.
func routeScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "proxy",
			Description: "The mail server accepts connections only from the proxy, and the module uses the proxy.",
			Module:      "lab_proxy", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.goodMXFor(proxyAddress().Addr()) },
		},
		{
			Name:        "proxy-not-used",
			Description: "The mail server accepts connections only from the proxy, and the module does not use it.",
			Module:      "smtp_mx", Outcome: "unreachable", Reasons: []string{"connect_failed"},
			build: func(b *builder) { b.goodMXFor(proxyAddress().Addr()) },
		},
		{
			Name:        "proxy-target-refuses",
			Description: "The proxy reports that the mail server refused the connection. That is the server's fault.",
			Module:      "lab_proxy", Outcome: "unreachable", Reasons: []string{"connect_failed"},
			build: func(b *builder) {
				b.mx("mx")
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
		{
			Name:        "proxy-dead",
			Description: "The proxy does not listen. The mail server cannot be judged.",
			Module:      "lab_proxy_dead", Outcome: "unknown", Reasons: []string{"proxy_failed"},
			build: func(b *builder) { b.goodMX() },
		},
		{
			Name:        "proxy-without-ipv6",
			Description: "The proxy cannot reach the mail server's IPv6 address, which is skipped. DANE clients authenticate its IPv4 address.",
			Module:      "lab_proxy", Outcome: "authenticated", Success: true, Reasons: []string{"ipv6_unavailable"},
			Series: []string{`dane_endpoints_skipped{port="25"} 1`, `dane_endpoints{outcome="authenticated"} 1`},
			build:  func(b *builder) { b.ipv6("mx", b.goodMX()) },
		},
		{
			Name:        "proxy-without-ipv6-no-ipv4",
			Description: "The proxy cannot reach the mail server's only address, which is IPv6. The mail server cannot be judged.",
			Module:      "lab_proxy", Outcome: "unknown", Reasons: []string{"ipv6_unavailable"},
			Series: []string{`dane_endpoints_skipped{port="25"} 1`},
			Absent: []string{`dane_endpoints{port="25"}`},
			build: func(b *builder) {
				b.add("@ MX 10 mx")
				b.ipv6("mx", b.leaf("mx"))
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
			},
		},
		{
			Name:        "proxy-without-ipv6-demanded",
			Description: "The proxy cannot reach IPv6 addresses, and the module requires them. The mail server cannot be judged.",
			Module:      "lab_proxy_ip6", Outcome: "unknown", Reasons: []string{"ipv6_unavailable"},
			Series: []string{`dane_endpoints{outcome="unknown"} 1`},
			Absent: []string{`dane_endpoints_skipped{port="25"}`},
			build:  func(b *builder) { b.ipv6("mx", b.goodMX()) },
		},
		{
			Name:        "source-address",
			Description: "The mail server accepts connections only from the module's source address.",
			Module:      "lab_source", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.goodMXFor(sourceAddress()) },
		},
		{
			Name:        "source-address-other",
			Description: "The mail server accepts connections only from one source address, which the module does not use.",
			Module:      "smtp_mx", Outcome: "unreachable", Reasons: []string{"connect_failed"},
			build: func(b *builder) { b.goodMXFor(sourceAddress()) },
		},
		{
			Name:        "ip4-alone",
			Description: "The mail server has another key at its IPv6 address. The module probes only IPv4.",
			Module:      "lab_ip4", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.goodMX()
				b.ipv6("mx", b.leaf("mx"))
			},
		},
		{
			Name:        "ip6-alone",
			Description: "The mail server has another key at its IPv6 address. The module probes only IPv6.",
			Module:      "lab_ip6", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				b.goodMX()
				b.ipv6("mx", b.leaf("mx"))
			},
		},
		{
			Name:        "ip6-demanded",
			Description: "The mail server has only an IPv4 address, and the module requires IPv6.",
			Module:      "lab_ip6", Outcome: "none", Reasons: []string{"no_address"},
			build: func(b *builder) { b.goodMX() },
		},
	}
}

// goodMXFor adds a mail server like goodMX that accepts connections only from client.
func (b *builder) goodMXFor(client netip.Addr) {
	certificate, at := b.leaf("mx"), b.mx("mx")
	b.serveSMTP(at, certificate)
	b.onlyClient[netip.AddrPortFrom(at, 25)] = client
	b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
}

// ipv6 gives host an IPv6 address, and adds a mail server with that certificate there.
func (b *builder) ipv6(host string, certificate *server.Certificate) {
	address := b.address6()
	b.add("%s AAAA %s", host, address)
	b.serveSMTP(address, certificate)
}
