package validate

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	networking "k8s.io/api/networking/v1"
)

const chart = "../helm/dane-exporter"

// helmPath returns the path of helm, which tools/helm pins.
var helmPath = sync.OnceValues(func() (string, error) {
	find := exec.Command("go", "tool", "-modfile=tools/helm/go.mod", "-n", "helm")
	find.Dir = "../.."
	out, err := find.Output()
	return strings.TrimSpace(string(out)), err
})

// helm runs helm and returns its output. The error contains what helm wrote to standard
// error. values are passed as a file, unless they are empty.
func helm(t *testing.T, values string, args ...string) ([]byte, error) {
	t.Helper()
	path, err := helmPath()
	if err != nil {
		t.Fatalf("build helm: %v", err)
	}
	if values != "" {
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--values", file)
	}
	run := exec.Command(path, args...)
	// The settings of the user have no effect.
	home := t.TempDir()
	run.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG="+home+"/none")
	var stdout, stderr bytes.Buffer
	run.Stdout, run.Stderr = &stdout, &stderr
	if err := run.Run(); err != nil {
		return nil, fmt.Errorf("helm: %w: %s", err, stderr.String())
	}
	return stdout.Bytes(), nil
}

// A chartCase is an installation: values, and what they make. check may be nil.
type chartCase struct {
	name    string
	meaning string
	release string // by default dane-exporter
	values  string
	objects []string
	check   func(*manifest, *report)
}

var minimal = []string{"ConfigMap dane-exporter", "Deployment dane-exporter", "PodDisruptionBudget dane-exporter", "Service dane-exporter"}

// with returns minimal and more objects.
func with(more ...string) []string { return slices.Sorted(slices.Values(slices.Concat(minimal, more))) }

var chartCases = []chartCase{
	{
		name: "everything", meaning: "Each object exists once, and each value has its place.", release: "123",
		values: everything,
		objects: []string{
			"ConfigMap mail", "ConfigMap mail-dashboard-domain", "ConfigMap mail-dashboard-exporter", "ConfigMap mail-dashboard-fleet", "Deployment mail",
			"Ingress mail", "NetworkPolicy mail", "PodDisruptionBudget mail", "Probe mail-own", "Probe mail-partner-domains", "PrometheusRule mail",
			"Secret extra", "Service mail", "ServiceAccount mail", "ServiceMonitor mail",
		},
		check: checkEverything,
	},
	{
		name: "minimal", meaning: "The defaults need no operator.",
		objects: minimal,
		check: func(m *manifest, r *report) {
			r.equal("image", m.exporter().Image, "dane_exporter:latest")
			r.equal("config", m.configs[0].Data["config.yml"], "resolver:\n  servers:\n  - system\n")
			r.equal("liveness", m.exporter().LivenessProbe.HTTPGet.Path, "/-/healthy")
		},
	},
	{
		name: "one replica", meaning: "The budget does not block a drain.",
		values: "replicas: 1", objects: minimal,
	},
	{
		name: "no budget", meaning: "The budget can be left out.",
		values: "podDisruptionBudget: {enabled: false}", objects: []string{"ConfigMap dane-exporter", "Deployment dane-exporter", "Service dane-exporter"},
	},
	{
		name: "existing Secret", meaning: "The chart makes no ConfigMap and mounts the Secret.",
		values: "configExistingSecret: mine", objects: slices.Clone(minimal[1:]),
		check: func(m *manifest, r *report) {
			r.equal("Secret", m.deployment.Spec.Template.Spec.Volumes[0].Secret.SecretName, "mine")
		},
	},
	{
		name: "existing ConfigMap", meaning: "The chart makes no ConfigMap and mounts the existing one.",
		values: "configExistingConfigMap: mine", objects: slices.Clone(minimal[1:]),
		check: func(m *manifest, r *report) {
			r.equal("ConfigMap", m.deployment.Spec.Template.Spec.Volumes[0].ConfigMap.Name, "mine")
		},
	},
	{
		name: "several probes", meaning: "Each name is a Probe; keys that it leaves out are those of probeDefaults.",
		values: `{probeDefaults: {interval: 2m, targetLabels: {team: mail}}, probes: {a: {targets: [a.example]},
  b: {module: smtp, targets: ["b.example:25", "[2001:db8::1]:25"], scrapeTimeout: 1m, jobName: own}, c-d: {interval: 1h, scrapeTimeout: 90s, targets: [c.example], targetLabels: {site: x}}}}`,
		objects: with("Probe dane-exporter-a", "Probe dane-exporter-b", "Probe dane-exporter-c-d"),
		check: func(m *manifest, r *report) {
			for i, want := range []string{
				"dane_a smtp_mx 2m 30s [a.example] map[team:mail]",
				"own smtp 2m 1m [b.example:25 [2001:db8::1]:25] map[team:mail]",
				"dane_c_d smtp_mx 1h 90s [c.example] map[site:x team:mail]",
			} {
				s := m.probes[i].Spec
				r.equal("probe", fmt.Sprint(s.JobName, " ", s.Module, " ", s.Interval, " ", s.ScrapeTimeout, " ", s.Targets.StaticConfig.Targets, " ", s.Targets.StaticConfig.Labels), want)
			}
		},
	},
	{
		name: "PodMonitor", meaning: "It requests /metrics below the path of the external URL.",
		values:  "{podMonitor: {enabled: true}, probes: {own: {targets: [a.example]}}, web: {externalUrl: 'https://mon.example/dane/', scheme: https}}",
		objects: with("PodMonitor dane-exporter", "Probe dane-exporter-own"),
		check: func(m *manifest, r *report) {
			r.equal("path", m.podMonitors[0].Spec.PodMetricsEndpoints[0].Path, "/dane/metrics")
			r.equal("scheme", string(m.exporter().LivenessProbe.HTTPGet.Scheme), "HTTPS")
		},
	},
	{
		name: "proxy removes the path", meaning: "The route prefix takes precedence over the path of the external URL, which the Ingress keeps.",
		values:  "{ingress: {enabled: true, hosts: [mon.example]}, serviceMonitor: {enabled: true}, web: {externalUrl: 'https://mon.example/dane', routePrefix: /}}",
		objects: with("Ingress dane-exporter", "ServiceMonitor dane-exporter"),
		check: func(m *manifest, r *report) {
			r.equal("metrics", m.monitors[0].Spec.Endpoints[0].Path, "/metrics")
			r.equal("ingress", m.ingresses[0].Spec.Rules[0].HTTP.Paths[0].Path, "/dane")
			r.contains("arguments", m.exporter().Args, "--web.route-prefix=/")
		},
	},
	{
		name: "long names", meaning: "Names and labels have at most 63 characters.", release: strings.Repeat("long-", 10) + "xyz",
		values: "{podMonitor: {enabled: true}, image: {tag: " + strings.Repeat("v", 100) + "}}",
		objects: func() (all []string) {
			name := strings.Repeat("long-", 10) + "xyz-dane-expo"
			for _, kind := range []string{"ConfigMap", "Deployment", "PodDisruptionBudget", "PodMonitor", "Service"} {
				all = append(all, kind+" "+name)
			}
			return all
		}(),
	},
	{
		name: "other names", meaning: "The override of the name reaches names and selectors.",
		values:  "{nameOverride: mail, podMonitor: {enabled: true}}",
		objects: strings.Split(strings.ReplaceAll(strings.Join(with("PodMonitor dane-exporter"), ","), "dane-exporter", "dane-exporter-mail"), ","),
	},
	{
		name: "values that look like numbers", meaning: "Names stay strings.", release: "1e3",
		values:  `{fullnameOverride: dane, commonLabels: {num: "12"}, priorityClassName: "1e3", serviceAccount: {name: "12"}, configExistingSecret: "123", probes: {"1": {targets: ["12"], module: "34", jobName: "56"}}}`,
		objects: []string{"Deployment dane", "PodDisruptionBudget dane", "Probe dane-1", "Service dane"},
	},
}

const everything = `
global: {imageRegistry: mirror.example}
fullnameOverride: mail
namespaceOverride: "456"
commonLabels: {release: prometheus}
image: {registry: registry.example:5000, repository: mail/dane_exporter, tag: v1, digest: "sha256:` + digest + `", pullPolicy: Always}
imagePullSecrets: [{name: pull}]
replicas: 3
strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
revisionHistoryLimit: 3
config:
  limits: {probes: 10000000}
  modules: {imap_own: {protocol: imap, port: 143, discover: none}}
web:
  externalUrl: https://mon.example.org/dane
  configExistingSecret: web
  scheme: https
  tlsConfig: {ca: {secret: {name: ca, key: ca.crt}}, serverName: dane.example}
  basicAuth: {username: {name: auth, key: user}, password: {name: auth, key: password}}
extraArgs: [--log.prober=info]
extraEnv: [{name: SSL_CERT_DIR, value: /certs}]
extraEnvFrom: [{secretRef: {name: env}}]
extraVolumes: [{name: certs, secret: {secretName: certs}}]
extraVolumeMounts: [{name: certs, mountPath: /certs, readOnly: true}]
extraContainers: [{name: unbound, image: "unbound:1", securityContext: &restricted {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]
extraInitContainers: [{name: wait, image: "wait:1", securityContext: *restricted}]
livenessProbe: {exec: {command: [/dane_exporter, healthy]}}
readinessProbe: {exec: {command: [/dane_exporter, healthy]}}
podAnnotations: {a: b}
podLabels: {team: mail}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: mail, operator: Exists}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: mail, operator: Exists}]}]}}}
topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule}
  - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {team: mail}}}
priorityClassName: high
hostNetwork: false
dnsPolicy: None
dnsConfig: {nameservers: [192.0.2.53]}
serviceAccount: {create: true, annotations: {a: b}}
service: {type: LoadBalancer, port: 80, ipFamilyPolicy: PreferDualStack, annotations: {a: b}, labels: {c: d}}
ingress: {enabled: true, className: nginx, annotations: {a: b}, labels: {c: d}, hosts: [mon.example.org], tls: [{secretName: tls, hosts: [mon.example.org]}]}
podDisruptionBudget: {maxUnavailable: 50%}
networkPolicy: {enabled: true, labels: {c: d}, egressPorts: {ldap: null, own: 2525}, extraIngress: [{from: [{namespaceSelector: {}}]}], extraEgress: [{to: [{ipBlock: {cidr: 10.1.0.0/16}}]}]}
probes:
  own: {targets: [example.org], jobName: dane, labels: {c: d}, targetLabels: {team: mail}, relabelings: &relabelings [{targetLabel: cluster, replacement: a}], metricRelabelings: &drop [{action: labeldrop, regex: x}]}
  partner-domains: {module: smtp_mx_if_published, interval: 5m, targets: [example.com]}
serviceMonitor: {enabled: true, interval: 30s, scrapeTimeout: 10s, labels: {c: d}, relabelings: *relabelings, metricRelabelings: *drop}
prometheusRule: {enabled: true, labels: {role: alerts}, disabledAlerts: [Watchdog]}
dashboards: {enabled: true, annotations: {grafana_folder: DANE}, namespace: grafana}
extraObjects: [{apiVersion: v1, kind: Secret, metadata: {name: extra}, stringData: {a: b}}]
`

const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

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

func checkEverything(m *manifest, r *report) {
	pod, container := m.deployment.Spec.Template.Spec, m.exporter()
	r.equal("image", container.Image, "mirror.example/mail/dane_exporter@sha256:"+digest)
	r.equal("pull policy", container.ImagePullPolicy, "Always")
	r.equal("pull secret", pod.ImagePullSecrets[0].Name, "pull")
	r.equal("replicas", *m.deployment.Spec.Replicas, 3)
	r.equal("strategy", m.deployment.Spec.Strategy.RollingUpdate.MaxUnavailable, "0")
	r.equal("revisions", *m.deployment.Spec.RevisionHistoryLimit, 3)
	r.equal("arguments", container.Args[3:], "[--web.external-url=https://mon.example.org/dane --web.config.file=/etc/dane_exporter_web/web.yml --log.prober=info]")
	r.equal("environment", container.Env[0].Name+container.EnvFrom[0].SecretRef.Name, "SSL_CERT_DIRenv")
	r.equal("probes", len(container.LivenessProbe.Exec.Command)+len(container.ReadinessProbe.Exec.Command), 4)
	r.equal("containers", len(pod.Containers)+len(pod.InitContainers), 3)
	r.equal("annotation", m.deployment.Spec.Template.Annotations["a"], "b")
	r.equal("label", m.deployment.Spec.Template.Labels["team"], "mail")
	r.equal("node", pod.NodeSelector["kubernetes.io/os"], "linux")
	r.equal("toleration", pod.Tolerations[0].Key, "mail")
	r.equal("affinity", pod.Affinity.NodeAffinity != nil, true)
	r.equal("constraints", len(pod.TopologySpreadConstraints), 2)
	r.equal("class", pod.PriorityClassName, "high")
	r.equal("DNS", string(pod.DNSPolicy)+pod.DNSConfig.Nameservers[0], "None192.0.2.53")
	r.equal("account", pod.ServiceAccountName, "mail")
	r.equal("service", fmt.Sprint(m.service.Spec.Type, *m.service.Spec.IPFamilyPolicy, m.service.Labels["c"], m.service.Annotations["a"]), "LoadBalancerPreferDualStackdb")
	for _, object := range m.all {
		want := map[string]string{"extra": ""}
		if strings.Contains(object.GetName(), "-dashboard-") {
			want[object.GetName()] = "grafana"
		}
		if namespace, ok := want[object.GetName()]; ok {
			r.equal("namespace of "+object.GetName(), object.GetNamespace(), namespace)
			continue
		}
		r.equal("namespace of "+object.GetName(), object.GetNamespace(), "456")
		r.equal("label of "+object.GetName(), object.GetLabels()["release"], "prometheus")
	}

	ingress := m.ingresses[0].Spec
	r.equal("ingress", fmt.Sprint(*ingress.IngressClassName, ingress.Rules[0].Host, ingress.Rules[0].HTTP.Paths[0].Path, *ingress.Rules[0].HTTP.Paths[0].PathType, ingress.TLS[0].SecretName),
		"nginxmon.example.org/danePrefixtls")
	network := m.networks[0].Spec
	r.equal("network rules", fmt.Sprint(len(network.Ingress), len(network.Egress), network.PolicyTypes), "2 3 [Ingress Egress]")
	ports := fmt.Sprint(portsOf(network.Egress[1].Ports))
	r.equal("egress to 25, 389, 2525", fmt.Sprint(strings.Contains(ports, " 25 "), strings.Contains(ports, " 389 "), strings.Contains(ports, " 2525 ")), "true false true")

	for _, o := range m.probes {
		r.equal("probe", o.Spec.ProberSpec.Scheme+o.Spec.ProberSpec.Path+o.Spec.TLSConfig.CA.Secret.Key+o.Spec.BasicAuth.Username.Key, "https/dane/probeca.crtuser")
	}
	own := m.probes[0]
	r.equal("own", own.Labels["c"]+own.Spec.JobName+own.Spec.Targets.StaticConfig.Labels["team"]+own.Spec.Targets.StaticConfig.RelabelConfigs[2].TargetLabel+own.Spec.MetricRelabelConfigs[0].Action,
		"ddanemailclusterlabeldrop")
	monitor := m.monitors[0].Spec.Endpoints[0]
	r.equal("monitor", monitor.Scheme+monitor.Path+string(monitor.Interval+monitor.ScrapeTimeout)+monitor.TLSConfig.CA.Secret.Key+monitor.BasicAuth.Username.Key+
		monitor.RelabelConfigs[1].TargetLabel+monitor.MetricRelabelConfigs[0].Action, "https/dane/metrics30s10sca.crtuserclusterlabeldrop")

	var alerts []string
	for _, group := range m.rules[0].Spec.Groups {
		for _, rule := range group.Rules {
			alerts = append(alerts, rule.Alert)
		}
	}
	r.contains("alerts", alerts, "DaneExporterDown")
	r.equal("Watchdog", slices.Contains(alerts, "Watchdog"), false)
	r.equal("rules", m.rules[0].Labels["role"], "alerts")

	for _, o := range m.configs {
		name, ok := strings.CutPrefix(o.Name, "mail-dashboard-")
		if !ok {
			r.equal("a large number", strings.Contains(o.Data["config.yml"], "probes: 10000000\n"), true)
			continue
		}
		r.equal("labels of "+name, o.Labels["grafana_dashboard"]+o.Annotations["grafana_folder"], "1DANE")
		want, err := os.ReadFile("../grafana/dashboards/" + name + ".json")
		if err != nil || strings.TrimSpace(o.Data["dane-"+name+".json"]) != strings.TrimSpace(string(want)) {
			r.addf("%s is not the dashboard: %v", o.Name, err)
		}
	}
}

func portsOf(ports []networking.NetworkPolicyPort) (all []string) {
	for _, port := range ports {
		all = append(all, port.Port.String())
	}
	return slices.Concat([]string{""}, all, []string{""})
}

// problems renders a case from a chart and returns what is wrong.
func (c chartCase) problems(t *testing.T, chart string) (r report) {
	release := c.release
	if release == "" {
		release = "dane-exporter"
	}
	out, err := helm(t, c.values, "template", release, chart, "--namespace", "monitoring")
	if err != nil {
		return report{err.Error()}
	}
	m, err := decode(out)
	if err != nil {
		return report{err.Error()}
	}
	r = m.check()
	r.equal("objects", m.names, c.objects)
	if c.check != nil && len(r) == 0 {
		c.check(m, &r)
	}
	return r
}

// TestChart renders each case, and checks the objects.
func TestChart(t *testing.T) {
	for _, c := range chartCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, problem := range c.problems(t, chart) {
				t.Errorf("%s %s", c.meaning, problem)
			}
		})
	}
}

// TestChartLint runs helm lint with the values of each case.
func TestChartLint(t *testing.T) {
	for _, c := range chartCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := helm(t, c.values, "lint", "--strict", "--quiet", chart); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestChartChecksum checks that the pods change with the configuration, and with nothing
// that they need not read again.
func TestChartChecksum(t *testing.T) {
	for _, problem := range checksumProblems(t, chart) {
		t.Error(problem)
	}
}

func checksumProblems(t *testing.T, chart string) (r report) {
	pods := func(values string) string {
		out, err := helm(t, values, "template", "dane-exporter", chart, "--show-only", "templates/deployment.yaml")
		if err != nil {
			r.addf("%v", err)
		}
		return strings.TrimSpace(string(out))
	}
	before := pods("{}")
	if before == pods("config: {limits: {probes: 128}}") {
		r.addf("a change of the configuration does not replace the pods")
	}
	if before != pods("{probes: {own: {targets: [example.org]}}, podMonitor: {enabled: true}, commonLabels: {}, service: {port: 80}}") {
		r.addf("a change of the targets replaces the pods")
	}
	return r
}

// TestChartRefuses checks that wrong values are refused, with an error that names the
// value and what is wrong.
func TestChartRefuses(t *testing.T) {
	for _, test := range []struct{ name, values, want string }{
		{"unknown key", "replica: 3", "additional properties 'replica' not allowed"},
		{"unknown key below", "image: {repo: x}", "at '/image': additional properties 'repo' not allowed"},
		{"replicas as text", `replicas: "3"`, "at '/replicas': got string, want integer"},
		{"targets as text", "probes: {own: {targets: example.org}}", "at '/probes/own/targets': got string, want array"},
		{"no targets", "probes: {own: {module: smtp_mx}}", "at '/probes/own': missing property 'targets'"},
		{"empty targets", "probes: {own: {targets: []}}", "at '/probes/own/targets': minItems"},
		{"a URL as target", `probes: {own: {targets: ["https://example.org"]}}`, "at '/probes/own/targets/0': 'https://example.org' does not match"},
		{"a target twice", "probes: {own: {targets: [a.example, a.example]}}", "at '/probes/own/targets'"},
		{"probes as a list", "probes: [{targets: [a.example]}]", "at '/probes': got array, want object"},
		{"wrong name of a probe", "probes: {Own_x: {targets: [a.example]}}", "at '/probes': additional properties 'Own_x' not allowed"},
		{"typo in a probe", "probes: {own: {target: [a.example]}}", "additional properties 'target' not allowed"},
		{"interval without unit", "probes: {own: {targets: [a.example], interval: 60}}", "at '/probes/own/interval': got number, want string"},
		{"interval in a wrong unit", "probeDefaults: {interval: 60sec}", "at '/probeDefaults/interval': '60sec' does not match"},
		{"timeout longer than interval", "probes: {own: {targets: [a.example], interval: 15s}}", "probes.own: the scrapeTimeout (30s) is longer than the interval (15s)"},
		{"interval too long for the rules", "{probes: {own: {targets: [a.example], interval: 5m1s}}, prometheusRule: {enabled: true}}", "probes.own: the interval is 5m1s, and the rules of prometheusRule need at most 5m"},
		{"hours", "{probes: {own: {targets: [a.example], interval: 1h}}, prometheusRule: {enabled: true}}", "the interval is 1h"},
		{"unknown section of the configuration", "config: {resolvers: {}}", "at '/config': additional properties 'resolvers' not allowed"},
		{"configuration as text", "config: 'limits: {}'", "at '/config': got string, want object"},
		{"two configurations", "{configExistingSecret: a, configExistingConfigMap: b}", "set configExistingConfigMap or configExistingSecret, not both"},
		{"tag as number", "image: {tag: 1.0}", "at '/image/tag': got number, want string"},
		{"short digest", "image: {digest: sha256:abc}", "at '/image/digest': 'sha256:abc' does not match"},
		{"digest in the name", "image: {repository: 'x@sha256:abc'}", "at '/image/repository'"},
		{"external URL without scheme", "web: {externalUrl: mon.example}", "at '/web/externalUrl': 'mon.example' does not match"},
		{"wrong scheme", "web: {scheme: ftp}", "at '/web/scheme': value must be one of 'http', 'https'"},
		{"credentials without probes", "web: {basicAuth: {username: {name: a, key: b}}}", "web.basicAuth needs livenessProbe and readinessProbe"},
		{"arguments as text", "extraArgs: --log.level=debug", "at '/extraArgs': got string, want array"},
		{"an argument without dashes", "extraArgs: [log.level=debug]", "at '/extraArgs/0'"},
		{"environment as map", "extraEnv: {A: b}", "at '/extraEnv': got object, want array"},
		{"budget that blocks drains", "podDisruptionBudget: {maxUnavailable: 0}", "at '/podDisruptionBudget/maxUnavailable': minimum: got 0, want 1"},
		{"port out of range", "service: {port: 70000}", "at '/service/port': maximum"},
		{"wrong type of Service", "service: {type: Internal}", "at '/service/type': value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'"},
		{"network without mask", "networkPolicy: {egressExceptIPv4: [10.0.0.0]}", "at '/networkPolicy/egressExceptIPv4/0'"},
		{"label that is a boolean", "commonLabels: {mail: true}", "at '/commonLabels/mail': got boolean, want string"},
		{"both monitors", "{podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}", "enable podMonitor or serviceMonitor, not both"},
		{"unknown alert", "prometheusRule: {enabled: true, disabledAlerts: [Watchdogs]}", "prometheusRule.disabledAlerts: there is no alert Watchdogs"},
		{"Ingress without hosts", "ingress: {enabled: true}", "ingress.enabled needs ingress.hosts"},
		{"objects as text", "extraObjects: 'kind: Secret'", "at '/extraObjects': got string, want array"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := helm(t, test.values, "template", "dane-exporter", chart); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// TestChartRemovesDefaults checks that null removes entries of maps, as Helm documents.
func TestChartRemovesDefaults(t *testing.T) {
	out, err := helm(t, "{podSecurityContext: {runAsUser: null, runAsGroup: null}, resources: {limits: {memory: null}}}", "template", "dane-exporter", chart)
	if err != nil {
		t.Fatal(err)
	}
	m, err := decode(out)
	if err != nil {
		t.Fatal(err)
	}
	if s := m.deployment.Spec.Template.Spec.SecurityContext; s.RunAsUser != nil || s.RunAsGroup != nil || !*s.RunAsNonRoot {
		t.Errorf("security context %+v", s)
	}
	if len(m.exporter().Resources.Limits) > 0 {
		t.Errorf("resources %+v", m.exporter().Resources)
	}
}

// TestSubchart renders the chart as a dependency of another, which has global values and a
// condition.
func TestSubchart(t *testing.T) {
	parent := t.TempDir()
	if err := os.CopyFS(filepath.Join(parent, "charts/dane-exporter"), os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{
		"Chart.yaml":  "{apiVersion: v2, name: parent, version: 0.0.0, dependencies: [{name: dane-exporter, version: 0.0.0, repository: '', condition: dane-exporter.enabled}]}",
		"values.yaml": "{global: {imageRegistry: mirror.example, storageClass: fast}, dane-exporter: {enabled: true, replicas: 3}}",
	} {
		if err := os.WriteFile(filepath.Join(parent, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := helm(t, "", "template", "mail", parent)
	if err != nil {
		t.Fatal(err)
	}
	m, err := decode(out)
	if err != nil {
		t.Fatal(err)
	}
	r := m.check()
	r.equal("image", m.exporter().Image, "mirror.example/dane_exporter:latest")
	r.equal("replicas", *m.deployment.Spec.Replicas, 3)
	for _, problem := range r {
		t.Error(problem)
	}
}

// TestDocumentedValues renders each example of values in the README of the chart and in
// the instructions for installing it.
func TestDocumentedValues(t *testing.T) {
	read := func(file string) string {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	_, install, _ := strings.Cut(read("../../docs/install.md"), "\n### Kubernetes with Helm\n")
	install, _, _ = strings.Cut(install, "\n### ")
	readme := read(chart + "/README.md")
	for where, text := range map[string]string{"README.md": readme, "install.md": install} {
		examples := strings.Split(text, "```yaml\n")[1:]
		if len(examples) == 0 {
			t.Errorf("%s has no example", where)
		}
		for _, example := range examples {
			values, _, _ := strings.Cut(example, "```")
			out, err := helm(t, values, "template", "dane-exporter", chart, "--namespace", "monitoring")
			if err != nil {
				t.Errorf("%s: %v\n%s", where, err, values)
				continue
			}
			m, err := decode(out)
			if err != nil {
				t.Errorf("%s: %v\n%s", where, err, values)
				continue
			}
			for _, problem := range m.check() {
				t.Errorf("%s: %s\n%s", where, problem, values)
			}
		}
	}
}

// TestPackage installs from what a release makes: an archive with the version of the
// release, which is also the tag of the image, in a registry.
func TestPackage(t *testing.T) {
	directory := t.TempDir()
	must := func(args ...string) []byte {
		t.Helper()
		out, err := helm(t, "", args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	must("package", chart, "--destination", directory, "--version", "1.2.3", "--app-version", "1.2.3")
	archive := directory + "/dane-exporter-1.2.3.tgz"
	for _, problem := range chartCases[0].problems(t, archive) { // with all files of the chart
		t.Error(problem)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	charts := "oci://" + server.Listener.Addr().String() + "/charts"
	must("push", archive, charts, "--plain-http")
	out := must("template", "dane-exporter", charts+"/dane-exporter", "--version", "1.2.3", "--plain-http")
	m, err := decode(out)
	if err != nil {
		t.Fatal(err)
	}
	if image := m.exporter().Image; image != "dane_exporter:1.2.3" {
		t.Errorf("the image is %s", image)
	}
}

// TestMutants checks that the cases find faults in the templates. Each mutant replaces a
// text in one file.
func TestMutants(t *testing.T) {
	const selector = `{{- include "dane-exporter.selectorLabels" `
	for _, mutant := range []struct{ file, old, new string }{
		{"_helpers.tpl", "app.kubernetes.io/instance: {{ .Release.Name | toYaml }}", "# "},
		{"_helpers.tpl", "app.kubernetes.io/name: {{ include", "name: {{ include"},
		{"_helpers.tpl", ".svc:{{ .Values.service.port }}", ".svc:10125"},
		{"_helpers.tpl", "@{{ .Values.image.digest }}", ":{{ .Values.image.tag }}"},
		{"_helpers.tpl", "targetLabel: exporter", "targetLabel: prober"},
		{"_helpers.tpl", `path: {{ include "dane-exporter.prefix" .context }}/metrics`, "path: /metrics"},
		{"_helpers.tpl", "port: http\n", "port: web\n"},
		{"_helpers.tpl", `"h" 3600`, `"h" 36`},
		{"deployment.yaml", "checksum/config: {{ .Values.config | toYaml | sha256sum }}", ""},
		{"deployment.yaml", "checksum/config: {{ .Values.config", "checksum/config: {{ .Values.web"},
		{"deployment.yaml", "checksum/config: {{ .Values.config", "checksum/config: {{ .Values"},
		{"deployment.yaml", "      labels:\n        " + selector, "      labels:\n        app.kubernetes.io/name: dane-exporter #"},
		{"deployment.yaml", "{name: http, containerPort", "{name: web, containerPort"},
		{"deployment.yaml", "- {name: config, mountPath: /etc/dane_exporter,", "- {name: config, mountPath: /etc/dane,"},
		{"deployment.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true"},
		{"deployment.yaml", "{{- toYaml .Values.securityContext", "{{- toYaml dict"},
		{"deployment.yaml", "{{- toYaml .Values.podSecurityContext", "{{- toYaml dict"},
		{"deployment.yaml", "{{- toYaml .Values.resources", "{{- toYaml dict"},
		{"deployment.yaml", `path: {{ include "dane-exporter.prefix" $ }}/-/`, "path: /-/"},
		{"deployment.yaml", `(include "dane-exporter.fullname" .) | quote }}}`, `.Chart.Name | quote }}}`},
		{"deployment.yaml", "replicas:", "replica:"},
		{"service.yaml", selector + ". | nindent 4 }}", "app.kubernetes.io/name: dane-exporter"},
		{"service.yaml", "targetPort: http", "targetPort: web"},
		{"poddisruptionbudget.yaml", selector + ". | nindent 6 }}", "app.kubernetes.io/name: dane-exporter"},
		{"poddisruptionbudget.yaml", "maxUnavailable: {{ .Values.podDisruptionBudget.maxUnavailable | toYaml }}", "maxUnavailable: 100%"},
		{"networkpolicy.yaml", selector + "$ | nindent 6 }}", "app.kubernetes.io/name: dane-exporter"},
		{"networkpolicy.yaml", "port: http}", "port: web}"},
		{"podmonitor.yaml", selector + "$ | nindent 6 }}", "app.kubernetes.io/name: dane-exporter"},
		{"servicemonitor.yaml", selector + "$ | nindent 6 }}", "app.kubernetes.io/name: dane-exporter"},
		{"ingress.yaml", "port: {name: http}", "port: {name: web}"},
		{"probe.yaml", "targetLabel: module", "targetLabel: modul"},
		{"probe.yaml", `path: {{ include "dane-exporter.prefix" $ }}/probe`, "path: /probe"},
		{"probe.yaml", "jobName: ", "job: "},
		{"prometheusrule.yaml", "files/rules.yaml", "files/rules.yml"},
		{"dashboards.yaml", "files/dashboards/*.json", "files/dashboard/*.json"},
		{"configmap.yaml", "config.yml: |", "config.yaml: |"},
	} {
		t.Run(mutant.file+": "+mutant.old, func(t *testing.T) {
			t.Parallel()
			mutated := filepath.Join(t.TempDir(), "dane-exporter")
			if err := os.CopyFS(mutated, os.DirFS(chart)); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(mutated, "templates", mutant.file)
			content, err := os.ReadFile(file)
			if err != nil || !bytes.Contains(content, []byte(mutant.old)) {
				t.Fatalf("%s does not contain %q: %v", mutant.file, mutant.old, err)
			}
			if err := os.WriteFile(file, bytes.ReplaceAll(content, []byte(mutant.old), []byte(mutant.new)), 0o600); err != nil {
				t.Fatal(err)
			}
			found := slices.ContainsFunc(chartCases, func(c chartCase) bool { return len(c.problems(t, mutated)) > 0 })
			if !found && len(checksumProblems(t, mutated)) == 0 {
				t.Errorf("no case finds %q instead of %q", mutant.new, mutant.old)
			}
		})
	}
}
