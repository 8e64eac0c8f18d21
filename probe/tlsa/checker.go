package tlsa

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"time"
)

// The errors of checks that were not made. Clients may accept the chain.
var (
	ErrUnmeasured        = errors.New("not judged")                                    // any of them, such as a check over a limit
	ErrUnsupported error = unmeasuredError{"not judged: not supported", ErrUnmeasured} // by crypto/x509
	ErrStopped     error = unmeasuredError{"not judged: no time", ErrUnmeasured}       // by Verifier.Stop
)

// An unmeasuredError gives the cause of an error of a kind.
type unmeasuredError struct {
	text string
	kind error
}

func (e unmeasuredError) Error() string { return e.text }
func (e unmeasuredError) Unwrap() error { return e.kind }

var (
	errUnsupported  = unmeasuredError{"not judged: crypto/x509 does not support the algorithm of a key or signature, or versions of OpenSSL differ on a name constraint", ErrUnsupported}
	errTooManyPaths = unmeasuredError{"not judged: the certificates form too many paths", ErrUnmeasured}
	errTooExpensive = unmeasuredError{"not judged: the keys, names and paths of the certificates take too long to check", ErrUnmeasured}
)

var (
	errWrongSigner   = errors.New("the key has not signed the certificate")
	errTooManyChecks = fmt.Errorf("more than %d comparisons of names with name constraints, which senders with OpenSSL do not make", maxNameChecks)
)

// The costs of checks in units of about one microsecond. maxCost bounds the checks
// of one search. Honest servers cost less than a fifth of it. The other checks of one
// certificate in one path cost 1.
const (
	maxCost       = 75_000
	rootsCost     = 700 // of a search in the system roots: one signature of P-384
	hashedPerCost = 200 // bytes
	namesPerCost  = 20  // comparisons of a name with a constraint
)

// A checker makes the costly checks of one search, within maxCost. A check that
// another search of the chain has made costs as much, but takes no time. The result
// of a search therefore does not depend on earlier ones.
type checker struct {
	memo *checkMemo
	stop func() error // nil: never
	cost int          // so far

	stopped error // the error of stop
}

// spend adds to the cost. It returns an error if that is too high.
func (c *checker) spend(cost int) error {
	if c.cost += cost; c.cost > maxCost {
		return errTooExpensive
	}
	return nil
}

// checkTime returns an error if there is no time for another check.
func (c *checker) checkTime() error {
	if c.stopped == nil && c.stop != nil {
		if err := c.stop(); err != nil {
			c.stopped = unmeasuredError{"not judged: " + err.Error(), ErrStopped}
		}
	}
	return c.stopped
}

// once returns the error of check, which is not called if another search has called
// it for the same key.
func (c *checker) once(key any, cost int, check func() error) error {
	if err := c.spend(cost); err != nil {
		return err
	}
	if known, err := c.memo.load(key); known {
		return err
	}
	if err := c.checkTime(); err != nil {
		return err
	}
	err := check()
	c.memo.store(key, err)
	return err
}

// A fingerprint is the SHA-256 of a certificate or of a SubjectPublicKeyInfo.
type fingerprint [sha256.Size]byte

// A checkMemo keeps the results of the checks of one chain. A probe judges a chain
// for several times, and against the same records.
type checkMemo struct {
	mu      sync.Mutex
	results map[any]error // by signatureKey, namesKey or rootsKey
	made    int           // checks
}

type (
	signatureKey struct{ child, spki fingerprint }
	namesKey     struct {
		child, issuer fingerprint
		leaf          bool
	}
	rootsKey struct {
		child fingerprint
		roots *x509.CertPool
	}
)

// load returns the result of a check, if it is known.
func (m *checkMemo) load(key any) (known bool, result error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	result, known = m.results[key]
	return known, result
}

func (m *checkMemo) store(key any, err error) {
	const maxResults = 2048
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.results == nil {
		m.results = make(map[any]error)
	}
	m.made++
	if len(m.results) < maxResults {
		m.results[key] = err
	}
}

// A publicKey is a key that may have signed certificates.
type publicKey struct {
	crypto.PublicKey             // nil if crypto/x509 does not support it
	spki             fingerprint // of its SubjectPublicKeyInfo
}

// parseKey parses a SubjectPublicKeyInfo in DER.
func parseKey(spki []byte) publicKey {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		key = nil
	}
	return publicKey{key, sha256.Sum256(spki)}
}

// checkSignature returns an error unless a key has signed child.
func (c *checker) checkSignature(child *node, key publicKey) error {
	cost, err := signatureCost(child, key)
	if err != nil {
		return err
	}
	return c.once(signatureKey{child.fingerprint, key.spki}, cost, func() error {
		issuer := x509.Certificate{PublicKey: key.PublicKey}
		err := issuer.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
		if errors.Is(err, x509.ErrUnsupportedAlgorithm) {
			return errUnsupported
		}
		return err
	})
}

// signatureCost returns the cost of checking that a key has signed child. It returns
// an error if that need not or cannot be checked.
func signatureCost(child *node, key publicKey) (int, error) {
	const maxModulus = 16384 // bits that OpenSSL accepts (OPENSSL_RSA_MAX_MODULUS_BITS)
	const unknown = x509.UnknownPublicKeyAlgorithm
	if want, have := keyAlgorithmOf(child.SignatureAlgorithm), keyAlgorithm(key.PublicKey); want != unknown && have != unknown && want != have {
		return 0, errWrongSigner
	}
	cost := len(child.RawTBSCertificate) / hashedPerCost
	switch k := key.PublicKey.(type) {
	case *rsa.PublicKey:
		switch {
		case len(child.Signature) != k.Size(), k.N.BitLen() > maxModulus: // RFC 8017 §8.2.2
			return 0, errWrongSigner
		case k.E > math.MaxInt32: // crypto/rsa accepts no more, OpenSSL does
			return 0, errUnsupported
		}
		words := (k.N.BitLen() + 63) / 64
		multiplications := bits.Len(uint(k.E)) + bits.OnesCount(uint(k.E)) + 6
		return cost + words*words*multiplications/200, nil
	case *ecdsa.PublicKey:
		switch size := k.Curve.Params().BitSize; {
		case size > 384:
			return cost + 2500, nil
		case size > 256:
			return cost + 700, nil
		case size < 256: // not in assembly
			return cost + 250, nil
		}
		return cost + 100, nil
	case ed25519.PublicKey:
		return cost + 80, nil
	default:
		return 0, errUnsupported
	}
}

// keyAlgorithm returns the type of a key that crypto/x509 can check signatures with.
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

// rootsAbove returns the roots that have issued child and are valid at a time. It
// returns none if child is a root.
func (c *checker) rootsAbove(child *node, roots *x509.CertPool, at time.Time) ([]*node, error) {
	if err := c.spend(rootsCost); err != nil {
		return nil, err
	}
	key := rootsKey{child.fingerprint, roots}
	if known, err := c.memo.load(key); known {
		return nil, err
	}
	if err := c.checkTime(); err != nil {
		return nil, err
	}
	found, err := withoutRestrictions(child.Certificate).Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // path.check checks the purposes
	})
	if _, ok := errors.AsType[x509.UnhandledCriticalExtension](err); ok { // of the root: senders with OpenSSL may know it
		return nil, errUnsupported
	}
	// That no root has signed child is true at any time.
	if _, never := errors.AsType[x509.UnknownAuthorityError](err); never {
		c.memo.store(key, err)
	}
	var above []*node
	for _, certificates := range found {
		if len(certificates) > 1 {
			above = append(above, newNode(certificates[len(certificates)-1]))
		}
	}
	return above, err
}

// withoutRestrictions returns a copy of a certificate that is valid at any time, for
// any purpose, name and policy. path.check checks what senders check of those.
func withoutRestrictions(certificate *x509.Certificate) *x509.Certificate {
	c := *certificate
	c.NotBefore = time.Time{}
	c.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // RFC 5280 §4.1.2.5: no expiration date
	c.Extensions, c.UnhandledCriticalExtensions = nil, nil        // crypto/x509 looks for a subjectAltName there
	// Senders check no policies.
	c.RequireExplicitPolicy, c.RequireExplicitPolicyZero = 0, false // 0 is the same as absent
	c.InhibitPolicyMapping, c.InhibitPolicyMappingZero = 0, false
	c.InhibitAnyPolicy, c.InhibitAnyPolicyZero = 0, false
	c.Policies, c.PolicyMappings = nil, nil
	return &c
}
