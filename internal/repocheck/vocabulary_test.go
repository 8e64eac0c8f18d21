package repocheck

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"

	"dane_exporter/collector"
	"dane_exporter/probe/dane"
)

// A vocabulary holds the names that a query may use.
type vocabulary struct {
	metrics map[string][]string // metric to labels; nil: any label
	labels  []string            // of any metric
	values  map[string][]string // label to values, for labels with a closed list
}

func newVocabulary(rules []rule) *vocabulary {
	v := &vocabulary{
		metrics: map[string][]string{"up": {}, "node_textfile_mtime_seconds": {"file"}}, // of Prometheus and node_exporter
		labels:  append(slices.Clone(targetLabels), "address", "key_type", "le", "protection"),
		values: map[string][]string{
			"usable": {"yes", "no", "superseded"},
			"result": {"connected", "refused", "timeout", "unreachable", "failed"},
		},
	}
	for _, m := range append(collector.ProbeMetrics(), collector.ExporterMetrics()...) {
		v.metrics[m.Name] = m.Labels
		if m.Type == model.MetricTypeHistogram {
			v.metrics[m.Name+"_bucket"] = append(slices.Clone(m.Labels), "le")
		}
		v.labels = append(v.labels, m.Labels...)
	}
	for _, r := range rules {
		if r.Record != "" {
			v.metrics[r.Record] = nil
		}
	}
	for _, r := range dane.Reasons() {
		v.values["reason"] = append(v.values["reason"], string(r.Reason))
		v.values["effect"] = append(v.values["effect"], string(r.Effect))
	}
	for _, o := range dane.Outcomes() {
		v.values["outcome"] = append(v.values["outcome"], string(o))
	}
	return v
}

// The parts of PromQL that are needed to find the names in a query.
var (
	selector = regexp.MustCompile(`([a-zA-Z_][\w:]*)\s*(\{[^}]*\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	duration = regexp.MustCompile(`\[[^\]]*\]|\boffset \d+m\b`)
	keywords = strings.Fields(`and or unless bool vector time sum min max count avg group topk bottomk rate increase
		sort clamp_min Inf min_over_time max_over_time last_over_time avg_over_time count_over_time sum_over_time timestamp changes histogram_quantile`)
	// The labels that the scrape configuration gives to a target.
	targetLabels = []string{"job", "instance", "module", "exporter"}
)

// check returns the names in query that v does not have.
func (v *vocabulary) check(query string) (unknown []string) {
	query = duration.ReplaceAllString(query, "")
	for _, group := range grouping.FindAllStringSubmatch(query, -1) {
		for _, label := range strings.Split(group[2], ",") {
			if group[2] != "" && !slices.Contains(v.labels, strings.TrimSpace(label)) {
				unknown = append(unknown, "label "+label)
			}
		}
	}
	for _, found := range selector.FindAllStringSubmatch(grouping.ReplaceAllString(query, ""), -1) {
		name, labels := found[1], found[2]
		if slices.Contains(keywords, name) {
			continue
		}
		known, exists := v.metrics[name]
		if !exists {
			unknown = append(unknown, "metric "+name)
			continue
		}
		for _, m := range matcher.FindAllStringSubmatch(labels, -1) {
			label, value := m[1], m[3]
			if known == nil {
				known = v.labels
			}
			if !slices.Contains(known, label) && !slices.Contains(targetLabels, label) {
				unknown = append(unknown, "label "+label+" of "+name)
			}
			for _, one := range strings.Split(value, "|") {
				if list, closed := v.values[label]; closed && !slices.Contains(list, one) {
					unknown = append(unknown, label+" "+one)
				}
			}
		}
	}
	return unknown
}

// TestVocabulary checks that check finds unknown names at each place of a query.
func TestVocabulary(t *testing.T) {
	v := newVocabulary(readRules(t))
	for query, want := range map[string]string{
		`max without (address) (dane_finding{reason="tlsa_mismatch"} == 1)`: "",
		`dane_outcom == 1`:                                    "metric dane_outcom",
		`max_over_time(dane_findin[15m])`:                     "metric dane_findin",
		`dane_tlsa_match{hosts="mx"} == 0`:                    "label hosts of dane_tlsa_match",
		`dane_finding{reason=~"no_tlsa|tlsa_mishap"}`:         "reason tlsa_mishap",
		`dane_outcome{outcome!="rejected"}`:                   "outcome rejected",
		`up{module!=""} == 0`:                                 "",
		`up{modul!=""} == 0`:                                  "label modul of up",
		`timestamp(dane_finding{effect="eror"})`:              "effect eror",
		`sum by (job, hosts) (dane_finding)`:                  "label  hosts",
		`sum(increase(dane_exporter_connect_total[15m]))`:     "metric dane_exporter_connect_total",
		`instance:dane_outcome_refused:held == 1`:             "metric instance:dane_outcome_refused:held",
		`dane_exporter_connects_total{result="connected"}`:    "",
		`dane_exporter_probe_duration_seconds_bucket{le="1"}`: "",
		`dane_finding_bucket`:                                 "metric dane_finding_bucket",
	} {
		if got := strings.Join(v.check(query), ", "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
