package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"dane_exporter/internal/config"
	"dane_exporter/internal/report"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
)

// verdicts probes at once: targets that begin with "bad" are refused.
func verdicts(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
	r := instant(ctx, target, module)
	if strings.HasPrefix(target.Name, "bad") {
		r.Verdict = probe.Verdict{Outcome: probe.Refused, Findings: []probe.Finding{
			{Reason: probe.TLSAMismatch, Host: "mx." + target.Name, Port: 25, Detail: "<b>another key</b>"},
		}}
	}
	return r
}

// submit sends the form for a probe, as a browser does from a page of origin.
func (f *fixture) submit(form url.Values, origin string) *http.Response {
	f.t.Helper()
	r := httptest.NewRequest("POST", "http://exporter.example/report", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result()
}

// wantIn wants texts in the page at a path, with a status.
func (f *fixture) wantIn(path string, status int, wanted ...string) {
	f.t.Helper()
	got, body := f.get(path)
	if got != status {
		f.t.Errorf("%s: %d, want %d", path, got, status)
	}
	for _, text := range wanted {
		if !strings.Contains(body, text) {
			f.t.Errorf("%s: no %s in\n%s", path, text, body)
		}
	}
}

// TestFrontPage: a form, and the last probes with what was found, newest first.
func TestFrontPage(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), func(_ *config.Config, o *Options) { o.HistoryLimit = 2 })
	for _, target := range []string{"a.example", "bad.example", "c.example"} {
		f.get("/probe?target=" + target)
	}
	f.wantIn("/", 200, `<form class="ask" action="/report" method="post">`, "<option selected>smtp_mx</option>",
		`<a href="/report?number=3">c.example</a>`, `<a href="/report?number=2">bad.example</a>`, `<span class="badge bad">fails</span> TLSA mismatch`)
	_, page := f.get("/")
	if strings.Contains(page, "a.example") || strings.Index(page, "c.example") > strings.Index(page, "bad.example") {
		t.Errorf("not the last two, the newest first:\n%s", page)
	}
}

// TestReportPage: by number, or by target and module, as alerts link to it.
func TestReportPage(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	f.get("/probe?target=a.example")
	f.get("/probe?target=bad.example&module=smtp")
	f.wantIn("/report?number=1", 200, "<h1>a.example</h1>", "authenticated")
	f.wantIn("/report?target=A.example.", 200, "<h1>a.example</h1>")
	f.wantIn("/report?target=bad.example&module=smtp", 200, "<h3>TLSA mismatch ", "mx.bad.example port 25", "&lt;b&gt;another key&lt;/b&gt;", "Publish the record of the certificate")
	f.wantIn("/report?target=bad.example", 200, `<span class="badge bad">fails</span> It does not meet what the module requires`, "<h1>bad.example</h1>", `<p class="over">smtp</p>`) // whatever the module
	f.wantIn("/report?target=bad.example&module=smtp_mx", 404, "No report of this is kept", `value="bad.example"`)
	f.wantIn("/report?number=7", 404, "No report of this is kept")
	f.wantIn("/report?number=x", 400, "number is &#34;x&#34;: want that of a report")
	f.wantIn("/report", 400, "the target is empty")
	f.wantIn("/report?target=a.example&module=nope", 400, "unknown module")
	f.wantIn("/report?target=%22%3E%3Cscript%3E", 400, `&#34;&gt;&lt;script&gt;`)
	f.wantIn("/report?number=1&format=xml", 400, "there are html and json")
}

// TestReportJSON: the same for programs.
func TestReportJSON(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	f.get("/probe?target=bad.example")
	status, body := f.get("/report?target=bad.example&format=json")
	d, err := report.ReadJSON([]byte(body))
	if err != nil || status != 200 || d.Outcome != "refused" || d.Findings[0].Reason != "tlsa_mismatch" {
		t.Errorf("%d %v\n%s", status, err, body)
	}
	if status, body := f.get("/report?target=other.example&format=json"); status != 404 || strings.Count(body, "\n") != 1 || json.Valid([]byte(body)) {
		t.Errorf("%d %q, want 404 and one line", status, body)
	}
}

// TestForm: a probe that people ask for leads to its report.
func TestForm(t *testing.T) {
	var asked probe.Target
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		asked = target
		return verdicts(ctx, target, module)
	}), func(_ *config.Config, o *Options) {
		o.ExternalURL = &url.URL{Scheme: "https", Host: "outside.example", Path: "/"}
	})
	response := f.submit(url.Values{"target": {"192.0.2.1:25"}, "hostname": {"bad.example"}, "module": {"smtp"}}, "http://exporter.example")
	if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != "/report?number=1" {
		t.Fatalf("%s to %q", response.Status, response.Header.Get("Location"))
	}
	if asked.String() != "192.0.2.1 as bad.example port 25" {
		t.Errorf("probed %s", asked)
	}
	f.wantIn("/report?number=1", 200, `name="target" value="192.0.2.1:25"`, `name="hostname" value="bad.example"`, `name="module" value="smtp"`)
	f.wantMetric(`dane_exporter_probes_total{module="smtp",outcome="refused"} 1`)

	for _, test := range []struct {
		name, origin string
		form         url.Values
		status       int
	}{
		{"no target", "", url.Values{}, 400},
		{"an unknown module", "", url.Values{"target": {"a.example"}, "module": {"nope"}}, 400},
		{"a form of ours, sent through a proxy", "https://outside.example", url.Values{"target": {"a.example"}}, 303},
		{"a form of somebody else's page", "http://evil.example", url.Values{"target": {"a.example"}}, 403},
		{"a target with spaces around it, as copying brings them", "", url.Values{"target": {" a.example\t"}}, 303},
		{"a form without end", "", url.Values{"target": {strings.Repeat("a", 20<<10)}}, 400},
	} {
		if response := f.submit(test.form, test.origin); response.StatusCode != test.status {
			t.Errorf("%s: %s, want %d", test.name, response.Status, test.status)
		}
	}
	f.wantMetric(`dane_exporter_probes_total{module="smtp",outcome="refused"} 1`)
}

// TestFormForAddress: of an address the form wants to know the name, and of nothing else.
func TestFormForAddress(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	for target, want := range map[string]bool{"192.0.2.1": true, "192.0.2.1:25": true, "2001:db8::1": true, "[2001:db8::1]:25": true, "a.example": false, "a.example:25": false} {
		if _, page := f.get("/report?module=smtp&target=" + url.QueryEscape(target)); strings.Contains(page, `<input name="hostname"`) != want {
			t.Errorf("of %s the name is asked for: want %t", target, want)
		}
	}
}

// TestFormWithoutHistory: where nothing is kept the report is the answer itself.
func TestFormWithoutHistory(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), func(_ *config.Config, o *Options) { o.HistoryLimit = 0 })
	response := f.submit(url.Values{"target": {"bad.example"}}, "")
	var body bytes.Buffer
	body.ReadFrom(response.Body)
	if response.StatusCode != 200 || !strings.Contains(body.String(), "<h1>bad.example</h1>") || strings.Contains(body.String(), "format=json") {
		t.Errorf("%s\n%s", response.Status, &body)
	}
}

// TestFormTooMany: no place for another probe.
func TestFormTooMany(t *testing.T) {
	slow := newBlocking()
	f := newFixture(t, slow, func(c *config.Config, _ *Options) { c.Limits = config.Limits{Probes: 1} })
	done := make(chan struct{})
	go func() { f.get("/probe?target=a.example"); close(done) }()
	<-slow.began
	if response := f.submit(url.Values{"target": {"a.example"}}, ""); response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
		t.Errorf("%s", response.Status)
	}
	close(slow.end)
	<-done
}

// TestLastFailure: what failed in the night is still there when all is well again.
func TestLastFailure(t *testing.T) {
	var outcome probe.Outcome
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		r := instant(ctx, target, module)
		r.Verdict = probe.Verdict{Outcome: outcome, Success: outcome == probe.Authenticated}
		return r
	}), func(_ *config.Config, o *Options) { o.HistoryLimit = 3 })
	for _, outcome = range []probe.Outcome{probe.Unreachable, probe.Refused, probe.Authenticated, probe.Authenticated, probe.Authenticated} {
		f.get("/probe?target=a.example")
	}
	f.wantIn("/report?target=a.example", 200, `<a href="/report?number=2">refused</a>`)
	f.wantIn("/report?number=2", 200, `<span class="badge bad">refused</span>`)
	f.wantIn("/report?number=1", 404)
	f.wantIn("/", 200, "Last failure of each target", `<a href="/report?number=2">a.example</a>`)
}

// TestHistoryBytes: the oldest make room, and what is too large is not kept.
func TestHistoryBytes(t *testing.T) {
	s := shelf{limit: 100}
	for number := range uint64(40) {
		s.put(&past{Number: number, bytes: 1 << 20})
	}
	if len(s.kept) != 32 || s.bytes != 32<<20 || s.kept[0].Number != 8 {
		t.Errorf("%d reports of %d bytes from number %d", len(s.kept), s.bytes, s.kept[0].Number)
	}
	s.drop(func(p *past) bool { return p.Number%2 == 0 })
	if len(s.kept) != 16 || s.bytes != 16<<20 || s.newest(func(p *past) bool { return p.Number == 38 }) != nil {
		t.Errorf("%d reports of %d bytes", len(s.kept), s.bytes)
	}

	h := newHistory(10)
	large := &probe.Report{}
	for i := range 3000 {
		large.Verdict.Findings = append(large.Verdict.Findings, probe.Finding{Reason: probe.TLSAMismatch, Detail: fmt.Sprint(i, strings.Repeat("x", 1000))})
	}
	if number := h.add(large); number != 0 || len(h.recent.kept) != 0 {
		t.Errorf("a report of several megabytes is kept as %d", number)
	}
}

// TestResolvers: what the self-check found is told, escaped; before it, whom we shall ask.
func TestResolvers(t *testing.T) {
	var found *dnssec.SelfCheckResult
	f := newFixture(t, proberFunc(instant), func(_ *config.Config, o *Options) {
		o.Examined = func() *dnssec.SelfCheckResult { return found }
	})
	f.wantIn("/", 200, "Not examined yet: <code>system</code>.")
	found = &dnssec.SelfCheckResult{Resolvers: []dnssec.Health{{Server: "192.0.2.53:53"}, {Server: "192.0.2.54:53", Problem: dnssec.ProblemNoTCP, Why: "<does not answer>"}}}
	f.wantIn("/", 200, `<code>192.0.2.53:53</code> <span class="badge good">good</span>`,
		`<code>192.0.2.54:53</code> <span class="badge bad">No TCP</span> &lt;does not answer&gt;`)
}

// TestStatic: what pages need beside, to be kept as long as it is the same.
func TestStatic(t *testing.T) {
	f := newFixture(t, proberFunc(instant), nil)
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml; charset=utf-8"} {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest("GET", f.pages.asset("", name), nil))
		if w.Code != 200 || w.Header().Get("Content-Type") != kind || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
	if status, _ := f.get("/static/nothing.css"); status != 404 {
		t.Errorf("what is not there: %d", status)
	}
}
