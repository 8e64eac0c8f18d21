package main

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

// TestThreatsAreTested: each test and each scenario of the lab that SECURITY.md
// names is there.
func TestThreatsAreTested(t *testing.T) {
	page, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testFunctions(t)
	var scenarios []string
	for _, scenario := range lab.Scenarios() {
		scenarios = append(scenarios, scenario.Name)
	}
	named := 0
	for line := range strings.Lines(string(page)) {
		columns := strings.Split(line, "|")
		if len(columns) != 5 {
			continue
		}
		for _, found := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(columns[3], -1) {
			name := found[1]
			switch {
			case strings.ContainsAny(name, "./"): // a place
				continue
			case regexp.MustCompile(`^(Test|Fuzz)[A-Z]`).MatchString(name):
				if !slices.Contains(tests, name) {
					t.Errorf("SECURITY.md names %s, and there is no such test", name)
				}
			case !slices.Contains(scenarios, name):
				t.Errorf("SECURITY.md names %s, and the lab has no such scenario", name)
			}
			named++
		}
	}
	if named < 30 {
		t.Errorf("only %d tests and scenarios were found", named)
	}
}

// testFunctions are the names of all test functions here.
func testFunctions(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, found := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			names = append(names, found[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
