package web

import (
	"slices"
	"sync"
	"time"

	"dane_exporter/internal/report"
	"dane_exporter/probe"
)

// history stores the reports of recent probes, and the last failed one of each
// target and module. The latter keeps the cause of an alert available after the
// target has recovered.
type history struct {
	mu     sync.Mutex
	last   uint64 // number of the newest entry
	recent ring
	failed ring
}

// Limits of the history, in addition to --history.limit.
const (
	maxRingSize   = 32 << 20  // bytes of all entries of a ring
	maxReportSize = 256 << 10 // bytes of a report that is stored as it is; a typical one has some ten thousand
	maxJSONSize   = 2 << 20   // bytes of one report as JSON
	maxReasons    = 6         // reasons of one entry on the front page
)

// entry is one probe in the history.
//
// Few reports are ever read, so an entry holds the report of the probe and makes
// a Document when it is read. A report above maxReportSize is stored as JSON
// instead, so that the records and certificates of the probe, which may have any
// size, do not stay in memory.
type entry struct {
	Number   uint64
	Asked    string // the target as it was written
	Target   string
	Module   string
	Start    time.Time
	Outcome  string
	Success  bool
	Reasons  []string // without duplicates
	size     int      // bytes
	report   *probe.Report
	document []byte // JSON of the report if report is nil
}

// newEntry returns the entry for a report, or nil if the report is too large.
func newEntry(r *probe.Report) *entry {
	e := &entry{
		Asked:   report.Printable(r.Target.Asked),
		Target:  report.Printable(r.Target.String()),
		Module:  r.Module.Name,
		Start:   r.Start.UTC(),
		Outcome: string(r.Verdict.Outcome),
		Success: r.Verdict.Success,
		size:    r.MemSize(),
		report:  r,
	}
	if e.size > maxReportSize {
		e.document, e.report = report.NewDocument(r).Marshal(), nil
		e.size = len(e.document)
	}
	if e.size > maxJSONSize {
		return nil
	}
	reasons := reasonsOf(r)
	e.Reasons = reasons[:min(len(reasons), maxReasons)]
	return e
}

// read returns the report of the entry.
func (e *entry) read() (*report.Document, error) {
	if e.report != nil {
		return report.NewDocument(e.report), nil
	}
	return report.ReadJSON(e.document)
}

func newHistory(limit int) *history {
	return &history{recent: ring{limit: limit}, failed: ring{limit: limit}}
}

// add stores a report and returns its number, or 0 if it is not stored.
func (h *history) add(r *probe.Report) uint64 {
	if h.recent.limit == 0 {
		return 0
	}
	e := newEntry(r)
	if e == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	e.Number = h.last
	h.recent.push(e)
	if !e.Success {
		h.failed.remove(of(e.Target, e.Module))
		h.failed.push(e)
	}
	return e.Number
}

// list returns the recent entries, and the last failed one of each target and
// module, both newest first.
func (h *history) list() (recent, failed []*entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	recent, failed = slices.Clone(h.recent.entries), slices.Clone(h.failed.entries)
	slices.Reverse(recent)
	slices.Reverse(failed)
	return recent, failed
}

// byNumber returns the entry with that number, or nil.
func (h *history) byNumber(number uint64) *entry {
	return h.newest(func(e *entry) bool { return e.Number == number })
}

// byAsked returns the newest entry whose target was written as asked, or nil. It
// may be of any module.
func (h *history) byAsked(asked string) *entry {
	return h.newest(func(e *entry) bool { return e.Asked == asked })
}

// newest returns the newest entry that matches, or nil.
func (h *history) newest(matches func(*entry) bool) *entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.recent.newest(matches); e != nil {
		return e
	}
	return h.failed.newest(matches)
}

// byTarget returns the last entry of a target and module, and the last failed
// one. Either is nil if there is none.
func (h *history) byTarget(target, module string) (last, failed *entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, failed = h.recent.newest(of(target, module)), h.failed.newest(of(target, module))
	if last == nil {
		last = failed
	}
	return last, failed
}

// of returns a function that reports whether an entry is of that target and module.
func of(target, module string) func(*entry) bool {
	return func(e *entry) bool { return e.Target == target && e.Module == module }
}

// ring holds at most limit entries of at most maxRingSize bytes in total. New
// entries replace the oldest ones.
type ring struct {
	limit   int
	entries []*entry // oldest first
	size    int      // bytes of all entries
}

func (r *ring) push(e *entry) {
	r.entries = append(r.entries, e)
	r.size += e.size
	surplus := 0
	for len(r.entries)-surplus > r.limit || r.size > maxRingSize {
		r.size -= r.entries[surplus].size
		surplus++
	}
	r.entries = slices.Delete(r.entries, 0, surplus)
}

func (r *ring) remove(matches func(*entry) bool) {
	r.entries = slices.DeleteFunc(r.entries, func(e *entry) bool {
		if !matches(e) {
			return false
		}
		r.size -= e.size
		return true
	})
}

func (r *ring) newest(matches func(*entry) bool) *entry {
	for _, e := range slices.Backward(r.entries) {
		if matches(e) {
			return e
		}
	}
	return nil
}
