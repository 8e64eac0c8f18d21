// Package kubernetes tests that the files for Kubernetes agree with the rest of the
// project. deploy/validate checks them against their schemas, and their references and
// labels, in a separate module, so that the exporter does not depend on Kubernetes.
package kubernetes

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"gopkg.in/yaml.v3"

	"dane_exporter/internal/config"
)

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestPrometheusRule checks that prometheusrule.yml has the rules of rules.yml.
func TestPrometheusRule(t *testing.T) {
	type groups struct{ Groups []map[string]any }
	var want groups
	if err := yaml.Unmarshal([]byte(read(t, "../prometheus/rules.yml")), &want); err != nil {
		t.Fatal(err)
	}
	var object struct{ Spec groups }
	if err := yaml.Unmarshal([]byte(read(t, "prometheusrule.yml")), &object); err != nil {
		t.Fatal(err)
	}
	if len(want.Groups) == 0 || !reflect.DeepEqual(object.Spec, want) {
		t.Error("prometheusrule.yml differs from rules.yml; run: make mixin kubernetes")
	}
}

// TestNetworkPolicy checks that egress is allowed to every port of the built-in
// modules.
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
				t.Errorf("the policy does not allow port %d of the module %s", port, name)
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

// TestConfigMap checks that the configuration loads.
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
