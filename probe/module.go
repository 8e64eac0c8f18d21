package probe

import (
	"net/netip"
	"time"
)

// Module is a named set of probe settings: what to ask of a target, by whose
// rules, and what counts as success.
type Module struct {
	Name        string        `yaml:"-"`
	Discover    Discovery     `yaml:"discover"`
	Protocol    string        `yaml:"protocol"` // as starttls.Names lists them
	Policy      Policy        `yaml:"policy"`
	Port        uint16        `yaml:"port"`
	Timeout     time.Duration `yaml:"timeout"` // for the whole probe; a scrape's own deadline may be nearer
	Require     Requirement   `yaml:"require"`
	IPProtocol  IPProtocol    `yaml:"ip_protocol"`
	PerAddress  bool          `yaml:"per_address"` // one series for each address instead of the worst
	MTASTS      bool          `yaml:"mta_sts"`     // ask for the domain's MTA-STS policy too; with DiscoverMX alone
	Nameservers bool          `yaml:"nameservers"` // ask each server of the zone that holds the TLSA records
	SMTP        SMTP          `yaml:"smtp"`

	Proxy           Proxy        `yaml:"proxy"`            // every connection of the probe goes through it; DNS does not
	SourceAddresses []netip.Addr `yaml:"source_addresses"` // that connections leave by, at most one for each family
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
)

// Discoveries lists the allowed values.
func Discoveries() []Discovery { return []Discovery{DiscoverMX, DiscoverNone} }

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
