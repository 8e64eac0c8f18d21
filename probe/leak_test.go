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
	"dane_exporter/probe"
)

// Work that nobody waits for stops. Every domain of the lab is probed, the
// hostile ones too, and everybody leaves when it has just begun; soon after,
// not a goroutine of ours is left.
func TestNothingGoesOnForThoseWhoLeft(t *testing.T) {
	world := labAt(t, june)
	prober := probe.New(probe.Environment{
		Now: june, Dial: world.Dial, DNS: world.DNS(), Query: world.Query, Anchors: world.Anchors(), Roots: world.Roots(),
	}, probe.Settings{Access: probe.Access{Targets: []string{"*"}, AllowNetworks: lab.Networks()}})
	before := ours()

	ctx, leave := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	begun := make(chan struct{}, len(lab.Scenarios()))
	for _, scenario := range lab.Scenarios() {
		module := modules(t)[scenario.Module]
		target, err := probe.ParseTarget(scenario.Target(), "", module)
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			begun <- struct{}{}
			prober.Probe(ctx, target, module)
		})
	}
	for range lab.Scenarios() {
		<-begun
	}
	leave()
	wait.Wait()
	var left []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if left = ours(); len(left) <= len(before) {
			return
		}
	}
	t.Errorf("%d goroutines before, %d after:\n%s", len(before), len(left), strings.Join(left, "\n\n"))
}

// ours are the stacks of the goroutines that run code of the probe.
func ours() []string {
	stacks := make([]byte, 8<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return slices.DeleteFunc(strings.Split(string(stacks), "\n\n"), func(stack string) bool {
		return !strings.Contains(stack, "dane_exporter/probe") || strings.Contains(stack, "testing.tRunner")
	})
}
