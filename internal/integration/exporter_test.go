//go:build integration

package integration

import (
	"fmt"
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

// An exporter is a running dane_exporter serve.
type exporter struct{ url string }

// startExporter starts dane_exporter with the resolver that does not validate.
func startExporter(t testing.TB, tb *testbed) *exporter {
	t.Helper()
	anchors := writeFile(t, tb.dir, "anchors", tb.anchor+"\n")
	var modules strings.Builder
	for _, d := range daemons() {
		for _, svc := range d.services {
			modules.WriteString(svc.module())
		}
	}
	config := writeFile(t, tb.dir, "exporter.yml", fmt.Sprintf(`resolver:
  servers: [%q]
  timeout: 1s
  trust_anchors: %q
access:
  allow_networks: [192.0.2.0/24, "2001:db8::/32"]
modules:
  https_keys: {discover: none, protocol: tls, policy: client, port: 443, key_types: [ecdsa, rsa]}
%s`, resolverAddress.String()+":53", anchors, &modules))
	command := exec.Command(os.Getenv(binaryEnv), "serve", "--config.file", config, "--web.listen-address", exporterAddress)
	command.Env = append(os.Environ(), "SSL_CERT_FILE="+tb.roots, "SSL_CERT_DIR=/nonexistent")
	start(t, tb.dir, command, exporterAddress)
	return &exporter{url: "http://" + exporterAddress}
}

// A probeResult is one response of /probe.
type probeResult struct {
	families map[string]*dto.MetricFamily
	body     string
}

// probe probes a target with a module.
func (e *exporter) probe(t testing.TB, target, module string) probeResult {
	t.Helper()
	return e.probeQuery(t, url.Values{"target": {strings.TrimSuffix(target, ".")}, "module": {module}})
}

// probeQuery sends a request to /probe with any parameters.
func (e *exporter) probeQuery(t testing.TB, query url.Values) probeResult {
	t.Helper()
	target := query.Get("target")
	status, body := getPage(t, e.url+"/probe?"+query.Encode())
	if status != http.StatusOK {
		t.Fatalf("/probe of %s: status %d\n%s", target, status, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("/probe of %s: %v\n%s", target, err, body)
	}
	return probeResult{families, body}
}

// report returns the text report of a target.
func (e *exporter) report(t testing.TB, target, module string) string {
	t.Helper()
	query := url.Values{"target": {strings.TrimSuffix(target, ".")}, "module": {module}, "debug": {"true"}}
	_, body := getPage(t, e.url+"/probe?"+query.Encode())
	return body
}

// outcome returns the outcome of the target. More or fewer than one is an error.
func (r probeResult) outcome(t testing.TB) string {
	t.Helper()
	states := r.activeLabels("dane_outcome", nil, "outcome")
	if len(states) != 1 {
		t.Errorf("outcomes = %q, want exactly one\n%s", states, r.body)
	}
	return strings.Join(states, " and ")
}

// reasons returns the distinct reasons of the findings, sorted.
func (r probeResult) reasons() []string { return r.activeLabels("dane_finding", nil, "reason") }

// activeLabels returns the distinct values of a label, sorted, over the series of
// a metric whose value is 1 and whose labels include all of matchers.
func (r probeResult) activeLabels(metric string, matchers map[string]string, label string) []string {
	values := map[string]bool{}
	for _, series := range r.families[metric].GetMetric() {
		labels := map[string]string{}
		for _, pair := range series.GetLabel() {
			labels[pair.GetName()] = pair.GetValue()
		}
		matches := series.GetGauge().GetValue() == 1
		for name, value := range matchers {
			matches = matches && labels[name] == value
		}
		if matches {
			values[labels[label]] = true
		}
	}
	return slices.Sorted(maps.Keys(values))
}
