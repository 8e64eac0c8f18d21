package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// countedDNS counts the queries to the resolvers and to the nameservers.
type countedDNS struct {
	*zone.Internet
	resolver, direct atomic.Int32
}

func (c *countedDNS) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	c.resolver.Add(1)
	return c.Internet.Exchange(ctx, query)
}

func (c *countedDNS) ExchangeWith(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	c.resolver.Add(1)
	return c.Internet.ExchangeWith(ctx, server, query)
}

func (c *countedDNS) Ask(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	c.direct.Add(1)
	return c.Internet.Ask(ctx, server, query)
}

// take returns the numbers of queries since the last call.
func (c *countedDNS) take() (resolver, direct int) {
	return int(c.resolver.Swap(0)), int(c.direct.Swap(0))
}

// countedProber returns a prober that has nothing cached, for servers that accept no
// connection, and its queries.
func countedProber(t *testing.T, faults []zone.Fault, zones ...zone.Zone) (*Prober, *countedDNS) {
	t.Helper()
	n, err := zone.New(func() time.Time { return noon }, zones...)
	if err != nil {
		t.Fatal(err)
	}
	n.Break(faults...)
	counted := &countedDNS{Internet: n}
	closed := func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, errors.New("closed") }
	return New(Environment{Now: func() time.Time { return noon }, DNS: counted, Anchors: n.Anchors(), Query: counted.Ask, Dial: closed},
		Settings{Access: Access{Targets: []string{"*"}, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}), counted
}

// withoutDelegations stops a prober from examining delegations, which have limits of their own.
func withoutDelegations(p *Prober) { p.delegations.slots = nil }

// hostZones returns example.org, whose MX hosts are each in a zone of their own, from
// mail0.net on. Each has four addresses, the number of nameservers given, and labels
// between the name of a host or nameserver and the zone.
func hostZones(hosts, nameservers int, labels string) []zone.Zone {
	zones := []zone.Zone{{Apex: "org"}, {Apex: "net"}}
	var domain strings.Builder
	for i := range hosts {
		fmt.Fprintf(&domain, "@ MX %d mx%s.mail%d.net.\n", 10*i, labels, i)
		var records strings.Builder
		for address := range 4 {
			fmt.Fprintf(&records, "mx%s A 10.%d.0.%d\n", labels, i, address+1)
		}
		fmt.Fprintf(&records, "_25._tcp.mx%s TLSA 3 1 1 %064x\n", labels, i)
		for ns := range nameservers {
			fmt.Fprintf(&records, "@ NS ns%d%s\nns%d%s A 10.%d.1.%d\n", ns, labels, ns, labels, i, ns+1)
		}
		zones = append(zones, zone.Zone{Apex: fmt.Sprintf("mail%d.net", i), Records: records.String()})
	}
	return append(zones, zone.Zone{Apex: "example.org", Records: domain.String()})
}

// deepLabels is as many labels as a name can have below mail0.net.
var deepLabels = strings.Repeat(".a", 104)

// TestOrdinaryTargetsHaveQueriesLeft checks that targets as large as real ones leave
// more than half of the queries, even with nothing cached. Under the virtual clock, neither
// they nor the probe time out on a busy machine.
func TestOrdinaryTargetsHaveQueriesLeft(t *testing.T) {
	for _, c := range []struct {
		hosts, nameservers int
		labels             string
	}{{1, 4, ""}, {6, 4, ""}, {6, 4, ".eu.mail.protection"}, {10, 2, ""}} {
		t.Run(fmt.Sprintf("%d hosts in zones of their own, mx%s", c.hosts, c.labels), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				prober, counted := countedProber(t, nil, hostZones(c.hosts, c.nameservers, c.labels)...)
				report := prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(30*time.Second))
				if n, _ := counted.take(); n > maxQueries/2 {
					t.Errorf("%d queries", n)
				}
				if got := reasonsOf(report.Verdict); !slices.Equal(got, []dane.Reason{dane.ConnectFailed}) {
					t.Errorf("reasons %v", got)
				}
				if n := signaturesOf(report); n*costP256 > maxComputed/5 {
					t.Errorf("%d signatures were checked", n)
				}
				module := mailModule(30 * time.Second)
				module.Nameservers, module.Renewal = true, true
				withoutDelegations(prober)
				prober.Probe(t.Context(), Target{Name: "example.org"}, module)
				resolver, direct := counted.take()
				if resolver -= 1 + 3*c.hosts; resolver+direct > maxNameserverQueries*2/3 { // less the lookups, with cached zones
					t.Errorf("%d queries to the resolver and %d to the nameservers", resolver, direct)
				}
				t.Logf("nameserver checks: %d queries to the resolver and %d to the nameservers", resolver, direct)
			})
		})
	}
}

// Costs of signature checks in microseconds of CPU time.
const costP256, costP384 = 100, 700

// signaturesOf returns the number of signature checks of the lookups of a report.
func signaturesOf(report *Report) (n int) {
	for _, lookup := range report.Facts.Lookups() {
		n += lookup.Answer.Work.Signatures
	}
	return n
}

// TestSignatureChecksAreBounded probes a domain with 50 hosts whose records have a hundred
// wrong signatures each. The CPU time is limited, and what is not judged is unknown.
func TestSignatureChecksAreBounded(t *testing.T) {
	const hosts, wrong = 50, 100
	var domain, records strings.Builder
	for i := range hosts {
		fmt.Fprintf(&domain, "@ MX %d mx%d.mail.net.\n", i, i)
		fmt.Fprintf(&records, "mx%d A 10.0.0.%d\n_25._tcp.mx%d TLSA 3 1 1 %064x\n", i, i+1, i, i)
	}
	useless := zone.Fault{Where: zone.Under("mail.net", dns.TypeA, dns.TypeTLSA), Answer: func(_, m *dns.Msg) error {
		for _, rr := range m.Answer {
			if sig, ok := rr.(*dns.RRSIG); ok {
				for i := range wrong {
					other := *sig
					other.Expiration += uint32(i + 1) // is tried first
					m.Answer = append(m.Answer, &other)
				}
				break
			}
		}
		return nil
	}}
	prober, _ := countedProber(t, []zone.Fault{useless}, zone.Zone{Apex: "org"}, zone.Zone{Apex: "net"},
		zone.Zone{Apex: "mail.net", Algorithms: []uint8{dns.ECDSAP384SHA384}, Records: records.String()}, zone.Zone{Apex: "example.org", Records: domain.String()})
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(10*time.Minute))
	n := signaturesOf(report)
	t.Logf("%d signature checks in %s: %s, reasons %v", n, report.Duration, report.Verdict.Outcome, reasonsOf(report.Verdict))
	if n > maxComputed/costP384+100 {
		t.Errorf("%d signatures were checked", n)
	}
	if !slices.Contains(reasonsOf(report.Verdict), dane.LimitExceeded) {
		t.Errorf("reasons %v", reasonsOf(report.Verdict))
	}
	for _, v := range report.Verdict.Services {
		if v.Outcome == dane.Refused {
			t.Errorf("%s is refused, and was not judged", v.Host)
		}
	}
}

// TestQueriesAreBounded probes domains that are made to cost queries. The number of
// queries is limited, the best host is judged, and what is not judged is unknown. Under the
// virtual clock, nothing is unknown because a busy machine is slow.
func TestQueriesAreBounded(t *testing.T) {
	strip := zone.Strip(zone.Under("net", dns.TypeA, dns.TypeAAAA, dns.TypeTLSA, dns.TypeNSEC))
	for _, c := range []struct {
		name        string
		nameservers bool
		faults      []zone.Fault
		zones       []zone.Zone
		best        dane.Outcome // of the first host
	}{
		{"50 hosts in 50 zones", true, nil, hostZones(50, 4, ""), dane.Unreachable},
		{"50 hosts with 100 labels", false, nil, hostZones(50, 1, deepLabels), dane.Unreachable},
		{"50 hosts with 100 labels and 16 such nameservers", true, nil, hostZones(50, 16, deepLabels), dane.Unreachable},
		{"the same without signatures", true, []zone.Fault{strip}, hostZones(50, 16, deepLabels), dane.Refused},
		{"50 hosts with SERVFAIL", true, []zone.Fault{zone.Rcode(zone.Under("net", dns.TypeA, dns.TypeAAAA, dns.TypeTLSA), dns.RcodeServerFailure)}, hostZones(50, 4, ""), dane.Refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				prober, counted := countedProber(t, c.faults, c.zones...)
				module := mailModule(30 * time.Second)
				module.Nameservers, module.Renewal = c.nameservers, c.nameservers
				withoutDelegations(prober)
				report := prober.Probe(t.Context(), Target{Name: "example.org"}, module)
				resolver, direct := counted.take()
				t.Logf("%d queries to the resolver and %d to the nameservers in %s: %s", resolver, direct, report.Duration, report.Verdict.Outcome)
				limit := maxQueries
				if c.nameservers {
					limit += maxNameserverQueries
				}
				if resolver+direct > limit {
					t.Errorf("%d queries to the resolver and %d to the nameservers, want at most %d", resolver, direct, limit)
				}
				outcomes := make(map[dane.Outcome]int)
				for _, v := range report.Verdict.Services {
					outcomes[v.Outcome]++
				}
				if got := report.Verdict.Services[0].Outcome; got != c.best {
					t.Errorf("the best host is %s, want %s", got, c.best)
				}
				refusing := make(map[string]bool) // hosts with a lookup that failed, and not for lack of queries
				for _, lookup := range report.Facts.Lookups() {
					if lookup.Answer.Status.Failed() && !errors.Is(lookup.Answer.Err, dnssec.ErrBudget) {
						refusing[lookup.Host] = true
					}
				}
				for _, v := range report.Verdict.Services {
					if v.Outcome == dane.Refused && !refusing[v.Host] {
						t.Errorf("%s is refused, and was not judged", v.Host)
					}
				}
				if !slices.Contains(reasonsOf(report.Verdict), dane.LimitExceeded) {
					t.Errorf("reasons %v", reasonsOf(report.Verdict))
				}
				t.Logf("outcomes %v", outcomes)
			})
		})
	}
}

// TestQueriesOfHosts checks which hosts may begin and query.
func TestQueriesOfHosts(t *testing.T) {
	q := newQueries(96)
	q.setHosts(6)
	if q.begun != 4 { // four times 16 queries, and a third in reserve
		t.Errorf("%d hosts begin at the same time, want 4", q.begun)
	}
	for q.take(1, false) == nil {
	}
	if q.left != 32 {
		t.Errorf("a host after another one left %d queries, want 32", q.left)
	}
	if err := q.take(0, true); err == nil {
		t.Error("a speculative query uses the reserve")
	}
	if err := q.take(0, false); err != nil {
		t.Errorf("the best host may not query: %v", err)
	}
	q.finish(0)
	if err := q.take(1, false); err != nil {
		t.Errorf("the best host in progress may not query: %v", err)
	}
	q.finish(2)
	q.finish(1)
	if q.begun != 4 {
		t.Errorf("%d hosts began while the reserve is in use, want 4", q.begun)
	}
	q.finish(3)
	if q.begun != 5 {
		t.Errorf("%d hosts began after the others ended, want 5", q.begun)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q.wait(ctx, 5) // does not wait longer than ctx
	for q.take(4, false) == nil {
	}
	if err := q.take(5, false); q.left != 0 || err == nil {
		t.Errorf("%d queries left, %v", q.left, err)
	}
}

// TestControlsOfHosts checks how many queries a probe may send to find out what failed.
func TestControlsOfHosts(t *testing.T) {
	q := newQueries(1000)
	q.setHosts(3)
	count := func(host int) (n int) {
		for q.control(host) == nil {
			n++
		}
		return n
	}
	if n := count(1); n != maxControls*2/3 {
		t.Errorf("%d for a host after another one, want %d", n, maxControls*2/3)
	}
	if n := count(0); n != maxControls/3 {
		t.Errorf("%d for the best host, want %d", n, maxControls/3)
	}
	if q.left != 1000-maxControls {
		t.Errorf("%d queries left, want %d", q.left, 1000-maxControls)
	}
	few := newQueries(30)
	few.setHosts(1)
	for range 30 {
		if err := few.take(0, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := few.control(0); err == nil || few.controls != maxControls {
		t.Errorf("a control without queries left: %v, %d controls left", err, few.controls)
	}
}
