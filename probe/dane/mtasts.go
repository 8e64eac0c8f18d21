package dane

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
)

// MTASTS is what a domain publishes for MTA-STS (RFC 8461) and TLSRPT
// (RFC 8460). A nil field was not looked up or fetched.
type MTASTS struct {
	TXT       *dnssec.Answer // at mtasts.RecordName
	Record    mtasts.Record
	RecordErr error          // why there is no valid Record; nil if TXT failed
	Host      Host           // the policy host and its addresses; looked up if there is a Record
	Fetches   []PolicyFetch  // in order; the last one counts
	Policy    *mtasts.Policy // nil: no valid policy was fetched
	PolicyErr error          // why the fetched text is not a valid policy
	TLSRPT    TLSRPT         // of the domain
	Err       error          // a PanicError that lost a part of these facts; nil as a rule
}

// TLSRPT is the TLSRPT record of one policy domain (RFC 8460 §3). For MTA-STS, that is
// the domain of the mail address. For DANE, it is the TLSA base domain of the mail
// server (RFC 8460 §1.1).
type TLSRPT struct {
	Domain string         // in the form of Host.Name
	TXT    *dnssec.Answer // at mtasts.TLSRPTName; nil: not looked up
	Record mtasts.TLSRPT
	Err    error // why there is no valid Record; nil if TXT failed
}

// Present reports whether there is a record, valid or not. It is not measured if the
// lookup failed.
func (t *TLSRPT) Present() Measure {
	if t.TXT == nil || t.TXT.Status.Failed() {
		return NotMeasured
	}
	return MeasureOf(!errors.Is(t.Err, mtasts.ErrNoRecord))
}

// TLSRPTs returns the TLSRPT records of the domain and of the TLSA base domains of
// its mail servers, each once. There are none if MTASTS is nil.
func (f *Facts) TLSRPTs() []*TLSRPT {
	if f.MTASTS == nil {
		return nil
	}
	all := []*TLSRPT{&f.MTASTS.TLSRPT}
	for i := range f.Hosts {
		for j := range f.Hosts[i].Services {
			own := f.Hosts[i].Services[j].TLSRPT
			if own != nil && !slices.ContainsFunc(all, func(t *TLSRPT) bool { return t.Domain == own.Domain }) {
				all = append(all, own)
			}
		}
	}
	return all
}

// PolicyFetch is one attempt to fetch the policy, from one address.
type PolicyFetch struct {
	Address netip.Addr
	mtasts.Fetched
	Err           error // CauseOf classifies it
	TimedOutEarly bool  // the probe's deadline came before the host had the minimum time to answer
}

// MTASTSLookups returns the lookups for MTA-STS and TLSRPT. [Facts.Lookups] leaves
// them out: DANE does not depend on them, and MTA-STS does not need them secure.
func (f *Facts) MTASTSLookups() []Lookup {
	m := f.MTASTS
	if m == nil {
		return nil
	}
	all := []Lookup{{LookupTXT, "", m.TXT}, {LookupA, m.Host.Name, m.Host.A}, {LookupAAAA, m.Host.Name, m.Host.AAAA}}
	for i, record := range f.TLSRPTs() {
		host := ""
		if i > 0 {
			host = record.Domain
		}
		all = append(all, Lookup{LookupTXT, host, record.TXT})
	}
	return slices.DeleteFunc(all, func(l Lookup) bool { return l.Answer == nil })
}

// Fetched returns the fetch that counts; nil if there was none.
func (m *MTASTS) Fetched() *PolicyFetch {
	if len(m.Fetches) == 0 {
		return nil
	}
	return &m.Fetches[len(m.Fetches)-1]
}

// CertificateExpiry returns the notAfter time of the policy host's certificate,
// trusted or not; zero if none was received.
func (m *MTASTS) CertificateExpiry() time.Time {
	last := m.Fetched()
	if last == nil || last.Certificate == nil {
		return time.Time{}
	}
	return last.Certificate.NotAfter
}

// TimedOutEarly reports whether the probe's deadline cut the fetch short.
func (m *MTASTS) TimedOutEarly() bool {
	last := m.Fetched()
	return last != nil && last.TimedOutEarly
}
