package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/handshake"

	"dane_exporter/probe/dane"

	"github.com/miekg/dns"
)

// noon is the time of all these tests.
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

// mailModule is smtp_mx with little patience.
func mailModule(timeout time.Duration) Module {
	return Module{Name: "smtp_mx", Discover: DiscoverMX, Protocol: "smtp", Policy: dane.SMTPRelay, Port: 25,
		Timeout: timeout, Require: dane.RequireDANE, IPProtocol: IPAuto}
}

const anyRecord = "_25._tcp.mx TLSA 3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"

// internet holds example.org with these records, signed from the root down.
func internet(t *testing.T, records string, faults ...zone.Fault) *zone.Internet {
	t.Helper()
	n, err := zone.New(func() time.Time { return noon }, zone.Zone{Apex: "org"}, zone.Zone{Apex: "example.org", Records: records})
	if err != nil {
		t.Fatal(err)
	}
	n.Break(faults...)
	return n
}

type dialer = handshake.Dialer

func proberOf(resolver dnssec.Transport, anchors []dns.DS, dial dialer, allow ...string) *Prober {
	access := Access{Targets: []string{"*"}}
	for _, network := range allow {
		access.AllowNetworks = append(access.AllowNetworks, netip.MustParsePrefix(network))
	}
	return New(Environment{Now: func() time.Time { return noon }, Dial: dial, DNS: resolver, Anchors: anchors}, Settings{Access: access})
}

func neverDials(t *testing.T) dialer {
	return func(_ context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
		t.Errorf("a connection to %s was tried", to)
		return nil, errors.New("not in this story")
	}
}

// waits is a server that takes the connection and says nothing.
func waits() dialer {
	return func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
		ours, theirs := net.Pipe()
		context.AfterFunc(ctx, func() { theirs.Close() })
		return ours, nil
	}
}

func TestProbeInBadWorlds(t *testing.T) {
	const mail = "@ MX 10 mx\nmx A 192.0.2.25\n" + anyRecord
	for _, story := range []struct {
		name, story string
		internet    *zone.Internet
		dial        dialer
		allow       []string
		timeout     time.Duration
		want        dane.Outcome
		reasons     []dane.Reason
		complete    bool
	}{
		{"a silent resolver", "nothing comes back in the time that a query has",
			internet(t, mail, zone.Silence(zone.Under("."))), neverDials(t), nil, 30 * time.Second,
			dane.Unknown, []dane.Reason{dane.ResolverUnreachable}, true},
		{"a silent resolver, and a scrape in a hurry", "it might have answered yet",
			internet(t, mail, zone.Silence(zone.Under("."))), neverDials(t), nil, time.Second,
			dane.Unknown, []dane.Reason{dane.ProbeDeadline}, false},
		{"a zone that points inside", "the address is checked where the connection would be made",
			internet(t, "@ MX 10 mx\nmx A 127.0.0.1\nmx AAAA ::1\n"+anyRecord), neverDials(t), nil, 10 * time.Second,
			dane.Unknown, []dane.Reason{dane.TargetNotAllowed}, true},
		{"a silent server", "it had its time, so it is its own fault",
			internet(t, mail), waits(), []string{"192.0.2.0/24"}, 30 * time.Second,
			dane.Unreachable, []dane.Reason{dane.Timeout}, true},
		{"a silent server, and a scrape in a hurry", "many servers make clients wait that long",
			internet(t, mail), waits(), []string{"192.0.2.0/24"}, 3 * time.Second,
			dane.Unknown, []dane.Reason{dane.ProbeDeadline}, false},
		{"a panic while dialling", "a defect costs one endpoint and not the scrape",
			internet(t, mail), func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { panic("a defect") }, []string{"192.0.2.0/24"}, 10 * time.Second,
			dane.Unknown, []dane.Reason{dane.InternalError}, true},
		{"more addresses than anybody has", "the first sixteen are probed",
			internet(t, "@ MX 10 mx\n"+addresses(20)+anyRecord), func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { panic("counted elsewhere") }, []string{"192.0.2.0/24"}, 10 * time.Second,
			dane.Unknown, []dane.Reason{dane.InternalError, dane.LimitExceeded}, true},
	} {
		t.Run(story.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				prober := proberOf(story.internet, story.internet.Anchors(), story.dial, story.allow...)
				report := prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(story.timeout))
				if report.Verdict.Outcome != story.want || report.Facts.Complete != story.complete {
					t.Errorf("%s: got %s, complete %t; want %s, %t: %v", story.story, report.Verdict.Outcome, report.Facts.Complete, story.want, story.complete, report.Verdict.Findings)
				}
				if got := reasonsOf(report.Verdict); !slices.Equal(got, story.reasons) {
					t.Errorf("%s: reasons %v, want %v", story.story, got, story.reasons)
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

func addresses(n int) string {
	records := ""
	for i := range n {
		records += "mx A " + netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}).String() + "\n"
	}
	return records
}

func TestProbeOfADeniedTargetAsksNobody(t *testing.T) {
	prober := New(Environment{Now: time.Now, Dial: neverDials(t)}, Settings{Access: Access{Targets: []string{"*.example.net"}}})
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(time.Second))
	if report.Verdict.Outcome != dane.Unknown || !slices.Equal(reasonsOf(report.Verdict), []dane.Reason{dane.TargetNotAllowed}) {
		t.Errorf("got %s, %v", report.Verdict.Outcome, report.Verdict.Findings)
	}
}

// The one who asked has gone: nothing may go on in his name.
func TestProbeEndsWithItsCaller(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	n := internet(t, "@ MX 10 mx\nmx A 192.0.2.25\n"+anyRecord)
	prober := proberOf(n, n.Anchors(), func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
		leave()
		<-ctx.Done()
		return nil, ctx.Err()
	}, "192.0.2.0/24")
	report := prober.Probe(ctx, Target{Name: "example.org"}, mailModule(time.Minute))
	if report.Verdict.Outcome != dane.Unknown || report.Facts.Complete {
		t.Errorf("got %s, complete %t", report.Verdict.Outcome, report.Facts.Complete)
	}
}

// Two domains at one mail host must not mean two connections to it at once.
func TestProbesTakeTurnsAtAnAddress(t *testing.T) {
	n := internet(t, "@ MX 10 mx\nmx A 192.0.2.25\n"+anyRecord)
	var open, most atomic.Int32
	prober := proberOf(n, n.Anchors(), func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
		most.Store(max(most.Load(), open.Add(1)))
		defer open.Add(-1)
		return nil, errors.New("closed")
	}, "192.0.2.0/24")
	done := make(chan struct{})
	for range 8 {
		go func() {
			prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(time.Minute))
			done <- struct{}{}
		}()
	}
	for range 8 {
		<-done
	}
	if most.Load() != 1 {
		t.Errorf("%d connections at once", most.Load())
	}
}
