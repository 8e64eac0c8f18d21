package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"dane_exporter/probe/dane"

	"github.com/miekg/dns"
)

// Of many nameservers, maxNameservers addresses are queried, at least one of each
// server, and none that access forbids.
func TestNameserverLimitAndAccess(t *testing.T) {
	records := "@ MX 10 mx\nmx A 192.0.2.25\n" + anyRecord + "@ NS internal\ninternal A 127.0.0.1\n"
	for i := range 12 {
		records += fmt.Sprintf("@ NS ns%02d\nns%02d A 192.0.2.%d\nns%02d AAAA 2001:db8::%d\n", i, i, 100+i, i, 100+i)
	}
	n := newInternet(t, records)
	var mu sync.Mutex
	queried := make(map[netip.Addr]bool)
	prober := New(Environment{
		Now: func() time.Time { return noon }, DNS: n, Anchors: n.Anchors(),
		Dial: dialer(func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, errors.New("closed") }),
		Query: func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
			mu.Lock()
			queried[server.Addr()] = true
			mu.Unlock()
			if query.RecursionDesired || query.IsEdns0() == nil || !query.IsEdns0().Do() || server.Port() != 53 {
				t.Errorf("query to %s\n%s", server, query)
			}
			return n.Ask(ctx, server, query)
		},
	}, Settings{Access: Access{Targets: []string{"*"}, AllowNetworks: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}}})
	module := mailModule(10 * time.Second)
	module.Nameservers = true
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, module)

	nameservers := report.Facts.Hosts[0].Services[0].Nameservers
	if nameservers == nil || nameservers.Zone != "example.org" || len(nameservers.Servers) != maxNameservers || !nameservers.Truncated {
		t.Fatalf("got %+v", nameservers)
	}
	if queried[netip.MustParseAddr("127.0.0.1")] || len(queried) != maxNameservers-1 {
		t.Errorf("queried %v", queried)
	}
	names := make(map[string]bool)
	for _, v := range report.Verdict.Services[0].Nameservers {
		names[v.Name] = true
		internal := v.Name == "internal.example.org"
		if want := dane.MeasureOf(true); !internal && (v.Up != want || v.Consistent != want || v.Serial != 1 || !v.Expiry.After(noon)) || internal && v.Up != dane.NotMeasured {
			t.Errorf("%s %s: up %d, consistent %d, serial %d, expiry %s: %s", v.Name, v.Address, v.Up, v.Consistent, v.Serial, v.Expiry, v.Why)
		}
	}
	if len(names) != 13 {
		t.Errorf("%d nameservers, want 13: %v", len(names), names)
	}
	if slices.Contains(reasonsOf(report.Verdict), dane.NameserverInconsistent) {
		t.Errorf("findings %v", report.Verdict.Findings)
	}
}

// Ten hosts in one zone share its 16 nameservers: each is queried once for the SOA
// record, and all together for at most maxNameserverTLSA TLSA records.
func TestHostsShareNameservers(t *testing.T) {
	records := ""
	for i := range 10 {
		records += fmt.Sprintf("@ MX %d mx%d\nmx%d A 192.0.2.%d\n_25._tcp.mx%d TLSA 3 1 1 %064x\n", i, i, i, 25+i, i, i)
	}
	for i := range maxNameservers {
		records += fmt.Sprintf("@ NS ns%02d\nns%02d A 192.0.2.%d\n", i, i, 100+i)
	}
	n := newInternet(t, records)
	var mu sync.Mutex
	queried := make(map[uint16]int)
	prober := New(Environment{
		Now: func() time.Time { return noon }, DNS: n, Anchors: n.Anchors(),
		Dial: dialer(func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, errors.New("closed") }),
		Query: func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
			mu.Lock()
			queried[query.Question[0].Qtype]++
			mu.Unlock()
			return n.Ask(ctx, server, query)
		},
	}, Settings{Access: Access{Targets: []string{"*"}, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}})
	withoutDelegations(prober)
	module := mailModule(10 * time.Second)
	module.Nameservers = true
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, module)

	if queried[dns.TypeSOA] != maxNameservers || queried[dns.TypeTLSA] != maxNameserverTLSA {
		t.Errorf("%d queries for the SOA record, %d for TLSA records", queried[dns.TypeSOA], queried[dns.TypeTLSA])
	}
	truncated := 0
	for i := range report.Facts.Hosts {
		nameservers := report.Facts.Hosts[i].Services[0].Nameservers
		if nameservers == nil {
			t.Fatalf("%s: no nameserver was queried", report.Facts.Hosts[i].Name)
		}
		if nameservers.Truncated {
			truncated++
		}
		for _, server := range nameservers.Servers {
			if _, known := server.Serial(); !known || server.Err != nil {
				t.Errorf("%s: %+v", report.Facts.Hosts[i].Name, server)
			}
		}
	}
	if want := 10 - maxNameserverTLSA/maxNameservers; truncated != want {
		t.Errorf("%d hosts have truncated nameservers, want %d", truncated, want)
	}
}

// All zones of a probe share one limit on nameservers.
func TestZonesShareLimit(t *testing.T) {
	z := newZones()
	for _, want := range []int{16, 16, 0} {
		if got := z.take(&z.addresses, maxNameservers); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}

// An IPv6 address is skipped on a machine without IPv6, also if the kernel reports
// a missing local address. Without IPv6 as the cause, that is an internal error.
func TestNameserverWithoutIPv6(t *testing.T) {
	n := newInternet(t, "@ MX 10 mx\nmx A 192.0.2.25\n"+anyRecord+"@ NS ns\nns AAAA 2001:db8::53\n")
	for _, c := range []struct {
		err     error
		skipped bool
		cause   dane.Cause
	}{
		{fmt.Errorf("%w: %w", ErrNoIPv6, syscall.ENETUNREACH), true, dane.CauseIPv6Unavailable},
		{fmt.Errorf("%w: %w", ErrNoIPv6, syscall.EADDRNOTAVAIL), true, dane.CauseIPv6Unavailable},
		{syscall.EADDRNOTAVAIL, false, dane.CauseInternal},
		{fmt.Errorf("%w: %w", ErrNoRoute, syscall.ENETUNREACH), false, dane.CauseInternal},
	} {
		prober := New(Environment{
			Now: func() time.Time { return noon }, DNS: n, Anchors: n.Anchors(),
			Dial:  dialer(func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, errors.New("closed") }),
			Query: func(context.Context, netip.AddrPort, *dns.Msg) (*dns.Msg, error) { return nil, c.err },
		}, Settings{Access: Access{Targets: []string{"*"}, AllowNetworks: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}}})
		module := mailModule(10 * time.Second)
		module.Nameservers = true
		report := prober.Probe(t.Context(), Target{Name: "example.org"}, module)

		servers := report.Facts.Hosts[0].Services[0].Nameservers.Servers
		verdicts := report.Verdict.Services[0].Nameservers
		if len(servers) != 1 || servers[0].Skipped != c.skipped || dane.CauseOf(servers[0].Err) != c.cause || verdicts[0].Up != dane.NotMeasured {
			t.Errorf("%v: got %+v, %+v", c.err, servers, verdicts)
		}
	}
}
