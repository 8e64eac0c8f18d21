// Package tlsa is the arithmetic of DANE: TLSA records, which of them a client
// may use, and whether the certificates that a server sent match them
// (RFC 6698, RFC 7671). It is pure: nothing is looked up, nothing is dialled.
package tlsa

import "time"

// Usage is the certificate usage field (RFC 6698 §2.1.1), named by RFC 7218.
type Usage uint8

const (
	PKIXTA Usage = 0
	PKIXEE Usage = 1
	DANETA Usage = 2
	DANEEE Usage = 3
)

// Selector is the selector field (RFC 6698 §2.1.2).
type Selector uint8

const (
	Cert Selector = 0 // the whole certificate
	SPKI Selector = 1 // the public key alone
)

// MatchingType is the matching type field (RFC 6698 §2.1.3).
type MatchingType uint8

const (
	Full   MatchingType = 0
	SHA256 MatchingType = 1
	SHA512 MatchingType = 2
)

// Record is the data of one TLSA record.
type Record struct {
	Usage        Usage
	Selector     Selector
	MatchingType MatchingType
	Data         []byte
}

// Usages says which certificate usages a client can act on.
type Usages [4]bool

// SMTPRelay are those of RFC 7672 §3.1: DANE-TA(2) and DANE-EE(3).
func SMTPRelay() Usages { return Usages{DANETA: true, DANEEE: true} }

// Client are those of RFC 6698: all four.
func Client() Usages { return Usages{true, true, true, true} }

// Standing is what a client makes of a record before it sees a certificate.
type Standing uint8

const (
	Usable     Standing = iota
	Unusable            // malformed, or its parameters are unknown or not for this client
	Superseded          // usable, and a stronger digest stands beside it (RFC 7671 §9)
)

// Failure says why a record does not authenticate what the server sent.
type Failure uint8

const (
	None             Failure = iota // it authenticates, or it was not looked at (see Standing)
	Mismatch                        // no certificate at a place it speaks of has its data
	AnchorNotSent                   // DANE-TA or PKIX-TA: the missing certificate is known, and the server did not send it
	ChainInvalid                    // a certificate matches, but the chain as sent does not lead to it
	NameMismatch                    // the chain holds, but the leaf is for other names
	Expired                         // a certificate that counts is past its notAfter
	NotYetValid                     // a certificate that counts is before its notBefore
	PKIXUntrusted                   // PKIX usages: no chain to the system roots
	Unmeasured                      // PKIX usages without system roots: not judged
)

// Match is the verdict of one record on one chain.
type Match struct {
	Record   Record
	Standing Standing
	Matches  bool      // the data is that of a certificate sent, at a place the usage speaks of
	Depth    int       // which one: 0 is the leaf; -1 where none, or where the record itself supplied the anchor
	Failure  Failure   // None with Standing Usable and Matches: it authenticates
	Until    time.Time // when that ends by the dates that count; zero where none does
	Why      string    // in words
}

// Authenticates reports whether this record alone proves the peer.
func (m Match) Authenticates() bool {
	return m.Standing == Usable && m.Matches && m.Failure == None
}
