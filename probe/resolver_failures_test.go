package probe_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dane_exporter/internal/lab"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"

	"github.com/miekg/dns"
)

// lossyResolver is a resolver of the lab on loopback, over UDP and TCP, that
// loses a share of the queries over UDP.
type lossyResolver struct {
	dns  dnssec.Transport
	loss float64 // 0 to 1

	mu     sync.Mutex
	random *rand.Rand
}

// startResolver starts a resolver of the lab and returns its address.
func startResolver(t *testing.T, loss float64) string {
	t.Helper()
	r := &lossyResolver{dns: labEnvironment(t).DNS, loss: loss, random: rand.New(rand.NewPCG(7, 11))}
	udp, tcp := listenUDPAndTCP(t)
	var running sync.WaitGroup
	for _, server := range []*dns.Server{{PacketConn: udp, Handler: r}, {Listener: tcp, Handler: r}} {
		up := make(chan struct{})
		server.NotifyStartedFunc = func() { close(up) }
		running.Go(func() { server.ActivateAndServe() })
		<-up
		t.Cleanup(func() { server.Shutdown() })
	}
	return udp.LocalAddr().String()
}

// listenUDPAndTCP listens on a port that is free for both.
func listenUDPAndTCP(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if tcp, err := net.Listen("tcp4", udp.LocalAddr().String()); err == nil {
			return udp, tcp
		}
		udp.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// ServeDNS answers a query, or loses it.
func (r *lossyResolver) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	_, overUDP := w.RemoteAddr().(*net.UDPAddr)
	if overUDP && r.loses() {
		return
	}
	response, _, err := r.dns.Exchange(context.Background(), query)
	if err != nil {
		return
	}
	response.Compress = true
	if overUDP {
		response.Truncate(1232)
	}
	w.WriteMsg(response)
}

func (r *lossyResolver) loses() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.random.Float64() < r.loss
}

// silentAddress returns the address of a UDP socket that never answers.
func silentAddress(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}

// refusingAddress returns an address at which the kernel refuses datagrams: its
// port is in use until the test ends, by a socket that is connected to another
// port and so receives from no client.
func refusingAddress(t *testing.T) string {
	t.Helper()
	conn, err := net.Dial("udp4", silentAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}

// A failure of the resolvers is on our side: the outcome is the right one or
// unknown. It is rarely unknown as long as one resolver answers some queries.
func TestResolverFailures(t *testing.T) {
	t.Parallel()
	env := labEnvironment(t)
	for _, c := range []struct {
		name       string
		resolvers  func(*testing.T) []string
		maxUnknown int32 // number of outcomes that may be unknown; 1000: all must be
	}{
		{"one of two refuses queries", func(t *testing.T) []string {
			return []string{refusingAddress(t), startResolver(t, 0)}
		}, 0},
		{"one of two is silent", func(t *testing.T) []string {
			return []string{silentAddress(t), startResolver(t, 0)}
		}, 0},
		{"both refuse queries", func(t *testing.T) []string {
			return []string{refusingAddress(t), refusingAddress(t)}
		}, 1000},
		{"both lose 10 % of the queries", func(t *testing.T) []string {
			return []string{startResolver(t, 0.1), startResolver(t, 0.1)}
		}, 1},
		{"both lose 30 % of the queries", func(t *testing.T) []string {
			return []string{startResolver(t, 0.3), startResolver(t, 0.3)}
		}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			servers, err := transport.New(c.resolvers(t), transport.Options{Timeout: 500 * time.Millisecond, Attempts: 2})
			if err != nil {
				t.Fatal(err)
			}
			env := env
			env.DNS = servers
			prober := newLabProber(env)
			var unknown, judged atomic.Int32
			var wait sync.WaitGroup
			slots := make(chan struct{}, 4) // probes at the same time: they wait more than they compute
			for _, scenario := range lab.Scenarios() {
				if !slices.Contains([]string{"good", "good-nsec3", "dane-ta", "two-mx-one-broken", "tlsa-mismatch", "no-tlsa", "unsigned",
					"optout-unsigned", "bogus-signature", "wrong-ds", "tlsa-denial-bogus", "null-mx", "no-such-domain", "thousand-tlsa"}, scenario.Name) {
					continue
				}
				target, module := labTarget(t, scenario)
				slots <- struct{}{}
				wait.Go(func() {
					defer func() { <-slots }()
					verdict := prober.Probe(t.Context(), target, module).Verdict
					judged.Add(1)
					if string(verdict.Outcome) == scenario.Outcome {
						return
					}
					unknown.Add(1)
					internal := func(f dane.Finding) bool {
						return f.Reason == dane.ResolverUnreachable || f.Reason == dane.ProbeDeadline
					}
					// A target with one unknown and one refused host is refused.
					unknownHost := func(v dane.ServiceVerdict) bool { return v.Outcome == dane.Unknown }
					refusedByOther := scenario.Name == "two-mx-one-broken" && verdict.Outcome == dane.Refused && slices.ContainsFunc(verdict.Services, unknownHost)
					if verdict.Outcome != dane.Unknown && !refusedByOther || !slices.ContainsFunc(verdict.Findings, internal) {
						t.Errorf("%s: %s, findings %v; want %s, or unknown because of the resolvers or the deadline", scenario.Name, verdict.Outcome, verdict.Findings, scenario.Outcome)
					}
				})
			}
			wait.Wait()
			t.Logf("%d of %d outcomes are unknown", unknown.Load(), judged.Load())
			if n := unknown.Load(); judged.Load() != 14 || n > c.maxUnknown || c.maxUnknown > 14 && n != 14 {
				t.Errorf("%d of %d outcomes are unknown, want at most %d", n, judged.Load(), c.maxUnknown)
			}
		})
	}
}

// MX lookups without a working resolver, or with a wrong clock, show nothing about the domain.
func TestLookupMXWithoutResolver(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*probe.Environment) error
	}{
		{"the resolver refuses queries", func(env *probe.Environment) (err error) {
			env.DNS, err = transport.New([]string{refusingAddress(t)}, transport.Options{Timeout: 500 * time.Millisecond, Attempts: 1})
			return err
		}},
		{"the resolver is silent", func(env *probe.Environment) (err error) {
			env.DNS, err = transport.New([]string{silentAddress(t)}, transport.Options{Timeout: 200 * time.Millisecond, Attempts: 1})
			return err
		}},
		{"the clock is a year ahead", func(env *probe.Environment) error {
			env.Now = func() time.Time { return june().AddDate(1, 0, 0) }
			return nil
		}},
	} {
		env := labEnvironment(t)
		if err := c.change(&env); err != nil {
			t.Fatal(err)
		}
		if hosts, err := newLabProber(env).LookupMX(t.Context(), "good.lab.test"); !errors.Is(err, probe.ErrNotLookedUp) {
			t.Errorf("%s: %q, %v; want %v", c.name, hosts, err, probe.ErrNotLookedUp)
		}
	}
}

// If the clock is wrong, all signatures are out of date, also those of the root. No domain
// is at fault then. Once the clock is right again, so are the outcomes: no cache keeps the
// failure.
func TestClockJumps(t *testing.T) {
	clock := june()
	env := labEnvironment(t)
	env.Now = func() time.Time { return clock }
	prober := newLabProber(env)
	const year = 365 * 24 * time.Hour
	for _, step := range []struct {
		name    string
		clock   time.Time
		outcome dane.Outcome
	}{
		{"the clock is right", june(), dane.Authenticated},
		{"one year ahead", june().Add(year), dane.Unknown},
		{"right again", june(), dane.Authenticated},
		{"100 days ahead", june().Add(100 * 24 * time.Hour), dane.Unknown},
		{"right again", june(), dane.Authenticated},
		{"one year back", june().Add(-year), dane.Unknown},
		{"right again", june(), dane.Authenticated},
		{"back to 1970", time.Unix(0, 0), dane.Unknown},
		{"right again", june(), dane.Authenticated},
	} {
		clock = step.clock
		verdict := prober.Probe(t.Context(), probe.Target{Name: "good.lab.test"}, labModules(t)["smtp_mx"]).Verdict
		if verdict.Outcome != step.outcome {
			t.Errorf("%s: %s, findings %v; want %s", step.name, verdict.Outcome, verdict.Findings, step.outcome)
		}
		if named := slices.ContainsFunc(verdict.Findings, func(f dane.Finding) bool { return f.Reason == dane.RootBogus }); named != (step.outcome == dane.Unknown) {
			t.Errorf("%s: findings %v", step.name, verdict.Findings)
		}
		if check := prober.Resolver("").SelfCheck(t.Context()); check.Healthy() != (step.outcome == dane.Authenticated) {
			t.Errorf("%s: the self-check reports %q", step.name, check)
		}
	}
}
