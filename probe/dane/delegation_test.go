package dane

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// testKeys returns n keys of example.org. The first is a secure entry point.
func testKeys(t *testing.T, n int) (keys []*dns.DNSKEY) {
	for i := range n {
		key := &dns.DNSKEY{Hdr: dns.RR_Header{Name: "example.org.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
			Flags: dns.ZONE, Protocol: 3, Algorithm: dns.ED25519}
		if i == 0 {
			key.Flags |= dns.SEP
		}
		if _, err := key.Generate(256); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

func recordsOfKeys[T any](keys []*dns.DNSKEY, record func(*dns.DNSKEY) T) (records []T) {
	for _, key := range keys {
		records = append(records, record(key))
	}
	return records
}

func asDS(digestType uint8) func(*dns.DNSKEY) dns.RR {
	return func(key *dns.DNSKEY) dns.RR { return key.ToDS(digestType) }
}

func asCDS(digestType uint8) func(*dns.DNSKEY) dns.RR {
	return func(key *dns.DNSKEY) dns.RR { return key.ToDS(digestType).ToCDS() }
}

func asCDNSKEY(key *dns.DNSKEY) dns.RR { return key.ToCDNSKEY() }

func asDNSKEY(key *dns.DNSKEY) dns.RR { return key }

// zoneAnswer returns an answer about example.org.
func zoneAnswer(status dnssec.Status, qtype uint16, records ...dns.RR) *dnssec.Answer {
	a := answer(status, "example.org", qtype, records...)
	return &a
}

// delegationServer returns a nameserver with an address that follows from its number.
func delegationServer(i int) DelegationServer {
	return DelegationServer{Nameserver: Nameserver{Name: fmt.Sprintf("ns%d.example", i), Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}}
}

func parentServer(i int, ds *dnssec.Answer) DelegationServer {
	s := delegationServer(i)
	s.DS = ds
	return s
}

func failedServer(i int, err error) DelegationServer {
	s := delegationServer(i)
	s.Err = err
	return s
}

// evidence returns the answers about a delegation in which the first key is in the DS set.
func evidence(keys []*dns.DNSKEY, parents ...DelegationServer) *DelegationEvidence {
	return &DelegationEvidence{
		Cut: Cut{"example.org.", "org."}, At: time.Unix(1, 0), ParentServers: parents,
		DS:   *zoneAnswer(dnssec.Secure, dns.TypeDS, asDS(dns.SHA256)(keys[0])),
		Keys: *zoneAnswer(dnssec.Secure, dns.TypeDNSKEY, recordsOfKeys(keys, asDNSKEY)...),
		NS:   *zoneAnswer(dnssec.Secure, dns.TypeNS),
	}
}

// A server of the parent is compared with most others. The answer of the resolvers may be older,
// so it decides only between equal votes. Failures of the exporter or its machine are not measured.
func TestParentServers(t *testing.T) {
	keys := testKeys(t, 2)
	set := func(status dnssec.Status, keys ...*dns.DNSKEY) *dnssec.Answer {
		return zoneAnswer(status, dns.TypeDS, recordsOfKeys(keys, asDS(dns.SHA256))...)
	}
	current, other, none := set(dnssec.Secure, keys[0]), set(dnssec.Secure, keys[1]), set(dnssec.Secure)
	hundred := set(dnssec.Secure, slices.Repeat(keys[:1], 100)...)
	for i, rr := range hundred.Records {
		rr.(*dns.DS).KeyTag = uint16(i)
	}
	reversed := *hundred
	reversed.Records = slices.Clone(hundred.Records)
	slices.Reverse(reversed.Records)
	unreachable, limited := failedAnswer(dnssec.ErrUnreachable, "example.org", dns.TypeDS), failedAnswer(dnssec.ErrLimit, "example.org", dns.TypeDS)
	for _, c := range []struct {
		name     string
		resolved *dnssec.Answer
		servers  []DelegationServer
		want     []Measure // consistent
		ds       int       // in the set; -1: not known
	}{
		{"all agree", current, []DelegationServer{parentServer(1, current), parentServer(2, current)}, []Measure{Yes, Yes}, 1},
		{"one of three has another set", current, []DelegationServer{parentServer(1, current), parentServer(2, other), parentServer(3, current)}, []Measure{Yes, No, Yes}, 1},
		{"one of three proves that there is none", current, []DelegationServer{parentServer(1, current), parentServer(2, none), parentServer(3, current)}, []Measure{Yes, No, Yes}, 1},
		{"all prove that there is none, the resolver has an older answer", current, []DelegationServer{parentServer(1, none), parentServer(2, none)}, []Measure{Yes, Yes}, 0},
		{"one of two is as the resolver", other, []DelegationServer{parentServer(1, current), parentServer(2, other)}, []Measure{No, Yes}, 1},
		{"absence by opt-out", set(dnssec.Insecure), []DelegationServer{parentServer(1, set(dnssec.Insecure)), parentServer(2, none)}, []Measure{Yes, Yes}, 0},
		{"a wrong signature", current, []DelegationServer{parentServer(1, current), parentServer(2, set(dnssec.Bogus))}, []Measure{Yes, No}, 1},
		{"all are bogus", set(dnssec.Bogus), []DelegationServer{parentServer(1, set(dnssec.Bogus))}, []Measure{No}, -1},
		{"the resolver is bogus, a server is not", set(dnssec.Bogus), []DelegationServer{parentServer(1, current)}, []Measure{Yes}, 1},
		{"the parent's keys cannot be looked up", current, []DelegationServer{parentServer(1, &unreachable)}, []Measure{NotMeasured}, 1},
		{"a limit of the check", current, []DelegationServer{parentServer(1, &limited)}, []Measure{NotMeasured}, 1},
		{"a hundred records in another order", hundred, []DelegationServer{parentServer(1, hundred), parentServer(2, &reversed)}, []Measure{Yes, Yes}, -1},
		{"a hundred records at one server", current, []DelegationServer{parentServer(1, current), parentServer(2, hundred), parentServer(3, current)}, []Measure{Yes, No, Yes}, 1},
		{"no answer", current, []DelegationServer{failedServer(1, errorWithCause(CauseTimeout))}, []Measure{NotMeasured}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := evidence(keys, c.servers...)
			e.DS = *c.resolved
			d := NewDelegation(e)
			for i, v := range d.ParentServers {
				if v.Consistent != c.want[i] || v.Zone != "org" {
					t.Errorf("%s of %s: consistent %d, want %d: %s", v.Name, v.Zone, v.Consistent, c.want[i], v.Why)
				}
				if v.Consistent == No && v.Why == "" {
					t.Errorf("%s: no reason", v.Name)
				}
			}
			if d.DSKnown != (c.ds >= 0) || d.DSKnown && len(d.DS) != c.ds {
				t.Errorf("DS known %t: %v, want %d", d.DSKnown, d.DS, c.ds)
			}
		})
	}
}

// A server of the zone is consistent if its keys validate, with the DS records as the resolvers
// return them. Where the zone is insecure, all are.
func TestZoneServers(t *testing.T) {
	unreachable := failedAnswer(dnssec.ErrUnreachable, "example.org", dns.TypeDNSKEY)
	for _, c := range []struct {
		name           string
		answer         *dnssec.Answer
		err            error
		up, consistent Measure
		lame           bool
	}{
		{"valid keys", zoneAnswer(dnssec.Secure, dns.TypeDNSKEY), nil, Yes, Yes, false},
		{"stale keys", zoneAnswer(dnssec.Bogus, dns.TypeDNSKEY), nil, Yes, No, false},
		{"an insecure zone", zoneAnswer(dnssec.Insecure, dns.TypeDNSKEY), nil, Yes, Yes, false},
		{"the DS records cannot be looked up", &unreachable, nil, Yes, NotMeasured, false},
		{"not authoritative", nil, errorWithCause(CauseNotAuthoritative), No, NotMeasured, true},
		{"timeout", nil, errorWithCause(CauseTimeout), No, NotMeasured, false},
		{"a limit of the check", nil, errorWithCause(CauseLimit), NotMeasured, NotMeasured, false},
		{"address not allowed", nil, errorWithCause(CauseNotAllowed), NotMeasured, NotMeasured, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := evidence(testKeys(t, 1))
			e.Servers = []DelegationServer{delegationServer(1)}
			e.Servers[0].DNSKEY, e.Servers[0].Err = c.answer, c.err
			v := NewDelegation(e).Servers[0]
			if v.Up != c.up || v.Consistent != c.consistent || v.Lame != c.lame {
				t.Errorf("up %d, consistent %d, lame %t; want %d, %d, %t: %s", v.Up, v.Consistent, v.Lame, c.up, c.consistent, c.lame, v.Why)
			}
		})
	}
}

// The requests of all servers must name the same keys, by whatever records and digests
// (RFC 9975 §3.1). Servers that did not answer do not count.
func TestRequests(t *testing.T) {
	keys := testKeys(t, 3)
	old, next, unknown, many := keys[:1], keys[:2], testKeys(t, 1), testKeys(t, maxDelegationRecords+1)
	slices.SortFunc(many, func(a, b *dns.DNSKEY) int { return cmp.Compare(dsText(a.ToDS(dns.SHA256)), dsText(b.ToDS(dns.SHA256))) })
	remove := []dns.RR{&dns.CDS{DS: dns.DS{Digest: "00"}}}
	removeKey := []dns.RR{&dns.CDNSKEY{DNSKEY: dns.DNSKEY{Protocol: 3, PublicKey: "AA=="}}}
	number := 0
	server := func(cds, cdnskey []dns.RR) DelegationServer {
		number++
		s := delegationServer(number)
		s.CDS, s.CDNSKEY = zoneAnswer(dnssec.Secure, dns.TypeCDS, cds...), zoneAnswer(dnssec.Secure, dns.TypeCDNSKEY, cdnskey...)
		return s
	}
	cds := func(digestType uint8, keys []*dns.DNSKEY) []dns.RR { return recordsOfKeys(keys, asCDS(digestType)) }
	cdnskey := func(keys []*dns.DNSKEY) []dns.RR { return recordsOfKeys(keys, asCDNSKEY) }
	bogus := delegationServer(9)
	bogus.CDS, bogus.CDNSKEY = zoneAnswer(dnssec.Bogus, dns.TypeCDS), zoneAnswer(dnssec.Bogus, dns.TypeCDNSKEY)
	for _, c := range []struct {
		name           string
		servers        []DelegationServer
		agree, pending Measure
	}{
		{"none", []DelegationServer{server(nil, nil), server(nil, nil)}, NotMeasured, NotMeasured},
		{"the current key", []DelegationServer{server(cds(2, old), cdnskey(old)), server(cds(2, old), cdnskey(old))}, Yes, No},
		{"the next key too", []DelegationServer{server(cds(2, next), cdnskey(next)), server(cds(2, next), cdnskey(next))}, Yes, Yes},
		{"CDS alone", []DelegationServer{server(cds(2, next), nil)}, Yes, Yes},
		{"CDNSKEY alone", []DelegationServer{server(nil, cdnskey(old))}, Yes, No},
		{"another digest of the same key", []DelegationServer{server(cds(4, old), cdnskey(old)), server(cds(2, old), cdnskey(old))}, Yes, No},
		{"a key that is not published yet, by two digests", []DelegationServer{server(cds(4, unknown), cdnskey(unknown)), server(cds(2, unknown), cdnskey(unknown))}, Yes, Yes},
		{"one server is behind", []DelegationServer{server(cds(2, next), cdnskey(next)), server(cds(2, old), cdnskey(old))}, No, NotMeasured},
		{"one server has none", []DelegationServer{server(cds(2, old), nil), server(nil, nil)}, No, NotMeasured},
		{"CDS and CDNSKEY name different keys", []DelegationServer{server(cds(2, next), cdnskey(old))}, No, NotMeasured},
		{"the DS set is to be removed", []DelegationServer{server(remove, removeKey), server(remove, removeKey)}, Yes, Yes},
		{"one server requests the removal", []DelegationServer{server(remove, removeKey), server(cds(2, old), cdnskey(old))}, No, NotMeasured},
		{"servers differ only in the last of many keys", []DelegationServer{server(cds(2, many[:15]), nil), server(cds(2, slices.Concat(many[:14], many[15:16])), nil)}, No, NotMeasured},
		{"too many keys", []DelegationServer{server(cds(2, many), nil), server(nil, cdnskey(many))}, NotMeasured, NotMeasured},
		{"one server has CDS records, the other one CDNSKEY records", []DelegationServer{server(cds(2, old), nil), server(nil, cdnskey(old))}, No, NotMeasured},
		{"one server does not answer", []DelegationServer{server(cds(2, old), nil), failedServer(8, errorWithCause(CauseTimeout))}, Yes, No},
		{"one server is bogus", []DelegationServer{server(cds(2, old), nil), bogus}, Yes, No},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := evidence(keys)
			e.Servers = c.servers
			d := NewDelegation(e)
			if d.CDS.Agree != c.agree || d.CDSPending != c.pending {
				t.Errorf("agree %d, pending %d; want %d, %d: %s", d.CDS.Agree, d.CDSPending, c.agree, c.pending, d.CDS.Why)
			}
			if (d.CDS.Why != "") != (c.agree == No) {
				t.Errorf("why %q", d.CDS.Why)
			}
		})
	}
}

// Without the keys of the zone, it is not known which key a digest is of, so nothing is pending.
func TestRequestWithoutKeys(t *testing.T) {
	keys := testKeys(t, 1)
	e := evidence(keys)
	e.Keys = *zoneAnswer(dnssec.Indeterminate, dns.TypeDNSKEY)
	e.Servers = []DelegationServer{delegationServer(1)}
	e.Servers[0].CDS, e.Servers[0].CDNSKEY = zoneAnswer(dnssec.Secure, dns.TypeCDS, keys[0].ToDS(dns.SHA384).ToCDS()), zoneAnswer(dnssec.Secure, dns.TypeCDNSKEY)
	if d := NewDelegation(e); d.CDS.Agree != NotMeasured || d.CDSPending != NotMeasured {
		t.Errorf("agree %d, pending %d", d.CDS.Agree, d.CDSPending)
	}
}

// A request to remove the DS set is pending until the parent has none.
func TestRequestOfRemoval(t *testing.T) {
	for _, ds := range [][]dns.RR{nil, {testKeys(t, 1)[0].ToDS(dns.SHA256)}} {
		e := evidence(testKeys(t, 1))
		e.DS = *zoneAnswer(dnssec.Secure, dns.TypeDS, ds...)
		e.Servers = []DelegationServer{delegationServer(1)}
		e.Servers[0].CDS, e.Servers[0].CDNSKEY = zoneAnswer(dnssec.Insecure, dns.TypeCDS, &dns.CDS{DS: dns.DS{Digest: "00"}}), zoneAnswer(dnssec.Insecure, dns.TypeCDNSKEY)
		if d := NewDelegation(e); d.CDSPending != MeasureOf(len(ds) > 0) || d.Requested != deleteRequest {
			t.Errorf("%d DS records: pending %d, requested %q", len(ds), d.CDSPending, d.Requested)
		}
	}
}

// The NS records of the parent and of the zone are compared if both are known.
func TestNSRecords(t *testing.T) {
	ns := func(names ...string) (records []dns.RR) {
		for _, name := range names {
			records = append(records, &dns.NS{Ns: name})
		}
		return records
	}
	failed := failedAnswer(dnssec.ErrUnreachable, "example.org", dns.TypeNS)
	failed.Status, failed.Records = dnssec.Secure, ns("ns1.")
	for _, c := range []struct {
		name     string
		zone     *dnssec.Answer
		referral []string
		want     Measure
		why      string
	}{
		{"equal, in another order", zoneAnswer(dnssec.Secure, dns.TypeNS, ns("ns2.example.", "NS1.example.")...), []string{"ns1.example", "ns2.example"}, Yes, ""},
		{"one only in the parent", zoneAnswer(dnssec.Insecure, dns.TypeNS, ns("ns1.example.")...), []string{"ns1.example", "ns2.example"}, No, "only in the parent: ns2.example; only in the zone: none"},
		{"one only in the zone", zoneAnswer(dnssec.Secure, dns.TypeNS, ns("ns1.example.", "ns2.example.")...), []string{"ns1.example"}, No, "only in the parent: none; only in the zone: ns2.example"},
		{"no referral", zoneAnswer(dnssec.Secure, dns.TypeNS, ns("ns1.example.")...), nil, NotMeasured, ""},
		{"the zone has no NS records", zoneAnswer(dnssec.Secure, dns.TypeNS), []string{"ns1.example"}, NotMeasured, ""},
		{"the zone's are bogus", zoneAnswer(dnssec.Bogus, dns.TypeNS, ns("ns1.example.")...), []string{"ns2.example"}, NotMeasured, ""},
		{"the zone's were not looked up", &failed, []string{"ns2.example"}, NotMeasured, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := evidence(testKeys(t, 1))
			e.NS, e.Referral = *c.zone, c.referral
			if got := NewDelegation(e).NS; got != (Consistency{c.want, c.why}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// An examination in which no nameserver was queried measured nothing.
func TestDelegationIsMeasured(t *testing.T) {
	server := []NameserverVerdict{{Up: NotMeasured}, {Up: No}}
	for _, c := range []struct {
		d    Delegation
		want bool
	}{
		{Delegation{}, false},
		{Delegation{ParentServers: server[:1], Servers: server[:1]}, false},
		{Delegation{ParentServers: server}, true},
		{Delegation{Servers: server}, true},
	} {
		if got := c.d.Measured(); got != c.want {
			t.Errorf("%+v: measured %t", c.d, got)
		}
	}
}

// Keys and DS records are compared by digest: keys may share a tag.
func TestDelegationKeys(t *testing.T) {
	keys := testKeys(t, 3)
	former := *keys[0].ToDS(dns.SHA256)
	former.Digest = strings.Repeat("0", len(former.Digest)) // of another key with the tag
	e := evidence(keys)
	e.DS = *zoneAnswer(dnssec.Secure, dns.TypeDS, keys[0].ToDS(dns.SHA256), &former)
	e.Servers = []DelegationServer{delegationServer(1)}
	e.Servers[0].Signers = []dnssec.Key{{Tag: keys[1].KeyTag(), Algorithm: dns.ED25519}}
	d := NewDelegation(e)
	if len(d.DS) != 2 || d.DS[0].Matches() != "yes" || d.DS[1].Matches() != "no" {
		t.Errorf("DS %v", d.DS)
	}
	if !d.Keys[0].SEP || d.Keys[1].SEP || d.Keys[0].Idle() || d.Keys[1].Idle() || !d.Keys[2].Idle() {
		t.Errorf("keys %+v", d.Keys)
	}
	if n, known := d.IdleKeys(); n != 1 || !known {
		t.Errorf("%d idle keys, known %t", n, known)
	}
	if _, known := NewDelegation(evidence(keys)).IdleKeys(); known {
		t.Error("idle keys are known, and no signature was seen")
	}
	e.Keys = *zoneAnswer(dnssec.Bogus, dns.TypeDNSKEY)
	if d := NewDelegation(e); d.KeysKnown || d.DS[0].Matches() != "unknown" {
		t.Errorf("without keys: known %t, DS %v", d.KeysKnown, d.DS)
	}
}

// A hostile zone has a bounded number of records.
func TestDelegationIsBounded(t *testing.T) {
	keys := testKeys(t, 1)
	var many []dns.RR
	for i := range 1000 {
		ds := *keys[0].ToDS(dns.SHA256)
		ds.KeyTag = uint16(i)
		many = append(many, &ds)
	}
	e := evidence(keys, parentServer(1, zoneAnswer(dnssec.Secure, dns.TypeDS, many...)))
	e.DS = *zoneAnswer(dnssec.Secure, dns.TypeDS, many...)
	e.Keys = *zoneAnswer(dnssec.Secure, dns.TypeDNSKEY, slices.Repeat([]dns.RR{keys[0]}, 1000)...)
	d := NewDelegation(e)
	if len(d.DS) != maxDelegationRecords || len(d.Keys) != maxDelegationRecords || !d.Truncated || d.DSKnown {
		t.Errorf("%d DS, known %t, %d keys, truncated %t", len(d.DS), d.DSKnown, len(d.Keys), d.Truncated)
	}
}

func TestCuts(t *testing.T) {
	link := func(zone string, status dnssec.Status) dnssec.Link { return dnssec.Link{Zone: zone, Status: status} }
	for _, c := range []struct {
		name  string
		chain []dnssec.Link
		want  []Cut
	}{
		{"a top-level domain has no cut below the root", []dnssec.Link{link(".", dnssec.Secure), link("org.", dnssec.Secure)}, nil},
		{"a domain", []dnssec.Link{link(".", dnssec.Secure), link("org.", dnssec.Secure), link("example.org.", dnssec.Secure)}, []Cut{{"example.org.", "org."}}},
		{"an insecure delegation", []dnssec.Link{link(".", dnssec.Secure), link("org.", dnssec.Secure), link("example.org.", dnssec.Insecure)}, []Cut{{"example.org.", "org."}}},
		{"a zone that is bogus", []dnssec.Link{link(".", dnssec.Secure), link("org.", dnssec.Secure), link("example.org.", dnssec.Bogus)}, []Cut{{"example.org.", "org."}}},
		{"two levels", []dnssec.Link{link(".", dnssec.Secure), link("uk.", dnssec.Secure), link("co.uk.", dnssec.Secure), link("a.co.uk.", dnssec.Secure)},
			[]Cut{{"co.uk.", "uk."}, {"a.co.uk.", "co.uk."}}},
		{"two chains", []dnssec.Link{link(".", dnssec.Secure), link("org.", dnssec.Secure), link("a.org.", dnssec.Secure), link("net.", dnssec.Secure), link("b.net.", dnssec.Secure)},
			[]Cut{{"a.org.", "org."}, {"b.net.", "net."}}},
		{"no trust anchor", []dnssec.Link{link(".", dnssec.Insecure)}, nil},
		{"a trust anchor of its own", []dnssec.Link{link("example.org.", dnssec.Secure)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Cuts(&dnssec.Answer{Chain: c.chain}); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// What is wrong with a delegation is a warning if it makes lookups at one nameserver fail or
// a rollover stop, and advice otherwise. None changes the outcome.
func TestDelegationFindings(t *testing.T) {
	good := NameserverVerdict{Name: "ns1", Address: netip.MustParseAddr("192.0.2.1"), Up: Yes, Consistent: Yes}
	bad, lame, down := good, good, good
	bad.Consistent = No
	lame.Up, lame.Lame, lame.Consistent = No, true, NotMeasured
	down.Up, down.Consistent = No, NotMeasured
	match := DelegationDS{DS: dnssec.DS{Tag: 1, Algorithm: 13, DigestType: 2, Used: true}, Compared: true}
	ds := func(algorithm, digestType uint8, used, compared bool) DelegationDS {
		return DelegationDS{DS: dnssec.DS{Tag: 2, Algorithm: algorithm, DigestType: digestType, Used: used}, Compared: compared}
	}
	for _, c := range []struct {
		name    string
		d       Delegation
		reasons []Reason
		advice  []Topic
	}{
		{"good", Delegation{ParentServers: []NameserverVerdict{good}, Servers: []NameserverVerdict{good}, DSKnown: true, DS: []DelegationDS{match}, CDSPending: No}, nil, nil},
		{"nothing measured", Delegation{}, nil, nil},
		{"a server of the parent differs", Delegation{ParentServers: []NameserverVerdict{good, bad}}, []Reason{ParentInconsistent}, nil},
		{"a server of the parent does not serve it", Delegation{ParentServers: []NameserverVerdict{good, lame}}, []Reason{ParentInconsistent}, nil},
		{"a server of the parent does not answer", Delegation{ParentServers: []NameserverVerdict{good, down}}, nil, nil},
		{"a server does not serve the zone", Delegation{Servers: []NameserverVerdict{good, lame}}, []Reason{LameDelegation}, nil},
		{"a server has stale keys", Delegation{Servers: []NameserverVerdict{good, bad}}, []Reason{NameserverInconsistent}, nil},
		{"the only server has stale keys", Delegation{KeysKnown: true, Servers: []NameserverVerdict{bad}}, []Reason{NameserverInconsistent}, nil},
		{"the keys are bogus everywhere", Delegation{Servers: []NameserverVerdict{bad, bad}}, nil, nil},
		{"the only server of the parent is bogus", Delegation{DSKnown: true, ParentServers: []NameserverVerdict{bad}}, []Reason{ParentInconsistent}, nil},
		{"the DS records are bogus everywhere", Delegation{ParentServers: []NameserverVerdict{bad, bad}}, nil, nil},
		{"a server does not answer", Delegation{Servers: []NameserverVerdict{good, down}}, nil, nil},
		{"CDS records differ", Delegation{CDS: Consistency{Agree: No}}, []Reason{CDSInconsistent}, nil},
		{"CDS is pending", Delegation{DSKnown: true, DS: []DelegationDS{match}, CDSPending: Yes}, nil, []Topic{CDSPending}},
		{"a DS record matches no key", Delegation{DS: []DelegationDS{match, ds(13, 2, false, true)}}, nil, []Topic{DSWithoutKey}},
		{"no DS record matches: the zone is bogus", Delegation{DS: []DelegationDS{ds(13, 2, false, true)}}, nil, nil},
		{"the keys are not known", Delegation{DS: []DelegationDS{ds(13, 2, false, false), match}}, nil, nil},
		{"a SHA-1 digest", Delegation{DS: []DelegationDS{match, ds(13, 1, true, true)}}, nil, []Topic{ObsoleteDS}},
		{"RSASHA512", Delegation{DS: []DelegationDS{ds(10, 2, true, true)}}, nil, []Topic{ObsoleteDS}},
		{"ECDSAP384SHA384 and SHA-384", Delegation{DS: []DelegationDS{ds(14, 4, true, true)}}, nil, nil},
		{"keys without a DS record", Delegation{DSKnown: true, Keys: []DelegationKey{{}}}, nil, []Topic{KeysWithoutDS}},
		{"keys, DS records not known", Delegation{Keys: []DelegationKey{{}}}, nil, nil},
		{"an unsigned zone", Delegation{DSKnown: true}, nil, nil},
		{"NS records differ", Delegation{NS: Consistency{Agree: No}}, nil, []Topic{DelegationDiffers}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.d.Zone, c.d.Parent = "example.org", "org"
			mx := mxAnswer(dnssec.Secure)
			mx.Chain = []dnssec.Link{{Zone: "example.org.", Status: dnssec.Secure}}
			facts := &Facts{MX: mx, Hosts: []Host{host(10, addressAnswer(dnssec.Secure, "mx.example.org"), Service{})}, Delegations: []*Delegation{&c.d}}
			before := Judge(&Facts{MX: mx, Hosts: facts.Hosts}, Rules{Target: "example.org"}, time.Unix(1, 0))
			v := Judge(facts, Rules{Target: "example.org"}, time.Unix(1, 0))
			var reasons []Reason
			for _, f := range v.Findings[len(before.Findings):] {
				reasons = append(reasons, f.Reason)
				if f.Zone == "" || f.Reason.Info().Effect != EffectWarning {
					t.Errorf("finding %+v", f)
				}
			}
			var topics []Topic
			for _, a := range v.Advice[len(before.Advice):] {
				topics = append(topics, a.Topic)
			}
			if !slices.Equal(reasons, c.reasons) || !slices.Equal(topics, c.advice) {
				t.Errorf("reasons %v, advice %v; want %v, %v", reasons, topics, c.reasons, c.advice)
			}
			if v.Outcome != before.Outcome || v.Success != before.Success {
				t.Errorf("outcome %s, before %s", v.Outcome, before.Outcome)
			}
		})
	}
}

// The operator of a target cannot change the zones above its own, so they get no advice.
func TestNoAdviceOnZonesAbove(t *testing.T) {
	mx := mxAnswer(dnssec.Secure)
	mx.Chain = []dnssec.Link{{Zone: "co.uk.", Status: dnssec.Secure}, {Zone: "example.org.", Status: dnssec.Secure}}
	facts := &Facts{MX: mx, Delegations: []*Delegation{{Zone: "co.uk", Parent: "uk", NS: Consistency{Agree: No}}}}
	if v := Judge(facts, Rules{Target: "example.org"}, time.Unix(1, 0)); len(v.Advice) > 0 {
		t.Errorf("advice %v", v.Advice)
	}
}
