package tlsa

import (
	"crypto/x509"
	"time"
)

// Chain is what the server sent, leaf first, exactly as sent.
type Chain struct {
	Certificates []*x509.Certificate
}

// NewChain parses the certificates of a TLS handshake. It returns an error
// that names the position where crypto/x509 cannot parse one.
func NewChain(raw [][]byte) (*Chain, error) { return nil, nil }

// Verifier holds what a client knows of its peer before the handshake.
type Verifier struct {
	Usages Usages
	Names  []string       // reference identifiers, A-labels
	Roots  *x509.CertPool // system roots, for PKIX usages; nil: those are unmeasured
	At     time.Time
}

// Match judges each record of set against the chain: one Match for each
// record, in the order of set, each with its why.
func (v Verifier) Match(set []Record, chain *Chain) []Match { return nil }

// PKIX says whether the chain as sent leads to the system roots at v.At with
// one of v.Names, DANE or not: nil, or why not. Roots must not be nil.
func (v Verifier) PKIX(chain *Chain) error { return nil }

// NameMatches says whether the leaf is for one of v.Names.
func (v Verifier) NameMatches(chain *Chain) bool { return false }

// Standings says for each record of set what a client makes of it before it
// sees a certificate, and why.
func Standings(set []Record, usages Usages) ([]Standing, []string) { return nil, nil }

// For makes the record of one certificate.
func For(certificate *x509.Certificate, usage Usage, selector Selector, matchingType MatchingType) (Record, error) {
	return Record{}, nil
}
