package handshake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/probe/dane"
)

// One goroutine at a time holds an address, and no queue remains after the last.
// Each holds it for a second of the virtual clock, so without the lock all
// would hold it at the same time.
func TestAddressLockAllowsOneHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const goroutines = 20
		var locks addressLock
		var holders atomic.Int32
		address := netip.MustParseAddrPort("192.0.2.1:25")
		start := time.Now()
		var wait sync.WaitGroup
		for range goroutines {
			wait.Go(func() {
				unlock, err := locks.lock(t.Context(), address)
				if err != nil {
					t.Error(err)
					return
				}
				defer unlock()
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d holders of the address at the same time", n)
				}
				time.Sleep(time.Second)
				holders.Add(-1)
			})
		}
		wait.Wait()
		if got, want := time.Since(start), goroutines*time.Second; got != want {
			t.Errorf("%d holders, one after the other, took %s, want %s", goroutines, got, want)
		}
		if len(locks.queues) != 0 {
			t.Errorf("%d queues remain after the last unlock", len(locks.queues))
		}
	})
}

// Waiting ends with the context. Other ports of the address are independent.
func TestAddressLockEndsWithContext(t *testing.T) {
	var locks addressLock
	address := netip.MustParseAddrPort("192.0.2.1:25")
	unlock, err := locks.lock(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := locks.lock(ended, address); err == nil {
		t.Error("lock returned while another holder has the address")
	}
	other, err := locks.lock(t.Context(), netip.MustParseAddrPort("192.0.2.1:465"))
	if err != nil {
		t.Errorf("locking another port: %v", err)
	}
	other()
	unlock()
	if len(locks.queues) != 0 {
		t.Errorf("%d queues remain after the last unlock", len(locks.queues))
	}
}

// TestProbesTakeTurns checks the order in which probes are served at an address: each
// once before one of them is served again. The handshakes of one probe do not
// overlap, and equal ones share a result.
func TestProbesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		served := make(map[string]int)
		var order []string
		client := New(func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
			time.Sleep(time.Second)
			return nil, errors.New("connection refused")
		}, "probe.example.net", 0)
		var wait sync.WaitGroup
		for _, name := range []string{"a", "b", "c"} {
			probe := new(Probe)
			for i := range 4 {
				sni := fmt.Sprintf("%s%d.example.org", name, min(i, 2)) // the last two are equal
				request := Request{Timeout: time.Minute, Probe: probe, Key: Key{Address: netip.MustParseAddrPort("192.0.2.25:25"), Protocol: "smtp", SNI: sni}}
				wait.Go(func() {
					endpoint := client.Do(t.Context(), request)
					mu.Lock()
					defer mu.Unlock()
					if endpoint.Err == nil {
						t.Errorf("%s: no error", sni)
					}
					if !endpoint.Reused {
						order = append(order, name)
					}
					served[sni]++
				})
			}
			synctest.Wait()
		}
		start := time.Now()
		wait.Wait()
		if took := time.Since(start); took != 9*time.Second {
			t.Errorf("nine different handshakes took %s", took)
		}
		for turn := range slices.Chunk(order, 3) {
			if slices.Sort(turn); !slices.Equal(turn, []string{"a", "b", "c"}) {
				t.Errorf("served in the order %q", order)
			}
		}
		if len(served) != 9 || served["a2.example.org"] != 2 {
			t.Errorf("served %v", served)
		}
	})
}

// TestTurnEndsWithContext checks that a request that waits for its turn ends with
// its context, without a result that counts against the server.
func TestTurnEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := New(func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}, "probe.example.net", 0)
		probe := new(Probe)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		request := Request{Timeout: time.Minute, MinWait: 2 * time.Second, Probe: probe, Key: Key{Address: netip.MustParseAddrPort("192.0.2.25:25"), Protocol: "smtp", SNI: "a.example.org"}}
		go client.Do(ctx, request)
		synctest.Wait()
		request.Key.SNI = "b.example.org"
		if e := client.Do(ctx, request); !e.TimedOutEarly || dane.CauseOf(e.Err) != dane.CauseDeadline || !strings.Contains(e.Err.Error(), "waiting for another connection") {
			t.Errorf("timed out early %t: %v", e.TimedOutEarly, e.Err)
		}
		synctest.Wait()
		if len(probe.turns.queues)+len(client.locks.queues) != 0 {
			t.Error("a queue remains")
		}
	})
}

// TestKnownResultsDoNotWait checks that a request whose result is known, or becomes known
// from another probe, does not wait for other handshakes of its probe with the address.
func TestKnownResultsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := New(func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}, "probe.example.net", time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		probe := new(Probe)
		request := func(sni string) Request {
			return Request{Timeout: time.Minute, Probe: probe, Key: Key{Address: netip.MustParseAddrPort("192.0.2.25:25"), Protocol: "smtp", SNI: sni}}
		}
		learn := func(sni string) {
			client.cache.put(request(sni).Key, attempt{endpoint: dane.Endpoint{Reached: dane.StageTLS, Raw: [][]byte{{1}}}, done: true})
		}
		go client.Do(ctx, request("silent.example.org"))
		synctest.Wait()
		start := time.Now()
		learn("recent.example.org")
		probe.keep(request("own.example.org").Key, attempt{endpoint: dane.Endpoint{Reached: dane.StageTLS, Raw: [][]byte{{1}}}, done: true})
		for _, sni := range []string{"recent.example.org", "own.example.org"} {
			if e := client.Do(ctx, request(sni)); e.Reached != dane.StageTLS || !e.Reused || time.Since(start) > 0 {
				t.Errorf("%s: stage %v, reused %t after %v: %v", sni, e.Reached, e.Reused, time.Since(start), e.Err)
			}
		}
		later := make(chan dane.Endpoint, 1)
		go func() { later <- client.Do(ctx, request("later.example.org")) }()
		synctest.Wait()
		learn("later.example.org")
		if e := <-later; e.Reached != dane.StageTLS || !e.Reused {
			t.Errorf("learned during the wait: stage %v, reused %t: %v", e.Reached, e.Reused, e.Err)
		}
		synctest.Wait()
		if len(probe.turns.queues)+len(client.locks.queues) != 0 {
			t.Error("a queue remains")
		}
	})
}
