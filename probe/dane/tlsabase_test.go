package dane

import (
	"net/netip"
	"slices"
	"testing"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// RFC 7672 §2.2.2 and RFC 7671 §7, case by case.
func TestBaseCandidates(t *testing.T) {
	const name = "mx.example.org"
	aliased := func(first, rest, total dnssec.Status) *dnssec.Answer {
		a := addressAnswer(total, name)
		a.Canonical = "real.example.net."
		a.Aliases = []dnssec.Alias{{From: name + ".", To: "between.example.com.", Status: first}, {From: "between.example.com.", To: a.Canonical, Status: rest}}
		return a
	}
	secure, insecure := dnssec.Secure, dnssec.Insecure
	for _, c := range []struct {
		name    string
		host    Host
		service Service
		policy  Policy
		want    []string
	}{
		{"a secure address", Host{A: addressAnswer(secure, name)}, Service{}, SMTPRelay, []string{name}},
		{"an insecure address", Host{A: addressAnswer(insecure, name)}, Service{}, SMTPRelay, nil},
		{"an insecure address, another client", Host{A: addressAnswer(insecure, name)}, Service{}, Client, []string{name}},
		{"no address at all", Host{A: addressAnswer(dnssec.Bogus, name)}, Service{}, SMTPRelay, nil},
		{"secure all the way: never the name between", Host{A: aliased(secure, secure, secure)}, Service{}, SMTPRelay, []string{"real.example.net", name}},
		{"the alias leads out of what is signed", Host{A: aliased(secure, insecure, insecure)}, Service{}, SMTPRelay, []string{name}},
		{"the host's own alias is insecure", Host{A: aliased(insecure, secure, insecure)}, Service{}, SMTPRelay, nil},
		{"one family insecure", Host{A: addressAnswer(secure, name), AAAA: addressAnswer(insecure, name)}, Service{}, SMTPRelay, nil},
		{"one family without addresses does not count", Host{A: addressAnswer(secure, name), AAAA: &dnssec.Answer{Status: insecure}}, Service{}, SMTPRelay, []string{name}},
		{"one family lost does not count", Host{A: addressAnswer(secure, name), AAAA: addressAnswer(dnssec.Bogus, name)}, Service{}, SMTPRelay, []string{name}},
		{"by a secure SRV record", Host{A: addressAnswer(secure, name)}, Service{SRV: &dnssec.Answer{Status: secure}}, Client, []string{name}},
		{"by a secure SRV record to an insecure address", Host{A: addressAnswer(insecure, name)}, Service{SRV: &dnssec.Answer{Status: secure}}, Client, nil},
		{"by an insecure SRV record", Host{A: addressAnswer(secure, name)}, Service{SRV: &dnssec.Answer{Status: insecure}}, Client, nil},
		{"the target named the address", Host{Pinned: netip.MustParseAddr("192.0.2.9"), A: &dnssec.Answer{Status: secure}}, Service{}, SMTPRelay, []string{name}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.host.Name = name
			if got := BaseCandidates(&c.host, &c.service, c.policy); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestDecideTLSA(t *testing.T) {
	const record = "3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	full, own := "real.example.net", "mx.example.org"
	for _, c := range []struct {
		name    string
		lookups []TLSALookup
		want    TLSAState
		base    string
	}{
		{"nothing was asked", nil, StateNotApplicable, ""},
		{"records at the first", []TLSALookup{tlsaLookup(dnssec.Secure, full, record)}, StateFound, full},
		{"none at the first, records at the second", []TLSALookup{tlsaLookup(dnssec.Secure, full), tlsaLookup(dnssec.Secure, own, record)}, StateFound, own},
		{"insecure at the first, records at the second", []TLSALookup{tlsaLookup(dnssec.Insecure, full, record), tlsaLookup(dnssec.Secure, own, record)}, StateFound, own},
		{"a failure at the first ends it", []TLSALookup{failedLookup(full, failedAnswer(dnssec.ErrServer, full, dns.TypeTLSA)), tlsaLookup(dnssec.Secure, own, record)}, StateFailed, full},
		{"none anywhere", []TLSALookup{tlsaLookup(dnssec.Secure, full), tlsaLookup(dnssec.Secure, own)}, StateAbsent, own},
		{"insecure everywhere", []TLSALookup{tlsaLookup(dnssec.Insecure, full), tlsaLookup(dnssec.Insecure, own)}, StateInsecure, full},
	} {
		t.Run(c.name, func(t *testing.T) {
			result := DecideTLSA(c.lookups)
			base := ""
			if result.Lookup != nil {
				base = result.Lookup.Base
			}
			if result.State != c.want || base != c.base {
				t.Errorf("got %d at %q, want %d at %q", result.State, base, c.want, c.base)
			}
		})
	}
}
