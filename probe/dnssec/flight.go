package dnssec

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// flights joins equal work that is wanted at the same time. The work runs
// under its own deadline, not that of any who wait for it; it ends when the
// last of them has left.
type flights[K comparable, V any] struct {
	mu    sync.Mutex
	under map[K]*flight[V]
}

type flight[V any] struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int
	value   V
	err     error // the work panicked
}

// do waits for the work of that key, and starts it if nobody has. It returns
// early, with the cause, when ctx ends.
func (f *flights[K, V]) do(ctx context.Context, key K, limit time.Duration, work func(context.Context) V) (V, error) {
	f.mu.Lock()
	if f.under == nil {
		f.under = make(map[K]*flight[V])
	}
	c := f.under[key]
	if c == nil {
		c = &flight[V]{done: make(chan struct{})}
		var own context.Context
		own, c.cancel = context.WithTimeout(context.WithoutCancel(ctx), limit)
		f.under[key] = c
		go f.run(own, key, c, work)
	}
	c.waiters++
	f.mu.Unlock()
	defer f.leave(key, c)

	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}

func (f *flights[K, V]) run(ctx context.Context, key K, c *flight[V], work func(context.Context) V) {
	defer func() {
		if problem := recover(); problem != nil {
			c.err = fmt.Errorf("internal error: %v", problem)
		}
		f.forget(key, c)
		c.cancel()
		close(c.done)
	}()
	c.value = work(ctx)
}

func (f *flights[K, V]) leave(key K, c *flight[V]) {
	f.mu.Lock()
	c.waiters--
	last := c.waiters == 0
	if last && f.under[key] == c {
		delete(f.under, key) // who comes now starts anew
	}
	f.mu.Unlock()
	if last {
		c.cancel()
	}
}

func (f *flights[K, V]) forget(key K, c *flight[V]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.under[key] == c {
		delete(f.under, key)
	}
}
