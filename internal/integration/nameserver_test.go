//go:build integration

package integration

import (
	"slices"
	"testing"
)

// testNameservers has the zone's own name server asked, over UDP: it is up,
// has the records that the resolver gave, and signs them.
func testNameservers(t *testing.T, w *world, e *exporter) {
	site := w.mail["ee-spki-sha256"]
	if site == nil {
		t.Fatal("there is no such mail domain")
	}
	read := e.probe(t, site.domain(), "smtp_mx_full")
	for _, series := range []string{"dane_nameserver_up", "dane_nameserver_tlsa_consistent"} {
		if addresses := read.holding(series, nil, "address"); len(addresses) == 0 || len(addresses) != len(read.families[series].GetMetric()) {
			t.Errorf("%s is 1 at %q\n%s", series, addresses, read.body)
		}
	}
	for _, series := range []string{"dane_nameserver_soa_serial", "dane_nameserver_signature_expiry_timestamp_seconds"} {
		if len(read.families[series].GetMetric()) == 0 {
			t.Errorf("%s is missing\n%s", series, read.body)
		}
	}
	if outcome := read.outcome(t); outcome != "authenticated" || slices.Contains(read.reasons(), "nameserver_inconsistent") {
		t.Errorf("outcome %s, reasons %q\n%s", outcome, read.reasons(), read.body)
	}
}
