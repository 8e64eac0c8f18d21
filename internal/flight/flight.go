// Package flight runs concurrent calls with equal keys once and shares the
// result, like golang.org/x/sync/singleflight, but with contexts.
//
// The shared function runs in its own goroutine under its own timeout, never
// under the deadline of one of its callers: a caller with little time cannot
// make the call fail for the others. Each caller waits until its own context
// ends and then gets the latest partial result. The function's context is
// cancelled when the last caller has left.
package flight

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrPanic is wrapped by the error of a call whose function panicked.
var ErrPanic = errors.New("internal error")

// Group holds the calls in flight, at most one for each key. The zero value is
// an empty group. A Group is safe for concurrent use.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[V]
}

// call is one run of a shared function. Group.mu guards waiters and value; err
// is written before done is closed.
type call[V any] struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int
	value   V     // the value reported last, at the end the result
	err     error // set if the function panicked
}

// Do returns the result of the call in flight for key. If there is none, it
// starts one that runs fn with the given timeout. joined reports whether one was
// already in flight; then fn and timeout are unused.
//
// fn may pass partial results to report, any number of times until it returns.
//
// If ctx ends first, Do returns the partial result reported last, or the zero
// value, and the cause of ctx. If fn panics, Do returns the partial result and
// an error that wraps ErrPanic. Otherwise the error is nil, even if fn
// was cut short by its timeout.
func (g *Group[K, V]) Do(ctx context.Context, key K, timeout time.Duration, fn func(ctx context.Context, report func(V)) V) (value V, joined bool, err error) {
	c, joined := g.join(key, timeout, fn)
	defer g.leave(key, c)
	select {
	case <-c.done:
		return c.value, joined, c.err
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		return c.value, joined, context.Cause(ctx)
	}
}

// Detach lets the next Do with that key start a new call. The call in flight continues
// for its callers.
func (g *Group[K, V]) Detach(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.calls, key)
}

// join adds a waiter to the call in flight for key, and starts a call if there
// is none.
func (g *Group[K, V]) join(key K, timeout time.Duration, fn func(context.Context, func(V)) V) (c *call[V], joined bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls == nil {
		g.calls = make(map[K]*call[V])
	}
	c, joined = g.calls[key]
	if !joined {
		c = &call[V]{done: make(chan struct{})}
		var ctx context.Context
		ctx, c.cancel = context.WithTimeout(context.Background(), timeout)
		g.calls[key] = c
		go g.run(ctx, key, c, fn)
	}
	c.waiters++
	return c, joined
}

// run calls fn and publishes its result.
func (g *Group[K, V]) run(ctx context.Context, key K, c *call[V], fn func(context.Context, func(V)) V) {
	report := func(value V) {
		g.mu.Lock()
		defer g.mu.Unlock()
		c.value = value
	}
	defer func() {
		if problem := recover(); problem != nil {
			c.err = fmt.Errorf("%w: %v", ErrPanic, problem)
		}
		g.remove(key, c)
		c.cancel()
		close(c.done)
	}()
	report(fn(ctx, report))
}

// leave removes a waiter. The last one cancels the call, and a later Do with the
// same key starts a new call even if fn has not returned yet.
func (g *Group[K, V]) leave(key K, c *call[V]) {
	g.mu.Lock()
	c.waiters--
	last := c.waiters == 0
	if last && g.calls[key] == c {
		delete(g.calls, key)
	}
	g.mu.Unlock()
	if last {
		c.cancel()
	}
}

// remove takes c out of the group, unless a newer call has its key already.
func (g *Group[K, V]) remove(key K, c *call[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls[key] == c {
		delete(g.calls, key)
	}
}
