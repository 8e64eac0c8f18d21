package tlsa

import (
	"crypto/x509"
	"errors"
	"time"
)

// Verifier holds what a client knows about the server before the handshake.
type Verifier struct {
	Usages Usages
	Names  []string       // reference identifiers, A-labels
	Roots  *x509.CertPool // system roots, for PKIX usages; nil: those are not measured
	At     time.Time      // the time at which certificates must be valid; must be set
	Stop   func() error   // returns an error if there is no time for costly checks; nil: there is
}

func (v Verifier) newChecker(chain *Chain) *checker { return &checker{memo: &chain.memo, stop: v.Stop} }

// Failure is the reason why a record does not authenticate the server.
type Failure uint8

// The failures.
const (
	None          Failure = iota // the record authenticates the server, or was not compared (see Match.Usability)
	Mismatch                     // no certificate at a depth that the usage allows has the data
	AnchorNotSent                // DANE-TA: the record is of a known root, which the server did not send
	ChainInvalid                 // a certificate has the data, but the chain as sent does not lead to it by certificates for that purpose
	NameMismatch                 // the chain is valid, but the leaf is for other names
	Expired                      // a certificate that counts is past its notAfter
	NotYetValid                  // a certificate that counts is before its notBefore
	PKIXUntrusted                // PKIX usages: no valid chain to the system roots
	Unmeasured                   // not judged: a PKIX usage without system roots, an unsupported algorithm, or over a limit
)

// Match is the result of matching one record against one chain.
type Match struct {
	Record    Record
	Usability Usability
	Matches   bool      // a certificate that the usage allows has the data: one sent, or the anchor of the path
	Depth     int       // depth of that certificate as sent, 0 for the leaf; -1 if none has the data or it was not sent
	Failure   Failure   // None if the record authenticates the server, or is Unusable
	Expiry    time.Time // last second at which the record authenticates the server, if no certificate changes; zero if no date counts
	Why       string    // explanation for people: printable, limited in length
	Open      error     // why it was not judged, an ErrUnmeasured; nil unless Failure is Unmeasured
	// AnchorOutOfDate says that the anchor has expired or is not valid yet, where its
	// dates do not count. Clients that check them refuse the server.
	AnchorOutOfDate string
}

// Authenticates reports whether this record alone authenticates the server.
func (m Match) Authenticates() bool {
	return m.Usability == Usable && m.Matches && m.Failure == None
}

// better reports whether m is a better result for the server than other: the one
// that authenticates for longer, or else the one that is closer to authenticating.
func (m Match) better(other Match) bool {
	if m.Failure == None && other.Failure == None {
		return m.Expiry.After(other.Expiry)
	}
	return m.progress() > other.progress()
}

func (m Match) progress() int {
	switch m.Failure {
	case None:
		return 4
	case Unmeasured: // it may be None
		return 3
	case NameMismatch:
		return 2
	case Expired, NotYetValid:
		return 1
	default:
		return 0
	}
}

// Match matches each record of set against the chain. It returns one Match for
// each record, in the order of set; each has a Why. Superseded records are matched
// too, so that their data can be seen to match, but they never authenticate.
func (v Verifier) Match(set []Record, chain *Chain) []Match {
	matches := make([]Match, len(set))
	m := newMatcher(v, chain)
	for i, a := range Assess(set, v.Usages) {
		var match Match
		switch {
		case a.Usability == Unusable:
			match = Match{Depth: -1, Why: a.Why}
		case chain.empty():
			match = Match{Depth: -1, Failure: Mismatch, Why: errNoCertificate.Error()}
		default:
			match = m.match(a.Record)
		}
		if a.Usability == Superseded {
			match.Why = a.Why + "; " + match.Why
		}
		match.Record, match.Usability = a.Record, a.Usability
		matches[i] = match
	}
	return matches
}

var errNoCertificate = errors.New("the server sent no certificate")

// ErrUntrusted is wrapped by the error of [Verifier.PKIX] if the chain leads to no system
// root at any time, such as that of a private CA.
var ErrUntrusted = errors.New("no chain to the system roots")

// An untrustedError is the reason for an ErrUntrusted.
type untrustedError string

func (e untrustedError) Error() string { return string(e) }
func (e untrustedError) Unwrap() error { return ErrUntrusted }

// PKIX judges the chain regardless of DANE. It returns nil if the chain as sent
// leads to the system roots, is valid at v.At, and is for one of v.Names. Otherwise
// it returns the reason, which is an ErrUnmeasured if that is not known. v.Roots
// must not be nil.
func (v Verifier) PKIX(chain *Chain) error {
	if chain.empty() {
		return errNoCertificate
	}
	m := newMatcher(v, chain).bestPKIXPath(func(path) bool { return true })
	switch m.Failure {
	case None:
		return nil
	case Unmeasured:
		return m.Open
	case PKIXUntrusted:
		return untrustedError(m.Why)
	default:
		return errors.New(m.Why)
	}
}

// NameMatches reports whether the leaf is for one of v.Names.
func (v Verifier) NameMatches(chain *Chain) bool {
	return !chain.empty() && matchesName(chain.leaf(), v.Names)
}
