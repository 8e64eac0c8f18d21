package command

import (
	"slices"
	"sync/atomic"
	"testing"

	"dane_exporter/probe"
)

func TestExitCodeOf(t *testing.T) {
	tests := []struct {
		name     string
		require  probe.Requirement
		outcome  probe.Outcome
		success  bool
		findings []probe.Reason
		later    *probe.Verdict
		want     exitCode
	}{
		{"no findings", probe.RequireDANE, probe.Authenticated, true, nil, nil, exitOK},
		{"one of two hosts is broken", probe.RequireDANE, probe.Authenticated, false, []probe.Reason{probe.TLSAMismatch}, nil, exitCritical},
		{"success with a warning", probe.RequireDANE, probe.Authenticated, true, []probe.Reason{probe.TLSRPTRecordInvalid}, nil, exitWarning},
		{"success with an unusable record", probe.RequireDANE, probe.Authenticated, true, []probe.Reason{probe.TLSAUnusable}, nil, exitWarning},
		{"no DANE, not required", probe.RequireIfPublished, probe.Opportunistic, true, []probe.Reason{probe.NoTLSA}, nil, exitOK},
		{"no DANE, not required, with a warning", probe.RequireIfPublished, probe.Opportunistic, true, []probe.Reason{probe.NoTLSA, probe.MTASTSPolicyInvalid}, nil, exitWarning},
		{"no DANE, required", probe.RequireDANE, probe.Opportunistic, false, []probe.Reason{probe.NoTLSA}, nil, exitCritical},
		{"success with an internal finding", probe.RequireDANE, probe.Authenticated, true, []probe.Reason{probe.IPv6Unavailable}, nil, exitOK},
		{"unknown outcome", probe.RequireDANE, probe.Unknown, false, []probe.Reason{probe.ResolverUnreachable}, nil, exitUnknown},
		{"one host is unknown", probe.RequireDANE, probe.Authenticated, false, []probe.Reason{probe.CertificateUnparsable}, nil, exitUnknown},
		{"refused at the time of --at", probe.RequireDANE, probe.Authenticated, true, nil, &probe.Verdict{Outcome: probe.Refused}, exitWarning},
		{"authenticated at the time of --at", probe.RequireDANE, probe.Authenticated, true, nil, &probe.Verdict{Outcome: probe.Authenticated, Success: true}, exitOK},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &probe.Report{Module: probe.Module{Require: test.require}, Later: test.later,
				Verdict: probe.Verdict{Outcome: test.outcome, Success: test.success}}
			for _, reason := range test.findings {
				r.Verdict.Findings = append(r.Verdict.Findings, probe.Finding{Reason: reason})
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
