package command

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/alecthomas/kingpin/v2"

	"dane_exporter/internal/config"
	"dane_exporter/internal/report"
	"dane_exporter/probe"
)

// checkFlags are the flags of check.
type checkFlags struct {
	targets                      []string
	targetsFile                  string
	module, hostname, at, output string
	brief, self                  bool
	smtpHost                     string
	configFile                   string
}

func (s *session) addCheck(app *kingpin.Application, commands map[string]runFunc) {
	cmd := app.Command("check", "Probe targets. Print a summary line, and then the full report of one target or a table of several. "+
		"Exit codes are those of monitoring plugins. 0: all targets meet the requirements of the module. 1: a target does not, or has warnings, or would at the time of --at; senders deliver. "+
		"2: DANE or MTA-STS senders do not deliver to a target, or no server is reachable. 3: the result is unknown.")
	flags := newCheckFlags(cmd)
	commands[cmd.FullCommand()] = func(ctx context.Context) exitCode { return s.check(ctx, flags, internet{}) }
}

func newCheckFlags(cmd *kingpin.CmdClause) *checkFlags {
	f := new(checkFlags)
	cmd.Arg("target", "Mail domains, or what the module expects: host, host:port, or an IP address with --hostname.").StringsVar(&f.targets)
	cmd.Flag("targets-file", "File with more targets, one per line. - is standard input.").StringVar(&f.targetsFile)
	cmd.Flag("module", "Module of the configuration to probe with.").Default(config.DefaultModule).StringVar(&f.module)
	cmd.Flag("hostname", "Hostname of the server, if the target is an IP address.").StringVar(&f.hostname)
	cmd.Flag("at", "Additional time to judge the results for, such as +14d or 2030-01-31T12:00:00Z.").StringVar(&f.at)
	cmd.Flag("output", "Output format: text, json (one document per target), nagios (output of a monitoring plugin, with performance data), or prom (metrics for the textfile collector of node_exporter).").Default(outputText).EnumVar(&f.output, outputText, outputJSON, outputNagios, outputPrometheus)
	cmd.Flag("brief", "Print only the summary line and, of several targets, a line for each that is not OK. Only with --output=text.").BoolVar(&f.brief)
	cmd.Flag("self", "Check the exporter's own environment instead of targets: the resolvers, the trust anchors and, with --smtp-host, outgoing connections to port 25.").BoolVar(&f.self)
	cmd.Flag("smtp-host", "With --self: mail server to connect to on port 25, such as gmail-smtp-in.l.google.com.").StringVar(&f.smtpHost)
	cmd.Flag("config.file", helpConfigFile).StringVar(&f.configFile)
	return f
}

// check probes the targets that the flags name and writes the results.
func (s *session) check(ctx context.Context, f *checkFlags, env environment) exitCode {
	run := s.checkTargets
	if f.self {
		run = s.checkSelf
	}
	code, err := run(ctx, f, env)
	if err != nil {
		return s.failCheck(f, err)
	}
	return code
}

// failCheck reports an error that leaves a check without a result.
func (s *session) failCheck(f *checkFlags, err error) exitCode {
	switch {
	case s.stdout.err != nil: // run reports it
		return exitUnknown
	case f.output == outputNagios:
		return s.failPlugin(err)
	}
	s.printError(err)
	return exitUnknown
}

func (s *session) checkTargets(ctx context.Context, f *checkFlags, env environment) (exitCode, error) {
	switch {
	case f.smtpHost != "":
		return exitUnknown, errors.New("--smtp-host requires --self")
	case f.brief && f.output != outputText:
		return exitUnknown, errors.New("--brief cannot be combined with an --output other than text")
	}
	c, err := s.loadConfig(f.configFile)
	if err != nil {
		return exitUnknown, err
	}
	c = env.adjust(c)
	module, ok := c.Modules[f.module]
	if !ok {
		return exitUnknown, fmt.Errorf("unknown module %q; allowed: %s", f.module, strings.Join(slices.Sorted(maps.Keys(c.Modules)), ", "))
	}
	at, err := parseAt(f.at)
	if err != nil {
		return exitUnknown, err
	}
	targets, err := s.targets(f, module)
	if err != nil {
		return exitUnknown, err
	}
	if len(targets) == 1 && targets[0].err != nil {
		return exitUnknown, targets[0].err
	}
	prober, err := newProber(c, env)
	if err != nil {
		return exitUnknown, err
	}
	probeTarget := func(t checkTarget) checkResult {
		if t.err != nil {
			return checkResult{t, nil}
		}
		r := prober.ProbeUncached(ctx, t.target, module)
		if at != nil {
			r = r.JudgedAt(at.Time(r.Verdict.At))
		}
		return checkResult{t, r}
	}
	out := s.newOutput(f.output, f.brief, len(targets))
	worst := exitOK
	for r := range parallelMap(targets, probeTarget) {
		if ctx.Err() != nil {
			return exitUnknown, fmt.Errorf("check: %w", ctx.Err())
		}
		var err error
		if r.report == nil {
			worst, err = worse(worst, exitUnknown), out.addInvalid(r.text, r.err)
		} else {
			worst, err = worse(worst, exitCodeOf(r.report)), out.add(r.report)
		}
		if err != nil {
			return exitUnknown, err
		}
	}
	return worst, out.flush()
}

// parseAt parses --at. It returns nil if the flag is not set.
func parseAt(text string) (*report.At, error) {
	if text == "" {
		return nil, nil
	}
	at, err := report.ParseAt(text)
	if err != nil {
		return nil, fmt.Errorf("--at: %w", err)
	}
	return &at, nil
}

// maxTargets is the number of targets that one check accepts.
const maxTargets = 100_000

// checkTarget is a target of a check, or a text that is not a valid target.
type checkTarget struct {
	text   string
	target probe.Target
	err    error // why text is not a target
}

// checkResult is the report of a target; nil if the target is invalid.
type checkResult struct {
	checkTarget
	report *probe.Report
}

// targets returns the targets of the arguments, then those of the file, each once: names that
// differ only in case, a final dot or the module's port are one target.
func (s *session) targets(f *checkFlags, module probe.Module) ([]checkTarget, error) {
	texts := f.targets
	if f.targetsFile != "" {
		more, err := s.readTargets(f.targetsFile)
		if err != nil {
			return nil, err
		}
		texts = append(texts, more...)
	}
	if len(texts) == 0 {
		return nil, errors.New("nothing to check: a target, --targets-file or --self is required")
	}
	var targets []checkTarget
	seen := make(map[probe.Target]bool)
	for _, text := range texts {
		target, err := probe.ParseTarget(text, f.hostname, module)
		key := probe.Target{Name: target.Name, Address: target.Address, Port: cmp.Or(target.Port, module.Port)}
		if err != nil {
			key = probe.Target{Asked: text}
		}
		if !seen[key] {
			seen[key] = true
			targets = append(targets, checkTarget{text, target, err})
		}
	}
	return targets, nil
}

// readTargets reads a file of targets, one per line. "-" is standard input. Empty
// lines and comments, which start with #, are ignored.
func (s *session) readTargets(path string) ([]string, error) {
	in := s.stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read targets: %w", err)
		}
		defer file.Close()
		in = file
	}
	targets, err := scanTargets(in)
	if err != nil {
		return nil, fmt.Errorf("read targets from %s: %w", path, err)
	}
	return targets, nil
}

// maxTargetLine is the part of a line, in bytes, that is read. It is longer than
// any name; a longer line is an invalid target, and the rest of the file is read.
const maxTargetLine = 64 << 10

func scanTargets(r io.Reader) ([]string, error) {
	const byteOrderMark = "\ufeff"
	var targets []string
	lines := bufio.NewReaderSize(r, maxTargetLine)
	for number := 0; ; number++ {
		line, more, err := lines.ReadLine()
		text := string(line)
		for more && err == nil {
			_, more, err = lines.ReadLine()
		}
		if err == io.EOF {
			return targets, nil
		}
		if err != nil {
			return nil, err
		}
		if number == 0 {
			text = strings.TrimPrefix(text, byteOrderMark)
		}
		text, _, _ = strings.Cut(text, "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if len(targets) == maxTargets {
			return nil, fmt.Errorf("more than %d targets", maxTargets)
		}
		targets = append(targets, text)
	}
}

// checkConcurrency is the number of targets that are probed at the same time. It
// is high enough that silent servers delay a check little, and low enough for a
// small machine and its resolver.
const checkConcurrency = 16

// parallelMap calls f for all inputs, checkConcurrency at a time, and yields the
// results in the order of the inputs. If the loop is left early, calls that have
// started are waited for, and no others start.
func parallelMap[In, Out any](inputs []In, f func(In) Out) iter.Seq[Out] {
	return func(yield func(Out) bool) {
		results := make([]chan Out, len(inputs))
		for i := range results {
			results[i] = make(chan Out, 1)
		}
		stop := make(chan struct{})
		var started sync.WaitGroup
		defer started.Wait()
		defer close(stop)
		started.Go(func() {
			slots := make(chan struct{}, checkConcurrency)
			for i, input := range inputs {
				select {
				case slots <- struct{}{}:
				case <-stop:
					return
				}
				started.Go(func() {
					results[i] <- f(input)
					<-slots
				})
			}
		})
		for _, result := range results {
			if !yield(<-result) {
				return
			}
		}
	}
}
