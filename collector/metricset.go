package collector

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	dto "github.com/prometheus/client_model/go"

	"dane_exporter/internal/printable"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// metricSet collects the samples of one probe and converts them to metric families
// without duplicate label sets.
type metricSet struct {
	perAddress bool      // endpoint metrics have the label address
	perKeyType bool      // endpoint metrics have the label key_type
	summary    bool      // only metrics of the summary are exported
	now        time.Time // of the probe
	samples    map[*Metric][]sample
	lifetimes  map[lifetimeMetrics][]lifetime
}

// sample is one value of a metric, with the values of its labels.
type sample struct {
	labels []string
	value  float64
}

func newMetricSet(module probe.Module, now time.Time) *metricSet {
	summary := module.Series == probe.SeriesSummary
	return &metricSet{
		perAddress: module.PerAddress && !summary,
		perKeyType: len(module.KeyTypes) > 0 && !summary,
		summary:    summary,
		now:        now,
		samples:    make(map[*Metric][]sample),
		lifetimes:  make(map[lifetimeMetrics][]lifetime),
	}
}

// set adds a sample of a metric; labels has one value for each of m.Labels. If the
// label set occurs again, m.merge selects the value.
func (s *metricSet) set(m *Metric, value float64, labels ...string) {
	s.add(m, value, labels, nil)
}

// setTime adds a time in Unix seconds, unless it is the zero time.
func (s *metricSet) setTime(m *Metric, at time.Time, labels ...string) {
	if !at.IsZero() {
		s.set(m, float64(at.Unix()), labels...)
	}
}

// setMeasure adds a boolean, unless it was not measured.
func (s *metricSet) setMeasure(m *Metric, measure dane.Measure, labels ...string) {
	if measure != dane.NotMeasured {
		s.set(m, boolValue(measure == dane.Yes), labels...)
	}
}

// setForEndpoint adds a sample that was measured at one address with one key type.
// The labels start with the host and port of the service.
func (s *metricSet) setForEndpoint(m *endpointMetric, address netip.Addr, key dane.KeyType, value float64, labels ...string) {
	s.add(&m.Metric, value, labels, s.endpointLabels(address, key))
}

// endpointLabels returns the values of the additional labels of endpoint metrics.
func (s *metricSet) endpointLabels(address netip.Addr, key dane.KeyType) []string {
	var labels []string
	if s.perAddress {
		labels = append(labels, address.String())
	}
	if s.perKeyType {
		labels = append(labels, string(key))
	}
	return labels
}

// afterPort is the index at which endpoint metrics, whose labels start with host
// and port, have their address and key type.
const afterPort = 2

func (s *metricSet) add(m *Metric, value float64, labels, endpoint []string) {
	if !s.summary || m.Summary {
		s.samples[m] = append(s.samples[m], sample{labelValues(m, labels, endpoint), value})
	}
}

// labelValues returns the values of all labels of m, made valid.
func labelValues(m *Metric, labels, endpoint []string) []string {
	if len(labels) != len(m.Labels) {
		panic(fmt.Sprintf("collector: %d label values for %s, which has %d labels", len(labels), m.Name, len(m.Labels)))
	}
	values := make([]string, 0, len(labels)+len(endpoint))
	for i, text := range labels {
		switch m.Labels[i] {
		case "host", "name", "zone", "signer", "nameserver", "delegation":
			values = append(values, domainLabel(text))
		default:
			values = append(values, label(text))
		}
	}
	if len(endpoint) > 0 {
		values = slices.Insert(values, afterPort, endpoint...)
	}
	return values
}

// families returns the metric families, sorted by name, with their metrics sorted
// by label values.
func (s *metricSet) families() []*dto.MetricFamily {
	s.convertLifetimes()
	families := make([]*dto.MetricFamily, 0, len(s.samples))
	for m, samples := range s.samples {
		families = append(families, family(m, s.labelNames(m), merged(m, samples)))
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return cmp.Compare(*a.Name, *b.Name) })
	return families
}

// merged sorts the samples of a metric by labels, and merges those with equal labels.
func merged(m *Metric, samples []sample) []sample {
	slices.SortFunc(samples, func(a, b sample) int { return slices.Compare(a.labels, b.labels) })
	kept := samples[:0]
	for _, s := range samples {
		if n := len(kept); n > 0 && slices.Equal(kept[n-1].labels, s.labels) {
			kept[n-1].value = m.merge(kept[n-1].value, s.value)
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// labelNames returns the label names of a metric in the order in which add stores
// the values.
func (s *metricSet) labelNames(m *Metric) []string {
	names := m.Labels
	if m.Endpoint && s.perKeyType {
		names = slices.Insert(slices.Clone(names), afterPort, "key_type")
	}
	if m.Endpoint && s.perAddress {
		names = slices.Insert(slices.Clone(names), afterPort, "address")
	}
	return names
}

func family(m *Metric, names []string, samples []sample) *dto.MetricFamily {
	metrics := make([]*dto.Metric, len(samples))
	for i := range samples {
		s := &samples[i]
		metrics[i] = &dto.Metric{Label: labelPairs(names, s.labels), Gauge: &dto.Gauge{Value: &s.value}}
	}
	return &dto.MetricFamily{Name: &m.Name, Help: &m.Help, Type: dto.MetricType_GAUGE.Enum(), Metric: metrics}
}

func labelPairs(names, values []string) []*dto.LabelPair {
	pairs := make([]dto.LabelPair, len(names))
	pointers := make([]*dto.LabelPair, len(names))
	for i := range pairs {
		pairs[i].Name, pairs[i].Value = &names[i], &values[i]
		pointers[i] = &pairs[i]
	}
	return pointers
}

// boolValue returns 1 for true and 0 for false.
func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// maxLabel is the maximum length of a label value in bytes.
const maxLabel = 256

// label converts text from any source to a label value: valid UTF-8, at most maxLabel
// bytes long, with a replacement for each character that is not printable. These
// include control characters and those that change the direction of writing.
func label(text string) string {
	if len(text) <= maxLabel && printable.IsPlain(text) {
		return text
	}
	text = printable.Cut(text, 4*maxLabel) // bounds the work below
	text = strings.ToValidUTF8(text, string(unicode.ReplacementChar))
	text = strings.Map(func(r rune) rune {
		if !printable.Is(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	return printable.Cut(text, maxLabel)
}

// domainLabel converts a domain name to a label value: lower case, without the final
// dot. Names are A-labels already. The root is ".". A name that is too long, because its
// octets are escaped (RFC 1035 §5.1), ends with a digest, so that it stays distinct.
func domainLabel(name string) string {
	name = strings.ToLower(name)
	if name != "." {
		name = strings.TrimSuffix(name, ".")
	}
	if len(name) > maxLabel {
		digest := sha256.Sum256([]byte(name))
		suffix := fmt.Sprintf("~%x", digest[:8])
		name = printable.Cut(name, maxLabel-len(suffix)) + suffix
	}
	return label(name)
}
