// Package collector converts the report of a probe to Prometheus metrics.
//
// [Families] is a pure function from a [probe.Report] to the metric families of one
// /probe response. [ProbeMetrics] lists every metric that it may return. Dashboards
// and alerts rely on three rules:
//
//   - What was not measured is absent, never 0.
//   - A state has one series for each of its values. The present value is 1.
//   - No server, zone or certificate can break a scrape: label values are
//     sanitised, equal label sets are merged, and the number of series is bounded.
//
// An [Exporter] counts what the process itself does, for /metrics.
// [ExporterMetrics] lists its metrics.
//
// To add a metric, declare it in metrics.go and set it in families.go, or in
// exporter.go if it is about the process.
package collector
