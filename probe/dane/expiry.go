package dane

import (
	"slices"
	"time"

	"dane_exporter/probe/tlsa"
)

// expiry returns when the first of the service's endpoints stops being
// authenticated if nothing changes: the last second at which [Judge] still
// authenticates it. Zero: never, or nothing is authenticated.
func (j *judge) expiry(v *ServiceVerdict) time.Time {
	var first time.Time
	for i := range v.Endpoints {
		e := &v.Endpoints[i]
		if e.Outcome != Authenticated {
			continue
		}
		if end := j.endpointExpiry(e, v); !end.IsZero() && (first.IsZero() || end.Before(first)) {
			first = end
		}
	}
	return first
}

// endpointExpiry follows one record to the next: when a record stops
// authenticating, another may have started to, whose certificates are not valid
// yet today. Each step ends at the expiry of a certificate. No honest chain has
// more than maxSteps.
func (j *judge) endpointExpiry(e *EndpointVerdict, v *ServiceVerdict) time.Time {
	const maxSteps = 8
	matches := e.Matches
	var end time.Time
	for range maxSteps {
		if end = lastExpiry(matches); end.IsZero() {
			return end
		}
		// Certificate dates are whole seconds (RFC 5280 §4.1.2.5).
		matches = j.verifier(v, end.Add(time.Second)).Match(recordsOf(v), e.Facts.Chain)
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
