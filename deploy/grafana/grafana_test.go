// Package grafana holds dashboards and alert rules for Grafana to what the
// exporter exports. That each query brings data is seen by
// internal/integration, which asks a real Prometheus.
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

	"github.com/prometheus/client_golang/prometheus"
	"gopkg.in/yaml.v3"

	"dane_exporter/collector"
	"dane_exporter/probe/dnssec"
)

// dashboard is what the tests look at of Grafana's classic dashboard model.
type dashboard struct {
	UID           string
	Title         string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type string
			Query      any // text of a data source's, an object of a query's
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

// dashboards reads all, by file name.
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

// TestDashboards: each is one that Grafana can tell from the others, and its
// panels tell their reader what they show and lie beside one another.
func TestDashboards(t *testing.T) {
	seen := make(map[string]string)
	once := func(file, what string) {
		if other, ok := seen[what]; ok {
			t.Errorf("%s: %s is in %s too", file, what, other)
		}
		seen[what] = file
	}
	for file, d := range dashboards(t) {
		if d.UID == "" || d.Title == "" || d.SchemaVersion == 0 {
			t.Errorf("%s: uid %q, title %q, schemaVersion %d; want all", file, d.UID, d.Title, d.SchemaVersion)
		}
		once(file, "uid "+d.UID)
		once(file, "title "+d.Title)
		var names []string
		for _, v := range d.Templating.List {
			names = append(names, v.Name)
		}
		if len(names) < 2 || names[0] != "datasource" || names[1] != "job" {
			t.Errorf("%s: variables %q; want the data source and the job first", file, names)
		}
		taken := make(map[[2]int]string)
		for _, p := range d.Panels {
			if p.ID == 0 || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
				t.Errorf("%s: panel %d %q lacks its number, title, description or query", file, p.ID, p.Title)
			}
			once(file, fmt.Sprintf("panel %d of %s", p.ID, file))
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					if other, ok := taken[at]; ok || at[0] > 23 {
						t.Fatalf("%s: %q lies upon %q, or beyond the edge, at %v", file, p.Title, other, at)
					}
					taken[at] = p.Title
				}
			}
		}
	}
}

// TestRanks: where several exporters or modules probe a domain, its outcomes are
// not added up: the worst counts.
func TestRanks(t *testing.T) {
	ranked := 0
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if !strings.Contains(target.Expr, "6 * ") {
					continue
				}
				ranked++
				if !strings.HasPrefix(target.Expr, "max by ") {
					t.Errorf("%s: %s adds up: %s", file, p.Title, target.Expr)
				}
			}
		}
	}
	if ranked < 5 {
		t.Errorf("only %d queries rank outcomes", ranked)
	}
}

// TestMetrics: no query asks for what nobody exports or records.
func TestMetrics(t *testing.T) {
	known := exported(t)
	for _, name := range recorded(t) {
		known[name] = true
	}
	check := func(where, expression string) {
		names := metricsOf(expression)
		if len(names) == 0 {
			t.Errorf("%s asks for no metric: %s", where, expression)
		}
		for _, name := range names {
			if !known[name] && !known[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s asks for %s, which nobody exports: %s", where, name, expression)
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

// alertRule is what the tests look at of a rule in a provisioning file.
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
		t.Fatalf("%d groups, want one", len(file.Groups))
	}
	return file.Groups[0].Rules
}

// TestAlertRules: they are alerts that Prometheus has too, as severe and as
// patient, and a lost series is no page.
func TestAlertRules(t *testing.T) {
	ours := rules(t)
	if len(ours) != 5 {
		t.Errorf("%d rules, want five", len(ours))
	}
	theirs := make(map[string]prometheusRule)
	for _, rule := range prometheusRules(t) {
		theirs[rule.Alert] = rule
	}
	uids := make(map[string]bool)
	for _, rule := range ours {
		if rule.UID == "" || uids[rule.UID] {
			t.Errorf("%s: uid %q is empty or another's", rule.Title, rule.UID)
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
		their, ok := theirs[rule.Title]
		if !ok {
			t.Errorf("%s is no alert of Prometheus", rule.Title)
		}
		if rule.For != their.For || !maps.Equal(rule.Labels, their.Labels) ||
			rule.Annotations["runbook_url"] != strings.ReplaceAll(their.Annotations["runbook_url"], "$labels", ".Labels") {
			t.Errorf("%s: for %s, %v, %s; Prometheus has for %s, %v, %s", rule.Title, rule.For, rule.Labels, rule.Annotations["runbook_url"],
				their.For, their.Labels, their.Annotations["runbook_url"])
		}
		for _, text := range rule.Annotations {
			if strings.Contains(text, "$") { // Grafana would put environment variables there
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

// exported is the names of all series, of probes and of the exporter itself.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{"up": true} // Prometheus's own
	for _, series := range collector.AllSeries() {
		names[series.Name] = true
	}
	list := &lister{}
	collector.NewExporter(list, func() dnssec.Stats { return dnssec.Stats{} }, func() *dnssec.SelfCheckResult { return nil })
	described := regexp.MustCompile(`fqName: "([^"]+)"`)
	for _, description := range list.descriptions {
		names[described.FindStringSubmatch(description)[1]] = true
	}
	return names
}

// lister is a registry that notes what is registered.
type lister struct{ descriptions []string }

func (l *lister) Register(c prometheus.Collector) error {
	descriptions := make(chan *prometheus.Desc)
	go func() { c.Describe(descriptions); close(descriptions) }()
	for d := range descriptions {
		l.descriptions = append(l.descriptions, d.String())
	}
	return nil
}

func (l *lister) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		_ = l.Register(c) // it returns nil
	}
}

func (l *lister) Unregister(prometheus.Collector) bool { return false }

var (
	notMetrics = regexp.MustCompile(`(?s)"[^"]*"|\{[^}]*\}|\b(by|on|without|group_left)\s*\([^)]*\)|\$__\w+`)
	metricName = regexp.MustCompile(`\b(up|(dane|probe|job|instance)[_:][\w:]+)\b`)
)

// metricsOf finds the metrics that an expression asks for.
func metricsOf(expression string) []string {
	names := metricName.FindAllString(notMetrics.ReplaceAllString(expression, " "), -1)
	slices.Sort(names)
	return slices.Compact(names)
}
