package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// echo answers each datagram as a server would that has nothing to say, so many
// times.
func echo(t *testing.T, times func() int) *sockets {
	t.Helper()
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { server.Close(); <-done })
	go func() {
		defer close(done)
		buffer := make([]byte, maxDatagram)
		for {
			n, from, err := server.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			buffer[2] |= responseBit
			for range times() {
				server.WriteToUDPAddrPort(buffer[:n], from)
			}
		}
	}()
	k := &sockets{address: server.LocalAddr().(*net.UDPAddr).AddrPort()}
	t.Cleanup(func() { k.drop(func(*socket) bool { return true }) })
	return k
}

func once() int { return 1 }

// never is when a query has all the time of its caller.
var never time.Time

func question() outgoing { return packed(new(dns.Msg).SetQuestion("example.org.", dns.TypeTLSA)) }

// TestSocketsAreKept: for the next query, for no more than a few, and for no
// longer than somebody uses them.
func TestSocketsAreKept(t *testing.T) {
	k := echo(t, once)
	ports := make(map[string]int)
	for range 2 * mostServed {
		if _, err := k.exchange(t.Context(), never, question()); err != nil {
			t.Fatal(err)
		}
		for _, s := range k.idle {
			ports[s.LocalAddr().String()]++
		}
	}
	if len(ports) != 2 || len(k.idle) != 0 {
		t.Errorf("%d queries used %v, and %d sockets are kept", 2*mostServed, ports, len(k.idle))
	}
	for _, unused := range []time.Duration{idleTime / 2, idleTime} {
		if _, err := k.exchange(t.Context(), never, question()); err != nil {
			t.Fatal(err)
		}
		k.idle[0].since = time.Now().Add(-unused)
		k.tidy()
		if kept := len(k.idle) == 1; kept != (unused < idleTime) || k.watched != kept {
			t.Errorf("unused for %s: kept %t, watched %t", unused, kept, k.watched)
		}
	}
}

// TestSocketsAfterABurst: no more of them are kept than mostIdle.
func TestSocketsAfterABurst(t *testing.T) {
	k := echo(t, once)
	for range mostIdle + 10 {
		s, err := openSocket(k.address)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		k.keep(s)
		kept := !errors.Is(s.SetDeadline(time.Time{}), net.ErrClosed)
		if kept != slices.Contains(k.idle, s) || len(k.idle) > mostIdle {
			t.Fatalf("%d sockets are kept; the last is open: %t", len(k.idle), kept)
		}
	}
	if len(k.idle) != mostIdle {
		t.Errorf("%d sockets are kept of a burst, want %d", len(k.idle), mostIdle)
	}
}

// TestSocketsAfterAFailure: a socket that brought no response is not used again,
// and nor are the idle ones, unless the caller did not wait for it.
func TestSocketsAfterAFailure(t *testing.T) {
	past := time.Unix(1, 0)
	live := context.WithCancel
	expired := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithDeadline(ctx, past)
	}
	cancelled := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx, cancel
	}
	for _, story := range []struct {
		name     string
		limit    func(context.Context) (context.Context, context.CancelFunc)
		deadline time.Time
		kept     bool
	}{
		{"the time of the query is over", live, past, false},
		{"the time of the caller is over", expired, never, false},
		{"the caller waits no longer", cancelled, never, true},
	} {
		t.Run(story.name, func(t *testing.T) {
			var answers atomic.Int32
			answers.Store(1)
			k := echo(t, func() int { return int(answers.Load()) })
			if _, err := k.exchange(t.Context(), never, question()); err != nil || len(k.idle) != 1 {
				t.Fatalf("%v, %d sockets kept", err, len(k.idle))
			}
			idle := k.idle[0]
			other, err := openSocket(k.address)
			if err != nil {
				t.Fatal(err)
			}
			k.keep(other)
			answers.Store(0)
			ctx, cancel := story.limit(t.Context())
			defer cancel()
			if _, err := k.exchange(ctx, story.deadline, question()); err == nil {
				t.Fatal("there was a response")
			}
			if _, err := other.Write([]byte{0}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the socket that was used is open yet: %v", err)
			}
			_, err = idle.Write([]byte{0})
			if kept := !errors.Is(err, net.ErrClosed); kept != story.kept || slices.Contains(k.idle, idle) != kept {
				t.Errorf("the idle socket is kept: %t, and open: %t", slices.Contains(k.idle, idle), kept)
			}
		})
	}
}

// TestSocketsAfterAStraggler: what comes twice is no answer to the next query.
func TestSocketsAfterAStraggler(t *testing.T) {
	k := echo(t, func() int { return 2 })
	for n := range mostServed {
		q := packed(new(dns.Msg).SetQuestion(fmt.Sprintf("n%d.example.org.", n), dns.TypeTLSA))
		response, err := k.exchange(t.Context(), never, q)
		if err != nil || !slices.Equal(response.Question, q.Question) {
			t.Fatalf("query %d: %v, %v", n, response, err)
		}
	}
}

// TestSocketsAfterALateCancellation: a caller who leaves while the response
// comes in spoils no socket for the next.
func TestSocketsAfterALateCancellation(t *testing.T) {
	var leave atomic.Pointer[context.CancelFunc]
	k := echo(t, func() int { (*leave.Load())(); return 1 })
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		leave.Store(&cancel)
		_, _ = k.exchange(ctx, never, question()) // there is a response in time, or not
		stay := context.CancelFunc(func() {})
		leave.Store(&stay)
		if _, err := k.exchange(t.Context(), never, question()); err != nil {
			t.Fatal(err)
		}
	}
}
