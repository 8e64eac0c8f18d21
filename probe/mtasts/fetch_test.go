package mtasts

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"dane_exporter/internal/lab/server"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// policyHost is a server that sends one response to any request, and passes the
// request on.
type policyHost struct {
	config   *tls.Config
	response string
	holdOpen bool // does not close the connection after the response
	requests chan *http.Request
}

func (p policyHost) Serve(_ context.Context, conn net.Conn) {
	secured := tls.Server(conn, p.config)
	if secured.Handshake() != nil {
		return
	}
	request, err := http.ReadRequest(bufio.NewReader(secured))
	if err != nil {
		return
	}
	p.requests <- request
	io.WriteString(secured, p.response)
	if p.holdOpen {
		secured.Read(make([]byte, 1)) // until the client closes the connection
	}
	secured.Close()
}

// ca issues the certificates of the tests.
type ca struct {
	*server.Authority
	roots *x509.CertPool
}

func newCA(t *testing.T) ca {
	t.Helper()
	root, err := server.NewRoot("Root", noon)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root.X509())
	return ca{root, roots}
}

func (c ca) serverConfig(t *testing.T, leaf server.Leaf) *tls.Config {
	t.Helper()
	certificate, err := c.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return server.TLSConfig(certificate.Chain())
}

// fetch starts a server and fetches the policy of example.org from it.
func fetch(t *testing.T, roots *x509.CertPool, handler server.Handler) (Fetched, error) {
	t.Helper()
	s, err := server.Start(handler)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	fetcher := Fetcher{
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			if to != netip.MustParseAddrPort("192.0.2.80:443") {
				t.Errorf("connects to %s", to)
			}
			return new(net.Dialer).DialContext(ctx, "tcp", s.Addr().String())
		},
		Roots: roots, Now: func() time.Time { return noon },
	}
	return fetcher.Fetch(ctx, "example.org", netip.MustParseAddrPort("192.0.2.80:443"))
}

// isType reports whether err is or wraps an E.
func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// plain is the head of a response, without the empty line.
const plain = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

func TestFetch(t *testing.T) {
	authority := newCA(t)
	good := authority.serverConfig(t, server.Leaf{Names: []string{"mta-sts.example.org"}})
	sized := func(n int) string {
		return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", plain, n, strings.Repeat("x", n))
	}
	for _, test := range []struct {
		name, response string
		size           int              // of the policy in bytes
		err            string           // substring of the error; empty: none
		is             func(error) bool // checks the type of the error; nil: not checked
	}{
		{"a policy", plain + "\r\nversion: STSv1\r\n", 16, "", nil},
		{"parameters are ignored", "HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=iso-8859-1\r\n\r\nx", 1, "", nil},
		{"malformed parameters are ignored", "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset\r\n\r\nx", 1, "", nil},
		{"in chunks", plain + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 3, "", nil},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nx", 1, "", nil},
		{"the largest policy", sized(maxBody), maxBody, "", nil},

		{"one byte too large", sized(maxBody + 1), 0, "the policy is larger than 65536 bytes", nil},
		{"a body shorter than Content-Length", plain + "Content-Length: 10\r\n\r\nx", 0, "reading the response: unexpected EOF", nil},
		{"not found", "HTTP/1.1 404 Not Found\r\n\r\n", 0, "the HTTP status is 404 Not Found", isType[*StatusError]},
		{"no content", "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n\r\n", 0, "the HTTP status is 204 No Content", isType[*StatusError]},
		{"an unknown status", "HTTP/1.1 799 \x1b[2J\r\n\r\n", 0, "the HTTP status is 799", isType[*StatusError]},
		{"a redirect", "HTTP/1.1 302 Found\r\nLocation: https://example.org/\r\n\r\n", 0, `the HTTP status is 302 Found, a redirect to "https://example.org/"; senders do not follow redirects`, isType[*StatusError]},
		{"the first status of redirects", "HTTP/1.1 300 Multiple Choices\r\n\r\n", 0, `300 Multiple Choices, a redirect to ""`, isType[*StatusError]},
		{"the first status behind redirects", "HTTP/1.1 400 Bad Request\r\nLocation: https://example.org/\r\n\r\n", 0, "at 192.0.2.80:443: the HTTP status is 400 Bad Request$", isType[*StatusError]},
		{"a web page", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nx", 0, `the media type is "text/html", expected text/plain`, isType[*MediaTypeError]},
		{"a type of which text/plain is a prefix", "HTTP/1.1 200 OK\r\nContent-Type: text/plainer\r\n\r\nx", 0, "expected text/plain", isType[*MediaTypeError]},
		{"no type", "HTTP/1.1 200 OK\r\n\r\nx", 0, `the media type is ""`, isType[*MediaTypeError]},
		{"another protocol", "220 mx.example.org ESMTP\r\n", 0, "malformed HTTP", nil},
		{"no response", "", 0, "EOF", nil},
		{"endless headers", plain + strings.Repeat("X: y\r\n", 100_000), 0, "exceeded", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			requests := make(chan *http.Request, 1)
			fetched, err := fetch(t, authority.roots, policyHost{config: good, response: test.response, requests: requests})
			check(t, err, test.err)
			if test.is != nil && !test.is(err) {
				t.Errorf("error %#v", err)
			}
			if len(fetched.Text) != test.size {
				t.Errorf("%d bytes, want %d", len(fetched.Text), test.size)
			}
			if fetched.Certificate == nil || fetched.Certificate.DNSNames[0] != "mta-sts.example.org" {
				t.Errorf("certificate %v", fetched.Certificate)
			}
			if len(requests) == 0 {
				t.Fatal("the server received no request")
			}
			if r := <-requests; r.Method != "GET" || r.Host != "mta-sts.example.org" || r.RequestURI != "/.well-known/mta-sts.txt" || !r.Close || r.Header.Get("Accept-Encoding") != "" {
				t.Errorf("request %s %s%s, close %t, %v", r.Method, r.Host, r.RequestURI, r.Close, r.Header)
			}
		})
	}
}

// The certificate of the policy host authenticates the policy.
func TestFetchVerifiesCertificate(t *testing.T) {
	authority, other := newCA(t), newCA(t)
	old := authority.serverConfig(t, server.Leaf{Names: []string{"mta-sts.example.org"}})
	old.MinVersion, old.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	for _, test := range []struct {
		name   string
		config *tls.Config
		err    string
		sent   bool // the certificate is returned
	}{
		{"for another name", authority.serverConfig(t, server.Leaf{Names: []string{"example.org"}}), "not mta-sts.example.org", true},
		{"for a wildcard", authority.serverConfig(t, server.Leaf{Names: []string{"*.example.org"}}), "", true},
		{"for the name as common name only", authority.serverConfig(t, server.Leaf{CommonName: "mta-sts.example.org"}), "legacy Common Name", true},
		{"expired", authority.serverConfig(t, server.Leaf{Names: []string{"mta-sts.example.org"}, NotAfter: noon.Add(-time.Hour)}), "expired", true},
		{"from an unknown CA", other.serverConfig(t, server.Leaf{Names: []string{"mta-sts.example.org"}}), "unknown authority", true},
		{"TLS 1.1", old, "protocol version", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			fetched, err := fetch(t, authority.roots, policyHost{config: test.config, response: plain + "\r\nx", requests: make(chan *http.Request, 1)})
			check(t, err, test.err)
			if (fetched.Certificate != nil) != test.sent || (fetched.Text != nil) != (err == nil) {
				t.Errorf("certificate %v, text %q", fetched.Certificate, fetched.Text)
			}
		})
	}
}

// Without roots nothing is fetched: the roots of the system are not used.
func TestFetchWithoutRoots(t *testing.T) {
	fetcher := Fetcher{Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
		t.Error("unexpected connection")
		return nil, errors.New("not reached")
	}}
	if _, err := fetcher.Fetch(t.Context(), "example.org", netip.AddrPort{}); !errors.Is(err, ErrNoRoots) {
		t.Errorf("error %v", err)
	}
}

func TestFetchDialError(t *testing.T) {
	fetcher := Fetcher{Roots: x509.NewCertPool(), Now: time.Now, Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
		return nil, syscall.ECONNREFUSED
	}}
	_, err := fetcher.Fetch(t.Context(), "example.org", netip.MustParseAddrPort("192.0.2.80:443"))
	if _, ok := errors.AsType[*DialError](err); !ok || !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(err.Error(), "connecting to 192.0.2.80:443: ") {
		t.Errorf("error %v", err)
	}
}

// If the policy host stops sending, the fetch ends with its context and leaves no
// goroutine. The proxy of the environment is not used.
func TestFetchEnds(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	authority := newCA(t)
	good := authority.serverConfig(t, server.Leaf{Names: []string{"mta-sts.example.org"}})
	for _, test := range []struct{ name, response string }{
		{"before the response", ""},
		{"in the headers", plain},
		{"in the body", plain + "\r\nversion: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			requests := make(chan *http.Request, 1)
			s, err := server.Start(policyHost{config: good, response: test.response, holdOpen: true, requests: requests})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-requests; cancel() }()
			fetcher := Fetcher{Roots: authority.roots, Now: func() time.Time { return noon }, Dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", s.Addr().String())
			}}
			if _, err := fetcher.Fetch(ctx, "example.org", netip.MustParseAddrPort("192.0.2.80:443")); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			s.Close()
			for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
				if time.Now().After(end) {
					t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
				}
			}
		})
	}
}
