package collector

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"dane_exporter/internal/discovery"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

func TestExporter(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	stats := dnssec.Stats{CacheEntries: 3, CacheBytes: 400, CacheHits: 5, CacheMisses: 6, Limited: 7}
	yes, no := true, false
	result := []dnssec.Health{
		{Server: "192.0.2.53:53", Anchored: &yes},
		{Server: "192.0.2.54:53", Anchored: &no, Problem: dnssec.ProblemStripped, Why: "strips DNSSEC records"},
		{Server: "192.0.2.55:53", Problem: dnssec.ProblemNoAnswer, Why: "does not answer"},
	}
	checks := []SelfCheck{
		{[]string{""}, dnssec.SelfCheckResult{Resolvers: result}},
		{[]string{"view_a", "view_b"}, dnssec.SelfCheckResult{Resolvers: result[1:2]}},
	}
	e := NewExporter(registry, "https://dane.example.org/exporter/", func() dnssec.Stats { return stats }, func() []SelfCheck { return checks })

	ended := e.Started()
	r := healthy()
	endpoints := &r.Facts.Hosts[0].Services[0].Endpoints
	tried := dane.Span{Start: start, End: start}
	(*endpoints)[0].Connect = tried
	(*endpoints)[0].TLS = dane.Span{Start: start.Add(10 * time.Millisecond), End: start.Add(250 * time.Millisecond)}
	failed := func(err error) { *endpoints = append(*endpoints, dane.Endpoint{Err: err, Connect: tried}) }
	failed(fmt.Errorf("connecting: %w", syscall.ECONNREFUSED))
	failed(fmt.Errorf("connecting: %w", os.ErrDeadlineExceeded))
	failed(fmt.Errorf("connecting: %w", syscall.EHOSTUNREACH))
	failed(errors.New("something else"))
	*endpoints = append(*endpoints,
		dane.Endpoint{Err: probe.ErrNotAllowed},                                // not attempted
		dane.Endpoint{Err: syscall.ENETUNREACH, Skipped: true, Connect: tried}, // the exporter has no IPv6
		dane.Endpoint{Reached: dane.StageTLS, Reused: true, Connect: tried},    // by another probe
		dane.Endpoint{Err: syscall.ECONNREFUSED, Copied: true, Connect: tried}, // for another key type
		dane.Endpoint{Reached: dane.StageConnect, Copied: true, Reused: true, Connect: tried},
		dane.Endpoint{Reached: dane.StageStartTLS, Skipped: true, Connect: tried, // no key of this type,
			Other: &dane.Endpoint{Reached: dane.StageTLS, Connect: tried, TLS: (*endpoints)[0].TLS}}, // and a second handshake with all types
	)
	r.Facts.Err = &dane.PanicError{Value: "a panic"}
	e.Observe(r)

	otherPort := healthy()
	otherPort.Facts.Hosts[0].Services[0].Port = 4711
	otherPort.Facts.Hosts[0].Services[0].Endpoints[0] = dane.Endpoint{
		Address: netip.MustParseAddr("192.0.2.1"), Reached: dane.StageConnect, Connect: tried,
	}
	e.Observe(otherPort)
	e.LookedUp("TLSA", 2*time.Second)
	e.LookedUp("TLSA", time.Second)
	e.LookedUp("MX", time.Second)
	e.Rejected("queue_full")
	e.UnknownModule()
	e.Panicked()
	e.Queried("192.0.2.53:53", "udp", "")
	e.Queried("192.0.2.53:53", "tcp", "timeout")
	e.Reloaded(time.Unix(1_700_000_000, 0), nil)
	e.Reloaded(time.Unix(1_700_000_100, 0), errors.New("a bad file"))

	want := `dane_exporter_config_last_reload_success_timestamp_seconds 1.7e+09
dane_exporter_config_last_reload_successful 0
dane_exporter_connects_total{port="25",result="connected"} 3
dane_exporter_connects_total{port="25",result="failed"} 1
dane_exporter_connects_total{port="25",result="refused"} 1
dane_exporter_connects_total{port="25",result="timeout"} 1
dane_exporter_connects_total{port="25",result="unreachable"} 1
dane_exporter_connects_total{port="other",result="connected"} 1
dane_exporter_dns_cache_bytes 400
dane_exporter_dns_cache_entries 3
dane_exporter_dns_cache_requests_total{result="hit"} 5
dane_exporter_dns_cache_requests_total{result="miss"} 6
dane_exporter_dns_errors_total{error="timeout",server="192.0.2.53:53"} 1
dane_exporter_dns_limit_exceeded_total 7
dane_exporter_dns_queries_total{server="192.0.2.53:53",transport="tcp"} 1
dane_exporter_dns_queries_total{server="192.0.2.53:53",transport="udp"} 1
dane_exporter_handshake_duration_seconds_sum{protocol="smtp"} 0.5
dane_exporter_handshake_duration_seconds_count{protocol="smtp"} 2
dane_exporter_handshakes_reused_total 1
dane_exporter_info{external_url="https://dane.example.org/exporter"} 1
dane_exporter_lookup_duration_seconds_sum{type="MX"} 1
dane_exporter_lookup_duration_seconds_count{type="MX"} 1
dane_exporter_lookup_duration_seconds_sum{type="TLSA"} 3
dane_exporter_lookup_duration_seconds_count{type="TLSA"} 2
dane_exporter_module_unknown_total 1
dane_exporter_panics_total 2
dane_exporter_probe_duration_seconds_sum{module="smtp_mx"} 3
dane_exporter_probe_duration_seconds_count{module="smtp_mx"} 2
dane_exporter_probes_in_flight 1
dane_exporter_probes_rejected_total{reason="queue_full"} 1
dane_exporter_probes_total{module="smtp_mx",outcome="authenticated"} 2
dane_exporter_resolver_ok{module="",server="192.0.2.53:53"} 1
dane_exporter_resolver_ok{module="",server="192.0.2.54:53"} 0
dane_exporter_resolver_ok{module="",server="192.0.2.55:53"} 0
dane_exporter_resolver_ok{module="view_a",server="192.0.2.54:53"} 0
dane_exporter_resolver_ok{module="view_b",server="192.0.2.54:53"} 0
dane_exporter_root_keys_without_anchor{module=""} 0
dane_exporter_trust_anchor_ok{module=""} 1
dane_exporter_trust_anchor_ok{module="view_a"} 0
dane_exporter_trust_anchor_ok{module="view_b"} 0
`
	if got := own(t, registry); got != want {
		t.Errorf("got\n%s", diff(got, want))
	}
	checks = []SelfCheck{{[]string{""}, dnssec.SelfCheckResult{Resolvers: result[2:]}}}
	if got := own(t, registry); strings.Contains(got, "trust_anchor_ok") {
		t.Error("dane_exporter_trust_anchor_ok is exported although no resolver returned keys")
	}
	checks = nil
	if got := own(t, registry); strings.Contains(got, "resolver_ok") {
		t.Error("dane_exporter_resolver_ok is exported before the first self-check")
	}
	ended()
	if got := own(t, registry); !strings.Contains(got, "dane_exporter_probes_in_flight 0\n") {
		t.Error("dane_exporter_probes_in_flight counts a probe that has ended")
	}
}

// own returns the samples of the exporter's own metrics in text format, except build
// information and histogram buckets. It checks all metrics with promlint.
func own(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Fatalf("lint: %v, %v", problems, err)
	}
	var text strings.Builder
	process := false
	for _, family := range families {
		process = process || family.GetName() == "go_goroutines"
		if !strings.HasPrefix(family.GetName(), "dane_") {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Fatal(err)
		}
	}
	if !process {
		t.Error("the metrics of the Go runtime are missing")
	}
	var kept strings.Builder
	for line := range strings.Lines(text.String()) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "_bucket{") && !strings.Contains(line, "_build_info{") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// TestExporterMetrics checks that ExporterMetrics describes the metrics that
// NewExporter and NewDiscoveryCollector register, and no others.
func TestExporterMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	NewExporter(registry, "", func() dnssec.Stats { return dnssec.Stats{} }, func() []SelfCheck { return nil })
	registry.MustRegister(NewDiscoveryCollector(func() discovery.Status { return discovery.Status{} }))
	ch := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(ch)
		close(ch)
	}()
	registered := make(map[string]bool)
	for desc := range ch {
		// The constant labels of dane_exporter_build_info depend on the build.
		text := regexp.MustCompile(`constLabels: \{.*?\}`).ReplaceAllString(desc.String(), "constLabels: {}")
		if strings.Contains(text, `fqName: "dane_`) {
			registered[text] = true
		}
	}
	for _, metric := range ExporterMetrics() {
		if text := metric.desc().String(); !registered[text] {
			t.Errorf("%s is not registered", text)
		} else {
			delete(registered, text)
		}
	}
	for text := range registered {
		t.Errorf("ExporterMetrics does not list %s", text)
	}
	if all := ExporterMetrics(); !slices.IsSortedFunc(all, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("ExporterMetrics is not sorted by name: %v", all)
	}
}

// TestDiscoveryCollector checks which metrics of a source exist: none before the first
// attempt, and those of the last list as long as there is one.
func TestDiscoveryCollector(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collectors.NewGoCollector(), NewDiscoveryCollector(func() discovery.Status {
		return discovery.Status{
			Sources: []discovery.SourceStatus{
				{Name: "new"},
				{Name: "unreadable", Tried: true},
				{Name: "stale", Tried: true, Complete: true, Domains: 7, BadLines: 2, Success: time.Unix(1_700_000_000, 0)},
				{Name: "good", Tried: true, Complete: true, Up: true, Domains: 3, Success: time.Unix(1_800_000_000, 0)},
			},
			MX: discovery.MXStatus{Wanted: true, Pending: 5, Failed: 1},
		}
	}))
	want := `dane_exporter_discovery_bad_lines{source="good"} 0
dane_exporter_discovery_bad_lines{source="stale"} 2
dane_exporter_discovery_last_success_timestamp_seconds{source="good"} 1.8e+09
dane_exporter_discovery_last_success_timestamp_seconds{source="stale"} 1.7e+09
dane_exporter_discovery_mx_failed 1
dane_exporter_discovery_mx_pending 5
dane_exporter_discovery_targets{source="good"} 3
dane_exporter_discovery_targets{source="stale"} 7
dane_exporter_discovery_up{source="good"} 1
dane_exporter_discovery_up{source="stale"} 0
dane_exporter_discovery_up{source="unreadable"} 0
`
	if got := own(t, registry); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestMetricTypes checks the type of every listed metric by its name, as the naming
// conventions of Prometheus require.
func TestMetricTypes(t *testing.T) {
	for _, metric := range slices.Concat(ProbeMetrics(), ExporterMetrics()) {
		want := model.MetricTypeGauge
		switch {
		case strings.HasSuffix(metric.Name, "_total"):
			want = model.MetricTypeCounter
		case strings.HasPrefix(metric.Name, "dane_exporter_") && strings.HasSuffix(metric.Name, "_duration_seconds"):
			want = model.MetricTypeHistogram
		}
		if metric.Type != want {
			t.Errorf("%s has the type %s, want %s", metric.Name, metric.Type, want)
		}
	}
}
