package main

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"dane_exporter/collector"
	"dane_exporter/probe/dane"
)

// rule is one alert or recording of deploy/prometheus/rules.yml.
type rule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Keep        string            `yaml:"keep_firing_for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func readRules(t *testing.T) []rule {
	t.Helper()
	content, err := os.ReadFile("deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(content)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatalf("rules.yml: %v", err)
	}
	var rules []rule
	for _, group := range file.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// vocabulary is all that a rule may speak of: series with their labels, and the
// values that a label may have where those are a closed list.
type vocabulary struct {
	series map[string][]string // nil: with any label
	labels []string            // of any series
	values map[string][]string
}

func newVocabulary(t *testing.T, rules []rule) *vocabulary {
	v := &vocabulary{
		series: map[string][]string{"up": {}},
		labels: []string{"job", "instance", "exporter", "address", "key_type"},
		values: map[string][]string{
			"scope": {"zone", "parents"}, "usable": {"yes", "no", "superseded"},
			"result": {"connected", "refused", "timeout", "unreachable", "failed"},
		},
	}
	for _, s := range append(collector.ProbeMetrics(), exporterSeries(t)...) {
		v.series[s.Name] = s.Labels
		v.labels = append(v.labels, s.Labels...)
	}
	for _, r := range rules {
		if r.Record != "" {
			v.series[r.Record] = nil
		}
	}
	for _, r := range dane.Reasons() {
		v.values["reason"] = append(v.values["reason"], string(r.Reason))
	}
	for _, o := range dane.Outcomes() {
		v.values["outcome"] = append(v.values["outcome"], string(o))
	}
	return v
}

// The parts of PromQL that are needed to find the names in it.
var (
	selector = regexp.MustCompile(`([a-zA-Z_][\w:]*)\s*(\{[^}]*\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	duration = regexp.MustCompile(`\[[^\]]*\]`)
)

// check holds a query against the vocabulary, and returns what it names that
// does not exist.
func (v *vocabulary) check(query string) (unknown []string) {
	words := strings.Fields(`and or unless bool vector time sum min max count avg topk bottomk rate increase
		min_over_time max_over_time last_over_time`)
	query = duration.ReplaceAllString(query, "")
	for _, group := range grouping.FindAllStringSubmatch(query, -1) {
		for _, label := range strings.Split(group[2], ",") {
			if !slices.Contains(v.labels, strings.TrimSpace(label)) {
				unknown = append(unknown, "label "+label)
			}
		}
	}
	for _, found := range selector.FindAllStringSubmatch(grouping.ReplaceAllString(query, ""), -1) {
		name, labels := found[1], found[2]
		if slices.Contains(words, name) {
			continue
		}
		known, exists := v.series[name]
		if !exists {
			unknown = append(unknown, "series "+name)
			continue
		}
		for _, m := range matcher.FindAllStringSubmatch(labels, -1) {
			label, value := m[1], m[3]
			if known == nil {
				known = v.labels
			}
			if !slices.Contains(known, label) && label != "job" && label != "instance" {
				unknown = append(unknown, "label "+label+" of "+name)
			}
			for _, one := range strings.Split(value, "|") {
				if of, closed := v.values[label]; closed && !slices.Contains(of, one) {
					unknown = append(unknown, label+" "+one)
				}
			}
		}
	}
	return unknown
}

// TestRules: what the alerts and recordings name exists, so that a series that
// is renamed does not silence an alert.
func TestRules(t *testing.T) {
	rules := readRules(t)
	v := newVocabulary(t, rules)
	// In templates: PromQL in printf's first argument, and labels.
	printed := regexp.MustCompile(`query \(printf ("(?:[^"\\]|\\.)*")`)
	label := regexp.MustCompile(`\.?[lL]abels\.(\w+)`)
	for _, r := range rules {
		queries := []string{r.Expr}
		for key, annotation := range r.Annotations {
			for _, found := range printed.FindAllStringSubmatch(annotation, -1) {
				query, err := strconv.Unquote(found[1])
				if err != nil {
					t.Errorf("%s%s: %s: %v", r.Alert, r.Record, key, err)
				}
				queries = append(queries, strings.ReplaceAll(query, "%q", `"x"`))
			}
			for _, found := range label.FindAllStringSubmatch(annotation, -1) {
				if !slices.Contains(v.labels, found[1]) {
					t.Errorf("%s: %s: no series has a label %s", r.Alert, key, found[1])
				}
			}
		}
		for _, query := range queries {
			for _, unknown := range v.check(query) {
				t.Errorf("%s%s: there is no %s, in %s", r.Alert, r.Record, unknown, query)
			}
		}
	}
}

// TestVocabulary: a name that does not exist is found, wherever it stands.
func TestVocabulary(t *testing.T) {
	v := newVocabulary(t, readRules(t))
	for query, want := range map[string]string{
		`max without (address) (dane_finding{reason="tlsa_mismatch"} == 1)`: "",
		`dane_outcom == 1`:                                 "series dane_outcom",
		`max_over_time(dane_findin[15m])`:                  "series dane_findin",
		`dane_tlsa_match{hosts="mx"} == 0`:                 "label hosts of dane_tlsa_match",
		`dane_finding{reason=~"no_tlsa|tlsa_mishap"}`:      "reason tlsa_mishap",
		`dane_outcome{outcome!="rejected"}`:                "outcome rejected",
		`sum by (job, hosts) (dane_findings)`:              "label  hosts",
		`sum(increase(dane_exporter_connect_total[15m]))`:  "series dane_exporter_connect_total",
		`instance:dane_outcome_refused:held == 1`:          "series instance:dane_outcome_refused:held",
		`dane_exporter_connects_total{result="connected"}`: "",
	} {
		if got := strings.Join(v.check(query), ", "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// TestAlerts: each says how bad it is, whom it concerns, what to do and where
// to read on: in the runbook, at the section of its reason or its own.
func TestAlerts(t *testing.T) {
	rules := readRules(t)
	var names []string
	for _, r := range rules {
		if r.Alert != "" {
			names = append(names, r.Alert)
		}
	}
	var reasons []string
	for _, r := range dane.Reasons() {
		reasons = append(reasons, string(r.Reason))
	}
	tests, err := os.ReadFile("deploy/prometheus/rules_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.Contains(string(tests), `alertname="`+name+`"`) {
			t.Errorf("%s: no test in rules_test.yml wants it to fire", name)
		}
		if !strings.Contains(string(tests), "alertname: "+name+"\n") {
			t.Errorf("%s: no test in rules_test.yml knows what it says", name)
		}
	}
	const runbook = "{{ with $labels.exporter }}http://{{ . }}{{ else }}https://dane-exporter.example{{ end }}/docs/runbook.md#"
	for _, r := range rules {
		if r.Alert == "" {
			continue
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || !slices.Contains([]string{"exporter", "domain", "host"}, r.Labels["scope"]) {
			t.Errorf("%s: labels %v", r.Alert, r.Labels)
		}
		if r.For == "" || r.Keep == "" {
			t.Errorf("%s: rings at once, or stops at once", r.Alert)
		}
		summary := r.Annotations["summary"]
		if !strings.Contains(summary, "$labels.instance") && !strings.Contains(summary, "$labels.job") ||
			r.Labels["scope"] == "host" && !strings.Contains(summary, "$labels.host") || r.Annotations["description"] == "" {
			t.Errorf("%s: annotations %q", r.Alert, r.Annotations)
		}
		anchor, ok := strings.CutPrefix(r.Annotations["runbook_url"], runbook)
		// A heading's anchor is in lower case.
		byReason := anchor == "{{ $labels.reason }}" && strings.Contains(r.Expr, `reason=~"`)
		if !ok || !byReason && anchor != strings.ToLower(r.Alert) && !slices.Contains(reasons, anchor) {
			t.Errorf("%s: runbook_url %q", r.Alert, r.Annotations["runbook_url"])
		}
	}
	if len(names) < 17 {
		t.Errorf("only %d alerts", len(names))
	}
	t.Run("inhibitions", func(t *testing.T) { testInhibitions(t, names) })
}

// testInhibitions: what silences is an alert that exists. A name that does not
// would silence nothing, and nobody would be told.
func testInhibitions(t *testing.T, alerts []string) {
	content, err := os.ReadFile("deploy/prometheus/alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`alertname (?:=~|=) "?([\w|]+)`)
	found := named.FindAllStringSubmatch(string(content), -1)
	if len(found) != 2 {
		t.Errorf("%d inhibitions by name, want 2", len(found))
	}
	for _, names := range found {
		for _, name := range strings.Split(names[1], "|") {
			if !slices.Contains(alerts, name) {
				t.Errorf("alertmanager.yml names %s, and there is no such alert", name)
			}
		}
	}
}
