package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestImports holds the rooms of the house apart. Imports run downwards only,
// from main over internal/command and internal/web to probe and what it is made
// of; and what is somebody's own business is named by nobody else.
func TestImports(t *testing.T) {
	const module = "dane_exporter"
	// What of ours each package may import. A name stands for all below it too.
	allowed := map[string][]string{
		".":                      {"internal/command"},
		"internal/command":       {"internal/web", "internal/lab", "internal/report", "internal/config", "collector", "probe"},
		"internal/web":           {"internal/report", "internal/config", "collector", "probe", "docs"},
		"docs":                   {},
		"internal/report":        {"probe"},
		"internal/config":        {"probe"},
		"collector":              {"probe"},
		"probe":                  {"probe/dnssec", "probe/tlsa", "probe/starttls", "internal/socks", "probe/mtasts", "internal/flight"},
		"probe/dnssec":           {"internal/flight"},
		"probe/dnssec/transport": {},
		"probe/tlsa":             {},
		"probe/starttls":         {},
		"internal/socks":         {},
		"internal/flight":        {},
		"probe/mtasts":           {},
		"internal/lab":           {"internal/lab"},
		"internal/lab/server":    {},
		"internal/lab/zone":      {},
		"internal/integration":   {},
		"internal/bench":         {"internal/lab"},
	}
	// Who alone may import what is not ours. Below probe, HTTP is known to the
	// one room that is a client of it.
	reserved := map[string][]string{
		"github.com/miekg/dns":             {"probe", "probe/dnssec", "probe/dnssec/transport", "internal/lab", "internal/lab/zone", "internal/bench"},
		"github.com/refraction-networking": {"probe"},
		"gopkg.in/yaml.v3":                 {"internal/config", "internal/web"},
		"github.com/prometheus":            {"collector", "internal/web", "internal/command", "internal/bench"},
		"github.com/alecthomas":            {"internal/command"},
		"github.com/yuin/goldmark":         {"internal/web"},
		"net/http":                         {"internal/web", "internal/command", "probe/mtasts", "internal/lab/server", "internal/bench"},
		"reflect":                          {},
		"golang.org/x/sync/errgroup":       {},
		"golang.org/x/sync/singleflight":   {},
	}
	seen := make(map[string]bool)
	for file, imports := range importsOf(t) {
		room := path.Dir(filepath.ToSlash(file))
		seen[room] = true
		mayImport, known := allowed[room]
		if !known {
			t.Errorf("%s: the package %s has no place in the house; give it one here", file, room)
		}
		for _, imported := range imports {
			if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
				if !under(ours, mayImport) {
					t.Errorf("%s imports %s", file, ours)
				}
				continue
			}
			for whose, rooms := range reserved {
				if under(imported, []string{whose}) && !slices.Contains(rooms, room) {
					t.Errorf("%s imports %s", file, imported)
				}
			}
		}
	}
	for room := range allowed {
		if !seen[room] {
			t.Errorf("the package %s does not exist", room)
		}
	}
}

// under says whether a package is one of those, or lies below one.
func under(pkg string, those []string) bool {
	return slices.ContainsFunc(those, func(one string) bool {
		return pkg == one || strings.HasPrefix(pkg, one+"/")
	})
}

// importsOf lists what each file imports that is not a test.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	imports := make(map[string][]string)
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && file != "." {
			return fs.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		imports[file] = []string{}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports[file] = append(imports[file], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}
