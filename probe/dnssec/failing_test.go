package dnssec_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestWhoseFailure: a response code does not say who fails; the root's keys do.
func TestWhoseFailure(t *testing.T) {
	everything, answer, root := zone.Under("."), zone.At(tlsa), zone.At(".", dns.TypeDNSKEY)
	servfail, refused := dns.RcodeServerFailure, dns.RcodeRefused
	const ours = "the resolver fails for every query, even for . DNSKEY"
	told := func(story story) story {
		story.zones, story.ask, story.qtype, story.status = world(""), tlsa, dns.TypeTLSA, dnssec.Indeterminate
		story.check = func(t *testing.T, a dnssec.Answer) {
			if errors.Is(a.Err, dnssec.ErrUnreachable) != (story.err == dnssec.ErrUnreachable) || strings.Contains(a.Why, ours) != (story.why == ours) {
				t.Errorf("%v: %s", a.Err, a.Why)
			}
			if a.Work.Queries > 60 {
				t.Errorf("work %+v", a.Work)
			}
		}
		return story
	}
	tell(t, []story{
		told(story{name: "SERVFAIL at everything", faults: []zone.Fault{zone.Rcode(everything, servfail)}, err: dnssec.ErrUnreachable, why: ours}),
		told(story{name: "REFUSED at everything", faults: []zone.Fault{zone.Rcode(everything, refused)}, err: dnssec.ErrUnreachable, why: ours}),
		told(story{name: "the one refuses, the other fails", faults: []zone.Fault{zone.From(firstServer, zone.Rcode(everything, refused)),
			zone.From(secondServer, zone.Rcode(everything, servfail))}, err: dnssec.ErrUnreachable, why: ours}),
		told(story{name: "the one fails at everything, the other at this name", faults: []zone.Fault{zone.From(firstServer, zone.Rcode(everything, servfail)),
			zone.From(secondServer, zone.Rcode(answer, servfail))}, err: dnssec.ErrServer, why: "answered SERVFAIL to " + tlsa}),
		told(story{name: "SERVFAIL at this name alone", faults: []zone.Fault{zone.Rcode(answer, servfail)}, err: dnssec.ErrServer, why: "answered SERVFAIL to " + tlsa}),
		told(story{name: "SERVFAIL at all but the root's keys", faults: []zone.Fault{zone.Rcode(zone.Under("org."), servfail)}, err: dnssec.ErrServer, why: "answered SERVFAIL to " + tlsa}),
		told(story{name: "SERVFAIL at this name, and FORMERR at all with the CD bit", faults: []zone.Fault{zone.Rcode(answer, servfail),
			toldNotToCheck(zone.Rcode(everything, dns.RcodeFormatError))}, err: dnssec.ErrServer, why: tlsa}),
		told(story{name: "SERVFAIL at this name, and at the root's keys where it checks them", faults: []zone.Fault{zone.Rcode(answer, servfail),
			{Where: root, Answer: func(query, m *dns.Msg) error {
				if !query.CheckingDisabled {
					m.Rcode, m.Answer = servfail, nil
				}
				return nil
			}}}, err: dnssec.ErrServer, why: "answered SERVFAIL to " + tlsa}),
	})
}

// TestWarmBreakdown: a resolver that breaks when the chain is known is found out
// all the same, once for a crowd, and so is its recovery.
func TestWarmBreakdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, err := zone.New(clock, world("")...)
		if err != nil {
			t.Fatal(err)
		}
		now := today
		w := newWire(net)
		r := dnssec.New(w, net.Anchors(), func() time.Time { return now }, dnssec.Options{})
		look := func() dnssec.Answer { return r.Lookup(t.Context(), tlsa, dns.TypeTLSA) }
		if a := look(); a.Status != dnssec.Secure {
			t.Fatalf("%s: %s", a.Status, a.Why)
		}
		net.Break(zone.Rcode(zone.Under("."), dns.RcodeRefused))
		first := look()
		if !errors.Is(first.Err, dnssec.ErrUnreachable) || !strings.Contains(first.Why, "REFUSED") {
			t.Errorf("%v: %s", first.Err, first.Why)
		}
		second := look()
		if !errors.Is(second.Err, dnssec.ErrUnreachable) || second.Work.Queries >= first.Work.Queries {
			t.Errorf("%v; %d queries, then %d", second.Err, first.Work.Queries, second.Work.Queries)
		}
		now = now.Add(6 * time.Second)
		net.BreakOnly(zone.Rcode(zone.At(tlsa), dns.RcodeRefused))
		if a := look(); errors.Is(a.Err, dnssec.ErrUnreachable) || !errors.Is(a.Err, dnssec.ErrServer) {
			t.Errorf("it works again, but for this name: %v: %s", a.Err, a.Why)
		}
	})
}
