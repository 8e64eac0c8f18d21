package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/config"
)

// pipeListener accepts the connections that dial makes. They have no buffers, so that a
// client that does not read stops the server.
type pipeListener struct {
	connections chan net.Conn
	closed      context.Context
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.connections:
		return conn, nil
	case <-l.closed.Done():
		return nil, net.ErrClosed
	}
}

func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// addressedConn is a connection from an address.
type addressedConn struct {
	net.Conn
	address netip.Addr
}

func (c addressedConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.address, 1))
}

// dial connects to the server from an address.
func (l pipeListener) dial(from string) net.Conn {
	client, server := net.Pipe()
	l.connections <- addressedConn{server, netip.MustParseAddr(from)}
	return client
}

// request writes a request and returns the connection, from which it does not read.
func (l pipeListener) request(from, method, path string) net.Conn {
	conn := l.dial(from)
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", method, path)
	return conn
}

// serve serves f on connections without buffers until stop is called.
func (f *fixture) serve() (l pipeListener, stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	l = pipeListener{make(chan net.Conn), ctx}
	server := f.HTTPServer(ctx)
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	return l, func() {
		cancel()
		<-done
		server.Close()
	}
}

// everyPath has a request for each handler.
func everyPath() [][2]string {
	return [][2]string{
		{"GET", "/probe?target=a.example"}, {"GET", "/probe?target=a.example&debug=true"}, {"GET", "/probe"}, {"GET", "/metrics"},
		{"GET", "/report?number=1"}, {"GET", "/report?number=1&format=json"}, {"GET", "/report?number=99"}, {"POST", "/report"},
		{"GET", "/"}, {"GET", "/docs/"}, {"GET", "/docs/faq.md"}, {"GET", "/docs/missing.md"}, {"GET", "/config"}, {"GET", "/static/style.css"},
		{"GET", "/-/healthy"}, {"GET", "/-/ready"}, {"POST", "/-/reload"}, {"GET", "/-/reload"}, {"GET", "/missing"}, {"GET", "/sd"},
	}
}

// TestSlowReaders: clients that do not read their responses hold no slot. Each
// response must be read within responseWindow.
func TestSlowReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, proberFunc(verdicts), func(c *config.Config, _ *Options) { c.Limits.Probes = 1 })
		f.history.add(largeReport())
		l, stop := f.serve()
		defer stop()
		var stalled []net.Conn
		for range 2 * maxPages {
			for _, r := range everyPath() {
				stalled = append(stalled, l.request("192.0.2.1", r[0], r[1]))
			}
		}
		synctest.Wait() // all responses are waiting for their clients
		start := time.Now()
		for _, r := range everyPath() {
			conn := l.request("192.0.2.2", r[0], r[1])
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(r, err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode >= 500 {
				t.Errorf("%s: %s, %v", r, response.Status, err)
			}
			conn.Close()
		}
		if waited := time.Since(start); waited > 0 || f.pages.inFlight > 0 {
			t.Errorf("others waited %v; %d pages in flight", waited, f.pages.inFlight)
		}
		time.Sleep(responseWindow) // of the bubble's clock
		synctest.Wait()
		for i, conn := range stalled {
			if n, err := conn.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%s after %v: %d bytes, %v; want a closed connection", everyPath()[i%len(everyPath())], responseWindow, n, err)
			}
		}
		if f.sender.size != 0 || f.sender.sending.Len() != 0 {
			t.Errorf("%d bytes in %d responses remain", f.sender.size, f.sender.sending.Len())
		}
		f.wantMetric("dane_exporter_panics_total 0")
	})
}

// TestSlowSenders: requests that arrive slowly or never end are closed, and occupy no
// slot meanwhile.
func TestSlowSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, proberFunc(verdicts), func(c *config.Config, _ *Options) { c.Limits.Probes = 1 })
		l, stop := f.serve()
		defer stop()
		for name, request := range map[string]string{
			"nothing":         "",
			"half a header":   "GET /probe?target=a.example HTTP/1.1\r\nHost: x\r\nX: ",
			"half a form":     "POST /report HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\ntarget=",
			"half a chunk":    "POST /report HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n100\r\ntarget=",
			"a reload's body": "POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
			"a probe's body":  "GET /probe?target=a.example HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
			"a page's body":   "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
		} {
			conn := l.dial("192.0.2.1")
			closed := make(chan time.Duration)
			start := time.Now()
			go func() {
				io.Copy(io.Discard, conn)
				closed <- time.Since(start)
			}()
			io.WriteString(conn, request)
			synctest.Wait()
			if f.pages.inFlight > 0 || f.limiter.inFlight > 0 {
				t.Errorf("%s: %d pages and %d probes in flight", name, f.pages.inFlight, f.limiter.inFlight)
			}
			if after := <-closed; after > 20*time.Second {
				t.Errorf("%s: closed after %v", name, after)
			}
		}
	})
}

// TestUnsentResponses: responses that are not read take a limited amount of memory. The client
// that has most of them loses its oldest.
func TestUnsentResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, proberFunc(verdicts), nil)
		f.history.add(largeReport())
		l, stop := f.serve()
		defer stop()
		patient := l.request("192.0.2.2", "GET", "/report?number=1")
		synctest.Wait()
		single := f.sender.size
		var greedy []net.Conn
		for range 3 * maxUnsent / single {
			greedy = append(greedy, l.request("2001:db8::"+fmt.Sprint(len(greedy)+1), "GET", "/report?number=1"))
			synctest.Wait()
		}
		if f.sender.size > maxUnsent || f.sender.size < maxUnsent-2*single || f.sender.sending.Len() != f.sender.size/single {
			t.Errorf("%d bytes in %d responses of %d bytes, want at most %d bytes", f.sender.size, f.sender.sending.Len(), single, maxUnsent)
		}
		complete := func(conn net.Conn) error {
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil {
				_, err = io.Copy(io.Discard, response.Body)
			}
			return err
		}
		if err := complete(patient); err != nil {
			t.Errorf("the response to another client: %v", err)
		}
		if err := complete(greedy[0]); err == nil {
			t.Error("the oldest response of the greedy client is complete")
		}
		if err := complete(greedy[len(greedy)-1]); err != nil {
			t.Errorf("the newest response: %v", err)
		}
		for _, conn := range greedy {
			conn.Close()
		}
		synctest.Wait()
		if f.sender.size != 0 || f.sender.sending.Len() != 0 {
			t.Errorf("%d bytes in %d responses remain", f.sender.size, f.sender.sending.Len())
		}
	})
}

// TestResponseSize: a response above maxResponse is status 500. It is never sent in part.
func TestResponseSize(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	handler := f.withRecovery(f.buffered(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 20 {
			_, err := io.WriteString(w, strings.Repeat("x", 1<<20))
			mustWrite(err)
		}
	})))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "xxx") {
		t.Errorf("status %d, %d bytes", w.Code, w.Body.Len())
	}
}

// deadlineWriter fails like the connection of a client that does not read.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (w *deadlineWriter) SetWriteDeadline(deadline time.Time) error {
	w.deadline = deadline
	return nil
}

func (w *deadlineWriter) Write([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

// TestSendError: a client that does not read its response is no fault of the exporter.
func TestSendError(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	var s sender
	response := &bufferedResponse{header: http.Header{}}
	io.WriteString(response, "text")
	if err := s.send(w, httptest.NewRequest("GET", "/", nil), response); !errors.Is(err, os.ErrDeadlineExceeded) || w.deadline.IsZero() {
		t.Errorf("error %v, deadline %v", err, w.deadline)
	}
	f.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	f.wantMetric("dane_exporter_panics_total 0")
}

func TestClientOf(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:25": "192.0.2.1/32", "[::ffff:192.0.2.1]:25": "192.0.2.1/32", "[2001:db8:1:2:3::4]:25": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:25": "fe80::/64", "@": "invalid Prefix", "": "invalid Prefix",
	} {
		if got := clientOf(&http.Request{RemoteAddr: remote}).String(); got != want {
			t.Errorf("%q: got %s, want %s", remote, got, want)
		}
	}
}
