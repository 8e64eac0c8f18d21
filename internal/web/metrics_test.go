package web

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// TestFormats checks that /probe and /metrics answer in each format that Prometheus requests,
// and that each has the same metrics. Package expfmt parses all but OpenMetrics, which
// TestScrapeProtocols in deploy/prometheus parses with Prometheus.
func TestFormats(t *testing.T) {
	f := newFixture(t, proberFunc(instant), nil)
	const (
		openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping="
		text        = "text/plain; version=0.0.4; charset=utf-8; escaping="
		text1       = "text/plain; version=1.0.0; charset=utf-8; escaping="
		protobuf    = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping="
		acceptProto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	)
	tests := []struct{ name, accept, contentType string }{
		{"curl", "*/*", text + "underscores"},
		{"no Accept", "", text + "underscores"},
		{"browser", "text/html,application/xhtml+xml;q=0.9,image/webp", text + "underscores"},
		{"text 0.0.4", "text/plain;version=0.0.4", text + "underscores"},
		{"text 1.0.0", "text/plain;version=1.0.0;escaping=allow-utf-8", text1 + "allow-utf-8"},
		{"text 1.0.0 with another escaping", "text/plain;version=1.0.0;escaping=values", text1 + "values"},
		{"OpenMetrics", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8", openMetrics + "allow-utf-8"},
		{"protobuf", acceptProto, protobuf + "underscores"},
		{"Prometheus 2.42", "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", openMetrics + "underscores"},
		{"Prometheus 3", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", openMetrics + "allow-utf-8"},
		{"Prometheus 3 with native histograms", acceptProto + ";escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1", protobuf + "allow-utf-8"},
		{"text preferred", "application/openmetrics-text;version=1.0.0;q=0.2,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6", text1 + "allow-utf-8"},
	}
	for _, path := range []string{"/probe?target=example.org", "/metrics"} {
		_, body := f.get(path)
		all := slices.Sorted(maps.Keys(families(t, string(expfmt.FmtText), body)))
		for _, test := range tests {
			t.Run(path+" "+test.name, func(t *testing.T) {
				r := httptest.NewRequest("GET", path, nil)
				r.Header.Set("Accept", test.accept)
				w := httptest.NewRecorder()
				f.ServeHTTP(w, r)
				if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != test.contentType {
					t.Fatalf("status %d, type %q, want %q", w.Code, got, test.contentType)
				}
				if strings.HasPrefix(test.contentType, openMetrics) {
					if !strings.HasSuffix(w.Body.String(), "\n# EOF\n") {
						t.Error("no # EOF")
					}
					return
				}
				got := slices.Sorted(maps.Keys(families(t, test.contentType, w.Body.String())))
				if !slices.Equal(got, all) {
					t.Errorf("families %q, want %q", got, all)
				}
			})
		}
	}
	if status, body := f.get("/probe", "Accept", "text/plain;version=1.0.0"); status != http.StatusBadRequest || !strings.HasPrefix(body, "missing parameter target") {
		t.Errorf("error: %d %q", status, body)
	}
}

// families parses metrics with package expfmt.
func families(t *testing.T, contentType, body string) map[string]*dto.MetricFamily {
	t.Helper()
	// expfmt does not know the version of the format, but parses it.
	contentType = strings.Replace(contentType, "version=1.0.0", "version=0.0.4", 1)
	format := expfmt.ResponseFormat(http.Header{"Content-Type": {contentType}})
	if format.FormatType() == expfmt.TypeUnknown {
		t.Fatalf("unknown format %q", contentType)
	}
	decoder := expfmt.NewDecoder(strings.NewReader(body), format)
	parsed := make(map[string]*dto.MetricFamily)
	for {
		family := new(dto.MetricFamily)
		if err := decoder.Decode(family); errors.Is(err, io.EOF) {
			return parsed
		} else if err != nil {
			t.Fatalf("%s: %v", contentType, err)
		}
		parsed[family.GetName()] = family
	}
}

// TestOwnMetrics checks the metrics of requests for /metrics, that histograms are native
// ones too in protobuf, and that those of the Go runtime and the process are true.
func TestOwnMetrics(t *testing.T) {
	f := newFixture(t, proberFunc(instant), nil)
	f.get("/probe?target=example.org")
	f.Exporter.LookedUp("TLSA", 20*time.Millisecond)
	f.get("/metrics")
	f.wantMetric(`promhttp_metric_handler_requests_total{code="200"} 1`)
	f.wantMetric(`promhttp_metric_handler_requests_in_flight 1`)
	f.wantMetric(`promhttp_metric_handler_errors_total{cause="encoding"} 0`)
	_, text := f.get("/metrics")
	_, protobuf := f.get("/metrics", "Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	inText, inProtobuf := families(t, string(expfmt.FmtText), text), families(t, string(expfmt.FmtProtoDelim), protobuf)
	for _, name := range []string{"dane_exporter_probe_duration_seconds", "dane_exporter_lookup_duration_seconds"} {
		classic, native := inText[name].GetMetric(), inProtobuf[name].GetMetric()
		if len(classic) != 1 || len(native) != 1 {
			t.Errorf("%s: %d series in text, %d in protobuf", name, len(classic), len(native))
			continue
		}
		c, n := classic[0].GetHistogram(), native[0].GetHistogram()
		if c.GetSampleCount() != 1 || n.GetSampleCount() != 1 || len(c.GetBucket()) != len(n.GetBucket())+1 || len(c.GetBucket()) < 10 || n.Schema == nil || n.GetZeroThreshold() == 0 {
			t.Errorf("%s: %v in text, %v in protobuf", name, c, n)
		}
	}

	gauge := func(name string) float64 { return inText[name].GetMetric()[0].GetGauge().GetValue() }
	started := time.Unix(int64(gauge("process_start_time_seconds")), 0)
	fds, err := os.ReadDir("/proc/self/fd")
	if runtime.GOOS == "linux" && (err != nil || time.Since(started) > time.Hour || time.Until(started) > time.Minute ||
		gauge("process_open_fds") < 3 || gauge("process_open_fds") > float64(len(fds)+20) || gauge("process_resident_memory_bytes") < 1<<20) {
		t.Errorf("started %v, %g of %d file descriptors, %g bytes", started, gauge("process_open_fds"), len(fds), gauge("process_resident_memory_bytes"))
	}
	info := inText["go_info"].GetMetric()[0].GetLabel()[0].GetValue()
	if goroutines := gauge("go_goroutines"); info != runtime.Version() || goroutines < 1 || goroutines > float64(runtime.NumGoroutine()+100) ||
		gauge("go_sched_gomaxprocs_threads") != float64(runtime.GOMAXPROCS(0)) || gauge("go_gc_gomemlimit_bytes") != float64(debug.SetMemoryLimit(-1)) {
		t.Errorf("go_info %s, %g goroutines, %g threads, memory limit %g", info, goroutines, gauge("go_sched_gomaxprocs_threads"), gauge("go_gc_gomemlimit_bytes"))
	}
}
