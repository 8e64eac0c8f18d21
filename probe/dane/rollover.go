package dane

import (
	"slices"

	"dane_exporter/probe/tlsa"
)

// RolloverStatus says whether the TLSA records of a service will still match
// after the next certificate change.
type RolloverStatus struct {
	// RolloverReady: the next certificate may be served at any time. Its record is
	// published together with the one that matches now (RFC 7671 §8.1), or a record
	// of the leaf and one of an issuer back each other up. The test of Internet.nl
	// requires the same. Unless the module has KeyTypes, the other record may
	// belong to a second key that the server has already.
	RolloverReady Measure
	// SurvivesRenewal: a certificate with the same key from the same issuer will
	// match at every endpoint that is authenticated now.
	SurvivesRenewal Measure
	// Stale lists the usable records of certificates and keys of servers that match no
	// endpoint: those of the next key, forgotten ones or, if the module has no KeyTypes,
	// those of a second key. A record of an issuer that is not sent is not among them:
	// no server can use it as its own. Stale is empty unless Measured.
	Stale    []tlsa.Record
	Measured bool // at least one endpoint sent certificates
}

// RolloverStatus returns the status of the records of v, as far as the
// handshakes show it.
func (v *ServiceVerdict) RolloverStatus() RolloverStatus {
	var s RolloverStatus
	s.Measured = slices.ContainsFunc(v.Endpoints, func(e EndpointVerdict) bool { return len(e.Matches) > 0 })
	if !s.Measured {
		return s
	}
	var matching []tlsa.Record
	for _, record := range v.Records {
		switch {
		case record.Usability != tlsa.Usable:
		case record.Matches:
			matching = append(matching, record.Record)
		case !ofIssuer(record.Record):
			s.Stale = append(s.Stale, record.Record)
		}
	}
	usable := func(r RecordVerdict) bool { return r.Usability == tlsa.Usable }
	if slices.ContainsFunc(v.Records, usable) {
		ofLeaf := func(r tlsa.Record) bool { return !ofIssuer(r) }
		backedUp := slices.ContainsFunc(matching, ofIssuer) && slices.ContainsFunc(matching, ofLeaf)
		s.RolloverReady = MeasureOf(len(matching) > 0 && len(s.Stale) > 0 || backedUp)
	}
	for _, e := range v.Endpoints {
		if !slices.ContainsFunc(e.Matches, tlsa.Match.Authenticates) {
			continue
		}
		if !slices.ContainsFunc(e.Matches, survivesRenewal) {
			s.SurvivesRenewal = No
			break
		}
		s.SurvivesRenewal = Yes
	}
	return s
}

// survivesRenewal reports whether a record authenticates by what a renewal with
// the same key does not change: the leaf's key, or an issuer.
func survivesRenewal(m tlsa.Match) bool {
	return m.Authenticates() && (ofIssuer(m.Record) || m.Record.Selector == tlsa.SPKI)
}

// ofIssuer reports whether a record describes an issuer, not the leaf.
func ofIssuer(r tlsa.Record) bool { return r.Usage == tlsa.DANETA || r.Usage == tlsa.PKIXTA }
