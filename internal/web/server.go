// Package web serves HTTP: probes for Prometheus, and pages for operators.
//
// A Server answers each request with the configuration and the Prober that Use
// has set last. A request in progress keeps the pair that it began with, so that a
// reload never mixes two configurations.
package web

import (
	"context"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/internal/discovery"
	"dane_exporter/probe"
)

// Prober makes one probe and returns by the deadline of ctx.
type Prober interface {
	Probe(ctx context.Context, target probe.Target, module probe.Module) *probe.Report
	// ProbeUncached does not reuse the handshakes of other probes.
	ProbeUncached(ctx context.Context, target probe.Target, module probe.Module) *probe.Report
}

// Options are the settings of a Server.
type Options struct {
	Exporter      *collector.Exporter
	Registry      *prometheus.Registry // for /metrics
	Logger        *slog.Logger
	ProbeLogger   *slog.Logger                 // for messages about single probes
	SelfChecks    func() []collector.SelfCheck // results of the last self-checks of the resolvers
	Reload        func() error                 // reloads the configuration file
	Discovery     *discovery.Discovery         // for /sd
	ExternalURL   *url.URL                     // URL under which browsers reach the server; its origin may send forms
	RoutePrefix   string                       // prefix of all paths, such as "/" or "/dane"
	TimeoutOffset time.Duration                // subtracted from the timeout of a scrape
	HistoryLimit  int                          // number of recent reports in the list of probes; 0: no reports and states of targets are stored
	Profiling     bool                         // whether to serve /debug/pprof/
	Version       string                       // for the footer of each page
	Flags         []Flag                       // of the command line, for /config
}

// Server answers all HTTP requests. It is safe for concurrent use.
type Server struct {
	Options
	current atomic.Pointer[snapshot]
	limiter limiter
	pages   limiter
	sender  sender
	errors  errorLog
	history *history

	timelines timelines
	targets   targetList
	renderer  *renderer
	forms     *formGuard
	handler   http.Handler
}

// snapshot is a configuration and the prober that was made for it.
type snapshot struct {
	config *config.Config
	prober Prober
}

// New returns a Server. It is not ready until Use is called.
func New(options Options) *Server {
	s := &Server{
		Options:  options,
		history:  newHistory(options.HistoryLimit),
		renderer: newRenderer(),
		forms:    newFormGuard(options.ExternalURL, options.Logger),
		pages:    limiter{limit: maxPages, backlog: maxWaitingPages},
		sender:   sender{limit: maxUnsent},
		errors:   errorLog{logger: options.Logger, now: time.Now},
	}
	s.handler = withSecurityHeaders(s.withRecovery(s.buffered(withRelativeRedirects(s.routes()))))
	return s
}

// Use sets the configuration and the prober of later requests.
func (s *Server) Use(c *config.Config, p Prober) {
	s.limiter.setLimit(c.Limits.Probes)
	s.current.Store(&snapshot{c, p})
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// HTTPServer returns an http.Server for this handler, with limits on slow clients
// and on large requests. The context of each request is derived from base.
func (s *Server) HTTPServer(base context.Context) *http.Server {
	return &http.Server{
		Handler:           s,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      6 * time.Minute, // the longest probe, the wait in the queue, and the answer
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(serverLog{s.Logger}, "", 0),
	}
}

// serverLog logs the messages of an http.Server as warnings. TLS connections that a
// client ends before the handshake are logged at level debug. TCP health checks and
// browsers that connect in advance cause them.
type serverLog struct{ logger *slog.Logger }

func (l serverLog) Write(message []byte) (int, error) {
	text := strings.TrimSpace(string(message))
	level := slog.LevelWarn
	if strings.HasPrefix(text, "http: TLS handshake error from ") &&
		(strings.HasSuffix(text, ": EOF") || strings.HasSuffix(text, ": connection reset by peer") || strings.HasSuffix(text, ": broken pipe") || strings.HasSuffix(text, ": i/o timeout")) {
		level = slog.LevelDebug
	}
	l.logger.Log(context.Background(), level, text)
	return len(message), nil
}

func (s *Server) routes() http.Handler {
	prefix := strings.TrimSuffix(s.RoutePrefix, "/")
	mux := http.NewServeMux()
	handle := func(method, path string, handler http.HandlerFunc) {
		mux.HandleFunc(method+" "+prefix+path, handler)
	}
	handle("GET", "/{$}", rejectEmbedded(s.limitPages(s.front)))
	handle("GET", "/probe", rejectEmbedded(s.probe))
	handle("GET", "/report", rejectEmbedded(s.limitPages(s.report)))
	handle("POST", "/report", s.submit)
	handle("GET", "/docs/{$}", rejectEmbedded(s.limitPages(s.docsIndex)))
	handle("GET", "/docs/all", rejectEmbedded(s.limitPages(s.docsAll)))
	handle("GET", "/docs/{page}", rejectEmbedded(s.limitPages(s.docsPage)))
	handle("GET", "/docs/screenshots/{image}", docsImage)
	handle("GET", "/static/{file}", s.renderer.static)
	handle("GET", "/config", rejectEmbedded(s.limitPages(s.config)))
	handle("GET", "/sd", s.limitPages(s.discover))
	handle("GET", "/metrics", s.metrics().ServeHTTP)
	handle("GET", "/-/healthy", s.healthy)
	handle("GET", "/-/ready", s.ready)
	handle("POST", "/-/reload", s.forms.reject(s.reload))
	handle("PUT", "/-/reload", s.forms.reject(s.reload))
	if s.Profiling {
		handle("GET", profilesPath, rejectEmbedded(http.StripPrefix(prefix, profiles()).ServeHTTP))
	}
	if prefix != "" {
		mux.Handle("GET /{$}", http.RedirectHandler(prefix+"/", http.StatusFound))
	}
	return mux
}

const profilesPath = "/debug/pprof/"

// profiles serves the profiles of the Go runtime. They cost CPU time and contain
// the names of functions and targets, so they are served only on request.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// withRecovery answers 500 if a handler panics.
func (s *Server) withRecovery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v) // net/http closes the connection
			default:
				s.Exporter.Panicked()
				s.Logger.Error("Recovered from a panic in an HTTP handler", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
				http.Error(w, "internal error; see the log of dane_exporter", http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// withSecurityHeaders allows pages to load only our own styles, scripts and
// images, and forbids other sites to show them in a frame. With Referrer-Policy
// no-referrer, browsers would send our own forms with "Origin: null" (Fetch §3.1).
func withSecurityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	writePlain(w, "dane_exporter is healthy.\n")
}

// ready reports whether there is a configuration. It does not query DNS: a
// restart of the exporter would not repair a resolver, and the metrics show it.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.current.Load() == nil {
		notReady(w)
		return
	}
	writePlain(w, "dane_exporter is ready.\n")
}

func (s *Server) reload(w http.ResponseWriter, _ *http.Request) {
	if err := s.Reload(); err != nil {
		http.Error(w, "cannot reload the configuration: "+err.Error(), http.StatusInternalServerError)
		return
	}
	writePlain(w, "Configuration reloaded.\n")
}

// notReady answers requests before the first call of Use.
func notReady(w http.ResponseWriter) {
	http.Error(w, "dane_exporter is not ready: no configuration is loaded yet", http.StatusServiceUnavailable)
}

func writePlain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(text)) // an error means that the client has disconnected
}
