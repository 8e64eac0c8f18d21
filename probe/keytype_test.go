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
	"dane_exporter/probe/dane"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// keyed makes a certificate of a key.
func keyed(t *testing.T, key crypto.Signer, err error) tls.Certificate {
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

// Each server is asked for an ECDSA and an RSA key, and shows what it has.
func TestKeyTypes(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ecdsaCertificate := keyed(t, p256, err)
	otherKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	strongCertificate := keyed(t, p384, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	rsaCertificate := keyed(t, rsaKey, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	edCertificate := keyed(t, edKey, err)
	only := func(version uint16, certificates ...tls.Certificate) *tls.Config {
		return &tls.Config{MinVersion: version, MaxVersion: version, Certificates: certificates}
	}
	with := func(change func(*tls.Config), config *tls.Config) *tls.Config { change(config); return config }
	// Beside an RSA key, something that goes wrong where ECDSA alone is offered.
	without := func(wrong func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
		return &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if !slices.Contains(hello.SignatureSchemes, tls.PSSWithSHA256) {
				return wrong(hello)
			}
			return &rsaCertificate, nil
		}}
	}
	hangsUp := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, hello.Conn.Close() }
	breaks := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("a key file is gone") }
	missigns := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: ecdsaCertificate.Certificate, PrivateKey: &another{p256, otherKey}}, nil
	}
	both := []tls.Certificate{ecdsaCertificate, rsaCertificate}
	swapped := []tls.Certificate{rsaCertificate, strongCertificate}

	for _, story := range []struct {
		name     string
		server   *tls.Config // nil: it answers the ClientHello with rubbish
		want     []string    // key type and version of each endpoint; empty: skipped; "failed"
		reasons  []dane.Reason
		connects int32
	}{
		{"both, TLS 1.3 only", only(tls.VersionTLS13, both...), []string{"ecdsa TLS 1.3", "rsa TLS 1.3"}, nil, 2},
		{"both, TLS 1.2 only", only(tls.VersionTLS12, both...), []string{"ecdsa TLS 1.2", "rsa TLS 1.2"}, nil, 2},
		{"both, the other first, TLS 1.3 only", only(tls.VersionTLS13, swapped...), []string{"ecdsa TLS 1.3", "rsa TLS 1.3"}, nil, 2},
		{"both, the other first, TLS 1.2 only", only(tls.VersionTLS12, swapped...), []string{"ecdsa TLS 1.2", "rsa TLS 1.2"}, nil, 2},
		{"both, TLS 1.0 only", only(tls.VersionTLS10, both...), []string{"ecdsa TLS 1.0", "rsa TLS 1.0"}, nil, 2},
		{"ECDSA alone", only(tls.VersionTLS13, ecdsaCertificate), []string{"ecdsa TLS 1.3", ""}, nil, 2},
		{"RSA alone", only(tls.VersionTLS12, rsaCertificate), []string{"", "rsa TLS 1.2"}, nil, 2},
		{"RSA alone, by key exchange with RSA", with(func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA} },
			only(tls.VersionTLS12, rsaCertificate)), []string{"", "rsa TLS 1.2"}, nil, 2},
		{"a curve that no key share is for", with(func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} },
			only(tls.VersionTLS13, both...)), []string{"ecdsa TLS 1.3", "rsa TLS 1.3"}, nil, 2},
		{"a key of another type: it is met as senders meet it", only(tls.VersionTLS13, edCertificate), []string{"ed25519 TLS 1.3", ""}, nil, 3},
		{"RSA alone, and it hangs up on others", without(hangsUp), []string{"", "rsa TLS 1.3"}, nil, 2},
		{"an ECDSA key that it has and cannot load", without(breaks), []string{"failed", "rsa TLS 1.3"}, []dane.Reason{dane.TLSHandshakeFailed}, 2},
		{"an ECDSA key that is not the certificate's", without(missigns), []string{"failed", "rsa TLS 1.3"}, []dane.Reason{dane.TLSHandshakeFailed}, 2},
		{"it hangs up on everybody", &tls.Config{GetCertificate: hangsUp}, []string{"failed", "failed"}, []dane.Reason{dane.TLSHandshakeFailed}, 3},
		{"no key at all", only(tls.VersionTLS13), []string{"failed", "failed"}, []dane.Reason{dane.TLSHandshakeFailed}, 2},
		{"something that is no TLS", nil, []string{"failed", "failed"}, []dane.Reason{dane.TLSHandshakeFailed}, 2},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			serving := make(chan struct{})
			go func() {
				defer close(serving)
				serveKeys(listener, story.server)
			}()
			t.Cleanup(func() { listener.Close(); <-serving })
			var open, connects atomic.Int32
			dial := func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
				connects.Add(1)
				if open.Add(1) > 1 {
					t.Error("two connections at once")
				}
				conn, err := new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
				return &counted{conn, &open}, err
			}
			n := internet(t, "www A 192.0.2.1\n")
			prober := proberOf(n, n.Anchors(), dial, "192.0.2.0/24")
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
						t.Errorf("asked for %s, was shown %s", e.Facts.KeyType, shown)
					}
				}
			}
			if !slices.Equal(got, story.want) {
				t.Errorf("got %q, want %q", got, story.want)
				for _, e := range report.Facts.Hosts[0].Services[0].Endpoints {
					t.Log(e.KeyType, e.Err)
				}
			}
			reasons := slices.DeleteFunc(reasonsOf(report.Verdict), func(r dane.Reason) bool { return r == dane.NoTLSA })
			if !slices.Equal(reasons, story.reasons) {
				t.Errorf("reasons %v, want %v", reasons, story.reasons)
			}
			told := int32(0)
			for _, e := range report.Facts.Hosts[0].Services[0].Endpoints {
				for met := &e; met != nil; met = met.Other {
					told++
				}
			}
			if connects.Load() != story.connects || told != story.connects {
				t.Errorf("%d connections, of which the facts tell %d, want %d", connects.Load(), told, story.connects)
			}
		})
	}
}

// another is a key that signs with another than the one it shows.
type another struct{ shown, signs crypto.Signer }

func (a *another) Public() crypto.PublicKey { return a.shown.Public() }

func (a *another) Sign(random io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	return a.signs.Sign(random, digest, options)
}

// serveKeys serves TLS, one connection after another; config nil: rubbish.
func serveKeys(listener net.Listener, config *tls.Config) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if config == nil {
			conn.Read(make([]byte, 1024))
			fmt.Fprint(conn, "421 what is this?\r\n")
		} else if secured := tls.Server(conn, config); secured.Handshake() == nil {
			io.Copy(io.Discard, secured)
		}
		conn.Close()
	}
}

// counted is a connection that is counted while it is open.
type counted struct {
	net.Conn
	open *atomic.Int32
}

func (c *counted) Close() error {
	if c.open != nil {
		c.open.Add(-1)
		c.open = nil
	}
	return c.Conn.Close()
}

// What fails before TLS is nobody's key: it is not tried again for the other.
func TestKeyTypesNeedAConnection(t *testing.T) {
	n := internet(t, "@ MX 10 mx\nmx A 192.0.2.25\n"+anyRecord)
	var connects atomic.Int32
	prober := proberOf(n, n.Anchors(), func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
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
