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
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

const (
	dashboardsLab        = "127.0.0.1:10126"
	dashboardsPrometheus = "127.0.0.1:9091"
	grafanaDirectory     = "../../deploy/grafana/"
	prometheusDirectory  = "../../deploy/prometheus/"
)

// dashboardDomains are the lab's domains that Prometheus probes, and their
// modules: between them they have a series for every panel.
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

// silent are queries that bring nothing from the lab, and why.
func silent() map[string]string {
	return map[string]string{
		`sum by (reason) (rate(dane_exporter_probes_rejected_total{job=~"$exporter"}[$__rate_interval]))`:   "no probe is turned away",
		`sum by (server, error) (rate(dane_exporter_dns_errors_total{job=~"$exporter"}[$__rate_interval]))`: "each query to the lab's resolver is answered",
	}
}

// quiet are alerts that nothing in the lab raises, and why.
func quiet() map[string]string {
	return map[string]string{
		"DaneSignaturesNearEnd": "signatures in the lab are either young or have ended long ago",
	}
}

// TestDashboards asks a real Prometheus, which scraped the lab, all that
// Grafana would: every query of every panel and of every variable must bring
// data, and each of Grafana's alert rules must find what Prometheus's own alert
// of that name finds.
func TestDashboards(t *testing.T) {
	bringUpLoopback(t)
	dir := directory(t)
	start(t, dir, exec.Command(os.Getenv(binaryVariable), "lab", "--web.listen-address", dashboardsLab), dashboardsLab)
	p := startDashboardsPrometheus(t, dir)

	for _, name := range []string{"fleet", "domain"} {
		t.Run(name, func(t *testing.T) {
			for _, query := range grafanaQueries(t, grafanaDirectory+"dashboards/"+name+".json") {
				p.seeData(t, query)
			}
		})
	}
	t.Run("queries", func(t *testing.T) {
		for _, query := range documentedQueries(t) {
			p.seeData(t, query)
		}
	})
	for _, rule := range grafanaRules(t) {
		t.Run(rule.Title, func(t *testing.T) { p.seeSame(t, rule) })
	}
}

// startDashboardsPrometheus has Debian's Prometheus scrape the lab with the
// shipped rules, more often than anybody would outside a test.
func startDashboardsPrometheus(t *testing.T, dir string) dashboardsServer {
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
`, rules, dashboardsLab)
	for module, names := range dashboardDomains() {
		for _, name := range names {
			fmt.Fprintf(&config, "      - {targets: [%s.lab.test], labels: {__param_module: %s}}\n", name, module)
		}
	}
	file := write(t, dir, "prometheus.yml", config.String())
	start(t, dir, exec.Command(program(t, "prometheus"), "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"),
		"--web.listen-address="+dashboardsPrometheus), dashboardsPrometheus)
	p := dashboardsServer{until: time.Now().Add(time.Minute)}
	ready := func() bool {
		response, err := http.Get("http://" + dashboardsPrometheus + "/-/ready")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	if !p.await(ready) {
		t.Fatal("Prometheus is not ready")
	}
	return p
}

// dashboardsServer is Prometheus as Grafana's data source.
type dashboardsServer struct {
	until time.Time // whatever has not come by then does not come
}

// A sampleOf a query is one series and its value.
type sampleOf struct {
	Metric map[string]string
	Value  [2]any // Unix seconds, and the value as text
}

// query asks for the present.
func (p dashboardsServer) query(t *testing.T, expression string) []sampleOf {
	t.Helper()
	response, err := http.PostForm("http://"+dashboardsPrometheus+"/api/v1/query", url.Values{"query": {expression}})
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
		Data          struct{ Result []sampleOf }
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s\n%s: %v, %s", expression, response.Status, err, body)
	}
	return answer.Data.Result
}

// await asks until the answer is as wanted, or time is up.
func (p dashboardsServer) await(wanted func() bool) bool {
	retry := time.NewTicker(200 * time.Millisecond)
	defer retry.Stop()
	for !wanted() {
		if time.Now().After(p.until) {
			return false
		}
		<-retry.C
	}
	return true
}

// seeData fails the test where a query brings no data for any of the domains,
// or brings some though it is said not to.
func (p dashboardsServer) seeData(t *testing.T, query string) {
	t.Helper()
	brings := func() bool {
		for _, names := range dashboardDomains() {
			for _, name := range names {
				filled := fill(query, name+".lab.test")
				if len(p.query(t, filled)) > 0 {
					return true
				}
				if filled == fill(query, "") {
					return false // the same for every domain
				}
			}
		}
		return false
	}
	if why, ok := silent()[query]; ok {
		if brings() {
			t.Errorf("%s\nbrings data, though %s", query, why)
		}
		return
	}
	if !p.await(brings) {
		t.Errorf("%s\nbrings no data", query)
	}
}

// fill puts in what Grafana would for its variables.
func fill(query, domain string) string {
	return strings.NewReplacer(
		"$job", "dane", "$exporter", "dane_exporter", "$instance", domain, "$host", ".*", "$__rate_interval", "20s",
	).Replace(query)
}

// grafanaQueries are all that a dashboard asks its data source, each once. A
// variable's label_values(metric, label) is asked as the metric.
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
		t.Fatalf("%s: %d queries; were they all found?", file, len(queries))
	}
	return slices.Sorted(maps.Keys(queries))
}

// grafanaRule is a query, and the threshold that makes its value an alert.
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

// expression is the query with its threshold, as PromQL.
func (r grafanaRule) expression(t *testing.T) string {
	t.Helper()
	evaluator := r.Data[1].Model.Conditions[0].Evaluator
	comparison, ok := map[string]string{"gt": ">", "lt": "<"}[evaluator.Type]
	if !ok || len(evaluator.Params) != 1 {
		t.Fatalf("%s: evaluator %+v", r.Title, evaluator)
	}
	return fmt.Sprintf("(%s) %s %g", r.Data[0].Model.Expr, comparison, evaluator.Params[0])
}

// seeSame fails the test where Grafana's rule is not true of just what
// Prometheus's alert of that name is pending or firing for, or of nothing; for
// an alert that is quiet, where its query brings no data or anything is found.
func (p dashboardsServer) seeSame(t *testing.T, rule grafanaRule) {
	t.Helper()
	if _, ok := quiet()[rule.Title]; ok {
		p.seeData(t, rule.Data[0].Model.Expr)
		if found := about(p.query(t, rule.expression(t))); len(found) > 0 {
			t.Errorf("it finds %q; strike it off the list of quiet alerts", found)
		}
		return
	}
	var here, there []string
	same := func() bool {
		here = about(p.query(t, rule.expression(t)))
		there = about(p.query(t, fmt.Sprintf("ALERTS{alertname=%q}", rule.Title)))
		return len(here) > 0 && slices.Equal(here, there)
	}
	if !p.await(same) {
		t.Errorf("Grafana finds %q, Prometheus %q", here, there)
	}
}

// about says what samples are about, sorted.
func about(samples []sampleOf) []string {
	var all []string
	for _, s := range samples {
		all = append(all, strings.Join([]string{s.Metric["instance"], s.Metric["host"], s.Metric["port"], s.Metric["reason"]}, " "))
	}
	slices.Sort(all)
	return all
}
