package repocheck

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

// TestImports checks that imports go down only: from main over internal/command
// and internal/web to probe and the packages below it. A dependency that belongs
// to one task is imported by the packages of that task only.
func TestImports(t *testing.T) {
	const module = "dane_exporter"
	// The packages of this module that each package may import. A name stands for
	// all packages below it too.
	allowed := map[string][]string{
		".":                      {"internal/command"},
		"internal/command":       {"internal/web", "internal/lab", "internal/report", "internal/config", "internal/rollover", "internal/discovery", "collector", "probe"},
		"internal/web":           {"internal/report", "internal/config", "internal/discovery", "collector", "probe", "docs"},
		"docs":                   {},
		"internal/report":        {"probe", "internal/printable"},
		"internal/config":        {"internal/discovery", "probe"},
		"internal/discovery":     {"probe", "internal/printable"},
		"collector":              {"internal/discovery", "probe", "internal/printable"},
		"internal/rollover":      {},
		"probe":                  {"probe/dane", "probe/handshake", "probe/dnssec", "probe/tlsa", "probe/starttls", "probe/mtasts", "probe/caa", "internal/flight"},
		"probe/handshake":        {"probe/dane", "probe/starttls", "probe/tlsa", "internal/flight", "internal/socks"},
		"probe/dane":             {"probe/dnssec", "probe/tlsa", "probe/starttls", "probe/mtasts", "probe/caa"},
		"probe/caa":              {},
		"probe/dnssec":           {"internal/flight", "internal/printable"},
		"probe/dnssec/transport": {"internal/printable"},
		"probe/tlsa":             {"internal/printable"},
		"probe/starttls":         {"internal/printable"},
		"probe/mtasts":           {},
		"internal/socks":         {},
		"internal/flight":        {},
		"internal/printable":     {},
		"internal/lab":           {"internal/lab"},
		"internal/lab/server":    {},
		"internal/lab/zone":      {},
		"internal/integration":   {},
		"internal/repocheck":     {},
		"internal/bench":         {"internal/lab"},
		"tools/grafana":          {},
	}
	// The only packages that may import a dependency. A dependency stands for all
	// packages below it too. Under probe, two packages are clients of HTTP.
	reserved := map[string][]string{
		"github.com/miekg/dns":             {"probe", "probe/dane", "probe/dnssec", "probe/dnssec/transport", "internal/discovery", "internal/lab", "internal/lab/zone", "internal/bench"},
		"github.com/refraction-networking": {"probe/handshake"},
		"gopkg.in/yaml.v3":                 {"internal/config", "internal/web"},
		"github.com/prometheus":            {"collector", "internal/web", "internal/command", "internal/bench"},
		"github.com/alecthomas":            {"internal/command"},
		"github.com/yuin/goldmark":         {"internal/web"},
		"net/http":                         {"internal/web", "internal/command", "probe/mtasts", "probe/dnssec/transport", "internal/lab/server", "internal/bench"},
		"reflect":                          {},
		"golang.org/x/sync/errgroup":       {},
		"golang.org/x/sync/singleflight":   {},
	}
	// Single imports that a package may have although the dependency is reserved.
	exceptions := map[string][]string{
		"internal/report": {"github.com/prometheus/common/model"}, // durations such as 14d
	}
	// Imports that a package must not have. A name stands for itself only: the
	// judge opens no connection, but knows net/netip.
	forbidden := map[string][]string{
		"probe/dane": {"context", "net", "net/http", "crypto/tls"},
	}

	seen := make(map[string]bool)
	for file, imports := range importsOf(t) {
		pkg := path.Dir(filepath.ToSlash(file))
		seen[pkg] = true
		mayImport, known := allowed[pkg]
		if !known {
			t.Errorf("%s: this test has no rule for the package %s; add one", file, pkg)
		}
		for _, imported := range imports {
			if slices.Contains(forbidden[pkg], imported) {
				t.Errorf("%s must not import %s", file, imported)
			}
			if own, ok := strings.CutPrefix(imported, module+"/"); ok {
				if !isUnder(own, mayImport) {
					t.Errorf("%s must not import %s", file, own)
				}
				continue
			}
			for dependency, users := range reserved {
				if isUnder(imported, []string{dependency}) && !slices.Contains(users, pkg) && !slices.Contains(exceptions[pkg], imported) {
					t.Errorf("%s must not import %s", file, imported)
				}
			}
		}
	}
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("the package %s does not exist", pkg)
		}
	}
}

// isUnder reports whether pkg is one of roots or below one.
func isUnder(pkg string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return pkg == root || strings.HasPrefix(pkg, root+"/")
	})
}

// importsOf returns the imports of each file that is not a test.
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

// TestRootHoldsMainOnly checks that main.go is the only Go file at the root.
func TestRootHoldsMainOnly(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || !slices.Equal(files, []string{"main.go"}) {
		t.Errorf("Go files at the root: %q, %v", files, err)
	}
}
