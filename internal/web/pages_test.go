package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/internal/report"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

// verdicts is a prober that returns without a delay: targets that begin with "bad"
// are refused, all others are authenticated.
func verdicts(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
	r := instant(ctx, target, module)
	if strings.HasPrefix(target.Name, "bad") {
		r.Verdict = dane.Verdict{Outcome: dane.Refused, Findings: []dane.Finding{
			{Reason: dane.TLSAMismatch, Host: "mx." + target.Name, Port: 25, Detail: "<b>another key</b>"},
		}}
	}
	return r
}

// submit posts the form as a browser does from a page of that origin.
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

// wantPage checks the status of the page at a path, and that it contains all of
// these texts.
func (f *fixture) wantPage(path string, status int, texts ...string) {
	f.t.Helper()
	got, body := f.get(path)
	if got != status {
		f.t.Errorf("%s: got status %d, want %d", path, got, status)
	}
	for _, text := range texts {
		if !strings.Contains(body, text) {
			f.t.Errorf("%s does not contain %s:\n%s", path, text, body)
		}
	}
}

// TestFrontPage: the front page has the form, and the targets, failures first.
func TestFrontPage(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	for _, target := range []string{"a.example", "bad.example", "c.example"} {
		f.get("/probe?target=" + target)
	}
	f.wantPage("/", 200, `<form class="ask" action="./report" method="post">`, "<option selected>smtp_mx</option>",
		`<a href="./report?module=smtp_mx&amp;target=c.example">c.example</a>`, `<span class="badge bad">refused</span>`, "<td>TLSA mismatch</td>")
	if _, page := f.get("/"); !strings.HasPrefix(fmt.Sprint(rowTargets(page)), "[bad ") {
		t.Errorf("the first target is not the one that is refused:\n%s", page)
	}
}

// TestReportPage: reports are found by number, or by target and module, as alerts link to them.
func TestReportPage(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	f.get("/probe?target=a.example")
	f.get("/probe?target=bad.example&module=smtp")
	f.wantPage("/report?number=1", 200, "<h1>a.example</h1>", "authenticated")
	f.wantPage("/report?target=A.example.", 200, "<h1>a.example</h1>")
	f.wantPage("/report?target=bad.example&module=smtp", 200, "<h3>TLSA mismatch ", "mx.bad.example port 25", "&lt;b&gt;another key&lt;/b&gt;", "Publish the record for the certificate")
	f.wantPage("/report?target=bad.example", 200, `<span class="badge bad">critical</span> Does not meet the requirement of the module (<code>dane</code>).`, "<h1>bad.example</h1>", `<p class="over">Module smtp</p>`) // of any module
	f.wantPage("/report?target=bad.example&module=smtp_mx", 404, "No report is stored", `value="bad.example"`)
	f.wantPage("/report?number=7", 404, "No report is stored")
	f.wantPage("/report?number=x", 400, "number: &#34;x&#34; is not the number of a report")
	f.wantPage("/report", 400, "the target is empty")
	f.wantPage("/report?target=a.example&module=nope", 400, "unknown module")
	f.wantPage("/report?target=%22%3E%3Cscript%3E", 400, `&#34;&gt;&lt;script&gt;`)
	f.wantPage("/report?number=1&format=xml", 400, "is not one of: html, json")
}

func TestReportJSON(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	f.get("/probe?target=bad.example")
	status, body := f.get("/report?target=bad.example&format=json")
	d, err := report.ReadJSON([]byte(body))
	if err != nil || status != 200 || d.Outcome != "refused" || d.Findings[0].Reason != "tlsa_mismatch" {
		t.Errorf("%d %v\n%s", status, err, body)
	}
	if status, body := f.get("/report?target=other.example&format=json"); status != 404 || strings.Count(body, "\n") != 1 || json.Valid([]byte(body)) {
		t.Errorf("got %d %q, want 404 and one line of text", status, body)
	}
}

// TestForm: the form starts a probe and redirects to its report.
func TestForm(t *testing.T) {
	var asked probe.Target
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		asked = target
		return verdicts(ctx, target, module)
	}), func(_ *config.Config, o *Options) {
		o.ExternalURL = &url.URL{Scheme: "https", Host: "outside.example", Path: "/"}
	})
	response := f.submit(url.Values{"target": {"192.0.2.1:25"}, "hostname": {"bad.example"}, "module": {"smtp"}}, "http://exporter.example")
	if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != "./report?number=1" {
		t.Fatalf("got %s, Location %q", response.Status, response.Header.Get("Location"))
	}
	if asked.String() != "192.0.2.1 as bad.example port 25" {
		t.Errorf("probed %s, want 192.0.2.1 as bad.example port 25", asked)
	}
	f.wantPage("/report?number=1", 200, `name="target" value="192.0.2.1:25"`, `name="hostname" value="bad.example"`, `name="module" value="smtp"`)
	f.wantMetric(`dane_exporter_probes_total{module="smtp",outcome="refused"} 1`)

	for _, test := range []struct {
		name, origin string
		form         url.Values
		status       int
	}{
		{"missing target", "", url.Values{}, 400},
		{"unknown module", "", url.Values{"target": {"a.example"}, "module": {"nope"}}, 400},
		{"our own form through a proxy", "https://outside.example", url.Values{"target": {"a.example"}}, 303},
		{"form of another origin", "http://evil.example", url.Values{"target": {"a.example"}}, 403},
		{"target with surrounding spaces", "", url.Values{"target": {" a.example\t"}}, 303},
		{"form above the size limit", "", url.Values{"target": {strings.Repeat("a", 20<<10)}}, 400},
	} {
		if response := f.submit(test.form, test.origin); response.StatusCode != test.status {
			t.Errorf("%s: %s, want %d", test.name, response.Status, test.status)
		}
	}
	f.wantMetric(`dane_exporter_probes_total{module="smtp",outcome="refused"} 1`)
}

// TestFormForAddress: the form has the field hostname only if the target is an address.
func TestFormForAddress(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	for target, want := range map[string]bool{"192.0.2.1": true, "192.0.2.1:25": true, "2001:db8::1": true, "[2001:db8::1]:25": true, "a.example": false, "a.example:25": false} {
		if _, page := f.get("/report?module=smtp&target=" + url.QueryEscape(target)); strings.Contains(page, `<input name="hostname"`) != want {
			t.Errorf("%s: got hostname field %t, want %t", target, !want, want)
		}
	}
}

// TestFormWithoutHistory: without a history, the answer is the report itself.
func TestFormWithoutHistory(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), func(_ *config.Config, o *Options) { o.HistoryLimit = 0 })
	response := f.submit(url.Values{"target": {"bad.example"}}, "")
	var body bytes.Buffer
	body.ReadFrom(response.Body)
	if response.StatusCode != 200 || !strings.Contains(body.String(), "<h1>bad.example</h1>") || strings.Contains(body.String(), "format=json") {
		t.Errorf("%s\n%s", response.Status, &body)
	}
}

// TestFormTooMany: the form gets 503 if too many probes are in flight.
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

// TestLastFailure: the last failed report of a target is kept after it has recovered.
func TestLastFailure(t *testing.T) {
	var outcome dane.Outcome
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		r := instant(ctx, target, module)
		r.Verdict = dane.Verdict{Outcome: outcome, Success: outcome == dane.Authenticated}
		return r
	}), func(_ *config.Config, o *Options) { o.HistoryLimit = 3 })
	for _, outcome = range []dane.Outcome{dane.Unreachable, dane.Refused, dane.Authenticated, dane.Authenticated, dane.Authenticated} {
		f.get("/probe?target=a.example")
	}
	f.wantPage("/report?target=a.example", 200, `<a href="./report?number=2">refused</a>`)
	f.wantPage("/report?number=2", 200, `<span class="badge bad">refused</span>`)
	f.wantPage("/report?number=1", 404)
	f.wantPage("/report?number=3", 200)
	f.wantPage("/", 200, `<small><a href="./report?number=2">last failure</a></small>`)
}

// TestSeverityOnPages: report and front page show the severity of the verdict, in its colour.
func TestSeverityOnPages(t *testing.T) {
	for severity, verdict := range map[string]dane.Verdict{
		`<span class="badge good">ok</span>`:          {Outcome: dane.Authenticated, Success: true},
		`<span class="badge fair">warning</span>`:     {Outcome: dane.Authenticated, Findings: []dane.Finding{{Reason: dane.TLSAMismatch}}},
		`<span class="badge bad">critical</span>`:     {Outcome: dane.Unreachable, Findings: []dane.Finding{{Reason: dane.ConnectFailed}}},
		`<span class="badge internal">unknown</span>`: {Outcome: dane.Authenticated, Findings: []dane.Finding{{Reason: dane.LimitExceeded}}},
	} {
		f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
			r := instant(ctx, target, module)
			r.Verdict = verdict
			return r
		}), nil)
		f.get("/probe?target=a.example")
		f.wantPage("/report?number=1", 200, severity+map[bool]string{true: " Meets the", false: " Does not meet the"}[verdict.Success])
		if _, page := f.get("/?list=probes"); strings.Contains(page, severity+" ") == verdict.Success {
			t.Errorf("list of probes, want %s only if it is not ok:\n%s", severity, page)
		}
	}
}

// TestMTASTSRefusedPage: a probe that succeeds is critical if MTA-STS senders are refused.
func TestMTASTSRefusedPage(t *testing.T) {
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		r := instant(ctx, target, module)
		r.Verdict = dane.Verdict{Outcome: dane.Authenticated, Success: true, MTASTS: &dane.MTASTSVerdict{Senders: dane.Senders{MTASTS: dane.Refused}}}
		return r
	}), nil)
	f.get("/probe?target=a.example")
	f.wantPage("/report?number=1", 200, `<section class="verdict bad">`, `<span class="badge bad">critical</span> Meets the`, "MTA-STS senders do not deliver.")
}

// TestZoneAtFaultOnPages: the report names the zone that is the only cause of the outcome, and
// the zone of a finding.
func TestZoneAtFaultOnPages(t *testing.T) {
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		r := instant(ctx, target, module)
		r.Verdict = dane.Verdict{Outcome: dane.Refused, FaultZone: "example", Findings: []dane.Finding{{Reason: dane.DNSSECBogus, Lookup: dane.LookupMX, Zone: "example"}}}
		return r
	}), nil)
	f.get("/probe?target=a.example")
	f.wantPage("/report?number=1", 200, `The zone <code class="zone">example</code> is the only cause of the outcome.`, "lookup MX, zone at fault example")
}

// TestResolversOfModuleOnPage: the report names the resolvers of a module that has its own.
func TestResolversOfModuleOnPage(t *testing.T) {
	var resolver *probe.ResolverSettings
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		r := instant(ctx, target, module)
		r.Module.Resolver = resolver
		return r
	}), nil)
	f.get("/probe?target=a.example")
	if _, page := f.get("/report?number=1"); strings.Contains(page, "resolvers of the module") {
		t.Errorf("a module without its own resolver has one on the page:\n%s", page)
	}
	resolver = &probe.ResolverSettings{Servers: []string{"192.0.2.53", "tls://192.0.2.54#<dns.example>"}}
	f.get("/probe?target=b.example")
	f.wantPage("/report?number=2", 200, "Lookups through the resolvers of the module: <code>192.0.2.53</code>, <code>tls://192.0.2.54#&lt;dns.example&gt;</code>.")
}

// TestResolvers: the front page shows the result of the self-check, escaped, and before it the
// configured resolvers.
func TestResolvers(t *testing.T) {
	var found []collector.SelfCheck
	f := newFixture(t, proberFunc(instant), func(_ *config.Config, o *Options) {
		o.SelfChecks = func() []collector.SelfCheck { return found }
	})
	f.wantPage("/", 200, "Not checked yet: <code>system</code>.")
	found = []collector.SelfCheck{
		{Modules: []string{""}, Result: dnssec.SelfCheckResult{Resolvers: []dnssec.Health{{Server: "192.0.2.53:53"}, {Server: "192.0.2.54:53", Problem: dnssec.ProblemNoTCP, Why: "<does not answer>"}}}},
		{Modules: []string{"a", "b"}, Result: dnssec.SelfCheckResult{Resolvers: []dnssec.Health{{Server: "192.0.2.55:53"}}}},
	}
	f.wantPage("/", 200, `<code>192.0.2.53:53</code> <span class="badge good">OK</span></li>`,
		`<code>192.0.2.54:53</code> <span class="badge bad">No TCP</span> &lt;does not answer&gt;</li>`,
		`<code>192.0.2.55:53</code> <span class="badge good">OK</span> <span class="quiet">module a</span> <span class="quiet">module b</span></li>`)
}

// TestInvisibleCharacters: no page or answer contains control, format or separator
// characters of requests, resolvers or reports, raw or as a character reference.
// Characters that change the direction of writing make a text look like another text.
func TestInvisibleCharacters(t *testing.T) {
	invisible := []rune("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u2060\ufeff\u2028\u2029\u00ad\u0085\u001b\U000e0001")
	hostile := "a" + string(invisible) + "b"
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		r := instant(ctx, target, module)
		r.Target.Asked = hostile
		r.Verdict.Findings = []dane.Finding{{Reason: dane.TLSAMismatch, Host: hostile, Detail: hostile}}
		r.Facts.Hosts = []dane.Host{{Name: hostile, A: &dnssec.Answer{Name: hostile, Why: hostile, Server: hostile, EDE: []string{hostile}, Err: errors.New(hostile)}}}
		return r
	}), func(_ *config.Config, o *Options) {
		o.SelfChecks = func() []collector.SelfCheck {
			return []collector.SelfCheck{{Modules: []string{""}, Result: dnssec.SelfCheckResult{Resolvers: []dnssec.Health{{Server: hostile, Problem: dnssec.ProblemNoTCP, Why: hostile}}}}}
		}
	})
	check := func(name, body string) {
		t.Helper()
		for _, text := range []string{body, html.UnescapeString(body)} {
			if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && slices.Contains(invisible, r) }); i >= 0 {
				t.Errorf("%s has an invisible character: %q", name, text[max(0, i-40):min(len(text), i+40)])
			}
		}
	}
	q := url.QueryEscape(hostile)
	for _, path := range []string{
		"/probe?target=good.example", "/probe?target=good.example&debug=true", "/", "/?list=probes", "/metrics", "/?q=" + q, "/?module=" + q, "/?sort=" + q, "/config?module=" + q, "/config?format=" + q, "/report?number=1&host=" + q, "/report?target=good.example", "/report?number=1", "/report?number=1&format=json", "/report?target=" + q,
		"/report?target=a.example&hostname=" + q, "/report?target=192.0.2.1&module=smtp&hostname=" + q, "/report?target=a.example&module=" + q, "/report?number=" + q, "/report?target=a.example&format=" + q,
		"/report?format=json&target=" + q, "/report?format=json&target=a.example&module=" + q, "/report?format=json&number=" + q,
		"/probe?target=" + q, "/probe?target=a.example&module=" + q, "/probe?target=192.0.2.1&hostname=" + q, "/probe?target=a.example&debug=" + q, "/probe?target=a.example&at=" + q, "/probe?target=a.example&" + q + "=1",
		"/probe?target=http://" + q, "/probe?target=a/" + q, "/probe?target=a@" + q, "/probe?target=" + q + ":x", "/" + url.PathEscape(hostile), "/docs/" + url.PathEscape(hostile), "/static/" + url.PathEscape(hostile),
	} {
		_, body := f.get(path)
		check(path, body)
	}
	_, body := f.get("/probe?target=good.example", scrapeTimeoutHeader, hostile)
	check("timeout of the scrape", body)
	for _, form := range []url.Values{{"target": {hostile}}, {"target": {"a.example"}, "module": {hostile}}, {"target": {"192.0.2.1"}, "module": {"smtp"}, "hostname": {hostile}}} {
		response := f.submit(form, "")
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: %s, %v", form, response.Status, err)
		}
		check("the form", string(body))
	}
}

// TestStatic: browsers may cache static files under their versioned URL.
func TestStatic(t *testing.T) {
	f := newFixture(t, proberFunc(instant), nil)
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml; charset=utf-8"} {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest("GET", f.renderer.asset("", name), nil))
		if w.Code != 200 || w.Header().Get("Content-Type") != kind || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
	if status, _ := f.get("/static/nothing.css"); status != 404 {
		t.Errorf("missing file: status %d", status)
	}
}
