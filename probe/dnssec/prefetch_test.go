package dnssec_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestKeepWarm checks that no lookup waits for the top of the chain, at the start
// and after TTLs expire, that unused zones are not refreshed, and that KeepWarm
// ends with its context.
func TestKeepWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, err := zone.New(time.Now, zone.Zone{Apex: "net."}, zone.Zone{Apex: "org."})
		if err != nil {
			t.Fatal(err)
		}
		w := newCountingTransport(inner)
		r := dnssec.New(w, inner.Anchors(), time.Now, dnssec.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { r.KeepWarm(ctx) })
		synctest.Wait()
		if w.count(". DNSKEY") == 0 || w.count("org. DNSKEY") == 0 || w.count("net. DNSKEY") == 0 {
			t.Fatal("the root and the top-level domains were not queried at the start")
		}
		for range 5 * 60 { // minutes, and each TTL is an hour
			time.Sleep(time.Minute - time.Millisecond)
			if a := r.Lookup(t.Context(), "org.", dns.TypeSOA); a.Status != dnssec.Secure || a.Work.Queries != 1 {
				t.Fatalf("after %s: %s, %+v: %s", time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)), a.Status, a.Work, a.Why)
			}
			time.Sleep(time.Millisecond)
		}
		for question, most := range map[string]int{". DNSKEY": 12, "org. DNSKEY": 12, "net. DNSKEY": 1} {
			if n := w.count(question); n > most {
				t.Errorf("%s was queried %d times in five hours", question, n)
			}
		}
		cancel()
		group.Wait()
	})
}

// TestKeepWarmRetries checks that a root that is not available at the start is
// queried again.
func TestKeepWarmRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, err := zone.New(time.Now, zone.Zone{Apex: "org."})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		inner.Break(zone.Fault{Where: zone.Under("."), Answer: func(_, m *dns.Msg) error {
			if time.Since(start) < 5*time.Minute {
				m.Rcode, m.Answer = dns.RcodeServerFailure, nil
			}
			return nil
		}})
		w := newCountingTransport(inner)
		r := dnssec.New(w, inner.Anchors(), time.Now, dnssec.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { r.KeepWarm(ctx) })
		time.Sleep(6*time.Minute + time.Second)
		before := w.count(". DNSKEY")
		if a := r.Lookup(t.Context(), "org.", dns.TypeSOA); a.Status != dnssec.Secure || w.count(". DNSKEY") != before {
			t.Errorf("%s: %s", a.Status, a.Why)
		}
		cancel()
		group.Wait()
	})
}

// TestPrefetch checks that cached zones are validated again, and that a failure
// does not replace them.
func TestPrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := false
		garbled := zone.Garble(zone.At("org.", dns.TypeDNSKEY))
		r, w, _ := setup(t, dnssec.Options{}, testZones(""), zone.Fault{Where: garbled.Where, Answer: func(query, m *dns.Msg) error {
			if !broken {
				return nil
			}
			return garbled.Answer(query, m)
		}})
		r.Prefetch(t.Context(), ".", "org.", "not..a.name")
		r.Prefetch(t.Context(), "org.")
		if n := w.count("org. DNSKEY"); n != 2 {
			t.Errorf("the keys of org. were queried %d times", n)
		}
		broken = true
		r.Prefetch(t.Context(), "org.")
		if n := w.count("org. DNSKEY"); n != 3 {
			t.Errorf("the keys of org. were queried %d times", n)
		}
		if a := r.Lookup(t.Context(), "org.", dns.TypeSOA); a.Status != dnssec.Secure || a.Work.Queries != 1 {
			t.Errorf("%s, %+v: %s", a.Status, a.Work, a.Why)
		}
	})
}
