package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// The tests here run over pipes in synctest bubbles with a fake clock. A bubble
// fails unless all its goroutines end, so each test also checks for leaks.

// pipeServer serves each connection that a streamPool dials.
type pipeServer struct {
	serve func(number int, conn net.Conn) // the first connection is number 1

	mutex sync.Mutex
	dials int
}

func (s *pipeServer) dial(context.Context) (net.Conn, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.dials++
	client, server := net.Pipe()
	go func(number int) {
		defer server.Close()
		s.serve(number, server)
	}(s.dials)
	return client, nil
}

// receive returns the next query on a connection, or nil at the end.
func receive(conn net.Conn) *dns.Msg {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, message); err != nil {
		return nil
	}
	query := new(dns.Msg)
	if query.Unpack(message) != nil {
		return nil
	}
	return query
}

// send sends a message on a connection.
func send(conn net.Conn, m *dns.Msg) {
	wire, err := m.Pack()
	if err != nil {
		panic(err)
	}
	conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...))
}

// answerAll answers the queries on a connection until its end.
func answerAll(conn net.Conn) {
	for q := receive(conn); q != nil; q = receive(conn) {
		send(conn, new(dns.Msg).SetReply(q))
	}
}

// packed returns the packed form of a query.
func packed(query *dns.Msg) packedQuery {
	q, err := newPackedQuery(query)
	if err != nil {
		panic(err)
	}
	return q
}

// exchangeA exchanges a query for the A records of a name within the pool's timeout.
func exchangeA(p *streamPool, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	_, err := p.exchange(ctx, packed(new(dns.Msg).SetQuestion(name, dns.TypeA)))
	return err
}

// pendingPerStream returns the number of pending responses on each open
// connection, when all goroutines are blocked.
func pendingPerStream(p *streamPool) []int {
	synctest.Wait()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	pending := []int{}
	for _, s := range p.open {
		s.mutex.Lock()
		pending = append(pending, len(s.pending))
		s.mutex.Unlock()
	}
	return pending
}

func TestStreamPool(t *testing.T) {
	for _, test := range []struct {
		name  string
		serve func(number int, conn net.Conn)
		steps func(t *testing.T, p *streamPool)
		dials int
	}{
		{"a connection is used again within the idle time", func(_ int, conn net.Conn) { answerAll(conn) },
			func(t *testing.T, p *streamPool) {
				for range 5 {
					if err := exchangeA(p, "a.example."); err != nil {
						t.Error(err)
					}
					time.Sleep(idleTime - time.Second)
				}
			}, 1},
		{"a connection is closed after the idle time", func(_ int, conn net.Conn) { answerAll(conn) },
			func(t *testing.T, p *streamPool) {
				for range 2 {
					if err := exchangeA(p, "a.example."); err != nil {
						t.Error(err)
					}
					time.Sleep(idleTime)
					if left := pendingPerStream(p); len(left) != 0 {
						t.Errorf("%d connections are open", len(left))
					}
				}
			}, 2},
		{"a connection closed by the server: another is opened", func(number int, conn net.Conn) {
			if number == 1 {
				send(conn, new(dns.Msg).SetReply(receive(conn)))
				receive(conn) // and close
				return
			}
			answerAll(conn)
		}, func(t *testing.T, p *streamPool) {
			for range 3 {
				if err := exchangeA(p, "a.example."); err != nil {
					t.Error(err)
				}
			}
		}, 2},
		{"a connection closed before any response: no retry", func(_ int, conn net.Conn) { receive(conn) },
			func(t *testing.T, p *streamPool) {
				if err := exchangeA(p, "a.example."); !errors.Is(err, io.EOF) {
					t.Errorf("got %v", err)
				}
			}, 1},
		{"connections are filled one by one, up to the limit", func(_ int, conn net.Conn) {
			for receive(conn) != nil {
			}
		}, func(t *testing.T, p *streamPool) {
			var wait sync.WaitGroup
			for range maxStreams*maxPending + 10 {
				wait.Go(func() {
					// The last ten may get a place just when their time ends.
					if err := exchangeA(p, "a.example."); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errBusy) {
						t.Errorf("got %v", err)
					}
				})
			}
			if pending, want := pendingPerStream(p), slices.Repeat([]int{maxPending}, maxStreams); !slices.Equal(pending, want) {
				t.Errorf("got %d pending responses, want %d", pending, want)
			}
			wait.Wait()
		}, maxStreams},
		{"a silent connection gets no more queries", func(number int, conn net.Conn) {
			send(conn, new(dns.Msg).SetReply(receive(conn)))
			if number > 1 {
				answerAll(conn)
				return
			}
			for receive(conn) != nil {
			}
		}, func(t *testing.T, p *streamPool) {
			if err := exchangeA(p, "a.example."); err != nil {
				t.Error(err)
			}
			lost := make(chan error)
			go func() { lost <- exchangeA(p, "lost.example.") }()
			time.Sleep(p.timeout/2 + 1)
			start := time.Now()
			if err := exchangeA(p, "b.example."); err != nil || time.Since(start) != 0 {
				t.Errorf("after %s: %v", time.Since(start), err)
			}
			if err := <-lost; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			time.Sleep(p.timeout)
			if left := pendingPerStream(p); len(left) != 1 {
				t.Errorf("%d connections are open, want 1: the silent one is closed", len(left))
			}
		}, 2},
		{"the response to a cancelled query is ignored", func(_ int, conn net.Conn) {
			late := receive(conn)
			other := receive(conn)
			send(conn, new(dns.Msg).SetReply(late))
			send(conn, new(dns.Msg).SetReply(other))
			answerAll(conn)
		}, func(t *testing.T, p *streamPool) {
			ctx, cancel := context.WithCancel(context.Background())
			left := make(chan error)
			go func() {
				_, err := p.exchange(ctx, packed(new(dns.Msg).SetQuestion("late.example.", dns.TypeA)))
				left <- err
			}()
			synctest.Wait()
			cancel()
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			for range 2 {
				if err := exchangeA(p, "a.example."); err != nil {
					t.Error(err)
				}
			}
		}, 1},
		{"responses in reverse order, byte by byte", func(_ int, conn net.Conn) {
			var all []byte
			for range 3 {
				wire, err := new(dns.Msg).SetReply(receive(conn)).Pack()
				if err != nil {
					panic(err)
				}
				all = append(append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...), all...)
			}
			for _, b := range all {
				conn.Write([]byte{b})
			}
			receive(conn)
		}, func(t *testing.T, p *streamPool) {
			var wait sync.WaitGroup
			for _, name := range []string{"a.example.", "b.example.", "c.example."} {
				wait.Go(func() {
					if err := exchangeA(p, name); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				})
			}
			wait.Wait()
		}, 1},
		{"the response to another question ends the connection", func(_ int, conn net.Conn) {
			m := new(dns.Msg).SetReply(receive(conn))
			m.Question[0].Name = "other.example."
			send(conn, m)
			receive(conn)
		}, func(t *testing.T, p *streamPool) {
			if err := exchangeA(p, "a.example."); !errors.Is(err, errMalformed) {
				t.Errorf("got %v", err)
			}
			if left := pendingPerStream(p); len(left) != 0 {
				t.Error("the connection is open")
			}
		}, 1},
		{"a malformed message affects only its query", func(_ int, conn net.Conn) {
			queries := []*dns.Msg{receive(conn), receive(conn)}
			for _, q := range queries {
				if q.Question[0].Name == "bad.example." {
					conn.Write([]byte{0, 14, byte(q.Id >> 8), byte(q.Id), responseBit, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 0xff})
				}
			}
			for _, q := range queries {
				if q.Question[0].Name == "good.example." {
					send(conn, new(dns.Msg).SetReply(q))
				}
			}
			receive(conn)
		}, func(t *testing.T, p *streamPool) {
			var wait sync.WaitGroup
			wait.Go(func() {
				if err := exchangeA(p, "bad.example."); !errors.Is(err, errMalformed) {
					t.Errorf("got %v", err)
				}
			})
			wait.Go(func() {
				if err := exchangeA(p, "good.example."); err != nil {
					t.Error(err)
				}
			})
			wait.Wait()
		}, 1},
		{"a server that reads nothing: queries time out", func(_ int, conn net.Conn) { time.Sleep(time.Minute) },
			func(t *testing.T, p *streamPool) {
				var wait sync.WaitGroup
				for range 3 {
					wait.Go(func() {
						if err := exchangeA(p, "a.example."); err == nil {
							t.Error("got an answer")
						}
					})
				}
				start := time.Now()
				wait.Wait()
				if took := time.Since(start); took > p.timeout {
					t.Errorf("it took %s", took)
				}
			}, 1},
		{"single bytes do not keep a connection open", func(_ int, conn net.Conn) {
			receive(conn)
			conn.Write([]byte{0xff, 0xff})
			for {
				if _, err := conn.Write([]byte{0}); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}, func(t *testing.T, p *streamPool) {
			if err := exchangeA(p, "a.example."); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			time.Sleep(p.timeout)
			if left := pendingPerStream(p); len(left) != 0 {
				t.Error("the connection is open")
			}
		}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &pipeServer{serve: test.serve}
				p := newStreamPool(queryTimeout, s.dial)
				test.steps(t, p)
				time.Sleep(2 * time.Minute) // all connections have ended by then
				if left := pendingPerStream(p); len(left) != 0 || len(p.slots) != 0 {
					t.Errorf("%d connections and %d slots are in use", len(left), len(p.slots))
				}
				if s.dials != test.dials {
					t.Errorf("%d connections were opened, want %d", s.dials, test.dials)
				}
			})
		})
	}
}

// TestDialIsShared checks that queries that wait for a connection share one
// attempt to connect and its error.
func TestDialIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		p := newStreamPool(queryTimeout, func(context.Context) (net.Conn, error) {
			dials++
			time.Sleep(time.Second)
			return nil, errors.New("no route")
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, err := p.exchange(ctx, packed(new(dns.Msg))); !errors.Is(err, context.Canceled) {
				t.Errorf("the cancelled query: got %v", err)
			}
		})
		for range 3 {
			wait.Go(func() {
				if err := exchangeA(p, "a.example."); err == nil || !strings.Contains(err.Error(), "no route") {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wait.Wait()
		if dials != 1 {
			t.Errorf("dialed %d times, want 1", dials)
		}
	})
}
