package repocheck

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependencies checks that docs/dependencies.md lists the modules of go.mod:
// direct and indirect ones in a section each, with a reason and with a licence
// that is compatible with Apache-2.0.
func TestDependencies(t *testing.T) {
	module := readFile(t, "go.mod")
	direct, indirect, ok := strings.Cut(readFile(t, "docs/dependencies.md"), "\n## Indirect\n")
	if !ok {
		t.Fatal("docs/dependencies.md has no section \"Indirect\"")
	}
	licence := regexp.MustCompile(`^(Apache-2\.0|BSD-3-Clause|MIT)((, | and )(Apache-2\.0|BSD-3-Clause|MIT))*$`)
	tableRow := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\|$")
	for _, section := range []struct {
		name    string
		text    string
		require *regexp.Regexp
	}{
		{"direct", direct, regexp.MustCompile(`(?m)^\t(\S+) v\S+$`)},
		{"indirect", indirect, regexp.MustCompile(`(?m)^\t(\S+) v\S+ // indirect$`)},
	} {
		var want, got []string
		for _, found := range section.require.FindAllStringSubmatch(module, -1) {
			want = append(want, found[1])
		}
		for _, row := range tableRow.FindAllStringSubmatch(section.text, -1) {
			got = append(got, row[1])
			if !licence.MatchString(row[3]) {
				t.Errorf("%s: unexpected licence %q", row[1], row[3])
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: docs/dependencies.md lists\n%q, go.mod requires\n%q", section.name, got, want)
		}
	}
}
