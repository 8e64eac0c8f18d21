package handshake

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
)

func TestAddressLockAllowsOneHolder(t *testing.T) {
	var locks addressLock
	var inside, most atomic.Int32
	address := netip.MustParseAddrPort("192.0.2.1:25")
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			unlock, err := locks.lock(t.Context(), address)
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			inside.Add(-1)
			unlock()
		})
	}
	wait.Wait()
	if most.Load() != 1 {
		t.Errorf("%d held the address at the same time", most.Load())
	}
	if len(locks.queues) != 0 {
		t.Errorf("%d queues are kept after all holders left", len(locks.queues))
	}
}

func TestAddressLockEndsWithTheContext(t *testing.T) {
	var locks addressLock
	address := netip.MustParseAddrPort("192.0.2.1:25")
	unlock, err := locks.lock(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := locks.lock(ended, address); err == nil {
		t.Error("two holders of one address")
	}
	other, err := locks.lock(t.Context(), netip.MustParseAddrPort("192.0.2.1:465"))
	if err != nil {
		t.Errorf("another port had to wait: %v", err)
	}
	other()
	unlock()
	if len(locks.queues) != 0 {
		t.Errorf("%d queues are kept after all holders left", len(locks.queues))
	}
}
