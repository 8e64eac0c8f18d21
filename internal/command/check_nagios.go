package command

import (
	"fmt"
	"io"
	"strings"
	"time"

	"dane_exporter/probe"
)

// nagiosOutput writes the line of a monitoring plugin for one target, with
// performance data.
type nagiosOutput struct{ w io.Writer }

func (o *nagiosOutput) add(r *probe.Report) error {
	data := []string{
		fmt.Sprintf("time=%.3fs;;;0;%.0f", r.Duration.Seconds(), r.Deadline.Seconds()),
		fmt.Sprintf("findings=%d;;;0", len(r.Verdict.Findings)),
	}
	if until := authenticatedUntil(r.Verdict); !until.IsZero() {
		data = append(data, fmt.Sprintf("authenticated_for=%.0fs", until.Sub(r.Verdict.At).Seconds()))
	}
	_, err := fmt.Fprintf(o.w, "DANE %s - %s | %s\n", exitCodeOf(r), pluginText(summary(r)), strings.Join(data, " "))
	return err
}

func (o *nagiosOutput) addInvalid(_ string, why error) error { return why }
func (o *nagiosOutput) flush() error                         { return nil }

// nagiosListOutput writes the output of a monitoring plugin for several targets: a
// first line with counts and performance data, and then a line for each target.
type nagiosListOutput struct {
	w       io.Writer
	counts  codeCounts
	lines   []string
	worst   exitCode
	slowest time.Duration
}

func (o *nagiosListOutput) add(r *probe.Report) error {
	code := exitCodeOf(r)
	o.counts[code]++
	o.worst = worse(o.worst, code)
	o.slowest = max(o.slowest, r.Duration)
	o.lines = append(o.lines, fmt.Sprintf("%s - %s", code, pluginText(summary(r))))
	return nil
}

func (o *nagiosListOutput) addInvalid(_ string, why error) error {
	o.counts[exitUnknown]++
	o.worst = worse(o.worst, exitUnknown)
	o.lines = append(o.lines, fmt.Sprintf("%s - %s", exitUnknown, pluginText(why.Error())))
	return nil
}

func (o *nagiosListOutput) flush() error {
	var data []string
	for _, code := range pluginCodes() {
		data = append(data, fmt.Sprintf("%s=%d;;;0", strings.ToLower(code.String()), o.counts[code]))
	}
	_, err := fmt.Fprintf(o.w, "DANE %s - %s | %s slowest=%.3fs;;;0\n%s\n",
		o.worst, o.counts, strings.Join(data, " "), o.slowest.Seconds(), strings.Join(o.lines, "\n"))
	return err
}

// failPlugin writes the line of a monitoring plugin that has no result, and
// returns its code. Monitoring systems show the first line of standard output only.
func (s *session) failPlugin(err error) exitCode {
	fmt.Fprintf(s.stdout, "DANE %s - %s\n", exitUnknown, pluginText(strings.ReplaceAll(err.Error(), "\n", "; ")))
	return exitUnknown
}

// pluginText is sanitize for the output of a plugin, in which a vertical bar starts the
// performance data.
func pluginText(text string) string { return strings.ReplaceAll(sanitize(text), "|", "?") }
