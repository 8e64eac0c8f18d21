package transport

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
	"time"

	"github.com/miekg/dns"
)

// udpServer starts a server on a UDP socket of the loopback interface, which
// calls handle for each datagram, one at a time. After stop, handle is not called
// any more.
func udpServer(t *testing.T, handle func(conn *net.UDPConn, query []byte, from netip.AddrPort)) (s *server, stop func()) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	stop = sync.OnceFunc(func() { conn.Close(); <-done })
	t.Cleanup(stop)
	go func() {
		defer close(done)
		buffer := make([]byte, maxDatagram)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			handle(conn, slices.Clone(buffer[:n]), from)
		}
	}()
	return newServer("udp", conn.LocalAddr().(*net.UDPAddr).AddrPort(), "", ""), stop
}

// responseTo returns a response without records.
func responseTo(query []byte) []byte {
	response := slices.Clone(query)
	response[2] |= responseBit
	return response
}

func tlsaQuery(name string) packedQuery { return packed(new(dns.Msg).SetQuestion(name, dns.TypeTLSA)) }

// TestUDPQueriesInFlight checks that no two queries in flight share a port, and
// that each gets its own response.
func TestUDPQueriesInFlight(t *testing.T) {
	const queries = 64
	type received struct {
		query []byte
		from  netip.AddrPort
	}
	var pending []received
	s, _ := udpServer(t, func(conn *net.UDPConn, query []byte, from netip.AddrPort) {
		if pending = append(pending, received{query, from}); len(pending) < queries {
			return
		}
		ports := make(map[uint16]bool)
		for _, r := range slices.Backward(pending) {
			ports[r.from.Port()] = true
			conn.WriteToUDPAddrPort(responseTo(r.query), r.from)
		}
		if len(ports) != queries {
			t.Errorf("%d queries in flight used %d ports", queries, len(ports))
		}
	})
	var wait sync.WaitGroup
	for i := range queries {
		wait.Go(func() {
			q := tlsaQuery(fmt.Sprintf("n%d.example.org.", i))
			response, err := s.exchangeUDP(t.Context(), q)
			if err != nil || !slices.Equal(response.Question, q.msg.Question) {
				t.Errorf("query %d: got %v, %v", i, response, err)
			}
		})
	}
	wait.Wait()
}

// TestUDPPortsAndIDs checks that queries sent one after the other use random
// ports and random IDs.
func TestUDPPortsAndIDs(t *testing.T) {
	// By chance a few of 64 values are equal: with the 28,000 ports that Linux
	// uses, more than 4 repetitions occur in less than one of 10 million runs.
	const queries, repetitions = 64, 4
	ports := make(map[uint16]bool)
	ids, steps := make(map[uint16]bool), make(map[uint16]bool)
	var last uint16
	s, stop := udpServer(t, func(conn *net.UDPConn, query []byte, from netip.AddrPort) {
		id := uint16(query[0])<<8 | uint16(query[1])
		ports[from.Port()], ids[id], steps[id-last] = true, true, true
		last = id
		conn.WriteToUDPAddrPort(responseTo(query), from)
	})
	for range queries {
		if _, err := s.exchangeUDP(t.Context(), tlsaQuery("example.org.")); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	for what, n := range map[string]int{"ports": len(ports), "IDs": len(ids), "differences between successive IDs": len(steps)} {
		if n < queries-repetitions {
			t.Errorf("%d queries used %d %s, want at least %d", queries, n, what, queries-repetitions)
		}
	}
}

// TestUDPLateResponse checks that the response to an earlier query, late or
// repeated, is not accepted for another query.
func TestUDPLateResponse(t *testing.T) {
	var earlier []byte
	var earlierFrom netip.AddrPort
	s, _ := udpServer(t, func(conn *net.UDPConn, query []byte, from netip.AddrPort) {
		if earlier != nil {
			conn.WriteToUDPAddrPort(earlier, from)
			conn.WriteToUDPAddrPort(earlier, earlierFrom)
		}
		earlier, earlierFrom = responseTo(query), from
		conn.WriteToUDPAddrPort(earlier, from)
		conn.WriteToUDPAddrPort(earlier, from)
	})
	for n := range 16 {
		q := tlsaQuery(fmt.Sprintf("n%d.example.org.", n))
		response, err := s.exchangeUDP(t.Context(), q)
		if err != nil || !slices.Equal(response.Question, q.msg.Question) {
			t.Fatalf("query %d: got %v, %v", n, response, err)
		}
	}
}

// TestUDPContext checks that a query ends with its context, and with which error.
func TestUDPContext(t *testing.T) {
	s, _ := udpServer(t, func(*net.UDPConn, []byte, netip.AddrPort) {})
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx  context.Context
		want error
	}{{expired, context.DeadlineExceeded}, {cancelled, context.Canceled}} {
		if _, err := exchangeUDP(test.ctx, s.address, tlsaQuery("example.org.")); !errors.Is(err, test.want) {
			t.Errorf("got %v, want %v", err, test.want)
		}
	}
}

// TestUDPLateCancellation checks that a cancellation while the response arrives
// does not affect the next query.
func TestUDPLateCancellation(t *testing.T) {
	var leave atomic.Pointer[context.CancelFunc]
	s, _ := udpServer(t, func(conn *net.UDPConn, query []byte, from netip.AddrPort) {
		(*leave.Load())()
		conn.WriteToUDPAddrPort(responseTo(query), from)
	})
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		leave.Store(&cancel)
		_, _ = s.exchangeUDP(ctx, tlsaQuery("example.org.")) // either result is right
		stay := context.CancelFunc(func() {})
		leave.Store(&stay)
		if _, err := s.exchangeUDP(t.Context(), tlsaQuery("example.org.")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUDPSocketLimit checks that a query above the limit waits for a socket,
// and is not sent if its time ends first.
func TestUDPSocketLimit(t *testing.T) {
	var names []string
	s, stop := udpServer(t, func(conn *net.UDPConn, query []byte, from netip.AddrPort) {
		m := new(dns.Msg)
		if err := m.Unpack(query); err != nil {
			t.Error(err)
			return
		}
		names = append(names, m.Question[0].Name)
		conn.WriteToUDPAddrPort(responseTo(query), from)
	})
	for range maxSockets {
		s.sockets <- struct{}{}
	}
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	_, err := s.exchangeUDP(expired, tlsaQuery("above.example."))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "all 1024 UDP sockets") {
		t.Errorf("got %v, want an error about the limit", err)
	}

	waiting := make(chan error, 1)
	go func() {
		_, err := s.exchangeUDP(t.Context(), tlsaQuery("waiting.example."))
		waiting <- err
	}()
	<-s.sockets
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	<-s.sockets
	if _, err := s.exchangeUDP(t.Context(), tlsaQuery("last.example.")); err != nil {
		t.Error(err)
	}
	if open := len(s.sockets); open != maxSockets-2 {
		t.Errorf("%d sockets in use after the queries, want %d", open, maxSockets-2)
	}
	stop()
	if want := []string{"waiting.example.", "last.example."}; !slices.Equal(names, want) {
		t.Errorf("the server received queries for %q, want %q", names, want)
	}
}
