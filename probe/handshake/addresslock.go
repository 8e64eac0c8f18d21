package handshake

import (
	"context"
	"net/netip"
	"sync"
)

// addressLock allows one holder at a time for each address and port, first come,
// first served. The lock of a Client is held for a connection, because mail servers
// limit the parallel connections of a client. The zero value is ready.
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
	case <-q.token: // the runtime serves the receivers of a channel in their order
		return func() { q.token <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// Probe identifies the probe that handshakes are for. At each address, a probe
// waits for one handshake at a time. So the queue there holds at most one handshake
// of each probe and serves the probes in turn, however many hosts of a target have
// that address. The zero value is ready.
type Probe struct {
	turns addressLock

	mu      sync.Mutex
	results map[Key]attempt
}

// turn waits until no other handshake of the probe with an address waits or is in
// progress. The caller must call end, also after an error. A nil Probe has no such limit.
func (p *Probe) turn(ctx context.Context, address netip.AddrPort) (end func(), err error) {
	if p == nil {
		return func() {}, nil
	}
	if end, err = p.turns.lock(ctx, address); err != nil {
		return func() {}, err
	}
	return end, nil
}

// result returns what this probe has learned from an equal handshake: requests
// that were simultaneous share a result although they wait for their turn.
func (p *Probe) result(key Key) (a attempt, ok bool) {
	if p == nil {
		return attempt{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok = p.results[key]
	return a, ok
}

// keep stores the result of a handshake unless it is incomplete.
func (p *Probe) keep(key Key, a attempt) {
	if p == nil || !a.done || a.cut {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.results == nil {
		p.results = make(map[Key]attempt)
	}
	p.results[key] = a
}
