package web

import (
	"cmp"
	"container/list"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dane_exporter/internal/report"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

const (
	// maxTargets is the maximum number of targets on the front page. One takes about 500
	// bytes. Without space, those without a problem are removed first, and of them the one
	// probed the longest time ago.
	maxTargets = 20_000
	// targetAge is how long a target stays on the front page without a probe.
	targetAge = 7 * 24 * time.Hour
	// maxRowReasons is the maximum number of reasons of one target on the front page.
	maxRowReasons = 3
)

// targetList has the last state of each target and module that was probed, for the front
// page. Unlike reports, the states have about the same size, so that all of them fit
// into memory. It is empty when the program starts.
type targetList struct {
	mu      sync.Mutex
	limit   int // number of targets; 0: maxTargets
	rows    map[targetKey]*list.Element
	fine    list.List // of *row without a problem, the one probed last at the end
	failing list.List // of all other *row, likewise
	cut     bool      // a target was removed because the list was full
}

// row is the last state of one target and module. It is not modified after it is stored.
type row struct {
	target  probe.Target // without Asked
	Module  string
	State   state     // of the last probe
	Known   state     // of the last probe with a verdict; the zero value if there was none
	Reasons []string  // the first maxRowReasons
	More    int       // number of the other reasons
	Probed  time.Time // start of the last probe
	Next    date
}

// state is the verdict of one or more successive probes.
type state struct {
	Outcome  dane.Outcome
	Severity dane.Severity
	Since    time.Time // start of the first of these probes
	Earlier  bool      // the state may be older: Since is the first probe that is known
}

// sameAs reports whether another state has the same verdict.
func (s state) sameAs(other state) bool {
	return s.Outcome == other.Outcome && s.Severity == other.Severity && !other.Since.IsZero()
}

// Judged reports whether the state is a verdict on the target.
func (s state) Judged() bool { return s.Severity != dane.SeverityUnknown }

// date is a time at which something ends or can be done.
type date struct {
	At   time.Time
	What string
}

// Target returns the target as text.
func (r *row) Target() string { return report.Printable(r.target.String()) }

// Link returns the relative URL of the last report of the target.
func (r *row) Link() string {
	query := url.Values{"module": {r.Module}}
	name := r.target.Name
	if r.target.Address.IsValid() {
		query.Set("hostname", name)
		name = r.target.Address.String()
		if r.target.Port != 0 {
			name = netip.AddrPortFrom(r.target.Address, r.target.Port).String()
		}
	} else if r.target.Port != 0 {
		name += ":" + strconv.Itoa(int(r.target.Port))
	}
	query.Set("target", name)
	return "./report?" + query.Encode()
}

// Severity returns the severity by which the target is listed. A target that was critical
// or had a warning before it could no longer be judged keeps its place.
func (r *row) Severity() dane.Severity {
	if !r.State.Judged() && (r.Known.Severity == dane.SeverityCritical || r.Known.Severity == dane.SeverityWarning) {
		return r.Known.Severity
	}
	return r.State.Severity
}

// Notable reports whether the severity says more than the outcome.
func (r *row) Notable() bool {
	switch r.Severity() {
	case dane.SeverityOK:
		return false
	case dane.SeverityCritical:
		return r.State.Outcome != dane.Refused && r.State.Outcome != dane.Unreachable
	case dane.SeverityUnknown:
		return r.State.Outcome != dane.Unknown
	default:
		return true
	}
}

// isFine reports whether the target has no problem.
func (r *row) isFine() bool { return r.Severity() == dane.SeverityOK }

// newRow returns the state of a target after its first probe.
func newRow(r *probe.Report) *row {
	first := &row{target: r.Target, Module: r.Module.Name, Probed: r.Start.UTC(), Next: nextDate(r)}
	first.target.Asked, first.target.Name = "", strings.Clone(r.Target.Name)
	first.State = state{Outcome: r.Verdict.Outcome, Severity: r.Verdict.Severity(r.Module.Require), Since: first.Probed, Earlier: true}
	if first.State.Judged() {
		first.Known = first.State
	}
	reasons := reasonsOf(r)
	shown := min(len(reasons), maxRowReasons)
	first.Reasons, first.More = slices.Clone(reasons[:shown]), len(reasons)-shown
	return first
}

// follow sets when the state began, and the last known state, from the state before the probe.
func (r *row) follow(before *row) {
	switch {
	case r.State.sameAs(before.State):
		r.State = before.State
	case r.State.sameAs(before.Known): // the probes in between had no verdict
		r.State = before.Known
	default:
		r.State.Earlier = r.State.Judged() && before.Known.Since.IsZero()
	}
	if r.Known = before.Known; r.State.Judged() {
		r.Known = r.State
	}
}

// signatureShare is the share of the lifetime of signatures below which their expiry counts as a
// date, because they should have been renewed. The alert DaneSignaturesNearEnd has the same.
const signatureShare = 0.15

// nextDate returns the next date of a target at which something ends or can be done. It is
// zero if there is none.
func nextDate(r *probe.Report) date {
	var next date
	add := func(at time.Time, what string) {
		if at.After(r.End()) && (next.At.IsZero() || at.Before(next.At)) {
			next = date{at.UTC(), what}
		}
	}
	for i := range r.Verdict.Services {
		add(r.Verdict.Services[i].Until, "authentication ends")
	}
	for _, lookup := range r.Facts.Lookups() {
		v := lookup.Answer.Validity()
		if left := v.Expiry.Sub(r.End()); float64(left) < signatureShare*float64(v.Expiry.Sub(v.Since)) {
			add(v.Expiry, "signatures expire")
		}
	}
	for i := range r.Verdict.Services {
		service := &r.Verdict.Services[i]
		timeline, _ := r.Timelines.Of(service.Key())
		if service.Outcome != dane.Authenticated || !timeline.InProgress() {
			continue
		}
		for _, step := range timeline.Steps {
			if step.Served.IsZero() {
				add(step.Safe(), "next key safe to serve")
			}
			add(step.Removable(), "old record removable")
		}
	}
	if facts, verdict := r.Facts.MTASTS, r.Verdict.MTASTS; facts != nil && verdict != nil && verdict.State == dane.PolicyEnforced {
		if n := len(facts.Fetches); n > 0 && facts.Fetches[n-1].Err == nil && facts.Fetches[n-1].Certificate != nil {
			add(facts.Fetches[n-1].Certificate.NotAfter, "MTA-STS certificate expires")
		}
	}
	return next
}

// observe adds a probe to the list.
func (l *targetList) observe(r *probe.Report) {
	next := newRow(r)
	key := next.key() // its text is not a part of the request
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows == nil {
		l.rows = make(map[targetKey]*list.Element)
	}
	if element, ok := l.rows[key]; ok {
		next.follow(element.Value.(*row))
		l.remove(key)
	}
	if next.isFine() {
		l.rows[key] = l.fine.PushBack(next)
	} else {
		l.rows[key] = l.failing.PushBack(next)
	}
	for _, of := range []*list.List{&l.fine, &l.failing} {
		for oldest := of.Front(); oldest != nil && next.Probed.Sub(oldest.Value.(*row).Probed) > targetAge; oldest = of.Front() {
			l.remove(oldest.Value.(*row).key())
			l.cut = false
		}
	}
	for len(l.rows) > cmp.Or(l.limit, maxTargets) {
		l.cut = true
		oldest := cmp.Or(l.fine.Front(), l.failing.Front())
		l.remove(oldest.Value.(*row).key())
	}
}

func (r *row) key() targetKey { return targetKey{r.target.String(), r.Module} }

// remove removes a target that is listed.
func (l *targetList) remove(key targetKey) {
	element := l.rows[key]
	delete(l.rows, key)
	of := &l.failing
	if element.Value.(*row).isFine() {
		of = &l.fine
	}
	of.Remove(element)
}

// all returns the states of all targets, in no particular order. cut reports whether there are
// more targets.
func (l *targetList) all() (rows []*row, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows = make([]*row, 0, len(l.rows))
	for _, element := range l.rows {
		rows = append(rows, element.Value.(*row))
	}
	return rows, l.cut
}
