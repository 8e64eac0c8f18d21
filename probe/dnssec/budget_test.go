package dnssec_test

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// sameTag returns keys that have the tag of another key: the tag is a sum of
// 16-bit words (RFC 4034 appendix B), so their order does not change it.
func sameTag(t *testing.T, key zone.Key, n int) []zone.Key {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(key.Public.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	var keys []zone.Key
	for i := range n {
		twin := slices.Clone(raw)
		twin[0], twin[1], twin[2*i+2], twin[2*i+3] = raw[2*i+2], raw[2*i+3], raw[0], raw[1]
		public := dns.Copy(key.Public).(*dns.DNSKEY)
		public.PublicKey = base64.StdEncoding.EncodeToString(twin)
		if public.KeyTag() != key.Public.KeyTag() {
			t.Fatal("the tags differ")
		}
		other := key
		other.Public = public
		keys = append(keys, other)
	}
	return keys
}

// TestLimits checks that a lookup ends after a bounded amount of work, whatever is
// sent.
func TestLimits(t *testing.T) {
	t.Parallel()
	at := zone.At(tlsa, dns.TypeTLSA)
	ksk := mustKey("example.org.", "ksk", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP)
	zsk := mustKey("example.org.", "zsk", dns.ECDSAP256SHA256, dns.ZONE)
	colliding := func(n int) []zone.Zone {
		return testZones("", func(z *zone.Zone) { z.Keys = append([]zone.Key{ksk}, append(sameTag(t, zsk, n), zsk)...) })
	}
	// manySignatures sends n different broken copies of a signature.
	manySignatures := func(n int) zone.Fault {
		return respond(at, func(m *dns.Msg) {
			good := m.Answer[1].(*dns.RRSIG)
			m.Answer = m.Answer[:1]
			for i := range n {
				sig := dns.Copy(good).(*dns.RRSIG)
				editSignature(func(b []byte) []byte { b[i%64] ^= byte(1 + i/64); return b })(sig)
				m.Answer = append(m.Answer, sig)
			}
		})
	}
	work := func(limit dnssec.Work) func(*testing.T, dnssec.Answer) {
		return func(t *testing.T, a dnssec.Answer) {
			if a.Work.Signatures > limit.Signatures || a.Work.Hashes > limit.Hashes || a.Work.Queries > limit.Queries {
				t.Errorf("work %+v, want at most %+v", a.Work, limit)
			}
		}
	}
	deep := strings.Repeat("a.", 100)
	runCases(t, []lookupCase{
		{name: "a few keys of one tag", zones: colliding(2), ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1,
			check: work(dnssec.Work{Signatures: 20, Queries: 20})},
		{name: "many keys of one tag (CVE-2023-50387)", zones: colliding(12), faults: []zone.Fault{zone.Corrupt(at)}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Indeterminate, err: dnssec.ErrLimit, why: "keys of one tag", check: work(dnssec.Work{Signatures: 20, Queries: 20})},
		{name: "many broken signatures (CVE-2023-50387)", zones: testZones(""), faults: []zone.Fault{manySignatures(300)}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Indeterminate, err: dnssec.ErrLimit, why: "more than 128 signature checks", check: work(dnssec.Work{Signatures: 128, Queries: 20})},
		{name: "a handful of broken signatures", zones: testZones(""), faults: []zone.Fault{manySignatures(5)}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Bogus, why: "does not verify", check: work(dnssec.Work{Signatures: 40, Queries: 30})},
		{name: "a name of 100 labels costs 100 hashes, once (CVE-2023-50868)", zones: testZones("", nsec3(false, 50)), ask: deep + "example.org.", qtype: dns.TypeA,
			status: dnssec.Secure, rcode: dns.RcodeNameError, check: work(dnssec.Work{Signatures: 20, Hashes: 105, Queries: 25})},
		{name: "a walk down 100 labels ends at the first name that does not exist", zones: testZones(""), faults: []zone.Fault{zone.Strip(zone.Under("a.example.org."))},
			ask: deep + "example.org.", qtype: dns.TypeA, status: dnssec.Secure, rcode: dns.RcodeNameError, check: work(dnssec.Work{Signatures: 20, Queries: 25})},
	})
}

// TestHashTrap checks that digests of few keys are computed, however many DS
// records and keys there are (CVE-2023-50387, the attack named HashTrap).
func TestHashTrap(t *testing.T) {
	t.Parallel()
	const many = 1000
	template := mustKey("example.org.", "ksk", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP)
	// keys returns invented keys: of one tag, since the first two words have one sum,
	// or of different tags.
	keys := func(oneTag bool) []dns.RR {
		octets, err := base64.StdEncoding.DecodeString(template.Public.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		var list []dns.RR
		for n := range many {
			binary.BigEndian.PutUint16(octets, uint16(n))
			binary.BigEndian.PutUint16(octets[2:], 0x7fff)
			if oneTag {
				binary.BigEndian.PutUint16(octets[2:], uint16(0x7fff-n))
			}
			key := dns.Copy(template.Public).(*dns.DNSKEY)
			key.PublicKey = base64.StdEncoding.EncodeToString(octets)
			list = append(list, key)
		}
		return list
	}
	// wrong returns a DS for each key, with a digest that matches no key.
	wrong := func(keys []dns.RR) []dns.RR {
		var list []dns.RR
		for n, key := range keys {
			ds := key.(*dns.DNSKEY).ToDS(dns.SHA256)
			ds.Digest = fmt.Sprintf("%064x", n)
			list = append(list, ds)
		}
		return list
	}
	// trap replaces the records of a type, and signs them if possible.
	trap := func(rrtype uint16, records []dns.RR) zone.Fault {
		return zone.Fault{Where: zone.At("example.org.", rrtype),
			Sign: func(s *zone.Signing) { s.Set = records },
			Answer: func(_, m *dns.Msg) error {
				m.Answer = slices.DeleteFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == rrtype })
				m.Answer = append(slices.Clone(records), m.Answer...)
				return nil
			}}
	}
	digests := func(n int) func(*testing.T, dnssec.Answer) {
		return func(t *testing.T, a dnssec.Answer) {
			if a.Work.Digests > n || a.Work.Signatures > 30 || a.Work.Queries > 40 {
				t.Errorf("work %+v, want at most %d digests", a.Work, n)
			}
			for _, link := range a.Chain {
				if len(link.DS) > 16 || len(link.Keys) > 16 {
					t.Errorf("%s: %d DS and %d keys are shown", link.Zone, len(link.DS), len(link.Keys))
				}
			}
			if len(a.Why) > 2000 {
				t.Errorf("Why has %d characters", len(a.Why))
			}
		}
	}
	alike, different := keys(true), keys(false)
	good := dns.RR(template.Public.ToDS(dns.SHA256))
	runCases(t, []lookupCase{
		{name: "keys of one tag", zones: testZones(""), ask: tlsa, qtype: dns.TypeTLSA,
			faults: []zone.Fault{trap(dns.TypeDS, wrong(alike)), trap(dns.TypeDNSKEY, alike)},
			status: dnssec.Indeterminate, err: dnssec.ErrLimit, why: "more than 4 keys of one tag for a DS of example.org.", check: digests(6)},
		{name: "keys of different tags", zones: testZones(""), ask: tlsa, qtype: dns.TypeTLSA,
			faults: []zone.Fault{trap(dns.TypeDS, wrong(different)), trap(dns.TypeDNSKEY, different)},
			status: dnssec.Indeterminate, err: dnssec.ErrLimit, why: "more than 64 digests of keys", check: digests(64)},
		{name: "DS records for keys that do not exist", zones: testZones(""), ask: tlsa, qtype: dns.TypeTLSA,
			faults: []zone.Fault{trap(dns.TypeDS, wrong(different))},
			status: dnssec.Bogus, why: "more records", check: digests(10)},
		{name: "the good DS among many", zones: testZones(""), ask: tlsa, qtype: dns.TypeTLSA,
			faults: []zone.Fault{trap(dns.TypeDS, append(wrong(different), good))},
			status: dnssec.Secure, records: 1, check: func(t *testing.T, a dnssec.Answer) {
				digests(6)(t, a)
				if last := a.Chain[len(a.Chain)-1]; !slices.ContainsFunc(last.DS, func(ds dnssec.DS) bool { return ds.Used }) {
					t.Errorf("the DS that is used is not shown: %+v", last.DS)
				}
			}},
	})
}

// TestDeepChain checks that a chain of trust through many zones costs a few
// queries for each, and that a lookup in an endless chain is stopped.
func TestDeepChain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		depth  int
		status dnssec.Status
		err    error
	}{{25, dnssec.Secure, nil}, {100, dnssec.Indeterminate, dnssec.ErrLimit}} {
		name, zones := "", []zone.Zone{}
		for range c.depth {
			name = "a." + name
			zones = append(zones, zone.Zone{Apex: name, Algorithms: []uint8{dns.ED25519}, Records: "_25._tcp.mx TLSA 3 1 1 00\n"})
		}
		runCases(t, []lookupCase{{name: fmt.Sprintf("%d zones", c.depth), zones: zones, ask: "_25._tcp.mx." + name, qtype: dns.TypeTLSA, status: c.status, err: c.err,
			records: map[dnssec.Status]int{dnssec.Secure: 1}[c.status], check: func(t *testing.T, a dnssec.Answer) {
				if a.Work.Queries > 120 || a.Work.Signatures > 128 {
					t.Errorf("work %+v", a.Work)
				}
			}}})
	}
}

// TestRetriesShareLimits checks that a lookup with its retries stays within the
// limits of one lookup.
func TestRetriesShareLimits(t *testing.T) {
	net, err := zone.New(clock, testZones("", nsec3(false, 1))...)
	if err != nil {
		t.Fatal(err)
	}
	net.Break(zone.Corrupt(zone.At(tlsa, dns.TypeTLSA)))
	for _, limit := range []int{15, 20, 40} {
		r := dnssec.New(net, net.Anchors(), clock, dnssec.Options{})
		r.LimitQueries(limit)
		r.LimitRetryQueries(0)
		r.LimitSignatures(limit)
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Bogus || a.Work.Queries > limit || a.Work.Signatures > limit {
			t.Errorf("limit %d: %s, work %+v: %s", limit, a.Status, a.Work, a.Why)
		}
	}
}

// TestRetriesHaveMinimumQueries checks that a retry has some queries even if the
// first verdict used nearly all, and that Why says so if it has none.
func TestRetriesHaveMinimumQueries(t *testing.T) {
	net, err := zone.New(clock, testZones("")...)
	if err != nil {
		t.Fatal(err)
	}
	net.Break(zone.From(firstServer, zone.Garble(zone.At("example.org.", dns.TypeDNSKEY))))
	const limit = 12
	lookup := func(minimum int) dnssec.Answer {
		r := dnssec.New(net, net.Anchors(), clock, dnssec.Options{})
		r.Speculate(false)
		r.LimitQueries(limit)
		r.LimitRetryQueries(minimum)
		return r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
	}
	const without, with = "no valid answer was found within the limits", secondServer + " gave an answer that validates"
	if a := lookup(0); a.Status != dnssec.Bogus || !strings.Contains(a.Why, without) || strings.Contains(a.Why, "no resolver returned a valid answer") {
		t.Errorf("without a minimum: %s: %s", a.Status, a.Why)
	}
	if a := lookup(30); a.Status != dnssec.Secure || !strings.Contains(a.Inconsistent, with) || a.Work.Queries > limit+3*30 {
		t.Errorf("with a minimum: %s: %s (%s), work %+v", a.Status, a.Why, a.Inconsistent, a.Work)
	}
}

// TestLimitedCounter checks Stats.Limited.
func TestLimitedCounter(t *testing.T) {
	r, _, _ := setup(t, dnssec.Options{}, testZones(""))
	r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
	before := r.Stats().Limited
	r.LimitSignatures(0)
	r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
	if after := r.Stats().Limited; before != 0 || after != 1 {
		t.Errorf("%d, then %d", before, after)
	}
}

func TestLoweredLimits(t *testing.T) {
	for _, c := range []struct {
		name  string
		lower func(*dnssec.Resolver)
		why   string
	}{
		{"signatures", func(r *dnssec.Resolver) { r.LimitSignatures(3) }, "more than 3 signature checks"},
		{"queries", func(r *dnssec.Resolver) { r.LimitQueries(3) }, "more than 3 queries"},
		{"hashes", func(r *dnssec.Resolver) { r.LimitHashes(1) }, "more than 1 NSEC3 hashes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			net, err := zone.New(clock, testZones("", nsec3(false, 1))...)
			if err != nil {
				t.Fatal(err)
			}
			r := dnssec.New(net, net.Anchors(), clock, dnssec.Options{})
			r.Speculate(false)
			c.lower(r)
			a := r.Lookup(t.Context(), "nothing.example.org.", dns.TypeA)
			if a.Status != dnssec.Indeterminate || !errors.Is(a.Err, dnssec.ErrLimit) || !strings.Contains(a.Why, c.why) {
				t.Errorf("%s %v: %s", a.Status, a.Err, a.Why)
			}
		})
	}
}
