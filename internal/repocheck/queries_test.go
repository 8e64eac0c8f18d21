package repocheck

import (
	"strings"
	"testing"
)

// TestQueries checks that docs/queries.md has a query under each question, and
// that the metrics and labels in the queries of all documents exist.
// internal/integration runs those of docs/queries.md.
func TestQueries(t *testing.T) {
	for _, section := range strings.Split(readFile(t, "docs/queries.md"), "\n## ")[1:] {
		question, body, _ := strings.Cut(section, "\n")
		if !strings.HasSuffix(question, "?") || !strings.Contains(body, "```promql\n") {
			t.Errorf("docs/queries.md: %q is not a question with a query", question)
		}
	}
	v := newVocabulary(readRules(t))
	count := make(map[string]int)
	for _, d := range documents(t) {
		for _, b := range d.blocks() {
			if b.language != "promql" {
				continue
			}
			count[d.path]++
			for _, unknown := range v.check(b.text) {
				t.Errorf("%s:%d: unknown %s in %s", d.path, b.line, unknown, b.text)
			}
		}
	}
	if n := count["docs/queries.md"]; n < 12 {
		t.Errorf("docs/queries.md: found only %d queries", n)
	}
}
