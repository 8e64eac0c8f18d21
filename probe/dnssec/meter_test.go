package dnssec_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// queryMeter is a Meter that allows a number of queries and bytes. With peak, one lookup
// uses it at a time.
type queryMeter struct{ left, used, bytes, held, peak, computed, maxComputed atomic.Int64 }

func allow(queries int) *queryMeter { return allowBytes(queries, 1<<40) }

func allowBytes(queries, bytes int) *queryMeter {
	m := new(queryMeter)
	m.left.Store(int64(queries))
	m.bytes.Store(int64(bytes))
	m.maxComputed.Store(1 << 40)
	return m
}

func (m *queryMeter) Query(bool) error {
	if m.left.Add(-1) < 0 {
		return errors.New("no queries left")
	}
	m.used.Add(1)
	return nil
}

func (m *queryMeter) Control() error { return m.Query(false) }

func (m *queryMeter) Compute(cost int) error {
	if m.computed.Load()+int64(cost) > m.maxComputed.Load() {
		return errors.New("no CPU time left")
	}
	m.computed.Add(int64(cost))
	return nil
}

func (m *queryMeter) Begin(context.Context) (end func(), err error) { return func() {}, nil }

func (m *queryMeter) Grow(n int) error {
	held := m.held.Add(int64(n))
	if n > 0 && held > m.bytes.Load() {
		m.held.Add(int64(-n))
		return errors.New("no memory left")
	}
	m.peak.Store(max(m.peak.Load(), held))
	return nil
}

// sentQueries counts the queries to all resolvers.
type sentQueries struct {
	*zone.Internet
	count atomic.Int64
}

func (s *sentQueries) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	s.count.Add(1)
	return s.Internet.Exchange(ctx, query)
}

func (s *sentQueries) ExchangeWith(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	s.count.Add(1)
	return s.Internet.ExchangeWith(ctx, server, query)
}

// TestBudgetDecidesNothing checks that a lookup with any number of queries has the
// verdict of one without a limit, or none: what its budget prevents is never the fault
// of the zone. It leaves no trace in the caches either.
func TestBudgetDecidesNothing(t *testing.T) {
	at, everything := zone.At(tlsa, dns.TypeTLSA), zone.Under(".")
	for _, c := range []struct {
		name   string
		faults []zone.Fault
	}{
		{"a good zone", nil},
		{"SERVFAIL", []zone.Fault{zone.Rcode(at, dns.RcodeServerFailure)}},
		{"REFUSED for every query", []zone.Fault{zone.Rcode(everything, dns.RcodeRefused)}},
		{"a wrong signature over the data", []zone.Fault{zone.Corrupt(at)}},
		{"a wrong signature over the data, from one resolver", []zone.Fault{zone.From(zone.FirstServer, respond(at, func(m *dns.Msg) { m.Answer = m.Answer[:1] }))}},
		{"a wrong signature over the keys, from one resolver", []zone.Fault{zone.From(zone.FirstServer, respond(zone.At("example.org.", dns.TypeDNSKEY), func(m *dns.Msg) {
			for _, rr := range m.Answer {
				if sig, ok := rr.(*dns.RRSIG); ok {
					sig.Signature = "AAAA" + sig.Signature[4:]
				}
			}
		}))}},
		{"a wrong signature over the keys", []zone.Fault{zone.Corrupt(zone.At("example.org.", dns.TypeDNSKEY))}},
		{"no signature", []zone.Fault{zone.Strip(at)}},
		{"no DS", []zone.Fault{zone.DropProof(zone.At("example.org.", dns.TypeDS))}},
	} {
		for _, speculate := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, speculative queries %t", c.name, speculate), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // controls may wait for the next second
					net, err := zone.New(clock, testZones("")...)
					if err != nil {
						t.Fatal(err)
					}
					net.Break(c.faults...)
					newResolver := func() (*dnssec.Resolver, *sentQueries) {
						sent := &sentQueries{Internet: net}
						r := dnssec.New(sent, net.Anchors(), clock, dnssec.Options{})
						r.Speculate(speculate)
						return r, sent
					}
					meter := allow(1000)
					r, _ := newResolver()
					want := r.LookupWithin(t.Context(), meter, tlsa, dns.TypeTLSA)
					if errors.Is(want.Err, dnssec.ErrBudget) {
						t.Fatal(want.Err)
					}
					equal := func(a, b dnssec.Answer) bool {
						return a.Status == b.Status && (a.Err == nil) == (b.Err == nil) && errors.Is(a.Err, dnssec.ErrUnreachable) == errors.Is(b.Err, dnssec.ErrUnreachable)
					}
					refused := 0
					for n := range int(meter.used.Load()) + 1 {
						r, sent := newResolver()
						got := r.LookupWithin(t.Context(), allow(n), tlsa, dns.TypeTLSA)
						if m := sent.count.Load(); m > int64(n) {
							t.Errorf("%d queries were sent instead of %d", m, n)
						}
						if errors.Is(got.Err, dnssec.ErrBudget) {
							refused++
							if got.Status != dnssec.Indeterminate || !errors.Is(got.Err, dnssec.ErrLimit) || got.Why == "" {
								t.Errorf("%d queries: %s, %v: %s", n, got.Status, got.Err, got.Why)
							}
						} else if !equal(got, want) {
							t.Errorf("%d queries: %s, %v: %s; want %s, %v", n, got.Status, got.Err, got.Why, want.Status, want.Err)
						}
						if next := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); !equal(next, want) {
							t.Errorf("the lookup after one with %d queries: %s, %v: %s; want %s, %v", n, next.Status, next.Err, next.Why, want.Status, want.Err)
						}
					}
					synctest.Wait()
					peak := int(meter.peak.Load())
					if meter.held.Load() != 0 || peak < dnssec.SizeOfQuery {
						t.Errorf("%d bytes are held after the lookup, and at most %d during it", meter.held.Load(), peak)
					}
					for n := 0; n < peak; n += max(300, peak/30) {
						r, _ := newResolver()
						limited := allowBytes(1000, n)
						got := r.LookupWithin(t.Context(), limited, tlsa, dns.TypeTLSA)
						synctest.Wait() // speculative queries end after the lookup
						if limited.held.Load() != 0 {
							t.Errorf("%d bytes: %d are held after the lookup", n, limited.held.Load())
						}
						if unjudged := errors.Is(got.Err, dnssec.ErrBudget); unjudged && got.Status != dnssec.Indeterminate || !unjudged && !equal(got, want) {
							t.Errorf("%d bytes: %s, %v: %s; want %s, %v", n, got.Status, got.Err, got.Why, want.Status, want.Err)
						}
						if next := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); !equal(next, want) {
							t.Errorf("the lookup after one with %d bytes: %s, %v: %s; want %s, %v", n, next.Status, next.Err, next.Why, want.Status, want.Err)
						}
					}
					if refused == 0 {
						t.Error("no lookup was refused")
					}
				})
			})
		}
	}
}

// TestBudgetsAreSeparate checks that a client whose budget ends does not make the
// lookup of another client fail that shares it, or a query of it.
func TestBudgetsAreSeparate(t *testing.T) {
	for _, other := range []uint16{dns.TypeTLSA, dns.TypeA} {
		for queries := range 12 {
			synctest.Test(t, func(t *testing.T) {
				r, w, _ := setup(t, dnssec.Options{}, testZones(""))
				w.hold = make(chan struct{})
				var group sync.WaitGroup
				var poor dnssec.Answer
				group.Go(func() { poor = r.LookupWithin(t.Context(), allow(queries), tlsa, dns.TypeTLSA) })
				if queries > 0 {
					synctest.Wait() // its first queries are in flight
				}
				rich := allow(100)
				answers := make([]dnssec.Answer, 5)
				for i := range answers {
					group.Go(func() { answers[i] = r.LookupWithin(t.Context(), rich, tlsa, other) })
				}
				synctest.Wait()
				close(w.hold)
				group.Wait()
				if poor.Status != dnssec.Secure && !errors.Is(poor.Err, dnssec.ErrBudget) {
					t.Errorf("%d queries: %s: %s", queries, poor.Status, poor.Why)
				}
				for _, a := range answers {
					if a.Status != dnssec.Secure {
						t.Errorf("while another lookup may send %d queries: %s: %s", queries, a.Status, a.Why)
					}
				}
			})
		}
	}
}

// TestBudgetsOfControlsAreSeparate is TestBudgetsAreSeparate for lookups that fail, and
// that share controls.
func TestBudgetsOfControlsAreSeparate(t *testing.T) {
	for queries := range 40 {
		synctest.Test(t, func(t *testing.T) {
			net, err := zone.New(clock, testZones("")...)
			if err != nil {
				t.Fatal(err)
			}
			net.Break(zone.Rcode(zone.Under("example.org."), dns.RcodeServerFailure))
			r := dnssec.New(net, net.Anchors(), clock, dnssec.Options{})
			var group sync.WaitGroup
			var poor dnssec.Answer
			var rich [5]dnssec.Answer
			group.Go(func() { poor = r.LookupWithin(t.Context(), allow(queries), tlsa, dns.TypeTLSA) })
			for i := range rich {
				group.Go(func() {
					rich[i] = r.LookupWithin(t.Context(), allow(200), fmt.Sprintf("n%d.example.org.", i/2), dns.TypeTLSA)
				})
			}
			group.Wait()
			if !errors.Is(poor.Err, dnssec.ErrBudget) && !errors.Is(poor.Err, dnssec.ErrServer) || errors.Is(poor.Err, dnssec.ErrResolverFailed) {
				t.Errorf("%d queries: %v: %s", queries, poor.Err, poor.Why)
			}
			for _, a := range rich {
				if !errors.Is(a.Err, dnssec.ErrServer) || errors.Is(a.Err, dnssec.ErrBudget) || errors.Is(a.Err, dnssec.ErrResolverFailed) {
					t.Errorf("while another lookup may send %d queries: %v: %s", queries, a.Err, a.Why)
				}
			}
		})
	}
}

// TestCheckHasBudget checks that the validation of a given response pays for its queries
// and its memory.
func TestCheckHasBudget(t *testing.T) {
	net, err := zone.New(clock, testZones("")...)
	if err != nil {
		t.Fatal(err)
	}
	query := new(dns.Msg).SetQuestion(tlsa, dns.TypeTLSA)
	query.SetEdns0(1232, true)
	response, _, err := net.Exchange(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		meter   *queryMeter
		refused bool
	}{{allow(100), false}, {allow(1), true}, {allowBytes(100, 100), true}} {
		r := dnssec.New(net, net.Anchors(), clock, dnssec.Options{})
		a := r.Check(t.Context(), c.meter, tlsa, dns.TypeTLSA, response)
		if errors.Is(a.Err, dnssec.ErrBudget) != c.refused || (a.Status == dnssec.Secure) == c.refused {
			t.Errorf("%s, %v: %s", a.Status, a.Err, a.Why)
		}
		if c.meter.held.Load() != 0 {
			t.Errorf("%d bytes are held", c.meter.held.Load())
		}
	}
}

// manySignatures adds useless signatures over an RRset to responses, before the valid one.
func manySignatures(where zone.Where, n int) zone.Fault {
	return respond(where, func(m *dns.Msg) {
		for _, rr := range m.Answer {
			sig, ok := rr.(*dns.RRSIG)
			if !ok {
				continue
			}
			for i := range n {
				wrong := *sig
				wrong.Expiration += uint32(i + 1) // is tried first
				m.Answer = append(m.Answer, &wrong)
			}
			return
		}
	})
}

// TestSignatureChecksAreLimited checks that signature checks count as CPU time of the
// client, that they end with it and with the context, and that neither is a verdict.
func TestSignatureChecksAreLimited(t *testing.T) {
	const useless = 60
	for _, c := range []struct {
		name   string
		limit  int64 // of CPU time; 0: none
		cancel int64 // CPU time after which the context ends; 0: never
		want   error
	}{
		{"no limit", 0, 0, nil},
		{"little CPU time", 2000, 0, dnssec.ErrBudget},
		{"the client leaves", 0, 2000, dnssec.ErrDeadline},
	} {
		t.Run(c.name, func(t *testing.T) {
			net, err := zone.New(clock, testZones("")...)
			if err != nil {
				t.Fatal(err)
			}
			net.Break(manySignatures(zone.At(tlsa, dns.TypeTLSA), useless))
			r := dnssec.New(net, net.Anchors(), clock, dnssec.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			meter := &leavingClient{queryMeter: allow(1000), at: c.cancel, leave: cancel}
			if c.limit > 0 {
				meter.maxComputed.Store(c.limit)
			}
			query := new(dns.Msg).SetQuestion(tlsa, dns.TypeTLSA)
			query.SetEdns0(1232, true)
			response, _, err := net.Exchange(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			a := r.Check(ctx, meter, tlsa, dns.TypeTLSA, response)
			used := meter.computed.Load()
			switch {
			case c.want == nil && (a.Status != dnssec.Secure || used < 100*useless):
				t.Errorf("%s, %v after %d units: %s", a.Status, a.Err, used, a.Why)
			case c.want != nil && (a.Status != dnssec.Indeterminate || !errors.Is(a.Err, c.want) || used > 2100):
				t.Errorf("%s, %v after %d units: %s", a.Status, a.Err, used, a.Why)
			}
			if next := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); next.Status != dnssec.Secure {
				t.Errorf("the next lookup: %s: %s", next.Status, next.Why)
			}
		})
	}
}

// leavingClient is a meter whose client leaves after an amount of CPU time.
type leavingClient struct {
	*queryMeter
	at    int64
	leave func()
}

func (l *leavingClient) Compute(cost int) error {
	err := l.queryMeter.Compute(cost)
	if l.at > 0 && l.computed.Load() >= l.at {
		l.leave()
	}
	return err
}

// TestCachedSignaturesTakeNoTime looks up the same records again: what the cache has is
// not checked again, so it takes no CPU time of the client.
func TestCachedSignaturesTakeNoTime(t *testing.T) {
	net, err := zone.New(clock, testZones("")...)
	if err != nil {
		t.Fatal(err)
	}
	r := dnssec.New(net, net.Anchors(), clock, dnssec.Options{})
	first, again := allow(1000), allow(1000)
	a := r.LookupWithin(t.Context(), first, tlsa, dns.TypeTLSA)
	b := r.LookupWithin(t.Context(), again, tlsa, dns.TypeTLSA)
	if a.Status != dnssec.Secure || b.Status != dnssec.Secure || first.computed.Load() == 0 || again.computed.Load() != 0 {
		t.Errorf("%s after %d units, then %s after %d", a.Status, first.computed.Load(), b.Status, again.computed.Load())
	}
}

// crowdedMeter is a Meter of a client that has too many queries in progress.
type crowdedMeter struct{ *queryMeter }

func (crowdedMeter) Begin(ctx context.Context) (end func(), err error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestCrowdedClientDelaysNoOther checks a lookup whose queries wait for their turn: other
// clients do not join it.
func TestCrowdedClientDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, err := zone.New(clock, testZones("")...)
		if err != nil {
			t.Fatal(err)
		}
		r := dnssec.New(net, net.Anchors(), clock, dnssec.Options{})
		ctx, leave := context.WithTimeout(t.Context(), 5*time.Second)
		defer leave()
		crowded := make(chan dnssec.Answer, 1)
		go func() { crowded <- r.LookupWithin(ctx, crowdedMeter{allow(1000)}, tlsa, dns.TypeTLSA) }()
		time.Sleep(time.Second)
		started := time.Now()
		if a := r.LookupWithin(t.Context(), allow(1000), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure || time.Since(started) > 0 {
			t.Errorf("the other client: %s after %s: %s", a.Status, time.Since(started), a.Why)
		}
		if a := <-crowded; a.Status != dnssec.Indeterminate || !errors.Is(a.Err, dnssec.ErrDeadline) {
			t.Errorf("the crowded client: %s, %v", a.Status, a.Err)
		}
	})
}
