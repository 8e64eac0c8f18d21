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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"gopkg.in/yaml.v3"

	"dane_exporter/collector"
)

// dashboard has the parts of Grafana's classic dashboard model that the tests use.
type dashboard struct {
	UID           string
	Title         string
	SchemaVersion int
	Links         []link
	Templating    struct{ List []variable }
	Annotations   struct {
		List []struct {
			Name   string
			Target struct{ Expr string }
		}
	}
	Panels []panel
}

type variable struct {
	Name, Type string
	Query      any // a string for a data source, an object for a query
}

type link struct{ Title, URL string }

type panel struct {
	ID          int
	Type, Title string
	Description string
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct{ RefID, Expr, Format string }
	FieldConfig struct {
		Defaults  field
		Overrides []struct {
			Matcher    struct{ ID, Options string }
			Properties []struct {
				ID    string
				Value json.RawMessage
			}
		}
	}
	Options struct {
		YAxis struct{ Unit string }
	}
	Transformations []struct {
		ID      string
		Options struct {
			ExcludeByName map[string]bool
			RenameByName  map[string]string
			IndexByName   map[string]int
		}
	}
	Collapsed bool
	Panels    []panel // of a collapsed row
}

// A field has the properties of a displayed value.
type field struct {
	Unit, NoValue string
	Mappings      []struct {
		Type    string
		Options map[string]struct{ Text, Color string }
	}
	Links []link
}

// all returns the panels of the dashboard, including those inside of rows, but no rows.
func (d dashboard) all() []panel {
	var all []panel
	for _, p := range d.Panels {
		if p.Type == "row" {
			all = append(all, p.Panels...)
		} else {
			all = append(all, p)
		}
	}
	return all
}

// variables returns the names of the variables of the dashboard.
func (d dashboard) variables() []string {
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
	}
	return names
}

// columns returns the overridden properties of each column of a table, by its name. The
// value of the property links is decoded too.
func (p panel) columns(t *testing.T) map[string]field {
	t.Helper()
	columns := make(map[string]field)
	for _, transformation := range p.Transformations {
		for name := range transformation.Options.IndexByName {
			if renamed, ok := transformation.Options.RenameByName[name]; ok {
				name = renamed
			}
			columns[name] = field{}
		}
	}
	for _, override := range p.FieldConfig.Overrides {
		if override.Matcher.ID != "byName" {
			t.Errorf("%s: matcher %q", p.Title, override.Matcher.ID)
		}
		column, ok := columns[override.Matcher.Options]
		if p.Type == "table" && !ok {
			t.Errorf("%s has no column %q", p.Title, override.Matcher.Options)
		}
		properties := make(map[string]json.RawMessage)
		for _, property := range override.Properties {
			properties[property.ID] = property.Value
		}
		content, err := json.Marshal(properties)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(content, &column); err != nil {
			t.Errorf("%s: column %s: %v", p.Title, override.Matcher.Options, err)
		}
		columns[override.Matcher.Options] = column
	}
	return columns
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

// TestDashboards checks that each dashboard has a unique identity and its variables, and
// that its panels have descriptions, say why they are empty, and do not overlap.
func TestDashboards(t *testing.T) {
	seen := make(map[string]string)
	once := func(file, what string) {
		if other, ok := seen[what]; ok {
			t.Errorf("%s: %s is also in %s", file, what, other)
		}
		seen[what] = file
	}
	variables := map[string][]string{
		"dashboards/fleet.json":    {"datasource", "job", "module"},
		"dashboards/domain.json":   {"datasource", "job", "module", "instance", "host"},
		"dashboards/exporter.json": {"datasource", "exporter_job", "exporter_instance"},
	}
	for file, d := range dashboards(t) {
		if d.UID == "" || d.Title == "" || d.SchemaVersion == 0 {
			t.Errorf("%s: uid %q, title %q, schemaVersion %d; all are required", file, d.UID, d.Title, d.SchemaVersion)
		}
		once(file, "uid "+d.UID)
		once(file, "title "+d.Title)
		if !slices.Equal(d.variables(), variables[file]) {
			t.Errorf("%s: variables %q, want %q", file, d.variables(), variables[file])
		}
		checkPositions(t, file, d.Panels)
		open := true
		for _, row := range d.Panels {
			once(file, fmt.Sprintf("panel %d of %s", row.ID, file))
			if row.Type != "row" {
				continue
			}
			if !open && !row.Collapsed || row.Collapsed != (len(row.Panels) > 0) {
				t.Errorf("%s: row %s: collapsed %v, with %d panels, after collapsed rows: %v", file, row.Title, row.Collapsed, len(row.Panels), !open)
			}
			open = !row.Collapsed
			checkPositions(t, file, row.Panels)
			for _, p := range row.Panels {
				once(file, fmt.Sprintf("panel %d of %s", p.ID, file))
			}
		}
		for _, p := range d.all() {
			if p.ID == 0 || p.Title == "" || p.Description == "" || len(p.Targets) == 0 || p.FieldConfig.Defaults.NoValue == "" {
				t.Errorf("%s: panel %d %q lacks its ID, title, description, query or text for no value", file, p.ID, p.Title)
			}
		}
	}
}

// checkPositions checks that panels which are visible together do not overlap.
func checkPositions(t *testing.T, file string, panels []panel) {
	t.Helper()
	taken := make(map[[2]int]string)
	for _, p := range panels {
		if p.GridPos.W == 0 || p.GridPos.H == 0 {
			t.Errorf("%s: %q has no size", file, p.Title)
		}
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

// TestValues checks that every number has a unit or stands for a word, and that every
// such word has a colour, and every colour a word.
func TestValues(t *testing.T) {
	words := 0
	check := func(where string, f field, numeric bool) {
		if numeric && f.Unit == "" && len(f.Mappings) == 0 {
			t.Errorf("%s has neither a unit nor words", where)
		}
		for _, mapping := range f.Mappings {
			for value, word := range mapping.Options {
				words++
				if word.Text == "" || word.Color == "" {
					t.Errorf("%s: the value %s has text %q and color %q", where, value, word.Text, word.Color)
				}
			}
		}
	}
	for file, d := range dashboards(t) {
		for _, p := range d.all() {
			where := file + ": " + p.Title
			if p.Type == "heatmap" {
				p.FieldConfig.Defaults.Unit = p.Options.YAxis.Unit
			}
			check(where, p.FieldConfig.Defaults, p.Type != "table")
			columns := p.columns(t)
			for name, column := range columns {
				check(where+": "+name, column, false)
			}
			for _, name := range p.valueColumns() {
				check(where+": "+name, columns[name], true)
			}
		}
	}
	if words < 100 {
		t.Errorf("found only %d words", words)
	}
}

// valueColumns returns the names under which a table shows the values of its queries.
func (p panel) valueColumns() []string {
	if p.Type != "table" {
		return nil
	}
	options := p.Transformations[len(p.Transformations)-1].Options
	var names []string
	for _, target := range p.Targets {
		name := "Value"
		if len(p.Targets) > 1 {
			name += " #" + target.RefID
		}
		if options.ExcludeByName[name] {
			continue
		}
		if renamed, ok := options.RenameByName[name]; ok {
			name = renamed
		}
		names = append(names, name)
	}
	return names
}

// TestTables checks that the queries of tables return rows, and that each table shows or
// hides each label of its queries.
func TestTables(t *testing.T) {
	grouped := regexp.MustCompile(`^(?:[-+*\d\s.()]|time\(\)|(?:bottomk|topk)\(\d+,|bottomk by \(zone\)|\(1,)*(?:max|min|sum|count) by \(([^)]*)\)`)
	tables := 0
	for file, d := range dashboards(t) {
		for _, p := range d.all() {
			if p.Type != "table" {
				continue
			}
			tables++
			options := p.Transformations[len(p.Transformations)-1].Options
			for _, target := range p.Targets {
				if target.Format != "table" {
					t.Errorf("%s: %s: format %q", file, p.Title, target.Format)
				}
				if strings.Contains(target.Expr, "label_replace(min by") {
					continue // a union of metrics with different labels
				}
				match := grouped.FindStringSubmatch(target.Expr)
				if match == nil {
					t.Errorf("%s: %s does not group by labels: %s", file, p.Title, target.Expr)
					continue
				}
				labels := strings.Split(match[1], ", ")
				if strings.Contains(target.Expr, "group_left (external_url)") {
					labels = append(labels, "external_url")
				}
				for _, label := range labels {
					if _, shown := options.IndexByName[label]; !shown && !options.ExcludeByName[label] {
						t.Errorf("%s: %s neither shows nor hides the label %s", file, p.Title, label)
					}
				}
			}
		}
	}
	if tables < 10 {
		t.Errorf("found only %d tables", tables)
	}
}

// TestLinks checks that links lead to dashboards that exist and set variables that they
// have, and that the links use only variables and columns that are defined.
func TestLinks(t *testing.T) {
	all := dashboards(t)
	byUID := make(map[string]dashboard)
	for _, d := range all {
		byUID[d.UID] = d
	}
	reference := regexp.MustCompile(`\$\{([^}:]+)(?::\w+)?\}`)
	toDashboard := regexp.MustCompile(`^/d/([\w-]+)\?`)
	set := regexp.MustCompile(`[?&]var-(\w+)=`)
	links := 0
	check := func(file string, d dashboard, l link, columns map[string]field) {
		links++
		for _, match := range reference.FindAllStringSubmatch(l.URL+l.Title, -1) {
			name := match[1]
			column, ofRow := strings.CutPrefix(name, "__data.fields.")
			_, exists := columns[column]
			_, ofSeries := strings.CutPrefix(name, "__field.labels.")
			if ofRow && !exists || !ofRow && !ofSeries && name != "__url_time_range" && !slices.Contains(d.variables(), name) {
				t.Errorf("%s: link %s: %s is not defined", file, l.Title, name)
			}
		}
		to := toDashboard.FindStringSubmatch(l.URL)
		if to == nil {
			if !strings.Contains(l.URL, "/report?target=") && !strings.Contains(l.URL, "/docs/runbook.md#") {
				t.Errorf("%s: link %s leads to %s", file, l.Title, l.URL)
			}
			return
		}
		for _, match := range set.FindAllStringSubmatch(l.URL, -1) {
			if !slices.Contains(byUID[to[1]].variables(), match[1]) {
				t.Errorf("%s: link %s: the dashboard %s has no variable %s", file, l.Title, to[1], match[1])
			}
		}
		if byUID[to[1]].UID == "" {
			t.Errorf("%s: link %s: there is no dashboard %s", file, l.Title, to[1])
		}
	}
	for file, d := range all {
		if len(d.Links) != len(all)-1 {
			t.Errorf("%s: %d links, want one to each other dashboard", file, len(d.Links))
		}
		for _, l := range d.Links {
			check(file, d, l, nil)
		}
		for _, p := range d.all() {
			columns := p.columns(t)
			for _, l := range p.FieldConfig.Defaults.Links {
				check(file, d, l, columns)
			}
			for _, column := range columns {
				for _, l := range column.Links {
					check(file, d, l, columns)
				}
			}
		}
	}
	if links < 12 {
		t.Errorf("found only %d links", links)
	}
}

// TestOutcomeRanks checks that queries which rank outcomes take the worst, and not the sum,
// if several exporters or modules probe a domain.
func TestOutcomeRanks(t *testing.T) {
	ranked := 0
	for file, d := range dashboards(t) {
		for _, p := range d.all() {
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
		for _, a := range d.Annotations.List {
			check(file+": annotation "+a.Name, a.Target.Expr)
		}
		for _, p := range d.all() {
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
	var all []alertRule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// TestAlertRules checks that each rule has the severity, duration and section of the
// runbook of the Prometheus alert with the same name, and that a lost series sends no
// notification. The start of the link differs: templates of Grafana cannot query the URL of
// the exporter.
func TestAlertRules(t *testing.T) {
	grafanaRules := rules(t)
	if len(grafanaRules) < 5 {
		t.Errorf("%d rules, want at least the five most important alerts", len(grafanaRules))
	}
	alerts := make(map[string]prometheusRule)
	for _, rule := range prometheusRules(t) {
		alerts[rule.Alert] = rule
	}
	recordingRules := recorded(t)
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
		// The recording rules may not be installed.
		for _, name := range metricsOf(query.Model.Expr) {
			if slices.Contains(recordingRules, name) {
				t.Errorf("%s: the query needs the recording rule %s", rule.Title, name)
			}
		}
		alert, ok := alerts[rule.Title]
		if !ok {
			t.Errorf("Prometheus has no alert %s", rule.Title)
		}
		exporter, section, _ := strings.Cut(rule.Annotations["runbook_url"], "/docs/runbook.md#")
		_, wantSection, _ := strings.Cut(strings.ReplaceAll(alert.Annotations["runbook_url"], "$labels", ".Labels"), "/docs/runbook.md#")
		if rule.For != alert.For || !maps.Equal(rule.Labels, alert.Labels) || section == "" || section != wantSection {
			t.Errorf("%s: for %s, %v, section %s; Prometheus has for %s, %v, section %s", rule.Title, rule.For, rule.Labels, section,
				alert.For, alert.Labels, wantSection)
		}
		if !strings.Contains(exporter, ".Labels.exporter }}http://") {
			t.Errorf("%s: the link to the runbook starts with %s, not with the label exporter", rule.Title, exporter)
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
	descriptions := make(chan *prometheus.Desc, 1000)
	collectors.NewGoCollector().Describe(descriptions)
	collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}).Describe(descriptions)
	close(descriptions)
	for description := range descriptions {
		names[fullName.FindStringSubmatch(description.String())[1]] = true
	}
	return names
}

var (
	fullName   = regexp.MustCompile(`fqName: "(\w+)"`)
	anyOf      = regexp.MustCompile(`\{__name__=~"([^"]*)"[^}]*\}`)
	notMetrics = regexp.MustCompile(`(?s)"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on|without|group_left)\s*\([^)]*\)|\$__\w+`)
	metricName = regexp.MustCompile(`\b(up|(dane|probe|go|process)_\w+|\w+:\w[\w:]*)\b`)
)

// metricsOf returns the names of the metrics in an expression.
func metricsOf(expression string) []string {
	expression = anyOf.ReplaceAllString(expression, " $1 ")
	names := metricName.FindAllString(notMetrics.ReplaceAllString(expression, " "), -1)
	slices.Sort(names)
	return slices.Compact(names)
}
