package probe

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"

	"dane_exporter/probe/dane"

	"github.com/miekg/dns"
)

// distant is a resolver that has every answer, one second away: under a
// virtual clock, the seconds that pass are the round trips that were waited for.
type distant struct{ dnssec.Transport }

func (d distant) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	select {
	case <-time.After(time.Second):
		return d.Transport.Exchange(ctx, query)
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
}

// TestRoundTrips: everything about a host is asked at once, and what is cold
// costs one round trip more at most, and one for an alias that leaves the zone.
func TestRoundTrips(t *testing.T) {
	zones := []zone.Zone{{Apex: "org"}, {Apex: "net"},
		{Apex: "example.org", Records: "@ MX 10 mx\nmx A 192.0.2.25\n" + anyRecord + "www CNAME mx\nfar CNAME mx.hoster.net.\n"},
		{Apex: "hosted.org", Records: "@ MX 10 mx.hoster.net.\n"},
		{Apex: "aliased.org", Records: "@ MX 10 www.example.org.\n"},
		{Apex: "hoster.net", Records: "mx A 192.0.2.26\n" + anyRecord},
	}
	host, mail := mailModule(time.Minute), mailModule(time.Minute)
	host.Discover = DiscoverNone
	for _, c := range []struct {
		name       string
		target     string
		module     Module
		cold, warm int
	}{
		{"a host", "mx.example.org", host, 1, 1},
		{"a host that is an alias: the records are at the alias's end", "www.example.org", host, 2, 2},
		{"a host that is an alias into another zone", "far.example.org", host, 3, 2},
		{"through MX", "example.org", mail, 2, 2},
		{"through MX, into another zone", "hosted.org", mail, 2, 2},
		{"through MX, to an alias", "aliased.org", mail, 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, err := zone.New(func() time.Time { return noon }, zones...)
				if err != nil {
					t.Fatal(err)
				}
				refused := func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
				p := proberOf(distant{inner}, inner.Anchors(), refused, "192.0.2.0/24")
				for _, wanted := range []int{c.cold, c.warm} {
					start := time.Now()
					report := p.Probe(t.Context(), Target{Name: c.target}, c.module)
					took := time.Since(start)
					if report.Verdict.Outcome != dane.Unreachable {
						t.Fatalf("%s: %+v", report.Verdict.Outcome, report.Verdict.Findings)
					}
					if rounds := int(took / time.Second); rounds != wanted {
						t.Errorf("%d round trips, wanted %d", rounds, wanted)
					}
				}
			})
		})
	}
}
