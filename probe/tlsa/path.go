package tlsa

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// A path leads from the leaf, signature by signature, to an anchor.
type path []*x509.Certificate

// A builder finds paths through the certificates that a server sent. It takes
// them as a pool, as OpenSSL and so Postfix do: the leaf comes first, the order
// of the others does not matter (RFC 8446 §4.4.2 asks for that tolerance).
//
// It leaves the dates of what was sent aside, so that a path that has expired
// can be told from one that was never there: it works on copies that are
// always valid. Everything else that RFC 5280 §6 asks is crypto/x509's work:
// signatures, CA flags, key usage, path lengths, name constraints.
type builder struct {
	at      time.Time // decides the dates of the roots alone
	undated []*x509.Certificate
	pool    *x509.CertPool // undated, but for the leaf
	dated   map[*x509.Certificate]*x509.Certificate
}

func newBuilder(sent []*x509.Certificate, at time.Time) *builder {
	b := &builder{at: at, pool: x509.NewCertPool(), dated: make(map[*x509.Certificate]*x509.Certificate)}
	for depth, certificate := range sent {
		undated := b.undate(certificate)
		b.undated = append(b.undated, undated)
		if depth > 0 {
			b.pool.AddCert(undated)
		}
	}
	return b
}

// undate returns a copy of certificate that is valid at any time.
func (b *builder) undate(certificate *x509.Certificate) *x509.Certificate {
	undated := *certificate
	undated.NotBefore = time.Time{}
	undated.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // RFC 5280 §4.1.2.5: no end
	b.dated[&undated] = certificate
	return &undated
}

// toRoots returns the paths to any certificate of roots. The dates of roots
// that were not sent are checked; those of all others are not.
func (b *builder) toRoots(roots *x509.CertPool) ([]path, error) {
	found, err := b.undated[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: b.pool,
		CurrentTime:   b.at,
		// Senders ask for a certificate that may serve TLS; one without
		// extended key usage may do anything (RFC 5280 §4.2.1.12).
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return nil, err
	}
	paths := make([]path, len(found))
	for i, certificates := range found {
		for _, certificate := range certificates {
			if dated, ok := b.dated[certificate]; ok {
				certificate = dated
			}
			paths[i] = append(paths[i], certificate)
		}
	}
	return paths, nil
}

// toAnchor returns the paths to one certificate, which need not be sent.
func (b *builder) toAnchor(anchor *x509.Certificate) ([]path, error) {
	roots := x509.NewCertPool()
	roots.AddCert(b.undate(anchor))
	return b.toRoots(roots)
}

// toKey returns the paths to a certificate that key has signed: the issuer
// itself is known by its key alone (RFC 7671 §5.2.3).
func (b *builder) toKey(key crypto.PublicKey) ([]path, error) {
	issuer := &x509.Certificate{
		Version: 3, BasicConstraintsValid: true, IsCA: true,
		PublicKey: key, PublicKeyAlgorithm: algorithm(key),
	}
	var paths []path
	err := errors.New("the key has signed no certificate that was sent")
	for _, certificate := range b.undated {
		if certificate.CheckSignatureFrom(issuer) != nil {
			continue
		}
		var found []path
		if found, err = b.toAnchor(b.dated[certificate]); err == nil {
			paths = append(paths, found...)
		}
	}
	if len(paths) == 0 {
		return nil, err
	}
	return paths, nil
}

func algorithm(key crypto.PublicKey) x509.PublicKeyAlgorithm {
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

// dates says whether every certificate of p is valid at the given time, the
// anchor's included, as OpenSSL has it. until is the earliest notAfter.
func (p path) dates(at time.Time) (until time.Time, failure Failure, why string) {
	for _, c := range p {
		if until.IsZero() || c.NotAfter.Before(until) {
			until = c.NotAfter
		}
		switch {
		case failure == Expired:
		case at.After(c.NotAfter):
			failure, why = Expired, fmt.Sprintf("%s expired at %s", subject(c), instant(c.NotAfter))
		case at.Before(c.NotBefore):
			failure, why = NotYetValid, fmt.Sprintf("%s is valid from %s only", subject(c), instant(c.NotBefore))
		}
	}
	return until, failure, why
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }
