package collector

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"dane_exporter/probe"
)

// TestTextfile checks that the metrics of several targets are valid for the textfile
// collector, which rejects a file with duplicate series or families, or with timestamps.
func TestTextfile(t *testing.T) {
	var file Textfile
	targets := []probe.Target{
		{Asked: "Example.org.", Name: "example.org"},
		{Name: "mx.example.org", Port: 465},
		{Name: "mx.example.org", Address: netip.MustParseAddr("2001:db8::1"), Port: 25},
	}
	for _, target := range targets {
		r := healthy()
		r.Target = target
		r.Module.PerAddress = true
		file.Add(r)
	}
	var text bytes.Buffer
	if err := file.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`probe_success{target="example.org",module="smtp_mx"} 1`,
		`probe_success{target="mx.example.org:465",module="smtp_mx"} 1`,
		`probe_success{target="[2001:db8::1]:25",module="smtp_mx"} 1`,
		`dane_endpoint_up{target="example.org",module="smtp_mx",host="mx.example.org",port="25",address="192.0.2.1"} 1`,
	} {
		if !strings.Contains(text.String(), "\n"+want+"\n") {
			t.Errorf("no line %s in\n%s", want, text.String())
		}
	}
	problems, err := promlint.New(bytes.NewReader(text.Bytes())).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	// As node_exporter does: parse, and gather without duplicates.
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(&text)
	if err != nil {
		t.Fatal(err)
	}
	gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		var all []*dto.MetricFamily
		for _, family := range parsed {
			all = append(all, family)
		}
		return all, nil
	})
	if _, err := (prometheus.Gatherers{gather}).Gather(); err != nil {
		t.Error(err)
	}
}
