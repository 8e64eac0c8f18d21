package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"dane_exporter/internal/config"
)

// tokenOf returns the token in a form of a page.
func tokenOf(t *testing.T, page string) string {
	t.Helper()
	found := regexp.MustCompile(`name="token" value="([^"]+)"`).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("no token in the page:\n%s", page)
	}
	return found[1]
}

// TestFormOrigin: a form is accepted from our own pages, in any browser and behind
// any proxy, and from no other page.
func TestFormOrigin(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), func(_ *config.Config, o *Options) {
		o.ExternalURL = &url.URL{Scheme: "https", Host: "Dane.Example:443", Path: "/"}
	})
	_, page := f.get("/")
	token := tokenOf(t, page)
	for _, test := range []struct {
		name, host, token string
		header            []string
		status            int
	}{
		{"plain HTTP at an address", "192.0.2.1:10125", "", []string{"Origin", "http://192.0.2.1:10125"}, 303},
		{"plain HTTP at a hostname", "exporter.example:10125", "", []string{"Origin", "http://exporter.example:10125"}, 303},
		{"TLS", "exporter.example", "", []string{"Origin", "https://exporter.example", "Sec-Fetch-Site", "same-origin"}, 303},
		{"proxy with TLS that changes Host", "127.0.0.1:10125", "", []string{"Origin", "https://outside.example", "Sec-Fetch-Site", "same-origin"}, 303},
		{"external URL in upper case and with the default port", "127.0.0.1:10125", "", []string{"Origin", "https://dane.example"}, 303},
		{"proxy with plain HTTP that changes Host", "127.0.0.1:10125", token, []string{"Origin", "http://outside.example"}, 303},
		{"proxy that adds Referrer-Policy: no-referrer", "exporter.example:10125", token, []string{"Origin", "null"}, 303},
		{"curl", "exporter.example:10125", "", nil, 303},
		{"another site", "exporter.example:10125", "", []string{"Origin", "http://evil.example"}, 403},
		{"another site over TLS", "exporter.example", "", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"another host of the domain", "exporter.example", "", []string{"Origin", "https://blog.example", "Sec-Fetch-Site", "same-site"}, 403},
		{"another site without a referrer", "exporter.example:10125", "", []string{"Origin", "null"}, 403},
		{"another site with a guessed token", "exporter.example:10125", strings.Repeat("A", 26), []string{"Origin", "http://evil.example"}, 403},
		{"another site with an empty token", "exporter.example:10125", "", []string{"Origin", "http://evil.example"}, 403},
		{"external URL, but another port", "127.0.0.1:10125", "", []string{"Origin", "https://dane.example:8443"}, 403},
	} {
		form := url.Values{"target": {"a.example"}, "token": {test.token}}
		r := httptest.NewRequest("POST", "http://"+test.host+"/report", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(test.header); i += 2 {
			r.Header.Set(test.header[i], test.header[i+1])
		}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s: got status %d, want %d", test.name, w.Code, test.status)
		}
		if w.Code == http.StatusForbidden && (tokenOf(t, w.Body.String()) != token || !strings.Contains(w.Body.String(), `value="a.example"`)) {
			t.Errorf("%s: the answer has no form with the target", test.name)
		}
		// With this policy, browsers send the origin of our pages, and to our pages only.
		if got := w.Header().Get("Referrer-Policy"); got != "same-origin" {
			t.Errorf("%s: Referrer-Policy %q", test.name, got)
		}
	}
	f.wantMetric(`dane_exporter_probes_total{module="smtp_mx",outcome="authenticated"} 8`)
}

// TestReloadFromOtherSites: a page of another site cannot reload the configuration.
func TestReloadFromOtherSites(t *testing.T) {
	reloads := 0
	f := newFixture(t, proberFunc(instant), func(_ *config.Config, o *Options) {
		o.Reload = func() error { reloads++; return errors.New("dane.yml:3: wrong") }
	})
	for _, method := range []string{"POST", "PUT"} {
		for _, header := range [][]string{
			{"Origin", "http://evil.example"}, {"Origin", "null"},
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
			{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
		} {
			if status, body := f.request(method, "/-/reload", header...); status != 403 || strings.Contains(body, "dane.yml") {
				t.Errorf("%s %q: got %d %q, want 403", method, header, status, body)
			}
		}
		for _, header := range [][]string{nil, {"Sec-Fetch-Site", "none"}, {"Origin", "http://example.com"}} { // the host of httptest
			if status, body := f.request(method, "/-/reload", header...); status != 500 || !strings.Contains(body, "dane.yml:3") {
				t.Errorf("%s %q: got %d %q, want 500 and the error", method, header, status, body)
			}
		}
	}
	if reloads != 6 {
		t.Errorf("got %d reloads, want 6", reloads)
	}
}

// TestEmbedding: images, scripts, frames and prefetches of other sites start no
// probe and render no page. Links lead to all of them.
func TestEmbedding(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), func(_ *config.Config, o *Options) { o.Profiling, o.HistoryLimit = true, 100 })
	f.get("/probe?target=a.example")
	paths := []string{"/", "/probe?target=a.example", "/probe?target=a.example&debug=true", "/report?target=a.example", "/report?number=1&format=json", "/docs/", "/docs/faq.md", "/debug/pprof/"}
	for _, test := range []struct {
		name   string
		header []string
		status int
	}{
		{"Prometheus", nil, 200},
		{"typed address", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		{"our own page", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, 200},
		{"link", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		{"link in a browser without Sec-Fetch-Dest", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200},
		{"link on another host of the domain", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		{"image", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403},
		{"image on another host of the domain", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403},
		{"fetch", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, 403},
		{"frame", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		{"object", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "object"}, 403},
		{"prerendering", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Purpose", "prefetch;prerender"}, 403},
		{"unknown site", []string{"Sec-Fetch-Site", "elsewhere", "Sec-Fetch-Mode", "no-cors"}, 403},
	} {
		for _, path := range paths {
			if status, body := f.get(path, test.header...); status != test.status {
				t.Errorf("%s: %s: got status %d, want %d\n%.200s", test.name, path, status, test.status, body)
			}
		}
		if status, _ := f.get("/-/healthy", test.header...); status != 200 {
			t.Errorf("%s: /-/healthy: got status %d, want 200", test.name, status)
		}
	}
	f.wantMetric(`dane_exporter_probes_total{module="smtp_mx",outcome="authenticated"} 13`) // 1, and 2 of each of the six that pass
}

// TestLinksBehindProxies follows every link, form and redirect as a browser does that
// reaches the exporter under the path outside, which a proxy replaces by the path inside.
func TestLinksBehindProxies(t *testing.T) {
	attribute := regexp.MustCompile(` (?:href|src|action)="([^"]+)"`)
	for _, test := range []struct{ name, prefix, external, inside, outside string }{
		{"no proxy", "/", "", "/", "/"},
		{"route prefix", "/dane", "http://exporter.example/dane", "/dane/", "/dane/"},
		{"stripped path with an external URL", "/", "https://outside.example/mon/dane", "/", "/mon/dane/"},
		{"stripped path without an external URL", "/", "", "/", "/mon/dane/"},
		{"replaced path", "/dane", "https://outside.example/other/path", "/dane/", "/other/path/"},
		{"external URL, but without the proxy", "/", "https://outside.example/dane", "/", "/"},
	} {
		external, err := url.Parse(test.external)
		if err != nil {
			t.Fatal(err)
		}
		f := newFixture(t, proberFunc(verdicts), func(_ *config.Config, o *Options) { o.RoutePrefix, o.ExternalURL = test.prefix, external })
		f.get(test.inside + "probe?target=bad.example")
		seen := make(map[string]bool)
		var visit func(from, path string)
		visit = func(from, path string) {
			if seen[path] {
				return
			}
			seen[path] = true
			rest, ok := strings.CutPrefix(path, test.outside)
			if !ok {
				t.Errorf("%s: %s links to %s, outside of %s", test.name, from, path, test.outside)
				return
			}
			w := httptest.NewRecorder()
			f.ServeHTTP(w, httptest.NewRequest("GET", test.inside+rest, nil))
			base, err := url.Parse("http://browser.example" + path)
			if err != nil {
				t.Fatal(err)
			}
			follow := func(link string) {
				if to, err := base.Parse(link); err != nil {
					t.Errorf("%s: %s: %v", test.name, path, err)
				} else if to.Host == base.Host {
					visit(path, to.RequestURI())
				}
			}
			switch {
			case w.Code/100 == 3:
				follow(w.Header().Get("Location"))
			case strings.HasSuffix(path, "/report"): // the address of the form, which is sent below
			case w.Code != 200:
				t.Errorf("%s: %s links to %s: status %d", test.name, from, path, w.Code)
			case strings.HasPrefix(w.Header().Get("Content-Type"), "text/html"):
				for _, link := range attribute.FindAllStringSubmatch(w.Body.String(), -1) {
					follow(strings.ReplaceAll(link[1], "&amp;", "&"))
				}
			}
		}
		visit("the browser", test.outside)
		visit("the browser", test.outside+"docs")
		visit("the browser", test.outside+"/docs//faq.md")
		if len(seen) < 30 || !seen[test.outside+"docs/faq.md"] || !seen[test.outside+"report?number=1"] {
			t.Errorf("%s: only %d pages were visited", test.name, len(seen))
		}
		r := httptest.NewRequest("POST", test.inside+"report", strings.NewReader("target=bad.example"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		to, err := (&url.URL{Scheme: "http", Host: "browser.example", Path: test.outside + "report"}).Parse(w.Header().Get("Location"))
		if want := test.outside + "report?number=2"; w.Code != 303 || err != nil || to.RequestURI() != want {
			t.Errorf("%s: the form leads to %v, want %s", test.name, to, want)
		}
	}
}

func TestRelativePath(t *testing.T) {
	for _, test := range []struct{ from, target, want string }{
		{"/docs", "/docs/", "./docs/"},
		{"/report", "/report?number=1&x=/y", "./report?number=1&x=/y"},
		{"/dane/docs", "/dane/docs/", "./docs/"},
		{"/", "/dane/", "./dane/"},
		{"//docs//a", "/docs/a", "../../../docs/a"},
		{"/a/b/c", "/a/d", "../d"},
		{"/a/b", "/", "../"},
	} {
		got := relativePath(test.from, test.target)
		base := &url.URL{Scheme: "http", Host: "h", Path: test.from}
		if to, err := base.Parse(got); got != test.want || err != nil || to.RequestURI() != test.target {
			t.Errorf("%s to %s: got %s, which leads to %v, want %s", test.from, test.target, got, to, test.want)
		}
	}
}

func TestOriginOf(t *testing.T) {
	for given, want := range map[string]string{
		"https://Example.ORG/path": "https://example.org", "https://example.org:443": "https://example.org", "http://example.org:80/": "http://example.org",
		"http://example.org:443": "http://example.org:443", "https://[2001:db8::1]:443/": "https://[2001:db8::1]", "HTTPS://example.org:8443": "https://example.org:8443",
		"https://example.org:/": "https://example.org", "/path": "", "": "", "example.org": "",
	} {
		u, err := url.Parse(given)
		if err != nil {
			t.Fatal(err)
		}
		if got := originOf(u); got != want {
			t.Errorf("%s: got %q, want %q", given, got, want)
		}
		if want != "" { // net/http accepts it
			if newFormGuard(u, slog.New(slog.DiscardHandler)).crossOrigin.AddTrustedOrigin(want) != nil {
				t.Error(fmt.Sprint("not a valid origin: ", want))
			}
		}
	}
}
