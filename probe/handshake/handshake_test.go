package handshake

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

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
