//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

const (
	grafanaDirectory    = "../../deploy/grafana/"
	prometheusDirectory = "../../deploy/prometheus/"
)

// The lab runs twice: once with a URL for its links, and once without.
const (
	externalURL           = "https://dane.example.net"
	secondExporterAddress = "127.0.0.1:10128"
)

// Jobs of Prometheus that probe the lab, by the series of their modules.
const (
	fullJob    = "dane"
	summaryJob = "dane_summary"
)

// summaryModules is a configuration with modules of the series summary.
const summaryModules = `modules:
  smtp_mx_summary: {series: summary}
  smtp_mx_full_summary: {series: summary, mta_sts: true, nameservers: true}
`

// A probed is a group of domains of the lab that one module and one exporter probe.
type probed struct {
	job, module, exporter string
	names                 []string
}

// dashboardDomains returns the domains of the lab that Prometheus probes. Those of each
// job together have series for every panel. Two modules and two exporters probe good.
func dashboardDomains() []probed {
	domains := []string{
		"good", "two-mx-one-broken", "dane-ta", "dane-ta-expired", "ends-soon-no-next-key", "rollover", "tlsa-mismatch", "expired-signature",
		"bogus-signature", "tlsa-servfail", "no-tlsa", "unsigned", "pkix-usages-only", "connection-refused", "unparsable-certificate", "null-mx",
		"ends-soon-dane-ta",
	}
	return []probed{
		{fullJob, "smtp_mx", exporterAddress, append(domains, "thousand-tlsa", "both-keys-tls12")},
		{fullJob, "smtp_mx_if_published", exporterAddress, []string{"good", "no-tlsa"}},
		{fullJob, "smtp_mx_full", exporterAddress, []string{"nameservers", "stale-secondary", "cds-pending"}},
		{fullJob, "smtp_mx_mta_sts", exporterAddress, []string{"mta-sts-good", "mta-sts-wrong-certificate", "mta-sts-host-not-covered"}},
		{fullJob, "lab_renewal", exporterAddress, []string{"renewal-other-ca"}},
		{fullJob, "smtp_mx", secondExporterAddress, []string{"good", "tlsa-mismatch"}},
		{summaryJob, "smtp_mx_summary", exporterAddress, domains},
		{summaryJob, "smtp_mx_full_summary", exporterAddress, []string{"nameservers", "stale-secondary", "mta-sts-good", "mta-sts-wrong-certificate"}},
	}
}

// emptyQueries returns the queries without data in the lab, by panel and refId, with the
// reason.
func emptyQueries() map[string]string {
	return map[string]string{
		"Rejected requests A":         "no probe is rejected",
		"Protected targets B":         "there is no mass loss",
		"Loss within an hour A":       "the test takes less than an hour",
		"Queries A":                   "the resolvers of the lab are in its process",
		"Queries without an answer A": "the resolvers of the lab are in its process",
		"Not probed A":                "the lab has IPv6",
	}
}

// inactiveAlerts returns the alerts that no domain of the lab raises, with the reason.
func inactiveAlerts() map[string]string {
	return map[string]string{
		"DaneSignaturesNearEnd": "signatures in the lab are either fresh or expired long ago",
	}
}

// TestDashboards runs the queries of Grafana on a Prometheus that scrapes the lab. Every
// query of every panel, variable and annotation must return data: with series: full, and
// with series: summary unless the panel says that it needs more. Each alert rule of
// Grafana must fire for the same series as the Prometheus alert of that name. Every query
// of docs/queries.md must return data, too.
func TestDashboards(t *testing.T) {
	configureLoopback(t)
	mountProc(t)
	dir := tempDir(t)
	config := writeFile(t, dir, "lab.yml", summaryModules)
	start(t, dir, exec.Command(os.Getenv(binaryEnv), "lab", "--config.file", config, "--web.listen-address", exporterAddress,
		"--web.external-url", externalURL, "--lab.control-address", labControlAddress), exporterAddress, labControlAddress)
	start(t, dir, exec.Command(os.Getenv(binaryEnv), "lab", "--web.listen-address", secondExporterAddress), secondExporterAddress)
	p := startScrapingPrometheus(t, dir)

	breakDomains(t)
	for _, name := range []string{"fleet", "domain", "exporter"} {
		t.Run(name, func(t *testing.T) {
			queries := grafanaQueries(t, grafanaDirectory+"dashboards/"+name+".json")
			for _, query := range queries {
				p.checkData(t, query, viewsOf(name, fullJob))
			}
			p.checkSummary(t, name, queries)
		})
	}
	t.Run("targets", p.checkTargets)
	t.Run("queries", func(t *testing.T) {
		for _, query := range documentedQueries(t) {
			p.checkData(t, grafanaQuery{expression: query}, []view{{}})
		}
	})
	for _, rule := range grafanaRules(t) {
		t.Run(rule.Title, func(t *testing.T) { p.checkSameAlerts(t, rule) })
	}
}

// mountProc mounts a /proc of the process namespace of the tests until the test ends. In
// that of the machine, an exporter finds another process under its own ID, or none.
func mountProc(t *testing.T) {
	t.Helper()
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatalf("make all mounts private: %v", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Fatalf("mount /proc: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount("/proc", syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount /proc: %v", err)
		}
	})
}

// breakDomains changes the outcome of one domain, and the certificate of another to one
// with a different validity, for the annotations. Prometheus has scraped both before.
func breakDomains(t *testing.T) {
	t.Helper()
	for _, name := range []string{"good", "dane-ta-expired"} {
		for _, job := range []string{fullJob, summaryJob} {
			query := fmt.Sprintf(`dane_certificate_not_before_timestamp_seconds{job=%q, instance="%s.lab.test", exporter=%q}`, job, name, exporterAddress)
			waitFor(t, "job "+job+" has probed "+name, func() bool { return hasResult(t, query) })
		}
		breakLab(t, name, "new-certificate")
	}
}

// startScrapingPrometheus starts a Prometheus that scrapes the lab every two
// seconds, with the labels of the example configurations, and evaluates the shipped rules.
func startScrapingPrometheus(t *testing.T, dir string) promServer {
	t.Helper()
	rules, err := filepath.Abs(prometheusDirectory + "rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var config strings.Builder
	fmt.Fprintf(&config, `global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 2s}
rule_files: [%q]
scrape_configs:
  - job_name: dane_exporter
    static_configs: [{targets: [%q, %q]}]
    relabel_configs:
      - {source_labels: [__address__], target_label: exporter}
`, rules, exporterAddress, secondExporterAddress)
	for _, job := range []string{fullJob, summaryJob} {
		fmt.Fprintf(&config, `  - job_name: %s
    metrics_path: /probe
    relabel_configs:
      - {source_labels: [__address__], target_label: __param_target}
      - {source_labels: [__param_target], target_label: instance}
      - {source_labels: [__param_module], target_label: module}
      - {source_labels: [exporter], target_label: __address__}
    static_configs:
`, job)
		for _, group := range dashboardDomains() {
			for _, name := range group.names {
				if group.job == job {
					fmt.Fprintf(&config, "      - {targets: [%s.lab.test], labels: {__param_module: %s, exporter: %q}}\n", name, group.module, group.exporter)
				}
			}
		}
	}
	file := writeFile(t, dir, "prometheus.yml", config.String())
	start(t, dir, exec.Command(program(t, "prometheus"), "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"),
		"--web.listen-address="+prometheusAddress), prometheusAddress)
	p := promServer{until: time.Now().Add(3 * time.Minute)} // alerts of Grafana see samples at whole minutes only
	ready := func() bool {
		response, err := http.Get("http://" + prometheusAddress + "/-/ready")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	if !p.waitFor(ready) {
		t.Fatal("Prometheus is not ready")
	}
	return p
}

// A view is what the variables of a dashboard select.
type view struct{ job, module, domain string }

// viewsOf returns the views of a dashboard in which to look for data: one of all domains
// of the job, or one of each domain.
func viewsOf(dashboard, job string) []view {
	if dashboard != "domain" {
		return []view{{job, ".*", ".*"}}
	}
	var views []view
	for _, group := range dashboardDomains() {
		for _, name := range group.names {
			if group.job == job {
				views = append(views, view{job, group.module, name + ".lab.test"})
			}
		}
	}
	return views
}

// substitute replaces Grafana's variables in a query.
func (v view) substitute(query string) string {
	return strings.NewReplacer(
		"$job", v.job, "$module", v.module, "$instance", v.domain, "$host", ".*",
		"$exporter_job", "dane_exporter", "$exporter_instance", ".*", "$__rate_interval", "20s", "$__interval", "4s",
	).Replace(query)
}

// A promServer is Prometheus as Grafana's data source.
type promServer struct {
	until time.Time // deadline for expected data
}

// A sample is one series of a result.
type sample struct {
	Metric map[string]string
	Value  [2]any // Unix seconds, and the value as text
}

// query evaluates an expression at the present time.
func (p promServer) query(t *testing.T, expression string) []sample {
	t.Helper()
	response, err := http.PostForm("http://"+prometheusAddress+"/api/v1/query", url.Values{"query": {expression}})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Status, Error string
		Data          struct{ Result []sample }
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s\n%s: %v, %s", expression, response.Status, err, body)
	}
	return answer.Data.Result
}

// waitFor polls until the condition holds, and reports whether it held in time.
func (p promServer) waitFor(holds func() bool) bool {
	retry := time.NewTicker(200 * time.Millisecond)
	defer retry.Stop()
	for !holds() {
		if time.Now().After(p.until) {
			return false
		}
		<-retry.C
	}
	return true
}

// hasData reports whether a query returns data in at least one view.
func (p promServer) hasData(t *testing.T, query grafanaQuery, views []view) bool {
	t.Helper()
	return slices.ContainsFunc(views, func(v view) bool { return len(p.query(t, v.substitute(query.expression))) > 0 })
}

// checkData checks that a query returns data in at least one view, or in none if it is
// one of emptyQueries.
func (p promServer) checkData(t *testing.T, query grafanaQuery, views []view) {
	t.Helper()
	if why, ok := emptyQueries()[query.name]; ok {
		if p.hasData(t, query, views) {
			t.Errorf("%s returns data, although %s:\n%s", query.name, why, query.expression)
		}
		return
	}
	if !p.waitFor(func() bool { return p.hasData(t, query, views) }) {
		t.Errorf("%s returns no data:\n%s", query.name, query.expression)
	}
}

// checkSummary checks that the queries of a dashboard return data with series: summary,
// except some of each panel whose description mentions series: full.
func (p promServer) checkSummary(t *testing.T, dashboard string, queries []grafanaQuery) {
	t.Helper()
	views := viewsOf(dashboard, summaryJob)
	complete := make(map[string]bool) // by panel that mentions series: full
	for _, query := range queries {
		if !query.needsFull {
			p.checkData(t, query, views)
			continue
		}
		if _, ok := complete[query.panel]; !ok {
			complete[query.panel] = true
		}
		if !p.hasData(t, query, views) {
			complete[query.panel] = false
		}
	}
	for panel, ok := range complete {
		if ok {
			t.Errorf("%s: every query returns data with series: summary, although the description mentions series: full", panel)
		}
	}
	if needs := len(complete) > 0; needs != (dashboard == "domain") {
		t.Errorf("the dashboard %s has panels that need series: full: %v", dashboard, needs)
	}
}

// checkTargets checks that the table of targets has one row for each domain, module and
// exporter, with the URL of that exporter.
func (p promServer) checkTargets(t *testing.T) {
	queries := grafanaQueries(t, grafanaDirectory+"dashboards/fleet.json")
	at := slices.IndexFunc(queries, func(q grafanaQuery) bool { return q.name == "Targets, worst first A" })
	if at < 0 {
		t.Fatal("the dashboard has no table of targets")
	}
	urls := map[string]string{exporterAddress: externalURL, secondExporterAddress: "http://" + secondExporterAddress}
	var want []string
	for _, group := range dashboardDomains() {
		for _, name := range group.names {
			if group.job == fullJob {
				want = append(want, fmt.Sprintf("%s.lab.test %s %s %s", name, group.module, group.exporter, urls[group.exporter]))
			}
		}
	}
	slices.Sort(want)
	var got []string
	complete := func() bool {
		got = nil
		for _, s := range p.query(t, view{fullJob, ".*", ""}.substitute(queries[at].expression)) {
			got = append(got, strings.Join([]string{s.Metric["instance"], s.Metric["module"], s.Metric["exporter"], s.Metric["external_url"]}, " "))
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	}
	if !p.waitFor(complete) {
		t.Errorf("targets\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A grafanaQuery is a query of a dashboard.
type grafanaQuery struct {
	name       string // of the panel with the refId, of the variable or of the annotation
	panel      string
	expression string
	needsFull  bool // whether the description of the panel mentions series: full
}

// A grafanaPanel has the parts of a panel that the test uses. A row contains panels.
type grafanaPanel struct {
	Title, Description string
	Targets            []struct{ RefID, Expr string }
	Panels             []grafanaPanel
}

func (p grafanaPanel) queries() []grafanaQuery {
	var queries []grafanaQuery
	for _, target := range p.Targets {
		queries = append(queries, grafanaQuery{
			name:       p.Title + " " + target.RefID,
			panel:      p.Title,
			expression: target.Expr,
			needsFull:  strings.Contains(p.Description, "series: full in the module"),
		})
	}
	for _, inner := range p.Panels {
		queries = append(queries, inner.queries()...)
	}
	return queries
}

// grafanaQueries returns the queries of a dashboard. The variable query
// label_values(metric, label) becomes a count of the metric by the label, and an
// annotation what it returned during the test.
func grafanaQueries(t *testing.T, file string) []grafanaQuery {
	t.Helper()
	var board struct {
		Panels     []grafanaPanel
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
		Annotations struct {
			List []struct {
				Name   string
				Target struct{ Expr string }
			}
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &board); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	queries := grafanaPanel{Panels: board.Panels}.queries()
	for _, variable := range board.Templating.List {
		if object, ok := variable.Query.(map[string]any); ok {
			inner := strings.TrimSuffix(strings.TrimPrefix(object["query"].(string), "label_values("), ")")
			comma := strings.LastIndex(inner, ", ")
			expression := fmt.Sprintf("count by (%s) (%s)", inner[comma+2:], inner[:comma])
			queries = append(queries, grafanaQuery{name: "variable " + variable.Name, expression: expression})
		}
	}
	for _, annotation := range board.Annotations.List {
		expression := fmt.Sprintf("last_over_time((%s)[5m:1s])", annotation.Target.Expr)
		queries = append(queries, grafanaQuery{name: "annotation " + annotation.Name, expression: expression})
	}
	if len(queries) < 20 {
		t.Fatalf("%s: found only %d queries", file, len(queries))
	}
	return queries
}

// documentedQueries returns the queries of docs/queries.md.
func documentedQueries(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/queries.md")
	if err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, block := range regexp.MustCompile("(?ms)^```promql\n(.*?)\n```$").FindAllSubmatch(page, -1) {
		queries = append(queries, string(block[1]))
	}
	if len(queries) < 12 {
		t.Fatalf("docs/queries.md: found only %d queries", len(queries))
	}
	return queries
}

// A grafanaRule is a query and a threshold.
type grafanaRule struct {
	Title string
	Data  []struct {
		Model struct {
			Expr       string
			Conditions []struct {
				Evaluator struct {
					Type   string
					Params []float64
				}
			}
		}
	}
}

func grafanaRules(t *testing.T) []grafanaRule {
	t.Helper()
	content, err := os.ReadFile(grafanaDirectory + "provisioning/alerting/dane.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct{ Rules []grafanaRule }
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	var rules []grafanaRule
	for _, group := range file.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// expression returns the query with its threshold as PromQL.
func (r grafanaRule) expression(t *testing.T) string {
	t.Helper()
	evaluator := r.Data[1].Model.Conditions[0].Evaluator
	comparison, ok := map[string]string{"gt": ">", "lt": "<"}[evaluator.Type]
	if !ok || len(evaluator.Params) != 1 {
		t.Fatalf("%s: evaluator %+v", r.Title, evaluator)
	}
	return fmt.Sprintf("(%s) %s %g", r.Data[0].Model.Expr, comparison, evaluator.Params[0])
}

// checkSameAlerts checks that Grafana's rule holds for exactly the series for
// which the Prometheus alert of that name is pending or firing, and for at least
// one. For one of inactiveAlerts, its query must return data, and no series above
// the threshold.
func (p promServer) checkSameAlerts(t *testing.T, rule grafanaRule) {
	t.Helper()
	if _, ok := inactiveAlerts()[rule.Title]; ok {
		p.checkData(t, grafanaQuery{name: rule.Title, expression: rule.Data[0].Model.Expr}, []view{{}})
		if found := subjects(p.query(t, rule.expression(t))); len(found) > 0 {
			t.Errorf("the rule holds for %q: remove it from inactiveAlerts", found)
		}
		return
	}
	var grafana, prometheus []string
	same := func() bool {
		grafana = subjects(p.query(t, rule.expression(t)))
		prometheus = subjects(p.query(t, fmt.Sprintf("ALERTS{alertname=%q}", rule.Title)))
		return len(grafana) > 0 && slices.Equal(grafana, prometheus)
	}
	if !p.waitFor(same) {
		t.Errorf("Grafana's rule holds for %q, the Prometheus alert for %q", grafana, prometheus)
	}
}

// subjects returns what the samples are about, sorted.
func subjects(samples []sample) []string {
	var all []string
	for _, s := range samples {
		var values []string
		for _, label := range []string{"job", "instance", "module", "exporter", "host", "port", "reason"} {
			values = append(values, s.Metric[label])
		}
		all = append(all, strings.Join(values, " "))
	}
	slices.Sort(all)
	return all
}
