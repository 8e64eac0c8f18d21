// Package helm tests that the values of the Helm chart, their schema and their table in
// README.md agree. deploy/validate renders the chart and checks the objects.
package helm

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write the table of values in README.md, and the descriptions in values.schema.json")

const chart = "dane-exporter/"

// A value is one entry of values.yaml with a description: the comment above it that
// starts with "--".
type value struct {
	key         []string // such as image, tag
	node        *yaml.Node
	description string
}

func (v value) name() string { return strings.Join(v.key, ".") }

// readYAML returns the root of a file.
func readYAML(t *testing.T, file string) *yaml.Node {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal(readFile(t, file), &document); err != nil {
		t.Fatal(err)
	}
	return document.Content[0]
}

func readFile(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// values returns the described values in the mapping n, in the order of the file. It
// reports values without a description.
func values(t *testing.T, n *yaml.Node, parent ...string) []value {
	t.Helper()
	var all []value
	for i := 0; i < len(n.Content); i += 2 {
		key, content := n.Content[i], n.Content[i+1]
		v := value{append(slices.Clone(parent), key.Value), content, description(key.HeadComment)}
		switch {
		case v.description != "":
			all = append(all, v)
		case content.Kind == yaml.MappingNode && len(content.Content) > 0:
			all = append(all, values(t, content, v.key...)...)
		default:
			t.Errorf("values.yaml:%d: %s has no description; write a comment that starts with \"# -- \"", key.Line, v.name())
		}
	}
	return all
}

// description returns the text of a comment that starts with "# -- ", in one line.
func description(comment string) string {
	_, text, _ := strings.Cut("\n"+comment, "\n# -- ")
	return strings.ReplaceAll(text, "\n# ", " ")
}

// TestGenerated checks that the table of values in README.md and the descriptions in
// values.schema.json are those of values.yaml. With -update, it writes them: make docs.
func TestGenerated(t *testing.T) {
	all := values(t, readYAML(t, chart+"values.yaml"))
	for file, write := range map[string]func(*testing.T, []byte, []value) []byte{
		chart + "README.md":          writeTable,
		chart + "values.schema.json": writeDescriptions,
	} {
		content := readFile(t, file)
		want := write(t, content, all)
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if !bytes.Equal(content, want) {
			t.Errorf("%s is out of date: run make docs", file)
		}
	}
}

var tableOfValues = regexp.MustCompile(`(?s)(<!-- generated: values -->\n)(.*?)(<!-- end -->)`)

// writeTable returns the README with the table of values, in the form of helm-docs.
func writeTable(t *testing.T, readme []byte, all []value) []byte {
	t.Helper()
	var b strings.Builder
	b.WriteString("| Key | Type | Default | Description |\n|-----|------|---------|-------------|\n")
	for _, v := range all {
		var fallback any
		if err := v.node.Decode(&fallback); err != nil {
			t.Fatal(err)
		}
		kind := map[string]string{"!!map": "object", "!!seq": "list", "!!str": "string", "!!bool": "bool", "!!int": "int"}[v.node.Tag]
		fmt.Fprintf(&b, "| %s | %s | `%s` | %s |\n", v.name(), kind, compact(t, fallback), v.description)
	}
	if len(tableOfValues.FindAll(readme, -1)) != 1 {
		t.Fatal("README.md must have one generated table of values")
	}
	return tableOfValues.ReplaceAllFunc(readme, func(old []byte) []byte {
		part := tableOfValues.FindSubmatch(old)
		return slices.Concat(part[1], []byte(b.String()), part[3])
	})
}

// writeDescriptions returns the schema with the descriptions of the values.
func writeDescriptions(t *testing.T, schema []byte, all []value) []byte {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(schema, &root); err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if property := property(root, v.key); property == nil {
			t.Errorf("values.schema.json does not have %s", v.name())
		} else {
			property["description"] = v.description
		}
	}
	// A probe has the keys of probeDefaults.
	probes, _ := property(root, []string{"probes"})["patternProperties"].(map[string]any)
	for _, probe := range probes {
		defaults, _ := property(root, []string{"probeDefaults"})["properties"].(map[string]any)
		maps.Copy(probe.(map[string]any)["properties"].(map[string]any), defaults)
	}
	return indented(t, root)
}

// property returns the schema of the value key, or nil.
func property(schema map[string]any, key []string) map[string]any {
	for _, name := range key {
		properties, _ := schema["properties"].(map[string]any)
		schema, _ = properties[name].(map[string]any)
	}
	return schema
}

// TestSchema checks that the schema is strict: it admits no unknown keys, describes each
// property, and has no property that is not in values.yaml.
func TestSchema(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(readFile(t, chart+"values.schema.json"), &root); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"enabled": true} // of the condition of a parent chart
	for _, v := range values(t, readYAML(t, chart+"values.yaml")) {
		known[v.name()] = true
	}
	checked := 0
	var check func(schema map[string]any, key []string)
	check = func(schema map[string]any, key []string) {
		properties, ok := schema["properties"].(map[string]any)
		name := strings.Join(key, ".")
		if !ok || known[name] {
			checked++
			if text, _ := schema["description"].(string); !known[name] || text == "" {
				t.Errorf("%s has no description, or is not in values.yaml", name)
			}
		}
		if ok && schema["additionalProperties"] != false && name != "global" { // other charts have values in global
			t.Errorf("%s admits unknown keys", name)
		}
		if known[name] {
			return // what is below has no default
		}
		for sub, p := range properties {
			check(p.(map[string]any), append(slices.Clone(key), sub))
		}
	}
	check(root, nil)
	if checked != len(known) {
		t.Errorf("the schema has %d of %d values", checked, len(known))
	}

	for pattern, probe := range property(root, []string{"probes"})["patternProperties"].(map[string]any) {
		for name, p := range probe.(map[string]any)["properties"].(map[string]any) {
			if p.(map[string]any)["description"] == nil {
				t.Errorf("probes %s: %s has no description", pattern, name)
			}
		}
	}
}

// TestConfigSections checks that the schema admits the sections of the configuration.
func TestConfigSections(t *testing.T) {
	var root, example map[string]any
	if err := json.Unmarshal(readFile(t, chart+"values.schema.json"), &root); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(readFile(t, "../../config.example.yml"), &example); err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(maps.Keys(property(root, []string{"config"})["properties"].(map[string]any)))
	if want := slices.Sorted(maps.Keys(example)); !slices.Equal(got, want) {
		t.Errorf("config: %q, want %q", got, want)
	}
}

// compact and indented return a value as JSON.
func compact(t *testing.T, v any) []byte { return bytes.TrimSpace(encode(t, v, "")) }

func indented(t *testing.T, v any) []byte { return encode(t, v, "  ") }

func encode(t *testing.T, v any, indent string) []byte {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
