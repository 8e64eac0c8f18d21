package web

import (
	"slices"
	"sync"
	"time"

	"dane_exporter/internal/report"
	"dane_exporter/probe"
)

// history keeps reports for people to read: the last ones, and the last failed
// one of each target and module, so that the reason of last night's alert is
// still there when the target has long been well again.
//
// Hardly any report is ever read, so one is kept as it came from the probe, and
// composed for its reader. A bulky one is kept as its JSON instead: nothing of
// the probe, whose records and certificates may be of any size, stays in memory with it.
type history struct {
	mu     sync.Mutex
	last   uint64 // the number of the newest
	recent shelf
	failed shelf
}

// How much is kept, whatever --history.limit says.
const (
	maxKept   = 32 << 20  // bytes on each of the two shelves
	maxBulk   = 256 << 10 // bytes of a report that is kept as it came; honest ones have some ten thousand
	maxReport = 2 << 20   // bytes of one report as JSON
	maxListed = 6         // reasons of one probe
)

// past is one probe that was made.
type past struct {
	Number   uint64
	Asked    string // the target as it was written
	Target   string
	Module   string
	Start    time.Time
	Outcome  string
	Success  bool
	Reasons  []string // each once
	bytes    int      // that it takes
	report   *probe.Report
	document []byte // the JSON of the report, in its place
}

// newPast makes what is kept of a report; nil where it is too large.
func newPast(r *probe.Report) *past {
	p := &past{Asked: report.Printable(r.Target.Asked), Target: report.Printable(r.Target.String()), Module: r.Module.Name,
		Start: r.Start.UTC(), Outcome: string(r.Verdict.Outcome), Success: r.Verdict.Success, bytes: r.MemSize(), report: r}
	if p.bytes > maxBulk {
		p.document, p.report = report.NewDocument(r).Marshal(), nil
		p.bytes = len(p.document)
	}
	if p.bytes > maxReport {
		return nil
	}
	for _, finding := range r.Verdict.Findings {
		if reason := string(finding.Reason); !slices.Contains(p.Reasons, reason) && len(p.Reasons) < maxListed {
			p.Reasons = append(p.Reasons, reason)
		}
	}
	return p
}

// read returns the report.
func (p *past) read() (*report.Document, error) {
	if p.report != nil {
		return report.NewDocument(p.report), nil
	}
	return report.ReadJSON(p.document)
}

func (p *past) same(other *past) bool { return p.Target == other.Target && p.Module == other.Module }

func newHistory(limit int) *history {
	return &history{recent: shelf{limit: limit}, failed: shelf{limit: limit}}
}

// add keeps a report and returns its number; 0: it is not kept.
func (h *history) add(r *probe.Report) uint64 {
	if h.recent.limit == 0 {
		return 0
	}
	p := newPast(r)
	if p == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	p.Number = h.last
	h.recent.put(p)
	if !p.Success {
		h.failed.drop(p.same)
		h.failed.put(p)
	}
	return p.Number
}

// newestFirst lists the last probes, and the last failed one of each target.
func (h *history) newestFirst() (recent, failed []*past) {
	h.mu.Lock()
	defer h.mu.Unlock()
	recent, failed = slices.Clone(h.recent.kept), slices.Clone(h.failed.kept)
	slices.Reverse(recent)
	slices.Reverse(failed)
	return recent, failed
}

// numbered returns the probe of that number; nil where it is not kept.
func (h *history) numbered(number uint64) *past {
	is := func(p *past) bool { return p.Number == number }
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.recent.newest(is); p != nil {
		return p
	}
	return h.failed.newest(is)
}

// of returns the last probe of a target by a module, and the last that failed;
// nil where there is none.
func (h *history) of(target, module string) (last, failed *past) {
	is := (&past{Target: target, Module: module}).same
	h.mu.Lock()
	defer h.mu.Unlock()
	last, failed = h.recent.newest(is), h.failed.newest(is)
	if last == nil {
		last = failed
	}
	return last, failed
}

// asked returns the last probe of what was written so, by whatever module; nil
// where there is none.
func (h *history) asked(target string) *past {
	h.mu.Lock()
	defer h.mu.Unlock()
	is := func(p *past) bool { return p.Asked == target }
	if p := h.recent.newest(is); p != nil {
		return p
	}
	return h.failed.newest(is)
}

// shelf has room for so many reports and maxKept bytes; the oldest make room.
type shelf struct {
	limit int
	kept  []*past // oldest first
	bytes int
}

func (s *shelf) put(p *past) {
	s.kept = append(s.kept, p)
	s.bytes += p.bytes
	surplus := 0
	for left := s.bytes; len(s.kept)-surplus > s.limit || left > maxKept; surplus++ {
		left -= s.kept[surplus].bytes
	}
	for _, old := range s.kept[:surplus] {
		s.bytes -= old.bytes
	}
	s.kept = slices.Delete(s.kept, 0, surplus)
}

func (s *shelf) drop(is func(*past) bool) {
	s.kept = slices.DeleteFunc(s.kept, func(p *past) bool {
		if !is(p) {
			return false
		}
		s.bytes -= p.bytes
		return true
	})
}

func (s *shelf) newest(is func(*past) bool) *past {
	for _, p := range slices.Backward(s.kept) {
		if is(p) {
			return p
		}
	}
	return nil
}
