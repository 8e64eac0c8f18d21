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

const firstServer, secondServer = zone.FirstServer, zone.SecondServer

// toldNotToCheck lets a fault act on queries with CD=1 alone.
func toldNotToCheck(fault zone.Fault) zone.Fault {
	act := fault.Answer
	fault.Answer = func(query, response *dns.Msg) error {
		if !query.CheckingDisabled {
			return nil
		}
		return act(query, response)
	}
	return fault
}

// TestSecondOpinion: an answer is bad only if nobody has a better one.
func TestSecondOpinion(t *testing.T) {
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
					t.Errorf("inconsistent: %q, wanted … %s …", a.Inconsistent, part)
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
	tell(t, []story{
		{name: "one resolver spoils the answer, the other does not", zones: world(""), faults: []zone.Fault{zone.From(firstServer, zone.Garble(at))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1,
			check: inconsistent(firstServer+": the signature over "+tlsa+" TLSA", secondServer+" gave an answer that validates")},
		{name: "one resolver spoils a zone's keys", zones: world(""), faults: []zone.Fault{zone.From(firstServer, zone.Garble(keys))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1},
		{name: "one resolver strips DNSSEC records", zones: world(""), faults: []zone.Fault{zone.From(firstServer, bare)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1},
		{name: "one resolver fails", zones: world(""), faults: []zone.Fault{zone.From(firstServer, zone.Rcode(at, dns.RcodeServerFailure))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1, check: inconsistent(firstServer + ": the resolver " + firstServer + " answered SERVFAIL")},
		{name: "both spoil it when told not to check", zones: world(""), faults: []zone.Fault{toldNotToCheck(zone.Garble(at))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1, check: inconsistent(firstServer + " with CD=0 gave an answer that validates")},
		{name: "both refuse the CD bit", zones: world(""), faults: []zone.Fault{toldNotToCheck(zone.Rcode(at, dns.RcodeFormatError))},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1, check: inconsistent("answered FORMERR", "with CD=0")},
		{name: "both spoil it always: the zone is to blame", zones: world(""), faults: []zone.Fault{zone.Corrupt(at)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, check: inconsistent()},
		{name: "one spoils it, and the other is silent", zones: world(""), faults: []zone.Fault{zone.From(firstServer, zone.Garble(at)), zone.From(secondServer, unreachable)},
			ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Bogus, check: inconsistent()},
		{name: "nothing is wrong", zones: world(""), ask: tlsa, qtype: dns.TypeTLSA, status: dnssec.Secure, records: 1, check: inconsistent()},
	})
}

// TestSecondOpinionIsBrief: a resolver that says nothing does not turn a
// verdict into a want of time.
func TestSecondOpinionIsBrief(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := zone.At(tlsa, dns.TypeTLSA)
		r, _, _ := setup(t, dnssec.Options{QueryTimeout: time.Hour}, world(""), zone.Corrupt(at), zone.From(secondServer, zone.Silence(at)))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if a := r.Lookup(ctx, tlsa, dns.TypeTLSA); a.Status != dnssec.Bogus || a.Err != nil {
			t.Errorf("%s %v: %s", a.Status, a.Err, a.Why)
		}
	})
}

// TestSecondOpinionPassesErrorsOn: what a validating resolver says with CD=0 is
// told, though its failure proves nothing.
func TestSecondOpinionPassesErrorsOn(t *testing.T) {
	at := zone.At(tlsa, dns.TypeTLSA)
	validates := zone.Fault{Where: at, Answer: func(query, m *dns.Msg) error {
		if !query.CheckingDisabled {
			m.Rcode, m.Answer = dns.RcodeServerFailure, nil
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus, ExtraText: "signature crypto failed"})
		}
		return nil
	}}
	r, _, _ := setup(t, dnssec.Options{}, world(""), zone.Corrupt(at), zone.From(firstServer, validates))
	a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
	if a.Status != dnssec.Bogus || len(a.EDE) != 1 || a.EDE[0] != "6 (DNSSEC Bogus): signature crypto failed" {
		t.Errorf("%s %q", a.Status, a.EDE)
	}
}
