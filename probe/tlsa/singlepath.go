package tlsa

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// SinglePath is the result of a client that follows one path, as OpenSSL does. Match
// tries all paths, so a record may authenticate a server that such a client refuses.
type SinglePath struct {
	Depth   int    // of the anchor in the path, or of the last certificate if there is no anchor
	Failure string // why the path does not authenticate the server; empty if it does
	Open    bool   // the path was not judged; Failure says why
}

// maxVerifyDepth is the number of certificates above the leaf that OpenSSL follows
// by default (DEF_VERIFY_DEPTH).
const maxVerifyDepth = 100

// SinglePath returns the path that OpenSSL follows to authenticate a chain by the
// usable records of set, except those with usage DANE-EE. At each step it takes a
// system root, if there are PKIX usages. Otherwise it takes the first certificate
// that may have issued the last one and is valid at v.At. If none is valid, it takes
// the one that expires last. Certificates in records come before those sent. It
// stops at the first anchor, and tries no second path (RFC 5280 leaves the choice of
// the path to the client).
func (v Verifier) SinglePath(set []Record, chain *Chain) SinglePath {
	if chain.empty() {
		return SinglePath{Failure: errNoCertificate.Error()}
	}
	sent := chain.sentNodes()
	f := &pathFollower{verifier: v, checker: v.newChecker(chain), anchors: make(map[associationParameters]map[string]bool)}
	for _, a := range Assess(set, v.Usages) {
		switch {
		case a.Usability != Usable || a.Record.Usage == DANEEE:
		case a.Record.Usage == DANETA:
			f.addRecord(a.Record)
		case v.Roots != nil:
			f.pkix = append(f.pkix, a.Record)
		}
	}
	f.pool = append(f.pool, sent...)
	found, err := f.follow(sent[0])
	result := SinglePath{Depth: len(found.nodes) - 1}
	if found.bareKey {
		result.Depth++
	}
	if err == nil {
		err = f.verify(found, chain)
	}
	if err != nil {
		result.Failure, result.Open = errorText(err), errors.Is(err, ErrUnmeasured)
	}
	return result
}

type associationParameters struct {
	selector     Selector
	matchingType MatchingType
}

// A pathFollower follows one path.
type pathFollower struct {
	verifier Verifier
	checker  *checker
	anchors  map[associationParameters]map[string]bool // the data of the usable DANE-TA records
	keys     []publicKey                               // of the records with a full key
	pkix     []Record                                  // usable records with a PKIX usage
	pool     []*node                                   // certificates that may extend the path, in the order of preference
}

func (f *pathFollower) addRecord(r Record) {
	parameters := associationParameters{r.Selector, r.MatchingType}
	if f.anchors[parameters] == nil {
		f.anchors[parameters] = make(map[string]bool)
	}
	f.anchors[parameters][string(r.Data)] = true
	if r.MatchingType != Full {
		return
	}
	if r.Selector == SPKI {
		if len(f.keys) == maxRecordAnchors {
			return
		}
		f.keys = append(f.keys, parseKey(r.Data))
		return
	}
	if certificate, err := x509.ParseCertificate(r.Data); err == nil {
		f.pool = append(f.pool, newNode(certificate))
	}
}

// follow returns the path from the leaf to the first anchor. If there is none, it
// returns the path that was followed, and an error.
func (f *pathFollower) follow(leaf *node) (path, error) {
	p := path{nodes: []*node{leaf}}
	for len(p.nodes) <= maxVerifyDepth+1 && !p.last().selfIssued() {
		root, err := f.rootAbove(p.last())
		if err != nil {
			return p, err
		}
		if root != nil {
			p = p.extend(root)
			if slices.ContainsFunc(f.pkix, p.hasPKIX) {
				return p, nil
			}
			break
		}
		issuer := f.issuerOf(p)
		if issuer == nil {
			break
		}
		p = p.extend(issuer)
		if f.isAnchor(issuer) {
			return p, nil
		}
	}
	child := p.last()
	err := fmt.Errorf("the path ends at %s, which no record describes", subject(child.Certificate))
	if len(p.nodes) > maxVerifyDepth+1 {
		return p, err
	}
	for _, key := range f.keys {
		failed := f.checker.checkSignature(child, key)
		switch {
		case failed == nil:
			return path{nodes: p.nodes, bareKey: true}, nil
		case errors.Is(failed, ErrUnmeasured):
			err = failed
		}
	}
	return p, err
}

// rootAbove returns the system root that issued a certificate, or nil. It returns nil
// if there are no records with a PKIX usage. The error is an ErrUnmeasured.
func (f *pathFollower) rootAbove(child *node) (*node, error) {
	if len(f.pkix) == 0 {
		return nil, nil
	}
	above, err := f.checker.rootsAbove(child, f.verifier.Roots, f.verifier.At)
	switch {
	case errors.Is(err, ErrUnmeasured):
		return nil, err
	case len(above) == 0:
		return nil, nil
	default:
		return above[0], nil
	}
}

// hasPKIX reports whether the leaf or an issuer of p has the data of a record, as its
// PKIX usage requires.
func (p path) hasPKIX(r Record) bool {
	if r.Usage == PKIXEE {
		return p.nodes[0].has(r)
	}
	return p.issuerWith(r) != nil
}

// issuerOf returns the certificate that extends a path, or nil.
func (f *pathFollower) issuerOf(p path) *node {
	var best *node
	for _, candidate := range f.pool {
		switch {
		case !candidate.mayHaveIssued(p.last()) || contains(p.nodes, candidate):
		case !f.verifier.At.Before(candidate.NotBefore) && !f.verifier.At.After(candidate.NotAfter):
			return candidate
		case best == nil || candidate.NotAfter.After(best.NotAfter):
			best = candidate
		}
	}
	return best
}

// isAnchor reports whether a record has the data of n.
func (f *pathFollower) isAnchor(n *node) bool {
	for p, data := range f.anchors {
		if data[string(n.data()[p.selector][p.matchingType])] {
			return true
		}
	}
	return false
}

// verify returns an error unless the path authenticates the server.
func (f *pathFollower) verify(p path, chain *Chain) error {
	if err := p.check(f.checker); err != nil {
		return err
	}
	for depth, issuer := range p.nodes[1:] {
		child := p.nodes[depth]
		switch err := f.checker.checkSignature(child, issuer.key); {
		case errors.Is(err, ErrUnmeasured):
			return err
		case err != nil:
			return fmt.Errorf("%s has not signed %s", subject(issuer.Certificate), subject(child.Certificate))
		}
	}
	if _, failure, why := p.checkDates(f.verifier.At); failure != None {
		return errors.New(why)
	}
	if !f.verifier.NameMatches(chain) {
		return errors.New(nameMismatch(chain.leaf(), f.verifier.Names))
	}
	return nil
}
