package tlsa

import (
	"bytes"
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

// anchor returns the last certificate.
func (p path) anchor() *x509.Certificate { return p[len(p)-1] }

// issuerWith returns the first certificate above the leaf that has the data of r,
// or nil.
func (p path) issuerWith(r Record) *x509.Certificate {
	for _, issuer := range p[1:] {
		if bytes.Equal(associationData(issuer, r.Selector, r.MatchingType), r.Data) {
			return issuer
		}
	}
	return nil
}

// checkDates returns the earliest notAfter of the path. Every certificate must
// be valid at the given time, the anchor too, as in OpenSSL; otherwise failure is
// Expired or NotYetValid.
func (p path) checkDates(at time.Time) (expiry time.Time, failure Failure, why string) {
	for _, c := range p {
		if expiry.IsZero() || c.NotAfter.Before(expiry) {
			expiry = c.NotAfter
		}
		switch {
		case failure == Expired:
		case at.After(c.NotAfter):
			failure, why = Expired, fmt.Sprintf("%s expired at %s", subject(c), formatTime(c.NotAfter))
		case at.Before(c.NotBefore):
			failure, why = NotYetValid, fmt.Sprintf("%s is not valid before %s", subject(c), formatTime(c.NotBefore))
		}
	}
	return expiry, failure, why
}

// A pathBuilder finds paths through the certificates that a server sent. It uses
// them as a pool, as OpenSSL and thus Postfix do: the leaf comes first, the order
// of the others does not matter (RFC 8446 §4.4.2 recommends that tolerance).
//
// It ignores the dates of what was sent, in order to distinguish a path that has
// expired from one that never existed: it works on copies that are always valid.
// crypto/x509 checks everything else that RFC 5280 §6 requires: signatures, CA
// flags, key usage, path lengths, name constraints.
type pathBuilder struct {
	at       time.Time                               // for the dates of roots that were not sent
	undated  []*x509.Certificate                     // copies of what was sent, leaf first
	pool     *x509.CertPool                          // undated, without the leaf
	original map[*x509.Certificate]*x509.Certificate // by copy
}

func newPathBuilder(sent []*x509.Certificate, at time.Time) *pathBuilder {
	b := &pathBuilder{at: at, pool: x509.NewCertPool(), original: make(map[*x509.Certificate]*x509.Certificate)}
	for depth, certificate := range sent {
		undated := b.removeDates(certificate)
		b.undated = append(b.undated, undated)
		if depth > 0 {
			b.pool.AddCert(undated)
		}
	}
	return b
}

// removeDates returns a copy of certificate that is valid at any time.
func (b *pathBuilder) removeDates(certificate *x509.Certificate) *x509.Certificate {
	undated := *certificate
	undated.NotBefore = time.Time{}
	undated.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // RFC 5280 §4.1.2.5: no expiration date
	b.original[&undated] = certificate
	return &undated
}

// toRoots returns the paths to any certificate of roots. It checks the dates of
// roots that were not sent, and no others.
func (b *pathBuilder) toRoots(roots *x509.CertPool) ([]path, error) {
	found, err := b.undated[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: b.pool,
		CurrentTime:   b.at,
		// Senders require a certificate for TLS servers. One without extended
		// key usage is for any purpose (RFC 5280 §4.2.1.12).
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return nil, err
	}
	paths := make([]path, len(found))
	for i, certificates := range found {
		for _, certificate := range certificates {
			if original, ok := b.original[certificate]; ok {
				certificate = original
			}
			paths[i] = append(paths[i], certificate)
		}
	}
	return paths, nil
}

// toAnchor returns the paths to one certificate, which need not have been sent.
func (b *pathBuilder) toAnchor(anchor *x509.Certificate) ([]path, error) {
	roots := x509.NewCertPool()
	roots.AddCert(b.removeDates(anchor))
	return b.toRoots(roots)
}

// toKey returns the paths to a certificate that key has signed. Only the key of
// the issuer is known (RFC 7671 §5.2.3).
func (b *pathBuilder) toKey(key crypto.PublicKey) ([]path, error) {
	issuer := &x509.Certificate{
		Version: 3, BasicConstraintsValid: true, IsCA: true,
		PublicKey: key, PublicKeyAlgorithm: keyAlgorithm(key),
	}
	var paths []path
	err := errors.New("the key has signed none of the certificates sent")
	for _, certificate := range b.undated {
		if certificate.CheckSignatureFrom(issuer) != nil {
			continue
		}
		var found []path
		if found, err = b.toAnchor(b.original[certificate]); err == nil {
			paths = append(paths, found...)
		}
	}
	if len(paths) == 0 {
		return nil, err
	}
	return paths, nil
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
