package dnssec_test

import (
	"slices"
	"testing"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestDenial checks that absence is proven and never assumed, with NSEC and NSEC3.
func TestDenial(t *testing.T) {
	t.Parallel()
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
	var cases []lookupCase
	for _, f := range forms {
		zones := append(testZones(records, f.form), zone.Zone{Apex: "sub.example.org.", Records: "www A 192.0.2.11\n"})
		good := func(name, ask string, qtype uint16, rcode, found int) {
			cases = append(cases, lookupCase{name: f.name + ": " + name, zones: zones, ask: ask, qtype: qtype,
				status: dnssec.Secure, rcode: rcode, records: found})
		}
		bad := func(name, ask string, qtype uint16, why string, faults ...zone.Fault) {
			cases = append(cases, lookupCase{name: f.name + ": " + name, zones: zones, ask: ask, qtype: qtype,
				status: dnssec.Bogus, why: why, faults: faults})
		}
		// replay answers one question with the denial of another.
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
		good("no such type", "mx.example.org.", dns.TypeAAAA, dns.RcodeSuccess, 0)
		bad("no such type, without proof", "mx.example.org.", dns.TypeAAAA, "", zone.DropProof(zone.At("mx.example.org.")))
		bad("no such type, with a broken proof", "mx.example.org.", dns.TypeAAAA, "does not verify", zone.Corrupt(zone.In("example.org.", f.kind)))
		bad("the type exists, and the denial of another is replayed", "mx.example.org.", dns.TypeA, "lists A among the types",
			replay("mx.example.org.", dns.TypeA, "mx.example.org.", dns.TypeAAAA, dns.RcodeSuccess))
		good("no such name", "nothing.example.org.", dns.TypeA, dns.RcodeNameError, 0)
		bad("no such name, with a broken SOA and a good proof", "nothing.example.org.", dns.TypeA, "the signature over example.org. SOA",
			zone.Corrupt(zone.At("example.org.", dns.TypeSOA)))
		good("no such name, deep down", "a.b.c.nothing.example.org.", dns.TypeA, dns.RcodeNameError, 0)
		good("no such name before the first and after the last", "zzzz.example.org.", dns.TypeA, dns.RcodeNameError, 0)
		bad("no such name, without proof", "nothing.example.org.", dns.TypeA, "", zone.DropProof(zone.At("nothing.example.org.")))
		bad("the name exists, and the denial of another is replayed", "mx.example.org.", dns.TypeA, "",
			replay("mx.example.org.", dns.TypeA, "nothing.example.org.", dns.TypeA, dns.RcodeNameError))
		bad("a wildcard would answer, and its denial is missing", "a.plain.example.org.", dns.TypeA, "",
			replay("a.plain.example.org.", dns.TypeA, "nothing.example.org.", dns.TypeA, dns.RcodeNameError))
		good("an empty non-terminal", "empty.example.org.", dns.TypeA, dns.RcodeSuccess, 0)
		good("an empty non-terminal for which a broken server returns NXDOMAIN", "_tcp.mx.example.org.", dns.TypeA, dns.RcodeSuccess, 0)
		cases[len(cases)-1].faults = []zone.Fault{respond(zone.At("_tcp.mx.example.org."), func(m *dns.Msg) { m.Rcode = dns.RcodeNameError })}
		good("from a wildcard", "_25._tcp.wild.example.org.", dns.TypeTLSA, dns.RcodeSuccess, 1)
		bad("from a wildcard, without proof that nothing is closer", "_25._tcp.wild.example.org.", dns.TypeTLSA, "from the wildcard *.wild.example.org. without proof",
			zone.DropProof(zone.At("_25._tcp.wild.example.org.")))
		good("no such type at a wildcard", "a.plain.example.org.", dns.TypeAAAA, dns.RcodeSuccess, 0)
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
	runCases(t, cases)
}

// TestCompactDenial checks the denial by a server that signs online: a name that
// does not exist has its own NSEC record (RFC 9824).
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
	zones := testZones("ghost TXT x\n")
	runCases(t, []lookupCase{
		{name: "no such name, with the code of no such type", zones: zones, faults: faults, ask: ghost, qtype: dns.TypeA,
			status: dnssec.Secure, rcode: dns.RcodeNameError},
		{name: "no such type", zones: zones, ask: ghost, qtype: dns.TypeA, status: dnssec.Secure},
	})
}

func TestOptOut(t *testing.T) {
	zones := testZones("*.wild TLSA 3 1 1 02\n", nsec3(true, 0))
	runCases(t, []lookupCase{
		{name: "no such name in an opt-out span may be an unsigned delegation (RFC 5155 §9.2)", zones: zones, ask: "nothing.example.org.", qtype: dns.TypeA,
			status: dnssec.Insecure, why: "opt-out span of example.org.", rcode: dns.RcodeNameError},
		{name: "no such type, which is proven", zones: zones, ask: "mx.example.org.", qtype: dns.TypeAAAA, status: dnssec.Secure},
		{name: "a wildcard in an opt-out span", zones: zones, ask: "_25._tcp.wild.example.org.", qtype: dns.TypeTLSA, status: dnssec.Insecure, why: "opt-out", records: 1},
	})
}

// TestNSEC3Iterations checks that an answer has the iterations of a zone if its
// denial was needed and is authentic.
func TestNSEC3Iterations(t *testing.T) {
	hashed := func(want ...dnssec.NSEC3) func(*testing.T, dnssec.Answer) {
		return func(t *testing.T, a dnssec.Answer) {
			if !slices.Equal(a.NSEC3, want) {
				t.Errorf("got %v, want %v", a.NSEC3, want)
			}
		}
	}
	zones := testZones("", nsec3(false, 5))
	cases := []lookupCase{
		{name: "an answer that needs no denial", ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1, check: hashed()},
		{name: "no such type", ask: tlsa, qtype: dns.TypeA, status: dnssec.Secure, check: hashed(dnssec.NSEC3{Zone: "example.org.", Iterations: 5})},
		{name: "with a broken signature", ask: tlsa, qtype: dns.TypeA, status: dnssec.Bogus, check: hashed(),
			faults: []zone.Fault{zone.Corrupt(zone.In("example.org.", dns.TypeNSEC3))}},
	}
	for i := range cases {
		cases[i].zones = zones
	}
	runCases(t, cases)
}
