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

// authority is a certification authority of the tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the authority of the tests"},
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

// issue makes a server's certificate; change makes it another than usual, which
// is for dns.example.net, good for an hour.
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

// counting counts the connections that it accepts.
type counting struct {
	net.Listener
	mutex sync.Mutex
	count int
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.mutex.Lock()
		c.count++
		c.mutex.Unlock()
	}
	return conn, err
}

func (c *counting) accepted() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.count
}

// serveTLS runs miekg's server over TLS, which answers each query.
func serveTLS(t *testing.T, settings *tls.Config) (address string, connections func() int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &counting{Listener: listener}
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
	known, stranger := newAuthority(t), newAuthority(t)
	usual := func(*x509.Certificate) {}
	for _, story := range []struct {
		name   string
		by     *authority
		change func(*x509.Certificate)
		peer   string
		most   uint16 // TLS version that the server speaks; 0: any
		want   string // part of the error; empty: an answer
	}{
		{"the certificate is for the name", known, usual, "#dns.example.net", 0, ""},
		{"a name in capitals is the same", known, usual, "#DNS.Example.NET.", 0, ""},
		{"the certificate is for the address", known, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }, "", 0, ""},
		{"TLS 1.2", known, usual, "#dns.example.net", tls.VersionTLS12, ""},

		{"another name", known, usual, "#dns.example.org", 0, "certificate is valid for dns.example.net, not dns.example.org"},
		{"a name below", known, usual, "#a.dns.example.net", 0, "not a.dns.example.net"},
		{"a name, and we know the address alone", known, usual, "", 0, "certificate"},
		{"another address", known, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }, "", 0, "127.0.0.2, not 127.0.0.1"},
		{"the address alone, and we know the name", known, func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv4(127, 0, 0, 1)}
		}, "#dns.example.net", 0, "certificate"},
		{"the name as common name alone", known, func(c *x509.Certificate) { c.DNSNames = nil }, "#dns.example.net", 0, "certificate"},
		{"it has expired", known, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "#dns.example.net", 0, "expired"},
		{"it is not valid yet", known, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, "#dns.example.net", 0, "not yet valid"},
		{"an authority that nobody knows", stranger, usual, "#dns.example.net", 0, "unknown authority"},
		{"not for servers", known, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "#dns.example.net", 0, "key usage"},
		{"names that would spoil a log", known, func(c *x509.Certificate) {
			c.DNSNames = []string{"a\nlevel=error\x1b[31m", strings.Repeat("b", 9000)}
		}, "#dns.example.net", 0, "certificate"},
		{"TLS 1.1", known, usual, "#dns.example.net", tls.VersionTLS11, "protocol version"},
	} {
		t.Run(story.name, func(t *testing.T) {
			address, _ := serveTLS(t, &tls.Config{
				Certificates: []tls.Certificate{story.by.issue(t, story.change)}, MinVersion: tls.VersionTLS10, MaxVersion: story.most})
			var seen events
			tr, err := transport.New([]string{"tls://" + address + story.peer},
				transport.Options{Attempts: 1, Roots: known.pool(), Observe: seen.observe})
			if err != nil {
				t.Fatal(err)
			}
			response, from, err := tr.Exchange(t.Context(), query())
			if story.want == "" {
				if err != nil || response.Rcode != dns.RcodeSuccess || from != tr.Servers()[0] || !slices.Equal(seen.list, []string{"tls"}) {
					t.Errorf("%v from %q, %v; observed %q", response, from, err, seen.list)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), story.want) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 600 {
				t.Errorf("error %q, want one of some length in one line that says %q", err, story.want)
			}
			if !slices.Equal(seen.list, []string{"tls network"}) {
				t.Errorf("observed %q", seen.list)
			}
		})
	}
}

// No query is ever sent in the clear, whatever answers on the port.
func TestTLSOrNothing(t *testing.T) {
	r := (&resolver{udp: says(), tcp: saysTCP()}).start(t)
	tr, err := transport.New([]string{"tls://" + r.address}, transport.Options{Timeout: time.Second, Attempts: 1, Roots: newAuthority(t).pool()})
	if err != nil {
		t.Fatal(err)
	}
	if response, _, err := tr.Exchange(t.Context(), query()); err == nil {
		t.Errorf("took %v", response)
	}
	for _, heard := range r.asked() {
		if strings.HasPrefix(heard, "udp ") {
			t.Errorf("the server heard %q", heard)
		}
	}
}

func TestOneHandshakeForMany(t *testing.T) {
	known := newAuthority(t)
	address, connections := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{known.issue(t, func(*x509.Certificate) {})}})
	tr, err := transport.New([]string{"tls://" + address + "#dns.example.net"}, transport.Options{Roots: known.pool()})
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
		t.Errorf("%d connections for thirty queries", n)
	}
}

// Roots that are not given are the system's, which know nothing of ours.
func TestTheSystemsRootsByDefault(t *testing.T) {
	address, _ := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{newAuthority(t).issue(t, func(*x509.Certificate) {})}})
	tr, err := transport.New([]string{"tls://" + address + "#dns.example.net"}, transport.Options{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	if response, _, err := tr.Exchange(t.Context(), query()); err == nil {
		t.Errorf("took %v", response)
	}
}
