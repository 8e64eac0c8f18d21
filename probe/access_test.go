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

// Special-purpose addresses are forbidden unless allow_networks lists them.
func TestAccessAddress(t *testing.T) {
	lab := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	for _, c := range []struct {
		address string
		listed  []netip.Prefix
		allowed bool
	}{
		{"1.1.1.1", nil, true},
		{"2606:4700::1111", nil, true},
		{"127.0.0.1", nil, false},
		{"169.254.169.254", nil, false},
		{"10.1.2.3", nil, false},
		{"100.64.0.1", nil, false},
		{"0.0.0.0", nil, false},
		{"224.0.0.1", nil, false},
		{"255.255.255.255", nil, false},
		{"::1", nil, false},
		{"::", nil, false},
		{"fe80::1%eth0", nil, false},
		{"fd00::1", nil, false},
		{"::ffff:127.0.0.1", nil, false},
		{"::127.0.0.1", nil, false},
		{"64:ff9b::7f00:1", nil, false},
		{"2002:7f00:1::", nil, false},
		{"192.0.2.1", nil, false},
		{"192.0.2.1", lab, true},
		{"::ffff:192.0.2.1", lab, true},
		{"2001:db8::1", lab, true},
		{"198.51.100.1", lab, false},
		{"168.63.129.16", nil, false},
		{"::ffff:168.63.129.16", nil, false},
		{"168.63.129.16", []netip.Prefix{netip.MustParsePrefix("168.63.129.16/32")}, true},
		{"168.63.129.15", nil, true},
		{"168.63.129.17", nil, true},
		{"161.26.0.7", nil, false},
		{"161.26.1.7", nil, true},
	} {
		err := Access{AllowNetworks: c.listed}.checkAddress(netip.MustParseAddr(c.address))
		if allowed := err == nil; allowed != c.allowed {
			t.Errorf("%s with %v: allowed %t, want %t", c.address, c.listed, allowed, c.allowed)
		}
		if err != nil && !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s: the error %q does not wrap ErrNotAllowed", c.address, err)
		}
	}
}

// deny_networks overrides allow_networks, and forbids public addresses too.
func TestDeniedNetworks(t *testing.T) {
	access := Access{
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		DenyNetworks:  []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("168.63.129.16/32"), netip.MustParsePrefix("2606:4700::/32")},
	}
	for address, allowed := range map[string]bool{
		"10.2.0.1": true, "10.1.0.1": false, "168.63.129.17": true, "168.63.129.16": false, "::ffff:168.63.129.16": false,
		"2606:4700::1": false, "2606:4701::1": true,
	} {
		if err := access.checkAddress(netip.MustParseAddr(address)); (err == nil) != allowed || err != nil && !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s: %v, want allowed: %t", address, err, allowed)
		}
	}
}

// A target needs a listed name and, if it is an address, a listed address.
func TestAccessTargets(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		name     string
		allowed  bool
	}{
		{[]string{"*"}, "mx.example.org", true},
		{[]string{"*.example.org"}, "mx.example.org", true},
		{[]string{"*.example.org"}, "example.org", false},
		{[]string{"example.org", "example.net"}, "example.net", true},
		{nil, "example.org", false},
	} {
		if allowed := (Access{Targets: c.patterns}).allowsTarget(Target{Name: c.name}); allowed != c.allowed {
			t.Errorf("%v and %s: allowed %t, want %t", c.patterns, c.name, allowed, c.allowed)
		}
	}
	pinned := Target{Name: "mx.example.org", Address: netip.MustParseAddr("203.0.113.5")}
	if (Access{Targets: []string{"*.example.org"}}).allowsTarget(pinned) {
		t.Error("an allowed name with an address that is not listed is allowed")
	}
	if !(Access{Targets: []string{"*.example.org", "203.0.113.*"}}).allowsTarget(pinned) {
		t.Error("an allowed name with a listed address is denied")
	}
}

// dialLog records the addresses of connections and queries, and makes none.
type dialLog struct {
	mu        sync.Mutex
	addresses []netip.AddrPort
}

func (l *dialLog) dial(_ context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
	l.add(to)
	return nil, errors.New("this test makes no connections")
}

func (l *dialLog) query(_ context.Context, to netip.AddrPort, _ *dns.Msg) (*dns.Msg, error) {
	l.add(to)
	return nil, errors.New("this test makes no connections")
}

func (l *dialLog) add(to netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addresses = append(l.addresses, to)
}

// Whichever record leads to an address or port that access forbids, no connection
// is made to it.
func TestAccessHoldsForAllRecords(t *testing.T) {
	const (
		internal = "10.0.0.1"
		external = "192.0.2.25" // in allow_networks
		tlsa     = "TLSA 3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
	)
	mail := func(change func(*Module)) Module {
		m := mailModule(10 * time.Second)
		change(&m)
		return m
	}
	for _, c := range []struct {
		name, records string
		module        Module
		access        func(*Access)
		connections   []string // that are made
		denied        bool     // at least one connection is forbidden
	}{
		{name: "MX host with an internal address", denied: true,
			records: "@ MX 10 mx\nmx A " + internal + "\n_25._tcp.mx " + tlsa},
		{name: "MX host with an internal and an external address", denied: true, connections: []string{external + ":25"},
			records: "@ MX 10 mx\nmx A " + internal + "\nmx A " + external + "\n_25._tcp.mx " + tlsa},
		{name: "MX host with internal IPv6 addresses", denied: true,
			records: "@ MX 10 mx\nmx AAAA ::ffff:127.0.0.1\nmx AAAA 64:ff9b::7f00:1\nmx AAAA ::1\nmx AAAA fe80::1\n_25._tcp.mx " + tlsa},
		{name: "MX host at the metadata service of a cloud", denied: true,
			records: "@ MX 10 mx\nmx A 169.254.169.254\n"},
		{name: "alias of a host with an internal address", denied: true,
			records: "@ MX 10 mx\nmx CNAME inner\ninner A " + internal + "\n_25._tcp.mx " + tlsa},
		{name: "SRV target with an internal address", denied: true,
			module: mail(func(m *Module) {
				m.Discover, m.Policy, m.SRV = DiscoverSRV, dane.Client, []SRVSettings{{Service: "imaps", Protocol: "tls"}}
			}),
			records: "_imaps._tcp SRV 0 1 993 host\nhost A " + internal + "\n_993._tcp.host " + tlsa},
		{name: "SRV record with a port that is not listed", denied: true,
			module: mail(func(m *Module) {
				m.Discover, m.Policy, m.SRV = DiscoverSRV, dane.Client, []SRVSettings{{Service: "imaps", Protocol: "tls"}}
			}),
			access:  func(a *Access) { a.Ports = []uint16{25, 993} },
			records: "_imaps._tcp SRV 0 1 22 host\nhost A " + external + "\n_22._tcp.host " + tlsa},
		{name: "SRV record with a listed port", connections: []string{external + ":993"},
			module: mail(func(m *Module) {
				m.Discover, m.Policy, m.SRV = DiscoverSRV, dane.Client, []SRVSettings{{Service: "imaps", Protocol: "tls"}}
			}),
			access:  func(a *Access) { a.Ports = []uint16{25, 993} },
			records: "_imaps._tcp SRV 0 1 993 host\nhost A " + external + "\n_993._tcp.host " + tlsa},
		{name: "MTA-STS policy host with an internal address", denied: true, connections: []string{external + ":25"},
			module:  mail(func(m *Module) { m.MTASTS = true }),
			records: "@ MX 10 mx\nmx A " + external + "\n_25._tcp.mx " + tlsa + "_mta-sts TXT \"v=STSv1; id=1\"\nmta-sts A " + internal + "\n"},
		{name: "nameserver with an internal address", connections: []string{external + ":25", "192.0.2.53:53"},
			module:  mail(func(m *Module) { m.Nameservers = true }),
			records: "@ NS ns1\n@ NS ns2\nns1 A " + internal + "\nns2 A 192.0.2.53\n@ MX 10 mx\nmx A " + external + "\n_25._tcp.mx " + tlsa},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.module.Name == "" {
				c.module = mailModule(10 * time.Second)
			}
			access := Access{Targets: []string{"*"}, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
			if c.access != nil {
				c.access(&access)
			}
			n := newInternet(t, c.records)
			log := new(dialLog)
			prober := New(Environment{Now: func() time.Time { return noon }, Dial: log.dial, DNS: n, Query: log.query, Anchors: n.Anchors()}, Settings{Access: access})
			report := prober.Probe(t.Context(), Target{Name: "example.org"}, c.module)
			var connections []string
			for _, to := range log.addresses {
				connections = append(connections, to.String())
			}
			slices.Sort(connections)
			if connections = slices.Compact(connections); !slices.Equal(connections, c.connections) {
				t.Errorf("connections to %v, want %v", connections, c.connections)
			}
			if denied := slices.Contains(reasonsOf(report.Verdict), dane.TargetNotAllowed); denied != c.denied {
				t.Errorf("reasons %v, want %s among them: %t", reasonsOf(report.Verdict), dane.TargetNotAllowed, c.denied)
			}
		})
	}
}

// A name whose address changes with each answer gains nothing: the address that
// was checked is the one that is connected to.
func TestRebinding(t *testing.T) {
	n := newInternet(t, "@ MX 10 mx\nmx A 192.0.2.25\n")
	var queries atomic.Int32
	n.Break(zone.Fault{Where: zone.At("mx.example.org.", dns.TypeA), Edit: func(rr dns.RR) {
		if queries.Add(1) > 1 {
			rr.(*dns.A).A = net.IPv4(127, 0, 0, 1)
		}
	}})
	log := new(dialLog)
	prober := newProber(n, n.Anchors(), log.dial, "192.0.2.0/24")
	for range 3 {
		prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(10*time.Second))
	}
	if queries.Load() < 2 {
		t.Fatalf("the zone received %d queries, so its answer never changed", queries.Load())
	}
	if !slices.Equal(log.addresses, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.25:25")}) {
		t.Errorf("connections to %v", log.addresses)
	}
}
