package web

import (
	"bytes"
	"cmp"
	"compress/flate"
	"container/list"
	_ "embed"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"dane_exporter/internal/report"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// history stores the last report of each target and module, the last one with a verdict, and
// the last failed one. They keep the cause of an alert available after the target
// cannot be judged, or has recovered. It also stores the most recent reports of all targets.
//
// Few reports are ever read. The newest are stored as they are, which costs no time. The
// others are packed, which makes them smaller by a factor of about fifty. If there is not enough
// memory for all, reports are removed in the order of their rank, the oldest first.
type history struct {
	limit int // number of recent reports; 0: nothing is stored
	sizes historySizes
	// Large reports are packed separately: they take longer, and must not delay the
	// answers of ordinary probes.
	packer, largePacker *packer

	mu       sync.Mutex
	last     uint64   // number of the newest entry
	recent   []*entry // at most limit, oldest first
	targets  map[targetKey]targetReports
	ranks    [ranks]ranked
	unpacked ranked // entries of all ranks that are not packed
}

// historySizes are the limits of the history, in addition to --history.limit, in bytes.
type historySizes struct {
	all      int // of all reports but the large ones
	failed   int // of those of failed probes, so that they leave memory for others
	large    int // of the large ones, so that a few hostile domains do not replace the others
	unpacked int // of those that are not packed
}

// defaultHistorySizes are enough for the reports of some ten thousand targets. The garbage
// collector makes each byte take up to five.
func defaultHistorySizes() historySizes {
	return historySizes{all: 17 << 20, failed: 10 << 20, large: 3 << 20, unpacked: 4 << 20}
}

const (
	maxReportSize = 256 << 10 // bytes of a report that is stored as it is; a typical one has some ten thousand
	entryOverhead = 640       // bytes of an entry without its report
	maxReasons    = 6         // reasons of one entry in the list of probes
)

// rank is the importance of a stored report.
type rank int

const (
	rankRecent      rank = iota // a newer one of its target is stored
	rankLast                    // the last one, without findings
	rankFindings                // the last one, with findings
	rankFailed                  // the last failed one
	rankLarge                   // any but the last failed one, above maxReportSize
	rankLargeFailed             // the last failed one, above maxReportSize
	ranks
)

// ranked are stored reports, oldest first.
type ranked struct {
	list list.List // of *entry
	size int       // bytes
}

type targetKey struct{ target, module string }

// targetReports are the reports of one target and module. Each may be nil, or the same
// as another.
type targetReports struct {
	last   *entry
	judged *entry // the last one with a verdict: alerts keep it while the target cannot be judged
	failed *entry // the last one with a verdict of failure
}

// has reports whether e is one of the reports.
func (r targetReports) has(e *entry) bool { return r.last == e || r.judged == e || r.failed == e }

// entry is one probe in the history. The mutex of the history guards the fields that are not exported.
type entry struct {
	Number   uint64
	Asked    string // the target as it was written
	Target   string
	Module   string
	Start    time.Time
	Outcome  string
	Success  bool
	Severity string
	Reasons  []string // without duplicates

	address  netip.AddrPort
	size     int           // bytes
	report   *probe.Report // nil if packed
	packed   []byte
	large    bool // the report was larger than maxReportSize
	isRecent bool
	rank     rank
	element  *list.Element // in the list of its rank; nil if it is not stored
	unpacked *list.Element // in the list of those that are not packed; nil if it is
}

// newEntry returns the entry of a report. It packs a report above maxReportSize, so
// that the records and certificates of the probe, which may have any size, do not stay in
// memory.
func newEntry(r *probe.Report, large *packer) *entry {
	e := &entry{
		Asked:    strings.Clone(report.Printable(r.Target.Asked)), // which may be a part of the request
		Target:   report.Printable(r.Target.String()),
		Module:   r.Module.Name,
		Start:    r.Start.UTC(),
		Outcome:  string(r.Verdict.Outcome),
		Success:  r.Verdict.Success,
		Severity: r.Verdict.Severity(r.Module.Require).String(),
		address:  netip.AddrPortFrom(r.Target.Address, r.Target.Port),
		size:     r.MemSize() + entryOverhead,
		report:   r,
	}
	if e.size > maxReportSize {
		e.packed, e.report, e.large = large.pack(r), nil, true
		e.size = len(e.packed) + entryOverhead
	}
	reasons := reasonsOf(r)
	e.Reasons = reasons[:min(len(reasons), maxReasons)]
	return e
}

// packer packs reports, one at a time: a flate.Writer takes most of a megabyte, and a large
// Document several.
type packer struct {
	mu     sync.Mutex
	writer *flate.Writer // nil before the first report
	packed bytes.Buffer
}

// sample has the reports of two domains of the lab. As a dictionary, it makes the packed reports
// of ordinary domains smaller by a factor of two to four.
//
//go:embed sample.jsonl
var sample []byte

const packLevel = 3 // the fastest level that uses the dictionary is 2

// pack returns the Document of a report, as compressed JSON.
func (p *packer) pack(r *probe.Report) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	p.packed.Reset()
	if p.writer == nil {
		p.writer, err = flate.NewWriterDict(&p.packed, packLevel, sample)
	} else {
		p.writer.Reset(&p.packed)
	}
	if err == nil {
		err = cmp.Or(report.NewDocument(r).WriteLine(p.writer), p.writer.Close())
	}
	if err != nil {
		panic(fmt.Errorf("pack a report: %w", err)) // the level is valid, and writing to a buffer does not fail
	}
	packed := bytes.Clone(p.packed.Bytes())
	if p.packed.Cap() > maxReportSize {
		p.packed = bytes.Buffer{}
	}
	return packed
}

// unpack returns the Document that was packed.
func unpack(packed []byte) *report.Document {
	text, err := io.ReadAll(flate.NewReaderDict(bytes.NewReader(packed), sample))
	if err != nil {
		panic(fmt.Errorf("unpack a report: %w", err)) // pack has written it
	}
	d, err := report.ReadJSON(text)
	if err != nil {
		panic(fmt.Errorf("unpack a report: %w", err))
	}
	return d
}

// read returns the report of an entry.
func (h *history) read(e *entry) *report.Document {
	h.mu.Lock()
	r, packed := e.report, e.packed
	h.mu.Unlock()
	if r != nil {
		return report.NewDocument(r)
	}
	return unpack(packed)
}

func (e *entry) key() targetKey { return targetKey{e.Target, e.Module} }

// isJudged reports whether the entry has a verdict on the target.
func (e *entry) isJudged() bool { return e.Severity != dane.SeverityUnknown.String() }

// isFailure reports whether the verdict is a failure. A probe can succeed although senders
// of an enforced MTA-STS policy do not deliver.
func (e *entry) isFailure() bool {
	return e.isJudged() && (!e.Success || e.Severity == dane.SeverityCritical.String())
}

func newHistory(limit int) *history {
	return &history{
		limit: limit, sizes: defaultHistorySizes(), packer: new(packer), largePacker: new(packer), targets: make(map[targetKey]targetReports),
	}
}

// add stores a report and returns its number, or 0 if nothing is stored.
func (h *history) add(r *probe.Report) uint64 {
	if h.limit == 0 {
		return 0
	}
	e := newEntry(r, h.largePacker)
	for _, old := range h.insert(e) {
		h.replace(old, h.packer.pack(old.report))
	}
	return e.Number
}

// insert adds an entry, and returns those that must be packed. They are no longer in
// the list of those that are not, so that they are packed once.
func (h *history) insert(e *entry) (crowded []*entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	e.Number = h.last
	before := h.targets[e.key()]
	now := before
	now.last = e
	if e.isJudged() {
		now.judged = e
	}
	if e.isFailure() {
		now.failed = e
	}
	h.targets[e.key()] = now
	h.recent = append(h.recent, e)
	e.isRecent = true
	h.place(e)
	for _, old := range []*entry{before.last, before.judged, before.failed} {
		h.place(old)
	}
	for len(h.recent) > h.limit {
		h.dropRecent()
	}
	if e.report != nil {
		e.unpacked = h.unpacked.list.PushBack(e)
		h.unpacked.size += e.size
	}
	for h.unpacked.size > h.sizes.unpacked {
		old := h.unpacked.list.Front().Value.(*entry)
		h.unlinkUnpacked(old)
		crowded = append(crowded, old)
	}
	h.shrink(e)
	return crowded
}

// replace replaces the report of an entry by the packed one.
func (h *history) replace(e *entry, packed []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	size := len(packed) + entryOverhead
	if e.element != nil {
		h.ranks[e.rank].size += size - e.size
	}
	e.report, e.packed, e.size = nil, packed, size
}

// dropRecent removes the oldest entry from the recent ones.
func (h *history) dropRecent() {
	oldest := h.recent[0]
	h.recent = slices.Delete(h.recent, 0, 1)
	oldest.isRecent = false
	h.place(oldest)
}

// place puts an entry into the list of its rank, or removes it from the history if
// nothing refers to it. e may be nil.
func (h *history) place(e *entry) {
	if e == nil {
		return
	}
	kept := h.targets[e.key()]
	wanted := rankRecent
	switch {
	case !kept.has(e) && !e.isRecent:
		h.unlink(e)
		h.unlinkUnpacked(e)
		return
	case e.large && kept.failed == e:
		wanted = rankLargeFailed
	case e.large:
		wanted = rankLarge
	case kept.failed == e:
		wanted = rankFailed
	case kept.has(e) && (len(e.Reasons) > 0 || e.Severity != dane.SeverityOK.String()):
		wanted = rankFindings
	case kept.has(e):
		wanted = rankLast
	}
	if e.element != nil && e.rank == wanted {
		return
	}
	h.unlink(e)
	e.rank, e.element = wanted, h.ranks[wanted].list.PushBack(e)
	h.ranks[wanted].size += e.size
}

// unlink removes an entry from the list of its rank.
func (h *history) unlink(e *entry) {
	if e.element != nil {
		h.ranks[e.rank].list.Remove(e.element)
		h.ranks[e.rank].size -= e.size
		e.element = nil
	}
}

// unlinkUnpacked removes an entry from the list of those that are not packed.
func (h *history) unlinkUnpacked(e *entry) {
	if e.unpacked != nil {
		h.unpacked.list.Remove(e.unpacked)
		h.unpacked.size -= e.size
		e.unpacked = nil
	}
}

// shrink removes reports until the limits hold, but never the newest one.
func (h *history) shrink(newest *entry) {
	for h.ranks[rankLarge].size+h.ranks[rankLargeFailed].size > h.sizes.large && h.removeOldest(newest, rankLarge, rankLargeFailed) {
	}
	for h.ranks[rankFailed].size > h.sizes.failed && h.removeOldest(newest, rankFailed) {
	}
	for h.smallSize() > h.sizes.all && h.removeOldest(newest, rankRecent, rankLast, rankFindings, rankFailed) {
	}
}

// smallSize returns the size of all reports but the large ones.
func (h *history) smallSize() (size int) {
	for r := range rankLarge {
		size += h.ranks[r].size
	}
	return size
}

// removeOldest removes the oldest report of the first rank that has one, other than
// newest. It returns false if there is none.
func (h *history) removeOldest(newest *entry, from ...rank) bool {
	for _, r := range from {
		for element := h.ranks[r].list.Front(); element != nil; element = element.Next() {
			if e := element.Value.(*entry); e != newest {
				h.remove(e)
				return true
			}
		}
	}
	return false
}

// remove removes a report from the history.
func (h *history) remove(e *entry) {
	kept := h.targets[e.key()]
	for _, kept := range []**entry{&kept.last, &kept.judged, &kept.failed} {
		if *kept == e {
			*kept = nil
		}
	}
	if kept == (targetReports{}) {
		delete(h.targets, e.key())
	} else {
		h.targets[e.key()] = kept
	}
	if e.isRecent {
		h.recent = slices.DeleteFunc(h.recent, func(other *entry) bool { return other == e })
		e.isRecent = false
	}
	h.unlink(e)
	h.unlinkUnpacked(e)
}

// newestFirst returns the recent entries.
func (h *history) newestFirst() []*entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	recent := slices.Clone(h.recent)
	slices.Reverse(recent)
	return recent
}

// byNumber returns the entry with that number, or nil.
func (h *history) byNumber(number uint64) *entry {
	return h.newest(func(e *entry) bool { return e.Number == number })
}

// newest returns the newest entry that matches, or nil.
func (h *history) newest(matches func(*entry) bool) (newest *entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.ranks {
		for element := h.ranks[r].list.Front(); element != nil; element = element.Next() {
			if e := element.Value.(*entry); matches(e) && (newest == nil || e.Number > newest.Number) {
				newest = e
			}
		}
	}
	return newest
}

// byTarget returns the entries of a target and module. If the last one is not stored, it
// is replaced by another.
func (h *history) byTarget(target, module string) targetReports {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.targets[targetKey{target, module}]
	kept.last = cmp.Or(kept.last, kept.judged, kept.failed)
	return kept
}
