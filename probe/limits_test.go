package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
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

// The certificates of all endpoints of a target are bounded together.
func TestCertificatesOfATargetAreBounded(t *testing.T) {
	budget := newBudget()
	chain := [][]byte{make([]byte, handshake.MaxChain)}
	for range maxCertificates / handshake.MaxChain {
		if err := budget.addCertificates(chain); err != nil {
			t.Fatal(err)
		}
	}
	if err := budget.addCertificates(chain); dane.CauseOf(err) != dane.CauseLimit {
		t.Errorf("one chain too many: %v", err)
	}
}

// greedy is the most that a zone can lead to: fifty hosts with sixteen
// addresses each, a thousand TLSA records for each host, and at each address as
// long a chain as any client takes.
type greedy struct {
	*zone.Internet
	server          server.SMTP
	met, open, most atomic.Int32
	peak            atomic.Uint64
}

func newGreedy(t *testing.T, chain, records int) *greedy {
	t.Helper()
	authority, err := server.NewRoot("Greedy", noon)
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
	var text strings.Builder
	for host := range maxHosts {
		fmt.Fprintf(&text, "@ MX 10 mx%d\n", host)
		for address := range maxAddresses {
			fmt.Fprintf(&text, "mx%d A 10.0.%d.%d\n", host, host, address)
		}
		for record := range records {
			fmt.Fprintf(&text, "_25._tcp.mx%d TLSA 2 1 1 %064x\n", host, record)
		}
	}
	g := &greedy{Internet: internet(t, text.String())}
	g.server = server.SMTP{Name: "mx.example.org", TLS: server.TLSConfig(leaf.ChainWith(more...))}
	return g
}

func (g *greedy) dial(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
	g.measure()
	g.met.Add(1)
	g.most.Store(max(g.most.Load(), g.open.Add(1)))
	ours, theirs := net.Pipe()
	go func() {
		defer g.open.Add(-1)
		defer theirs.Close()
		g.server.Serve(ctx, theirs)
		g.measure()
	}()
	return ours, nil
}

func (g *greedy) measure() { g.peak.Store(max(g.peak.Load(), heap())) }

// heap is how many bytes are in use, garbage included.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// One probe of the greediest targets has bounds: in endpoints at once, in what
// it takes on the way, and in what its report keeps.
func TestAGreedyTargetIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of handshakes")
	}
	const (
		mostPeak = 160 << 20
		mostKept = 80 << 20
	)
	for _, story := range []struct {
		name           string
		chain, records int
		want           dane.Reason
	}{
		{"chains as long as any client takes, and a thousand records for each host", handshake.MaxChain, 1000, dane.LimitExceeded},
		{"as many endpoints as there may be to hold against a thousand records each", 0, 1000, dane.TLSAMismatch},
	} {
		t.Run(story.name, func(t *testing.T) {
			g := newGreedy(t, story.chain, story.records)
			prober := proberOf(g.Internet, g.Anchors(), g.dial, "10.0.0.0/8")
			before := collected()
			g.peak.Store(0)
			report := prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(time.Minute))
			g.measure()
			took := g.peak.Load() - before
			kept := collected() - before
			t.Logf("%s in %s: %d MiB at the most, %d MiB kept, %d endpoints at once", report.Verdict.Outcome, report.Duration, took>>20, kept>>20, g.most.Load())
			if took > mostPeak || kept > mostKept {
				t.Errorf("%d MiB at the most, want %d; %d MiB kept, want %d", took>>20, mostPeak>>20, kept>>20, mostKept>>20)
			}
			if met := g.met.Load(); met > maxEndpoints {
				t.Errorf("%d endpoints", met)
			}
			if most := g.most.Load(); most > 2*maxParallel { // a server notices a moment later that its client has gone
				t.Errorf("%d endpoints at once", most)
			}
			if report.Verdict.Success || !slices.Contains(reasonsOf(report.Verdict), story.want) {
				t.Errorf("%s because of %v", report.Verdict.Outcome, reasonsOf(report.Verdict))
			}
			runtime.KeepAlive(report)
		})
	}
}

// collected is how many bytes are in use by what can be reached.
func collected() uint64 {
	runtime.GC()
	runtime.GC()
	return heap()
}

// late is a context whose time is over, and whose timer has not fired yet.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

// A connection that had to wait for its turn until the last moment fails by its
// own deadline, before the probe's timer fires: that is ours.
func TestTimeIsOverWhenTheClockSaysSo(t *testing.T) {
	dial := func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	}
	n := internet(t, "")
	r := &run{Prober: proberOf(n, n.Anchors(), dial, "192.0.2.0/24"), module: mailModule(time.Minute), budget: newBudget(), minWait: minWait}
	endpoint := &dane.Endpoint{Address: netip.MustParseAddr("192.0.2.25")}
	r.probeEndpoint(late{t.Context()}, &dane.Service{Port: 25, Protocol: "smtp"}, endpoint, func() string { return "" })
	if got := dane.CauseOf(endpoint.Err); got != dane.CauseDeadline {
		t.Errorf("cause %d (%v)", got, endpoint.Err)
	}
}
