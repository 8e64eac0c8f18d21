package command

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func example(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../config.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommands(t *testing.T) {
	resolver := "resolver: {servers: [192.0.2.53]"
	good := write(t, "good.yml", resolver+"}\n")
	bad := write(t, "bad.yml", "limits: {probes: 0}\nmodule: {}\n")
	noAnchors := write(t, "anchors.yml", resolver+", trust_anchors: /nonexistent/root.key}\n")
	anchor := write(t, "root.key", ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
	ownAnchors := write(t, "own.yml", resolver+", trust_anchors: "+anchor+"}\n")
	module := write(t, "module.yml", "modules: {relaxed: {require: if_published}}\n")

	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"version", []string{"--version"}, 0, "dane_exporter, version", ""},
		{"help", []string{"--help"}, 0, "check", ""},
		{"help of a command", []string{"help", "check"}, 0, "--module", ""},
		{"an unknown command", []string{"chek"}, 3, "", "--help tells what there is"},
		{"an unknown flag", []string{"--config.fil=x"}, 3, "", "unknown long flag '--config.fil'"},
		{"check without a target", []string{"check"}, 3, "", "there is nothing to check"},
		{"an unknown level", []string{"--log.level=loud"}, 3, "", "loud"},

		{"a good configuration", []string{"--config.check", "--config.file=" + good}, 0, "The configuration is good.", ""},
		{"with anchors of one's own", []string{"serve", "--config.check", "--config.file=" + ownAnchors}, 0, "The configuration is good.", ""},
		{"a bad one, all that is wrong", []string{"--config.check", "--config.file=" + bad}, 1, "", bad + ":2: module: unknown key"},
		{"one that is not there", []string{"--config.check", "--config.file=/nonexistent/dane.yml"}, 1, "", "no such file"},
		{"anchors that are not there", []string{"--config.check", "--config.file=" + noAnchors}, 1, "", "read resolver.trust_anchors: open /nonexistent/root.key"},
		{"serving a bad one", []string{"serve", "--config.file=" + bad}, 1, "", "limits.probes"},
		{"an external URL that is none", []string{"serve", "--web.external-url=http://a/?b"}, 1, "", "--web.external-url"},
		{"an interval that is none", []string{"serve", "--config.enable-auto-reload", "--config.auto-reload-interval=0s"}, 1, "", "--config.auto-reload-interval"},
		{"a negative offset", []string{"serve", "--timeout-offset=-1s"}, 1, "", "--timeout-offset"},
		{"a negative limit", []string{"serve", "--history.limit=-1"}, 3, "", "invalid syntax"},
		{"a prefix with a pattern", []string{"serve", "--web.route-prefix=/{x}"}, 1, "", "--web.route-prefix"},

		{"the lab's list", []string{"lab", "list"}, 0, "tlsa-mismatch.lab.test ", ""},
		{"a domain that is well", []string{"lab", "check", "good.lab.test"}, 0, "good.lab.test: authenticated: ", ""},
		{"a domain that is not", []string{"lab", "check", "tlsa-mismatch.lab.test"}, 2, "tlsa-mismatch.lab.test: refused: ", ""},
		{"by a module of one's own", []string{"lab", "check", "--config.file=" + module, "--module=relaxed", "no-tlsa.lab.test"}, 0, "require if_published", ""},
		{"by a module that is not there", []string{"lab", "check", "--module=nope", "good.lab.test"}, 3, "", `there is no module "nope"`},
		{"for a year and a day from now", []string{"lab", "check", "--at=+367d", "dane-ta.lab.test"}, 1, ": refused: a DANE client does not go on\n  probe_success would be 0.", ""},
		{"for a moment that is none", []string{"lab", "check", "--at=soon", "dane-ta.lab.test"}, 3, "", `--at: "soon" is no moment`},
		{"a target that is none", []string{"lab", "check", "https://good.lab.test"}, 3, "", "has a scheme"},
		{"check with a bad configuration", []string{"check", "--config.file=" + bad, "good.lab.test"}, 3, "", "limits.probes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := Run(test.args, example(t), &stdout, &stderr)
			if code != test.code || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("code %d, want %d\nstdout: %s\nstderr: %s", code, test.code, &stdout, &stderr)
			}
			if test.stderr == "" && stderr.Len() > 0 {
				t.Errorf("stderr: %s", &stderr)
			}
		})
	}
}

// program is a run of serve, in the lab.
type program struct {
	t    *testing.T
	base string
	stop context.CancelFunc
	code chan int
}

// start runs the program and waits until it listens.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	p := &program{t: t, stop: stop, code: make(chan int, 1)}
	s := &session{example: example(t), stdout: io.Discard, stderr: w}
	go func() {
		p.code <- s.run(ctx, append([]string{"lab", "--web.listen-address=127.0.0.1:0"}, args...))
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	listening := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			p.base = "http://" + found[1]
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return p
		}
	}
	t.Fatalf("it does not listen: exit code %d", <-p.code)
	return nil
}

// ask makes a request and returns status and body.
func (p *program) ask(method, path string) (int, string) {
	p.t.Helper()
	request, err := http.NewRequest(method, p.base+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// metric returns the value of a series at /metrics.
func (p *program) metric(name string) string {
	p.t.Helper()
	_, body := p.ask("GET", "/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// end stops the program and wants it to have ended well.
func (p *program) end() {
	p.t.Helper()
	p.stop()
	if code := <-p.code; code != exitOK {
		p.t.Errorf("exit code %d", code)
	}
}

// await asks for a metric until it is as wanted.
func (p *program) await(name, want string) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); p.metric(name) != want; {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s is %q and not %q", name, p.metric(name), want)
		}
	}
}

// TestServe: a life of the server, with a configuration that is changed for the
// better and the worse.
func TestServe(t *testing.T) {
	path := write(t, "dane.yml", "modules: {mine: {require: if_published}}\n")
	change := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const reloaded = "dane_exporter_config_last_reload_successful"
	p := start(t, "--config.file="+path, "--log.prober=info")

	if status, body := p.ask("GET", "/probe?target=good.lab.test"); status != 200 || !strings.Contains(body, "\nprobe_success 1\n") {
		t.Errorf("%d\n%s", status, body)
	}
	if got := p.metric("dane_exporter_dns_cache_entries"); got == "" || got == "0" {
		t.Errorf("the cache holds %q", got)
	}
	if got := p.metric(reloaded); got != "1" {
		t.Errorf("%s %s", reloaded, got)
	}
	p.await("dane_exporter_trust_anchor_ok", "1")
	if got := p.metric(`dane_exporter_resolver_ok{server="198.51.100.54:53"}`); got != "1" {
		t.Errorf("the self-check of a good resolver: %q", got)
	}

	change("modules: {mine: {port: none}}\n")
	if status, body := p.ask("POST", "/-/reload"); status != 500 || !strings.Contains(body, path+":1: modules.mine.port") {
		t.Errorf("a bad file: %d %q", status, body)
	}
	if got := p.metric(reloaded); got != "0" {
		t.Errorf("%s %s", reloaded, got)
	}
	if status, _ := p.ask("GET", "/probe?target=no-tlsa.lab.test&module=mine"); status != 200 {
		t.Errorf("what ran runs no more: %d", status)
	}

	change("access: {targets: [\"*.example\"]}\n")
	if status, body := p.ask("POST", "/-/reload"); status != 200 {
		t.Errorf("a good file: %d %q", status, body)
	}
	if _, body := p.ask("GET", "/probe?target=good.lab.test"); !strings.Contains(body, `dane_finding{reason="target_not_allowed"`) {
		t.Errorf("the new configuration is not in force:\n%s", body)
	}
	p.end()
}

// TestHangup: SIGHUP reloads, and what has not changed stays: the cache.
func TestHangup(t *testing.T) {
	path := write(t, "dane.yml", "")
	p := start(t, "--config.file="+path)
	defer p.end()
	p.ask("GET", "/probe?target=good.lab.test")
	if err := os.WriteFile(path, []byte("modules: {mine: {}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if status, _ := p.ask("GET", "/probe?target=null-mx.lab.test&module=mine"); status == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("SIGHUP changes nothing")
		}
	}
	if got := p.metric(`dane_exporter_dns_cache_requests_total{result="hit"}`); got == "" || got == "0" {
		t.Errorf("the cache was thrown away: %q hits", got)
	}
}

// TestShutdown: a probe that is in flight gets its answer.
func TestShutdown(t *testing.T) {
	p := start(t)
	answered := make(chan error, 1)
	go func() {
		request, err := http.NewRequest("GET", p.base+"/probe?target=tarpit.lab.test", nil)
		if err == nil {
			request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "2")
			var response *http.Response
			if response, err = http.DefaultClient.Do(request); err == nil {
				defer response.Body.Close()
				if response.StatusCode != 200 {
					err = fmt.Errorf("%s", response.Status)
				}
			}
		}
		answered <- err
	}()
	for p.metric("dane_exporter_probes_in_flight") != "1" {
		if t.Context().Err() != nil {
			t.Fatal("no probe is in flight")
		}
	}
	p.end()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestPaths(t *testing.T) {
	tests := []struct{ external, prefix, wantBase, wantPrefix string }{
		{"", "", "/", "/"},
		{"https://example.org/dane/", "", "/dane", "/dane"},
		{"https://example.org/dane", "/", "/dane", "/"},
		{"https://example.org", "inner/", "/", "/inner"},
		{"/dane", "", "/dane", "/dane"},
	}
	for _, test := range tests {
		external, prefix, err := paths(test.external, test.prefix)
		if err != nil || external.Path != test.wantBase || prefix != test.wantPrefix {
			t.Errorf("paths(%q, %q) = %v, %q, %v", test.external, test.prefix, external, prefix, err)
		}
	}
}

func TestEveryScenarioIsListed(t *testing.T) {
	var list bytes.Buffer
	listScenarios(&list)
	for _, want := range []string{"good.lab.test ", "no-such-domain.lab.test ", "lab check tlsa-mismatch.lab.test"} {
		if !strings.Contains(list.String(), want) {
			t.Errorf("the list lacks %q", want)
		}
	}
}
