package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dane_exporter/probe/dane"
)

// Schema is the version of the Document. It changes if a field is removed or
// changes its meaning. New fields may be added at any time.
const Schema = 1

// Document is the result of a probe for output. Text, JSON and web pages are
// rendered from it. It shares no memory with the probe.Report that it is made from.
//
// Values that were not measured are absent, and never false or 0. Times are RFC
// 3339 in UTC, durations are seconds. Names are A-labels without the trailing dot,
// except in lookups, chains and zone-file lines, which have the form of DNS. Text
// from servers and zones is printable and of limited length. If a list is cut, a
// field next to it has the number of omitted entries.
type Document struct {
	Schema    int       `json:"schema"`
	Target    string    `json:"target"`
	Asked     string    `json:"asked"`              // the target as the user wrote it
	Hostname  string    `json:"hostname,omitempty"` // the name to judge by, if the target is an IP address
	Module    Module    `json:"module"`
	Start     time.Time `json:"start"`
	Duration  float64   `json:"duration_seconds"`
	Timeout   float64   `json:"timeout_seconds"`     // time limit of the probe
	Complete  bool      `json:"complete"`            // false if the deadline ended the probe early
	Truncated []string  `json:"truncated,omitempty"` // what exceeded a limit: "hosts", "addresses"

	At       time.Time `json:"at"`             // the time that the verdict is for
	Outcome  string    `json:"outcome"`        // as in dane_outcome
	Meaning  string    `json:"meaning"`        // of the outcome
	Zone     string    `json:"zone,omitempty"` // the zone at fault, if it is the only cause of the outcome
	Success  bool      `json:"success"`        // probe_success
	Severity string    `json:"severity"`       // "ok", "warning", "critical" or "unknown", as the exit code of check
	Findings []Finding `json:"findings"`
	// MoreFindings is the number of findings that are omitted from Findings.
	MoreFindings int      `json:"more_findings,omitempty"`
	Advice       []Advice `json:"advice"`
	Later        *Later   `json:"later,omitempty"` // present if the verdict for another time was requested

	Services []Service `json:"services"`
	MTASTS   *MTASTS   `json:"mta_sts,omitempty"` // present if the module has mta_sts
	Lookups  []Lookup  `json:"lookups"`
	Zones    []Zone    `json:"zones"` // the links of all chains of trust, without duplicates
	Phases   []Phase   `json:"phases"`
	// Delegations are the examined delegations of the zones that the lookups depend on.
	Delegations     []Delegation `json:"delegations,omitempty"`
	MoreDelegations int          `json:"more_delegations,omitempty"` // omitted from Delegations
}

// RolloverStep is the history of one record, as probes saw it. A time is absent if it was not seen.
type RolloverStep struct {
	Record     Record     `json:"record"`
	Published  *time.Time `json:"published,omitempty"`           // absent: before the first probe
	Everywhere *time.Time `json:"at_every_nameserver,omitempty"` // absent also if nameservers are not queried or did not answer
	Safe       *time.Time `json:"safe_to_serve,omitempty"`       // two TTLs later (RFC 7671 §8.1); absent if a nameserver lacks the record or did not answer
	Served     *time.Time `json:"served,omitempty"`
	Replaced   *time.Time `json:"replaced,omitempty"`
	Removable  *time.Time `json:"removable,omitempty"` // two TTLs after Replaced
}

// TimelineStep is one step of a rollover, as readable text.
type TimelineStep struct{ Name, When string }

// Timeline returns the steps from the publication of a record to its removal.
func (s *RolloverStep) Timeline() []TimelineStep {
	when := func(at *time.Time, otherwise string) string {
		if at == nil {
			return otherwise
		}
		return FormatTime(*at)
	}
	steps := []TimelineStep{
		{"published", when(s.Published, "before the first probe")},
		{"seen at every nameserver", when(s.Everywhere, "not known, or a nameserver lacks the record")},
	}
	if s.Served == nil {
		steps = append(steps, TimelineStep{"safe to serve", when(s.Safe, "not known: a nameserver lacks the record, or did not answer")})
	}
	steps = append(steps, TimelineStep{"served", when(s.Served, "not yet")})
	if s.Replaced != nil {
		steps = append(steps, TimelineStep{"replaced", when(s.Replaced, "")}, TimelineStep{"record removable", when(s.Removable, "")})
	}
	return steps
}

// MissingRecords returns the records to publish now, of all services.
func (d *Document) MissingRecords() []Publish {
	var missing []Publish
	for i := range d.Services {
		missing = append(missing, d.Services[i].MissingRecords()...)
	}
	return missing
}

// NeedsDNSSEC reports whether TLSA records have no effect yet, because a name that
// leads to them is not secured by DNSSEC.
func (d *Document) NeedsDNSSEC() bool {
	return slices.ContainsFunc(d.Findings, func(f Finding) bool {
		switch dane.Reason(f.Reason) {
		case dane.MXInsecure, dane.SRVInsecure, dane.AddressInsecure, dane.TLSAInsecure:
			return true
		}
		return false
	})
}

// Links returns the zones of the chain of trust of a lookup, from the trust anchor to
// the zone of the answer.
func (d *Document) Links(l *Lookup) []Zone {
	var zones []Zone
	for _, i := range l.Chain {
		if i >= 0 && i < len(d.Zones) {
			zones = append(zones, d.Zones[i])
		}
	}
	return zones
}

// Module is the module of the probe.
type Module struct {
	Name     string `json:"name"`
	Discover string `json:"discover"`
	Policy   string `json:"policy"`
	Require  string `json:"require"`
	// KeyTypes have a handshake each. Without them, a server with several types of
	// keys shows one.
	KeyTypes        []string `json:"key_types,omitempty"`
	SourceAddresses []string `json:"source_addresses,omitempty"` // of connections
	Proxy           string   `json:"proxy,omitempty"`            // URL without the password
	Resolvers       []string `json:"resolvers,omitempty"`        // of the module, if it has its own
}

// Finding is a problem that the probe found.
type Finding struct {
	Reason  string `json:"reason"`
	Effect  string `json:"effect"` // "error", "degraded", "warning" or "internal"
	Host    string `json:"host,omitempty"`
	Port    uint16 `json:"port,omitempty"`
	Address string `json:"address,omitempty"`
	Lookup  string `json:"lookup,omitempty"`
	Zone    string `json:"zone,omitempty"` // the zone at fault for the lookup
	Meaning string `json:"meaning"`        // of the reason
	Detail  string `json:"detail,omitempty"`
	Remedy  string `json:"remedy"`
}

// Location returns what the finding is about, as "mx.example.org port 25, 192.0.2.1,
// lookup A, zone at fault hoster.net". It returns "" for a finding about the whole target.
func (f Finding) Location() string {
	var parts []string
	if f.Host != "" {
		host := f.Host
		if f.Port != 0 {
			host += " port " + strconv.Itoa(int(f.Port))
		}
		parts = append(parts, host)
	}
	if f.Address != "" {
		parts = append(parts, f.Address)
	}
	if f.Lookup != "" {
		parts = append(parts, "lookup "+RecordType(f.Lookup))
	}
	if f.Zone != "" {
		parts = append(parts, "zone at fault "+f.Zone)
	}
	return strings.Join(parts, ", ")
}

// RecordType returns the type of the records of a lookup of a kind, as "AAAA" or "TXT".
func RecordType(kind string) string {
	if dane.LookupKind(kind) == dane.LookupChallenge {
		return "TXT"
	}
	return strings.ToUpper(kind)
}

// Advice is a possible improvement. It does not affect the outcome.
type Advice struct {
	Topic   string `json:"topic"`
	Host    string `json:"host,omitempty"`
	Port    uint16 `json:"port,omitempty"`
	Meaning string `json:"meaning"`
	Detail  string `json:"detail,omitempty"`
	Remedy  string `json:"remedy"`
}

// Location returns what the advice is about, as Finding.Location does.
func (a Advice) Location() string { return Finding{Host: a.Host, Port: a.Port}.Location() }

// Later is the verdict on the same facts for another time.
type Later struct {
	At           time.Time      `json:"at"`
	Outcome      string         `json:"outcome"`
	Meaning      string         `json:"meaning"`
	Success      bool           `json:"success"`
	Findings     []Finding      `json:"findings"`
	MoreFindings int            `json:"more_findings,omitempty"` // omitted from Findings
	Services     []LaterService `json:"services"`                // in the order of Document.Services
}

// LaterService is the outcome of one service for another time.
type LaterService struct {
	Host    string `json:"host"`
	Port    uint16 `json:"port"`
	Outcome string `json:"outcome"`
}

// Service is one port of one host.
type Service struct {
	Host       string  `json:"host"`
	Port       uint16  `json:"port"`
	Protocol   string  `json:"protocol"`
	Policy     string  `json:"policy,omitempty"`     // present if it differs from the module's
	Preference *uint16 `json:"preference,omitempty"` // present if the host is from an MX or SRV record
	Weight     *uint16 `json:"weight,omitempty"`     // present if the host is from an SRV record
	Outcome    string  `json:"outcome"`
	// Base is the TLSA base domain. It is empty if no secure TLSA records apply.
	Base        string   `json:"tlsa_base_domain,omitempty"`
	Names       []string `json:"reference_identifiers,omitempty"`
	Records     []Record `json:"tlsa_records"`
	MoreRecords int      `json:"more_tlsa_records,omitempty"` // omitted from Records
	// Lookups are indexes into Document.Lookups of the TLSA lookups, one for each
	// candidate for the base domain, in order.
	Lookups   []int      `json:"tlsa_lookups,omitempty"`
	Endpoints []Endpoint `json:"endpoints"`
	// Until is when DANE authentication fails if no certificate changes.
	Until           *time.Time `json:"authenticated_until,omitempty"`
	RolloverReady   *bool      `json:"rollover_ready,omitempty"`
	SurvivesRenewal *bool      `json:"survives_renewal,omitempty"`
	Publish         []Publish  `json:"publish,omitempty"`
	// Rollover has the records of keys and certificates of the server, the oldest first,
	// if there are several or if they changed since the first probe.
	Rollover []RolloverStep `json:"rollover,omitempty"`
	// Nameservers of the zone of the records, if they were queried.
	Nameservers     []Nameserver `json:"nameservers,omitempty"`
	MoreNameservers int          `json:"more_nameservers,omitempty"` // omitted from Nameservers
}

// MissingRecords returns the records to publish now: those of Publish that are not published.
// It returns none if the service is authenticated without them.
func (s *Service) MissingRecords() []Publish {
	if s.Outcome == string(dane.Authenticated) {
		return nil
	}
	var missing []Publish
	for _, p := range s.Publish {
		if !p.Published {
			missing = append(missing, p)
		}
	}
	return missing
}

// stale returns the usable records that match no certificate that was seen. They are
// for the next key, for a key of another type, or forgotten.
func (s *Service) stale() []Record {
	if s.RolloverReady == nil {
		return nil // no certificate was seen
	}
	var stale []Record
	for _, r := range s.Records {
		if r.Standing == "usable" && !r.Matches {
			stale = append(stale, r)
		}
	}
	return stale
}

// Delegation is the delegation of a zone by its parent, according to the answers of their
// nameservers.
type Delegation struct {
	Zone    string    `json:"zone"`
	Parent  string    `json:"parent"`
	Checked time.Time `json:"checked_at"`
	// DS has the DS records in the parent, and Keys the keys of the zone. Both are absent if
	// they are not known, and empty if there are none.
	DS   []DelegationDS  `json:"ds,omitzero"`
	Keys []DelegationKey `json:"keys,omitzero"`
	// CDSConsistent is absent if the zone has no CDS and CDNSKEY records.
	CDSConsistent *bool  `json:"cds_consistent,omitempty"`
	CDSWhy        string `json:"cds_why,omitempty"`
	CDSPending    *bool  `json:"cds_pending,omitempty"`   // whether the zone requests other DS records
	CDSRequested  string `json:"cds_requested,omitempty"` // the keys, as the text of DS records
	NSConsistent  *bool  `json:"ns_consistent,omitempty"` // whether the NS records of parent and zone are equal
	NSWhy         string `json:"ns_why,omitempty"`
	// A nameserver in ParentNameservers is consistent if its DS records are those of most
	// others. One in Nameservers is consistent if its keys validate.
	ParentNameservers []Nameserver `json:"parent_nameservers,omitempty"`
	Nameservers       []Nameserver `json:"nameservers,omitempty"`
	MoreNameservers   int          `json:"more_nameservers,omitempty"` // omitted from both
}

// DelegationDS is a DS record in the parent.
type DelegationDS struct {
	Tag        uint16 `json:"key_tag"`
	Algorithm  string `json:"algorithm"`
	DigestType string `json:"digest_type"`
	Matches    *bool  `json:"matches,omitempty"` // a key of the zone
}

// DelegationKey is a key of the zone.
type DelegationKey struct {
	Tag       uint16 `json:"key_tag"`
	Algorithm string `json:"algorithm"`
	SEP       bool   `json:"sep"`
	Idle      *bool  `json:"idle,omitempty"` // no DS record matches it, and it made no signature in the answers
}

// Problems returns the nameservers that do not answer or are not consistent.
func (d *Delegation) Problems() []Nameserver {
	isFine := func(n Nameserver) bool {
		return (n.Up == nil || *n.Up) && (n.Consistent == nil || *n.Consistent)
	}
	return slices.DeleteFunc(slices.Concat(d.ParentNameservers, d.Nameservers), isFine)
}

// Nameserver is one address of a nameserver of the zone of the TLSA records, and
// its own answer. A Delegation has nameservers too.
type Nameserver struct {
	Name       string     `json:"name"`
	Address    string     `json:"address"`
	Up         *bool      `json:"up,omitempty"`         // whether it answers for the zone
	Consistent *bool      `json:"consistent,omitempty"` // whether its TLSA records are those of the verdict
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
	Size         int    `json:"size,omitempty"` // bytes of data, if Data is a digest of it
	Standing     string `json:"standing"`       // "usable", "unusable" or "superseded"
	Why          string `json:"why,omitempty"`
	Matches      bool   `json:"matches"` // a certificate of some endpoint
}

// String returns the record in zone-file format, with "TLSA" before it. If Data is a
// digest, its size follows.
func (r Record) String() string {
	text := fmt.Sprintf("TLSA %d %d %d %s", r.Usage, r.Selector, r.MatchingType, r.Data)
	if r.Size > 0 {
		text += fmt.Sprintf(" (%d bytes)", r.Size)
	}
	return text
}

// Data is certificate association data (RFC 6698 §2.1.4) in hexadecimal. If it is
// longer than a SHA-512 digest, it is "sha256:" and its SHA-256 digest.
type Data string

// Endpoint is one address of a service and the handshake with it.
type Endpoint struct {
	Address   string `json:"address"`
	KeyType   string `json:"key_type,omitempty"` // the only key type offered; absent if all were
	Outcome   string `json:"outcome"`
	Skipped   bool   `json:"skipped,omitempty"` // it was not tried, and does not affect the outcome
	Reason    string `json:"reason,omitempty"`  // why the handshake failed
	Error     string `json:"error,omitempty"`
	Dialogue  []Line `json:"dialogue,omitempty"`
	MoreLines int    `json:"more_lines,omitempty"` // omitted from Dialogue
	// AsOf is the time of the handshake, if it was made for another probe.
	AsOf        *time.Time `json:"as_of,omitempty"`
	TLS         *TLS       `json:"tls,omitempty"`          // present if the handshake was completed
	Matches     []Match    `json:"matches,omitempty"`      // in the order of Service.Records
	MoreMatches int        `json:"more_matches,omitempty"` // omitted from Matches
	// Certificates as sent, leaf first.
	Certificates     []Certificate `json:"certificates,omitempty"`
	MoreCertificates int           `json:"more_certificates,omitempty"` // omitted from Certificates
	NameMatch        *bool         `json:"name_match,omitempty"`        // whether the leaf is for one of the reference identifiers
	PKIX             *bool         `json:"pkix_valid,omitempty"`        // whether the chain is valid in the Web PKI
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
	Group   string `json:"group,omitempty"` // of the key exchange; absent if there is none or it is not known
	SNI     string `json:"sni"`
}

// Certificate is one certificate as sent. If it cannot be parsed, it has only Size
// and SHA256.
type Certificate struct {
	Parsed    bool       `json:"parsed"`
	Size      int        `json:"size"` // bytes
	SHA256    string     `json:"sha256"`
	SPKI      string     `json:"spki_sha256,omitempty"`
	Subject   string     `json:"subject,omitempty"`
	Issuer    string     `json:"issuer,omitempty"`
	Names     []string   `json:"names,omitempty"`
	MoreNames int        `json:"more_names,omitempty"` // omitted from Names
	Serial    string     `json:"serial,omitempty"`     // hexadecimal
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
}

// Match is the comparison of one TLSA record with the certificates of an endpoint.
type Match struct {
	Record        int  `json:"record"` // index into Service.Records
	Authenticates bool `json:"authenticates"`
	Matches       bool `json:"matches"`         // the data of the record is that of a certificate
	Depth         *int `json:"depth,omitempty"` // of that certificate in the chain as sent; 0 is the leaf
	// Served is the data that the record would have for the certificate that it was
	// compared with. It is absent if the record was compared with several.
	Served Data   `json:"served,omitempty"`
	Why    string `json:"why"`
}

// Publish is a TLSA record that would authenticate what is served now: 3 1 1 for
// the leaf, or 3 1 2 if there is a 3 1 2 record already. Its owner should publish it
// only if the key is theirs.
type Publish struct {
	Owner     string `json:"owner"`     // fully qualified; the canonical name, if the TLSA name is an alias
	Record    string `json:"record"`    // usage, selector, matching type and data
	Zone      string `json:"zone_file"` // the whole line
	Published bool   `json:"published"` // whether it is published already
}

// Lookup is one DNS lookup and its DNSSEC status.
type Lookup struct {
	Kind         string     `json:"lookup"` // "mx", "srv", "a", "aaaa", "tlsa" or "txt"
	Name         string     `json:"name"`
	Host         string     `json:"host,omitempty"` // that it was made for
	Status       string     `json:"status"`
	Why          string     `json:"why,omitempty"`
	Error        string     `json:"error,omitempty"`
	Inconsistent string     `json:"inconsistent,omitempty"` // resolver that gave a worse answer, and why
	Rcode        int        `json:"rcode"`
	Records      []string   `json:"records"`                // in zone-file format
	MoreRecords  int        `json:"more_records,omitempty"` // omitted from Records
	Canonical    string     `json:"canonical,omitempty"`
	Aliases      []Alias    `json:"aliases,omitempty"`
	Chain        []int      `json:"chain"`                // indexes into Document.Zones, from the trust anchor down
	MoreLinks    int        `json:"more_links,omitempty"` // omitted from Chain
	Inception    *time.Time `json:"signatures_inception,omitempty"`
	Expiry       *time.Time `json:"signatures_expiry,omitempty"` // of the signature that expires first
	TTL          float64    `json:"ttl_seconds"`
	EDE          []string   `json:"extended_errors,omitempty"`
	Server       string     `json:"server,omitempty"`
	RTT          float64    `json:"rtt_seconds"`
	Queries      int        `json:"queries"`
	Signatures   int        `json:"signatures"` // signature checks
	Hashes       int        `json:"hashes"`     // NSEC3 hashes computed
}

// Failed reports whether the lookup has no usable answer: it is bogus or indeterminate.
func (l *Lookup) Failed() bool { return l.Status == "bogus" || l.Status == "indeterminate" }

// Alias is one CNAME that a lookup followed.
type Alias struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Status string `json:"status"`
}

// Zone is one link of a chain of trust.
type Zone struct {
	Zone   string `json:"zone"`
	Status string `json:"status"`
	Why    string `json:"why,omitempty"`
	DS     []DS   `json:"ds,omitempty"` // in the parent zone; of the root, the trust anchors
	Keys   []Key  `json:"keys,omitempty"`
}

// DS is a delegation signer record, without its digest.
type DS struct {
	Tag        uint16 `json:"key_tag"`
	Algorithm  uint8  `json:"algorithm"`
	DigestType uint8  `json:"digest_type"`
	Used       bool   `json:"used"` // it matches a key that signs the zone's DNSKEY records
}

// Key is one DNSKEY record, without its public key.
type Key struct {
	Tag       uint16 `json:"key_tag"`
	Algorithm uint8  `json:"algorithm"`
	SEP       bool   `json:"sep"`
	Signing   bool   `json:"signing"`
}

// Phase is one kind of work, in seconds since the start of the probe.
type Phase struct {
	Name  string  `json:"phase"`
	Start float64 `json:"start_seconds"`
	End   float64 `json:"end_seconds"`
}

// MTASTS is what the domain publishes for MTA-STS and TLSRPT, and the outcome for
// three kinds of senders.
type MTASTS struct {
	Standing string           `json:"policy_standing"` // "unknown", "none", "testing" or "enforced"
	Senders  Senders          `json:"senders"`         // of the domain
	Services []ServiceSenders `json:"services"`
	RecordID string           `json:"record_id,omitempty"`
	Record   string           `json:"record_error,omitempty"`
	Policy   *Policy          `json:"policy,omitempty"`
	Why      string           `json:"policy_error,omitempty"`
	Host     string           `json:"policy_host,omitempty"`
	Fetches  []Fetch          `json:"fetches,omitempty"`
	TLSRPT   []TLSRPT         `json:"tlsrpt,omitempty"` // of the domain, and of the TLSA base domains of its mail servers
	Lookups  []Lookup         `json:"lookups"`
	// RecordLookup is the index into Lookups of the lookup of the MTA-STS record.
	RecordLookup *int `json:"record_lookup,omitempty"`
}

// TLSRPT is the TLSRPT record of one name.
type TLSRPT struct {
	Name   string   `json:"name"`
	RUA    []string `json:"rua,omitempty"` // where reports are sent
	Error  string   `json:"error,omitempty"`
	Lookup int      `json:"lookup"` // index into MTASTS.Lookups
}

// Senders are the outcomes for senders that support DANE only, MTA-STS only, or both.
type Senders struct {
	DANE   string `json:"dane"`
	MTASTS string `json:"mta_sts"`
	Both   string `json:"both"`
}

// ServiceSenders are the outcomes for one service.
type ServiceSenders struct {
	Host    string  `json:"host"`
	Port    uint16  `json:"port"`
	Covered *bool   `json:"covered,omitempty"` // whether the policy lists the host
	Senders Senders `json:"senders"`
	// Endpoints in the order of Service.Endpoints.
	Endpoints []EndpointSenders `json:"endpoints"`
}

// EndpointSenders are the outcomes for one endpoint.
type EndpointSenders struct {
	Address string  `json:"address"`
	KeyType string  `json:"key_type,omitempty"` // as in Endpoint
	Skipped bool    `json:"skipped,omitempty"`  // it was not tried, and does not affect the outcome
	Passes  *bool   `json:"passes,omitempty"`   // whether it meets the requirements of MTA-STS, apart from the policy
	Why     string  `json:"why,omitempty"`      // why not
	Senders Senders `json:"senders"`
}

// Policy is the MTA-STS policy that was fetched.
type Policy struct {
	Mode   string   `json:"mode"`
	MaxAge float64  `json:"max_age_seconds"`
	MX     []string `json:"mx"`
	MoreMX int      `json:"more_mx,omitempty"` // omitted from MX
}

// Fetch is one attempt to fetch the policy.
type Fetch struct {
	Address string `json:"address"`
	Error   string `json:"error,omitempty"`
	// Certificate of the policy host, whether or not it is trusted.
	Certificate *Certificate `json:"certificate,omitempty"`
}
