package probe

import (
	"slices"

	"dane_exporter/probe/tlsa"
)

// Practice is how the TLSA records of a service are kept: not whether they
// hold today, but whether they will outlive the certificates of today.
type Practice struct {
	// RolloverReady: the next certificate can come at any time. A record of it
	// is published beside the one that matches (RFC 7671 §8.1), or records of the
	// leaf and of an issuer back each other. Internet.nl's test asks for the same.
	// Unless the module has KeyTypes, that record may be of a second key that
	// the server has already.
	RolloverReady Measure
	// SurvivesRenewal: a certificate with the same key from the same issuer will
	// match, at every endpoint that is authenticated today.
	SurvivesRenewal Measure
	// Stale lists the usable records that match nothing that was seen of any
	// endpoint: the next key's, or forgotten ones, or where the module has no
	// KeyTypes, those of a second key. Empty where not Measured.
	Stale    []tlsa.Record
	Measured bool // some endpoint showed its certificates
}

// Practice says how the records of v are kept, as far as the endpoints that
// were measured show it.
func (v *ServiceVerdict) Practice() Practice {
	var p Practice
	p.Measured = slices.ContainsFunc(v.Endpoints, func(e EndpointVerdict) bool { return len(e.Matches) > 0 })
	if !p.Measured {
		return p
	}
	var matching []tlsa.Record
	for _, record := range v.Records {
		switch {
		case record.Standing != tlsa.Usable:
		case record.Matches:
			matching = append(matching, record.Record)
		default:
			p.Stale = append(p.Stale, record.Record)
		}
	}
	if len(matching)+len(p.Stale) > 0 {
		backed := slices.ContainsFunc(matching, ofIssuer) && !allOf(matching, ofIssuer)
		p.RolloverReady = MeasureOf(len(matching) > 0 && len(p.Stale) > 0 || backed)
	}
	for _, e := range v.Endpoints {
		if !slices.ContainsFunc(e.Matches, tlsa.Match.Authenticates) {
			continue
		}
		if !slices.ContainsFunc(e.Matches, outlivesRenewal) {
			p.SurvivesRenewal = No
			break
		}
		p.SurvivesRenewal = Yes
	}
	return p
}

// outlivesRenewal reports whether a record authenticates by what a renewal
// with the same key leaves as it is: the leaf's key, or an issuer.
func outlivesRenewal(m tlsa.Match) bool {
	return m.Authenticates() && (ofIssuer(m.Record) || m.Record.Selector == tlsa.SPKI)
}

// ofIssuer reports whether a record speaks of an issuer, not of the leaf.
func ofIssuer(r tlsa.Record) bool { return r.Usage == tlsa.DANETA || r.Usage == tlsa.PKIXTA }

func allOf(records []tlsa.Record, is func(tlsa.Record) bool) bool {
	return !slices.ContainsFunc(records, func(r tlsa.Record) bool { return !is(r) })
}
