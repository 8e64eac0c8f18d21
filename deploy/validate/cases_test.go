package validate

import (
	"fmt"
	"os"
	"slices"
	"strings"

	networking "k8s.io/api/networking/v1"
)

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
			"Secret extra", "Service mail", "ServiceAccount account", "ServiceMonitor mail",
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
		values:  "{podMonitor: {enabled: true, interval: 30s, scrapeTimeout: 10s, labels: {c: d}}, probes: {own: {targets: [a.example]}}, web: {externalUrl: 'https://mon.example/dane/', scheme: https}}",
		objects: with("PodMonitor dane-exporter", "Probe dane-exporter-own"),
		check: func(m *manifest, r *report) {
			endpoint := m.podMonitors[0].Spec.PodMetricsEndpoints[0]
			r.equal("endpoint", endpoint.Path+string(endpoint.Interval+endpoint.ScrapeTimeout)+m.podMonitors[0].Labels["c"], "/dane/metrics30s10sd")
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
		name: "no services", meaning: "Without ports, egress is allowed to DNS alone: a rule without ports would allow all.",
		values: "networkPolicy: {enabled: true, egressPorts: null}", objects: with("NetworkPolicy dane-exporter"),
		check: func(m *manifest, r *report) {
			r.equal("egress", len(m.networks[0].Spec.Egress), 1)
			r.equal("ports", portsOf(m.networks[0].Spec.Egress[0].Ports), []string{"", "53", "53", "853", ""})
		},
	},
	{
		name: "constraint for all pods", meaning: "An empty labelSelector stays.",
		values:  "topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {}}]",
		objects: minimal,
		check: func(m *manifest, r *report) {
			r.equal("selector", m.deployment.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels, map[string]string{})
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
		values:  "{nameOverride: mail, podMonitor: {enabled: true}, serviceAccount: {create: true}}",
		objects: strings.Split(strings.ReplaceAll(strings.Join(with("PodMonitor dane-exporter", "ServiceAccount dane-exporter"), ","), "dane-exporter", "dane-exporter-mail"), ","),
		check: func(m *manifest, r *report) {
			r.equal("account", m.deployment.Spec.Template.Spec.ServiceAccountName, "dane-exporter-mail")
		},
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
commonLabels: {release: prometheus, c: common, app.kubernetes.io/name: other}
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
resources: {limits: {memory: 1Gi}}
podSecurityContext: {fsGroup: 65534}
securityContext: {runAsUser: 1000}
podAnnotations: {a: b}
podLabels: {team: mail, app.kubernetes.io/name: other}
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
serviceAccount: {create: true, name: account, annotations: {a: b}}
service: {type: LoadBalancer, port: 80, ipFamilyPolicy: PreferDualStack, annotations: {a: b}, labels: {c: d}}
ingress: {enabled: true, className: nginx, annotations: {a: b}, labels: {c: d}, hosts: [mon.example.org], tls: [{secretName: tls, hosts: [mon.example.org]}]}
podDisruptionBudget: {maxUnavailable: 50%}
networkPolicy: {enabled: true, labels: {c: d}, ingressFrom: [{ipBlock: {cidr: 192.0.2.1/32}}], egressPorts: {ldap: null, own: 2525}, egressExceptIPv4: [192.0.2.0/24], egressExceptIPv6: ["2001:db8::/32"],
  extraIngress: [{from: [{namespaceSelector: {}}]}], extraEgress: [{to: [{ipBlock: {cidr: 10.1.0.0/16}}]}]}
probes:
  own: {targets: [example.org], jobName: dane, labels: {c: d}, targetLabels: {team: mail}, relabelings: &relabelings [{targetLabel: cluster, replacement: a}], metricRelabelings: &drop [{action: labeldrop, regex: x}]}
  partner-domains: {module: smtp_mx_if_published, interval: 5m, targets: [example.com]}
serviceMonitor: {enabled: true, interval: 30s, scrapeTimeout: 10s, labels: {c: d}, relabelings: *relabelings, metricRelabelings: *drop}
prometheusRule: {enabled: true, labels: {role: alerts}, disabledAlerts: [Watchdog]}
dashboards: {enabled: true, labels: {sidecar: x}, annotations: {grafana_folder: DANE}, namespace: grafana}
extraObjects: [{apiVersion: v1, kind: Secret, metadata: {name: extra}, stringData: {a: b}}]
`

const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// checkEverything checks that each value of the case "everything" has its place.
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
	r.equal("account", pod.ServiceAccountName, "account")
	r.equal("memory", container.Resources.Limits.Memory(), "1Gi")
	r.equal("group", *pod.SecurityContext.FSGroup, 65534)
	r.equal("user", *container.SecurityContext.RunAsUser, 1000)
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
	r.equal("clients", network.Ingress[0].From[0].IPBlock.CIDR, "192.0.2.1/32")
	r.equal("except", fmt.Sprint(network.Egress[1].To[0].IPBlock.Except, network.Egress[1].To[1].IPBlock.Except), "[192.0.2.0/24] [2001:db8::/32]")
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
		r.equal("labels of "+name, o.Labels["grafana_dashboard"]+o.Labels["sidecar"]+o.Annotations["grafana_folder"], "1xDANE")
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
