package command

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

// TestServe reloads valid and invalid configurations.
func TestServe(t *testing.T) {
	path := writeFile(t, "dane.yml", "modules: {mine: {require: if_published}}\n")
	change := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const reloaded = "dane_exporter_config_last_reload_successful"
	p := startProgram(t, "--config.file="+path, "--log.prober=info")

	if status, body := p.request("GET", "/probe?target=good.lab.test"); status != 200 || !strings.Contains(body, "\nprobe_success 1\n") {
		t.Errorf("%d\n%s", status, body)
	}
	if got := p.metric("dane_exporter_dns_cache_entries"); got == "" || got == "0" {
		t.Errorf("%q cache entries after a probe", got)
	}
	for _, histogram := range []string{`lookup_duration_seconds_count{type="TLSA"}`, `handshake_duration_seconds_count{protocol="smtp"}`} {
		if got := p.metric("dane_exporter_" + histogram); got != "1" {
			t.Errorf("%s %q after a probe, want 1", histogram, got)
		}
	}
	if got := p.metric(reloaded); got != "1" {
		t.Errorf("%s %s", reloaded, got)
	}
	p.waitForMetric(`dane_exporter_trust_anchor_ok{module=""}`, "1")
	if got := p.metric(`dane_exporter_resolver_ok{module="",server="198.51.100.54:53"}`); got != "1" {
		t.Errorf("self-check of a working resolver: %q", got)
	}

	change("modules: {mine: {port: none}}\n")
	if status, body := p.request("POST", "/-/reload"); status != 500 || !strings.Contains(body, path+":1: modules.mine.port") {
		t.Errorf("reload of an invalid file: %d %q", status, body)
	}
	if got := p.metric(reloaded); got != "0" {
		t.Errorf("%s %s", reloaded, got)
	}
	if status, _ := p.request("GET", "/probe?target=no-tlsa.lab.test&module=mine"); status != 200 {
		t.Errorf("probe with the previous configuration: %d", status)
	}

	change("access: {targets: [\"*.example\"]}\n")
	if status, body := p.request("POST", "/-/reload"); status != 200 {
		t.Errorf("reload of a valid file: %d %q", status, body)
	}
	if _, body := p.request("GET", "/probe?target=good.lab.test"); !strings.Contains(body, `dane_finding{reason="target_not_allowed"`) {
		t.Errorf("the new configuration is not active:\n%s", body)
	}
	p.stop()
}

// TestServeFlags checks that /config shows the values of flags that are in effect, not as given.
func TestServeFlags(t *testing.T) {
	p := startProgram(t, "--history.limit=99999", "--web.external-url=http://exporter.example/dane/")
	defer p.stop()
	_, page := p.request("GET", "/dane/config")
	for _, want := range []string{
		"<code>--history.limit</code></th><td><code>10000</code></td><td>command line</td>",
		"<code>--web.route-prefix</code></th><td><code>/dane</code></td><td>default</td>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
}

// TestServeSecret checks that the password of a proxy is read from its file at start and at each
// reload, which a change of the file causes, and that no page and no error contains it.
func TestServeSecret(t *testing.T) {
	password := writeFile(t, "password", "hunter2\n")
	path := writeFile(t, "dane.yml", "modules: {mine: {proxy: 'socks5://me@198.51.100.20:1080', proxy_password_file: '"+password+"'}}\n")
	p := startProgram(t, "--config.file="+path, "--config.enable-auto-reload", "--config.auto-reload-interval=50ms")
	defer p.stop()
	const reloaded = "dane_exporter_config_last_reload_successful"
	p.waitForMetric(reloaded, "1")
	p.request("GET", "/probe?target=good.lab.test&module=mine")
	for _, page := range []string{"/config", "/config?module=mine", "/config?format=yaml", "/report?target=good.lab.test&module=mine", "/report?target=good.lab.test&module=mine&format=json"} {
		if status, body := p.request("GET", page); status != 200 || strings.Contains(body, "hunter") || !strings.Contains(body, "me@198.51.100.20:1080") && page != "/config" {
			t.Errorf("%s: status %d, or it has the password: %s", page, status, body)
		}
	}
	if _, body := p.request("GET", "/config?format=yaml"); !strings.Contains(body, "proxy: socks5://me@198.51.100.20:1080\n") || !strings.Contains(body, "proxy_password_file: "+password) {
		t.Errorf("/config?format=yaml: %s", body)
	}
	replaceFile(t, password, "hunter2\nhunter3\n")
	p.waitForMetric(reloaded, "0")
	if status, body := p.request("POST", "/-/reload"); status != 500 || !strings.HasSuffix(body, "read a proxy_password_file: "+password+" must have one line\n") {
		t.Errorf("reload: %d %q", status, body)
	}
	replaceFile(t, password, "hunter4\n")
	p.waitForMetric(reloaded, "1")

	var stderr bytes.Buffer
	s := newSession(defaultConfig(t), io.Discard, &stderr)
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	if code := s.run(t.Context(), []string{"--config.check", "--config.file=" + path}); code != exitError || !strings.Contains(stderr.String(), "read a proxy_password_file: stat "+password+": no such file") {
		t.Errorf("--config.check without the file: %d %s", code, &stderr)
	}
}

// TestServeDiscovery reads a list of domains of the lab, and looks up their MX hosts. A
// reload with other sources takes effect.
func TestServeDiscovery(t *testing.T) {
	list := writeFile(t, "domains.txt", "good.lab.test\nno-mx.lab.test\nnull-mx.lab.test\ntwo-mx-one-broken.lab.test # comment\nmx-servfail.lab.test\nbad line\n")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(list, old, old); err != nil {
		t.Fatal(err)
	}
	config := writeFile(t, "dane.yml", "discovery: {sources: [{name: customers, files: ["+list+"]}]}\n")
	p := startProgram(t, "--config.file="+config)
	defer p.stop()
	await := func(path, want string) {
		t.Helper()
		status, body := p.request("GET", path)
		for deadline := time.Now().Add(20 * time.Second); status == http.StatusServiceUnavailable && time.Now().Before(deadline); status, body = p.request("GET", path) {
			if !strings.HasPrefix(body, "the targets are not complete: ") {
				t.Errorf("%s: %q", path, body)
			}
		}
		if status != http.StatusOK || body != want {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
	await("/sd", `[{"targets":["good.lab.test","mx-servfail.lab.test","no-mx.lab.test","null-mx.lab.test","two-mx-one-broken.lab.test"],"labels":{"__meta_dane_source":"customers"}}]`+"\n")
	await("/sd?by=mx", `[{"targets":["mx.good.lab.test","mx.two-mx-one-broken.lab.test","mx2.two-mx-one-broken.lab.test","no-mx.lab.test"],"labels":{"__meta_dane_source":"customers","__meta_dane_domains":"1"}}]`+"\n")
	for name, want := range map[string]string{`targets{source="customers"}`: "5", `bad_lines{source="customers"}`: "1", `up{source="customers"}`: "1", "mx_pending": "0", "mx_failed": "1"} {
		if got := p.metric("dane_exporter_discovery_" + name); got != want {
			t.Errorf("dane_exporter_discovery_%s %q, want %s", name, got, want)
		}
	}
	if err := os.WriteFile(config, []byte("discovery: {sources: []}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.request("POST", "/-/reload")
	if status, body := p.request("GET", "/sd"); status != http.StatusNotFound {
		t.Errorf("without sources: %d %s", status, body)
	}
}

// TestReloadOnSignal checks that SIGHUP reloads the configuration, and that the
// cache is kept if the settings of the prober are unchanged.
func TestReloadOnSignal(t *testing.T) {
	path := writeFile(t, "dane.yml", "")
	p := startProgram(t, "--config.file="+path)
	defer p.stop()
	p.request("GET", "/probe?target=good.lab.test")
	if err := os.WriteFile(path, []byte("modules: {mine: {}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if status, _ := p.request("GET", "/probe?target=null-mx.lab.test&module=mine"); status == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("SIGHUP did not reload the configuration")
		}
	}
	if got := p.metric(`dane_exporter_dns_cache_requests_total{result="hit"}`); got == "" || got == "0" {
		t.Errorf("%q cache hits after the reload", got)
	}
}

// TestGCPercent checks that serve raises GOGC unless the operator has set it, that
// it leaves an explicit GOMEMLIMIT alone, and that it restores GOGC.
func TestGCPercent(t *testing.T) {
	for _, test := range []struct {
		name   string
		gogc   string // environment variable
		before int
		want   int
	}{
		{"default", "", 100, maxGCPercent},
		{"set by the operator", "50", 50, 50},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer debug.SetGCPercent(debug.SetGCPercent(test.before))
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 40))
			t.Setenv("GOGC", test.gogc)
			t.Setenv("GOMEMLIMIT", "1TiB") // as the line above sets it
			p := startProgram(t)
			during, limit := debug.SetGCPercent(test.want), debug.SetMemoryLimit(math.MaxInt64)
			p.stop()
			after := debug.SetGCPercent(test.before)
			tuned := test.want == maxGCPercent && during >= minGCPercent && during <= maxGCPercent // the live heap of the tests may be large
			if !tuned && during != test.want || after != test.before || limit != 1<<40 {
				t.Errorf("GOGC %d while serving, %d after, memory limit %d; want %d, %d, %d", during, after, limit, test.want, test.before, 1<<40)
			}
		})
	}
}

// TestShutdown checks that a probe in flight is answered.
func TestShutdown(t *testing.T) {
	t.Parallel()
	p := startProgram(t)
	answered := make(chan error, 1)
	probe := func() {
		request, err := http.NewRequest("GET", p.baseURL+"/probe?target=tarpit.lab.test", nil)
		if err == nil {
			request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "2")
			var response *http.Response
			if response, err = newClient().Do(request); err == nil {
				defer response.Body.Close()
				if response.StatusCode != 200 {
					err = fmt.Errorf("%s", response.Status)
				}
			}
		}
		answered <- err
	}
	go probe()
	for deadline := time.Now().Add(20 * time.Second); p.metric("dane_exporter_probes_in_flight") != "1"; {
		if time.Now().After(deadline) {
			t.Fatal("no probe is in flight")
		}
		select {
		case err := <-answered: // on a busy machine, it may end before the metric shows it
			if err != nil {
				t.Fatal(err)
			}
			go probe()
		default:
		}
	}
	p.stop()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// terminatedVariable makes the test binary the exporter of TestTerminated.
const terminatedVariable = "DANE_EXPORTER_TEST_TERMINATED"

// TestTerminated sends SIGTERM while a server delays a probe. New connections are
// refused. After the grace period, the probe returns with an unknown outcome, and
// the exporter exits with 0.
func TestTerminated(t *testing.T) {
	if os.Getenv(terminatedVariable) != "" {
		os.Exit(Run([]string{"lab", "--web.listen-address=127.0.0.1:0"}, defaultConfig(t), io.Discard, os.Stderr))
	}
	if testing.Short() {
		t.Skip("the grace period is five seconds")
	}
	t.Parallel()
	exporter := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTerminated$")
	exporter.Env = append(os.Environ(), terminatedVariable+"=1")
	log, err := exporter.StderrPipe()
	if err == nil {
		err = exporter.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	address := listenAddress(log)
	p := &program{t: t, baseURL: "http://" + address, client: newClient()}
	type response struct {
		status int
		body   string
	}
	responses := make(chan response, 1)
	go func() {
		status, body := p.request("GET", "/probe?target=tarpit.lab.test")
		responses <- response{status, body}
	}()
	p.waitForMetric("dane_exporter_probes_in_flight", "1")
	p.client.CloseIdleConnections()

	if err := exporter.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// The connection of the probe keeps the port, so no other process can listen on it.
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		if err == nil {
			conn.Close()
		}
		if time.Now().After(deadline) {
			t.Fatal("connections are still accepted")
		}
	}
	got := <-responses
	for _, line := range []string{"\nprobe_success 0\n", "\ndane_probe_complete 0\n", "\ndane_outcome{outcome=\"unknown\"} 1\n", "\ndane_finding{reason=\"probe_deadline\","} {
		if got.status != http.StatusOK || !strings.Contains(got.body, line) {
			t.Errorf("%d, no %q in\n%s", got.status, line, got.body)
		}
	}
	if err := exporter.Wait(); err != nil {
		t.Errorf("the exporter failed: %v", err)
	}
}

// exhaustedVariable makes the test binary the process of TestDescriptorsExhausted.
const exhaustedVariable = "DANE_EXPORTER_TEST_EXHAUSTED"

// TestDescriptorsExhausted checks that the outcome is unknown while the process has
// no file descriptors left, and correct afterwards. It runs in a separate process,
// because other tests need descriptors.
func TestDescriptorsExhausted(t *testing.T) {
	if os.Getenv(exhaustedVariable) != "" {
		testDescriptorsExhausted(t)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDescriptorsExhausted$", "-test.v")
	child.Env = append(os.Environ(), exhaustedVariable+"=1")
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

func testDescriptorsExhausted(t *testing.T) {
	p := startProgram(t)
	defer p.stop()
	probe := func(when, target string, lines ...string) {
		t.Helper()
		status, body := p.request("GET", "/probe?target="+target)
		for _, line := range lines {
			if status != http.StatusOK || !strings.Contains(body, line) {
				t.Errorf("%s: %d, no %s in\n%s", when, status, line, body)
			}
		}
	}
	authenticated := `dane_outcome{outcome="authenticated"} 1`
	probe("before", "good.lab.test", authenticated)

	release := exhaustDescriptors(t) // the test's connection to the exporter stays open
	probe("without descriptors", "good.lab.test",
		`dane_outcome{outcome="unknown"} 1`, `dane_finding{reason="internal_error",effect="internal",host="mx.good.lab.test",port="25"`, "probe_success 0")
	probe("without descriptors, and nothing to connect to", "null-mx.lab.test", `dane_outcome{outcome="none"} 1`)

	release()
	probe("afterwards", "good.lab.test", authenticated)
	if got := p.metric("dane_exporter_panics_total"); got != "0" {
		t.Errorf("%s panics", got)
	}
}

// exhaustDescriptors lowers the limit of file descriptors to zero, so that the process can open
// none, even after it closes others. release restores the limit.
func exhaustDescriptors(t *testing.T) (release func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	set := func(limit syscall.Rlimit) {
		t.Helper()
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	set(syscall.Rlimit{Cur: 0, Max: limit.Max})
	if _, err := os.Open(os.DevNull); !errors.Is(err, syscall.EMFILE) {
		t.Fatalf("open without descriptors: %v", err)
	}
	return func() { set(limit) }
}

// TestWebConfig checks that authentication and rate limits of --web.config.file
// apply to every path.
func TestWebConfig(t *testing.T) {
	get := func(p *program, path, password string) int {
		t.Helper()
		request, err := http.NewRequest("GET", p.baseURL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			request.SetBasicAuth("prometheus", password)
		}
		response, err := p.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	const users = "basic_auth_users: {prometheus: \"$2a$04$sDMK81pClxS6VOqwQ2OluOOCDsRpXGdggDN2H3KrNzoskF0a/8ula\"}\n"

	authenticating := startProgram(t, "--web.config.file="+writeFile(t, "users.yml", users), "--web.enable-pprof")
	defer authenticating.stop()
	for _, path := range []string{"/", "/probe?target=good.lab.test", "/metrics", "/config", "/report?number=1", "/-/healthy", "/debug/pprof/"} {
		if got := get(authenticating, path, ""); got != http.StatusUnauthorized {
			t.Errorf("%s without a password: %d", path, got)
		}
		if got := get(authenticating, path, "another"); got != http.StatusUnauthorized {
			t.Errorf("%s with a wrong password: %d", path, got)
		}
		if got := get(authenticating, path, "open sesame"); got != http.StatusOK && path != "/report?number=1" {
			t.Errorf("%s with the right password: %d", path, got)
		}
	}

	const burst = 3
	limited := startProgram(t, "--web.config.file="+writeFile(t, "rate.yml", "rate_limit: {burst: 3, interval: 1h}\n"))
	defer limited.stop()
	for i := range burst + 3 {
		want := http.StatusOK
		if i >= burst {
			want = http.StatusTooManyRequests
		}
		if got := get(limited, "/probe?target=null-mx.lab.test", ""); got != want {
			t.Errorf("request %d: %d, want %d", i+1, got, want)
		}
	}
}

// TestWebConfigTLS checks that TLS and client certificates are required if
// --web.config.file says so.
func TestWebConfigTLS(t *testing.T) {
	authority, err := server.NewRoot("Operator", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue(server.Leaf{Names: []string{"localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.Chain().PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(blockType string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}))
	}
	p := startProgram(t, "--web.config.file="+writeFile(t, "tls.yml", "tls_server_config: {cert_file: "+writeFile(t, "cert.pem", encode("CERTIFICATE", leaf.DER))+
		", key_file: "+writeFile(t, "key.pem", encode("PRIVATE KEY", key))+
		", client_auth_type: RequireAnyClientCert}\n"))
	defer p.stop()

	roots := x509.NewCertPool()
	roots.AddCert(authority.X509())
	for _, test := range []struct {
		name, scheme string
		certificates []tls.Certificate
		want         int // 0: no response
	}{
		{"plain HTTP", "http", nil, http.StatusBadRequest},
		{"without a client certificate", "https", nil, 0},
		{"with a client certificate", "https", []tls.Certificate{leaf.Chain()}, http.StatusOK},
	} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: test.certificates}}}
		response, err := client.Get(test.scheme + strings.TrimPrefix(p.baseURL, "http") + "/metrics")
		got := 0
		if err == nil {
			got = response.StatusCode
			response.Body.Close()
		}
		if got != test.want {
			t.Errorf("%s: %d, want %d (%v)", test.name, got, test.want, err)
		}
		client.CloseIdleConnections()
	}
}

// fakeResolver is a resolver whose state depends on the elapsed time.
type fakeResolver struct {
	isGood     func(elapsed time.Duration) bool // result of the self-check
	isAlive    func(elapsed time.Duration) bool
	suspicions chan struct{}

	start  time.Time
	checks []time.Duration // since start
}

func (r *fakeResolver) SelfCheck(context.Context) dnssec.SelfCheckResult {
	elapsed := time.Since(r.start)
	r.checks = append(r.checks, elapsed)
	health := dnssec.Health{Server: "192.0.2.53:53"}
	if !r.isGood(elapsed) {
		health.Problem, health.Why = dnssec.ProblemNoAnswer, "does not answer"
	}
	return dnssec.SelfCheckResult{Resolvers: []dnssec.Health{health}}
}

func (r *fakeResolver) Alive(context.Context) bool  { return r.isAlive(time.Since(r.start)) }
func (r *fakeResolver) Suspicions() <-chan struct{} { return r.suspicions }

// TestRunSelfChecks checks the times of self-checks: every hour, every ten seconds
// while there are problems, and early if the resolvers may have failed. Each changed
// result is logged once.
func TestRunSelfChecks(t *testing.T) {
	always := func(time.Duration) bool { return true }
	from := func(begin, end time.Duration) func(time.Duration) bool {
		return func(elapsed time.Duration) bool { return elapsed < begin || elapsed >= end }
	}
	const s = time.Second
	for _, c := range []struct {
		name      string
		resolver  fakeResolver
		suspicion []time.Duration
		runs      time.Duration
		checks    []time.Duration
		log       []string // a part of each line
	}{
		{"problems at the start", fakeResolver{isGood: from(0, 35*s), isAlive: always}, nil, 3 * time.Hour,
			[]time.Duration{0, 10 * s, 20 * s, 30 * s, 40 * s, 40*s + time.Hour, 40*s + 2*time.Hour}, []string{"WARN", "INFO"}},
		{"the resolver dies", fakeResolver{isGood: from(1000*s, 1115*s), isAlive: from(1000*s, 1115*s)}, nil, time.Hour,
			[]time.Duration{0, 1000 * s, 1010 * s, 1020 * s, 1030 * s, 1040 * s, 1050 * s, 1060 * s, 1070 * s, 1080 * s, 1090 * s, 1100 * s, 1110 * s, 1120 * s}, []string{"INFO", "WARN", "INFO"}},
		{"it answers for the root alone, and lookups fail", fakeResolver{isGood: from(1000*s, 1025*s), isAlive: always}, []time.Duration{1003 * s}, 1800 * s,
			[]time.Duration{0, 1003 * s, 1013 * s, 1023 * s, 1033 * s}, []string{"INFO", "WARN", "INFO"}},
		{"suspicions in quick succession", fakeResolver{isGood: always, isAlive: always}, []time.Duration{1000 * s, 1001 * s, 1002 * s, 1003 * s, 1011 * s}, 1800 * s,
			[]time.Duration{0, 1000 * s, 1010 * s, 1020 * s}, []string{"INFO"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				resolver := &c.resolver
				resolver.start, resolver.suspicions = time.Now(), make(chan struct{}, 1)
				var log bytes.Buffer
				var last atomic.Pointer[dnssec.SelfCheckResult]
				i := &instance{logger: slog.New(slog.NewTextHandler(&log, nil))}
				ctx, cancel := context.WithTimeout(t.Context(), c.runs)
				defer cancel()
				var group sync.WaitGroup
				group.Go(func() { i.runSelfChecks(ctx, resolver, &last) })
				synctest.Wait()
				if result := last.Load(); result == nil || result.Healthy() != resolver.isGood(0) {
					t.Errorf("first result: %v", result)
				}
				for _, at := range c.suspicion {
					time.Sleep(at - time.Since(resolver.start)) // of the virtual clock
					select {
					case resolver.suspicions <- struct{}{}:
					default:
					}
				}
				group.Wait()
				if !slices.Equal(resolver.checks, c.checks) {
					t.Errorf("checks at %v, want %v", resolver.checks, c.checks)
				}
				if result := last.Load(); !result.Healthy() {
					t.Errorf("last result: %s", result)
				}
				lines := strings.Split(strings.TrimSpace(log.String()), "\n")
				if len(lines) != len(c.log) {
					t.Fatalf("log:\n%s", log.String())
				}
				for i, level := range c.log {
					text := map[string]string{"WARN": "192.0.2.53:53 does not answer", "INFO": "192.0.2.53:53 is good"}[level]
					if !strings.Contains(lines[i], "level="+level) || !strings.Contains(lines[i], text) {
						t.Errorf("log:\n%s", log.String())
					}
				}
			})
		})
	}
}

// TestFaultCounter checks after how many failed queries in a row a server is
// suspected. One domain cannot cause that unless the server does not respond.
func TestFaultCounter(t *testing.T) {
	const timeout, network, servfail, refused = transport.Timeout, transport.Network, transport.ServFail, transport.Refused
	var c faultCounter
	for n, query := range []struct {
		server, name string
		fault        transport.Fault
		suspected    bool
	}{
		{"a", "a.org.", timeout, false}, {"a", "a.org.", timeout, false}, {"a", "a.org.", network, false}, {"a", "a.org.", transport.Malformed, false},
		{"b", "a.org.", timeout, false}, {"b", "a.org.", "", false}, {"a", "a.org.", timeout, true}, {"a", "a.org.", timeout, false}, {"a", "a.org.", "", false},
		{"b", "a.org.", timeout, false}, {"b", "a.org.", timeout, false}, {"b", "a.org.", timeout, false}, {"b", "a.org.", timeout, false}, {"b", "a.org.", "", false}, {"b", "a.org.", timeout, false},
		// One domain fails.
		{"c", "mx.a.org.", servfail, false}, {"c", "A.org.", servfail, false}, {"c", "x.y.a.org.", servfail, false}, {"c", "b.a.org.", refused, false},
		{"c", "c.a.org.", servfail, false}, {"c", "d.a.org.", servfail, false}, {"c", "e.a.org.", transport.FormErr, false}, {"c", "f.a.org.", servfail, false},
		// Several domains fail.
		{"c", "b.org.", servfail, false}, {"c", "mx.c.org.", refused, false}, {"c", "b.org.", servfail, false}, {"c", ".", servfail, false}, {"c", "d.co.uk.", servfail, true},
	} {
		if got := c.add(transport.Event{Server: query.server, Name: query.name, Fault: query.fault}); got != query.suspected {
			t.Errorf("query %d: suspected %t", n, got)
		}
	}
}

// TestPoolSize checks what part of the memory limit is for probes.
func TestPoolSize(t *testing.T) {
	for limit, want := range map[int64]int{math.MaxInt64: 256 << 20, 512 << 20: 256 << 20, 2 << 30: 1 << 30} {
		if got := poolSize(limit); got != want {
			t.Errorf("limit %d: %d bytes, want %d", limit, got, want)
		}
	}
}

// TestServeAwaitsGoroutines: no goroutine of serve is left when it returns, after a signal and
// after an error.
func TestServeAwaitsGoroutines(t *testing.T) {
	anchors := writeFile(t, "root.key", ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
	path := writeFile(t, "dane.yml", "resolver: {servers: [\"127.0.0.1:"+unusedPort(t)+"\"], trust_anchors: "+anchors+"}\n")
	goroutines := []string{"maintainResolvers", "(*Discovery).Run", "KeepWarm", "runSelfChecks", "reloadOnSignal", "watchResolvConf", "(*Reloader).Watch", "ListenAndServe"}
	running := func() (found []string) {
		stacks := make([]byte, 4<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for _, name := range goroutines {
			if bytes.Contains(stacks, []byte(name+"(")) {
				found = append(found, name)
			}
		}
		return found
	}
	flags := []string{"--config.file=" + path, "--config.enable-auto-reload", "--config.auto-reload-interval=10ms"}
	p := startCommand(t, "serve", flags...)
	p.request("GET", "/-/ready")
	deadline := time.Now().Add(time.Minute)
	for len(running()) < len(goroutines) { // some start after it is ready
		if time.Now().After(deadline) {
			t.Fatalf("only %q run while it serves", running())
		}
		runtime.Gosched()
	}
	p.stop()
	if found := running(); len(found) > 0 {
		t.Errorf("after a signal: %q still run", found)
	}
	s := newSession(defaultConfig(t), io.Discard, io.Discard)
	if code := s.run(t.Context(), append(flags, "--web.listen-address=127.0.0.1:99999")); code != exitError {
		t.Errorf("invalid address: exit code %d", code)
	}
	if found := running(); len(found) > 0 {
		t.Errorf("after an error: %q still run", found)
	}
}
