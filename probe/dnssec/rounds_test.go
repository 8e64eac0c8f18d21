package dnssec_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// distant is a resolver that has every answer, one second away: under a
// virtual clock, the seconds that pass are the round trips that were waited for.
type distant struct{ dnssec.Transport }

const roundTrip = time.Second

func (d distant) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	select {
	case <-time.After(roundTrip):
		return d.Transport.Exchange(ctx, query)
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
}

// TestRoundTrips: one, and one more where aliases lead to zones that nothing is
// known of.
func TestRoundTrips(t *testing.T) {
	zones := append(world(`
www CNAME mx
far CNAME mx.hoster.net.
alone CNAME mx.hoster.net.
farther CNAME hop.example.com.
tree DNAME tree.hoster.net.
plain CNAME mx.plain.net.
`),
		zone.Zone{Apex: "deep.er.and.deeper.example.org.", Records: "_25._tcp.mx TLSA 3 1 1 00\n"},
		zone.Zone{Apex: "net."}, zone.Zone{Apex: "com."},
		zone.Zone{Apex: "hoster.net.", Records: "mx A 192.0.2.9\nmx.tree A 192.0.2.10\n"},
		zone.Zone{Apex: "example.com.", Records: "hop CNAME mx.hoster.net.\n"},
		zone.Zone{Apex: "plain.net.", Unsigned: true, Delegation: zone.Insecure, Records: "mx A 192.0.2.8\n_25._tcp.mx TLSA 3 1 1 00\n"},
	)
	for _, c := range []struct {
		name       string
		ask        string
		qtype      uint16
		status     dnssec.Status
		cold, warm int
	}{
		{"TLSA records of a host", tlsa, dns.TypeTLSA, dnssec.Secure, 1, 1},
		{"no TLSA records", "_443._tcp.mx.example.org.", dns.TypeTLSA, dnssec.Secure, 1, 1},
		{"no such name", "nothing.example.org.", dns.TypeA, dnssec.Secure, 1, 1},
		{"a zone far down", "_25._tcp.mx.deep.er.and.deeper.example.org.", dns.TypeTLSA, dnssec.Secure, 1, 1},
		{"an alias within the zone", "www.example.org.", dns.TypeA, dnssec.Secure, 1, 1},
		{"an alias into another zone", "far.example.org.", dns.TypeA, dnssec.Secure, 2, 1},
		{"a DNAME into another zone", "mx.tree.example.org.", dns.TypeA, dnssec.Secure, 2, 1},
		{"two aliases, each into another zone", "farther.example.org.", dns.TypeA, dnssec.Secure, 2, 1},
		{"an alias into an unsigned zone", "plain.example.org.", dns.TypeA, dnssec.Insecure, 2, 1},
		{"an alias into another zone, given alone", "alone.example.org.", dns.TypeA, dnssec.Secure, 2, 2},
		{"an unsigned zone", "_25._tcp.mx.plain.net.", dns.TypeTLSA, dnssec.Insecure, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, err := zone.New(clock, zones...)
				if err != nil {
					t.Fatal(err)
				}
				inner.Break(respond(zone.At("alone.example.org.", dns.TypeA), func(m *dns.Msg) { m.Answer = m.Answer[:2] }))
				r := dnssec.New(distant{inner}, inner.Anchors(), clock, dnssec.Options{})
				for _, wanted := range []int{c.cold, c.warm} {
					start := time.Now()
					a := r.Lookup(t.Context(), c.ask, c.qtype)
					if a.Status != c.status {
						t.Fatalf("%s: %s", a.Status, a.Why)
					}
					if took := int(time.Since(start) / roundTrip); took != wanted {
						t.Errorf("%d round trips, wanted %d (%+v)", took, wanted, a.Work)
					}
				}
			})
		})
	}
}
