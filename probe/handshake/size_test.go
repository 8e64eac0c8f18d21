package handshake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"dane_exporter/probe/dane"
)

// A parsed certificate keeps the TLS message that it arrived in alive, including
// what the server sent next to it. MemSize counts all of it.
func TestMemSizeCountsTheWholeMessage(t *testing.T) {
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
		t.Errorf("a handshake that holds 60000 bytes in addition to its certificate counts as %d", size)
	}
}
