// Package web answers HTTP: probes for Prometheus, and a few pages for people.
//
// A Server does not know where its probes come from. Use gives it a
// configuration and a Prober that belong together; requests that have begun
// keep the pair that they began with.
package web

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
)

// Prober makes one probe, and returns by the deadline of ctx.
type Prober interface {
	Probe(ctx context.Context, target probe.Target, module probe.Module) *probe.Report
	// ProbeAfresh reuses no handshake.
	ProbeAfresh(ctx context.Context, target probe.Target, module probe.Module) *probe.Report
}

// Options are what a Server is made of.
type Options struct {
	Exporter      *collector.Exporter
	Gatherer      prometheus.Gatherer // of /metrics
	Logger        *slog.Logger
	ProbeLevel    slog.Level                     // with which each probe is logged
	Examined      func() *dnssec.SelfCheckResult // what the self-check of the resolvers found last; nil: not yet
	Reload        func() error                   // puts the configuration file into force again
	ExternalURL   *url.URL                       // under which people reach the server
	RoutePrefix   string                         // of every path here, as "/" or "/dane"
	TimeoutOffset time.Duration                  // see budget
	HistoryLimit  int                            // reports that are kept
	Profiling     bool                           // /debug/pprof/ is served
	Version       string                         // shown at the foot of each page
}

// Server answers every request. It is safe for concurrent use.
type Server struct {
	Options
	current atomic.Pointer[generation]
	limiter limiter
	history *history
	pages   *pages
	handler http.Handler
}

// generation is a configuration and the prober that obeys it.
type generation struct {
	config *config.Config
	prober Prober
}

// New returns a Server that is not ready until Use has been called.
func New(options Options) *Server {
	s := &Server{
		Options: options,
		history: newHistory(options.HistoryLimit),
		pages:   newPages(),
	}
	s.handler = s.guarded(s.routes())
	return s
}

// Use puts a configuration and its prober into force for the requests to come.
func (s *Server) Use(c *config.Config, p Prober) {
	s.limiter.resize(c.Limits.Probes)
	s.current.Store(&generation{c, p})
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// HTTPServer returns a server for this handler that gives slow and greedy
// clients up. Requests end with base.
func (s *Server) HTTPServer(base context.Context) *http.Server {
	return &http.Server{
		Handler:           s,
		BaseContext:       baseContext(base),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      6 * time.Minute, // the longest probe, the wait before it, and the answer
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.Logger.Handler(), slog.LevelWarn),
	}
}

func (s *Server) routes() http.Handler {
	prefix := strings.TrimSuffix(s.RoutePrefix, "/")
	mux := http.NewServeMux()
	handle := func(method, path string, handler http.HandlerFunc) {
		mux.HandleFunc(method+" "+prefix+path, handler)
	}
	handle("GET", "/{$}", s.front)
	handle("GET", "/probe", s.probe)
	handle("GET", "/report", s.report)
	handle("POST", "/report", s.fromOurPages(s.probeForPeople))
	handle("GET", "/docs/{$}", s.documents)
	handle("GET", "/docs/{page}", s.document)
	handle("GET", "/static/{file}", s.pages.static)
	handle("GET", "/config", s.config)
	handle("GET", "/metrics", promhttp.HandlerFor(s.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP)
	handle("GET", "/-/healthy", s.healthy)
	handle("GET", "/-/ready", s.ready)
	handle("POST", "/-/reload", s.reload)
	handle("PUT", "/-/reload", s.reload)
	if s.Profiling {
		profiles := http.StripPrefix(prefix, profiles())
		handle("GET", "/debug/pprof/", profiles.ServeHTTP)
	}
	if prefix != "" {
		mux.Handle("GET /{$}", http.RedirectHandler(prefix+"/", http.StatusFound))
	}
	return mux
}

// fromOurPages turns forms away that a browser sends from somebody else's page.
// A proxy in front may have changed the Host that they were sent to.
func (s *Server) fromOurPages(handler http.HandlerFunc) http.HandlerFunc {
	protection := http.NewCrossOriginProtection()
	if s.ExternalURL.Scheme != "" && s.ExternalURL.Host != "" {
		if err := protection.AddTrustedOrigin(s.ExternalURL.Scheme + "://" + s.ExternalURL.Host); err != nil {
			s.Logger.Warn("The external URL is no origin of forms", "err", err)
		}
	}
	return protection.Handler(handler).ServeHTTP
}

// guarded answers 500 where a handler panics, and says with every answer that
// pages take nothing from anywhere else and belong into no frame.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch fault := recover(); {
			case fault == nil:
			case fault == http.ErrAbortHandler:
				panic(fault) // net/http's own way to hang up
			default:
				s.Exporter.Panicked()
				s.Logger.Error("A request was lost to a defect", "path", r.URL.Path, "panic", fault, "stack", string(debug.Stack()))
				http.Error(w, "an internal error; the log has the details", http.StatusInternalServerError)
			}
		}()
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	plain(w, "dane_exporter is healthy.\n")
}

// ready says whether there is a configuration. DNS is not asked: a resolver
// that is down is seen in the metrics, and restarting us would not help it.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.current.Load() == nil {
		notReady(w)
		return
	}
	plain(w, "dane_exporter is ready.\n")
}

func (s *Server) reload(w http.ResponseWriter, _ *http.Request) {
	if err := s.Reload(); err != nil {
		http.Error(w, "the configuration was not reloaded: "+err.Error(), http.StatusInternalServerError)
		return
	}
	plain(w, "The configuration was reloaded.\n")
}

// notReady answers where Use has not been called yet.
func notReady(w http.ResponseWriter) {
	http.Error(w, "dane_exporter is not ready.", http.StatusServiceUnavailable)
}

// base is what links to our own pages begin with: where people reach the
// server, without a slash at the end.
func (s *Server) base() string { return strings.TrimSuffix(s.ExternalURL.Path, "/") }

func baseContext(base context.Context) func(net.Listener) context.Context {
	return func(net.Listener) context.Context { return base }
}

func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(text)) // the client is gone, or not; there is nobody else to tell
}
