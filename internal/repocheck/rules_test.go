package repocheck

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"dane_exporter/probe/dane"
)

// A rule is one alert or recording rule of deploy/prometheus.
type rule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Keep        string            `yaml:"keep_firing_for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// readRules returns the rules of rules.yml and views.yml.
func readRules(t *testing.T) []rule {
	t.Helper()
	return append(readRulesFile(t, "rules.yml"), readRulesFile(t, "views.yml")...)
}

func readRulesFile(t *testing.T, name string) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	decoder := yaml.NewDecoder(strings.NewReader(readFile(t, "deploy/prometheus/"+name)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatalf("%s: %v", name, err)
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

// readRulesTests returns the alerts that tests of rules.yml expect to fire, and
// those whose texts they check.
func readRulesTests(t *testing.T) (fire, texts map[string]bool) {
	t.Helper()
	fire, texts = make(map[string]bool), make(map[string]bool)
	for _, file := range []string{"rules_test.yml", "rules_texts_test.yml"} {
		readRulesTest(t, "deploy/prometheus/"+file, fire, texts)
	}
	// Tests of views.yml expect alerts with their texts.
	views := make(map[string]bool)
	readRulesTest(t, "deploy/prometheus/views_test.yml", make(map[string]bool), views)
	for name := range views {
		fire[name], texts[name] = true, true
	}
	return fire, texts
}

// readRulesTest adds the alerts of one file.
func readRulesTest(t *testing.T, path string, fire, texts map[string]bool) {
	t.Helper()
	var file struct {
		Tests []struct {
			Expectations []struct {
				Samples []struct {
					Labels string `yaml:"labels"`
				} `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
			Alerts []struct {
				Name   string `yaml:"alertname"`
				Alerts []struct {
					Annotations map[string]string `yaml:"exp_annotations"`
				} `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, path)), &file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	name := regexp.MustCompile(`alertname="(\w+)"`)
	for _, test := range file.Tests {
		for _, expectation := range test.Expectations {
			for _, sample := range expectation.Samples {
				if found := name.FindStringSubmatch(sample.Labels); found != nil {
					fire[found[1]] = true
				}
			}
		}
		for _, expected := range test.Alerts {
			for _, alert := range expected.Alerts {
				if alert.Annotations["description"] != "" {
					texts[expected.Name] = true
				}
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
	fire, texts := readRulesTests(t)
	// The section of the reason, or of another one if the alert has none.
	reasonOr := regexp.MustCompile(`^\{\{ or \$labels\.reason "(\w+)" \}\}$`)
	for _, name := range names {
		if !fire[name] {
			t.Errorf("%s: no test in rules_test.yml expects it to fire", name)
		}
		if !texts[name] {
			t.Errorf("%s: no test in rules_texts_test.yml checks its annotations", name)
		}
	}
	for _, r := range rules {
		if r.Alert == "" {
			continue
		}
		link, anchor, ok := strings.Cut(r.Annotations["runbook_url"], "/docs/runbook.md#")
		// The anchor of a heading is in lower case.
		byReason := anchor == "{{ $labels.reason }}" && strings.Contains(r.Expr, `reason=~"`)
		if fallback := reasonOr.FindStringSubmatch(anchor); fallback != nil {
			byReason = strings.Contains(r.Expr, `reason=~"`) && slices.Contains(reasons, fallback[1])
		}
		if !ok || !byReason && anchor != strings.ToLower(r.Alert) && !slices.Contains(reasons, anchor) {
			t.Errorf("%s: runbook_url %q", r.Alert, r.Annotations["runbook_url"])
		}
		for _, source := range []string{`$url := "https://dane-exporter.example"`, `printf "http://%s" .`, "dane_exporter_info{exporter=%q"} {
			if !strings.Contains(link, source) {
				t.Errorf("%s: runbook_url lacks %s", r.Alert, source)
			}
		}
		if r.Alert == "Watchdog" { // always fires, and is about no target
			if r.Labels["severity"] != "none" || r.Expr != "vector(1)" || r.For != "" {
				t.Errorf("Watchdog: %+v", r)
			}
			continue
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || !slices.Contains([]string{"exporter", "fleet", "zone", "domain", "host"}, r.Labels["scope"]) {
			t.Errorf("%s: labels %v", r.Alert, r.Labels)
		}
		if r.For == "" || r.Keep == "" {
			t.Errorf("%s: for %q, keep_firing_for %q; want both", r.Alert, r.For, r.Keep)
		}
		aboutTarget := slices.Contains([]string{"domain", "host"}, r.Labels["scope"])
		if report := r.Annotations["report_url"]; aboutTarget != strings.HasPrefix(report, link+"/report?target=") {
			t.Errorf("%s: report_url %q", r.Alert, report)
		}
		summary := r.Annotations["summary"]
		about := []string{"$labels.instance", "$labels.job"}
		if r.Labels["scope"] == "zone" {
			about = []string{"$labels.zone"}
		}
		if !slices.ContainsFunc(about, func(label string) bool { return strings.Contains(summary, label) }) ||
			r.Labels["scope"] == "host" && !strings.Contains(summary, "$labels.host") || r.Annotations["description"] == "" {
			t.Errorf("%s: annotations %q", r.Alert, r.Annotations)
		}
	}
	if len(names) < 28 {
		t.Errorf("found only %d alerts", len(names))
	}
	t.Run("inhibitions", func(t *testing.T) { testInhibitions(t, rules, names) })
}

// testInhibitions checks that the alerts named in alertmanager.yml exist: a wrong
// name there matches nothing, and Alertmanager does not report it. Each inhibition
// compares all labels of a target: two modules of one domain must not inhibit each other. A
// rule about an exporter, a module or a zone as the cause compares only these labels. An alert
// without the label exporter or zone must inhibit none, because Alertmanager treats a missing
// label as an empty one. No alert
// inhibits one of a higher severity, or itself: a ticket would silence a page.
func testInhibitions(t *testing.T, rules []rule, alerts []string) {
	file := readFile(t, "deploy/prometheus/alertmanager.yml")
	named := regexp.MustCompile(`alertname (?:=~|=) "?([\w|]+)`)
	found := named.FindAllStringSubmatch(file, -1)
	if len(found) < 16 {
		t.Errorf("%d routes and inhibitions by name, want at least 16", len(found))
	}
	for _, names := range found {
		for _, name := range strings.Split(names[1], "|") {
			if !slices.Contains(alerts, name) {
				t.Errorf("alertmanager.yml names %s, but there is no such alert", name)
			}
		}
	}
	var config struct {
		Rules []struct {
			Source []string `yaml:"source_matchers"`
			Target []string `yaml:"target_matchers"`
			Equal  []string `yaml:"equal"`
		} `yaml:"inhibit_rules"`
	}
	if err := yaml.Unmarshal([]byte(file), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Rules) == 0 {
		t.Fatal("alertmanager.yml has no inhibitions")
	}
	levels := []string{"none", "info", "warning", "critical"}
	for _, r := range config.Rules {
		ofTarget := !slices.ContainsFunc(targetLabels, func(label string) bool { return !slices.Contains(r.Equal, label) })
		of := strings.Join(r.Equal, " ")
		ofExporter := (of == "exporter" || of == "exporter module") && slices.Contains(r.Source, `exporter != ""`)
		ofZone := of == "zone" && slices.Contains(r.Target, `zone != ""`)
		ofModules := of == "job instance exporter" && slices.Equal(r.Target, []string{"alertname = DaneViewsDiffer"}) // compares two modules
		if !ofTarget && !ofExporter && !ofZone && !ofModules {
			t.Errorf("%s inhibits %s: equal is %s", r.Source, r.Target, r.Equal)
		}
		sources, targets := matchingAlerts(t, rules, r.Source), matchingAlerts(t, rules, r.Target)
		if len(sources) == 0 || len(targets) == 0 {
			t.Errorf("%s inhibits %s: no alert matches", r.Source, r.Target)
		}
		for _, source := range sources {
			for _, target := range targets {
				if slices.Index(levels, source.Labels["severity"]) < slices.Index(levels, target.Labels["severity"]) || source.Alert == target.Alert {
					t.Errorf("%s (%s) inhibits %s (%s)", source.Alert, source.Labels["severity"], target.Alert, target.Labels["severity"])
				}
				if !ofExporter {
					testOrder(t, source, target)
				}
			}
		}
	}
}

// testOrder checks the times of an alert that inhibits another one about the same target or
// zone. Their conditions can become true and false one evaluation apart, and the evaluation
// interval is up to two minutes. So unless the other alert is meant to be first, it must fire
// that much later. It must end that much earlier, unless it is about a date: it fires long
// before what it announces.
func testOrder(t *testing.T, source, target rule) {
	t.Helper()
	const evaluation = 2 * time.Minute
	parse := func(duration string) time.Duration {
		d, err := time.ParseDuration(duration)
		if err != nil {
			t.Errorf("%s, %s: %v", source.Alert, target.Alert, err)
		}
		return d
	}
	if later := parse(target.For) - parse(source.For); later > -evaluation && later < evaluation {
		t.Errorf("%s fires %s after %s, which inhibits it; want at least %s", target.Alert, later, source.Alert, evaluation)
	}
	aboutDate := strings.Contains(target.Expr, "_timestamp_seconds") || strings.Contains(target.Expr, "rollover_ready") || strings.Contains(target.Expr, "signature_remaining")
	if earlier := parse(source.Keep) - parse(target.Keep); earlier < evaluation && !aboutDate {
		t.Errorf("%s ends %s before %s, which inhibits it; want at least %s", target.Alert, earlier, source.Alert, evaluation)
	}
}

// matchingAlerts returns the alerts that matchers select by name, severity and scope.
func matchingAlerts(t *testing.T, rules []rule, matchers []string) []rule {
	t.Helper()
	matcher := regexp.MustCompile(`^(\w+) (=~|=|!=|!~) "?([^"]*)"?$`)
	matching := slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return r.Alert == "" })
	for _, m := range matchers {
		parts := matcher.FindStringSubmatch(m)
		if parts == nil {
			t.Fatalf("unknown form of matcher: %s", m)
		}
		label, value := parts[1], parts[3]
		if !slices.Contains([]string{"alertname", "severity", "scope"}, label) {
			continue // a label of the target
		}
		if strings.HasPrefix(parts[2], "!") {
			t.Fatalf("unknown form of matcher: %s", m)
		}
		if parts[2] == "=" {
			value = regexp.QuoteMeta(value)
		}
		matches := regexp.MustCompile("^(?:" + value + ")$")
		matching = slices.DeleteFunc(matching, func(r rule) bool {
			if label == "alertname" {
				return !matches.MatchString(r.Alert)
			}
			return !matches.MatchString(r.Labels[label])
		})
	}
	return matching
}
