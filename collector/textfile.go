package collector

import (
	"bytes"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"dane_exporter/probe"
)

// Textfile collects the metrics of probes of several targets for the textfile collector of
// node_exporter. Prometheus does not know these targets, so each series has the labels
// target and module. The zero value is ready.
type Textfile struct {
	families map[string]*dto.MetricFamily
}

// Add adds the metrics of a probe. No two probes may have the same target and module.
func (t *Textfile) Add(report *probe.Report) {
	if t.families == nil {
		t.families = make(map[string]*dto.MetricFamily)
	}
	added := labelPairs([]string{"target", "module"}, []string{targetLabel(report.Target), label(report.Module.Name)})
	for _, family := range Families(report) {
		for _, metric := range family.Metric {
			metric.Label = slices.Concat(added, metric.Label)
		}
		if all, ok := t.families[family.GetName()]; ok {
			all.Metric = append(all.Metric, family.Metric...)
		} else {
			t.families[family.GetName()] = family
		}
	}
}

// Write writes all metrics in text format 0.0.4, sorted by name and then in the order in
// which they were added. It returns the error of w.
func (t *Textfile) Write(w io.Writer) error {
	var text bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(t.families)) {
		if _, err := expfmt.MetricFamilyToText(&text, t.families[name]); err != nil {
			return err
		}
	}
	_, err := w.Write(text.Bytes())
	return err
}

// targetLabel returns a target in the form in which a request gives it: a name or an
// address, with a port if it has one.
func targetLabel(t probe.Target) string {
	host := domainLabel(t.Name)
	if t.Address.IsValid() {
		host = t.Address.String()
	}
	if t.Port == 0 {
		return host
	}
	return label(net.JoinHostPort(host, strconv.Itoa(int(t.Port))))
}
