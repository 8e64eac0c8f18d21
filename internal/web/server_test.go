package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gopkg.in/yaml.v3"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
)

// proberFunc is a prober made of a function.
type proberFunc func(context.Context, probe.Target, probe.Module) *probe.Report

func (f proberFunc) Probe(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
	return f(ctx, target, module)
}

func (f proberFunc) ProbeAfresh(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
	return f(ctx, target, module)
}

// instant probes at once, and all is well.
func instant(_ context.Context, target probe.Target, module probe.Module) *probe.Report {
	return &probe.Report{
		Target: target, Module: module, Start: time.Unix(1_700_000_000, 0), Facts: probe.Facts{Complete: true},
		Verdict: probe.Verdict{Outcome: probe.Authenticated, Success: true},
	}
}

// fixture is a server under test.
type fixture struct {
	*Server
	t      *testing.T
	config *config.Config
}

// newFixture returns a server with the default configuration, which change may
// change, and a prober.
func newFixture(t *testing.T, prober Prober, change func(*config.Config, *Options)) *fixture {
	t.Helper()
	example, err := os.ReadFile("../../config.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Defaults(example)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	options := Options{
		Exporter:      collector.NewExporter(registry, func() dnssec.Stats { return dnssec.Stats{} }, notExamined),
		Examined:      notExamined,
		Gatherer:      registry,
		Logger:        slog.New(slog.DiscardHandler),
		Reload:        func() error { return nil },
		ExternalURL:   &url.URL{Path: "/"},
		RoutePrefix:   "/",
		TimeoutOffset: 500 * time.Millisecond,
		HistoryLimit:  10,
	}
	if change != nil {
		change(c, &options)
	}
	f := &fixture{New(options), t, c}
	if prober != nil {
		f.Use(c, prober)
	}
	return f
}

// ask makes a request and returns status and body.
func (f *fixture) ask(method, path string, header ...string) (int, string) {
	f.t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (f *fixture) get(path string, header ...string) (int, string) {
	f.t.Helper()
	return f.ask("GET", path, header...)
}

// wantMetric wants a line at /metrics.
func (f *fixture) wantMetric(line string) {
	f.t.Helper()
	if _, body := f.get("/metrics"); !strings.Contains(body, "\n"+line+"\n") {
		f.t.Errorf("/metrics has no %q", line)
	}
}

func TestProbe(t *testing.T) {
	var asked probe.Target
	var by probe.Module
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		asked, by = target, module
		return instant(ctx, target, module)
	}), nil)

	status, body := f.get("/probe?target=Example.ORG.")
	if status != 200 || !strings.Contains(body, "\nprobe_success 1\n") || !strings.Contains(body, "\ndane_outcome{outcome=\"authenticated\"} 1\n") {
		t.Errorf("%d\n%s", status, body)
	}
	if asked.Name != "example.org" || by.Name != "smtp_mx" {
		t.Errorf("probed %v by %s", asked, by.Name)
	}
	if status, _ = f.get("/probe?target=192.0.2.1:25&hostname=mx.example.org&module=smtp"); status != 200 || asked.Address.String() != "192.0.2.1" || by.Name != "smtp" {
		t.Errorf("%d, probed %v by %s", status, asked, by.Name)
	}
	if status, body = f.get("/probe?target=example.org", "Accept", "application/openmetrics-text; version=1.0.0"); status != 200 || !strings.HasSuffix(body, "# EOF\n") {
		t.Errorf("OpenMetrics: %d\n%s", status, body)
	}
	if status, body = f.get("/probe?target=example.org&debug=true"); status != 200 || !strings.HasPrefix(body, "example.org: authenticated: ") {
		t.Errorf("debug: %d\n%s", status, body)
	}
	f.wantMetric(`dane_exporter_probes_total{module="smtp_mx",outcome="authenticated"} 3`)
	f.wantMetric(`dane_exporter_probes_in_flight 0`)
}

// TestLater: judged for another moment as well; a plus sign in a query is a space.
func TestLater(t *testing.T) {
	f := newFixture(t, proberFunc(func(_ context.Context, target probe.Target, module probe.Module) *probe.Report {
		return &probe.Report{Target: target, Module: module, Verdict: probe.Verdict{At: time.Unix(1_700_000_000, 0), Outcome: probe.Authenticated}}
	}), nil)
	for _, test := range []struct{ at, want string }{
		{"%2B14d", "2023-11-28 22:13:20 UTC"},
		{"+14d", "2023-11-28 22:13:20 UTC"},
		{"1d12h", "2023-11-16 10:13:20 UTC"},
		{"2030-01-31T12:00:00+01:00", "2030-01-31 11:00:00 UTC"},
	} {
		if status, body := f.get("/probe?target=example.org&debug=true&at=" + test.at); status != 200 || !strings.Contains(body, "\nJudged for "+test.want+": ") {
			t.Errorf("at=%s: %d\n%s", test.at, status, body)
		}
	}
	if status, body := f.get("/probe?target=example.org&at=+14d"); status != 200 || !strings.Contains(body, "\ndane_outcome{outcome=\"authenticated\"} 1\n") {
		t.Errorf("the metrics are today's: %d\n%s", status, body)
	}
	if _, body := f.get("/report?number=1"); !strings.Contains(body, "<h2>Judged for 2023-11-28 22:13:20 UTC</h2>") {
		t.Errorf("the report that is kept lacks it:\n%s", body)
	}
}

// TestFailedProbe: a target that fails is an answer, not an error.
func TestFailedProbe(t *testing.T) {
	f := newFixture(t, proberFunc(func(_ context.Context, target probe.Target, module probe.Module) *probe.Report {
		return &probe.Report{Target: target, Module: module, Verdict: probe.Verdict{Outcome: probe.Refused}}
	}), nil)
	if status, body := f.get("/probe?target=example.org"); status != 200 || !strings.Contains(body, "\nprobe_success 0\n") {
		t.Errorf("%d\n%s", status, body)
	}
}

func TestWrongRequests(t *testing.T) {
	f := newFixture(t, proberFunc(func(context.Context, probe.Target, probe.Module) *probe.Report {
		t.Error("a wrong request was probed")
		return &probe.Report{}
	}), nil)
	tests := []struct{ name, query, want string }{
		{"no target", "", "no target: want /probe?target=example.org"},
		{"an empty target", "target=", "the target is empty"},
		{"two targets", "target=a.example&target=b.example", "the parameter target is given 2 times"},
		{"a target without end", "target=" + strings.Repeat("a.", 5000), "the target is 10000 bytes long"},
		{"a scheme", "target=https://example.org", "has a scheme"},
		{"a path", "target=example.org/x", "has a path"},
		{"a port that is none", "target=example.org:x&module=smtp", `"x" is no port`},
		{"an address alone", "target=192.0.2.1&module=smtp", "add hostname="},
		{"binary", "target=%00%ff", "is no domain name"},
		{"lines", "target=a%0d%0ab", "is no domain name"},
		{"an unknown module", "target=example.org&module=nope", `unknown module "nope": /config lists those that there are`},
		{"an empty module", "target=example.org&module=", `unknown module ""`},
		{"a parameter that is mistyped", "target=example.org&modul=smtp", `unknown parameter "modul": there are target, module, hostname, debug and at`},
		{"debug without sense", "target=example.org&debug=maybe", `debug is "maybe": want true or false`},
		{"at without sense", "target=example.org&at=soon", `at: "soon" is no moment: want a duration of days, hours or minutes up to ten years, as +14d`},
		{"a query that is none", "target=%zz", "the query cannot be read"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, body := f.get("/probe?" + test.query)
			if status != http.StatusBadRequest || !strings.Contains(body, test.want) {
				t.Errorf("%d %q, want 400 and %q", status, body, test.want)
			}
			if strings.Count(body, "\n") != 1 || len(body) > 8000 {
				t.Errorf("not one short line: %q", body)
			}
		})
	}
	f.wantMetric("dane_exporter_module_unknown_total 2")
	if status, body := f.get("/probe?target=example.org", scrapeTimeoutHeader, "soon"); status != 400 || !strings.Contains(body, `is "soon": want seconds`) {
		t.Errorf("%d %q", status, body)
	}
}

func TestBudget(t *testing.T) {
	tests := []struct {
		name   string
		header string
		module time.Duration
		offset time.Duration
		want   time.Duration
	}{
		{"no header: the module's", "", 30 * time.Second, time.Second, 30 * time.Second},
		{"the scrape ends sooner", "10", 30 * time.Second, 500 * time.Millisecond, 9500 * time.Millisecond},
		{"the module ends sooner", "60", 30 * time.Second, 500 * time.Millisecond, 30 * time.Second},
		{"parts of seconds", "1.5", 30 * time.Second, 500 * time.Millisecond, time.Second},
		{"an offset as large as the scrape's time", "0.5", 30 * time.Second, 500 * time.Millisecond, 250 * time.Millisecond},
		{"no offset", "10", 30 * time.Second, 0, 10 * time.Second},
		{"a scrape of eons", "1e300", 30 * time.Second, time.Second, 30 * time.Second},
	}
	for _, test := range tests {
		if got, err := budget(test.module, test.header, test.offset); err != nil || got != test.want {
			t.Errorf("%s: %v, %v, want %v", test.name, got, err, test.want)
		}
	}
	for _, header := range []string{"0", "-1", "NaN", "Inf", "ten", " 1"} {
		if got, err := budget(time.Second, header, 0); err == nil {
			t.Errorf("%q: %v, and no error", header, got)
		}
	}
}

// TestDeadline: the probe is given what the budget leaves.
func TestDeadline(t *testing.T) {
	var left time.Duration
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return instant(ctx, target, module)
	}), nil)
	f.get("/probe?target=example.org", scrapeTimeoutHeader, "10")
	if left > 9500*time.Millisecond || left < 5*time.Second {
		t.Errorf("the probe had %v", left)
	}
}

// blocking probes until it is told to end, or its context does.
type blocking struct{ began, end chan struct{} }

func newBlocking() *blocking { return &blocking{make(chan struct{}, 100), make(chan struct{})} }

func (b *blocking) Probe(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
	b.began <- struct{}{}
	select {
	case <-b.end:
	case <-ctx.Done():
	}
	return instant(ctx, target, module)
}

func (b *blocking) ProbeAfresh(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
	return b.Probe(ctx, target, module)
}

// TestTooManyProbes: one is made, one waits too long and one comes too many;
// when the first has ended the next is made.
func TestTooManyProbes(t *testing.T) {
	slow := newBlocking()
	f := newFixture(t, slow, func(c *config.Config, _ *Options) {
		c.Limits = config.Limits{Probes: 1, QueueWait: time.Millisecond}
	})
	first := make(chan int)
	go func() { status, _ := f.get("/probe?target=example.org"); first <- status }()
	<-slow.began
	f.wantMetric("dane_exporter_probes_in_flight 1")

	status, body := f.get("/probe?target=example.org")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "limits.probes allows 1") {
		t.Errorf("%d %q", status, body)
	}
	f.wantMetric(`dane_exporter_probes_rejected_total{reason="queue_wait"} 1`)

	close(slow.end)
	if status := <-first; status != 200 {
		t.Errorf("the first: %d", status)
	}
	if status, _ := f.get("/probe?target=example.org"); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

// TestClientGone: a probe that nobody waits for ends.
func TestClientGone(t *testing.T) {
	slow := newBlocking()
	f := newFixture(t, slow, nil)
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/probe?target=example.org", nil))
	}()
	<-slow.began
	leave()
	<-done
}

// TestDefect: a panic costs one request, and is counted.
func TestDefect(t *testing.T) {
	f := newFixture(t, proberFunc(func(context.Context, probe.Target, probe.Module) *probe.Report { panic("a defect") }),
		func(c *config.Config, _ *Options) { c.Limits.Probes = 1 })
	for range 2 { // and the place it had is free again
		if status, body := f.get("/probe?target=example.org"); status != 500 || strings.Contains(body, "a defect") {
			t.Errorf("%d %q", status, body)
		}
	}
	f.wantMetric("dane_exporter_panics_total 2")
	f.wantMetric("dane_exporter_probes_in_flight 0")
}

// TestFault: a defect that the probe itself caught is told with its stack.
func TestFault(t *testing.T) {
	var log strings.Builder
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		r := instant(ctx, target, module)
		r.Facts.Fault = &probe.Fault{Value: "a defect", Stack: "its stack"}
		return r
	}), func(_ *config.Config, o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	f.get("/probe?target=example.org")
	if !strings.Contains(log.String(), "a defect") || !strings.Contains(log.String(), "its stack") {
		t.Errorf("the log: %s", &log)
	}
	f.wantMetric("dane_exporter_panics_total 1")
}

// TestLogProber: each probe is logged with the severity that is asked for.
func TestLogProber(t *testing.T) {
	for level, want := range map[slog.Level]bool{slog.LevelDebug: false, slog.LevelInfo: true} {
		var log strings.Builder
		f := newFixture(t, proberFunc(instant), func(_ *config.Config, o *Options) {
			o.Logger, o.ProbeLevel = slog.New(slog.NewTextHandler(&log, nil)), level
		})
		f.get("/probe?target=example.org")
		if got := strings.Contains(log.String(), "msg=Probed target=example.org module=smtp_mx outcome=authenticated success=true"); got != want {
			t.Errorf("at %v: %q", level, &log)
		}
	}
}

func TestHealth(t *testing.T) {
	f := newFixture(t, nil, nil)
	steps := []struct {
		method, path string
		status       int
	}{
		{"GET", "/-/healthy", 200},
		{"GET", "/-/ready", 503},
		{"GET", "/probe?target=example.org", 503},
		{"GET", "/config", 503},
		{"GET", "/", 200},
		{"POST", "/probe?target=example.org", 405},
		{"GET", "/nothing", 404},
		{"GET", "/-/reload", 405},
	}
	for _, step := range steps {
		if status, body := f.ask(step.method, step.path); status != step.status {
			t.Errorf("%s %s: %d %q, want %d", step.method, step.path, status, body, step.status)
		}
	}
	f.Use(f.config, proberFunc(instant))
	if status, _ := f.get("/-/ready"); status != 200 {
		t.Errorf("with a configuration: %d", status)
	}
}

func TestReload(t *testing.T) {
	var result error
	reloads := 0
	f := newFixture(t, proberFunc(instant), func(_ *config.Config, o *Options) {
		o.Reload = func() error { reloads++; return result }
	})
	for _, method := range []string{"POST", "PUT"} {
		if status, body := f.ask(method, "/-/reload"); status != 200 {
			t.Errorf("%s: %d %q", method, status, body)
		}
	}
	result = errors.New("dane.yml:3: limits.probes: no number")
	if status, body := f.ask("POST", "/-/reload"); status != 500 || !strings.Contains(body, result.Error()) {
		t.Errorf("a bad file: %d %q", status, body)
	}
	if reloads != 3 {
		t.Errorf("%d reloads", reloads)
	}
}

// TestUse: the next request sees the next configuration.
func TestUse(t *testing.T) {
	f := newFixture(t, proberFunc(instant), nil)
	next := *f.config
	next.Modules = map[string]probe.Module{"mine": f.config.Modules["smtp"]}
	f.Use(&next, proberFunc(instant))
	if status, _ := f.get("/probe?target=example.org&module=smtp"); status != 400 {
		t.Errorf("a module that is gone: %d", status)
	}
	if status, _ := f.get("/probe?target=example.org&module=mine"); status != 200 {
		t.Errorf("a module that is new: %d", status)
	}
}

func TestConfigPage(t *testing.T) {
	f := newFixture(t, proberFunc(instant), nil)
	status, body := f.get("/config")
	var shown struct {
		Limits  struct{ Probes int }
		Modules map[string]struct{ Timeout string }
	}
	if err := yaml.Unmarshal([]byte(body), &shown); err != nil || status != 200 {
		t.Fatalf("%d %v\n%s", status, err, body)
	}
	if shown.Limits.Probes != 256 || shown.Modules["smtp_mx"].Timeout != "30s" {
		t.Errorf("got %+v", shown)
	}
}

func TestSecurityHeaders(t *testing.T) {
	f := newFixture(t, proberFunc(instant), nil)
	for _, path := range []string{"/", "/probe?target=example.org", "/report?target=example.org", "/metrics", "/nothing"} {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, w.Header())
		}
	}
}

func TestRoutePrefix(t *testing.T) {
	f := newFixture(t, proberFunc(instant), func(_ *config.Config, o *Options) {
		o.RoutePrefix, o.ExternalURL = "/dane", &url.URL{Path: "/outside"}
	})
	for path, want := range map[string]int{
		"/dane/": 200, "/dane/metrics": 200, "/dane/probe?target=example.org": 200, "/metrics": 404, "/": 302,
	} {
		if status, _ := f.get(path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	if _, page := f.get("/dane/"); !strings.Contains(page, `action="/outside/report"`) {
		t.Errorf("links do not lead where people reach us:\n%s", page)
	}
}

// TestBaseContext: a request over HTTP ends with the context of the server.
func TestBaseContext(t *testing.T) {
	slow := newBlocking()
	f := newFixture(t, slow, nil)
	base, stop := context.WithCancel(t.Context())
	server := httptest.NewUnstartedServer(nil)
	server.Config = f.HTTPServer(base)
	server.Start()
	defer server.Close()
	status := make(chan int, 1)
	go func() {
		response, err := server.Client().Get(server.URL + "/probe?target=example.org")
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		status <- response.StatusCode
	}()
	<-slow.began
	stop()
	if got := <-status; got != 200 {
		t.Errorf("status %d, want the probe's answer with what it has", got)
	}
}

func notExamined() *dnssec.SelfCheckResult { return nil }
