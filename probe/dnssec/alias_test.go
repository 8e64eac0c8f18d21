package dnssec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestAliases checks that each step is judged in its own zone, and that the answer
// has the status of the worst.
func TestAliases(t *testing.T) {
	t.Parallel()
	records := `
alias CNAME mx
far CNAME www.hoster.net.
unsigned CNAME www.plain.net.
nowhere CNAME nothing.hoster.net.
nodata CNAME empty.hoster.net.
loop CNAME loop2
loop2 CNAME loop
*.any CNAME mx
tree DNAME hoster.net.
plain DNAME plain.net.
sub.tree2 DNAME tree
many0 CNAME many1
`
	for i := range 20 {
		records += fmt.Sprintf("many%d CNAME many%d\n", i+1, i+2)
	}
	zones := append(testZones(records),
		zone.Zone{Apex: "net."},
		zone.Zone{Apex: "hoster.net.", Records: "www A 192.0.2.20\nempty TXT x\nback CNAME mx.example.org.\n"},
		zone.Zone{Apex: "plain.net.", Unsigned: true, Delegation: zone.Insecure, Records: "www A 192.0.2.21\n"})
	aliases := func(want ...dnssec.Alias) func(*testing.T, dnssec.Answer) {
		return func(t *testing.T, a dnssec.Answer) {
			if fmt.Sprint(a.Aliases) != fmt.Sprint(want) {
				t.Errorf("aliases %v, want %v", a.Aliases, want)
			}
			if len(want) > 0 && a.Canonical != want[len(want)-1].To {
				t.Errorf("canonical %s, want %s", a.Canonical, want[len(want)-1].To)
			}
		}
	}
	const far, www = "far.example.org.", "www.hoster.net."
	// cut removes all but the first alias from an answer.
	cut := func(name string) zone.Fault {
		return respond(zone.At(name), func(m *dns.Msg) { m.Answer, m.Ns = m.Answer[:2], nil })
	}
	// stepwise makes a resolver answer with one alias at a time.
	plain, err := zone.New(clock, zones...)
	if err != nil {
		t.Fatal(err)
	}
	stepwise := zone.Fault{Where: zone.Under("example.org.", dns.TypeA), Answer: func(query, response *dns.Msg) error {
		one := query.Copy()
		one.Question[0].Qtype = dns.TypeCNAME
		alias, _, err := plain.Exchange(t.Context(), one)
		if err == nil && len(alias.Answer) > 0 {
			response.Rcode, response.Answer, response.Ns = dns.RcodeSuccess, alias.Answer, nil
		}
		return err
	}}
	swapped := respond(zone.At("www.tree.example.org."), func(m *dns.Msg) {
		for _, rr := range m.Answer {
			if cname, ok := rr.(*dns.CNAME); ok {
				cname.Target = "www.evil.net."
			}
		}
	})
	dropCNAME := respond(zone.At("www.tree.example.org."), func(m *dns.Msg) {
		var kept []dns.RR
		for _, rr := range m.Answer {
			if rr.Header().Rrtype != dns.TypeCNAME {
				kept = append(kept, rr)
			}
		}
		m.Answer = kept
	})
	long := strings.Repeat(strings.Repeat("a", 61)+".", 3) + strings.Repeat("b", 40)
	tooLong := append(testZones("long DNAME "+strings.Repeat(strings.Repeat("c", 61)+".", 3)+"example.net.\n"), zone.Zone{Apex: "net."})
	runCases(t, []lookupCase{
		{name: "in the same zone", zones: zones, ask: "alias.example.org.", qtype: dns.TypeA, status: dnssec.Secure, records: 1,
			check: aliases(dnssec.Alias{From: "alias.example.org.", To: "mx.example.org.", Status: dnssec.Secure})},
		{name: "queried as CNAME, it is not followed", zones: zones, ask: "alias.example.org.", qtype: dns.TypeCNAME, status: dnssec.Secure, records: 1, check: aliases()},
		{name: "into another signed zone", zones: zones, ask: far, qtype: dns.TypeA, status: dnssec.Secure, records: 1,
			check: func(t *testing.T, a dnssec.Answer) {
				aliases(dnssec.Alias{From: far, To: www, Status: dnssec.Secure})(t, a)
				var names []string
				for _, link := range a.Chain {
					names = append(names, link.Zone)
				}
				if fmt.Sprint(names) != "[. org. example.org. net. hoster.net.]" {
					t.Errorf("chain %v", names)
				}
			}},
		{name: "the resolver sends the alias alone", zones: zones, faults: []zone.Fault{cut(far)}, ask: far, qtype: dns.TypeA, status: dnssec.Secure, records: 1},
		{name: "into an unsigned zone", zones: zones, ask: "unsigned.example.org.", qtype: dns.TypeA, status: dnssec.Insecure, why: "plain.net.", records: 1,
			check: aliases(dnssec.Alias{From: "unsigned.example.org.", To: "www.plain.net.", Status: dnssec.Secure})},
		{name: "the alias is forged, the target is good", zones: zones, faults: []zone.Fault{zone.Corrupt(zone.At(far, dns.TypeCNAME))},
			ask: far, qtype: dns.TypeA, status: dnssec.Bogus, why: "the signature over far.example.org. CNAME"},
		{name: "the alias is unsigned in a signed zone", zones: zones, faults: []zone.Fault{zone.Strip(zone.At(far, dns.TypeCNAME))},
			ask: far, qtype: dns.TypeA, status: dnssec.Bogus, why: "far.example.org. CNAME carries no signature"},
		{name: "the target is forged", zones: zones, faults: []zone.Fault{zone.Corrupt(zone.At(www, dns.TypeA))},
			ask: far, qtype: dns.TypeA, status: dnssec.Bogus, why: "the signature over www.hoster.net. A",
			check: aliases(dnssec.Alias{From: far, To: www, Status: dnssec.Secure})},
		{name: "the target's servers fail", zones: zones, faults: []zone.Fault{cut(far), zone.Rcode(zone.At(www, dns.TypeA), dns.RcodeServerFailure)},
			ask: far, qtype: dns.TypeA, status: dnssec.Indeterminate, err: dnssec.ErrServer, why: "www.hoster.net. A"},
		{name: "to a name that does not exist", zones: zones, ask: "nowhere.example.org.", qtype: dns.TypeA, status: dnssec.Secure, rcode: dns.RcodeNameError,
			why: "hoster.net. proves that there is no nothing.hoster.net. A"},
		{name: "to a name without such records", zones: zones, ask: "nodata.example.org.", qtype: dns.TypeA, status: dnssec.Secure},
		{name: "to a name whose absence is not proven", zones: zones, faults: []zone.Fault{zone.Corrupt(zone.In("hoster.net.", dns.TypeNSEC))},
			ask: "nowhere.example.org.", qtype: dns.TypeA, status: dnssec.Bogus, why: "does not verify"},
		{name: "in a loop", zones: zones, faults: []zone.Fault{stepwise}, ask: "loop.example.org.", qtype: dns.TypeA, status: dnssec.Bogus, why: "form a loop"},
		{name: "too many", zones: zones, faults: []zone.Fault{stepwise}, ask: "many0.example.org.", qtype: dns.TypeA, status: dnssec.Indeterminate, err: dnssec.ErrLimit, why: "more than 16 aliases"},
		{name: "from a wildcard", zones: zones, ask: "x.any.example.org.", qtype: dns.TypeA, status: dnssec.Secure, records: 1},
		{name: "by a DNAME", zones: zones, ask: "www.tree.example.org.", qtype: dns.TypeA, status: dnssec.Secure, records: 1,
			check: aliases(dnssec.Alias{From: "www.tree.example.org.", To: www, Status: dnssec.Secure})},
		{name: "by a DNAME, queried as CNAME", zones: zones, ask: "www.tree.example.org.", qtype: dns.TypeCNAME, status: dnssec.Secure, records: 1, check: aliases()},
		{name: "by a DNAME, with a CNAME that does not follow from it", zones: zones, faults: []zone.Fault{swapped},
			ask: "www.tree.example.org.", qtype: dns.TypeA, status: dnssec.Bogus, why: "does not follow from tree.example.org. DNAME"},
		{name: "by a DNAME, without the CNAME", zones: zones, faults: []zone.Fault{dropCNAME}, ask: "www.tree.example.org.", qtype: dns.TypeA, status: dnssec.Secure, records: 1},
		{name: "by a forged DNAME", zones: zones, faults: []zone.Fault{zone.Corrupt(zone.At("tree.example.org.", dns.TypeDNAME))},
			ask: "www.tree.example.org.", qtype: dns.TypeA, status: dnssec.Bogus, why: "the signature over tree.example.org. DNAME"},
		{name: "by a DNAME into an unsigned zone", zones: zones, ask: "www.plain.example.org.", qtype: dns.TypeA, status: dnssec.Insecure, records: 1},
		{name: "by two DNAMEs", zones: zones, ask: "www.sub.tree2.example.org.", qtype: dns.TypeA, status: dnssec.Secure, records: 1,
			check: aliases(dnssec.Alias{From: "www.sub.tree2.example.org.", To: "www.tree.example.org.", Status: dnssec.Secure},
				dnssec.Alias{From: "www.tree.example.org.", To: www, Status: dnssec.Secure})},
		{name: "by a DNAME to a name that is too long (RFC 6672 §2.2)", zones: tooLong, ask: long + ".long.example.org.", qtype: dns.TypeA,
			status: dnssec.Secure, rcode: dns.RcodeYXDomain, why: "too long"},
		{name: "an alias is no zone cut, so an unsigned answer is bogus", zones: zones, faults: []zone.Fault{zone.Strip(zone.At("alias.example.org.", dns.TypeCNAME))},
			ask: "alias.example.org.", qtype: dns.TypeCNAME, status: dnssec.Bogus},
	})
}
