package probe

import (
	"sync"
	"time"

	"dane_exporter/probe/dane"
)

// job is work that fills one slot of the facts. A panic in it is stored in err,
// the error of that slot.
type job struct {
	run func()
	err *error
}

// do runs the job and recovers its panic.
func (j job) do() {
	defer dane.CatchPanic(j.err)
	j.run()
}

// runAll runs all jobs in parallel and returns when each has ended. A failure is
// a fact, so it does not stop the others. The last job runs in the caller's goroutine.
func runAll(jobs ...job) {
	if len(jobs) == 0 {
		return
	}
	var wait sync.WaitGroup
	last := len(jobs) - 1
	for _, j := range jobs[:last] {
		wait.Go(j.do)
	}
	jobs[last].do()
	wait.Wait()
}

// timed runs work and returns the time that it took.
func timed(work func()) dane.Span {
	start := time.Now()
	work()
	return dane.Span{Start: start, End: time.Now()}
}
