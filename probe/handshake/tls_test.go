package handshake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"dane_exporter/probe/dane"
)

// A chain may be as large as OpenSSL accepts.
func TestChainSizeIsBounded(t *testing.T) {
	chain := func(sizes ...int) (chain [][]byte) {
		for _, size := range sizes {
			chain = append(chain, make([]byte, size))
		}
		return chain
	}
	for _, c := range []struct {
		name  string
		chain [][]byte
		want  error
	}{
		{"common size", chain(1500, 1500), nil},
		{"maximum size", chain(50<<10, 50<<10), nil},
		{"one byte too large", chain(50<<10, 50<<10, 1), errChainTooLong},
		{"one certificate too large", chain(MaxChain + 1), errChainTooLong},
	} {
		if err := verifyChainSize(c.chain, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// A parsed certificate keeps the whole TLS message in memory that it arrived in,
// such as timestamps that the server sent with it. MemSize counts all of it.
func TestMemSizeCountsWholeMessage(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.org"}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	served := tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, SignedCertificateTimestamps: [][]byte{make([]byte, 60_000)}}
	client, server := net.Pipe()
	defer client.Close()
	done := make(chan error, 1)
	go func() {
		defer server.Close()
		done <- tls.Server(server, &tls.Config{Certificates: []tls.Certificate{served}}).Handshake()
	}()
	client.SetDeadline(time.Now().Add(time.Minute))
	session, err := startTLS(t.Context(), client, "mx.example.org", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	endpoint := dane.Endpoint{Raw: rawCertificates(session.certificates)}
	if size := endpoint.MemSize(); size < 60_000 {
		t.Errorf("MemSize is %d bytes, but the message has 60000 bytes in addition to the certificate", size)
	}
}
