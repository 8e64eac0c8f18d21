package dnssec_test

import (
	"testing"
	"time"

	"dane_exporter/probe/dnssec"
)

// TestValiditySince: a zone whose keys nobody signs any more, and whose records
// are signed on each query: what remains is measured by the signature that ends first.
func TestValiditySince(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	keys := dnssec.Validity{Inception: day(1), Expiry: day(22), Since: day(1)}
	answer := dnssec.Validity{Inception: day(19), Expiry: day(23), Since: day(19)}
	want := dnssec.Validity{Inception: day(19), Expiry: day(22), Since: day(1)}
	for name, got := range map[string]dnssec.Validity{
		"keys, then answer":              keys.And(answer),
		"answer, then keys":              answer.And(keys),
		"beside what nothing was signed": dnssec.Validity{}.And(keys).And(answer).And(dnssec.Validity{}),
	} {
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
