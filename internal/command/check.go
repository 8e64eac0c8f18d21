package command

import (
	"context"
	"errors"
	"fmt"
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

// flagged is what flags and arguments can be added to.
type flagged interface {
	Flag(name, help string) *kingpin.FlagClause
	Arg(name, help string) *kingpin.ArgClause
}

func (s *session) addCheck(app *kingpin.Application, commands map[string]command) {
	cmd := app.Command("check", "Probe targets now: the whole story of one, a table of several. "+
		"Exits as monitoring plugins do: 0 all meet what the module requires; 1 they do, with findings, or not at the moment of --at; "+
		"2 some do not; 3 that could not be found out.")
	flags := newCheckFlags(cmd)
	commands[cmd.FullCommand()] = func(ctx context.Context) int { return s.check(ctx, flags, internet{}) }
}

func newCheckFlags(cmd flagged) *checkFlags {
	f := new(checkFlags)
	cmd.Arg("target", "Mail domains, or whatever the module asks for: host, host:port, or an address with --hostname.").StringsVar(&f.targets)
	cmd.Flag("targets-file", "A file with further targets, one a line; - is standard input.").StringVar(&f.targetsFile)
	cmd.Flag("module", "The module of the configuration to probe with.").Default(config.DefaultModule).StringVar(&f.module)
	cmd.Flag("hostname", "The name to judge a target by that is an address.").StringVar(&f.hostname)
	cmd.Flag("at", "A moment to judge the same facts for as well, as +14d or 2030-01-31T12:00:00Z.").StringVar(&f.at)
	cmd.Flag("output", "What to write: text, json (a document for each target), or nagios (one line, with performance data).").Default(outputText).EnumVar(&f.output, outputText, outputJSON, outputNagios)
	cmd.Flag("self", "Check this side instead: the resolvers, and with --smtp-host the way to port 25.").BoolVar(&f.self)
	cmd.Flag("smtp-host", "With --self: a mail server to meet on port 25, as gmail-smtp-in.l.google.com. Without it none is.").StringVar(&f.smtpHost)
	cmd.Flag("config.file", "Path of the configuration file. Without it, the built-in configuration is in force.").StringVar(&f.configFile)
	return f
}

// check probes what the flags name, and writes what came out.
func (s *session) check(ctx context.Context, f *checkFlags, where surroundings) int {
	do := s.checkTargets
	if f.self {
		do = s.checkSelf
	}
	result, err := do(ctx, f, where)
	if err != nil {
		s.complain(err)
		return exitUnknown
	}
	return int(result)
}

func (s *session) checkTargets(ctx context.Context, f *checkFlags, where surroundings) (state, error) {
	if f.smtpHost != "" {
		return stateUnknown, errors.New("--smtp-host goes with --self")
	}
	c, err := s.load(f.configFile)
	if err != nil {
		return stateUnknown, err
	}
	c = where.adapt(c)
	module, ok := c.Modules[f.module]
	if !ok {
		return stateUnknown, fmt.Errorf("there is no module %q", f.module)
	}
	at, err := momentOf(f.at)
	if err != nil {
		return stateUnknown, err
	}
	targets, err := s.targets(f, module)
	if err != nil {
		return stateUnknown, err
	}
	prober, err := newProber(c, where, func(transport.Event) {})
	if err != nil {
		return stateUnknown, err
	}
	ask := func(target probe.Target) *probe.Report {
		found := prober.ProbeUncached(ctx, target, module)
		if at != nil {
			found = found.JudgedAt(at.Time(found.Verdict.At))
		}
		return found
	}
	out := s.newOutput(f.output, len(targets))
	worst := stateOK
	for found := range inOrder(targets, ask) {
		if ctx.Err() != nil {
			return stateUnknown, fmt.Errorf("check: %w", ctx.Err())
		}
		worst = worse(worst, stateOf(found))
		if err := out.add(found); err != nil {
			return stateUnknown, err
		}
	}
	return worst, out.end()
}

// momentOf reads --at; nil where it is not given.
func momentOf(text string) (*report.At, error) {
	if text == "" {
		return nil, nil
	}
	at, err := report.ParseAt(text)
	if err != nil {
		return nil, fmt.Errorf("--at: %w", err)
	}
	return &at, nil
}

// atOnce is how many targets are probed at the same time: enough for silent
// servers to cost little, few enough for a small machine and its resolver.
const atOnce = 16

// inOrder does the same with many targets, some at a time, and yields what comes
// out in their order. It leaves nothing running behind.
func inOrder[In, Out any](all []In, do func(In) Out) func(yield func(Out) bool) {
	return func(yield func(Out) bool) {
		results := make([]chan Out, len(all))
		for i := range results {
			results[i] = make(chan Out, 1)
		}
		stop := make(chan struct{})
		var started sync.WaitGroup
		defer started.Wait()
		defer close(stop)
		started.Go(func() {
			places := make(chan struct{}, atOnce)
			for i, one := range all {
				select {
				case places <- struct{}{}:
				case <-stop:
					return
				}
				started.Go(func() {
					results[i] <- do(one)
					<-places
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
