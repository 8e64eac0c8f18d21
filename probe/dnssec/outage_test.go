package dnssec_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// TestPartialOutage checks whether zones or resolvers are at fault if some zones fail
// and others answer. All zones named good answer at first. Then those named broken
// fail, and the last of these is looked up.
func TestPartialOutage(t *testing.T) {
	names := func(prefix string, n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("%s%d.org.", prefix, i))
		}
		return list
	}
	subzones := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("s%d.evil.org.", i))
		}
		return list
	}
	z := names("z", 10)
	for _, c := range []struct {
		name   string
		good   []string
		broken []string
		hoster string        // the domain of the nameservers of all zones; empty: each has its own
		apart  time.Duration // between the failures of two zones
		ours   bool
	}{
		{name: "half of the zones fail", good: z, broken: z[:5], ours: true},
		{name: "all zones but two fail", good: z, broken: z[:8], ours: true},
		{name: "half of four zones fail", good: z[:4], broken: z[:2], ours: true},
		{name: "half of them fail within an hour", good: z, broken: z[:5], apart: 12 * time.Minute, ours: true},
		{name: "they fail one after the other", good: z, broken: z[:5], apart: 2 * time.Hour},
		{name: "one zone fails", good: z, broken: z[:1]},
		{name: "the only zone fails", good: z[:1], broken: z[:1]},
		{name: "all zones fail, and have the same nameservers", good: z, broken: z, hoster: "hoster.net"},
		{name: "a zone fails whose nameservers serve others", good: z, broken: z[:1], hoster: "hoster.net"},
		{name: "a zone that never answered fails", good: z, broken: append(slices.Clone(z[:5]), "never.org.")},
		{name: "an attacker has many zones that never answered", good: z, broken: append(names("evil", 30), z[0])},
		{name: "an attacker has many zones in one domain that all fail now", good: slices.Concat(subzones(30), z), broken: append(subzones(30), z[0])},
		{name: "an attacker has a few domains that all fail now", good: slices.Concat(names("evil", 2), z), broken: append(names("evil", 2), z[0])},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zones := []zone.Zone{{Apex: "org."}, {Apex: "evil.org."}}
				all := slices.Concat(c.good, c.broken)
				slices.Sort(all)
				for _, apex := range slices.Compact(all) {
					records := "mx A 192.0.2.1\n"
					if c.hoster != "" {
						records += "@ NS ns." + c.hoster + ".\n"
					}
					zones = append(zones, zone.Zone{Apex: apex, Records: records})
				}
				inner, err := zone.New(time.Now, zones...)
				if err != nil {
					t.Fatal(err)
				}
				r := dnssec.New(inner, inner.Anchors(), time.Now, dnssec.Options{})
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				group.Go(func() { r.KeepWarm(ctx) })
				defer func() { cancel(); group.Wait() }()
				synctest.Wait()
				for _, apex := range c.good {
					if a := r.Lookup(ctx, "mx."+apex, dns.TypeA); a.Status != dnssec.Secure {
						t.Fatalf("%s: %s", apex, a.Why)
					}
					synctest.Wait() // KeepWarm learns
				}
				var last dnssec.Answer
				for _, apex := range c.broken {
					inner.Break(zone.Rcode(zone.Under(apex), dns.RcodeServerFailure))
					if c.apart > 0 { // each is seen to fail when it does
						time.Sleep(c.apart)
						last = r.Lookup(ctx, "mx."+apex, dns.TypeA)
					}
				}
				if c.apart == 0 {
					time.Sleep(time.Second)
					last = r.Lookup(ctx, "mx."+c.broken[len(c.broken)-1], dns.TypeA)
				}
				if !errors.Is(last.Err, dnssec.ErrServer) || errors.Is(last.Err, dnssec.ErrResolverFailed) != c.ours {
					t.Errorf("%v: %s", last.Err, last.Why)
				}
				checkFaultZone(t, last, c.broken[len(c.broken)-1])
				if last.Work.Queries > 200 {
					t.Errorf("%d queries", last.Work.Queries)
				}
				for _, apex := range c.good {
					if a := r.Lookup(ctx, "mx."+apex, dns.TypeA); a.Status != dnssec.Secure && !slices.Contains(c.broken, apex) {
						t.Errorf("%s: %s", apex, a.Why)
					}
				}
				inner.BreakOnly()
				synctest.Wait()
				time.Sleep(time.Minute)
				for _, apex := range c.good {
					if a := r.Lookup(ctx, "mx."+apex, dns.TypeA); a.Status != dnssec.Secure {
						t.Errorf("after recovery: %s: %s", apex, a.Why)
					}
					synctest.Wait()
				}
				time.Sleep(time.Second)
				inner.Break(zone.Rcode(zone.Under(z[9]), dns.RcodeServerFailure))
				if a := r.Lookup(ctx, "mx."+z[9], dns.TypeA); slices.Contains(c.good, z[9]) && (!errors.Is(a.Err, dnssec.ErrServer) || errors.Is(a.Err, dnssec.ErrResolverFailed)) {
					t.Errorf("after recovery, one fails: %v: %s", a.Err, a.Why)
				}
			})
		})
	}
}

// TestSuspicions checks which lookups are a reason for a self-check.
func TestSuspicions(t *testing.T) {
	servfail := func(where zone.Where) zone.Fault { return zone.Rcode(where, dns.RcodeServerFailure) }
	for _, c := range []struct {
		name   string
		fault  zone.Fault
		ahead  time.Duration
		reason bool
	}{
		{"nothing is wrong", zone.Fault{}, 0, false},
		{"a zone fails", servfail(zone.Under("example.org.")), 0, false},
		{"a zone is bogus", zone.Corrupt(zone.In("example.org.")), 0, false},
		{"a top-level domain is bogus", zone.Corrupt(zone.In("org.")), 0, false},
		{"the resolvers fail", servfail(zone.Under(".")), 0, true},
		{"the resolvers do not answer", zone.Silence(zone.Under(".")), 0, true},
		{"the clock is ahead", zone.Fault{}, 100 * 24 * time.Hour, true},
		{"the clock is behind", zone.Fault{}, -100 * 24 * time.Hour, true},
		{"the root is forged", zone.Corrupt(zone.At(".", dns.TypeDNSKEY)), 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, err := zone.New(clock, testZones("")...)
				if err != nil {
					t.Fatal(err)
				}
				if c.fault.Where != nil {
					inner.Break(c.fault)
				}
				r := dnssec.New(inner, inner.Anchors(), func() time.Time { return today.Add(c.ahead) }, dnssec.Options{})
				a := r.Lookup(t.Context(), tlsa, dns.TypeTLSA)
				synctest.Wait()
				select {
				case <-r.Suspicions():
					if !c.reason {
						t.Errorf("a suspicion: %s", a.Why)
					}
				default:
					if c.reason {
						t.Errorf("no suspicion: %s", a.Why)
					}
				}
				wantAlive := !strings.Contains(c.name, "resolvers") && !strings.Contains(c.name, "clock") && !strings.Contains(c.name, "root")
				if r.Alive(t.Context()) != wantAlive {
					t.Errorf("alive: %t", !wantAlive)
				}
			})
		})
	}
}

// slowZone is a transport of which the resolvers take long for names in a zone.
type slowZone struct {
	dnssec.Transport
	apex  string
	delay time.Duration
}

func (s slowZone) wait(ctx context.Context, query *dns.Msg) error {
	if !strings.HasSuffix(query.Question[0].Name, s.apex) {
		return nil
	}
	select {
	case <-time.After(s.delay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s slowZone) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	if err := s.wait(ctx, query); err != nil {
		return nil, "", err
	}
	return s.Transport.Exchange(ctx, query)
}

func (s slowZone) ExchangeWith(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	if err := s.wait(ctx, query); err != nil {
		return nil, err
	}
	return s.Transport.ExchangeWith(ctx, server, query)
}

// TestSlowFailure checks that a zone is found at fault within the timeout of a scrape if
// the resolvers need some time to give up its nameservers.
func TestSlowFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, err := zone.New(time.Now, zone.Zone{Apex: "com."}, zone.Zone{Apex: "net."}, zone.Zone{Apex: "org.", NSEC3: &zone.NSEC3{OptOut: true}},
			zone.Zone{Apex: "dead.org.", Records: "mx A 192.0.2.1\n"})
		if err != nil {
			t.Fatal(err)
		}
		inner.Break(zone.Rcode(zone.Under("dead.org."), dns.RcodeServerFailure))
		r := dnssec.New(slowZone{inner, "dead.org.", 2 * time.Second}, inner.Anchors(), time.Now, dnssec.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 9500*time.Millisecond)
		defer cancel()
		if a := r.Lookup(ctx, "mx.dead.org.", dns.TypeA); !errors.Is(a.Err, dnssec.ErrServer) || errors.Is(a.Err, dnssec.ErrResolverFailed) {
			t.Errorf("%v: %s", a.Err, a.Why)
		}
	})
}

// countControls is a transport that counts the controls of each zone.
type countControls struct {
	dnssec.Transport
	mu    sync.Mutex
	zones map[string]int
}

func newCountControls(t dnssec.Transport) *countControls {
	return &countControls{Transport: t, zones: make(map[string]int)}
}

func (c *countControls) ExchangeWith(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	if name := query.Question[0].Name; strings.HasPrefix(name, "dane-exporter-") {
		_, zone, _ := strings.Cut(name, ".")
		c.mu.Lock()
		c.zones[dns.Fqdn(zone)]++
		c.mu.Unlock()
	}
	return c.Transport.ExchangeWith(ctx, server, query)
}

// take returns the numbers of controls since the last call, by zone.
func (c *countControls) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	zones := c.zones
	c.zones = make(map[string]int)
	return zones
}

// outage is a resolver that has learned which zones answer.
type outage struct {
	*dnssec.Resolver
	net      *zone.Internet
	controls *countControls
}

// newOutage returns a resolver that looked up a name in each of the zones good. It has
// com, net, org and uk, and the anchors of the zones given, or else of the root.
func newOutage(t *testing.T, zones []zone.Zone, good []string, anchored ...string) *outage {
	t.Helper()
	optOut := &zone.NSEC3{OptOut: true}
	all := []zone.Zone{{Apex: "com.", NSEC3: optOut}, {Apex: "net.", NSEC3: optOut}, {Apex: "org.", NSEC3: optOut}, {Apex: "uk.", NSEC3: optOut}}
	net, err := zone.New(time.Now, append(all, zones...)...)
	if err != nil {
		t.Fatal(err)
	}
	anchors := net.Anchors()
	if len(anchored) > 0 {
		anchors = nil
	}
	for _, apex := range anchored {
		anchors = append(anchors, *mustKey(apex, "ksk", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP).Public.ToDS(dns.SHA256))
	}
	o := &outage{net: net, controls: newCountControls(net)}
	o.Resolver = dnssec.New(o.controls, anchors, time.Now, dnssec.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { o.KeepWarm(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	for _, apex := range good {
		if a := o.Lookup(ctx, "mx."+apex, dns.TypeA); a.Status.Failed() {
			t.Fatalf("%s: %s", apex, a.Why)
		}
		synctest.Wait() // KeepWarm learns
	}
	time.Sleep(time.Second)
	o.controls.take()
	return o
}

// fail makes the zones and those below them fail.
func (o *outage) fail(apexes ...string) {
	for _, apex := range apexes {
		o.net.Break(zone.Rcode(zone.Under(apex), dns.RcodeServerFailure))
	}
}

// ours reports whether a failed lookup is the fault of the resolvers.
func ours(t *testing.T, a dnssec.Answer) bool {
	t.Helper()
	if !errors.Is(a.Err, dnssec.ErrServer) {
		t.Errorf("%s: %s, %v: %s", a.Name, a.Status, a.Err, a.Why)
	}
	return errors.Is(a.Err, dnssec.ErrResolverFailed)
}

const oneHost = "mx A 192.0.2.1\n"

// hostedZones returns n zones below a suffix, such as a0.org. Each has a nameserver in a
// network of its own.
func hostedZones(prefix, suffix string, n int) (zones []zone.Zone, apexes []string) {
	for i := range n {
		apex := fmt.Sprintf("%s%d.%s", prefix, i, suffix)
		apexes = append(apexes, apex)
		zones = append(zones, zone.Zone{Apex: apex, NSEC3: &zone.NSEC3{OptOut: true},
			Records: fmt.Sprintf("%sns A 10.%d.%d.1\n*.wild A 192.0.2.1\n", oneHost, len(suffix), 10*int(prefix[0]-'a')+i)})
	}
	return zones, apexes
}

// TestControlsAreFew checks how many random names are queried in the zones of others while
// zones fail: at most one a second in each, for any number of lookups.
func TestControlsAreFew(t *testing.T) {
	for _, c := range []struct {
		name    string
		failing int           // zones
		lookups int           // in each
		every   time.Duration // between them; 0: all at the same time
		own     int           // maximum number of controls in each zone that fails
		others  int           // and in each other zone
	}{
		{"one lookup", 1, 1, 0, 4, 1},
		{"fifty at the same time", 1, 50, 0, 4, 1},
		{"fifty in succession", 1, 50, 100 * time.Millisecond, 4 * 3, 3},
		{"fifty at long intervals", 1, 50, time.Minute, 4 * 50, 50},
		{"ten zones at the same time", 10, 5, 0, 4, 1},
		{"ten zones in succession", 10, 5, 200 * time.Millisecond, 4 * 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				good, apexes := hostedZones("a", "org.", 40)
				bad, failing := hostedZones("b", "com.", c.failing)
				o := newOutage(t, append(good, bad...), append(apexes, failing...))
				o.fail(failing...)
				var group sync.WaitGroup
				for n := range c.lookups {
					for _, apex := range failing {
						group.Go(func() {
							if a := o.Lookup(t.Context(), fmt.Sprintf("n%d.%s", n, apex), dns.TypeA); ours(t, a) {
								t.Errorf("%s", a.Why)
							}
						})
					}
					time.Sleep(c.every)
				}
				group.Wait()
				total := 0
				for zone, n := range o.controls.take() {
					most := c.others
					if slices.Contains(failing, zone) {
						most = c.own
					} else {
						total += n
					}
					if n > most {
						t.Errorf("%d controls in %s, want at most %d", n, zone, most)
					}
				}
				t.Logf("%d controls in zones that answer", total)
				if most := 24 * c.others; total > most || total == 0 {
					t.Errorf("%d controls in zones that answer, want at most %d", total, most)
				}
			})
		})
	}
}

// TestControlsAreNotRepeated checks that a failed lookup sends one control to each zone,
// and another if the first answer was recent.
func TestControlsAreNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, err := zone.New(time.Now, zone.Zone{Apex: "org."}, zone.Zone{Apex: "dead.org.", Records: oneHost})
		if err != nil {
			t.Fatal(err)
		}
		inner.Break(zone.Rcode(zone.Under("dead.org."), dns.RcodeServerFailure))
		controls := newCountControls(inner)
		r := dnssec.New(controls, inner.Anchors(), time.Now, dnssec.Options{})
		if a := r.Lookup(t.Context(), "mx.dead.org.", dns.TypeA); ours(t, a) {
			t.Errorf("%v: %s", a.Err, a.Why)
		}
		if n := controls.zones["."]; n == 0 || n > 2 {
			t.Errorf("%d controls in the root", n)
		}
	})
}

// TestZoneAnswersItsControl checks that no zone of others is queried if the zone that failed
// answers for a random name.
func TestZoneAnswersItsControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zones, apexes := hostedZones("a", "org.", 5)
		o := newOutage(t, zones, apexes)
		o.net.Break(zone.Rcode(zone.At("mx.a0.org.", dns.TypeTLSA), dns.RcodeServerFailure))
		if a := o.Lookup(t.Context(), "mx.a0.org.", dns.TypeTLSA); ours(t, a) {
			t.Error(a.Why)
		}
		if controls := o.controls.take(); len(controls) != 1 || controls["a0.org."] != 1 {
			t.Errorf("controls %v", controls)
		}
	})
}

// TestFailureIsJudgedAnew checks that controls from before a failure do not count for it,
// though another zone fails all the time.
func TestFailureIsJudgedAnew(t *testing.T) {
	for _, delay := range []time.Duration{time.Millisecond, 300 * time.Millisecond, 900 * time.Millisecond, 1900 * time.Millisecond, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			zones, apexes := hostedZones("a", "org.", 10)
			o := newOutage(t, zones, apexes)
			o.fail("a9.org.")
			if a := o.Lookup(t.Context(), "n.a9.org.", dns.TypeA); ours(t, a) {
				t.Fatal(a.Why)
			}
			time.Sleep(delay)
			o.fail(apexes[:5]...)
			time.Sleep(time.Millisecond)
			if a := o.Lookup(t.Context(), "n.a0.org.", dns.TypeA); !ours(t, a) {
				t.Errorf("half of the zones fail after %s: %s", delay, a.Why)
			}
			o.fail(".")
			time.Sleep(time.Millisecond)
			if a := o.Lookup(t.Context(), "n.a8.org.", dns.TypeA); !ours(t, a) {
				t.Errorf("all zones fail after %s: %s", delay, a.Why)
			}
		})
	}
}

// TestCommonCause checks failures that have one cause outside of the resolvers, and such
// as look like it.
func TestCommonCause(t *testing.T) {
	a, org := hostedZones("a", "org.", 8)
	b, net := hostedZones("b", "net.", 8)
	c, co := hostedZones("c", "co.uk.", 5)
	plain := slices.Concat(a, b, []zone.Zone{{Apex: "co.uk."}}, c)
	plainApexes := slices.Concat(org, net, co)
	below := func(apex string) zone.Where { // not the zone itself
		return func(p zone.Place) bool { return p.Zone != apex && zone.Under(apex)(p) }
	}
	provider := func(records string, n int) (zones []zone.Zone, apexes []string) {
		for i := range n {
			apex := fmt.Sprintf("v%d.org.", i)
			apexes = append(apexes, apex)
			zones = append(zones, zone.Zone{Apex: apex, Records: oneHost + fmt.Sprintf(records, i+1)})
		}
		return zones, apexes
	}
	same, vanity := provider("ns A 192.0.2.5%[1]d\n", 5)
	six, _ := provider("ns AAAA 2001:db8:%[1]d::1\n@ NS ns2\nns2 AAAA 2001:db8:ffff::%[1]d\n", 5)
	apart, _ := provider("ns A 10.9.%[1]d.1\n", 5)
	for _, c := range []struct {
		name   string
		zones  []zone.Zone
		good   []string
		broken []zone.Where
		ask    string
		ours   bool
		above  string
	}{
		{"a top-level domain and all below", plain, plainApexes, []zone.Where{zone.Under("org.")}, "a0.org.", false, "org."},
		{"the same, and nothing is known of other zones", a, org, []zone.Where{zone.Under("org.")}, "a0.org.", false, "org."},
		{"the same, and nothing is known at all", a, nil, []zone.Where{zone.Under("org.")}, "a0.org.", false, "org."},
		{"a top-level domain, some zones below answer", plain, plainApexes, []zone.Where{zone.In("org."), zone.Under("a0.org.")}, "a0.org.", false, "org."},
		{"two top-level domains", plain, plainApexes, []zone.Where{zone.Under("org."), zone.Under("net.")}, "a0.org.", true, ""},
		{"a top-level domain and the root", plain, plainApexes, []zone.Where{zone.Under("org."), zone.In(".")}, "a0.org.", true, ""},
		{"a top-level domain and half of the other zones", plain, plainApexes, []zone.Where{zone.Under("org."), zone.Under("b0.net."), zone.Under("b1.net."),
			zone.Under("b2.net."), zone.Under("b3.net."), zone.Under("c0.co.uk."), zone.Under("c1.co.uk.")}, "a0.org.", true, ""},
		{"a public suffix and all below", plain, plainApexes, []zone.Where{zone.Under("co.uk.")}, "c0.co.uk.", false, "co.uk."},
		{"all below a public suffix", plain, plainApexes, []zone.Where{below("co.uk.")}, "c0.co.uk.", false, ""},
		{"all below a top-level domain", plain, plainApexes, []zone.Where{below("org.")}, "a0.org.", false, ""},
		{"all below the only top-level domain with known zones", a, org, []zone.Where{below("org.")}, "a0.org.", true, ""},
		{"most below a top-level domain", slices.Concat(a, b[:4]), slices.Concat(org, net[:4]), []zone.Where{zone.Under("a0.org."), zone.Under("a1.org."), zone.Under("a2.org."), zone.Under("a3.org."),
			zone.Under("a4.org."), zone.Under("a5.org."), zone.Under("a6.org.")}, "a0.org.", true, ""},
		{"one provider, with a nameserver in each zone", append(same, b[:2]...), append(vanity, net[:2]...), []zone.Where{below("org.")}, "v0.org.", false, ""},
		{"one provider with IPv6", append(six, b[:2]...), append(vanity, net[:2]...), []zone.Where{below("org.")}, "v0.org.", false, ""},
		{"five providers", append(apart, b[:2]...), append(vanity, net[:2]...), []zone.Where{below("org.")}, "v0.org.", true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutage(t, c.zones, c.good)
				for _, where := range c.broken {
					o.net.Break(zone.Rcode(where, dns.RcodeServerFailure))
				}
				a := o.Lookup(t.Context(), "n."+c.ask, dns.TypeA)
				if ours(t, a) != c.ours || strings.Contains(a.Why, "above it fails too") != (c.above != "") || !strings.Contains(a.Why, c.above) {
					t.Errorf("%v: %s", a.Err, a.Why)
				}
				checkFaultZone(t, a, cmp.Or(c.above, c.ask))
			})
		})
	}
}

// checkFaultZone checks that a zone is at fault, or no zone if the resolvers are.
func checkFaultZone(t *testing.T, a dnssec.Answer, want string) {
	t.Helper()
	if errors.Is(a.Err, dnssec.ErrResolverFailed) || errors.Is(a.Err, dnssec.ErrRootBogus) {
		want = ""
	}
	if a.FaultZone != want {
		t.Errorf("the zone at fault is %q, want %q: %s", a.FaultZone, want, a.Why)
	}
}

// TestPrivateAnchors checks zones below trust anchors of the operator.
func TestPrivateAnchors(t *testing.T) {
	zones := []zone.Zone{{Apex: "corp.org.", Records: oneHost + "mx.a A 192.0.2.2\n"}, {Apex: "sub.corp.org.", Records: oneHost}, {Apex: "lab.com.", Records: oneHost}, {Apex: "lan.", Records: oneHost}}
	public := func(p zone.Place) bool { // all but the private zones
		return !zone.Under("corp.org.")(p) && !zone.Under("lab.com.")(p)
	}
	for _, c := range []struct {
		name    string
		anchors []string
		good    []string
		broken  []zone.Where
		ask     string
		ours    bool
	}{
		{"the zone with the anchor fails", []string{"corp.org."}, []string{"corp.org."}, []zone.Where{zone.Under("corp.org.")}, "corp.org.", false},
		{"it never answered", []string{"corp.org."}, nil, []zone.Where{zone.Under("corp.org.")}, "corp.org.", false},
		{"a zone below it fails", []string{"corp.org."}, []string{"corp.org.", "sub.corp.org."}, []zone.Where{zone.In("sub.corp.org.")}, "sub.corp.org.", false},
		{"a top-level domain with an anchor fails", []string{"lan."}, []string{"lan."}, []zone.Where{zone.Under("lan.")}, "lan.", false},
		{"a zone with an anchor besides that of the root", []string{".", "corp.org."}, []string{"corp.org."}, []zone.Where{zone.Under("corp.org.")}, "corp.org.", false},
		{"the network is private, and another zone answers", []string{"corp.org.", "lab.com."}, []string{"corp.org.", "lab.com."}, []zone.Where{zone.Under("corp.org."), public}, "corp.org.", false},
		{"the network is private, and all zones fail", []string{"corp.org.", "lab.com."}, []string{"corp.org.", "lab.com."}, []zone.Where{zone.Under(".")}, "corp.org.", true},
		{"a zone without an anchor fails", []string{"corp.org."}, []string{"corp.org.", "lab.com."}, []zone.Where{zone.Under("lab.com.")}, "lab.com.", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutage(t, zones, c.good, c.anchors...)
				for _, where := range c.broken {
					o.net.Break(zone.Rcode(where, dns.RcodeServerFailure))
				}
				a := o.Lookup(t.Context(), "n."+c.ask, dns.TypeA)
				if ours(t, a) != c.ours {
					t.Errorf("%v: %s", a.Err, a.Why)
				}
				checkFaultZone(t, a, c.ask)
			})
		})
	}
}

// TestRootBogus checks that no zone is at fault while what the root signs does not validate.
func TestRootBogus(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name    string
		anchors []string // of zones; default the root
		ahead   time.Duration
		fault   zone.Fault
		root    bool
	}{
		{name: "the clock is 100 days ahead", ahead: 100 * day, root: true},
		{name: "the clock is 100 days behind", ahead: -100 * day, root: true},
		{name: "the keys of the root are forged", fault: zone.Corrupt(zone.At(".", dns.TypeDNSKEY)), root: true},
		{name: "all data of the root has expired, but not its keys", fault: zone.Expire(zone.In(".", dns.TypeDS, dns.TypeNSEC)), root: true},
		{name: "the DS of the top-level domain has expired", fault: zone.Expire(zone.At("org.", dns.TypeDS))},
		{name: "the keys of the top-level domain have expired", fault: zone.Expire(zone.At("org.", dns.TypeDNSKEY))},
		{name: "the zone has expired", fault: zone.Expire(zone.In("example.org."))},
		{name: "the clock is ahead, and the zone has an anchor", anchors: []string{".", "example.org."}, ahead: 100 * day, root: true},
		{name: "the zone has an anchor and has expired", anchors: []string{".", "example.org."}, fault: zone.Expire(zone.In("example.org."))},
		{name: "only the zone has an anchor", anchors: []string{"example.org."}, fault: zone.Expire(zone.In("example.org."))},
	} {
		t.Run(c.name, func(t *testing.T) {
			net, err := zone.New(clock, testZones("")...)
			if err != nil {
				t.Fatal(err)
			}
			if c.fault.Where != nil {
				net.Break(c.fault)
			}
			anchors := net.Anchors()
			for _, apex := range c.anchors {
				if apex != "." {
					anchors = append(anchors, *mustKey(apex, "ksk", dns.ECDSAP256SHA256, dns.ZONE|dns.SEP).Public.ToDS(dns.SHA256))
				}
			}
			if len(c.anchors) > 0 && c.anchors[0] != "." {
				anchors = anchors[1:]
			}
			now := today
			r := dnssec.New(net, anchors, func() time.Time { return now }, dnssec.Options{})
			for round := range 3 { // with empty caches, with what is cached of the failure, and after it
				if round < 2 {
					now = today.Add(c.ahead)
				} else {
					now = today
					net.BreakOnly()
					r.ClearFailures()
				}
				for _, name := range []string{tlsa, "no.example.org."} {
					a := r.Lookup(t.Context(), name, dns.TypeTLSA)
					switch {
					case round == 2 && c.ahead != 0:
						if a.Status != dnssec.Secure {
							t.Errorf("the clock is right again, %s: %s: %s", name, a.Status, a.Why)
						}
					case round < 2 && (a.Status != dnssec.Bogus || errors.Is(a.Err, dnssec.ErrRootBogus) != c.root):
						t.Errorf("round %d, %s: %s, %v: %s", round, name, a.Status, a.Err, a.Why)
					}
					if round < 2 && (a.FaultZone == "") != c.root {
						t.Errorf("round %d, %s: the zone at fault is %q", round, name, a.FaultZone)
					}
				}
			}
		})
	}
}

// TestPostMortemIsShort checks that a failed lookup does not wait long for controls, such as
// that of a zone whose nameservers are silent.
func TestPostMortemIsShort(t *testing.T) {
	for _, c := range []struct {
		name   string
		silent []string
		ours   bool
		most   time.Duration
	}{
		{"the zone answers", nil, false, 50 * time.Millisecond},
		{"the zone is silent", []string{"a0.org."}, false, 300 * time.Millisecond},
		{"the zone and some others are silent", []string{"a0.org.", "a1.org."}, false, 1100 * time.Millisecond},
		{"half of the zones are silent", []string{"a0.org.", "a1.org.", "a2.org.", "a3.org.", "a4.org."}, true, 1500 * time.Millisecond},
		{"all zones are silent", []string{"."}, true, 1500 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zones, apexes := hostedZones("a", "org.", 9)
				o := newOutage(t, zones, apexes)
				o.net.Break(zone.Rcode(zone.At("n.a0.org."), dns.RcodeServerFailure))
				for _, apex := range c.silent { // for other names
					o.net.Break(zone.Silence(func(p zone.Place) bool { return zone.Under(apex)(p) && !zone.At("n.a0.org.")(p) }))
				}
				start := time.Now()
				a := o.Lookup(t.Context(), "n.a0.org.", dns.TypeA)
				if ours(t, a) != c.ours {
					t.Errorf("%v: %s", a.Err, a.Why)
				}
				if took := time.Since(start); took > c.most {
					t.Errorf("the lookup took %s, want at most %s", took, c.most)
				}
				time.Sleep(10 * time.Second) // the failure is no longer cached
				start = time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				o.Lookup(ctx, "n.a0.org.", dns.TypeA)
				if took := time.Since(start); took > 100*time.Millisecond {
					t.Errorf("the lookup took %s, and its caller has 100 ms", took)
				}
			})
		})
	}
}

// TestFaultZoneIsNotGuessed checks the zone at fault if a zone does not answer its control in
// time. It is known if an earlier lookup has proven which zone contains the name.
func TestFaultZoneIsNotGuessed(t *testing.T) {
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("known %t", known), func(t *testing.T) {
			const name = "mx.a0.org."
			want := ""
			synctest.Test(t, func(t *testing.T) {
				zones, apexes := hostedZones("a", "org.", 3)
				o := newOutage(t, zones, apexes)
				o.net.Break(zone.Rcode(zone.At(name, dns.TypeA), dns.RcodeServerFailure))
				if known {
					want = "a0.org."
					checkFaultZone(t, o.Lookup(t.Context(), name, dns.TypeA), want)
					time.Sleep(time.Minute) // neither the failure nor the control is remembered
				}
				o.net.Break(zone.Silence(func(p zone.Place) bool { return zone.Under("a0.org.")(p) && !zone.At(name, dns.TypeA)(p) }))
				a := o.Lookup(t.Context(), name, dns.TypeA)
				if ours(t, a) {
					t.Error(a.Why)
				}
				checkFaultZone(t, a, want)
			})
		})
	}
}

// TestFaultZoneIsStable checks that the zone at fault does not change while probes repeat a
// lookup, whatever is cached and however many domains fail at the same time.
func TestFaultZoneIsStable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, _ := hostedZones("b", "uk.", 5)
		good, apexes := hostedZones("a", "org.", 5)
		o := newOutage(t, append(broken, good...), apexes)
		o.net.Break(zone.Rcode(zone.Under("uk."), dns.RcodeServerFailure))
		for range 30 {
			var group sync.WaitGroup
			for _, z := range broken {
				group.Go(func() {
					if a := o.Lookup(t.Context(), "mx."+z.Apex, dns.TypeA); a.FaultZone != "uk." {
						t.Errorf("the zone at fault is %q, want uk.: %s", a.FaultZone, a.Why)
					}
				})
			}
			for _, apex := range apexes {
				group.Go(func() { o.Lookup(t.Context(), "mx."+apex, dns.TypeA) })
			}
			group.Wait()
			time.Sleep(time.Minute)
		}
	})
}

// TestBrokenSubzone checks that a zone whose parent answers, in the same domain, is at
// fault, although a zone of another domain fails too.
func TestBrokenSubzone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records = "mx A 192.0.2.1\n"
		good := []string{"z0.org.", "z1.org.", "z2.org."}
		zones := []zone.Zone{{Apex: "org."}, {Apex: "sub.z0.org.", Records: records}}
		for _, apex := range good {
			zones = append(zones, zone.Zone{Apex: apex, Records: records})
		}
		inner, err := zone.New(time.Now, zones...)
		if err != nil {
			t.Fatal(err)
		}
		r := dnssec.New(inner, inner.Anchors(), time.Now, dnssec.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { r.KeepWarm(ctx) })
		defer func() { cancel(); group.Wait() }()
		for _, apex := range append(good, "sub.z0.org.") {
			if a := r.Lookup(ctx, "mx."+apex, dns.TypeA); a.Status != dnssec.Secure {
				t.Fatalf("%s: %s", apex, a.Why)
			}
			synctest.Wait() // KeepWarm learns
		}
		inner.Break(zone.Rcode(zone.In("sub.z0.org."), dns.RcodeServerFailure))
		inner.Break(zone.Rcode(zone.In("z1.org."), dns.RcodeServerFailure))
		time.Sleep(time.Second)
		a := r.Lookup(ctx, "mx.sub.z0.org.", dns.TypeA)
		if !errors.Is(a.Err, dnssec.ErrServer) || errors.Is(a.Err, dnssec.ErrResolverFailed) {
			t.Errorf("%v: %s", a.Err, a.Why)
		}
		checkFaultZone(t, a, "sub.z0.org.")
		inner.Break(zone.Rcode(zone.In("z0.org."), dns.RcodeServerFailure))
		time.Sleep(10 * time.Second) // the failure is no longer cached
		checkFaultZone(t, r.Lookup(ctx, "mx.sub.z0.org.", dns.TypeA), "z0.org.")
	})
}

// manyServers is a transport with several equal resolvers.
type manyServers struct{ *zone.Internet }

func (manyServers) Servers() []string { return []string{"a", "b", "c", "d"} }

func (m manyServers) ExchangeWith(ctx context.Context, _ string, query *dns.Msg) (*dns.Msg, error) {
	return m.Internet.ExchangeWith(ctx, m.Internet.Servers()[0], query)
}

// fewControls is a Meter that limits the controls alone.
type fewControls struct {
	*queryMeter
	controls *queryMeter
}

func (f fewControls) Control() error { return f.controls.Query(false) }

// TestOutageOfManyServers checks that an outage of all resolvers is found although a
// client may not send as many controls as four resolvers and all witnesses would take.
func TestOutageOfManyServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zones := []zone.Zone{{Apex: "org."}}
		for i := range 17 {
			zones = append(zones, zone.Zone{Apex: fmt.Sprintf("z%d.org.", i), Records: "mx A 192.0.2.1\n"})
		}
		inner, err := zone.New(time.Now, zones...)
		if err != nil {
			t.Fatal(err)
		}
		r := dnssec.New(manyServers{inner}, inner.Anchors(), time.Now, dnssec.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { r.KeepWarm(ctx) })
		defer func() { cancel(); group.Wait() }()
		synctest.Wait()
		for _, z := range zones[1:] {
			if a := r.Lookup(ctx, "mx."+z.Apex, dns.TypeA); a.Status != dnssec.Secure {
				t.Fatal(a.Why)
			}
			synctest.Wait() // KeepWarm learns
		}
		inner.Break(zone.Rcode(zone.Under("."), dns.RcodeServerFailure))
		time.Sleep(time.Second)
		limited := fewControls{allow(600), allow(120)}
		a := r.LookupWithin(ctx, limited, "mx2.z0.org.", dns.TypeA)
		if !errors.Is(a.Err, dnssec.ErrResolverFailed) || limited.controls.left.Load() > 0 {
			t.Errorf("%d controls left: %v: %s", limited.controls.left.Load(), a.Err, a.Why)
		}
	})
}
