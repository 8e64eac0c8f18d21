package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"dane_exporter/internal/config"
	"dane_exporter/probe"
)

// TestProfiling: profiles are served only with the option Profiling.
func TestProfiling(t *testing.T) {
	paths := []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline", "/debug/vars"}
	off := newFixture(t, proberFunc(instant), nil)
	for _, path := range paths {
		if status, _ := off.get(path); status != http.StatusNotFound {
			t.Errorf("without Profiling: %s: got status %d, want 404", path, status)
		}
	}
	on := newFixture(t, proberFunc(instant), func(_ *config.Config, o *Options) { o.Profiling, o.RoutePrefix = true, "/dane" })
	for path, want := range map[string]int{"/dane/debug/pprof/": 200, "/dane/debug/pprof/goroutine?debug=1": 200, "/debug/pprof/": 404, "/dane/debug/vars": 404} {
		if status, body := on.get(path); status != want {
			t.Errorf("%s: got status %d, want %d\n%.200s", path, status, want, body)
		}
	}
	if status, _ := on.request("POST", "/dane/debug/pprof/goroutine"); status != http.StatusMethodNotAllowed {
		t.Errorf("POST: got status %d, want 405", status)
	}
}

// TestAbusiveClients: HTTPServer closes the connections of clients that send too
// much, too slowly, or nothing at all.
func TestAbusiveClients(t *testing.T) {
	f := newFixture(t, proberFunc(instant), nil)
	server := f.HTTPServer(t.Context())
	for name, limited := range map[string]bool{
		"on reading a header":       server.ReadHeaderTimeout > 0 && server.ReadHeaderTimeout <= 10*time.Second,
		"on reading a request":      server.ReadTimeout > 0 && server.ReadTimeout <= time.Minute,
		"on writing an answer":      server.WriteTimeout > 0 && server.WriteTimeout <= 10*time.Minute,
		"on idle connections":       server.IdleTimeout > 0 && server.IdleTimeout <= 10*time.Minute,
		"on the size of the header": server.MaxHeaderBytes > 0 && server.MaxHeaderBytes <= 64<<10,
	} {
		if !limited {
			t.Errorf("no limit %s", name)
		}
	}

	served := httptest.NewUnstartedServer(nil)
	served.Config = server
	served.Config.ReadHeaderTimeout = 100 * time.Millisecond // to make the test faster
	served.Start()
	defer served.Close()
	for name, request := range map[string]string{
		"a header of a megabyte": "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"a URL of a megabyte":    "GET /probe?target=" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"half a header":          "GET / HTTP/1.1\r\nHost: x\r\nX: ",
		"nothing":                "",
	} {
		conn, err := net.Dial("tcp", served.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		go io.WriteString(conn, request)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		switch {
		case err == nil && answer.StatusCode < 400:
			t.Errorf("%s: %s", name, answer.Status)
		case err != nil:
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				t.Errorf("%s: the connection was not closed", name)
			}
		}
		conn.Close()
	}
}

// TestSlowTargets: while slow targets occupy all slots but one, other targets are
// answered without a delay.
func TestSlowTargets(t *testing.T) {
	slow := newBlocking()
	const slots = 20
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		if strings.HasPrefix(target.Name, "slow") {
			return slow.Probe(ctx, target, module)
		}
		return instant(ctx, target, module)
	}), func(c *config.Config, _ *Options) { c.Limits.Probes = slots })
	var stalled sync.WaitGroup
	for i := range slots - 1 {
		stalled.Go(func() { f.get(fmt.Sprintf("/probe?target=slow%d.example", i)) })
	}
	for range slots - 1 {
		<-slow.began
	}
	for range 50 {
		if status, body := f.get("/probe?target=quick.example"); status != http.StatusOK || !strings.Contains(body, "\nprobe_success 1\n") {
			t.Fatalf("%d\n%s", status, body)
		}
	}
	f.wantMetric(fmt.Sprintf("dane_exporter_probes_in_flight %d", slots-1))
	close(slow.end)
	stalled.Wait()
	f.wantMetric("dane_exporter_probes_in_flight 0")
}

// recordHandler sends each record of a log to a channel.
type recordHandler chan slog.Record

func (h recordHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h recordHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h recordHandler) WithGroup(string) slog.Handler            { return h }
func (h recordHandler) Handle(_ context.Context, r slog.Record) error {
	h <- r
	return nil
}

// TestServerLog checks that clients that leave before the TLS handshake are logged
// at level debug, and failed handshakes as warnings.
func TestServerLog(t *testing.T) {
	records := make(recordHandler, 10)
	for _, test := range []struct {
		name    string
		connect func(*net.TCPConn)
		timeout bool // the handshake ends by its timeout
		want    slog.Level
	}{
		{"health check by TCP", func(conn *net.TCPConn) { conn.Close() }, false, slog.LevelDebug},
		{"health check that resets", func(conn *net.TCPConn) { conn.SetLinger(0); conn.Close() }, false, slog.LevelDebug},
		{"connection in advance", func(conn *net.TCPConn) {}, true, slog.LevelDebug},
		{"plain HTTP", func(conn *net.TCPConn) { io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") }, false, slog.LevelWarn},
		{"client that does not trust the certificate", func(conn *net.TCPConn) {
			_ = tls.Client(conn, &tls.Config{ServerName: "example.org", RootCAs: x509.NewCertPool()}).Handshake()
		}, false, slog.LevelWarn},
	} {
		served := httptest.NewUnstartedServer(http.NotFoundHandler())
		served.Config = newFixture(t, proberFunc(instant), func(_ *config.Config, o *Options) { o.Logger = slog.New(records) }).HTTPServer(t.Context())
		if test.timeout { // the others may need longer on a busy machine
			served.Config.ReadHeaderTimeout = 100 * time.Millisecond
		}
		served.StartTLS()
		conn, err := net.Dial("tcp", served.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		test.connect(conn.(*net.TCPConn))
		if r := <-records; r.Level != test.want || !strings.HasPrefix(r.Message, "http: TLS handshake error from ") {
			t.Errorf("%s: %s %q, want %s", test.name, r.Level, r.Message, test.want)
		}
		conn.Close()
		served.Close()
	}
}
