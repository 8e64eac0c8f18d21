package handshake

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"
)

// TestStackOfWaitingAttempts checks that an attempt has no stack for a handshake while it connects. A
// zone decides how many of its addresses do not answer.
func TestStackOfWaitingAttempts(t *testing.T) {
	const attempts, limit = 500, 32 << 10 // bytes for each, with the goroutine of its caller
	var dialing sync.WaitGroup
	dialing.Add(attempts)
	c := New(func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
		dialing.Done()
		<-ctx.Done()
		return nil, ctx.Err()
	}, "", 0)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection shrinks stacks
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))  // each processor has free stacks, which count
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for n := range attempts {
		waiting.Go(func() {
			address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), uint16(25+n/256))
			c.share(ctx, Request{Key: Key{Address: address, Protocol: "smtp"}, Timeout: time.Hour})
		})
	}
	dialing.Wait()
	runtime.ReadMemStats(&after)
	cancel()
	waiting.Wait()
	if each := int(after.StackInuse-before.StackInuse) / attempts; each > limit {
		t.Errorf("an attempt that connects takes %d bytes of stack, want at most %d", each, limit)
	} else {
		t.Logf("%d bytes", each)
	}
}
