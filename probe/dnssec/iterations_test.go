package dnssec_test

import (
	"slices"
	"testing"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestIterationsAreTold: how often a zone hashes shows where its denial was
// needed, and only where it is signed.
func TestIterationsAreTold(t *testing.T) {
	hashed := func(want ...dnssec.NSEC3) func(*testing.T, dnssec.Answer) {
		return func(t *testing.T, a dnssec.Answer) {
			if !slices.Equal(a.NSEC3, want) {
				t.Errorf("got %v, want %v", a.NSEC3, want)
			}
		}
	}
	zones := world("", nsec3(false, 5))
	stories := []story{
		{name: "an answer that needs no denial", ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1, check: hashed()},
		{name: "no such type", ask: tlsa, qtype: dns.TypeA, status: dnssec.Secure, check: hashed(dnssec.NSEC3{Zone: "example.org.", Iterations: 5})},
		{name: "with a broken signature", ask: tlsa, qtype: dns.TypeA, status: dnssec.Bogus, check: hashed(),
			faults: []zone.Fault{zone.Corrupt(zone.In("example.org.", dns.TypeNSEC3))}},
	}
	for i := range stories {
		stories[i].zones = zones
	}
	tell(t, stories)
}
