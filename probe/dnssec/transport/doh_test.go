package transport_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec/transport"
)

// dohServer is a resolver over HTTPS with a certificate for dns.example.net. Each
// connection has a number of concurrent streams.
type dohServer struct {
	*httptest.Server
	counted *countingListener
	issuer  *authority
}

func newDoHServer(t *testing.T, streams int, handler http.HandlerFunc) *dohServer {
	t.Helper()
	s := &dohServer{Server: httptest.NewUnstartedServer(handler), issuer: newAuthority(t)}
	s.counted = &countingListener{Listener: s.Listener}
	s.Listener, s.EnableHTTP2 = s.counted, streams > 0
	s.TLS = &tls.Config{Certificates: []tls.Certificate{s.issuer.issue(t, func(*x509.Certificate) {})}}
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// transport returns a transport to the server, as the resolver with an address and a suffix.
func (s *dohServer) transport(t *testing.T, address, suffix string, o transport.Options) *transport.Transport {
	t.Helper()
	o.Roots = s.issuer.pool()
	tr, err := transport.New([]string{"https://" + address + suffix}, o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

const dnsQuery = "/dns-query#dns.example.net"

// serveDoH answers queries after changes.
func serveDoH(changes ...func(*dns.Msg)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/dns-message")
		w.Write(response(receiveDoH(r), changes...))
	}
}

// receiveDoH returns the query of a request.
func receiveDoH(r *http.Request) *dns.Msg {
	body, err := io.ReadAll(r.Body)
	q := new(dns.Msg)
	if err != nil || q.Unpack(body) != nil || r.Method != http.MethodPost || r.ProtoMajor != 2 || r.URL.RequestURI() != "/dns-query" {
		panic(fmt.Sprintf("%s %s %s, %v", r.Proto, r.Method, r.URL, err))
	}
	return q
}

// TestDoHRequest checks what a server receives, and that cookies are not sent back.
func TestDoHRequest(t *testing.T) {
	var mutex sync.Mutex
	var headers []string
	s := newDoHServer(t, 100, func(w http.ResponseWriter, r *http.Request) {
		q := receiveDoH(r)
		mutex.Lock()
		headers = append(headers, fmt.Sprint(r.Host, " ", q.Id, " ", q.Question[0].Name, " ", q.IsEdns0().Do(), " ", r.Header))
		mutex.Unlock()
		w.Header().Set("Set-Cookie", "id=1; Path=/")
		w.Header().Set("Content-Type", "application/dns-message; charset=utf-8")
		w.Header().Set("Age", "59")
		w.Write(response(q))
	})
	address := s.counted.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	var seen events
	tr := s.transport(t, address, dnsQuery, transport.Options{Timeout: longTimeout, Observe: seen.observe})
	for range 2 {
		answer, from, err := tr.Exchange(t.Context(), query())
		if err != nil || from != "https://"+address+dnsQuery || from != tr.Servers()[0] {
			t.Fatalf("got %v from %q, %v", answer, from, err)
		}
		if ttl := answer.Answer[0].Header().Ttl; ttl != 1 {
			t.Errorf("TTL %d, want 60 less an age of 59", ttl)
		}
	}
	want := "dns.example.net:" + port + " 0 Mx.Example.ORG. true map[Accept:[application/dns-message] Content-Length:[43] Content-Type:[application/dns-message]]"
	if !slices.Equal(headers, []string{want, want}) {
		t.Errorf("got  %q\nwant %q", headers, want)
	}
	if !slices.Equal(seen.list, []string{"https", "https"}) {
		t.Errorf("observed %q", seen.list)
	}
}

// TestDoHAge: the time that an HTTP cache had a response does not count toward the TTL.
func TestDoHAge(t *testing.T) {
	for age, want := range map[string]uint32{"": 60, "0": 60, "10": 50, "60": 0, "3600": 0, "99999999999999999999": 0, "-1": 60, "1.5": 60, "x": 60} {
		s := newDoHServer(t, 100, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Age", age)
			serveDoH(func(m *dns.Msg) { m.SetEdns0(1232, true) })(w, r)
		})
		answer, _, err := s.transport(t, s.counted.Addr().String(), dnsQuery, transport.Options{Timeout: longTimeout}).Exchange(t.Context(), query())
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.Answer[0].Header().Ttl; got != want || !answer.IsEdns0().Do() {
			t.Errorf("age %q: TTL %d, %v; want %d and the DO bit", age, got, answer.IsEdns0(), want)
		}
	}
}

// TestDoHAuthentication: the server is authenticated as one over TLS, and there is no
// fallback to HTTP/1.1 or clear text.
func TestDoHAuthentication(t *testing.T) {
	for _, test := range []struct {
		name, suffix string
		streams      int        // 0: HTTP/1.1 alone
		trusted      *authority // nil: the issuer
		want         string     // part of the error
	}{
		{"the certificate is for the name", "/dns-query#DNS.Example.NET.", 100, nil, ""},
		{"another name", "/dns-query#dns.example.org", 100, nil, "certificate is valid for dns.example.net, not dns.example.org"},
		{"a name, but only the address is configured", "/dns-query", 100, nil, "certificate"},
		{"an unknown authority", dnsQuery, 100, newAuthority(t), "unknown authority"},
		{"HTTP/1.1", dnsQuery, 0, nil, "no application protocol"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newDoHServer(t, test.streams, serveDoH())
			if test.trusted != nil {
				s.issuer = test.trusted
			}
			tr := s.transport(t, s.counted.Addr().String(), test.suffix, transport.Options{Timeout: longTimeout, Attempts: 1})
			_, _, err := tr.Exchange(t.Context(), query())
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 600 {
				t.Errorf("got error %q, want a short one in one line that contains %q", err, test.want)
			}
		})
	}
}

// TestDoHAtResolverOverTLS: a server without ALPN, such as a resolver over TLS, is rejected.
func TestDoHAtResolverOverTLS(t *testing.T) {
	s := newDoHServer(t, 100, serveDoH())
	address, _ := tlsServer(t, &tls.Config{Certificates: s.TLS.Certificates})
	_, _, err := s.transport(t, address, dnsQuery, transport.Options{Timeout: longTimeout, Attempts: 1}).Exchange(t.Context(), query())
	if err == nil || !strings.Contains(err.Error(), "the server does not offer HTTP/2") {
		t.Errorf("got %v", err)
	}
}

// TestDoHResponses: nothing but a DNS message for the query is accepted, within the limits
// on time and memory.
func TestDoHResponses(t *testing.T) {
	var followed atomic.Int32
	write := func(header map[string]string, status int, body func(io.Writer, *dns.Msg)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				followed.Add(1)
			}
			q := receiveDoH(r)
			w.Header().Set("Content-Type", "application/dns-message")
			for key, value := range header {
				w.Header().Set(key, value)
			}
			w.WriteHeader(status)
			if body != nil {
				body(w, q)
			}
		}
	}
	answer := func(w io.Writer, q *dns.Msg) { w.Write(response(q)) }
	endless := func(w io.Writer, _ *dns.Msg) {
		for err := error(nil); err == nil; _, err = w.Write(make([]byte, 1<<15)) {
		}
	}
	zipped := func(w io.Writer, q *dns.Msg) {
		zip := gzip.NewWriter(w)
		zip.Write(response(q))
		zip.Close()
	}
	bomb := func(w io.Writer, q *dns.Msg) { endless(gzip.NewWriter(w), q) }
	silent := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	slowBody := func(w http.ResponseWriter, r *http.Request) {
		write(nil, 200, func(w io.Writer, q *dns.Msg) { w.Write(response(q)[:20]) })(w, r)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		timeout time.Duration
		event   string // transport and fault
		want    string // part of the error; empty: a response
	}{
		{"status 201", write(nil, 201, answer), longTimeout, "https", ""},
		{"SERVFAIL", serveDoH(rcode(dns.RcodeServerFailure)), longTimeout, "https servfail", ""},
		{"redirect", write(map[string]string{"Location": "/elsewhere"}, 302, nil), longTimeout, "https malformed", "HTTP status 302 Found instead of a DNS message"},
		{"permanent redirect", write(map[string]string{"Location": "/elsewhere"}, 308, nil), longTimeout, "https malformed", "HTTP status 308 Permanent Redirect"},
		{"not modified", write(nil, 304, nil), longTimeout, "https malformed", "HTTP status 304"},
		{"authentication required", write(nil, 401, answer), longTimeout, "https malformed", "HTTP status 401 Unauthorized"},
		{"status 500 with an answer", write(nil, 500, answer), longTimeout, "https malformed", "HTTP status 500 Internal Server Error"},
		{"unknown status", write(nil, 999, answer), longTimeout, "https malformed", "HTTP status 999"},
		{"no content", write(nil, 204, nil), longTimeout, "https malformed", "malformed response"},
		{"web page", write(map[string]string{"Content-Type": "text/html"}, 200, answer), longTimeout, "https malformed", `the Content-Type is "text/html" instead of application/dns-message`},
		{"no type", write(map[string]string{"Content-Type": ""}, 200, answer), longTimeout, "https malformed", `the Content-Type is ""`},
		{"hostile type", write(map[string]string{"Content-Type": "a\u202e" + strings.Repeat("b", 9000)}, 200, answer), longTimeout, "https malformed", "the Content-Type is"},
		{"JSON", write(map[string]string{"Content-Type": "application/dns-json"}, 200, answer), longTimeout, "https malformed", "application/dns-json"},
		{"compressed", write(map[string]string{"Content-Encoding": "gzip"}, 200, bomb), longTimeout, "https malformed", `the body has the Content-Encoding "gzip"`},
		{"compressed, without a word", write(nil, 200, zipped), longTimeout, "https malformed", "malformed response"},
		{"endless body", write(nil, 200, endless), longTimeout, "https malformed", "the body is larger than 65535 bytes"},
		{"large header", write(map[string]string{"X": strings.Repeat("x", 1<<17)}, 200, answer), longTimeout, "https network", "https: "},
		{"another ID", serveDoH(func(m *dns.Msg) { m.Id = 7 }), longTimeout, "https malformed", "does not match the query"},
		{"another question", serveDoH(func(m *dns.Msg) { m.Question[0].Name = "other.example." }), longTimeout, "https malformed", "does not match the query"},
		{"a query", serveDoH(func(m *dns.Msg) { m.Response = false }), longTimeout, "https malformed", "does not match the query"},
		{"truncated", serveDoH(func(m *dns.Msg) { m.Truncated = true }), longTimeout, "https truncated", "truncated"},
		{"cut off", write(nil, 200, func(w io.Writer, q *dns.Msg) { w.Write(response(q)[:40]) }), longTimeout, "https malformed", "malformed response"},
		{"empty", write(nil, 200, nil), longTimeout, "https malformed", "malformed response"},
		{"silence", silent, shortTimeout, "https timeout", "no response within"},
		{"slow body", slowBody, shortTimeout, "https timeout", "no response within"},
		{"panic of the server", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, longTimeout, "https network", "https: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newDoHServer(t, 100, test.handler)
			var seen events
			tr := s.transport(t, s.counted.Addr().String(), dnsQuery, transport.Options{Timeout: test.timeout, Attempts: 1, Observe: seen.observe})
			response, _, err := tr.Exchange(t.Context(), query())
			if (test.want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), test.want) || strings.ContainsAny(err.Error(), "\n\u202e") || len(err.Error()) > 600) {
				t.Errorf("got %v, error %q; want %q", response, err, test.want)
			}
			if !slices.Equal(seen.list, []string{test.event}) {
				t.Errorf("observed %q, want %q", seen.list, test.event)
			}
		})
	}
	t.Cleanup(func() {
		if n := followed.Load(); n != 0 {
			t.Errorf("%d redirects were followed", n)
		}
	})
}

// TestDoHConnectionIsShared: queries share a connection, and another one replaces it when
// the server closes it.
func TestDoHConnectionIsShared(t *testing.T) {
	// The client releases a stream a moment after its response. If all queries of the last round
	// are in that state, those of the next one still find room on the connection.
	s := newDoHServer(t, 200, serveDoH())
	tr := s.transport(t, s.counted.Addr().String(), dnsQuery, transport.Options{Timeout: longTimeout})
	for round := range 3 {
		var wait sync.WaitGroup
		for range 100 {
			wait.Go(func() {
				if _, _, err := tr.Exchange(t.Context(), query()); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if n := s.counted.accepted(); n != 1+round/2 {
			t.Errorf("round %d: %d connections, want %d", round, n, 1+round/2)
		}
		if round == 1 {
			s.CloseClientConnections()
		}
	}
}

// TestDoHServerCloses: a server that ends the connection after each response is queried again
// over others, also by queries that wait for the connection.
func TestDoHServerCloses(t *testing.T) {
	s := newDoHServer(t, 100, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // sends GOAWAY
		serveDoH()(w, r)
	})
	tr := s.transport(t, s.counted.Addr().String(), dnsQuery, transport.Options{Timeout: longTimeout})
	for range 5 {
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() {
				if _, _, err := tr.Exchange(t.Context(), query()); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
}

// TestDoHFewStreams: a server that accepts few queries at a time on a connection gets more
// connections.
func TestDoHFewStreams(t *testing.T) {
	t.Parallel()
	s := newDoHServer(t, 5, serveDoH())
	tr := s.transport(t, s.counted.Addr().String(), dnsQuery, transport.Options{Timeout: longTimeout})
	var wait sync.WaitGroup
	for range 300 {
		wait.Go(func() {
			if _, _, err := tr.Exchange(t.Context(), query()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := s.counted.accepted(); n > 100 {
		t.Errorf("%d connections, want at most 100", n)
	}
}

// TestDoHCancelled: a query that ends when another server was faster closes no connection.
func TestDoHCancelled(t *testing.T) {
	arrived := make(chan bool)
	s := newDoHServer(t, 100, func(w http.ResponseWriter, r *http.Request) {
		if q := receiveDoH(r); q.Question[0].Qtype == dns.TypeMX {
			arrived <- true
			<-r.Context().Done()
			return
		} else {
			w.Header().Set("Content-Type", "application/dns-message")
			w.Write(response(q))
		}
	})
	var seen events
	tr := s.transport(t, s.counted.Addr().String(), dnsQuery, transport.Options{Timeout: longTimeout, Observe: seen.observe})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	slow := query()
	slow.Question[0].Qtype = dns.TypeMX
	if _, _, err := tr.Exchange(ctx, slow); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, _, err := tr.Exchange(t.Context(), query()); err != nil {
		t.Error(err)
	}
	if n := s.counted.accepted(); n != 1 || !slices.Equal(seen.list, []string{"https cancelled", "https"}) {
		t.Errorf("%d connections, observed %q", n, seen.list)
	}
}

// TestDoHDeadConnection: a connection whose server has disappeared without closing it is
// replaced.
func TestDoHDeadConnection(t *testing.T) {
	t.Parallel()
	s := newDoHServer(t, 100, serveDoH())
	relay, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open []net.Conn
	var mutex sync.Mutex
	var disappeared atomic.Int32 // number of times; connections from before carry nothing
	var wait sync.WaitGroup
	pass := func(to, from net.Conn, since int32) {
		buffer := make([]byte, 4096)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if since == disappeared.Load() {
				to.Write(buffer[:n])
			}
		}
	}
	wait.Go(func() {
		for {
			near, err := relay.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", s.counted.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			mutex.Lock()
			open = append(open, near, far)
			mutex.Unlock()
			since := disappeared.Load()
			wait.Go(func() { pass(far, near, since) })
			wait.Go(func() { pass(near, far, since) })
		}
	})
	t.Cleanup(func() {
		relay.Close()
		mutex.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mutex.Unlock()
		wait.Wait()
	})
	tr := s.transport(t, relay.Addr().String(), dnsQuery, transport.Options{Attempts: 5})
	if _, _, err := tr.Exchange(t.Context(), query()); err != nil {
		t.Fatal(err)
	}
	disappeared.Add(1)
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, _, err := tr.Exchange(t.Context(), query())
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the dead connection is not replaced: %v", err)
		}
	}
}
