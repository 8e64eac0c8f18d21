package probe

// Outcome is what a DANE client ends up with. The outcomes are those of an
// opportunistic one (Postfix's level dane); a mandatory sender (dane-only)
// accepts Authenticated alone.
type Outcome string

const (
	// Authenticated: a secure, usable TLSA record proves the peer.
	Authenticated Outcome = "authenticated"
	// Encrypted: secure TLSA records, none usable, so that a relay must use TLS
	// and cannot authenticate (RFC 7672 §2.2).
	Encrypted Outcome = "encrypted"
	// Opportunistic: it is proven that DANE does not apply.
	Opportunistic Outcome = "opportunistic"
	// NothingThere: there is nothing to connect to.
	NothingThere Outcome = "none"
	// Unknown: it could not be judged, and that is ours.
	Unknown Outcome = "unknown"
	// Unreachable: no endpoint got as far as TLS, and every client fails, DANE or not.
	Unreachable Outcome = "unreachable"
	// Refused: DANE is why the client will not go on.
	Refused Outcome = "refused"
)

// Outcomes lists all seven, best first: a host has the worst of its endpoints'.
func Outcomes() []Outcome {
	return []Outcome{Authenticated, Encrypted, Opportunistic, NothingThere, Unknown, Unreachable, Refused}
}
