package probe

import (
	"testing"

	"dane_exporter/probe/dane"
)

func TestRunAllRecoversPanics(t *testing.T) {
	var quiet, loud error
	ran := false
	runAll(
		job{func() { ran = true }, &quiet},
		job{func() { panic("a defect") }, &loud},
	)
	if !ran || quiet != nil {
		t.Errorf("the job that does not panic ran %t with error %v", ran, quiet)
	}
	if panicked, ok := loud.(*dane.PanicError); !ok || panicked.Value != "a defect" || panicked.Stack == "" {
		t.Errorf("the panic became %#v", loud)
	}
}
