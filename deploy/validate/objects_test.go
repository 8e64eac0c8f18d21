// Package validate checks the Helm chart, the files for Kubernetes that are rendered from
// it, and those for Docker Compose against their schemas, and that the objects refer to
// each other correctly. Decoding into the types of the schemas rejects unknown fields and
// wrong values. No cluster is needed. The package is a separate module, so that the exporter
// does not depend on Kubernetes.
package validate

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	alpha "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	security "k8s.io/pod-security-admission/api"
	standards "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// A manifest is the objects of one installation.
type manifest struct {
	names       []string // kind and name of each object, sorted
	all         []meta.Object
	configs     []*core.ConfigMap
	deployment  apps.Deployment
	service     core.Service
	budgets     []*policy.PodDisruptionBudget
	networks    []*networking.NetworkPolicy
	ingresses   []*networking.Ingress
	probes      []*monitoring.Probe
	podMonitors []*monitoring.PodMonitor
	monitors    []*monitoring.ServiceMonitor
	rules       []*monitoring.PrometheusRule
}

// add appends a new object to all and returns it.
func add[T any](all *[]*T) *T {
	*all = append(*all, new(T))
	return (*all)[len(*all)-1]
}

// into returns the object to decode a document of the kind into, or nil for an
// unknown kind.
func (m *manifest) into(kind string) meta.Object {
	switch kind {
	case "v1 ConfigMap":
		return add(&m.configs)
	case "apps/v1 Deployment":
		return &m.deployment
	case "v1 Service":
		return &m.service
	case "v1 ServiceAccount":
		return &core.ServiceAccount{}
	case "v1 Secret": // this and the next only in extraObjects
		return &core.Secret{}
	case "monitoring.coreos.com/v1alpha1 ScrapeConfig":
		return &alpha.ScrapeConfig{}
	case "policy/v1 PodDisruptionBudget":
		return add(&m.budgets)
	case "networking.k8s.io/v1 NetworkPolicy":
		return add(&m.networks)
	case "networking.k8s.io/v1 Ingress":
		return add(&m.ingresses)
	case "monitoring.coreos.com/v1 Probe":
		return add(&m.probes)
	case "monitoring.coreos.com/v1 PodMonitor":
		return add(&m.podMonitors)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return add(&m.monitors)
	case "monitoring.coreos.com/v1 PrometheusRule":
		return add(&m.rules)
	}
	return nil
}

// decode reads all documents of a stream. It fails if a document has a field that its
// schema does not have, or if two have the same kind and name.
func decode(stream []byte) (*manifest, error) {
	m := &manifest{}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(stream)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			slices.Sort(m.names)
			return m, nil
		}
		if err != nil {
			return nil, err
		}
		var head meta.TypeMeta
		if err := yaml.Unmarshal(document, &head); err != nil {
			return nil, err
		}
		object := m.into(head.APIVersion + " " + head.Kind)
		if object == nil {
			return nil, fmt.Errorf("unknown kind %s of %s", head.Kind, head.APIVersion)
		}
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			return nil, fmt.Errorf("%s: %w", head.Kind, err)
		}
		name := head.Kind + " " + object.GetName()
		if slices.Contains(m.names, name) {
			return nil, fmt.Errorf("%s occurs twice", name)
		}
		m.names = append(m.names, name)
		m.all = append(m.all, object)
	}
}

// A report collects problems.
type report []string

func (r *report) addf(format string, args ...any) { *r = append(*r, fmt.Sprintf(format, args...)) }

func (r *report) equal(what string, got, want any) {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.addf("%s: %v, want %v", what, got, want)
	}
}

func (r *report) contains(what string, all []string, want string) {
	if !slices.Contains(all, want) {
		r.addf("%s: %q do not contain %q", what, all, want)
	}
}

// check returns what is wrong with any installation: names, labels, references between
// objects, and privileges.
func (m *manifest) check() report {
	var r report
	for _, object := range m.all {
		m.checkMetadata(&r, object)
	}
	m.checkSelectors(&r)
	m.checkPorts(&r)
	m.checkVolumes(&r)
	m.checkScrapes(&r)
	m.checkPrivileges(&r)
	return r
}

func (m *manifest) checkMetadata(r *report, object meta.Object) {
	if wrong := validation.IsDNS1123Subdomain(object.GetName()); len(wrong) > 0 {
		r.addf("name %q: %v", object.GetName(), wrong)
	}
	for key, value := range object.GetLabels() {
		if wrong := slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)); len(wrong) > 0 {
			r.addf("%s: label %s=%q: %v", object.GetName(), key, value, wrong)
		}
	}
	if wrong := validation.IsDNS1035Label(m.service.Name); len(wrong) > 0 {
		r.addf("Service %q: %v", m.service.Name, wrong)
	}
}

// checkSelectors checks that each selector selects the pods of this installation, and not
// those of another one in the same namespace.
func (m *manifest) checkSelectors(r *report) {
	const instance = "app.kubernetes.io/instance"
	others := func(own map[string]string) labels.Set {
		set := maps.Clone(own)
		set[instance] = "another"
		return set
	}
	selects := func(whose string, selector *meta.LabelSelector, own map[string]string) {
		s, err := meta.LabelSelectorAsSelector(selector)
		if err != nil || s.Empty() || !s.Matches(labels.Set(own)) || s.Matches(others(own)) {
			r.addf("%s: the selector %v does not match %v alone: %v", whose, selector, own, err)
		}
	}
	pod := m.deployment.Spec.Template.Labels
	selects("Deployment", m.deployment.Spec.Selector, pod)
	selects("Service", meta.SetAsLabelSelector(m.service.Spec.Selector), pod)
	for _, o := range m.budgets {
		selects("PodDisruptionBudget", o.Spec.Selector, pod)
	}
	for _, o := range m.networks {
		selects("NetworkPolicy", &o.Spec.PodSelector, pod)
	}
	for _, o := range m.podMonitors {
		selects("PodMonitor", &o.Spec.Selector, pod)
		if pod[o.Spec.JobLabel] == "" {
			r.addf("PodMonitor: the pods have no label %s for the job", o.Spec.JobLabel)
		}
	}
	for _, o := range m.monitors {
		selects("ServiceMonitor", &o.Spec.Selector, m.service.Labels)
		if m.service.Labels[o.Spec.JobLabel] == "" {
			r.addf("ServiceMonitor: the Service has no label %s for the job", o.Spec.JobLabel)
		}
	}
	for _, c := range m.deployment.Spec.Template.Spec.TopologySpreadConstraints {
		if s, err := meta.LabelSelectorAsSelector(c.LabelSelector); err != nil || !s.Matches(labels.Set(pod)) {
			r.addf("topologySpreadConstraints: %v does not match the pods: %v", c.LabelSelector, err)
		}
	}
	replicas := int(*m.deployment.Spec.Replicas)
	for _, o := range m.budgets {
		stopped, err := intstr.GetScaledValueFromIntOrPercent(o.Spec.MaxUnavailable, replicas, true)
		if err != nil || stopped < 1 || replicas > 1 && stopped >= replicas {
			r.addf("PodDisruptionBudget: %d of %d replicas: a drain never ends, or stops all: %v", stopped, replicas, err)
		}
	}
}

// exporter returns the container of the exporter.
func (m *manifest) exporter() core.Container {
	for _, c := range m.deployment.Spec.Template.Spec.Containers {
		if c.Name == "dane-exporter" {
			return c
		}
	}
	return core.Container{}
}

// checkPorts checks that each reference to a port names that of the container.
func (m *manifest) checkPorts(r *report) {
	container := m.exporter()
	if len(container.Ports) != 1 || container.Ports[0].ContainerPort != 10125 || len(m.service.Spec.Ports) != 1 {
		r.addf("ports: container %v, Service %v", container.Ports, m.service.Spec.Ports)
		return
	}
	port, service := container.Ports[0].Name, m.service.Spec.Ports[0].Name
	refers := func(whose, name, to string) {
		if name != to {
			r.addf("%s refers to the port %q, which is called %q", whose, name, to)
		}
	}
	refers("the Service", m.service.Spec.Ports[0].TargetPort.String(), port)
	for whose, probe := range map[string]*core.Probe{"the liveness probe": container.LivenessProbe, "the readiness probe": container.ReadinessProbe} {
		if probe == nil {
			r.addf("%s is missing", whose)
		} else if probe.HTTPGet != nil {
			refers(whose, probe.HTTPGet.Port.String(), port)
		}
	}
	for _, o := range m.networks {
		refers("the NetworkPolicy", o.Spec.Ingress[0].Ports[0].Port.String(), port)
	}
	for _, o := range m.podMonitors {
		refers("the PodMonitor", *o.Spec.PodMetricsEndpoints[0].Port, port)
	}
	for _, o := range m.monitors {
		refers("the ServiceMonitor", o.Spec.Endpoints[0].Port, service)
	}
	for _, o := range m.ingresses {
		for _, rule := range o.Spec.Rules {
			backend := rule.HTTP.Paths[0].Backend.Service
			refers("the Ingress", backend.Port.Name, service)
			if backend.Name != m.service.Name {
				r.addf("the Ingress refers to the Service %s", backend.Name)
			}
		}
	}
}

const configDirectory = "/etc/dane_exporter"

// checkVolumes checks that all volumes are mounted, and that the configuration is one of
// them. Pods with a ConfigMap of this installation must change with it.
func (m *manifest) checkVolumes(r *report) {
	container, volumes := m.exporter(), map[string]core.Volume{}
	for _, v := range m.deployment.Spec.Template.Spec.Volumes {
		volumes[v.Name] = v
	}
	mounted := map[string]string{} // directory to volume
	for _, mount := range container.VolumeMounts {
		mounted[mount.MountPath] = mount.Name
		if _, ok := volumes[mount.Name]; !ok || !mount.ReadOnly || mount.SubPath != "" {
			r.addf("the mount %s is not that of a whole volume, read-only", mount.MountPath)
		}
	}
	if len(mounted) != len(volumes) {
		r.addf("%d of %d volumes are mounted", len(mounted), len(volumes))
	}
	if !slices.Contains(container.Args, "--config.file="+configDirectory+"/config.yml") {
		r.addf("the arguments %q do not name the configuration", container.Args)
	}
	config := volumes[mounted[configDirectory]]
	own := slices.ContainsFunc(m.configs, func(c *core.ConfigMap) bool {
		return config.ConfigMap != nil && c.Name == config.ConfigMap.Name && c.Data["config.yml"] != ""
	})
	if config.ConfigMap == nil && config.Secret == nil {
		r.addf("the configuration is not mounted: %+v", config)
	}
	if _, checksum := m.deployment.Spec.Template.Annotations["checksum/config"]; checksum != own {
		r.addf("own configuration: %t, checksum/config: %t", own, checksum)
	}
}

// checkScrapes checks that Prometheus scrapes the exporter where it listens, and that
// Probes and monitors set the labels that the rules need.
func (m *manifest) checkScrapes(r *report) {
	address := fmt.Sprintf("%s.%s.svc:%d", m.service.Name, m.service.Namespace, m.service.Spec.Ports[0].Port)
	prefix, scheme := "", "http"
	if get := m.exporter().LivenessProbe.HTTPGet; get != nil {
		prefix = strings.TrimSuffix(get.Path, "/-/healthy")
		scheme = strings.ToLower(cmp.Or(string(get.Scheme), "http"))
		if ready := m.exporter().ReadinessProbe.HTTPGet; ready != nil && ready.Path != prefix+"/-/ready" {
			r.addf("the readiness probe requests %s", ready.Path)
		}
	}
	label := func(whose string, of []monitoring.RelabelConfig, name, want string) {
		for _, c := range of {
			if c.TargetLabel != name {
				continue
			}
			got := ""
			if c.Replacement != nil {
				got = *c.Replacement
			}
			for _, source := range c.SourceLabels {
				got += string(source)
			}
			if got != want {
				r.addf("%s: the label %s is %q, want %q", whose, name, got, want)
			}
			return
		}
		r.addf("%s has no label %s", whose, name)
	}
	requests := func(whose, path, gotScheme string) {
		if path != prefix+"/metrics" || cmp.Or(gotScheme, "http") != scheme {
			r.addf("%s requests %s with the scheme %q", whose, path, gotScheme)
		}
	}
	for _, o := range m.podMonitors {
		e := o.Spec.PodMetricsEndpoints[0]
		label("PodMonitor", e.RelabelConfigs, "exporter", address)
		requests("PodMonitor", e.Path, e.Scheme)
	}
	for _, o := range m.monitors {
		e := o.Spec.Endpoints[0]
		label("ServiceMonitor", e.RelabelConfigs, "exporter", address)
		if m.exporter().LivenessProbe.HTTPGet != nil {
			requests("ServiceMonitor", e.Path, e.Scheme)
		}
	}
	for _, o := range m.probes {
		whose := "Probe " + o.Name
		if o.Spec.ProberSpec.URL != address {
			r.addf("%s has the prober %s, want %s", whose, o.Spec.ProberSpec.URL, address)
		}
		if o.Spec.Targets.StaticConfig == nil || len(o.Spec.Targets.StaticConfig.Targets) == 0 ||
			o.Spec.Module == "" || o.Spec.JobName == "" || o.Spec.Interval == "" || o.Spec.ScrapeTimeout == "" {
			r.addf("%s lacks targets, module, job name or times", whose)
			continue
		}
		label(whose, o.Spec.Targets.StaticConfig.RelabelConfigs, "module", "__param_module")
		label(whose, o.Spec.Targets.StaticConfig.RelabelConfigs, "exporter", address)
		if m.exporter().LivenessProbe.HTTPGet != nil && (o.Spec.ProberSpec.Path != prefix+"/probe" || cmp.Or(o.Spec.ProberSpec.Scheme, "http") != scheme) {
			r.addf("%s requests %s with the scheme %q", whose, o.Spec.ProberSpec.Path, o.Spec.ProberSpec.Scheme)
		}
	}
}

// checkPrivileges checks that the pods satisfy the Pod Security Standard restricted, and
// what the exporter does not need in addition: a writable file system, and a token.
func (m *manifest) checkPrivileges(r *report) {
	pod := m.deployment.Spec.Template
	evaluator, err := standards.NewEvaluator(standards.DefaultChecks())
	if err != nil {
		r.addf("pod security standards: %v", err)
		return
	}
	restricted := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	if result := standards.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)); !result.Allowed {
		r.addf("the pods are not restricted: %s", result.ForbiddenDetail())
	}
	container := m.exporter()
	if s := container.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
		r.addf("the file system is writable: %+v", s)
	}
	if token := pod.Spec.AutomountServiceAccountToken; token == nil || *token {
		r.addf("the pods get a token for the API of the cluster")
	}
	if container.Resources.Limits.Memory().IsZero() {
		r.addf("the exporter has no memory limit")
	}
}
