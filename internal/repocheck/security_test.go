package repocheck

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dane_exporter/internal/lab"
)

// TestThreatsAreTested checks that each test and each lab scenario named in the
// tables of SECURITY.md exists.
func TestThreatsAreTested(t *testing.T) {
	tests := testFunctions(t)
	var scenarios []string
	for _, scenario := range lab.Scenarios() {
		scenarios = append(scenarios, scenario.Name)
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	testName := regexp.MustCompile(`^(Test|Fuzz)[A-Z]`)
	named := 0
	for line := range strings.Lines(readFile(t, "SECURITY.md")) {
		columns := strings.Split(line, "|")
		if len(columns) != 5 {
			continue
		}
		for _, found := range quoted.FindAllStringSubmatch(columns[3], -1) {
			name := found[1]
			switch {
			case strings.ContainsAny(name, "./"): // a file or a type
				continue
			case testName.MatchString(name):
				if !slices.Contains(tests, name) {
					t.Errorf("SECURITY.md names %s, but there is no such test", name)
				}
			case !slices.Contains(scenarios, name):
				t.Errorf("SECURITY.md names %s, but the lab has no such scenario", name)
			}
			named++
		}
	}
	if named < 30 {
		t.Errorf("found only %d tests and scenarios", named)
	}
}

// testFunctions returns the names of all tests and fuzz targets.
func testFunctions(t *testing.T) []string {
	t.Helper()
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	var names []string
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, found := range declaration.FindAllStringSubmatch(string(source), -1) {
			names = append(names, found[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
