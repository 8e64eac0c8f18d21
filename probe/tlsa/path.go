package tlsa

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A path leads from the leaf, signature by signature, to an anchor.
type path struct {
	nodes   []*node
	bareKey bool // the anchor is a bare key that has signed the last certificate (RFC 7671 §5.2.3)
}

// last returns the last certificate: the anchor, unless that is a bare key.
func (p path) last() *node { return p.nodes[len(p.nodes)-1] }

// describeAnchor names the anchor.
func (p path) describeAnchor() string {
	if p.bareKey {
		return fmt.Sprintf("the key that signed %s", subject(p.last().Certificate))
	}
	return subject(p.last().Certificate)
}

// extend returns p with one more certificate.
func (p path) extend(n *node) path {
	return path{nodes: append(slices.Clip(p.nodes), n)}
}

// issuerWith returns the first certificate above the leaf that has the data of r,
// or nil.
func (p path) issuerWith(r Record) *x509.Certificate {
	for _, issuer := range p.nodes[1:] {
		if issuer.has(r) {
			return issuer.Certificate
		}
	}
	return nil
}

// dated returns the certificates whose dates count. The dates of an anchor count
// only if it is self-issued, as in OpenSSL. RFC 5280 §6.1.1 (d) has no dates in the
// trust anchor information.
func (p path) dated() []*node {
	if top := len(p.nodes) - 1; top > 0 && !p.bareKey && !p.nodes[top].selfIssued() {
		return p.nodes[:top]
	}
	return p.nodes
}

// checkDates returns the earliest notAfter of the certificates whose dates count.
// Each must be valid at the given time; otherwise failure is Expired or NotYetValid.
func (p path) checkDates(at time.Time) (expiry time.Time, failure Failure, why string) {
	for _, n := range p.dated() {
		if expiry.IsZero() || n.NotAfter.Before(expiry) {
			expiry = n.NotAfter
		}
		if f, text := n.checkDates(at); failure != Expired && f != None {
			failure, why = f, text
		}
	}
	return expiry, failure, why
}

// checkDates returns why n is not valid at a time: Expired or NotYetValid.
func (n *node) checkDates(at time.Time) (failure Failure, why string) {
	switch {
	case at.After(n.NotAfter):
		return Expired, fmt.Sprintf("%s expired at %s", subject(n.Certificate), formatTime(n.NotAfter))
	case at.Before(n.NotBefore):
		return NotYetValid, fmt.Sprintf("%s is not valid before %s", subject(n.Certificate), formatTime(n.NotBefore))
	default:
		return None, ""
	}
}

// anchorOutOfDate returns why the anchor is not valid at a time although its dates
// do not count. The text is empty if the anchor is valid, or if its dates count.
func (p path) anchorOutOfDate(at time.Time) string {
	if len(p.dated()) == len(p.nodes) {
		return ""
	}
	_, why := p.last().checkDates(at)
	return why
}

// check checks the extensions of the path as OpenSSL does: critical extensions, CA
// flags, purposes, path lengths and name constraints.
func (p path) check(c *checker) error {
	if err := c.spend(len(p.nodes)); err != nil {
		return err
	}
	intermediates := 0 // that are not self-issued
	for depth, n := range p.nodes {
		if err := n.checkCritical(); err != nil {
			return err
		}
		if depth > 0 {
			if err := n.checkCA(depth == len(p.nodes)-1); err != nil {
				return err
			}
		}
		if err := n.checkPurpose(depth == 0); err != nil {
			return err
		}
		if depth < len(p.nodes)-1 && isWeak(n.SignatureAlgorithm) {
			return fmt.Errorf("the signature of %s uses %s, which senders with OpenSSL 3 do not accept", subject(n.Certificate), n.SignatureAlgorithm)
		}
		if depth == 0 {
			continue
		}
		// The leaf does not count, nor does a self-issued certificate (RFC 5280 §4.2.1.9).
		if limit := n.maxPathLength(); limit >= 0 && intermediates > limit {
			return fmt.Errorf("%s allows %d certificates of CAs below it, and there are %d", subject(n.Certificate), limit, intermediates)
		}
		if !n.sameNames() {
			intermediates++
		}
	}
	return p.checkNames(c)
}

// isWeak reports whether OpenSSL 3 refuses signatures of a kind at security level 1,
// which Postfix sets. That of the topmost certificate is not checked.
func isWeak(algorithm x509.SignatureAlgorithm) bool {
	switch algorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	default:
		return false
	}
}

// maxPathLength returns the pathLenConstraint, or -1 if there is none.
func (n *node) maxPathLength() int {
	if !n.BasicConstraintsValid {
		return -1
	}
	return n.MaxPathLen // -1 if absent
}

// checkNames checks the names of each certificate against the name constraints of
// those above it, the anchor too. A self-issued certificate is exempt unless it is the
// leaf (RFC 5280 §6.1.3 (b)).
func (p path) checkNames(c *checker) error {
	for depth, child := range p.nodes {
		if depth > 0 && child.sameNames() {
			continue
		}
		for _, issuer := range p.nodes[depth+1:] {
			if !issuer.constrains {
				continue
			}
			if err := c.checkNames(child, issuer, depth == 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckIssuer returns an error if a certificate cannot be the anchor of a path at a
// time, whatever a server sends. It is not the certificate of a CA for TLS servers,
// or its dates count and it is out of date.
func CheckIssuer(certificate *x509.Certificate, at time.Time) error {
	n := newNode(certificate)
	if err := errors.Join(n.checkCA(true), n.checkCritical(), n.checkPurpose(false)); err != nil {
		return err
	}
	if failure, why := n.checkDates(at); failure != None && n.selfIssued() {
		return errors.New(why)
	}
	return nil
}

// maxPaths is the number of paths that are followed. Honest servers are far below it.
const maxPaths = 512

// A pathSet has the paths from the leaf through the certificates that a server
// sent, whatever their dates. The leaf comes first; the order of the others does not
// matter (RFC 8446 §4.4.2 recommends that tolerance).
type pathSet struct {
	all        []path                 // shortest first, starting with the leaf alone
	incomplete error                  // why there may be more paths, an ErrUnmeasured, or nil
	signed     map[signatureKey]error // the results of checker.checkSignature
}

// newPathSet finds the paths. Each certificate occurs once in a path.
func newPathSet(sent []*node, c *checker) *pathSet {
	s := &pathSet{all: []path{{nodes: sent[:1:1]}}, signed: make(map[signatureKey]error)}
	for i := 0; i < len(s.all); i++ {
		current := s.all[i]
		for _, issuer := range sent[1:] {
			switch {
			case !issuer.mayHaveIssued(current.last()), contains(current.nodes, issuer):
			case !s.hasSigned(c, issuer.key, current.last(), &s.incomplete):
			case len(s.all) == maxPaths:
				s.incomplete = errTooManyPaths
				return s
			default:
				s.all = append(s.all, current.extend(issuer))
			}
		}
	}
	return s
}

// contains reports whether a certificate is among nodes. A server may send it twice.
func contains(nodes []*node, n *node) bool {
	return slices.ContainsFunc(nodes, func(other *node) bool { return other.fingerprint == n.fingerprint })
}

// hasSigned reports whether a key has signed a certificate, as far as is known. If it
// is not known, open becomes the reason. It checks once in the life of s.
func (s *pathSet) hasSigned(c *checker, key publicKey, child *node, open *error) bool {
	k := signatureKey{child.fingerprint, key.spki}
	err, known := s.signed[k]
	if !known {
		err = c.checkSignature(child, key)
		s.signed[k] = err
	}
	if errors.Is(err, ErrUnmeasured) {
		*open = err
	}
	return err == nil
}

// A search is the result of a search for the paths to an anchor.
type search struct {
	paths []path
	open  error // why there may be more, an ErrUnmeasured, or nil
}

// toSent returns the paths that end at a certificate that was sent.
func (s *pathSet) toSent(anchor *node) search {
	found := search{open: s.incomplete}
	for _, p := range s.all[1:] {
		if p.last().fingerprint == anchor.fingerprint {
			found.paths = append(found.paths, p)
		}
	}
	return found
}

// toUnsent returns the paths to a certificate that was not sent.
func (s *pathSet) toUnsent(c *checker, anchor *node) search {
	found := search{open: s.incomplete}
	for _, p := range s.all {
		if anchor.mayHaveIssued(p.last()) && s.hasSigned(c, anchor.key, p.last(), &found.open) {
			found.paths = append(found.paths, p.extend(anchor))
		}
	}
	return found
}

// toKey returns the paths to a certificate that a key has signed. Only the key of
// the issuer is known (RFC 7671 §5.2.3).
func (s *pathSet) toKey(c *checker, key publicKey) search {
	found := search{open: s.incomplete}
	for _, p := range s.all {
		if s.hasSigned(c, key, p.last(), &found.open) {
			found.paths = append(found.paths, path{nodes: p.nodes, bareKey: true})
		}
	}
	return found
}

// toRoots returns the paths to any certificate of roots. It checks the dates of
// roots, and no others, in order to distinguish a path that has expired from one that
// never existed. The error says why there is none.
func (s *pathSet) toRoots(c *checker, roots *x509.CertPool, at time.Time) (search, error) {
	type ending struct {
		above []*node // the roots that have issued the certificate; none: it is a root
		err   error
	}
	endings := make(map[fingerprint]ending)
	found := search{open: s.incomplete}
	var failed error
	for _, p := range s.all {
		e, known := endings[p.last().fingerprint]
		if !known {
			e.above, e.err = c.rootsAbove(p.last(), roots, at)
			endings[p.last().fingerprint] = e
			if errors.Is(e.err, ErrUnmeasured) {
				found.open = e.err
			}
		}
		switch {
		case e.err != nil && (failed == nil || isExpired(e.err)):
			failed = e.err
		case e.err == nil && len(e.above) == 0:
			found.paths = append(found.paths, p)
		}
		for _, root := range e.above {
			found.paths = append(found.paths, p.extend(root))
		}
	}
	switch {
	case len(found.paths) > 0:
		return found, nil
	case found.open != nil:
		return found, found.open
	default:
		return found, failed
	}
}

// isExpired reports whether a certificate failed to verify because it is out of date.
func isExpired(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}
