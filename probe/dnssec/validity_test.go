package dnssec_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// days is a validity from some days before today to some days after it.
type days struct{ before, after int }

func (d days) validity() dnssec.Validity {
	inception := today.AddDate(0, 0, -d.before)
	return dnssec.Validity{Inception: inception, Expiry: today.AddDate(0, 0, d.after), Since: inception}
}

// lifetimes sets the validity of the signatures over RRsets, named as "zone name
// type", with * for any name. The signatures of the lab that are not listed are valid from one hour
// before today to 14 days after, so that a listed inception is never the latest
// in a set with one of these.
func lifetimes(signed map[string]days) []zone.Fault {
	var faults []zone.Fault
	for what, d := range signed {
		where := func(p zone.Place) bool {
			rrtype := " " + dns.Type(p.Type).String()
			return p.Zone+" "+p.Name+rrtype == what || p.Zone+" *"+rrtype == what
		}
		faults = append(faults, zone.Fault{Where: where, Sign: func(s *zone.Signing) {
			s.Inception, s.Expiry = d.validity().Inception, d.validity().Expiry
		}})
	}
	return faults
}

// validityZones are the zones of TestValidity, and validityLifetimes the validity
// of each signature that its cases depend on. Of each zone, another signature is
// the first to expire, depending on what is looked up.
var (
	validityZones = append(testZones("hop CNAME www.hoster.net.\nback CNAME hop2.hoster.net.\nplain CNAME www.plain.net.\nmiss CNAME none.hoster.net.\n*.wild A 192.0.2.9\n"),
		zone.Zone{Apex: "net."},
		zone.Zone{Apex: "hoster.net.", Records: "www A 192.0.2.20\nhop2 CNAME mx.example.org.\n", Algorithms: []uint8{dns.ED25519}},
		zone.Zone{Apex: "plain.net.", Unsigned: true, Delegation: zone.Insecure, Records: "www A 192.0.2.21\n"},
		zone.Zone{Apex: "broken.net.", Delegation: zone.Former, Records: "www A 192.0.2.22\n"},
		zone.Zone{Apex: "optout.net.", NSEC3: &zone.NSEC3{OptOut: true}, Records: "www A 192.0.2.23\n"})

	validityLifetimes = map[string]days{
		". . DNSKEY":                                 {50, 40},
		". org. DS":                                  {38, 41},
		". net. DS":                                  {51, 30},
		". . SOA":                                    {20, 21},
		"org. org. DNSKEY":                           {48, 31},
		"org. example.org. DS":                       {47, 32},
		"net. net. DNSKEY":                           {46, 33},
		"net. hoster.net. DS":                        {45, 32},
		"net. plain.net. NSEC":                       {44, 6},
		"net. optout.net. DS":                        {43, 34},
		"example.org. example.org. DNSKEY":           {37, 20},
		"example.org. mx.example.org. A":             {36, 19},
		"example.org. mx.example.org. NSEC":          {35, 18},
		"example.org. example.org. SOA":              {34, 17},
		"example.org. hop.example.org. CNAME":        {33, 21},
		"example.org. back.example.org. CNAME":       {32, 16},
		"example.org. miss.example.org. CNAME":       {31, 15},
		"example.org. plain.example.org. CNAME":      {30, 22},
		"example.org. a.wild.example.org. A":         {29, 14},
		"example.org. *.wild.example.org. A":         {29, 14},
		"example.org. *.wild.example.org. NSEC":      {28, 13},
		"hoster.net. hoster.net. DNSKEY":             {27, 12},
		"hoster.net. www.hoster.net. A":              {26, 11},
		"hoster.net. hop2.hoster.net. CNAME":         {25, 10},
		"hoster.net. hop2.hoster.net. NSEC":          {24, 9},
		"hoster.net. hoster.net. NSEC":               {23, 8},
		"hoster.net. hoster.net. SOA":                {22, 7},
		"example.org. _25._tcp.mx.example.org. TLSA": {21, 5},
		"optout.net. * NSEC3":                        {18, 24},
		"optout.net. optout.net. SOA":                {17, 23},
		"optout.net. optout.net. DNSKEY":             {19, 25},
	}
)

// signer is the zone that signed the last step of an answer, and its algorithm.
type signer struct{ zone, algorithm string }

// TestValidity checks the validity of each link of a chain: that of the signatures
// by the zone that the answer depends on, and no others. It checks also
// the zone that signed the last step of the answer. Speculation and caches
// must not change it, and neither must the lookups before.
func TestValidity(t *testing.T) {
	merged := func(all ...string) (v dnssec.Validity) {
		for _, what := range all {
			d, ok := validityLifetimes[what]
			if !ok {
				t.Fatalf("no lifetime is given for %q", what)
			}
			v = v.And(d.validity())
		}
		return v
	}
	root, rootBoth := merged(". . DNSKEY", ". org. DS"), merged(". . DNSKEY", ". org. DS", ". net. DS")
	org := merged("org. org. DNSKEY", "org. example.org. DS")
	net := merged("net. net. DNSKEY", "net. hoster.net. DS")
	const keys, hosterKeys = "example.org. example.org. DNSKEY", "hoster.net. hoster.net. DNSKEY"
	type links map[string]dnssec.Validity
	cases := []struct {
		name, ask string
		qtype     uint16
		status    dnssec.Status
		want      links
	}{
		{"data", tlsa, dns.TypeTLSA, dnssec.Secure, links{".": root, "org.": org,
			"example.org.": merged(keys, "example.org. _25._tcp.mx.example.org. TLSA")}},
		{"data with a longer life than the keys", "hop.example.org.", dns.TypeCNAME, dnssec.Secure, links{".": root, "org.": org,
			"example.org.": merged(keys, "example.org. hop.example.org. CNAME")}},
		{"denial", "mx.example.org.", dns.TypeAAAA, dnssec.Secure, links{".": root, "org.": org,
			"example.org.": merged(keys, "example.org. mx.example.org. NSEC", "example.org. example.org. SOA")}},
		{"wildcard", "a.wild.example.org.", dns.TypeA, dnssec.Secure, links{".": root, "org.": org,
			"example.org.": merged(keys, "example.org. *.wild.example.org. A", "example.org. *.wild.example.org. NSEC")}},
		{"alias into another zone", "hop.example.org.", dns.TypeA, dnssec.Secure, links{".": rootBoth, "org.": org, "net.": net,
			"example.org.": merged(keys, "example.org. hop.example.org. CNAME"),
			"hoster.net.":  merged(hosterKeys, "hoster.net. www.hoster.net. A")}},
		{"alias into another zone and back", "back.example.org.", dns.TypeA, dnssec.Secure, links{".": rootBoth, "org.": org, "net.": net,
			"example.org.": merged(keys, "example.org. back.example.org. CNAME", "example.org. mx.example.org. A"),
			"hoster.net.":  merged(hosterKeys, "hoster.net. hop2.hoster.net. CNAME")}},
		{"denial of the target of an alias", "miss.example.org.", dns.TypeA, dnssec.Secure, links{".": rootBoth, "org.": org, "net.": net,
			"example.org.": merged(keys, "example.org. miss.example.org. CNAME"),
			"hoster.net.":  merged(hosterKeys, "hoster.net. hop2.hoster.net. NSEC", "hoster.net. hoster.net. NSEC", "hoster.net. hoster.net. SOA")}},
		{"insecure delegation", "www.plain.net.", dns.TypeA, dnssec.Insecure, links{".": merged(". . DNSKEY", ". net. DS"),
			"net.": merged("net. net. DNSKEY", "net. plain.net. NSEC"), "plain.net.": {}}},
		{"alias below an insecure delegation", "plain.example.org.", dns.TypeA, dnssec.Insecure, links{".": rootBoth, "org.": org,
			"example.org.": merged(keys, "example.org. plain.example.org. CNAME"),
			"net.":         merged("net. net. DNSKEY", "net. plain.net. NSEC"), "plain.net.": {}}},
		{"name that opt-out may hide", "none.optout.net.", dns.TypeA, dnssec.Insecure, links{".": merged(". . DNSKEY", ". net. DS"),
			"net.":        merged("net. net. DNSKEY", "net. optout.net. DS"),
			"optout.net.": merged("optout.net. optout.net. DNSKEY", "optout.net. * NSEC3", "optout.net. optout.net. SOA")}},
		{"no DS matches: the zone above is proven", "www.broken.net.", dns.TypeA, dnssec.Bogus, links{".": merged(". . DNSKEY", ". net. DS"),
			"net.": merged("net. net. DNSKEY"), "broken.net.": {}}},
		{"zone with the trust anchor alone", ".", dns.TypeSOA, dnssec.Secure, links{".": merged(". . DNSKEY", ". . SOA")}},
	}
	example, hoster := signer{"example.org.", "ECDSAP256SHA256"}, signer{"hoster.net.", "ED25519"}
	signers := map[string]signer{ // of the secure answers
		"data": example, "data with a longer life than the keys": example, "denial": example, "wildcard": example,
		"alias into another zone": hoster, "alias into another zone and back": example,
		"denial of the target of an alias": hoster, "zone with the trust anchor alone": {".", "ECDSAP256SHA256"},
	}
	inner, err := zone.New(clock, validityZones...)
	if err != nil {
		t.Fatal(err)
	}
	inner.Break(lifetimes(validityLifetimes)...)
	for _, speculate := range []bool{true, false} {
		shared := dnssec.New(inner, inner.Anchors(), clock, dnssec.Options{})
		shared.Speculate(speculate)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				own := dnssec.New(inner, inner.Anchors(), clock, dnssec.Options{})
				own.Speculate(speculate)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				for run, r := range []*dnssec.Resolver{own, own, shared, shared} {
					a := r.Lookup(ctx, c.ask, c.qtype)
					if a.Status != c.status {
						t.Fatalf("run %d: %s, want %s: %s", run, a.Status, c.status, a.Why)
					}
					if a.Signer != signers[c.name].zone || a.Algorithm != signers[c.name].algorithm {
						t.Errorf("run %d: signed by %q with %q, want %+v", run, a.Signer, a.Algorithm, signers[c.name])
					}
					got := links{}
					for _, link := range a.Chain {
						if _, ok := got[link.Zone]; ok {
							t.Errorf("run %d: %s has two links", run, link.Zone)
						}
						got[link.Zone] = link.Validity
					}
					if !maps.Equal(got, c.want) {
						t.Errorf("run %d, speculate %v:\n got %v\nwant %v", run, speculate, got, c.want)
					}
					all := dnssec.Validity{}
					for _, name := range slices.Sorted(maps.Keys(c.want)) {
						all = all.And(c.want[name])
					}
					if c.status.Failed() {
						all = dnssec.Validity{}
					}
					if got := a.Validity(); got != all {
						t.Errorf("run %d: all signatures: %v, want %v", run, got, all)
					}
				}
			})
		}
	}
}

// TestLinksAreNotShared checks that simultaneous lookups in one cached zone do not
// write to links that they share, and do not see each other's signatures.
func TestLinksAreNotShared(t *testing.T) {
	inner, err := zone.New(clock, validityZones...)
	if err != nil {
		t.Fatal(err)
	}
	inner.Break(lifetimes(validityLifetimes)...)
	r := dnssec.New(inner, inner.Anchors(), clock, dnssec.Options{})
	first := r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
	if first.Status != dnssec.Secure {
		t.Fatalf("%s: %s", first.Status, first.Why)
	}
	kept := slices.Clone(first.Chain)
	want := map[uint16]int{dns.TypeTLSA: 5, dns.TypeA: 19, dns.TypeAAAA: 17}
	var group sync.WaitGroup
	for range 20 {
		for qtype, expiry := range want {
			name := "mx.example.org."
			if qtype == dns.TypeTLSA {
				name = tlsa
			}
			group.Go(func() {
				a := r.Lookup(t.Context(), name, qtype)
				last := a.Chain[len(a.Chain)-1]
				if got := last.Expiry; last.Zone != "example.org." || !got.Equal(today.AddDate(0, 0, expiry)) {
					t.Errorf("%s %s: signatures by %s expire at %s", name, dns.Type(qtype), last.Zone, got)
				}
			})
		}
	}
	group.Wait()
	keys := r.Lookup(t.Context(), "example.org.", dns.TypeDNSKEY) // the other key signs the rest
	signing := 0
	for _, key := range keys.Chain[len(keys.Chain)-1].Keys {
		if key.Signing {
			signing++
		}
	}
	if signing != 1 {
		t.Errorf("%d keys are marked as signing the DNSKEY records, want 1: marks of other lookups are visible", signing)
	}
	for i, link := range first.Chain {
		if link.Validity != kept[i].Validity || !slices.Equal(link.Keys, kept[i].Keys) {
			t.Errorf("later lookups changed the link of %s: %+v, was %+v", link.Zone, link, kept[i])
		}
	}
}
