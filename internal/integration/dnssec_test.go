//go:build integration

package integration

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

// rsasha1Difference is the reason for an intended difference between the references and us.
const rsasha1Difference = "the references still accept RSASHA1-NSEC3-SHA1. RFC 9905 §2: operators of validating resolvers “MUST treat RSASHA1 and " +
	"RSASHA1-NSEC3-SHA1 DS records as insecure”, which is our default"

// expectedDifferences returns the zones whose status differs on purpose, with the reason.
func expectedDifferences() map[string]string {
	return map[string]string{
		"rsasha1.example.": rsasha1Difference,
	}
}

// expected returns the status that a lookup must have for us, given that of a reference.
func (tb *testbed) expected(q question, reference dnssec.Status) dnssec.Status {
	if expectedDifferences()[zoneOf(tb.zones, q)] != "" && reference == dnssec.Secure {
		return dnssec.Insecure
	}
	return reference
}

// A question is the name and type of a lookup.
type question struct {
	name  string
	qtype uint16
}

func (q question) String() string { return q.name + " " + dns.TypeToString[q.qtype] }

// absentNames returns names without records of their own, absent in different ways.
func absentNames() []string {
	return []string{
		"nothing", "a.nothing", // names without records
		"below.text",                          // below a name with records
		"empty", "b.empty", "nothing.b.empty", // empty non-terminals, and a name below one
		"x.wild", "a.b.wild", "x.not.wild", // names that a wildcard matches, and one that it does not
		"x.aliases",                     // a wildcard CNAME
		"text.branch", "nothing.branch", // below a DNAME
		"*.nothing",
	}
}

// questions returns questions of several types for every name of the zones, and for
// absent names.
func questions(t testing.TB, zones []*zone) []question {
	t.Helper()
	names := map[string]bool{}
	for _, z := range zones {
		parser := dns.NewZoneParser(strings.NewReader(z.text()), "", z.file())
		for record, more := parser.Next(); more; record, more = parser.Next() {
			names[dns.CanonicalName(record.Header().Name)] = true
		}
		if err := parser.Err(); err != nil {
			t.Fatal(err)
		}
		for _, absent := range absentNames() {
			names[strings.TrimRight(absent+"."+z.name, ".")+"."] = true
		}
	}
	var all []question
	for _, name := range slices.Sorted(maps.Keys(names)) {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeTXT, dns.TypeMX, dns.TypeTLSA,
			dns.TypeNS, dns.TypeSOA, dns.TypeDS, dns.TypeDNSKEY} {
			all = append(all, question{name, qtype})
		}
	}
	return all
}

// testDNSSEC compares our verdict on every lookup with that of a validating Unbound.
func testDNSSEC(t *testing.T, tb *testbed) {
	resolver := newResolver(t, tb)
	all := questions(t, tb.zones)
	var seen [4]atomic.Int64 // by Unbound's status
	inParallel(t, all, func(t *testing.T, q question) {
		ours := resolver.Lookup(t.Context(), q.name, q.qtype)
		reference := query(t, validatorAddress, q.name, q.qtype)
		seen[statusOf(reference)].Add(1)
		want := tb.expected(q, statusOf(reference))
		if ours.Status != want {
			t.Errorf("%s: our status is %s: %s (%v); Unbound's is %s\n%s", q, ours.Status, ours.Why, ours.Err, want, reference)
			return
		}
		if !want.Failed() && (ours.Rcode != reference.Rcode || len(ours.Records) != count(reference, q.qtype)) {
			t.Errorf("%s: we have %d records and rcode %s; Unbound has %d and %s", q, len(ours.Records), dns.RcodeToString[ours.Rcode],
				count(reference, q.qtype), dns.RcodeToString[reference.Rcode])
		}
	})
	for _, status := range []dnssec.Status{dnssec.Secure, dnssec.Insecure, dnssec.Bogus} {
		n := seen[status].Load()
		t.Logf("%d of %d lookups are %s", n, len(all), status)
		if n == 0 {
			t.Errorf("no lookup is %s: the testbed does not test that status", status)
		}
	}
}

// testDelv compares our verdict with that of delv behind the same resolver. It asks
// fewer questions, because delv starts again for each.
func testDelv(t *testing.T, tb *testbed) {
	resolver := newResolver(t, tb)
	var some []question
	for _, q := range questions(t, zones()) {
		if q.qtype == dns.TypeTXT {
			some = append(some, q)
		}
	}
	d := newDelv(t, tb, resolverAddress)
	inParallel(t, some, func(t *testing.T, q question) {
		ours := resolver.Lookup(t.Context(), q.name, q.qtype)
		want, text := d.status(t, q)
		if reference := query(t, validatorAddress, q.name, q.qtype); want == dnssec.Secure &&
			tb.zone(t, zoneOf(tb.zones, q)).denial == nsec3OptOut && count(reference, q.qtype) == 0 {
			// delv ignores the Opt-Out flag. RFC 5155 §9.2 forbids the AD bit if the NSEC3 record that
			// covers the next closer name has it; Unbound complies.
			want = statusOf(reference)
		}
		want = tb.expected(q, want)
		if ours.Status != want {
			t.Errorf("%s: our status is %s: %s (%v); delv's is %s\n%s", q, ours.Status, ours.Why, ours.Err, want, text)
		}
	})
}

// newResolver returns our validator, which queries the Unbound that does not validate.
func newResolver(t testing.TB, tb *testbed) *dnssec.Resolver {
	t.Helper()
	anchors, err := dnssec.ParseAnchors(strings.NewReader(tb.anchor))
	if err != nil {
		t.Fatal(err)
	}
	upstream, err := transport.New([]string{tb.resolver.address.String()}, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return dnssec.New(upstream, anchors, time.Now, dnssec.Options{})
}

// statusOf returns the verdict of a validating resolver in its response (RFC 4035 §3.2).
func statusOf(response *dns.Msg) dnssec.Status {
	switch {
	case response.Rcode == dns.RcodeServerFailure:
		return dnssec.Bogus
	case response.AuthenticatedData:
		return dnssec.Secure
	default:
		return dnssec.Insecure
	}
}

// count returns the number of answer records of a type.
func count(response *dns.Msg, qtype uint16) int {
	n := 0
	for _, record := range response.Answer {
		if record.Header().Rrtype == qtype {
			n++
		}
	}
	return n
}

// zoneOf returns the name of the zone that answers a question. For DS at a zone cut,
// it is the parent.
func zoneOf(zones []*zone, q question) string {
	nearest := ""
	for _, z := range zones {
		within := dns.IsSubDomain(z.name, q.name) && (q.qtype != dns.TypeDS || z.name != q.name)
		if within && len(z.name) > len(nearest) {
			nearest = z.name
		}
	}
	return nearest
}

// inParallel calls check for every question, in parallel subtests.
func inParallel(t *testing.T, all []question, check func(*testing.T, question)) {
	t.Run("shares", func(t *testing.T) {
		for share := range slices.Chunk(all, len(all)/8+1) {
			t.Run(share[0].String(), func(t *testing.T) {
				t.Parallel()
				for _, q := range share {
					check(t, q)
				}
			})
		}
	})
}
