package command

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"dane_exporter/internal/config"
	"dane_exporter/internal/lab"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec/transport"
)

func (s *session) addLab(app *kingpin.Application, commands map[string]command) {
	top := app.Command("lab", "Do the same inside a small Internet of this process, in which everything that can go wrong does.")

	serving := top.Command("serve", "Serve metrics of the lab's domains.").Default()
	serveFlags := newServeFlags(serving)
	control := serving.Flag("lab.control-address", "Address of a second listener, where POST /break?scenario=good&fault=new-certificate breaks a domain while the lab runs.").String()
	commands[serving.FullCommand()] = s.inLab(func(ctx context.Context, where labWorld) int {
		listScenarios(s.stdout)
		end, err := s.control(*control, where.lab)
		if err != nil {
			s.complain(err)
			return exitError
		}
		defer end()
		return s.serve(ctx, serveFlags, where)
	})

	checking := top.Command("check", "Probe the lab's domains and tell the story.")
	checkFlags := newCheckFlags(checking)
	commands[checking.FullCommand()] = s.inLab(func(ctx context.Context, where labWorld) int {
		return s.check(ctx, checkFlags, where)
	})

	making := top.Command("tlsa", "Make the TLSA records of one of the lab's servers.")
	tlsaFlags := newTLSAFlags(making)
	commands[making.FullCommand()] = s.inLab(func(ctx context.Context, where labWorld) int {
		return s.tlsa(ctx, tlsaFlags, where)
	})

	listing := top.Command("list", "List the lab's domains and what is the case with each.")
	commands[listing.FullCommand()] = func(context.Context) int {
		listScenarios(s.stdout)
		return exitOK
	}
}

// inLab builds the lab around a command.
func (s *session) inLab(do func(context.Context, labWorld) int) command {
	return func(ctx context.Context) int {
		l, err := lab.New(time.Now)
		if err != nil {
			s.complain(err)
			return exitError
		}
		defer l.Close()
		s.modules = lab.Modules
		return do(ctx, labWorld{l})
	}
}

func listScenarios(w io.Writer) {
	fmt.Fprintf(w, "The lab's domains, the module to probe each with, and what comes out:\n\n")
	for _, scenario := range lab.Scenarios() {
		fmt.Fprintf(w, "%-38s %-15s %s\n    %s\n", scenario.Target(), scenario.Module, scenario.Outcome, scenario.Description)
	}
	fmt.Fprintf(w, "\nThe lab has modules of its own beside the built-in ones:\n%s", lab.Modules)
	fmt.Fprintf(w, "\nFor instance: dane_exporter lab check tlsa-mismatch.lab.test\n"+
		"or of a lab that serves: /probe?target=tlsa-mismatch.lab.test&module=smtp_mx&debug=true\n\n")
}

// labWorld is the small Internet in this process.
type labWorld struct{ lab *lab.Lab }

// adapt allows the addresses of the lab's servers, which are special-purpose.
// Handshakes are not reused: what is broken while the lab runs shows at once.
func (labWorld) adapt(c *config.Config) *config.Config {
	adapted := *c
	adapted.Access.AllowNetworks = slices.Concat(c.Access.AllowNetworks, lab.Networks())
	adapted.Limits.HandshakeReuse = 0
	return &adapted
}

func (w labWorld) world(config.Resolver, func(transport.Event)) (probe.Environment, error) {
	return probe.Environment{
		Now:     time.Now,
		Dial:    w.lab.Dial,
		DNS:     w.lab.DNS(),
		Query:   w.lab.Query,
		Anchors: w.lab.Anchors(),
		Roots:   w.lab.Roots(),
	}, nil
}
