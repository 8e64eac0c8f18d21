package transport

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// echo answers each datagram as a server would that has nothing to say, for as
// long as answers holds.
func echo(t *testing.T, answers func() bool) *sockets {
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
			if buffer[2] |= responseBit; answers() {
				server.WriteToUDPAddrPort(buffer[:n], from)
			}
		}
	}()
	k := &sockets{address: server.LocalAddr().(*net.UDPAddr).AddrPort()}
	t.Cleanup(func() { k.drop(func(*socket) bool { return true }) })
	return k
}

func question() outgoing { return packed(new(dns.Msg).SetQuestion("example.org.", dns.TypeTLSA)) }

// TestSocketsAreKept: for the next query, for no more than a few, and for no
// longer than somebody uses them.
func TestSocketsAreKept(t *testing.T) {
	k := echo(t, func() bool { return true })
	ports := make(map[string]int)
	for range 2 * mostServed {
		if _, err := k.exchange(t.Context(), question()); err != nil {
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
		if _, err := k.exchange(t.Context(), question()); err != nil {
			t.Fatal(err)
		}
		k.idle[0].since = time.Now().Add(-unused)
		k.tidy()
		if kept := len(k.idle) == 1; kept != (unused < idleTime) || k.watched != kept {
			t.Errorf("unused for %s: kept %t, watched %t", unused, kept, k.watched)
		}
	}
}

// TestSocketsAfterAFailure: where no response came, nothing is kept.
func TestSocketsAfterAFailure(t *testing.T) {
	var silent atomic.Bool
	k := echo(t, func() bool { return !silent.Load() })
	if _, err := k.exchange(t.Context(), question()); err != nil || len(k.idle) != 1 {
		t.Fatalf("%v, %d sockets kept", err, len(k.idle))
	}
	idle := k.idle[0]
	other, err := openSocket(k.address)
	if err != nil {
		t.Fatal(err)
	}
	k.keep(other)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent.Store(true)
	if _, err := k.exchange(ctx, question()); err == nil || len(k.idle) != 0 {
		t.Errorf("%v, %d sockets kept", err, len(k.idle))
	}
	if _, err := idle.Write([]byte{0}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("an idle socket is open yet: %v", err)
	}
}
