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

// hoster is one mail host for many domains, d0.example.org and so on.
type hoster struct {
	*zone.Internet
	serve func(context.Context, net.Conn) // a good server, unless the story has another
	met   atomic.Int32                    // connections that were accepted
}

func newHoster(t *testing.T, domains int) *hoster {
	t.Helper()
	authority, err := server.NewRoot("Hoster", noon)
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
	return &hoster{Internet: internet(t, records.String()), serve: server.SMTP{Name: "mx.example.org", TLS: server.TLSConfig(leaf.Chain())}.Serve}
}

func (h *hoster) dial(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
	h.met.Add(1)
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		h.serve(context.WithoutCancel(ctx), theirs)
	}()
	return ours, nil
}

// prober reuses handshakes for a while.
func (h *hoster) prober(dial dialer, reuse time.Duration) *Prober {
	access := Access{Targets: []string{"*"}, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	return New(Environment{Now: func() time.Time { return noon }, Dial: dial, DNS: h.Internet, Anchors: h.Anchors()},
		Settings{Access: access, HandshakeReuse: reuse})
}

// late is a server that lets its clients wait before it greets them.
func (h *hoster) late(wait time.Duration) {
	good := h.serve
	h.serve = func(ctx context.Context, conn net.Conn) {
		time.Sleep(wait)
		good(ctx, conn)
	}
}

func domain(i int) Target { return Target{Name: fmt.Sprintf("d%d.example.org", i)} }

func onlyEndpoint(t *testing.T, report *Report) *dane.Endpoint {
	t.Helper()
	if len(report.Facts.Hosts) != 1 || len(report.Facts.Hosts[0].Services[0].Endpoints) != 1 {
		t.Fatalf("%s, %+v", report.Verdict.Outcome, report.Verdict.Findings)
	}
	return &report.Facts.Hosts[0].Services[0].Endpoints[0]
}

// reasonOf returns why the only endpoint had no handshake.
func reasonOf(t *testing.T, report *Report) dane.Reason {
	t.Helper()
	onlyEndpoint(t, report)
	return report.Verdict.Services[0].Endpoints[0].Reason
}

// Two hundred domains at one hoster, all at once: one connection, and all know.
func TestProbesShareAHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const domains = 200
		h := newHoster(t, domains)
		h.late(time.Second)
		prober := h.prober(h.dial, 0)
		reports := make([]*Report, domains)
		var all sync.WaitGroup
		for i := range reports {
			all.Go(func() { reports[i] = prober.Probe(t.Context(), domain(i), mailModule(time.Minute)) })
		}
		all.Wait()
		reused := 0
		for _, report := range reports {
			if report.Verdict.Outcome != dane.Authenticated {
				t.Errorf("%s is %s: %+v", report.Target, report.Verdict.Outcome, report.Verdict.Findings)
			}
			if e := onlyEndpoint(t, report); e.Reused {
				reused++
			}
		}
		if met := h.met.Load(); met != 1 || reused != domains-1 {
			t.Errorf("%d connections, %d probes with another's; want 1 and %d", met, reused, domains-1)
		}
		prober.Probe(t.Context(), domain(0), mailModule(time.Minute))
		if met := h.met.Load(); met != 2 {
			t.Errorf("%d connections after one more probe, want 2: nothing is to be reused", met)
		}
	})
}

// A handshake serves others for as long as it is allowed to, and says how old it is.
func TestHandshakesAreReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHoster(t, 2)
		prober := h.prober(h.dial, 30*time.Second)
		start := time.Now()
		for _, step := range []struct {
			story  string
			at     time.Duration
			afresh bool
			met    int32
			age    time.Duration
		}{
			{"the first", 0, false, 1, 0},
			{"another domain, just in time", 29 * time.Second, false, 1, 29 * time.Second},
			{"it is over", 30 * time.Second, false, 2, 0},
			{"somebody wants one of his own", 40 * time.Second, true, 3, 0},
			{"which serves others too", 65 * time.Second, false, 3, 25 * time.Second},
		} {
			time.Sleep(time.Until(start.Add(step.at)))
			ask := prober.Probe
			if step.afresh {
				ask = prober.ProbeUncached
			}
			begun := time.Now()
			report := ask(t.Context(), domain(int(step.met)%2), mailModule(time.Minute))
			e := onlyEndpoint(t, report)
			age := begun.Sub(e.Time())
			if report.Verdict.Outcome != dane.Authenticated || h.met.Load() != step.met || age != step.age || e.Reused != (age > 0) {
				t.Errorf("%s: %s, %d connections, %s old, reused %v; want %d, %s", step.story, report.Verdict.Outcome, h.met.Load(), age, e.Reused, step.met, step.age)
			}
			for _, phase := range report.Facts.Phases {
				if phase.Start.Before(begun) {
					t.Errorf("%s: phase %s began before the probe", step.story, phase.Name)
				}
			}
		}
	})
}

// What another probe saw serves only who would see the same.
func TestWhatHandshakesDependOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHoster(t, 1)
		prober := h.prober(h.dial, time.Hour)
		for _, story := range []struct {
			name   string
			change func(*Module)
			met    int32
		}{
			{"the first", func(*Module) {}, 1},
			{"a name and what is required do not matter", func(m *Module) { m.Name, m.Require = "other", dane.RequireIfPublished }, 1},
			{"nor does the policy, or how the host was found", func(m *Module) { m.Policy = dane.Client }, 1},
			{"another EHLO name", func(m *Module) { m.SMTP.EHLO = "probe.example.net" }, 2},
			{"one type of key", func(m *Module) { m.KeyTypes = []dane.KeyType{dane.ECDSA} }, 3},
			{"another source address", func(m *Module) { m.SourceAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.7")} }, 4},
			{"another port", func(m *Module) { m.Port = 587 }, 5},
			{"the first again", func(*Module) {}, 5},
		} {
			module := mailModule(time.Minute)
			story.change(&module)
			prober.Probe(t.Context(), domain(0), module)
			if met := h.met.Load(); met != story.met {
				t.Errorf("%s: %d connections, want %d", story.name, met, story.met)
			}
		}
	})
}

// A failure serves nobody, but for the server's own word on STARTTLS.
func TestWhichFailuresAreReused(t *testing.T) {
	says := func(smtp server.SMTP) func(*hoster) {
		return func(h *hoster) { h.serve = smtp.Serve }
	}
	hangsUp := func(h *hoster) {
		h.serve = func(_ context.Context, conn net.Conn) {
			lines := bufio.NewReader(conn)
			for _, reply := range []string{"220 mx.example.org ESMTP", "250-mx.example.org\r\n250 STARTTLS", "220 go ahead"} {
				fmt.Fprint(conn, reply+"\r\n")
				_, _ = lines.ReadString('\n')
			}
		}
	}
	for _, story := range []struct {
		name   string
		server func(*hoster)
		dial   error
		want   dane.Reason
		met    int32 // connections of two probes
	}{
		{"the connection is refused", func(*hoster) {}, syscall.ECONNREFUSED, dane.ConnectFailed, 2},
		{"the server greets with 421", says(server.SMTP{Name: "mx", Greeting: "421 later"}), nil, dane.ClientRejected, 2},
		{"the server hangs up on TLS", hangsUp, nil, dane.TLSHandshakeFailed, 2},
		{"the server does not offer STARTTLS", says(server.SMTP{Name: "mx", NoStartTLS: true}), nil, dane.StartTLSNotOffered, 1},
		{"the server rejects STARTTLS", says(server.SMTP{Name: "mx", Reject: "554 no"}), nil, dane.StartTLSRejected, 1},
	} {
		t.Run(story.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHoster(t, 2)
				story.server(h)
				dial := h.dial
				if story.dial != nil {
					dial = func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
						h.met.Add(1)
						return nil, story.dial
					}
				}
				prober := h.prober(dial, time.Hour)
				for i := range 2 {
					report := prober.Probe(t.Context(), domain(i), mailModule(time.Minute))
					if got := reasonOf(t, report); got != story.want {
						t.Errorf("probe %d: %s, want %s: %v", i, got, story.want, onlyEndpoint(t, report).Err)
					}
				}
				if met := h.met.Load(); met != story.met {
					t.Errorf("%d connections, want %d", met, story.met)
				}
			})
		})
	}
}

// A server is blamed only where it had a fair time from the probe that blames
// it, however long others have waited, or had no time to wait.
func TestOneProbesHurryIsNoOthersFailure(t *testing.T) {
	const answers = 10 * time.Second // after the connection
	for _, story := range []struct {
		name          string
		first, second time.Duration // that they have; the second begins half a second later
		wantFirst     dane.Reason
		wantSecond    dane.Reason
		met           int32
	}{
		{"both have time", time.Minute, time.Minute, "", "", 1},
		{"the first has no time", time.Second, time.Minute, dane.ProbeDeadline, "", 2},
		{"the second has no time", time.Minute, time.Second, "", dane.ProbeDeadline, 1},
		{"neither has a fair time, but the second has some when the first leaves", 4 * time.Second, 4 * time.Second, dane.ProbeDeadline, dane.ProbeDeadline, 2},
		{"both had a fair time", 8 * time.Second, 8 * time.Second, dane.Timeout, dane.Timeout, 1},
	} {
		t.Run(story.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHoster(t, 2)
				h.late(answers)
				prober := h.prober(h.dial, 0)
				var both sync.WaitGroup
				ask := func(i int, has time.Duration, want dane.Reason) {
					both.Go(func() {
						report := prober.Probe(t.Context(), domain(i), mailModule(has))
						if got := reasonOf(t, report); got != want {
							t.Errorf("probe %d: %q, want %q: %v", i, got, want, onlyEndpoint(t, report).Err)
						}
					})
				}
				ask(0, story.first, story.wantFirst)
				time.Sleep(500 * time.Millisecond)
				ask(1, story.second, story.wantSecond)
				both.Wait()
				time.Sleep(answers) // the servers that nobody listens to any longer
				if met := h.met.Load(); met != story.met {
					t.Errorf("%d connections, want %d", met, story.met)
				}
			})
		})
	}
}

// Who leaves a handshake that others wait for tells as much as the last: that
// TLS was offered decides whether mail would be refused.
func TestWhoLeavesEarlyKnowsWhatWasSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHoster(t, 2)
		h.serve = func(_ context.Context, conn net.Conn) {
			lines := bufio.NewReader(conn)
			fmt.Fprint(conn, "220 mx.example.org ESMTP\r\n")
			_, _ = lines.ReadString('\n')
			fmt.Fprint(conn, "250-mx.example.org\r\n250 STARTTLS\r\n")
			_, _ = lines.ReadString('\n')
			_, _ = lines.ReadString('\n') // says nothing to STARTTLS
		}
		prober := h.prober(h.dial, 0)
		var both sync.WaitGroup
		for i, has := range []time.Duration{20 * time.Second, 30 * time.Second} {
			both.Go(func() {
				report := prober.Probe(t.Context(), domain(i), mailModule(has))
				e := onlyEndpoint(t, report)
				if report.Verdict.Outcome != dane.Refused || reasonOf(t, report) != dane.Timeout || !e.Dialogue.Offered || len(e.Dialogue.Transcript) != 5 {
					t.Errorf("probe %d: %s, %v, %+v", i, report.Verdict.Outcome, e.Err, e.Dialogue)
				}
			})
		}
		both.Wait()
	})
}
