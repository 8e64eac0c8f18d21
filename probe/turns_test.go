package probe

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
)

func TestTurnsLetOneThrough(t *testing.T) {
	var turns turns
	var inside, most atomic.Int32
	address := netip.MustParseAddrPort("192.0.2.1:25")
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			done, err := turns.take(t.Context(), address)
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			inside.Add(-1)
			done()
		})
	}
	wait.Wait()
	if most.Load() != 1 {
		t.Errorf("%d held the address at once", most.Load())
	}
	if len(turns.lines) != 0 {
		t.Errorf("%d lines are kept after everybody left", len(turns.lines))
	}
}

func TestTurnsEndWithTheContext(t *testing.T) {
	var turns turns
	address := netip.MustParseAddrPort("192.0.2.1:25")
	done, err := turns.take(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turns.take(ended, address); err == nil {
		t.Error("a turn was given to two")
	}
	other, err := turns.take(t.Context(), netip.MustParseAddrPort("192.0.2.1:465"))
	if err != nil {
		t.Errorf("another port had to wait: %v", err)
	}
	other()
	done()
	if len(turns.lines) != 0 {
		t.Errorf("%d lines are kept after everybody left", len(turns.lines))
	}
}

func TestTogetherCatchesPanics(t *testing.T) {
	var quiet, loud error
	ran := false
	together(
		task{func() { ran = true }, &quiet},
		task{func() { panic("a defect") }, &loud},
	)
	if !ran || quiet != nil {
		t.Errorf("the sound task ran %t with error %v", ran, quiet)
	}
	if fault, ok := loud.(*Fault); !ok || fault.Value != "a defect" || fault.Stack == "" {
		t.Errorf("the panic became %#v", loud)
	}
}
