package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/internal/report"
	"dane_exporter/probe"
)

// probe makes one probe, and answers with its metrics or, with debug=true, with
// the whole story. A probe that fails is an answer too: 200 and probe_success 0.
func (s *Server) probe(w http.ResponseWriter, r *http.Request) {
	current := s.current.Load()
	if current == nil {
		notReady(w)
		return
	}
	ask, err := readQuestion(r.URL.RawQuery, current.config.Modules)
	if err != nil {
		if errors.Is(err, errUnknownModule) {
			s.Exporter.UnknownModule()
		}
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	allowed, err := budget(ask.module.Timeout, r.Header.Get(scrapeTimeoutHeader), s.TimeoutOffset)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), allowed)
	defer cancel()

	found, _, rejected := s.run(ctx, current, ask)
	if rejected != "" {
		w.Header().Set("Retry-After", "1")
		http.Error(w, tooMany(current.config), http.StatusServiceUnavailable)
		return
	}
	if ask.debug {
		s.story(w, found)
		return
	}
	expose(w, r, collector.Families(found))
}

// run makes a probe as soon as there is a place for it, and keeps the report
// under a number; 0: it is not kept. rejected says why there was no place, or "".
func (s *Server) run(ctx context.Context, current *generation, ask question) (found *probe.Report, number uint64, rejected string) {
	if rejected := s.limiter.take(ctx, current.config.Limits.QueueWait); rejected != "" {
		s.Exporter.Rejected(rejected)
		return nil, 0, rejected
	}
	defer s.limiter.leave()
	defer s.Exporter.Started()()
	made := current.prober.Probe
	if ask.debug {
		made = current.prober.ProbeUncached
	}
	found = made(ctx, ask.target, ask.module)
	if ask.at != nil {
		found = found.JudgedAt(ask.at.Time(found.Verdict.At))
	}
	s.Exporter.Observe(found)
	s.log(ctx, found)
	return found, s.history.add(found), ""
}

// tooMany says why a probe was turned away.
func tooMany(c *config.Config) string {
	return fmt.Sprintf("too many probes at the same time: limits.probes allows %d", c.Limits.Probes)
}

// log tells of a probe, and in any case of our own defects in it.
func (s *Server) log(ctx context.Context, found *probe.Report) {
	for _, fault := range found.Facts.Panics() {
		s.Logger.Error("A part of a probe was lost to a defect", "target", found.Target.Asked, "module", found.Module.Name,
			"panic", fault.Value, "stack", fault.Stack)
	}
	if !s.Logger.Enabled(ctx, s.ProbeLevel) {
		return
	}
	reasons := make([]string, 0, len(found.Verdict.Findings))
	for _, finding := range found.Verdict.Findings {
		if !slices.Contains(reasons, string(finding.Reason)) {
			reasons = append(reasons, string(finding.Reason))
		}
	}
	s.Logger.Log(ctx, s.ProbeLevel, "Probed", "target", found.Target.Asked, "module", found.Module.Name,
		"outcome", found.Verdict.Outcome, "success", found.Verdict.Success, "duration", found.Duration, "findings", reasons)
}

// story writes the report for people.
func (s *Server) story(w http.ResponseWriter, found *probe.Report) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := report.Text(w, found); err != nil {
		s.Logger.Debug("A report was not read to its end", "err", err)
	}
}

// question is what a request to /probe asks.
type question struct {
	target probe.Target
	module probe.Module
	debug  bool
	at     *report.At // to judge for as well
}

var errUnknownModule = errors.New("unknown module")

// readQuestion reads the parameters of /probe. The error is one line that says
// what form is wanted; it wraps errUnknownModule where that is the matter.
func readQuestion(query string, modules map[string]probe.Module) (question, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return question{}, errors.New("the query cannot be read: want /probe?target=example.org&module=" + config.DefaultModule)
	}
	for key, given := range values {
		switch {
		case !slices.Contains([]string{"target", "module", "hostname", "debug", "at"}, key):
			return question{}, fmt.Errorf("unknown parameter %.40q: there are target, module, hostname, debug and at", key)
		case len(given) > 1:
			return question{}, fmt.Errorf("the parameter %s is given %d times: want it once", key, len(given))
		}
	}
	if !values.Has("target") {
		return question{}, errors.New("no target: want /probe?target=example.org&module=" + config.DefaultModule)
	}
	return answerable(values, modules)
}

// answerable makes a question of parameters that each stand once.
func answerable(values url.Values, modules map[string]probe.Module) (question, error) {
	name := values.Get("module")
	if !values.Has("module") {
		name = config.DefaultModule
	}
	module, ok := modules[name]
	if !ok {
		return question{}, fmt.Errorf("%w %.80q: /config lists those that there are", errUnknownModule, name)
	}
	target, err := probe.ParseTarget(values.Get("target"), values.Get("hostname"), module)
	if err != nil {
		return question{}, err
	}
	ask := question{target: target, module: module}
	if values.Has("debug") {
		if ask.debug, err = strconv.ParseBool(values.Get("debug")); err != nil {
			return question{}, fmt.Errorf("debug is %.40q: want true or false", values.Get("debug"))
		}
	}
	if values.Has("at") {
		// In a query a bare plus sign is a space, and no moment has one.
		at, err := report.ParseAt(strings.ReplaceAll(values.Get("at"), " ", "+"))
		if err != nil {
			return question{}, fmt.Errorf("at: %w", err)
		}
		ask.at = &at
	}
	return ask, nil
}
