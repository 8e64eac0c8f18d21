package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
)

// TestUnknownField adds a field to each kind of object in the dashboards, one at a time.
// Each must be reported.
func TestUnknownField(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob("../../deploy/grafana/dashboards/*.json")
	if err != nil || len(files) != 3 {
		t.Fatalf("dashboards: %q, %v", files, err)
	}
	kinds := make(map[string]bool)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(content); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		var tree map[string]any
		if err := json.Unmarshal(content, &tree); err != nil {
			t.Fatal(err)
		}
		walk("dashboard", tree, func(kind string, object map[string]any) {
			if kinds[kind] {
				return
			}
			kinds[kind] = true
			object["misspelt"] = []any{} // no map of the dashboards has lists as values
			defer delete(object, "misspelt")
			changed, err := json.Marshal(tree)
			if err != nil {
				t.Fatal(err)
			}
			if check(changed) == nil {
				t.Errorf("an unknown field in %s is not reported", kind)
			}
		})
	}
	if len(kinds) < 50 {
		t.Errorf("found only %d kinds of objects", len(kinds))
	}
}

// walk calls visit for each object. Its kind is the names of the fields that lead to it,
// with the types of panels and the names of overrides and transformations.
func walk(kind string, node any, visit func(kind string, object map[string]any)) {
	switch node := node.(type) {
	case []any:
		for _, element := range node {
			walk(kind, element, visit)
		}
	case map[string]any:
		if _, ok := node["gridPos"]; ok {
			kind += fmt.Sprintf(" %v", node["type"])
		}
		if id, ok := node["id"].(string); ok {
			kind += " " + id
		}
		visit(kind, node)
		names := make([]string, 0, len(node))
		for name := range node {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			walk(kind+"."+name, node[name], visit)
		}
	}
}
