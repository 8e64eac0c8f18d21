package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"dane_exporter/probe/dnssec"
)

// examinationCollector tells what the last self-check found; nothing before
// the first.
type examinationCollector struct {
	examined func() *dnssec.SelfCheckResult
	resolver *prometheus.Desc
	anchor   *prometheus.Desc
}

func newExaminationCollector(examined func() *dnssec.SelfCheckResult) *examinationCollector {
	return &examinationCollector{
		examined: examined,
		resolver: prometheus.NewDesc("dane_exporter_resolver_ok", "Whether the self-check found a resolver fit to validate through.", []string{"server"}, nil),
		anchor:   prometheus.NewDesc("dane_exporter_trust_anchor_ok", "Whether the keys that resolvers give lead from a trust anchor; absent where none gave any.", nil, nil),
	}
}

func (c *examinationCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.resolver
	to <- c.anchor
}

func (c *examinationCollector) Collect(to chan<- prometheus.Metric) {
	found := c.examined()
	if found == nil {
		return
	}
	for _, one := range found.Resolvers {
		to <- prometheus.MustNewConstMetric(c.resolver, prometheus.GaugeValue, number(one.Problem == ""), label(one.Server))
	}
	if anchored, known := found.Anchored(); known {
		to <- prometheus.MustNewConstMetric(c.anchor, prometheus.GaugeValue, number(anchored))
	}
}
