package dnssec_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestRetryOthers checks that an answer is bogus only if no resolver has a better
// one.
func TestRetryOthers(t *testing.T) {
	at := zone.At(tlsa, dns.TypeTLSA)
	keys := zone.At("example.org.", dns.TypeDNSKEY)
	bare := respond(zone.Under("."), func(m *dns.Msg) {
		m.Answer = slices.DeleteFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG })
		m.Ns = nil
	})
	unreachable := zone.Fault{Where: at, Answer: func(_, _ *dns.Msg) error { return errors.New("no connection") }}
	inconsistent := func(parts ...string) func(*testing.T, dnssec.Answer) {
		return func(t *testing.T, a dnssec.Answer) {
			for _, part := range parts {
				if !strings.Contains(a.Inconsistent, part) {
					t.Errorf("inconsistent: %q, want … %s …", a.Inconsistent, part)
				}
			}
			if len(parts) == 0 && a.Inconsistent != "" {
				t.Errorf("inconsistent: %q", a.Inconsistent)
			}
			if strings.Contains(a.Why, "for its TTL") != a.Status.Failed() {
				t.Errorf("why: %s", a.Why)
			}
			if a.Work.Queries > 40 || a.Work.Signatures > 40 {
				t.Errorf("work %+v", a.Work)
			}
		}
	}
	runCases(t, []lookupCase{
		{name: "one resolver corrupts the answer, the other does not", zones: testZones(""), faults: []zone.Fault{zone.From(firstServer, zone.Garble(at))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1,
			check: inconsistent(firstServer+": the signature over "+tlsa+" TLSA", secondServer+" gave an answer that validates")},
		{name: "one resolver corrupts a zone's keys", zones: testZones(""), faults: []zone.Fault{zone.From(firstServer, zone.Garble(keys))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1},
		{name: "one resolver strips DNSSEC records", zones: testZones(""), faults: []zone.Fault{zone.From(firstServer, bare)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1},
		{name: "one resolver fails", zones: testZones(""), faults: []zone.Fault{zone.From(firstServer, zone.Rcode(at, dns.RcodeServerFailure))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1, check: inconsistent(firstServer + ": the resolver " + firstServer + " answered SERVFAIL")},
		{name: "both corrupt it with CD=1", zones: testZones(""), faults: []zone.Fault{withCD(zone.Garble(at))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1, check: inconsistent(firstServer + " with CD=0 gave an answer that validates")},
		{name: "both refuse CD=1", zones: testZones(""), faults: []zone.Fault{withCD(zone.Rcode(at, dns.RcodeFormatError))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1, check: inconsistent("answered FORMERR", "with CD=0")},
		{name: "both always corrupt it: the zone is at fault", zones: testZones(""), faults: []zone.Fault{zone.Corrupt(at)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, check: inconsistent()},
		{name: "one corrupts it, and the other does not answer", zones: testZones(""), faults: []zone.Fault{zone.From(firstServer, zone.Garble(at)), zone.From(secondServer, unreachable)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, check: inconsistent()},
		{name: "nothing is wrong", zones: testZones(""), ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1, check: inconsistent()},
	})
}

// TestRetryTimeout checks that a resolver that does not answer a retry does not
// turn a verdict into a timeout.
func TestRetryTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := zone.At(tlsa, dns.TypeTLSA)
		r, _, _ := setup(t, dnssec.Options{QueryTimeout: time.Hour}, testZones(""), zone.Corrupt(at), zone.From(secondServer, zone.Silence(at)))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if a := r.Lookup(ctx, tlsa, dns.TypeTLSA); a.Status != dnssec.Bogus || a.Err != nil {
			t.Errorf("%s %v: %s", a.Status, a.Err, a.Why)
		}
	})
}

// TestRetryKeepsExtendedErrors checks that the extended error that a validating
// resolver returns with CD=0 is in the answer, although its failure proves nothing.
func TestRetryKeepsExtendedErrors(t *testing.T) {
	at := zone.At(tlsa, dns.TypeTLSA)
	validates := zone.Fault{Where: at, Answer: func(query, m *dns.Msg) error {
		if !query.CheckingDisabled {
			m.Rcode, m.Answer = dns.RcodeServerFailure, nil
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus, ExtraText: "signature crypto failed"})
		}
		return nil
	}}
	r, _, _ := setup(t, dnssec.Options{}, testZones(""), zone.Corrupt(at), zone.From(firstServer, validates))
	a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
	if a.Status != dnssec.Bogus || len(a.EDE) != 1 || a.EDE[0] != "6 (DNSSEC Bogus): signature crypto failed" {
		t.Errorf("%s %q", a.Status, a.EDE)
	}
}

// TestResolverFailures checks failures of the resolver, which are not the zone's.
func TestResolverFailures(t *testing.T) {
	strip := zone.Fault{Where: func(zone.Place) bool { return true }, Answer: func(_, response *dns.Msg) error {
		isDNSSEC := func(rr dns.RR) bool {
			switch rr.Header().Rrtype {
			case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3:
				return true
			}
			return false
		}
		response.Answer, response.Ns = slices.DeleteFunc(response.Answer, isDNSSEC), slices.DeleteFunc(response.Ns, isDNSSEC)
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
	runCases(t, []lookupCase{
		{name: "it strips everything", zones: testZones(""), faults: []zone.Fault{strip}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Indeterminate, err: dnssec.ErrStripped, why: "strips DNSSEC records: its answer to . DNSKEY has keys but no signatures"},
		{name: "it strips everything, and the zone is unsigned", zones: testZones("", unsigned), faults: []zone.Fault{strip}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Indeterminate, err: dnssec.ErrStripped},
		{name: "it returns no DNSKEY", zones: testZones(""), faults: []zone.Fault{zone.Drop(".", dns.TypeDNSKEY)}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Indeterminate, err: dnssec.ErrStripped, why: "has no keys"},
		{name: "SERVFAIL for the answer", zones: testZones(""), faults: []zone.Fault{ede}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Indeterminate, err: dnssec.ErrServer, why: "answered SERVFAIL to " + tlsa + " TLSA; extended error 22 (No Reachable Authority): at delegation\\x00\\x1b[31m example.org",
			check: func(t *testing.T, a dnssec.Answer) {
				if len(a.EDE) != 1 {
					t.Errorf("EDE: %q", a.EDE)
				}
			}},
		{name: "REFUSED for the answer", zones: testZones(""), faults: []zone.Fault{zone.Rcode(zone.At(tlsa), dns.RcodeRefused)}, ask: tlsa, qtype: dns.TypeTLSA,
			status: dnssec.Indeterminate, err: dnssec.ErrServer, why: "REFUSED"},
		{name: "SERVFAIL for a DNSKEY of the chain", zones: testZones(""), faults: []zone.Fault{zone.Rcode(zone.At("example.org.", dns.TypeDNSKEY), dns.RcodeServerFailure)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Indeterminate, err: dnssec.ErrServer, why: "answered SERVFAIL to example.org. DNSKEY"},
		{name: "SERVFAIL for a DS of the chain", zones: testZones(""), faults: []zone.Fault{zone.Rcode(zone.At("example.org.", dns.TypeDS), dns.RcodeServerFailure)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Indeterminate, err: dnssec.ErrServer, why: "example.org. DS"},
		{name: "SERVFAIL for a DS that only a speculative query needs", zones: testZones(""), faults: []zone.Fault{zone.Rcode(zone.At("mx.example.org.", dns.TypeDS), dns.RcodeServerFailure)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1},
	})
}

// TestStripsLater checks that a resolver that begins to strip signatures is at fault,
// and not the zone, also if the chain is cached.
func TestStripsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, err := zone.New(clock, append(testZones(""), zone.Zone{Apex: "open.org.", Unsigned: true, Delegation: zone.Insecure, Records: "mx A 192.0.2.9\n"})...)
		if err != nil {
			t.Fatal(err)
		}
		r := dnssec.New(net, net.Anchors(), clock, dnssec.Options{})
		if a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA); a.Status != dnssec.Secure {
			t.Fatalf("%s: %s", a.Status, a.Why)
		}
		isSig := func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG }
		net.Break(respond(zone.Under("."), func(m *dns.Msg) {
			m.Answer, m.Ns = slices.DeleteFunc(m.Answer, isSig), slices.DeleteFunc(m.Ns, isSig)
		}))
		for _, name := range []string{"mx.example.org.", "mx.open.org.", "no.example.org."} {
			if a := r.Lookup(t.Context(), name, dns.TypeA); !errors.Is(a.Err, dnssec.ErrStripped) {
				t.Errorf("%s: %s, %v: %s", name, a.Status, a.Err, a.Why)
			}
		}
	})
}

// TestClassifyFailure checks that controls distinguish a failing zone from failing
// resolvers, with and without a cache.
func TestClassifyFailure(t *testing.T) {
	everything, answer, root := zone.Under("."), zone.At(tlsa), zone.At(".", dns.TypeDNSKEY)
	servfail, refused := dns.RcodeServerFailure, dns.RcodeRefused
	const ours = "the resolver fails for "
	// A resolver without an uplink answers from its cache, with TTLs that have run down.
	onlyCached := func(held zone.Where) []zone.Fault {
		missing := func(p zone.Place) bool { return !held(p) }
		aged := respond(held, func(m *dns.Msg) {
			for _, rr := range slices.Concat(m.Answer, m.Ns) {
				rr.Header().Ttl -= 10
			}
		})
		return []zone.Fault{zone.Rcode(missing, servfail), aged}
	}
	failure := func(c lookupCase) lookupCase {
		c.zones, c.ask, c.qtype, c.status = testZones(""), tlsa, dns.TypeTLSA, dnssec.Indeterminate
		c.check = func(t *testing.T, a dnssec.Answer) {
			if errors.Is(a.Err, dnssec.ErrResolverFailed) != (c.err == dnssec.ErrResolverFailed) || strings.Contains(a.Why, ours) != (c.why == ours) {
				t.Errorf("%v: %s", a.Err, a.Why)
			}
			if a.Work.Queries > 80 {
				t.Errorf("work %+v", a.Work)
			}
		}
		return c
	}
	runCases(t, []lookupCase{
		failure(lookupCase{name: "SERVFAIL for everything", faults: []zone.Fault{zone.Rcode(everything, servfail)}, err: dnssec.ErrResolverFailed, why: ours}),
		failure(lookupCase{name: "REFUSED for everything", faults: []zone.Fault{zone.Rcode(everything, refused)}, err: dnssec.ErrResolverFailed, why: ours}),
		failure(lookupCase{name: "REFUSED from one resolver, SERVFAIL from the other", faults: []zone.Fault{zone.From(firstServer, zone.Rcode(everything, refused)),
			zone.From(secondServer, zone.Rcode(everything, servfail))}, err: dnssec.ErrResolverFailed, why: ours}),
		failure(lookupCase{name: "SERVFAIL for everything from one, for this name from the other", faults: []zone.Fault{zone.From(firstServer, zone.Rcode(everything, servfail)),
			zone.From(secondServer, zone.Rcode(answer, servfail))}, err: dnssec.ErrServer, why: "answered SERVFAIL to " + tlsa}),
		failure(lookupCase{name: "SERVFAIL for this name alone", faults: []zone.Fault{zone.Rcode(answer, servfail)}, err: dnssec.ErrServer, why: "answered SERVFAIL to " + tlsa}),
		failure(lookupCase{name: "SERVFAIL for all but the root's keys", faults: onlyCached(root), err: dnssec.ErrResolverFailed, why: ours}),
		failure(lookupCase{name: "SERVFAIL for all but the root's keys and cached denials", faults: onlyCached(zone.In(".")), err: dnssec.ErrResolverFailed, why: ours}),
		failure(lookupCase{name: "SERVFAIL for everything below the top-level domain and for it", faults: []zone.Fault{zone.Rcode(zone.Under("org."), servfail)}, err: dnssec.ErrServer, why: "the zone org. above it fails too"}),
		failure(lookupCase{name: "SERVFAIL for the zone", faults: []zone.Fault{zone.Rcode(zone.Under("example.org."), servfail)}, err: dnssec.ErrServer, why: "answered SERVFAIL to"}),
		failure(lookupCase{name: "SERVFAIL for the zone and its delegation", faults: []zone.Fault{zone.Rcode(zone.Under("example.org."), servfail), zone.Rcode(zone.At("example.org.", dns.TypeDS), servfail)}, err: dnssec.ErrServer, why: "answered SERVFAIL to"}),
		failure(lookupCase{name: "SERVFAIL for this name, and FORMERR for all queries with CD=1", faults: []zone.Fault{zone.Rcode(answer, servfail),
			withCD(zone.Rcode(everything, dns.RcodeFormatError))}, err: dnssec.ErrServer, why: tlsa}),
		failure(lookupCase{name: "SERVFAIL for this name, and for the root's keys with CD=0", faults: []zone.Fault{zone.Rcode(answer, servfail),
			{Where: root, Answer: func(query, m *dns.Msg) error {
				if !query.CheckingDisabled {
					m.Rcode, m.Answer = servfail, nil
				}
				return nil
			}}}, err: dnssec.ErrServer, why: "answered SERVFAIL to " + tlsa}),
	})
}

// TestOutageWithWarmCache checks that an outage is detected although the chain is
// cached, that it is detected once for many lookups, and that recovery is too.
func TestOutageWithWarmCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, err := zone.New(clock, testZones("")...)
		if err != nil {
			t.Fatal(err)
		}
		now := today
		transport := newCountingTransport(net)
		r := dnssec.New(transport, net.Anchors(), func() time.Time { return now }, dnssec.Options{})
		lookup := func() dnssec.Answer { return r.Lookup(t.Context(), tlsa, dns.TypeTLSA) }
		if a := lookup(); a.Status != dnssec.Secure {
			t.Fatalf("%s: %s", a.Status, a.Why)
		}
		net.Break(zone.Rcode(zone.Under("."), dns.RcodeRefused))
		first := lookup()
		if !errors.Is(first.Err, dnssec.ErrResolverFailed) || !strings.Contains(first.Why, "REFUSED") {
			t.Errorf("%v: %s", first.Err, first.Why)
		}
		second := lookup()
		if !errors.Is(second.Err, dnssec.ErrResolverFailed) || second.Work.Queries >= first.Work.Queries {
			t.Errorf("%v; %d queries, then %d", second.Err, first.Work.Queries, second.Work.Queries)
		}
		time.Sleep(6 * time.Second) // of the virtual clock
		now = now.Add(6 * time.Second)
		net.BreakOnly(zone.Rcode(zone.At(tlsa), dns.RcodeRefused))
		if a := lookup(); errors.Is(a.Err, dnssec.ErrResolverFailed) || !errors.Is(a.Err, dnssec.ErrServer) {
			t.Errorf("after recovery, with a failing name: %v: %s", a.Err, a.Why)
		}
	})
}
