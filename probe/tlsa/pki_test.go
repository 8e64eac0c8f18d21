package tlsa

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// now is the time of all tests.
var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// A party is a certificate and its private key.
type party struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// issue makes a certificate with a new key, self-signed if issuer is nil. change
// may modify the template.
func issue(t testing.TB, issuer *party, commonName string, change func(*x509.Certificate)) *party {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issueFor(t, issuer, key, commonName, change)
}

// issueFor is like issue for an existing key.
func issueFor(t testing.TB, issuer *party, key *ecdsa.PrivateKey, commonName string, change func(*x509.Certificate)) *party {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(commonName)) + 1),
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    now.Add(-30 * day),
		NotAfter:     now.Add(60 * day),
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &party{certificate, key}
}

// authority makes a CA certificate.
func authority(changes ...func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign
		c.NotAfter = now.Add(3650 * day)
		for _, change := range changes {
			change(c)
		}
	}
}

func host(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func notAfter(end time.Time) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotAfter = end }
}

func notBefore(start time.Time) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore = start }
}

func all(changes ...func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, change := range changes {
			change(c)
		}
	}
}

func chainOf(parties ...*party) *Chain {
	c := &Chain{}
	for _, p := range parties {
		c.Certificates = append(c.Certificates, p.Certificate)
	}
	return c
}

func poolOf(parties ...*party) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, p := range parties {
		pool.AddCert(p.Certificate)
	}
	return pool
}

func record(t testing.TB, p *party, usage Usage, selector Selector, matchingType MatchingType) Record {
	t.Helper()
	r, err := NewRecord(p.Certificate, usage, selector, matchingType)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
