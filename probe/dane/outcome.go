package dane

import "slices"

// Outcome is the result that an opportunistic DANE client (Postfix security
// level dane) gets. A mandatory one (dane-only; RFC 7672 §6) accepts Authenticated
// alone.
type Outcome string

const (
	// Authenticated: a secure, usable TLSA record authenticates the server.
	Authenticated Outcome = "authenticated"
	// Encrypted: there are secure TLSA records and none is usable. TLS is
	// mandatory, the server is not authenticated (RFC 7672 §2.2).
	Encrypted Outcome = "encrypted"
	// Opportunistic: it is proven that DANE does not apply.
	Opportunistic Outcome = "opportunistic"
	// None: there is nothing to connect to.
	None Outcome = "none"
	// Unknown: the target could not be judged, and the cause is on our side.
	Unknown Outcome = "unknown"
	// Unreachable: no endpoint got as far as TLS. Every client fails, with DANE or without.
	Unreachable Outcome = "unreachable"
	// Refused: DANE is why the client does not deliver.
	Refused Outcome = "refused"

	// Undecided: only the lookups were judged, and they do not decide the outcome. It is not
	// an outcome of a client, so Outcomes does not list it, and no metric has it.
	Undecided Outcome = "undecided"
)

// Outcomes returns all outcomes, best first. A host has the worst outcome of its endpoints.
func Outcomes() []Outcome {
	return []Outcome{Authenticated, Encrypted, Opportunistic, None, Unknown, Unreachable, Refused}
}

// delivers reports whether a client with this outcome delivers.
func (o Outcome) delivers() bool {
	return o == Authenticated || o == Encrypted || o == Opportunistic
}

// Worse returns the worse of two outcomes. Undecided is worse than the outcomes of a client
// that delivers or has nothing to connect to, because the server may cause a worse one.
func Worse(a, b Outcome) Outcome {
	order := slices.Insert(Outcomes(), slices.Index(Outcomes(), Unknown), Undecided)
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// worst returns the worst outcome of a list, and Authenticated for an empty one.
func worst(outcomes []Outcome) Outcome {
	w := Authenticated
	for _, outcome := range outcomes {
		w = Worse(w, outcome)
	}
	return w
}
