package dnssec_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// today is the current time in all tests.
var today = time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return today }

// The resolvers of an Internet.
const firstServer, secondServer = zone.FirstServer, zone.SecondServer

// tlsa is the owner of the TLSA record in testZones.
const tlsa = "_25._tcp.mx.example.org."

// testZones returns a top-level domain and one zone with a mail server. The root
// is there anyway.
func testZones(records string, change ...func(*zone.Zone)) []zone.Zone {
	example := zone.Zone{Apex: "example.org.", Records: `
@ MX 10 mx
mx A 192.0.2.1
_25._tcp.mx TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000001
` + records}
	for _, f := range change {
		f(&example)
	}
	return []zone.Zone{{Apex: "org."}, example}
}

func nsec3(optOut bool, iterations uint16) func(*zone.Zone) {
	return func(z *zone.Zone) { z.NSEC3 = &zone.NSEC3{Iterations: iterations, Salt: "ab12", OptOut: optOut} }
}

// lookupCase is one lookup: the zones, their faults, the question, and the
// expected verdict.
type lookupCase struct {
	name    string
	zones   []zone.Zone
	faults  []zone.Fault
	options dnssec.Options

	ask   string
	qtype uint16

	status  dnssec.Status
	why     string // a part of Answer.Why
	err     error
	rcode   int
	records int
	check   func(*testing.T, dnssec.Answer)
}

// runCases runs each case with and without speculative queries, and each lookup
// twice: neither may change a verdict.
func runCases(t *testing.T, cases []lookupCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, err := zone.New(clock, c.zones...)
				if err != nil {
					t.Fatal(err)
				}
				net.Break(c.faults...)
				for _, speculate := range []bool{true, false} {
					r := dnssec.New(net, net.Anchors(), clock, c.options)
					r.Speculate(speculate)
					ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
					defer cancel()
					c.compare(t, speculate, r.Lookup(ctx, c.ask, c.qtype))
					if again := r.Lookup(ctx, c.ask, c.qtype); again.Status != c.status || again.Why == "" {
						t.Errorf("second lookup: %s (%s), want %s", again.Status, again.Why, c.status)
					}
				}
			})
		})
	}
}

func (c lookupCase) compare(t *testing.T, speculate bool, a dnssec.Answer) {
	t.Helper()
	if a.Status != c.status || !errors.Is(a.Err, c.err) || (a.Err == nil) != (c.err == nil) || !strings.Contains(a.Why, c.why) {
		t.Errorf("speculate %v: %s %v: %s\nwant %s %v: … %s …", speculate, a.Status, a.Err, a.Why, c.status, c.err, c.why)
	}
	if !a.Status.Failed() && a.Rcode != c.rcode {
		t.Errorf("speculate %v: rcode %s, want %s", speculate, dns.RcodeToString[a.Rcode], dns.RcodeToString[c.rcode])
	}
	if len(a.Records) != c.records {
		t.Errorf("speculate %v: %d records, want %d", speculate, len(a.Records), c.records)
	}
	if a.Why == "" {
		t.Error("Why is empty")
	}
	if c.check != nil {
		c.check(t, a)
	}
}

// signedFor sets the validity of signatures, relative to today.
func signedFor(where zone.Where, before, after time.Duration) zone.Fault {
	return zone.Fault{Where: where, Sign: func(s *zone.Signing) { s.Inception, s.Expiry = today.Add(-before), today.Add(after) }}
}

// altered changes a signature after signing.
func altered(where zone.Where, change func(*dns.RRSIG)) zone.Fault {
	return zone.Fault{Where: where, Signed: change}
}

// respond changes a response.
func respond(where zone.Where, change func(response *dns.Msg)) zone.Fault {
	return zone.Fault{Where: where, Answer: func(_, response *dns.Msg) error { change(response); return nil }}
}

// withCD limits a fault to queries with CD=1.
func withCD(fault zone.Fault) zone.Fault {
	act := fault.Answer
	fault.Answer = func(query, response *dns.Msg) error {
		if !query.CheckingDisabled {
			return nil
		}
		return act(query, response)
	}
	return fault
}

func mustKey(apex, role string, algorithm uint8, flags uint16) zone.Key {
	key, err := zone.NewKey(apex, role, algorithm, flags)
	if err != nil {
		panic(err)
	}
	return key
}

// editSignature changes the octets of a signature.
func editSignature(octets func([]byte) []byte) func(*dns.RRSIG) {
	return func(sig *dns.RRSIG) {
		raw, err := base64.StdEncoding.DecodeString(sig.Signature)
		if err != nil {
			panic(err)
		}
		sig.Signature = base64.StdEncoding.EncodeToString(octets(raw))
	}
}

// countingTransport counts queries, checks their form, and can delay replies.
type countingTransport struct {
	dnssec.Transport
	mu    sync.Mutex
	asked map[string]int
	drops bool          // a query with CD=1 was not answered, so that others may have CD=0
	hold  chan struct{} // replies wait until it is closed; nil: no delay
	ended chan error    // the errors of exchanges that ended while they waited
}

func newCountingTransport(inner dnssec.Transport) *countingTransport {
	return &countingTransport{Transport: inner, asked: make(map[string]int), ended: make(chan error, 100)}
}

func (c *countingTransport) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	c.mu.Lock()
	c.asked[query.Question[0].Name+" "+dns.Type(query.Question[0].Qtype).String()]++
	hold, drops := c.hold, c.drops
	c.mu.Unlock()
	if opt := query.IsEdns0(); opt == nil || !opt.Do() || !query.CheckingDisabled && !drops || !query.RecursionDesired || opt.UDPSize() != 1232 {
		return nil, "", errors.New("the query lacks DO, CD, RD or the buffer size")
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			c.ended <- ctx.Err()
			return nil, "", ctx.Err()
		}
	}
	response, server, err := c.Transport.Exchange(ctx, query)
	if errors.Is(err, zone.ErrSilent) {
		c.mu.Lock()
		c.drops = true
		c.mu.Unlock()
	}
	return response, server, err
}

// count returns the number of queries for a question, once all goroutines of the
// bubble are blocked.
func (c *countingTransport) count(question string) int {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[question]
}

// total returns the number of all queries, as count does.
func (c *countingTransport) total() int {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := 0
	for _, n := range c.asked {
		sum += n
	}
	return sum
}

// setup returns a resolver for zones with faults, its transport, and its clock,
// which the test can move. The zones are signed for today, whatever the clock is.
func setup(t *testing.T, options dnssec.Options, zones []zone.Zone, faults ...zone.Fault) (*dnssec.Resolver, *countingTransport, *time.Time) {
	t.Helper()
	inner, err := zone.New(clock, zones...)
	if err != nil {
		t.Fatal(err)
	}
	inner.Break(faults...)
	now := new(time.Time)
	*now = today
	transport := newCountingTransport(inner)
	return dnssec.New(transport, inner.Anchors(), func() time.Time { return *now }, options), transport, now
}
