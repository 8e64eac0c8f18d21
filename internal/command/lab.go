package command

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"dane_exporter/internal/config"
	"dane_exporter/internal/lab"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

func (s *session) addLab(app *kingpin.Application, commands map[string]runFunc) {
	labCmd := app.Command("lab", "Run a command in the lab: a small signed Internet inside this process, with working and broken domains.")

	serveCmd := labCmd.Command("serve", "Serve metrics of the lab's domains (default command).").Default()
	serveFlags := newServeFlags(serveCmd)
	controlAddress := serveCmd.Flag("lab.control-address", "Address of a second listener, where POST /break?scenario=good&fault=new-certificate breaks a domain of the running lab.").String()
	commands[serveCmd.FullCommand()] = s.inLab(s.fail, func(ctx context.Context, env labEnvironment) exitCode {
		listScenarios(s.stdout)
		if s.stdout.err != nil {
			return exitError
		}
		stop, err := s.serveControl(*controlAddress, env.lab)
		if err != nil {
			return s.fail(err)
		}
		defer stop()
		return s.serve(ctx, serveFlags, env)
	})

	checkCmd := labCmd.Command("check", "Probe domains of the lab and print the results.")
	checkFlags := newCheckFlags(checkCmd)
	checkFailed := func(err error) exitCode { return s.failCheck(checkFlags, err) }
	commands[checkCmd.FullCommand()] = s.inLab(checkFailed, func(ctx context.Context, env labEnvironment) exitCode {
		return s.check(ctx, checkFlags, env)
	})

	tlsaCmd := labCmd.Command("tlsa", "Generate TLSA records for a server of the lab.")
	tlsaFlags := newTLSAFlags(tlsaCmd)
	commands[tlsaCmd.FullCommand()] = s.inLab(s.failTLSA, func(ctx context.Context, env labEnvironment) exitCode {
		return s.tlsa(ctx, tlsaFlags, env)
	})

	listCmd := labCmd.Command("list", "List the lab's domains and their outcomes.")
	commands[listCmd.FullCommand()] = func(context.Context) exitCode {
		listScenarios(s.stdout)
		return exitOK
	}
}

// inLab returns a command that runs in the lab of the session, or else in a new lab. It
// calls failed if the lab cannot be created.
func (s *session) inLab(failed func(error) exitCode, run func(context.Context, labEnvironment) exitCode) runFunc {
	return func(ctx context.Context) exitCode {
		s.labModules = lab.Modules
		if s.lab != nil {
			return run(ctx, labEnvironment{s.lab})
		}
		l, err := lab.New(time.Now)
		if err != nil {
			return failed(err)
		}
		defer l.Close()
		return run(ctx, labEnvironment{l})
	}
}

func listScenarios(w io.Writer) {
	fmt.Fprintf(w, "Domains of the lab, with the module to probe each with and its outcome:\n\n")
	for _, scenario := range lab.Scenarios() {
		fmt.Fprintf(w, "%-38s %-15s %s\n    %s\n", scenario.Target(), scenario.Module, scenario.Outcome, scenario.Description)
	}
	fmt.Fprintf(w, "\nAdditional modules of the lab:\n%s", lab.Modules)
	fmt.Fprintf(w, "\nFor example, run: dane_exporter lab check tlsa-mismatch.lab.test\n"+
		"or, while the lab serves, request: /probe?target=tlsa-mismatch.lab.test&module=smtp_mx&debug=true\n\n")
}

// serveControl listens on address for requests that break domains of the lab. If
// address is empty, it does nothing. stop closes the listener.
func (s *session) serveControl(address string, l *lab.Lab) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--lab.control-address: %w", err)
	}
	server := &http.Server{Handler: controlHandler(l), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	fmt.Fprintf(s.stdout, "To break a domain: curl -X POST 'http://%s/break?scenario=good&fault=new-certificate'; faults: %q\n\n", listener.Addr(), lab.Faults())
	return func() { _ = server.Close() }, nil
}

// controlHandler handles POST /break?scenario=NAME&fault=FAULT.
func controlHandler(l *lab.Lab) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /break", func(w http.ResponseWriter, r *http.Request) {
		scenario, fault := r.URL.Query().Get("scenario"), lab.Fault(r.URL.Query().Get("fault"))
		if err := l.Break(scenario, fault); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%s: %s\n", scenario, fault)
	})
	return mux
}

// labEnvironment is the environment of commands in the lab.
type labEnvironment struct{ lab *lab.Lab }

// adjust allows the addresses of the lab's servers, which are special-purpose
// addresses. It disables the reuse of handshakes, so that a domain that is broken
// while the lab runs shows it in the next probe.
func (labEnvironment) adjust(c *config.Config) *config.Config {
	adjusted := c.From("the lab", "access.allow_networks", "limits.handshake_reuse")
	adjusted.Access.AllowNetworks = slices.Concat(c.Access.AllowNetworks, lab.Networks())
	adjusted.Limits.HandshakeReuse = 0
	return adjusted
}

func (e labEnvironment) build() probe.Environment {
	return probe.Environment{Now: time.Now, Dial: e.lab.Dial, Query: e.lab.Query, Roots: e.lab.Roots()}
}

// The lab has its own resolver and trust anchors, and reads no files.
func (e labEnvironment) transport(probe.ResolverSettings, *x509.CertPool, func(transport.Event)) (dnssec.Transport, error) {
	return e.lab.DNS(), nil
}

func (e labEnvironment) anchors(probe.ResolverSettings) ([]dnssec.Anchor, error) {
	return e.lab.Anchors(), nil
}
func (labEnvironment) files(*config.Config) []string    { return nil }
func (labEnvironment) resolvConf(*config.Config) string { return "" }
