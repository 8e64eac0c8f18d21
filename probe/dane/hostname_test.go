package dane

import (
	"fmt"
	"strings"
	"testing"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// Some names lead nowhere (RFC 6761 §6.3, §6.4, RFC 6762 §22.1, RFC 7686 §2, RFC 8375
// §4). Others are no hostnames to Postfix.
func TestFaultOfMX(t *testing.T) {
	for _, c := range []struct {
		name, target string
		want         HostFault
	}{
		{"mx.example.org", "example.org", HostFine},
		{"mx_1.example-2.org", "example.org", HostFine},
		{"mx", "example.org", HostFine},
		{"1.2.3.4.example", "example.org", HostFine},
		{"09.az.AZ", "example.org", HostFine},
		{"mx.example.test", "example.org", HostFine},
		{"mx.nonexistent", "example.org", HostFine},
		{"notlocalhost", "example.org", HostFine},
		{"invalid.example.org", "example.org", HostFine},
		{"xn--bcher-kva.example", "example.org", HostFine},
		{strings.Repeat("a", 63) + ".example", "example.org", HostFine},

		{strings.Repeat("a.", 127) + "a", "example.org", HostFine}, // 255 octets

		{"localhost", "example.org", HostSpecialUse},
		{"mx.localhost", "example.org", HostSpecialUse},
		{"mx.invalid", "example.org", HostSpecialUse},
		{"printer.local", "example.org", HostSpecialUse},
		{"mx.onion", "example.org", HostSpecialUse},
		{"home.arpa", "example.org", HostSpecialUse},
		{"mx.home.arpa", "example.org", HostSpecialUse},
		{"mx.home.arpa", "house.home.arpa", HostFine},
		{"mx.home.arpa", "home.arpa", HostFine},
		{"mx.athome.arpa", "example.org", HostFine},

		{"192.0.2.1", "example.org", HostAddress},
		{"2001:db8::1", "example.org", HostAddress},

		{`b\195\188cher.example`, "example.org", HostInvalid},
		{`\"mx.example.org`, "example.org", HostInvalid},
		{`mx\ .example.org`, "example.org", HostInvalid},
		{"*.example.org", "example.org", HostInvalid},
		{"-mx.example.org", "example.org", HostInvalid},
		{"mx-.example.org", "example.org", HostInvalid},
		{"192.0.2.1.25", "example.org", HostInvalid},
		{"12345", "example.org", HostInvalid},
		{"", "example.org", HostInvalid},
		{"a..b", "example.org", HostInvalid},
		{strings.Repeat("a", 64) + ".example", "example.org", HostInvalid},
		{strings.Repeat("a.", 127) + "aa", "example.org", HostInvalid},
	} {
		t.Run(c.name+" of "+c.target, func(t *testing.T) {
			if got := FaultOfMX(c.name, c.target); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
			want := c.want
			if want == HostAddress {
				want = HostInvalid
			}
			if got := FaultOfName(c.name, c.target); got != want {
				t.Errorf("not of an MX record: got %d, want %d", got, want)
			}
		})
	}
}

// An alias of a name that clients do not connect to decides, whatever resolvers
// answer for that name; a failure before it does not.
func TestExamineAliases(t *testing.T) {
	const name = "mx.example.org"
	alias := func(status dnssec.Status, to string) *dnssec.Answer {
		a := answer(status, name, dns.TypeA)
		a.Aliases, a.Canonical = []dnssec.Alias{{From: name + ".", To: to, Status: dnssec.Secure}}, to
		return &a
	}
	bogus := answer(dnssec.Bogus, name, dns.TypeAAAA)
	for _, c := range []struct {
		name    string
		a, aaaa *dnssec.Answer
		want    Outcome
		reasons []Reason
	}{
		{"special-use, bogus there", alias(dnssec.Bogus, "parked.invalid."), alias(dnssec.Bogus, "parked.invalid."), None, []Reason{SpecialUseName}},
		{"special-use, insecure there", alias(dnssec.Insecure, "localhost."), alias(dnssec.Insecure, "localhost."), None, []Reason{SpecialUseName}},
		{"special-use, one lookup failed before the alias", alias(dnssec.Bogus, "parked.invalid."), &bogus, None, []Reason{DNSSECBogus, SpecialUseName}},
		{"not a hostname", alias(dnssec.Secure, `b\195\188cher.example.`), nil, None, []Reason{InvalidHostname}},
		{"an ordinary name, bogus there", alias(dnssec.Bogus, "parked.example."), nil, Refused, []Reason{DNSSECBogus}},
		{"no alias, bogus", nil, &bogus, Refused, []Reason{DNSSECBogus}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := Host{Name: name, A: c.a, AAAA: c.aaaa, Services: []Service{{Port: 25, Protocol: "smtp"}}}
			h.ExamineAliases("example.org")
			v := Judge(&Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{h}}, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
			if v.Outcome != c.want || fmt.Sprint(reasonsOf(v)) != fmt.Sprint(c.reasons) {
				t.Errorf("got %s, %v; want %s, %v", v.Outcome, v.Findings, c.want, c.reasons)
			}
			if h.Fault.blocks() && len(h.Addresses()) > 0 {
				t.Errorf("addresses %v", h.Addresses())
			}
		})
	}
}

// An MX, SRV or TLSA name that is an alias of a special-use name has no records,
// whatever resolvers answer for that name.
func TestAliasOfSpecialUseName(t *testing.T) {
	const domain, name = "example.org", "mx.example.org"
	failed := func(owner string, qtype uint16, to string) dnssec.Answer {
		a := answer(dnssec.Bogus, owner, qtype)
		a.Aliases, a.Canonical = []dnssec.Alias{{From: dns.Fqdn(owner), To: to, Status: dnssec.Secure}}, to
		return WithoutSpecialUse(a, domain)
	}
	hosts := func(to string) []Host {
		lookup := TLSALookup{Base: name, Answer: failed(TLSAOwner(name, 25), dns.TypeTLSA, to)}
		return []Host{host(10, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{lookup}, Endpoints: []Endpoint{completed(selfSigned(t))}})}
	}
	mx := func(to string) *dnssec.Answer { a := failed(domain, dns.TypeMX, to); return &a }
	srv := func(to string) []SRVLookup {
		return []SRVLookup{{Service: "submission", Answer: failed("_submission._tcp."+domain, dns.TypeSRV, to)}}
	}
	for _, c := range []struct {
		name    string
		facts   Facts
		want    Outcome
		reasons []Reason
	}{
		{"MX", Facts{MX: mx("parked.invalid.")}, None, []Reason{SpecialUseName}},
		{"MX, an ordinary name", Facts{MX: mx("parked.example.")}, Refused, []Reason{DNSSECBogus}},
		{"SRV", Facts{SRV: srv("parked.invalid.")}, None, []Reason{NoSRV}},
		{"SRV, an ordinary name", Facts{SRV: srv("parked.example.")}, Refused, []Reason{DNSSECBogus}},
		{"TLSA", Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: hosts("parked.invalid.")}, Opportunistic, []Reason{TLSAAliasDangling}},
		{"TLSA, an ordinary name", Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: hosts("parked.example.")}, Refused, []Reason{DNSSECBogus}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(&c.facts, Rules{Target: domain, Policy: SMTPRelay}, noon)
			if v.Outcome != c.want || fmt.Sprint(reasonsOf(v)) != fmt.Sprint(c.reasons) {
				t.Errorf("got %s, %v; want %s, %v", v.Outcome, v.Findings, c.want, c.reasons)
			}
		})
	}
}

// For a target below home.arpa, names there are ordinary ones: a lookup that fails
// at one remains failed, whatever the name that leads to it.
func TestAliasWithinHomeNetwork(t *testing.T) {
	a := answer(dnssec.Bogus, "_25._tcp.mx.example.org", dns.TypeTLSA)
	a.Aliases, a.Canonical = []dnssec.Alias{{From: a.Name, To: "nas.home.arpa.", Status: dnssec.Secure}}, "nas.home.arpa."
	for target, want := range map[string]dnssec.Status{"office.home.arpa": dnssec.Bogus, "example.org": dnssec.Secure} {
		if got := WithoutSpecialUse(a, target).Status; got != want {
			t.Errorf("target %s: %s, want %s", target, got, want)
		}
	}
}
