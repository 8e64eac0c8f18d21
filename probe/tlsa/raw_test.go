package tlsa

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"math/big"
	"testing"
)

// TestMatchRaw compares records with certificates in DER, of which only the public
// key is read.
func TestMatchRaw(t *testing.T) {
	newDER := func() []byte {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.org"}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	leaf, issuer, other := newDER(), newDER(), newDER()
	record := func(usage Usage, selector Selector, matchingType MatchingType, der []byte) Record {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return Record{usage, selector, matchingType, associationData(x, selector, matchingType)}
	}
	garbage := []byte("\x30\x03\x02\x01\x01")
	digest := sha256.Sum256(garbage)
	sent := [][]byte{leaf, issuer}
	for _, c := range []struct {
		name   string
		record Record
		sent   [][]byte
		want   RawMatch
	}{
		{"3 1 1 of the leaf", record(DANEEE, SPKI, SHA256, leaf), sent, RawMatches},
		{"3 0 2 of the leaf", record(DANEEE, Cert, SHA512, leaf), sent, RawMatches},
		{"3 1 0 of the leaf", record(DANEEE, SPKI, Full, leaf), sent, RawMatches},
		{"3 1 1 of the issuer: the leaf alone counts", record(DANEEE, SPKI, SHA256, issuer), sent, RawExcluded},
		{"3 1 1 of another key", record(DANEEE, SPKI, SHA256, other), sent, RawExcluded},
		{"1 1 1 of the leaf", record(PKIXEE, SPKI, SHA256, leaf), sent, RawMatches},
		{"1 1 1 of another key", record(PKIXEE, SPKI, SHA256, other), sent, RawExcluded},
		{"2 1 1 of the issuer", record(DANETA, SPKI, SHA256, issuer), sent, RawMatches},
		{"2 1 1 of the leaf: it is no issuer", record(DANETA, SPKI, SHA256, leaf), sent, RawExcluded},
		{"2 0 1 of another certificate", record(DANETA, Cert, SHA256, other), sent, RawExcluded},
		{"2 0 0 of another certificate: the record may supply the anchor", record(DANETA, Cert, Full, other), sent, RawUnknown},
		{"2 1 0 of another key: the record may supply the anchor", record(DANETA, SPKI, Full, other), sent, RawUnknown},
		{"0 1 1 of another key: roots need not be sent", record(PKIXTA, SPKI, SHA256, other), sent, RawUnknown},
		{"0 1 1 of the issuer", record(PKIXTA, SPKI, SHA256, issuer), sent, RawMatches},
		{"3 1 1, no certificate can be read", record(DANEEE, SPKI, SHA256, leaf), [][]byte{garbage}, RawUnknown},
		{"3 0 1 of what cannot be read", Record{DANEEE, Cert, SHA256, digest[:]}, [][]byte{garbage}, RawMatches},
		{"2 1 1, an issuer that cannot be read before the match", record(DANETA, SPKI, SHA256, issuer), [][]byte{leaf, garbage, issuer}, RawMatches},
		{"2 1 1, an issuer that cannot be read", record(DANETA, SPKI, SHA256, other), [][]byte{leaf, garbage, issuer}, RawUnknown},
	} {
		if got := MatchRaw(c.record, c.sent); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
