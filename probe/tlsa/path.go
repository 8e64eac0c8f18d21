package tlsa

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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
		if bytes.Equal(associationData(issuer.Certificate, r.Selector, r.MatchingType), r.Data) {
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
		switch {
		case failure == Expired:
		case at.After(n.NotAfter):
			failure, why = Expired, fmt.Sprintf("%s expired at %s", subject(n.Certificate), formatTime(n.NotAfter))
		case at.Before(n.NotBefore):
			failure, why = NotYetValid, fmt.Sprintf("%s is not valid before %s", subject(n.Certificate), formatTime(n.NotBefore))
		}
	}
	return expiry, failure, why
}

// anchorOutOfDate returns why the anchor is not valid at a time although its dates
// do not count. The text is empty if the anchor is valid, or if its dates count.
func (p path) anchorOutOfDate(at time.Time) string {
	top := p.last()
	switch {
	case len(p.dated()) == len(p.nodes):
		return ""
	case at.After(top.NotAfter):
		return fmt.Sprintf("%s expired at %s", subject(top.Certificate), formatTime(top.NotAfter))
	case at.Before(top.NotBefore):
		return fmt.Sprintf("%s is not valid before %s", subject(top.Certificate), formatTime(top.NotBefore))
	default:
		return ""
	}
}

// errUnsupported means that a path could not be judged here, and that other
// clients may accept it.
var errUnsupported = errors.New("not judged: the certificates form too many paths, or crypto/x509 does not support the algorithm of a key or signature, or the kind of a name constraint")

// check checks the extensions of the path as OpenSSL does: critical extensions, CA
// flags, purposes, path lengths and name constraints.
func (p path) check() error {
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
	return p.checkNameConstraints()
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

// checkNameConstraints lets crypto/x509 check the name constraints, if there are
// any (RFC 5280 §4.2.1.10).
func (p path) checkNameConstraints() error {
	constrained := false
	for _, n := range p.nodes[1:] {
		constrained = constrained || n.hasNameConstraints()
		if slices.ContainsFunc(n.UnhandledCriticalExtensions, oidNameConstraints.Equal) {
			return errUnsupported
		}
	}
	if !constrained {
		return nil
	}
	if err := p.checkCommonNames(); err != nil {
		return err
	}
	copies := make([]*x509.Certificate, len(p.nodes))
	for i, n := range p.nodes {
		copies[i] = withoutRestrictions(n.Certificate)
		copies[i].RawSubject, copies[i].RawIssuer = []byte(n.subject), []byte(n.issuer)
	}
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(copies[len(copies)-1])
	for _, c := range copies[1 : len(copies)-1] {
		others.AddCert(c)
	}
	_, err := copies[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// checkCommonNames checks the common names of a leaf without a dNSName, which stand
// for its names, against the name constraints. crypto/x509 does not.
func (p path) checkCommonNames() error {
	leaf := p.nodes[0].Certificate
	if len(leaf.DNSNames) > 0 {
		return nil
	}
	for _, name := range presentedNames(leaf) {
		within := func(domain string) bool { return isWithin(name, domain) }
		for _, n := range p.nodes[1:] {
			if slices.ContainsFunc(n.ExcludedDNSDomains, within) ||
				len(n.PermittedDNSDomains) > 0 && !slices.ContainsFunc(n.PermittedDNSDomains, within) {
				return fmt.Errorf("the name constraints of %s do not allow %q", subject(n.Certificate), truncate(name))
			}
		}
	}
	return nil
}

// isWithin reports whether a name satisfies a constraint (RFC 5280 §4.2.1.10). A
// constraint with a leading dot is of the names below it.
func isWithin(name, domain string) bool {
	name, domain = strings.ToLower(name), strings.ToLower(domain)
	return name == domain || domain == "" || strings.HasSuffix(name, "."+strings.TrimPrefix(domain, "."))
}

// withoutRestrictions returns a copy of a certificate that is valid at any time, for
// any purpose, and for a CA. crypto/x509 then checks only what is not checked here:
// signatures and name constraints.
func withoutRestrictions(certificate *x509.Certificate) *x509.Certificate {
	c := *certificate
	c.NotBefore = time.Time{}
	c.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // RFC 5280 §4.1.2.5: no expiration date
	c.BasicConstraintsValid, c.IsCA, c.MaxPathLen, c.MaxPathLenZero = true, true, -1, false
	c.KeyUsage, c.UnhandledCriticalExtensions = 0, nil
	return &c
}

// CheckIssuer returns an error if a certificate cannot be the anchor of a path at a
// time, whatever a server sends: it is not that of a CA for TLS servers, or its dates
// count and it is out of date.
func CheckIssuer(certificate *x509.Certificate, at time.Time) error {
	n := newNode(certificate)
	if err := errors.Join(n.checkCA(true), n.checkCritical(), n.checkPurpose(false)); err != nil {
		return err
	}
	if n.selfIssued() {
		if _, failure, why := (path{nodes: []*node{n}}).checkDates(at); failure != None {
			return errors.New(why)
		}
	}
	return nil
}

// The limits of a search for paths. Honest servers are far below them.
const (
	maxSignatures = 256 // signatures that are checked
	maxPaths      = 512 // paths that are followed
)

// A pathSet has the paths from the leaf through the certificates that a server
// sent, whatever their dates. The leaf comes first; the order of the others does not
// matter (RFC 8446 §4.4.2 recommends that tolerance).
type pathSet struct {
	all         []path // shortest first, starting with the leaf alone
	signatures  int    // checked
	truncated   bool   // a limit was reached
	unsupported bool   // a signature could not be checked
	memo        *signatureMemo
}

// newPathSet finds the paths. Each certificate occurs once in a path.
func newPathSet(sent []*node, memo *signatureMemo) *pathSet {
	s := &pathSet{all: []path{{nodes: sent[:1:1]}}, memo: memo}
	type edge struct{ issuer, child *node }
	valid := make(map[edge]bool)
	for i := 0; i < len(s.all); i++ {
		current := s.all[i]
		child := current.last()
		for _, issuer := range sent[1:] {
			if !issuer.mayHaveIssued(child) || contains(current.nodes, issuer) {
				continue
			}
			e := edge{issuer, child}
			ok, known := valid[e]
			if !known {
				ok = s.checkSignature(child, issuer.PublicKey, issuer.RawSubjectPublicKeyInfo)
				valid[e] = ok
			}
			switch {
			case !ok:
			case len(s.all) == maxPaths:
				s.truncated = true
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
	return slices.ContainsFunc(nodes, func(other *node) bool { return other.Equal(n.Certificate) })
}

// checkSignature reports whether a key has signed a certificate. What is known from
// another search counts too, so that the result does not depend on earlier ones.
func (s *pathSet) checkSignature(child *node, key crypto.PublicKey, spki []byte) bool {
	if s.signatures == maxSignatures {
		s.truncated = true
		return false
	}
	s.signatures++
	err := s.memo.check(child, key, spki)
	s.unsupported = s.unsupported || errors.Is(err, x509.ErrUnsupportedAlgorithm)
	return err == nil
}

// A signatureMemo keeps the results of signature checks of one chain. A probe judges
// a chain for several times, and against the same records.
type signatureMemo struct {
	mu      sync.Mutex
	results map[signatureKey]error
}

type signatureKey struct {
	child *node
	spki  [sha256.Size]byte
}

// check returns an error unless a key has signed child, which was sent.
func (m *signatureMemo) check(child *node, key crypto.PublicKey, spki []byte) error {
	const maxResults = 4 * maxSignatures
	k := signatureKey{child, sha256.Sum256(spki)}
	m.mu.Lock()
	err, known := m.results[k]
	m.mu.Unlock()
	if known {
		return err
	}
	issuer := x509.Certificate{PublicKey: key}
	err = issuer.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.results == nil {
		m.results = make(map[signatureKey]error)
	}
	if len(m.results) < maxResults {
		m.results[k] = err
	}
	return err
}

// toSent returns the paths that end at a certificate that was sent.
func (s *pathSet) toSent(anchor *x509.Certificate) []path {
	var paths []path
	for _, p := range s.all[1:] {
		if p.last().Equal(anchor) {
			paths = append(paths, p)
		}
	}
	return paths
}

// toUnsent returns the paths to a certificate that was not sent.
func (s *pathSet) toUnsent(anchor *node) []path {
	var paths []path
	signed := make(map[*node]bool)
	for _, p := range s.all {
		child := p.last()
		if !anchor.mayHaveIssued(child) {
			continue
		}
		ok, known := signed[child]
		if !known {
			ok = s.checkSignature(child, anchor.PublicKey, anchor.RawSubjectPublicKeyInfo)
			signed[child] = ok
		}
		if ok {
			paths = append(paths, p.extend(anchor))
		}
	}
	return paths
}

// toKey returns the paths to a certificate that a key has signed. Only the key of
// the issuer is known (RFC 7671 §5.2.3). spki is its SubjectPublicKeyInfo in DER.
func (s *pathSet) toKey(key crypto.PublicKey, spki []byte) []path {
	var paths []path
	signed := make(map[*node]bool)
	for _, p := range s.all {
		child := p.last()
		if want := keyAlgorithmOf(child.SignatureAlgorithm); want != x509.UnknownPublicKeyAlgorithm && want != keyAlgorithm(key) {
			continue
		}
		ok, known := signed[child]
		if !known {
			ok = s.checkSignature(child, key, spki)
			signed[child] = ok
		}
		if ok {
			paths = append(paths, path{nodes: p.nodes, bareKey: true})
		}
	}
	return paths
}

// toRoots returns the paths to any certificate of roots. It checks the dates of
// roots, and no others, in order to distinguish a path that has expired from one that
// never existed. The error says why there is none.
func (s *pathSet) toRoots(roots *x509.CertPool, at time.Time) ([]path, error) {
	type ending struct {
		above []*node // the roots that have issued the certificate; none: it is a root
		err   error
	}
	endings := make(map[*node]ending)
	var paths []path
	var failed error
	for _, p := range s.all {
		last := p.last()
		e, known := endings[last]
		if !known {
			var found [][]*x509.Certificate
			found, e.err = withoutRestrictions(last.Certificate).Verify(x509.VerifyOptions{
				Roots: roots, CurrentTime: at,
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // path.check checks the purposes
			})
			for _, certificates := range found {
				if len(certificates) > 1 {
					e.above = append(e.above, newNode(certificates[len(certificates)-1]))
				}
			}
			endings[last] = e
		}
		switch {
		case e.err != nil && (failed == nil || isExpired(e.err)):
			failed = e.err
		case e.err == nil && len(e.above) == 0:
			paths = append(paths, p)
		}
		for _, root := range e.above {
			paths = append(paths, p.extend(root))
		}
	}
	switch {
	case len(paths) > 0:
		return paths, nil
	case s.truncated || s.unsupported:
		return nil, errUnsupported
	default:
		return nil, failed
	}
}

// isExpired reports whether a certificate failed to verify because it is out of date.
func isExpired(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

func keyAlgorithm(key crypto.PublicKey) x509.PublicKeyAlgorithm {
	switch key.(type) {
	case *rsa.PublicKey:
		return x509.RSA
	case *ecdsa.PublicKey:
		return x509.ECDSA
	case ed25519.PublicKey:
		return x509.Ed25519
	default:
		return x509.UnknownPublicKeyAlgorithm
	}
}
