package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// TestPool checks that a full pool ends the probe that holds most, and only that.
func TestPool(t *testing.T) {
	pool := NewPool(1000)
	ended := make([]error, 3)
	var probes []*usage
	for i := range ended {
		probes = append(probes, pool.newUsage(func(err error) { ended[i] = err }))
	}
	for i, n := range []int{500, 300, 100} {
		if err := probes[i].keep(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := probes[2].Grow(200); err != nil || ended[0] == nil || ended[1] != nil || ended[2] != nil {
		t.Errorf("%v, ended %v", err, ended)
	}
	if err := probes[0].Grow(1); err == nil {
		t.Error("a probe that was ended holds more")
	}
	if pool.held != 600 {
		t.Errorf("%d bytes are held, want 600", pool.held)
	}
	if err := probes[2].Grow(500); err == nil || ended[2] == nil { // it is the one that holds most now
		t.Errorf("%v, ended %v", err, ended)
	}
	_ = probes[2].Grow(-200)
	for _, p := range probes {
		p.close()
	}
	if pool.held != 0 || len(pool.probes) != 0 {
		t.Errorf("after the probes, %d bytes of %d probes are held", pool.held, len(pool.probes))
	}
}

// TestQueriesLeaveRoom checks that probes with any number of queries in progress leave
// room for another probe, whose queries need not wait for them, and that all queries
// begin in the end.
func TestQueriesLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(1 << 20)
		over := make(chan struct{})
		var group sync.WaitGroup
		var begun, failed atomic.Int32
		begin := func(ctx context.Context, m *usage) {
			end, err := m.Begin(ctx)
			if err != nil {
				failed.Add(1)
				return
			}
			begun.Add(1)
			<-over
			end()
		}
		const hostile, queries = 256, 20
		for range hostile {
			m := pool.newUsage(nil)
			for range queries {
				group.Go(func() { begin(t.Context(), m) })
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		leaving := pool.newUsage(nil)
		for range maxInProgress {
			group.Go(func() { begin(ctx, leaving) })
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		left := failed.Load() // the queries of the probe that left
		if n := begun.Load(); left == 0 || n > maxInProgress-firstQueries/2 || n < maxInProgress/2 {
			t.Errorf("%d queries are in progress, and %d left", n, left)
		}
		ordinary := pool.newUsage(nil)
		for range 100 {
			end, err := ordinary.Begin(ctx) // fails if it has to wait
			if err != nil {
				t.Error("an ordinary probe has to wait")
				break
			}
			end()
		}
		close(over)
		group.Wait()
		if n := begun.Load() + left; n != hostile*queries+maxInProgress || failed.Load() != left {
			t.Errorf("%d queries began or left, %d failed", n, failed.Load())
		}
		if pool.queries != maxInProgress || len(pool.waiting) != 0 {
			t.Errorf("%d queries may begin afterwards, %d probes wait", pool.queries, len(pool.waiting))
		}
	})
}

// TestSharedWorkOutlivesItsProbe checks that what others still use is counted, and that
// it ends no probe but the one that started it.
func TestSharedWorkOutlivesItsProbe(t *testing.T) {
	pool := NewPool(1000)
	m, other := pool.newUsage(func(error) {}), pool.newUsage(func(error) { t.Error("another probe was ended") })
	if err := errors.Join(m.keep(300), m.Grow(600), other.keep(100)); err != nil {
		t.Fatal(err)
	}
	m.close()
	if pool.held != 700 {
		t.Errorf("%d bytes are held, want 700", pool.held)
	}
	if err := m.Grow(500); err == nil { // those that share the work repeat it
		t.Error("the shared work of a probe that has returned takes all memory")
	}
	_ = m.Grow(-600)
	if err := other.Grow(800); err != nil {
		t.Error(err)
	}
	_ = other.Grow(-800)
	if other.close(); pool.held != 0 || len(pool.probes) != 0 {
		t.Errorf("%d bytes of %d probes are held", pool.held, len(pool.probes))
	}
}

// TestSharedWorkHoldsAgain checks that shared work which has released everything, and then
// holds more, does not end other probes.
func TestSharedWorkHoldsAgain(t *testing.T) {
	pool := NewPool(1000)
	m, other := pool.newUsage(func(error) {}), pool.newUsage(func(error) { t.Error("another probe was ended") })
	if err := errors.Join(m.Grow(600), other.keep(100)); err != nil {
		t.Fatal(err)
	}
	m.close()
	_ = m.Grow(-600) // such as a connection, before the handshake is retried with another
	if err := m.Grow(950); err == nil {
		t.Error("the shared work of a probe that has returned takes all memory")
	}
	if other.close(); pool.held != 0 || len(pool.probes) != 0 {
		t.Errorf("%d bytes of %d probes are held", pool.held, len(pool.probes))
	}
}

// TestOneProbeIsLimited checks the limit of a single probe.
func TestOneProbeIsLimited(t *testing.T) {
	m := (*Pool)(nil).newUsage(nil)
	if err := m.Grow(maxHeld); err != nil {
		t.Error(err)
	}
	if err := m.Grow(1); err == nil {
		t.Error("no error above the limit")
	}
	if _ = m.Grow(-maxHeld); m.held != 0 || m.err() != nil {
		t.Errorf("%d bytes are held, %v", m.held, m.err())
	}
}

// heavyChain is a domain whose hosts are at the end of a chain of zones with as many DS
// and DNSKEY records as fit into a message. The domains heavy0, heavy1 and so on below it
// have one such host each, and light0, light1 and so on an ordinary one. measure is called
// for each query.
type heavyChain struct {
	*zone.Internet
	apex    string // of the last zone
	measure func()
	hold    chan struct{} // responses with the keys of the last zone wait until it is closed; nil: no delay
}

const heavyDepth = 35

func newHeavyChain(t *testing.T, hosts int) *heavyChain {
	t.Helper()
	apex := "org"
	zones := []zone.Zone{{Apex: apex}}
	for range heavyDepth {
		apex = "a." + apex
		zones = append(zones, zone.Zone{Apex: apex, Algorithms: []uint8{dns.ED25519}})
	}
	var domain, records strings.Builder
	domain.WriteString("mx A 10.0.0.25\n_25._tcp.mx TLSA 3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n")
	for i := range hosts {
		fmt.Fprintf(&domain, "@ MX %d mx%d.%s.\n", i, i, apex)
		fmt.Fprintf(&domain, "heavy%d MX 10 mx%d.%s.\nlight%d MX 10 mx\n", i, i, apex, i)
		fmt.Fprintf(&records, "mx%d A 10.0.%d.1\n_25._tcp.mx%d TLSA 3 1 1 %064x\n", i, i, i, i)
	}
	zones[heavyDepth].Records = records.String()
	n, err := zone.New(func() time.Time { return noon }, append(zones, zone.Zone{Apex: "example.org", Records: domain.String()})...)
	if err != nil {
		t.Fatal(err)
	}
	n.Break(zone.BloatDelegations(zone.Under("a.org"))...)
	return &heavyChain{Internet: n, apex: apex, measure: func() {}}
}

func (h *heavyChain) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	h.measure()
	if q := query.Question[0]; h.hold != nil && q.Qtype == dns.TypeDNSKEY && strings.TrimSuffix(q.Name, ".") == h.apex {
		select {
		case <-h.hold:
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
	}
	return h.Internet.Exchange(ctx, query)
}

func (h *heavyChain) prober(pool *Pool) *Prober {
	closed := func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, errors.New("closed") }
	return New(Environment{Now: func() time.Time { return noon }, DNS: h, Anchors: h.Anchors(), Dial: closed, Pool: pool},
		Settings{Access: Access{Targets: []string{"*"}, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}})
}

// TestHeavyChainIsBounded probes hosts at the end of a chain of zones that publish
// thousands of useless records, and checks what the probe holds. Under the virtual clock, no
// query times out while the heap is measured.
func TestHeavyChainIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("signs many large record sets")
	}
	for _, hosts := range []int{1, 20} {
		t.Run(fmt.Sprint(hosts), func(t *testing.T) {
			h := newHeavyChain(t, hosts)
			synctest.Test(t, func(t *testing.T) {
				pool := NewPool(1 << 30)
				prober := h.prober(pool)
				before := liveHeap()
				var mu sync.Mutex
				var live int64
				queries := 0
				held := 0
				h.measure = func() {
					mu.Lock()
					defer mu.Unlock()
					if queries++; queries%16 == 0 {
						live = max(live, liveHeap())
					}
					pool.mu.Lock()
					held = max(held, pool.held)
					pool.mu.Unlock()
				}
				report := prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(5*time.Minute))
				t.Logf("%s in %s: %d queries, held at most %d KiB, %d MiB alive, reasons %v", report.Verdict.Outcome, report.Duration, queries, held>>10, (live-before)>>20, reasonsOf(report.Verdict))
				if held > maxHeld || pool.held != 0 {
					t.Errorf("held at most %d bytes, and %d after the probe", held, pool.held)
				}
				if live-before > 64<<20 {
					t.Errorf("%d MiB alive", (live-before)>>20)
				}
				runtime.KeepAlive(report)
			})
		})
	}
}

// TestHostileProbesStarveNoOther fills the pool with probes that hold as much as they can
// for as long as they can. They are ended one by one, and the ordinary probes complete.
func TestHostileProbesStarveNoOther(t *testing.T) {
	if testing.Short() {
		t.Skip("signs many large record sets")
	}
	const hostile = 12
	h := newHeavyChain(t, hostile)
	synctest.Test(t, func(t *testing.T) {
		h.hold = make(chan struct{})
		pool := NewPool(16 << 20)
		prober := h.prober(pool)
		module := mailModule(time.Minute)
		probe := func(name string) *Report {
			return prober.Probe(t.Context(), Target{Name: name + ".example.org"}, module)
		}
		var group, ordinary sync.WaitGroup
		reports := make([]*Report, hostile)
		for i := range reports {
			group.Go(func() { reports[i] = probe(fmt.Sprintf("heavy%d", i)) })
		}
		synctest.Wait() // those that are left wait for the keys
		ended := 0
		for _, report := range reports {
			if report == nil {
				continue
			}
			ended++
			if got := reasonsOf(report.Verdict); report.Verdict.Outcome != dane.Unknown || report.Verdict.Success || !slices.Equal(got, []dane.Reason{dane.LimitExceeded}) {
				t.Errorf("hostile: %s, reasons %v", report.Verdict.Outcome, got)
			}
			if size := report.MemSize(); size > 16<<10 {
				t.Errorf("the report of a probe that was ended takes %d bytes", size)
			}
		}
		if ended == 0 || ended == hostile {
			t.Errorf("%d of %d hostile probes were ended; they hold %d bytes", ended, hostile, pool.held)
		}
		for i := range hostile {
			ordinary.Go(func() {
				report := probe(fmt.Sprintf("light%d", i))
				if got := reasonsOf(report.Verdict); report.Verdict.Outcome != dane.Unreachable || !slices.Equal(got, []dane.Reason{dane.ConnectFailed}) {
					t.Errorf("ordinary: %s, reasons %v", report.Verdict.Outcome, got)
				}
			})
		}
		ordinary.Wait()
		close(h.hold)
		group.Wait()
		synctest.Wait()
		if pool.held != 0 || len(pool.probes) != 0 {
			t.Errorf("after the probes, %d bytes of %d probes are held", pool.held, len(pool.probes))
		}
		t.Logf("%d of %d hostile probes were ended", ended, hostile)
	})
}

// TestOrdinaryProbesHoldLittle checks that ordinary probes fit into a small part of the
// pool: those that cause no trouble must not be the ones that are ended.
func TestOrdinaryProbesHoldLittle(t *testing.T) {
	host := newMailHost(t, 1)
	pool := NewPool(512 << 10)
	prober := host.prober(host.dial, 0)
	prober.env.Pool = pool
	report := prober.Probe(t.Context(), domain(0), mailModule(30*time.Second))
	if report.Verdict.Outcome != dane.Authenticated || pool.held != 0 {
		t.Errorf("%s, %d bytes held afterwards: %v", report.Verdict.Outcome, pool.held, report.Verdict.Findings)
	}
	counted, _ := countedProber(t, nil, hostZones(6, 4, ".eu.mail.protection")...)
	counted.env.Pool = NewPool(6 << 20)
	module := mailModule(30 * time.Second)
	module.Nameservers = true
	if got := reasonsOf(counted.Probe(t.Context(), Target{Name: "example.org"}, module).Verdict); !slices.Equal(got, []dane.Reason{dane.ConnectFailed}) {
		t.Errorf("six hosts: %v", got)
	}
}

// TestManyProbesFit makes as many ordinary probes as hostile ones at the same time, with
// the pool of a process that may use 512 MiB. All ordinary probes complete. Once the probes
// that were ended have released their memory, what is alive on the heap leaves room for
// garbage. Under the virtual clock, no query times out on a busy machine.
func TestManyProbesFit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const probes = 256 // of each kind
	h := newHeavyChain(t, probes)
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(256 << 20)
		prober := h.prober(pool)
		before := liveHeap()
		var queries atomic.Int32
		h.measure = func() { queries.Add(1) }
		h.hold = make(chan struct{})
		var hostile, ordinary sync.WaitGroup
		for i := range probes {
			hostile.Go(func() {
				report := prober.Probe(t.Context(), Target{Name: fmt.Sprintf("heavy%d.example.org", i)}, mailModule(time.Minute))
				if report.Verdict.Outcome == dane.Refused {
					t.Errorf("hostile: %v", report.Verdict.Findings)
				}
			})
			ordinary.Go(func() {
				report := prober.Probe(t.Context(), Target{Name: fmt.Sprintf("light%d.example.org", i)}, mailModule(time.Minute))
				if got := reasonsOf(report.Verdict); !slices.Equal(got, []dane.Reason{dane.ConnectFailed}) {
					t.Errorf("ordinary: %v", report.Verdict.Findings)
				}
			})
		}
		ordinary.Wait()
		synctest.Wait() // those that are left wait for the keys
		live, held := liveHeap()-before, pool.held
		close(h.hold)
		hostile.Wait()
		t.Logf("%d MiB alive, %d MiB held, %d queries", live>>20, held>>20, queries.Load())
		if live > 256<<20 || held < 128<<20 {
			t.Errorf("%d MiB alive, want at most 256; %d MiB held, want at least 128", live>>20, held>>20)
		}
	})
}

// TestAnswersCountAsMemory checks that a lookup whose answer the probe may not hold has
// no records and no verdict.
func TestAnswersCountAsMemory(t *testing.T) {
	n := newInternet(t, "many TXT "+strings.Repeat("\"x\" ", 200)+"\n")
	prober := newProber(n, n.Anchors(), failOnDial(t))
	r := &run{prober: prober, resolver: prober.Resolver(""), usage: (*Pool)(nil).newUsage(nil), queries: newQueries(100)}
	for _, left := range []int{1 << 20, 1 << 10} {
		r.usage.held = maxHeld - left
		answer := r.lookup(t.Context(), r.meterAfterLookup(), "many.example.org", dns.TypeTXT)
		if enough := left == 1<<20; answer.Found() != enough || errors.Is(answer.Err, dnssec.ErrBudget) == enough {
			t.Errorf("%d bytes left: %s, %d records, %v", left, answer.Status, len(answer.Records), answer.Err)
		}
	}
}

// meterAfterLookup returns a meter that counts in another pool, so that only the answer
// counts for the probe.
func (r *run) meterAfterLookup() meter { return meter{(*Pool)(nil).newUsage(nil), r.queries, 0} }
