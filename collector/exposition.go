package collector

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	dto "github.com/prometheus/client_model/go"

	"dane_exporter/probe"
)

// exposition collects measurements, and makes metric families of them in which
// no label set stands twice.
type exposition struct {
	perAddress bool
	perKey     bool
	samples    []sample
}

// sample is one measurement: a label set of a series, and its value.
type sample struct {
	series *Series
	labels []string
	value  float64
}

func newExposition(module probe.Module) *exposition {
	return &exposition{perAddress: module.PerAddress, perKey: len(module.KeyTypes) > 0}
}

// afterPort is where endpoint series, which start with host and port, have
// their address and key type.
const afterPort = 2

// set measures one label set of a series. Measured again, the lesser value
// stands, or the greater where the series says so.
func (e *exposition) set(name string, value float64, labels ...string) {
	e.add(name, value, labels, nil)
}

// setAt measures an endpoint series at one address, with one type of key. The
// labels begin with those of the service.
func (e *exposition) setAt(address netip.Addr, key probe.KeyType, name string, value float64, labels ...string) {
	var place [2]string
	told := place[:0]
	if e.perAddress {
		told = append(told, address.String())
	}
	if e.perKey {
		told = append(told, string(key))
	}
	e.add(name, value, labels, told)
}

// add keeps a measurement, with what the module wants told of the endpoint
// after the port; told is nil where it is of no endpoint.
func (e *exposition) add(name string, value float64, labels, told []string) {
	s := series[name]
	if s == nil || len(labels) != len(s.Labels) || s.Endpoint != (told != nil) {
		panic(fmt.Sprintf("collector: %s has other labels than the %d given", name, len(labels)))
	}
	values := make([]string, 0, len(labels)+len(told))
	for _, text := range labels {
		values = append(values, label(text))
	}
	if len(told) > 0 {
		values = slices.Insert(values, afterPort, told...)
	}
	e.samples = append(e.samples, sample{s, values, value})
}

// labelsOf names the labels of a series, as add orders their values.
func (e *exposition) labelsOf(s *Series) []string {
	names := s.Labels
	if s.Endpoint && e.perKey {
		names = slices.Insert(slices.Clone(names), afterPort, "key_type")
	}
	if s.Endpoint && e.perAddress {
		names = slices.Insert(slices.Clone(names), afterPort, "address")
	}
	return names
}

// gather returns the families that have samples, sorted by name, their samples
// sorted by label values.
func (e *exposition) gather() []*dto.MetricFamily {
	samples := merged(e.samples)
	gathered := make([]*dto.MetricFamily, 0, len(series))
	for rest := samples; len(rest) > 0; {
		of, n := rest[0].series, 1
		for n < len(rest) && rest[n].series == of {
			n++
		}
		gathered = append(gathered, family(of, e.labelsOf(of), rest[:n]))
		rest = rest[n:]
	}
	return gathered
}

// merged sorts samples by series and labels, and makes one of those that share both.
func merged(samples []sample) []sample {
	slices.SortFunc(samples, func(a, b sample) int {
		if a.series != b.series {
			return cmp.Compare(a.series.rank, b.series.rank)
		}
		return slices.Compare(a.labels, b.labels)
	})
	kept := samples[:0]
	for _, s := range samples {
		if n := len(kept); n > 0 && kept[n-1].series == s.series && slices.Equal(kept[n-1].labels, s.labels) {
			kept[n-1].value = s.series.either(kept[n-1].value, s.value)
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// family makes a metric family of the samples of one series.
func family(of *Series, names []string, samples []sample) *dto.MetricFamily {
	metrics := make([]*dto.Metric, len(samples))
	for i := range samples {
		metrics[i] = metric(names, &samples[i])
	}
	return &dto.MetricFamily{Name: &of.Name, Help: &of.Help, Type: dto.MetricType_GAUGE.Enum(), Metric: metrics}
}

func metric(names []string, s *sample) *dto.Metric {
	pairs := make([]dto.LabelPair, len(names))
	listed := make([]*dto.LabelPair, len(names))
	for i := range pairs {
		pairs[i].Name, pairs[i].Value = &names[i], &s.labels[i]
		listed[i] = &pairs[i]
	}
	return &dto.Metric{Label: listed, Gauge: &dto.Gauge{Value: &s.value}}
}

// number is a truth as a value.
func number(truth bool) float64 {
	if truth {
		return 1
	}
	return 0
}
