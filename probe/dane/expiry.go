package dane

import (
	"net/netip"
	"slices"
	"time"

	"dane_exporter/probe/tlsa"
)

// authenticationPeriod returns when the first of the service's addresses stops being
// authenticated if nothing changes. until is the last second at which [Judge] still
// authenticates the address. It is zero if no date counts, or if nothing is
// authenticated. An address is authenticated if the certificates of all its key
// types are. from is the start of the validity of the certificate that expires then.
func (j *judge) authenticationPeriod(v *ServiceVerdict) (from, until time.Time) {
	refused := make(map[netip.Addr]bool)
	for _, e := range v.Endpoints {
		refused[e.Address] = refused[e.Address] || !e.Skipped && e.Outcome != Authenticated
	}
	for i := range v.Endpoints {
		e := &v.Endpoints[i]
		if e.Outcome != Authenticated || refused[e.Address] {
			continue
		}
		if end := j.endpointExpiry(e, v); !end.IsZero() && (until.IsZero() || end.Before(until)) {
			from, until = notBefore(e.Facts.Chain, end), end
		}
	}
	return from, until
}

// notBefore returns the start of the validity of the certificate of a chain that
// expires at a time. If none does, because the server did not send that certificate,
// it returns the start for the leaf.
func notBefore(chain *tlsa.Chain, expiry time.Time) time.Time {
	for _, certificate := range chain.Certificates {
		if certificate.NotAfter.Equal(expiry) {
			return certificate.NotBefore
		}
	}
	return chain.Certificates[0].NotBefore
}

// endpointExpiry follows one record to the next: when a record stops
// authenticating, another may have started to, whose certificates are not valid
// yet today. Each step ends at the expiry of a certificate. No honest chain has
// more than maxSteps.
func (j *judge) endpointExpiry(e *EndpointVerdict, v *ServiceVerdict) time.Time {
	const maxSteps = 8
	matches := e.Matches
	verifier := j.verifier(v, j.verdict.At)
	verifier.Stop = nil // the costly checks are known; without the others, end would be too early
	var end time.Time
	for range maxSteps {
		if end = lastExpiry(matches); end.IsZero() {
			return end
		}
		// Certificate dates are whole seconds (RFC 5280 §4.1.2.5).
		verifier.At = end.Add(time.Second)
		matches = verifier.Match(recordsOf(v), e.Facts.Chain)
		if !slices.ContainsFunc(matches, tlsa.Match.Authenticates) {
			return end
		}
	}
	return end
}

// lastExpiry returns when the last of the records that authenticate stops doing so; zero: never.
func lastExpiry(matches []tlsa.Match) time.Time {
	var last time.Time
	for _, match := range matches {
		if !match.Authenticates() {
			continue
		}
		if match.Expiry.IsZero() {
			return time.Time{}
		}
		if match.Expiry.After(last) {
			last = match.Expiry
		}
	}
	return last
}
