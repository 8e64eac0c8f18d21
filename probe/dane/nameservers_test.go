package dane

import (
	"errors"
	"fmt"
	"testing"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

func TestNameserverVerdicts(t *testing.T) {
	const name = "mx.example.org"
	one, two := "3 1 1 "+fmt.Sprintf("%064x", 1), "3 1 1 "+fmt.Sprintf("%064x", 2)
	said := func(status dnssec.Status, records ...string) *dnssec.Answer {
		lookup := published(status, name, records...)
		return &lookup.Answer
	}
	secure := dnssec.Secure
	keyless := failed(dnssec.ErrUnreachable, name, dns.TypeTLSA)
	for _, story := range []struct {
		name       string
		server     Nameserver
		resolved   *dnssec.Answer
		up         Measure
		consistent Measure
	}{
		{"the same records", Nameserver{TLSA: said(secure, one, two)}, said(secure, two, one), Yes, Yes},
		{"a record less", Nameserver{TLSA: said(secure, one)}, said(secure, one, two), Yes, No},
		{"another record", Nameserver{TLSA: said(secure, two)}, said(secure, one), Yes, No},
		{"none, as the resolver says", Nameserver{TLSA: said(secure)}, said(secure), Yes, Yes},
		{"some, where the resolver says none", Nameserver{TLSA: said(secure, one)}, said(secure), Yes, No},
		{"signatures that do not hold", Nameserver{TLSA: said(dnssec.Bogus, one)}, said(secure, one), Yes, No},
		{"no signatures", Nameserver{TLSA: said(dnssec.Insecure, one)}, said(secure, one), Yes, No},
		{"good ones, where the resolver gave bad ones", Nameserver{TLSA: said(secure, one)}, said(dnssec.Bogus, two), Yes, Yes},
		{"the zone's keys could not be had", Nameserver{TLSA: &keyless}, said(secure, one), Yes, NotMeasured},
		{"silence", Nameserver{Err: errors.New("timeout")}, said(secure, one), No, NotMeasured},
		{"no authority", Nameserver{Err: caused(CauseNotAuthoritative)}, said(secure, one), No, NotMeasured},
		{"no authority for the SOA alone", Nameserver{Err: caused(CauseNotAuthoritative), TLSA: said(secure, one)}, said(secure, one), No, Yes},
		{"our deadline came first", Nameserver{Err: errors.New("timeout"), TimedOutEarly: true}, said(secure, one), NotMeasured, NotMeasured},
		{"no way to IPv6", Nameserver{Err: caused(CauseIPv6Unavailable), Skipped: true}, said(secure, one), NotMeasured, NotMeasured},
		{"an address that access forbids", Nameserver{Err: caused(CauseNotAllowed)}, said(secure, one), NotMeasured, NotMeasured},
		{"a defect of ours", Nameserver{Err: &PanicError{Value: "oops"}}, said(secure, one), NotMeasured, NotMeasured},
	} {
		t.Run(story.name, func(t *testing.T) {
			v := judgeNameserver(&story.server, story.resolved)
			if v.Up != story.up || v.Consistent != story.consistent {
				t.Errorf("up %d, consistent %d; want %d, %d: %s", v.Up, v.Consistent, story.up, story.consistent, v.Why)
			}
			if v.Why == "" && (v.Up != Yes || v.Consistent != Yes) {
				t.Error("no why")
			}
		})
	}
}

func TestZoneOf(t *testing.T) {
	link := func(zone string, status dnssec.Status) dnssec.Link { return dnssec.Link{Zone: zone, Status: status} }
	root, org := link(".", dnssec.Secure), link("org.", dnssec.Secure)
	example, hoster := link("example.org.", dnssec.Secure), link("hoster.org.", dnssec.Secure)
	for _, story := range []struct {
		name      string
		status    dnssec.Status
		canonical string
		chain     []dnssec.Link
		want      string
	}{
		{"the deepest", dnssec.Secure, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, example}, "example.org."},
		{"after an alias", dnssec.Secure, "_25._tcp.mx.hoster.org.", []dnssec.Link{root, org, example, hoster}, "hoster.org."},
		{"before an alias", dnssec.Secure, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, example, hoster}, "example.org."},
		{"bad signatures in a zone that is proven", dnssec.Bogus, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, example}, "example.org."},
		{"a chain that broke", dnssec.Bogus, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, link("example.org.", dnssec.Bogus)}, ""},
		{"an unsigned zone", dnssec.Insecure, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, link("example.org.", dnssec.Insecure)}, ""},
		{"opted out of a signed zone", dnssec.Insecure, "_25._tcp.mx.example.org.", []dnssec.Link{root, org}, ""},
		{"no chain", dnssec.Indeterminate, "_25._tcp.mx.example.org.", nil, ""},
	} {
		if got := ZoneOf(&dnssec.Answer{Status: story.status, Canonical: story.canonical, Chain: story.chain}); got != story.want {
			t.Errorf("%s: got %q, want %q", story.name, got, story.want)
		}
	}
}
