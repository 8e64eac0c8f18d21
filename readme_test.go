package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

var update = flag.Bool("update", false, "write the tables into README.md")

// TestReadmeTables holds the tables of README.md to those of the code.
// go test -run TestReadmeTables . -update writes them anew.
func TestReadmeTables(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]string{"series": seriesTable(), "exporter": exporterTable(t), "reasons": reasonsTable(), "advice": adviceTable()}
	place := regexp.MustCompile(`(?s)(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)`)
	seen := 0
	written := place.ReplaceAllStringFunc(string(content), func(old string) string {
		parts := place.FindStringSubmatch(old)
		table, known := tables[parts[2]]
		if !known {
			t.Errorf("README.md has a table %q that the code does not have", parts[2])
			return old
		}
		seen++
		if parts[3] != table && !*update {
			t.Errorf("the table of %s in README.md is not that of the code; want\n%s", parts[2], table)
		}
		return parts[1] + table + parts[4]
	})
	if seen != len(tables) {
		t.Errorf("README.md has %d of %d tables", seen, len(tables))
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(written), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReadmeModules: README.md and the changelog name each built-in module.
func TestReadmeModules(t *testing.T) {
	example, err := os.ReadFile("config.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	defaults, err := config.Defaults(example)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"README.md", "CHANGELOG.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name := range defaults.Modules {
			if !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("%s does not name the module %s", file, name)
			}
		}
	}
}

func seriesTable() string {
	var b strings.Builder
	b.WriteString("| series | labels | meaning |\n|---|---|---|\n")
	for _, s := range collector.ProbeMetrics() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, strings.Join(s.Labels, ", "), s.Help)
	}
	return b.String()
}

func exporterTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| series | labels | meaning |\n|---|---|---|\n")
	for _, s := range exporterSeries(t) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, strings.Join(s.Labels, ", "), s.Help)
	}
	return b.String()
}

// exporterSeries are those of the exporter itself, by name.
func exporterSeries(t *testing.T) []collector.Metric {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	collector.NewExporter(registry, func() dnssec.Stats { return dnssec.Stats{} }, func() *dnssec.SelfCheckResult { return nil })
	descriptions := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descriptions)
		close(descriptions)
	}()
	form := regexp.MustCompile(`fqName: "(dane_exporter_\w+)", help: "([^"]*)",.*? constLabels: \{.*?\}, variableLabels: \{(.*?)\}`)
	var all []collector.Metric
	for description := range descriptions {
		if parts := form.FindStringSubmatch(description.String()); parts != nil {
			labels := strings.FieldsFunc(parts[3], func(r rune) bool { return r == ',' })
			all = append(all, collector.Metric{Name: parts[1], Labels: labels, Help: parts[2]})
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d series of the exporter itself were found", len(all))
	}
	slices.SortFunc(all, func(a, b collector.Metric) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func reasonsTable() string {
	var b strings.Builder
	b.WriteString("| reason | effect | meaning | remedy |\n|---|---|---|---|\n")
	for _, r := range dane.Reasons() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Reason, r.Effect, r.Meaning, r.Remedy)
	}
	return b.String()
}

func adviceTable() string {
	var b strings.Builder
	b.WriteString("| topic | what is the case | remedy |\n|---|---|---|\n")
	for _, t := range dane.Topics() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", t.Topic, t.Text, t.Remedy)
	}
	return b.String()
}
