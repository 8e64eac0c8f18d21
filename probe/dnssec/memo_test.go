package dnssec_test

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestMemo: the same signature is not computed again, but its dates are judged
// each time.
func TestMemo(t *testing.T) {
	r, _, now := setup(t, dnssec.Options{}, world("mx2 A 192.0.2.3\n"), signedFor(zone.At(tlsa, dns.TypeTLSA), time.Hour, time.Minute))
	for i, remembered := range []int{0, 1, 1} {
		a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
		if a.Status != dnssec.Secure || a.Work.Remembered != remembered || a.Work.Signatures < 1 {
			t.Errorf("look-up %d: %s, work %+v", i, a.Status, a.Work)
		}
	}
	if a := r.Lookup(t.Context(), "mx2.example.org.", dns.TypeA); a.Status != dnssec.Secure || a.Work.Remembered != 0 {
		t.Errorf("another RRset: %s, work %+v", a.Status, a.Work)
	}
	*now = today.Add(2 * time.Minute)
	if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Bogus || !strings.Contains(a.Why, "expired") {
		t.Errorf("the signature has ended: %s: %s", a.Status, a.Why)
	}
}

// TestMemoHoldsNoFailure: a signature that is wrong is wrong each time.
func TestMemoHoldsNoFailure(t *testing.T) {
	r, _, _ := setup(t, dnssec.Options{}, world(""), zone.Corrupt(zone.At(tlsa, dns.TypeTLSA)))
	for range 2 {
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Bogus {
			t.Errorf("%s: %s", a.Status, a.Why)
		}
	}
}

// TestMemoIsBounded: with room for two, a signature is forgotten for two others.
func TestMemoIsBounded(t *testing.T) {
	r, _, _ := setup(t, dnssec.Options{}, world(""))
	r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
	r.LimitSigCache(2)
	for _, c := range []struct {
		name       string
		qtype      uint16
		remembered int
	}{{tlsa, dns.TypeTLSA, 0}, {tlsa, dns.TypeTLSA, 1}, {"mx.example.org.", dns.TypeA, 0}, {tlsa, dns.TypeTLSA, 1},
		{"mx.example.org.", dns.TypeA, 1}, {"example.org.", dns.TypeSOA, 0}, {tlsa, dns.TypeTLSA, 0}} {
		if a := r.Lookup(t.Context(), c.name, c.qtype); a.Status != dnssec.Secure || a.Work.Remembered != c.remembered {
			t.Errorf("%s: %s, work %+v, wanted %d remembered", c.name, a.Status, a.Work, c.remembered)
		}
	}
}

// TestMemoChangesNoVerdict: what is remembered counts towards the limits.
func TestMemoChangesNoVerdict(t *testing.T) {
	for _, limit := range []int{5, 6} {
		r, _, _ := setup(t, dnssec.Options{}, world(""))
		r.Speculate(false)
		r.LimitSignatures(limit)
		first := r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
		r.ClearZoneCache()
		second := r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
		if first.Status != second.Status || (limit == 6) != (first.Status == dnssec.Secure) {
			t.Errorf("limit %d: %s, then %s: %s", limit, first.Status, second.Status, second.Why)
		}
	}
}
