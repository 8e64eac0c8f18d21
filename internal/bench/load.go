package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is how much is asked.
type load struct{ probes, atOnce int }

// result is what it took.
type result struct {
	Took   []time.Duration // each probe
	Failed int
	Wall   time.Duration
	CPU    time.Duration // of all probes, user and system
	Memory int64         // most resident, of an exporter at the end of any turn, in bytes; 0: not known
	Allocs uint64        // of all probes; 0: not known
}

// add adds what another turn took.
func (r *result) add(turn result) {
	r.Took = append(r.Took, turn.Took...)
	r.Failed += turn.Failed
	r.Wall += turn.Wall
	r.CPU += turn.CPU
	r.Memory = max(r.Memory, turn.Memory)
	r.Allocs += turn.Allocs
}

func (r *result) probes() int { return len(r.Took) }

// each is the CPU of one probe.
func (r *result) each() time.Duration { return r.CPU / time.Duration(r.probes()) }

// within is the time in which that part of the probes was done.
func (r *result) within(part float64) time.Duration {
	took := slices.Sorted(slices.Values(r.Took))
	return took[int(part*float64(len(took)-1))]
}

// warmUp makes some of the probes beforehand.
func (l load) warmUp(probe func(worker int) error) {
	load{max(l.atOnce*8, l.probes/20), l.atOnce}.drive(probe)
}

// drive makes the probes, several at once, and takes their times.
func (l load) drive(probe func(worker int) error) result {
	took := make([]time.Duration, l.probes)
	var next, failed atomic.Int64
	var workers sync.WaitGroup
	start := time.Now()
	for worker := range l.atOnce {
		workers.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(l.probes) {
					return
				}
				begun := time.Now()
				if probe(worker) != nil {
					failed.Add(1)
				}
				took[i] = time.Since(begun)
			}
		})
	}
	workers.Wait()
	return result{Took: took, Failed: int(failed.Load()), Wall: time.Since(start)}
}
