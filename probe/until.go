package probe

import (
	"slices"
	"time"

	"dane_exporter/probe/tlsa"
)

// until is when the first of the service's endpoints stops being authenticated,
// if no certificate changes: [Judge] says so still at that second, and no longer
// at the next. Zero: never, or nothing is authenticated.
func (j *judgement) until(v *ServiceVerdict) time.Time {
	var first time.Time
	for i := range v.Endpoints {
		e := &v.Endpoints[i]
		if e.Outcome != Authenticated {
			continue
		}
		if end := j.endOf(e, v); !end.IsZero() && (first.IsZero() || end.Before(first)) {
			first = end
		}
	}
	return first
}

// endOf goes from end to end: when one record stops authenticating, another
// may have begun to, whose certificates are not valid yet today. Each step is at
// the end of a certificate; what has more steps than maxEnds is no honest chain.
func (j *judgement) endOf(e *EndpointVerdict, v *ServiceVerdict) time.Time {
	const maxEnds = 8
	matches := e.Matches
	var end time.Time
	for range maxEnds {
		if end = latest(matches); end.IsZero() {
			return end
		}
		// The dates of certificates are whole seconds (RFC 5280 §4.1.2.5).
		matches = j.verifier(v, end.Add(time.Second)).Match(recordsOf(v), e.Facts.Chain)
		if !slices.ContainsFunc(matches, tlsa.Match.Authenticates) {
			return end
		}
	}
	return end
}

// latest is when the last of the records that authenticate stops; zero: never.
func latest(matches []tlsa.Match) time.Time {
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
