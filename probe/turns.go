package probe

import (
	"context"
	"net/netip"
	"sync"
)

// turns lets one connection at a time through to each service address, whoever
// asks: mail servers count parallel connections from one client.
type turns struct {
	mu    sync.Mutex
	lines map[netip.AddrPort]*line
}

type line struct {
	token   chan struct{} // holds one while the address is free
	waiting int           // who holds or wants it
}

// take waits for the turn at an address. The caller gives it back by calling
// done. The error is that of ctx, which ended first.
func (t *turns) take(ctx context.Context, address netip.AddrPort) (done func(), err error) {
	t.mu.Lock()
	if t.lines == nil {
		t.lines = make(map[netip.AddrPort]*line)
	}
	l := t.lines[address]
	if l == nil {
		l = &line{token: make(chan struct{}, 1)}
		l.token <- struct{}{}
		t.lines[address] = l
	}
	l.waiting++
	t.mu.Unlock()

	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if l.waiting--; l.waiting == 0 {
			delete(t.lines, address)
		}
	}
	select {
	case <-l.token:
		return func() { l.token <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
