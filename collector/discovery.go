package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"dane_exporter/internal/discovery"
)

// discoveryCollector exports the state of the sources of /sd.
type discoveryCollector struct {
	status                         func() discovery.Status
	domains, up, success, badLines *prometheus.Desc // of each source
	mxPending, mxFailed            *prometheus.Desc
}

// NewDiscoveryCollector returns a collector that calls status at each scrape.
func NewDiscoveryCollector(status func() discovery.Status) prometheus.Collector {
	return &discoveryCollector{
		status:    status,
		domains:   exporterDiscoveryTargets.desc(),
		up:        exporterDiscoveryUp.desc(),
		success:   exporterDiscoverySuccess.desc(),
		badLines:  exporterDiscoveryBadLines.desc(),
		mxPending: exporterDiscoveryMXPending.desc(),
		mxFailed:  exporterDiscoveryMXFailed.desc(),
	}
}

func (c *discoveryCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.domains, c.up, c.success, c.badLines, c.mxPending, c.mxFailed} {
		ch <- desc
	}
}

func (c *discoveryCollector) Collect(ch chan<- prometheus.Metric) {
	status := c.status()
	set := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for _, s := range status.Sources {
		if s.Tried {
			set(c.up, boolValue(s.Up), s.Name)
		}
		if s.Complete {
			set(c.domains, float64(s.Domains), s.Name)
			set(c.badLines, float64(s.BadLines), s.Name)
			set(c.success, float64(s.Success.Unix()), s.Name)
		}
	}
	if status.MX.Wanted {
		set(c.mxPending, float64(status.MX.Pending))
		set(c.mxFailed, float64(status.MX.Failed))
	}
}
