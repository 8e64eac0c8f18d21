package dnssec_test

import (
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// wire counts what is asked, and can hold every reply back.
type wire struct {
	dnssec.Transport
	mu    sync.Mutex
	asked map[string]int
	hold  chan struct{} // nil: nothing is held back
	ended chan error    // what ended an exchange that was held back
}

func newWire(inner dnssec.Transport) *wire {
	return &wire{Transport: inner, asked: make(map[string]int), ended: make(chan error, 100)}
}

func (w *wire) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	w.mu.Lock()
	w.asked[query.Question[0].Name+" "+dns.Type(query.Question[0].Qtype).String()]++
	hold := w.hold
	w.mu.Unlock()
	if opt := query.IsEdns0(); opt == nil || !opt.Do() || !query.CheckingDisabled || !query.RecursionDesired || opt.UDPSize() != 1232 {
		return nil, "", errors.New("the query lacks DO, CD, RD or the buffer size")
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			w.ended <- ctx.Err()
			return nil, "", ctx.Err()
		}
	}
	return w.Transport.Exchange(ctx, query)
}

// count is how often a question was asked, once everybody who asks has asked.
func (w *wire) count(question string) int {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[question]
}

func (w *wire) total() int {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	sum := 0
	for _, n := range w.asked {
		sum += n
	}
	return sum
}

// setup makes a resolver over a world whose clock can be moved.
func setup(t *testing.T, options dnssec.Options, zones []zone.Zone, faults ...zone.Fault) (*dnssec.Resolver, *wire, *time.Time) {
	t.Helper()
	inner, err := zone.New(clock, zones...) // signed for today, whatever the resolver's clock says
	if err != nil {
		t.Fatal(err)
	}
	inner.Break(faults...)
	now := new(time.Time)
	*now = today
	w := newWire(inner)
	return dnssec.New(w, inner.Anchors(), func() time.Time { return *now }, options), w, now
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, now := setup(t, dnssec.Options{}, world("mx2 A 192.0.2.3\n"))
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
			t.Errorf("after the first look-up: %+v", s)
		}
		before := w.total()
		again := lookup(tlsa, dns.TypeTLSA)
		if got := w.total() - before; got != 1 || again.Work.Queries != 1 {
			t.Errorf("the chain is known, and %d queries were sent (%+v)", got, again.Work)
		}
		if again.Work.Signatures != 1 || len(again.Chain) != 3 {
			t.Errorf("work %+v, chain %+v", again.Work, again.Chain)
		}
		if s := r.Stats(); s.CacheHits != 3 || s.CacheMisses != 3 {
			t.Errorf("after the second look-up: %+v", s)
		}
		lookup("mx2.example.org.", dns.TypeA)
		if n := w.count("example.org. DNSKEY"); n != 1 {
			t.Errorf("another name of the zone: its keys were asked for %d times", n)
		}
		*now = today.Add(2 * time.Hour) // the TTL is an hour, the signatures last longer
		lookup(tlsa, dns.TypeTLSA)
		if n := w.count("example.org. DNSKEY"); n != 2 {
			t.Errorf("after its TTL: the keys were asked for %d times", n)
		}
	})
}

func TestCacheEndsWithSignatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := zone.At("example.org.", dns.TypeDNSKEY)
		r, w, now := setup(t, dnssec.Options{}, world(""), signedFor(keys, time.Hour, time.Minute))
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure || a.Zone.Expiry != today.Add(time.Minute) {
			t.Fatalf("%s: %s, zone %+v", a.Status, a.Why, a.Zone)
		}
		*now = today.Add(time.Minute + time.Second)
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Bogus || !strings.Contains(a.Why, "example.org. DNSKEY") {
			t.Errorf("the signature over the keys ended: %s: %s", a.Status, a.Why)
		}
		if n := w.count("example.org. DNSKEY"); n != 2 {
			t.Errorf("the keys were asked for %d times", n)
		}
		*now = today.Add(-2 * time.Hour)
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Bogus {
			t.Errorf("before the signature over the keys began: %s: %s", a.Status, a.Why)
		}
	})
}

// TestBogusIsRememberedBriefly: one failure for a crowd, and a repair is soon seen.
func TestBogusIsRememberedBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, now := setup(t, dnssec.Options{}, world("mx2 A 192.0.2.3\n"), zone.Corrupt(zone.At("example.org.", dns.TypeDNSKEY)))
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
		for range 50 {
			if a := lookup("mx2.example.org.", dns.TypeA); a.Work.Queries != 1 || a.Work.Signatures != 0 {
				t.Errorf("the zone is known to be bogus: %+v", a.Work)
			}
		}
		if n := w.count("example.org. DNSKEY"); n != 1 {
			t.Errorf("the keys were asked for %d times in the same moment", n)
		}
		*now = today.Add(6 * time.Second)
		lookup(tlsa, dns.TypeTLSA)
		if n := w.count("example.org. DNSKEY"); n != 2 {
			t.Errorf("a moment later the keys had been asked for %d times", n)
		}
		if n := w.count(". DNSKEY"); n != 1 {
			t.Errorf("the root's keys, which are good, were asked for %d times", n)
		}
	})
}

func TestInsecureIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zones := world("", func(z *zone.Zone) { z.Unsigned, z.Delegation = true, zone.Insecure })
		r, w, _ := setup(t, dnssec.Options{}, zones)
		for range 2 {
			if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Insecure {
				t.Fatalf("%s: %s", a.Status, a.Why)
			}
		}
		if n := w.count("example.org. DS"); n != 1 {
			t.Errorf("the DS was asked for %d times", n)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		options        dnssec.Options
		entries, bytes int
	}{
		"in entries": {dnssec.Options{CacheEntries: 2}, 2, 1 << 20},
		"in bytes":   {dnssec.Options{CacheBytes: 1500}, 100, 1500},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, _ := setup(t, c.options, world(""))
			for range 2 {
				if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure {
					t.Fatalf("%s: %s", a.Status, a.Why)
				}
				if s := r.Stats(); s.CacheEntries > c.entries || s.CacheBytes > c.bytes || s.CacheEntries == 0 {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}

// TestLongTTL: a TTL of years does not keep a zone for more than a day.
func TestLongTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := zone.Under(".", dns.TypeDS, dns.TypeDNSKEY)
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
		r, w, now := setup(t, dnssec.Options{}, world(""), long, shown)
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure {
			t.Fatalf("%s: %s", a.Status, a.Why)
		}
		*now = today.Add(23 * time.Hour)
		r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
		if n := w.count("example.org. DNSKEY"); n != 1 {
			t.Errorf("within a day: the keys were asked for %d times", n)
		}
		*now = today.Add(25 * time.Hour)
		r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
		if n := w.count("example.org. DNSKEY"); n != 2 {
			t.Errorf("after a day: the keys were asked for %d times", n)
		}
	})
}

// TestAdditionalSectionIsNotBelieved: neither what is good nor what is bad there counts.
func TestAdditionalSectionIsNotBelieved(t *testing.T) {
	at := zone.At("mx.example.org.", dns.TypeA)
	tell(t, []story{
		{name: "the answer is moved there", zones: world(""), faults: []zone.Fault{respond(at, func(m *dns.Msg) { m.Extra, m.Answer = append(m.Answer, m.Extra...), nil })},
			ask: "mx.example.org.", qtype: dns.TypeA, status: dnssec.Bogus, why: "mx.example.org. A"},
		{name: "a forged address stands there", zones: world(""), faults: []zone.Fault{respond(at, func(m *dns.Msg) {
			forged := dns.Copy(m.Answer[0]).(*dns.A)
			forged.A = net.IPv4(192, 0, 2, 66)
			m.Extra = append([]dns.RR{forged}, m.Extra...)
		})}, ask: "mx.example.org.", qtype: dns.TypeA, status: dnssec.Secure, records: 1, check: func(t *testing.T, a dnssec.Answer) {
			if got := a.Records[0].(*dns.A).A.String(); got != "192.0.2.1" {
				t.Errorf("address %s", got)
			}
		}},
	})
}

func TestEqualLookupsAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, _ := setup(t, dnssec.Options{}, world(""))
		w.hold = make(chan struct{})
		answers := make([]dnssec.Answer, 20)
		var group sync.WaitGroup
		for i := range answers {
			group.Go(func() { answers[i] = r.Lookup(t.Context(), tlsa, dns.TypeTLSA) })
		}
		synctest.Wait() // until all of them wait
		close(w.hold)
		group.Wait()
		for _, a := range answers {
			if a.Status != dnssec.Secure || !reflect.DeepEqual(a, answers[0]) {
				t.Fatalf("%s: %s", a.Status, a.Why)
			}
		}
		if n := w.count(tlsa + " TLSA"); n != 1 {
			t.Errorf("the answer was asked for %d times", n)
		}
	})
}

func TestDifferentLookupsShareTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, _ := setup(t, dnssec.Options{}, world(""))
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
				t.Errorf("%s was asked for %d times", q, n)
			}
		}
	})
}

// TestOneLeavesTheOthersStay: the deadline of one who waits is not that of the rest.
func TestOneLeavesTheOthersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, _ := setup(t, dnssec.Options{}, world(""))
		w.hold = make(chan struct{})
		short, cancel := context.WithCancel(t.Context())
		first, second := make(chan dnssec.Answer, 1), make(chan dnssec.Answer, 1)
		go func() { first <- r.Lookup(short, tlsa, dns.TypeTLSA) }()
		go func() { second <- r.Lookup(t.Context(), tlsa, dns.TypeTLSA) }()
		synctest.Wait() // until all of them wait
		cancel()
		if a := <-first; a.Status != dnssec.Indeterminate || !errors.Is(a.Err, dnssec.ErrDeadline) || !errors.Is(a.Err, context.Canceled) {
			t.Errorf("who left: %s %v", a.Status, a.Err)
		}
		close(w.hold)
		if a := <-second; a.Status != dnssec.Secure {
			t.Errorf("who stayed: %s: %s", a.Status, a.Why)
		}
	})
}

// TestLastOneLeaves: then the work ends too.
func TestLastOneLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, _ := setup(t, dnssec.Options{}, world(""))
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

func TestNobodyAnswers(t *testing.T) {
	for name, fault := range map[string]zone.Fault{
		"the answer": zone.Silence(zone.At(tlsa, dns.TypeTLSA)),
		"a DNSKEY":   zone.Silence(zone.At("example.org.", dns.TypeDNSKEY)),
		"anything":   zone.Silence(func(zone.Place) bool { return true }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _, _ := setup(t, dnssec.Options{QueryTimeout: 3 * time.Second}, world(""), fault)
				start := time.Now()
				a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
				if a.Status != dnssec.Indeterminate || !errors.Is(a.Err, dnssec.ErrUnreachable) || !errors.Is(a.Err, context.DeadlineExceeded) || a.Why == "" {
					t.Errorf("%s %v: %s", a.Status, a.Err, a.Why)
				}
				if took := time.Since(start); took > 7*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// TestGuessNobodyNeeds: a look-up does not wait for a guess that proves useless.
func TestGuessNobodyNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := setup(t, dnssec.Options{QueryTimeout: time.Hour}, world(""), zone.Silence(zone.At("mx.example.org.", dns.TypeDS, dns.TypeDNSKEY)))
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure {
			t.Errorf("%s: %s", a.Status, a.Why)
		}
	})
}

func TestNames(t *testing.T) {
	r, _, _ := setup(t, dnssec.Options{}, world(""))
	for _, name := range []string{strings.Repeat("a", 64) + ".org.", strings.Repeat("a.", 130), "a..org.", strings.Repeat("x", 5000)} {
		if a := r.Lookup(t.Context(), name, dns.TypeA); a.Status != dnssec.Indeterminate || a.Err == nil || len(a.Why) > 500 {
			t.Errorf("%.20q: %s %v", name, a.Status, a.Err)
		}
	}
	if a := r.Lookup(t.Context(), "", dns.TypeSOA); a.Name != "." || a.Status != dnssec.Secure {
		t.Errorf("the root: %s %s: %s", a.Name, a.Status, a.Why)
	}
}

func TestAnchorElsewhere(t *testing.T) {
	net, err := zone.New(clock, world("forged A 192.0.2.66\n")...)
	if err != nil {
		t.Fatal(err)
	}
	net.Break(altered(zone.At("forged.example.org.", dns.TypeA), func(sig *dns.RRSIG) { sig.SignerName = "org." }))
	ksk := mustKey("example.org.", "ksk", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP)
	stranger := mustKey("example.org.", "stranger", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP)
	for _, c := range []struct {
		name    string
		anchors []dnssec.Anchor
		ask     string
		status  dnssec.Status
		why     string
		links   int
	}{
		{"below the anchor", []dnssec.Anchor{*ksk.Public.ToDS(dns.SHA256)}, "mx.example.org.", dnssec.Secure, "", 1},
		{"under no anchor", []dnssec.Anchor{*ksk.Public.ToDS(dns.SHA256)}, "org.", dnssec.Insecure, "no trust anchor covers the name", 1},
		{"no anchors at all", nil, "mx.example.org.", dnssec.Insecure, "no trust anchor covers the name", 1},
		{"below the anchor, with a signature from above it", []dnssec.Anchor{*ksk.Public.ToDS(dns.SHA256)}, "forged.example.org.", dnssec.Bogus, "carries no signature", 1},
		{"a wrong anchor", []dnssec.Anchor{*stranger.Public.ToDS(dns.SHA256)}, "mx.example.org.", dnssec.Bogus, "matches the trust anchors", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := dnssec.New(net, c.anchors, clock, dnssec.Options{}).Lookup(t.Context(), c.ask, dns.TypeA)
			if a.Status != c.status || !strings.Contains(a.Why, c.why) || len(a.Chain) != c.links {
				t.Errorf("%s: %s %+v", a.Status, a.Why, a.Chain)
			}
		})
	}
}
