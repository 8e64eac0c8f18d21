package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"dane_exporter/probe/dnssec"
)

// resolverCollector exports the statistics of the validating resolver. They start
// again at zero if a new configuration replaces the resolver.
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
		entries:  exporterCacheEntries.desc(),
		bytes:    exporterCacheBytes.desc(),
		requests: exporterCacheRequests.desc(),
		limited:  exporterDNSLimited.desc(),
	}
}

func (c *resolverCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.entries
	ch <- c.bytes
	ch <- c.requests
	ch <- c.limited
}

func (c *resolverCollector) Collect(ch chan<- prometheus.Metric) {
	stats := c.stats()
	ch <- prometheus.MustNewConstMetric(c.entries, prometheus.GaugeValue, float64(stats.CacheEntries))
	ch <- prometheus.MustNewConstMetric(c.bytes, prometheus.GaugeValue, float64(stats.CacheBytes))
	ch <- prometheus.MustNewConstMetric(c.requests, prometheus.CounterValue, float64(stats.CacheHits), "hit")
	ch <- prometheus.MustNewConstMetric(c.requests, prometheus.CounterValue, float64(stats.CacheMisses), "miss")
	ch <- prometheus.MustNewConstMetric(c.limited, prometheus.CounterValue, float64(stats.Limited))
}

// selfCheckCollector exports the result of the last self-check of the resolvers,
// and nothing before the first.
type selfCheckCollector struct {
	last        func() *dnssec.SelfCheckResult
	resolver    *prometheus.Desc
	trustAnchor *prometheus.Desc
	newRootKeys *prometheus.Desc
}

func newSelfCheckCollector(last func() *dnssec.SelfCheckResult) *selfCheckCollector {
	return &selfCheckCollector{last: last, resolver: exporterResolverOK.desc(), trustAnchor: exporterTrustAnchorOK.desc(), newRootKeys: exporterNewRootKeys.desc()}
}

func (c *selfCheckCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.resolver
	ch <- c.trustAnchor
	ch <- c.newRootKeys
}

func (c *selfCheckCollector) Collect(ch chan<- prometheus.Metric) {
	result := c.last()
	if result == nil {
		return
	}
	for _, r := range result.Resolvers {
		ch <- prometheus.MustNewConstMetric(c.resolver, prometheus.GaugeValue, boolValue(r.Problem == ""), label(r.Server))
	}
	if anchored, known := result.Anchored(); known {
		ch <- prometheus.MustNewConstMetric(c.trustAnchor, prometheus.GaugeValue, boolValue(anchored))
	}
	if tags, known := result.NewKeys(); known {
		ch <- prometheus.MustNewConstMetric(c.newRootKeys, prometheus.GaugeValue, float64(len(tags)))
	}
}
