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

// The tests here run in bubbles of their own time, over pipes. Such a bubble
// fails unless all its goroutines end: each test shows that nothing leaks.

// peer plays a server: it serves each connection that streams dial.
type peer struct {
	serve func(number int, conn net.Conn) // the first connection is number 1

	mutex sync.Mutex
	dials int
}

func (p *peer) dial(context.Context) (net.Conn, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.dials++
	ours, theirs := net.Pipe()
	go func(number int) {
		defer theirs.Close()
		p.serve(number, theirs)
	}(p.dials)
	return ours, nil
}

// hear returns the next query, nil after the last.
func hear(conn net.Conn) *dns.Msg {
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

func say(conn net.Conn, m *dns.Msg) {
	wire, err := m.Pack()
	if err != nil {
		panic(err)
	}
	conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...))
}

func answerAll(conn net.Conn) {
	for q := hear(conn); q != nil; q = hear(conn) {
		say(conn, new(dns.Msg).SetReply(q))
	}
}

// packed makes a query ready to be sent.
func packed(query *dns.Msg) outgoing {
	q, err := newOutgoing(query)
	if err != nil {
		panic(err)
	}
	return q
}

// ask asks for a name with its own time-out.
func ask(k *streams, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), k.timeout)
	defer cancel()
	_, err := k.exchange(ctx, packed(new(dns.Msg).SetQuestion(name, dns.TypeA)))
	return err
}

// open says how many responses are due on each connection, once all is quiet.
func open(k *streams) []int {
	synctest.Wait()
	k.mutex.Lock()
	defer k.mutex.Unlock()
	due := []int{}
	for _, s := range k.open {
		s.mutex.Lock()
		due = append(due, len(s.due))
		s.mutex.Unlock()
	}
	return due
}

func TestAKeptConnection(t *testing.T) {
	for _, story := range []struct {
		name  string
		serve func(number int, conn net.Conn)
		steps func(t *testing.T, k *streams)
		dials int
	}{
		{"it is used again while it is in use now and then", func(_ int, conn net.Conn) { answerAll(conn) },
			func(t *testing.T, k *streams) {
				for range 5 {
					if err := ask(k, "a.example."); err != nil {
						t.Error(err)
					}
					time.Sleep(idleTime - time.Second)
				}
			}, 1},
		{"it is closed after the idle time", func(_ int, conn net.Conn) { answerAll(conn) },
			func(t *testing.T, k *streams) {
				for range 2 {
					if err := ask(k, "a.example."); err != nil {
						t.Error(err)
					}
					time.Sleep(idleTime)
					if left := open(k); len(left) != 0 {
						t.Errorf("%d are open", len(left))
					}
				}
			}, 2},
		{"it turns out dead, and the query goes over another", func(number int, conn net.Conn) {
			if number == 1 {
				say(conn, new(dns.Msg).SetReply(hear(conn)))
				hear(conn) // and closes
				return
			}
			answerAll(conn)
		}, func(t *testing.T, k *streams) {
			for range 3 {
				if err := ask(k, "a.example."); err != nil {
					t.Error(err)
				}
			}
		}, 2},
		{"a new one that dies is not tried again", func(_ int, conn net.Conn) { hear(conn) },
			func(t *testing.T, k *streams) {
				if err := ask(k, "a.example."); !errors.Is(err, io.EOF) {
					t.Errorf("got %v", err)
				}
			}, 1},
		{"one is enough for all it can carry, and a fifth is never opened", func(_ int, conn net.Conn) {
			for hear(conn) != nil {
			}
		}, func(t *testing.T, k *streams) {
			var wait sync.WaitGroup
			for range mostStreams*mostDue + 10 {
				wait.Go(func() {
					// The last ten may find a place just as their time is over.
					if err := ask(k, "a.example."); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errBusy) {
						t.Errorf("got %v", err)
					}
				})
			}
			if due, want := open(k), slices.Repeat([]int{mostDue}, mostStreams); !slices.Equal(due, want) {
				t.Errorf("due are %d, want %d", due, want)
			}
			wait.Wait()
		}, mostStreams},
		{"one that falls silent gets no more queries", func(number int, conn net.Conn) {
			say(conn, new(dns.Msg).SetReply(hear(conn)))
			if number > 1 {
				answerAll(conn)
				return
			}
			for hear(conn) != nil {
			}
		}, func(t *testing.T, k *streams) {
			if err := ask(k, "a.example."); err != nil {
				t.Error(err)
			}
			lost := make(chan error)
			go func() { lost <- ask(k, "lost.example.") }()
			time.Sleep(k.timeout/2 + 1)
			began := time.Now()
			if err := ask(k, "b.example."); err != nil || time.Since(began) != 0 {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
			if err := <-lost; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			time.Sleep(k.timeout)
			if left := open(k); len(left) != 1 {
				t.Errorf("%d are open, the silent one should not be", len(left))
			}
		}, 2},
		{"a response that nobody waits for any longer is no misdeed", func(_ int, conn net.Conn) {
			late := hear(conn)
			other := hear(conn)
			say(conn, new(dns.Msg).SetReply(late))
			say(conn, new(dns.Msg).SetReply(other))
			answerAll(conn)
		}, func(t *testing.T, k *streams) {
			ctx, cancel := context.WithCancel(context.Background())
			left := make(chan error)
			go func() {
				_, err := k.exchange(ctx, packed(new(dns.Msg).SetQuestion("late.example.", dns.TypeA)))
				left <- err
			}()
			synctest.Wait()
			cancel()
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			for range 2 {
				if err := ask(k, "a.example."); err != nil {
					t.Error(err)
				}
			}
		}, 1},
		{"responses come in any order, and in one piece or many", func(_ int, conn net.Conn) {
			var all []byte
			for range 3 {
				wire, err := new(dns.Msg).SetReply(hear(conn)).Pack()
				if err != nil {
					panic(err)
				}
				all = append(append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...), all...)
			}
			for _, octet := range all {
				conn.Write([]byte{octet})
			}
			hear(conn)
		}, func(t *testing.T, k *streams) {
			var wait sync.WaitGroup
			for _, name := range []string{"a.example.", "b.example.", "c.example."} {
				wait.Go(func() {
					if err := ask(k, name); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				})
			}
			wait.Wait()
		}, 1},
		{"the answer to another question ends it", func(_ int, conn net.Conn) {
			m := new(dns.Msg).SetReply(hear(conn))
			m.Question[0].Name = "other.example."
			say(conn, m)
			hear(conn)
		}, func(t *testing.T, k *streams) {
			if err := ask(k, "a.example."); !errors.Is(err, errMalformed) {
				t.Errorf("got %v", err)
			}
			if left := open(k); len(left) != 0 {
				t.Error("it is open")
			}
		}, 1},
		{"a message that cannot be read spoils one query alone", func(_ int, conn net.Conn) {
			queries := []*dns.Msg{hear(conn), hear(conn)}
			for _, q := range queries {
				if q.Question[0].Name == "bad.example." {
					conn.Write([]byte{0, 14, byte(q.Id >> 8), byte(q.Id), responseBit, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 0xff})
				}
			}
			for _, q := range queries {
				if q.Question[0].Name == "good.example." {
					say(conn, new(dns.Msg).SetReply(q))
				}
			}
			hear(conn)
		}, func(t *testing.T, k *streams) {
			var wait sync.WaitGroup
			wait.Go(func() {
				if err := ask(k, "bad.example."); !errors.Is(err, errMalformed) {
					t.Errorf("got %v", err)
				}
			})
			wait.Go(func() {
				if err := ask(k, "good.example."); err != nil {
					t.Error(err)
				}
			})
			wait.Wait()
		}, 1},
		{"a peer that reads nothing holds nobody up", func(_ int, conn net.Conn) { time.Sleep(time.Minute) },
			func(t *testing.T, k *streams) {
				var wait sync.WaitGroup
				for range 3 {
					wait.Go(func() {
						if err := ask(k, "a.example."); err == nil {
							t.Error("an answer out of nothing")
						}
					})
				}
				began := time.Now()
				wait.Wait()
				if took := time.Since(began); took > k.timeout {
					t.Errorf("it took %s", took)
				}
			}, 1},
		{"octets that trickle do not keep it alive", func(_ int, conn net.Conn) {
			hear(conn)
			conn.Write([]byte{0xff, 0xff})
			for {
				if _, err := conn.Write([]byte{0}); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}, func(t *testing.T, k *streams) {
			if err := ask(k, "a.example."); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			time.Sleep(k.timeout)
			if left := open(k); len(left) != 0 {
				t.Error("it is open")
			}
		}, 1},
	} {
		t.Run(story.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{serve: story.serve}
				k := newStreams(queryTime, p.dial)
				story.steps(t, k)
				time.Sleep(2 * time.Minute) // until all is over
				if left := open(k); len(left) != 0 || len(k.places) != 0 {
					t.Errorf("%d connections and %d places are left", len(left), len(k.places))
				}
				if p.dials != story.dials {
					t.Errorf("%d connections, want %d", p.dials, story.dials)
				}
			})
		})
	}
}

// Those who wait for a connection share its making, and what becomes of it.
func TestDiallingIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		k := newStreams(queryTime, func(context.Context) (net.Conn, error) {
			dials++
			time.Sleep(time.Second)
			return nil, errors.New("no such luck")
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, err := k.exchange(ctx, packed(new(dns.Msg))); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		})
		for range 3 {
			wait.Go(func() {
				if err := ask(k, "a.example."); err == nil || !strings.Contains(err.Error(), "no such luck") {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wait.Wait()
		if dials != 1 {
			t.Errorf("dialled %d times", dials)
		}
	})
}
