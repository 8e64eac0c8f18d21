package dnssec_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// canned answers with recorded responses, so that a benchmark measures the
// validator and the unpacking of responses.
type canned struct {
	dnssec.Transport
	mu    sync.Mutex
	wires map[dns.Question][]byte
}

func (c *canned) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	c.mu.Lock()
	wire := c.wires[query.Question[0]]
	c.mu.Unlock()
	if wire == nil {
		response, server, err := c.Transport.Exchange(ctx, query)
		if err != nil {
			return nil, server, err
		}
		if wire, err = response.Pack(); err != nil {
			return nil, server, err
		}
		c.mu.Lock()
		c.wires[query.Question[0]] = wire
		c.mu.Unlock()
	}
	response := new(dns.Msg)
	return response, zone.FirstServer, response.Unpack(wire)
}

var signing = []uint8{dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519}

// bench returns zones signed with one algorithm from the root down.
func bench(tb testing.TB, algorithm uint8) (*canned, []dnssec.Anchor) {
	tb.Helper()
	zones := testZones("", func(z *zone.Zone) { z.Algorithms = []uint8{algorithm} })
	zones[0].Algorithms = []uint8{algorithm}
	inner, err := zone.New(clock, append(zones, zone.Zone{Apex: ".", Algorithms: []uint8{algorithm}})...)
	if err != nil {
		tb.Fatal(err)
	}
	return &canned{Transport: inner, wires: make(map[dns.Question][]byte)}, inner.Anchors()
}

func mustLookup(tb testing.TB, r *dnssec.Resolver) {
	if a := r.Lookup(context.Background(), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure {
		tb.Fatalf("%s: %s", a.Status, a.Why)
	}
}

// bare returns a function that verifies the signature of the same lookup with
// miekg/dns, and does nothing else.
func bare(tb testing.TB, net *canned) func() {
	tb.Helper()
	ask := func(name string, qtype uint16) []dns.RR {
		query := new(dns.Msg).SetQuestion(name, qtype)
		query.SetEdns0(1232, true)
		response, _, err := net.Transport.Exchange(context.Background(), query)
		if err != nil {
			tb.Fatal(err)
		}
		return response.Answer
	}
	answer := ask(tlsa, dns.TypeTLSA)
	sig := answer[1].(*dns.RRSIG)
	for _, rr := range ask("example.org.", dns.TypeDNSKEY) {
		if key, ok := rr.(*dns.DNSKEY); ok && key.KeyTag() == sig.KeyTag {
			return func() {
				if err := sig.Verify(key, answer[:1]); err != nil {
					tb.Fatal(err)
				}
			}
		}
	}
	tb.Fatal("no key made the signature")
	return nil
}

// compare reports the time of b as a multiple of the time of another function, in
// the same run on the same machine.
func compare(b *testing.B, reference func()) {
	const times = 50
	start := time.Now()
	for range times {
		reference()
	}
	one := time.Since(start) / times
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(one), "x-verify")
}

// BenchmarkVerify is the reference for the other benchmarks.
func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range signing {
		b.Run(dns.AlgorithmToString[algorithm], func(b *testing.B) {
			net, _ := bench(b, algorithm)
			verify := bare(b, net)
			b.ReportAllocs()
			for b.Loop() {
				verify()
			}
		})
	}
}

// BenchmarkWarm looks up TLSA records in a cached zone: one query, one signature,
// without the cache of signatures.
func BenchmarkWarm(b *testing.B) {
	benchmarkWarm(b, func(r *dnssec.Resolver) { r.DisableSigCache() })
}

// BenchmarkCached is BenchmarkWarm with the cache of signatures, as in all probes
// but the first.
func BenchmarkCached(b *testing.B) { benchmarkWarm(b, func(*dnssec.Resolver) {}) }

func benchmarkWarm(b *testing.B, set func(*dnssec.Resolver)) {
	for _, algorithm := range signing {
		b.Run(dns.AlgorithmToString[algorithm], func(b *testing.B) {
			net, anchors := bench(b, algorithm)
			r := dnssec.New(net, anchors, clock, dnssec.Options{})
			set(r)
			mustLookup(b, r)
			b.ReportAllocs()
			for b.Loop() {
				mustLookup(b, r)
			}
			compare(b, bare(b, net))
		})
	}
}

// BenchmarkCold looks up the same with empty caches: six signatures.
func BenchmarkCold(b *testing.B) {
	for _, algorithm := range signing {
		b.Run(dns.AlgorithmToString[algorithm], func(b *testing.B) {
			net, anchors := bench(b, algorithm)
			b.ReportAllocs()
			for b.Loop() {
				mustLookup(b, dnssec.New(net, anchors, clock, dnssec.Options{}))
			}
			compare(b, bare(b, net))
		})
	}
}

// TestAllocations limits the allocations of a warm lookup, which an exporter may do
// a thousand times a second.
func TestAllocations(t *testing.T) {
	net, anchors := bench(t, dns.ECDSAP256SHA256)
	r := dnssec.New(net, anchors, clock, dnssec.Options{})
	r.DisableSigCache()
	if n := testing.AllocsPerRun(50, func() { mustLookup(t, r) }); n > 150 {
		t.Errorf("%.0f allocations", n)
	}
}
