package handshake

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/probe/dane"
)

// A server that answers late that it does not do STARTTLS, and then keeps the
// connection open beyond the deadline, has answered: its result serves the next
// request, which makes no connection of its own.
func TestLateAnswerIsReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 10 * time.Second
		connections := 0
		client := New(func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
			connections++
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				lines := bufio.NewScanner(far)
				fmt.Fprint(far, "220 mx.example.org\r\n")
				lines.Scan() // EHLO
				time.Sleep(timeout - 100*time.Millisecond)
				fmt.Fprint(far, "250 mx.example.org\r\n")
				for lines.Scan() { // QUIT gets no reply
				}
			}()
			return near, nil
		}, "probe.example.net", time.Hour)
		request := Request{Timeout: timeout, MinWait: 5 * time.Second,
			Key: Key{Address: netip.MustParseAddrPort("192.0.2.25:25"), Protocol: "smtp", SNI: "mx.example.org"}}
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 2*timeout)
			if e := client.Do(ctx, request); dane.CauseOf(e.Err) != dane.CauseStartTLSNotOffered || e.TimedOutEarly {
				t.Errorf("got cause %d, timed out early %t: %v", dane.CauseOf(e.Err), e.TimedOutEarly, e.Err)
			}
			cancel()
		}
		if connections != 1 {
			t.Errorf("%d connections, want 1", connections)
		}
	})
}

// The certificates of an attempt count for the request that started it, while it is in
// progress. If that may not hold them, another request makes an attempt of its own.
func TestAttemptHoldsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		smtp := server.SMTP{Name: "mx.example.org", TLS: &tls.Config{Certificates: []tls.Certificate{leafOf(t, server.ECDSA)}}}
		var connections atomic.Int32
		client := New(func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
			connections.Add(1)
			near, far := bufferedPipe()
			go func() {
				defer far.Close()
				time.Sleep(time.Second) // both requests are there
				smtp.Serve(context.WithoutCancel(ctx), far)
			}()
			return near, nil
		}, "probe.example.net", 0)
		var held, peak atomic.Int64
		request := func(grow func(int) error) Request {
			return Request{Timeout: time.Minute, MinWait: 5 * time.Second, Grow: grow,
				Key: Key{Address: netip.MustParseAddrPort("192.0.2.25:25"), Protocol: "smtp", SNI: "mx.example.org"}}
		}
		poor := request(func(n int) error {
			if n > 0 && n != sizeOfConnection {
				return errors.New("nothing is left")
			}
			return nil
		})
		rich := request(func(n int) error {
			peak.Store(max(peak.Load(), held.Add(int64(n))))
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		results := make([]dane.Endpoint, 2)
		var group sync.WaitGroup
		group.Go(func() { results[0] = client.Do(ctx, poor) })
		synctest.Wait()
		group.Go(func() { results[1] = client.Do(ctx, rich) })
		group.Wait()
		if e := results[0]; dane.CauseOf(e.Err) != dane.CauseLimit || e.Raw != nil || e.Chain != nil {
			t.Errorf("the request without memory: cause %d, %d certificates: %v", dane.CauseOf(e.Err), len(e.Raw), e.Err)
		}
		if e := results[1]; e.Err != nil || e.Chain == nil || e.Reused {
			t.Errorf("the other request: reused %t, %v", e.Reused, e.Err)
		}
		if connections.Load() != 2 || held.Load() != 0 || peak.Load() < 1000 {
			t.Errorf("%d connections; at most %d bytes held, %d at the end", connections.Load(), peak.Load(), held.Load())
		}
	})
}

// TestUnfinishedAttemptHoldsMemory checks that what a server has sent counts while the
// handshake waits for the rest: many connections may wait at the same time.
func TestUnfinishedAttemptHoldsMemory(t *testing.T) {
	leaf := leafOf(t, server.ECDSA)
	large := leaf
	for range 80 {
		large.Certificate = append(large.Certificate, leaf.Certificate[0])
	}
	sent := len(leaf.Certificate[0]) * len(large.Certificate)
	lines := strings.Repeat("220-"+strings.Repeat("x", 120)+"\r\n", 400)
	for _, c := range []struct {
		name   string
		server func(net.Conn)
		want   int
	}{
		{"no greeting", func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, sizeOfConnection},
		{"a long reply without an end", func(conn net.Conn) {
			_, _ = io.WriteString(conn, lines)
			_, _ = io.Copy(io.Discard, conn)
		}, len(lines)},
		{"certificates, and no signature", func(conn net.Conn) {
			server.SMTP{Name: "mx.example.org", TLS: server.TLSConfigStalled(large)}.Serve(t.Context(), conn)
		}, 10 * sent},
	} {
		for _, limited := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, limited %t", c.name, limited), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client := New(func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
						near, far := bufferedPipe()
						go func() { defer far.Close(); c.server(far) }()
						return near, nil
					}, "probe.example.net", 0)
					var held atomic.Int64
					grow := func(n int) error {
						if limited && int(held.Load())+n > c.want/2 {
							return errors.New("nothing is left")
						}
						held.Add(int64(n))
						return nil
					}
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					done := make(chan dane.Endpoint, 1)
					go func() {
						done <- client.Do(ctx, Request{Timeout: time.Minute, Fresh: true, Grow: grow,
							Key: Key{Address: netip.MustParseAddrPort("192.0.2.25:25"), Protocol: "smtp", SNI: "mx.example.org"}})
					}()
					time.Sleep(time.Second) // of the virtual clock
					synctest.Wait()
					if n := int(held.Load()); !limited && n < c.want {
						t.Errorf("%d bytes are held, want at least %d", n, c.want)
					}
					e := <-done
					if cause := dane.CauseOf(e.Err); (cause == dane.CauseLimit) != limited {
						t.Errorf("cause %d: %v", cause, e.Err)
					}
					synctest.Wait()
					if n := held.Load(); n != 0 {
						t.Errorf("%d bytes are held afterwards", n)
					}
				})
			})
		}
	}
}
