package transport_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec/transport"
)

// authority is a certification authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.certificate = signed(t, template, template, a.key, a.key)
	return a
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// issue returns a server certificate for dns.example.net that is valid for an hour,
// after change has altered the template.
func (a *authority) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "dns.example.net"}, DNSNames: []string{"dns.example.net"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	key := newKey(t)
	leaf := signed(t, template, a.certificate, key, a.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(t *testing.T, template, issuer *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// countingListener counts the connections that it accepts.
type countingListener struct {
	net.Listener
	mutex sync.Mutex
	count int
}

func (c *countingListener) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.mutex.Lock()
		c.count++
		c.mutex.Unlock()
	}
	return conn, err
}

func (c *countingListener) accepted() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.count
}

// tlsServer starts a server of miekg/dns over TLS that answers each query. It
// returns the address, and a function that counts the connections.
func tlsServer(t *testing.T, settings *tls.Config) (address string, connections func() int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingListener{Listener: listener}
	server := &dns.Server{
		Listener:      tls.NewListener(counted, settings),
		MaxTCPQueries: -1,
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
			w.WriteMsg(new(dns.Msg).SetReply(query))
		}),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		listener.Close()
		if err := server.Shutdown(); err != nil && !strings.Contains(err.Error(), "not started") {
			t.Error(err)
		}
		<-ended
	})
	return listener.Addr().String(), counted.accepted
}

func TestTLS(t *testing.T) {
	trusted, untrusted := newAuthority(t), newAuthority(t)
	unchanged := func(*x509.Certificate) {}
	for _, test := range []struct {
		name   string
		issuer *authority
		change func(*x509.Certificate)
		suffix string // of the configured server: # and the certificate name
		max    uint16 // TLS version of the server; 0: the newest
		want   string // part of the error; empty: an answer
	}{
		{"the certificate is for the name", trusted, unchanged, "#dns.example.net", 0, ""},
		{"the name in upper case", trusted, unchanged, "#DNS.Example.NET.", 0, ""},
		{"the certificate is for the address", trusted, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }, "", 0, ""},
		{"TLS 1.2", trusted, unchanged, "#dns.example.net", tls.VersionTLS12, ""},

		{"another name", trusted, unchanged, "#dns.example.org", 0, "certificate is valid for dns.example.net, not dns.example.org"},
		{"a name below", trusted, unchanged, "#a.dns.example.net", 0, "not a.dns.example.net"},
		{"a name, but only the address is configured", trusted, unchanged, "", 0, "certificate"},
		{"another address", trusted, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }, "", 0, "127.0.0.2, not 127.0.0.1"},
		{"only the address, but a name is configured", trusted, func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv4(127, 0, 0, 1)}
		}, "#dns.example.net", 0, "certificate"},
		{"the name only as common name", trusted, func(c *x509.Certificate) { c.DNSNames = nil }, "#dns.example.net", 0, "certificate"},
		{"expired", trusted, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "#dns.example.net", 0, "expired"},
		{"not yet valid", trusted, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, "#dns.example.net", 0, "not yet valid"},
		{"an unknown authority", untrusted, unchanged, "#dns.example.net", 0, "unknown authority"},
		{"not for servers", trusted, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "#dns.example.net", 0, "key usage"},
		{"control characters and long names", trusted, func(c *x509.Certificate) {
			c.DNSNames = []string{"a\nlevel=error\x1b[31m", strings.Repeat("b", 9000)}
		}, "#dns.example.net", 0, "certificate"},
		{"TLS 1.1", trusted, unchanged, "#dns.example.net", tls.VersionTLS11, "protocol version"},
	} {
		t.Run(test.name, func(t *testing.T) {
			address, _ := tlsServer(t, &tls.Config{
				Certificates: []tls.Certificate{test.issuer.issue(t, test.change)}, MinVersion: tls.VersionTLS10, MaxVersion: test.max})
			var seen events
			tr, err := transport.New([]string{"tls://" + address + test.suffix},
				transport.Options{Attempts: 1, Roots: trusted.pool(), Observe: seen.observe})
			if err != nil {
				t.Fatal(err)
			}
			response, from, err := tr.Exchange(t.Context(), query())
			if test.want == "" {
				if err != nil || response.Rcode != dns.RcodeSuccess || from != tr.Servers()[0] || !slices.Equal(seen.list, []string{"tls"}) {
					t.Errorf("got %v from %q, %v; observed %q", response, from, err, seen.list)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 600 {
				t.Errorf("got error %q, want a short one in one line that contains %q", err, test.want)
			}
			if !slices.Equal(seen.list, []string{"tls network"}) {
				t.Errorf("observed %q", seen.list)
			}
		})
	}
}

// TestTLSHasNoFallback checks that no query is sent in clear text if the server
// does not speak TLS.
func TestTLSHasNoFallback(t *testing.T) {
	t.Parallel()
	r := (&resolver{udp: respond(), tcp: respondTCP()}).start(t)
	tr, err := transport.New([]string{"tls://" + r.address}, transport.Options{Timeout: time.Second, Attempts: 1, Roots: newAuthority(t).pool()})
	if err != nil {
		t.Fatal(err)
	}
	if response, _, err := tr.Exchange(t.Context(), query()); err == nil {
		t.Errorf("accepted %v", response)
	}
	for _, request := range r.requests() {
		if strings.HasPrefix(request, "udp ") {
			t.Errorf("the server received %q", request)
		}
	}
}

func TestTLSConnectionIsShared(t *testing.T) {
	trusted := newAuthority(t)
	address, connections := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{trusted.issue(t, func(*x509.Certificate) {})}})
	tr, err := transport.New([]string{"tls://" + address + "#dns.example.net"}, transport.Options{Roots: trusted.pool()})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var wait sync.WaitGroup
		for range 10 {
			wait.Go(func() {
				if _, _, err := tr.Exchange(t.Context(), query()); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
	if n := connections(); n != 1 {
		t.Errorf("%d connections for 30 queries", n)
	}
}

// TestTLSDefaultRoots checks that the system's roots, which do not include the
// authority of this test, are the default.
func TestTLSDefaultRoots(t *testing.T) {
	address, _ := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{newAuthority(t).issue(t, func(*x509.Certificate) {})}})
	tr, err := transport.New([]string{"tls://" + address + "#dns.example.net"}, transport.Options{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	if response, _, err := tr.Exchange(t.Context(), query()); err == nil {
		t.Errorf("accepted %v", response)
	}
}
