package probe

import (
	"time"

	"dane_exporter/probe/dane"
)

// Report is the result of one probe: facts, and a verdict on them. It is not
// modified after the probe returns it, and it shares certificates and answers
// with other reports.
type Report struct {
	Target   Target
	Module   Module
	Start    time.Time     // wall clock
	Duration time.Duration // of the whole probe
	Deadline time.Duration // available to the probe
	Facts    dane.Facts
	Rules    dane.Rules // of Verdict
	Verdict  dane.Verdict
	Later    *dane.Verdict // on the same facts, at a later time; nil unless requested
	// Timelines are the rollovers that earlier probes of the target saw; nil: there was none.
	Timelines dane.Timelines
}

// End returns when the probe ended. All answers of the report are older.
func (r *Report) End() time.Time { return r.Start.Add(r.Duration) }

// JudgedAt returns a copy of the report with the verdict for another time in
// Later. The DNSSEC statuses are facts and stay as they were found.
func (r *Report) JudgedAt(at time.Time) *Report {
	later := dane.Judge(&r.Facts, r.Rules, at)
	report := *r
	report.Later = &later
	return &report
}

// MemSize estimates the memory that the report takes, in bytes.
func (r *Report) MemSize() int {
	const overhead = 8 << 10
	verdicts := []*dane.Verdict{&r.Verdict}
	if r.Later != nil {
		verdicts = append(verdicts, r.Later)
	}
	return overhead + dane.MemSize(&r.Facts, verdicts...)
}
