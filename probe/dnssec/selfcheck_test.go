package dnssec_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestSelfCheck checks that what container platforms and home routers do to DNS is
// recognized, with a remedy.
func TestSelfCheck(t *testing.T) {
	everything := zone.Under(".")
	withDO := func(change func(*dns.Msg)) zone.Fault {
		return zone.Fault{Where: everything, Answer: func(query, m *dns.Msg) error {
			if opt := query.IsEdns0(); opt != nil && opt.Do() {
				change(m)
			}
			return nil
		}}
	}
	isSig := func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG }
	strip := func(m *dns.Msg) {
		m.Answer = slices.DeleteFunc(m.Answer, isSig)
		m.Ns = slices.DeleteFunc(m.Ns, func(rr dns.RR) bool { return isSig(rr) || rr.Header().Rrtype == dns.TypeNSEC })
	}
	large := zone.Fault{Where: everything, Answer: func(query, _ *dns.Msg) error {
		if query.IsEdns0() != nil {
			return errors.New("tcp: connection refused")
		}
		return nil
	}}
	invents := respond(zone.Under("invalid."), func(m *dns.Msg) {
		m.Rcode = dns.RcodeSuccess
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(203, 0, 113, 80)}}
	})
	missing := func(p zone.Place) bool { return p.Zone != "." || p.Type != dns.TypeDNSKEY && p.Type != dns.TypeDS }
	yes, no := true, false
	for _, c := range []struct {
		name      string
		faults    []zone.Fault
		now       time.Time
		otherRoot bool // the anchors of another root
		problem   dnssec.Problem
		why       string
		anchored  *bool
	}{
		{name: "nothing is wrong", anchored: &yes},
		{name: "no answer", faults: []zone.Fault{{Where: everything, Answer: func(_, _ *dns.Msg) error { return errors.New("no route") }}}, problem: dnssec.ProblemNoAnswer, why: "no route"},
		{name: "silence", faults: []zone.Fault{zone.Silence(everything)}, problem: dnssec.ProblemNoAnswer, why: "does not answer"},
		{name: "DNSSEC records are stripped", faults: []zone.Fault{withDO(strip)}, problem: dnssec.ProblemStripped, why: "set resolver.servers"},
		{name: "proofs are stripped", faults: []zone.Fault{respond(zone.Under("com."), strip)}, problem: dnssec.ProblemStripped, why: "strips DNSSEC records", anchored: &yes},
		{name: "CD=1 is refused", faults: []zone.Fault{withCD(zone.Rcode(everything, dns.RcodeRefused))}, problem: dnssec.ProblemRefusesCD, why: "CD=1"},
		{name: "CD=1 is dropped", faults: []zone.Fault{withCD(zone.Silence(everything))}, problem: dnssec.ProblemRefusesCD, why: "does not respond to queries with CD=1", anchored: &yes},
		{name: "large answers are truncated, and there is no TCP", faults: []zone.Fault{withDO(func(m *dns.Msg) { m.Truncated, m.Answer = true, nil })}, problem: dnssec.ProblemNoTCP, why: "allow TCP"},
		{name: "large answers are lost", faults: []zone.Fault{large}, problem: dnssec.ProblemNoTCP, why: "allow TCP"},
		{name: "names that do not exist have an address", faults: []zone.Fault{invents}, problem: dnssec.ProblemFakesAnswers, why: "203.0.113.80", anchored: &yes},
		{name: "the clock is ahead", now: today.AddDate(2, 0, 0), problem: dnssec.ProblemWrongTime, why: "the clock of this machine is at 2028-03-15", anchored: &no},
		{name: "the clock is behind", now: today.AddDate(-2, 0, 0), problem: dnssec.ProblemWrongTime, why: "set the clock", anchored: &no},
		{name: "the anchors are of another root", otherRoot: true, problem: dnssec.ProblemWrongRoot, why: "resolver.trust_anchors", anchored: &no},
		{name: "the root is forged", faults: []zone.Fault{zone.Corrupt(zone.At(".", dns.TypeDNSKEY))}, problem: dnssec.ProblemOther, why: "the signature over . DNSKEY", anchored: &no},
		{name: "it has the root's keys, and fails for everything else", faults: []zone.Fault{zone.Rcode(missing, dns.RcodeServerFailure)}, problem: dnssec.ProblemNoUplink, why: "has not cached, such as in ., com.", anchored: &yes},
		{name: "it has the root's keys alone", faults: []zone.Fault{zone.Rcode(func(p zone.Place) bool { return p.Type != dns.TypeDNSKEY }, dns.RcodeServerFailure)}, problem: dnssec.ProblemNoUplink, why: "check its network", anchored: &yes},
		{name: "it has the root's keys, and is silent otherwise", faults: []zone.Fault{zone.Silence(missing)}, problem: dnssec.ProblemNoUplink, why: "check its network", anchored: &yes},
		{name: "it fails for everything", faults: []zone.Fault{zone.Rcode(everything, dns.RcodeServerFailure)}, problem: dnssec.ProblemOther, why: "SERVFAIL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, err := zone.New(clock, testZones("")...)
				if err != nil {
					t.Fatal(err)
				}
				for _, fault := range c.faults {
					inner.Break(zone.From(zone.FirstServer, fault))
				}
				anchors := inner.Anchors()
				if c.otherRoot {
					anchors = []dnssec.Anchor{*mustKey(".", "stranger", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP).Public.ToDS(dns.SHA256)}
				}
				now := today
				if !c.now.IsZero() {
					now = c.now
				}
				r := dnssec.New(inner, anchors, func() time.Time { return now }, dnssec.Options{})
				e := r.SelfCheck(t.Context())
				if len(e.Resolvers) != 2 {
					t.Fatalf("%+v", e)
				}
				first := e.Resolvers[0]
				if first.Server != zone.FirstServer || first.Problem != c.problem || (first.Why == "") != (c.problem == "") || !strings.Contains(first.Why, c.why) {
					t.Errorf("%s: %s; want %q … %s …", first.Problem, first.Why, c.problem, c.why)
				}
				if (first.Anchored == nil) != (c.anchored == nil) || c.anchored != nil && *first.Anchored != *c.anchored {
					t.Errorf("anchored %v, want %v", first.Anchored, c.anchored)
				}
				if e.Healthy() != (c.problem == "") || !strings.Contains(e.String(), zone.FirstServer+" ") {
					t.Errorf("good %v: %s", e.Healthy(), e)
				}
				alone := c.now.IsZero() && !c.otherRoot && c.name != "the root is forged"
				if second := e.Resolvers[1]; alone && (second.Problem != "" || !strings.Contains(e.String(), zone.SecondServer+" is good")) {
					t.Errorf("the other resolver: %+v", second)
				}
				if s := r.Stats(); s.CacheEntries != 0 {
					t.Errorf("the cache changed: %+v", s)
				}
			})
		})
	}
}

// TestSelfCheckOtherAnchors checks resolvers with anchors below the root, and
// without anchors.
func TestSelfCheckOtherAnchors(t *testing.T) {
	net, err := zone.New(clock, testZones("")...)
	if err != nil {
		t.Fatal(err)
	}
	ksk := mustKey("example.org.", "ksk", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP)
	for name, c := range map[string]struct {
		anchors []dnssec.Anchor
		known   bool
	}{"below the root": {[]dnssec.Anchor{*ksk.Public.ToDS(dns.SHA256)}, true}, "none": {nil, false}} {
		e := dnssec.New(net, c.anchors, clock, dnssec.Options{}).SelfCheck(t.Context())
		if anchored, known := e.Anchored(); !e.Healthy() || known != c.known || anchored != c.known {
			t.Errorf("%s: %s, anchored %v, known %v", name, e, anchored, known)
		}
	}
}

// losing loses the first queries with CD=1 for a question to each server.
type losing struct {
	*zone.Internet
	question dns.Question
	n        int
	lose     func(response *dns.Msg) (*dns.Msg, error)

	mu   sync.Mutex
	lost map[string]int
}

func (l *losing) ExchangeWith(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	response, err := l.Internet.ExchangeWith(ctx, server, query)
	l.mu.Lock()
	lose := query.CheckingDisabled && query.Question[0] == l.question && l.lost[server] < l.n
	if lose {
		l.lost[server]++
	}
	l.mu.Unlock()
	if lose {
		return l.lose(response)
	}
	return response, err
}

// TestSelfCheckConfirms checks that a resolver is reported for its treatment of CD=1
// only if it treats a second query in the same way.
func TestSelfCheckConfirms(t *testing.T) {
	drop := func(*dns.Msg) (*dns.Msg, error) { return nil, errors.New("no response") }
	fail := func(response *dns.Msg) (*dns.Msg, error) {
		response.Rcode, response.Answer, response.Ns = dns.RcodeServerFailure, nil, nil
		return response, nil
	}
	keys := dns.Question{Name: ".", Qtype: dns.TypeDNSKEY, Qclass: dns.ClassINET}
	ds := dns.Question{Name: "com.", Qtype: dns.TypeDS, Qclass: dns.ClassINET}
	for _, c := range []struct {
		name     string
		question dns.Question
		lose     func(*dns.Msg) (*dns.Msg, error)
		n        int
		problem  dnssec.Problem
	}{
		{"one is lost", keys, drop, 1, ""},
		{"all are lost", keys, drop, 100, dnssec.ProblemRefusesCD},
		{"one fails", ds, fail, 1, ""},
		{"one for the keys fails", keys, fail, 1, ""},
		{"all fail", ds, fail, 100, dnssec.ProblemRefusesCD},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner, err := zone.New(clock, testZones("")...)
			if err != nil {
				t.Fatal(err)
			}
			transport := &losing{Internet: inner, question: c.question, n: c.n, lose: c.lose, lost: make(map[string]int)}
			for _, h := range dnssec.New(transport, inner.Anchors(), clock, dnssec.Options{}).SelfCheck(t.Context()).Resolvers {
				if h.Problem != c.problem || (h.Why == "") != (c.problem == "") {
					t.Errorf("%s: %q: %s", h.Server, h.Problem, h.Why)
				}
				if h.Problem == "" && (h.Anchored == nil || !*h.Anchored) {
					t.Errorf("%s: not anchored", h.Server)
				}
				if transport.lost[h.Server] == 0 {
					t.Errorf("%s: no query was lost", h.Server)
				}
			}
		})
	}
}

// TestRootRollover follows the keys of the root through a rollover, with the anchors of
// before and with a file that has the new key: what the self-check reports at each stage.
func TestRootRollover(t *testing.T) {
	former := mustKey(".", "ksk 2017", dns.RSASHA256, dns.ZONE|dns.SEP)
	current := mustKey(".", "ksk 2024", dns.ECDSAP384SHA384, dns.ZONE|dns.SEP)
	next := mustKey(".", "ksk 2027", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP)
	zsk := mustKey(".", "zsk", dns.ECDSAP256SHA256, dns.ZONE)
	revoked := zone.Key{Public: dns.Copy(former.Public).(*dns.DNSKEY)}
	revoked.Public.Flags |= dns.REVOKE
	builtin := []dnssec.Anchor{*former.Public.ToDS(dns.SHA256), *current.Public.ToDS(dns.SHA256)}
	updated := append(slices.Clone(builtin), *next.Public.ToDS(dns.SHA256))
	tests := []struct {
		name, sentence string
		year           int
		keys           []zone.Key
		anchors        []dnssec.Anchor
		anchored       bool
		newKeys        []uint16
	}{
		{"both keys", "The former key is published, the current one signs.", 2026, []zone.Key{former.Idle(), current, zsk}, builtin, true, nil},
		{"former key revoked", "The revocation changes nothing.", 2027, []zone.Key{revoked, current, zsk}, builtin, true, nil},
		{"former key removed", "One anchor is enough.", 2027, []zone.Key{current, zsk}, builtin, true, nil},
		{"next key published", "There is time to update the anchors.", 2027, []zone.Key{current, next.Idle(), zsk}, builtin, true, []uint16{next.Public.KeyTag()}},
		{"next key published, anchors updated", "Nothing is left to do.", 2027, []zone.Key{current, next.Idle(), zsk}, updated, true, nil},
		{"next key signs, anchors not updated", "Nothing validates.", 2028, []zone.Key{current.Idle(), next, zsk}, builtin, false, nil},
		{"next key signs, anchors updated", "The new anchor validates.", 2028, []zone.Key{current.Idle(), next, zsk}, updated, true, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			clock := func() time.Time { return time.Date(test.year, 1, 11, 12, 0, 0, 0, time.UTC) }
			n, err := zone.New(clock, zone.Zone{Apex: ".", Keys: test.keys}, zone.Zone{Apex: "com"}, zone.Zone{Apex: "org"}, zone.Zone{Apex: "net"})
			if err != nil {
				t.Fatal(err)
			}
			result := dnssec.New(n, test.anchors, clock, dnssec.Options{}).SelfCheck(t.Context())
			anchored, known := result.Anchored()
			tags, valid := result.NewKeys()
			if !known || anchored != test.anchored || valid != test.anchored || !slices.Equal(tags, test.newKeys) {
				t.Errorf("%s\nanchored %t, want %t; new keys %v, want %v: %s", test.sentence, anchored, test.anchored, tags, test.newKeys, result)
			}
		})
	}
}
