package handshake

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// One goroutine at a time holds an address, and no queue remains after the last.
// Each holds it for a second of the virtual clock, so without the lock all
// would hold it at the same time.
func TestAddressLockAllowsOneHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const goroutines = 20
		var locks addressLock
		var holders atomic.Int32
		address := netip.MustParseAddrPort("192.0.2.1:25")
		start := time.Now()
		var wait sync.WaitGroup
		for range goroutines {
			wait.Go(func() {
				unlock, err := locks.lock(t.Context(), address)
				if err != nil {
					t.Error(err)
					return
				}
				defer unlock()
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d holders of the address at the same time", n)
				}
				time.Sleep(time.Second)
				holders.Add(-1)
			})
		}
		wait.Wait()
		if got, want := time.Since(start), goroutines*time.Second; got != want {
			t.Errorf("%d holders, one after the other, took %s, want %s", goroutines, got, want)
		}
		if len(locks.queues) != 0 {
			t.Errorf("%d queues remain after the last unlock", len(locks.queues))
		}
	})
}

// Waiting ends with the context. Other ports of the address are independent.
func TestAddressLockEndsWithContext(t *testing.T) {
	var locks addressLock
	address := netip.MustParseAddrPort("192.0.2.1:25")
	unlock, err := locks.lock(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := locks.lock(ended, address); err == nil {
		t.Error("lock returned while another holder has the address")
	}
	other, err := locks.lock(t.Context(), netip.MustParseAddrPort("192.0.2.1:465"))
	if err != nil {
		t.Errorf("locking another port: %v", err)
	}
	other()
	unlock()
	if len(locks.queues) != 0 {
		t.Errorf("%d queues remain after the last unlock", len(locks.queues))
	}
}
