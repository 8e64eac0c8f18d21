package web

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"dane_exporter/collector"
	"dane_exporter/probe"
)

// metrics returns the handler of /metrics, which counts its own requests and errors.
func (s *Server) metrics() http.Handler {
	return withTextFormat1(promhttp.InstrumentMetricHandler(s.Registry, promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true,
		Registry:          s.Registry,
		ErrorLog:          slog.NewLogLogger(s.Logger.Handler(), slog.LevelError),
	})))
}

// writeMetrics answers with the metrics of a probe, in the format that the client
// prefers. The response is not compressed: compressing takes as much CPU time as
// the rest of the answer, and most of a megabyte of memory for each request in flight.
// It panics if the metrics cannot be encoded.
func writeMetrics(w http.ResponseWriter, r *http.Request, result *probe.Report) {
	families := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return collector.Families(result), nil })
	withTextFormat1(promhttp.HandlerFor(families, promhttp.HandlerOpts{
		EnableOpenMetrics:  true,
		DisableCompression: true,
		ErrorHandling:      promhttp.PanicOnError,
	})).ServeHTTP(w, r)
}

// textFormat1 is the text format that may have any UTF-8 in names. It differs from
// [expfmt.FmtText] only for names that need quotes. Package expfmt does not write it.
const textFormat1 expfmt.Format = "text/plain; version=1.0.0; charset=utf-8"

// withTextFormat1 wraps a handler of promhttp. To a client that prefers textFormat1, it
// answers with the text of [expfmt.FmtText] in the escaping scheme of the request.
func withTextFormat1(next http.Handler) http.Handler {
	formats := append(expfmt.DefaultOpenMetricsAcceptedFormats(), textFormat1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		preferred := expfmt.NegotiateAccept(r.Header, formats...)
		escaping, ok := strings.CutPrefix(string(preferred), string(textFormat1))
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		r = r.Clone(r.Context())
		r.Header.Set("Accept", "text/plain; version="+expfmt.TextVersion+escaping)
		next.ServeHTTP(w, r)
		if w.Header().Get("Content-Type") == string(expfmt.FmtText)+escaping { // else an error
			w.Header().Set("Content-Type", string(preferred)) // responses are buffered
		}
	})
}
