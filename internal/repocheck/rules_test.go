package repocheck

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"dane_exporter/probe/dane"
)

// A rule is one alert or recording rule of deploy/prometheus/rules.yml.
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
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	decoder := yaml.NewDecoder(strings.NewReader(readFile(t, "deploy/prometheus/rules.yml")))
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

// TestRules checks that the metrics, labels, reasons and outcomes in rules exist.
// A renamed metric would otherwise silence an alert.
func TestRules(t *testing.T) {
	rules := readRules(t)
	v := newVocabulary(rules)
	// Templates hold PromQL in the first argument of printf, and labels.
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
					t.Errorf("%s: %s: no metric has the label %s", r.Alert, key, found[1])
				}
			}
		}
		for _, query := range queries {
			for _, unknown := range v.check(query) {
				t.Errorf("%s%s: unknown %s in %s", r.Alert, r.Record, unknown, query)
			}
		}
	}
}

// TestAlerts checks that each alert has a severity, a scope, a summary, a
// description, tests, and a link to the runbook: to the section of its reason or
// to its own.
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
	tests := readFile(t, "deploy/prometheus/rules_test.yml")
	for _, name := range names {
		if !strings.Contains(tests, `alertname="`+name+`"`) {
			t.Errorf("%s: no test in rules_test.yml expects it to fire", name)
		}
		if !strings.Contains(tests, "alertname: "+name+"\n") {
			t.Errorf("%s: no test in rules_test.yml checks its annotations", name)
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
			t.Errorf("%s: for %q, keep_firing_for %q; want both", r.Alert, r.For, r.Keep)
		}
		summary := r.Annotations["summary"]
		if !strings.Contains(summary, "$labels.instance") && !strings.Contains(summary, "$labels.job") ||
			r.Labels["scope"] == "host" && !strings.Contains(summary, "$labels.host") || r.Annotations["description"] == "" {
			t.Errorf("%s: annotations %q", r.Alert, r.Annotations)
		}
		anchor, ok := strings.CutPrefix(r.Annotations["runbook_url"], runbook)
		// The anchor of a heading is in lower case.
		byReason := anchor == "{{ $labels.reason }}" && strings.Contains(r.Expr, `reason=~"`)
		if !ok || !byReason && anchor != strings.ToLower(r.Alert) && !slices.Contains(reasons, anchor) {
			t.Errorf("%s: runbook_url %q", r.Alert, r.Annotations["runbook_url"])
		}
	}
	if len(names) < 17 {
		t.Errorf("found only %d alerts", len(names))
	}
	t.Run("inhibitions", func(t *testing.T) { testInhibitions(t, names) })
}

// testInhibitions checks that the alerts named in alertmanager.yml exist. A wrong
// name there inhibits nothing, and Alertmanager does not report it.
func testInhibitions(t *testing.T, alerts []string) {
	named := regexp.MustCompile(`alertname (?:=~|=) "?([\w|]+)`)
	found := named.FindAllStringSubmatch(readFile(t, "deploy/prometheus/alertmanager.yml"), -1)
	if len(found) != 2 {
		t.Errorf("%d inhibitions by name, want 2", len(found))
	}
	for _, names := range found {
		for _, name := range strings.Split(names[1], "|") {
			if !slices.Contains(alerts, name) {
				t.Errorf("alertmanager.yml names %s, but there is no such alert", name)
			}
		}
	}
}
