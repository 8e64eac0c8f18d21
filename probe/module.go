package probe

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"dane_exporter/probe/caa"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/handshake"
)

// Module is a named set of probe settings: what to probe, by whose rules to
// judge, and what counts as success.
type Module struct {
	Name        string           `yaml:"-"`
	Discover    Discovery        `yaml:"discover"`
	Policy      dane.Policy      `yaml:"policy"`
	Port        uint16           `yaml:"port,omitempty"`
	Protocol    string           `yaml:"protocol,omitempty"` // a name of package starttls
	LookupsOnly LookupsOnly      `yaml:"connect"`            // no connection is made
	Timeout     time.Duration    `yaml:"timeout"`            // of the whole probe; the deadline of the scrape may be earlier
	Require     dane.Requirement `yaml:"require"`
	IPProtocol  IPProtocol       `yaml:"ip_protocol"`
	Series      Series           `yaml:"series"`
	PerAddress  bool             `yaml:"per_address"`       // one series per address instead of the worst
	MTASTS      bool             `yaml:"mta_sts"`           // fetch the domain's MTA-STS policy too; with DiscoverMX only
	Nameservers bool             `yaml:"nameservers"`       // query each nameserver of the zone that holds the TLSA records
	Renewal     bool             `yaml:"renewal"`           // look up what a CA looks up before it issues the next certificates
	Issuers     caa.Issuers      `yaml:"issuers,omitempty"` // in addition to caa.KnownIssuers
	KeyTypes    []dane.KeyType   `yaml:"key_types"`         // one handshake for each; empty: one with all, as a sender does
	SMTP        SMTP             `yaml:"smtp"`

	Services []ServiceSettings `yaml:"services,omitempty"` // of each host, instead of Port and Protocol
	SRV      []SRVSettings     `yaml:"srv,omitempty"`      // with DiscoverSRV, instead of Port and Protocol

	Resolver *ResolverSettings `yaml:"resolver,omitempty"` // nil: the module has none of its own

	Proxy handshake.Proxy `yaml:"proxy"` // for every connection of the probe; not for DNS
	// ProxyPasswordFile is where the password of Proxy is from; empty: the configuration.
	ProxyPasswordFile string       `yaml:"proxy_password_file"`
	SourceAddresses   []netip.Addr `yaml:"source_addresses"` // local addresses of connections, at most one per family
}

// LookupsOnly reports whether a probe makes only lookups, and no connections. It is the
// inverted setting connect, so that the zero Module connects.
type LookupsOnly bool

// MarshalYAML returns the value of the setting.
func (l LookupsOnly) MarshalYAML() (any, error) { return !bool(l), nil }

// ResolverSettings are the settings for lookups and their validation. Modules with
// equal settings share one resolver and its caches.
type ResolverSettings struct {
	Servers            []string      `yaml:"servers"`       // see transport.New
	Timeout            time.Duration `yaml:"timeout"`       // of one attempt
	Attempts           int           `yaml:"attempts"`      // passes over Servers
	TrustAnchors       string        `yaml:"trust_anchors"` // "builtin", or the path of a file
	SHA1               dnssec.SHA1   `yaml:"sha1"`
	NSEC3MaxIterations uint16        `yaml:"nsec3_max_iterations"`
	CacheMiB           int           `yaml:"cache_mib"` // see dnssec.Options.CacheBytes
}

// issuers returns the CAs whose certificates are compared with CAA records.
func (m Module) issuers() caa.Issuers {
	if !m.Renewal {
		return nil
	}
	return caa.KnownIssuers().With(m.Issuers)
}

// ServiceSettings is one service of a host.
type ServiceSettings struct {
	Port     uint16      `yaml:"port"`
	Protocol string      `yaml:"protocol"`
	Policy   dane.Policy `yaml:"policy,omitempty"` // empty: the module's
}

// SRVSettings is one service whose SRV records are looked up.
type SRVSettings struct {
	Service  string `yaml:"service"`  // without underscore, for example "xmpp-client"
	Protocol string `yaml:"protocol"` // of the servers that the records name
}

// services returns the services of each host: the module's, or the port that
// the target names.
func (m Module) services(port uint16) []dane.Service {
	if len(m.Services) == 0 {
		return []dane.Service{{Port: cmp.Or(port, m.Port), Protocol: m.Protocol}}
	}
	var services []dane.Service
	for _, s := range m.Services {
		services = append(services, dane.Service{Port: s.Port, Protocol: s.Protocol, Policy: s.Policy})
	}
	return services
}

// HasPort reports whether the module itself has a service on a port.
func (m Module) HasPort(port uint16) bool {
	return slices.ContainsFunc(m.services(0), func(s dane.Service) bool { return s.Port == port })
}

// ServiceNames returns the services of the module as protocol and port or SRV
// name: "smtp 25", "tls _imaps._tcp".
func (m Module) ServiceNames() []string {
	var names []string
	if m.Discover == DiscoverSRV {
		for _, s := range m.SRV {
			names = append(names, s.Protocol+" _"+s.Service+"._tcp")
		}
		return names
	}
	for _, s := range m.services(0) {
		names = append(names, s.Protocol+" "+strconv.Itoa(int(s.Port)))
	}
	return names
}

// SMTP configures the protocol smtp.
type SMTP struct {
	EHLO string `yaml:"ehlo"` // empty: Environment.Hostname
}

// Discovery says how the hosts of a target are found.
type Discovery string

const (
	DiscoverNone Discovery = "none" // the target is the host
	DiscoverMX   Discovery = "mx"   // by its MX records, or it is its own mail host (RFC 5321 §5.1)
	DiscoverSRV  Discovery = "srv"  // by its SRV records, with their ports (RFC 2782)
)

// Discoveries lists the allowed values.
func Discoveries() []Discovery { return []Discovery{DiscoverMX, DiscoverSRV, DiscoverNone} }

// IPProtocol says which addresses of a host are probed.
type IPProtocol string

const (
	IPAuto IPProtocol = "auto" // both; IPv6 is skipped if this machine has none
	IP4    IPProtocol = "ip4"
	IP6    IPProtocol = "ip6" // IPv6 is required: without it the outcome is unknown
)

// IPProtocols lists the allowed values.
func IPProtocols() []IPProtocol { return []IPProtocol{IPAuto, IP4, IP6} }

// Series says how much of a report becomes series.
type Series string

const (
	SeriesFull    Series = "full"    // everything
	SeriesSummary Series = "summary" // the outcome, its reasons and what expires next: about 20 series for a target
)

// SeriesModes lists the allowed values.
func SeriesModes() []Series { return []Series{SeriesFull, SeriesSummary} }
