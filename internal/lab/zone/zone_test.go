package zone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var noon = time.Date(2026, 3, 14, 12, 30, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// newInternet returns a small Internet with one record of each kind, with NSEC in
// all zones, or with NSEC3 if nsec3 is not nil.
func newInternet(t *testing.T, now time.Time, hashed *NSEC3) *Internet {
	t.Helper()
	zones := []Zone{
		{Apex: ".", Algorithms: []uint8{dns.RSASHA256}},
		{Apex: "test."},
		{Apex: "home.test.", Records: `
@            MX    10 mx
mx           A     192.0.2.1
_25._tcp.mx  TLSA  3 1 1 00
alias        CNAME mx
away         CNAME www.far.test.
deep         CNAME gone.far.test.
*.wild       TXT   "any"
*.walias     CNAME www.far.test.
a.b.c        TXT   "ents"
old          DNAME new
host.new     A     192.0.2.2
lame         NS    ns.elsewhere.
`},
		{Apex: "far.test.", Algorithms: []uint8{dns.ED25519}, CSK: true, Records: "www A 192.0.2.3\n* TXT \"wild\""},
		{Apex: "open.test.", Unsigned: true, Records: "www A 192.0.2.4"},
	}
	for i := range zones {
		if hashed != nil {
			zones[i].NSEC3 = hashed
		}
	}
	internet, err := New(at(now), zones...)
	if err != nil {
		t.Fatal(err)
	}
	return internet
}

func ask(t *testing.T, internet *Internet, name string, qtype uint16) *dns.Msg {
	t.Helper()
	query := new(dns.Msg).SetQuestion(name, qtype)
	query.SetEdns0(1232, true)
	response, _, err := internet.Exchange(t.Context(), query)
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.TypeToString[qtype], err)
	}
	return response
}

// kinds returns the kinds of denial. TestAnswers runs each case with each kind.
func kinds() map[string]*NSEC3 {
	return map[string]*NSEC3{
		"NSEC":             nil,
		"NSEC3":            {},
		"salted NSEC3":     {Iterations: 3, Salt: "AABB"},
		"opt-out NSEC3":    {OptOut: true},
		"iterated opt-out": {Iterations: 1, OptOut: true},
	}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		description string
		name        string
		qtype       uint16
		rcode       int
		answer      []string // owner and type of each record but signatures
		soa         string   // owner of the SOA: the zone that denies
		denied      []string // names whose absence the proof must cover
		proven      []string // names whose types the proof must show, without the type asked
	}{
		{description: "record", name: "mx.home.test.", qtype: dns.TypeA, answer: []string{"mx.home.test. A"}},
		{description: "name with underscores", name: "_25._tcp.mx.home.test.", qtype: dns.TypeTLSA, answer: []string{"_25._tcp.mx.home.test. TLSA"}},
		{description: "keys of the root", name: ".", qtype: dns.TypeDNSKEY, answer: []string{". DNSKEY", ". DNSKEY"}},
		{description: "combined signing key", name: "far.test.", qtype: dns.TypeDNSKEY, answer: []string{"far.test. DNSKEY"}},
		{description: "DS from the parent", name: "home.test.", qtype: dns.TypeDS, answer: []string{"home.test. DS"}},
		{description: "alias in the zone", name: "alias.home.test.", qtype: dns.TypeA, answer: []string{"alias.home.test. CNAME", "mx.home.test. A"}},
		{description: "alias itself", name: "alias.home.test.", qtype: dns.TypeCNAME, answer: []string{"alias.home.test. CNAME"}},
		{description: "alias into another zone", name: "away.home.test.", qtype: dns.TypeA, answer: []string{"away.home.test. CNAME", "www.far.test. A"}},
		{description: "alias for a name that matches a wildcard of another type", name: "deep.home.test.", qtype: dns.TypeA,
			answer: []string{"deep.home.test. CNAME"}, soa: "far.test.", denied: []string{"gone.far.test."}, proven: []string{"*.far.test."}},
		{description: "DNAME", name: "host.old.home.test.", qtype: dns.TypeA,
			answer: []string{"old.home.test. DNAME", "host.old.home.test. CNAME", "host.new.home.test. A"}},
		{description: "no such type", name: "mx.home.test.", qtype: dns.TypeAAAA, soa: "home.test.", proven: []string{"mx.home.test."}},
		{description: "no such name", name: "no.home.test.", qtype: dns.TypeA, rcode: dns.RcodeNameError, soa: "home.test.",
			denied: []string{"no.home.test.", "*.home.test."}},
		{description: "no such name, three labels below the closest encloser", name: "x.y.z.mx.home.test.", qtype: dns.TypeA, rcode: dns.RcodeNameError, soa: "home.test.",
			denied: []string{"z.mx.home.test.", "*.mx.home.test."}},
		{description: "wildcard", name: "x.y.wild.home.test.", qtype: dns.TypeTXT, answer: []string{"x.y.wild.home.test. TXT"},
			denied: []string{"y.wild.home.test."}},
		{description: "wildcard alias", name: "x.walias.home.test.", qtype: dns.TypeA,
			answer: []string{"x.walias.home.test. CNAME", "www.far.test. A"}, denied: []string{"x.walias.home.test."}},
		{description: "wildcard without the type", name: "x.wild.home.test.", qtype: dns.TypeA, soa: "home.test.",
			denied: []string{"x.wild.home.test."}, proven: []string{"*.wild.home.test."}},
		{description: "empty non-terminal", name: "b.c.home.test.", qtype: dns.TypeTXT, soa: "home.test.", proven: []string{"b.c.home.test."}},
		{description: "no DS at an insecure delegation", name: "open.test.", qtype: dns.TypeDS, soa: "test.", proven: []string{"open.test."}},
		{description: "unsigned answer", name: "www.open.test.", qtype: dns.TypeA, answer: []string{"www.open.test. A"}},
		{description: "unsigned denial", name: "no.open.test.", qtype: dns.TypeA, rcode: dns.RcodeNameError, soa: "open.test."},
		{description: "delegation to unreachable nameservers", name: "www.lame.home.test.", qtype: dns.TypeA, rcode: dns.RcodeServerFailure},
		{description: "mixed case", name: "MX.Home.TEST.", qtype: dns.TypeA, answer: []string{"mx.home.test. A"}},
	}
	for kind, hashed := range kinds() {
		internet := newInternet(t, noon, hashed)
		for _, test := range tests {
			t.Run(kind+"/"+test.description, func(t *testing.T) {
				m := ask(t, internet, test.name, test.qtype)
				if m.Rcode != test.rcode {
					t.Errorf("rcode %s, want %s", dns.RcodeToString[m.Rcode], dns.RcodeToString[test.rcode])
				}
				if got := owners(m.Answer); !slices.Equal(got, test.answer) {
					t.Errorf("answer %q, want %q", got, test.answer)
				}
				if got := soaOwner(m); got != test.soa {
					t.Errorf("SOA of %q, want %q", got, test.soa)
				}
				verify(t, internet, m)
				for _, name := range test.denied {
					if !covers(m, name, hashed) {
						t.Errorf("nothing covers %s in\n%v", name, m)
					}
				}
				for _, name := range test.proven {
					if !provesNoData(m, name, test.qtype, hashed) {
						t.Errorf("nothing shows that %s has no %s in\n%v", name, dns.TypeToString[test.qtype], m)
					}
				}
			})
		}
	}
}

func owners(records []dns.RR) []string {
	var all []string
	for _, rr := range records {
		if rr.Header().Rrtype != dns.TypeRRSIG {
			all = append(all, strings.ToLower(rr.Header().Name)+" "+dns.TypeToString[rr.Header().Rrtype])
		}
	}
	return all
}

func soaOwner(m *dns.Msg) string {
	for _, rr := range m.Ns {
		if rr.Header().Rrtype == dns.TypeSOA {
			return rr.Header().Name
		}
	}
	return ""
}

// verify checks all RRsets of a response but those of open.test. and the CNAMEs
// synthesised from a DNAME: each has signatures, and all are valid now.
func verify(t *testing.T, internet *Internet, m *dns.Msg) {
	t.Helper()
	type set struct {
		name   string
		rrtype uint16
	}
	sets, signatures := map[set][]dns.RR{}, map[set][]*dns.RRSIG{}
	for _, rr := range slices.Concat(m.Answer, m.Ns) {
		name := dns.CanonicalName(rr.Header().Name)
		if signature, ok := rr.(*dns.RRSIG); ok {
			key := set{name, signature.TypeCovered}
			signatures[key] = append(signatures[key], signature)
			continue
		}
		key := set{name, rr.Header().Rrtype}
		sets[key] = append(sets[key], rr)
	}
	for key, records := range sets {
		if dns.IsSubDomain("open.test.", key.name) && key.rrtype != dns.TypeDS {
			continue
		}
		if key.rrtype == dns.TypeCNAME && dns.IsSubDomain("old.home.test.", key.name) {
			continue
		}
		if len(signatures[key]) == 0 {
			t.Errorf("%s %s is not signed", key.name, dns.TypeToString[key.rrtype])
		}
		for _, signature := range signatures[key] {
			if err := verifyOne(internet, signature, records); err != nil {
				t.Errorf("%s %s: %v", key.name, dns.TypeToString[key.rrtype], err)
			}
		}
	}
}

func verifyOne(internet *Internet, signature *dns.RRSIG, records []dns.RR) error {
	zone := internet.zones[signature.SignerName]
	if zone == nil {
		return fmt.Errorf("signed by %s, which is no zone", signature.SignerName)
	}
	for _, key := range zone.keys {
		if key.Public.KeyTag() != signature.KeyTag {
			continue
		}
		if !signature.ValidityPeriod(internet.now()) {
			return fmt.Errorf("valid from %d to %d only", signature.Inception, signature.Expiration)
		}
		return signature.Verify(key.Public, records)
	}
	return fmt.Errorf("no key %d in %s", signature.KeyTag, zone.apex)
}

// covers reports whether a record of m covers name.
func covers(m *dns.Msg, name string, hashed *NSEC3) bool {
	return slices.ContainsFunc(m.Ns, func(rr dns.RR) bool {
		switch record := rr.(type) {
		case *dns.NSEC3:
			return hashed != nil && record.Cover(name)
		case *dns.NSEC:
			after := compareNames(record.Hdr.Name, name) < 0
			before := compareNames(name, record.NextDomain) < 0 || compareNames(record.NextDomain, record.Hdr.Name) <= 0
			return hashed == nil && after && before
		}
		return false
	})
}

// provesNoData looks for the proof that name exists without qtype: a record that matches name,
// an NSEC whose next name is below it, or for DS an opt-out NSEC3 that covers it.
func provesNoData(m *dns.Msg, name string, qtype uint16, hashed *NSEC3) bool {
	return slices.ContainsFunc(m.Ns, func(rr dns.RR) bool {
		switch record := rr.(type) {
		case *dns.NSEC3:
			if record.Match(name) {
				return !slices.Contains(record.TypeBitMap, qtype)
			}
			return qtype == dns.TypeDS && hashed.OptOut && record.Flags&1 == 1 && record.Cover(name)
		case *dns.NSEC:
			if record.Hdr.Name == name {
				return !slices.Contains(record.TypeBitMap, qtype)
			}
			return below(record.NextDomain, name)
		}
		return false
	})
}

func TestAlgorithms(t *testing.T) {
	algorithms := []uint8{dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519}
	for _, algorithm := range algorithms {
		t.Run(dns.AlgorithmToString[algorithm], func(t *testing.T) {
			internet, err := New(at(noon), Zone{Apex: "example.", Algorithms: []uint8{algorithm}, Records: "@ TXT hello"})
			if err != nil {
				t.Fatal(err)
			}
			m := ask(t, internet, "example.", dns.TypeTXT)
			verify(t, internet, m)
			if signature := m.Answer[1].(*dns.RRSIG); signature.Algorithm != algorithm {
				t.Errorf("signed with %d", signature.Algorithm)
			}
			verify(t, internet, ask(t, internet, "example.", dns.TypeDNSKEY))
		})
	}
}

func TestTwoAlgorithmsSignTwice(t *testing.T) {
	internet, err := New(at(noon), Zone{Apex: "example.", Algorithms: []uint8{dns.ECDSAP256SHA256, dns.ED25519}, Records: "@ TXT hello"})
	if err != nil {
		t.Fatal(err)
	}
	m := ask(t, internet, "example.", dns.TypeTXT)
	verify(t, internet, m)
	if len(m.Answer) != 3 {
		t.Errorf("want a record and two signatures:\n%v", m)
	}
	if ds := ask(t, internet, "example.", dns.TypeDS); len(owners(ds.Answer)) != 2 {
		t.Errorf("want two DS:\n%v", ds)
	}
}

func TestAnswersAreDeterministic(t *testing.T) {
	one, two := newInternet(t, noon, &NSEC3{}), newInternet(t, noon.Add(10*time.Minute), &NSEC3{})
	for _, name := range []string{"mx.home.test.", "no.home.test.", "www.far.test.", "."} {
		a, b := ask(t, one, name, dns.TypeA), ask(t, two, name, dns.TypeA)
		a.Id, b.Id = 0, 0
		if a.String() != b.String() {
			t.Errorf("%s: got different answers:\n%v\n%v", name, a, b)
		}
	}
}

func TestSignaturesAreRenewed(t *testing.T) {
	now := noon
	internet, err := New(func() time.Time { return now }, Zone{Apex: "example.", Records: "@ TXT hello"})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		verify(t, internet, ask(t, internet, "example.", dns.TypeTXT))
		now = now.Add(40 * 24 * time.Hour)
	}
}

func TestAnchorMatchesRootKey(t *testing.T) {
	internet := newInternet(t, noon, nil)
	anchors := internet.Anchors()
	if len(anchors) != 1 {
		t.Fatalf("%d anchors, want 1", len(anchors))
	}
	matches := slices.ContainsFunc(ask(t, internet, ".", dns.TypeDNSKEY).Answer, func(rr dns.RR) bool {
		key, ok := rr.(*dns.DNSKEY)
		return ok && key.ToDS(anchors[0].DigestType).Digest == anchors[0].Digest
	})
	if !matches {
		t.Error("no key of the root matches the anchor")
	}
}

func TestDelegations(t *testing.T) {
	for _, algorithm := range []uint8{dns.ECDSAP256SHA256, dns.RSASHA256} {
		internet, err := New(at(noon),
			Zone{Apex: "right.", Algorithms: []uint8{algorithm}},
			Zone{Apex: "former.", Algorithms: []uint8{algorithm}, Delegation: Former},
			Zone{Apex: "island.", Algorithms: []uint8{algorithm}, Delegation: Insecure})
		if err != nil {
			t.Fatal(err)
		}
		for apex, want := range map[string]struct{ ds, matches bool }{"right.": {true, true}, "former.": {true, false}, "island.": {false, false}} {
			var digests []string
			for _, rr := range ask(t, internet, apex, dns.TypeDS).Answer {
				if ds, ok := rr.(*dns.DS); ok {
					digests = append(digests, ds.Digest)
				}
			}
			if got := len(digests) > 0; got != want.ds {
				t.Errorf("%s has DS: %v, want %v", apex, got, want.ds)
			}
			matches := slices.ContainsFunc(ask(t, internet, apex, dns.TypeDNSKEY).Answer, func(rr dns.RR) bool {
				key, ok := rr.(*dns.DNSKEY)
				return ok && slices.Contains(digests, key.ToDS(dns.SHA256).Digest)
			})
			if matches != want.matches {
				t.Errorf("DS of %s matches a key: %v, want %v", apex, matches, want.matches)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	const host = "mx.home.test."
	signature := func(m *dns.Msg) *dns.RRSIG {
		for _, rr := range m.Answer {
			if s, ok := rr.(*dns.RRSIG); ok {
				return s
			}
		}
		return nil
	}
	foreign, err := NewKey("home.test.", "foreign", dns.ECDSAP256SHA256, dns.ZONE)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		description string
		fault       Fault
		qtype       uint16
		broken      func(*Internet, *dns.Msg) bool
	}{
		{"Corrupt", Corrupt(At(host, dns.TypeA)), dns.TypeA, func(n *Internet, m *dns.Msg) bool {
			return verifyOne(n, signature(m), m.Answer[:1]) != nil
		}},
		{"Expire", Expire(In("home.test.")), dns.TypeA, func(n *Internet, m *dns.Msg) bool {
			return !signature(m).ValidityPeriod(noon) && signature(m).ValidityPeriod(noon.Add(-3*24*time.Hour))
		}},
		{"Shift", Shift(Under("home.test."), 24*time.Hour), dns.TypeA, func(n *Internet, m *dns.Msg) bool {
			return !signature(m).ValidityPeriod(noon) && signature(m).ValidityPeriod(noon.Add(24*time.Hour))
		}},
		{"SignWith", SignWith(At(host), foreign), dns.TypeA, func(n *Internet, m *dns.Msg) bool {
			return signature(m).KeyTag == foreign.Public.KeyTag() && signature(m).Verify(foreign.Public, m.Answer[:1]) == nil
		}},
		{"Strip", Strip(At(host)), dns.TypeA, func(n *Internet, m *dns.Msg) bool {
			return signature(m) == nil && len(m.Answer) == 1
		}},
		{"Drop", Drop(host, dns.TypeA), dns.TypeA, func(n *Internet, m *dns.Msg) bool {
			return len(m.Answer) == 0 && m.Rcode == dns.RcodeSuccess
		}},
		{"DropProof", DropProof(At(host)), dns.TypeAAAA, func(n *Internet, m *dns.Msg) bool {
			return soaOwner(m) != "" && len(owners(m.Ns)) == 1
		}},
		{"Rcode", Rcode(At(host), dns.RcodeServerFailure), dns.TypeA, func(n *Internet, m *dns.Msg) bool {
			return m.Rcode == dns.RcodeServerFailure && len(m.Answer) == 0
		}},
		{"Corrupt elsewhere", Corrupt(At("alias.home.test.")), dns.TypeA, func(n *Internet, m *dns.Msg) bool {
			return verifyOne(n, signature(m), m.Answer[:1]) == nil
		}},
	}
	for _, test := range tests {
		t.Run(test.description, func(t *testing.T) {
			internet := newInternet(t, noon, nil)
			ask(t, internet, host, test.qtype) // its signature must not stay in the cache
			internet.Break(test.fault)
			if m := ask(t, internet, host, test.qtype); !test.broken(internet, m) {
				t.Errorf("the fault has no effect:\n%v", m)
			}
		})
	}
}

func TestSilenceLastsUntilTheContextEnds(t *testing.T) {
	internet := newInternet(t, noon, nil)
	internet.Break(Silence(At("mx.home.test.")))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	query := new(dns.Msg).SetQuestion("mx.home.test.", dns.TypeA)
	if _, _, err := internet.Exchange(ctx, query); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the error of the context", err)
	}
}

func TestFaultOfOneServer(t *testing.T) {
	internet := newInternet(t, noon, nil)
	bad := Rcode(At("mx.home.test."), dns.RcodeServerFailure)
	bad.Server = internet.Servers()[0]
	internet.Break(bad)
	for i, want := range []int{dns.RcodeServerFailure, dns.RcodeSuccess} {
		m, err := internet.ExchangeWith(t.Context(), internet.Servers()[i], new(dns.Msg).SetQuestion("mx.home.test.", dns.TypeA))
		if err != nil || m.Rcode != want {
			t.Errorf("server %d: %v, %v", i, m, err)
		}
	}
}

func TestWithoutDO(t *testing.T) {
	internet := newInternet(t, noon, nil)
	for _, name := range []string{"mx.home.test.", "no.home.test."} {
		m, _, err := internet.Exchange(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeA))
		if err != nil {
			t.Fatal(err)
		}
		for _, rr := range slices.Concat(m.Answer, m.Ns) {
			if rrtype := rr.Header().Rrtype; rrtype != dns.TypeA && rrtype != dns.TypeSOA {
				t.Errorf("unexpected without DO: %v", rr)
			}
		}
	}
}

func TestInvalidZones(t *testing.T) {
	for description, zones := range map[string][]Zone{
		"records that do not parse": {{Apex: "example.", Records: "@ A not-an-address"}},
		"records outside the zone":  {{Apex: "example.", Records: "www.elsewhere. A 192.0.2.1"}},
		"two zones of one name":     {{Apex: "example."}, {Apex: "EXAMPLE"}},
		"unknown algorithm":         {{Apex: "example.", Algorithms: []uint8{200}}},
		"two SOA records":           {{Apex: "example.", Records: "@ SOA a b 1 1 1 1 1\n@ SOA a c 1 1 1 1 1"}},
	} {
		if _, err := New(at(noon), zones...); err == nil {
			t.Errorf("%s: no error", description)
		}
	}
}

// TestEdit checks that edited records are signed correctly.
func TestEdit(t *testing.T) {
	for _, hashed := range []*NSEC3{nil, {}} {
		internet := newInternet(t, noon, hashed)
		internet.Break(Fault{Where: In("home.test.", dns.TypeNSEC, dns.TypeNSEC3), Edit: func(rr dns.RR) {
			switch rr := rr.(type) {
			case *dns.NSEC:
				rr.TypeBitMap = []uint16{dns.TypeSPF}
			case *dns.NSEC3:
				rr.TypeBitMap = []uint16{dns.TypeSPF}
			}
		}})
		m := ask(t, internet, "mx.home.test.", dns.TypeAAAA)
		verify(t, internet, m)
		if !strings.Contains(m.String(), "SPF") {
			t.Errorf("not edited:\n%v", m)
		}
	}
}

func TestKeysWithoutPrivateKey(t *testing.T) {
	key := func(role string, flags uint16) Key {
		made, err := NewKey("example.", role, dns.ECDSAP256SHA256, flags)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	ksk, zsk := key("ksk", dns.ZONE|dns.SEP), key("zsk", dns.ZONE)
	keys := []Key{ksk, zsk, key("next", dns.ZONE).Idle()}
	for n := 1; n <= 10; n++ {
		twin, err := zsk.Twin(n)
		if err != nil || twin.Public.KeyTag() != zsk.Public.KeyTag() {
			t.Fatalf("twin %d: %v, %v", n, twin.Public, err)
		}
		if slices.ContainsFunc(keys, func(k Key) bool { return k.Public.PublicKey == twin.Public.PublicKey }) {
			t.Errorf("twin %d equals another key", n)
		}
		keys = append(keys, twin)
	}
	internet, err := New(at(noon), Zone{Apex: "example.", Keys: keys, Records: "@ TXT hello"})
	if err != nil {
		t.Fatal(err)
	}
	if m := ask(t, internet, "example.", dns.TypeDNSKEY); len(m.Answer) != len(keys)+1 {
		t.Errorf("want %d keys and a signature:\n%v", len(keys), m)
	}
	m := ask(t, internet, "example.", dns.TypeTXT)
	if len(m.Answer) != 2 || m.Answer[1].(*dns.RRSIG).Verify(zsk.Public, m.Answer[:1]) != nil {
		t.Errorf("want a record, signed by one key:\n%v", m)
	}
	internet.Break(SignWith(At("example.", dns.TypeTXT), zsk.Idle()))
	query := new(dns.Msg).SetQuestion("example.", dns.TypeTXT)
	query.SetEdns0(1232, true)
	if _, _, err := internet.Exchange(t.Context(), query); err == nil {
		t.Error("signed with a key that has no private key")
	}
	if _, err := zsk.Twin(100); err == nil {
		t.Error("no error for twin 100")
	}
}

// TestDenial checks that the whole chain has a record for each name.
func TestDenial(t *testing.T) {
	for kind, hashed := range kinds() {
		internet := newInternet(t, noon, hashed)
		all, err := internet.Denial("home.test.")
		if err != nil {
			t.Fatal(err)
		}
		m := &dns.Msg{Ns: all}
		verify(t, internet, m)
		for _, name := range []string{"home.test.", "mx.home.test.", "a.b.c.home.test.", "*.wild.home.test."} {
			if !provesNoData(m, name, dns.TypeSPF, hashed) {
				t.Errorf("%s: no record of %s", kind, name)
			}
		}
	}
	if _, err := newInternet(t, noon, nil).Denial("no.test."); err == nil {
		t.Error("no error for a name that is not a zone")
	}
}

// TestKeyTagZero: the first key that is derived for this zone has the key tag 0, and cannot sign.
func TestKeyTagZero(t *testing.T) {
	key, err := NewKey("domain92120.org.", "zsk", dns.ECDSAP256SHA256, dns.ZONE)
	if err != nil || key.Public.KeyTag() == 0 {
		t.Errorf("key tag %d, %v", key.Public.KeyTag(), err)
	}
}
