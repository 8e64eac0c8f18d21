package web

import (
	"compress/gzip"
	"net/http"

	"github.com/klauspost/compress/gzhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// expose writes metric families in the format that the client likes best.
func (s *Server) expose(w http.ResponseWriter, r *http.Request, families []*dto.MetricFamily) {
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	w.Header().Set("Content-Type", string(format))
	w.Header().Add("Vary", "Accept")
	encoder := expfmt.NewEncoder(w, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			s.Logger.Debug("Metrics were not read to their end", "err", err)
			return
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		_ = closer.Close() // it writes the end mark of OpenMetrics, and who is gone is gone
	}
}

// compressed compresses what a handler writes, where the client takes that. A
// scrape is read once, by somebody near: the fastest level is the best one.
func compressed(handler http.HandlerFunc) http.HandlerFunc {
	wrap, err := gzhttp.NewWrapper(gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.EnableZstd(false))
	if err != nil {
		panic(err) // of these settings there is none
	}
	return wrap(handler)
}
