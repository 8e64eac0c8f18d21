package repocheck

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/probe/dane"
)

var update = flag.Bool("update", false, "write the generated parts of the documents, and the JSON files of the mixin")

// generatedPart matches a part of a document between the comments
// "<!-- generated: NAME -->" and "<!-- end -->".
var generatedPart = regexp.MustCompile(`(?s)(<!-- generated: ([\w-]+) -->\n)(.*?)(<!-- end -->)`)

// TestGenerated checks that the generated parts of the documents, and the table of
// reasons for the mixin, are up to date. With -update, it writes them:
//
//	go test ./internal/repocheck -run TestGenerated -update
func TestGenerated(t *testing.T) {
	parts := map[string]string{
		"metrics":          metricsTable(collector.ProbeMetrics()),
		"summary-metrics":  summaryList(),
		"exporter-metrics": metricsTable(collector.ExporterMetrics()),
		"reasons":          reasonsTable(),
		"advice":           adviceTable(),
		"settings":         settings(t),
		"modules":          modulesTable(t),
		"severities":       severityTable(t),
		"runbook-contents": runbookContents(t),
		"runbook-reasons":  runbookReasons(t),
	}
	maps.Copy(parts, sessions(t))
	seen := make(map[string]int)
	for _, d := range documents(t) {
		written := generatedPart.ReplaceAllStringFunc(d.text, func(old string) string {
			found := generatedPart.FindStringSubmatch(old)
			begin, name, text, end := found[1], found[2], found[3], found[4]
			want, known := parts[name]
			if !known {
				t.Errorf("%s: unknown generated part %q", d.path, name)
				return old
			}
			seen[name]++
			if text != want && !*update {
				t.Errorf("%s: the part %q is out of date: run make docs", d.path, name)
			}
			return begin + want + end
		})
		if *update && written != d.text {
			if err := os.WriteFile(d.path, []byte(written), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name := range parts {
		if seen[name] != 1 {
			t.Errorf("the part %q occurs in %d documents, want 1", name, seen[name])
		}
	}
	for name, want := range map[string]string{
		"reasons.json": reasonsJSON(t),
		"late.json":    encodeJSON(t, map[string]float64{"share": dane.LateShare, "days": dane.LateDays}),
	} {
		t.Run(name, func(t *testing.T) {
			path := "deploy/mixin/" + name
			if *update {
				if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if readFile(t, path) != want {
				t.Errorf("%s is out of date: run make docs, then make mixin", path)
			}
		})
	}
}

// reasonsJSON returns the table of reasons, from which the mixin makes the texts of
// alerts.
func reasonsJSON(t *testing.T) string {
	t.Helper()
	type entry struct {
		Effect  dane.Effect `json:"effect"`
		Meaning string      `json:"meaning"`
		Senders string      `json:"senders"`
		Remedy  string      `json:"remedy"`
	}
	entries := make(map[dane.Reason]entry)
	for _, r := range dane.Reasons() {
		entries[r.Reason] = entry{r.Effect, r.Meaning, r.Senders, r.Remedy}
	}
	return encodeJSON(t, entries)
}

// encodeJSON returns a value as a JSON file.
func encodeJSON(t *testing.T, value any) string {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func metricsTable(all []collector.Metric) string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, strings.Join(m.Labels, ", "), m.Help)
	}
	return b.String()
}

// summaryList lists the metrics of a module with series: summary.
func summaryList() string {
	var b strings.Builder
	for _, m := range collector.ProbeMetrics() {
		if m.Summary {
			fmt.Fprintf(&b, "- `%s`\n", m.Name)
		}
	}
	return b.String()
}

func reasonsTable() string {
	var b strings.Builder
	b.WriteString("| reason | effect | meaning | remedy |\n|---|---|---|---|\n")
	for _, r := range dane.Reasons() {
		fmt.Fprintf(&b, "| [`%s`](runbook.md#%[1]s) | %s | %s | %s |\n", r.Reason, r.Effect, r.Meaning, r.Remedy)
	}
	return b.String()
}

func adviceTable() string {
	var b strings.Builder
	b.WriteString("| topic | meaning | remedy |\n|---|---|---|\n")
	for _, t := range dane.Topics() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", t.Topic, t.Text, t.Remedy)
	}
	return b.String()
}

// runbookContents lists the sections of the runbook: alerts, then reasons by
// effect.
func runbookContents(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| part | sections |\n|---|---|\n")
	var links []string
	for _, r := range readRules(t) {
		if r.Alert != "" {
			links = append(links, fmt.Sprintf("[%s](#%s)", r.Alert, strings.ToLower(r.Alert)))
		}
	}
	fmt.Fprintf(&b, "| [Alerts](#alerts) | %s |\n", strings.Join(links, ", "))
	byEffect := make(map[dane.Effect][]string)
	for _, r := range dane.Reasons() {
		byEffect[r.Effect] = append(byEffect[r.Effect], fmt.Sprintf("[%s](#%[1]s)", r.Reason))
	}
	effects := []dane.Effect{dane.EffectError, dane.EffectDegraded, dane.EffectWarning, dane.EffectInternal}
	if len(byEffect) != len(effects) {
		t.Errorf("reasons have %d effects, the contents of the runbook %d", len(byEffect), len(effects))
	}
	for _, effect := range effects {
		fmt.Fprintf(&b, "| [Reasons](#reasons): %s | %s |\n", effect, strings.Join(byEffect[effect], ", "))
	}
	return b.String()
}

// A reasonExample is a command of the lab that shows a reason.
type reasonExample struct {
	Check string `yaml:"check"` // arguments of "lab check"
	Exits int    `yaml:"exits"` // exit code
}

// runbookReasons returns the sections of the reasons.
func runbookReasons(t *testing.T) string {
	examples := make(map[dane.Reason]reasonExample)
	decoder := yaml.NewDecoder(strings.NewReader(readFile(t, "docs/reasons.yml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&examples); err != nil {
		t.Fatalf("docs/reasons.yml: %v", err)
	}
	var b strings.Builder
	for _, r := range dane.Reasons() {
		fmt.Fprintf(&b, "\n### `%s`\n\n*%s.* %s\n\n- **Senders now:** %s\n- **Fix:** %s\n- **Verify:** %s\n", r.Reason,
			titleCase(string(r.Effect)), r.Meaning, r.Senders, strings.TrimSpace(r.Remedy+" "+r.More), r.Verify)
		if example, ok := examples[r.Reason]; ok {
			fmt.Fprintf(&b, "\n```sh\ndane_exporter lab check %s", example.Check)
			if example.Exits != 0 {
				fmt.Fprintf(&b, "  # exits with %d", example.Exits)
			}
			b.WriteString("\n```\n")
		}
		delete(examples, r.Reason)
	}
	for reason := range examples {
		t.Errorf("docs/reasons.yml: there is no reason %s", reason)
	}
	b.WriteString("\n")
	return b.String()
}

// exampleConfig returns the root mapping of config.example.yml.
func exampleConfig(t *testing.T) *yaml.Node {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(readFile(t, "config.example.yml")), &document); err != nil {
		t.Fatal(err)
	}
	return document.Content[0]
}

// settings returns the reference of all settings: the keys of config.example.yml
// with their comments and values. The module smtp_mx stands for every module.
func settings(t *testing.T) string {
	var b strings.Builder
	for key, section := range pairs(exampleConfig(t)) {
		fmt.Fprintf(&b, "\n### %s\n\n%s", key.Value, paragraphs(key.HeadComment))
		if key.Value == "modules" {
			writeSettings(&b, "modules.NAME", section.Content[1])
		} else {
			writeSettings(&b, key.Value, section)
		}
	}
	b.WriteString("\n")
	return b.String()
}

func writeSettings(b *strings.Builder, prefix string, mapping *yaml.Node) {
	for key, value := range pairs(mapping) {
		name := prefix + "." + key.Value
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			writeSettings(b, name, value)
			continue
		}
		byDefault := flow(value)
		comment := strings.TrimRight(strings.TrimSuffix(key.HeadComment, "Default: "+byDefault+"."), "\n #")
		fmt.Fprintf(b, "\n#### `%s`\n\nDefault: `%s`\n\n%s", name, byDefault, paragraphs(comment))
	}
}

// modulesTable returns the built-in modules: how each differs from smtp_mx.
func modulesTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| module | settings that differ from `smtp_mx` | use |\n|---|---|---|\n")
	for section, modules := range pairs(exampleConfig(t)) {
		if section.Value != "modules" {
			continue
		}
		for name, module := range pairs(modules) {
			differing := "none"
			if name.Value != config.DefaultModule {
				differing = "`" + strings.Trim(flow(module), "{}") + "`"
			}
			use := strings.Join(strings.Fields(strings.ReplaceAll(name.HeadComment, "#", "")), " ")
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name.Value, differing, use)
		}
	}
	return b.String()
}

// pairs yields the keys and values of a mapping.
func pairs(mapping *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		for pair := range slices.Chunk(mapping.Content, 2) {
			if !yield(pair[0], pair[1]) {
				return
			}
		}
	}
}

// flow returns a YAML value on one line, without comments.
func flow(value *yaml.Node) string {
	switch value.Kind {
	case yaml.MappingNode:
		var parts []string
		for key, value := range pairs(value) {
			parts = append(parts, key.Value+": "+flow(value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		var parts []string
		for _, element := range value.Content {
			parts = append(parts, flow(element))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	if value.Style == yaml.DoubleQuotedStyle {
		return `"` + value.Value + `"`
	}
	return value.Value
}

// paragraphs returns a YAML comment as Markdown. Indented lines become a block
// of preformatted text.
func paragraphs(comment string) string {
	var b strings.Builder
	preformatted := false
	for line := range strings.Lines(comment) {
		line = strings.TrimPrefix(strings.TrimPrefix(strings.TrimRight(line, "\n"), "#"), " ")
		if indented := strings.HasPrefix(line, "  "); indented != preformatted {
			preformatted = indented
			if indented {
				b.WriteString("\n```text\n")
			} else {
				b.WriteString("```\n\n")
			}
		}
		if !preformatted {
			line = strings.ReplaceAll(line, "<", "\\<")
		}
		b.WriteString(line + "\n")
	}
	if preformatted {
		b.WriteString("```\n")
	}
	return b.String()
}

// TestModulesAreListed checks that README.md and the changelog name each built-in
// module.
func TestModulesAreListed(t *testing.T) {
	defaults, err := config.Defaults([]byte(readFile(t, "config.example.yml")))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"README.md", "CHANGELOG.md"} {
		text := readFile(t, file)
		for name := range defaults.Modules {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%s does not name the module %s", file, name)
			}
		}
	}
}
