package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/net/html"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/internal/lab"
	"dane_exporter/internal/web"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// labServer starts a server in the lab, with the built-in modules and those of the
// lab.
func labServer(t *testing.T) *httptest.Server {
	t.Helper()
	example, err := os.ReadFile("../../config.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	defaults, err := config.Defaults(example)
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("the lab's modules", []byte(lab.Modules), defaults)
	if err != nil {
		t.Fatal(err)
	}
	c.Access.AllowNetworks = lab.Networks()
	now := func() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }
	l, err := lab.New(now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	prober := probe.New(probe.Environment{Now: now, Dial: l.Dial, DNS: l.DNS(), Query: l.Query, Anchors: l.Anchors(), Roots: l.Roots()},
		probe.Settings{Access: c.Access, HandshakeReuse: c.Limits.HandshakeReuse})
	registry := prometheus.NewPedanticRegistry()
	server := web.New(web.Options{
		Exporter:    collector.NewExporter(registry, "", prober.Resolver("").Stats, noSelfChecks),
		SelfChecks:  noSelfChecks,
		Registry:    registry,
		Logger:      slog.New(slog.DiscardHandler),
		ProbeLogger: slog.New(slog.DiscardHandler),
		ExternalURL: &url.URL{Path: "/"}, RoutePrefix: "/", TimeoutOffset: 500 * time.Millisecond, HistoryLimit: 1000,
	})
	server.Use(c, prober)
	ctx, cancel := context.WithCancel(context.Background())
	served := httptest.NewUnstartedServer(nil)
	served.Config = server.HTTPServer(ctx)
	served.Start()
	t.Cleanup(func() { cancel(); served.Close() })
	return served
}

// fetch requests /probe as Prometheus does.
func fetch(server *httptest.Server, query string, seconds float64, format expfmt.Format) (string, error) {
	request, err := http.NewRequest("GET", server.URL+"/probe?"+query, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", string(format))
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(seconds))
	response, err := server.Client().Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

// TestSeriesCount checks the number of samples in both series modes, and that the
// summary has no sample that the full set lacks.
func TestSeriesCount(t *testing.T) {
	server := labServer(t)
	for _, test := range []struct {
		target        string
		full, summary int // maximum number of samples
	}{
		{"good.lab.test", 60, 20},
		{"dane-ta.lab.test", 60, 20},
		{"two-mx-one-broken.lab.test", 95, 20},
		{"expired-signature.lab.test", 60, 20},
		{"unsigned.lab.test", 60, 20},
		{"null-mx.lab.test", 60, 20},
	} {
		t.Run(test.target, func(t *testing.T) {
			full, summary := samplesOf(t, server, test.target, "smtp_mx"), samplesOf(t, server, test.target, "lab_summary")
			t.Logf("%d samples in full, %d in the summary", len(full), len(summary))
			if len(full) > test.full || len(summary) > test.summary {
				t.Errorf("%d samples in full, %d in the summary; want at most %d and %d", len(full), len(summary), test.full, test.summary)
			}
			for series, value := range summary {
				if other, ok := full[series]; series != "probe_duration_seconds" && (!ok || other != value) {
					t.Errorf("the summary has %s %s, the full set %q", series, value, other)
				}
			}
		})
	}
}

// samplesOf probes a target and returns the value of each series.
func samplesOf(t *testing.T, server *httptest.Server, target, module string) map[string]string {
	t.Helper()
	body, err := fetch(server, "target="+target+"&module="+module, 30, expfmt.NewFormat(expfmt.TypeTextPlain))
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]string)
	for line := range strings.Lines(body) {
		if at := strings.LastIndexByte(line, ' '); at > 0 && !strings.HasPrefix(line, "#") {
			series, _, _ := strings.Cut(line[:at], ",address=") // the summary has no addresses
			values[series] = strings.TrimSpace(line[at:])
		}
	}
	return values
}

// TestScenarios scrapes every scenario of the lab. The metrics must parse, pass the
// linter, and have the outcome, success and reasons of the scenario. The text and
// the page must have its outcome and reasons.
func TestScenarios(t *testing.T) {
	server := labServer(t)
	for _, scenario := range lab.Scenarios() {
		t.Run(scenario.Name, func(t *testing.T) {
			t.Parallel()
			seconds := 30.0
			if slices.Contains(scenario.Reasons, string(dane.Timeout)) {
				seconds = 6.5 // the probe runs until its timeout
			}
			query := "target=" + scenario.Target() + "&module=" + scenario.Module
			body, err := fetch(server, query, seconds, expfmt.NewFormat(expfmt.TypeTextPlain))
			if err != nil {
				t.Fatal(err)
			}
			families := lint(t, body)
			if got := label(families, "dane_outcome", "outcome"); !slices.Equal(got, []string{scenario.Outcome}) {
				t.Errorf("%s\ngot outcome %v, want %s", scenario.Description, got, scenario.Outcome)
			}
			if got := families["probe_success"].Metric[0].Gauge.GetValue() == 1; got != scenario.Success {
				t.Errorf("%s\ngot success %t, want %t", scenario.Description, got, scenario.Success)
			}
			want := slices.Sorted(slices.Values(scenario.Reasons))
			if got := label(families, "dane_finding", "reason"); !slices.Equal(got, want) {
				t.Errorf("%s\ngot reasons %v, want %v", scenario.Description, got, want)
			}

			for _, series := range scenario.Absent {
				if found, _ := matching(t, families, series+" 0"); len(found) > 0 {
					t.Errorf("%s\nseries %s in\n%s", scenario.Description, series, body)
				}
			}
			for _, series := range scenario.Series {
				if !shows(t, families, series) {
					t.Errorf("%s\nno series %s in\n%s", scenario.Description, series, body)
				}
			}

			text, err := fetch(server, query+"&debug=true", seconds, expfmt.NewFormat(expfmt.TypeTextPlain))
			if err != nil || !strings.Contains(text, ": "+scenario.Outcome+": ") {
				t.Errorf("debug: %v\n%s", err, text)
			}
			for _, reason := range scenario.Reasons {
				if !strings.Contains(text, "  "+reason+" (") {
					t.Errorf("the text does not have the reason %s:\n%s", reason, text)
				}
			}
			page := wellFormed(t, server, "/report?"+query)
			if len(page) > maxReportPage {
				t.Errorf("the page has %d bytes, want at most %d", len(page), maxReportPage)
			}
			for _, reason := range scenario.Reasons {
				if !strings.Contains(page, "<code>"+reason+"</code></a></p>") {
					t.Errorf("the page does not have the reason %s", reason)
				}
			}
			if !strings.Contains(page, ">"+scenario.Outcome+"</span>") {
				t.Errorf("the page does not have the outcome %s", scenario.Outcome)
			}
		})
	}
}

// maxReportPage is the maximum size of the page of a report of the lab, in bytes.
const maxReportPage = 150_000

// TestLabReportSize: the page of a report stays small for fifty hosts, with all optional checks.
func TestLabReportSize(t *testing.T) {
	server := labServer(t)
	for _, name := range []string{"fifty-mx-one-broken", "hundreds-of-mx", "hundreds-of-addresses", "thousand-tlsa"} {
		for _, module := range []string{"smtp_mx", "smtp_mx_full"} {
			query := "target=" + name + ".lab.test&module=" + module
			if _, err := fetch(server, query, 30, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
				t.Fatal(err)
			}
			page := wellFormed(t, server, "/report?"+query)
			t.Logf("%s, %s: %d bytes", name, module, len(page))
			if len(page) > maxReportPage {
				t.Errorf("%s, %s: the page has %d bytes, want at most %d", name, module, len(page), maxReportPage)
			}
		}
	}
	const host = "mx49.fifty-mx-one-broken.lab.test"
	page := wellFormed(t, server, "/report?target=fifty-mx-one-broken.lab.test&host="+host)
	if got := strings.Count(page, `class="service"`); got != 1 || !strings.Contains(page, `<span class="name">`+host) {
		t.Errorf("the page of one host has %d", got)
	}
	for query, want := range map[string]int{"host=mx50.lab.test": http.StatusNotFound, "format=json&host=" + host: http.StatusBadRequest} {
		response, err := server.Client().Get(server.URL + "/report?target=fifty-mx-one-broken.lab.test&" + query)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %s, want %d", query, response.Status, want)
		}
	}
}

// wellFormed fetches a page. Its elements must be nested correctly, its only script
// must be our own, and it must not contain control or bidirectional characters.
func wellFormed(t *testing.T, server *httptest.Server, path string) string {
	t.Helper()
	response, err := server.Client().Get(server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("%s: %s, %v", path, response.Status, err)
	}
	void := []string{"meta", "link", "input", "br"}
	var open []string
	scripts := 0
	for tokens := html.NewTokenizer(bytes.NewReader(page)); ; {
		switch kind := tokens.Next(); kind {
		case html.ErrorToken:
			if tokens.Err() != io.EOF || len(open) > 0 || scripts != 1 {
				t.Errorf("%s: %v, %d scripts, unclosed elements: %q", path, tokens.Err(), scripts, open)
			}
			if bytes.ContainsAny(page, "\x00\x1b\u202e\u2028") || !utf8.Valid(page) {
				t.Errorf("%s: unprintable characters", path)
			}
			return string(page)
		case html.StartTagToken:
			name, _ := tokens.TagName()
			if string(name) == "script" {
				scripts++
			}
			if !slices.Contains(void, string(name)) {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := tokens.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("%s: </%s> within %q", path, name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

// TestLabFrontPage: the front page lists probes with findings.
func TestLabFrontPage(t *testing.T) {
	server := labServer(t)
	for _, name := range []string{"good", "tlsa-mismatch", "hostile-subject"} {
		if _, err := fetch(server, "target="+name+".lab.test", 30, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
			t.Fatal(err)
		}
	}
	if page := wellFormed(t, server, "/"); !strings.Contains(page, "tlsa-mismatch.lab.test</a>") {
		t.Errorf("no link to a report in\n%s", page)
	}
}

// TestLabMTASTS: the report page shows the MTA-STS policy, its record, the
// certificate of the policy host, and whether each address passes.
func TestLabMTASTS(t *testing.T) {
	server := labServer(t)
	const ask = "target=mta-sts-pkix-refuses.lab.test&module=smtp_mx_mta_sts"
	if _, err := fetch(server, ask, 30, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
		t.Fatal(err)
	}
	page := wellFormed(t, server, "/report?"+ask)
	for _, wanted := range []string{
		"mode enforce, max_age 7 days", "<dt>Record</dt><dd>id <code>", " <small>certificate expires 2",
		"</code> satisfies MTA-STS: no, the chain as sent does not lead to the system roots", "TXT <code>_mta-sts.mta-sts-pkix-refuses.lab.test.</code>",
	} {
		if !strings.Contains(page, wanted) {
			t.Errorf("no %s in\n%s", wanted, page)
		}
	}
}

// TestLabPolicies: the report page shows the policy of a service if it differs from
// that of the module.
func TestLabPolicies(t *testing.T) {
	server := labServer(t)
	const ask = "target=services-good.lab.test&module=mail_server"
	if _, err := fetch(server, ask, 30, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
		t.Fatal(err)
	}
	page := wellFormed(t, server, "/report?"+ask)
	if got := strings.Count(page, "<dt>Policy</dt><dd>smtp-relay</dd>"); got != 1 {
		t.Errorf("got policy smtp-relay at %d services, want it at port 25 only:\n%s", got, page)
	}
}

// TestLabHandshakes: the report page marks a handshake that was reused from another
// probe. A probe from the form makes its own.
func TestLabHandshakes(t *testing.T) {
	server := labServer(t)
	for range 2 {
		if _, err := fetch(server, "target=good.lab.test", 30, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
			t.Fatal(err)
		}
	}
	if page := wellFormed(t, server, "/report?target=good.lab.test"); !strings.Contains(page, "Handshake of another probe, made 2") {
		t.Errorf("the handshake is not marked as reused:\n%s", page)
	}
	response, err := server.Client().PostForm(server.URL+"/report", url.Values{"target": {"good.lab.test"}, "module": {"smtp_mx"}})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 || strings.Contains(string(page), "Handshake of another probe") {
		t.Errorf("probe from the form: %s, %v\n%s", response.Status, err, page)
	}
}

// lint parses metrics and returns them by name. They must pass the linter.
func lint(t *testing.T, body string) map[string]*dto.MetricFamily {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Fatalf("%v, %v in\n%s", err, problems, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// shows reports whether series with the labels of a line in text format exist, all with
// its value.
func shows(t *testing.T, families map[string]*dto.MetricFamily, line string) bool {
	t.Helper()
	found, value := matching(t, families, line)
	other := func(m *dto.Metric) bool { return m.Gauge.GetValue() != value }
	return len(found) > 0 && !slices.ContainsFunc(found, other)
}

// matching returns the series with the name and at least the labels of a line in text
// format, and the value of the line.
func matching(t *testing.T, families map[string]*dto.MetricFamily, line string) (found []*dto.Metric, value float64) {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(line + "\n"))
	if err != nil || len(parsed) != 1 {
		t.Fatalf("%s is not one series: %v", line, err)
	}
	for name, wanted := range parsed {
		want := wanted.Metric[0]
		value = want.Untyped.GetValue()
		for _, metric := range families[name].GetMetric() {
			lacks := func(pair *dto.LabelPair) bool {
				return !slices.ContainsFunc(metric.Label, func(p *dto.LabelPair) bool {
					return p.GetName() == pair.GetName() && p.GetValue() == pair.GetValue()
				})
			}
			if !slices.ContainsFunc(want.Label, lacks) {
				found = append(found, metric)
			}
		}
	}
	return found, value
}

// label returns the values of a label over all series of a name that are 1, sorted
// and without duplicates.
func label(families map[string]*dto.MetricFamily, series, name string) []string {
	var values []string
	for _, metric := range families[series].GetMetric() {
		for _, pair := range metric.Label {
			if pair.GetName() == name && metric.Gauge.GetValue() == 1 {
				values = append(values, pair.GetValue())
			}
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// TestFormats: the text format and OpenMetrics have the same series.
func TestFormats(t *testing.T) {
	server := labServer(t)
	var series [2]string
	for i, format := range []expfmt.FormatType{expfmt.TypeTextPlain, expfmt.TypeOpenMetrics} {
		body, err := fetch(server, "target=hostile-subject.lab.test", 30, expfmt.NewFormat(format))
		if err != nil {
			t.Fatal(err)
		}
		if format == expfmt.TypeOpenMetrics && !strings.HasSuffix(body, "\n# EOF\n") {
			t.Errorf("OpenMetrics without # EOF:\n%s", body)
		}
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "dane_certificate_info") || strings.HasPrefix(line, "dane_tlsa_record_match") {
				labels, _, _ := strings.Cut(line, "} ")
				series[i] += labels + "\n"
			}
		}
	}
	if series[0] != series[1] || strings.Count(series[0], "\n") != 2 {
		t.Errorf("text format:\n%s\nOpenMetrics:\n%s", series[0], series[1])
	}
}

// TestManyScrapes: of fifty concurrent scrapes of different targets, each gets its
// own result.
func TestManyScrapes(t *testing.T) {
	server := labServer(t)
	outcomes := map[string]string{"good": "authenticated", "tlsa-mismatch": "refused", "null-mx": "none"}
	var wait sync.WaitGroup
	for i := range 50 {
		name := []string{"good", "tlsa-mismatch", "null-mx"}[i%3]
		wait.Go(func() {
			body, err := fetch(server, "target="+name+".lab.test", 30, expfmt.NewFormat(expfmt.TypeTextPlain))
			if err != nil || !strings.Contains(body, fmt.Sprintf("\ndane_outcome{outcome=%q} 1\n", outcomes[name])) {
				t.Errorf("%s: %v\n%s", name, err, body)
			}
		})
	}
	wait.Wait()
}

func noSelfChecks() []collector.SelfCheck { return nil }
