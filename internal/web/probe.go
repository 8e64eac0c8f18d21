package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"dane_exporter/internal/config"
	"dane_exporter/internal/report"
	"dane_exporter/probe"
)

// probe handles /probe: it makes one probe and answers with its metrics or, with
// debug=true, with the report as text. A failed probe is answered with status 200
// and probe_success 0.
func (s *Server) probe(w http.ResponseWriter, r *http.Request) {
	current := s.current.Load()
	if current == nil {
		notReady(w)
		return
	}
	request, err := parseProbeRequest(r.URL.RawQuery, current.config.Modules)
	if err != nil {
		if errors.Is(err, errUnknownModule) {
			s.Exporter.UnknownModule()
		}
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	timeout, err := probeTimeout(request.module.Timeout, r.Header.Get(scrapeTimeoutHeader), s.TimeoutOffset)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()

	result, _, err := s.runProbe(ctx, current, request)
	if err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, tooManyProbes(current.config), http.StatusServiceUnavailable)
		return
	}
	if request.debug {
		if release, ok := s.acquirePage(w, r); ok {
			defer release()
			writeText(w, result)
		}
		return
	}
	writeMetrics(w, r, result)
}

// runProbe makes a probe as soon as the limiter allows it, counts and logs it, and
// adds its report to the history. number is 0 if the report is not stored. The
// error is a rejection.
func (s *Server) runProbe(ctx context.Context, current *snapshot, request probeRequest) (result *probe.Report, number uint64, err error) {
	if err := s.limiter.acquire(ctx, current.config.Limits.QueueWait); err != nil {
		if reason, ok := errors.AsType[rejection](err); ok {
			s.Exporter.Rejected(string(reason))
		}
		return nil, 0, err
	}
	defer s.limiter.release()
	defer s.Exporter.Started()()
	run := current.prober.Probe
	if request.debug {
		run = current.prober.ProbeUncached
	}
	s.logBeginning(ctx, request)
	result = run(ctx, request.target, request.module)
	if request.at != nil {
		result = result.JudgedAt(request.at.Time(result.Verdict.At))
	}
	s.Exporter.Observe(result)
	s.logProbe(ctx, result)
	s.timelines.observe(result)
	return result, s.store(result), nil
}

// store adds a report to the history and to the list of targets. It returns its number, or
// 0 if nothing is stored.
func (s *Server) store(result *probe.Report) (number uint64) {
	if number = s.history.add(result); number != 0 {
		s.targets.observe(result)
	}
	return number
}

// tooManyProbes returns the error text for a rejected probe.
func tooManyProbes(c *config.Config) string {
	return fmt.Sprintf("too many concurrent probes: limits.probes allows %d", c.Limits.Probes)
}

// logBeginning logs that a probe begins. The messages about probes are those of
// blackbox_exporter.
func (s *Server) logBeginning(ctx context.Context, request probeRequest) {
	if !s.ProbeLogger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	timeout := request.module.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = time.Until(deadline)
	}
	s.ProbeLogger.DebugContext(ctx, "Beginning probe", "module", request.module.Name, "target", request.target.Asked, "timeout_seconds", timeout.Seconds())
}

// logProbe logs the result of a probe, and the panics that were recovered during it as errors.
// A failed probe is no error of the exporter: it has level info, so that --log.prober can hide it.
func (s *Server) logProbe(ctx context.Context, result *probe.Report) {
	for _, fault := range result.Facts.Panics() {
		s.Logger.Error("Recovered from a panic in a probe", "target", result.Target.Asked, "module", result.Module.Name,
			"panic", fault.Value, "stack", fault.Stack)
	}
	level, message := slog.LevelDebug, "Probe succeeded"
	if !result.Verdict.Success {
		level, message = slog.LevelInfo, "Probe failed"
	}
	if !s.ProbeLogger.Enabled(ctx, level) {
		return
	}
	s.ProbeLogger.Log(ctx, level, message, "module", result.Module.Name, "target", result.Target.Asked,
		"duration_seconds", result.Duration.Seconds(), "outcome", result.Verdict.Outcome, "findings", reasonsOf(result))
}

// reasonsOf returns the reasons of the findings, without duplicates.
func reasonsOf(result *probe.Report) []string {
	reasons := []string{}
	for _, finding := range result.Verdict.Findings {
		if !slices.Contains(reasons, string(finding.Reason)) {
			reasons = append(reasons, string(finding.Reason))
		}
	}
	return reasons
}

// writeText answers with the report as plain text.
func writeText(w http.ResponseWriter, result *probe.Report) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	mustWrite(report.Text(w, result))
}

// probeRequest holds the parameters of one probe.
type probeRequest struct {
	target probe.Target
	module probe.Module
	debug  bool       // make a new handshake, and answer with the report as text
	at     *report.At // an additional time to judge the facts for; nil for none
}

var errUnknownModule = errors.New("unknown module")

// parseProbeRequest parses the query string of /probe. The error is one line that
// names the parameter and its allowed values. It wraps errUnknownModule if the
// module does not exist.
func parseProbeRequest(query string, modules map[string]probe.Module) (probeRequest, error) {
	const form = "use /probe?target=example.org&module=" + config.DefaultModule
	values, err := url.ParseQuery(query)
	if err != nil {
		return probeRequest{}, errors.New("invalid query string; " + form)
	}
	for key, given := range values {
		switch {
		case !slices.Contains([]string{"target", "module", "hostname", "debug", "at"}, key):
			return probeRequest{}, fmt.Errorf("unknown parameter %.40q; allowed: target, module, hostname, debug, at", key)
		case len(given) > 1:
			return probeRequest{}, fmt.Errorf("parameter %s is given %d times; it must be given once", key, len(given))
		}
	}
	if !values.Has("target") {
		return probeRequest{}, errors.New("missing parameter target; " + form)
	}
	return newProbeRequest(values, modules)
}

// newProbeRequest returns the request of parameters that are each given at most
// once. Its errors are those of parseProbeRequest.
func newProbeRequest(values url.Values, modules map[string]probe.Module) (probeRequest, error) {
	name := values.Get("module")
	if !values.Has("module") {
		name = config.DefaultModule
	}
	module, ok := modules[name]
	if !ok {
		return probeRequest{}, fmt.Errorf("%w %.80q; /config lists the modules", errUnknownModule, name)
	}
	target, err := probe.ParseTarget(values.Get("target"), values.Get("hostname"), module)
	if err != nil {
		return probeRequest{}, err
	}
	request := probeRequest{target: target, module: module}
	if values.Has("debug") {
		if request.debug, err = strconv.ParseBool(values.Get("debug")); err != nil {
			return probeRequest{}, fmt.Errorf("parameter debug: %.40q is not true or false", values.Get("debug"))
		}
	}
	if values.Has("at") {
		// An unescaped plus sign in a query stands for a space, and no valid value contains a space.
		at, err := report.ParseAt(strings.ReplaceAll(values.Get("at"), " ", "+"))
		if err != nil {
			return probeRequest{}, fmt.Errorf("parameter at: %w", err)
		}
		request.at = &at
	}
	return request, nil
}

// scrapeTimeoutHeader is the header in which Prometheus sends the timeout of the
// scrape, in seconds.
const scrapeTimeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// probeTimeout returns the timeout of a probe: that of the module, or that of the
// scrape less offset if it is shorter. The offset is time to send the answer. If
// it is not shorter than the timeout of the scrape, half of the latter is used.
func probeTimeout(module time.Duration, header string, offset time.Duration) (time.Duration, error) {
	if header == "" {
		return module, nil
	}
	seconds, err := strconv.ParseFloat(header, 64)
	if err != nil || !(seconds > 0) || math.IsInf(seconds, 0) {
		return 0, fmt.Errorf("header %s: %.40q is not a positive number of seconds, such as 30 or 9.5", scrapeTimeoutHeader, header)
	}
	const limit = 24 * time.Hour // longer than that of any module, and within the range of a Duration
	scrape := time.Duration(min(seconds, limit.Seconds()) * float64(time.Second))
	remaining := scrape - offset
	if remaining <= 0 {
		remaining = scrape / 2
	}
	return min(module, remaining), nil
}
