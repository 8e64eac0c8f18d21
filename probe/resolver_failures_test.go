package probe_test

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec/transport"
)

// labAt is the lab at one moment.
func labAt(t *testing.T, now func() time.Time) *lab.Lab {
	t.Helper()
	l, err := lab.New(now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func june() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// resolver is a resolver of the lab behind a network: loopback, UDP and TCP,
// where a share of the datagrams is lost.
type resolver struct {
	lab  *lab.Lab
	lost float64

	mu     sync.Mutex
	chance *rand.Rand
}

// start returns where the resolver listens.
func (r *resolver) start(t *testing.T) string {
	t.Helper()
	r.chance = rand.New(rand.NewPCG(7, 11))
	udp, tcp := onePort(t)
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

// onePort listens for datagrams and connections at a port that is free for both.
func onePort(t *testing.T) (net.PacketConn, net.Listener) {
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

// ServeDNS answers, or loses the query.
func (r *resolver) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	_, datagram := w.RemoteAddr().(*net.UDPAddr)
	if datagram && r.loses() {
		return
	}
	response, _, err := r.lab.DNS().Exchange(context.Background(), query)
	if err != nil {
		return
	}
	response.Compress = true
	if datagram {
		response.Truncate(1232)
	}
	w.WriteMsg(response)
}

func (r *resolver) loses() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.chance.Float64() < r.lost
}

// nobody returns an address at which a query is taken and not answered, or, if
// refused, at which nothing listens.
func nobody(t *testing.T, refused bool) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if refused {
		conn.Close()
	} else {
		t.Cleanup(func() { conn.Close() })
	}
	return conn.LocalAddr().String()
}

// Trouble on the way to the resolvers is ours: the outcome is the right one or
// unknown, never another. And much trouble is needed for unknown.
func TestTroubleWithTheResolvers(t *testing.T) {
	world := labAt(t, june)
	for _, story := range []struct {
		name      string
		resolvers func(*testing.T) []string
		mostLost  int // outcomes that may be unknown
	}{
		{"half of them are gone", func(t *testing.T) []string {
			return []string{nobody(t, true), (&resolver{lab: world}).start(t)}
		}, 0},
		{"half of them are silent", func(t *testing.T) []string {
			return []string{nobody(t, false), (&resolver{lab: world}).start(t)}
		}, 0},
		{"all of them are gone", func(t *testing.T) []string {
			return []string{nobody(t, true), nobody(t, true)}
		}, 1000},
		{"a tenth of the packets is lost", func(t *testing.T) []string {
			return []string{(&resolver{lab: world, lost: 0.1}).start(t), (&resolver{lab: world, lost: 0.1}).start(t)}
		}, 1},
		{"three tenths of the packets are lost", func(t *testing.T) []string {
			return []string{(&resolver{lab: world, lost: 0.3}).start(t), (&resolver{lab: world, lost: 0.3}).start(t)}
		}, 4},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			servers, err := transport.New(story.resolvers(t), transport.Options{Timeout: 500 * time.Millisecond, Attempts: 2})
			if err != nil {
				t.Fatal(err)
			}
			prober := probe.New(probe.Environment{
				Now: june, Dial: world.Dial, DNS: servers, Query: world.Query, Anchors: world.Anchors(), Roots: world.Roots(),
			}, probe.Settings{Access: probe.Access{Targets: []string{"*"}, AllowNetworks: lab.Networks()}})
			lost, judged := 0, 0
			for _, scenario := range lab.Scenarios() {
				if !slices.Contains([]string{"good", "good-nsec3", "dane-ta", "two-mx-one-broken", "tlsa-mismatch", "no-tlsa", "unsigned",
					"optout-unsigned", "bogus-signature", "wrong-ds", "tlsa-denial-bogus", "null-mx", "no-such-domain", "thousand-tlsa"}, scenario.Name) {
					continue
				}
				module := modules(t)[scenario.Module]
				target, err := probe.ParseTarget(scenario.Target(), "", module)
				if err != nil {
					t.Fatal(err)
				}
				verdict := prober.Probe(t.Context(), target, module).Verdict
				judged++
				if string(verdict.Outcome) == scenario.Outcome {
					continue
				}
				lost++
				ours := func(f dane.Finding) bool {
					return f.Reason == dane.ResolverUnreachable || f.Reason == dane.ProbeDeadline
				}
				if verdict.Outcome != dane.Unknown || !slices.ContainsFunc(verdict.Findings, ours) {
					t.Errorf("%s: %s because of %v, want %s or, for reasons of ours, unknown", scenario.Name, verdict.Outcome, verdict.Findings, scenario.Outcome)
				}
			}
			t.Logf("%d of %d are unknown", lost, judged)
			if judged != 14 || lost > story.mostLost || story.mostLost > judged && lost != judged {
				t.Errorf("%d of %d are unknown", lost, judged)
			}
		})
	}
}

// When our clock jumps, signatures are out of date and every signed domain is
// bogus. When it is right again, so are the outcomes, and nothing from the
// other time remains.
func TestClockJumps(t *testing.T) {
	clock := june()
	world := labAt(t, june)
	prober := probe.New(probe.Environment{
		Now: func() time.Time { return clock }, Dial: world.Dial, DNS: world.DNS(), Anchors: world.Anchors(), Roots: world.Roots(),
	}, probe.Settings{Access: probe.Access{Targets: []string{"*"}, AllowNetworks: lab.Networks()}})
	const year = 365 * 24 * time.Hour
	for _, step := range []struct {
		name    string
		clock   time.Time
		outcome dane.Outcome
	}{
		{"the clock is right", june(), dane.Authenticated},
		{"it jumps a year ahead", june().Add(year), dane.Refused},
		{"it is right again", june(), dane.Authenticated},
		{"it jumps a year back", june().Add(-year), dane.Refused},
		{"it is right again", june(), dane.Authenticated},
		{"it jumps to its beginning", time.Unix(0, 0), dane.Refused},
		{"it is right again", june(), dane.Authenticated},
	} {
		clock = step.clock
		verdict := prober.Probe(t.Context(), probe.Target{Name: "good.lab.test"}, modules(t)["smtp_mx"]).Verdict
		if verdict.Outcome != step.outcome {
			t.Errorf("%s: %s because of %v, want %s", step.name, verdict.Outcome, verdict.Findings, step.outcome)
		}
		if examined := prober.Resolver().SelfCheck(t.Context()); examined.Healthy() != (step.outcome == dane.Authenticated) {
			t.Errorf("%s: the self-check says %q", step.name, examined)
		}
	}
}
