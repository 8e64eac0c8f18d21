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

// Where the judges and we are meant to differ, and why.
const (
	rsasha1Difference = "the judges still accept RSASHA1-NSEC3-SHA1; RFC 9905 §2: validating resolvers “MUST treat RSASHA1 and " +
		"RSASHA1-NSEC3-SHA1 DS records as insecure”, which is our default"
	ed448Difference = "the judges have Ed448 and we do not; RFC 4035 §5.2: a resolver that supports none of the algorithms of an " +
		"authenticated DS RRset “has no supported authentication path leading from the parent to the child”, which is as if no DS existed"
)

// differences lists the zones whose status the judges and we see differently, and why.
func expectedDifferences() map[string]string {
	return map[string]string{
		"rsasha1.example.": rsasha1Difference,
		"ed448.example.":   ed448Difference,
	}
}

// expected returns the status that a look-up must have for us, after what a judge says of it.
func (tb *testbed) expected(q question, reference dnssec.Status) dnssec.Status {
	if expectedDifferences()[zoneOf(tb.zones, q)] != "" && reference == dnssec.Secure {
		return dnssec.Insecure
	}
	return reference
}

// A question is one look-up.
type question struct {
	name  string
	qtype uint16
}

func (q question) String() string { return q.name + " " + dns.TypeToString[q.qtype] }

// absentNames returns names that no zone has, each absent in its own way.
func absentNames() []string {
	return []string{
		"nothing", "a.nothing", // nothing at all
		"below.text",                          // below a name that has records
		"empty", "b.empty", "nothing.b.empty", // empty non-terminals, and below one
		"x.wild", "a.b.wild", "x.not.wild", // wildcards, and where they do not reach
		"x.aliases",                     // a wildcard that is an alias
		"text.branch", "nothing.branch", // through a DNAME
		"*.nothing",
	}
}

// questions asks for many types of every name of the world, and of names beside them.
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

// testDNSSEC compares our verdict on every look-up with that of a validating Unbound.
func testDNSSEC(t *testing.T, tb *testbed) {
	resolver := newResolver(t, tb)
	all := questions(t, tb.zones)
	var seen [4]atomic.Int64 // by what Unbound says
	inParallel(t, all, func(t *testing.T, q question) {
		ours := resolver.Lookup(t.Context(), q.name, q.qtype)
		reference := query(t, validatorAddress, q.name, q.qtype)
		seen[statusOf(reference)].Add(1)
		want := tb.expected(q, statusOf(reference))
		if ours.Status != want {
			t.Errorf("%s is %s to us, because %s (%v); to Unbound it is %s\n%s", q, ours.Status, ours.Why, ours.Err, want, reference)
			return
		}
		if !want.Failed() && (ours.Rcode != reference.Rcode || len(ours.Records) != count(reference, q.qtype)) {
			t.Errorf("%s has %d records and rcode %s to us; to Unbound %d and %s", q, len(ours.Records), dns.RcodeToString[ours.Rcode],
				count(reference, q.qtype), dns.RcodeToString[reference.Rcode])
		}
	})
	for _, status := range []dnssec.Status{dnssec.Secure, dnssec.Insecure, dnssec.Bogus} {
		n := seen[status].Load()
		t.Logf("%d of %d look-ups are %s", n, len(all), status)
		if n == 0 {
			t.Errorf("no look-up is %s: the world does not test that", status)
		}
	}
}

// testDelv does the same with delv, which validates by itself, behind the
// resolver that we use. It starts anew for each look-up, so it is asked for fewer.
func testDelv(t *testing.T, tb *testbed) {
	resolver := newResolver(t, tb)
	var some []question
	for _, q := range questions(t, zones()) {
		if q.qtype == dns.TypeTXT {
			some = append(some, q)
		}
	}
	judge := newDelv(t, tb, resolverAddress)
	inParallel(t, some, func(t *testing.T, q question) {
		ours := resolver.Lookup(t.Context(), q.name, q.qtype)
		want, text := judge.status(t, q)
		if reference := query(t, validatorAddress, q.name, q.qtype); want == dnssec.Secure &&
			tb.zone(t, zoneOf(tb.zones, q)).denial == nsec3OptOut && count(reference, q.qtype) == 0 {
			// delv does not look at the Opt-Out flag. RFC 5155 §9.2 forbids the AD bit where the NSEC3
			// record that covers the next closer name has it; Unbound heeds that.
			want = statusOf(reference)
		}
		want = tb.expected(q, want)
		if ours.Status != want {
			t.Errorf("%s is %s to us, because %s (%v); to delv it is %s\n%s", q, ours.Status, ours.Why, ours.Err, want, text)
		}
	})
}

// newResolver returns our validator, behind the Unbound that does not validate.
func newResolver(t testing.TB, tb *testbed) *dnssec.Resolver {
	t.Helper()
	anchors, err := dnssec.ParseAnchors(strings.NewReader(tb.anchor))
	if err != nil {
		t.Fatal(err)
	}
	carrier, err := transport.New([]string{tb.resolver.address.String()}, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return dnssec.New(carrier, anchors, time.Now, dnssec.Options{})
}

// statusOf reads the verdict of a validating resolver from its response (RFC 4035 §3.2).
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

// count returns how many records of a type a response answers with.
func count(response *dns.Msg, qtype uint16) int {
	n := 0
	for _, record := range response.Answer {
		if record.Header().Rrtype == qtype {
			n++
		}
	}
	return n
}

// zoneOf returns the name of the zone that answers a question: the parent, where it is for DS.
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

// inParallel asks every question, in several subtests at a time.
func inParallel(t *testing.T, all []question, do func(*testing.T, question)) {
	t.Run("shares", func(t *testing.T) {
		for share := range slices.Chunk(all, len(all)/8+1) {
			t.Run(share[0].String(), func(t *testing.T) {
				t.Parallel()
				for _, q := range share {
					do(t, q)
				}
			})
		}
	})
}
