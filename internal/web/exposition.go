package web

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// papers are what metrics are written on, for one answer after another.
type papers struct{ pool sync.Pool }

// mostKept is the most that a sheet may have grown to and be used again, in bytes.
const mostKept = 64 << 10

func (p *papers) take() *bytes.Buffer {
	if sheet, ok := p.pool.Get().(*bytes.Buffer); ok {
		return sheet
	}
	return new(bytes.Buffer)
}

func (p *papers) keep(sheet *bytes.Buffer) {
	if sheet.Cap() <= mostKept {
		sheet.Reset()
		p.pool.Put(sheet)
	}
}

// expose writes metric families in the format that the client likes best. They
// are not compressed: that would take as long as all the rest of an answer, and
// most of a megabyte for each in a burst of them.
func (s *Server) expose(w http.ResponseWriter, r *http.Request, families []*dto.MetricFamily) {
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	page := s.papers.take()
	defer s.papers.keep(page)
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
