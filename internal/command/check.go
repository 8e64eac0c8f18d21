package command

import (
	"bufio"
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
	"dane_exporter/probe/dnssec/transport"
)

// checkFlags are the flags of check.
type checkFlags struct {
	targets                      []string
	targetsFile                  string
	module, hostname, at, output string
	self                         bool
	smtpHost                     string
	configFile                   string
}

func (s *session) addCheck(app *kingpin.Application, commands map[string]runFunc) {
	cmd := app.Command("check", "Probe targets and print a full report for one target, or a table for several. "+
		"Exit codes are those of monitoring plugins. 0: all targets meet the requirements of the module. 1: they do, but with warnings, or not at the time of --at. "+
		"2: a target does not. 3: the result is unknown.")
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
	cmd.Flag("output", "Output format: text, json (one document per target), or nagios (one line with performance data).").Default(outputText).EnumVar(&f.output, outputText, outputJSON, outputNagios)
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
		s.printError(err)
		return exitUnknown
	}
	return code
}

func (s *session) checkTargets(ctx context.Context, f *checkFlags, env environment) (exitCode, error) {
	if f.smtpHost != "" {
		return exitUnknown, errors.New("--smtp-host requires --self")
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
	prober, err := newProber(c, env, func(transport.Event) {})
	if err != nil {
		return exitUnknown, err
	}
	probeTarget := func(target probe.Target) *probe.Report {
		r := prober.ProbeUncached(ctx, target, module)
		if at != nil {
			r = r.JudgedAt(at.Time(r.Verdict.At))
		}
		return r
	}
	out := s.newOutput(f.output, len(targets))
	worst := exitOK
	for r := range parallelMap(targets, probeTarget) {
		if ctx.Err() != nil {
			return exitUnknown, fmt.Errorf("check: %w", ctx.Err())
		}
		worst = worse(worst, exitCodeOf(r))
		if err := out.add(r); err != nil {
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

// targets returns the targets of the arguments, then those of the file. The error
// names every invalid target.
func (s *session) targets(f *checkFlags, module probe.Module) ([]probe.Target, error) {
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
	var targets []probe.Target
	var invalid []error
	for _, text := range texts {
		target, err := probe.ParseTarget(text, f.hostname, module)
		if err != nil {
			invalid = append(invalid, err)
			continue
		}
		targets = append(targets, target)
	}
	return targets, errors.Join(invalid...)
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

func scanTargets(r io.Reader) ([]string, error) {
	var targets []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if len(targets) == maxTargets {
			return nil, fmt.Errorf("more than %d targets", maxTargets)
		}
		targets = append(targets, text)
	}
	return targets, lines.Err()
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
