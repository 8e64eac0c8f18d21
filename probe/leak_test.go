package probe_test

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dane_exporter/internal/lab"
)

// A probe leaves no goroutine behind if its context ends. All domains of the lab
// are probed, the hostile ones too, and cancelled as soon as their probes start.
func TestCancelledProbesLeakNoGoroutines(t *testing.T) {
	prober := labProber(t)
	stacks := make([]byte, 8<<20)
	before := probeGoroutines(stacks)

	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	started := make(chan struct{}, len(lab.Scenarios()))
	for _, scenario := range lab.Scenarios() {
		target, module := labTarget(t, scenario)
		wait.Go(func() {
			started <- struct{}{}
			prober.Probe(ctx, target, module)
		})
	}
	for range lab.Scenarios() {
		<-started
	}
	cancel()
	wait.Wait()
	var after []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if after = probeGoroutines(stacks); len(after) <= len(before) {
			return
		}
	}
	t.Errorf("%d goroutines before, %d after:\n%s", len(before), len(after), strings.Join(after, "\n\n"))
}

// probeGoroutines returns the stacks of the goroutines that run code of a probe.
func probeGoroutines(buffer []byte) []string {
	stacks := string(buffer[:runtime.Stack(buffer, true)])
	return slices.DeleteFunc(strings.Split(stacks, "\n\n"), func(stack string) bool {
		return !strings.Contains(stack, "dane_exporter/probe") || strings.Contains(stack, "testing.tRunner")
	})
}
