package probe

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// Fault is a panic that was caught: a defect of ours that costs one slot of a
// Report and not the scrape.
type Fault struct {
	Value any
	Stack string
}

func (f *Fault) Error() string { return fmt.Sprintf("panic: %v", f.Value) }

// task is some work that writes a slot of its own, and that slot's error, into
// which its panic goes.
type task struct {
	do    func()
	fault *error
}

// run does the work, and catches its panic.
func (t task) run() {
	defer func() {
		if value := recover(); value != nil {
			*t.fault = &Fault{value, string(debug.Stack())}
		}
	}()
	t.do()
}

// together does all tasks at once and returns when each has ended. A failure
// is a fact, so none stops its siblings. The last needs no goroutine of its own.
func together(tasks ...task) {
	if len(tasks) == 0 {
		return
	}
	var wait sync.WaitGroup
	last := len(tasks) - 1
	for _, t := range tasks[:last] {
		wait.Go(t.run)
	}
	tasks[last].run()
	wait.Wait()
}
