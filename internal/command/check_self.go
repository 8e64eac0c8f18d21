package command

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	if len(f.targets) > 0 || f.targetsFile != "" || f.hostname != "" || f.at != "" || f.output != outputText {
		return exitUnknown, errors.New("--self cannot be combined with targets, --hostname, --at, or an --output other than text")
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
	var out selfCheckOutput
	if err := s.runSelfCheck(ctx, f, c, prober, &out); err != nil {
		return exitUnknown, err
	}
	_, err = io.WriteString(s.stdout, out.text(colourFor(s.stdout.w, s.getenv), f.brief))
	return out.worst(), err
}

// runSelfCheck adds a line to out for each part that is checked or could not be checked.
func (s *session) runSelfCheck(ctx context.Context, f *checkFlags, c *config.Config, prober *probe.Prober, out *selfCheckOutput) error {
	var checked []*dnssec.Resolver
	for _, module := range slices.Sorted(maps.Keys(c.Resolvers())) {
		if resolver := prober.Resolver(module); !slices.Contains(checked, resolver) {
			checked = append(checked, resolver)
			out.resolvers(module, resolver.SelfCheck(ctx))
		}
	}
	if f.smtpHost == "" {
		out.notTested("port 25: set --smtp-host to a mail server, such as gmail-smtp-in.l.google.com")
		return nil
	}
	module := c.Modules[config.DefaultModule]
	module.Discover, module.Protocol, module.Port = probe.DiscoverNone, "smtp", 25
	module.MTASTS, module.Nameservers = false, false
	target, err := probe.ParseTarget(f.smtpHost, "", module)
	if err != nil {
		return fmt.Errorf("--smtp-host: %w", err)
	}
	out.mailServer(prober.ProbeUncached(ctx, target, module))
	return nil
}

// selfCheckOutput collects the lines of check --self.
type selfCheckOutput struct{ lines []selfCheckLine }

type selfCheckLine struct {
	code      exitCode
	notTested bool // code is OK then
	text      string
}

func (o *selfCheckOutput) line(code exitCode, format string, args ...any) {
	o.lines = append(o.lines, selfCheckLine{code, false, fmt.Sprintf(format, args...)})
}

// notTested adds a line for a part about which nothing is known.
func (o *selfCheckOutput) notTested(format string, args ...any) {
	o.lines = append(o.lines, selfCheckLine{exitOK, true, fmt.Sprintf(format, args...)})
}

// worst returns the worst code of all lines.
func (o *selfCheckOutput) worst() exitCode {
	worst := exitOK
	for _, l := range o.lines {
		worst = worse(worst, l.code)
	}
	return worst
}

// text returns the summary on one line, and then all lines. With brief, it returns only the
// lines that are not OK.
func (o *selfCheckOutput) text(colour colour, brief bool) string {
	counts, notTested := make(codeCounts), 0
	var details strings.Builder
	for _, l := range o.lines {
		state := l.code.String()
		if l.notTested {
			state = "not tested"
			notTested++
		} else {
			counts[l.code]++
		}
		if !brief || l.code != exitOK {
			fmt.Fprintf(&details, "%s  %s\n", colour.byCode(l.code, fmt.Sprintf("%-10s", state)), sanitize(l.text))
		}
	}
	summary := colour.byCode(o.worst(), fmt.Sprintf("%-10s  self-check: %s, %d not tested", o.worst(), counts.list(), notTested))
	if !brief {
		summary += "\n"
	}
	return summary + "\n" + details.String()
}

// resolvers adds a line for each resolver of a module and one for the trust anchors. The
// empty module stands for all modules without their own resolver. Problems are critical only
// if every resolver has one.
func (o *selfCheckOutput) resolvers(module string, result dnssec.SelfCheckResult) {
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
	for _, c := range result.Resolvers {
		if c.Problem == "" {
			o.line(exitOK, "resolver%s %s: ok", of, c.Server)
			continue
		}
		o.line(problemCode, "resolver%s %s: %s", of, c.Server, c.Why)
	}
	switch anchored, known := result.Anchored(); {
	case anchored:
		o.line(exitOK, "trust anchors%s: ok, they validate the root keys that the resolvers return", of)
	case known:
		o.line(exitCritical, "trust anchors%s: they do not validate the root keys that the resolvers return; check resolver.trust_anchors", of)
	default:
		o.notTested("trust anchors%s: no resolver returned the keys of the root", of)
	}
	if tags, _ := result.NewKeys(); len(tags) > 0 {
		o.line(exitWarning, "trust anchors%s: no anchor matches these keys of the root: %v; add them to resolver.trust_anchors before they alone sign the root", of, tags)
	}
}

// mailServer adds a line for each address of the mail server: whether it could be
// connected to. The DANE verdict is not shown.
func (o *selfCheckOutput) mailServer(r *probe.Report) {
	endpoints := endpointsOf(r)
	if len(endpoints) == 0 {
		o.line(exitUnknown, "%s: no address to connect to: %s", r.Target, strings.Join(reasons(r), ", "))
		return
	}
	tried, connected := 0, 0
	for _, e := range endpoints {
		if !e.Skipped {
			tried++
		}
		if e.Reached >= dane.StageConnect {
			connected++
		}
	}
	failureCode := exitCritical
	if connected > 0 {
		failureCode = exitWarning
	}
	for _, e := range endpoints {
		switch {
		case e.Reached >= dane.StageStartTLS:
			o.line(exitOK, "port 25: %s (%s): connected, SMTP and STARTTLS work", r.Target.Name, e.Address)
		case e.Reached == dane.StageConnect:
			o.line(exitWarning, "port 25: %s (%s): connected, but: %v", r.Target.Name, e.Address, e.Err)
		case e.Skipped:
			o.notTested("port 25: %s (%s): %v", r.Target.Name, e.Address, e.Err)
		default:
			o.line(failureCode, "port 25: %v", e.Err)
		}
	}
	switch {
	case tried == 0:
		o.line(exitUnknown, "port 25: no address of %s was tried", r.Target.Name)
	case connected == 0:
		o.line(exitCritical, "port 25: no address could be connected to; if the host is up, the network of this machine blocks the port")
	}
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
