package dane

import (
	"net/netip"
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
	TLSRPTTXT *dnssec.Answer // at mtasts.TLSRPTName
	TLSRPT    mtasts.TLSRPT
	TLSRPTErr error // why there is no valid TLSRPT; nil if TLSRPTTXT failed
	Err       error // a PanicError that lost a part of these facts; nil as a rule
}

// PolicyFetch is one attempt to fetch the policy, from one address.
type PolicyFetch struct {
	Address netip.Addr
	mtasts.Fetched
	Err           error // CauseOf classifies it
	TimedOutEarly bool  // the probe's deadline came before the host had the minimum time to answer
}

// Lookups returns the lookups for MTA-STS and TLSRPT. [Facts.Lookups] leaves
// them out: DANE does not depend on them, and MTA-STS does not need them secure.
func (m *MTASTS) Lookups() []Lookup {
	var all []Lookup
	for _, lookup := range []Lookup{
		{LookupTXT, "", m.TXT}, {LookupA, m.Host.Name, m.Host.A}, {LookupAAAA, m.Host.Name, m.Host.AAAA}, {LookupTXT, "", m.TLSRPTTXT},
	} {
		if lookup.Answer != nil {
			all = append(all, lookup)
		}
	}
	return all
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
