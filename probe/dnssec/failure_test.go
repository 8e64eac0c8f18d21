package dnssec_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestFailuresAreCached checks that a failed lookup is not repeated for at least one
// second. It checks that a repair is seen within five minutes (RFC 9520 §3.2).
func TestFailuresAreCached(t *testing.T) {
	at, everything := zone.At(tlsa, dns.TypeTLSA), zone.Under(".")
	strip := zone.Fault{Where: everything, Answer: func(_, m *dns.Msg) error {
		m.Answer, m.Ns = nil, nil
		return nil
	}}
	for _, c := range []struct {
		name   string
		fault  zone.Fault
		status dnssec.Status
		err    error
	}{
		{"SERVFAIL", zone.Rcode(at, dns.RcodeServerFailure), dnssec.Indeterminate, dnssec.ErrServer},
		{"REFUSED for every query", zone.Rcode(everything, dns.RcodeRefused), dnssec.Indeterminate, dnssec.ErrResolverFailed},
		{"no response", zone.Silence(at), dnssec.Indeterminate, dnssec.ErrUnreachable},
		{"no records with DNSSEC", strip, dnssec.Indeterminate, dnssec.ErrStripped},
		{"a wrong signature over the data", zone.Corrupt(at), dnssec.Bogus, nil},
		{"a wrong signature over the keys", zone.Corrupt(zone.At("example.org.", dns.TypeDNSKEY)), dnssec.Bogus, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, err := zone.New(clock, testZones("")...)
				if err != nil {
					t.Fatal(err)
				}
				net.Break(c.fault)
				transport := newCountingTransport(net)
				r := dnssec.New(transport, net.Anchors(), time.Now, dnssec.Options{})
				time.Sleep(time.Until(today)) // of the virtual clock
				first := r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
				if first.Status != c.status || !errors.Is(first.Err, c.err) {
					t.Fatalf("%s, %v: %s", first.Status, first.Err, first.Why)
				}
				before := transport.total()
				time.Sleep(time.Second)
				second := r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
				if second.Status != first.Status || second.Err != first.Err || second.Why != first.Why {
					t.Errorf("after a second: %s, %v: %s", second.Status, second.Err, second.Why)
				}
				if n := transport.total() - before; n != 0 || second.Work != (dnssec.Work{}) {
					t.Errorf("after a second: %d queries, %+v", n, second.Work)
				}
				if other := r.Lookup(t.Context(), "mx.example.org.", dns.TypeA); transport.total() == before {
					t.Errorf("another question has no query: %s", other.Why)
				}
				net.BreakOnly()
				time.Sleep(5 * time.Minute)
				if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure {
					t.Errorf("after the repair: %s: %s", a.Status, a.Why)
				}
			})
		})
	}
}

// TestFailureOfAbandonedLookup checks that a lookup that its caller cancels during
// the retries caches no verdict. The other resolver has not answered by then.
func TestFailureOfAbandonedLookup(t *testing.T) {
	for name, where := range map[string]zone.Where{"data": zone.At(tlsa, dns.TypeTLSA), "keys": zone.At("example.org.", dns.TypeDNSKEY)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, err := zone.New(clock, testZones("")...)
				if err != nil {
					t.Fatal(err)
				}
				wrong := zone.From(firstServer, zone.Garble(where))
				net.Break(wrong, zone.From(secondServer, zone.Silence(where)))
				r := dnssec.New(net, net.Anchors(), clock, dnssec.Options{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if a := r.Lookup(ctx, tlsa, dns.TypeTLSA); !errors.Is(a.Err, dnssec.ErrDeadline) {
					t.Fatalf("%s, %v: %s", a.Status, a.Err, a.Why)
				}
				synctest.Wait()
				net.BreakOnly(wrong)
				if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure || a.Inconsistent == "" {
					t.Errorf("%s: %s", a.Status, a.Why)
				}
			})
		})
	}
}

// TestFailuresClock checks that a failure is not cached for longer if the clock is set
// back.
func TestFailuresClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, now := setup(t, dnssec.Options{}, testZones(""), zone.Corrupt(zone.At(tlsa)))
		for _, c := range []struct {
			offset time.Duration
			asked  bool
		}{{0, true}, {5 * time.Second, false}, {-5 * time.Minute, false}, {-5*time.Minute - 1, true}, {0, true}, {5*time.Second + 1, true}} {
			*now = today.Add(c.offset)
			before := w.total()
			r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
			if asked := w.total() > before; asked != c.asked {
				t.Errorf("at %s: queries %v", c.offset, asked)
			}
		}
	})
}

// TestFailuresLimit checks that the number of cached failures is limited, and that the
// latest ones are kept.
func TestFailuresLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, _ := setup(t, dnssec.Options{}, testZones(""), zone.Rcode(zone.Under("example.org."), dns.RcodeServerFailure))
		r.LimitFailures(3)
		name := func(i int) string { return fmt.Sprintf("n%d.example.org.", i) }
		for i := range 10 {
			for range 2 {
				r.Lookup(t.Context(), name(i), dns.TypeA)
			}
			if n := r.Failures(); n > 3 || n == 0 {
				t.Fatalf("%d failures are cached", n)
			}
			if n := w.count(name(i) + " A"); n != 1 {
				t.Errorf("%s: %d queries", name(i), n)
			}
		}
	})
}
