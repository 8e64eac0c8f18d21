package dnssec_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// countControls is a transport that counts the controls in the root.
type countControls struct {
	dnssec.Transport
	root *atomic.Int32
}

func (c countControls) ExchangeWith(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	if name := query.Question[0].Name; strings.HasPrefix(name, "dane-exporter-") && dns.CountLabel(name) == 1 {
		c.root.Add(1)
	}
	return c.Transport.ExchangeWith(ctx, server, query)
}

// TestControlsAreNotRepeated checks that a failed lookup sends one control to each zone,
// and another if the first answer was recent.
func TestControlsAreNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, err := zone.New(time.Now, zone.Zone{Apex: "org."}, zone.Zone{Apex: "dead.org.", Records: "mx A 192.0.2.1\n"})
		if err != nil {
			t.Fatal(err)
		}
		inner.Break(zone.Rcode(zone.Under("dead.org."), dns.RcodeServerFailure))
		var controls atomic.Int32
		r := dnssec.New(countControls{inner, &controls}, inner.Anchors(), time.Now, dnssec.Options{})
		if a := r.Lookup(t.Context(), "mx.dead.org.", dns.TypeA); !errors.Is(a.Err, dnssec.ErrServer) {
			t.Errorf("%v: %s", a.Err, a.Why)
		}
		if n := controls.Load(); n > 2*int32(len(inner.Servers())) {
			t.Errorf("%d controls in the root", n)
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
		if a := r.Lookup(ctx, "mx.sub.z0.org.", dns.TypeA); !errors.Is(a.Err, dnssec.ErrServer) || errors.Is(a.Err, dnssec.ErrResolverFailed) {
			t.Errorf("%v: %s", a.Err, a.Why)
		}
	})
}
