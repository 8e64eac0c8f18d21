package probe

import (
	"errors"
	"net/netip"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

// Report is one probe of one target: what was found, and what it means.
// What it shares with other reports, as certificates and answers, nobody writes
// to; nor to the rest, once it is returned.
type Report struct {
	Target   Target
	Module   Module
	Start    time.Time     // on the wall
	Duration time.Duration // of the whole probe
	Deadline time.Duration // the time that it had
	Facts    Facts
	Rules    Rules // that Verdict follows
	Verdict  Verdict
	Later    *Verdict // on the same facts, for another moment; nil: nobody asked
}

// JudgedAt returns the report with the verdict for another moment added. The
// DNSSEC statuses are facts, and stay as they were found.
func (r *Report) JudgedAt(at time.Time) *Report {
	later := Judge(&r.Facts, r.Rules, at)
	report := *r
	report.Later = &later
	return &report
}

// Facts are what the probe found, without judgement.
type Facts struct {
	Denied    bool // the configuration forbids this target: nothing was asked
	Discovery Span
	MX        *dnssec.Answer // with DiscoverMX
	SRV       []SRVLookup    // with DiscoverSRV
	Hosts     []Host         // in the order in which a client tries them
	MTASTS    *MTASTS        // nil: the module does not ask for it
	Phases    []Phase
	Complete  bool     // false: the deadline cut something short
	Truncated []string // what there was too much of: "hosts", "addresses"
	Fault     error    // a defect of ours that cost the discovery
}

// Host is one server name that the target leads to.
type Host struct {
	Name     string     // A-labels, lower case, no trailing dot
	Pinned   netip.Addr // the target named this address: it alone is connected to
	A, AAAA  *dnssec.Answer
	Looking  Span // of all its look-ups
	Services []Service
	Fault    error // a defect of ours that cost the host
}

// Service is one port of one host.
type Service struct {
	Port       uint16
	Protocol   string
	Policy     Policy         // whose rules judge it; empty: the module's
	Preference uint16         // of its host's MX record, or the priority of its SRV record
	Weight     uint16         // of its SRV record
	SRV        *dnssec.Answer // the look-up that named it; nil: it was not found so
	TLSA       []TLSALookup   // one for each candidate for the TLSA base domain that was asked, in order
	Endpoints  []Endpoint
	Authority  *Authority // the name servers of the zone that holds the records; nil: not asked
	Fault      error      // a defect of ours that cost the service
}

// TLSALookup is the look-up of the TLSA records under one base domain.
type TLSALookup struct {
	Base   string // the candidate, written as Host.Name is
	Answer dnssec.Answer
}

// Endpoint is one address of a service, and how far a handshake with it got;
// where the module names key types, one of each for each address.
type Endpoint struct {
	Address    netip.Addr
	KeyType    KeyType   // that alone was offered; empty: all
	Reached    Stage     // the last stage that was completed
	Err        error     // why it got no further; nil where Reached is StageTLS
	Hurried    bool      // our deadline came before the endpoint had had a fair time
	Reused     bool      // another probe has made this handshake, or made it for both
	Copied     bool      // it failed before TLS, for the key type before: nothing was tried for this one
	Other      *Endpoint // a further handshake at the address, which showed less than this one; nil: there was none
	Skipped    bool      // it does not count, and nobody is at fault: no IPv6 here, or no key of this type there
	Dialogue   starttls.Dialogue
	SNI        string
	TLSVersion uint16 // as crypto/tls numbers them
	Cipher     uint16
	Raw        [][]byte    // the certificates as sent, leaf first
	Chain      *tlsa.Chain // the same, parsed; nil where crypto/x509 cannot
	Connect    Span
	StartTLS   Span
	TLS        Span
}

// AsOf is when its facts were found. Zero: nothing was tried.
func (e *Endpoint) AsOf() time.Time {
	for _, span := range []Span{e.TLS, e.StartTLS, e.Connect} {
		if !span.Start.IsZero() {
			return span.End
		}
	}
	return time.Time{}
}

// Stage is a step on the way to a handshake.
type Stage uint8

const (
	StageNone     Stage = iota
	StageConnect        // the TCP connection stands
	StageStartTLS       // the dialogue led to STARTTLS
	StageTLS            // the handshake is complete
)

// Phase is one kind of work in a probe, from its first start to its last end.
type Phase struct {
	Name string // "discover", "lookup", "connect", "starttls", "tls"
	Span
}

// LookupKind names what was looked up, as the label of the metrics does.
type LookupKind string

const (
	LookupMX   LookupKind = "mx"
	LookupSRV  LookupKind = "srv"
	LookupA    LookupKind = "a"
	LookupAAAA LookupKind = "aaaa"
	LookupTLSA LookupKind = "tlsa"
	LookupTXT  LookupKind = "txt" // of MTA-STS and TLSRPT
)

// Lookup is one look-up of a probe, and for which host it was made.
type Lookup struct {
	Kind   LookupKind
	Host   string // empty for MX and SRV
	Answer *dnssec.Answer
}

// Lookups lists all look-ups in the order in which a client makes them.
func (f *Facts) Lookups() []Lookup {
	all := make([]Lookup, 0, 1+len(f.SRV)+4*len(f.Hosts))
	add := func(kind LookupKind, host string, answer *dnssec.Answer) {
		if answer != nil {
			all = append(all, Lookup{kind, host, answer})
		}
	}
	add(LookupMX, "", f.MX)
	for i := range f.SRV {
		add(LookupSRV, "", &f.SRV[i].Answer)
	}
	for i := range f.Hosts {
		host := &f.Hosts[i]
		add(LookupA, host.Name, host.A)
		add(LookupAAAA, host.Name, host.AAAA)
		for j := range host.Services {
			for k := range host.Services[j].TLSA {
				add(LookupTLSA, host.Name, &host.Services[j].TLSA[k].Answer)
			}
		}
	}
	return all
}

// Faults lists the defects of our own that were caught on the way.
func (f *Facts) Faults() []*Fault {
	var all []*Fault
	add := func(err error) {
		if fault, ok := errors.AsType[*Fault](err); ok {
			all = append(all, fault)
		}
	}
	add(f.Fault)
	lookups := f.Lookups()
	if f.MTASTS != nil {
		add(f.MTASTS.Fault)
		lookups = append(lookups, f.MTASTS.Lookups()...)
	}
	for _, lookup := range lookups {
		add(lookup.Answer.Err)
	}
	for i := range f.Hosts {
		add(f.Hosts[i].Fault)
		for j := range f.Hosts[i].Services {
			service := &f.Hosts[i].Services[j]
			add(service.Fault)
			for k := range service.Endpoints {
				for e := &service.Endpoints[k]; e != nil; e = e.Other {
					add(e.Err)
				}
			}
			if service.Authority != nil {
				for k := range service.Authority.Servers {
					add(service.Authority.Servers[k].Err)
				}
			}
		}
	}
	return all
}

// Verdict is what the facts mean at one moment, under one module.
type Verdict struct {
	At       time.Time
	Outcome  Outcome
	Success  bool
	Services []ServiceVerdict // every service of every host, in the order of the facts
	MTASTS   *MTASTSVerdict   // nil: the module does not ask for it
	Findings []Finding
	Advice   []Advice
}

// ServiceVerdict is the verdict on one service.
type ServiceVerdict struct {
	Host       string
	Port       uint16
	Policy     Policy // whose rules judged it
	Preference uint16
	Weight     uint16
	Outcome    Outcome
	Base       string         // the TLSA base domain; empty where no secure TLSA records apply
	Answer     *dnssec.Answer // the look-up that gave Records
	Records    []RecordVerdict
	Names      []string // the reference identifiers
	Endpoints  []EndpointVerdict
	// Nameservers of the zone that holds Records, where they were asked.
	Nameservers []NameserverVerdict
	// Until is when today's authentication ends if no certificate changes;
	// zero where no date counts, or nothing is authenticated.
	Until time.Time
}

// RecordVerdict is one TLSA record that applies, before and after the handshakes.
type RecordVerdict struct {
	Record   tlsa.Record
	Standing tlsa.Usability
	Why      string
	Matches  bool // what some endpoint serves
}

// EndpointVerdict is the verdict on one endpoint.
type EndpointVerdict struct {
	Address   netip.Addr
	Outcome   Outcome
	Skipped   bool         // it does not count
	Reason    Reason       // why there was no handshake; empty: there was one
	Facts     *Endpoint    // what it was judged by
	Matches   []tlsa.Match // one for each of the service's Records; empty where there was no handshake
	NameMatch Measure      // the leaf is for one of Names
	PKIX      Measure      // the Web PKI accepts it
	PKIXWhy   string       // why not
}

// Measure is a fact that may not have been measured.
type Measure uint8

const (
	NotMeasured Measure = iota
	No
	Yes
)

// MeasureOf turns what was measured into a Measure.
func MeasureOf(b bool) Measure {
	if b {
		return Yes
	}
	return No
}

// Finding is one thing that somebody should know, with its reason's name and
// where it was found. Fields that do not apply are empty.
type Finding struct {
	Reason  Reason
	Host    string
	Port    uint16
	Address netip.Addr
	Lookup  LookupKind // for findings of DNS
	Detail  string     // in words: what was attempted, on what, what came back
}
