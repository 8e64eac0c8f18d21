package dnssec_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestCheck: what one name server says is judged by the keys that the
// resolvers give, and by nothing else.
func TestCheck(t *testing.T) {
	const server = "192.0.2.53:53"
	records := "@ NS ns\nns A 192.0.2.53\n"
	at := func(f zone.Fault) zone.Fault { f.Server = server; return f }
	for _, s := range []struct {
		name   string
		qtype  uint16
		copied *zone.Copy // what the server has instead
		faults []zone.Fault
		status dnssec.Status
		why    string
		found  int
		days   int // from today until the first signature ends
	}{
		{name: "the same", qtype: dns.TypeTLSA, status: dnssec.Secure, found: 1, days: 13},
		{name: "an older version, well signed", qtype: dns.TypeTLSA, copied: &zone.Copy{Zone: world(records)[1]}, status: dnssec.Secure, found: 1, days: 13},
		{name: "the record is missing, and that is proven", qtype: dns.TypeTLSA, copied: &zone.Copy{Zone: zone.Zone{Apex: "example.org.", Records: records}},
			status: dnssec.Secure, days: 13},
		{name: "signatures of last month", qtype: dns.TypeTLSA, copied: &zone.Copy{Zone: world(records)[1], Age: 30 * 24 * time.Hour},
			status: dnssec.Bogus, why: "expired", days: -16},
		{name: "no signatures", qtype: dns.TypeTLSA, faults: []zone.Fault{at(zone.Fault{Where: zone.Under("example.org."), Answer: func(_, response *dns.Msg) error {
			response.Answer = response.Answer[:1]
			return nil
		}})}, status: dnssec.Bogus, why: "no signature"},
		{name: "no proof", qtype: dns.TypeMX, faults: []zone.Fault{at(zone.DropProof(zone.Under("example.org.")))}, status: dnssec.Bogus, days: 13},
		{name: "no such type", qtype: dns.TypeMX, status: dnssec.Secure, days: 13},
		{name: "somebody else's keys", qtype: dns.TypeTLSA, copied: &zone.Copy{Zone: zone.Zone{Apex: "example.org.", Records: world(records)[1].Records,
			Keys: []zone.Key{mustKey("example.org.", "thief", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP)}}}, status: dnssec.Bogus, why: "does not publish", days: 13},
	} {
		t.Run(s.name, func(t *testing.T) {
			net, err := zone.New(clock, world(records)...)
			if err != nil {
				t.Fatal(err)
			}
			if s.copied != nil {
				s.copied.Server = netip.MustParseAddr("192.0.2.53")
				if err := net.Add(*s.copied); err != nil {
					t.Fatal(err)
				}
			}
			net.Break(s.faults...)
			query := new(dns.Msg).SetQuestion(tlsa, s.qtype)
			query.SetEdns0(1232, true)
			response, err := net.Ask(t.Context(), netip.MustParseAddrPort(server), query)
			if err != nil || !response.Authoritative {
				t.Fatalf("%v\n%s", err, response)
			}
			before := response.String()
			r := dnssec.New(net, net.Anchors(), clock, dnssec.Options{})
			a := r.Check(t.Context(), tlsa, s.qtype, response)
			if a.Status != s.status || len(a.Records) != s.found || !strings.Contains(a.Why, s.why) {
				t.Errorf("%s, %d records: %s\nwanted %s, %d: … %s …", a.Status, len(a.Records), a.Why, s.status, s.found, s.why)
			}
			expiry := dnssec.SignatureExpiry(response, today)
			if days := int(expiry.Sub(today).Hours() / 24); expiry.IsZero() != (s.days == 0) || !expiry.IsZero() && days != s.days {
				t.Errorf("the first signature ends at %s, wanted %d days from now", expiry, s.days)
			}
			if response.String() != before {
				t.Error("the response was changed")
			}
			if lookup := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); lookup.Status != dnssec.Secure {
				t.Errorf("a look-up afterwards is %s: %s", lookup.Status, lookup.Why)
			}
		})
	}
}
