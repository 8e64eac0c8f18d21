package dnssec_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

func TestNames(t *testing.T) {
	r, _, _ := setup(t, dnssec.Options{}, testZones(""))
	for _, name := range []string{strings.Repeat("a", 64) + ".org.", strings.Repeat("a.", 130), "a..org.", strings.Repeat("x", 5000)} {
		if a := r.Lookup(t.Context(), name, dns.TypeA); a.Status != dnssec.Indeterminate || a.Err == nil || len(a.Why) > 500 {
			t.Errorf("%.20q: %s %v", name, a.Status, a.Err)
		}
	}
	if a := r.Lookup(t.Context(), "", dns.TypeSOA); a.Name != "." || a.Status != dnssec.Secure {
		t.Errorf("the root: %s %s: %s", a.Name, a.Status, a.Why)
	}
}

// TestAdditionalSectionIsIgnored checks that neither valid nor forged records in
// the additional section change an answer.
func TestAdditionalSectionIsIgnored(t *testing.T) {
	at := zone.At("mx.example.org.", dns.TypeA)
	runCases(t, []lookupCase{
		{name: "the answer is in the additional section", zones: testZones(""), faults: []zone.Fault{respond(at, func(m *dns.Msg) { m.Extra, m.Answer = append(m.Answer, m.Extra...), nil })},
			ask: "mx.example.org.", qtype: dns.TypeA, status: dnssec.Bogus, why: "mx.example.org. A"},
		{name: "a forged address is in the additional section", zones: testZones(""), faults: []zone.Fault{respond(at, func(m *dns.Msg) {
			forged := dns.Copy(m.Answer[0]).(*dns.A)
			forged.A = net.IPv4(192, 0, 2, 66)
			m.Extra = append([]dns.RR{forged}, m.Extra...)
		})}, ask: "mx.example.org.", qtype: dns.TypeA, status: dnssec.Secure, records: 1, check: func(t *testing.T, a dnssec.Answer) {
			if got := a.Records[0].(*dns.A).A.String(); got != "192.0.2.1" {
				t.Errorf("address %s", got)
			}
		}},
	})
}

// TestCheck checks that the response of a nameserver is validated with the keys
// from the resolvers.
func TestCheck(t *testing.T) {
	const server = "192.0.2.53:53"
	records := "@ NS ns\nns A 192.0.2.53\n"
	at := func(f zone.Fault) zone.Fault { f.Server = server; return f }
	for _, s := range []struct {
		name   string
		qtype  uint16
		copied *zone.Copy // the version of the zone that the server has
		faults []zone.Fault
		status dnssec.Status
		why    string
		found  int
		days   int // from today until the first signature expires
	}{
		{name: "the same", qtype: dns.TypeTLSA, status: dnssec.Secure, found: 1, days: 13},
		{name: "an older version, well signed", qtype: dns.TypeTLSA, copied: &zone.Copy{Zone: testZones(records)[1]}, status: dnssec.Secure, found: 1, days: 13},
		{name: "the record is missing, and that is proven", qtype: dns.TypeTLSA, copied: &zone.Copy{Zone: zone.Zone{Apex: "example.org.", Records: records}},
			status: dnssec.Secure, days: 13},
		{name: "expired signatures", qtype: dns.TypeTLSA, copied: &zone.Copy{Zone: testZones(records)[1], Age: 30 * 24 * time.Hour},
			status: dnssec.Bogus, why: "expired", days: -16},
		{name: "no signatures", qtype: dns.TypeTLSA, faults: []zone.Fault{at(zone.Fault{Where: zone.Under("example.org."), Answer: func(_, response *dns.Msg) error {
			response.Answer = response.Answer[:1]
			return nil
		}})}, status: dnssec.Bogus, why: "no signature"},
		{name: "no proof", qtype: dns.TypeMX, faults: []zone.Fault{at(zone.DropProof(zone.Under("example.org.")))}, status: dnssec.Bogus, days: 13},
		{name: "no such type", qtype: dns.TypeMX, status: dnssec.Secure, days: 13},
		{name: "the keys of an attacker", qtype: dns.TypeTLSA, copied: &zone.Copy{Zone: zone.Zone{Apex: "example.org.", Records: testZones(records)[1].Records,
			Keys: []zone.Key{mustKey("example.org.", "thief", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP)}}}, status: dnssec.Bogus, why: "does not publish", days: 13},
	} {
		t.Run(s.name, func(t *testing.T) {
			net, err := zone.New(clock, testZones(records)...)
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
			a := r.Check(t.Context(), nil, tlsa, s.qtype, response)
			if a.Status != s.status || len(a.Records) != s.found || !strings.Contains(a.Why, s.why) {
				t.Errorf("%s, %d records: %s\nwant %s, %d: … %s …", a.Status, len(a.Records), a.Why, s.status, s.found, s.why)
			}
			expiry := dnssec.SignatureExpiry(response, today)
			if days := int(expiry.Sub(today).Hours() / 24); expiry.IsZero() != (s.days == 0) || !expiry.IsZero() && days != s.days {
				t.Errorf("the first signature expires at %s, want %d days from now", expiry, s.days)
			}
			if response.String() != before {
				t.Error("the response was changed")
			}
			if lookup := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); lookup.Status != dnssec.Secure {
				t.Errorf("the next lookup is %s: %s", lookup.Status, lookup.Why)
			}
		})
	}
}

// TestValiditySince checks that Since belongs to the signature that expires first,
// here of a zone whose keys are no longer signed and whose records are signed on
// each query.
func TestValiditySince(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	keys := dnssec.Validity{Inception: day(1), Expiry: day(22), Since: day(1)}
	answer := dnssec.Validity{Inception: day(19), Expiry: day(23), Since: day(19)}
	want := dnssec.Validity{Inception: day(19), Expiry: day(22), Since: day(1)}
	for name, got := range map[string]dnssec.Validity{
		"keys, then answer":   keys.And(answer),
		"answer, then keys":   answer.And(keys),
		"with nothing signed": dnssec.Validity{}.And(keys).And(answer).And(dnssec.Validity{}),
	} {
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
