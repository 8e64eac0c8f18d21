package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"dane_exporter/probe/dnssec"
)

// resolverCollector exports the sums of the statistics of all validating resolvers.
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

// SelfCheck is the result of the last self-check of a resolver setting.
type SelfCheck struct {
	// Modules are the names of the modules with this setting. The empty name stands for
	// all modules without a resolver setting.
	Modules []string
	Result  dnssec.SelfCheckResult
}

// selfCheckCollector exports the results of the last self-checks of the resolvers, and
// nothing before the first.
type selfCheckCollector struct {
	last        func() []SelfCheck
	resolver    *prometheus.Desc
	trustAnchor *prometheus.Desc
	newRootKeys *prometheus.Desc
}

func newSelfCheckCollector(last func() []SelfCheck) *selfCheckCollector {
	return &selfCheckCollector{last: last, resolver: exporterResolverOK.desc(), trustAnchor: exporterTrustAnchorOK.desc(), newRootKeys: exporterNewRootKeys.desc()}
}

func (c *selfCheckCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.resolver
	ch <- c.trustAnchor
	ch <- c.newRootKeys
}

func (c *selfCheckCollector) Collect(ch chan<- prometheus.Metric) {
	for _, check := range c.last() {
		for _, module := range check.Modules {
			module = label(module)
			for _, r := range check.Result.Resolvers {
				ch <- prometheus.MustNewConstMetric(c.resolver, prometheus.GaugeValue, boolValue(r.Problem == ""), module, label(r.Server))
			}
			if anchored, known := check.Result.Anchored(); known {
				ch <- prometheus.MustNewConstMetric(c.trustAnchor, prometheus.GaugeValue, boolValue(anchored), module)
			}
			if tags, known := check.Result.NewKeys(); known {
				ch <- prometheus.MustNewConstMetric(c.newRootKeys, prometheus.GaugeValue, float64(len(tags)), module)
			}
		}
	}
}
