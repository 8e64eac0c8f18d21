package collector

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/collectors/version"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

// Exporter counts what the process does. It is safe for concurrent use.
type Exporter struct {
	probes           *prometheus.CounterVec
	inFlight         prometheus.Gauge
	rejected         *prometheus.CounterVec
	duration         *prometheus.HistogramVec
	handshakes       *prometheus.HistogramVec
	lookups          *prometheus.HistogramVec
	connects         *prometheus.CounterVec
	handshakesReused prometheus.Counter
	dnsQueries       *prometheus.CounterVec
	dnsErrors        *prometheus.CounterVec
	reloadSuccessful prometheus.Gauge
	reloadTime       prometheus.Gauge
	unknownModules   prometheus.Counter
	panics           prometheus.Counter
}

// NewExporter registers the exporter's own metrics, and those of the Go runtime
// and the process. externalURL is the value of --web.external-url. Each scrape calls
// resolvers for the statistics of the resolvers, and selfChecks for the results of their
// last self-checks.
func NewExporter(registry prometheus.Registerer, externalURL string, resolvers func() dnssec.Stats, selfChecks func() []SelfCheck) *Exporter {
	e := &Exporter{
		probes:           exporterProbes.newCounterVec(),
		inFlight:         exporterInFlight.newGauge(),
		rejected:         exporterRejected.newCounterVec(),
		duration:         exporterDuration.newHistogramVec(.05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60),
		handshakes:       exporterHandshakeDuration.newHistogramVec(.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30),
		lookups:          exporterLookupDuration.newHistogramVec(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10),
		connects:         exporterConnects.newCounterVec(),
		handshakesReused: exporterHandshakesReused.newCounter(),
		dnsQueries:       exporterDNSQueries.newCounterVec(),
		dnsErrors:        exporterDNSErrors.newCounterVec(),
		reloadSuccessful: exporterReloadSuccessful.newGauge(),
		reloadTime:       exporterReloadTime.newGauge(),
		unknownModules:   exporterUnknownModules.newCounter(),
		panics:           exporterPanics.newCounter(),
	}
	registry.MustRegister(
		e.probes, e.inFlight, e.rejected, e.duration, e.handshakes, e.lookups, e.connects, e.handshakesReused, e.dnsQueries, e.dnsErrors,
		e.reloadSuccessful, e.reloadTime, e.unknownModules, e.panics,
		newInfo(externalURL),
		newResolverCollector(resolvers),
		newSelfCheckCollector(selfChecks),
		version.NewCollector("dane_exporter"),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return e
}

// newInfo returns dane_exporter_info.
func newInfo(externalURL string) prometheus.Collector {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: exporterInfo.Name, Help: exporterInfo.Help}, exporterInfo.Labels)
	info.WithLabelValues(label(strings.TrimSuffix(externalURL, "/"))).Set(1)
	return info
}

// Started counts a probe as in progress until ended is called.
func (e *Exporter) Started() (ended func()) {
	e.inFlight.Inc()
	return e.inFlight.Dec
}

// Observe counts a completed probe, its connections and its panics.
func (e *Exporter) Observe(report *probe.Report) {
	module := label(report.Module.Name)
	e.probes.WithLabelValues(module, string(report.Verdict.Outcome)).Inc()
	e.duration.WithLabelValues(module).Observe(report.Duration.Seconds())
	e.panics.Add(float64(len(report.Facts.Panics())))
	for i := range report.Facts.Hosts {
		for j := range report.Facts.Hosts[i].Services {
			e.observeService(&report.Facts.Hosts[i].Services[j], report.Module)
		}
	}
}

// observeService counts the connections and handshakes of one service. Targets and SRV records
// may name any port. Only the ports of the module become label values, so that the
// number of series stays bounded.
func (e *Exporter) observeService(s *dane.Service, module probe.Module) {
	port := "other"
	if module.HasPort(s.Port) {
		port = strconv.Itoa(int(s.Port))
	}
	for i := range s.Endpoints {
		for endpoint := &s.Endpoints[i]; endpoint != nil; endpoint = endpoint.Other {
			e.observeConnect(endpoint, port)
			e.observeHandshake(endpoint, s.Protocol)
		}
	}
}

func (e *Exporter) observeConnect(endpoint *dane.Endpoint, port string) {
	switch result := connectResult(endpoint); {
	case endpoint.Copied:
	case endpoint.Reused:
		e.handshakesReused.Inc()
	case result != "":
		e.connects.WithLabelValues(port, result).Inc()
	}
}

// observeHandshake measures a handshake that this probe completed.
func (e *Exporter) observeHandshake(endpoint *dane.Endpoint, protocol string) {
	if endpoint.Reached < dane.StageTLS || endpoint.Copied || endpoint.Reused {
		return
	}
	e.handshakes.WithLabelValues(label(protocol)).Observe(endpoint.TLS.End.Sub(endpoint.Connect.Start).Seconds())
}

// connectResult returns the result of the TCP connection to an endpoint. It returns
// "" if none was attempted, or none was possible because the exporter has no IPv6.
func connectResult(endpoint *dane.Endpoint) string {
	timeout, _ := errors.AsType[net.Error](endpoint.Err)
	switch err := endpoint.Err; {
	case endpoint.Connect.Start.IsZero():
		return ""
	case endpoint.Reached >= dane.StageConnect:
		return "connected"
	case endpoint.Skipped:
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case timeout != nil && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "unreachable"
	default:
		return "failed"
	}
}

// Rejected counts a probe that was rejected before it started.
func (e *Exporter) Rejected(reason string) { e.rejected.WithLabelValues(label(reason)).Inc() }

// UnknownModule counts a request for a module that does not exist.
func (e *Exporter) UnknownModule() { e.unknownModules.Inc() }

// Panicked counts a panic that was recovered outside a probe.
func (e *Exporter) Panicked() { e.panics.Inc() }

// Queried counts a query to a resolver. failure is one word for the error, or ""
// if an answer arrived.
func (e *Exporter) Queried(server, transport, failure string) {
	e.dnsQueries.WithLabelValues(label(server), label(transport)).Inc()
	if failure != "" {
		e.dnsErrors.WithLabelValues(label(server), label(failure)).Inc()
	}
}

// LookedUp measures a validated lookup of records of one type, such as "TLSA".
func (e *Exporter) LookedUp(recordType string, took time.Duration) {
	e.lookups.WithLabelValues(label(recordType)).Observe(took.Seconds())
}

// Reloaded records whether loading the configuration succeeded, and when.
func (e *Exporter) Reloaded(at time.Time, err error) {
	e.reloadSuccessful.Set(boolValue(err == nil))
	if err == nil {
		e.reloadTime.Set(float64(at.Unix()))
	}
}
