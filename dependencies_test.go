package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependencies: docs/dependencies.md lists what go.mod requires, no more and
// no less, what was chosen apart from what that brought along, each with a reason
// and a licence that goes with ours.
func TestDependencies(t *testing.T) {
	module, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	chosen, brought, ok := strings.Cut(string(page), "\n## Brought along\n")
	if !ok {
		t.Fatal("docs/dependencies.md has lost a heading")
	}
	for _, part := range []struct {
		name    string
		listed  string
		require *regexp.Regexp
	}{
		{"chosen", chosen, regexp.MustCompile(`(?m)^\t(\S+) v\S+$`)},
		{"brought along", brought, regexp.MustCompile(`(?m)^\t(\S+) v\S+ // indirect$`)},
	} {
		var want, got []string
		for _, found := range part.require.FindAllStringSubmatch(string(module), -1) {
			want = append(want, found[1])
		}
		rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\|$").FindAllStringSubmatch(part.listed, -1)
		for _, row := range rows {
			got = append(got, row[1])
			if !regexp.MustCompile(`^(Apache-2\.0|BSD-3-Clause|MIT)((, | and )(Apache-2\.0|BSD-3-Clause|MIT))*$`).MatchString(row[3]) {
				t.Errorf("%s: the licence is %q", row[1], row[3])
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: docs/dependencies.md lists\n%q, go.mod requires\n%q", part.name, got, want)
		}
	}
}
