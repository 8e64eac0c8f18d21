package handshake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
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
		if err := verifyChainSize(c.chain); !errors.Is(err, c.want) {
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
	session, err := startTLS(t.Context(), client, "mx.example.org", offer{})
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

// TestGroup checks the group of the key exchange, for both TLS clients. Static RSA
// has none; of TLS 1.2, utls does not export it.
func TestGroup(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.org"}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	// With net.Pipe, which has no buffer, a HelloRetryRequest is a deadlock: both
	// sides then write a change_cipher_spec record (RFC 8446 appendix D.4).
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}
	tls12 := func(suite uint16, curve tls.CurveID) *tls.Config {
		return &tls.Config{Certificates: served, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}, CurvePreferences: []tls.CurveID{curve}}
	}
	for _, c := range []struct {
		name    string
		server  *tls.Config
		keyType dane.KeyType
		want    tls.CurveID
	}{
		{"TLS 1.3", &tls.Config{Certificates: served}, "", tls.X25519MLKEM768},
		{"TLS 1.3 after a HelloRetryRequest", &tls.Config{Certificates: served, CurvePreferences: []tls.CurveID{tls.CurveP384}}, "", tls.CurveP384},
		{"TLS 1.2", tls12(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.CurveP256), "", tls.CurveP256},
		{"static RSA", tls12(tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.CurveP256), "", 0},
		{"TLS 1.3, key type", &tls.Config{Certificates: served}, dane.RSA, tls.X25519MLKEM768},
		{"TLS 1.3 after a HelloRetryRequest, key type", &tls.Config{Certificates: served, CurvePreferences: []tls.CurveID{tls.CurveP384}}, dane.RSA, tls.CurveP384},
		{"TLS 1.2, key type: not known", tls12(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.CurveP256), dane.RSA, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			done := make(chan error, 1)
			go func() {
				server, err := listener.Accept()
				if err != nil {
					done <- err
					return
				}
				defer server.Close()
				done <- tls.Server(server, c.server).Handshake()
			}()
			client, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			client.SetDeadline(time.Now().Add(time.Minute))
			session, err := startTLS(t.Context(), client, "mx.example.org", offer{keyType: c.keyType})
			if err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if session.group != uint16(c.want) {
				t.Errorf("group %d, want %d", session.group, c.want)
			}
		})
	}
}
