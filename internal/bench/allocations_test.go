package main

import (
	"net/url"
	"testing"
)

// allocations is how many a probe of one mail host made when they were counted
// last, the HTTP request included: docs/performance.md has what they are for.
const allocations = 1720

// TestAllocations: a probe that shakes hands anew makes no more than a tenth more
// of them than when they were counted last.
func TestAllocations(t *testing.T) {
	if instrumented() {
		t.Skip("the race detector allocates too")
	}
	w, err := newWorld(4)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	e := startExporter(t, w, "limits: {handshake_reuse: 0s}")
	e.probe = func(worker int) url.Values { return url.Values{"module": {"fleet"}, "target": {w.names[worker]}} }
	r, err := e.measure(load{probes: 400, atOnce: 4})
	if err != nil || r.Failed > 0 {
		t.Fatalf("%d probes of %d failed; %v", r.Failed, r.probes(), err)
	}
	each := int(r.Allocs) / r.probes()
	t.Logf("%d allocations for each probe", each)
	if each > allocations*11/10 {
		t.Errorf("%d allocations for each probe; it was %d", each, allocations)
	}
}
