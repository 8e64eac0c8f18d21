package dnssec_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, now := setup(t, dnssec.Options{}, testZones("mx2 A 192.0.2.3\n"))
		lookup := func(name string, qtype uint16) dnssec.Answer {
			t.Helper()
			a := r.Lookup(t.Context(), name, qtype)
			if a.Status != dnssec.Secure {
				t.Fatalf("%s: %s: %s", name, a.Status, a.Why)
			}
			return a
		}
		lookup(tlsa, dns.TypeTLSA)
		if s := r.Stats(); s.CacheMisses != 3 || s.CacheHits != 0 || s.CacheEntries < 3 || s.CacheBytes <= 0 {
			t.Errorf("after the first lookup: %+v", s)
		}
		before := w.total()
		again := lookup(tlsa, dns.TypeTLSA)
		if got := w.total() - before; got != 1 || again.Work.Queries != 1 {
			t.Errorf("the chain is cached, and %d queries were sent (%+v)", got, again.Work)
		}
		if again.Work.Signatures != 1 || len(again.Chain) != 3 {
			t.Errorf("work %+v, chain %+v", again.Work, again.Chain)
		}
		if s := r.Stats(); s.CacheHits != 3 || s.CacheMisses != 3 {
			t.Errorf("after the second lookup: %+v", s)
		}
		lookup("mx2.example.org.", dns.TypeA)
		if n := w.count("example.org. DNSKEY"); n != 1 {
			t.Errorf("another name of the zone: its keys were queried %d times", n)
		}
		*now = today.Add(2 * time.Hour) // the TTL is an hour, the signatures last longer
		lookup(tlsa, dns.TypeTLSA)
		if n := w.count("example.org. DNSKEY"); n != 2 {
			t.Errorf("after its TTL: the keys were queried %d times", n)
		}
	})
}

func TestCacheEndsWithSignatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := zone.At("example.org.", dns.TypeDNSKEY)
		r, w, now := setup(t, dnssec.Options{}, testZones(""), signedFor(keys, time.Hour, time.Minute))
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure || a.Validity().Expiry != today.Add(time.Minute) {
			t.Fatalf("%s: %s, %+v", a.Status, a.Why, a.Validity())
		}
		*now = today.Add(time.Minute + time.Second)
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Bogus || !strings.Contains(a.Why, "example.org. DNSKEY") {
			t.Errorf("after the signature over the keys expired: %s: %s", a.Status, a.Why)
		}
		if n := w.count("example.org. DNSKEY"); n != 2 {
			t.Errorf("the keys were queried %d times", n)
		}
		*now = today.Add(-2 * time.Hour)
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Bogus {
			t.Errorf("before the inception of the signature over the keys: %s: %s", a.Status, a.Why)
		}
	})
}

// TestBogusIsCachedBriefly checks that many lookups fail once, and that a repair is
// seen soon.
func TestBogusIsCachedBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, now := setup(t, dnssec.Options{}, testZones("mx2 A 192.0.2.3\n"), zone.Corrupt(zone.At("example.org.", dns.TypeDNSKEY)))
		lookup := func(name string, qtype uint16) dnssec.Answer {
			t.Helper()
			a := r.Lookup(t.Context(), name, qtype)
			if a.Status != dnssec.Bogus || !strings.Contains(a.Why, "example.org. DNSKEY") || !strings.Contains(a.Why, "for its TTL") {
				t.Fatalf("%s: %s", a.Status, a.Why)
			}
			if last := a.Chain[len(a.Chain)-1]; last.Zone != "example.org." || last.Status != dnssec.Bogus || len(a.Chain) != 3 {
				t.Errorf("chain %+v", a.Chain)
			}
			return a
		}
		lookup(tlsa, dns.TypeTLSA)
		for i := range 50 {
			if a := lookup(fmt.Sprintf("mx%d.example.org.", i), dns.TypeA); a.Work.Queries != 1 || a.Work.Signatures != 0 {
				t.Errorf("the zone is cached as bogus: %+v", a.Work)
			}
		}
		if n := w.count("example.org. DNSKEY"); n != 1 {
			t.Errorf("the keys were queried %d times in the same moment", n)
		}
		*now = today.Add(6 * time.Second)
		lookup(tlsa, dns.TypeTLSA)
		if n := w.count("example.org. DNSKEY"); n != 2 {
			t.Errorf("after six seconds, the keys were queried %d times", n)
		}
		if n := w.count(". DNSKEY"); n != 1 {
			t.Errorf("the root's keys, which are valid, were queried %d times", n)
		}
	})
}

func TestInsecureIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zones := testZones("", func(z *zone.Zone) { z.Unsigned, z.Delegation = true, zone.Insecure })
		r, w, _ := setup(t, dnssec.Options{}, zones)
		for range 2 {
			if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Insecure {
				t.Fatalf("%s: %s", a.Status, a.Why)
			}
		}
		if n := w.count("example.org. DS"); n != 1 {
			t.Errorf("the DS was queried %d times", n)
		}
	})
}

func TestCacheLimit(t *testing.T) {
	t.Parallel()
	r, _, _ := setup(t, dnssec.Options{CacheBytes: 1500}, testZones(""))
	for range 2 {
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure {
			t.Fatalf("%s: %s", a.Status, a.Why)
		}
		if s := r.Stats(); s.CacheBytes > 1500 || s.CacheEntries == 0 {
			t.Errorf("%+v", s)
		}
	}
}

// TestCacheEstimate compares the estimated size of the cache with the memory that is free
// once the cache is empty.
func TestCacheEstimate(t *testing.T) {
	const n = 1000
	for name, kind := range map[string]zone.Zone{
		"ECDSA":    {},
		"RSA":      {Algorithms: []uint8{dns.RSASHA256}},
		"unsigned": {Unsigned: true, Delegation: zone.Insecure},
	} {
		t.Run(name, func(t *testing.T) {
			zones := []zone.Zone{{Apex: "org"}}
			for i := range n {
				z := kind
				z.Apex, z.Records = fmt.Sprintf("domain%d.org", i), "@ MX 0 ."
				zones = append(zones, z)
			}
			r, internet, _ := setup(t, dnssec.Options{}, zones)
			for _, z := range zones {
				r.Lookup(t.Context(), z.Apex, dns.TypeMX)
			}
			stats, full := r.Stats(), heap()
			r.ClearZoneCache()
			used := full - heap()
			runtime.KeepAlive(r)
			runtime.KeepAlive(internet)
			t.Logf("%d bytes for each zone, %d estimated", used/n, stats.CacheBytes/n)
			if stats.CacheEntries < n || stats.CacheBytes < used*3/4 || stats.CacheBytes > used*3/2 {
				t.Errorf("%d zones take %d bytes; %d entries are estimated at %d bytes", n, used, stats.CacheEntries, stats.CacheBytes)
			}
		})
	}
}

// heap returns the number of bytes of reachable objects.
func heap() int {
	runtime.GC()
	runtime.GC() // sync.Pool keeps objects for one more cycle
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// TestLongTTL checks that a TTL of years does not cache a zone, or that a name is
// probably none, for more than a day.
func TestLongTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := zone.Under(".", dns.TypeDS, dns.TypeDNSKEY, dns.TypeTLSA)
		long := zone.Fault{Where: chain, Sign: func(s *zone.Signing) {
			for i, rr := range s.Set {
				s.Set[i] = dns.Copy(rr)
				s.Set[i].Header().Ttl = 1 << 30
			}
			s.Inception, s.Expiry = today.Add(-time.Hour), today.Add(20*365*24*time.Hour)
		}}
		shown := respond(chain, func(m *dns.Msg) {
			for _, rr := range m.Answer {
				rr.Header().Ttl = 1 << 30
			}
		})
		r, w, now := setup(t, dnssec.Options{}, testZones(""), long, shown)
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure {
			t.Fatalf("%s: %s", a.Status, a.Why)
		}
		*now = today.Add(23 * time.Hour)
		r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
		if n := w.count("example.org. DNSKEY"); n != 1 {
			t.Errorf("within a day: the keys were queried %d times", n)
		}
		*now = today.Add(25 * time.Hour)
		r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
		if n := w.count("example.org. DNSKEY"); n != 2 {
			t.Errorf("after a day: the keys were queried %d times", n)
		}
		if n := w.count("mx.example.org. DS"); n != 2 {
			t.Errorf("after a day: the DS of a host was queried %d times", n)
		}
	})
}

// TestNoCutLifetime checks how long a proof that a name is no zone cut is used. The
// limits are its TTL, one day, and the lifetime of the zone that gave it.
func TestNoCutLifetime(t *testing.T) {
	const years = 1 << 30
	withTTL := func(where zone.Where, ttl uint32) []zone.Fault {
		return []zone.Fault{
			{Where: where, Sign: func(s *zone.Signing) {
				for i, rr := range s.Set {
					s.Set[i] = dns.Copy(rr)
					s.Set[i].Header().Ttl = ttl
				}
				s.Inception, s.Expiry = today.Add(-time.Hour), today.Add(20*365*24*time.Hour)
			}},
			respond(where, func(m *dns.Msg) {
				for _, section := range [][]dns.RR{m.Answer, m.Ns} {
					for _, rr := range section {
						rr.Header().Ttl = ttl
					}
				}
			}),
		}
	}
	anything := withTTL(zone.Under("."), years)
	keys := zone.At("example.org.", dns.TypeDNSKEY)
	for _, c := range []struct {
		name   string
		cut    string // whose DS is denied
		faults []zone.Fault
		before time.Duration // when the proof is used still
		after  time.Duration // when it is not
	}{
		{"NSEC", "plain.example.org.", anything, 24 * time.Hour, 24*time.Hour + time.Second},
		{"CNAME", "alias.example.org.", anything, 24 * time.Hour, 24*time.Hour + time.Second},
		{"DNAME", "below.tree.example.org.", anything, 24 * time.Hour, 24*time.Hour + time.Second},
		{"NSEC, and the keys have a TTL of a minute", "plain.example.org.", slices.Concat(anything, withTTL(keys, 60)), time.Minute, time.Minute + time.Second},
		{"CNAME, and the keys have a TTL of a minute", "alias.example.org.", slices.Concat(anything, withTTL(keys, 60)), time.Minute, time.Minute + time.Second},
		{"NSEC with a TTL of a minute", "plain.example.org.", slices.Concat(anything, withTTL(zone.At("plain.example.org."), 60)), time.Minute, time.Minute + time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// Data without a signature needs a verdict on each cut above.
				unsigned := respond(zone.At(c.cut, dns.TypeTXT), func(m *dns.Msg) {
					m.Ns, m.Answer = nil, []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: c.cut, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"a"}}}
				})
				for at, want := range map[time.Duration]int{c.before: 1, c.after: 2} {
					r, w, now := setup(t, dnssec.Options{}, testZones("plain TXT a\nalias CNAME mx\ntree DNAME other.example.\n"), slices.Concat(c.faults, []zone.Fault{unsigned})...)
					r.Speculate(false)
					for _, at := range []time.Duration{0, at} {
						*now = today.Add(at)
						if a := r.Lookup(t.Context(), c.cut, dns.TypeTXT); a.Status != dnssec.Bogus {
							t.Fatalf("after %s: %s: %s", at, a.Status, a.Why)
						}
					}
					if n := w.count(c.cut + " DS"); n != want {
						t.Errorf("after %s: the DS was queried %d times, want %d", at, n, want)
					}
				}
			})
		})
	}
}

// TestSigCache checks that a signature is not verified again, and that its dates
// are checked each time.
func TestSigCache(t *testing.T) {
	r, _, now := setup(t, dnssec.Options{}, testZones("mx2 A 192.0.2.3\n"), signedFor(zone.At(tlsa, dns.TypeTLSA), time.Hour, time.Minute))
	for i, cached := range []int{0, 1, 1} {
		a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
		if a.Status != dnssec.Secure || a.Work.Cached != cached || a.Work.Signatures < 1 {
			t.Errorf("lookup %d: %s, work %+v", i, a.Status, a.Work)
		}
	}
	if a := r.Lookup(t.Context(), "mx2.example.org.", dns.TypeA); a.Status != dnssec.Secure || a.Work.Cached != 0 {
		t.Errorf("another RRset: %s, work %+v", a.Status, a.Work)
	}
	*now = today.Add(2 * time.Minute)
	if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Bogus || !strings.Contains(a.Why, "expired") {
		t.Errorf("after the signature expired: %s: %s", a.Status, a.Why)
	}
}

// TestSigCacheSkipsFailures checks that a wrong signature is bogus each time.
func TestSigCacheSkipsFailures(t *testing.T) {
	r, _, _ := setup(t, dnssec.Options{}, testZones(""), zone.Corrupt(zone.At(tlsa, dns.TypeTLSA)))
	for range 2 {
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Bogus {
			t.Errorf("%s: %s", a.Status, a.Why)
		}
	}
}

// TestSigCacheSize checks that a cache of two drops a signature for two others.
func TestSigCacheSize(t *testing.T) {
	r, _, _ := setup(t, dnssec.Options{}, testZones(""))
	r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
	r.LimitSigCache(2)
	for _, c := range []struct {
		name   string
		qtype  uint16
		cached int
	}{{tlsa, dns.TypeTLSA, 0}, {tlsa, dns.TypeTLSA, 1}, {"mx.example.org.", dns.TypeA, 0}, {tlsa, dns.TypeTLSA, 1},
		{"mx.example.org.", dns.TypeA, 1}, {"example.org.", dns.TypeSOA, 0}, {tlsa, dns.TypeTLSA, 0}} {
		if a := r.Lookup(t.Context(), c.name, c.qtype); a.Status != dnssec.Secure || a.Work.Cached != c.cached {
			t.Errorf("%s: %s, work %+v, want %d cached", c.name, a.Status, a.Work, c.cached)
		}
	}
}

// TestSigCacheCountsTowardsLimits checks that cached signatures count as checks.
func TestSigCacheCountsTowardsLimits(t *testing.T) {
	for _, limit := range []int{5, 6} {
		r, _, _ := setup(t, dnssec.Options{}, testZones(""))
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
