package command

import (
	"bytes"
	"context"
	"crypto/x509"
	"log/slog"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/web"
	"dane_exporter/probe"
)

// replaceFile replaces a file as editors do: by a rename.
func replaceFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// newInstance returns an instance in env with the built-in configuration, changed by
// the text of a file. It serves no requests.
func newInstance(t *testing.T, env environment, text string) (*instance, *config.Config, *bytes.Buffer) {
	t.Helper()
	defaults, err := config.Defaults(defaultConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("test.yml", []byte(text), defaults)
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	i := &instance{env: env, pool: probe.NewPool(poolSize(math.MaxInt64)), logger: slog.New(slog.NewTextHandler(log, nil)), configApplied: make(chan struct{}, 1)}
	i.discovery = i.newDiscovery()
	registry := prometheus.NewRegistry()
	i.exporter = collector.NewExporter(registry, "", i.resolverStats, i.selfChecks)
	i.web = web.New(web.Options{Exporter: i.exporter, Registry: registry, Logger: slog.New(slog.DiscardHandler), SelfChecks: i.selfChecks, ExternalURL: new(url.URL), RoutePrefix: "/"})
	if err := i.applyConfig(c); err != nil {
		t.Fatal(err)
	}
	<-i.configApplied
	return i, c, log
}

// TestWatchResolvConf changes /etc/resolv.conf while the exporter serves. Only a
// change of the nameservers replaces the prober; nothing else is read anew.
func TestWatchResolvConf(t *testing.T) { synctest.Test(t, testWatchResolvConf) }

func testWatchResolvConf(t *testing.T) {
	path := writeFile(t, "resolv.conf", "nameserver 192.0.2.53\n")
	anchors := writeFile(t, "root.key", ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
	i, _, log := newInstance(t, internet{resolvConfPath: path}, "resolver: {servers: [system, 198.51.100.53], trust_anchors: "+anchors+"}\n")
	if err := os.WriteFile(anchors, []byte("being edited"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ticks := make(chan time.Time)
	var group sync.WaitGroup
	group.Go(func() { i.watchResolvConf(ctx, ticks) })
	for _, step := range []struct {
		name    string
		change  func()
		servers string // afterwards
		applied bool
		log     string
	}{
		{"no change", func() {}, "192.0.2.53:53 198.51.100.53:53", false, ""},
		{"another network", func() { replaceFile(t, path, "search example.org\nnameserver 192.0.2.54\nnameserver 2001:db8::53\n") },
			"192.0.2.54:53 [2001:db8::53]:53 198.51.100.53:53", true, "The resolvers of the system have changed"},
		{"another search domain", func() { replaceFile(t, path, "search example.net\nnameserver 192.0.2.54\nnameserver 2001:db8::53\n") },
			"192.0.2.54:53 [2001:db8::53]:53 198.51.100.53:53", false, ""},
		{"removed", func() {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "192.0.2.54:53 [2001:db8::53]:53 198.51.100.53:53", false, "the previous ones remain"},
		{"still missing", func() {}, "192.0.2.54:53 [2001:db8::53]:53 198.51.100.53:53", false, ""},
		{"no usable nameserver", func() { replaceFile(t, path, "nameserver dns.example.org\n") }, "192.0.2.54:53 [2001:db8::53]:53 198.51.100.53:53", false, "the previous ones remain"},
		{"local resolver", func() { replaceFile(t, path, "# none\n") }, "127.0.0.1:53 198.51.100.53:53", true, "The resolvers of the system have changed"},
	} {
		step.change()
		log.Reset()
		ticks <- time.Time{}
		synctest.Wait()
		active := i.active.Load()
		applied := len(i.configApplied) == 1
		for len(i.configApplied) > 0 {
			<-i.configApplied
		}
		if got := strings.Join(active.views[""].servers, " "); got != step.servers || applied != step.applied {
			t.Errorf("%s: servers %s, applied %t; want %s, %t", step.name, got, applied, step.servers, step.applied)
		}
		if !strings.Contains(log.String(), step.log) || (log.Len() > 0) != (step.log != "") {
			t.Errorf("%s: log %q", step.name, log)
		}
		if len(active.views[""].anchors) != 1 || !slices.Equal(serversOf(active), active.views[""].servers) {
			t.Errorf("%s: %d anchors, prober with %v", step.name, len(active.views[""].anchors), serversOf(active))
		}
	}
	cancel()
	group.Wait()
}

// serversOf returns the servers that the prober queries.
func serversOf(active *activeConfig) []string {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // without sending a query
	var servers []string
	for _, health := range active.prober.Resolver("").SelfCheck(ctx).Resolvers {
		servers = append(servers, health.Server)
	}
	return servers
}

// TestResolvConfNotUsed checks that /etc/resolv.conf is not read if no resolver is
// "system".
func TestResolvConfNotUsed(t *testing.T) {
	i, _, log := newInstance(t, internet{resolvConfPath: "/nonexistent/resolv.conf"}, "resolver: {servers: [198.51.100.53]}\n")
	i.refreshResolvers()
	if got := i.active.Load().views[""].servers; !slices.Equal(got, []string{"198.51.100.53:53"}) || log.Len() > 0 {
		t.Errorf("servers %v, log %q", got, log)
	}
}

// TestSystemRoots checks that the CA certificates are those of package x509, and that
// a renewed bundle replaces the prober at the next reload.
func TestSystemRoots(t *testing.T) {
	if want, err := x509.SystemCertPool(); err == nil && !want.Equal(x509.NewCertPool()) && !systemRoots().Equal(want) {
		t.Error("the roots are not those of package x509")
	}
	bundle := func(name string) string {
		authority, err := server.NewRoot(name, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return pemBlock("CERTIFICATE", authority.X509().Raw)
	}
	path := writeFile(t, "ca.pem", bundle("One"))
	directory := t.TempDir()
	t.Setenv("SSL_CERT_FILE", path)
	t.Setenv("SSL_CERT_DIR", directory)
	i, c, _ := newInstance(t, internet{}, "resolver: {servers: [198.51.100.53]}\n")
	previous := i.active.Load()
	for _, step := range []struct {
		name    string
		change  func()
		changed bool
	}{
		{"no change", func() {}, false},
		{"renewed bundle", func() { replaceFile(t, path, bundle("Two")) }, true},
		{"certificate in a directory", func() { replaceFile(t, filepath.Join(directory, "three.pem"), bundle("Three")) }, true},
		{"no certificates", func() {
			replaceFile(t, path, "")
			if err := os.Remove(filepath.Join(directory, "three.pem")); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		step.change()
		if err := i.applyConfig(c); err != nil {
			t.Fatal(err)
		}
		active := i.active.Load()
		if changed := active.prober != previous.prober; changed != step.changed {
			t.Errorf("%s: new prober: %t", step.name, changed)
		}
		previous = active
	}
	if previous.env.Roots != nil {
		t.Error("roots without a certificate")
	}
	for module, anchors := range map[string]string{"view_a": "a.key", "view_b": "b.key", "view_c": "a.key"} {
		c.Modules[module] = probe.Module{Name: module, Resolver: &probe.ResolverSettings{TrustAnchors: anchors}}
	}
	if got, want := (internet{}).files(c), []string{path, directory, "a.key", "b.key"}; !slices.Equal(got, want) {
		t.Errorf("watched files %v, want %v", got, want)
	}
}

// TestReloadFiles changes each file that a configuration refers to. Each reload reads
// them, and --config.enable-auto-reload watches them.
func TestReloadFiles(t *testing.T) {
	const (
		reloaded = "dane_exporter_config_last_reload_successful"
		anchor   = ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n"
		users    = "basic_auth_users: {}\n"
	)
	anchors, viewAnchors, webFile := writeFile(t, "root.key", anchor), writeFile(t, "view.key", anchor), writeFile(t, "web.yml", users)
	configFile := writeFile(t, "dane.yml", "resolver: {servers: [\"127.0.0.1:"+unusedPort(t)+"\"], trust_anchors: "+anchors+"}\n"+
		"modules: {view_a: {resolver: {trust_anchors: "+viewAnchors+"}}}\n")
	flags := []string{"--config.file=" + configFile, "--web.config.file=" + webFile}

	p := startCommand(t, "serve", flags...)
	reload := func(name string, want int, part string) {
		t.Helper()
		if status, body := p.request("POST", "/-/reload"); status != want || !strings.Contains(body, part) || strings.Contains(body, "s3cret") {
			t.Errorf("%s: %d %q, want %d %q", name, status, body, want, part)
		}
	}
	reload("no change", 200, "")
	replaceFile(t, anchors, "password = s3cret\n")
	reload("invalid anchors", 500, "read resolver.trust_anchors: "+anchors+": line 1: not a record")
	replaceFile(t, anchors, anchor)
	reload("valid anchors", 200, "")
	if err := os.Remove(viewAnchors); err != nil {
		t.Fatal(err)
	}
	reload("missing anchors of a module", 500, "read modules.view_a.resolver.trust_anchors: open "+viewAnchors)
	replaceFile(t, viewAnchors, anchor)
	reload("anchors of a module", 200, "")
	p.stop()
	webConfig := webConfigFile{webFile, slog.New(slog.DiscardHandler)}
	replaceFile(t, webFile, "basic_auth_user: {prometheus: s3cret}\n")
	if err := webConfig.check(); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("invalid web configuration: %v", err)
	}
	replaceFile(t, webFile, users)

	p = startCommand(t, "serve", append(flags, "--config.enable-auto-reload", "--config.auto-reload-interval=10ms")...)
	defer p.stop()
	p.waitForMetric(reloaded, "1")
	replaceFile(t, anchors, "no anchor\n")
	p.waitForMetric(reloaded, "0")
	replaceFile(t, anchors, anchor)
	p.waitForMetric(reloaded, "1")
}

// unusedPort returns the port of a local address at which nothing answers.
func unusedPort(t *testing.T) string {
	t.Helper()
	_, port, _ := strings.Cut(refusingAddress(t), ":")
	return port
}
