package tlsa

import (
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
)

// A matcher matches records against one chain: one rule for each usage. What
// several records need is computed once, and only if a record needs it. DANE-EE
// records need none of it.
type matcher struct {
	verifier Verifier
	chain    *Chain
	checker  *checker

	paths       func() *pathSet        // through the certificates sent
	rootPaths   func() (search, error) // to the system roots, which must not be nil
	nameMatches func() bool            // the leaf is for an expected name

	bySentAnchor  map[fingerprint]Match // results of matchSentAnchor
	recordAnchors int                   // number of anchors taken from records so far
}

func newMatcher(v Verifier, chain *Chain) *matcher {
	m := &matcher{verifier: v, chain: chain, checker: v.newChecker(chain), bySentAnchor: make(map[fingerprint]Match)}
	m.paths = sync.OnceValue(func() *pathSet { return chain.pathSet(v.Stop) })
	m.rootPaths = sync.OnceValues(func() (search, error) { return m.paths().toRoots(m.checker, v.Roots, v.At) })
	m.nameMatches = sync.OnceValue(func() bool { return v.NameMatches(chain) })
	return m
}

// match matches a record that is not Unusable against a chain that is not empty.
func (m *matcher) match(r Record) Match {
	switch r.Usage {
	case DANEEE:
		return m.matchDANEEE(r)
	case DANETA:
		return m.matchDANETA(r)
	case PKIXEE:
		return m.matchPKIXEE(r)
	default:
		return m.matchPKIXTA(r)
	}
}

// matchDANEEE requires that the leaf has the data, and nothing else (RFC 7671 §5.1).
func (m *matcher) matchDANEEE(r Record) Match {
	if !m.chain.has(0, r) {
		return m.leafMismatch(r)
	}
	return Match{Matches: true, Why: fmt.Sprintf("the leaf has this %s", r.describe())}
}

// matchPKIXEE requires that the leaf has the data, and that PKIX accepts the
// chain (RFC 7671 §5.3).
func (m *matcher) matchPKIXEE(r Record) Match {
	if !m.chain.has(0, r) {
		return m.leafMismatch(r)
	}
	result := noRoots()
	if m.verifier.Roots != nil {
		result = m.bestPKIXPath(func(path) bool { return true })
	}
	result.Matches, result.Depth = true, 0
	return result
}

// matchPKIXTA requires that an issuer on a path that PKIX accepts has the data
// (RFC 7671 §5.4). The root counts even if it was not sent, as servers may omit it.
func (m *matcher) matchPKIXTA(r Record) Match {
	sent := Match{Depth: -1}
	if depths := m.chain.issuersWith(r); len(depths) > 0 {
		sent.Matches, sent.Depth = true, depths[0]
	}
	if m.verifier.Roots == nil {
		result := noRoots()
		result.Matches, result.Depth = sent.Matches, sent.Depth
		return result
	}
	if _, err := m.rootPaths(); err != nil {
		result := untrusted(err)
		result.Matches, result.Depth = sent.Matches, sent.Depth
		return result
	}
	var depth int
	result := m.bestPKIXPath(func(p path) bool {
		issuer := p.issuerWith(r)
		if issuer != nil {
			depth = m.chain.depthOf(issuer)
		}
		return issuer != nil
	})
	switch {
	case result.Failure != Mismatch:
		result.Matches, result.Depth = true, depth
		return result
	case sent.Matches:
		sent.Failure = PKIXUntrusted
		sent.Why = fmt.Sprintf("the certificate at depth %d has this %s, but no path to the system roots leads through it", sent.Depth, r.describe())
		return sent
	default:
		result.Why = fmt.Sprintf("no issuer on the path to the system roots has the %s %s", r.describe(), shortHex(r.Data))
		return result
	}
}

// matchDANETA requires that the chain as sent leads to a certificate above the
// leaf that has the data, or to an anchor that the record contains (RFC 7671 §5.2).
func (m *matcher) matchDANETA(r Record) Match {
	best := Match{Failure: Mismatch}
	for _, depth := range m.chain.issuersWith(r) {
		result := m.matchSentAnchor(m.chain.sentNodes()[depth])
		result.Depth = depth
		if best.Failure == Mismatch || result.better(best) {
			best = result
		}
	}
	if best.Failure != Mismatch {
		return best
	}
	if r.MatchingType == Full {
		if result := m.matchRecordAnchor(r); result.Failure != Mismatch {
			return result
		}
	}
	if root := m.unsentRoot(r); root != nil {
		return Match{Depth: -1, Failure: AnchorNotSent,
			Why: fmt.Sprintf("the record is of %s, which the server did not send and must send for DANE-TA(2)", subject(root))}
	}
	return m.issuerMismatch(r)
}

// matchSentAnchor judges the paths to a certificate that was sent. Several records
// may be of the same one.
func (m *matcher) matchSentAnchor(anchor *node) Match {
	result, known := m.bySentAnchor[anchor.fingerprint]
	if !known {
		switch found := m.paths().toSent(anchor); {
		case len(found.paths) > 0:
			result = m.bestPath(found)
		case found.open != nil:
			result = unmeasured(found.open)
		default:
			result = Match{Failure: ChainInvalid, Why: "a certificate with this data was sent, but the chain as sent does not lead to it"}
		}
		result.Matches = true
		m.bySentAnchor[anchor.fingerprint] = result
	}
	return result
}

// unmeasured returns the result of a check that was not made. err is an ErrUnmeasured.
func unmeasured(err error) Match {
	return Match{Failure: Unmeasured, Why: errorText(err), Open: err}
}

// maxRecordAnchors is the number of anchors that are taken from the records of a set.
// Each costs signature checks, and a set can contain a thousand.
const maxRecordAnchors = 64

var errTooManyAnchors = unmeasuredError{fmt.Sprintf("not judged: more than %d records of the set contain an anchor in full", maxRecordAnchors), ErrUnmeasured}

// matchRecordAnchor judges the paths to an anchor that the record contains in
// full, so that the server need not send it: a certificate (RFC 7671 §5.2.2), or
// a key that has signed a certificate that was sent (§5.2.3). The failure is
// Mismatch if no path leads to it.
func (m *matcher) matchRecordAnchor(r Record) Match {
	if m.recordAnchors++; m.recordAnchors > maxRecordAnchors {
		result := unmeasured(errTooManyAnchors)
		result.Depth = -1
		return result
	}
	var result Match
	switch found := m.pathsToRecordAnchor(r); {
	case len(found.paths) > 0:
		result = m.bestPath(found)
		result.Matches = true
	case found.open != nil:
		result = unmeasured(found.open)
	default:
		return Match{Failure: Mismatch}
	}
	result.Depth = -1
	return result
}

// pathsToRecordAnchor returns the paths to the certificate or key that a Full(0)
// record contains. The leaf is not its own anchor.
func (m *matcher) pathsToRecordAnchor(r Record) search {
	if r.Selector == SPKI {
		return m.paths().toKey(m.checker, parseKey(r.Data))
	}
	certificate, err := x509.ParseCertificate(r.Data)
	if err != nil || certificate.Equal(m.chain.leaf()) {
		return search{}
	}
	return m.paths().toUnsent(m.checker, newNode(certificate))
}

// unsentRoot returns a certificate that has the data of r, was not sent, and is
// on a path to the system roots. The roots serve to name it only: they never
// extend a DANE-TA chain (RFC 7671 §5.2.2).
func (m *matcher) unsentRoot(r Record) *x509.Certificate {
	if m.verifier.Roots == nil {
		return nil
	}
	found, _ := m.rootPaths()
	for _, p := range found.paths {
		if issuer := p.issuerWith(r); issuer != nil && m.chain.depthOf(issuer) < 0 {
			return issuer
		}
	}
	return nil
}

// bestPKIXPath judges the paths to the system roots that accept returns true for.
// The failure is Mismatch if there are paths and it accepts none.
func (m *matcher) bestPKIXPath(accept func(path) bool) Match {
	all, err := m.rootPaths()
	if err != nil {
		return untrusted(err)
	}
	accepted := search{open: all.open}
	for _, p := range all.paths {
		if accept(p) {
			accepted.paths = append(accepted.paths, p)
		}
	}
	switch {
	case len(accepted.paths) > 0:
		return m.bestPath(accepted)
	case accepted.open != nil:
		return unmeasured(accepted.open)
	default:
		return Match{Depth: -1, Failure: Mismatch}
	}
}

// bestPath judges each path by its extensions, its dates, and the names of the leaf.
// One valid path is enough, so it returns the result of the best. If none is valid, a
// path that was not found may be.
func (m *matcher) bestPath(found search) Match {
	var best Match
	for i, p := range found.paths {
		if result := m.judgePath(p); i == 0 || result.better(best) {
			best = result
		}
	}
	if best.Failure != None && found.open != nil {
		return unmeasured(found.open)
	}
	return best
}

func (m *matcher) judgePath(p path) Match {
	if err := p.check(m.checker); err != nil {
		if errors.Is(err, ErrUnmeasured) {
			return unmeasured(err)
		}
		return Match{Failure: ChainInvalid, Why: errorText(err)}
	}
	expiry, failure, why := p.checkDates(m.verifier.At)
	switch {
	case failure != None:
		return Match{Failure: failure, Why: why}
	case !m.nameMatches():
		return Match{Failure: NameMismatch, Why: nameMismatch(m.chain.leaf(), m.verifier.Names)}
	default:
		return Match{Expiry: expiry, AnchorOutOfDate: p.anchorOutOfDate(m.verifier.At),
			Why: fmt.Sprintf("the chain leads to %s and is valid until %s", p.describeAnchor(), formatTime(expiry))}
	}
}

// noRoots returns the result for a PKIX usage without system roots.
func noRoots() Match {
	return unmeasured(unmeasuredError{"not judged: no system roots are available", ErrUnmeasured})
}

// untrusted returns the result for an error of rootPaths.
func untrusted(err error) Match {
	if errors.Is(err, ErrUnmeasured) {
		return unmeasured(err)
	}
	why := "the chain as sent does not lead to the system roots: " + errorText(err)
	// The dates of what was sent are ignored there, so only a root can have expired.
	if isExpired(err) {
		return Match{Failure: Expired, Why: why}
	}
	return Match{Failure: PKIXUntrusted, Why: why}
}

// leafMismatch returns the result for a leaf that does not have the data of r.
func (m *matcher) leafMismatch(r Record) Match {
	return Match{Depth: -1, Failure: Mismatch, Why: fmt.Sprintf("the leaf's %s is %s, the record has %s",
		r.describe(), shortHex(m.chain.association(0, r)), shortHex(r.Data))}
}

// issuerMismatch returns the result for a chain without an issuer that has the
// data of r.
func (m *matcher) issuerMismatch(r Record) Match {
	result := Match{Depth: -1, Failure: Mismatch}
	top := len(m.chain.sent()) - 1
	switch {
	case m.chain.has(0, r):
		result.Why = fmt.Sprintf("only the leaf has this data, and %s matches an issuer above the leaf", r.Usage)
	case top == 0:
		result.Why = fmt.Sprintf("the server sent the leaf only, the record is of an issuer with the %s %s", r.describe(), shortHex(r.Data))
	default:
		result.Why = fmt.Sprintf("none of the %d certificates sent above the leaf has the %s %s; that of the last is %s",
			top, r.describe(), shortHex(r.Data), shortHex(m.chain.association(top, r)))
	}
	return result
}
