package flight

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// after is work that takes a while, told to be begun, and counted.
func after(begun *int, takes time.Duration) func(context.Context, func(string)) string {
	return func(ctx context.Context, tell func(string)) string {
		*begun++
		tell("begun")
		select {
		case <-time.After(takes):
			return "done"
		case <-ctx.Done():
			return "cut"
		}
	}
}

type outcome struct {
	value  string
	joined bool
	err    error
	took   time.Duration
}

// follow waits for the work of one key for as long as it may.
func follow(g *Group[string, string], patience, limit time.Duration, do func(context.Context, func(string)) string) <-chan outcome {
	ended := make(chan outcome, 1)
	start := time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		value, joined, err := g.Do(ctx, "key", limit, do)
		ended <- outcome{value, joined, err, time.Since(start)}
	}()
	synctest.Wait()
	return ended
}

func TestDo(t *testing.T) {
	for _, story := range []struct {
		name          string
		takes, limit  time.Duration
		first, second time.Duration // their patience
		want          [2]outcome
	}{
		{"both wait for one", 5 * time.Second, time.Minute, time.Minute, time.Minute,
			[2]outcome{{"done", false, nil, 5 * time.Second}, {"done", true, nil, 5 * time.Second}}},
		{"the first to come leaves, the work goes on", 5 * time.Second, time.Minute, time.Second, time.Minute,
			[2]outcome{{"begun", false, context.DeadlineExceeded, time.Second}, {"done", true, nil, 5 * time.Second}}},
		{"both leave with what is known", 5 * time.Second, time.Minute, 2 * time.Second, time.Second,
			[2]outcome{{"begun", false, context.DeadlineExceeded, 2 * time.Second}, {"begun", true, context.DeadlineExceeded, time.Second}}},
		{"the work has a deadline of its own", 5 * time.Second, 3 * time.Second, time.Minute, time.Minute,
			[2]outcome{{"cut", false, nil, 3 * time.Second}, {"cut", true, nil, 3 * time.Second}}},
	} {
		t.Run(story.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g Group[string, string]
				begun := 0
				first := follow(&g, story.first, story.limit, after(&begun, story.takes))
				second := follow(&g, story.second, story.limit, after(&begun, story.takes))
				for i, ended := range []<-chan outcome{first, second} {
					got, want := <-ended, story.want[i]
					if got.value != want.value || got.joined != want.joined || !errors.Is(got.err, want.err) || got.took != want.took {
						t.Errorf("number %d: %+v, want %+v", i, got, want)
					}
				}
				synctest.Wait()
				if begun != 1 || len(g.under) != 0 {
					t.Errorf("begun %d times, %d left", begun, len(g.under))
				}
			})
		})
	}
}

// Work that nobody waits for ends, and who comes then starts anew.
func TestWorkEndsWithItsLastWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, string]
		begun, ended := 0, make(chan struct{})
		<-follow(&g, time.Second, time.Hour, func(ctx context.Context, tell func(string)) string {
			defer close(ended)
			return after(&begun, time.Minute)(ctx, tell)
		})
		<-ended
		if got := <-follow(&g, time.Hour, time.Hour, after(&begun, time.Second)); got.joined || got.value != "done" || begun != 2 {
			t.Errorf("%+v, begun %d times", got, begun)
		}
	})
}

func TestAPanicIsAnError(t *testing.T) {
	var g Group[string, string]
	_, _, err := g.Do(t.Context(), "key", time.Minute, func(context.Context, func(string)) string { panic("broken") })
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v", err)
	}
}
