//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestFormBehindProxies probes through the form of the front page, in Chromium, at an
// address and at a hostname, directly and behind nginx. Chromium sends Sec-Fetch-Site
// neither to an address nor to a hostname over plain HTTP.
func TestFormBehindProxies(t *testing.T) {
	run(t, "ip", "link", "set", "lo", "up")
	const address = "192.0.2.60"
	addAddress(t, netip.MustParseAddr(address))
	dir := tempDir(t)
	for _, args := range [][]string{
		{":10125"},
		{":10128", "--web.external-url=https://dane.example:8443/mon/dane", "--web.route-prefix=/"},
		{":10129", "--web.external-url=https://dane.example:8443/kept"},
	} {
		listen := address + args[0]
		start(t, dir, exec.Command(os.Getenv(binaryEnv), append([]string{"lab", "--web.listen-address", listen}, args[1:]...)...), listen)
	}
	startNginx(t, dir, address)
	b := startBrowser(t, dir, "--host-resolver-rules=MAP *.example "+address, "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable")

	for _, test := range []struct{ name, url string }{
		{"address", "http://192.0.2.60:10125/"},
		{"hostname", "http://exporter.example:10125/"},
		{"external URL, without the proxy", "http://exporter.example:10128/"},
		{"proxy with TLS, path and external URL", "https://dane.example:8443/mon/dane/"},
		{"proxy with TLS, path and route prefix", "https://dane.example:8443/kept/"},
		{"proxy with TLS and a path", "https://dane.example:8443/unset/"},
		{"proxy with a path", "http://dane.example:8080/unset/"},
		{"proxy with a path and an external URL", "http://dane.example:8080/mon/dane/"},
		{"proxy that forbids the referrer", "http://dane.example:8080/silent/"},
	} {
		t.Run(test.name, func(t *testing.T) { testFormAt(t, b, test.url) })
	}
	t.Run("another site", func(t *testing.T) { testForeignForm(t, b) })
}

// testFormAt probes by the form, probes again, and follows the links of the pages.
func testFormAt(t *testing.T, b *browser, url string) {
	b.openURL(t, url)
	b.fill(t, "target", "tlsa-mismatch.lab.test")
	b.follow(t, ".ask button", ".verdict")
	report := b.script(t, `return location.href`)
	if got := b.text(t, "h1"); got != "tlsa-mismatch.lab.test" || !strings.HasPrefix(report, url+"report?number=") {
		t.Fatalf("the form leads to %s with heading %q", report, got)
	}
	if got := b.script(t, `return getComputedStyle(document.querySelector(".pair.bad")).display`); got != "grid" {
		t.Errorf("display = %s, want grid: the styles are missing", got)
	}
	b.script(t, `document.querySelector(".verdict").className = "old"`)
	b.follow(t, ".actions button", ".verdict")
	if again := b.script(t, `return location.href`); again == report || !strings.HasPrefix(again, url+"report?number=") {
		t.Errorf("the button of the report leads to %s", again)
	}
	b.follow(t, "#findings .meaning a", ".document")
	if got := b.script(t, `return location.href`); got != url+"docs/runbook.md#tlsa_mismatch" {
		t.Errorf("the finding leads to %s", got)
	}
	b.openURL(t, url+"docs") // redirected
	if got := b.script(t, `return location.href + " " + document.querySelector("h1").innerText`); got != url+"docs/ Documentation" {
		t.Errorf("docs without a slash leads to %s", got)
	}
	b.follow(t, ".home", "#targets")
	if got := b.script(t, `return location.href`); got != url {
		t.Errorf("the link to the front page leads to %s", got)
	}
}

// testForeignForm checks that a page of another site can send no form and embed no
// probe. The exporter sees the headers of a real browser.
func testForeignForm(t *testing.T, b *browser) {
	const foreign = "http://evil.example:8080/foreign/" // Chromium warns before a form over TLS is sent to plain HTTP
	for _, target := range []string{"http://exporter.example:10125/", "https://dane.example:8443/unset/", "https://dane.example:8443/mon/dane/"} {
		b.openURL(t, foreign)
		b.script(t, fmt.Sprintf(`const form = document.createElement("form");
			form.method = "post"; form.action = %q; form.innerHTML = "<input name=target value=good.lab.test>";
			document.body.append(form); form.submit();`, target+"report"))
		if got := b.text(t, ".notice"); !strings.Contains(got, "another site") {
			t.Errorf("%s: a form of another site leads to %q", target, got)
		}
		b.follow(t, ".ask button", ".verdict") // the answer offers our own form
	}
	// Only requests over TLS have Sec-Fetch-Site.
	probes := probesOf(t, "http://192.0.2.60:10128")
	b.openURL(t, foreign)
	for _, element := range []string{"img", "iframe", "script"} {
		b.async(t, fmt.Sprintf(`const done = arguments[0], e = document.createElement(%q); e.onload = () => done("loaded"); e.onerror = () => done("error");
			e.src = "https://dane.example:8443/mon/dane/probe?target=good.lab.test"; document.body.append(e);`, element))
	}
	if got := probesOf(t, "http://192.0.2.60:10128"); got != probes {
		t.Errorf("elements of another site started probes: %s, before %s", got, probes)
	}
	b.openURL(t, foreign)
	b.script(t, `const a = document.createElement("a"); a.href = "https://dane.example:8443/mon/dane/probe?target=good.lab.test&debug=true"; a.id = "go"; a.textContent = "probe"; document.body.append(a)`)
	b.click(t, "#go")
	if got := b.text(t, "pre"); !strings.HasPrefix(got, "good.lab.test: authenticated") {
		t.Errorf("a link of another site leads to %.200q", got)
	}
	if got := probesOf(t, "http://192.0.2.60:10128"); got == probes {
		t.Errorf("the link is not counted: %s", got)
	}
	b.console(t)
}

// probesOf returns the samples of dane_exporter_probes_total of an exporter.
func probesOf(t *testing.T, url string) string {
	t.Helper()
	_, body := getPage(t, url+"/metrics")
	var samples []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "dane_exporter_probes_total{") {
			samples = append(samples, line)
		}
	}
	return strings.Join(samples, "")
}

// startNginx starts nginx as a reverse proxy with TLS at port 8443 and without at port 8080.
func startNginx(t *testing.T, dir, address string) {
	t.Helper()
	certificate := selfSignedPair(t, dir, "proxy", "ec", "ec_paramgen_curve:P-256")
	conf := writeFile(t, dir, "nginx.conf", fmt.Sprintf(`
daemon off;
user root;
pid %[1]s/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s:8080;
    listen %[2]s:8443 ssl;
    ssl_certificate %[3]s;
    ssl_certificate_key %[4]s;
    location /mon/dane/ { proxy_pass http://%[2]s:10128/; }
    location /kept/ { proxy_pass http://%[2]s:10129; }
    location /unset/ { proxy_pass http://%[2]s:10125/; }
    location /silent/ { proxy_pass http://%[2]s:10125/; add_header Referrer-Policy no-referrer; }
    location /foreign/ { default_type text/html; return 200 "<!DOCTYPE html><title>foreign</title><body>"; }
  }
}
`, dir, address, certificate, keyOf(certificate)))
	start(t, dir, exec.Command(program(t, "nginx"), "-e", "stderr", "-c", conf), address+":8080", address+":8443")
}
