//go:build integration

package integration

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// exporter is our binary, serving as a user would start it.
type exporter struct{ url string }

const exporterAddress = "127.0.0.1:10125"

// startExporter starts it behind the resolver that does not validate.
func startExporter(t testing.TB, w *world) *exporter {
	t.Helper()
	anchors := write(t, w.dir, "anchors", w.anchor+"\n")
	var modules strings.Builder
	for _, s := range softwares() {
		for _, spoken := range s.speaks {
			modules.WriteString(spoken.module())
		}
	}
	config := write(t, w.dir, "exporter.yml", fmt.Sprintf(`resolver:
  servers: [%q]
  timeout: 1s
  trust_anchors: %q
access:
  allow_networks: [192.0.2.0/24, "2001:db8::/32"]
modules:
  https_keys: {discover: none, protocol: tls, policy: client, port: 443, key_types: [ecdsa, rsa]}
%s`, iteratorAddress.String()+":53", anchors, &modules))
	command := exec.Command(os.Getenv(binaryVariable), "serve", "--config.file", config, "--web.listen-address", exporterAddress)
	command.Env = append(os.Environ(), "SSL_CERT_FILE="+w.roots, "SSL_CERT_DIR=/nonexistent")
	start(t, w.dir, command, exporterAddress)
	return &exporter{url: "http://" + exporterAddress}
}

// A reading is one answer of /probe.
type reading struct {
	families map[string]*dto.MetricFamily
	body     string
}

// probe asks about a target.
func (e *exporter) probe(t testing.TB, target, module string) reading {
	t.Helper()
	return e.ask(t, url.Values{"target": {strings.TrimSuffix(target, ".")}, "module": {module}})
}

// ask asks with any parameters.
func (e *exporter) ask(t testing.TB, query url.Values) reading {
	t.Helper()
	target := query.Get("target")
	response, err := http.Get(e.url + "/probe?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("/probe of %s: %s\n%s", target, response.Status, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	if err != nil {
		t.Fatalf("/probe of %s: %v\n%s", target, err, body)
	}
	return reading{families, string(body)}
}

// story asks for the whole story as text.
func (e *exporter) story(t testing.TB, target, module string) string {
	t.Helper()
	query := url.Values{"target": {strings.TrimSuffix(target, ".")}, "module": {module}, "debug": {"true"}}
	response, err := http.Get(e.url + "/probe?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// outcome returns the one outcome of the target that is 1.
func (r reading) outcome(t testing.TB) string {
	t.Helper()
	states := r.holding("dane_outcome", nil, "outcome")
	if len(states) != 1 {
		t.Errorf("outcomes %q, want one\n%s", states, r.body)
	}
	return strings.Join(states, " and ")
}

// reasons returns the reasons of the findings, sorted, each once.
func (r reading) reasons() []string { return r.holding("dane_finding", nil, "reason") }

// holding returns the values of a label over the series of a metric that are 1
// and have certain other labels, sorted, each once.
func (r reading) holding(metric string, having map[string]string, label string) []string {
	values := map[string]bool{}
	for _, series := range r.families[metric].GetMetric() {
		labels := map[string]string{}
		for _, pair := range series.GetLabel() {
			labels[pair.GetName()] = pair.GetValue()
		}
		matches := series.GetGauge().GetValue() == 1
		for name, value := range having {
			matches = matches && labels[name] == value
		}
		if matches {
			values[labels[label]] = true
		}
	}
	return slices.Sorted(maps.Keys(values))
}
