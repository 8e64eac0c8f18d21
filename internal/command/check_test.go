package command

import (
	"slices"
	"sync/atomic"
	"testing"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

func TestExitCodeOf(t *testing.T) {
	tests := []struct {
		name     string
		require  dane.Requirement
		outcome  dane.Outcome
		success  bool
		findings []dane.Reason
		later    *dane.Verdict
		want     exitCode
	}{
		{"no findings", dane.RequireDANE, dane.Authenticated, true, nil, nil, exitOK},
		{"one of two hosts is broken", dane.RequireDANE, dane.Authenticated, false, []dane.Reason{dane.TLSAMismatch}, nil, exitCritical},
		{"success with a warning", dane.RequireDANE, dane.Authenticated, true, []dane.Reason{dane.TLSRPTRecordInvalid}, nil, exitWarning},
		{"success with an unusable record", dane.RequireDANE, dane.Authenticated, true, []dane.Reason{dane.TLSAUnusable}, nil, exitWarning},
		{"no DANE, not required", dane.RequireIfPublished, dane.Opportunistic, true, []dane.Reason{dane.NoTLSA}, nil, exitOK},
		{"no DANE, not required, with a warning", dane.RequireIfPublished, dane.Opportunistic, true, []dane.Reason{dane.NoTLSA, dane.MTASTSPolicyInvalid}, nil, exitWarning},
		{"no DANE, required", dane.RequireDANE, dane.Opportunistic, false, []dane.Reason{dane.NoTLSA}, nil, exitCritical},
		{"success with an internal finding", dane.RequireDANE, dane.Authenticated, true, []dane.Reason{dane.IPv6Unavailable}, nil, exitOK},
		{"unknown outcome", dane.RequireDANE, dane.Unknown, false, []dane.Reason{dane.ResolverUnreachable}, nil, exitUnknown},
		{"one host is unknown", dane.RequireDANE, dane.Authenticated, false, []dane.Reason{dane.CertificateUnparsable}, nil, exitUnknown},
		{"refused at the time of --at", dane.RequireDANE, dane.Authenticated, true, nil, &dane.Verdict{Outcome: dane.Refused}, exitWarning},
		{"authenticated at the time of --at", dane.RequireDANE, dane.Authenticated, true, nil, &dane.Verdict{Outcome: dane.Authenticated, Success: true}, exitOK},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &probe.Report{Module: probe.Module{Require: test.require}, Later: test.later,
				Verdict: dane.Verdict{Outcome: test.outcome, Success: test.success}}
			for _, reason := range test.findings {
				r.Verdict.Findings = append(r.Verdict.Findings, dane.Finding{Reason: reason})
			}
			if got := exitCodeOf(r); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// TestWorse pins the order CRITICAL, UNKNOWN, WARNING, OK, for both orders of the arguments.
func TestWorse(t *testing.T) {
	order := []exitCode{exitOK, exitWarning, exitUnknown, exitCritical}
	for i, a := range order {
		for j, b := range order {
			if got := worse(a, b); got != order[max(i, j)] {
				t.Errorf("worse(%s, %s) = %s", a, b, got)
			}
		}
	}
}

// TestParallelMap checks that results keep the order of the inputs, even if the
// first takes longest, and that nothing runs after the loop was left early.
func TestParallelMap(t *testing.T) {
	const n = 3 * checkConcurrency
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	second := make(chan struct{})
	double := func(n int) int {
		switch n {
		case 0:
			<-second
		case 1:
			close(second)
		}
		return 2 * n
	}
	var got []int
	for n := range parallelMap(numbers, double) {
		got = append(got, n)
	}
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}

	var started, ended atomic.Int32
	for range parallelMap(numbers, func(n int) int {
		started.Add(1)
		defer ended.Add(1)
		return n
	}) {
		break
	}
	if s, e := started.Load(), ended.Load(); s == 0 || s != e {
		t.Errorf("%d calls had started and %d had ended when the loop was left", s, e)
	}
}

// TestSanitize uses a name that tries to end the line, to start performance data
// and to control the terminal.
func TestSanitize(t *testing.T) {
	if got := sanitize("mx|a=1\n\x1b[2J\u202e.example"); got != "mx?a=1??[2J?.example" {
		t.Errorf("%q", got)
	}
}
