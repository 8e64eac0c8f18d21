package web

import (
	"slices"
	"sync"

	"dane_exporter/probe"
)

// history keeps the last reports for people to read.
type history struct {
	mu    sync.Mutex
	limit int
	last  uint64 // the number of the newest
	kept  []past // oldest first
}

// past is one probe that was made.
type past struct {
	Number uint64
	Report *probe.Report
}

func (h *history) add(report *probe.Report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	h.kept = append(h.kept, past{h.last, report})
	if len(h.kept) > h.limit {
		h.kept = slices.Delete(h.kept, 0, len(h.kept)-h.limit)
	}
}

// newestFirst lists what is kept.
func (h *history) newestFirst() []past {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.Clone(h.kept)
	slices.Reverse(list)
	return list
}

// report returns the one of that number, nil where it is not kept.
func (h *history) report(number uint64) *probe.Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.kept {
		if p.Number == number {
			return p.Report
		}
	}
	return nil
}
