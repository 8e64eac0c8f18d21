package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"dane_exporter/probe/dane"

	"github.com/miekg/dns"
)

// Many servers, some of them where nobody may go: at most sixteen are asked,
// each at one of its addresses at least, and none inside.
func TestNameserversAreBoundedAndObeyAccess(t *testing.T) {
	records := "@ MX 10 mx\nmx A 192.0.2.25\n" + anyRecord + "@ NS inside\ninside A 127.0.0.1\n"
	for i := range 12 {
		records += fmt.Sprintf("@ NS ns%02d\nns%02d A 192.0.2.%d\nns%02d AAAA 2001:db8::%d\n", i, i, 100+i, i, 100+i)
	}
	n := internet(t, records)
	var mu sync.Mutex
	asked := make(map[netip.Addr]bool)
	prober := New(Environment{
		Now: func() time.Time { return noon }, DNS: n, Anchors: n.Anchors(),
		Dial: dialer(func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, errors.New("closed") }),
		Query: func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
			mu.Lock()
			asked[server.Addr()] = true
			mu.Unlock()
			if query.RecursionDesired || query.IsEdns0() == nil || !query.IsEdns0().Do() || server.Port() != 53 {
				t.Errorf("asked %s\n%s", server, query)
			}
			return n.Ask(ctx, server, query)
		},
	}, Settings{Access: Access{Targets: []string{"*"}, AllowNetworks: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}}})
	module := mailModule(10 * time.Second)
	module.Nameservers = true
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, module)

	authority := report.Facts.Hosts[0].Services[0].Nameservers
	if authority == nil || authority.Zone != "example.org" || len(authority.Servers) != maxNameservers || !authority.Truncated {
		t.Fatalf("got %+v", authority)
	}
	if asked[netip.MustParseAddr("127.0.0.1")] || len(asked) != maxNameservers-1 {
		t.Errorf("asked %v", asked)
	}
	names := make(map[string]bool)
	for _, v := range report.Verdict.Services[0].Nameservers {
		names[v.Name] = true
		inside := v.Name == "inside.example.org"
		if want := dane.MeasureOf(true); !inside && (v.Up != want || v.Consistent != want || v.Serial != 1 || !v.Expiry.After(noon)) || inside && v.Up != dane.NotMeasured {
			t.Errorf("%s %s: up %d, consistent %d, serial %d, expiry %s: %s", v.Name, v.Address, v.Up, v.Consistent, v.Serial, v.Expiry, v.Why)
		}
	}
	if len(names) != 13 {
		t.Errorf("only %d servers were chosen: %v", len(names), names)
	}
	if slices.Contains(reasonsOf(report.Verdict), dane.NameserverInconsistent) {
		t.Errorf("findings %v", report.Verdict.Findings)
	}
}

// Ten hosts in one zone of sixteen addresses: each server is asked once for the
// SOA record, and all together for no more TLSA records than a probe may ask.
func TestHostsOfOneZoneShareItsServers(t *testing.T) {
	records := ""
	for i := range 10 {
		records += fmt.Sprintf("@ MX %d mx%d\nmx%d A 192.0.2.%d\n_25._tcp.mx%d TLSA 3 1 1 %064x\n", i, i, i, 25+i, i, i)
	}
	for i := range maxNameservers {
		records += fmt.Sprintf("@ NS ns%02d\nns%02d A 192.0.2.%d\n", i, i, 100+i)
	}
	n := internet(t, records)
	var mu sync.Mutex
	asked := make(map[uint16]int)
	prober := New(Environment{
		Now: func() time.Time { return noon }, DNS: n, Anchors: n.Anchors(),
		Dial: dialer(func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, errors.New("closed") }),
		Query: func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
			mu.Lock()
			asked[query.Question[0].Qtype]++
			mu.Unlock()
			return n.Ask(ctx, server, query)
		},
	}, Settings{Access: Access{Targets: []string{"*"}, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}})
	module := mailModule(10 * time.Second)
	module.Nameservers = true
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, module)

	if asked[dns.TypeSOA] != maxNameservers || asked[dns.TypeTLSA] != maxNameserverQueries {
		t.Errorf("asked %d times for the SOA record, %d times for TLSA records", asked[dns.TypeSOA], asked[dns.TypeTLSA])
	}
	cut := 0
	for i := range report.Facts.Hosts {
		authority := report.Facts.Hosts[i].Services[0].Nameservers
		if authority == nil {
			t.Fatalf("%s: nobody was asked", report.Facts.Hosts[i].Name)
		}
		if authority.Truncated {
			cut++
		}
		for _, server := range authority.Servers {
			if _, known := server.Serial(); !known || server.Err != nil {
				t.Errorf("%s: %+v", report.Facts.Hosts[i].Name, server)
			}
		}
	}
	if want := 10 - maxNameserverQueries/maxNameservers; cut != want {
		t.Errorf("%d hosts' servers are cut, want %d", cut, want)
	}
}

// However many zones there are, a probe has one bound for their servers.
func TestZonesShareTheBoundOfAProbe(t *testing.T) {
	z := newZones()
	for _, want := range []int{16, 16, 0} {
		if got := z.take(&z.addresses, maxNameservers); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}
