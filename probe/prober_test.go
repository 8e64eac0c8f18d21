package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/handshake"

	"github.com/miekg/dns"
)

// noon is the current time of all tests of this package.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// reasonsOf returns the reasons of all findings, sorted, each once.
func reasonsOf(v dane.Verdict) []dane.Reason {
	var reasons []dane.Reason
	for _, finding := range v.Findings {
		reasons = append(reasons, finding.Reason)
	}
	slices.Sort(reasons)
	return slices.Compact(reasons)
}

// mailModule returns the module smtp_mx with a timeout.
func mailModule(timeout time.Duration) Module {
	return Module{Name: "smtp_mx", Discover: DiscoverMX, Protocol: "smtp", Policy: dane.SMTPRelay, Port: 25,
		Timeout: timeout, Require: dane.RequireDANE, IPProtocol: IPAuto}
}

// anyRecord is a TLSA record of mx.example.org that matches no certificate.
const anyRecord = "_25._tcp.mx TLSA 3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"

// newInternet returns nameservers of the root, org and example.org, all signed.
// example.org has these records.
func newInternet(t *testing.T, records string, faults ...zone.Fault) *zone.Internet {
	t.Helper()
	n, err := zone.New(func() time.Time { return noon }, zone.Zone{Apex: "org"}, zone.Zone{Apex: "example.org", Records: records})
	if err != nil {
		t.Fatal(err)
	}
	n.Break(faults...)
	return n
}

type dialer = handshake.Dialer

// newProber returns a prober that may probe all targets and, in addition to public
// addresses, connect to the allowed networks.
func newProber(resolver dnssec.Transport, anchors []dns.DS, dial dialer, allow ...string) *Prober {
	access := Access{Targets: []string{"*"}}
	for _, network := range allow {
		access.AllowNetworks = append(access.AllowNetworks, netip.MustParsePrefix(network))
	}
	return New(Environment{Now: func() time.Time { return noon }, Dial: dial, DNS: resolver, Anchors: anchors}, Settings{Access: access})
}

// failOnDial returns a dialer that fails the test.
func failOnDial(t *testing.T) dialer {
	return func(_ context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
		t.Errorf("connection to %s", to)
		return nil, errors.New("this test makes no connections")
	}
}

// silentServer returns a dialer to a server that accepts connections and sends nothing.
func silentServer() dialer {
	return func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
		near, far := net.Pipe()
		context.AfterFunc(ctx, func() { far.Close() })
		return near, nil
	}
}

// Failures of the resolver, the servers and this program are facts: each has its
// outcome and reason.
func TestProbeFailures(t *testing.T) {
	const mail = "@ MX 10 mx\nmx A 192.0.2.25\n" + anyRecord
	for _, c := range []struct {
		name, why string
		internet  *zone.Internet
		dial      dialer
		allow     []string
		timeout   time.Duration
		want      dane.Outcome
		reasons   []dane.Reason
		complete  bool
	}{
		{"resolver times out", "it had the full time of a query",
			newInternet(t, mail, zone.Silence(zone.Under("."))), failOnDial(t), nil, 30 * time.Second,
			dane.Unknown, []dane.Reason{dane.ResolverUnreachable}, true},
		{"resolver times out, short deadline", "it might have answered later",
			newInternet(t, mail, zone.Silence(zone.Under("."))), failOnDial(t), nil, time.Second,
			dane.Unknown, []dane.Reason{dane.ProbeDeadline}, false},
		{"loopback addresses", "the address is checked where the connection is made",
			newInternet(t, "@ MX 10 mx\nmx A 127.0.0.1\nmx AAAA ::1\n"+anyRecord), failOnDial(t), nil, 10 * time.Second,
			dane.Unknown, []dane.Reason{dane.TargetNotAllowed}, true},
		{"server times out", "it had the minimum time",
			newInternet(t, mail), silentServer(), []string{"192.0.2.0/24"}, 30 * time.Second,
			dane.Unreachable, []dane.Reason{dane.Timeout}, true},
		{"server times out, short deadline", "many servers delay their greeting that long",
			newInternet(t, mail), silentServer(), []string{"192.0.2.0/24"}, 3 * time.Second,
			dane.Unknown, []dane.Reason{dane.ProbeDeadline}, false},
		{"panic while dialling", "a defect loses one endpoint, not the probe",
			newInternet(t, mail), func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { panic("a defect") }, []string{"192.0.2.0/24"}, 10 * time.Second,
			dane.Unknown, []dane.Reason{dane.InternalError}, true},
		{"twenty addresses", "the first 16 are probed",
			newInternet(t, "@ MX 10 mx\n"+addressRecords(20)+anyRecord), func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { panic("a defect") }, []string{"192.0.2.0/24"}, 10 * time.Second,
			dane.Unknown, []dane.Reason{dane.InternalError, dane.LimitExceeded}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				prober := newProber(c.internet, c.internet.Anchors(), c.dial, c.allow...)
				report := prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(c.timeout))
				if report.Verdict.Outcome != c.want || report.Facts.Complete != c.complete {
					t.Errorf("%s: got %s, complete %t; want %s, %t: %v", c.why, report.Verdict.Outcome, report.Facts.Complete, c.want, c.complete, report.Verdict.Findings)
				}
				if got := reasonsOf(report.Verdict); !slices.Equal(got, c.reasons) {
					t.Errorf("%s: reasons %v, want %v", c.why, got, c.reasons)
				}
				for _, host := range report.Facts.Hosts {
					if n := len(host.Services[0].Endpoints); n > maxAddresses {
						t.Errorf("%d endpoints of one host", n)
					}
				}
			})
		})
	}
}

// addressRecords returns n A records of mx.example.org.
func addressRecords(n int) string {
	records := ""
	for i := range n {
		records += "mx A " + netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}).String() + "\n"
	}
	return records
}

// No query and no connection is made for a target that access forbids.
func TestProbeOfForbiddenTarget(t *testing.T) {
	prober := New(Environment{Now: time.Now, Dial: failOnDial(t)}, Settings{Access: Access{Targets: []string{"*.example.net"}}})
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(time.Second))
	if report.Verdict.Outcome != dane.Unknown || !slices.Equal(reasonsOf(report.Verdict), []dane.Reason{dane.TargetNotAllowed}) {
		t.Errorf("got %s, %v", report.Verdict.Outcome, report.Verdict.Findings)
	}
}

// A probe ends when its context is cancelled.
func TestProbeEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := newInternet(t, "@ MX 10 mx\nmx A 192.0.2.25\n"+anyRecord)
	prober := newProber(n, n.Anchors(), func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}, "192.0.2.0/24")
	report := prober.Probe(ctx, Target{Name: "example.org"}, mailModule(time.Minute))
	if report.Verdict.Outcome != dane.Unknown || report.Facts.Complete {
		t.Errorf("got %s, complete %t", report.Verdict.Outcome, report.Facts.Complete)
	}
}

// Simultaneous probes open one connection at a time to an address. They are for
// different hosts, so that they share no handshake. Each connection attempt takes
// a second of the virtual clock, so without the lock all would overlap.
func TestOneConnectionPerAddress(t *testing.T) {
	const hosts = 8
	records := ""
	for i := range hosts {
		records += fmt.Sprintf("mx%d A 192.0.2.25\n_25._tcp.mx%d TLSA 3 1 1 %064x\n", i, i, i)
	}
	n := newInternet(t, records)
	module := mailModule(time.Minute)
	module.Discover = DiscoverNone
	synctest.Test(t, func(t *testing.T) {
		var connections, open, maxOpen atomic.Int32
		prober := newProber(n, n.Anchors(), func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
			connections.Add(1)
			maxOpen.Store(max(maxOpen.Load(), open.Add(1)))
			defer open.Add(-1)
			time.Sleep(time.Second)
			return nil, errors.New("closed")
		}, "192.0.2.0/24")
		var wait sync.WaitGroup
		for i := range hosts {
			wait.Go(func() { prober.Probe(t.Context(), Target{Name: fmt.Sprintf("mx%d.example.org", i)}, module) })
		}
		wait.Wait()
		if connections.Load() != hosts || maxOpen.Load() != 1 {
			t.Errorf("%d connections, %d of them at the same time; want %d and 1", connections.Load(), maxOpen.Load(), hosts)
		}
	})
}

// panickingResolver panics at queries of one type.
type panickingResolver struct {
	dnssec.Transport
	qtype uint16
}

func (p panickingResolver) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	if query.Question[0].Qtype == p.qtype {
		panic("a defect")
	}
	return p.Transport.Exchange(ctx, query)
}

// A panic in a lookup is a fault of this program, never of the zone: the outcome
// is unknown, whether the query was for data or for the chain of trust.
func TestPanicInLookup(t *testing.T) {
	for _, qtype := range []uint16{dns.TypeMX, dns.TypeDNSKEY, dns.TypeDS} {
		n := newInternet(t, "@ MX 10 mx\nmx A 192.0.2.25\n"+anyRecord)
		prober := newProber(panickingResolver{n, qtype}, n.Anchors(), failOnDial(t), "192.0.2.0/24")
		v := prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(10*time.Second)).Verdict
		if v.Outcome != dane.Unknown || !slices.Equal(reasonsOf(v), []dane.Reason{dane.InternalError}) {
			t.Errorf("%s: got %s, %v", dns.TypeToString[qtype], v.Outcome, v.Findings)
		}
	}
}

// Costly checks end when the client leaves. At the deadline they end too, but not
// before minJudging has passed.
func TestStopJudging(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, release := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer release()
	now := time.Now()
	past, future := now.Add(-time.Minute), now.Add(time.Hour)
	for _, c := range []struct {
		name               string
		ctx                context.Context
		deadline, earliest time.Time
		stops              bool
	}{
		{"there is time", t.Context(), future, past, false},
		{"the client left", canceled, future, future, true},
		{"the handshake took all the time", expired, past, future, false},
		{"no time is left", expired, past, past, true},
	} {
		if err := stopJudging(c.ctx, c.deadline, c.earliest)(); (err != nil) != c.stops {
			t.Errorf("%s: %v, want an error: %t", c.name, err, c.stops)
		}
	}
}
