package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dane_exporter/internal/config"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

// checkSelf checks what probes depend on at this side: the resolvers, the trust
// anchors, and outgoing connections to port 25. For the last it connects to the
// server of --smtp-host, and to no other.
func (s *session) checkSelf(ctx context.Context, f *checkFlags, env environment) (exitCode, error) {
	if len(f.targets) > 0 || f.targetsFile != "" || f.output != outputText {
		return exitUnknown, errors.New("--self cannot be combined with targets, or with an --output other than text")
	}
	c, err := s.loadConfig(f.configFile)
	if err != nil {
		return exitUnknown, err
	}
	c = env.adjust(c)
	prober, err := newProber(c, env)
	if err != nil {
		return exitUnknown, err
	}
	out := selfCheckOutput{s, colourFor(s.stdout.w, s.getenv)}
	code := exitOK
	var checked []*dnssec.Resolver
	for _, module := range slices.Sorted(maps.Keys(c.Resolvers())) {
		if resolver := prober.Resolver(module); !slices.Contains(checked, resolver) {
			checked = append(checked, resolver)
			code = worse(code, out.resolvers(module, resolver.SelfCheck(ctx)))
		}
	}
	if f.smtpHost == "" {
		out.line(exitOK, "port 25: not tested; set --smtp-host to a mail server, such as gmail-smtp-in.l.google.com")
		return code, nil
	}
	module := c.Modules[config.DefaultModule]
	module.Discover, module.Protocol, module.Port = probe.DiscoverNone, "smtp", 25
	module.MTASTS, module.Nameservers = false, false
	target, err := probe.ParseTarget(f.smtpHost, "", module)
	if err != nil {
		return exitUnknown, fmt.Errorf("--smtp-host: %w", err)
	}
	return worse(code, out.mailServer(prober.ProbeUncached(ctx, target, module))), nil
}

// selfCheckOutput writes the lines of check --self.
type selfCheckOutput struct {
	*session
	colour colour
}

func (o selfCheckOutput) line(code exitCode, format string, args ...any) {
	fmt.Fprintf(o.stdout, "%s  %s\n", o.colour.byCode(code, fmt.Sprintf("%-8s", code)), sanitize(fmt.Sprintf(format, args...)))
}

// resolvers writes a line for each resolver of a module and one for the trust anchors. The
// empty module stands for all modules without their own resolver. Problems are critical only
// if every resolver has one.
func (o selfCheckOutput) resolvers(module string, result dnssec.SelfCheckResult) exitCode {
	of := ""
	if module != "" {
		of = " of module " + module
	}
	problemCode := exitCritical
	for _, c := range result.Resolvers {
		if c.Problem == "" {
			problemCode = exitWarning
		}
	}
	code := exitOK
	for _, c := range result.Resolvers {
		if c.Problem == "" {
			o.line(exitOK, "resolver%s %s: ok", of, c.Server)
			continue
		}
		code = worse(code, problemCode)
		o.line(problemCode, "resolver%s %s: %s", of, c.Server, c.Why)
	}
	switch anchored, known := result.Anchored(); {
	case anchored:
		o.line(exitOK, "trust anchors%s: ok, they validate the root keys that the resolvers return", of)
	case known:
		code = exitCritical
		o.line(exitCritical, "trust anchors%s: they do not validate the root keys that the resolvers return; check resolver.trust_anchors", of)
	}
	if tags, _ := result.NewKeys(); len(tags) > 0 {
		code = worse(code, exitWarning)
		o.line(exitWarning, "trust anchors%s: no anchor matches these keys of the root: %v; add them to resolver.trust_anchors before they alone sign the root", of, tags)
	}
	return code
}

// mailServer writes a line for each address of the mail server: whether it could be
// connected to. The DANE verdict is not shown.
func (o selfCheckOutput) mailServer(r *probe.Report) exitCode {
	endpoints := endpointsOf(r)
	if len(endpoints) == 0 {
		o.line(exitUnknown, "%s: no address to connect to: %s", r.Target, strings.Join(reasons(r), ", "))
		return exitUnknown
	}
	failureCode := exitCritical
	for _, e := range endpoints {
		if e.Reached >= dane.StageConnect {
			failureCode = exitWarning
		}
	}
	code := exitOK
	for _, e := range endpoints {
		switch {
		case e.Reached >= dane.StageStartTLS:
			o.line(exitOK, "port 25: %s (%s): connected, SMTP and STARTTLS work", r.Target.Name, e.Address)
		case e.Reached == dane.StageConnect:
			code = worse(code, exitWarning)
			o.line(exitWarning, "port 25: %s (%s): connected, but: %v", r.Target.Name, e.Address, e.Err)
		case e.Skipped:
			o.line(exitOK, "port 25: %s (%s): skipped: %v", r.Target.Name, e.Address, e.Err)
		default:
			code = worse(code, failureCode)
			o.line(failureCode, "port 25: %v", e.Err)
		}
	}
	if failureCode == exitCritical {
		o.line(failureCode, "port 25: no address could be connected to; if the host is up, the network of this machine blocks the port")
	}
	return code
}

// endpointsOf returns the endpoints of all services of a report.
func endpointsOf(r *probe.Report) []*dane.Endpoint {
	var all []*dane.Endpoint
	for i := range r.Facts.Hosts {
		for j := range r.Facts.Hosts[i].Services {
			endpoints := r.Facts.Hosts[i].Services[j].Endpoints
			for k := range endpoints {
				all = append(all, &endpoints[k])
			}
		}
	}
	return all
}
