package probe

import (
	"strings"
	"testing"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// JudgedAt judges the same facts by the same rules for another time. It changes
// neither the report nor its verdict.
func TestReportJudgedAt(t *testing.T) {
	rules := dane.Rules{Target: "example.org", Policy: dane.SMTPRelay, Require: dane.RequireDANE}
	facts := dane.Facts{Complete: true, MX: &dnssec.Answer{Name: "example.org.", Type: dns.TypeMX, Status: dnssec.Bogus}}
	report := &Report{Target: Target{Name: "example.org"}, Facts: facts, Rules: rules, Verdict: dane.Judge(&facts, rules, noon)}
	at := noon.AddDate(0, 0, 14)

	later := report.JudgedAt(at)
	if later.Later == nil || !later.Later.At.Equal(at) || later.Later.Outcome != dane.Refused {
		t.Fatalf("Later is %+v, want refused at %s", later.Later, at)
	}
	if !later.Verdict.At.Equal(noon) || later.Verdict.Outcome != dane.Refused || later.Target != report.Target || later.Facts.MX != report.Facts.MX {
		t.Errorf("the copy differs from the report: %+v", later)
	}
	if report.Later != nil {
		t.Error("JudgedAt changed the report")
	}
	if again := later.JudgedAt(noon); !again.Later.At.Equal(noon) || !later.Later.At.Equal(at) {
		t.Errorf("judged again: Later at %s, and that of the report before at %s", again.Later.At, later.Later.At)
	}
}

// MemSize counts facts, verdict and later verdict.
func TestReportMemSize(t *testing.T) {
	const long = 10_000
	verdict := dane.Verdict{Findings: []dane.Finding{{Detail: strings.Repeat("x", long)}}}
	empty := new(Report).MemSize()
	if empty <= 0 {
		t.Errorf("an empty report has %d bytes", empty)
	}
	for name, report := range map[string]*Report{
		"facts":   {Facts: dane.Facts{MX: &dnssec.Answer{Why: strings.Repeat("x", long)}}},
		"verdict": {Verdict: verdict},
		"later":   {Later: &verdict},
	} {
		if size := report.MemSize() - empty; size < long || size > 2*long {
			t.Errorf("%s: %d bytes, want %d to %d", name, size, long, 2*long)
		}
	}
	both := (&Report{Verdict: verdict, Later: &verdict}).MemSize() - empty
	if one := (&Report{Verdict: verdict}).MemSize() - empty; both != 2*one {
		t.Errorf("two verdicts: %d bytes, want twice %d", both, one)
	}
}
