package tlsa

import (
	"bytes"
	"crypto/x509"
	"sync"
)

// maxCertificates is the number of certificates of a chain that are matched.
// Senders give up far earlier. The limit bounds the CPU time that a hostile
// server can consume.
const maxCertificates = 32

// Chain is the list of certificates that the server sent, leaf first, in the
// order sent. A complete Chain is safe for concurrent use. It must not be copied.
type Chain struct {
	Certificates []*x509.Certificate

	once sync.Once
	data []associations // of each certificate
}

// associations is the association data of one certificate for each selector and
// matching type.
type associations [SPKI + 1][SHA512 + 1][]byte

// NewChain returns a chain of the first 32 certificates of a TLS handshake. The
// caller must not modify them.
func NewChain(sent []*x509.Certificate) *Chain {
	return &Chain{Certificates: sent[:min(len(sent), maxCertificates)]}
}

// sent returns the certificates that are matched.
func (c *Chain) sent() []*x509.Certificate {
	return c.Certificates[:min(len(c.Certificates), maxCertificates)]
}

func (c *Chain) leaf() *x509.Certificate { return c.Certificates[0] }

func (c *Chain) empty() bool { return c == nil || len(c.Certificates) == 0 }

// association returns the data that a record with the parameters of r has for the
// certificate at depth. All digests are computed once in the life of the chain.
func (c *Chain) association(depth int, r Record) []byte {
	c.once.Do(func() {
		c.data = make([]associations, len(c.sent()))
		for i, certificate := range c.sent() {
			for s := range c.data[i] {
				for m := range c.data[i][s] {
					c.data[i][s][m] = associationData(certificate, Selector(s), MatchingType(m))
				}
			}
		}
	})
	return c.data[depth][r.Selector][r.MatchingType]
}

// has reports whether the certificate at depth has the data of r.
func (c *Chain) has(depth int, r Record) bool {
	return bytes.Equal(c.association(depth, r), r.Data)
}

// issuersWith returns the depths above the leaf whose certificates have the data
// of r. A second copy of the leaf does not count as its issuer.
func (c *Chain) issuersWith(r Record) []int {
	var depths []int
	for depth := 1; depth < len(c.sent()); depth++ {
		if c.has(depth, r) && !c.Certificates[depth].Equal(c.leaf()) {
			depths = append(depths, depth)
		}
	}
	return depths
}

// depthOf returns the depth at which certificate was sent, or -1.
func (c *Chain) depthOf(certificate *x509.Certificate) int {
	for depth, sent := range c.sent() {
		if sent.Equal(certificate) {
			return depth
		}
	}
	return -1
}
