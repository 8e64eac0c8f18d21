package lab

import (
	"net/netip"
	"slices"
	"strings"
)

// Scenario is one domain of the lab, with the expected result of a probe.
type Scenario struct {
	Name        string   // the first label of the target, or the whole target if OwnTLD is set
	OwnTLD      bool     // the target is below a top-level domain of its own
	Description string   // what is set up, and what a DANE client does
	Module      string   // to probe it with: built in, or one of Modules
	Outcome     string   // of the target
	Success     bool     // probe_success
	Reasons     []string // of the findings, sorted, without duplicates
	Advice      []string // topics of the advice, sorted, without duplicates
	Later       string   // outcome in 14 days if nothing changes; empty: Outcome

	// Series are further expected series, as "name{label="value"} 1". Labels that
	// are not listed may have any value.
	Series []string
	// Absent are series that must not exist, as "name{label="value"}".
	Absent []string

	build func(*builder)
}

// Target returns the target to probe.
func (s Scenario) Target() string { return strings.TrimSuffix(s.domain(), ".") }

// domain returns the absolute name of the target.
func (s Scenario) domain() string {
	if s.OwnTLD {
		return s.Name + "."
	}
	return s.Name + "." + origin
}

// Scenarios returns all scenarios, grouped by subject.
func Scenarios() []Scenario {
	return slices.Concat(
		goodScenarios(),
		discoveryScenarios(),
		dnssecScenarios(),
		brokenTLDScenarios(),
		aliasScenarios(),
		daneEEScenarios(),
		adviceScenarios(),
		renewalScenarios(),
		nameserverScenarios(),
		delegationScenarios(),
		daneTAScenarios(),
		serverScenarios(),
		dialogueScenarios(),
		tlsScenarios(),
		hostileScenarios(),
		clientScenarios(),
		protocolScenarios(),
		routeScenarios(),
		srvScenarios(),
		mailSRVScenarios(),
		servicesScenarios(),
		mtaSTSScenarios(),
	)
}

// proxyAddress is the address of the lab's SOCKS5 proxy. The proxy connects from
// the same IP address.
func proxyAddress() netip.AddrPort { return netip.MustParseAddrPort("198.51.100.20:1080") }

// sourceAddress is the only address that the server of source-address accepts
// connections from.
func sourceAddress() netip.Addr { return netip.MustParseAddr("198.51.100.7") }

// Modules is a configuration file with the modules that scenarios need in addition
// to the built-in ones, and lab_summary, which is smtp_mx with fewer series. There is no
// proxy at the address in lab_proxy_dead.
const Modules = `modules:
  lab_proxy: {proxy: "socks5://198.51.100.20:1080"}
  lab_proxy_ip6: {proxy: "socks5://198.51.100.20:1080", ip_protocol: ip6}
  lab_proxy_dead: {proxy: "socks5://198.51.100.21:1080"}
  lab_source: {source_addresses: [198.51.100.7]}
  lab_ip4: {ip_protocol: ip4}
  lab_ip6: {ip_protocol: ip6}
  lab_renewal: {renewal: true, issuers: {Lab: [ca.lab.test]}}
  lab_summary: {series: summary}
`
