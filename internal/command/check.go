package command

import (
	"context"
	"fmt"

	"github.com/alecthomas/kingpin/v2"

	"dane_exporter/internal/config"
	"dane_exporter/internal/report"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec/transport"
)

// checkFlags are the flags of check.
type checkFlags struct {
	target, module, hostname, at, configFile string
}

// flagged is what flags and arguments can be added to.
type flagged interface {
	Flag(name, help string) *kingpin.FlagClause
	Arg(name, help string) *kingpin.ArgClause
}

func (s *session) addCheck(app *kingpin.Application, commands map[string]command) {
	cmd := app.Command("check", "Probe one target now and tell the whole story. Exits with 0 if it meets what the module requires, else with 2.")
	flags := newCheckFlags(cmd)
	commands[cmd.FullCommand()] = func(ctx context.Context) int { return s.check(ctx, flags, internet{}) }
}

func newCheckFlags(cmd flagged) *checkFlags {
	f := new(checkFlags)
	cmd.Arg("target", "A mail domain, or whatever the module asks for: host, host:port, or an address with --hostname.").Required().StringVar(&f.target)
	cmd.Flag("module", "The module of the configuration to probe with.").Default(config.DefaultModule).StringVar(&f.module)
	cmd.Flag("hostname", "The name to judge a target by that is an address.").StringVar(&f.hostname)
	cmd.Flag("at", "A moment to judge the same facts for as well, as +14d or 2030-01-31T12:00:00Z.").StringVar(&f.at)
	cmd.Flag("config.file", "Path of the configuration file. Without it, the built-in configuration is in force.").StringVar(&f.configFile)
	return f
}

// check probes one target and writes the report.
func (s *session) check(ctx context.Context, f *checkFlags, where surroundings) int {
	found, err := s.probeOnce(ctx, f, where)
	if err == nil {
		err = report.Text(s.stdout, found)
	}
	switch {
	case err != nil:
		s.complain(err)
		return exitUnknown
	case found.Verdict.Success:
		return exitOK
	default:
		return exitCritical
	}
}

func (s *session) probeOnce(ctx context.Context, f *checkFlags, where surroundings) (*probe.Report, error) {
	c, err := s.load(f.configFile)
	if err != nil {
		return nil, err
	}
	c = where.adapt(c)
	module, ok := c.Modules[f.module]
	if !ok {
		return nil, fmt.Errorf("there is no module %q", f.module)
	}
	target, err := probe.ParseTarget(f.target, f.hostname, module)
	if err != nil {
		return nil, err
	}
	var at *probe.Moment
	if f.at != "" {
		moment, err := probe.ParseMoment(f.at)
		if err != nil {
			return nil, fmt.Errorf("--at: %w", err)
		}
		at = &moment
	}
	prober, err := newProber(c, where, func(transport.Event) {})
	if err != nil {
		return nil, err
	}
	found := prober.Probe(ctx, target, module)
	if at != nil {
		found = found.JudgedAt(at.From(found.Verdict.At))
	}
	return found, nil
}
