package report

import "time"

// Schema is the version of Document. It changes when a field changes its
// meaning or goes away; new fields may come at any time.
const Schema = 1

// Document is a Report for programs: what JSON writes, and what pages are made
// from. It stands alone: nothing in it refers to the probe that it tells of.
//
// What was not measured is absent; it is never false or 0. Times are RFC 3339 in
// UTC, durations are seconds. Names are A-labels without a trailing dot, but in
// look-ups, chains and zone-file lines, where they are written as DNS has them.
// Text of servers and zones is printable and bounded; where a list was cut, the
// field beside it says how much is left out.
type Document struct {
	Schema    int       `json:"schema"`
	Target    string    `json:"target"`
	Asked     string    `json:"asked"`              // the target as it was written
	Hostname  string    `json:"hostname,omitempty"` // present where the target is an address, to be judged as this name's
	Module    Module    `json:"module"`
	Start     time.Time `json:"start"`
	Duration  float64   `json:"duration_seconds"`
	Timeout   float64   `json:"timeout_seconds"`     // the time that the probe had
	Complete  bool      `json:"complete"`            // false: the deadline cut something short
	Truncated []string  `json:"truncated,omitempty"` // what there was too much of: "hosts", "addresses"

	At       time.Time `json:"at"`      // the moment that it is judged for
	Outcome  string    `json:"outcome"` // of dane_outcome
	Meaning  string    `json:"meaning"` // of the outcome, in words
	Success  bool      `json:"success"` // probe_success
	Findings []Finding `json:"findings"`
	Advice   []Advice  `json:"advice"`
	Later    *Later    `json:"later,omitempty"` // present where another moment was asked for

	Services []Service `json:"services"`
	MTASTS   *MTASTS   `json:"mta_sts,omitempty"` // present where the module asks for it
	Lookups  []Lookup  `json:"lookups"`
	Zones    []Zone    `json:"zones"` // the steps of the chains of trust, each once
	Phases   []Phase   `json:"phases"`
}

// Module is what the probe was told to do.
type Module struct {
	Name     string `json:"name"`
	Discover string `json:"discover"`
	Policy   string `json:"policy"`
	Require  string `json:"require"`
}

// Finding is one thing that somebody should know.
type Finding struct {
	Reason  string `json:"reason"`
	Effect  string `json:"effect"` // "refuses", "lowers", "warns" or "ours"
	Host    string `json:"host,omitempty"`
	Port    uint16 `json:"port,omitempty"`
	Address string `json:"address,omitempty"`
	Lookup  string `json:"lookup,omitempty"`
	Meaning string `json:"meaning"` // of the reason
	Detail  string `json:"detail,omitempty"`
	Remedy  string `json:"remedy"`
}

// Advice is something to do better, where nothing is wrong today.
type Advice struct {
	Topic   string `json:"topic"`
	Host    string `json:"host,omitempty"`
	Port    uint16 `json:"port,omitempty"`
	Meaning string `json:"meaning"`
	Detail  string `json:"detail,omitempty"`
	Remedy  string `json:"remedy"`
}

// Later is the verdict on the same facts for another moment.
type Later struct {
	At       time.Time `json:"at"`
	Outcome  string    `json:"outcome"`
	Meaning  string    `json:"meaning"`
	Success  bool      `json:"success"`
	Findings []Finding `json:"findings"`
}

// Service is one port of one host.
type Service struct {
	Host       string  `json:"host"`
	Port       uint16  `json:"port"`
	Protocol   string  `json:"protocol"`
	Policy     string  `json:"policy,omitempty"`     // where it is not the module's
	Preference *uint16 `json:"preference,omitempty"` // present where MX or SRV records led to the host
	Weight     *uint16 `json:"weight,omitempty"`     // present where SRV records did
	Outcome    string  `json:"outcome"`
	// Base is the TLSA base domain; empty where no secure TLSA records apply.
	Base    string   `json:"tlsa_base_domain,omitempty"`
	Names   []string `json:"reference_identifiers,omitempty"`
	Records []Record `json:"tlsa_records"`
	// Lookups are the positions in Document.Lookups of the TLSA look-ups, one
	// for each candidate for the base domain, in order.
	Lookups   []int      `json:"tlsa_lookups,omitempty"`
	Endpoints []Endpoint `json:"endpoints"`
	// Until is when today's authentication ends if no certificate changes.
	Until           *time.Time `json:"authenticated_until,omitempty"`
	RolloverReady   *bool      `json:"rollover_ready,omitempty"`
	SurvivesRenewal *bool      `json:"survives_renewal,omitempty"`
	Publish         []Publish  `json:"publish,omitempty"`
	// Nameservers are those of the zone that holds the records, where they were asked.
	Nameservers []Nameserver `json:"nameservers,omitempty"`
}

// Nameserver is one server of the zone that holds the TLSA records, at one
// address, and what it said itself.
type Nameserver struct {
	Name       string     `json:"name"`
	Address    string     `json:"address"`
	Up         *bool      `json:"up,omitempty"`         // it answers for the zone
	Consistent *bool      `json:"consistent,omitempty"` // its records are those that were judged
	Serial     *uint32    `json:"serial,omitempty"`     // of the zone
	Expiry     *time.Time `json:"signatures_expiry,omitempty"`
	Why        string     `json:"why,omitempty"`
}

// Record is one TLSA record that applies.
type Record struct {
	Usage        uint8  `json:"usage"`
	Selector     uint8  `json:"selector"`
	MatchingType uint8  `json:"matching_type"`
	Data         Data   `json:"data"`
	Standing     string `json:"standing"` // "usable", "unusable" or "superseded"
	Why          string `json:"why,omitempty"`
	Matches      bool   `json:"matches"` // what some endpoint serves
}

// Data is certificate association data (RFC 6698 §2.1.4): its hexadecimal form
// or, where it is longer than any digest, "sha256:" and the digest of it.
type Data string

// Endpoint is one address of a service, and how far a handshake with it got.
type Endpoint struct {
	Address   string `json:"address"`
	KeyType   string `json:"key_type,omitempty"` // that alone was offered; absent: all
	Outcome   string `json:"outcome"`
	Skipped   bool   `json:"skipped,omitempty"` // it does not count
	Reason    string `json:"reason,omitempty"`  // why there was no handshake
	Error     string `json:"error,omitempty"`
	Dialogue  []Line `json:"dialogue,omitempty"`
	MoreLines int    `json:"more_lines,omitempty"` // left out of Dialogue
	// AsOf is when all this was found, where another probe has found it.
	AsOf    *time.Time `json:"as_of,omitempty"`
	TLS     *TLS       `json:"tls,omitempty"`     // present where the handshake was completed
	Matches []Match    `json:"matches,omitempty"` // one for each of Service.Records
	// Certificates as sent, leaf first.
	Certificates     []Certificate `json:"certificates,omitempty"`
	MoreCertificates int           `json:"more_certificates,omitempty"` // left out of Certificates
	NameMatch        *bool         `json:"name_match,omitempty"`        // the leaf is for one of the reference identifiers
	PKIX             *bool         `json:"pkix_valid,omitempty"`        // the Web PKI accepts it
	PKIXWhy          string        `json:"pkix_why,omitempty"`          // why not
}

// Line is one line of the dialogue before TLS.
type Line struct {
	From string `json:"from"` // "client" or "server"
	Text string `json:"text"`
}

// TLS is a completed handshake.
type TLS struct {
	Version string `json:"version"`
	Cipher  string `json:"cipher"`
	SNI     string `json:"sni"`
}

// Certificate is one certificate as sent. Where it cannot be parsed, only
// Size and SHA256 are known.
type Certificate struct {
	Parsed    bool       `json:"parsed"`
	Size      int        `json:"size"` // bytes
	SHA256    string     `json:"sha256"`
	SPKI      string     `json:"spki_sha256,omitempty"`
	Subject   string     `json:"subject,omitempty"`
	Issuer    string     `json:"issuer,omitempty"`
	Names     []string   `json:"names,omitempty"`
	MoreNames int        `json:"more_names,omitempty"` // left out of Names
	Serial    string     `json:"serial,omitempty"`     // hexadecimal
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
}

// Match is what became of one TLSA record at one endpoint.
type Match struct {
	Authenticates bool `json:"authenticates"`
	Matches       bool `json:"matches"`         // a certificate has the data
	Depth         *int `json:"depth,omitempty"` // of that certificate among those sent; 0 is the leaf
	// Served is what the record would have to say of the certificate that it
	// was compared with; absent where that is not one certificate.
	Served Data   `json:"served,omitempty"`
	Why    string `json:"why"`
}

// Publish is a TLSA record that would authenticate what is served now: 3 1 1 of
// a leaf, or 3 1 2 beside such a one, for its owner to publish if the key is truly
// theirs.
type Publish struct {
	Owner     string `json:"owner"`     // fully qualified; the end of the aliases, where the TLSA name is one
	Record    string `json:"record"`    // usage, selector, matching type and data
	Zone      string `json:"zone_file"` // the whole line
	Published bool   `json:"published"` // it is among the records already
}

// Lookup is one look-up in DNS, and its DNSSEC status.
type Lookup struct {
	Kind         string     `json:"lookup"` // "mx", "srv", "a", "aaaa", "tlsa" or "txt"
	Name         string     `json:"name"`
	Host         string     `json:"host,omitempty"` // for which it was made
	Status       string     `json:"status"`
	Why          string     `json:"why,omitempty"`
	Error        string     `json:"error,omitempty"`
	Inconsistent string     `json:"inconsistent,omitempty"` // which resolver gave a worse answer before, and why
	Rcode        int        `json:"rcode"`
	Records      []string   `json:"records"`                // in zone-file form
	MoreRecords  int        `json:"more_records,omitempty"` // left out of Records
	Canonical    string     `json:"canonical,omitempty"`
	Aliases      []Alias    `json:"aliases,omitempty"`
	Chain        []int      `json:"chain"` // positions in Document.Zones, from the trust anchor down
	Inception    *time.Time `json:"signatures_inception,omitempty"`
	Expiry       *time.Time `json:"signatures_expiry,omitempty"` // of the signature that ends first
	TTL          float64    `json:"ttl_seconds"`
	EDE          []string   `json:"extended_errors,omitempty"`
	Server       string     `json:"server,omitempty"`
	RTT          float64    `json:"rtt_seconds"`
	Queries      int        `json:"queries"`
}

// Alias is one CNAME that a look-up followed.
type Alias struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Status string `json:"status"`
}

// Zone is one step of a chain of trust.
type Zone struct {
	Zone   string `json:"zone"`
	Status string `json:"status"`
	Why    string `json:"why,omitempty"`
	DS     []DS   `json:"ds,omitempty"` // in the zone above, or the trust anchors of the root
	Keys   []Key  `json:"keys,omitempty"`
}

// DS is a delegation signer record, without its digest.
type DS struct {
	Tag        uint16 `json:"key_tag"`
	Algorithm  uint8  `json:"algorithm"`
	DigestType uint8  `json:"digest_type"`
	Used       bool   `json:"used"` // it leads to a key that signs the zone's keys
}

// Key is one DNSKEY record, without the key.
type Key struct {
	Tag       uint16 `json:"key_tag"`
	Algorithm uint8  `json:"algorithm"`
	SEP       bool   `json:"sep"`
	Signing   bool   `json:"signing"`
}

// Phase is one kind of work, in seconds from the start of the probe.
type Phase struct {
	Name  string  `json:"phase"`
	Start float64 `json:"start_seconds"`
	End   float64 `json:"end_seconds"`
}

// MTASTS is what the domain publishes for MTA-STS and TLSRPT, and what three
// kinds of senders end up with.
type MTASTS struct {
	Standing string           `json:"policy_standing"` // "unknown", "none", "testing" or "enforced"
	Senders  Senders          `json:"senders"`         // at the domain as a whole
	Services []ServiceSenders `json:"services"`
	RecordID string           `json:"record_id,omitempty"`
	Record   string           `json:"record_error,omitempty"`
	Policy   *Policy          `json:"policy,omitempty"`
	Why      string           `json:"policy_error,omitempty"`
	Fetches  []Fetch          `json:"fetches,omitempty"`
	TLSRPT   []string         `json:"tlsrpt,omitempty"` // where reports go
	Report   string           `json:"tlsrpt_error,omitempty"`
	Lookups  []Lookup         `json:"lookups"`
}

// Senders are the outcomes of three kinds of senders.
type Senders struct {
	DANE   string `json:"dane"`
	MTASTS string `json:"mta_sts"`
	Both   string `json:"both"`
}

// ServiceSenders are the senders at one service.
type ServiceSenders struct {
	Host    string  `json:"host"`
	Port    uint16  `json:"port"`
	Covered *bool   `json:"covered,omitempty"` // the policy names the host
	Senders Senders `json:"senders"`
	// Endpoints in the order of Service.Endpoints.
	Endpoints []EndpointSenders `json:"endpoints"`
}

// EndpointSenders are the senders at one endpoint.
type EndpointSenders struct {
	Address string  `json:"address"`
	KeyType string  `json:"key_type,omitempty"` // as in Endpoint
	Skipped bool    `json:"skipped,omitempty"`  // it does not count
	Passes  *bool   `json:"passes,omitempty"`   // it is as MTA-STS wants it, whatever the policy says
	Why     string  `json:"why,omitempty"`      // why not
	Senders Senders `json:"senders"`
}

// Policy is the MTA-STS policy that was fetched.
type Policy struct {
	Mode   string   `json:"mode"`
	MaxAge float64  `json:"max_age_seconds"`
	MX     []string `json:"mx"`
	MoreMX int      `json:"more_mx,omitempty"` // left out of MX
}

// Fetch is one attempt to fetch the policy.
type Fetch struct {
	Address string `json:"address"`
	Error   string `json:"error,omitempty"`
	// Certificate of the policy host, as it was shown, trusted or not.
	Certificate *Certificate `json:"certificate,omitempty"`
}
