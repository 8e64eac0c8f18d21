package main

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

func TestDriveCountsEachProbe(t *testing.T) {
	var made atomic.Int32
	r := load{probes: 50, atOnce: 4}.drive(func(worker int) error {
		if worker < 0 || worker > 3 {
			t.Errorf("worker %d", worker)
		}
		if made.Add(1)%10 == 0 {
			return errors.New("failed")
		}
		return nil
	})
	if made.Load() != 50 || r.probes() != 50 || r.Failed != 5 || r.within(0.5) > r.within(0.99) {
		t.Errorf("%d made, %+v", made.Load(), r)
	}
}

func TestValue(t *testing.T) {
	const text = "# HELP a_total Something.\na_total 3\na_total_more 4\nb{x=\"y\"} 5\nc 1.5e+06\n"
	for name, want := range map[string]float64{"a_total": 3, "c": 1.5e6, "b": 0, "missing": 0} {
		if got := value(text, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// The world that is measured is a good one: a bare handshake comes about at
// each of its addresses.
func TestWorld(t *testing.T) {
	w, err := newWorld(2)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for _, address := range w.addresses {
		if err := shakeHands(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestTurns: each subject has as many as there are, with its part of the probes;
// what fails in one of them has no other.
func TestTurns(t *testing.T) {
	had := make(map[string]int)
	of := func(name string, lasts int) *subject {
		return &subject{name: name, measure: func(l load) (result, error) {
			if had[name]++; had[name] > lasts {
				return result{}, errors.New("it has ended")
			}
			return result{Took: make([]time.Duration, l.probes), CPU: time.Second, Memory: int64(had[name])}, nil
		}}
	}
	left := takeTurns(load{probes: 10 * turns, atOnce: 1}, []*subject{of("good", turns), of("broken", 2)})
	if len(left) != 1 || left[0].name != "good" || had["good"] != turns || had["broken"] != 3 {
		t.Fatalf("%d subjects are left of %v", len(left), had)
	}
	if total := &left[0].total; total.probes() != 10*turns || total.each() != time.Second/10 || total.Memory != turns {
		t.Errorf("in all %d probes, each %s, %d bytes", total.probes(), total.each(), total.Memory)
	}
}
