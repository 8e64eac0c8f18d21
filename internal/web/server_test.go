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
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gopkg.in/yaml.v3"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/internal/discovery"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

// proberFunc is a function that implements Prober.
type proberFunc func(context.Context, probe.Target, probe.Module) *probe.Report

func (f proberFunc) Probe(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
	return f(ctx, target, module)
}

func (f proberFunc) ProbeUncached(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
	return f(ctx, target, module)
}

// instant returns an authenticated report without a delay.
func instant(_ context.Context, target probe.Target, module probe.Module) *probe.Report {
	return &probe.Report{
		Target: target, Module: module, Start: time.Unix(1_700_000_000, 0), Facts: dane.Facts{Complete: true},
		Verdict: dane.Verdict{Outcome: dane.Authenticated, Success: true},
	}
}

// fixture is a server under test.
type fixture struct {
	*Server
	t      *testing.T
	config *config.Config
}

// newFixture returns a server with the default configuration and a prober. change
// may modify the configuration and the options; prober may be nil.
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
		Exporter:      collector.NewExporter(registry, "", func() dnssec.Stats { return dnssec.Stats{} }, noSelfChecks),
		SelfChecks:    noSelfChecks,
		Registry:      registry,
		Logger:        slog.New(slog.DiscardHandler),
		ProbeLogger:   slog.New(slog.DiscardHandler),
		Reload:        func() error { return nil },
		Discovery:     discovery.New(discovery.Environment{Now: time.Now, Logger: slog.New(slog.DiscardHandler)}),
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

// request makes a request and returns status and body.
func (f *fixture) request(method, path string, header ...string) (int, string) {
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
	return f.request("GET", path, header...)
}

// wantMetric checks that /metrics has this line.
func (f *fixture) wantMetric(line string) {
	f.t.Helper()
	if _, body := f.get("/metrics"); !strings.Contains(body, "\n"+line+"\n") {
		f.t.Errorf("/metrics does not contain %q", line)
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
		t.Errorf("probed %v with module %s, want example.org with smtp_mx", asked, by.Name)
	}
	if status, _ = f.get("/probe?target=192.0.2.1:25&hostname=mx.example.org&module=smtp"); status != 200 || asked.Address.String() != "192.0.2.1" || by.Name != "smtp" {
		t.Errorf("got status %d, probed %v with module %s", status, asked, by.Name)
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

// TestParameterAt: the facts are judged for the time of the parameter at as well. A
// plus sign in a query string stands for a space.
func TestParameterAt(t *testing.T) {
	f := newFixture(t, proberFunc(func(_ context.Context, target probe.Target, module probe.Module) *probe.Report {
		return &probe.Report{Target: target, Module: module, Verdict: dane.Verdict{At: time.Unix(1_700_000_000, 0), Outcome: dane.Authenticated}}
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
		t.Errorf("the metrics must be of the present verdict: %d\n%s", status, body)
	}
	if _, body := f.get("/report?number=1"); !strings.Contains(body, "<h2>Verdict for 2023-11-28 22:13:20 UTC</h2>") {
		t.Errorf("the stored report does not have the verdict:\n%s", body)
	}
}

// TestFailedProbe: a failed probe is answered with status 200.
func TestFailedProbe(t *testing.T) {
	f := newFixture(t, proberFunc(func(_ context.Context, target probe.Target, module probe.Module) *probe.Report {
		return &probe.Report{Target: target, Module: module, Verdict: dane.Verdict{Outcome: dane.Refused}}
	}), nil)
	if status, body := f.get("/probe?target=example.org"); status != 200 || !strings.Contains(body, "\nprobe_success 0\n") {
		t.Errorf("%d\n%s", status, body)
	}
}

func TestInvalidRequests(t *testing.T) {
	f := newFixture(t, proberFunc(func(context.Context, probe.Target, probe.Module) *probe.Report {
		t.Error("an invalid request was probed")
		return &probe.Report{}
	}), nil)
	tests := []struct{ name, query, want string }{
		{"no target", "", "missing parameter target; use /probe?target=example.org"},
		{"empty target", "target=", "the target is empty"},
		{"two targets", "target=a.example&target=b.example", "parameter target is given 2 times"},
		{"target above the size limit", "target=" + strings.Repeat("a.", 5000), "the target is 10000 bytes long"},
		{"target with a scheme", "target=https://example.org", "has a scheme"},
		{"target with a path", "target=example.org/x", "has a path"},
		{"invalid port", "target=example.org:x&module=smtp", `"x" is not a port`},
		{"address without a hostname", "target=192.0.2.1&module=smtp", "set hostname to the name"},
		{"binary target", "target=%00%ff", "is not a domain name"},
		{"target with line breaks", "target=a%0d%0ab", "is not a domain name"},
		{"unknown module", "target=example.org&module=nope", `unknown module "nope"; /config lists the modules`},
		{"empty module", "target=example.org&module=", `unknown module ""`},
		{"unknown parameter", "target=example.org&modul=smtp", `unknown parameter "modul"; allowed: target, module, hostname, debug, at`},
		{"invalid debug", "target=example.org&debug=maybe", `parameter debug: "maybe" is not true or false`},
		{"invalid at", "target=example.org&at=soon", `parameter at: "soon" is not a time: use a duration up to ten years such as +14d`},
		{"invalid query string", "target=%zz", "invalid query string"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, body := f.get("/probe?" + test.query)
			if status != http.StatusBadRequest || !strings.Contains(body, test.want) {
				t.Errorf("got %d %q, want 400 and %q", status, body, test.want)
			}
			if strings.Count(body, "\n") != 1 || len(body) > 8000 {
				t.Errorf("got %q, want one short line", body)
			}
		})
	}
	f.wantMetric("dane_exporter_module_unknown_total 2")
	if status, body := f.get("/probe?target=example.org", scrapeTimeoutHeader, "soon"); status != 400 || !strings.Contains(body, `"soon" is not a positive number of seconds`) {
		t.Errorf("%d %q", status, body)
	}
}

func TestProbeTimeout(t *testing.T) {
	tests := []struct {
		name   string
		header string
		module time.Duration
		offset time.Duration
		want   time.Duration
	}{
		{"no header", "", 30 * time.Second, time.Second, 30 * time.Second},
		{"the scrape ends sooner", "10", 30 * time.Second, 500 * time.Millisecond, 9500 * time.Millisecond},
		{"the module ends sooner", "60", 30 * time.Second, 500 * time.Millisecond, 30 * time.Second},
		{"fraction of a second", "1.5", 30 * time.Second, 500 * time.Millisecond, time.Second},
		{"offset equal to the timeout of the scrape", "0.5", 30 * time.Second, 500 * time.Millisecond, 250 * time.Millisecond},
		{"no offset", "10", 30 * time.Second, 0, 10 * time.Second},
		{"value beyond time.Duration", "1e300", 30 * time.Second, time.Second, 30 * time.Second},
	}
	for _, test := range tests {
		if got, err := probeTimeout(test.module, test.header, test.offset); err != nil || got != test.want {
			t.Errorf("%s: got %v, %v, want %v", test.name, got, err, test.want)
		}
	}
	for _, header := range []string{"0", "-1", "NaN", "Inf", "ten", " 1"} {
		if got, err := probeTimeout(time.Second, header, 0); err == nil {
			t.Errorf("%q: got %v, want an error", header, got)
		}
	}
}

// TestDeadline: the context of the probe has the timeout of the scrape less the offset.
func TestDeadline(t *testing.T) {
	var left time.Duration
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return instant(ctx, target, module)
	}), nil)
	f.get("/probe?target=example.org", scrapeTimeoutHeader, "10")
	if left > 9500*time.Millisecond || left < 5*time.Second {
		t.Errorf("got %v, want about 9.5 s", left)
	}
}

// blocking is a prober that waits until end is closed or its context is done.
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

func (b *blocking) ProbeUncached(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
	return b.Probe(ctx, target, module)
}

// TestTooManyProbes: with one slot in use, the next probe waits for queue_wait and
// gets 503. After the first has ended, the next is made.
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
		t.Errorf("first probe: status %d", status)
	}
	if status, _ := f.get("/probe?target=example.org"); status != 200 {
		t.Errorf("probe after the first: status %d", status)
	}
}

// TestClientGone: a probe ends when its client disconnects.
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

// TestPanicInHandler: a panic fails one request, and is counted.
func TestPanicInHandler(t *testing.T) {
	f := newFixture(t, proberFunc(func(context.Context, probe.Target, probe.Module) *probe.Report { panic("test panic") }),
		func(c *config.Config, _ *Options) { c.Limits.Probes = 1 })
	for range 2 { // the second needs the slot that the first has released
		if status, body := f.get("/probe?target=example.org"); status != 500 || strings.Contains(body, "test panic") {
			t.Errorf("%d %q", status, body)
		}
	}
	f.wantMetric("dane_exporter_panics_total 2")
	f.wantMetric("dane_exporter_probes_in_flight 0")
}

// TestPanicInProbe: a panic that the probe has recovered is logged with its stack.
func TestPanicInProbe(t *testing.T) {
	var log strings.Builder
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		r := instant(ctx, target, module)
		r.Facts.Err = &dane.PanicError{Value: "test panic", Stack: "test stack"}
		return r
	}), func(_ *config.Config, o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	f.get("/probe?target=example.org")
	if !strings.Contains(log.String(), "test panic") || !strings.Contains(log.String(), "test stack") {
		t.Errorf("got log %s", &log)
	}
	f.wantMetric("dane_exporter_panics_total 1")
}

// TestLogProber checks the messages about probes and their levels.
func TestLogProber(t *testing.T) {
	var success bool
	prober := proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		r := instant(ctx, target, module)
		if r.Verdict.Success = success; !success {
			r.Verdict.Outcome, r.Verdict.Findings = dane.Refused, []dane.Finding{{Reason: dane.TLSAMismatch}}
		}
		return r
	})
	const beginning = `level=DEBUG msg="Beginning probe" module=smtp_mx target=Example.org. timeout_seconds=`
	const succeeded = `level=DEBUG msg="Probe succeeded" module=smtp_mx target=Example.org. duration_seconds=0 outcome=authenticated findings=[]`
	const failed = `level=INFO msg="Probe failed" module=smtp_mx target=Example.org. duration_seconds=0 outcome=refused findings=[tlsa_mismatch]`
	for _, test := range []struct {
		level   slog.Level
		success bool
		want    []string
	}{
		{slog.LevelDebug, true, []string{beginning, succeeded}},
		{slog.LevelDebug, false, []string{beginning, failed}},
		{slog.LevelInfo, true, nil},
		{slog.LevelInfo, false, []string{failed}},
		{slog.LevelWarn, false, nil},
	} {
		var log strings.Builder
		f := newFixture(t, prober, func(_ *config.Config, o *Options) {
			o.ProbeLogger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: test.level}))
		})
		success = test.success
		f.get("/probe?target=Example.org.")
		for _, want := range test.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("level %v, success %t: no %q in %q", test.level, test.success, want, &log)
			}
		}
		if got := strings.Count(log.String(), "\n"); got != len(test.want) {
			t.Errorf("level %v, success %t: %d lines, want %d: %q", test.level, test.success, got, len(test.want), &log)
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
		if status, body := f.request(step.method, step.path); status != step.status {
			t.Errorf("%s %s: got %d %q, want %d", step.method, step.path, status, body, step.status)
		}
	}
	f.Use(f.config, proberFunc(instant))
	if status, _ := f.get("/-/ready"); status != 200 {
		t.Errorf("with a configuration: status %d", status)
	}
}

func TestReload(t *testing.T) {
	var result error
	reloads := 0
	f := newFixture(t, proberFunc(instant), func(_ *config.Config, o *Options) {
		o.Reload = func() error { reloads++; return result }
	})
	for _, method := range []string{"POST", "PUT"} {
		if status, body := f.request(method, "/-/reload"); status != 200 {
			t.Errorf("%s: %d %q", method, status, body)
		}
	}
	result = errors.New("dane.yml:3: limits.probes: no number")
	if status, body := f.request("POST", "/-/reload"); status != 500 || !strings.Contains(body, result.Error()) {
		t.Errorf("invalid file: got %d %q, want 500 and %v", status, body, result)
	}
	if reloads != 3 {
		t.Errorf("got %d reloads, want 3", reloads)
	}
}

// TestUse: later requests use the new configuration.
func TestUse(t *testing.T) {
	f := newFixture(t, proberFunc(instant), nil)
	next := *f.config
	next.Modules = map[string]probe.Module{"mine": f.config.Modules["smtp"]}
	f.Use(&next, proberFunc(instant))
	if status, _ := f.get("/probe?target=example.org&module=smtp"); status != 400 {
		t.Errorf("removed module: status %d", status)
	}
	if status, _ := f.get("/probe?target=example.org&module=mine"); status != 200 {
		t.Errorf("new module: status %d", status)
	}
}

func TestConfigAsYAML(t *testing.T) {
	f := newFixture(t, proberFunc(instant), nil)
	status, body := f.get("/config?format=yaml")
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
			t.Errorf("%s: got status %d, want %d", path, status, want)
		}
	}
	if _, page := f.get("/dane/"); !strings.Contains(page, `action="./report"`) {
		t.Errorf("links are not relative:\n%s", page)
	}
}

// TestBaseContext: a request ends when the base context of the server does.
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
		t.Errorf("got status %d, want 200 with the incomplete result", got)
	}
}

func noSelfChecks() []collector.SelfCheck { return nil }

// TestContentLength checks that the metrics of a probe are sent with their length, and
// not in chunks. net/http adds the length to responses of up to 2 KiB itself.
func TestContentLength(t *testing.T) {
	large := func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		r := instant(ctx, target, module)
		for i := range 100 {
			r.Facts.Phases = append(r.Facts.Phases, dane.Phase{Name: strconv.Itoa(i)})
		}
		return r
	}
	server := httptest.NewServer(newFixture(t, proberFunc(large), nil))
	defer server.Close()
	response, err := server.Client().Get(server.URL + "/probe?target=example.org")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.ContentLength != int64(len(body)) {
		t.Errorf("Content-Length %d for %d bytes, error %v", response.ContentLength, len(body), err)
	}
}
