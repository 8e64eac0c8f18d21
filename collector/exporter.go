package collector

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/collectors/version"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

// Exporter counts what this process does. It is safe for concurrent use.
type Exporter struct {
	probes         *prometheus.CounterVec
	inFlight       prometheus.Gauge
	rejected       *prometheus.CounterVec
	duration       *prometheus.HistogramVec
	connects       *prometheus.CounterVec
	reused         prometheus.Counter
	dnsQueries     *prometheus.CounterVec
	dnsErrors      *prometheus.CounterVec
	reloadGood     prometheus.Gauge
	reloadTime     prometheus.Gauge
	unknownModules prometheus.Counter
	panics         prometheus.Counter
}

// NewExporter registers the exporter's own metrics, and those of the Go runtime
// and the process. At each scrape, resolver is asked for its numbers, and examined
// for what the last self-check found: nil, if there was none.
func NewExporter(registry prometheus.Registerer, resolver func() dnssec.Stats, examined func() *dnssec.SelfCheckResult) *Exporter {
	e := &Exporter{
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dane_exporter_probes_total", Help: "Probes made.",
		}, []string{"module", "outcome"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dane_exporter_probes_in_flight", Help: "Probes being made.",
		}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dane_exporter_probes_rejected_total", Help: "Probes turned away, because too many were being made.",
		}, []string{"reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dane_exporter_probe_duration_seconds", Help: "How long probes took.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60},
		}, []string{"module"}),
		connects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dane_exporter_connects_total", Help: "Connections tried to the servers probed.",
		}, []string{"port", "result"}),
		reused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dane_exporter_handshakes_reused_total", Help: "Handshakes that a probe had from another, made at the same time or lately.",
		}),
		dnsQueries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dane_exporter_dns_queries_total", Help: "Queries sent to resolvers.",
		}, []string{"server", "transport"}),
		dnsErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dane_exporter_dns_errors_total", Help: "Queries to resolvers that brought no answer.",
		}, []string{"server", "error"}),
		reloadGood: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dane_exporter_config_last_reload_successful", Help: "Whether the configuration file was good when it was read last.",
		}),
		reloadTime: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dane_exporter_config_last_reload_success_timestamp_seconds", Help: "When a good configuration file was read last, in Unix seconds.",
		}),
		unknownModules: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dane_exporter_module_unknown_total", Help: "Requests for modules that the configuration does not have.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dane_exporter_panics_total", Help: "Defects of this program that were caught while it ran.",
		}),
	}
	registry.MustRegister(
		e.probes, e.inFlight, e.rejected, e.duration, e.connects, e.reused, e.dnsQueries, e.dnsErrors,
		e.reloadGood, e.reloadTime, e.unknownModules, e.panics,
		newResolverCollector(resolver),
		newExaminationCollector(examined),
		version.NewCollector("dane_exporter"),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return e
}

// Started counts a probe as being made, until ended is called.
func (e *Exporter) Started() (ended func()) {
	e.inFlight.Inc()
	return e.inFlight.Dec
}

// Observe counts a probe that was made.
func (e *Exporter) Observe(report *probe.Report) {
	module := label(report.Module.Name)
	e.probes.WithLabelValues(module, string(report.Verdict.Outcome)).Inc()
	e.duration.WithLabelValues(module).Observe(report.Duration.Seconds())
	e.panics.Add(float64(len(report.Facts.Panics())))
	for i := range report.Facts.Hosts {
		for j := range report.Facts.Hosts[i].Services {
			e.observeConnects(&report.Facts.Hosts[i].Services[j], report.Module)
		}
	}
}

// observeConnects counts the connections of one service. A target may name any
// port, as SRV records may, and must not make series without end by it: only the module's is told.
func (e *Exporter) observeConnects(s *dane.Service, module probe.Module) {
	port := "other"
	if module.HasPort(s.Port) {
		port = strconv.Itoa(int(s.Port))
	}
	for i := range s.Endpoints {
		for met := &s.Endpoints[i]; met != nil; met = met.Other {
			e.observeConnect(met, port)
		}
	}
}

func (e *Exporter) observeConnect(met *dane.Endpoint, port string) {
	switch result := connectResult(met); {
	case met.Copied:
	case met.Reused:
		e.reused.Inc()
	case result != "":
		e.connects.WithLabelValues(port, result).Inc()
	}
}

// connectResult says how the TCP connection to an endpoint went; "" where none
// was tried, or none could be for want of IPv6 here.
func connectResult(endpoint *dane.Endpoint) string {
	var timeout net.Error
	switch err := endpoint.Err; {
	case endpoint.Connect.Start.IsZero():
		return ""
	case endpoint.Reached >= dane.StageConnect:
		return "connected"
	case endpoint.Skipped:
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "unreachable"
	default:
		return "failed"
	}
}

// Rejected counts a probe that was turned away.
func (e *Exporter) Rejected(reason string) { e.rejected.WithLabelValues(label(reason)).Inc() }

// UnknownModule counts a request for a module that does not exist.
func (e *Exporter) UnknownModule() { e.unknownModules.Inc() }

// Panicked counts a defect that was caught outside a probe.
func (e *Exporter) Panicked() { e.panics.Inc() }

// Queried counts a query to a resolver; failure is a word for what went wrong,
// empty where an answer came.
func (e *Exporter) Queried(server, transport, failure string) {
	e.dnsQueries.WithLabelValues(label(server), label(transport)).Inc()
	if failure != "" {
		e.dnsErrors.WithLabelValues(label(server), label(failure)).Inc()
	}
}

// Reloaded tells how reading the configuration ended.
func (e *Exporter) Reloaded(at time.Time, err error) {
	e.reloadGood.Set(number(err == nil))
	if err == nil {
		e.reloadTime.Set(float64(at.Unix()))
	}
}
