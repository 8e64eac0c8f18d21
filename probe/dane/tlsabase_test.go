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
		a := addressed(total, name)
		a.Canonical = "real.example.net."
		a.Aliases = []dnssec.Alias{{From: name + ".", To: "between.example.com.", Status: first}, {From: "between.example.com.", To: a.Canonical, Status: rest}}
		return a
	}
	secure, insecure := dnssec.Secure, dnssec.Insecure
	for _, story := range []struct {
		name    string
		host    Host
		service Service
		policy  Policy
		want    []string
	}{
		{"a secure address", Host{A: addressed(secure, name)}, Service{}, SMTPRelay, []string{name}},
		{"an insecure address", Host{A: addressed(insecure, name)}, Service{}, SMTPRelay, nil},
		{"an insecure address, another client", Host{A: addressed(insecure, name)}, Service{}, Client, []string{name}},
		{"no address at all", Host{A: addressed(dnssec.Bogus, name)}, Service{}, SMTPRelay, nil},
		{"secure all the way: never the name between", Host{A: aliased(secure, secure, secure)}, Service{}, SMTPRelay, []string{"real.example.net", name}},
		{"the alias leads out of what is signed", Host{A: aliased(secure, insecure, insecure)}, Service{}, SMTPRelay, []string{name}},
		{"the host's own alias is insecure", Host{A: aliased(insecure, secure, insecure)}, Service{}, SMTPRelay, nil},
		{"one family insecure", Host{A: addressed(secure, name), AAAA: addressed(insecure, name)}, Service{}, SMTPRelay, nil},
		{"one family without addresses does not count", Host{A: addressed(secure, name), AAAA: &dnssec.Answer{Status: insecure}}, Service{}, SMTPRelay, []string{name}},
		{"one family lost does not count", Host{A: addressed(secure, name), AAAA: addressed(dnssec.Bogus, name)}, Service{}, SMTPRelay, []string{name}},
		{"by a secure SRV record", Host{A: addressed(secure, name)}, Service{SRV: &dnssec.Answer{Status: secure}}, Client, []string{name}},
		{"by a secure SRV record to an insecure address", Host{A: addressed(insecure, name)}, Service{SRV: &dnssec.Answer{Status: secure}}, Client, nil},
		{"by an insecure SRV record", Host{A: addressed(secure, name)}, Service{SRV: &dnssec.Answer{Status: insecure}}, Client, nil},
		{"the target named the address", Host{Pinned: netip.MustParseAddr("192.0.2.9"), A: &dnssec.Answer{Status: secure}}, Service{}, SMTPRelay, []string{name}},
	} {
		t.Run(story.name, func(t *testing.T) {
			story.host.Name = name
			if got := BaseCandidates(&story.host, &story.service, story.policy); !slices.Equal(got, story.want) {
				t.Errorf("got %v, want %v", got, story.want)
			}
		})
	}
}

func TestDecideTLSA(t *testing.T) {
	const record = "3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	full, own := "real.example.net", "mx.example.org"
	for _, story := range []struct {
		name    string
		lookups []TLSALookup
		want    TLSAState
		base    string
	}{
		{"nothing was asked", nil, StateNotApplicable, ""},
		{"records at the first", []TLSALookup{published(dnssec.Secure, full, record)}, StateFound, full},
		{"none at the first, records at the second", []TLSALookup{published(dnssec.Secure, full), published(dnssec.Secure, own, record)}, StateFound, own},
		{"insecure at the first, records at the second", []TLSALookup{published(dnssec.Insecure, full, record), published(dnssec.Secure, own, record)}, StateFound, own},
		{"a failure at the first ends it", []TLSALookup{lost(full, failed(dnssec.ErrServer, full, dns.TypeTLSA)), published(dnssec.Secure, own, record)}, StateFailed, full},
		{"none anywhere", []TLSALookup{published(dnssec.Secure, full), published(dnssec.Secure, own)}, StateAbsent, own},
		{"insecure everywhere", []TLSALookup{published(dnssec.Insecure, full), published(dnssec.Insecure, own)}, StateInsecure, full},
	} {
		t.Run(story.name, func(t *testing.T) {
			result := DecideTLSA(story.lookups)
			base := ""
			if result.Lookup != nil {
				base = result.Lookup.Base
			}
			if result.State != story.want || base != story.base {
				t.Errorf("got %d at %q, want %d at %q", result.State, base, story.want, story.base)
			}
		})
	}
}
