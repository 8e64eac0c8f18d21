package command

import (
	"slices"
	"sync/atomic"
	"testing"

	"dane_exporter/probe"
)

// TestState: what a probe comes to, in the words of monitoring plugins.
func TestState(t *testing.T) {
	tests := []struct {
		name     string
		require  probe.Requirement
		outcome  probe.Outcome
		success  bool
		findings []probe.Reason
		later    *probe.Verdict
		want     state
	}{
		{"all is well", probe.RequireDANE, probe.Authenticated, true, nil, nil, stateOK},
		{"one of two hosts is broken", probe.RequireDANE, probe.Authenticated, false, []probe.Reason{probe.TLSAMismatch}, nil, stateCritical},
		{"well, with something to look at", probe.RequireDANE, probe.Authenticated, true, []probe.Reason{probe.TLSRPTRecordInvalid}, nil, stateWarning},
		{"well, and a record of no use", probe.RequireDANE, probe.Authenticated, true, []probe.Reason{probe.TLSAUnusable}, nil, stateWarning},
		{"no DANE where none is asked for", probe.RequireIfPublished, probe.Opportunistic, true, []probe.Reason{probe.NoTLSA}, nil, stateOK},
		{"the same with something to look at", probe.RequireIfPublished, probe.Opportunistic, true, []probe.Reason{probe.NoTLSA, probe.MTASTSPolicyInvalid}, nil, stateWarning},
		{"no DANE where it is asked for", probe.RequireDANE, probe.Opportunistic, false, []probe.Reason{probe.NoTLSA}, nil, stateCritical},
		{"well, and something of ours", probe.RequireDANE, probe.Authenticated, true, []probe.Reason{probe.IPv6Unavailable}, nil, stateOK},
		{"not judged, and it is ours", probe.RequireDANE, probe.Unknown, false, []probe.Reason{probe.ResolverUnreachable}, nil, stateUnknown},
		{"one host not judged, and it is ours", probe.RequireDANE, probe.Authenticated, false, []probe.Reason{probe.CertificateUnparsable}, nil, stateUnknown},
		{"well until then", probe.RequireDANE, probe.Authenticated, true, nil, &probe.Verdict{Outcome: probe.Refused}, stateWarning},
		{"well then too", probe.RequireDANE, probe.Authenticated, true, nil, &probe.Verdict{Outcome: probe.Authenticated, Success: true}, stateOK},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &probe.Report{Module: probe.Module{Require: test.require}, Later: test.later,
				Verdict: probe.Verdict{Outcome: test.outcome, Success: test.success}}
			for _, reason := range test.findings {
				r.Verdict.Findings = append(r.Verdict.Findings, probe.Finding{Reason: reason})
			}
			if got := stateOf(r); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// TestWorse: CRITICAL, UNKNOWN, WARNING, OK, whichever comes first.
func TestWorse(t *testing.T) {
	order := []state{stateOK, stateWarning, stateUnknown, stateCritical}
	for i, a := range order {
		for j, b := range order {
			if got := worse(a, b); got != order[max(i, j)] {
				t.Errorf("%s and %s come to %s", a, b, got)
			}
		}
	}
}

// TestInOrder: what takes longest first still comes out first, and nobody who
// stops early leaves anything running.
func TestInOrder(t *testing.T) {
	const many = 3 * atOnce
	numbers := make([]int, many)
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
	for n := range inOrder(numbers, double) {
		got = append(got, n)
	}
	if len(got) != many || !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}

	var begun, ended atomic.Int32
	for range inOrder(numbers, func(n int) int {
		begun.Add(1)
		defer ended.Add(1)
		return n
	}) {
		break
	}
	if b, e := begun.Load(), ended.Load(); b == 0 || b != e {
		t.Errorf("%d were begun, and %d had ended when the loop was left", b, e)
	}
}

// TestHarmless: a name that a zone made up ends no line and begins no
// performance data.
func TestHarmless(t *testing.T) {
	if got := harmless("mx|a=1\n\x1b[2J\u202e.example"); got != "mx?a=1??[2J?.example" {
		t.Errorf("%q", got)
	}
}
