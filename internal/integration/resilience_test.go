//go:build integration

package integration

import (
	"syscall"
	"testing"
)

// testResolverLost takes the exporter's only resolver away between scrapes, in
// two ways, and gives it back. That is nobody's fault but ours, and the outcome
// says so.
func testResolverLost(t *testing.T, w *world, e *exporter) {
	domain := w.mail["ee-spki-sha256"].domain()
	scrape := func(when, outcome string, reasons ...string) {
		t.Helper()
		got := e.probe(t, domain, "smtp_mx")
		if got.outcome(t) != outcome || !contains(got.reasons(), reasons) {
			t.Errorf("%s: %s because of %q, want %s because of %q", when, got.outcome(t), got.reasons(), outcome, reasons)
		}
	}
	scrape("before", "authenticated")

	w.iterator.stop(t)
	scrape("nothing listens at the resolver's address", "unknown", "resolver_unreachable")
	w.iterator.start(t)
	scrape("the resolver was started again", "authenticated")

	signal := func(s syscall.Signal) {
		t.Helper()
		if err := w.iterator.process.command.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	scrape("the resolver hangs", "unknown", "resolver_unreachable")
	signal(syscall.SIGCONT)
	scrape("the resolver goes on", "authenticated")
}
