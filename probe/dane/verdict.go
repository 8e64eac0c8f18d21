package dane

import (
	"net/netip"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

// Verdict is what facts mean at one time, under one set of rules.
type Verdict struct {
	At        time.Time
	Outcome   Outcome
	FaultZone string           // the zone that is the only cause of Outcome, in the form of TextName; empty: none
	Success   bool             // the value of probe_success
	Services  []ServiceVerdict // every service of every host, in the order of the facts
	MTASTS    *MTASTSVerdict   // nil unless the module asks for it
	Findings  []Finding
	Advice    []Advice
}

// ServiceVerdict is the verdict on one service.
type ServiceVerdict struct {
	Service     *Service // the facts that were judged; never nil in a Verdict of Judge
	Host        string
	Port        uint16
	Policy      Policy // whose rules applied
	Outcome     Outcome
	Base        string         // TLSA base domain; empty if no secure TLSA records apply
	Answer      *dnssec.Answer // of the lookup that returned Records
	Records     []RecordVerdict
	Names       []string // reference identifiers
	Endpoints   []EndpointVerdict
	Nameservers []NameserverVerdict // of the zone that holds Records, where they were queried
	// Until is when DANE authentication will fail if nothing changes. It is zero
	// if no date counts, or if nothing is authenticated.
	Until time.Time
	// From is the start of the validity of the certificate that expires at Until.
	From time.Time
}

// RecordVerdict is the verdict on one TLSA record that applies.
type RecordVerdict struct {
	Record    tlsa.Record
	Usability tlsa.Usability
	Why       string // why the record is not usable
	Matches   bool   // at least one endpoint serves what it describes
}

// EndpointVerdict is the verdict on one endpoint.
type EndpointVerdict struct {
	Address   netip.Addr
	Facts     *Endpoint // that were judged
	Outcome   Outcome
	Skipped   bool         // does not count
	Reason    Reason       // why there was no handshake; empty if there was one
	Matches   []tlsa.Match // one for each of the service's Records; empty without a handshake
	NameMatch Measure      // the leaf is valid for one of the service's Names
	PKIX      Measure      // the chain is valid for the Web PKI
	PKIXErr   error        // why it is not, or why that was not measured; nil if PKIX is Yes
}

// Measure is a yes or no that may not have been measured.
type Measure uint8

const (
	NotMeasured Measure = iota
	No
	Yes
)

// MeasureOf returns Yes for true and No for false.
func MeasureOf(b bool) Measure {
	if b {
		return Yes
	}
	return No
}

// Finding is one thing that an operator must know, and where it was found.
// Fields that do not apply are empty.
type Finding struct {
	Reason  Reason
	Host    string
	Port    uint16
	Address netip.Addr
	Lookup  LookupKind // of a DNS finding
	Zone    string     // the zone at fault for the lookup, in the form of TextName
	Detail  string     // what was attempted, on what, and what came back
}
