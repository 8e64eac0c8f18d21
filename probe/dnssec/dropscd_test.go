package dnssec_test

import (
	"context"
	"slices"
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

// TestDropsCD checks when the resolver stops sending CD=1. It stops for ten minutes
// if the query for the keys of the root is dropped, and not if only another one is.
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

// TestDropsCDOfOthers checks that neither a zone nor one of the resolvers turns off
// CD=1 for all.
func TestDropsCDOfOthers(t *testing.T) {
	everything := zone.Under(".")
	strip := respond(everything, func(m *dns.Msg) {
		m.Answer = slices.DeleteFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG })
		m.Ns = nil
	})
	for _, c := range []struct {
		name          string
		before, after []zone.Fault // after 11 minutes
	}{
		{"a zone drops them when the last finding has lapsed", []zone.Fault{withCD(zone.Silence(everything))}, []zone.Fault{withCD(zone.Silence(zone.At(tlsa)))}},
		{"the second resolver drops them when the first strips", nil, []zone.Fault{zone.From(zone.FirstServer, strip), zone.From(zone.SecondServer, withCD(zone.Silence(everything)))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, err := zone.New(clock, testZones("")...)
				if err != nil {
					t.Fatal(err)
				}
				counter := &cdCounter{Transport: inner}
				r := dnssec.New(counter, inner.Anchors(), clock, dnssec.Options{QueryTimeout: time.Second})
				if inner.Break(c.before...); c.before != nil {
					mustLookup(t, r)
					time.Sleep(11 * time.Minute) // of the virtual clock
				}
				inner.BreakOnly(c.after...)
				mustLookup(t, r)
				synctest.Wait()
				inner.BreakOnly()
				before := counter.n.Load()
				if a := r.Lookup(t.Context(), "mx.example.org.", dns.TypeA); a.Status != dnssec.Secure {
					t.Errorf("%s: %s", a.Status, a.Why)
				}
				if counter.n.Load() == before {
					t.Error("the last lookup has no query with CD=1")
				}
			})
		})
	}
}

// TestDropsCDByServer checks that a resolver that drops queries with CD=1 is
// recorded alone. The record ends when that resolver responds to one. For all
// resolvers in turn, it ends when any of them responds.
func TestDropsCDByServer(t *testing.T) {
	const all, one, other = "", "192.0.2.1:53", "192.0.2.2:53"
	for _, c := range []struct {
		name     string
		recorded []string
		upstream string // that is cleared
		server   string // that answered
		age      time.Duration
		want     []string
	}{
		{name: "one resolver", recorded: []string{one}, upstream: other, server: other, want: []string{one}},
		{name: "one resolver, ten minutes ago", recorded: []string{one}, upstream: other, server: other, age: 10 * time.Minute, want: []string{one}},
		{name: "one resolver, more than ten minutes ago", recorded: []string{one}, upstream: other, server: other, age: 10*time.Minute + 1},
		{name: "one resolver, and the clock was set back", recorded: []string{one}, upstream: other, server: other, age: -10*time.Minute - 1},
		{name: "one resolver that responds", recorded: []string{one}, upstream: one, server: one},
		{name: "one resolver that responds in turn", recorded: []string{one}, upstream: all, server: one},
		{name: "one resolver, and another responds in turn", recorded: []string{one}, upstream: all, server: other, want: []string{one}},
		{name: "all resolvers, of which one responds", recorded: []string{all}, upstream: one, server: one},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d dnssec.DroppedCD
			for _, server := range c.recorded {
				d.Record(server, today)
			}
			d.Clear(c.upstream, c.server)
			for _, server := range []string{all, one, other} {
				if got := d.Lasts(server, today.Add(c.age)); got != slices.Contains(c.want, server) {
					t.Errorf("%q: %v", server, got)
				}
			}
		})
	}
	var d dnssec.DroppedCD
	d.Record(all, today)
	if !d.Lasts(all, today) || !d.Lasts(one, today) {
		t.Error("all resolvers in turn drop such queries, and one of them does not")
	}
}
