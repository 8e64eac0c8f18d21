//go:build integration

package integration

import (
	"os"
	"regexp"
	"testing"
)

// documentedQueries returns the queries of docs/queries.md.
func documentedQueries(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/queries.md")
	if err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, block := range regexp.MustCompile("(?ms)^```promql\n(.*?)\n```$").FindAllSubmatch(page, -1) {
		queries = append(queries, string(block[1]))
	}
	if len(queries) < 12 {
		t.Fatalf("docs/queries.md: found only %d queries", len(queries))
	}
	return queries
}
