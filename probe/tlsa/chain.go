package tlsa

import (
	"bytes"
	"crypto/x509"
	"sync"
)

// maxChain is the size in bytes of the certificates that are matched, as much as
// OpenSSL accepts (SSL_MAX_CERT_LIST_DEFAULT). It bounds the CPU time that a hostile
// server can consume. The number of certificates has no limit of its own.
const maxChain = 100 << 10

// Chain is the list of certificates that the server sent, leaf first, in the
// order sent. A complete Chain is safe for concurrent use. It must not be copied.
type Chain struct {
	Certificates []*x509.Certificate

	nodesOnce sync.Once
	nodes     []*node // of the certificates that are matched

	pathsMu sync.Mutex
	paths   *pathSet
	memo    checkMemo
}

// associations is the association data of one certificate for each selector and
// matching type.
type associations [SPKI + 1][SHA512 + 1][]byte

// associations returns the association data of n.
func (n *node) associations() associations {
	var data associations
	for s := range data {
		for m := range data[s] {
			data[s][m] = associationData(n.Certificate, Selector(s), MatchingType(m))
		}
	}
	return data
}

// has reports whether n has the data of r.
func (n *node) has(r Record) bool {
	return bytes.Equal(n.data()[r.Selector][r.MatchingType], r.Data)
}

// NewChain returns the chain of the certificates of a TLS handshake. The caller must
// not modify them.
func NewChain(sent []*x509.Certificate) *Chain {
	return &Chain{Certificates: sent}
}

// sent returns the certificates that are matched: the first maxChain bytes.
func (c *Chain) sent() []*x509.Certificate {
	size := 0
	for i, certificate := range c.Certificates {
		if size += len(certificate.Raw); i > 0 && size > maxChain {
			return c.Certificates[:i]
		}
	}
	return c.Certificates
}

// sentNodes returns the nodes of the certificates that are matched.
func (c *Chain) sentNodes() []*node {
	c.nodesOnce.Do(func() { c.nodes = newNodes(c.sent()) })
	return c.nodes
}

// pathSet returns a copy of the paths from the leaf through the certificates sent.
// They do not depend on the time, so they are found once in the life of the chain,
// unless the search is stopped.
func (c *Chain) pathSet(stop func() error) *pathSet {
	c.pathsMu.Lock()
	defer c.pathsMu.Unlock()
	paths := c.paths
	if paths == nil {
		search := &checker{memo: &c.memo, stop: stop}
		paths = newPathSet(c.sentNodes(), search)
		if search.stopped == nil {
			c.paths = paths
		}
	}
	own := *paths
	own.signed = make(map[signatureKey]error)
	return &own
}

func (c *Chain) leaf() *x509.Certificate { return c.Certificates[0] }

func (c *Chain) empty() bool { return c == nil || len(c.Certificates) == 0 }

// association returns the data that a record with the parameters of r has for the
// certificate at depth.
func (c *Chain) association(depth int, r Record) []byte {
	return c.sentNodes()[depth].data()[r.Selector][r.MatchingType]
}

// has reports whether the certificate at depth has the data of r.
func (c *Chain) has(depth int, r Record) bool { return c.sentNodes()[depth].has(r) }

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
