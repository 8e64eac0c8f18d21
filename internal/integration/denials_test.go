//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	lab "dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// denialName is the zone of TestTwoDenials.
const denialName = "example.org."

// TestTwoDenials compares our verdict with Unbound's on denials with the records of
// two kinds or chains. A zone has them during a change of the method and with
// several signers (RFC 8901 §5.2). Each chain proves alone, in either order. A
// definite proof counts more than a chain above the limit of iterations (RFC 9276
// §3.2).
func TestTwoDenials(t *testing.T) {
	configureLoopback(t)
	tb := &testbed{dir: tempDir(t)}
	build := func(denial *lab.NSEC3) *lab.Internet {
		t.Helper()
		internet, err := lab.New(time.Now, lab.Zone{Apex: "org."}, lab.Zone{Apex: "open." + denialName, Unsigned: true, Delegation: lab.Insecure, Records: "mx A 192.0.2.3\n"},
			lab.Zone{Apex: denialName, NSEC3: denial, Records: "mx A 192.0.2.1\n*.wild TXT \"any\"\na.b A 192.0.2.2\n"})
		if err != nil {
			t.Fatal(err)
		}
		return internet
	}
	anchor := build(nil).Anchors()[0]
	tb.anchor = strings.ReplaceAll(anchor.String(), "\t", " ")
	l := newLane(t, tb, 0)
	chain := func(iterations uint16, salt string) *lab.NSEC3 { return &lab.NSEC3{Iterations: iterations, Salt: salt} }
	for _, c := range []struct {
		name          string
		first, second *lab.NSEC3 // nil: NSEC
		weak          bool       // neither proves
		// differs: for Unbound, records of NSEC3 chains on both sides of the limit are
		// insecure. For delv and us, the chain at the limit proves (RFC 5155 §8.2).
		differs bool
	}{
		{name: "NSEC, then NSEC3", second: chain(1, "ab")},
		{name: "NSEC3, then NSEC", first: chain(1, "ab")},
		{name: "NSEC, then NSEC3 above the limit", second: chain(nsec3Limit+1, "")},
		{name: "NSEC3 above the limit, then NSEC", first: chain(nsec3Limit+1, "")},
		{name: "two salts", first: chain(1, "ab"), second: chain(1, "cd")},
		{name: "NSEC3 above the limit, then at it", first: chain(nsec3Limit+1, "ab"), second: chain(nsec3Limit, "cd"), differs: true},
		{name: "NSEC3 at the limit, then above it", first: chain(nsec3Limit, "ab"), second: chain(nsec3Limit+1, "cd"), differs: true},
		{name: "both above the limit", first: chain(nsec3Limit+1, "ab"), second: chain(nsec3Limit+2, "cd"), weak: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, second := build(c.first), build(c.second)
			tr := &trial{number: -1, source: newSource()}
			for _, q := range []question{
				{"no." + denialName, dns.TypeA}, {"a.b.no." + denialName, dns.TypeA}, {"mx." + denialName, dns.TypeAAAA}, {"b." + denialName, dns.TypeA},
				{"any.wild." + denialName, dns.TypeTXT}, {"mx.open." + denialName, dns.TypeA},
			} {
				tr.source.fill(t, q, first, second)
				d, err := l.ask(t, tr, q)
				if err != nil {
					t.Fatal(err)
				}
				want := dnssec.Secure
				if c.weak || q.name == "mx.open."+denialName {
					want = dnssec.Insecure
				}
				if d.ours.Status != want {
					t.Errorf("%s: %s, want %s: %s", q, d.ours.Status, want, d.ours.Why)
				}
				if !c.differs {
					if d.difference() != "" {
						t.Error(d)
					}
					continue
				}
				if statusOf(d.reference) != dnssec.Insecure {
					t.Errorf("the difference to Unbound is gone: %s", d)
				}
				if delv, text := l.delv.status(t, q); delv != want {
					t.Errorf("%s: %s for us, %s for delv\n%s", q, d.ours.Status, delv, text)
				}
			}
		})
	}
}

// fill adds the responses that the chain of trust of q needs, as first gives them, with
// the NSEC and NSEC3 records of second too.
func (s *source) fill(t *testing.T, q question, first, second *lab.Internet) {
	t.Helper()
	ask := func(internet *lab.Internet, q question) *dns.Msg {
		t.Helper()
		query := new(dns.Msg).SetQuestion(q.name, q.qtype)
		query.SetEdns0(1232, true)
		response, _, err := internet.Exchange(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	add := func(q question) {
		response := ask(first, q)
		for _, rr := range ask(second, q).Ns {
			isDenial := slices.Contains([]uint16{dns.TypeNSEC, dns.TypeNSEC3}, covered(rr))
			if isDenial && !slices.ContainsFunc(response.Ns, func(known dns.RR) bool { return known.String() == rr.String() }) {
				response.Ns = append(response.Ns, rr)
			}
		}
		s.responses[q] = response
	}
	add(q)
	for i := 0; ; {
		for _, qtype := range []uint16{dns.TypeDS, dns.TypeDNSKEY, dns.TypeNS, dns.TypeSOA} {
			add(question{q.name[i:], qtype})
		}
		next, end := dns.NextLabel(q.name, i)
		if end {
			break
		}
		i = next
	}
	for _, qtype := range []uint16{dns.TypeDNSKEY, dns.TypeNS, dns.TypeSOA} {
		add(question{".", qtype})
	}
	add(question{fmt.Sprintf("_ta-%04x.", first.Anchors()[0].KeyTag), dns.TypeNULL}) // which anchors Unbound has (RFC 8145 §5.1)
}
