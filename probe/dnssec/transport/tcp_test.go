package transport_test

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec/transport"
)

// tcpServer starts a server over TCP that calls serve for each connection. It
// returns the address, and a function that counts the connections.
func tcpServer(t *testing.T, serve func(net.Conn)) (address string, connections func() int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingListener{Listener: listener}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			conn, err := counted.Accept()
			if err != nil {
				return
			}
			defer conn.Close() // interrupts a blocked read
			wait.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); wait.Wait() })
	return listener.Addr().String(), counted.accepted
}

// TestTCPResponsesInReverse checks that queries on one connection do not wait for
// each other, and that responses are accepted in any order.
func TestTCPResponsesInReverse(t *testing.T) {
	const queries = 10
	address, connections := tcpServer(t, func(conn net.Conn) {
		var received []*dns.Msg
		for range queries {
			q := readQuery(conn)
			if q == nil {
				return
			}
			received = append(received, q)
		}
		slices.Reverse(received)
		for _, q := range received {
			conn.Write(framed(response(q, func(m *dns.Msg) { m.Answer[0].Header().Name = q.Question[0].Name })))
		}
		readQuery(conn)
	})
	tr, err := transport.New([]string{"tcp://" + address}, transport.Options{Timeout: longTimeout, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range queries {
		wait.Go(func() {
			name := strings.Repeat("a", i+1) + ".example."
			response, _, err := tr.Exchange(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeA))
			if err != nil || response.Answer[0].Header().Name != name {
				t.Errorf("query for %s: got %v, %v", name, response, err)
			}
		})
	}
	wait.Wait()
	if n := connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// TestTruncatedAnswersShareAConnection checks that the retries of truncated
// responses use one connection.
func TestTruncatedAnswersShareAConnection(t *testing.T) {
	r := (&resolver{udp: respond(truncated), tcp: respondTCP()}).start(t)
	tr, err := transport.New([]string{r.address}, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, _, err := tr.Exchange(t.Context(), query()); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.connections(); n != 1 {
		t.Errorf("%d connections for 5 queries", n)
	}
}

// TestTCPServerClosesAfterEachResponse checks that every query is answered if the
// server closes the connection after each response.
func TestTCPServerClosesAfterEachResponse(t *testing.T) {
	r := (&resolver{one: true, tcp: respondTCP()}).start(t)
	tr, err := transport.New([]string{"tcp://" + r.address}, transport.Options{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, _, err := tr.Exchange(t.Context(), query()); err != nil {
			t.Error(err)
		}
	}
	if n := r.connections(); n < 5 {
		t.Errorf("%d connections for 5 queries", n)
	}
}

// TestTCPServerRestarts checks that queries are sent again over a new connection
// if the server, such as one that is restarted, closes a connection.
func TestTCPServerRestarts(t *testing.T) {
	for _, test := range []struct {
		name string
		last []byte // bytes that the server sends before it closes
	}{
		{"without a response", nil},
		{"within a length", []byte{0}},
		{"within a header", []byte{0, 40, 1, 2, 3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var once sync.Once
			address, connections := tcpServer(t, func(conn net.Conn) {
				if q := readQuery(conn); q != nil {
					conn.Write(framed(response(q)))
				}
				for q := readQuery(conn); q != nil; q = readQuery(conn) {
					restarted := false
					once.Do(func() { restarted = true })
					if restarted {
						conn.Write(test.last)
						return
					}
					conn.Write(framed(response(q)))
				}
			})
			var seen events
			tr, err := transport.New([]string{"tcp://" + address}, transport.Options{Attempts: 1, Observe: seen.observe})
			if err != nil {
				t.Fatal(err)
			}
			for range 4 {
				if _, _, err := tr.Exchange(t.Context(), query()); err != nil {
					t.Error(err)
				}
			}
			if n := connections(); n != 2 || !slices.Equal(seen.list, []string{"tcp", "tcp", "tcp", "tcp"}) {
				t.Errorf("%d connections, observed %q; want 2 connections and no fault", n, seen.list)
			}
		})
	}
}

func TestTCPHostileResponses(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(*dns.Msg) []byte
		want string
	}{
		{"another ID", respondTCP(func(m *dns.Msg) { m.Id++ }), "malformed"},
		{"another question", respondTCP(func(m *dns.Msg) { m.Question[0].Name = "other.example." }), "malformed"},
		{"another type", respondTCP(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }), "malformed"},
		{"two questions", respondTCP(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), "malformed"},
		{"no question, but an answer", respondTCP(func(m *dns.Msg) { m.Question = nil }), "malformed"},
		{"the query itself", respondTCP(func(m *dns.Msg) { m.Response, m.Answer = false, nil }), "malformed"},
		{"HTTP", func(*dns.Msg) []byte {
			return []byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" + strings.Repeat(" ", 1<<16))
		}, "malformed"},
		{"an empty message", func(*dns.Msg) []byte { return []byte{0, 0} }, "malformed"},
		{"half a header", func(q *dns.Msg) []byte { return []byte{0, 4, byte(q.Id >> 8), byte(q.Id), 0x80, 0} }, "malformed"},
		{"a record that is cut", func(q *dns.Msg) []byte {
			wire := response(q)
			return framed(wire[:len(wire)-3])
		}, "malformed"},
		{"truncated", respondTCP(truncated), "truncated"},
		{"a length without a message", func(*dns.Msg) []byte { return []byte{0xff, 0xff} }, "network"},
		{"half a message", func(q *dns.Msg) []byte { return respondTCP()(q)[:30] }, "network"},
	} {
		t.Run(test.name, func(t *testing.T) {
			address, _ := tcpServer(t, func(conn net.Conn) {
				q := readQuery(conn)
				if q == nil {
					return
				}
				conn.Write(test.send(q))
				if test.want != "network" {
					io.Copy(io.Discard, conn) // until the client closes the connection
				}
			})
			var seen events
			tr, err := transport.New([]string{"tcp://" + address}, transport.Options{Attempts: 1, Observe: seen.observe})
			if err != nil {
				t.Fatal(err)
			}
			if response, _, err := tr.Exchange(t.Context(), query()); err == nil {
				t.Errorf("accepted %v", response)
			}
			if want := []string{"tcp " + test.want}; !slices.Equal(seen.list, want) {
				t.Errorf("observed %q, want %q", seen.list, want)
			}
		})
	}
}

// TestSilentServerIsNotQueriedAgain checks that of two servers, the one that never
// responds is queried only until it gets a penalty.
func TestSilentServerIsNotQueriedAgain(t *testing.T) {
	t.Parallel()
	silent, good := (&resolver{}).start(t), (&resolver{udp: respond()}).start(t)
	var seen events
	// A part of the timeout is the head start of the good server, once the other has a penalty.
	tr, err := transport.New([]string{silent.address, good.address}, transport.Options{Timeout: longTimeout, Observe: seen.observe})
	if err != nil {
		t.Fatal(err)
	}
	const queries = 10
	for range queries {
		if _, from, err := tr.Exchange(t.Context(), query()); err != nil || from != good.address {
			t.Errorf("answer from %s, error %v; want one from %s", from, err, good.address)
		}
	}
	if n, m := len(silent.requests()), len(good.requests()); n != 2 || m != queries {
		t.Errorf("the silent server was queried %d times, the good one %d times, for %d queries", n, m, queries)
	}
	if slices.Contains(seen.list, "udp timeout") {
		t.Errorf("a query waited for the timeout of the silent server: %q", seen.list)
	}
}
