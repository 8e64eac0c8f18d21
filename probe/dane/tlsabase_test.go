package dane

import (
	"net/netip"
	"slices"
	"testing"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// The candidates follow RFC 7672 §2.2.2 and RFC 7671 §7.
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
		{"secure address", Host{A: addressAnswer(secure, name)}, Service{}, SMTPRelay, []string{name}},
		{"insecure address", Host{A: addressAnswer(insecure, name)}, Service{}, SMTPRelay, nil},
		{"insecure address, policy client", Host{A: addressAnswer(insecure, name)}, Service{}, Client, []string{name}},
		{"no address", Host{A: addressAnswer(dnssec.Bogus, name)}, Service{}, SMTPRelay, nil},
		{"secure alias chain: never the name in the middle", Host{A: aliased(secure, secure, secure)}, Service{}, SMTPRelay, []string{"real.example.net", name}},
		{"first alias secure, second insecure", Host{A: aliased(secure, insecure, insecure)}, Service{}, SMTPRelay, []string{name}},
		{"first alias insecure", Host{A: aliased(insecure, secure, insecure)}, Service{}, SMTPRelay, nil},
		{"one family insecure", Host{A: addressAnswer(secure, name), AAAA: addressAnswer(insecure, name)}, Service{}, SMTPRelay, nil},
		{"one family without addresses is ignored", Host{A: addressAnswer(secure, name), AAAA: &dnssec.Answer{Status: insecure}}, Service{}, SMTPRelay, []string{name}},
		{"one family bogus is ignored", Host{A: addressAnswer(secure, name), AAAA: addressAnswer(dnssec.Bogus, name)}, Service{}, SMTPRelay, []string{name}},
		{"secure SRV record", Host{A: addressAnswer(secure, name)}, Service{SRV: &dnssec.Answer{Status: secure}}, Client, []string{name}},
		{"secure SRV record, insecure address", Host{A: addressAnswer(insecure, name)}, Service{SRV: &dnssec.Answer{Status: secure}}, Client, nil},
		{"secure SRV record, one family secure", Host{A: addressAnswer(insecure, name), AAAA: addressAnswer(secure, name)}, Service{SRV: &dnssec.Answer{Status: secure}}, Client, []string{name}},
		{"secure SRV record, secure alias of an insecure address", Host{A: aliased(secure, insecure, insecure)}, Service{SRV: &dnssec.Answer{Status: secure}}, Client, nil},
		{"secure SRV record, secure alias chain", Host{A: aliased(secure, secure, secure)}, Service{SRV: &dnssec.Answer{Status: secure}}, Client, []string{"real.example.net", name}},
		{"no SRV record: fallback to the domain", Host{A: addressAnswer(secure, name)}, Service{Fallback: true}, Client, nil},
		{"insecure SRV record", Host{A: addressAnswer(secure, name)}, Service{SRV: &dnssec.Answer{Status: insecure}}, Client, nil},
		{"pinned address", Host{Pinned: netip.MustParseAddr("192.0.2.9"), A: &dnssec.Answer{Status: secure}}, Service{}, SMTPRelay, []string{name}},
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
		{"no lookup", nil, StateNotApplicable, ""},
		{"records at the first base", []TLSALookup{tlsaLookup(dnssec.Secure, full, record)}, StateFound, full},
		{"none at the first base, records at the second", []TLSALookup{tlsaLookup(dnssec.Secure, full), tlsaLookup(dnssec.Secure, own, record)}, StateFound, own},
		{"insecure at the first base, records at the second", []TLSALookup{tlsaLookup(dnssec.Insecure, full, record), tlsaLookup(dnssec.Secure, own, record)}, StateFound, own},
		{"the lookup at the first base fails", []TLSALookup{failedLookup(full, failedAnswer(dnssec.ErrServer, full, dns.TypeTLSA)), tlsaLookup(dnssec.Secure, own, record)}, StateFailed, full},
		{"none at both bases", []TLSALookup{tlsaLookup(dnssec.Secure, full), tlsaLookup(dnssec.Secure, own)}, StateAbsent, own},
		{"insecure at both bases", []TLSALookup{tlsaLookup(dnssec.Insecure, full), tlsaLookup(dnssec.Insecure, own)}, StateInsecure, full},
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
			if final := c.want == StateFound || c.want == StateFailed; result.Final() != final {
				t.Errorf("final %t, want %t", result.Final(), final)
			}
		})
	}
}

// Usable depends on the records and on the policy.
func TestTLSAResultUsable(t *testing.T) {
	const name, digest = "mx.example.org", " 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for _, c := range []struct {
		name          string
		lookups       []TLSALookup
		relay, client bool
	}{
		{"no lookup", nil, false, false},
		{"no records", []TLSALookup{tlsaLookup(dnssec.Secure, name)}, false, false},
		{"insecure records", []TLSALookup{tlsaLookup(dnssec.Insecure, name, "3"+digest)}, false, false},
		{"DANE-EE", []TLSALookup{tlsaLookup(dnssec.Secure, name, "3"+digest)}, true, true},
		{"PKIX-EE", []TLSALookup{tlsaLookup(dnssec.Secure, name, "1"+digest)}, false, true},
		{"a malformed digest", []TLSALookup{tlsaLookup(dnssec.Secure, name, "3 1 1 abcd")}, false, false},
	} {
		result := DecideTLSA(c.lookups)
		if relay, client := result.Usable(SMTPRelay), result.Usable(Client); relay != c.relay || client != c.client {
			t.Errorf("%s: got %t, %t; want %t, %t", c.name, relay, client, c.relay, c.client)
		}
	}
}

// The worst address lookup counts for mail servers, the best one for SRV records
// (RFC 7673 §3.2). Of equal ones it is the first.
func TestDecidingAddressAnswer(t *testing.T) {
	const name = "mx.example.org"
	secure, insecure := dnssec.Secure, dnssec.Insecure
	for _, c := range []struct {
		name    string
		a, aaaa dnssec.Status
		mx, srv string // the lookup that counts
	}{
		{"both secure", secure, secure, "a", "a"},
		{"both insecure", insecure, insecure, "a", "a"},
		{"A insecure", insecure, secure, "a", "aaaa"},
		{"AAAA insecure", secure, insecure, "aaaa", "a"},
		{"A failed", dnssec.Bogus, secure, "aaaa", "aaaa"},
		{"AAAA failed", insecure, dnssec.Bogus, "a", "a"},
	} {
		h := Host{Name: name, A: addressAnswer(c.a, name), AAAA: addressAnswer(c.aaaa, name)}
		of := map[*dnssec.Answer]string{h.A: "a", h.AAAA: "aaaa"}
		mx, srv := of[h.deciding(&Service{})], of[h.deciding(&Service{SRV: &dnssec.Answer{}})]
		if mx != c.mx || srv != c.srv {
			t.Errorf("%s: got %s and %s, want %s and %s", c.name, mx, srv, c.mx, c.srv)
		}
	}
}
