package dnssec_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// cdCounter counts queries with CD=1.
type cdCounter struct {
	dnssec.Transport
	n atomic.Int64
}

func (c *cdCounter) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	if query.CheckingDisabled {
		c.n.Add(1)
	}
	return c.Transport.Exchange(ctx, query)
}

// TestDropsCD checks when queries with CD=1 are given up: if the one for the keys of
// the root is dropped, for ten minutes, and not if only another one is.
func TestDropsCD(t *testing.T) {
	for _, c := range []struct {
		name  string
		drops zone.Where
		again bool // the second lookup sends CD=1
	}{
		{"all are dropped", zone.Under("."), false},
		{"one is dropped", zone.At(tlsa, dns.TypeTLSA), true},
		{"none is dropped", zone.At("other.example.org."), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, err := zone.New(clock, testZones("")...)
				if err != nil {
					t.Fatal(err)
				}
				inner.Break(withCD(zone.Silence(c.drops)))
				counter := &cdCounter{Transport: inner}
				r := dnssec.New(counter, inner.Anchors(), clock, dnssec.Options{})
				queries := func() int64 {
					t.Helper()
					before := counter.n.Load()
					mustLookup(t, r)
					synctest.Wait()
					return counter.n.Load() - before
				}
				if queries() == 0 {
					t.Error("the first lookup has no query with CD=1")
				}
				if n := queries(); (n > 0) != c.again {
					t.Errorf("the second lookup has %d queries with CD=1", n)
				}
				time.Sleep(11 * time.Minute) // of the virtual clock
				inner.BreakOnly()
				for range 2 {
					if queries() == 0 {
						t.Error("after ten minutes, a lookup has no query with CD=1")
					}
				}
			})
		})
	}
}
