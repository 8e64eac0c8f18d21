package dnssec_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestExamine: what container platforms and home routers do to DNS is
// recognised, and told with what to do about it.
func TestExamine(t *testing.T) {
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
	yes, no := true, false
	for _, c := range []struct {
		name     string
		faults   []zone.Fault
		now      time.Time
		strange  bool // another root's anchors
		trouble  dnssec.Problem
		says     string
		anchored *bool
	}{
		{name: "nothing is wrong", anchored: &yes},
		{name: "no answer", faults: []zone.Fault{{Where: everything, Answer: func(_, _ *dns.Msg) error { return errors.New("no route") }}}, trouble: dnssec.ProblemNoAnswer, says: "no route"},
		{name: "silence", faults: []zone.Fault{zone.Silence(everything)}, trouble: dnssec.ProblemNoAnswer, says: "does not answer"},
		{name: "DNSSEC records are stripped", faults: []zone.Fault{withDO(strip)}, trouble: dnssec.ProblemStripped, says: "set resolver.servers"},
		{name: "proofs are stripped", faults: []zone.Fault{respond(zone.Under("com."), strip)}, trouble: dnssec.ProblemStripped, says: "strips DNSSEC records", anchored: &yes},
		{name: "CD is refused", faults: []zone.Fault{toldNotToCheck(zone.Rcode(everything, dns.RcodeRefused))}, trouble: dnssec.ProblemRefusesCD, says: "CD=1"},
		{name: "large answers are truncated, and there is no TCP", faults: []zone.Fault{withDO(func(m *dns.Msg) { m.Truncated, m.Answer = true, nil })}, trouble: dnssec.ProblemNoTCP, says: "allow TCP"},
		{name: "large answers are lost", faults: []zone.Fault{large}, trouble: dnssec.ProblemNoTCP, says: "allow TCP"},
		{name: "names that do not exist have an address", faults: []zone.Fault{invents}, trouble: dnssec.ProblemFakesAnswers, says: "203.0.113.80", anchored: &yes},
		{name: "the clock is ahead", now: today.AddDate(2, 0, 0), trouble: dnssec.ProblemWrongTime, says: "the clock of this machine is at 2028-03-15", anchored: &no},
		{name: "the clock is behind", now: today.AddDate(-2, 0, 0), trouble: dnssec.ProblemWrongTime, says: "set the clock", anchored: &no},
		{name: "the root is another", strange: true, trouble: dnssec.ProblemWrongRoot, says: "resolver.trust_anchors", anchored: &no},
		{name: "the root is forged", faults: []zone.Fault{zone.Corrupt(zone.At(".", dns.TypeDNSKEY))}, trouble: dnssec.ProblemOther, says: "the signature over . DNSKEY", anchored: &no},
		{name: "it fails altogether", faults: []zone.Fault{zone.Rcode(everything, dns.RcodeServerFailure)}, trouble: dnssec.ProblemOther, says: "SERVFAIL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, err := zone.New(clock, world("")...)
				if err != nil {
					t.Fatal(err)
				}
				for _, fault := range c.faults {
					inner.Break(zone.From(zone.FirstServer, fault))
				}
				anchors := inner.Anchors()
				if c.strange {
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
				if first.Server != zone.FirstServer || first.Problem != c.trouble || (first.Why == "") != (c.trouble == "") || !strings.Contains(first.Why, c.says) {
					t.Errorf("%s: %s; wanted %q … %s …", first.Problem, first.Why, c.trouble, c.says)
				}
				if (first.Anchored == nil) != (c.anchored == nil) || c.anchored != nil && *first.Anchored != *c.anchored {
					t.Errorf("anchored %v, wanted %v", first.Anchored, c.anchored)
				}
				if e.Healthy() != (c.trouble == "") || !strings.Contains(e.String(), zone.FirstServer+" ") {
					t.Errorf("good %v: %s", e.Healthy(), e)
				}
				alone := c.now.IsZero() && !c.strange && c.name != "the root is forged"
				if second := e.Resolvers[1]; alone && (second.Problem != "" || !strings.Contains(e.String(), zone.SecondServer+" is good")) {
					t.Errorf("the other: %+v", second)
				}
				if s := r.Stats(); s.CacheEntries != 0 {
					t.Errorf("it left something behind: %+v", s)
				}
			})
		})
	}
}

// TestExamineElsewhere: the anchors need not be the root's, nor be there at all.
func TestExamineElsewhere(t *testing.T) {
	net, err := zone.New(clock, world("")...)
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
