// Package validate checks the files for Kubernetes and Docker Compose against their
// schemas, and that the objects refer to each other correctly. Decoding into the types
// of the schemas rejects unknown fields and wrong values. No cluster is needed. The
// package is a separate module, so that the exporter does not depend on Kubernetes.
package validate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// objects are the objects in ../kubernetes, by kind.
type objects struct {
	config     core.ConfigMap
	deployment apps.Deployment
	service    core.Service
	budget     policy.PodDisruptionBudget
	network    networking.NetworkPolicy
	probes     []*monitoring.Probe
	pods       monitoring.PodMonitor
	rules      monitoring.PrometheusRule
}

// into returns the object to decode a document of the kind into, or nil for an
// unknown kind.
func (o *objects) into(kind string) meta.Object {
	switch kind {
	case "v1 ConfigMap":
		return &o.config
	case "apps/v1 Deployment":
		return &o.deployment
	case "v1 Service":
		return &o.service
	case "policy/v1 PodDisruptionBudget":
		return &o.budget
	case "networking.k8s.io/v1 NetworkPolicy":
		return &o.network
	case "monitoring.coreos.com/v1 Probe":
		o.probes = append(o.probes, &monitoring.Probe{})
		return o.probes[len(o.probes)-1]
	case "monitoring.coreos.com/v1 PodMonitor":
		return &o.pods
	case "monitoring.coreos.com/v1 PrometheusRule":
		return &o.rules
	}
	return nil
}

// load decodes all objects. It fails the test if a document has a field that its
// schema does not have.
func load(t *testing.T) *objects {
	t.Helper()
	files, err := filepath.Glob("../kubernetes/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("files %v, %v", files, err)
	}
	o := &objects{}
	seen := map[string]bool{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			var head meta.TypeMeta
			if err := yaml.Unmarshal(document, &head); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			object := o.into(head.APIVersion + " " + head.Kind)
			if object == nil {
				t.Fatalf("%s: unknown kind %s of %s", file, head.Kind, head.APIVersion)
			}
			if err := yaml.UnmarshalStrict(document, object); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			name := fmt.Sprintf("%s %s", head.Kind, object.GetName())
			if wrong := validation.IsDNS1123Subdomain(object.GetName()); len(wrong) > 0 || seen[name] || object.GetNamespace() != "monitoring" {
				t.Errorf("%s: %s in %q: %v", file, name, object.GetNamespace(), wrong)
			}
			seen[name] = true
		}
	}
	return o
}

// TestObjects checks that all objects exist and that their references are correct.
func TestObjects(t *testing.T) {
	o := load(t)
	pod := labels.Set(o.deployment.Spec.Template.Labels)
	selects := func(whose string, selector *meta.LabelSelector) {
		s, err := meta.LabelSelectorAsSelector(selector)
		if err != nil || s.Empty() || !s.Matches(pod) {
			t.Errorf("%s: the selector %v does not match the pods %v: %v", whose, selector, pod, err)
		}
	}
	selects("Deployment", o.deployment.Spec.Selector)
	selects("Service", meta.SetAsLabelSelector(o.service.Spec.Selector))
	selects("PodDisruptionBudget", o.budget.Spec.Selector)
	selects("NetworkPolicy", &o.network.Spec.PodSelector)
	selects("PodMonitor", &o.pods.Spec.Selector)

	container := o.deployment.Spec.Template.Spec.Containers[0]
	port := container.Ports[0]
	for whose, name := range map[string]string{
		"the Service":         o.service.Spec.Ports[0].TargetPort.String(),
		"the NetworkPolicy":   o.network.Spec.Ingress[0].Ports[0].Port.String(),
		"the PodMonitor":      *o.pods.Spec.PodMetricsEndpoints[0].Port,
		"the liveness probe":  container.LivenessProbe.HTTPGet.Port.String(),
		"the readiness probe": container.ReadinessProbe.HTTPGet.Port.String(),
	} {
		if name != port.Name {
			t.Errorf("%s refers to the port %q, the container has %q", whose, name, port.Name)
		}
	}
	if volume := o.deployment.Spec.Template.Spec.Volumes[0]; volume.ConfigMap == nil || volume.ConfigMap.Name != o.config.Name ||
		volume.Name != container.VolumeMounts[0].Name {
		t.Errorf("the Deployment does not mount the ConfigMap %s: %+v", o.config.Name, volume)
	}
	if least := intstr.FromInt32(*o.deployment.Spec.Replicas - 1); *o.budget.Spec.MinAvailable != least {
		t.Errorf("minAvailable is %s of %d replicas: a drain never ends, or stops all replicas", o.budget.Spec.MinAvailable, *o.deployment.Spec.Replicas)
	}
	if len(o.probes) == 0 {
		t.Error("no Probe")
	}
	prober := fmt.Sprintf("%s.%s.svc:%d", o.service.Name, o.service.Namespace, o.service.Spec.Ports[0].Port)
	for _, probe := range o.probes {
		if probe.Spec.ProberSpec.URL != prober || len(probe.Spec.Targets.StaticConfig.Targets) == 0 || probe.Spec.Module == "" || probe.Spec.JobName == "" {
			t.Errorf("the Probe %s has the prober %s, want %s, or lacks targets, module or job name", probe.Name, probe.Spec.ProberSpec.URL, prober)
		}
	}
	if len(o.rules.Spec.Groups) == 0 {
		t.Error("the PrometheusRule has no groups")
	}
}

// TestPrivileges checks that the pod has no privileges and a read-only filesystem.
func TestPrivileges(t *testing.T) {
	pod := load(t).deployment.Spec.Template.Spec
	if s := pod.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser == 0 || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("pod: %+v", s)
	}
	if *pod.AutomountServiceAccountToken {
		t.Error("the pod gets a token for the API of the cluster")
	}
	for _, container := range pod.Containers {
		s := container.SecurityContext
		if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" || len(s.Capabilities.Add) > 0 {
			t.Errorf("%s: %+v", container.Name, s)
		}
		if container.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s: no memory limit", container.Name)
		}
	}
}
