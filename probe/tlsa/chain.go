package tlsa

import (
	"bytes"
	"crypto/x509"
	"sync"
)

// maxCertificates is how many certificates of a chain are judged. Senders give
// up far earlier; the bound keeps a hostile server from buying our time.
const maxCertificates = 32

// Chain is what the server sent, leaf first, exactly as sent. It is safe for
// concurrent use once made, and must not be copied.
type Chain struct {
	Certificates []*x509.Certificate

	once   sync.Once
	digest []associations // of each certificate
}

// associations are the data that a record of each selector and matching type
// would hold for one certificate.
type associations [SPKI + 1][SHA512 + 1][]byte

// NewChain makes a chain of the certificates of a TLS handshake, of which
// nobody may change any: the first 32.
func NewChain(sent []*x509.Certificate) *Chain {
	return &Chain{Certificates: sent[:min(len(sent), maxCertificates)]}
}

// sent are the certificates that are judged.
func (c *Chain) sent() []*x509.Certificate {
	return c.Certificates[:min(len(c.Certificates), maxCertificates)]
}

func (c *Chain) leaf() *x509.Certificate { return c.Certificates[0] }

func (c *Chain) empty() bool { return c == nil || len(c.Certificates) == 0 }

// association returns what a record like r would hold for the certificate at
// depth. Each digest is computed once for the life of the chain.
func (c *Chain) association(depth int, r Record) []byte {
	c.once.Do(func() {
		c.digest = make([]associations, len(c.sent()))
		for i, certificate := range c.sent() {
			for s := range c.digest[i] {
				for m := range c.digest[i][s] {
					c.digest[i][s][m] = associate(certificate, Selector(s), MatchingType(m))
				}
			}
		}
	})
	return c.digest[depth][r.Selector][r.MatchingType]
}

// has reports whether the certificate at depth has the data of r.
func (c *Chain) has(depth int, r Record) bool {
	return bytes.Equal(c.association(depth, r), r.Data)
}

// issuersWith lists the depths above the leaf whose certificates have the data
// of r. A leaf that is sent twice does not become its own issuer.
func (c *Chain) issuersWith(r Record) []int {
	var depths []int
	for depth := 1; depth < len(c.sent()); depth++ {
		if c.has(depth, r) && !c.Certificates[depth].Equal(c.leaf()) {
			depths = append(depths, depth)
		}
	}
	return depths
}

// depthOf returns where certificate stands among those sent, or -1.
func (c *Chain) depthOf(certificate *x509.Certificate) int {
	for depth, sent := range c.sent() {
		if sent.Equal(certificate) {
			return depth
		}
	}
	return -1
}
