package main

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is the number of probes to make, and how many of them at a time.
type load struct{ probes, concurrency int }

// warmUp makes some probes that are not measured: a twentieth, and at least eight
// per worker.
func (l load) warmUp(probe func(worker int) error) {
	load{max(l.concurrency*8, l.probes/20), l.concurrency}.drive(probe)
}

// drive makes the probes and measures their durations.
func (l load) drive(probe func(worker int) error) result {
	durations := make([]time.Duration, l.probes)
	var next, failed atomic.Int64
	var workers sync.WaitGroup
	start := time.Now()
	for worker := range l.concurrency {
		workers.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(l.probes) {
					return
				}
				begin := time.Now()
				if probe(worker) != nil {
					failed.Add(1)
				}
				durations[i] = time.Since(begin)
			}
		})
	}
	workers.Wait()
	return result{Durations: durations, Failed: int(failed.Load()), Wall: time.Since(start)}
}

// result is the measured cost of a number of probes.
type result struct {
	Durations []time.Duration // of each probe
	Failed    int
	Wall      time.Duration
	CPU       time.Duration // of all probes, user and system
	Memory    int64         // maximum resident memory in bytes; 0: unknown
	Allocs    uint64        // of all probes; 0: unknown
}

// add adds the result of another round. Memory is the maximum of both.
func (r *result) add(round result) {
	r.Durations = append(r.Durations, round.Durations...)
	r.Failed += round.Failed
	r.Wall += round.Wall
	r.CPU += round.CPU
	r.Memory = max(r.Memory, round.Memory)
	r.Allocs += round.Allocs
}

// probes returns the number of probes.
func (r *result) probes() int { return len(r.Durations) }

// cpuPerProbe returns the mean CPU time of a probe.
func (r *result) cpuPerProbe() time.Duration { return r.CPU / time.Duration(r.probes()) }

// quantile returns the q-quantile of the durations, 0 <= q <= 1.
func (r *result) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(r.Durations))
	return sorted[int(q*float64(len(sorted)-1))]
}

// subject is one program that is measured.
type subject struct {
	name    string
	measure func(load) (result, error)
	total   result
}

// rounds is the number of rounds in which the subjects are measured.
const rounds = 10

// measureInRounds measures each subject once per round, with its share of the
// probes. Other load on the machine then affects all subjects alike. It returns
// the subjects that did not fail.
func measureInRounds(l load, subjects []*subject) []*subject {
	l.probes = max(1, l.probes/rounds)
	for range rounds {
		subjects = slices.DeleteFunc(subjects, func(s *subject) bool {
			r, err := s.measure(l)
			if err != nil {
				logSkipped(s.name, err)
				return true
			}
			s.total.add(r)
			return false
		})
	}
	return subjects
}

// logSkipped reports on standard error why a subject is not measured.
func logSkipped(name string, err error) {
	fmt.Fprintf(os.Stderr, "bench: skip %s: %v\n", name, err)
}
