package dnssec_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

func TestSecureAnswers(t *testing.T) {
	var cases []lookupCase
	for algorithm, name := range map[uint8]string{5: "RSASHA1", 7: "RSASHA1-NSEC3-SHA1", 8: "RSASHA256", 10: "RSASHA512",
		13: "ECDSAP256SHA256", 14: "ECDSAP384SHA384", 15: "ED25519"} {
		cases = append(cases, lookupCase{
			name:    "signed with " + name,
			zones:   testZones("", func(z *zone.Zone) { z.Algorithms = []uint8{algorithm} }),
			options: dnssec.Options{SHA1: dnssec.SHA1Accept},
			ask:     tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, why: name, records: 1,
			check: func(t *testing.T, a dnssec.Answer) {
				if len(a.Chain) != 3 || a.Chain[0].Zone != "." || a.Chain[2].Zone != "example.org." || !a.Chain[2].Keys[0].Signing {
					t.Errorf("chain: %+v", a.Chain)
				}
				if a.Validity().Expiry.Before(today) || a.TTL <= 0 || a.Server == "" || a.Work.Signatures == 0 {
					t.Errorf("answer: %+v", a)
				}
			},
		})
	}
	runCases(t, cases)
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	at := zone.At(tlsa, dns.TypeTLSA)
	signature := func(name string, status dnssec.Status, why string, faults ...zone.Fault) lookupCase {
		s := lookupCase{name: name, zones: testZones(""), faults: faults, ask: tlsa, qtype: dns.TypeTLSA, status: status, why: why}
		if status == dnssec.Secure {
			s.records = 1
		}
		return s
	}
	runCases(t, []lookupCase{
		signature("expires this second", dnssec.Secure, "", signedFor(at, time.Hour, 0)),
		signature("expired a second ago", dnssec.Bogus, "expired on 2026-03-15 11:59 UTC", signedFor(at, time.Hour, -time.Second)),
		signature("valid from this second", dnssec.Secure, "", signedFor(at, 0, time.Hour)),
		signature("valid in a second", dnssec.Bogus, "is not valid before 2026-03-15 12:00 UTC", signedFor(at, -time.Second, time.Hour)),
		signature("expires after its 32-bit time wraps around", dnssec.Secure, "", signedFor(at, 20*365*24*time.Hour, 40*365*24*time.Hour)),
		signature("one bit is wrong", dnssec.Bogus, "is wrong: it does not verify", zone.Corrupt(at)),
		signature("the record was changed after signing", dnssec.Bogus, "is wrong: it does not verify", respond(at, func(m *dns.Msg) {
			m.Answer[0].(*dns.TLSA).Certificate = "ff" + m.Answer[0].(*dns.TLSA).Certificate[2:]
		})),
		signature("ECDSA with an octet more", dnssec.Bogus, "it has 65 octets instead of 64", altered(at, editSignature(func(b []byte) []byte { return append(b, 0) }))),
		signature("ECDSA padded in front of both numbers", dnssec.Bogus, "it has 66 octets instead of 64", altered(at, editSignature(func(b []byte) []byte {
			return slices.Concat([]byte{0}, b[:32], []byte{0}, b[32:])
		}))),
		signature("ECDSA with an octet less", dnssec.Bogus, "it has 63 octets instead of 64", altered(at, editSignature(func(b []byte) []byte { return b[1:] }))),
		signature("no octets", dnssec.Bogus, "it has 0 octets instead of 64", altered(at, editSignature(func([]byte) []byte { return nil }))),
		signature("by a key that is not in the zone", dnssec.Bogus, "names a key that the zone does not publish",
			zone.SignWith(at, mustKey("example.org.", "stranger", dns.ECDSAP256SHA256, dns.ZONE))),
		signature("by the key of the zone above", dnssec.Bogus, "names a key that the zone does not publish",
			zone.SignWith(at, mustKey("org.", "zsk", dns.ECDSAP256SHA256, dns.ZONE))),
		signature("a signer whose name is a suffix of the owner's, but not at a label", dnssec.Bogus, "carries no signature", altered(at, func(sig *dns.RRSIG) {
			sig.SignerName = "ample.org."
		})),
		signature("a signer below the owner", dnssec.Bogus, "carries no signature", altered(at, func(sig *dns.RRSIG) {
			sig.SignerName = "a." + tlsa
		})),
		signature("a zone above that did not sign", dnssec.Bogus, "the signature over "+tlsa+" TLSA by org.", altered(at, func(sig *dns.RRSIG) {
			sig.SignerName = "org."
		})),
		signature("a signer that is no zone", dnssec.Bogus, "which is proven not to be a zone", altered(at, func(sig *dns.RRSIG) {
			sig.SignerName = "mx.example.org."
		})),
		signature("more labels than the name", dnssec.Bogus, "has a label count of 6", altered(at, func(sig *dns.RRSIG) { sig.Labels++ })),
		signature("fewer labels than were signed", dnssec.Bogus, "is wrong", altered(at, func(sig *dns.RRSIG) { sig.Labels-- })),
		signature("an unsupported algorithm", dnssec.Bogus, "not supported", altered(at, func(sig *dns.RRSIG) { sig.Algorithm = dns.ECCGOST })),
		signature("a changed TTL does not matter, the original counts", dnssec.Secure, "", respond(at, func(m *dns.Msg) {
			for _, rr := range m.Answer {
				rr.Header().Ttl = 7
			}
		})),
		signature("a changed original TTL does", dnssec.Bogus, "is wrong", altered(at, func(sig *dns.RRSIG) { sig.OrigTtl++ })),
		signature("mixed case in the owner's name does not matter", dnssec.Secure, "", respond(at, func(m *dns.Msg) {
			for _, rr := range m.Answer {
				rr.Header().Name = "_25._TCP.Mx.eXample.ORG."
			}
		})),
		signature("the same signature twice counts once", dnssec.Secure, "", respond(at, func(m *dns.Msg) {
			m.Answer = append(m.Answer, m.Answer[1])
		})),
		signature("a broken signature and a valid one", dnssec.Secure, "", respond(at, func(m *dns.Msg) {
			bad := dns.Copy(m.Answer[1]).(*dns.RRSIG)
			editSignature(func(b []byte) []byte { b[3] ^= 1; return b })(bad)
			m.Answer = append([]dns.RR{bad}, m.Answer...)
		})),
		signature("the zone's keys signed by an unknown key", dnssec.Bogus, "", zone.SignWith(zone.At("example.org.", dns.TypeDNSKEY),
			mustKey("example.org.", "stranger", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP))),
		signature("the zone's keys signed by the ZSK alone, which no DS names", dnssec.Bogus, "example.org. DNSKEY",
			zone.SignWith(zone.At("example.org.", dns.TypeDNSKEY), mustKey("example.org.", "zsk", dns.ECDSAP256SHA256, dns.ZONE))),
		signature("the zone's keys expired", dnssec.Bogus, "the signature over example.org. DNSKEY", zone.Expire(zone.At("example.org.", dns.TypeDNSKEY))),
		signature("the DS expired", dnssec.Bogus, "the signature over example.org. DS by org.", zone.Expire(zone.At("example.org.", dns.TypeDS))),
		{name: "the root's keys expired", zones: testZones(""), faults: []zone.Fault{zone.Expire(zone.At(".", dns.TypeDNSKEY))}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Bogus, err: dnssec.ErrRootBogus, why: "the signature over . DNSKEY"},
		signature("a DS and no DNSKEY", dnssec.Bogus, "has a DS in org. but no DNSKEY", zone.Drop("example.org.", dns.TypeDNSKEY)),
	})
}

func TestMailExchangers(t *testing.T) {
	upper := respond(zone.At("example.org.", dns.TypeMX), func(m *dns.Msg) {
		m.Answer[0].(*dns.MX).Mx = "MX.Example.org."
	})
	runCases(t, []lookupCase{
		{name: "a name in the RDATA in mixed case", zones: testZones(""), faults: []zone.Fault{upper},
			ask: "example.org.", qtype: dns.TypeMX, status: dnssec.Secure, records: 1},
		{name: "queried in mixed case and without the last dot", zones: testZones(""),
			ask: "EXAMPLE.org", qtype: dns.TypeMX, status: dnssec.Secure, records: 1},
	})
}

// TestChain checks combinations of DS and DNSKEY sets.
func TestChain(t *testing.T) {
	t.Parallel()
	ksk := mustKey("example.org.", "ksk", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP)
	zsk := mustKey("example.org.", "zsk", dns.ECDSAP256SHA256, dns.ZONE)
	noZone := mustKey("example.org.", "ksk", dns.ECDSAP256SHA256, dns.SEP)
	revoked := mustKey("example.org.", "ksk", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP|dns.REVOKE)
	second := mustKey("example.org.", "second", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP)
	ds := func(key zone.Key, digest uint8, change ...func(*dns.DS)) string {
		record := key.Public.ToDS(digest)
		for _, f := range change {
			f(record)
		}
		return record.String() + "\n"
	}
	wrong := func(record *dns.DS) { record.Digest = "00" + record.Digest[2:] }
	unknownDigest := func(record *dns.DS) { record.DigestType = 200 }
	unknownAlgorithm := func(record *dns.DS) { record.Algorithm = 200 }

	// with returns zones in which the parent publishes the given DS set.
	with := func(dsSet string, keys ...zone.Key) []zone.Zone {
		zones := testZones("", func(z *zone.Zone) { z.Keys = keys })
		zones[0].Records = dsSet
		return zones
	}
	change := func(f func(*zone.Zone)) []zone.Zone { return testZones("", f) }
	both := []zone.Key{ksk, zsk}

	var cases []lookupCase
	add := func(name string, status dnssec.Status, why string, zones []zone.Zone) {
		s := lookupCase{name: name, zones: zones, ask: tlsa, qtype: dns.TypeTLSA, status: status, why: why}
		if !status.Failed() {
			s.records = 1
		}
		cases = append(cases, s)
	}
	add("one key for everything", dnssec.Secure, "", change(func(z *zone.Zone) { z.CSK = true }))
	add("two algorithms: one path is enough (RFC 6840 §5.11)", dnssec.Secure, "", change(func(z *zone.Zone) {
		z.Algorithms = []uint8{dns.ECDSAP256SHA256, dns.RSASHA256}
	}))
	add("RSASHA1 alone proves nothing by default (RFC 9905)", dnssec.Insecure, "made with SHA-1 are not accepted", change(func(z *zone.Zone) {
		z.Algorithms = []uint8{dns.RSASHA1}
	}))
	add("RSASHA1 and P-256", dnssec.Secure, "ECDSAP256SHA256", change(func(z *zone.Zone) {
		z.Algorithms = []uint8{dns.RSASHA1, dns.ECDSAP256SHA256}
	}))
	add("the DS of a former key", dnssec.Bogus, "no DNSKEY of example.org. matches the DS set", change(func(z *zone.Zone) {
		z.Delegation = zone.Former
	}))
	add("the DS of a former key and of the present one: in the middle of a rollover", dnssec.Secure, "", with(ds(second, 2)+ds(ksk, 2), both...))
	add("a digest of SHA-1", dnssec.Secure, "", with(ds(ksk, 1), both...))
	add("a digest of SHA-384", dnssec.Secure, "", with(ds(ksk, 4), both...))
	add("a wrong digest", dnssec.Bogus, "no DNSKEY of example.org. matches", with(ds(ksk, 2, wrong), both...))
	add("a wrong SHA-256 digest is not saved by a right SHA-1 digest (RFC 4509 §3)", dnssec.Bogus, "no DNSKEY", with(ds(ksk, 1)+ds(ksk, 2, wrong), both...))
	add("a wrong SHA-1 digest with a right SHA-256 digest is ignored", dnssec.Secure, "", with(ds(ksk, 1, wrong)+ds(ksk, 2), both...))
	add("an unknown digest type, alone", dnssec.Insecure, "no DS has both", with(ds(ksk, 2, unknownDigest), both...))
	add("an unknown digest type and a wrong digest", dnssec.Bogus, "no DNSKEY", with(ds(ksk, 2, unknownDigest)+ds(ksk, 2, wrong), both...))
	add("an unknown algorithm, alone", dnssec.Insecure, "no DS has both", with(ds(ksk, 2, unknownAlgorithm), both...))
	add("an unknown algorithm and a known one", dnssec.Secure, "", with(ds(ksk, 2, unknownAlgorithm)+ds(ksk, 2), both...))
	add("the DS of the ZSK, which signs the keys", dnssec.Secure, "", with(ds(zsk, 2), zsk))
	add("the key of the DS lacks the ZONE flag (RFC 4034 §2.1.1)", dnssec.Bogus, "no DNSKEY of example.org.", with(ds(noZone, 2), noZone, zsk))
	add("the key of the DS is revoked (RFC 5011)", dnssec.Bogus, "is revoked", with(ds(revoked, 2), revoked, zsk))
	add("a revoked key and a good one", dnssec.Secure, "", with(ds(revoked, 2)+ds(second, 2), revoked, second, zsk))
	runCases(t, cases)
}

// TestInsecure checks that unsigned data is insecure only below a proven cut.
func TestInsecure(t *testing.T) {
	t.Parallel()
	unsigned := func(z *zone.Zone) { z.Unsigned, z.Delegation = true, zone.Insecure }
	optOut := func(records string) []zone.Zone {
		zones := testZones(records, unsigned)
		zones[0].NSEC3 = &zone.NSEC3{OptOut: true}
		return zones
	}
	hashed := testZones("", unsigned)
	hashed[0].NSEC3 = &zone.NSEC3{Iterations: 3, Salt: "ab"}
	iterated := func(n uint16) []zone.Zone {
		zones := testZones("", unsigned)
		zones[0].NSEC3 = &zone.NSEC3{Iterations: n}
		return zones
	}
	deep := append(testZones(""), zone.Zone{Apex: "a.b.example.org.", Unsigned: true, Delegation: zone.Insecure, Records: "www A 192.0.2.7\n"},
		zone.Zone{Apex: "signed.a.b.example.org.", Records: "www A 192.0.2.8\n"})
	unsignedTLD := []zone.Zone{{Apex: "org.", Unsigned: true, Delegation: zone.Insecure}, testZones("")[1]}
	dsProof := zone.At("example.org.", dns.TypeDS)
	runCases(t, []lookupCase{
		{name: "a delegation without DS, by NSEC", zones: testZones("", unsigned), ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Insecure, why: "the zone example.org. is insecure: the NSEC record of example.org. in org. proves a delegation without DS", records: 1,
			check: func(t *testing.T, a dnssec.Answer) {
				if last := a.Chain[len(a.Chain)-1]; last.Zone != "example.org." || last.Status != dnssec.Insecure {
					t.Errorf("chain: %+v", a.Chain)
				}
				if a.Chain[1].Expiry.IsZero() || !a.Chain[2].Expiry.IsZero() {
					t.Errorf("validity: zone %+v parent %+v", a.Chain[2].Validity, a.Chain[1].Validity)
				}
			}},
		{name: "a delegation without DS, by NSEC3", zones: hashed, ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Insecure, why: "delegation without DS", records: 1},
		{name: "a delegation that opt-out hides (RFC 5155 §8.9)", zones: optOut(""), ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Insecure, why: "opt-out", records: 1},
		{name: "no such name in an insecure zone", zones: optOut(""), ask: "nothing.example.org.", qtype: dns.TypeA, status: dnssec.Insecure, rcode: dns.RcodeNameError},
		{name: "no such type in an insecure zone", zones: optOut(""), ask: "mx.example.org.", qtype: dns.TypeAAAA, status: dnssec.Insecure},
		{name: "an insecure cut below an empty non-terminal", zones: deep, ask: "www.a.b.example.org.", qtype: dns.TypeA, status: dnssec.Insecure, records: 1},
		{name: "a signed zone below an insecure one", zones: deep, ask: "www.signed.a.b.example.org.", qtype: dns.TypeA, status: dnssec.Insecure, records: 1},
		{name: "a signed zone below an unsigned top-level domain", zones: unsignedTLD, ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Insecure, why: "the zone org. is insecure", records: 1},
		{name: "the delegation's proof is missing", zones: testZones("", unsigned), faults: []zone.Fault{zone.DropProof(dsProof)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: "example.org."},
		{name: "the delegation's proof is forged", zones: testZones("", unsigned), faults: []zone.Fault{zone.Corrupt(zone.In("org.", dns.TypeNSEC))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: "is wrong: it does not verify"},
		{name: "the delegation's proof expired", zones: hashed, faults: []zone.Fault{zone.Expire(zone.In("org.", dns.TypeNSEC3))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: "expired on"},
		{name: "50 iterations are accepted", zones: iterated(50), ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Insecure, why: "delegation without DS", records: 1},
		{name: "above 50 iterations nothing is proven (RFC 9276 §3.2)", zones: iterated(51), ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Insecure, why: "have 51 iterations", records: 1},
		{name: "above 50 iterations, the signature of the record is still checked", zones: iterated(51),
			faults: []zone.Fault{zone.Corrupt(zone.In("org.", dns.TypeNSEC3))},
			ask:    tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: "does not verify"},
		{name: "one answer is unsigned", zones: testZones(""), faults: []zone.Fault{zone.Strip(zone.At(tlsa, dns.TypeTLSA))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: tlsa + " TLSA carries no signature, though the zone example.org. is signed"},
		{name: "all answers of the zone are unsigned", zones: testZones(""), faults: []zone.Fault{zone.Strip(zone.In("example.org."))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: "carries no signature"},
		{name: "a denial without signature", zones: testZones(""), faults: []zone.Fault{zone.Strip(zone.In("example.org.", dns.TypeNSEC, dns.TypeSOA))},
			ask: "mx.example.org.", qtype: dns.TypeAAAA, status: dnssec.Bogus, why: "carries no signature"},
		{name: "the DS of an insecure delegation, queried directly", zones: testZones("", unsigned), ask: "example.org.", qtype: dns.TypeDS, status: dnssec.Secure,
			why: "org. proves that there is no example.org. DS"},
		{name: "the DS of a secure delegation, queried directly", zones: testZones(""), ask: "example.org.", qtype: dns.TypeDS, status: dnssec.Secure, records: 1,
			why: "is signed by org."},
		{name: "a DS answered with the signature of the zone itself", zones: testZones(""),
			faults: []zone.Fault{altered(zone.At("example.org.", dns.TypeDS), func(sig *dns.RRSIG) { sig.SignerName = "example.org." })},
			ask:    tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: "example.org. DS carries no signature by org."},
	})
}

func TestOtherAnchors(t *testing.T) {
	net, err := zone.New(clock, testZones("forged A 192.0.2.66\n")...)
	if err != nil {
		t.Fatal(err)
	}
	net.Break(altered(zone.At("forged.example.org.", dns.TypeA), func(sig *dns.RRSIG) { sig.SignerName = "org." }))
	ksk := mustKey("example.org.", "ksk", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP)
	stranger := mustKey("example.org.", "stranger", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP)
	for _, c := range []struct {
		name    string
		anchors []dnssec.Anchor
		ask     string
		status  dnssec.Status
		why     string
		links   int
	}{
		{"below the anchor", []dnssec.Anchor{*ksk.Public.ToDS(dns.SHA256)}, "mx.example.org.", dnssec.Secure, "", 1},
		{"under no anchor", []dnssec.Anchor{*ksk.Public.ToDS(dns.SHA256)}, "org.", dnssec.Insecure, "no trust anchor covers the name", 1},
		{"no anchors at all", nil, "mx.example.org.", dnssec.Insecure, "no trust anchor covers the name", 1},
		{"below the anchor, with a signature from above it", []dnssec.Anchor{*ksk.Public.ToDS(dns.SHA256)}, "forged.example.org.", dnssec.Bogus, "carries no signature", 1},
		{"a wrong anchor", []dnssec.Anchor{*stranger.Public.ToDS(dns.SHA256)}, "mx.example.org.", dnssec.Bogus, "matches the trust anchors", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := dnssec.New(net, c.anchors, clock, dnssec.Options{}).Lookup(t.Context(), c.ask, dns.TypeA)
			if a.Status != c.status || !strings.Contains(a.Why, c.why) || len(a.Chain) != c.links {
				t.Errorf("%s: %s %+v", a.Status, a.Why, a.Chain)
			}
		})
	}
}
