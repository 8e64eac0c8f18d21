package main

import (
	"fmt"
	"os"
	"slices"
)

// subject is something that is measured.
type subject struct {
	name    string
	measure func(load) (result, error)
	total   result
}

// turns is how often each subject has its turn.
const turns = 10

// takeTurns measures them in turns, so that whatever else the machine does meets
// all of them alike. One that fails is left out.
func takeTurns(l load, subjects []*subject) []*subject {
	l.probes = max(1, l.probes/turns)
	for range turns {
		subjects = slices.DeleteFunc(subjects, func(s *subject) bool {
			r, err := s.measure(l)
			if err != nil {
				leaveOut(s.name, err)
				return true
			}
			s.total.add(r)
			return false
		})
	}
	return subjects
}

// leaveOut says why something is not measured.
func leaveOut(name string, err error) {
	fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", name, err)
}
