package probe

import (
	"testing"

	"dane_exporter/probe/dane"
)

// A panic becomes the error of its job. The other jobs run.
func TestRunAllRecoversPanics(t *testing.T) {
	var err, panicErr error
	ran := false
	runAll(
		job{func() { ran = true }, &err},
		job{func() { panic("a defect") }, &panicErr},
	)
	if !ran || err != nil {
		t.Errorf("the job that does not panic: ran %t, error %v", ran, err)
	}
	if panicked, ok := panicErr.(*dane.PanicError); !ok || panicked.Value != "a defect" || panicked.Stack == "" {
		t.Errorf("the job that panics: error %#v", panicErr)
	}
}
