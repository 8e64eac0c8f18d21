package command

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/probe/dnssec"
)

// TestExamine: a resolver in trouble is examined again, ever more rarely, and
// what is found is told once.
func TestExamine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := dnssec.SelfCheckResult{Resolvers: []dnssec.Health{{Server: "192.0.2.53:53", Problem: dnssec.ProblemNoAnswer, Why: "does not answer"}}}
		good := dnssec.SelfCheckResult{Resolvers: []dnssec.Health{{Server: "192.0.2.53:53"}}}
		start := time.Now()
		var looked []time.Duration
		look := func(context.Context) dnssec.SelfCheckResult {
			since := time.Since(start)
			looked = append(looked, since)
			if since < time.Minute {
				return bad
			}
			return good
		}
		var log bytes.Buffer
		s := &service{logger: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { s.examine(ctx, look) })
		synctest.Wait()
		if found := s.examined.Load(); found == nil || found.Healthy() {
			t.Errorf("at first: %v", found)
		}
		time.Sleep(3 * time.Hour)
		cancel()
		group.Wait()

		want := []time.Duration{0, 10 * time.Second, 30 * time.Second, 70 * time.Second, 70*time.Second + time.Hour, 70*time.Second + 2*time.Hour}
		if len(looked) != len(want) {
			t.Fatalf("examined at %v, wanted %v", looked, want)
		}
		for i := range want {
			if looked[i] != want[i] {
				t.Errorf("examined at %v, wanted %v", looked, want)
			}
		}
		if found := s.examined.Load(); !found.Healthy() {
			t.Errorf("at last: %s", found)
		}
		if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); len(lines) != 2 ||
			!strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "192.0.2.53:53 does not answer") ||
			!strings.Contains(lines[1], "level=INFO") || !strings.Contains(lines[1], "192.0.2.53:53 is good") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}
