// Package command is the command line of the program: commands, flags, signals
// and exit codes.
//
// Each command has a file: serve.go, check.go, tlsa.go, lab.go and healthy.go.
// A command builds a [probe.Prober] from the configuration and an environment,
// which is either the Internet or the lab (environment.go).
package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"

	"dane_exporter/internal/config"
	"dane_exporter/internal/lab"
)

// session is one run of the program.
type session struct {
	defaultConfig  []byte   // the built-in configuration, as YAML
	labModules     string   // the lab's additional modules, as YAML; empty outside of the lab
	lab            *lab.Lab // used by lab commands; if nil, each creates one
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	logging        promslog.Config
}

// runFunc runs one command whose flags were parsed.
type runFunc func(context.Context) exitCode

// Run runs the program with the command line args and returns its exit code.
// SIGINT and SIGTERM shut it down gracefully. defaultConfig is the built-in
// configuration.
func Run(args []string, defaultConfig []byte, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := &session{defaultConfig: defaultConfig, stdin: os.Stdin, stdout: stdout, stderr: stderr, getenv: os.Getenv}
	return int(s.run(ctx, args))
}

// RunInLab is Run for lab commands in an existing lab. It does not handle signals, and
// does not close l.
func RunInLab(ctx context.Context, l *lab.Lab, args []string, defaultConfig []byte, stdout, stderr io.Writer) int {
	s := &session{defaultConfig: defaultConfig, lab: l, stdin: os.Stdin, stdout: stdout, stderr: stderr, getenv: os.Getenv}
	return int(s.run(ctx, args))
}

func (s *session) run(ctx context.Context, args []string) exitCode {
	terminated := false // by --help or --version
	app := kingpin.New("dane_exporter", "Prometheus exporter that reports what a DANE client would do with a mail domain or TLS service, and why it would refuse.").
		Version(version.Print("dane_exporter")).
		UsageWriter(s.stdout).
		ErrorWriter(s.stderr).
		Terminate(func(int) { terminated = true })
	app.HelpFlag.Short('h')
	promslogflag.AddFlags(app, &s.logging)
	s.logging.Writer = s.stderr

	commands := make(map[string]runFunc)
	s.addServe(app, commands)
	s.addCheck(app, commands)
	s.addTLSA(app, commands)
	s.addLab(app, commands)
	s.addHealthy(app, commands)

	name, err := app.Parse(joinDashes(args))
	switch {
	case terminated:
		return exitOK
	case err != nil:
		fmt.Fprintf(s.stderr, "dane_exporter: %v; see --help\n", err)
		return exitUnknown
	}
	return commands[name](ctx)
}

// joinDashes replaces "--flag -" by "--flag=-", because kingpin drops a single
// dash that is a flag's value.
func joinDashes(args []string) []string {
	var joined []string
	for _, arg := range args {
		if last := len(joined) - 1; arg == "-" && last >= 0 && strings.HasPrefix(joined[last], "--") {
			joined[last] += "=-"
			continue
		}
		joined = append(joined, arg)
	}
	return joined
}

func (s *session) logger() *slog.Logger { return promslog.New(&s.logging) }

// loadConfig reads the configuration file at path. If path is empty, it returns
// the defaults.
func (s *session) loadConfig(path string) (*config.Config, error) {
	defaults, err := s.defaults()
	if err != nil {
		return nil, err
	}
	return config.Load(path, defaults)
}

// defaults returns the configuration that is used without a file. In the lab, it
// has the lab's modules.
func (s *session) defaults() (*config.Config, error) {
	defaults, err := config.Defaults(s.defaultConfig)
	if err != nil || s.labModules == "" {
		return defaults, err
	}
	return config.Parse("the lab's modules", []byte(s.labModules), defaults)
}

// printError writes err to standard error, one line for each joined error.
func (s *session) printError(err error) {
	fmt.Fprintln(s.stderr, "dane_exporter: "+strings.ReplaceAll(err.Error(), "\n", "\ndane_exporter: "))
}
