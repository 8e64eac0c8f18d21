//go:build integration

package integration

import "testing"

// testResolverLost takes the exporter's only resolver away between two scrapes
// and gives it back. That is nobody's fault but ours, and the outcome says so.
func testResolverLost(t *testing.T, w *world, e *exporter) {
	before, during, after := "ee-spki-sha256", "ta-spki-sha256", "ee-spki-sha512"
	if got := e.probe(t, w.mail[before].domain(), "smtp_mx").outcome(t); got != "authenticated" {
		t.Errorf("before: %s, want authenticated", got)
	}
	w.iterator.stop(t)
	lost := e.probe(t, w.mail[during].domain(), "smtp_mx")
	if lost.outcome(t) != "unknown" || !contains(lost.reasons(), []string{"resolver_unreachable"}) {
		t.Errorf("without a resolver: %s because of %q, want unknown because of resolver_unreachable", lost.outcome(t), lost.reasons())
	}
	w.iterator.start(t)
	if got := e.probe(t, w.mail[after].domain(), "smtp_mx").outcome(t); got != "authenticated" {
		t.Errorf("after: %s, want authenticated", got)
	}
}
