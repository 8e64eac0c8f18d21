package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"dane_exporter/probe/dnssec"
)

// resolverCollector tells of the validator's cache at the moment of a scrape.
// The numbers begin anew where a new configuration brings a new validator.
type resolverCollector struct {
	stats    func() dnssec.Stats
	entries  *prometheus.Desc
	bytes    *prometheus.Desc
	requests *prometheus.Desc
	limited  *prometheus.Desc
}

func newResolverCollector(stats func() dnssec.Stats) *resolverCollector {
	return &resolverCollector{
		stats:    stats,
		entries:  prometheus.NewDesc("dane_exporter_dns_cache_entries", "Names of which the cache knows whether they are zones, and with which keys.", nil, nil),
		bytes:    prometheus.NewDesc("dane_exporter_dns_cache_bytes", "Memory that the cache of validated zones takes, estimated.", nil, nil),
		requests: prometheus.NewDesc("dane_exporter_dns_cache_requests_total", "Zones that look-ups needed, by whether the cache had them.", []string{"result"}, nil),
		limited:  prometheus.NewDesc("dane_exporter_dns_limit_exceeded_total", "Look-ups given up because they would have cost more than the limits allow.", nil, nil),
	}
}

func (c *resolverCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.entries
	to <- c.bytes
	to <- c.requests
	to <- c.limited
}

func (c *resolverCollector) Collect(to chan<- prometheus.Metric) {
	now := c.stats()
	to <- prometheus.MustNewConstMetric(c.entries, prometheus.GaugeValue, float64(now.CacheEntries))
	to <- prometheus.MustNewConstMetric(c.bytes, prometheus.GaugeValue, float64(now.CacheBytes))
	to <- prometheus.MustNewConstMetric(c.requests, prometheus.CounterValue, float64(now.CacheHits), "hit")
	to <- prometheus.MustNewConstMetric(c.requests, prometheus.CounterValue, float64(now.CacheMisses), "miss")
	to <- prometheus.MustNewConstMetric(c.limited, prometheus.CounterValue, float64(now.Limited))
}
