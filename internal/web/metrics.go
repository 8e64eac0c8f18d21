package web

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
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
	preferred, format := negotiate(r.Header)
	w.Header().Set("Content-Type", string(preferred))
	encoder := expfmt.NewEncoder(w, format)
	for _, family := range collector.Families(result) {
		mustWrite(encoder.Encode(family))
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		mustWrite(closer.Close())
	}
}

// textFormat1 is the text format that may have any UTF-8 in names. It differs from
// [expfmt.FmtText] only for names that need quotes. Package expfmt does not write it.
const textFormat1 expfmt.Format = "text/plain; version=1.0.0; charset=utf-8"

// negotiate returns the format that a client prefers, and the format to encode: for
// textFormat1, the text of [expfmt.FmtText] in the escaping scheme of the request.
func negotiate(header http.Header) (preferred, format expfmt.Format) {
	preferred = expfmt.NegotiateAccept(header, append(expfmt.DefaultOpenMetricsAcceptedFormats(), textFormat1)...)
	if escaping, ok := strings.CutPrefix(string(preferred), string(textFormat1)); ok {
		return preferred, expfmt.FmtText + expfmt.Format(escaping)
	}
	return preferred, preferred
}

// withTextFormat1 wraps a handler of promhttp, so that it can answer in textFormat1.
func withTextFormat1(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		preferred, format := negotiate(r.Header)
		if format == preferred {
			next.ServeHTTP(w, r)
			return
		}
		r = r.Clone(r.Context())
		r.Header.Set("Accept", string(format))
		next.ServeHTTP(w, r)
		if w.Header().Get("Content-Type") == string(format) { // else an error
			w.Header().Set("Content-Type", string(preferred)) // responses are buffered
		}
	})
}
