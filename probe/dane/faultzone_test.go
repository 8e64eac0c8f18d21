package dane

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// TestFaultZone checks which zone is the only cause of an outcome, and which zone each
// finding names.
func TestFaultZone(t *testing.T) {
	chain := selfSigned(t)
	matching := fmt.Sprintf("3 1 1 %x", sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo))
	other := fmt.Sprintf("3 1 1 %x", sha256.Sum256([]byte("another key")))
	secure := dnssec.Secure

	// brokenBy returns the answer of a lookup that a zone broke; "": it is not known which.
	brokenBy := func(zone, name string, qtype uint16) dnssec.Answer {
		a := answer(dnssec.Bogus, name, qtype)
		a.FaultZone = zone
		return a
	}
	brokenMX := func(zone string) *dnssec.Answer {
		a := brokenBy(zone, "example.org", dns.TypeMX)
		return &a
	}
	// The mail servers mx1 and mx2 of the domain, at the preferences 10 and 20.
	good := func(preference uint16, name string) Host {
		return host(preference, addressAnswer(secure, name), Service{TLSA: []TLSALookup{tlsaLookup(secure, name, matching)}, Endpoints: []Endpoint{completed(chain)}})
	}
	mismatching := func(preference uint16, name string) Host {
		return host(preference, addressAnswer(secure, name), Service{TLSA: []TLSALookup{tlsaLookup(secure, name, other)}, Endpoints: []Endpoint{completed(chain)}})
	}
	unreachable := func(preference uint16, name string) Host {
		return host(preference, addressAnswer(secure, name), Service{TLSA: []TLSALookup{tlsaLookup(secure, name, matching)},
			Endpoints: []Endpoint{failedAt(StageNone, errorWithCause(CauseConnect))}})
	}
	unknown := func(preference uint16, name string) Host {
		return host(preference, unreachableAnswer(name), Service{})
	}
	withoutAddress := func(preference uint16, name, zone string) Host {
		a := brokenBy(zone, name, dns.TypeA)
		return host(preference, &a, Service{})
	}
	withoutTLSA := func(preference uint16, name, zone string, endpoint Endpoint) Host {
		lookup := failedLookup(name, brokenBy(zone, TLSAOwner(name, 25), dns.TypeTLSA))
		return host(preference, addressAnswer(secure, name), Service{TLSA: []TLSALookup{lookup}, Endpoints: []Endpoint{endpoint}})
	}
	withoutIPv6 := func(h Host, zone string) Host {
		a := brokenBy(zone, h.Name, dns.TypeAAAA)
		h.AAAA = &a
		return h
	}
	mx := func(hosts ...Host) Facts {
		var names []string
		for _, h := range hosts {
			names = append(names, h.Name)
		}
		return Facts{MX: mxAnswer(secure, names...), Hosts: hosts}
	}

	for _, c := range []struct {
		name    string
		facts   Facts
		outcome Outcome
		want    string   // the only cause of the outcome
		found   []string // zones of the findings
	}{
		{"no fault", mx(good(10, "mx1.example.org")), Authenticated, "", nil},
		{"the MX lookup", Facts{MX: brokenMX("ORG.")}, Refused, "org", []string{"org"}},
		{"the MX lookup, and the zone is the root", Facts{MX: brokenMX(".")}, Refused, ".", []string{"."}},
		{"the MX lookup, and the zone is not known", Facts{MX: brokenMX("")}, Refused, "", nil},
		{"the address of the only host", mx(withoutAddress(10, "mx.hoster.net", "hoster.net.")), Refused, "hoster.net", []string{"hoster.net"}},
		{"the TLSA records of the only host", mx(withoutTLSA(10, "mx.hoster.net", "hoster.net.", completed(chain))), Refused, "hoster.net", []string{"hoster.net"}},
		{"all addresses of both hosts", mx(withoutIPv6(withoutAddress(10, "mx.a.net", "net."), "net."), withoutAddress(20, "mx.b.net", "net.")),
			Refused, "net", []string{"net"}},
		{"two zones, one for each host", mx(withoutAddress(10, "mx.a.net", "a.net."), withoutAddress(20, "mx.b.net", "b.net.")),
			Refused, "", []string{"a.net", "b.net"}},
		{"two zones, one for each address family", mx(withoutIPv6(withoutAddress(10, "mx.a.net", "a.net."), "net.")), Refused, "", []string{"a.net", "net"}},
		{"one zone, and one that is not known", mx(withoutAddress(10, "mx.a.net", "a.net."), withoutAddress(20, "mx.b.net", "")), Refused, "", []string{"a.net"}},
		{"the records of the other host do not match", mx(withoutAddress(10, "mx.a.net", "a.net."), mismatching(20, "mx.b.net")), Refused, "", []string{"a.net"}},
		{"the other host is unreachable", mx(withoutAddress(10, "mx.a.net", "a.net."), unreachable(20, "mx.b.net")), Refused, "", []string{"a.net"}},
		{"the same host is unreachable", mx(withoutTLSA(10, "mx.a.net", "a.net.", failedAt(StageNone, errorWithCause(CauseConnect)))), Refused, "", []string{"a.net"}},
		{"the other host cannot be judged", mx(withoutAddress(10, "mx.a.net", "a.net."), unknown(20, "mx.b.net")), Refused, "a.net", []string{"a.net"}},
		{"the other host works", mx(withoutAddress(10, "mx.a.net", "a.net."), good(20, "mx.b.net")), Authenticated, "", []string{"a.net"}},
		{"half of the addresses are lost", mx(withoutIPv6(good(10, "mx.a.net"), "a.net.")), Authenticated, "", []string{"a.net"}},
		{"half of the addresses are lost, and the others are unreachable", mx(withoutIPv6(unreachable(10, "mx.a.net"), "a.net.")), Unreachable, "", []string{"a.net"}},
		{"half of the addresses are lost, and the records do not match", mx(withoutIPv6(mismatching(10, "mx.a.net"), "a.net.")), Refused, "", []string{"a.net"}},
		{"all SRV lookups", Facts{SRV: []SRVLookup{{Service: "imap", Answer: brokenBy("org.", "_imap._tcp.example.org", dns.TypeSRV)}, {Service: "imaps", Answer: brokenBy("org.", "_imaps._tcp.example.org", dns.TypeSRV)}}},
			Refused, "org", []string{"org"}},
		{"SRV lookups, by two zones", Facts{SRV: []SRVLookup{{Service: "imap", Answer: brokenBy("org.", "_imap._tcp.example.org", dns.TypeSRV)}, {Service: "imaps", Answer: brokenBy("example.org.", "_imaps._tcp.example.org", dns.TypeSRV)}}},
			Refused, "", []string{"example.org", "org"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(&c.facts, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
			if v.Outcome != c.outcome || v.FaultZone != c.want {
				t.Errorf("%s by %q, want %s by %q: %+v", v.Outcome, v.FaultZone, c.outcome, c.want, v.Findings)
			}
			var found []string
			for _, f := range v.Findings {
				if f.Zone != "" {
					found = append(found, f.Zone)
				}
			}
			slices.Sort(found)
			if found = slices.Compact(found); !slices.Equal(found, c.found) {
				t.Errorf("the findings name the zones %q, want %q", found, c.found)
			}
		})
	}
}

// TestRefusalsHaveErrors checks that each reason for which a client refuses has the effect
// error, because faultZone considers the findings with that effect.
func TestRefusalsHaveErrors(t *testing.T) {
	for _, reason := range []Reason{DNSSECBogus, DNSFailure, TLSAMismatch, TrustAnchorNotSent, ChainInvalid, NameMismatch, CertificateExpired,
		CertificateNotYetValid, PKIXUntrusted, ConnectFailed, Timeout, ClientRejected, ProtocolError, StartTLSNotOffered, StartTLSRejected,
		TLSHandshakeFailed, ClientCertificateRequired} {
		if effect := reason.Info().Effect; effect != EffectError {
			t.Errorf("%s has the effect %s", reason, effect)
		}
	}
}
