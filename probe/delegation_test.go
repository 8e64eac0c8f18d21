package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// delegatedZones returns example.org in org, with nameservers at 10.0.0.1 and on for org, and
// at 10.1.0.1 and on for example.org.
func delegatedZones(parents, addresses int) []zone.Zone {
	var org strings.Builder
	for i := range parents {
		fmt.Fprintf(&org, "@ NS ns%d\n", i)
		for j := range addresses {
			fmt.Fprintf(&org, "ns%d A 10.0.%d.%d\n", i, i, j+1)
		}
	}
	domain := "@ MX 10 mx\nmx A 10.2.0.1\n" + anyRecord + "@ NS ns1\n@ NS ns2\nns1 A 10.1.0.1\nns2 A 10.1.0.2\n"
	return []zone.Zone{{Apex: "org", Records: org.String()}, {Apex: "example.org", Records: domain}}
}

// nameserversModule returns a module with nameservers.
func nameserversModule(timeout time.Duration) Module {
	module := mailModule(timeout)
	module.Nameservers = true
	return module
}

// cutOf returns the key of a delegation for modules without their own resolver.
func cutOf(zone, parent string) delegationKey {
	return delegationKey{Cut: dane.Cut{Zone: zone, Parent: parent}}
}

// A thousand probes of one zone cause one examination, and an hour later another one.
func TestProbesShareDelegation(t *testing.T) {
	prober, counted := countedProber(t, nil, delegatedZones(3, 1)...)
	now := time.Unix(1_000_000_000, 0)
	prober.delegations.now = func() time.Time { return now }
	var mu sync.Mutex
	queries := make(map[string]int)
	prober.env.Query = func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
		mu.Lock()
		queries[server.Addr().String()+" "+dns.TypeToString[query.Question[0].Qtype]]++
		mu.Unlock()
		return counted.Ask(ctx, server, query)
	}
	probe := func() {
		var probes sync.WaitGroup
		for range 1000 {
			probes.Go(func() {
				report := prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(time.Minute))
				if d := report.Facts.Delegations; len(d) != 1 || d[0].Zone != "example.org" || !d[0].At.Equal(now) || len(d[0].ParentServers) != 3 || len(d[0].Servers) != 2 {
					t.Errorf("delegations %+v", d)
				}
			})
		}
		probes.Wait()
	}
	check := func(want int) {
		t.Helper()
		for _, question := range []string{"10.0.0.1 DS", "10.0.1.1 DS", "10.0.2.1 DS", "10.0.0.1 NS", "10.1.0.1 DNSKEY", "10.1.0.2 DNSKEY", "10.1.0.1 CDS", "10.1.0.2 CDNSKEY"} {
			if queries[question] != want {
				t.Errorf("%d queries %s, want %d", queries[question], question, want)
			}
		}
	}
	probe()
	check(1)
	now = now.Add(delegationInterval)
	probe()
	check(2)
}

// A hostile parent has 100 nameservers with 16 addresses each, which do not answer or do. At most
// maxParentServers are queried, and all queries have a limit.
func TestDelegationQueriesAreBounded(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprintf("silent %t", silent), func(t *testing.T) {
			prober, counted := countedProber(t, nil, delegatedZones(100, 16)...)
			var mu sync.Mutex
			parents := make(map[netip.Addr]bool)
			all := 0
			prober.env.Query = func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
				mu.Lock()
				all++
				if query.Question[0].Qtype == dns.TypeDS {
					parents[server.Addr()] = true
				}
				mu.Unlock()
				if silent {
					return nil, errors.New("no answer")
				}
				return counted.Ask(ctx, server, query)
			}
			cut := cutOf("example.org.", "org.")
			prober.Probe(t.Context(), Target{Name: "example.org"}, mailModule(time.Minute)) // validates the zones
			counted.take()
			d, _ := prober.examineNow(t.Context(), cut)
			resolver, _ := counted.take()
			if d == nil || len(d.ParentServers) != maxParentServers || len(parents) != maxParentServers || !d.Truncated {
				t.Fatalf("%d servers queried: %+v", len(parents), d)
			}
			if resolver+all > delegationQueries {
				t.Errorf("%d queries to the resolver and %d to nameservers", resolver, all)
			}
			want := dane.Yes
			if silent {
				want = dane.NotMeasured
			}
			for _, v := range d.ParentServers {
				if v.Consistent != want {
					t.Errorf("%s %s: consistent %d: %s", v.Name, v.Address, v.Consistent, v.Why)
				}
			}
			t.Logf("%d queries to the resolver, %d to nameservers, %d bytes kept", resolver, all, d.MemSize())
		})
	}
}

// The nameservers of a hostile parent have names of a hundred labels, each in a zone of its own, of
// which nothing is cached.
func TestDelegationLookupsAreBounded(t *testing.T) {
	zones := hostZones(maxNameservers, 1, deepLabels)
	for i := range maxNameservers {
		zones[0].Records += fmt.Sprintf("@ NS ns0%s.mail%d.net.\n", deepLabels, i)
	}
	prober, counted := countedProber(t, nil, zones...)
	d, _ := prober.examineNow(t.Context(), cutOf("example.org.", "org."))
	resolver, direct := counted.take()
	if resolver+direct > delegationQueries {
		t.Errorf("%d queries to the resolver and %d to nameservers", resolver, direct)
	}
	for _, v := range d.ParentServers {
		if v.Up == dane.No || v.Consistent == dane.No {
			t.Errorf("%s: up %d, consistent %d: %s", v.Name, v.Up, v.Consistent, v.Why)
		}
	}
	t.Logf("%d queries to the resolver and %d to nameservers", resolver, direct)
}

// A delegation is examined through the resolver of the module, here one that finds other
// nameservers than the section's. Modules that share a resolver share the examination.
func TestDelegationOfView(t *testing.T) {
	inside, counted := countedProber(t, nil, delegatedZones(1, 1)...)
	outside, _ := countedProber(t, nil, delegatedZones(3, 1)...)
	prober := outside.WithResolvers(map[string]*dnssec.Resolver{
		"": outside.Resolver(""), "view_a": inside.Resolver(""), "view_b": inside.Resolver(""), "view_outside": outside.Resolver(""),
	})
	for _, c := range []struct {
		module  string
		parents int
		examine bool // nameservers are queried
	}{
		{"view_b", 1, true},
		{"smtp_mx", 3, true},
		{"view_a", 1, false},
		{"view_outside", 3, false},
	} {
		var queried atomic.Bool
		prober.env.Query = func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
			if query.Question[0].Qtype == dns.TypeDS { // the TLSA records are always compared
				queried.Store(true)
			}
			return counted.Ask(ctx, server, query)
		}
		module := nameserversModule(time.Minute)
		module.Name = c.module
		d := prober.Probe(t.Context(), Target{Name: "example.org"}, module).Facts.Delegations
		if len(d) != 1 || len(d[0].ParentServers) != c.parents || queried.Load() != c.examine {
			t.Errorf("%s: delegations %+v, examined %t; want one with %d servers of the parent, examined %t", c.module, d, queried.Load(), c.parents, c.examine)
		}
	}
}

// The CPU time of one examination is limited, and what is not judged is not a fault: each server
// of the parent returns a hundred wrong signatures before the valid one.
func TestDelegationSignaturesAreBounded(t *testing.T) {
	const wrong = 100
	zones := delegatedZones(16, 1)
	zones[0].Algorithms = []uint8{dns.ECDSAP384SHA384}
	prober, counted := countedProber(t, nil, zones...)
	var seed atomic.Uint32
	prober.env.Query = func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
		response, err := counted.Ask(ctx, server, query)
		if err != nil || query.Question[0].Qtype != dns.TypeDS {
			return response, err
		}
		for _, rr := range response.Answer {
			if sig, ok := rr.(*dns.RRSIG); ok {
				for range wrong {
					other := *sig
					other.Expiration += seed.Add(1) // is tried first
					response.Answer = append(response.Answer, &other)
				}
				break
			}
		}
		return response, nil
	}
	d, _ := prober.examineNow(t.Context(), cutOf("example.org.", "org."))
	measured := 0
	for _, v := range d.ParentServers {
		switch {
		case v.Consistent == dane.Yes:
			measured++
		case v.Consistent == dane.No || !strings.Contains(v.Why, "CPU time"):
			t.Errorf("%s: consistent %d: %s", v.Name, v.Consistent, v.Why)
		}
	}
	if limit := delegationComputed / costP384 / wrong; measured > limit || len(d.ParentServers) != 16 {
		t.Errorf("%d of %d servers were judged, want at most %d", measured, len(d.ParentServers), limit)
	}
}

// No nameserver at an address that access forbids is queried, of the parent or of the zone.
func TestDelegationAccess(t *testing.T) {
	prober, counted := countedProber(t, nil, delegatedZones(3, 1)...)
	prober.access.DenyNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24"), netip.MustParsePrefix("10.1.0.2/32")}
	prober.env.Query = func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
		if prober.access.checkAddress(server.Addr()) != nil {
			t.Errorf("%s was queried for %s", server, dns.TypeToString[query.Question[0].Qtype])
		}
		return counted.Ask(ctx, server, query)
	}
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(time.Minute))
	for _, v := range append(report.Facts.Delegations[0].ParentServers, report.Facts.Delegations[0].Servers...) {
		want := dane.MeasureOf(true)
		if prober.access.checkAddress(v.Address) != nil {
			want = dane.NotMeasured
		}
		if v.Up != want || v.Consistent != want {
			t.Errorf("%s: up %d, consistent %d, want %d", v.Address, v.Up, v.Consistent, want)
		}
	}
}

// A probe whose deadline ends before the nameservers of the parent answer has no result, and
// no finding.
func TestDelegationDoesNotDelayProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prober, counted := countedProber(t, nil, delegatedZones(3, 1)...)
		prober.env.Query = func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
			if query.Question[0].Qtype == dns.TypeDS {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return counted.Ask(ctx, server, query)
		}
		started := time.Now()
		report := prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(3*time.Second))
		if took := time.Since(started); took > 3*time.Second {
			t.Errorf("the probe took %s", took)
		}
		if len(report.Facts.Delegations) > 0 || len(report.Verdict.Findings) != 1 || report.Verdict.Findings[0].Reason != dane.ConnectFailed {
			t.Errorf("delegations %v, findings %v", report.Facts.Delegations, report.Verdict.Findings)
		}
		synctest.Wait() // the examination has ended with its only probe

		// Soon afterwards there is no second attempt; later there is one, with more time.
		report = prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(20*time.Second))
		if len(report.Facts.Delegations) > 0 {
			t.Errorf("delegations %v", report.Facts.Delegations)
		}
		time.Sleep(delegationRetry)
		report = prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(20*time.Second))
		if d := report.Facts.Delegations; len(d) != 1 || d[0].ParentServers[0].Up != dane.No || d[0].ParentServers[0].Consistent != dane.NotMeasured {
			t.Errorf("delegations %+v", d)
		}
	})
}

// An examination in which this machine has no network keeps the last one that measured something,
// for some hours.
func TestDelegationOutlastsOutage(t *testing.T) {
	prober, counted := countedProber(t, nil, delegatedZones(3, 1)...)
	now := time.Unix(1_000_000_000, 0)
	prober.delegations.now = func() time.Time { return now }
	first := now
	prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(time.Minute))
	prober.env.Query = func(context.Context, netip.AddrPort, *dns.Msg) (*dns.Msg, error) { return nil, ErrNoRoute }
	now = now.Add(delegationInterval)
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(time.Minute))
	if d := report.Facts.Delegations; len(d) != 1 || !d[0].At.Equal(first) || d[0].ParentServers[0].Consistent != dane.Yes {
		t.Errorf("delegations %+v", d)
	}
	now = first.Add(delegationMaxAge + time.Second)
	report = prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(time.Minute))
	if d := report.Facts.Delegations; len(d) != 1 || !d[0].At.Equal(now) || d[0].ParentServers[0].Up != dane.NotMeasured {
		t.Errorf("after %s: delegations %+v", delegationMaxAge, d)
	}
	prober.env.Query = counted.Ask
	now = now.Add(delegationInterval)
	report = prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(time.Minute))
	if d := report.Facts.Delegations; len(d) != 1 || !d[0].At.Equal(now) {
		t.Errorf("delegations %+v", d)
	}
}

// A panic in an examination is reported, and the probe continues.
func TestDelegationPanic(t *testing.T) {
	prober, counted := countedProber(t, nil, delegatedZones(1, 1)...)
	prober.env.Query = counted.Ask
	prober.delegations.now = func() time.Time { panic("oops") }
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(time.Minute))
	if report.Verdict.Outcome != dane.Unreachable || len(report.Facts.Panics()) != 1 {
		t.Errorf("outcome %s, panics %v", report.Verdict.Outcome, report.Facts.Panics())
	}
}

// A server of the parent that answers wrongly is found, whatever it returns, and is the only one
// that is. A server that does not answer is not inconsistent.
func TestParentServerAnswers(t *testing.T) {
	const bad = "10.0.1.1"
	reply := func(edit func(response *dns.Msg)) func(*dns.Msg, *dns.Msg) (*dns.Msg, error) {
		return func(_, response *dns.Msg) (*dns.Msg, error) {
			edit(response)
			return response, nil
		}
	}
	refuse := func(rcode int) func(*dns.Msg, *dns.Msg) (*dns.Msg, error) {
		return func(query, _ *dns.Msg) (*dns.Msg, error) { return new(dns.Msg).SetRcode(query, rcode), nil }
	}
	for _, c := range []struct {
		name           string
		answer         func(query, response *dns.Msg) (*dns.Msg, error)
		up, consistent dane.Measure
		lame           bool
	}{
		{"the records in another order", reply(func(r *dns.Msg) { slices.Reverse(r.Answer) }), dane.Yes, dane.Yes, false},
		{"no such name, without a proof", reply(func(r *dns.Msg) { r.Rcode, r.Answer = dns.RcodeNameError, nil }), dane.Yes, dane.No, false},
		{"no records, without a proof", reply(func(r *dns.Msg) { r.Answer = nil }), dane.Yes, dane.No, false},
		{"no signature", reply(func(r *dns.Msg) {
			r.Answer = slices.DeleteFunc(r.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG })
		}), dane.Yes, dane.No, false},
		{"a hundred records", reply(func(r *dns.Msg) {
			for i := range 100 {
				r.Answer = append(r.Answer, &dns.DS{Hdr: *r.Answer[0].Header(), KeyTag: uint16(i), Algorithm: 13, DigestType: 2, Digest: strings.Repeat("00", 32)})
			}
		}), dane.Yes, dane.No, false},
		{"REFUSED", refuse(dns.RcodeRefused), dane.No, dane.NotMeasured, true},
		{"SERVFAIL", refuse(dns.RcodeServerFailure), dane.No, dane.NotMeasured, true},
		{"a referral to the root", reply(func(r *dns.Msg) {
			r.Authoritative, r.Answer = false, nil
			r.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: "a."}}
		}), dane.No, dane.NotMeasured, true},
		{"no answer", func(*dns.Msg, *dns.Msg) (*dns.Msg, error) { return nil, context.DeadlineExceeded }, dane.No, dane.NotMeasured, false},
		{"no route", func(*dns.Msg, *dns.Msg) (*dns.Msg, error) { return nil, ErrNoRoute }, dane.NotMeasured, dane.NotMeasured, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			prober, counted := countedProber(t, nil, delegatedZones(3, 1)...)
			prober.env.Query = func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
				response, err := counted.Ask(ctx, server, query)
				if server.Addr().String() == bad && query.Question[0].Qtype == dns.TypeDS && err == nil {
					return c.answer(query, response)
				}
				return response, err
			}
			report := prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(time.Minute))
			for _, v := range report.Facts.Delegations[0].ParentServers {
				up, consistent, lame := dane.Yes, dane.Yes, false
				if v.Address.String() == bad {
					up, consistent, lame = c.up, c.consistent, c.lame
				}
				if v.Up != up || v.Consistent != consistent || v.Lame != lame {
					t.Errorf("%s: up %d, consistent %d, lame %t; want %d, %d, %t: %s", v.Address, v.Up, v.Consistent, v.Lame, up, consistent, lame, v.Why)
				}
			}
			if found := slices.Contains(reasonsOf(report.Verdict), dane.ParentInconsistent); found != (c.consistent == dane.No || c.lame) {
				t.Errorf("reasons %v", reasonsOf(report.Verdict))
			}
		})
	}
}

// The servers of the parent also serve the zone, so they do not refer to it. They return the
// DS records of the parent.
func TestParentServesZone(t *testing.T) {
	zones := delegatedZones(1, 2)
	zones[1].Records = strings.ReplaceAll(zones[1].Records, "10.1.0.", "10.0.0.")
	prober, _ := countedProber(t, nil, zones...)
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(time.Minute))
	d := report.Facts.Delegations[0]
	if len(d.ParentServers) != 2 || d.ParentServers[0].Consistent != dane.Yes || d.Servers[0].Consistent != dane.Yes || len(d.DS) != 1 || d.NS.Agree != dane.NotMeasured {
		t.Errorf("delegation %+v", d)
	}
}

// While a zone is bogus at the resolvers, so are the addresses of the nameservers in it. Those
// of the last examination show which of them is at fault.
func TestNameserversOfBogusZone(t *testing.T) {
	prober, counted := countedProber(t, nil, delegatedZones(3, 1)...)
	now := time.Unix(1_000_000_000, 0)
	prober.delegations.now = func() time.Time { return now }
	probe := func() *dane.Delegation {
		return prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(time.Minute)).Facts.Delegations[0]
	}
	probe()
	counted.Break(
		zone.Corrupt(zone.Under("org.", dns.TypeA)),
		zone.From("10.0.2.1:53", zone.Garble(zone.At("example.org.", dns.TypeDS))),
	)
	now = now.Add(delegationInterval)
	d := probe()
	if !d.At.Equal(now) || len(d.ParentServers) != 3 || len(d.Servers) != 2 || d.Servers[0].Consistent != dane.Yes {
		t.Fatalf("delegation %+v", d)
	}
	for _, v := range d.ParentServers {
		if want := dane.MeasureOf(v.Address.String() != "10.0.2.1"); v.Consistent != want {
			t.Errorf("%s: consistent %d, want %d: %s", v.Address, v.Consistent, want, v.Why)
		}
	}
}

// The limits of all examinations together: for one parent, in progress, and in an hour.
func TestDelegationLimits(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	newLimited := func() *delegations {
		d := newDelegations()
		d.now = func() time.Time { return now }
		return d
	}
	begin := func(d *delegations, n int, parent string) (admitted int) {
		for i := range n {
			if end, ok := d.begin(cutOf(fmt.Sprintf("%d.%s", i, parent), parent)); ok {
				admitted++
				end()
			}
		}
		return admitted
	}
	t.Run("one delegation", func(t *testing.T) {
		d := newLimited()
		cut := cutOf("example.org.", "org.")
		end, ok := d.begin(cut)
		if _, again := d.begin(cut); !ok || again {
			t.Errorf("admitted %t, again in the meantime %t", ok, again)
		}
		d.put(cut, &dane.Delegation{})
		end()
		for _, wait := range []time.Duration{0, delegationInterval - time.Nanosecond} {
			now = now.Add(wait)
			if _, again := d.begin(cut); again {
				t.Errorf("admitted again after %s", wait)
			}
		}
		now = now.Add(time.Nanosecond)
		if _, again := d.begin(cut); !again {
			t.Error("not admitted after an hour")
		}
	})
	t.Run("one parent", func(t *testing.T) {
		d := newLimited()
		if n := begin(d, 1000, "org."); n != parentBurst {
			t.Errorf("%d examinations, want %d", n, parentBurst)
		}
		if n := begin(d, 1000, "net."); n != parentBurst {
			t.Errorf("%d examinations for another parent, want %d", n, parentBurst)
		}
		now = now.Add(time.Second)
		if n := begin(d, 1000, "org."); n != 10 {
			t.Errorf("%d examinations a second later, want 10", n)
		}
	})
	t.Run("in progress", func(t *testing.T) {
		d := newLimited()
		var ends []func()
		for i := range 1000 {
			if end, ok := d.begin(cutOf("a.", fmt.Sprintf("%d.", i))); ok {
				ends = append(ends, end)
			}
		}
		if len(ends) != maxExaminations {
			t.Errorf("%d in progress, want %d", len(ends), maxExaminations)
		}
		ends[0]()
		if _, ok := d.begin(cutOf("a.", "next.")); !ok {
			t.Error("none begins after one has ended")
		}
	})
	t.Run("in an hour", func(t *testing.T) {
		d := newLimited()
		admitted := 0
		for i := range maxExamined + 100 {
			cut := cutOf("a.", fmt.Sprintf("%d.", i))
			if end, ok := d.begin(cut); ok {
				admitted++
				end()
				d.put(cut, &dane.Delegation{})
			}
		}
		if admitted != maxExamined || len(d.parents) > maxExamined {
			t.Errorf("%d examinations, want %d; %d parents", admitted, maxExamined, len(d.parents))
		}
		now = now.Add(delegationInterval)
		if _, ok := d.begin(cutOf("b.", "b.")); !ok || len(d.entries) != 1 {
			t.Errorf("an hour later: admitted %t, %d entries", ok, len(d.entries))
		}
		if d.bytes < 0 || d.bytes > 0 && len(d.entries) == 0 {
			t.Errorf("%d bytes", d.bytes)
		}
	})
	t.Run("memory", func(t *testing.T) {
		d := newLimited()
		large := &dane.Delegation{Requested: strings.Repeat("x", 1<<20)}
		admitted := 0
		for i := range 100 {
			cut := cutOf("a.", fmt.Sprintf("%d.", i))
			if end, ok := d.begin(cut); ok {
				admitted++
				end()
				d.put(cut, large)
			}
		}
		if admitted > maxExaminedBytes>>20 {
			t.Errorf("%d delegations of 1 MiB", admitted)
		}
		now = now.Add(delegationInterval)
		if _, ok := d.begin(cutOf("b.", "b.")); !ok || d.bytes != 0 {
			t.Errorf("an hour later: admitted %t, %d bytes", ok, d.bytes)
		}
	})
}

// One probe examines few delegations itself, and uses those that others examined.
func TestDelegationsOfOneProbe(t *testing.T) {
	for _, hosts := range []int{maxDelegations - 1, 50} {
		zones := hostZones(hosts, 1, "")
		zones[1].Records = "@ NS ns\nns A 10.255.0.1\n" // of net
		prober, _ := countedProber(t, nil, zones...)
		for i := range 12 {
			report := prober.Probe(t.Context(), Target{Name: "example.org"}, nameserversModule(time.Minute))
			n, all := len(report.Facts.Delegations), len(prober.delegations.entries)
			if all > (i+1)*maxExaminedByProbe || n > min(all, maxDelegations) {
				t.Errorf("%d hosts, probe %d: %d delegations of %d", hosts, i, n, all)
			}
			if i == 11 && n != maxDelegations {
				t.Errorf("%d hosts: %d delegations in the end, want %d", hosts, n, maxDelegations)
			}
			if truncated := slices.Contains(report.Facts.Truncated, "delegations"); truncated != (hosts == 50) {
				t.Errorf("%d hosts: truncated %v", hosts, report.Facts.Truncated)
			}
		}
	}
}
