package probe

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dane"
)

// mailHost is one mail host of several domains, d0.example.org and so on.
type mailHost struct {
	*zone.Internet
	serve       func(context.Context, net.Conn) // a server that authenticates, unless the test replaces it
	connections atomic.Int32                    // that were accepted
}

func newMailHost(t *testing.T, domains int) *mailHost {
	t.Helper()
	authority, err := server.NewRoot("Mail host", noon)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue(server.Leaf{Names: []string{"mx.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	var records strings.Builder
	fmt.Fprintf(&records, "mx A 192.0.2.25\n_25._tcp.mx TLSA 3 1 1 %x\n", sha256.Sum256(leaf.PublicKey))
	for i := range domains {
		fmt.Fprintf(&records, "d%d MX 10 mx\n", i)
	}
	return &mailHost{Internet: newInternet(t, records.String()), serve: server.SMTP{Name: "mx.example.org", TLS: server.TLSConfig(leaf.Chain())}.Serve}
}

func (h *mailHost) dial(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
	h.connections.Add(1)
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		h.serve(context.WithoutCancel(ctx), far)
	}()
	return near, nil
}

// prober returns a prober that reuses the results of handshakes for a time.
func (h *mailHost) prober(dial dialer, reuse time.Duration) *Prober {
	access := Access{Targets: []string{"*"}, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	return New(Environment{Now: func() time.Time { return noon }, Dial: dial, DNS: h.Internet, Anchors: h.Anchors()},
		Settings{Access: access, HandshakeReuse: reuse})
}

// delayGreeting makes the server wait before it greets a client.
func (h *mailHost) delayGreeting(wait time.Duration) {
	serve := h.serve
	h.serve = func(ctx context.Context, conn net.Conn) {
		time.Sleep(wait)
		serve(ctx, conn)
	}
}

// domain returns the target of a number.
func domain(i int) Target { return Target{Name: fmt.Sprintf("d%d.example.org", i)} }

// onlyEndpoint returns the endpoint of a report that has one.
func onlyEndpoint(t *testing.T, report *Report) *dane.Endpoint {
	t.Helper()
	if len(report.Facts.Hosts) != 1 || len(report.Facts.Hosts[0].Services[0].Endpoints) != 1 {
		t.Fatalf("%s, %+v", report.Verdict.Outcome, report.Verdict.Findings)
	}
	return &report.Facts.Hosts[0].Services[0].Endpoints[0]
}

// reasonOf returns why the only endpoint of a report has no handshake; empty if it has one.
func reasonOf(t *testing.T, report *Report) dane.Reason {
	t.Helper()
	onlyEndpoint(t, report)
	return report.Verdict.Services[0].Endpoints[0].Reason
}

// Simultaneous probes of 200 domains with one mail host make one connection.
func TestProbesShareHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const domains = 200
		h := newMailHost(t, domains)
		h.delayGreeting(time.Second)
		prober := h.prober(h.dial, 0)
		reports := make([]*Report, domains)
		var wait sync.WaitGroup
		for i := range reports {
			wait.Go(func() { reports[i] = prober.Probe(t.Context(), domain(i), mailModule(time.Minute)) })
		}
		wait.Wait()
		reused := 0
		for _, report := range reports {
			if report.Verdict.Outcome != dane.Authenticated {
				t.Errorf("%s is %s: %+v", report.Target, report.Verdict.Outcome, report.Verdict.Findings)
			}
			if e := onlyEndpoint(t, report); e.Reused {
				reused++
			}
		}
		if n := h.connections.Load(); n != 1 || reused != domains-1 {
			t.Errorf("%d connections, %d probes with a shared handshake; want 1 and %d", n, reused, domains-1)
		}
		prober.Probe(t.Context(), domain(0), mailModule(time.Minute))
		if n := h.connections.Load(); n != 2 {
			t.Errorf("%d connections after one more probe, want 2: HandshakeReuse is 0", n)
		}
	})
}

// A handshake serves other probes for HandshakeReuse. The facts have its time.
func TestHandshakeReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMailHost(t, 2)
		prober := h.prober(h.dial, 30*time.Second)
		start := time.Now()
		for _, step := range []struct {
			name        string
			at          time.Duration // after the first probe
			uncached    bool
			connections int32 // so far
			age         time.Duration
		}{
			{"first probe", 0, false, 1, 0},
			{"another domain, one second before it expires", 29 * time.Second, false, 1, 29 * time.Second},
			{"expired", 30 * time.Second, false, 2, 0},
			{"uncached probe", 40 * time.Second, true, 3, 0},
			{"the handshake of the uncached probe serves others", 65 * time.Second, false, 3, 25 * time.Second},
		} {
			time.Sleep(time.Until(start.Add(step.at)))
			probe := prober.Probe
			if step.uncached {
				probe = prober.ProbeUncached
			}
			begun := time.Now()
			report := probe(t.Context(), domain(int(step.connections)%2), mailModule(time.Minute))
			e := onlyEndpoint(t, report)
			age := begun.Sub(e.Time())
			if report.Verdict.Outcome != dane.Authenticated || h.connections.Load() != step.connections || age != step.age || e.Reused != (age > 0) {
				t.Errorf("%s: %s, %d connections, %s old, reused %v; want %d, %s", step.name, report.Verdict.Outcome, h.connections.Load(), age, e.Reused, step.connections, step.age)
			}
			for _, phase := range report.Facts.Phases {
				if phase.Start.Before(begun) {
					t.Errorf("%s: phase %s began before the probe", step.name, phase.Name)
				}
			}
		}
	})
}

// A handshake serves only probes that would make the same one.
func TestHandshakeKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMailHost(t, 1)
		prober := h.prober(h.dial, time.Hour)
		for _, c := range []struct {
			name        string
			change      func(*Module)
			connections int32 // so far
		}{
			{"first probe", func(*Module) {}, 1},
			{"other module name and requirement: reused", func(m *Module) { m.Name, m.Require = "other", dane.RequireIfPublished }, 1},
			{"other policy: reused", func(m *Module) { m.Policy = dane.Client }, 1},
			{"other EHLO name", func(m *Module) { m.SMTP.EHLO = "probe.example.net" }, 2},
			{"one key type", func(m *Module) { m.KeyTypes = []dane.KeyType{dane.ECDSA} }, 3},
			{"other source address", func(m *Module) { m.SourceAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.7")} }, 4},
			{"other port", func(m *Module) { m.Port = 587 }, 5},
			{"as the first probe: reused", func(*Module) {}, 5},
		} {
			module := mailModule(time.Minute)
			c.change(&module)
			prober.Probe(t.Context(), domain(0), module)
			if n := h.connections.Load(); n != c.connections {
				t.Errorf("%s: %d connections, want %d", c.name, n, c.connections)
			}
		}
	})
}

// A failure is not reused, unless it is the server's answer that it does not do
// STARTTLS.
func TestFailureReuse(t *testing.T) {
	serve := func(smtp server.SMTP) func(*mailHost) {
		return func(h *mailHost) { h.serve = smtp.Serve }
	}
	closesInTLS := func(h *mailHost) {
		h.serve = func(_ context.Context, conn net.Conn) {
			lines := bufio.NewReader(conn)
			for _, reply := range []string{"220 mx.example.org ESMTP", "250-mx.example.org\r\n250 STARTTLS", "220 go ahead"} {
				fmt.Fprint(conn, reply+"\r\n")
				_, _ = lines.ReadString('\n')
			}
		}
	}
	for _, c := range []struct {
		name        string
		server      func(*mailHost)
		dialErr     error
		want        dane.Reason
		connections int32 // of two probes
	}{
		{"connection refused", func(*mailHost) {}, syscall.ECONNREFUSED, dane.ConnectFailed, 2},
		{"greeting 421", serve(server.SMTP{Name: "mx", Greeting: "421 later"}), nil, dane.ClientRejected, 2},
		{"connection closed during the TLS handshake", closesInTLS, nil, dane.TLSHandshakeFailed, 2 * (1 + 2)}, // and two that explain each failure
		{"STARTTLS not offered", serve(server.SMTP{Name: "mx", NoStartTLS: true}), nil, dane.StartTLSNotOffered, 1},
		{"STARTTLS rejected", serve(server.SMTP{Name: "mx", Reject: "554 no"}), nil, dane.StartTLSRejected, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newMailHost(t, 2)
				c.server(h)
				dial := h.dial
				if c.dialErr != nil {
					dial = func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
						h.connections.Add(1)
						return nil, c.dialErr
					}
				}
				prober := h.prober(dial, time.Hour)
				for i := range 2 {
					report := prober.Probe(t.Context(), domain(i), mailModule(time.Minute))
					if got := reasonOf(t, report); got != c.want {
						t.Errorf("probe %d: %s, want %s: %v", i, got, c.want, onlyEndpoint(t, report).Err)
					}
				}
				if n := h.connections.Load(); n != c.connections {
					t.Errorf("%d connections, want %d", n, c.connections)
				}
			})
		})
	}
}

// A timeout counts as the server's failure only in reports of probes that gave it the
// minimum time, however long other probes waited.
func TestSharedHandshakeTimeouts(t *testing.T) {
	const delay = 10 * time.Second // between connection and greeting
	for _, c := range []struct {
		name          string
		first, second time.Duration // timeouts of two probes; the second starts half a second later
		wantFirst     dane.Reason
		wantSecond    dane.Reason
		connections   int32
	}{
		{"both have enough time", time.Minute, time.Minute, "", "", 1},
		{"the first has too little time", time.Second, time.Minute, dane.ProbeDeadline, "", 2},
		{"the second has too little time", time.Minute, time.Second, "", dane.ProbeDeadline, 1},
		{"neither has the minimum time, the second makes a new attempt", 4 * time.Second, 4 * time.Second, dane.ProbeDeadline, dane.ProbeDeadline, 2},
		{"both have the minimum time", 8 * time.Second, 8 * time.Second, dane.Timeout, dane.Timeout, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newMailHost(t, 2)
				h.delayGreeting(delay)
				prober := h.prober(h.dial, 0)
				var wait sync.WaitGroup
				start := func(i int, timeout time.Duration, want dane.Reason) {
					wait.Go(func() {
						report := prober.Probe(t.Context(), domain(i), mailModule(timeout))
						if got := reasonOf(t, report); got != want {
							t.Errorf("probe %d: %q, want %q: %v", i, got, want, onlyEndpoint(t, report).Err)
						}
					})
				}
				start(0, c.first, c.wantFirst)
				time.Sleep(500 * time.Millisecond)
				start(1, c.second, c.wantSecond)
				wait.Wait()
				time.Sleep(delay) // until the servers notice that their clients have left
				if n := h.connections.Load(); n != c.connections {
					t.Errorf("%d connections, want %d", n, c.connections)
				}
			})
		})
	}
}

// A probe that leaves a shared handshake early has the dialogue until then: whether
// STARTTLS was offered decides between refused and unreachable.
func TestSharedHandshakeDialogue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMailHost(t, 2)
		h.serve = func(_ context.Context, conn net.Conn) {
			lines := bufio.NewReader(conn)
			fmt.Fprint(conn, "220 mx.example.org ESMTP\r\n")
			_, _ = lines.ReadString('\n')
			fmt.Fprint(conn, "250-mx.example.org\r\n250 STARTTLS\r\n")
			_, _ = lines.ReadString('\n')
			_, _ = lines.ReadString('\n') // the server does not answer STARTTLS
		}
		prober := h.prober(h.dial, 0)
		var wait sync.WaitGroup
		for i, timeout := range []time.Duration{20 * time.Second, 30 * time.Second} {
			wait.Go(func() {
				report := prober.Probe(t.Context(), domain(i), mailModule(timeout))
				e := onlyEndpoint(t, report)
				if report.Verdict.Outcome != dane.Refused || reasonOf(t, report) != dane.Timeout || !e.Dialogue.Offered || len(e.Dialogue.Transcript) != 5 {
					t.Errorf("probe %d: %s, %v, %+v", i, report.Verdict.Outcome, e.Err, e.Dialogue)
				}
			})
		}
		wait.Wait()
	})
}

// TestQueueIsFair checks that probes take turns at an address: a domain with many
// mail hosts at the address of another domain delays the probe of the latter by few
// handshakes, whether or not it names the same host.
func TestQueueIsFair(t *testing.T) {
	for _, c := range []struct {
		name string
		last string // the last mail host of the domain with many hosts
	}{{"other names", "m49"}, {"the same name too", "mx"}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newMailHost(t, 1)
				var records strings.Builder
				records.WriteString("mx A 192.0.2.25\nd0 MX 10 mx\n")
				for i := range 49 {
					fmt.Fprintf(&records, "m%d A 192.0.2.25\ngreedy MX 10 m%d\n", i, i)
				}
				records.WriteString("m49 A 192.0.2.25\ngreedy MX 20 " + c.last + "\n")
				h.Internet = newInternet(t, records.String())
				var open, most atomic.Int32
				serve := h.serve
				h.serve = func(ctx context.Context, conn net.Conn) {
					most.Store(max(most.Load(), open.Add(1)))
					time.Sleep(time.Second)
					serve(ctx, conn)
					open.Add(-1)
				}
				prober := h.prober(h.dial, 0)
				var greedy *Report
				var wait sync.WaitGroup
				wait.Go(func() {
					greedy = prober.Probe(t.Context(), Target{Name: "greedy.example.org"}, mailModule(2*time.Minute))
				})
				synctest.Wait()
				time.Sleep(time.Millisecond)
				report := prober.Probe(t.Context(), domain(0), mailModule(10*time.Second))
				if report.Duration > 3*time.Second || onlyEndpoint(t, report).Reached != dane.StageTLS {
					t.Errorf("the probe of the other domain took %s: %v", report.Duration, onlyEndpoint(t, report).Err)
				}
				wait.Wait()
				if greedy.Duration < 49*time.Second || len(greedy.Facts.Hosts) != 50 || most.Load() != 1 {
					t.Errorf("%d hosts took %s, with %d connections at the same time", len(greedy.Facts.Hosts), greedy.Duration, most.Load())
				}
			})
		})
	}
}
