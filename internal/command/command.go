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
	"regexp"
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
	defaultConfig []byte   // the built-in configuration, as YAML
	labModules    string   // the lab's additional modules, as YAML; empty outside of the lab
	lab           *lab.Lab // used by lab commands; if nil, each creates one
	stdin         io.Reader
	stdout        *outputWriter
	stderr        io.Writer
	getenv        func(string) string
	logging       promslog.Config
	flags         []flagValue // of all commands
}

// runFunc runs one command whose flags were parsed.
type runFunc func(context.Context) exitCode

// Run runs the program with the command line args and returns its exit code.
// SIGINT and SIGTERM shut it down gracefully. defaultConfig is the built-in
// configuration.
func Run(args []string, defaultConfig []byte, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := newSession(defaultConfig, stdout, stderr)
	return int(s.run(ctx, args))
}

func newSession(defaultConfig []byte, stdout, stderr io.Writer) *session {
	return &session{defaultConfig: defaultConfig, stdin: os.Stdin, stdout: &outputWriter{w: stdout}, stderr: stderr, getenv: os.Getenv}
}

// RunInLab is Run for lab commands in an existing lab. It does not handle signals, and
// does not close l.
func RunInLab(ctx context.Context, l *lab.Lab, args []string, defaultConfig []byte, stdout, stderr io.Writer) int {
	s := newSession(defaultConfig, stdout, stderr)
	s.lab = l
	return int(s.run(ctx, args))
}

// run runs a command, and returns its exit code. Output that cannot be written is
// an error of every command.
func (s *session) run(ctx context.Context, args []string) exitCode {
	name, code := s.runCommand(ctx, args)
	if s.stdout.err == nil {
		return code
	}
	s.printError(fmt.Errorf("write standard output: %w", s.stdout.err))
	switch name {
	case "check", "tlsa", "lab check", "lab tlsa":
		return exitUnknown
	default:
		return exitError
	}
}

// runCommand runs the command of args, and returns its name and its exit code.
func (s *session) runCommand(ctx context.Context, args []string) (string, exitCode) {
	terminated := false // by --help or --version
	app := kingpin.New("dane_exporter", "Prometheus exporter that reports what a DANE client would do with a mail domain or TLS service, and why it would refuse.").
		Version(version.Print("dane_exporter")).
		UsageWriter(s.stdout.forUsage()).
		ErrorWriter(s.stderr).
		Terminate(func(int) { terminated = true })
	app.HelpFlag.Short('h')
	promslogflag.AddFlags(app, &s.logging)
	s.logging.Writer = s.stderr
	s.flags = flagsOf(app, app.Model().FlagGroupModel)

	commands := make(map[string]runFunc)
	s.addServe(app, commands)
	s.addCheck(app, commands)
	s.addTLSA(app, commands)
	s.addLab(app, commands)
	s.addHealthy(app, commands)

	name, err := app.Parse(joinDashes(args))
	switch {
	case terminated:
		return name, exitOK
	case err != nil && requestsNagios(args):
		return name, s.failPlugin(fmt.Errorf("%w; see --help", err))
	case err != nil:
		s.printError(fmt.Errorf("%w; see --help", err))
		return name, exitUnknown
	}
	return name, commands[name](ctx)
}

// requestsNagios reports whether an invalid command line asks for the output of a
// monitoring plugin.
func requestsNagios(args []string) bool {
	for i, arg := range args {
		if arg == "--output="+outputNagios || arg == "--output" && i+1 < len(args) && args[i+1] == outputNagios {
			return true
		}
	}
	return false
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

// loadConfig reads the configuration file at path, and the files with secrets that it names.
// If path is empty, it returns the defaults.
func (s *session) loadConfig(path string) (*config.Config, error) {
	defaults, err := s.defaults()
	if err != nil {
		return nil, err
	}
	c, err := config.Load(path, defaults)
	if err != nil {
		return nil, err
	}
	return c.WithSecrets(s.warnOfSecret)
}

// warnOfSecret logs that a file with a secret is not protected.
func (s *session) warnOfSecret(path string) {
	s.logger().Warn("Every user of this machine may read or change a file with a secret", "file", path)
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
// Passwords of URLs, which errors quote, are replaced.
func (s *session) printError(err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(s.stderr, "dane_exporter: "+sanitize(line))
	}
}

// urlPassword matches the password of a URL, from what precedes it to the last @.
var urlPassword = regexp.MustCompile(`(://[^\s/:@]*:)\S*@`)

// maskPasswords replaces the passwords of URLs in a text.
func maskPasswords(text string) string { return urlPassword.ReplaceAllString(text, "${1}***@") }

// outputWriter is the standard output. It keeps the first error of a write, after
// which all writes fail.
type outputWriter struct {
	w   io.Writer
	err error
}

func (o *outputWriter) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	o.err = err
	return n, err
}

// forUsage returns the writer of the help, which must be the terminal itself for
// lines of its width.
func (o *outputWriter) forUsage() io.Writer {
	if isTerminal(o.w) {
		return o.w
	}
	return usageWriter{o}
}

// usageWriter reports no error, because kingpin would panic. The outputWriter keeps it.
type usageWriter struct{ o *outputWriter }

func (u usageWriter) Write(p []byte) (int, error) {
	_, _ = u.o.Write(p)
	return len(p), nil
}
