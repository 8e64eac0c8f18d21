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

// page is a policy host that gives one answer, whatever is asked, and keeps
// what was asked.
type page struct {
	config *tls.Config
	answer string
	hold   bool // never ends
	asked  chan *http.Request
}

func (p page) Serve(_ context.Context, conn net.Conn) {
	secured := tls.Server(conn, p.config)
	if secured.Handshake() != nil {
		return
	}
	request, err := http.ReadRequest(bufio.NewReader(secured))
	if err != nil {
		return
	}
	p.asked <- request
	io.WriteString(secured, p.answer)
	if p.hold {
		secured.Read(make([]byte, 1)) // until the client goes
	}
	secured.Close()
}

// ca issues the certificates of these stories.
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

func (c ca) shows(t *testing.T, leaf server.Leaf) *tls.Config {
	t.Helper()
	certificate, err := c.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return server.TLSConfig(certificate.Chain())
}

// fetch starts a server and asks it for the policy of example.org.
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

const plain = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

func TestFetch(t *testing.T) {
	authority := newCA(t)
	good := authority.shows(t, server.Leaf{Names: []string{"mta-sts.example.org"}})
	sized := func(n int) string {
		return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", plain, n, strings.Repeat("x", n))
	}
	for _, story := range []struct {
		name, answer string
		size         int    // of what is fetched
		err          string // empty: none
		as           any    // the type of the error
	}{
		{"a policy", plain + "\r\nversion: STSv1\r\n", 16, "", nil},
		{"parameters do not matter", "HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=iso-8859-1\r\n\r\nx", 1, "", nil},
		{"wrong parameters neither", "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset\r\n\r\nx", 1, "", nil},
		{"in chunks", plain + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 3, "", nil},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nx", 1, "", nil},
		{"the largest", sized(maxBody), maxBody, "", nil},

		{"a byte too large", sized(maxBody + 1), 0, "the answer is larger than 65536 bytes", nil},
		{"a promise of more", plain + "Content-Length: 10\r\n\r\nx", 0, "reading the answer: unexpected EOF", nil},
		{"not found", "HTTP/1.1 404 Not Found\r\n\r\n", 0, "the answer is 404 Not Found", new(*StatusError)},
		{"no content", "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n\r\n", 0, "the answer is 204 No Content", new(*StatusError)},
		{"a status that nobody knows", "HTTP/1.1 799 \x1b[2J\r\n\r\n", 0, "the answer is 799", new(*StatusError)},
		{"a redirect", "HTTP/1.1 302 Found\r\nLocation: https://example.org/\r\n\r\n", 0, `the answer is 302 Found to "https://example.org/", and redirects are not followed`, new(*StatusError)},
		{"a web page", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nx", 0, `the media type is "text/html", and should be text/plain`, new(*MediaTypeError)},
		{"a type that only begins so", "HTTP/1.1 200 OK\r\nContent-Type: text/plainer\r\n\r\nx", 0, "should be text/plain", new(*MediaTypeError)},
		{"no type", "HTTP/1.1 200 OK\r\n\r\nx", 0, `the media type is ""`, new(*MediaTypeError)},
		{"no HTTP", "220 mx.example.org ESMTP\r\n", 0, "malformed HTTP", nil},
		{"nothing", "", 0, "EOF", nil},
		{"headers without end", plain + strings.Repeat("X: y\r\n", 100_000), 0, "exceeded", nil},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan *http.Request, 1)
			fetched, err := fetch(t, authority.roots, page{config: good, answer: story.answer, asked: asked})
			check(t, err, story.err)
			if story.as != nil && !errors.As(err, story.as) {
				t.Errorf("error %#v", err)
			}
			if len(fetched.Text) != story.size {
				t.Errorf("%d bytes, want %d", len(fetched.Text), story.size)
			}
			if fetched.Certificate == nil || fetched.Certificate.DNSNames[0] != "mta-sts.example.org" {
				t.Errorf("certificate %v", fetched.Certificate)
			}
			if r := <-asked; r.Method != "GET" || r.Host != "mta-sts.example.org" || r.RequestURI != "/.well-known/mta-sts.txt" || !r.Close || r.Header.Get("Accept-Encoding") != "" {
				t.Errorf("asked %s %s%s, close %t, %v", r.Method, r.Host, r.RequestURI, r.Close, r.Header)
			}
		})
	}
}

// What the policy is worth hangs on the certificate.
func TestFetchTrustsTheWebPKIAlone(t *testing.T) {
	authority, stranger := newCA(t), newCA(t)
	old := authority.shows(t, server.Leaf{Names: []string{"mta-sts.example.org"}})
	old.MinVersion, old.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	for _, story := range []struct {
		name   string
		config *tls.Config
		err    string
		shown  bool // the certificate is known all the same
	}{
		{"for another name", authority.shows(t, server.Leaf{Names: []string{"example.org"}}), "not mta-sts.example.org", true},
		{"for the name by a wildcard", authority.shows(t, server.Leaf{Names: []string{"*.example.org"}}), "", true},
		{"for the name as common name alone", authority.shows(t, server.Leaf{CommonName: "mta-sts.example.org"}), "legacy Common Name", true},
		{"ended", authority.shows(t, server.Leaf{Names: []string{"mta-sts.example.org"}, NotAfter: noon.Add(-time.Hour)}), "expired", true},
		{"from a stranger", stranger.shows(t, server.Leaf{Names: []string{"mta-sts.example.org"}}), "unknown authority", true},
		{"TLS 1.1", old, "protocol version", false},
	} {
		t.Run(story.name, func(t *testing.T) {
			fetched, err := fetch(t, authority.roots, page{config: story.config, answer: plain + "\r\nx", asked: make(chan *http.Request, 1)})
			check(t, err, story.err)
			if (fetched.Certificate != nil) != story.shown || (fetched.Text != nil) != (err == nil) {
				t.Errorf("certificate %v, text %q", fetched.Certificate, fetched.Text)
			}
		})
	}
}

// Without roots nothing is fetched, not even by those of this machine.
func TestFetchWithoutRoots(t *testing.T) {
	fetcher := Fetcher{Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
		t.Error("a connection was tried")
		return nil, errors.New("not in this story")
	}}
	if _, err := fetcher.Fetch(t.Context(), "example.org", netip.AddrPort{}); !errors.Is(err, ErrNoRoots) {
		t.Errorf("error %v", err)
	}
}

func TestFetchWhereNobodyListens(t *testing.T) {
	fetcher := Fetcher{Roots: x509.NewCertPool(), Now: time.Now, Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
		return nil, syscall.ECONNREFUSED
	}}
	_, err := fetcher.Fetch(t.Context(), "example.org", netip.MustParseAddrPort("192.0.2.80:443"))
	var dial *DialError
	if !errors.As(err, &dial) || !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(err.Error(), "connecting to 192.0.2.80:443: ") {
		t.Errorf("error %v", err)
	}
}

// However a policy host keeps silent, the end of the context is the end, and
// nothing is left behind. Neither is a proxy of the environment asked.
func TestFetchEnds(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	authority := newCA(t)
	good := authority.shows(t, server.Leaf{Names: []string{"mta-sts.example.org"}})
	for _, story := range []struct{ name, answer string }{
		{"before the answer", ""},
		{"in the headers", plain},
		{"in the body", plain + "\r\nversion: "},
	} {
		t.Run(story.name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			asked := make(chan *http.Request, 1)
			s, err := server.Start(page{config: good, answer: story.answer, hold: true, asked: asked})
			if err != nil {
				t.Fatal(err)
			}
			ctx, leave := context.WithCancel(t.Context())
			go func() { <-asked; leave() }()
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
