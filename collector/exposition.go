package collector

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"dane_exporter/probe"
)

// exposition collects measurements into metric families in which no label set
// stands twice.
type exposition struct {
	families   map[string]*family
	perAddress bool
	perKey     bool
}

// family is one series while it is being collected.
type family struct {
	Series
	labels []string
	values map[string]*sample // by the label values, joined
}

// sample is one label set and its value.
type sample struct {
	labels []string
	value  float64
}

func newExposition(module probe.Module) *exposition {
	e := &exposition{families: make(map[string]*family), perAddress: module.PerAddress, perKey: len(module.KeyTypes) > 0}
	for _, series := range AllSeries() {
		labels := series.Labels
		if series.Endpoint {
			labels = e.insert(slices.Clone(labels), "address", "key_type")
		}
		e.families[series.Name] = &family{Series: series, labels: labels, values: make(map[string]*sample)}
	}
	return e
}

// afterPort is where endpoint series, which start with host and port, have
// their address and key type.
const afterPort = 2

// insert puts address and key type among the labels, or their values, of an
// endpoint series, as far as the module wants them told apart.
func (e *exposition) insert(labels []string, address, key string) []string {
	if e.perKey {
		labels = slices.Insert(labels, afterPort, key)
	}
	if e.perAddress {
		labels = slices.Insert(labels, afterPort, address)
	}
	return labels
}

// set measures one label set of a series. Measured again, the lesser value
// stands, or the greater where the series says so.
func (e *exposition) set(name string, value float64, labels ...string) {
	f := e.families[name]
	if f == nil || len(labels) != len(f.labels) {
		panic(fmt.Sprintf("collector: %s has no labels %q", name, labels))
	}
	for i := range labels {
		labels[i] = label(labels[i])
	}
	key := strings.Join(labels, "\x00") // label lets no NUL through
	known := f.values[key]
	switch {
	case known == nil:
		f.values[key] = &sample{labels, value}
	case f.greatest:
		known.value = max(known.value, value)
	default:
		known.value = min(known.value, value)
	}
}

// setAt measures an endpoint series at one address, with one type of key. The
// labels begin with those of the service.
func (e *exposition) setAt(address netip.Addr, key probe.KeyType, name string, value float64, labels ...string) {
	e.set(name, value, e.insert(labels, address.String(), string(key))...)
}

// count is how many label sets of a series there are.
func (e *exposition) count(name string) int { return len(e.families[name].values) }

// gather returns the families that have samples, sorted by name, their samples
// sorted by label values.
func (e *exposition) gather() []*dto.MetricFamily {
	var gathered []*dto.MetricFamily
	for _, f := range e.families {
		if len(f.values) > 0 {
			gathered = append(gathered, f.gather())
		}
	}
	slices.SortFunc(gathered, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return gathered
}

func (f *family) gather() *dto.MetricFamily {
	samples := make([]*sample, 0, len(f.values))
	for _, s := range f.values {
		samples = append(samples, s)
	}
	slices.SortFunc(samples, func(a, b *sample) int { return slices.Compare(a.labels, b.labels) })
	gathered := &dto.MetricFamily{
		Name: new(f.Name),
		Help: new(f.Help),
		Type: dto.MetricType_GAUGE.Enum(),
	}
	// One allocation for all of a kind: there are hundreds of samples in a scrape.
	metrics := make([]dto.Metric, len(samples))
	gauges := make([]dto.Gauge, len(samples))
	pairs := make([]dto.LabelPair, len(samples)*len(f.labels))
	listed := make([]*dto.LabelPair, len(pairs))
	gathered.Metric = make([]*dto.Metric, len(samples))
	for i, s := range samples {
		gauges[i].Value = &s.value
		metrics[i].Gauge = &gauges[i]
		for j := range f.labels {
			at := i*len(f.labels) + j
			pairs[at].Name, pairs[at].Value, listed[at] = &f.labels[j], &s.labels[j], &pairs[at]
		}
		metrics[i].Label = listed[i*len(f.labels) : (i+1)*len(f.labels) : (i+1)*len(f.labels)]
		gathered.Metric[i] = &metrics[i]
	}
	return gathered
}

// number is a truth as a value.
func number(truth bool) float64 {
	if truth {
		return 1
	}
	return 0
}
