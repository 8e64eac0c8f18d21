// Package kubernetes tests that the files for Kubernetes agree with the rest of the
// project. deploy/validate checks them against their schemas, in a separate module,
// so that the exporter does not depend on Kubernetes.
package kubernetes

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
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

// TestLabels checks that Probes and the PodMonitor set the labels that the rules need:
// the module of the Probe, and one exporter for both.
func TestLabels(t *testing.T) {
	type relabelings []struct {
		SourceLabels []string `yaml:"sourceLabels"`
		TargetLabel  string   `yaml:"targetLabel"`
		Replacement  string
	}
	label := func(of relabelings, name string) string {
		for _, r := range of {
			if r.TargetLabel == name {
				return strings.Join(append(r.SourceLabels, r.Replacement), "")
			}
		}
		return ""
	}
	var pods struct {
		Spec struct {
			Endpoints []struct{ Relabelings relabelings } `yaml:"podMetricsEndpoints"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "podmonitor.yml")), &pods); err != nil {
		t.Fatal(err)
	}
	exporter := label(pods.Spec.Endpoints[0].Relabelings, "exporter")
	if exporter == "" {
		t.Error("podmonitor.yml sets no label exporter")
	}
	decoder := yaml.NewDecoder(strings.NewReader(read(t, "probe.yml")))
	probes := 0
	for ; ; probes++ {
		var probe struct {
			Spec struct {
				Targets struct {
					Static struct {
						Relabelings relabelings `yaml:"relabelingConfigs"`
					} `yaml:"staticConfig"`
				}
			}
		}
		if err := decoder.Decode(&probe); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		of := probe.Spec.Targets.Static.Relabelings
		if module := label(of, "module"); module != "__param_module" {
			t.Errorf("Probe %d: the label module is from %q", probes, module)
		}
		if got := label(of, "exporter"); got != exporter {
			t.Errorf("Probe %d: the label exporter is %q, in podmonitor.yml %q", probes, got, exporter)
		}
	}
	if probes == 0 {
		t.Error("probe.yml has no Probe")
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
