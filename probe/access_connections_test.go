package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dane_exporter/internal/lab/zone"

	"dane_exporter/probe/dane"

	"github.com/miekg/dns"
)

// visitor notes where connections would go, and makes none.
type visitor struct {
	mu      sync.Mutex
	visited []netip.AddrPort
}

func (v *visitor) dial(_ context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
	v.note(to)
	return nil, errors.New("not in this story")
}

func (v *visitor) query(_ context.Context, to netip.AddrPort, _ *dns.Msg) (*dns.Msg, error) {
	v.note(to)
	return nil, errors.New("not in this story")
}

func (v *visitor) note(to netip.AddrPort) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.visited = append(v.visited, to)
}

// A zone may point wherever it likes, and by every kind of record: what is
// connected to is allowed, or is not connected to.
func TestNoWayInside(t *testing.T) {
	const (
		inside  = "10.0.0.1"
		outside = "192.0.2.25" // which these stories allow
		tlsa    = "TLSA 3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
	)
	mail := func(change func(*Module)) Module {
		m := mailModule(10 * time.Second)
		change(&m)
		return m
	}
	for _, story := range []struct {
		name, records string
		module        Module
		access        func(*Access)
		visits        []string // whatever goes there is right
		denied        bool     // and something else would have been
	}{
		{name: "an MX host with an inner address", denied: true,
			records: "@ MX 10 mx\nmx A " + inside + "\n_25._tcp.mx " + tlsa},
		{name: "beside one that is outside", denied: true, visits: []string{outside + ":25"},
			records: "@ MX 10 mx\nmx A " + inside + "\nmx A " + outside + "\n_25._tcp.mx " + tlsa},
		{name: "an inner address in IPv6 clothes", denied: true,
			records: "@ MX 10 mx\nmx AAAA ::ffff:127.0.0.1\nmx AAAA 64:ff9b::7f00:1\nmx AAAA ::1\nmx AAAA fe80::1\n_25._tcp.mx " + tlsa},
		{name: "the metadata service of a cloud", denied: true,
			records: "@ MX 10 mx\nmx A 169.254.169.254\n"},
		{name: "an alias to a name that lies inside", denied: true,
			records: "@ MX 10 mx\nmx CNAME inner\ninner A " + inside + "\n_25._tcp.mx " + tlsa},
		{name: "an SRV record with an inner host", denied: true,
			module: mail(func(m *Module) {
				m.Discover, m.Policy, m.SRV = DiscoverSRV, dane.Client, []SRVSettings{{Service: "imaps", Protocol: "tls"}}
			}),
			records: "_imaps._tcp SRV 0 1 993 host\nhost A " + inside + "\n_993._tcp.host " + tlsa},
		{name: "an SRV record with a port that is not listed", denied: true,
			module: mail(func(m *Module) {
				m.Discover, m.Policy, m.SRV = DiscoverSRV, dane.Client, []SRVSettings{{Service: "imaps", Protocol: "tls"}}
			}),
			access:  func(a *Access) { a.Ports = []uint16{25, 993} },
			records: "_imaps._tcp SRV 0 1 22 host\nhost A " + outside + "\n_22._tcp.host " + tlsa},
		{name: "and one that is", visits: []string{outside + ":993"},
			module: mail(func(m *Module) {
				m.Discover, m.Policy, m.SRV = DiscoverSRV, dane.Client, []SRVSettings{{Service: "imaps", Protocol: "tls"}}
			}),
			access:  func(a *Access) { a.Ports = []uint16{25, 993} },
			records: "_imaps._tcp SRV 0 1 993 host\nhost A " + outside + "\n_993._tcp.host " + tlsa},
		{name: "a policy host of MTA-STS that lies inside", denied: true, visits: []string{outside + ":25"},
			module:  mail(func(m *Module) { m.MTASTS = true }),
			records: "@ MX 10 mx\nmx A " + outside + "\n_25._tcp.mx " + tlsa + "_mta-sts TXT \"v=STSv1; id=1\"\nmta-sts A " + inside + "\n"},
		{name: "a name server that lies inside", visits: []string{outside + ":25", "192.0.2.53:53"},
			module:  mail(func(m *Module) { m.Nameservers = true }),
			records: "@ NS ns1\n@ NS ns2\nns1 A " + inside + "\nns2 A 192.0.2.53\n@ MX 10 mx\nmx A " + outside + "\n_25._tcp.mx " + tlsa},
	} {
		t.Run(story.name, func(t *testing.T) {
			if story.module.Name == "" {
				story.module = mailModule(10 * time.Second)
			}
			access := Access{Targets: []string{"*"}, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
			if story.access != nil {
				story.access(&access)
			}
			n := internet(t, story.records)
			visits := new(visitor)
			prober := New(Environment{Now: func() time.Time { return noon }, Dial: visits.dial, DNS: n, Query: visits.query, Anchors: n.Anchors()}, Settings{Access: access})
			report := prober.Probe(t.Context(), Target{Name: "example.org"}, story.module)
			var went []string
			for _, to := range visits.visited {
				went = append(went, to.String())
			}
			slices.Sort(went)
			if went = slices.Compact(went); !slices.Equal(went, story.visits) {
				t.Errorf("went to %v, want %v", went, story.visits)
			}
			if denied := slices.Contains(reasonsOf(report.Verdict), dane.TargetNotAllowed); denied != story.denied {
				t.Errorf("reasons %v", reasonsOf(report.Verdict))
			}
		})
	}
}

// A name that is bound to another address with each answer gains nothing: what
// was checked is what is connected to.
func TestRebinding(t *testing.T) {
	n := internet(t, "@ MX 10 mx\nmx A 192.0.2.25\n")
	var asked atomic.Int32
	n.Break(zone.Fault{Where: zone.At("mx.example.org.", dns.TypeA), Edit: func(rr dns.RR) {
		if asked.Add(1) > 1 {
			rr.(*dns.A).A = net.IPv4(127, 0, 0, 1)
		}
	}})
	visits := new(visitor)
	prober := proberOf(n, n.Anchors(), visits.dial, "192.0.2.0/24")
	for range 3 {
		prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(10*time.Second))
	}
	if asked.Load() < 2 {
		t.Fatalf("the zone was asked %d times: nothing was bound anew", asked.Load())
	}
	if !slices.Equal(visits.visited, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.25:25")}) {
		t.Errorf("went to %v", visits.visited)
	}
}
