package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Certificate is a certificate with its private key and its issuer.
type Certificate struct {
	DER       []byte // the certificate
	PublicKey []byte // its SubjectPublicKeyInfo, DER
	key       crypto.Signer
	issuer    *Authority // nil: self-signed
}

// ChainWith returns the certificate followed by others, for a server to send.
func (c *Certificate) ChainWith(others ...*Certificate) tls.Certificate {
	chain := [][]byte{c.DER}
	for _, other := range others {
		chain = append(chain, other.DER)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: c.key}
}

// Chain returns the certificate and the intermediates above it, without the root,
// as a well configured server sends them (RFC 8446 §4.4.2).
func (c *Certificate) Chain() tls.Certificate {
	var above []*Certificate
	for issuer := c.issuer; issuer != nil && issuer.issuer != nil; issuer = issuer.issuer {
		above = append(above, &issuer.Certificate)
	}
	return c.ChainWith(above...)
}

// Authority is a certificate authority.
type Authority struct {
	Certificate
	parsed *x509.Certificate
	now    time.Time
}

// Validity of certificates, relative to the time given to NewRoot.
const (
	backdate     = 24 * time.Hour
	leafLifetime = 365 * 24 * time.Hour
	caLifetime   = 10 * leafLifetime
)

// NewRoot returns a new self-signed authority. Validity periods of all certificates
// below it are relative to now.
func NewRoot(name string, now time.Time) (*Authority, error) {
	return newAuthority(name, nil, now, now.Add(caLifetime))
}

// Intermediate returns a new authority whose certificate a issues.
func (a *Authority) Intermediate(name string) (*Authority, error) {
	return newAuthority(name, a, a.now, a.now.Add(caLifetime))
}

// IntermediateUntil is like Intermediate for a certificate that expires at a time.
func (a *Authority) IntermediateUntil(name string, notAfter time.Time) (*Authority, error) {
	return newAuthority(name, a, a.now, notAfter)
}

// CrossSign returns a certificate for the name and key of another authority.
func (a *Authority) CrossSign(other *Authority) (*Certificate, error) {
	template := *other.parsed
	template.AuthorityKeyId = nil // of the former issuer
	return issue(other.key, &template, a)
}

// X509 returns the parsed certificate of the authority.
func (a *Authority) X509() *x509.Certificate { return a.parsed }

func newAuthority(name string, issuer *Authority, now, notAfter time.Time) (*Authority, error) {
	key, err := newKey(ECDSA)
	if err != nil {
		return nil, err
	}
	certificate, err := issue(key, &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Lab"}, CommonName: name},
		NotBefore:             notAfter.Add(-caLifetime - backdate),
		NotAfter:              notAfter,
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, issuer)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(certificate.DER)
	if err != nil {
		return nil, fmt.Errorf("parse certificate of %s: %w", name, err)
	}
	return &Authority{Certificate: *certificate, parsed: parsed, now: now}, nil
}

// Leaf describes an end-entity certificate.
type Leaf struct {
	Names      []string      // dNSNames
	CommonName string        // default: the first of Names
	RawSubject []byte        // DER of the subject, instead of CommonName
	NotAfter   time.Time     // default: a year after the time given to NewRoot
	Lifetime   time.Duration // default: a year
	Key        KeyType
	ForClients bool // its extended key usage is clientAuth, not serverAuth
}

// KeyType is the type of a certificate's key.
type KeyType uint8

const (
	ECDSA KeyType = iota // P-256
	RSA                  // 2048 bits, always the same key
	Ed25519
)

// Issue issues an end-entity certificate. The errors are those of crypto/x509.
func (a *Authority) Issue(leaf Leaf) (*Certificate, error) {
	if leaf.CommonName == "" && len(leaf.Names) > 0 {
		leaf.CommonName = leaf.Names[0]
	}
	if leaf.NotAfter.IsZero() {
		leaf.NotAfter = a.now.Add(leafLifetime)
	}
	if leaf.Lifetime == 0 {
		leaf.Lifetime = leafLifetime
	}
	key, err := newKey(leaf.Key)
	if err != nil {
		return nil, err
	}
	usage := x509.ExtKeyUsageServerAuth
	if leaf.ForClients {
		usage = x509.ExtKeyUsageClientAuth
	}
	return issue(key, &x509.Certificate{
		Subject:               pkix.Name{CommonName: leaf.CommonName},
		RawSubject:            leaf.RawSubject,
		DNSNames:              leaf.Names,
		NotBefore:             leaf.NotAfter.Add(-leaf.Lifetime - backdate),
		NotAfter:              leaf.NotAfter,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{usage},
	}, a)
}

func newKey(kind KeyType) (crypto.Signer, error) {
	switch kind {
	case RSA:
		return parseRSAKey()
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	default:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
}

// rsaKeyPEM is the key of all RSA certificates. Generating one of 2048 bits takes
// about 100 ms, longer than all else that the lab does at its start.
//
//go:embed rsa-2048.pem
var rsaKeyPEM []byte

func parseRSAKey() (crypto.Signer, error) {
	block, _ := pem.Decode(rsaKeyPEM)
	if block == nil {
		return nil, errors.New("parse rsa-2048.pem: no PEM block")
	}
	return x509.ParsePKCS1PrivateKey(block.Bytes)
}

// issue returns a certificate for key, self-signed if issuer is nil.
func issue(key crypto.Signer, template *x509.Certificate, issuer *Authority) (*Certificate, error) {
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.parsed, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("create certificate of %s: %w", template.Subject, err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("marshal public key of %s: %w", template.Subject, err)
	}
	return &Certificate{DER: der, PublicKey: public, key: key, issuer: issuer}, nil
}
