package flight

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// sleeper returns a function for Do that counts its runs in started, reports
// "started", and returns "done" after d or "cut" when its context ends.
func sleeper(started *int, d time.Duration) func(context.Context, func(string)) string {
	return func(ctx context.Context, report func(string)) string {
		*started++
		report("started")
		select {
		case <-time.After(d):
			return "done"
		case <-ctx.Done():
			return "cut"
		}
	}
}

// result is what Do returned, and after what time.
type result struct {
	value  string
	joined bool
	err    error
	took   time.Duration
}

// do calls Do with the same key each time and a context that ends after wait.
// It returns once the call has started or joined.
func do(g *Group[string, string], wait, timeout time.Duration, fn func(context.Context, func(string)) string) <-chan result {
	returned := make(chan result, 1)
	start := time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		value, joined, err := g.Do(ctx, "key", timeout, fn)
		returned <- result{value, joined, err, time.Since(start)}
	}()
	synctest.Wait()
	return returned
}

func TestDo(t *testing.T) {
	for _, test := range []struct {
		name              string
		duration, timeout time.Duration // of the shared function
		wait              [2]time.Duration
		want              [2]result
	}{
		{"both callers get the result", 5 * time.Second, time.Minute, [2]time.Duration{time.Minute, time.Minute},
			[2]result{{"done", false, nil, 5 * time.Second}, {"done", true, nil, 5 * time.Second}}},
		{"the first caller leaves, the call continues", 5 * time.Second, time.Minute, [2]time.Duration{time.Second, time.Minute},
			[2]result{{"started", false, context.DeadlineExceeded, time.Second}, {"done", true, nil, 5 * time.Second}}},
		{"both callers leave with the partial result", 5 * time.Second, time.Minute, [2]time.Duration{2 * time.Second, time.Second},
			[2]result{{"started", false, context.DeadlineExceeded, 2 * time.Second}, {"started", true, context.DeadlineExceeded, time.Second}}},
		{"the call has its own timeout", 5 * time.Second, 3 * time.Second, [2]time.Duration{time.Minute, time.Minute},
			[2]result{{"cut", false, nil, 3 * time.Second}, {"cut", true, nil, 3 * time.Second}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g Group[string, string]
				started := 0
				first := do(&g, test.wait[0], test.timeout, sleeper(&started, test.duration))
				second := do(&g, test.wait[1], test.timeout, sleeper(&started, test.duration))
				for i, returned := range []<-chan result{first, second} {
					got, want := <-returned, test.want[i]
					if got.value != want.value || got.joined != want.joined || !errors.Is(got.err, want.err) || got.took != want.took {
						t.Errorf("caller %d: got %+v, want %+v", i, got, want)
					}
				}
				synctest.Wait()
				if started != 1 || len(g.calls) != 0 {
					t.Errorf("started %d times, %d calls left; want 1 and 0", started, len(g.calls))
				}
			})
		})
	}
}

// TestLastWaiterCancels checks that a call without waiters ends, and that the
// next caller starts a new one.
func TestLastWaiterCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, string]
		started, ended := 0, make(chan struct{})
		<-do(&g, time.Second, time.Hour, func(ctx context.Context, report func(string)) string {
			defer close(ended)
			return sleeper(&started, time.Minute)(ctx, report)
		})
		<-ended
		if got := <-do(&g, time.Hour, time.Hour, sleeper(&started, time.Second)); got.joined || got.value != "done" || started != 2 {
			t.Errorf("got %+v, started %d times", got, started)
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	var g Group[string, string]
	_, _, err := g.Do(t.Context(), "key", time.Minute, func(context.Context, func(string)) string { panic("broken") })
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got error %v, want the text of the panic", err)
	}
}

// TestDetach checks that a detached call continues for its caller, and that the next caller
// starts another.
func TestDetach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, string]
		started := 0
		first := do(&g, time.Minute, time.Minute, sleeper(&started, 5*time.Second))
		g.Detach("key")
		second := do(&g, time.Minute, time.Minute, sleeper(&started, time.Second))
		if got := <-second; got.value != "done" || got.joined || got.took != time.Second {
			t.Errorf("the second caller: %+v", got)
		}
		if got := <-first; got.value != "done" || got.took != 5*time.Second || started != 2 {
			t.Errorf("the first caller: %+v, %d calls", got, started)
		}
	})
}
