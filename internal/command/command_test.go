package command

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"dane_exporter/internal/lab"
)

func defaultConfig(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../config.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// writeFile writes a file in a temporary directory and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommands(t *testing.T) {
	t.Parallel()
	resolver := "resolver: {servers: [192.0.2.53]"
	good := writeFile(t, "good.yml", resolver+"}\n")
	bad := writeFile(t, "bad.yml", "limits: {probes: 0}\nmodule: {}\n")
	noAnchors := writeFile(t, "anchors.yml", resolver+", trust_anchors: /nonexistent/root.key}\n")
	anchor := writeFile(t, "root.key", ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
	ownAnchors := writeFile(t, "own.yml", resolver+", trust_anchors: "+anchor+"}\n")
	module := writeFile(t, "module.yml", "modules: {relaxed: {require: if_published}}\n")

	goodWeb := writeFile(t, "web.yml", "basic_auth_users: {prometheus: \"$2a$04$sDMK81pClxS6VOqwQ2OluOOCDsRpXGdggDN2H3KrNzoskF0a/8ula\"}\n")
	badWeb := writeFile(t, "badweb.yml", "basic_auth_user: {prometheus: secret}\n")
	noCertificate := writeFile(t, "tls.yml", "tls_server_config: {cert_file: nonexistent.pem, key_file: nonexistent.key}\n")

	l, err := lab.New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
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
		{"unknown command", []string{"chek"}, 3, "", "see --help"},
		{"unknown flag", []string{"--config.fil=x"}, 3, "", "unknown long flag '--config.fil'"},
		{"check without a target", []string{"check"}, 3, "", "nothing to check"},
		{"unknown log level", []string{"--log.level=loud"}, 3, "", "loud"},

		{"valid configuration", []string{"--config.check", "--config.file=" + good}, 0, "The configuration is valid.", ""},
		{"configuration with trust anchors", []string{"serve", "--config.check", "--config.file=" + ownAnchors}, 0, "The configuration is valid.", ""},
		{"invalid configuration: all errors", []string{"--config.check", "--config.file=" + bad}, 1, "", bad + ":2: module: unknown key"},
		{"missing configuration file", []string{"--config.check", "--config.file=/nonexistent/dane.yml"}, 1, "", "no such file"},
		{"invalid web configuration", []string{"--config.check", "--config.file=" + good, "--web.config.file=" + badWeb}, 1, "", "--web.config.file: "},
		{"web configuration with a missing certificate", []string{"--config.check", "--web.config.file=" + noCertificate}, 1, "", "nonexistent.pem: no such file"},
		{"missing web configuration", []string{"--config.check", "--web.config.file=/nonexistent/web.yml"}, 1, "", "no such file"},
		{"valid web configuration", []string{"--config.check", "--config.file=" + good, "--web.config.file=" + goodWeb}, 0, "The configuration is valid.", ""},
		{"serve with an invalid web configuration", []string{"serve", "--web.config.file=" + badWeb}, 1, "", "--web.config.file is invalid"},
		{"missing trust anchors", []string{"--config.check", "--config.file=" + noAnchors}, 1, "", "read resolver.trust_anchors: open /nonexistent/root.key"},
		{"serve with an invalid configuration", []string{"serve", "--config.file=" + bad}, 1, "", "limits.probes"},
		{"invalid external URL", []string{"serve", "--web.external-url=http://a/?b"}, 1, "", "--web.external-url"},
		{"zero interval", []string{"serve", "--config.enable-auto-reload", "--config.auto-reload-interval=0s"}, 1, "", "--config.auto-reload-interval must be positive"},
		{"zero interval in seconds", []string{"serve", "--config.enable-auto-reload", "--config.auto-reload-interval=0"}, 1, "", "--config.auto-reload-interval must be positive"},
		{"negative timeout offset", []string{"serve", "--timeout-offset=-1s"}, 1, "", "--timeout-offset must not be negative"},
		{"negative timeout offset in seconds", []string{"serve", "--timeout-offset=-0.5"}, 1, "", "--timeout-offset must not be negative"},
		{"timeout offset without a meaning", []string{"serve", "--timeout-offset=1h2"}, 3, "", `"1h2" is not a duration such as 500ms, or a number of seconds such as 0.5`},
		{"infinite timeout offset", []string{"serve", "--timeout-offset=Inf"}, 3, "", "not a duration"},
		{"unknown level of probes", []string{"serve", "--log.prober=none"}, 3, "", "none"},
		{"negative history limit", []string{"serve", "--history.limit=-1"}, 3, "", "invalid syntax"},
		{"pattern in the prefix", []string{"serve", "--web.route-prefix=/{x}"}, 1, "", "--web.route-prefix"},

		{"list of the lab", []string{"lab", "list"}, 0, "tlsa-mismatch.lab.test ", ""},
		{"authenticated domain", []string{"lab", "check", "good.lab.test"}, 0, "good.lab.test: authenticated: ", ""},
		{"refused domain", []string{"lab", "check", "tlsa-mismatch.lab.test"}, 2, "tlsa-mismatch.lab.test: refused: ", ""},
		{"module of a file", []string{"lab", "check", "--config.file=" + module, "--module=relaxed", "no-tlsa.lab.test"}, 0, "require if_published", ""},
		{"unknown module", []string{"lab", "check", "--module=nope", "good.lab.test"}, 3, "", `unknown module "nope"`},
		{"judged for a later time", []string{"lab", "check", "--at=+367d", "dane-ta.lab.test"}, 1, ": refused: DANE-validating clients do not connect\n  probe_success would be 0.", ""},
		{"invalid time", []string{"lab", "check", "--at=soon", "dane-ta.lab.test"}, 3, "", `--at: "soon" is not a time`},
		{"invalid target", []string{"lab", "check", "https://good.lab.test"}, 3, "", "has a scheme"},
		{"check with an invalid configuration", []string{"check", "--config.file=" + bad, "good.lab.test"}, 3, "", "limits.probes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := RunInLab(t.Context(), l, test.args, defaultConfig(t), &stdout, &stderr)
			if code != test.code || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("code %d, want %d\nstdout: %s\nstderr: %s", code, test.code, &stdout, &stderr)
			}
			if test.stderr == "" && stderr.Len() > 0 {
				t.Errorf("stderr: %s", &stderr)
			}
		})
	}
}

// TestTimeoutOffset checks the forms of --timeout-offset: a duration, and seconds as in
// blackbox_exporter.
func TestTimeoutOffset(t *testing.T) {
	for text, want := range map[string]time.Duration{"0.5": 500 * time.Millisecond, "500ms": 500 * time.Millisecond, "1m2s": 62 * time.Second, "2": 2 * time.Second, "0": 0} {
		app := kingpin.New("test", "")
		f := newServeFlags(app.Command("serve", ""))
		if _, err := app.Parse([]string{"serve", "--timeout-offset=" + text}); err != nil || f.timeoutOffset != want {
			t.Errorf("%s: %v, %v, want %v", text, f.timeoutOffset, err, want)
		}
	}
}

func TestParsePaths(t *testing.T) {
	tests := []struct{ external, prefix, wantBase, wantPrefix string }{
		{"", "", "/", "/"},
		{"https://example.org/dane/", "", "/dane", "/dane"},
		{"https://example.org/dane", "/", "/dane", "/"},
		{"https://example.org", "inner/", "/", "/inner"},
		{"", "/dane", "/", "/dane"},
		{"http://[2001:db8::1]:10125/", "", "/", "/"},
	}
	for _, test := range tests {
		external, prefix, err := parsePaths(test.external, test.prefix)
		if err != nil || external.Path != test.wantBase || prefix != test.wantPrefix {
			t.Errorf("parsePaths(%q, %q) = %v, %q, %v", test.external, test.prefix, external, prefix, err)
		}
	}
	for _, external := range []string{
		"/dane", "dane.example.org", "dane.example.org/dane", "dane.example.org:10125", "localhost:10125/dane", "192.0.2.1:10125", "//dane.example.org/", "https:///dane", "https:dane.example.org",
		"https://", "https://:10125/", "ftp://dane.example.org/", "https://user:secret@dane.example.org/", "https://dane.example.org/?a", "https://dane.example.org/?", "https://dane.example.org/#a",
		"https://dane.example.org:0/", "https://dane.example.org:99999/", "https://dane.example.org:x/", " https://dane.example.org/", "https://dane example/",
	} {
		if got, prefix, err := parsePaths(external, ""); err == nil || !strings.Contains(err.Error(), "is not a URL such as https://example.org/dane") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, prefix %q, error %v; want an error", external, got, prefix, err)
		}
	}
}

// program is a run of serve, in the lab.
type program struct {
	t       *testing.T
	baseURL string
	client  *http.Client
	cancel  context.CancelFunc
	code    chan exitCode
}

// startProgram runs the program in the lab with a listener on port 0, and waits until
// its log reports the address.
func startProgram(t *testing.T, args ...string) *program {
	t.Helper()
	return startCommand(t, "lab", args...)
}

// startCommand is startProgram for another command than lab.
func startCommand(t *testing.T, command string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	p := &program{t: t, client: newClient(), cancel: cancel, code: make(chan exitCode, 1)}
	s := newSession(defaultConfig(t), io.Discard, w)
	go func() {
		p.code <- s.run(ctx, append([]string{command, "--web.listen-address=127.0.0.1:0"}, args...))
		w.Close()
	}()
	address := listenAddress(r)
	if address == "" {
		t.Fatalf("no listen address in the log; exit code %d", <-p.code)
	}
	p.baseURL = "http://" + address
	return p
}

// newClient returns a client that shares no connections with others.
func newClient() *http.Client { return &http.Client{Transport: new(http.Transport)} }

// listenAddress returns the address on which the exporter listens, from its log. It
// reads the rest of the log in the background.
func listenAddress(log io.Reader) string {
	listening := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if match := listening.FindStringSubmatch(lines.Text()); match != nil {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return match[1]
		}
	}
	return ""
}

// request returns the status and the body of a response.
func (p *program) request(method, path string) (int, string) {
	p.t.Helper()
	request, err := http.NewRequest(method, p.baseURL+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := p.client.Do(request)
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
	_, body := p.request("GET", "/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// waitForMetric requests /metrics until a series has the value.
func (p *program) waitForMetric(name, want string) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); p.metric(name) != want; {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s is %q, want %q", name, p.metric(name), want)
		}
	}
}

// stop shuts the program down and checks its exit code.
func (p *program) stop() {
	p.t.Helper()
	p.cancel()
	if code := <-p.code; code != exitOK {
		p.t.Errorf("exit code %d", code)
	}
}
