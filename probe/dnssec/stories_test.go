package dnssec_test

import (
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// signedFor lets signatures hold for a span around today.
func signedFor(where zone.Where, before, after time.Duration) zone.Fault {
	return zone.Fault{Where: where, Sign: func(s *zone.Signing) { s.Inception, s.Expiry = today.Add(-before), today.Add(after) }}
}

// altered changes a signature after it was made.
func altered(where zone.Where, change func(*dns.RRSIG)) zone.Fault {
	return zone.Fault{Where: where, Signed: change}
}

// respond changes a response.
func respond(where zone.Where, change func(response *dns.Msg)) zone.Fault {
	return zone.Fault{Where: where, Answer: func(_, response *dns.Msg) error { change(response); return nil }}
}

func mustKey(apex, role string, algorithm uint8, flags uint16) zone.Key {
	key, err := zone.NewKey(apex, role, algorithm, flags)
	if err != nil {
		panic(err)
	}
	return key
}

func resign(octets func([]byte) []byte) func(*dns.RRSIG) {
	return func(sig *dns.RRSIG) {
		raw, err := base64.StdEncoding.DecodeString(sig.Signature)
		if err != nil {
			panic(err)
		}
		sig.Signature = base64.StdEncoding.EncodeToString(octets(raw))
	}
}

func TestSignatures(t *testing.T) {
	at := zone.At(tlsa, dns.TypeTLSA)
	signature := func(name string, status dnssec.Status, why string, faults ...zone.Fault) story {
		s := story{name: name, zones: world(""), faults: faults, ask: tlsa, qtype: dns.TypeTLSA, status: status, why: why}
		if status == dnssec.Secure {
			s.records = 1
		}
		return s
	}
	tell(t, []story{
		signature("ends this very second", dnssec.Secure, "", signedFor(at, time.Hour, 0)),
		signature("ended a second ago", dnssec.Bogus, "expired on 2026-03-15 11:59 UTC", signedFor(at, time.Hour, -time.Second)),
		signature("begins this very second", dnssec.Secure, "", signedFor(at, 0, time.Hour)),
		signature("begins in a second", dnssec.Bogus, "is not valid before 2026-03-15 12:00 UTC", signedFor(at, -time.Second, time.Hour)),
		signature("ends after the 32 bits of its time have turned over", dnssec.Secure, "", signedFor(at, 20*365*24*time.Hour, 40*365*24*time.Hour)),
		signature("one bit is wrong", dnssec.Bogus, "is wrong: it does not verify", zone.Corrupt(at)),
		signature("the record was changed after signing", dnssec.Bogus, "is wrong: it does not verify", respond(at, func(m *dns.Msg) {
			m.Answer[0].(*dns.TLSA).Certificate = "ff" + m.Answer[0].(*dns.TLSA).Certificate[2:]
		})),
		signature("ECDSA with an octet more", dnssec.Bogus, "it has 65 octets instead of 64", altered(at, resign(func(b []byte) []byte { return append(b, 0) }))),
		signature("ECDSA padded in front of both numbers", dnssec.Bogus, "it has 66 octets instead of 64", altered(at, resign(func(b []byte) []byte {
			return slices.Concat([]byte{0}, b[:32], []byte{0}, b[32:])
		}))),
		signature("ECDSA with an octet less", dnssec.Bogus, "it has 63 octets instead of 64", altered(at, resign(func(b []byte) []byte { return b[1:] }))),
		signature("no octets", dnssec.Bogus, "it has 0 octets instead of 64", altered(at, resign(func([]byte) []byte { return nil }))),
		signature("by a key that the zone does not have", dnssec.Bogus, "names a key that the zone does not publish",
			zone.SignWith(at, mustKey("example.org.", "stranger", dns.ECDSAP256SHA256, dns.ZONE))),
		signature("by the key of the zone above", dnssec.Bogus, "names a key that the zone does not publish",
			zone.SignWith(at, mustKey("org.", "zsk", dns.ECDSAP256SHA256, dns.ZONE))),
		signature("a signer whose name is only the end of the owner's string", dnssec.Bogus, "carries no signature", altered(at, func(sig *dns.RRSIG) {
			sig.SignerName = "ample.org."
		})),
		signature("a signer below the owner", dnssec.Bogus, "carries no signature", altered(at, func(sig *dns.RRSIG) {
			sig.SignerName = "a." + tlsa
		})),
		signature("a signer above that did not sign", dnssec.Bogus, "the signature over "+tlsa+" TLSA by org.", altered(at, func(sig *dns.RRSIG) {
			sig.SignerName = "org."
		})),
		signature("a signer that is no zone", dnssec.Bogus, "which is proven not to be a zone", altered(at, func(sig *dns.RRSIG) {
			sig.SignerName = "mx.example.org."
		})),
		signature("more labels than the name", dnssec.Bogus, "has a label count of 6", altered(at, func(sig *dns.RRSIG) { sig.Labels++ })),
		signature("fewer labels than were signed", dnssec.Bogus, "is wrong", altered(at, func(sig *dns.RRSIG) { sig.Labels-- })),
		signature("an algorithm that nobody supports", dnssec.Bogus, "not supported", altered(at, func(sig *dns.RRSIG) { sig.Algorithm = dns.ED448 })),
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
		signature("a broken signature beside a good one", dnssec.Secure, "", respond(at, func(m *dns.Msg) {
			bad := dns.Copy(m.Answer[1]).(*dns.RRSIG)
			resign(func(b []byte) []byte { b[3] ^= 1; return b })(bad)
			m.Answer = append([]dns.RR{bad}, m.Answer...)
		})),
		signature("the zone's keys signed by nobody known", dnssec.Bogus, "", zone.SignWith(zone.At("example.org.", dns.TypeDNSKEY),
			mustKey("example.org.", "stranger", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP))),
		signature("the zone's keys signed by the ZSK alone, which no DS names", dnssec.Bogus, "example.org. DNSKEY",
			zone.SignWith(zone.At("example.org.", dns.TypeDNSKEY), mustKey("example.org.", "zsk", dns.ECDSAP256SHA256, dns.ZONE))),
		signature("the zone's keys expired", dnssec.Bogus, "the signature over example.org. DNSKEY", zone.Expire(zone.At("example.org.", dns.TypeDNSKEY))),
		signature("the DS expired", dnssec.Bogus, "the signature over example.org. DS by org.", zone.Expire(zone.At("example.org.", dns.TypeDS))),
		signature("the root's keys expired", dnssec.Bogus, "the signature over . DNSKEY", zone.Expire(zone.At(".", dns.TypeDNSKEY))),
		signature("no DNSKEY where the DS promises one", dnssec.Bogus, "has a DS in org. but no DNSKEY", zone.Drop("example.org.", dns.TypeDNSKEY)),
	})
}

func TestMailExchangers(t *testing.T) {
	upper := respond(zone.At("example.org.", dns.TypeMX), func(m *dns.Msg) {
		m.Answer[0].(*dns.MX).Mx = "MX.Example.org."
	})
	tell(t, []story{
		{name: "a name inside the RDATA in mixed case", zones: world(""), faults: []zone.Fault{upper},
			ask: "example.org.", qtype: dns.TypeMX, status: dnssec.Secure, records: 1},
		{name: "asked in mixed case and without the last dot", zones: world(""),
			ask: "EXAMPLE.org", qtype: dns.TypeMX, status: dnssec.Secure, records: 1},
	})
}

// TestChain: what DS and DNSKEY sets lead to.
func TestChain(t *testing.T) {
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

	// with makes a world in which the parent publishes a DS set of our own.
	with := func(dsSet string, keys ...zone.Key) []zone.Zone {
		zones := world("", func(z *zone.Zone) { z.Keys = keys })
		zones[0].Records = dsSet
		return zones
	}
	change := func(f func(*zone.Zone)) []zone.Zone { return world("", f) }
	both := []zone.Key{ksk, zsk}

	var stories []story
	add := func(name string, status dnssec.Status, why string, zones []zone.Zone) {
		s := story{name: name, zones: zones, ask: tlsa, qtype: dns.TypeTLSA, status: status, why: why}
		if !status.Failed() {
			s.records = 1
		}
		stories = append(stories, s)
	}
	add("one key for everything", dnssec.Secure, "", change(func(z *zone.Zone) { z.CSK = true }))
	add("two algorithms: one path is enough (RFC 6840 §5.11)", dnssec.Secure, "", change(func(z *zone.Zone) {
		z.Algorithms = []uint8{dns.ECDSAP256SHA256, dns.RSASHA256}
	}))
	add("RSASHA1 alone proves nothing by default (RFC 9905)", dnssec.Insecure, "made with SHA-1 are not accepted", change(func(z *zone.Zone) {
		z.Algorithms = []uint8{dns.RSASHA1}
	}))
	add("RSASHA1 beside P-256", dnssec.Secure, "ECDSAP256SHA256", change(func(z *zone.Zone) {
		z.Algorithms = []uint8{dns.RSASHA1, dns.ECDSAP256SHA256}
	}))
	add("the DS of a former key", dnssec.Bogus, "no DNSKEY of example.org. matches the DS set", change(func(z *zone.Zone) {
		z.Delegation = zone.Former
	}))
	add("the DS of a former key and of the present one: half-way through a roll-over", dnssec.Secure, "", with(ds(second, 2)+ds(ksk, 2), both...))
	add("a digest of SHA-1", dnssec.Secure, "", with(ds(ksk, 1), both...))
	add("a digest of SHA-384", dnssec.Secure, "", with(ds(ksk, 4), both...))
	add("a wrong digest", dnssec.Bogus, "no DNSKEY of example.org. matches", with(ds(ksk, 2, wrong), both...))
	add("a wrong SHA-256 digest is not saved by a right SHA-1 digest (RFC 4509 §3)", dnssec.Bogus, "no DNSKEY", with(ds(ksk, 1)+ds(ksk, 2, wrong), both...))
	add("a wrong SHA-1 digest beside a right SHA-256 digest is ignored", dnssec.Secure, "", with(ds(ksk, 1, wrong)+ds(ksk, 2), both...))
	add("a digest type that is not known, alone", dnssec.Insecure, "no DS has both", with(ds(ksk, 2, unknownDigest), both...))
	add("a digest type that is not known beside a wrong digest", dnssec.Bogus, "no DNSKEY", with(ds(ksk, 2, unknownDigest)+ds(ksk, 2, wrong), both...))
	add("an algorithm that is not known, alone", dnssec.Insecure, "no DS has both", with(ds(ksk, 2, unknownAlgorithm), both...))
	add("an algorithm that is not known beside a known one", dnssec.Secure, "", with(ds(ksk, 2, unknownAlgorithm)+ds(ksk, 2), both...))
	add("the DS names the ZSK, which signs the keys", dnssec.Secure, "", with(ds(zsk, 2), zsk))
	add("the key of the DS lacks the ZONE flag (RFC 4034 §2.1.1)", dnssec.Bogus, "no DNSKEY of example.org.", with(ds(noZone, 2), noZone, zsk))
	add("the key of the DS is revoked (RFC 5011)", dnssec.Bogus, "is revoked", with(ds(revoked, 2), revoked, zsk))
	add("a revoked key beside a good one", dnssec.Secure, "", with(ds(revoked, 2)+ds(second, 2), revoked, second, zsk))
	tell(t, stories)
}

// TestInsecure: unsigned is insecure only below a proven cut.
func TestInsecure(t *testing.T) {
	unsigned := func(z *zone.Zone) { z.Unsigned, z.Delegation = true, zone.Insecure }
	optOut := func(records string) []zone.Zone {
		zones := world(records, unsigned)
		zones[0].NSEC3 = &zone.NSEC3{OptOut: true}
		return zones
	}
	hashed := world("", unsigned)
	hashed[0].NSEC3 = &zone.NSEC3{Iterations: 3, Salt: "ab"}
	iterated := func(n uint16) []zone.Zone {
		zones := world("", unsigned)
		zones[0].NSEC3 = &zone.NSEC3{Iterations: n}
		return zones
	}
	deep := append(world(""), zone.Zone{Apex: "a.b.example.org.", Unsigned: true, Delegation: zone.Insecure, Records: "www A 192.0.2.7\n"},
		zone.Zone{Apex: "signed.a.b.example.org.", Records: "www A 192.0.2.8\n"})
	unsignedTLD := []zone.Zone{{Apex: "org.", Unsigned: true, Delegation: zone.Insecure}, world("")[1]}
	dsProof := zone.At("example.org.", dns.TypeDS)
	tell(t, []story{
		{name: "a delegation without DS, by NSEC", zones: world("", unsigned), ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Insecure, why: "the zone example.org. is insecure: the NSEC record of example.org. in org. proves a delegation without DS", records: 1,
			check: func(t *testing.T, a dnssec.Answer) {
				if last := a.Chain[len(a.Chain)-1]; last.Zone != "example.org." || last.Status != dnssec.Insecure {
					t.Errorf("chain: %+v", a.Chain)
				}
				if a.Parents.Expiry.IsZero() || !a.Zone.Expiry.IsZero() {
					t.Errorf("validity: zone %+v parents %+v", a.Zone, a.Parents)
				}
			}},
		{name: "a delegation without DS, by NSEC3", zones: hashed, ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Insecure, why: "delegation without DS", records: 1},
		{name: "a delegation that opt-out hides (RFC 5155 §8.9)", zones: optOut(""), ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Insecure, why: "opt-out", records: 1},
		{name: "no such name in an insecure zone", zones: optOut(""), ask: "nothing.example.org.", qtype: dns.TypeA, status: dnssec.Insecure, rcode: dns.RcodeNameError},
		{name: "no such type in an insecure zone", zones: optOut(""), ask: "mx.example.org.", qtype: dns.TypeAAAA, status: dnssec.Insecure},
		{name: "an insecure cut below an empty non-terminal", zones: deep, ask: "www.a.b.example.org.", qtype: dns.TypeA, status: dnssec.Insecure, records: 1},
		{name: "a signed zone below an insecure one", zones: deep, ask: "www.signed.a.b.example.org.", qtype: dns.TypeA, status: dnssec.Insecure, records: 1},
		{name: "a signed zone below an unsigned top-level domain", zones: unsignedTLD, ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Insecure, why: "the zone org. is insecure", records: 1},
		{name: "the delegation's proof is missing", zones: world("", unsigned), faults: []zone.Fault{zone.DropProof(dsProof)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: "example.org."},
		{name: "the delegation's proof is forged", zones: world("", unsigned), faults: []zone.Fault{zone.Corrupt(zone.In("org.", dns.TypeNSEC))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: "is wrong: it does not verify"},
		{name: "the delegation's proof expired", zones: hashed, faults: []zone.Fault{zone.Expire(zone.In("org.", dns.TypeNSEC3))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: "expired on"},
		{name: "50 iterations prove as well as any", zones: iterated(50), ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Insecure, why: "delegation without DS", records: 1},
		{name: "above 50 iterations nothing is proven (RFC 9276 §3.2)", zones: iterated(51), ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Insecure, why: "have 51 iterations", records: 1},
		{name: "above 50 iterations the record's own signature counts all the same", zones: iterated(51),
			faults: []zone.Fault{zone.Corrupt(zone.In("org.", dns.TypeNSEC3))},
			ask:    tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: "does not verify"},
		{name: "the name server failed to sign one answer", zones: world(""), faults: []zone.Fault{zone.Strip(zone.At(tlsa, dns.TypeTLSA))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: tlsa + " TLSA carries no signature, though the zone example.org. is signed"},
		{name: "a zone whose answers are all unsigned", zones: world(""), faults: []zone.Fault{zone.Strip(zone.In("example.org."))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: "carries no signature"},
		{name: "a denial without signature", zones: world(""), faults: []zone.Fault{zone.Strip(zone.In("example.org.", dns.TypeNSEC, dns.TypeSOA))},
			ask: "mx.example.org.", qtype: dns.TypeAAAA, status: dnssec.Bogus, why: "carries no signature"},
		{name: "the DS of an insecure delegation, asked for itself", zones: world("", unsigned), ask: "example.org.", qtype: dns.TypeDS, status: dnssec.Secure,
			why: "org. proves that there is no example.org. DS"},
		{name: "the DS of a secure delegation, asked for itself", zones: world(""), ask: "example.org.", qtype: dns.TypeDS, status: dnssec.Secure, records: 1,
			why: "is signed by org."},
		{name: "a DS answered with the signature of the zone itself", zones: world(""),
			faults: []zone.Fault{altered(zone.At("example.org.", dns.TypeDS), func(sig *dns.RRSIG) { sig.SignerName = "example.org." })},
			ask:    tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, why: "example.org. DS carries no signature by org."},
	})
}

// TestResolverTrouble: what goes wrong between us and the resolver is ours.
func TestResolverTrouble(t *testing.T) {
	everything := zone.Fault{Where: func(zone.Place) bool { return true }, Answer: func(_, response *dns.Msg) error {
		keep := func(rr dns.RR) bool {
			switch rr.Header().Rrtype {
			case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3:
				return true
			}
			return false
		}
		response.Answer, response.Ns = slices.DeleteFunc(response.Answer, keep), slices.DeleteFunc(response.Ns, keep)
		return nil
	}}
	unsigned := func(z *zone.Zone) { z.Unsigned, z.Delegation = true, zone.Insecure }
	ede := respond(zone.At(tlsa), func(m *dns.Msg) {
		m.Rcode, m.Answer, m.Ns = dns.RcodeServerFailure, nil, nil
		if m.IsEdns0() == nil {
			m.SetEdns0(1232, true)
		}
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: 22, ExtraText: "at delegation\x00\x1b[31m example.org"})
	})
	tell(t, []story{
		{name: "it strips everything", zones: world(""), faults: []zone.Fault{everything}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Indeterminate, err: dnssec.ErrStripped, why: "strips DNSSEC records: its answer to . DNSKEY has keys but no signatures"},
		{name: "it strips everything from an unsigned zone too", zones: world("", unsigned), faults: []zone.Fault{everything}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Indeterminate, err: dnssec.ErrStripped},
		{name: "it knows no DNSKEY", zones: world(""), faults: []zone.Fault{zone.Drop(".", dns.TypeDNSKEY)}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Indeterminate, err: dnssec.ErrStripped, why: "has no keys"},
		{name: "SERVFAIL for the answer", zones: world(""), faults: []zone.Fault{ede}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Indeterminate, err: dnssec.ErrServer, why: "answered SERVFAIL to " + tlsa + " TLSA; extended error 22 (No Reachable Authority): at delegation[31m example.org",
			check: func(t *testing.T, a dnssec.Answer) {
				if len(a.EDE) != 1 {
					t.Errorf("EDE: %q", a.EDE)
				}
			}},
		{name: "REFUSED for the answer", zones: world(""), faults: []zone.Fault{zone.Rcode(zone.At(tlsa), dns.RcodeRefused)}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Indeterminate, err: dnssec.ErrServer, why: "REFUSED"},
		{name: "SERVFAIL for a DNSKEY of the chain", zones: world(""), faults: []zone.Fault{zone.Rcode(zone.At("example.org.", dns.TypeDNSKEY), dns.RcodeServerFailure)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Indeterminate, err: dnssec.ErrServer, why: "answered SERVFAIL to example.org. DNSKEY"},
		{name: "SERVFAIL for a DS of the chain", zones: world(""), faults: []zone.Fault{zone.Rcode(zone.At("example.org.", dns.TypeDS), dns.RcodeServerFailure)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Indeterminate, err: dnssec.ErrServer, why: "example.org. DS"},
		{name: "SERVFAIL for a DS that only a guess asks for", zones: world(""), faults: []zone.Fault{zone.Rcode(zone.At("mx.example.org.", dns.TypeDS), dns.RcodeServerFailure)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1},
	})
}

// TestDenial: absence is proven, never assumed; each proof with NSEC and NSEC3.
func TestDenial(t *testing.T) {
	records := "*.wild TLSA 3 1 1 02\nx.empty A 192.0.2.9\n*.plain A 192.0.2.10\nother DNAME example.net.\nalias CNAME mx\n"
	forms := []struct {
		name string
		form func(*zone.Zone)
		kind uint16
	}{
		{"NSEC", func(*zone.Zone) {}, dns.TypeNSEC},
		{"NSEC3", nsec3(false, 5), dns.TypeNSEC3},
		{"NSEC3 without salt and iterations", func(z *zone.Zone) { z.NSEC3 = &zone.NSEC3{} }, dns.TypeNSEC3},
	}
	var stories []story
	for _, f := range forms {
		zones := append(world(records, f.form), zone.Zone{Apex: "sub.example.org.", Records: "www A 192.0.2.11\n"})
		good := func(name, ask string, qtype uint16, rcode, found int) {
			stories = append(stories, story{name: f.name + ": " + name, zones: zones, ask: ask, qtype: qtype,
				status: dnssec.Secure, rcode: rcode, records: found})
		}
		bad := func(name, ask string, qtype uint16, why string, faults ...zone.Fault) {
			stories = append(stories, story{name: f.name + ": " + name, zones: zones, ask: ask, qtype: qtype,
				status: dnssec.Bogus, why: why, faults: faults})
		}
		// replay answers one question with the denial that belongs to another.
		replay := func(ask string, qtype uint16, of string, ofType uint16, rcode int) zone.Fault {
			net, err := zone.New(clock, zones...)
			if err != nil {
				t.Fatal(err)
			}
			return respond(zone.At(ask, qtype), func(m *dns.Msg) {
				query := new(dns.Msg)
				query.SetQuestion(of, ofType)
				query.SetEdns0(1232, true)
				other, _, err := net.Exchange(t.Context(), query)
				if err != nil {
					panic(err)
				}
				m.Rcode, m.Answer, m.Ns = rcode, nil, other.Ns
			})
		}
		good("no such type", "mx.example.org.", dns.TypeAAAA, dns.RcodeSuccess, nothingFound)
		bad("no such type, without proof", "mx.example.org.", dns.TypeAAAA, "", zone.DropProof(zone.At("mx.example.org.")))
		bad("no such type, with a broken proof", "mx.example.org.", dns.TypeAAAA, "does not verify", zone.Corrupt(zone.In("example.org.", f.kind)))
		bad("the type exists, and the denial of another is replayed", "mx.example.org.", dns.TypeA, "lists A among the types",
			replay("mx.example.org.", dns.TypeA, "mx.example.org.", dns.TypeAAAA, dns.RcodeSuccess))
		good("no such name", "nothing.example.org.", dns.TypeA, dns.RcodeNameError, nothingFound)
		bad("no such name, with a broken SOA beside a good proof", "nothing.example.org.", dns.TypeA, "the signature over example.org. SOA",
			zone.Corrupt(zone.At("example.org.", dns.TypeSOA)))
		good("no such name, deep down", "a.b.c.nothing.example.org.", dns.TypeA, dns.RcodeNameError, nothingFound)
		good("no such name before the first and after the last", "zzzz.example.org.", dns.TypeA, dns.RcodeNameError, nothingFound)
		bad("no such name, without proof", "nothing.example.org.", dns.TypeA, "", zone.DropProof(zone.At("nothing.example.org.")))
		bad("the name exists, and the denial of another is replayed", "mx.example.org.", dns.TypeA, "",
			replay("mx.example.org.", dns.TypeA, "nothing.example.org.", dns.TypeA, dns.RcodeNameError))
		bad("a wildcard would answer, and its denial is missing", "a.plain.example.org.", dns.TypeA, "",
			replay("a.plain.example.org.", dns.TypeA, "nothing.example.org.", dns.TypeA, dns.RcodeNameError))
		good("an empty non-terminal", "empty.example.org.", dns.TypeA, dns.RcodeSuccess, nothingFound)
		good("an empty non-terminal that a broken server calls no such name", "_tcp.mx.example.org.", dns.TypeA, dns.RcodeSuccess, nothingFound)
		stories[len(stories)-1].faults = []zone.Fault{respond(zone.At("_tcp.mx.example.org."), func(m *dns.Msg) { m.Rcode = dns.RcodeNameError })}
		good("from a wildcard", "_25._tcp.wild.example.org.", dns.TypeTLSA, dns.RcodeSuccess, 1)
		bad("from a wildcard, without proof that nothing is closer", "_25._tcp.wild.example.org.", dns.TypeTLSA, "from the wildcard *.wild.example.org. without proof",
			zone.DropProof(zone.At("_25._tcp.wild.example.org.")))
		good("no such type at a wildcard", "a.plain.example.org.", dns.TypeAAAA, dns.RcodeSuccess, nothingFound)
		bad("no such type at a wildcard, without proof", "a.plain.example.org.", dns.TypeAAAA, "", zone.DropProof(zone.At("a.plain.example.org.")))
		good("the wildcard itself", "*.plain.example.org.", dns.TypeA, dns.RcodeSuccess, 1)
		if f.kind == dns.TypeNSEC {
			bad("data below a delegation denied from above (RFC 6840 §4.1)", "www.sub.example.org.", dns.TypeA, "",
				replay("www.sub.example.org.", dns.TypeA, "sub0.example.org.", dns.TypeA, dns.RcodeNameError))
			bad("data at a delegation denied from above (RFC 6840 §4.1)", "sub.example.org.", dns.TypeA, "the parent's side of the zone cut",
				replay("sub.example.org.", dns.TypeA, "sub0.example.org.", dns.TypeA, dns.RcodeSuccess))
			bad("a name below a DNAME denied from above (RFC 6672 §5.3.4.1)", "a.other.example.org.", dns.TypeA, "",
				replay("a.other.example.org.", dns.TypeA, "other0.example.org.", dns.TypeA, dns.RcodeNameError))
			bad("an alias denied by the record that lists it (RFC 6840 §4.3)", "alias.example.org.", dns.TypeA, "lists a CNAME",
				replay("alias.example.org.", dns.TypeA, "alias0.example.org.", dns.TypeA, dns.RcodeSuccess))
		}
		bad("the DS of a secure delegation denied by the zone itself (RFC 6840 §4.4)", "www.sub.example.org.", dns.TypeA, "sub.example.org.",
			replay("sub.example.org.", dns.TypeDS, "sub.example.org.", dns.TypeTXT, dns.RcodeSuccess), zone.Strip(zone.In("sub.example.org.", dns.TypeA)))
		bad("the DS of a secure delegation denied by another's record", "www.sub.example.org.", dns.TypeA, "sub.example.org.",
			replay("sub.example.org.", dns.TypeDS, "mx.example.org.", dns.TypeDS, dns.RcodeSuccess), zone.Strip(zone.In("sub.example.org.", dns.TypeA)))
	}
	tell(t, stories)
}

// TestCompactDenial: a server that signs while it answers gives a name that
// does not exist an NSEC record of its own (RFC 9824).
func TestCompactDenial(t *testing.T) {
	const ghost = "ghost.example.org."
	compact := func(set []dns.RR) []dns.RR {
		for i, rr := range set {
			if nsec, ok := dns.Copy(rr).(*dns.NSEC); ok && nsec.Hdr.Name == ghost {
				nsec.NextDomain, nsec.TypeBitMap = `\000.`+ghost, []uint16{dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNXNAME}
				set = slices.Clone(set)
				set[i] = nsec
			}
		}
		return set
	}
	faults := []zone.Fault{
		{Where: zone.At(ghost, dns.TypeNSEC), Sign: func(s *zone.Signing) { s.Set = compact(s.Set) }},
		respond(zone.At(ghost), func(m *dns.Msg) { m.Ns = compact(m.Ns) }),
	}
	zones := world("ghost TXT x\n")
	tell(t, []story{
		{name: "no such name, though the code says otherwise", zones: zones, faults: faults, ask: ghost, qtype: dns.TypeA,
			status: dnssec.Secure, rcode: dns.RcodeNameError},
		{name: "no such type", zones: zones, ask: ghost, qtype: dns.TypeA, status: dnssec.Secure},
	})
}

func TestOptOut(t *testing.T) {
	zones := world("*.wild TLSA 3 1 1 02\n", nsec3(true, 0))
	tell(t, []story{
		{name: "no such name in an opt-out span may be an unsigned delegation (RFC 5155 §9.2)", zones: zones, ask: "nothing.example.org.", qtype: dns.TypeA,
			status: dnssec.Insecure, why: "opt-out span of example.org.", rcode: dns.RcodeNameError},
		{name: "no such type is proven all the same", zones: zones, ask: "mx.example.org.", qtype: dns.TypeAAAA, status: dnssec.Secure},
		{name: "a wildcard in an opt-out span", zones: zones, ask: "_25._tcp.wild.example.org.", qtype: dns.TypeTLSA, status: dnssec.Insecure, why: "opt-out", records: 1},
	})
}
