package dane

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

func TestNameserverVerdicts(t *testing.T) {
	const name = "mx.example.org"
	one, two := "3 1 1 "+fmt.Sprintf("%064x", 1), "3 1 1 "+fmt.Sprintf("%064x", 2)
	answered := func(status dnssec.Status, records ...string) *dnssec.Answer {
		lookup := tlsaLookup(status, name, records...)
		return &lookup.Answer
	}
	secure := dnssec.Secure
	withoutKeys := failedAnswer(dnssec.ErrUnreachable, name, dns.TypeTLSA)
	for _, c := range []struct {
		name       string
		server     Nameserver
		resolved   *dnssec.Answer
		up         Measure
		consistent Measure
	}{
		{"the same records", Nameserver{TLSA: answered(secure, one, two)}, answered(secure, two, one), Yes, Yes},
		{"one record missing", Nameserver{TLSA: answered(secure, one)}, answered(secure, one, two), Yes, No},
		{"a different record", Nameserver{TLSA: answered(secure, two)}, answered(secure, one), Yes, No},
		{"no records, the resolver has none", Nameserver{TLSA: answered(secure)}, answered(secure), Yes, Yes},
		{"a record, the resolver has none", Nameserver{TLSA: answered(secure, one)}, answered(secure), Yes, No},
		{"bogus signatures", Nameserver{TLSA: answered(dnssec.Bogus, one)}, answered(secure, one), Yes, No},
		{"no signatures", Nameserver{TLSA: answered(dnssec.Insecure, one)}, answered(secure, one), Yes, No},
		{"valid signatures, the resolver's answer is bogus", Nameserver{TLSA: answered(secure, one)}, answered(dnssec.Bogus, two), Yes, Yes},
		{"the lookup of the zone's keys failed", Nameserver{TLSA: &withoutKeys}, answered(secure, one), Yes, NotMeasured},
		{"timeout", Nameserver{Err: errors.New("timeout")}, answered(secure, one), No, NotMeasured},
		{"not authoritative", Nameserver{Err: errorWithCause(CauseNotAuthoritative)}, answered(secure, one), No, NotMeasured},
		{"not authoritative for the SOA only", Nameserver{Err: errorWithCause(CauseNotAuthoritative), TLSA: answered(secure, one)}, answered(secure, one), No, Yes},
		{"deadline before the minimum time", Nameserver{Err: errors.New("timeout"), TimedOutEarly: true}, answered(secure, one), NotMeasured, NotMeasured},
		{"no local IPv6", Nameserver{Err: errorWithCause(CauseIPv6Unavailable), Skipped: true}, answered(secure, one), NotMeasured, NotMeasured},
		{"address not allowed", Nameserver{Err: errorWithCause(CauseNotAllowed)}, answered(secure, one), NotMeasured, NotMeasured},
		{"a limit of the probe", Nameserver{Err: errorWithCause(CauseLimit)}, answered(secure, one), NotMeasured, NotMeasured},
		{"panic", Nameserver{Err: &PanicError{Value: "oops"}}, answered(secure, one), NotMeasured, NotMeasured},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := judgeNameserver(&c.server, c.resolved)
			if v.Up != c.up || v.Consistent != c.consistent {
				t.Errorf("up %d, consistent %d; want %d, %d: %s", v.Up, v.Consistent, c.up, c.consistent, v.Why)
			}
			if v.Why == "" && (v.Up != Yes || v.Consistent != Yes) {
				t.Error("Why is empty")
			}
		})
	}
}

// A nameserver that differs, or does not serve the zone, is a finding. One that does
// not answer is not: the resolver uses another.
func TestNameserverFindings(t *testing.T) {
	const name = "mx.example.org"
	one, two := "3 1 1 "+fmt.Sprintf("%064x", 1), "3 1 1 "+fmt.Sprintf("%064x", 2)
	lookup, other := tlsaLookup(dnssec.Secure, name, one), tlsaLookup(dnssec.Secure, name, two)
	for _, c := range []struct {
		name   string
		server Nameserver
		want   bool
	}{
		{"the same records", Nameserver{TLSA: &lookup.Answer}, false},
		{"other records", Nameserver{TLSA: &other.Answer}, true},
		{"not authoritative", Nameserver{Err: errorWithCause(CauseNotAuthoritative)}, true},
		{"not authoritative for the SOA only", Nameserver{Err: errorWithCause(CauseNotAuthoritative), TLSA: &lookup.Answer}, true},
		{"timeout", Nameserver{Err: errorWithCause(CauseTimeout)}, false},
		{"not queried", Nameserver{Err: errorWithCause(CauseIPv6Unavailable), Skipped: true}, false},
	} {
		c.server.Name = "ns1.example.org"
		h := host(10, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{lookup}, Endpoints: []Endpoint{failedAt(StageNone, errorWithCause(CauseConnect))},
			Nameservers: &Nameservers{Zone: "example.org", Servers: []Nameserver{c.server}}})
		v := Judge(&Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{h}}, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
		if got := slices.Contains(reasonsOf(v), NameserverInconsistent); got != c.want || len(v.Services[0].Nameservers) != 1 {
			t.Errorf("%s: finding %t, want %t: %+v", c.name, got, c.want, v.Findings)
		}
	}
}

// Nameservers that a limit of the probe left unchecked are one finding, which changes no
// outcome.
func TestLimitedNameserversAreFound(t *testing.T) {
	const name = "mx.example.org"
	lookup := tlsaLookup(dnssec.Secure, name, "3 1 1 "+fmt.Sprintf("%064x", 1))
	limited, failed := failedAnswer(dnssec.ErrBudget, "example.org", dns.TypeNS), failedAnswer(dnssec.ErrServer, "example.org", dns.TypeNS)
	server := func(err error) Nameserver { return Nameserver{Name: "ns1.example.org", Err: err} }
	for _, c := range []struct {
		name        string
		nameservers Nameservers
		want        int // findings
	}{
		{"no limit", Nameservers{Servers: []Nameserver{server(errors.New("timeout"))}}, 0},
		{"the lookup of the nameservers failed", Nameservers{NS: &failed}, 0},
		{"the lookup of the nameservers", Nameservers{NS: &limited}, 1},
		{"two of three servers", Nameservers{Servers: []Nameserver{server(errorWithCause(CauseLimit)), server(nil), server(errorWithCause(CauseLimit))}}, 1},
	} {
		c.nameservers.Zone = "example.org"
		h := host(10, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{lookup}, Endpoints: []Endpoint{failedAt(StageNone, errorWithCause(CauseConnect))},
			Nameservers: &c.nameservers})
		v := Judge(&Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{h}}, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
		found := 0
		for _, f := range v.Findings {
			if f.Reason == LimitExceeded {
				found++
			}
		}
		if found != c.want || v.Outcome != Unreachable {
			t.Errorf("%s: %s, %d findings, want %d: %+v", c.name, v.Outcome, found, c.want, v.Findings)
		}
	}
}

// A probe that a limit ended is unknown because of that limit.
func TestProbeEndedByLimit(t *testing.T) {
	v := Judge(&Facts{Err: errorWithCause(CauseLimit)}, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
	if v.Outcome != Unknown || v.Success || !slices.Equal(reasonsOf(v), []Reason{LimitExceeded}) {
		t.Errorf("%s, %v", v.Outcome, v.Findings)
	}
}

func TestZoneOf(t *testing.T) {
	link := func(zone string, status dnssec.Status) dnssec.Link { return dnssec.Link{Zone: zone, Status: status} }
	root, org := link(".", dnssec.Secure), link("org.", dnssec.Secure)
	example, hoster := link("example.org.", dnssec.Secure), link("hoster.org.", dnssec.Secure)
	for _, c := range []struct {
		name      string
		status    dnssec.Status
		canonical string
		chain     []dnssec.Link
		want      string
	}{
		{"the deepest zone", dnssec.Secure, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, example}, "example.org."},
		{"after an alias", dnssec.Secure, "_25._tcp.mx.hoster.org.", []dnssec.Link{root, org, example, hoster}, "hoster.org."},
		{"before an alias", dnssec.Secure, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, example, hoster}, "example.org."},
		{"bogus signatures in a secure zone", dnssec.Bogus, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, example}, "example.org."},
		{"broken chain of trust", dnssec.Bogus, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, link("example.org.", dnssec.Bogus)}, ""},
		{"an unsigned zone", dnssec.Insecure, "_25._tcp.mx.example.org.", []dnssec.Link{root, org, link("example.org.", dnssec.Insecure)}, ""},
		{"opt-out in a signed zone", dnssec.Insecure, "_25._tcp.mx.example.org.", []dnssec.Link{root, org}, ""},
		{"no chain", dnssec.Indeterminate, "_25._tcp.mx.example.org.", nil, ""},
	} {
		if got := ZoneOf(&dnssec.Answer{Status: c.status, Canonical: c.canonical, Chain: c.chain}, c.canonical); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// The serial number of a zone is known from one SOA record only.
func TestNameserverSerial(t *testing.T) {
	soa, other := &dns.SOA{Serial: 7}, &dns.SOA{Serial: 8}
	withRecords := func(records ...dns.RR) *dnssec.Answer {
		a := answer(dnssec.Secure, "example.org", dns.TypeSOA, records...)
		return &a
	}
	for _, c := range []struct {
		name   string
		soa    *dnssec.Answer
		serial uint32
		known  bool
	}{
		{"one record", withRecords(soa), 7, true},
		{"no answer", nil, 0, false},
		{"no record", withRecords(), 0, false},
		{"two records", withRecords(soa, other), 0, false},
		{"a record of another type", withRecords(&dns.A{}), 0, false},
	} {
		server := Nameserver{SOA: c.soa}
		if serial, known := server.Serial(); serial != c.serial || known != c.known {
			t.Errorf("%s: got %d, %t; want %d, %t", c.name, serial, known, c.serial, c.known)
		}
	}
}

// A list in a finding has at most 8 elements.
func TestFirstFew(t *testing.T) {
	list := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}
	for n, want := range map[int]string{0: "", 1: "1", 8: "1, 2, 3, 4, 5, 6, 7, 8", 9: "1, 2, 3, 4, 5, 6, 7, 8 and 1 more", 10: "1, 2, 3, 4, 5, 6, 7, 8 and 2 more"} {
		if got := firstFew(list[:n]); got != want {
			t.Errorf("%d elements: %q, want %q", n, got, want)
		}
	}
}
