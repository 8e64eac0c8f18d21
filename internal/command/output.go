package command

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"dane_exporter/internal/report"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// The forms in which check writes what came out.
const (
	outputText   = "text"
	outputJSON   = "json"
	outputNagios = "nagios"
)

// output takes the reports of a check, one after another, and writes them.
type output interface {
	add(*probe.Report) error
	end() error
}

// newOutput returns the output of that form for so many targets.
func (s *session) newOutput(form string, targets int) output {
	colours := painting(s.stdout, s.environment)
	var out output
	switch {
	case form == outputNagios && targets == 1:
		return &plugin{w: s.stdout}
	case form == outputNagios:
		return &pluginOfMany{w: s.stdout}
	case form == outputJSON:
		out = documents{s.stdout}
	case targets == 1:
		return story{s.stdout, colours}
	default:
		out = &table{w: s.stdout, paint: colours}
	}
	if targets > 1 {
		return &progress{output: out, w: s.stderr, of: targets}
	}
	return out
}

// story is the whole report of one target, for people.
type story struct {
	w     io.Writer
	paint paint
}

func (o story) add(r *probe.Report) error {
	var text bytes.Buffer
	if err := report.Text(&text, r); err != nil {
		return err
	}
	_, err := io.WriteString(o.w, o.paint.story(text.String(), stateOf(r)))
	return err
}

func (o story) end() error { return nil }

// documents are reports as JSON, one after another.
type documents struct{ w io.Writer }

func (o documents) add(r *probe.Report) error { return report.JSON(o.w, r) }
func (o documents) end() error                { return nil }

// progress tells on the way how far a check of many is.
type progress struct {
	output
	w        io.Writer
	done, of int
}

func (o *progress) add(r *probe.Report) error {
	o.done++
	fmt.Fprintf(o.w, "%d/%d %s: %s\n", o.done, o.of, r.Target, r.Verdict.Outcome)
	return o.output.add(r)
}

// table is one line for each of several targets.
type table struct {
	w     io.Writer
	paint paint
	rows  []row
}

type row struct {
	state                     state
	target, outcome, findings string
}

func (o *table) add(r *probe.Report) error {
	found := reasons(r)
	if r.Later != nil && r.Later.Outcome != r.Verdict.Outcome {
		found = append(found, later(r))
	}
	o.rows = append(o.rows, row{stateOf(r), r.Target.String(), string(r.Verdict.Outcome), strings.Join(found, ", ")})
	return nil
}

func (o *table) end() error {
	width := len("TARGET")
	tally := make(tally)
	for _, row := range o.rows {
		width = max(width, len(row.target))
		tally[row.state]++
	}
	line := func(cell func(string) string, state, target, outcome, findings string) string {
		text := fmt.Sprintf("%s  %-*s  %-13s  %s", cell(fmt.Sprintf("%-8s", state)), width, target, outcome, findings)
		return strings.TrimRight(text, " ") + "\n"
	}
	var text strings.Builder
	text.WriteString(o.paint.bold(line(func(s string) string { return s }, "STATE", "TARGET", "OUTCOME", "FINDINGS")))
	for _, row := range o.rows {
		text.WriteString(line(func(s string) string { return o.paint.as(row.state, s) }, row.state.String(), row.target, row.outcome, row.findings))
	}
	fmt.Fprintf(&text, "\n%s\n", tally)
	_, err := io.WriteString(o.w, text.String())
	return err
}

// reasons lists the reasons of the findings, each once.
func reasons(r *probe.Report) []string {
	var all []string
	for _, finding := range r.Verdict.Findings {
		if !slices.Contains(all, string(finding.Reason)) {
			all = append(all, string(finding.Reason))
		}
	}
	return all
}

// tally is how many targets came to each state.
type tally map[state]int

func (t tally) String() string {
	sum := 0
	var parts []string
	for _, s := range states() {
		sum += t[s]
		parts = append(parts, fmt.Sprintf("%d %s", t[s], s))
	}
	return fmt.Sprintf("%d targets: %s", sum, strings.Join(parts, ", "))
}

// plugin is the one line of a monitoring plugin, with performance data.
type plugin struct{ w io.Writer }

func (o *plugin) add(r *probe.Report) error {
	data := []string{
		fmt.Sprintf("time=%.3fs;;;0;%.0f", r.Duration.Seconds(), r.Deadline.Seconds()),
		fmt.Sprintf("findings=%d;;;0", len(r.Verdict.Findings)),
	}
	if until := authenticatedUntil(r.Verdict); !until.IsZero() {
		data = append(data, fmt.Sprintf("authenticated_for=%.0fs", until.Sub(r.Verdict.At).Seconds()))
	}
	_, err := fmt.Fprintf(o.w, "DANE %s - %s | %s\n", stateOf(r), summary(r), strings.Join(data, " "))
	return err
}

func (o *plugin) end() error { return nil }

// pluginOfMany is the same for several targets: the first line counts them, and
// each has a line of its own after it.
type pluginOfMany struct {
	w     io.Writer
	tally tally
	lines []string
	worst state
	spent time.Duration // by the slowest
}

func (o *pluginOfMany) add(r *probe.Report) error {
	s := stateOf(r)
	if o.tally == nil {
		o.tally = make(tally)
	}
	o.tally[s]++
	o.worst = worse(o.worst, s)
	o.spent = max(o.spent, r.Duration)
	o.lines = append(o.lines, fmt.Sprintf("%s - %s", s, summary(r)))
	return nil
}

func (o *pluginOfMany) end() error {
	var data []string
	for _, s := range states() {
		data = append(data, fmt.Sprintf("%s=%d;;;0", strings.ToLower(s.String()), o.tally[s]))
	}
	_, err := fmt.Fprintf(o.w, "DANE %s - %s | %s slowest=%.3fs;;;0\n%s\n",
		o.worst, o.tally, strings.Join(data, " "), o.spent.Seconds(), strings.Join(o.lines, "\n"))
	return err
}

// summary says in a few words what came out and why.
func summary(r *probe.Report) string {
	const most = 3
	text := fmt.Sprintf("%s: %s", r.Target, r.Verdict.Outcome)
	for i, finding := range r.Verdict.Findings {
		if i == most {
			text += fmt.Sprintf("; and %d more", len(r.Verdict.Findings)-most)
			break
		}
		text += "; " + string(finding.Reason) + place(finding)
	}
	if r.Later != nil {
		text += "; " + later(r)
	}
	return harmless(text)
}

// later says what the outcome would be at the moment of --at.
func later(r *probe.Report) string {
	return fmt.Sprintf("at %s: %s", r.Later.At.UTC().Format(time.RFC3339), r.Later.Outcome)
}

// place says where a finding is, as " at mx.example.org:25 (192.0.2.1)".
func place(f dane.Finding) string {
	if f.Host == "" {
		return ""
	}
	text := " at " + f.Host
	if f.Port != 0 {
		text += ":" + strconv.Itoa(int(f.Port))
	}
	if f.Address.IsValid() {
		text += " (" + f.Address.String() + ")"
	}
	return text
}

// harmless takes from text what has a meaning in a plugin's output, and what
// a zone could write to a terminal: DNS allows any byte in a name.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '|' {
			return '?'
		}
		return r
	}, text)
}

// authenticatedUntil is when the first service's authentication ends; zero where
// no date counts.
func authenticatedUntil(v dane.Verdict) time.Time {
	var first time.Time
	for _, service := range v.Services {
		if !service.Until.IsZero() && (first.IsZero() || service.Until.Before(first)) {
			first = service.Until
		}
	}
	return first
}
