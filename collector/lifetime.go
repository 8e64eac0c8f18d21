package collector

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"dane_exporter/probe/dane"
)

// lifetimeMetrics are the two metrics of a period: the start and the end of the
// validity of a signature, a certificate or an authentication. Both values always
// belong to one period, because alerts use the remaining share of the period.
type lifetimeMetrics struct{ start, end *Metric }

// lifetime is one period, with the label values of its metrics.
type lifetime struct {
	labels     []string
	start, end time.Time
}

// remaining returns the share of the period that is left at a time, negative after
// its end.
func (l lifetime) remaining(at time.Time) float64 {
	total := max(1, l.end.Unix()-l.start.Unix())
	return float64(l.end.Unix()-at.Unix()) / float64(total)
}

// setLifetime adds a period, unless it has no end. Of several with equal labels, the
// one that ends first is exported.
func (s *metricSet) setLifetime(start, end *Metric, from, until time.Time, labels ...string) {
	s.addLifetime(lifetimeMetrics{start, end}, lifetime{labelValues(end, labels, nil), from, until})
}

// setEndpointLifetime adds a period that was measured at one address with one key
// type. The labels start with the host and port of the service.
func (s *metricSet) setEndpointLifetime(start, end *endpointMetric, address netip.Addr, key dane.KeyType, from, until time.Time, labels ...string) {
	values := labelValues(&end.Metric, labels, s.endpointLabels(address, key))
	s.addLifetime(lifetimeMetrics{&start.Metric, &end.Metric}, lifetime{values, from, until})
}

func (s *metricSet) addLifetime(m lifetimeMetrics, l lifetime) {
	if !l.end.IsZero() {
		s.lifetimes[m] = append(s.lifetimes[m], l)
	}
}

// convertLifetimes converts the periods to samples. In a summary, it converts only the
// period with the smallest share left.
func (s *metricSet) convertLifetimes() {
	for m, all := range s.lifetimes {
		all = firstToEnd(all)
		if s.summary {
			all = []lifetime{slices.MinFunc(all, func(a, b lifetime) int {
				return cmp.Compare(a.remaining(s.now), b.remaining(s.now))
			})}
		}
		for _, l := range all {
			s.samples[m.end] = append(s.samples[m.end], sample{l.labels, float64(l.end.Unix())})
			if !l.start.IsZero() {
				s.samples[m.start] = append(s.samples[m.start], sample{l.labels, float64(l.start.Unix())})
			}
		}
	}
}

// firstToEnd returns one period for each set of labels, sorted by labels: the one that
// ends first.
func firstToEnd(all []lifetime) []lifetime {
	slices.SortFunc(all, func(a, b lifetime) int {
		if order := slices.Compare(a.labels, b.labels); order != 0 {
			return order
		}
		return a.end.Compare(b.end)
	})
	return slices.CompactFunc(all, func(a, b lifetime) bool { return slices.Equal(a.labels, b.labels) })
}
