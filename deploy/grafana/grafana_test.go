// Package grafana tests that the dashboards and alert rules for Grafana use only metrics
// that exist. internal/integration checks with a real Prometheus that each query
// returns data.
package grafana

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"dane_exporter/collector"
)

// dashboard has the parts of Grafana's classic dashboard model that the tests use.
type dashboard struct {
	UID           string
	Title         string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type string
			Query      any // a string for a data source, an object for a query
		}
	}
	Panels []struct {
		ID          int
		Type, Title string
		Description string
		GridPos     struct{ H, W, X, Y int }
		Targets     []struct{ RefID, Expr string }
	}
}

// dashboards returns all dashboards by file name.
func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("dashboards: %v, %v", files, err)
	}
	all := make(map[string]dashboard)
	for _, file := range files {
		var d dashboard
		if err := json.Unmarshal(read(t, file), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[file] = d
	}
	return all
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestDashboards checks that each dashboard has a unique identity, and that its panels
// have descriptions and do not overlap.
func TestDashboards(t *testing.T) {
	seen := make(map[string]string)
	once := func(file, what string) {
		if other, ok := seen[what]; ok {
			t.Errorf("%s: %s is also in %s", file, what, other)
		}
		seen[what] = file
	}
	for file, d := range dashboards(t) {
		if d.UID == "" || d.Title == "" || d.SchemaVersion == 0 {
			t.Errorf("%s: uid %q, title %q, schemaVersion %d; all are required", file, d.UID, d.Title, d.SchemaVersion)
		}
		once(file, "uid "+d.UID)
		once(file, "title "+d.Title)
		var names []string
		for _, v := range d.Templating.List {
			names = append(names, v.Name)
		}
		if len(names) < 2 || names[0] != "datasource" || names[1] != "job" {
			t.Errorf("%s: variables %q, want the data source and the job first", file, names)
		}
		taken := make(map[[2]int]string)
		for _, p := range d.Panels {
			if p.ID == 0 || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
				t.Errorf("%s: panel %d %q lacks its ID, title, description or query", file, p.ID, p.Title)
			}
			once(file, fmt.Sprintf("panel %d of %s", p.ID, file))
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					if other, ok := taken[at]; ok || at[0] > 23 {
						t.Fatalf("%s: %q overlaps %q, or exceeds the width, at %v", file, p.Title, other, at)
					}
					taken[at] = p.Title
				}
			}
		}
	}
}

// TestOutcomeRanks checks that queries which rank outcomes take the worst, and not the sum,
// if several exporters or modules probe a domain.
func TestOutcomeRanks(t *testing.T) {
	ranked := 0
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if !strings.Contains(target.Expr, "6 * ") {
					continue
				}
				ranked++
				if !strings.HasPrefix(target.Expr, "max by ") {
					t.Errorf("%s: %s does not take the maximum: %s", file, p.Title, target.Expr)
				}
			}
		}
	}
	if ranked < 5 {
		t.Errorf("only %d queries rank outcomes", ranked)
	}
}

// TestMetrics checks that queries use only metrics that are exported or recorded.
func TestMetrics(t *testing.T) {
	known := exported()
	for _, name := range recorded(t) {
		known[name] = true
	}
	check := func(where, expression string) {
		names := metricsOf(expression)
		if len(names) == 0 {
			t.Errorf("%s uses no metric: %s", where, expression)
		}
		for _, name := range names {
			if !known[name] && !known[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s uses %s, which does not exist: %s", where, name, expression)
			}
		}
	}
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				check(file+": "+p.Title, target.Expr)
			}
		}
		for _, v := range d.Templating.List {
			if object, ok := v.Query.(map[string]any); ok {
				check(file+": variable "+v.Name, object["query"].(string))
			}
		}
	}
	for _, rule := range rules(t) {
		check(rule.Title, rule.Data[0].Model.Expr)
	}
}

// alertRule has the parts of a rule in a provisioning file that the tests use.
type alertRule struct {
	UID, Title, Condition, For string
	NoDataState                string `yaml:"noDataState"`
	ExecErrState               string `yaml:"execErrState"`
	Labels, Annotations        map[string]string
	Data                       []struct {
		RefID         string `yaml:"refId"`
		DatasourceUID string `yaml:"datasourceUid"`
		Model         struct {
			RefID      string `yaml:"refId"`
			Expr       string
			Expression string
			Type       string
		}
	}
}

func rules(t *testing.T) []alertRule {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alertRule }
	}
	if err := yaml.Unmarshal(read(t, "provisioning/alerting/dane.yml"), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 {
		t.Fatalf("%d groups, want 1", len(file.Groups))
	}
	return file.Groups[0].Rules
}

// TestAlertRules checks that each rule has the severity, duration and runbook of the
// Prometheus alert with the same name, and that a lost series sends no notification.
func TestAlertRules(t *testing.T) {
	grafanaRules := rules(t)
	if len(grafanaRules) != 5 {
		t.Errorf("%d rules, want 5", len(grafanaRules))
	}
	alerts := make(map[string]prometheusRule)
	for _, rule := range prometheusRules(t) {
		alerts[rule.Alert] = rule
	}
	uids := make(map[string]bool)
	for _, rule := range grafanaRules {
		if rule.UID == "" || uids[rule.UID] {
			t.Errorf("%s: uid %q is empty or not unique", rule.Title, rule.UID)
		}
		uids[rule.UID] = true
		if rule.NoDataState != "OK" || rule.ExecErrState != "KeepLast" {
			t.Errorf("%s: noDataState %s, execErrState %s", rule.Title, rule.NoDataState, rule.ExecErrState)
		}
		query, threshold := rule.Data[0], rule.Data[1]
		if threshold.RefID != rule.Condition || threshold.DatasourceUID != "__expr__" || threshold.Model.Type != "threshold" ||
			threshold.Model.Expression != query.RefID || query.Model.RefID != query.RefID || threshold.Model.RefID != threshold.RefID {
			t.Errorf("%s: the condition is not a threshold on the query", rule.Title)
		}
		alert, ok := alerts[rule.Title]
		if !ok {
			t.Errorf("Prometheus has no alert %s", rule.Title)
		}
		if rule.For != alert.For || !maps.Equal(rule.Labels, alert.Labels) ||
			rule.Annotations["runbook_url"] != strings.ReplaceAll(alert.Annotations["runbook_url"], "$labels", ".Labels") {
			t.Errorf("%s: for %s, %v, %s; Prometheus has for %s, %v, %s", rule.Title, rule.For, rule.Labels, rule.Annotations["runbook_url"],
				alert.For, alert.Labels, alert.Annotations["runbook_url"])
		}
		for _, text := range rule.Annotations {
			if strings.Contains(text, "$") { // Grafana would expand it as an environment variable
				t.Errorf("%s: a dollar sign in %q", rule.Title, text)
			}
		}
	}
}

// prometheusRule is an alert or a recording rule of deploy/prometheus.
type prometheusRule struct {
	Alert, Record, For  string
	Labels, Annotations map[string]string
}

func prometheusRules(t *testing.T) []prometheusRule {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []prometheusRule }
	}
	if err := yaml.Unmarshal(read(t, "../prometheus/rules.yml"), &file); err != nil {
		t.Fatal(err)
	}
	var all []prometheusRule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

func recorded(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, rule := range prometheusRules(t) {
		if rule.Record != "" {
			names = append(names, rule.Record)
		}
	}
	return names
}

// exported returns the names of all metrics, of probes and of the exporter itself.
func exported() map[string]bool {
	names := map[string]bool{"up": true} // which Prometheus creates
	for _, metric := range slices.Concat(collector.ProbeMetrics(), collector.ExporterMetrics()) {
		names[metric.Name] = true
	}
	return names
}

var (
	notMetrics = regexp.MustCompile(`(?s)"[^"]*"|\{[^}]*\}|\b(by|on|without|group_left)\s*\([^)]*\)|\$__\w+`)
	metricName = regexp.MustCompile(`\b(up|(dane|probe|job|instance)[_:][\w:]+)\b`)
)

// metricsOf returns the names of the metrics in an expression.
func metricsOf(expression string) []string {
	names := metricName.FindAllString(notMetrics.ReplaceAllString(expression, " "), -1)
	slices.Sort(names)
	return slices.Compact(names)
}
