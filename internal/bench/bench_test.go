package main

import (
	"errors"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

func TestDriveMakesEachProbeOnce(t *testing.T) {
	var made atomic.Int32
	r := load{probes: 50, concurrency: 4}.drive(func(worker int) error {
		if worker < 0 || worker > 3 {
			t.Errorf("worker %d, want 0 to 3", worker)
		}
		if made.Add(1)%10 == 0 {
			return errors.New("failed")
		}
		return nil
	})
	if made.Load() != 50 || r.probes() != 50 || r.Failed != 5 || r.quantile(0.5) > r.quantile(0.99) {
		t.Errorf("%d probes made, %+v", made.Load(), r)
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

// TestEnvironment checks that a bare handshake succeeds at each address.
func TestEnvironment(t *testing.T) {
	env, err := newEnvironment(2)
	if err != nil {
		t.Fatal(err)
	}
	defer env.close()
	for _, address := range env.addresses {
		if err := bareHandshake(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestMeasureInRounds checks that each subject is measured in each round with its
// share of the probes, and that a subject that fails is not measured again.
func TestMeasureInRounds(t *testing.T) {
	calls := make(map[string]int)
	newSubject := func(name string, failsAfter int) *subject {
		return &subject{name: name, measure: func(l load) (result, error) {
			if calls[name]++; calls[name] > failsAfter {
				return result{}, errors.New("failed")
			}
			return result{Durations: make([]time.Duration, l.probes), CPU: time.Second, Memory: int64(calls[name])}, nil
		}}
	}
	left := measureInRounds(load{probes: 10 * rounds, concurrency: 1}, []*subject{newSubject("good", rounds), newSubject("broken", 2)})
	if len(left) != 1 || left[0].name != "good" || calls["good"] != rounds || calls["broken"] != 3 {
		t.Fatalf("%d subjects left; calls %v", len(left), calls)
	}
	if total := &left[0].total; total.probes() != 10*rounds || total.cpuPerProbe() != time.Second/10 || total.Memory != rounds {
		t.Errorf("total: %d probes, %s CPU per probe, %d bytes", total.probes(), total.cpuPerProbe(), total.Memory)
	}
}

// allocations is the measured number of allocations of a probe of one mail host,
// with the HTTP request. docs/performance.md explains what they are for.
const allocations = 2130

// TestAllocations checks that a probe that makes its own handshake needs at
// most 10 % more allocations than when they were measured.
func TestAllocations(t *testing.T) {
	if raceEnabled() {
		t.Skip("the race detector allocates too")
	}
	env, err := newEnvironment(4)
	if err != nil {
		t.Fatal(err)
	}
	defer env.close()
	e := startExporter(t, env, "limits: {handshake_reuse: 0s}", "")
	e.query = func(worker int) url.Values { return url.Values{"module": {"fleet"}, "target": {env.domains[worker]}} }
	r, err := e.measure(load{probes: 400, concurrency: 4})
	if err != nil || r.Failed > 0 {
		t.Fatalf("%d of %d probes failed; %v", r.Failed, r.probes(), err)
	}
	perProbe := int(r.Allocs) / r.probes()
	t.Logf("%d allocations per probe", perProbe)
	if perProbe > allocations*11/10 {
		t.Errorf("%d allocations per probe, want about %d", perProbe, allocations)
	}
}
