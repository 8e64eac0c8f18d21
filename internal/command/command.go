// Package command is the program as its user sees it: commands, flags, signals
// and exit codes. Each command has a file; what they share is how a Prober is
// made of a configuration and of the surroundings that it works in.
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

// Exit codes; check's are those of monitoring plugins.
const (
	exitOK       = 0
	exitError    = 1 // serve, lab: what was asked for could not be done
	exitWarning  = 1 // check: the target meets what its module requires, and there is something to look at
	exitCritical = 2 // check: the target does not meet what its module requires
	exitUnknown  = 3 // check: that could not be found out
)

// session is one run of the program.
type session struct {
	example        []byte   // the default configuration
	modules        string   // of the lab, beside those; empty outside
	lab            *lab.Lab // lab commands use this one; nil: each starts its own
	stdin          io.Reader
	stdout, stderr io.Writer
	environment    func(string) string
	logging        promslog.Config
}

// command does what one command line asks for, and returns the exit code.
type command func(context.Context) int

// Run does what args say and returns the exit code. It ends early, and in good
// order, on SIGINT and SIGTERM. example is the default configuration.
func Run(args []string, example []byte, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := &session{example: example, stdin: os.Stdin, stdout: stdout, stderr: stderr, environment: os.Getenv}
	return s.run(ctx, args)
}

// RunInLab is Run for commands of the lab, over a lab that the caller has
// started. It starts no lab and does not close l.
func RunInLab(ctx context.Context, l *lab.Lab, args []string, example []byte, stdout, stderr io.Writer) int {
	s := &session{example: example, lab: l, stdin: os.Stdin, stdout: stdout, stderr: stderr, environment: os.Getenv}
	return s.run(ctx, args)
}

func (s *session) run(ctx context.Context, args []string) int {
	answered := false // by the parser itself: --help, --version
	app := kingpin.New("dane_exporter", "Says what a DANE client would do with a mail domain or TLS service, and why it would refuse.").
		Version(version.Print("dane_exporter")).
		UsageWriter(s.stdout).
		ErrorWriter(s.stderr).
		Terminate(func(int) { answered = true })
	app.HelpFlag.Short('h')
	promslogflag.AddFlags(app, &s.logging)
	s.logging.Writer = s.stderr

	commands := make(map[string]command)
	s.addServe(app, commands)
	s.addCheck(app, commands)
	s.addTLSA(app, commands)
	s.addLab(app, commands)
	s.addHealthy(app, commands)

	chosen, err := app.Parse(withDashes(args))
	switch {
	case answered:
		return exitOK
	case err != nil:
		fmt.Fprintf(s.stderr, "dane_exporter: %v; --help tells what there is\n", err)
		return exitUnknown
	}
	return commands[chosen](ctx)
}

// withDashes writes "--flag -" as "--flag=-": of a dash that stands alone, the
// parser keeps nothing.
func withDashes(args []string) []string {
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

// load reads the configuration file at path, or the defaults where path is empty.
func (s *session) load(path string) (*config.Config, error) {
	defaults, err := s.defaults()
	if err != nil {
		return nil, err
	}
	return config.Load(path, defaults)
}

// defaults are the configuration without a file: in the lab with its modules.
func (s *session) defaults() (*config.Config, error) {
	defaults, err := config.Defaults(s.example)
	if err != nil || s.modules == "" {
		return defaults, err
	}
	return config.Parse("the lab's modules", []byte(s.modules), defaults)
}

// complain tells of an error, one line for each of several.
func (s *session) complain(err error) {
	fmt.Fprintln(s.stderr, "dane_exporter: "+strings.ReplaceAll(err.Error(), "\n", "\ndane_exporter: "))
}
