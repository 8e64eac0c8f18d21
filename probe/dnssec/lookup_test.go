package dnssec_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// distant is a transport with a round-trip time of one second. Under a virtual
// clock, the seconds of a lookup are the round trips that it waited for.
type distant struct{ dnssec.Transport }

const roundTrip = time.Second

func (d distant) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	select {
	case <-time.After(roundTrip):
		return d.Transport.Exchange(ctx, query)
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
}

// TestRoundTrips checks that a lookup takes one round trip, and one more if aliases
// lead to zones that are not cached.
func TestRoundTrips(t *testing.T) {
	zones := append(testZones(`
www CNAME mx
far CNAME mx.hoster.net.
alone CNAME mx.hoster.net.
farther CNAME hop.example.com.
tree DNAME tree.hoster.net.
plain CNAME mx.plain.net.
`),
		zone.Zone{Apex: "deep.er.and.deeper.example.org.", Records: "_25._tcp.mx TLSA 3 1 1 00\n"},
		zone.Zone{Apex: "net."}, zone.Zone{Apex: "com."},
		zone.Zone{Apex: "hoster.net.", Records: "mx A 192.0.2.9\nmx.tree A 192.0.2.10\n"},
		zone.Zone{Apex: "example.com.", Records: "hop CNAME mx.hoster.net.\n"},
		zone.Zone{Apex: "plain.net.", Unsigned: true, Delegation: zone.Insecure, Records: "mx A 192.0.2.8\n_25._tcp.mx TLSA 3 1 1 00\n"},
	)
	for _, c := range []struct {
		name       string
		ask        string
		qtype      uint16
		status     dnssec.Status
		cold, warm int
	}{
		{"TLSA records of a host", tlsa, dns.TypeTLSA, dnssec.Secure, 1, 1},
		{"no TLSA records", "_443._tcp.mx.example.org.", dns.TypeTLSA, dnssec.Secure, 1, 1},
		{"no such name", "nothing.example.org.", dns.TypeA, dnssec.Secure, 1, 1},
		{"a deep zone", "_25._tcp.mx.deep.er.and.deeper.example.org.", dns.TypeTLSA, dnssec.Secure, 1, 1},
		{"an alias within the zone", "www.example.org.", dns.TypeA, dnssec.Secure, 1, 1},
		{"an alias into another zone", "far.example.org.", dns.TypeA, dnssec.Secure, 2, 1},
		{"a DNAME into another zone", "mx.tree.example.org.", dns.TypeA, dnssec.Secure, 2, 1},
		{"two aliases, each into another zone", "farther.example.org.", dns.TypeA, dnssec.Secure, 2, 1},
		{"an alias into an unsigned zone", "plain.example.org.", dns.TypeA, dnssec.Insecure, 2, 1},
		{"an alias into another zone, sent alone", "alone.example.org.", dns.TypeA, dnssec.Secure, 2, 2},
		{"an unsigned zone", "_25._tcp.mx.plain.net.", dns.TypeTLSA, dnssec.Insecure, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, err := zone.New(clock, zones...)
				if err != nil {
					t.Fatal(err)
				}
				inner.Break(respond(zone.At("alone.example.org.", dns.TypeA), func(m *dns.Msg) { m.Answer = m.Answer[:2] }))
				r := dnssec.New(distant{inner}, inner.Anchors(), clock, dnssec.Options{})
				for _, want := range []int{c.cold, c.warm} {
					start := time.Now()
					a := r.Lookup(t.Context(), c.ask, c.qtype)
					if a.Status != c.status {
						t.Fatalf("%s: %s", a.Status, a.Why)
					}
					if took := int(time.Since(start) / roundTrip); took != want {
						t.Errorf("%d round trips, want %d (%+v)", took, want, a.Work)
					}
				}
			})
		})
	}
}

func TestEqualLookupsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, _ := setup(t, dnssec.Options{}, testZones(""))
		w.hold = make(chan struct{})
		answers := make([]dnssec.Answer, 20)
		var group sync.WaitGroup
		for i := range answers {
			group.Go(func() { answers[i] = r.Lookup(t.Context(), tlsa, dns.TypeTLSA) })
		}
		synctest.Wait() // all lookups are waiting
		close(w.hold)
		group.Wait()
		for _, a := range answers {
			if a.Status != dnssec.Secure || !reflect.DeepEqual(a, answers[0]) {
				t.Fatalf("%s: %s", a.Status, a.Why)
			}
		}
		if n := w.count(tlsa + " TLSA"); n != 1 {
			t.Errorf("the answer was queried %d times", n)
		}
	})
}

func TestDifferentLookupsShareTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, _ := setup(t, dnssec.Options{}, testZones(""))
		w.hold = make(chan struct{})
		var group sync.WaitGroup
		for _, qtype := range []uint16{dns.TypeTLSA, dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeTXT, dns.TypeCAA} {
			group.Go(func() {
				if a := r.Lookup(t.Context(), tlsa, qtype); a.Status != dnssec.Secure {
					t.Errorf("%s: %s", a.Status, a.Why)
				}
			})
		}
		synctest.Wait()
		close(w.hold)
		group.Wait()
		for _, q := range []string{". DNSKEY", "example.org. DS", "example.org. DNSKEY"} {
			if n := w.count(q); n != 1 {
				t.Errorf("%s was queried %d times", q, n)
			}
		}
	})
}

// TestCallerDeadline checks that the deadline of one caller does not end a lookup
// for the others.
func TestCallerDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, _ := setup(t, dnssec.Options{}, testZones(""))
		w.hold = make(chan struct{})
		short, cancel := context.WithCancel(t.Context())
		first, second := make(chan dnssec.Answer, 1), make(chan dnssec.Answer, 1)
		go func() { first <- r.Lookup(short, tlsa, dns.TypeTLSA) }()
		go func() { second <- r.Lookup(t.Context(), tlsa, dns.TypeTLSA) }()
		synctest.Wait() // all lookups are waiting
		cancel()
		if a := <-first; a.Status != dnssec.Indeterminate || !errors.Is(a.Err, dnssec.ErrDeadline) || !errors.Is(a.Err, context.Canceled) {
			t.Errorf("canceled: %s %v", a.Status, a.Err)
		}
		close(w.hold)
		if a := <-second; a.Status != dnssec.Secure {
			t.Errorf("not canceled: %s: %s", a.Status, a.Why)
		}
	})
}

// TestLastCallerLeaves checks that a lookup ends when its last caller leaves.
func TestLastCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, _ := setup(t, dnssec.Options{}, testZones(""))
		w.hold = make(chan struct{})
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		a := r.Lookup(ctx, tlsa, dns.TypeTLSA)
		if a.Status != dnssec.Indeterminate || !errors.Is(a.Err, dnssec.ErrDeadline) || a.Name != tlsa || a.Why == "" {
			t.Errorf("%s %v: %s", a.Status, a.Err, a.Why)
		}
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan dnssec.Answer, 1)
		go func() { done <- r.Lookup(ctx, "mx.example.org.", dns.TypeA) }()
		synctest.Wait()
		leave()
		<-done
		if err := <-w.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the query ended with %v", err)
		}
	})
}

func TestNoAnswer(t *testing.T) {
	for name, fault := range map[string]zone.Fault{
		"the answer": zone.Silence(zone.At(tlsa, dns.TypeTLSA)),
		"a DNSKEY":   zone.Silence(zone.At("example.org.", dns.TypeDNSKEY)),
		"anything":   zone.Silence(func(zone.Place) bool { return true }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _, _ := setup(t, dnssec.Options{QueryTimeout: 3 * time.Second}, testZones(""), fault)
				start := time.Now()
				a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
				if a.Status != dnssec.Indeterminate || !errors.Is(a.Err, dnssec.ErrUnreachable) || !errors.Is(a.Err, context.DeadlineExceeded) || a.Why == "" {
					t.Errorf("%s %v: %s", a.Status, a.Err, a.Why)
				}
				if took := time.Since(start); took > 7*time.Second {
					t.Errorf("the lookup took %s", took)
				}
			})
		})
	}
}

// TestUselessSpeculation checks that a lookup does not wait for a speculative query
// that it does not need.
func TestUselessSpeculation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := setup(t, dnssec.Options{QueryTimeout: time.Hour}, testZones(""), zone.Silence(zone.At("mx.example.org.", dns.TypeDS, dns.TypeDNSKEY)))
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure {
			t.Errorf("%s: %s", a.Status, a.Why)
		}
	})
}

// TestRoundTripsOfKeys checks that the DS and the keys of a zone are queried together once
// a signature names it, if there are no speculative queries.
func TestRoundTripsOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, err := zone.New(clock, testZones("")...)
		if err != nil {
			t.Fatal(err)
		}
		r := dnssec.New(distant{net}, net.Anchors(), clock, dnssec.Options{})
		r.Speculate(false)
		for _, c := range []struct {
			name  string
			qtype uint16
			trips time.Duration
		}{
			{"org.", dns.TypeSOA, 3}, // the record, org, the root
			{tlsa, dns.TypeTLSA, 2},  // the record, example.org
			{tlsa, dns.TypeTLSA, 1},  // the record
		} {
			start := time.Now()
			if a := r.Lookup(t.Context(), c.name, c.qtype); a.Status != dnssec.Secure {
				t.Errorf("%s: %s: %s", c.name, a.Status, a.Why)
			}
			if took := time.Since(start); took != c.trips*roundTrip {
				t.Errorf("%s took %s", c.name, took)
			}
		}
	})
}
