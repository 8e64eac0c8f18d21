package command

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"dane_exporter/internal/report"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// The values of --output.
const (
	outputText       = "text"
	outputJSON       = "json"
	outputNagios     = "nagios"
	outputPrometheus = "prom"
)

// output writes the results of a check. For each target, in order, add or addInvalid
// is called, and flush after the last.
type output interface {
	add(*probe.Report) error
	addInvalid(text string, why error) error // a target that cannot be probed
	flush() error
}

// newOutput returns the output in a format for a number of targets. brief applies to text.
func (s *session) newOutput(format string, brief bool, targets int) output {
	colour := colourFor(s.stdout.w, s.getenv)
	var out output
	switch {
	case format == outputNagios && targets == 1:
		return &nagiosOutput{w: s.stdout}
	case format == outputNagios:
		return &nagiosListOutput{w: s.stdout, counts: make(codeCounts)}
	case format == outputPrometheus:
		out = &textfileOutput{session: s}
	case format == outputJSON:
		out = jsonOutput{s}
	case targets == 1:
		return textOutput{s.stdout, colour, brief}
	default:
		out = &tableOutput{w: s.stdout, colour: colour, brief: brief}
	}
	if targets > 1 && isTerminal(s.stderr) {
		return &progressOutput{output: out, w: s.stderr, total: targets}
	}
	return out
}

// textOutput writes the summary of one target on one line, and then the full report as text.
type textOutput struct {
	w      io.Writer
	colour colour
	brief  bool // the summary alone
}

func (o textOutput) add(r *probe.Report) error {
	code := exitCodeOf(r)
	var text bytes.Buffer
	text.WriteString(stateLine(code, sanitize(summary(r))))
	if !o.brief {
		text.WriteByte('\n')
		if err := report.Text(&text, r); err != nil {
			return err
		}
	}
	_, err := io.WriteString(o.w, o.colour.report(text.String(), code))
	return err
}

func (o textOutput) addInvalid(_ string, why error) error { return why }
func (o textOutput) flush() error                         { return nil }

// stateLine returns a line that starts with a state.
func stateLine(code exitCode, text string) string { return fmt.Sprintf("%-8s  %s\n", code, text) }

// summary returns the target, the outcome, the first findings and the next expiry on one line.
// Its text is not sanitized.
func summary(r *probe.Report) string {
	const maxFindings = 3
	text := fmt.Sprintf("%s: %s", r.Target, r.Verdict.Outcome)
	if until := authenticatedUntil(r.Verdict); !until.IsZero() && r.Verdict.Outcome == dane.Authenticated {
		text += " until " + until.UTC().Format(time.DateOnly)
	}
	for i, finding := range r.Verdict.Findings {
		if i == maxFindings {
			text += fmt.Sprintf("; and %d more", len(r.Verdict.Findings)-maxFindings)
			break
		}
		text += "; " + string(finding.Reason) + location(finding)
	}
	if r.Later != nil {
		text += "; " + laterOutcome(r)
	}
	return text
}

// laterOutcome returns the outcome at the time of --at.
func laterOutcome(r *probe.Report) string {
	return fmt.Sprintf("at %s: %s", r.Later.At.UTC().Format(time.RFC3339), r.Later.Outcome)
}

// location returns where a finding is, as " at mx.example.org:25 (192.0.2.1)".
func location(f dane.Finding) string {
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

// jsonOutput writes a JSON document for each target. There is no document of an
// invalid target; its error is written to standard error.
type jsonOutput struct{ *session }

func (o jsonOutput) add(r *probe.Report) error { return report.JSON(o.stdout, r) }
func (o jsonOutput) flush() error              { return nil }

func (o jsonOutput) addInvalid(_ string, why error) error {
	o.printError(why)
	return nil
}

// progressOutput wraps another output and writes a line to w for each target that is
// done. It is used on terminals only, not in logs.
type progressOutput struct {
	output
	w           io.Writer
	done, total int
}

func (o *progressOutput) add(r *probe.Report) error {
	o.done++
	fmt.Fprintf(o.w, "%d/%d %s: %s\n", o.done, o.total, r.Target, r.Verdict.Outcome)
	return o.output.add(r)
}

func (o *progressOutput) addInvalid(text string, why error) error {
	o.done++
	return o.output.addInvalid(text, why)
}

// tableOutput writes a summary of several targets on one line, and then a table with a row for
// each.
type tableOutput struct {
	w      io.Writer
	colour colour
	brief  bool // only the rows of targets that are not OK
	rows   []tableRow
}

type tableRow struct {
	code                      exitCode
	target, outcome, findings string
}

func (o *tableOutput) add(r *probe.Report) error {
	findings := reasons(r)
	if r.Later != nil && r.Later.Outcome != r.Verdict.Outcome {
		findings = append(findings, laterOutcome(r))
	}
	o.rows = append(o.rows, tableRow{exitCodeOf(r), r.Target.String(), string(r.Verdict.Outcome), strings.Join(findings, ", ")})
	return nil
}

func (o *tableOutput) addInvalid(text string, why error) error {
	o.rows = append(o.rows, tableRow{exitUnknown, sanitize(text), "invalid", sanitize(why.Error())})
	return nil
}

func (o *tableOutput) flush() error {
	counts, worst := make(codeCounts), exitOK
	for _, row := range o.rows {
		counts[row.code]++
		worst = worse(worst, row.code)
	}
	var text strings.Builder
	text.WriteString(o.colour.report(stateLine(worst, counts.String()), worst))
	if o.brief {
		o.rows = slices.DeleteFunc(o.rows, func(row tableRow) bool { return row.code == exitOK })
	}
	width := len("TARGET")
	for _, row := range o.rows {
		width = max(width, utf8.RuneCountInString(row.target))
	}
	line := func(paint func(string) string, state, target, outcome, findings string) string {
		text := fmt.Sprintf("%s  %-*s  %-13s  %s", paint(fmt.Sprintf("%-8s", state)), width, target, outcome, findings)
		return strings.TrimRight(text, " ") + "\n"
	}
	if !o.brief {
		plain := func(s string) string { return s }
		text.WriteString("\n" + o.colour.bold(line(plain, "STATE", "TARGET", "OUTCOME", "FINDINGS")))
	}
	for _, row := range o.rows {
		paint := func(s string) string { return o.colour.byCode(row.code, s) }
		text.WriteString(line(paint, row.code.String(), row.target, row.outcome, row.findings))
	}
	_, err := io.WriteString(o.w, text.String())
	return err
}

// reasons returns the reasons of the findings, without duplicates.
func reasons(r *probe.Report) []string {
	var all []string
	for _, finding := range r.Verdict.Findings {
		if !slices.Contains(all, string(finding.Reason)) {
			all = append(all, string(finding.Reason))
		}
	}
	return all
}

// codeCounts is the number of targets for each exit code.
type codeCounts map[exitCode]int

// String returns the counts as "3 targets: 2 OK, 0 WARNING, 1 CRITICAL, 0 UNKNOWN".
func (c codeCounts) String() string {
	sum := 0
	for _, count := range c {
		sum += count
	}
	return fmt.Sprintf("%d targets: %s", sum, c.list())
}

// list returns the counts as "2 OK, 0 WARNING, 1 CRITICAL, 0 UNKNOWN".
func (c codeCounts) list() string {
	var parts []string
	for _, code := range pluginCodes() {
		parts = append(parts, fmt.Sprintf("%d %s", c[code], code))
	}
	return strings.Join(parts, ", ")
}

// sanitize makes text printable and replaces passwords of URLs.
func sanitize(text string) string { return report.Printable(maskPasswords(text)) }

// authenticatedUntil returns the earliest time at which the authentication of a
// service ends. It is zero if there is no such time.
func authenticatedUntil(v dane.Verdict) time.Time {
	var first time.Time
	for _, service := range v.Services {
		if !service.Until.IsZero() && (first.IsZero() || service.Until.Before(first)) {
			first = service.Until
		}
	}
	return first
}

// colour reports whether text is written in colour.
type colour bool

// colourFor reports whether output to w is in colour: w is a terminal with colours,
// and NO_COLOR is not set (no-color.org).
func colourFor(w io.Writer, getenv func(string) string) colour {
	return colour(isTerminal(w) && getenv("NO_COLOR") == "" && getenv("TERM") != "" && getenv("TERM") != "dumb")
}

func (c colour) wrap(sgr, text string) string {
	if !c || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

func (c colour) bold(text string) string { return c.wrap("1", text) }

// byCode returns text in the colour of an exit code.
func (c colour) byCode(code exitCode, text string) string {
	return c.wrap([...]string{"32", "33", "31", "35"}[code], text)
}

// report colours the first line, the summary, by its exit code, and makes headings
// bold. Headings are the lines without indentation that follow an empty line. Text
// from servers cannot look like either: it is indented and has no control characters.
func (c colour) report(text string, code exitCode) string {
	if !c {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		switch {
		case i == 0:
			lines[i] = c.byCode(code, line)
		case lines[i-1] == "" && !strings.HasPrefix(line, " "):
			lines[i] = c.bold(line)
		}
	}
	return strings.Join(lines, "\n")
}
