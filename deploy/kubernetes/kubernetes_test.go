// Package kubernetes holds what is shipped for Kubernetes to the rest of the
// project. That the objects are as their schemas want them is seen in deploy/validate,
// a module of its own: what it takes for that is none of the exporter's business.
package kubernetes

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"dane_exporter/internal/config"
)

var update = flag.Bool("update", false, "write prometheusrule.yml anew from deploy/prometheus/rules.yml")

const ruleHeader = `# deploy/prometheus/rules.yml for the Prometheus operator; made from that file by
#   go test ./deploy/kubernetes -update
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: dane-exporter
  namespace: monitoring
  labels: {app.kubernetes.io/name: dane-exporter}
spec:
`

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestPrometheusRule: the operator's rules are Prometheus's, word for word.
func TestPrometheusRule(t *testing.T) {
	const file = "prometheusrule.yml"
	var want strings.Builder
	want.WriteString(ruleHeader)
	for line := range strings.Lines(read(t, "../prometheus/rules.yml")) {
		if line != "\n" {
			want.WriteString("  ")
		}
		want.WriteString(line)
	}
	if *update {
		if err := os.WriteFile(file, []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, file) != want.String() {
		t.Errorf("%s is not made from rules.yml as it is; run: go test ./deploy/kubernetes -update", file)
	}
}

// TestNetworkPolicy: every port of the built-in modules is open to the outside.
func TestNetworkPolicy(t *testing.T) {
	var policy struct {
		Spec struct {
			Egress []struct{ Ports []struct{ Port uint16 } }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "networkpolicy.yml")), &policy); err != nil {
		t.Fatal(err)
	}
	open := make(map[uint16]bool)
	for _, egress := range policy.Spec.Egress {
		for _, port := range egress.Ports {
			open[port.Port] = true
		}
	}
	for name, module := range defaults(t).Modules {
		ports := []uint16{module.Port}
		for _, service := range module.Services {
			ports = append(ports, service.Port)
		}
		for _, port := range ports {
			if port != 0 && !open[port] {
				t.Errorf("port %d of the module %s is closed", port, name)
			}
		}
	}
}

func defaults(t *testing.T) *config.Config {
	t.Helper()
	defaults, err := config.Defaults([]byte(read(t, "../../config.example.yml")))
	if err != nil {
		t.Fatal(err)
	}
	return defaults
}

// TestConfigMap: the exporter takes the configuration.
func TestConfigMap(t *testing.T) {
	var object struct{ Data map[string]string }
	if err := yaml.Unmarshal([]byte(read(t, "configmap.yml")), &object); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(file, []byte(object.Data["config.yml"]), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(file, defaults(t)); err != nil {
		t.Error(err)
	}
}
