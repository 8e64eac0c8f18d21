package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/handshake"
)

// The certificates of all endpoints of a target have one limit.
func TestCertificateLimit(t *testing.T) {
	budget := newBudget()
	chain := [][]byte{make([]byte, handshake.MaxChain)}
	for range maxCertificates / handshake.MaxChain {
		if err := budget.addCertificates(chain); err != nil {
			t.Fatal(err)
		}
	}
	if err := budget.addCertificates(chain); dane.CauseOf(err) != dane.CauseLimit {
		t.Errorf("above the limit: %v", err)
	}
}

// largeTarget is a domain at the limits of a probe: hosts with 16 addresses and 1000 TLSA
// records each. Its servers send a chain of a given size.
type largeTarget struct {
	*zone.Internet
	server                     server.SMTP
	listener                   net.Listener // without the buffers of TCP, a client and a server that write at once would wait for each other
	connections, open, maxOpen atomic.Int32
	peak                       atomic.Int64 // of heapSize, in bytes
}

func newLargeTarget(t *testing.T, internet *zone.Internet, chain int) *largeTarget {
	t.Helper()
	authority, err := server.NewRoot("Large target", noon)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue(server.Leaf{Names: []string{"mx.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	var more []*server.Certificate
	for size := 2 * len(leaf.DER); size < chain-len(leaf.DER); size += len(authority.DER) {
		more = append(more, &authority.Certificate)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return &largeTarget{Internet: internet, listener: listener, server: server.SMTP{Name: "mx.example.org", TLS: server.TLSConfig(leaf.ChainWith(more...))}}
}

// largeZone returns the records of a largeTarget with a number of hosts.
func largeZone(hosts int) string {
	var text strings.Builder
	for host := range hosts {
		fmt.Fprintf(&text, "@ MX 10 mx%d\n", host)
		for address := range maxAddresses {
			fmt.Fprintf(&text, "mx%d A 10.0.%d.%d\n", host, host, address)
		}
		for record := range 1000 {
			fmt.Fprintf(&text, "_25._tcp.mx%d TLSA 2 1 1 %064x\n", host, record)
		}
	}
	return text.String()
}

func (l *largeTarget) dial(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
	l.measure()
	l.connections.Add(1)
	near, err := net.Dial("tcp", l.listener.Addr().String())
	if err != nil {
		return nil, err
	}
	far, err := l.listener.Accept()
	if err != nil {
		near.Close()
		return nil, err
	}
	go func() {
		defer far.Close()
		l.server.Serve(ctx, far)
		l.measure()
	}()
	l.maxOpen.Store(max(l.maxOpen.Load(), l.open.Add(1)))
	return &countedConn{near, &l.open}, nil
}

func (l *largeTarget) measure() { l.peak.Store(max(l.peak.Load(), heapSize())) }

// heapSize returns the bytes of the heap that are in use, garbage included.
func heapSize() int64 { return heapMetric("/memory/classes/heap/objects:bytes") }

// heapMetric returns a metric of the runtime in bytes. It is signed because a heap may shrink
// between two measurements.
func heapMetric(name string) int64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// A probe of a target at all limits is bounded in its connections, in the memory
// that it takes meanwhile, and in the memory of its report.
func TestLargeTargetIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("makes hundreds of handshakes")
	}
	const (
		maxPeak = 112 << 20 // bytes
		maxKept = 80 << 20
	)
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // garbage depends on scheduling
	for _, c := range []struct {
		name  string
		hosts int
		chain int // bytes
		want  dane.Reason
	}{
		{"chains of the maximum size", maxHosts, handshake.MaxChain, dane.LimitExceeded},
		{"short chains, and 1000 records for each host", maxHosts, 0, dane.LimitExceeded},
		{"one host, each chain matched with 1000 records", 1, 0, dane.TLSAMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLargeTarget(t, newInternet(t, largeZone(c.hosts)), c.chain)
			prober := newProber(l.Internet, l.Anchors(), l.dial, "10.0.0.0/8")
			before := liveHeap()
			l.peak.Store(0)
			report := prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(time.Minute))
			l.measure()
			peak := l.peak.Load() - before
			kept := liveHeap() - before
			t.Logf("%s in %s: peak %d MiB, kept %d MiB, %d connections at the same time", report.Verdict.Outcome, report.Duration, peak>>20, kept>>20, l.maxOpen.Load())
			if peak > maxPeak || kept > maxKept {
				t.Errorf("peak %d MiB, want at most %d; kept %d MiB, want at most %d", peak>>20, maxPeak>>20, kept>>20, maxKept>>20)
			}
			if n := l.connections.Load(); n > maxEndpoints {
				t.Errorf("%d connections, want at most %d", n, maxEndpoints)
			}
			if n := l.maxOpen.Load(); n > maxParallel {
				t.Errorf("%d connections at the same time", n)
			}
			if report.Verdict.Success || !slices.Contains(reasonsOf(report.Verdict), c.want) {
				t.Errorf("%s, reasons %v", report.Verdict.Outcome, reasonsOf(report.Verdict))
			}
			runtime.KeepAlive(report)
		})
	}
}

// liveHeap returns the bytes of the heap that are reachable, without what other goroutines
// have allocated since.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	return heapMetric("/gc/heap/live:bytes")
}

// expiredContext is a context whose deadline has passed and whose timer has not
// fired yet.
type expiredContext struct{ context.Context }

func (expiredContext) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

// A connection that starts just before the deadline may fail by its own timer,
// before that of the probe fires. The clock decides that the deadline is the cause.
func TestDeadlineByClock(t *testing.T) {
	dial := func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	}
	n := newInternet(t, "")
	r := &run{prober: newProber(n, n.Anchors(), dial, "192.0.2.0/24"), module: mailModule(time.Minute), budget: newBudget(), usage: NewPool(maxHeld).newUsage(nil), minWait: minWait}
	endpoint := &dane.Endpoint{Address: netip.MustParseAddr("192.0.2.25")}
	r.probeEndpoint(expiredContext{t.Context()}, &dane.Service{Port: 25, Protocol: "smtp"}, endpoint, func() string { return "" })
	if got := dane.CauseOf(endpoint.Err); got != dane.CauseDeadline {
		t.Errorf("cause %d, want %d: %v", got, dane.CauseDeadline, endpoint.Err)
	}
}
