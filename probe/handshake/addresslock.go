package handshake

import (
	"context"
	"net/netip"
	"sync"
)

// addressLock allows one connection at a time to each address and port: mail
// servers limit the parallel connections of a client. The zero value is ready.
type addressLock struct {
	mu     sync.Mutex
	queues map[netip.AddrPort]*queue
}

type queue struct {
	token   chan struct{} // holds one token while the address is free
	holders int           // goroutines that hold or wait for the token
}

// lock waits until the address is free. The caller must call unlock. The error
// is that of ctx, if it ends first.
func (l *addressLock) lock(ctx context.Context, address netip.AddrPort) (unlock func(), err error) {
	l.mu.Lock()
	if l.queues == nil {
		l.queues = make(map[netip.AddrPort]*queue)
	}
	q := l.queues[address]
	if q == nil {
		q = &queue{token: make(chan struct{}, 1)}
		q.token <- struct{}{}
		l.queues[address] = q
	}
	q.holders++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if q.holders--; q.holders == 0 {
			delete(l.queues, address)
		}
	}
	select {
	case <-q.token:
		return func() { q.token <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
