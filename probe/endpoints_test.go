package probe

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dane_exporter/probe/dane"
)

// certificateFor returns a self-signed certificate for a key. err is that of the
// key's generation.
func certificateFor(t *testing.T, key crypto.Signer, err error) tls.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"www.example.org"}, NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(1, 0, 0)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// A module with key types makes one handshake for each. A server that has only the
// other key is skipped for the missing one, and one that fails is not.
func TestKeyTypes(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ecdsaCertificate := certificateFor(t, p256, err)
	otherKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p384Certificate := certificateFor(t, p384, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	rsaCertificate := certificateFor(t, rsaKey, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	edCertificate := certificateFor(t, edKey, err)
	limitedTo := func(version uint16, certificates ...tls.Certificate) *tls.Config {
		return &tls.Config{MinVersion: version, MaxVersion: version, Certificates: certificates}
	}
	configured := func(change func(*tls.Config), config *tls.Config) *tls.Config { change(config); return config }
	// rsaOr has an RSA key. It calls another function if the client offers ECDSA only.
	rsaOr := func(otherwise func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
		return &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if !slices.Contains(hello.SignatureSchemes, tls.PSSWithSHA256) {
				return otherwise(hello)
			}
			return &rsaCertificate, nil
		}}
	}
	closes := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, hello.Conn.Close() }
	failsToLoad := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return nil, errors.New("cannot read the key file")
	}
	signsWithOther := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: ecdsaCertificate.Certificate, PrivateKey: &mismatchedKey{p256, otherKey}}, nil
	}
	ecdsaAndRSA := []tls.Certificate{ecdsaCertificate, rsaCertificate}
	rsaAndECDSA := []tls.Certificate{rsaCertificate, p384Certificate}

	for _, c := range []struct {
		name     string
		server   *tls.Config // nil: the server answers the ClientHello with cleartext
		want     []string    // for each endpoint: key type and version, "" if skipped, or "failed"
		reasons  []dane.Reason
		connects int32
		explains int32 // further connections that explain a failure
	}{
		{"ECDSA and RSA, TLS 1.3", limitedTo(tls.VersionTLS13, ecdsaAndRSA...), []string{"ecdsa TLS 1.3", "rsa TLS 1.3"}, nil, 2, 0},
		{"ECDSA and RSA, TLS 1.2", limitedTo(tls.VersionTLS12, ecdsaAndRSA...), []string{"ecdsa TLS 1.2", "rsa TLS 1.2"}, nil, 2, 0},
		{"RSA and ECDSA, TLS 1.3", limitedTo(tls.VersionTLS13, rsaAndECDSA...), []string{"ecdsa TLS 1.3", "rsa TLS 1.3"}, nil, 2, 0},
		{"RSA and ECDSA, TLS 1.2", limitedTo(tls.VersionTLS12, rsaAndECDSA...), []string{"ecdsa TLS 1.2", "rsa TLS 1.2"}, nil, 2, 0},
		{"ECDSA and RSA, TLS 1.0", limitedTo(tls.VersionTLS10, ecdsaAndRSA...), []string{"ecdsa TLS 1.0", "rsa TLS 1.0"}, []dane.Reason{dane.TLSObsolete}, 2, 0},
		{"ECDSA only", limitedTo(tls.VersionTLS13, ecdsaCertificate), []string{"ecdsa TLS 1.3", ""}, nil, 2, 0},
		{"RSA only", limitedTo(tls.VersionTLS12, rsaCertificate), []string{"", "rsa TLS 1.2"}, nil, 2, 0},
		{"RSA only, with RSA key exchange", configured(func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA} },
			limitedTo(tls.VersionTLS12, rsaCertificate)), []string{"", "rsa TLS 1.2"}, nil, 2, 0},
		{"curve without a key share", configured(func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} },
			limitedTo(tls.VersionTLS13, ecdsaAndRSA...)), []string{"ecdsa TLS 1.3", "rsa TLS 1.3"}, nil, 2, 0},
		{"Ed25519 only: a third handshake makes the full offer of senders", limitedTo(tls.VersionTLS13, edCertificate), []string{"ed25519 TLS 1.3", ""}, nil, 3, 0},
		{"RSA only, closes the connection on other offers", rsaOr(closes), []string{"", "rsa TLS 1.3"}, nil, 2, 1},
		{"ECDSA key that the server cannot load", rsaOr(failsToLoad), []string{"failed", "rsa TLS 1.3"}, []dane.Reason{dane.TLSHandshakeFailed}, 2, 0},
		{"ECDSA key of another certificate", rsaOr(signsWithOther), []string{"failed", "rsa TLS 1.3"}, []dane.Reason{dane.TLSHandshakeFailed}, 2, 0},
		{"closes the connection on every offer", &tls.Config{GetCertificate: closes}, []string{"failed", "failed"}, []dane.Reason{dane.TLSHandshakeFailed}, 3, 4},
		{"no key", limitedTo(tls.VersionTLS13), []string{"failed", "failed"}, []dane.Reason{dane.TLSHandshakeFailed}, 2, 0},
		{"not TLS", nil, []string{"failed", "failed"}, []dane.Reason{dane.TLSHandshakeFailed}, 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			serving := make(chan struct{})
			go func() {
				defer close(serving)
				serveKeys(listener, c.server)
			}()
			t.Cleanup(func() { listener.Close(); <-serving })
			var open, connects atomic.Int32
			dial := func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
				connects.Add(1)
				if open.Add(1) > 1 {
					t.Error("two connections at the same time")
				}
				conn, err := new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
				return &countedConn{conn, &open}, err
			}
			n := newInternet(t, "www A 192.0.2.1\n")
			prober := newProber(n, n.Anchors(), dial, "192.0.2.0/24")
			module := Module{Protocol: "tls", Discover: DiscoverNone, Policy: dane.Client, Port: 443, Timeout: 20 * time.Second,
				Require: dane.RequireIfPublished, IPProtocol: IP4, KeyTypes: dane.KeyTypes()}
			report := prober.Probe(t.Context(), Target{Name: "www.example.org"}, module)
			var got []string
			for _, e := range report.Verdict.Services[0].Endpoints {
				switch {
				case e.Skipped:
					got = append(got, "")
				case e.Facts.Reached < dane.StageTLS:
					got = append(got, "failed")
				default:
					got = append(got, string(e.Facts.KeyType)+" "+tls.VersionName(e.Facts.TLSVersion))
					if shown := keyTypeOf(e.Facts.Chain); shown != e.Facts.KeyType {
						t.Errorf("offered %s only, received %s", e.Facts.KeyType, shown)
					}
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
				for _, e := range report.Facts.Hosts[0].Services[0].Endpoints {
					t.Log(e.KeyType, e.Err)
				}
			}
			reasons := slices.DeleteFunc(reasonsOf(report.Verdict), func(r dane.Reason) bool { return r == dane.NoTLSA })
			if !slices.Equal(reasons, c.reasons) {
				t.Errorf("reasons %v, want %v", reasons, c.reasons)
			}
			handshakes := int32(0)
			for _, e := range report.Facts.Hosts[0].Services[0].Endpoints {
				for other := &e; other != nil; other = other.Other {
					handshakes++
				}
			}
			if connects.Load() != c.connects+c.explains || handshakes != c.connects {
				t.Errorf("%d connections, %d handshakes in the facts, want %d and %d that explain a failure", connects.Load(), handshakes, c.connects, c.explains)
			}
		})
	}
}

// mismatchedKey signs with another key than its public one.
type mismatchedKey struct{ public, private crypto.Signer }

func (k *mismatchedKey) Public() crypto.PublicKey { return k.public.Public() }

func (k *mismatchedKey) Sign(random io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	return k.private.Sign(random, digest, options)
}

// serveKeys serves TLS, one connection after the other. If config is nil, it sends
// cleartext.
func serveKeys(listener net.Listener, config *tls.Config) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if config == nil {
			conn.Read(make([]byte, 1024))
			fmt.Fprint(conn, "421 not TLS\r\n")
		} else if session := tls.Server(conn, config); session.Handshake() == nil {
			io.Copy(io.Discard, session)
		}
		conn.Close()
	}
}

// countedConn is a connection that is counted while it is open.
type countedConn struct {
	net.Conn
	open *atomic.Int32
}

func (c *countedConn) Close() error {
	if c.open != nil {
		c.open.Add(-1)
		c.open = nil
	}
	return c.Conn.Close()
}

// A failure before TLS does not depend on the key, so it is not tried again for the
// next key type.
func TestKeyTypesWithoutConnection(t *testing.T) {
	n := newInternet(t, "@ MX 10 mx\nmx A 192.0.2.25\n"+anyRecord)
	var connects atomic.Int32
	prober := newProber(n, n.Anchors(), func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
		connects.Add(1)
		return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("connection refused")}
	}, "192.0.2.0/24")
	module := mailModule(10 * time.Second)
	module.KeyTypes = dane.KeyTypes()
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, module)
	endpoints := report.Facts.Hosts[0].Services[0].Endpoints
	if connects.Load() != 1 || len(endpoints) != 2 || endpoints[0].Copied || endpoints[1].KeyType != dane.RSA || !endpoints[1].Copied || endpoints[1].Err == nil {
		t.Errorf("%d connections, endpoints %+v", connects.Load(), endpoints)
	}
	if report.Verdict.Outcome != dane.Unreachable || len(report.Verdict.Findings) != 1 {
		t.Errorf("%s: %v", report.Verdict.Outcome, report.Verdict.Findings)
	}
}

// On a machine without IPv6, IPv6 endpoints are skipped, unless the module requires
// IPv6.
func TestWithoutIPv6(t *testing.T) {
	const both = "@ MX 10 mx\nmx A 192.0.2.25\nmx AAAA 2001:db8::25\n"
	for _, c := range []struct {
		name, records string
		protocol      IPProtocol
		want          dane.Outcome
		success       bool
		reasons       []dane.Reason
		skipped       int
	}{
		{"IPv4 and IPv6", both, IPAuto, dane.Opportunistic, true, []dane.Reason{dane.IPv6Unavailable, dane.NoTLSA, dane.StartTLSNotOffered}, 1},
		{"IPv4 and IPv6, ip4", both, IP4, dane.Opportunistic, true, []dane.Reason{dane.NoTLSA, dane.StartTLSNotOffered}, 0},
		{"IPv4 and IPv6, ip6", both, IP6, dane.Unknown, false, []dane.Reason{dane.IPv6Unavailable, dane.NoTLSA}, 0},
		{"second host with IPv6 only", both + "@ MX 20 mx2\nmx2 AAAA 2001:db8::26\n", IPAuto, dane.Opportunistic, true, []dane.Reason{dane.IPv6Unavailable, dane.NoTLSA, dane.StartTLSNotOffered}, 2},
		{"only host with IPv6 only", "@ MX 10 mx\nmx AAAA 2001:db8::25\n", IPAuto, dane.Unknown, false, []dane.Reason{dane.IPv6Unavailable, dane.NoTLSA}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newInternet(t, c.records)
			dial := func(_ context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
				if to.Addr().Is6() {
					return nil, ErrNoIPv6
				}
				near, far := net.Pipe()
				go func() {
					defer far.Close()
					lines := make([]byte, 256)
					io.WriteString(far, "220 mx\r\n")
					far.Read(lines)
					io.WriteString(far, "250 mx\r\n")
					far.Read(lines)
				}()
				return near, nil
			}
			module := mailModule(10 * time.Second)
			module.IPProtocol, module.Require = c.protocol, dane.RequireIfPublished
			report := newProber(n, n.Anchors(), dial, "192.0.2.0/24", "2001:db8::/32").Probe(t.Context(), Target{Name: "example.org"}, module)
			v := report.Verdict
			if v.Outcome != c.want || v.Success != c.success || !slices.Equal(reasonsOf(v), c.reasons) {
				t.Errorf("got %s, success %t, %v; want %s, %t, %v", v.Outcome, v.Success, v.Findings, c.want, c.success, c.reasons)
			}
			skipped := 0
			for _, service := range v.Services {
				for _, e := range service.Endpoints {
					if e.Skipped {
						skipped++
					}
				}
			}
			if skipped != c.skipped {
				t.Errorf("%d endpoints were skipped, want %d", skipped, c.skipped)
			}
		})
	}
}

// On a machine without a route to IPv4 addresses, their endpoints are not judged.
func TestWithoutIPv4(t *testing.T) {
	for _, c := range []struct {
		name, records string
		protocol      IPProtocol
		want          dane.Outcome
		reasons       []dane.Reason
	}{
		{"IPv4 only", "@ MX 10 mx\nmx A 192.0.2.25\n", IPAuto, dane.Unknown, []dane.Reason{dane.InternalError, dane.NoTLSA}},
		{"IPv4 and IPv6", "@ MX 10 mx\nmx A 192.0.2.25\nmx AAAA 2001:db8::25\n", IPAuto, dane.Unreachable, []dane.Reason{dane.ConnectFailed, dane.InternalError, dane.NoTLSA}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newInternet(t, c.records)
			dial := func(_ context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
				if to.Addr().Is4() {
					return nil, fmt.Errorf("%w: %w", ErrNoRoute, syscall.ENETUNREACH)
				}
				return nil, syscall.ECONNREFUSED
			}
			module := mailModule(10 * time.Second)
			module.IPProtocol = c.protocol
			v := newProber(n, n.Anchors(), dial, "192.0.2.0/24", "2001:db8::/32").Probe(t.Context(), Target{Name: "example.org"}, module).Verdict
			if v.Outcome != c.want || v.Success || !slices.Equal(reasonsOf(v), c.reasons) {
				t.Errorf("got %s, success %t, %v; want %s and %v", v.Outcome, v.Success, v.Findings, c.want, c.reasons)
			}
		})
	}
}

// A connection has the source address of the module in its own family.
func TestSourceAddresses(t *testing.T) {
	n := newInternet(t, "@ MX 10 mx\nmx A 192.0.2.25\nmx AAAA 2001:db8::25\n"+anyRecord)
	connections := make(chan string, 2)
	dial := func(_ context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
		connections <- from.String() + " to " + to.String()
		return nil, errors.New("closed")
	}
	module := mailModule(10 * time.Second)
	module.SourceAddresses = []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7")}
	newProber(n, n.Anchors(), dial, "192.0.2.0/24", "2001:db8::/32").Probe(t.Context(), Target{Name: "example.org"}, module)
	got := []string{<-connections, <-connections}
	slices.Sort(got)
	if want := []string{"198.51.100.7 to 192.0.2.25:25", "2001:db8::7 to [2001:db8::25]:25"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
