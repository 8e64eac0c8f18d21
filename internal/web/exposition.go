package web

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// usualPage is room for the metrics of a domain with two mail hosts.
const usualPage = 16 << 10

// expose writes metric families in the format that the client likes best. They
// are not compressed: that would take as long as all the rest of an answer, and
// most of a megabyte for each in a burst of them.
func expose(w http.ResponseWriter, r *http.Request, families []*dto.MetricFamily) {
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	page := bytes.NewBuffer(make([]byte, 0, usualPage))
	if err := encode(page, format, families); err != nil {
		panic(fmt.Errorf("write metrics: %w", err)) // the collector makes none that cannot be written
	}
	w.Header().Set("Content-Type", string(format))
	w.Header().Set("Content-Length", strconv.Itoa(page.Len()))
	w.Header().Add("Vary", "Accept")
	_, _ = w.Write(page.Bytes()) // the client is gone, or not; there is nobody else to tell
}

func encode(page *bytes.Buffer, format expfmt.Format, families []*dto.MetricFamily) error {
	encoder := expfmt.NewEncoder(page, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		return closer.Close() // which writes the end mark of OpenMetrics
	}
	return nil
}
