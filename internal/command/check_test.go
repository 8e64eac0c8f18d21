package command

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
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
		{"one of two hosts is broken", dane.RequireDANE, dane.Authenticated, false, []dane.Reason{dane.TLSAMismatch}, nil, exitWarning},
		{"refused", dane.RequireDANE, dane.Refused, false, []dane.Reason{dane.TLSAMismatch}, nil, exitCritical},
		{"success with a warning", dane.RequireDANE, dane.Authenticated, true, []dane.Reason{dane.TLSRPTRecordInvalid}, nil, exitWarning},
		{"success with an unusable record", dane.RequireDANE, dane.Authenticated, true, []dane.Reason{dane.TLSAUnusable}, nil, exitWarning},
		{"no DANE, not required", dane.RequireIfPublished, dane.Opportunistic, true, []dane.Reason{dane.NoTLSA}, nil, exitOK},
		{"no DANE, not required, with a warning", dane.RequireIfPublished, dane.Opportunistic, true, []dane.Reason{dane.NoTLSA, dane.MTASTSPolicyInvalid}, nil, exitWarning},
		{"no DANE, required", dane.RequireDANE, dane.Opportunistic, false, []dane.Reason{dane.NoTLSA}, nil, exitWarning},
		{"success with an internal finding", dane.RequireDANE, dane.Authenticated, true, []dane.Reason{dane.IPv6Unavailable}, nil, exitOK},
		{"unknown outcome", dane.RequireDANE, dane.Unknown, false, []dane.Reason{dane.ResolverUnreachable}, nil, exitUnknown},
		{"one host is unknown", dane.RequireDANE, dane.Authenticated, false, []dane.Reason{dane.CertificateUnparsable}, nil, exitUnknown},
		{"refused at the time of --at", dane.RequireDANE, dane.Authenticated, true, nil, &dane.Verdict{Outcome: dane.Refused}, exitWarning},
		{"MTA-STS senders refused at the time of --at", dane.RequireDANE, dane.Authenticated, true, nil, &dane.Verdict{Outcome: dane.Authenticated, Success: true, MTASTS: &dane.MTASTSVerdict{Senders: dane.Senders{MTASTS: dane.Refused}}}, exitWarning},
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

// TestPluginText uses a name that tries to end the line, to start performance data
// and to control the terminal, and harmless text that is not ASCII.
func TestPluginText(t *testing.T) {
	if got := pluginText("mx|a=1\n\x1b[2J\u202e\u2066\u009b.example, … – Größe, 名前"); got != `mx?a=1\n\x1b[2J\u202e\u2066\u009b.example, … – Größe, 名前` {
		t.Errorf("%q", got)
	}
}

// TestProgress checks that progress is written to a terminal, and to nothing else.
func TestProgress(t *testing.T) {
	open := func(path string, flag int) *os.File {
		t.Helper()
		file, err := os.OpenFile(path, flag, 0)
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { file.Close() })
		return file
	}
	terminal := open("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY)
	for _, test := range []struct {
		name    string
		stderr  io.Writer
		format  string
		targets int
		want    bool
	}{
		{"terminal", terminal, outputText, 2, true},
		{"terminal, JSON", terminal, outputJSON, 2, true},
		{"terminal, metrics", terminal, outputPrometheus, 2, true},
		{"terminal, monitoring plugin", terminal, outputNagios, 2, false},
		{"terminal, one target", terminal, outputText, 1, false},
		{"file", open(writeFile(t, "log", ""), os.O_WRONLY), outputText, 2, false},
		{"/dev/null, a character device", open(os.DevNull, os.O_WRONLY), outputText, 2, false},
		{"no file", new(bytes.Buffer), outputText, 2, false},
	} {
		out := newSession(nil, io.Discard, test.stderr).newOutput(test.format, false, test.targets)
		if _, got := out.(*progressOutput); got != test.want {
			t.Errorf("%s: %T", test.name, out)
		}
	}
}

// TestScanTargets checks that no line of a file hides the others.
func TestScanTargets(t *testing.T) {
	long := strings.Repeat("a", 3*maxTargetLine)
	got, err := scanTargets(strings.NewReader("\ufeffa.example\r\n# comment\n\n" + long + "\nb.example # " + long + "\nc.example"))
	want := []string{"a.example", long[:maxTargetLine], "b.example", "c.example"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d targets, %v", len(got), err)
	}
	if _, err := scanTargets(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("read error: %v", err)
	}
}

// TestSelfCheckOutput checks that a check that tested nothing does not report success.
func TestSelfCheckOutput(t *testing.T) {
	skipped := &dane.Endpoint{Address: netip.MustParseAddr("2001:db8::1"), Skipped: true, Err: errors.New("no IPv6 here")}
	var out selfCheckOutput
	out.resolvers("", dnssec.SelfCheckResult{Resolvers: []dnssec.Health{{Server: "192.0.2.53:53", Problem: dnssec.ProblemNoAnswer, Why: "no answer"}}})
	out.mailServer(&probe.Report{Target: probe.Target{Name: "mx.example"}, Facts: dane.Facts{
		Hosts: []dane.Host{{Services: []dane.Service{{Endpoints: []dane.Endpoint{*skipped}}}}}}})
	const want = `CRITICAL    self-check: 0 OK, 0 WARNING, 1 CRITICAL, 1 UNKNOWN, 2 not tested

CRITICAL    resolver 192.0.2.53:53: no answer
not tested  trust anchors: no resolver returned the keys of the root
not tested  port 25: mx.example (2001:db8::1): no IPv6 here
UNKNOWN     port 25: no address of mx.example was tried
`
	if got := out.text(false, false); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
