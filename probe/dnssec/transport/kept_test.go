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

// handler is a server over TCP alone that may do anything with a connection.
// It says where it listens, and how many connections there were.
func handler(t *testing.T, serve func(net.Conn)) (address string, connections func() int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &counting{Listener: listener}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			conn, err := counted.Accept()
			if err != nil {
				return
			}
			defer conn.Close() // wakes who reads
			wait.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); wait.Wait() })
	return listener.Addr().String(), counted.accepted
}

// Ten queries are sent before the first response, which is to the last of them.
func TestResponsesInReverse(t *testing.T) {
	const queries = 10
	address, connections := handler(t, func(conn net.Conn) {
		var heard []*dns.Msg
		for range queries {
			q := readQuery(conn)
			if q == nil {
				return
			}
			heard = append(heard, q)
		}
		slices.Reverse(heard)
		for _, q := range heard {
			conn.Write(framed(reply(q, func(m *dns.Msg) { m.Answer[0].Header().Name = q.Question[0].Name })))
		}
		readQuery(conn)
	})
	tr, err := transport.New([]string{"tcp://" + address}, transport.Options{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range queries {
		wait.Go(func() {
			name := strings.Repeat("a", i+1) + ".example."
			response, _, err := tr.Exchange(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeA))
			if err != nil || response.Answer[0].Header().Name != name {
				t.Errorf("asked for %s: %v, %v", name, response, err)
			}
		})
	}
	wait.Wait()
	if n := connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// The retry of a truncated answer goes over the connection that is there.
func TestTruncatedAnswersShareAConnection(t *testing.T) {
	r := (&resolver{udp: says(truncated), tcp: saysTCP()}).start(t)
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
		t.Errorf("%d connections for five queries", n)
	}
}

// A server may close after each response; every query is answered all the same.
func TestAServerThatClosesAfterEachResponse(t *testing.T) {
	r := (&resolver{one: true, tcp: saysTCP()}).start(t)
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
		t.Errorf("%d connections for five queries", n)
	}
}

// A server that is restarted has forgotten its connections. Nobody notices.
func TestAServerThatClosesMidway(t *testing.T) {
	for _, story := range []struct {
		name string
		last []byte // what it still sends
	}{
		{"without a word", nil},
		{"within a length", []byte{0}},
		{"within a header", []byte{0, 40, 1, 2, 3}},
	} {
		t.Run(story.name, func(t *testing.T) {
			var once sync.Once
			address, connections := handler(t, func(conn net.Conn) {
				if q := readQuery(conn); q != nil {
					conn.Write(framed(reply(q)))
				}
				for q := readQuery(conn); q != nil; q = readQuery(conn) {
					restarted := false
					once.Do(func() { restarted = true })
					if restarted {
						conn.Write(story.last)
						return
					}
					conn.Write(framed(reply(q)))
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
				t.Errorf("%d connections, observed %q", n, seen.list)
			}
		})
	}
}

func TestHostileOverTCP(t *testing.T) {
	for _, story := range []struct {
		name string
		send func(*dns.Msg) []byte
		want string
	}{
		{"another ID", saysTCP(func(m *dns.Msg) { m.Id++ }), "malformed"},
		{"another question", saysTCP(func(m *dns.Msg) { m.Question[0].Name = "other.example." }), "malformed"},
		{"another type", saysTCP(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }), "malformed"},
		{"two questions", saysTCP(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), "malformed"},
		{"no question, and yet an answer", saysTCP(func(m *dns.Msg) { m.Question = nil }), "malformed"},
		{"our own query", saysTCP(func(m *dns.Msg) { m.Response, m.Answer = false, nil }), "malformed"},
		{"no message at all", func(*dns.Msg) []byte {
			return []byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" + strings.Repeat(" ", 1<<16))
		}, "malformed"},
		{"an empty one", func(*dns.Msg) []byte { return []byte{0, 0} }, "malformed"},
		{"half a header", func(q *dns.Msg) []byte { return []byte{0, 4, byte(q.Id >> 8), byte(q.Id), 0x80, 0} }, "malformed"},
		{"a record that ends too early", func(q *dns.Msg) []byte {
			wire := reply(q)
			return framed(wire[:len(wire)-3])
		}, "malformed"},
		{"cut short", saysTCP(truncated), "truncated"},
		{"a length that nothing follows", func(*dns.Msg) []byte { return []byte{0xff, 0xff} }, "network"},
		{"half a message", func(q *dns.Msg) []byte { return saysTCP()(q)[:30] }, "network"},
	} {
		t.Run(story.name, func(t *testing.T) {
			address, _ := handler(t, func(conn net.Conn) {
				q := readQuery(conn)
				if q == nil {
					return
				}
				conn.Write(story.send(q))
				if story.want != "network" {
					io.Copy(io.Discard, conn) // leaves it to the client to close
				}
			})
			var seen events
			tr, err := transport.New([]string{"tcp://" + address}, transport.Options{Attempts: 1, Observe: seen.observe})
			if err != nil {
				t.Fatal(err)
			}
			if response, _, err := tr.Exchange(t.Context(), query()); err == nil {
				t.Errorf("took %v", response)
			}
			if want := []string{"tcp " + story.want}; !slices.Equal(seen.list, want) {
				t.Errorf("observed %q, want %q", seen.list, want)
			}
		})
	}
}

// One of two servers never answers. It is asked until it has been silent too
// often, and then no more.
func TestASilentServerIsLeftAlone(t *testing.T) {
	silent, good := (&resolver{}).start(t), (&resolver{udp: says()}).start(t)
	var seen events
	// A good server on a busy machine must not be taken for a silent one.
	tr, err := transport.New([]string{silent.address, good.address}, transport.Options{Timeout: 20 * patience, Observe: seen.observe})
	if err != nil {
		t.Fatal(err)
	}
	const queries = 10
	for range queries {
		if _, from, err := tr.Exchange(t.Context(), query()); err != nil || from != good.address {
			t.Errorf("from %s, %v", from, err)
		}
	}
	if n, m := len(silent.asked()), len(good.asked()); n != 2 || m != queries {
		t.Errorf("the silent server was asked %d times, the good one %d times, for %d queries", n, m, queries)
	}
	if slices.Contains(seen.list, "udp timeout") {
		t.Errorf("somebody waited until the silent server's time was over: %q", seen.list)
	}
}
