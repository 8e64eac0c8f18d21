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
		{"monitor too seldom for the rules", "{podMonitor: {enabled: true, interval: 10m}, prometheusRule: {enabled: true}}", "podMonitor: the interval is 10m, and the rules of prometheusRule need at most 5m"},
		{"timeout of a monitor", "serviceMonitor: {enabled: true, interval: 10s, scrapeTimeout: 20s}", "serviceMonitor: the scrapeTimeout (20s) is longer than the interval (10s)"},
		{"hours", "{probes: {own: {targets: [a.example], interval: 1h}}, prometheusRule: {enabled: true}}", "the interval is 1h"},
		{"unknown section of the configuration", "config: {resolvers: {}}", "at '/config': additional properties 'resolvers' not allowed"},
		{"configuration as text", "config: 'limits: {}'", "at '/config': got string, want object"},
		{"two configurations", "{configExistingSecret: a, configExistingConfigMap: b}", "set configExistingConfigMap or configExistingSecret, not both"},
		{"tag as number", "image: {tag: 1.0}", "at '/image/tag': got number, want string"},
		{"short digest", "image: {digest: sha256:abc}", "at '/image/digest': 'sha256:abc' does not match"},
		{"digest in the name", "image: {repository: 'x@sha256:abc'}", "at '/image/repository'"},
		{"tag in the name", "image: {repository: 'registry.example:5000/x:1.0'}", "at '/image/repository'"},
		{"registry as URL", "image: {registry: 'https://registry.example'}", "at '/image/registry'"},
		{"registry with a final slash", "global: {imageRegistry: registry.example/}", "at '/global/imageRegistry'"},
		{"a name with a dot", "fullnameOverride: mail.dane", "the name mail.dane is not valid for a Service"},
		{"a name that starts with a digit", "fullnameOverride: 1dane", "the name 1dane is not valid for a Service"},
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

// TestHostNetwork checks that hostNetwork reaches the pods. No case has it, because the
// Pod Security Standards forbid it.
func TestHostNetwork(t *testing.T) {
	out, err := helm(t, "{hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet}", "template", "dane-exporter", chart)
	if err != nil {
		t.Fatal(err)
	}
	m, err := decode(out)
	if err != nil {
		t.Fatal(err)
	}
	if pod := m.deployment.Spec.Template.Spec; !pod.HostNetwork || pod.DNSPolicy != "ClusterFirstWithHostNet" {
		t.Errorf("hostNetwork %t, dnsPolicy %s", pod.HostNetwork, pod.DNSPolicy)
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

// TestNotes checks what Helm prints after an installation.
func TestNotes(t *testing.T) {
	const (
		registry = "The image dane_exporter:latest names no registry"
		targets  = "There are no targets yet"
		monitor  = "Enable podMonitor or serviceMonitor"
		check    = "kubectl -n monitoring exec deploy/dane-exporter -c dane-exporter -- /dane_exporter check --self"
	)
	for _, test := range []struct {
		name, values string
		want         []string // of the constants
	}{
		{"defaults", "", []string{registry, targets, check}},
		{"probes without monitor", "{image: {registry: registry.example}, probes: {own: {targets: [a.example]}}}", []string{monitor, check}},
		{"complete", "{image: {registry: registry.example}, probes: {own: {targets: [a.example]}}, serviceMonitor: {enabled: true}}", []string{check}},
		{"objects of the user", "{image: {registry: registry.example}, podMonitor: {enabled: true}, extraObjects: [{apiVersion: monitoring.coreos.com/v1alpha1, kind: ScrapeConfig, metadata: {name: a}}]}", []string{check}},
		{"prefix and TLS", "{image: {registry: registry.example}, podMonitor: {enabled: true}, web: {externalUrl: 'https://mon.example/dane', scheme: https}}", []string{targets, check, "https://localhost:10125/dane/:"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out, err := helm(t, test.values, "install", "dane-exporter", chart, "--namespace", "monitoring", "--dry-run=client")
			if err != nil {
				t.Fatal(err)
			}
			_, notes, _ := strings.Cut(string(out), "\nNOTES:\n")
			for _, text := range slices.Concat([]string{registry, targets, monitor, check}, test.want) {
				if got := strings.Contains(notes, text); got != slices.Contains(test.want, text) {
					t.Errorf("%q: %t, in the notes\n%s", text, got, notes)
				}
			}
		})
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
		{"deployment.yaml", `merge (include "dane-exporter.selectorLabels" . | fromYaml)`, "merge dict"},
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
		{"networkpolicy.yaml", "{{- if .egressPorts }}", "{{- if true }}"},
		{"deployment.yaml", `(hasKey . "labelSelector")`, ".labelSelector"},
		{"_helpers.tpl", `merge (include "dane-exporter.labels" .context | fromYaml) (default dict .labels)`, "merge dict (default dict .labels)"},
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
