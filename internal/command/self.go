package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"dane_exporter/internal/config"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

// checkSelf examines what probes depend on at this side: each resolver, the
// trust anchors, and the way out to port 25. For the last it goes to the server
// that the user names and to no other.
func (s *session) checkSelf(ctx context.Context, f *checkFlags, where surroundings) (state, error) {
	if len(f.targets) > 0 || f.targetsFile != "" || f.output != outputText {
		return stateUnknown, errors.New("--self takes no targets, and writes text")
	}
	c, err := s.load(f.configFile)
	if err != nil {
		return stateUnknown, err
	}
	c = where.adapt(c)
	prober, err := newProber(c, where, func(transport.Event) {})
	if err != nil {
		return stateUnknown, err
	}
	tell := teller{s, painting(s.stdout, s.environment)}
	result := tell.resolvers(prober.Resolver().SelfCheck(ctx))
	if f.smtpHost == "" {
		tell.line(stateOK, "port 25: not tried; name a mail server with --smtp-host, as gmail-smtp-in.l.google.com")
		return result, nil
	}
	module := c.Modules[config.DefaultModule]
	module.Discover, module.Protocol, module.Port = probe.DiscoverNone, "smtp", 25
	module.MTASTS, module.Nameservers = false, false
	target, err := probe.ParseTarget(f.smtpHost, "", module)
	if err != nil {
		return stateUnknown, fmt.Errorf("--smtp-host: %w", err)
	}
	return worse(result, tell.mailServer(prober.ProbeUncached(ctx, target, module))), nil
}

// teller writes the lines of a self-check.
type teller struct {
	*session
	paint paint
}

func (t teller) line(s state, format string, args ...any) {
	fmt.Fprintf(t.stdout, "%s  %s\n", t.paint.as(s, fmt.Sprintf("%-8s", s)), harmless(fmt.Sprintf(format, args...)))
}

// resolvers tells of each resolver and of the trust anchors. One good resolver
// is enough to go on with.
func (t teller) resolvers(e dnssec.SelfCheckResult) state {
	good := 0
	for _, c := range e.Resolvers {
		if c.Problem == "" {
			good++
		}
	}
	trouble := stateWarning
	if good == 0 {
		trouble = stateCritical
	}
	result := stateOK
	for _, c := range e.Resolvers {
		if c.Problem == "" {
			t.line(stateOK, "resolver %s is good", c.Server)
			continue
		}
		result = worse(result, trouble)
		t.line(trouble, "resolver %s %s", c.Server, c.Why)
	}
	switch anchored, known := e.Anchored(); {
	case anchored:
		t.line(stateOK, "trust anchors: the keys that the resolvers give lead from one")
	case known:
		result = stateCritical
		t.line(stateCritical, "trust anchors: no keys that the resolvers give lead from one; check resolver.trust_anchors")
	}
	return result
}

// mailServer tells whether the addresses of a mail server could be reached on
// its port. What DANE makes of it is not asked here.
func (t teller) mailServer(r *probe.Report) state {
	endpoints := meetings(r)
	if len(endpoints) == 0 {
		t.line(stateUnknown, "%s: no address to connect to: %s", r.Target, strings.Join(reasons(r), ", "))
		return stateUnknown
	}
	reached := 0
	for _, e := range endpoints {
		if e.Reached >= dane.StageConnect {
			reached++
		}
	}
	failed := stateWarning
	if reached == 0 {
		failed = stateCritical
	}
	result := stateOK
	for _, e := range endpoints {
		switch {
		case e.Reached >= dane.StageStartTLS:
			t.line(stateOK, "port 25: %s (%s) is reached, and speaks SMTP with us", r.Target.Name, e.Address)
		case e.Reached == dane.StageConnect:
			result = worse(result, stateWarning)
			t.line(stateWarning, "port 25: %s (%s) is reached: %v", r.Target.Name, e.Address, e.Err)
		case e.Skipped:
			t.line(stateOK, "port 25: %s (%s) is not tried: %v", r.Target.Name, e.Address, e.Err)
		default:
			result = worse(result, failed)
			t.line(failed, "port 25: %v", e.Err)
		}
	}
	if reached == 0 {
		t.line(failed, "port 25: nothing is reached; if that host is well, the provider here blocks the port")
	}
	return result
}

// meetings lists the endpoints of all services that a probe met or tried to.
func meetings(r *probe.Report) []*dane.Endpoint {
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
