package collector

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	dto "github.com/prometheus/client_model/go"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// exposition collects measurements, and makes metric families of them in which
// no label set stands twice. There are hundreds of measurements in a scrape, so
// what is kept of them is kept in a few large pieces.
type exposition struct {
	perAddress bool
	perKey     bool
	samples    []sample
	labels     []string // of all samples, one after the other
}

// sample is one measurement: a label set of a series, and its value.
type sample struct {
	series *Series
	labels []string
	value  float64
}

// The room that an exposition begins with: a domain of two mail hosts fits.
const (
	usualSamples = 128
	usualLabels  = 3 * usualSamples
)

func newExposition(module probe.Module) *exposition {
	return &exposition{
		perAddress: module.PerAddress, perKey: len(module.KeyTypes) > 0,
		samples: make([]sample, 0, usualSamples), labels: make([]string, 0, usualLabels),
	}
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
func (e *exposition) setAt(address netip.Addr, key dane.KeyType, name string, value float64, labels ...string) {
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
	from := len(e.labels)
	for _, text := range labels {
		e.labels = append(e.labels, label(text))
	}
	if len(told) > 0 {
		e.labels = slices.Insert(e.labels, from+afterPort, told...)
	}
	e.samples = append(e.samples, sample{s, e.labels[from:len(e.labels):len(e.labels)], value})
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
	page := newPage(samples)
	gathered := make([]*dto.MetricFamily, 0, len(series))
	for rest := samples; len(rest) > 0; {
		of, n := rest[0].series, 1
		for n < len(rest) && rest[n].series == of {
			n++
		}
		gathered = append(gathered, page.family(of, e.labelsOf(of), rest[:n]))
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

// page is the room for all that metric families are made of.
type page struct {
	kind     dto.MetricType
	families []dto.MetricFamily
	metrics  []dto.Metric
	gauges   []dto.Gauge
	listed   []*dto.Metric
	pairs    []dto.LabelPair
	paired   []*dto.LabelPair
}

func newPage(samples []sample) *page {
	pairs := 0
	for i := range samples {
		pairs += len(samples[i].labels)
	}
	return &page{
		kind: dto.MetricType_GAUGE, families: make([]dto.MetricFamily, 0, len(series)),
		metrics: make([]dto.Metric, 0, len(samples)), gauges: make([]dto.Gauge, 0, len(samples)), listed: make([]*dto.Metric, 0, len(samples)),
		pairs: make([]dto.LabelPair, 0, pairs), paired: make([]*dto.LabelPair, 0, pairs),
	}
}

func (p *page) family(of *Series, names []string, samples []sample) *dto.MetricFamily {
	begin := len(p.listed)
	for i := range samples {
		p.metric(names, &samples[i])
	}
	p.families = append(p.families, dto.MetricFamily{Name: &of.Name, Help: &of.Help, Type: &p.kind, Metric: p.listed[begin:len(p.listed):len(p.listed)]})
	return &p.families[len(p.families)-1]
}

func (p *page) metric(names []string, s *sample) {
	begin := len(p.paired)
	for i := range names {
		p.pairs = append(p.pairs, dto.LabelPair{Name: &names[i], Value: &s.labels[i]})
		p.paired = append(p.paired, &p.pairs[len(p.pairs)-1])
	}
	p.gauges = append(p.gauges, dto.Gauge{Value: &s.value})
	p.metrics = append(p.metrics, dto.Metric{Label: p.paired[begin:len(p.paired):len(p.paired)], Gauge: &p.gauges[len(p.gauges)-1]})
	p.listed = append(p.listed, &p.metrics[len(p.metrics)-1])
}

// number is a truth as a value.
func number(truth bool) float64 {
	if truth {
		return 1
	}
	return 0
}
