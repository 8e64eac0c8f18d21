package command

import (
	"slices"
	"sync/atomic"
	"testing"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// TestState: what a probe comes to, in the words of monitoring plugins.
func TestState(t *testing.T) {
	tests := []struct {
		name     string
		require  dane.Requirement
		outcome  dane.Outcome
		success  bool
		findings []dane.Reason
		later    *dane.Verdict
		want     state
	}{
		{"all is well", dane.RequireDANE, dane.Authenticated, true, nil, nil, stateOK},
		{"one of two hosts is broken", dane.RequireDANE, dane.Authenticated, false, []dane.Reason{dane.TLSAMismatch}, nil, stateCritical},
		{"well, with something to look at", dane.RequireDANE, dane.Authenticated, true, []dane.Reason{dane.TLSRPTRecordInvalid}, nil, stateWarning},
		{"well, and a record of no use", dane.RequireDANE, dane.Authenticated, true, []dane.Reason{dane.TLSAUnusable}, nil, stateWarning},
		{"no DANE where none is asked for", dane.RequireIfPublished, dane.Opportunistic, true, []dane.Reason{dane.NoTLSA}, nil, stateOK},
		{"the same with something to look at", dane.RequireIfPublished, dane.Opportunistic, true, []dane.Reason{dane.NoTLSA, dane.MTASTSPolicyInvalid}, nil, stateWarning},
		{"no DANE where it is asked for", dane.RequireDANE, dane.Opportunistic, false, []dane.Reason{dane.NoTLSA}, nil, stateCritical},
		{"well, and something of ours", dane.RequireDANE, dane.Authenticated, true, []dane.Reason{dane.IPv6Unavailable}, nil, stateOK},
		{"not judged, and it is ours", dane.RequireDANE, dane.Unknown, false, []dane.Reason{dane.ResolverUnreachable}, nil, stateUnknown},
		{"one host not judged, and it is ours", dane.RequireDANE, dane.Authenticated, false, []dane.Reason{dane.CertificateUnparsable}, nil, stateUnknown},
		{"well until then", dane.RequireDANE, dane.Authenticated, true, nil, &dane.Verdict{Outcome: dane.Refused}, stateWarning},
		{"well then too", dane.RequireDANE, dane.Authenticated, true, nil, &dane.Verdict{Outcome: dane.Authenticated, Success: true}, stateOK},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &probe.Report{Module: probe.Module{Require: test.require}, Later: test.later,
				Verdict: dane.Verdict{Outcome: test.outcome, Success: test.success}}
			for _, reason := range test.findings {
				r.Verdict.Findings = append(r.Verdict.Findings, dane.Finding{Reason: reason})
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
