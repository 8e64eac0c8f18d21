//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

// outageAddress is the address of the Unbound that loses its uplink.
var outageAddress = netip.MustParseAddr("127.0.0.55")

// outageZones are signed zones that answer until the uplink is lost. The last five
// are served by BIND, the others and the root by Knot.
var outageZones = []string{"good.test.", "nsec3.test.", "p384.test.", "ed25519.test.", "bind.test.", "bind2.test.", "bind3.test.", "rsasha512.example.", "ed448.example."}

// An uplink leads from Unbound to the nameservers.
type uplink struct{ servers []netip.Addr }

// cut makes the nameservers unreachable. If it is silent, their packets are lost
// without an error.
func (u uplink) cut(t testing.TB, silent bool) {
	t.Helper()
	if silent {
		run(t, "ip", "link", "add", "uplink", "type", "veth", "peer", "name", "nowhere")
		run(t, "ip", "address", "add", "198.51.100.1/32", "dev", "uplink")
		run(t, "ip", "link", "set", "nowhere", "up")
		run(t, "ip", "link", "set", "uplink", "arp", "off", "up")
	}
	for _, server := range u.servers {
		run(t, "ip", "address", "del", netip.PrefixFrom(server, 32).String(), "dev", "lo")
		if silent {
			run(t, "ip", "route", "add", server.String(), "dev", "uplink")
		}
	}
}

func (u uplink) restore(t testing.TB, silent bool) {
	t.Helper()
	if silent {
		run(t, "ip", "link", "del", "uplink")
	}
	for _, server := range u.servers {
		addAddress(t, server)
	}
}

// learned is a Transport that reports when a control of a zone is sent.
type learned struct {
	dnssec.Transport
	zone string
	once sync.Once
	done chan struct{}
}

func (l *learned) ExchangeWith(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	if name := query.Question[0].Name; strings.HasPrefix(name, "dane-exporter-") && strings.HasSuffix(name, "."+l.zone) {
		l.once.Do(func() { close(l.done) })
	}
	return l.Transport.ExchangeWith(ctx, server, query)
}

// TestResolverOutage cuts all or half of the uplink of Unbound after it has cached the
// root keys. No zone is at fault then. While the uplink works, zones without a working
// nameserver are at fault, whatever their number.
func TestResolverOutage(t *testing.T) {
	tb := &testbed{dir: tempDir(t), zones: zones()}
	for _, name := range []string{"bind2.test.", "bind3.test."} {
		tb.zones = append(tb.zones, &zone{name: name, signer: signedByBIND, algorithm: "ECDSAP256SHA256", denial: nsec3OptOut, records: zoneRecords})
	}
	configureLoopback(t)
	knot, bind := uplink{[]netip.Addr{knotAddress}}, uplink{[]netip.Addr{bindAddress}}
	for i, name := range outageZones { // in networks of their own: they have no provider in common
		z := tb.zone(t, name)
		z.server = netip.AddrFrom4([4]byte{198, 18, byte(i), 1})
		half := &knot
		if z.signer == signedByBIND {
			half = &bind
		}
		half.servers = append(half.servers, z.server)
	}
	for i := range 20 {
		tb.zone(t, "test.").records += fmt.Sprintf("broken%d NS ns.broken%[1]d\nns.broken%[1]d A %s\n", i, bindAddress) // which has no such zone
	}
	tb.publish(t)
	all := uplink{slices.Concat(knot.servers, bind.servers)}
	for _, c := range []struct {
		name    string
		modules string
		uplink  uplink
		silent  bool
		lost    []string // zones that cannot be resolved
	}{
		{"unreachable", "iterator", all, false, outageZones},
		{"unreachable, with validation", "validator iterator", all, false, outageZones},
		{"silent", "iterator", all, true, outageZones},
		{"silent, with validation", "validator iterator", all, true, outageZones},
		{"half of it unreachable", "iterator", bind, false, outageZones[4:]},
		{"half of it unreachable, with validation", "validator iterator", bind, false, outageZones[4:]},
		{"half of it silent", "validator iterator", bind, true, outageZones[4:]},
		{"the half with the root unreachable", "validator iterator", knot, false, outageZones[:4]},
	} {
		t.Run(c.name, func(t *testing.T) {
			unbound := newUnbound(t, tb, c.modules, outageAddress)
			unbound.start(t)
			defer unbound.stop(t)
			servers, err := transport.New([]string{outageAddress.String()}, transport.Options{Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			watched := &learned{Transport: servers, zone: "unsigned.test.", done: make(chan struct{})}
			r := dnssec.New(watched, tb.anchors(t), time.Now, dnssec.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() { r.KeepWarm(ctx) })
			defer func() { cancel(); group.Wait() }()

			for _, zone := range outageZones {
				if a := r.Lookup(ctx, "text."+zone, dns.TypeTXT); a.Status != dnssec.Secure {
					t.Fatalf("%s: %s", zone, a.Why)
				}
			}
			atFault(t, r, 20, "before")
			if check := r.SelfCheck(ctx); !check.Healthy() {
				t.Errorf("before: %s", check)
			}
			learn(t, r, watched)

			c.uplink.cut(t, c.silent)
			defer c.uplink.restore(t, c.silent)
			for round := range 2 { // Unbound waits for nameservers in the first, and knows that they are down in the second
				var lookups sync.WaitGroup
				for _, zone := range outageZones {
					lookups.Go(func() {
						a := r.Lookup(ctx, fmt.Sprintf("n%d.wild.%s", round, zone), dns.TypeTXT)
						ours := errors.Is(a.Err, dnssec.ErrResolverFailed) || errors.Is(a.Err, dnssec.ErrUnreachable)
						if lost := slices.Contains(c.lost, zone); lost != ours || !lost && a.Status.Failed() {
							t.Errorf("round %d, %s: %s, %v: %s", round, zone, a.Status, a.Err, a.Why)
						}
					})
				}
				lookups.Wait()
			}
			if check := r.SelfCheck(ctx); len(c.lost) == len(outageZones) && check.Resolvers[0].Problem != dnssec.ProblemNoUplink {
				t.Errorf("without uplink: %+v", check)
			}
			select {
			case <-r.Suspicions():
			default:
				t.Error("no suspicion")
			}
		})
	}
}

// learn returns when KeepWarm has learned which zones answer: it checks them one
// after the other, and one more.
func learn(t *testing.T, r *dnssec.Resolver, l *learned) {
	t.Helper()
	if a := r.Lookup(t.Context(), "text.unsigned.test.", dns.TypeTXT); a.Status != dnssec.Insecure {
		t.Fatalf("%s: %s", l.zone, a.Why)
	}
	select {
	case <-l.done:
	case <-time.After(timeout):
		t.Fatalf("no control in %s", l.zone)
	}
}

// atFault checks that zones without a nameserver are at fault.
func atFault(t *testing.T, r *dnssec.Resolver, n int, when string) {
	t.Helper()
	for i := range n {
		a := r.Lookup(t.Context(), fmt.Sprintf("mx.broken%d.test.", i), dns.TypeA)
		if !errors.Is(a.Err, dnssec.ErrServer) || errors.Is(a.Err, dnssec.ErrResolverFailed) {
			t.Errorf("%s: %s: %s, %v: %s", when, a.Name, a.Status, a.Err, a.Why)
		}
		if want := fmt.Sprintf("broken%d.test.", i); a.FaultZone != want {
			t.Errorf("%s: the zone at fault for %s is %q, want %q", when, a.Name, a.FaultZone, want)
		}
	}
}

// selfCheckBound is how long the metrics may differ from the state of the resolver.
const selfCheckBound = 30 * time.Second

// TestSelfCheckFollowsResolver breaks the only resolver of an exporter in several
// ways. The metrics of the self-check show that within 30 s, and then that it works
// again. No domain is at fault meanwhile. An exporter without probes notices by itself
// unless only the uplink is lost.
func TestSelfCheckFollowsResolver(t *testing.T) {
	tb := &testbed{dir: tempDir(t), zones: zones()}
	configureLoopback(t)
	tb.publish(t)
	unbound := newUnbound(t, tb, "validator iterator", outageAddress)
	unbound.start(t)
	config := writeFile(t, tb.dir, "exporter.yml", fmt.Sprintf("resolver:\n  servers: [%q]\n  timeout: 1s\n  trust_anchors: %q\n",
		outageAddress.String()+":53", writeFile(t, tb.dir, "anchors", tb.anchor+"\n")))
	start(t, tb.dir, exec.Command(os.Getenv(binaryEnv), "serve", "--config.file", config, "--web.listen-address", exporterAddress), exporterAddress)
	e := &exporter{url: "http://" + exporterAddress}
	all := uplink{[]netip.Addr{knotAddress, bindAddress}}

	awaitSelfCheck(t, e, "at the start", true, false)
	if got := e.probe(t, "good.test", "smtp_mx").outcome(t); got != "none" {
		t.Fatalf("good.test is %s, want none: it has no mail host", got)
	}
	for _, c := range []struct {
		name          string
		breaks, mends func()
		probes        bool
	}{
		{name: "stopped", breaks: func() { unbound.stop(t) }, mends: func() { unbound.start(t) }},
		{name: "hanging", breaks: func() { signal(t, unbound.process, syscall.SIGSTOP) }, mends: func() { signal(t, unbound.process, syscall.SIGCONT) }},
		{name: "without uplink", breaks: func() { all.cut(t, false) }, mends: func() { all.restore(t, false) }, probes: true},
	} {
		c.breaks()
		awaitSelfCheck(t, e, c.name, false, c.probes)
		if got := e.probe(t, "nsec3.test", "smtp_mx"); got.outcome(t) != "unknown" {
			t.Errorf("%s: nsec3.test is %s, %q", c.name, got.outcome(t), got.reasons())
		}
		c.mends()
		awaitSelfCheck(t, e, "no longer "+c.name, true, false)
	}
}

// awaitSelfCheck waits until the metrics of the self-check have the state wanted,
// and meanwhile probes if asked to.
func awaitSelfCheck(t *testing.T, e *exporter, when string, ok, probe bool) {
	t.Helper()
	begin := time.Now()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	want := fmt.Sprintf("dane_exporter_resolver_ok{module=\"\",server=%q} %d", outageAddress.String()+":53", map[bool]int{true: 1}[ok])
	for n := 0; ; n++ {
		if probe {
			if got := e.probe(t, fmt.Sprintf("n%d.good.test", n), "smtp_mx"); got.outcome(t) == "refused" {
				t.Errorf("%s: a domain is refused: %q", when, got.reasons())
			}
		}
		metrics := e.metrics(t)
		if strings.Contains(metrics, want) && (!ok || strings.Contains(metrics, `dane_exporter_trust_anchor_ok{module=""} 1`)) {
			t.Logf("%s: after %s", when, time.Since(begin).Round(time.Second))
			return
		}
		if time.Since(begin) > selfCheckBound {
			t.Fatalf("%s: after %s there is no %s", when, selfCheckBound, want)
		}
		<-tick.C
	}
}

// metrics returns the exporter's own metrics.
func (e *exporter) metrics(t testing.TB) string {
	t.Helper()
	_, body := getPage(t, e.url+"/metrics")
	return body
}
