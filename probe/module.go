package probe

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Module is a named set of probe settings: what to ask of a target, by whose
// rules, and what counts as success.
type Module struct {
	Name        string        `yaml:"-"`
	Discover    Discovery     `yaml:"discover"`
	Policy      Policy        `yaml:"policy"`
	Port        uint16        `yaml:"port,omitempty"`
	Protocol    string        `yaml:"protocol,omitempty"` // one of starttls.Names
	Timeout     time.Duration `yaml:"timeout"`            // for the whole probe; a scrape's own deadline may be nearer
	Require     Requirement   `yaml:"require"`
	IPProtocol  IPProtocol    `yaml:"ip_protocol"`
	PerAddress  bool          `yaml:"per_address"` // one series for each address instead of the worst
	MTASTS      bool          `yaml:"mta_sts"`     // ask for the domain's MTA-STS policy too; with DiscoverMX alone
	Nameservers bool          `yaml:"nameservers"` // ask each server of the zone that holds the TLSA records
	KeyTypes    []KeyType     `yaml:"key_types"`   // shake hands once for each; none: once, as a sender does
	SMTP        SMTP          `yaml:"smtp"`

	Services []ServiceSettings `yaml:"services,omitempty"` // of each host, instead of Port and Protocol
	SRV      []SRVSettings     `yaml:"srv,omitempty"`      // with DiscoverSRV, instead of Port and Protocol

	Proxy           Proxy        `yaml:"proxy"`            // every connection of the probe goes through it; DNS does not
	SourceAddresses []netip.Addr `yaml:"source_addresses"` // that connections leave by, at most one for each family
}

// ServiceSettings are one service of a host.
type ServiceSettings struct {
	Port     uint16 `yaml:"port"`
	Protocol string `yaml:"protocol"`
	Policy   Policy `yaml:"policy,omitempty"` // empty: the module's
}

// SRVSettings are one service that SRV records are looked up for.
type SRVSettings struct {
	Service  string `yaml:"service"`  // without underscore, as "xmpp-client"
	Protocol string `yaml:"protocol"` // that is spoken there
}

// owner is the name that holds the SRV records of a domain (RFC 2782). Every
// protocol here runs over TCP.
func (s SRVSettings) owner(domain string) string { return "_" + s.Service + "._tcp." + domain }

// services are those of each host, as the module has them, or the port that the
// target names.
func (m Module) services(port uint16) []Service {
	if len(m.Services) == 0 {
		return []Service{{Port: cmp.Or(port, m.Port), Protocol: m.Protocol}}
	}
	var services []Service
	for _, s := range m.Services {
		services = append(services, Service{Port: s.Port, Protocol: s.Protocol, Policy: s.Policy})
	}
	return services
}

// HasPort reports whether the module itself names a port.
func (m Module) HasPort(port uint16) bool {
	return slices.ContainsFunc(m.services(0), func(s Service) bool { return s.Port == port })
}

// Listed tells the services of the module, each in a few words: "smtp 25",
// "tls _imaps._tcp".
func (m Module) Listed() []string {
	var listed []string
	if m.Discover == DiscoverSRV {
		for _, s := range m.SRV {
			listed = append(listed, s.Protocol+" _"+s.Service+"._tcp")
		}
		return listed
	}
	for _, s := range m.services(0) {
		listed = append(listed, s.Protocol+" "+strconv.Itoa(int(s.Port)))
	}
	return listed
}

// SMTP are the settings of protocol smtp.
type SMTP struct {
	EHLO string `yaml:"ehlo"` // empty: World.Hostname
}

// Discovery says how a target leads to hosts.
type Discovery string

const (
	DiscoverNone Discovery = "none" // the target is the host
	DiscoverMX   Discovery = "mx"   // its MX records name them, or it is its own (RFC 5321 §5.1)
	DiscoverSRV  Discovery = "srv"  // its SRV records name them and their ports (RFC 2782)
)

// Discoveries lists the allowed values.
func Discoveries() []Discovery { return []Discovery{DiscoverMX, DiscoverSRV, DiscoverNone} }

// Policy says whose rules judge.
type Policy string

const (
	SMTPRelay Policy = "smtp-relay" // RFC 7672: one mail server sending to another
	Client    Policy = "client"     // RFC 6698, 7671, 7673
)

// Policies lists the allowed values.
func Policies() []Policy { return []Policy{SMTPRelay, Client} }

// Requirement says what probe_success asks of every endpoint that counts.
type Requirement string

const (
	RequireDANE        Requirement = "dane"         // authenticated
	RequireIfPublished Requirement = "if_published" // authenticated, encrypted or opportunistic
)

// Requirements lists the allowed values.
func Requirements() []Requirement { return []Requirement{RequireDANE, RequireIfPublished} }

// IPProtocol says which addresses of a host are probed.
type IPProtocol string

const (
	IPAuto IPProtocol = "auto" // both; IPv6 is skipped where this machine has none
	IP4    IPProtocol = "ip4"
	IP6    IPProtocol = "ip6" // IPv6 is demanded: without it the outcome is unknown
)

// IPProtocols lists the allowed values.
func IPProtocols() []IPProtocol { return []IPProtocol{IPAuto, IP4, IP6} }
