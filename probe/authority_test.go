package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

func TestNameserverVerdicts(t *testing.T) {
	const name = "mx.example.org"
	one, two := "3 1 1 "+fmt.Sprintf("%064x", 1), "3 1 1 "+fmt.Sprintf("%064x", 2)
	said := func(status dnssec.Status, records ...string) *dnssec.Answer {
		lookup := published(status, name, records...)
		return &lookup.Answer
	}
	secure := dnssec.Secure
	keyless := failed(dnssec.ErrUnreachable, name, dns.TypeTLSA)
	for _, story := range []struct {
		name       string
		server     Nameserver
		resolved   *dnssec.Answer
		up         Measure
		consistent Measure
	}{
		{"the same records", Nameserver{TLSA: said(secure, one, two)}, said(secure, two, one), Yes, Yes},
		{"a record less", Nameserver{TLSA: said(secure, one)}, said(secure, one, two), Yes, No},
		{"another record", Nameserver{TLSA: said(secure, two)}, said(secure, one), Yes, No},
		{"none, as the resolver says", Nameserver{TLSA: said(secure)}, said(secure), Yes, Yes},
		{"some, where the resolver says none", Nameserver{TLSA: said(secure, one)}, said(secure), Yes, No},
		{"signatures that do not hold", Nameserver{TLSA: said(dnssec.Bogus, one)}, said(secure, one), Yes, No},
		{"no signatures", Nameserver{TLSA: said(dnssec.Insecure, one)}, said(secure, one), Yes, No},
		{"good ones, where the resolver gave bad ones", Nameserver{TLSA: said(secure, one)}, said(dnssec.Bogus, two), Yes, Yes},
		{"the zone's keys could not be had", Nameserver{TLSA: &keyless}, said(secure, one), Yes, NotMeasured},
		{"silence", Nameserver{Err: os.ErrDeadlineExceeded}, said(secure, one), No, NotMeasured},
		{"no authority", Nameserver{Err: errNoAuthority}, said(secure, one), No, NotMeasured},
		{"no authority for the SOA alone", Nameserver{Err: errNoAuthority, TLSA: said(secure, one)}, said(secure, one), No, Yes},
		{"our deadline came first", Nameserver{Err: context.DeadlineExceeded, Hurried: true}, said(secure, one), NotMeasured, NotMeasured},
		{"no way to IPv6", Nameserver{Err: ErrNoIPv6, Skipped: true}, said(secure, one), NotMeasured, NotMeasured},
		{"an address that access forbids", Nameserver{Err: ErrNotAllowed}, said(secure, one), NotMeasured, NotMeasured},
		{"a defect of ours", Nameserver{Err: &Fault{Value: "oops"}}, said(secure, one), NotMeasured, NotMeasured},
	} {
		t.Run(story.name, func(t *testing.T) {
			v := nameserver(&story.server, story.resolved)
			if v.Up != story.up || v.Consistent != story.consistent {
				t.Errorf("up %d, consistent %d; want %d, %d: %s", v.Up, v.Consistent, story.up, story.consistent, v.Why)
			}
			if v.Why == "" && (v.Up != Yes || v.Consistent != Yes) {
				t.Error("no why")
			}
		})
	}
}

func TestZoneOf(t *testing.T) {
	link := func(zone string, status dnssec.Status) dnssec.Link { return dnssec.Link{Zone: zone, Status: status} }
	root, org := link(".", dnssec.Secure), link("org.", dnssec.Secure)
	example, hoster := link("example.org.", dnssec.Secure), link("hoster.org.", dnssec.Secure)
	for _, story := range []struct {
		name      string
		status    dnssec.Status
		canonical string
		chain     []dnssec.Link
		want      string
	}{
		{"the deepest", dnssec.Secure, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, example}, "example.org."},
		{"after an alias", dnssec.Secure, "_25._tcp.mx.hoster.org.", []dnssec.Link{root, org, example, hoster}, "hoster.org."},
		{"before an alias", dnssec.Secure, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, example, hoster}, "example.org."},
		{"bad signatures in a zone that is proven", dnssec.Bogus, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, example}, "example.org."},
		{"a chain that broke", dnssec.Bogus, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, link("example.org.", dnssec.Bogus)}, ""},
		{"an unsigned zone", dnssec.Insecure, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, link("example.org.", dnssec.Insecure)}, ""},
		{"opted out of a signed zone", dnssec.Insecure, "_25._tcp.mx.example.org.", []dnssec.Link{root, org}, ""},
		{"no chain", dnssec.Indeterminate, "_25._tcp.mx.example.org.", nil, ""},
	} {
		if got := zoneOf(&dnssec.Answer{Status: story.status, Canonical: story.canonical, Chain: story.chain}); got != story.want {
			t.Errorf("%s: got %q, want %q", story.name, got, story.want)
		}
	}
}

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
	prober := New(World{
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

	authority := report.Facts.Hosts[0].Services[0].Authority
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
		if want := MeasureOf(true); !inside && (v.Up != want || v.Consistent != want || v.Serial != 1 || !v.Expiry.After(noon)) || inside && v.Up != NotMeasured {
			t.Errorf("%s %s: up %d, consistent %d, serial %d, expiry %s: %s", v.Name, v.Address, v.Up, v.Consistent, v.Serial, v.Expiry, v.Why)
		}
	}
	if len(names) != 13 {
		t.Errorf("only %d servers were chosen: %v", len(names), names)
	}
	if slices.Contains(reasonsOf(report.Verdict), NameserverInconsistent) {
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
	prober := New(World{
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

	if asked[dns.TypeSOA] != maxNameservers || asked[dns.TypeTLSA] != maxAuthorityLookups {
		t.Errorf("asked %d times for the SOA record, %d times for TLSA records", asked[dns.TypeSOA], asked[dns.TypeTLSA])
	}
	cut := 0
	for i := range report.Facts.Hosts {
		authority := report.Facts.Hosts[i].Services[0].Authority
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
	if want := 10 - maxAuthorityLookups/maxNameservers; cut != want {
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
