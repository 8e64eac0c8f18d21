package tlsa

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Verifier holds what a client knows of its peer before the handshake.
type Verifier struct {
	Usages Usages
	Names  []string       // reference identifiers, A-labels
	Roots  *x509.CertPool // system roots, for PKIX usages; nil: those are unmeasured
	At     time.Time      // decides all dates; must be set
}

// Failure says why a record does not authenticate what the server sent.
type Failure uint8

// The failures.
const (
	None          Failure = iota // it authenticates, or it was not looked at (see Standing)
	Mismatch                     // no certificate at a place it speaks of has its data
	AnchorNotSent                // DANE-TA: the missing certificate is known, and the server did not send it
	ChainInvalid                 // a certificate matches, but the chain as sent does not lead to it
	NameMismatch                 // the chain holds, but the leaf is for other names
	Expired                      // a certificate that counts is past its notAfter
	NotYetValid                  // a certificate that counts is before its notBefore
	PKIXUntrusted                // PKIX usages: no chain to the system roots
	Unmeasured                   // not judged: a PKIX usage without system roots, or beyond a limit
)

// Match is the verdict of one record on one chain.
type Match struct {
	Record   Record
	Standing Standing
	Matches  bool      // a certificate at a place the usage speaks of has the data: one sent, or the anchor at the end of the path
	Depth    int       // which of those sent: 0 is the leaf; -1 where none, or where the anchor was not sent
	Failure  Failure   // None with Standing Usable and Matches: it authenticates
	Until    time.Time // when that ends by the dates that count; zero where none does
	Why      string    // in words
}

// Authenticates reports whether this record alone proves the peer.
func (m Match) Authenticates() bool {
	return m.Standing == Usable && m.Matches && m.Failure == None
}

// Match judges each record of set against the chain: one Match for each
// record, in the order of set, each with its why. Superseded records are
// judged too, so that one can see whether they would match; they never
// authenticate.
func (v Verifier) Match(set []Record, chain *Chain) []Match {
	standings, whys := Standings(set, v.Usages)
	matches := make([]Match, len(set))
	j := &judge{Verifier: v, chain: chain}
	for i, record := range set {
		var m Match
		switch {
		case standings[i] == Unusable:
			m = Match{Depth: -1, Why: whys[i]}
		case chain.empty():
			m = Match{Depth: -1, Failure: Mismatch, Why: "the server sent no certificate"}
		default:
			m = j.judge(record)
		}
		if standings[i] == Superseded {
			m.Why = whys[i] + "; " + m.Why
		}
		m.Record, m.Standing = record, standings[i]
		matches[i] = m
	}
	return matches
}

// PKIX says whether the chain as sent leads to the system roots at v.At with
// one of v.Names, DANE or not: nil, or why not. Roots must not be nil.
func (v Verifier) PKIX(chain *Chain) error {
	if chain.empty() {
		return errors.New("the server sent no certificate")
	}
	j := &judge{Verifier: v, chain: chain}
	if m := j.pkixPath(func(path) bool { return true }); m.Failure != None {
		return errors.New(m.Why)
	}
	return nil
}

// NameMatches says whether the leaf is for one of v.Names.
func (v Verifier) NameMatches(chain *Chain) bool {
	return !chain.empty() && named(chain.leaf(), v.Names)
}

// A judge keeps what several records on one chain have in common. What a
// DANE-EE record has no use for is found out when it is first asked for.
type judge struct {
	Verifier
	chain    *Chain
	anchored map[string]Match // by the anchor's certificate
	supplied int              // anchors taken from records so far

	built lazy[*builder]
	roots lazy[[]path]
	names lazy[bool]
}

func (j *judge) builder() *builder {
	built, _ := j.built.get(func() (*builder, error) { return newBuilder(j.chain.sent(), j.At), nil })
	return built
}

// trusted gives the paths to the system roots.
func (j *judge) trusted() ([]path, error) {
	return j.roots.get(func() ([]path, error) { return j.builder().toRoots(j.Roots) })
}

func (j *judge) named() bool {
	match, _ := j.names.get(func() (bool, error) { return j.NameMatches(j.chain), nil })
	return match
}

func (j *judge) judge(r Record) Match {
	switch r.Usage {
	case DANEEE:
		return j.daneEE(r)
	case DANETA:
		return j.daneTA(r)
	case PKIXEE:
		return j.pkixEE(r)
	default:
		return j.pkixTA(r)
	}
}

// daneEE: the leaf has the data; nothing else is asked (RFC 7671 §5.1).
func (j *judge) daneEE(r Record) Match {
	if !j.chain.has(0, r) {
		return j.leafDiffers(r)
	}
	return Match{Matches: true, Why: fmt.Sprintf("the leaf has this %s", what(r))}
}

// pkixEE: the leaf has the data, and PKIX accepts it (RFC 7671 §5.3).
func (j *judge) pkixEE(r Record) Match {
	switch {
	case !j.chain.has(0, r):
		return j.leafDiffers(r)
	case j.Roots == nil:
		m := unmeasured()
		m.Matches, m.Depth = true, 0
		return m
	}
	m := j.pkixPath(func(path) bool { return true })
	m.Matches, m.Depth = true, 0
	return m
}

// pkixTA: an issuer on a path that PKIX accepts has the data (RFC 7671 §5.4).
// The root counts even where the server left it out, as servers may.
func (j *judge) pkixTA(r Record) Match {
	sent := j.chain.issuersWith(r)
	best := Match{Depth: -1}
	if len(sent) > 0 {
		best.Matches, best.Depth = true, sent[0]
	}
	if j.Roots == nil {
		m := unmeasured()
		m.Matches, m.Depth = best.Matches, best.Depth
		return m
	}
	if _, err := j.trusted(); err != nil {
		best.Failure, best.Why = untrusted(err)
		return best
	}
	through := -1
	m := j.pkixPath(func(p path) bool {
		for _, issuer := range p[1:] {
			if bytes.Equal(associate(issuer, r.Selector, r.MatchingType), r.Data) {
				through = j.chain.depthOf(issuer)
				return true
			}
		}
		return false
	})
	if m.Failure != Mismatch {
		m.Matches, m.Depth = true, through
		return m
	}
	if best.Matches {
		best.Failure = PKIXUntrusted
		best.Why = fmt.Sprintf("the certificate at depth %d has this %s, but no path to the system roots leads through it", best.Depth, what(r))
		return best
	}
	m.Why = fmt.Sprintf("no issuer on the path to the system roots has %s %s", what(r), digits(r.Data))
	return m
}

// daneTA: the chain as sent leads to a certificate above the leaf that has the
// data (RFC 7671 §5.2), or to an anchor that the record itself holds.
func (j *judge) daneTA(r Record) Match {
	best := Match{Failure: Mismatch}
	for _, depth := range j.chain.issuersWith(r) {
		m := j.anchor(j.chain.Certificates[depth])
		m.Depth = depth
		if best.Failure == Mismatch || m.betterThan(best) {
			best = m
		}
	}
	if best.Failure != Mismatch {
		return best
	}
	if r.MatchingType == Full {
		if m := j.suppliedAnchor(r); m.Failure != Mismatch {
			return m
		}
	}
	if missing := j.notSent(r); missing != nil {
		return Match{Depth: -1, Failure: AnchorNotSent,
			Why: fmt.Sprintf("the record means %s, which the server did not send: it must, for DANE-TA", subject(missing))}
	}
	return j.noIssuer(r)
}

// anchor judges the paths to a certificate that was sent. Several records may
// mean the same one.
func (j *judge) anchor(certificate *x509.Certificate) Match {
	key := string(certificate.Raw)
	m, known := j.anchored[key]
	if !known {
		m = j.paths(j.builder().toAnchor(certificate))
		if j.anchored == nil {
			j.anchored = make(map[string]Match)
		}
		j.anchored[key] = m
	}
	return m
}

// suppliedAnchor judges a record that holds its anchor in full, which the
// server then need not send: a certificate (RFC 7671 §5.2.2), or a bare key
// that has signed what was sent (§5.2.3). Mismatch: nothing leads to it.
func (j *judge) suppliedAnchor(r Record) Match {
	// Each costs signature checks, and a set can hold a thousand.
	const most = 64
	if j.supplied++; j.supplied > most {
		return Match{Depth: -1, Failure: Unmeasured, Why: fmt.Sprintf("more than %d records of the set hold an anchor in full; this one was not judged", most)}
	}
	var found []path
	var err error
	if r.Selector == Cert {
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(r.Data); err == nil && !certificate.Equal(j.chain.leaf()) {
			found, err = j.builder().toAnchor(certificate)
		}
	} else {
		var key any
		if key, err = x509.ParsePKIXPublicKey(r.Data); err == nil {
			found, err = j.builder().toKey(key)
		}
	}
	if err != nil || len(found) == 0 {
		return Match{Depth: -1, Failure: Mismatch}
	}
	m := j.paths(found, nil)
	m.Depth = -1
	return m
}

// notSent looks for the certificate that r means on the paths to the system
// roots. They are asked for its name alone: they never extend a DANE-TA chain
// (RFC 7671 §5.2.2).
func (j *judge) notSent(r Record) *x509.Certificate {
	if j.Roots == nil {
		return nil
	}
	trusted, _ := j.trusted()
	for _, p := range trusted {
		for _, issuer := range p[1:] {
			if bytes.Equal(associate(issuer, r.Selector, r.MatchingType), r.Data) && j.chain.depthOf(issuer) < 0 {
				return issuer
			}
		}
	}
	return nil
}

// paths judges the paths to a certificate that has a record's data.
func (j *judge) paths(found []path, err error) Match {
	if err != nil {
		return Match{Matches: true, Depth: -1, Failure: ChainInvalid,
			Why: "a certificate with this data was sent, but the chain as sent does not lead to it: " + plain(err.Error())}
	}
	m := j.best(found)
	m.Matches = true
	return m
}

// pkixPath judges the paths to the system roots that pass. Mismatch: there
// are paths, and none passes.
func (j *judge) pkixPath(passes func(path) bool) Match {
	trusted, err := j.trusted()
	if err != nil {
		failure, why := untrusted(err)
		return Match{Failure: failure, Why: why}
	}
	var found []path
	for _, p := range trusted {
		if passes(p) {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return Match{Depth: -1, Failure: Mismatch}
	}
	return j.best(found)
}

// best judges each path by its dates and then by the leaf's names. Any path
// that holds is enough, so the best one speaks for all.
func (j *judge) best(found []path) Match {
	var best Match
	for i, p := range found {
		m := Match{}
		m.Until, m.Failure, m.Why = p.dates(j.At)
		switch {
		case m.Failure != None:
			m.Until = time.Time{}
		case !j.named():
			m = Match{Failure: NameMismatch, Why: foreign(j.chain.leaf(), j.Names)}
		default:
			m.Why = fmt.Sprintf("the chain leads to %s, valid until %s", subject(p[len(p)-1]), instant(m.Until))
		}
		if i == 0 || m.betterThan(best) {
			best = m
		}
	}
	return best
}

// betterThan says which of two ways to one record's data serves the peer: the
// one that authenticates for longest, else the one that came furthest.
func (m Match) betterThan(other Match) bool {
	if m.Failure == None && other.Failure == None {
		return m.Until.After(other.Until)
	}
	return m.progress() > other.progress()
}

func (m Match) progress() int {
	switch m.Failure {
	case None:
		return 3
	case NameMismatch:
		return 2
	case Expired, NotYetValid:
		return 1
	default:
		return 0
	}
}

func unmeasured() Match {
	return Match{Depth: -1, Failure: Unmeasured, Why: "not judged: there are no system roots here"}
}

func untrusted(err error) (Failure, string) {
	why := "the chain as sent does not lead to the system roots: " + plain(err.Error())
	// The dates of what was sent are left aside here, so this is a root's.
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return Expired, why
	}
	return PKIXUntrusted, why
}

func (j *judge) leafDiffers(r Record) Match {
	return Match{Depth: -1, Failure: Mismatch, Why: fmt.Sprintf("the leaf's %s is %s, the record says %s",
		what(r), digits(j.chain.association(0, r)), digits(r.Data))}
}

func (j *judge) noIssuer(r Record) Match {
	m := Match{Depth: -1, Failure: Mismatch}
	switch {
	case j.chain.has(0, r):
		m.Why = "the leaf itself has the data, and " + r.Usage.String() + " speaks of an issuer above it"
	case len(j.chain.sent()) == 1:
		m.Why = fmt.Sprintf("the server sent the leaf alone, and the record means an issuer with %s %s", what(r), digits(r.Data))
	default:
		m.Why = fmt.Sprintf("none of the %d certificates sent above the leaf has %s %s; the last one's is %s",
			len(j.chain.sent())-1, what(r), digits(r.Data), digits(j.chain.association(len(j.chain.sent())-1, r)))
	}
	return m
}
