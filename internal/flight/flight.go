// Package flight joins equal work that is wanted at the same time: it is done
// once, for all who wait for it.
//
// The work runs under a deadline of its own, not that of any who wait: no one's
// hurry is another's failure. Each leaves when its own time is up, with what is
// known by then, and the work ends when the last has left.
package flight

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Group is the work under way, by key. The zero value is ready. It is safe for
// concurrent use.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	under map[K]*work[V]
}

type work[V any] struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int
	value   V     // as told so far
	err     error // the work panicked
}

// Do waits for the work of that key, and starts it, to take no longer than
// limit, if nobody has; joined: others had. The work may tell how far it has
// come. The error is that of ctx, which ended first, and then value is what was
// told last, or nothing; or it tells of a panic in the work.
func (g *Group[K, V]) Do(ctx context.Context, key K, limit time.Duration, do func(ctx context.Context, tell func(V)) V) (value V, joined bool, err error) {
	w, joined := g.join(key, limit, do)
	defer g.leave(key, w)
	select {
	case <-w.done:
		return w.value, joined, w.err
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		return w.value, joined, context.Cause(ctx)
	}
}

func (g *Group[K, V]) join(key K, limit time.Duration, do func(context.Context, func(V)) V) (w *work[V], joined bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.under == nil {
		g.under = make(map[K]*work[V])
	}
	w, joined = g.under[key]
	if !joined {
		w = &work[V]{done: make(chan struct{})}
		var own context.Context
		own, w.cancel = context.WithTimeout(context.Background(), limit)
		g.under[key] = w
		go g.run(own, key, w, do)
	}
	w.waiters++
	return w, joined
}

func (g *Group[K, V]) run(ctx context.Context, key K, w *work[V], do func(context.Context, func(V)) V) {
	deepen(false)
	tell := func(value V) {
		g.mu.Lock()
		defer g.mu.Unlock()
		w.value = value
	}
	defer func() {
		if problem := recover(); problem != nil {
			w.err = fmt.Errorf("internal error: %v", problem)
		}
		g.forget(key, w)
		w.cancel()
		close(w.done)
	}()
	tell(do(ctx, tell))
}

func (g *Group[K, V]) leave(key K, w *work[V]) {
	g.mu.Lock()
	w.waiters--
	last := w.waiters == 0
	if last && g.under[key] == w {
		delete(g.under, key) // who comes now starts anew
	}
	g.mu.Unlock()
	if last {
		w.cancel()
	}
}

func (g *Group[K, V]) forget(key K, w *work[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.under[key] == w {
		delete(g.under, key)
	}
}
