//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

const (
	grafanaDirectory    = "../../deploy/grafana/"
	prometheusDirectory = "../../deploy/prometheus/"
)

// dashboardDomains returns the domains of the lab that Prometheus probes, by
// module. Together they have series for every panel.
func dashboardDomains() map[string][]string {
	return map[string][]string{
		"smtp_mx": {
			"good", "two-mx-one-broken", "dane-ta", "dane-ta-expired", "ends-soon-no-next-key", "rollover", "tlsa-mismatch", "expired-signature",
			"bogus-signature", "tlsa-servfail", "no-tlsa", "unsigned", "pkix-usages-only", "connection-refused", "unparsable-certificate", "null-mx",
			"ends-soon-dane-ta",
		},
		"smtp_mx_full":    {"nameservers", "stale-secondary"},
		"smtp_mx_mta_sts": {"mta-sts-good", "mta-sts-wrong-certificate", "mta-sts-host-not-covered"},
	}
}

// emptyQueries returns the queries without data in the lab, with the reason.
func emptyQueries() map[string]string {
	return map[string]string{
		`sum by (reason) (rate(dane_exporter_probes_rejected_total{job=~"$exporter"}[$__rate_interval]))`:   "no probe is rejected",
		`sum by (server, error) (rate(dane_exporter_dns_errors_total{job=~"$exporter"}[$__rate_interval]))`: "the resolver of the lab answers every query",
	}
}

// inactiveAlerts returns the alerts that no domain of the lab raises, with the reason.
func inactiveAlerts() map[string]string {
	return map[string]string{
		"DaneSignaturesNearEnd": "signatures in the lab are either fresh or expired long ago",
	}
}

// TestDashboards runs the queries of Grafana on a Prometheus that scrapes the
// lab. Every query of every panel and variable must return data. Each alert rule
// of Grafana must fire for the same series as the Prometheus alert of that name.
// Every query of docs/queries.md must return data, too.
func TestDashboards(t *testing.T) {
	configureLoopback(t)
	dir := tempDir(t)
	start(t, dir, exec.Command(os.Getenv(binaryEnv), "lab", "--web.listen-address", exporterAddress), exporterAddress)
	p := startScrapingPrometheus(t, dir)

	for _, name := range []string{"fleet", "domain"} {
		t.Run(name, func(t *testing.T) {
			for _, query := range grafanaQueries(t, grafanaDirectory+"dashboards/"+name+".json") {
				p.checkData(t, query)
			}
		})
	}
	t.Run("queries", func(t *testing.T) {
		for _, query := range documentedQueries(t) {
			p.checkData(t, query)
		}
	})
	for _, rule := range grafanaRules(t) {
		t.Run(rule.Title, func(t *testing.T) { p.checkSameAlerts(t, rule) })
	}
}

// startScrapingPrometheus starts a Prometheus that scrapes the lab every two
// seconds and evaluates the shipped rules.
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
    static_configs: [{targets: [%q], labels: {exporter: %[2]q}}]
  - job_name: dane
    metrics_path: /probe
    relabel_configs:
      - {source_labels: [__address__], target_label: __param_target}
      - {source_labels: [__address__], target_label: instance}
      - {target_label: __address__, replacement: %[2]q}
      - {target_label: exporter, replacement: %[2]q}
    static_configs:
`, rules, exporterAddress)
	for module, names := range dashboardDomains() {
		for _, name := range names {
			fmt.Fprintf(&config, "      - {targets: [%s.lab.test], labels: {__param_module: %s}}\n", name, module)
		}
	}
	file := writeFile(t, dir, "prometheus.yml", config.String())
	start(t, dir, exec.Command(program(t, "prometheus"), "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"),
		"--web.listen-address="+prometheusAddress), prometheusAddress)
	p := promServer{until: time.Now().Add(time.Minute)}
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

// checkData checks that a query returns data for at least one domain, or for none
// if it is one of emptyQueries.
func (p promServer) checkData(t *testing.T, query string) {
	t.Helper()
	hasData := func() bool {
		for _, names := range dashboardDomains() {
			for _, name := range names {
				expression := substitute(query, name+".lab.test")
				if len(p.query(t, expression)) > 0 {
					return true
				}
				if expression == substitute(query, "") {
					return false // the query is the same for every domain
				}
			}
		}
		return false
	}
	if why, ok := emptyQueries()[query]; ok {
		if hasData() {
			t.Errorf("%s\nreturns data, although %s", query, why)
		}
		return
	}
	if !p.waitFor(hasData) {
		t.Errorf("%s\nreturns no data", query)
	}
}

// substitute replaces Grafana's variables in a query.
func substitute(query, domain string) string {
	return strings.NewReplacer(
		"$job", "dane", "$exporter", "dane_exporter", "$instance", domain, "$host", ".*", "$__rate_interval", "20s",
	).Replace(query)
}

// grafanaQueries returns the distinct queries of a dashboard. The variable query
// label_values(metric, label) becomes a count of the metric by the label.
func grafanaQueries(t *testing.T, file string) []string {
	t.Helper()
	var board struct {
		Panels     []struct{ Targets []struct{ Expr string } }
		Templating struct{ List []struct{ Query any } }
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &board); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	queries := make(map[string]bool)
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			queries[target.Expr] = true
		}
	}
	for _, variable := range board.Templating.List {
		if object, ok := variable.Query.(map[string]any); ok {
			inner := strings.TrimSuffix(strings.TrimPrefix(object["query"].(string), "label_values("), ")")
			comma := strings.LastIndex(inner, ", ")
			queries[fmt.Sprintf("count by (%s) (%s)", inner[comma+2:], inner[:comma])] = true
		}
	}
	if len(queries) < 10 {
		t.Fatalf("%s: found only %d queries", file, len(queries))
	}
	return slices.Sorted(maps.Keys(queries))
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
	return file.Groups[0].Rules
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
		p.checkData(t, rule.Data[0].Model.Expr)
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
		all = append(all, strings.Join([]string{s.Metric["instance"], s.Metric["host"], s.Metric["port"], s.Metric["reason"]}, " "))
	}
	slices.Sort(all)
	return all
}
