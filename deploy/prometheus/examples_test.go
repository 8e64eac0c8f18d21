//go:build integration

// Package prometheus tests the example scrape configurations with Prometheus 2 (of Debian)
// and Prometheus 3 (of tools/promtool). They differ in how relabelling and params set the
// parameters of a scrape.
package prometheus

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// An example is a scrape configuration that a document or a file shows.
type example struct {
	name    string
	content string
	want    []string // requests to /probe: target and module
}

func examples(t *testing.T) []example {
	byFile := []string{"example.com smtp_mx_if_published", "example.net smtp_mx", "example.org smtp_mx", "mail.example.org:587 submission"}
	readme := regexp.MustCompile("(?s)```yaml\n(scrape_configs:.*?)```").FindStringSubmatch(read(t, "../../README.md"))
	if readme == nil {
		t.Fatal("README.md has no scrape configuration")
	}
	// Without a cluster, a file of targets stands for the discovery of Services.
	services := strings.NewReplacer(
		"    kubernetes_sd_configs:\n      - role: service\n", `    static_configs:
      - targets: ["a:80", "b:80"]
        labels: {__meta_kubernetes_service_annotationpresent_dane_exporter_target: "true", __meta_kubernetes_service_annotation_dane_exporter_target: example.org, __meta_kubernetes_namespace: mail}
      - targets: ["c:80"]
        labels: {__meta_kubernetes_service_annotationpresent_dane_exporter_target: "true", __meta_kubernetes_service_annotation_dane_exporter_target: example.com, __meta_kubernetes_service_annotation_dane_exporter_module: smtp_mx_full}
      - targets: ["d:80"]
`, "    kubernetes_sd_configs:\n      - role: pod\n        namespaces:\n          names: [monitoring]\n", `    static_configs:
      - targets: ["dane-exporter.monitoring:10125"]
        labels: {__meta_kubernetes_pod_label_app_kubernetes_io_name: dane-exporter, __meta_kubernetes_pod_name: dane-exporter-0}
`).Replace(read(t, "prometheus-kubernetes.yml"))
	if strings.Contains(services, "kubernetes_sd_configs") {
		t.Fatal("prometheus-kubernetes.yml: the discovery was not replaced")
	}
	return []example{
		{"README.md", readme[1], []string{"example.net smtp_mx", "example.org smtp_mx"}},
		{"prometheus.yml", read(t, "prometheus.yml"), []string{"example.com smtp_mx_if_published", "example.net smtp_mx", "example.org smtp_mx"}},
		{"prometheus-file-sd.yml", read(t, "prometheus-file-sd.yml"), byFile},
		{"prometheus-hashmod.yml", read(t, "prometheus-hashmod.yml"),
			[]string{"example.com smtp_mx_if_published", "example.net smtp_mx_if_published", "example.org smtp_mx_if_published", "mail.example.org:587 submission"}},
		{"prometheus-http-sd.yml", read(t, "prometheus-http-sd.yml"), []string{"example.net smtp_mx_dns", "example.org smtp_mx_dns", "mx.example.org smtp"}},
		{"prometheus-views.yml", read(t, "prometheus-views.yml"), []string{"example.net smtp_mx", "example.net view_google", "example.org smtp_mx", "example.org view_google"}},
		{"prometheus-kubernetes.yml", services, []string{"example.com smtp_mx_full", "example.org smtp_mx"}},
		{"docker/prometheus.yml", strings.ReplaceAll(read(t, "../docker/prometheus.yml"), "[domains.yml]", "[targets/*.yml]"), byFile},
	}
}

// TestExamples runs each example. Prometheus must request each target with the module of
// its label, and all labels that the rules need must be set.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	prometheus3 := filepath.Join(dir, "prometheus3")
	build := exec.Command("go", "build", "-modfile=../../tools/promtool/go.mod", "-o", prometheus3, "github.com/prometheus/prometheus/cmd/prometheus")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build Prometheus 3: %v\n%s", err, output)
	}
	for _, version := range []struct{ name, program string }{{"Prometheus 2", "prometheus"}, {"Prometheus 3", prometheus3}} {
		for _, e := range examples(t) {
			t.Run(version.name+"/"+e.name, func(t *testing.T) { testExample(t, version.program, e) })
		}
	}
}

func testExample(t *testing.T, program string, e example) {
	exporter := newFakeExporter(t)
	dir := t.TempDir()
	for _, rules := range []string{"rules.yml", "views.yml"} {
		write(t, filepath.Join(dir, rules), read(t, rules))
	}
	write(t, filepath.Join(dir, "targets", "domains.yml"), read(t, "targets/domains.yml"))
	// The exporter, and scrapes every second.
	config := regexp.MustCompile(`\b(localhost|dane-exporter[-.\w$]*):10125\b`).ReplaceAllString(e.content, exporter.address)
	config = regexp.MustCompile(`scrape_(interval|timeout): \w+`).ReplaceAllString(config, "scrape_$1: 1s")
	if !strings.Contains(config, "global:") {
		config = "global: {scrape_interval: 1s}\n" + config // by default, a minute
	}
	write(t, filepath.Join(dir, "prometheus.yml"), config)
	address := startPrometheus(t, program, dir)

	var targets []activeTarget
	deadline := time.Now().Add(time.Minute)
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for scraped := false; !scraped; <-retry.C {
		targets = activeTargets(t, address)
		// The jobs get their targets one after another. At least one scrapes the exporter's own metrics.
		scraped = len(targets) > len(e.want) && len(exporter.probes()) >= len(e.want) &&
			!slices.ContainsFunc(targets, func(a activeTarget) bool { return a.LastScrape.IsZero() })
		if !scraped && time.Now().After(deadline) {
			t.Fatalf("not all targets were scraped, of %q: requests %q, targets %+v", e.want, exporter.probes(), targets)
		}
	}

	if got := exporter.probes(); !slices.Equal(got, e.want) {
		t.Errorf("requests to /probe: %q, want %q", got, e.want)
	}
	var labelled []string
	own := 0
	for _, a := range targets {
		if a.Labels["exporter"] != exporter.address {
			t.Errorf("the label exporter of %v is not the address of the exporter, %s", a.Labels, exporter.address)
		}
		if a.Labels["job"] == "dane_exporter" {
			own++
			if a.Labels["module"] != "" {
				t.Errorf("the exporter's own metrics have the label module: %v", a.Labels)
			}
			continue
		}
		labelled = append(labelled, a.Labels["instance"]+" "+a.Labels["module"])
	}
	slices.Sort(labelled)
	if !slices.Equal(labelled, e.want) {
		t.Errorf("labels of the targets: %q, want %q", labelled, e.want)
	}
	if own == 0 {
		t.Error("no job scrapes the exporter's own metrics")
	}
}

// A fakeExporter records the requests to /probe, and answers those to /sd.
type fakeExporter struct {
	address string
	mu      sync.Mutex
	seen    map[string]bool
}

func newFakeExporter(t *testing.T) *fakeExporter {
	e := &fakeExporter{seen: make(map[string]bool)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sd" {
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Query().Get("by") == "mx" {
				fmt.Fprint(w, `[{"targets":["mx.example.org"],"labels":{"__meta_dane_source":"customers","__meta_dane_domains":"2"}}]`)
			} else {
				fmt.Fprint(w, `[{"targets":["example.net","example.org"],"labels":{"__meta_dane_source":"customers"}}]`)
			}
			return
		}
		if r.URL.Path == "/probe" {
			query := r.URL.Query()
			e.mu.Lock()
			defer e.mu.Unlock()
			e.seen[strings.Join(query["target"], ",")+" "+strings.Join(query["module"], ",")] = true
		}
		fmt.Fprintln(w, "probe_success 1")
	}))
	t.Cleanup(server.Close)
	e.address = server.Listener.Addr().String()
	return e
}

func (e *fakeExporter) probes() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.seen))
}

// startPrometheus starts Prometheus with the configuration in dir until the test ends. It
// returns the address at which it listens.
func startPrometheus(t *testing.T, program, dir string) string {
	command := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address=127.0.0.1:0")
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-done
		_ = command.Wait()
	})
	addresses := make(chan string, 1)
	go func() {
		defer close(done)
		defer close(addresses)
		listening := regexp.MustCompile(`component=web .*address=(127\.0\.0\.1:[1-9]\d*)`)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if found := listening.FindStringSubmatch(lines.Text()); found != nil {
				addresses <- found[1]
				_, _ = io.Copy(io.Discard, log)
				return
			}
			t.Log(lines.Text())
		}
	}()
	select {
	case address, ok := <-addresses:
		if !ok {
			t.Fatal("Prometheus ended before it listened")
		}
		return address
	case <-time.After(time.Minute):
		t.Fatal("Prometheus does not listen")
	}
	return ""
}

// An activeTarget is a target that Prometheus scrapes.
type activeTarget struct {
	Labels     map[string]string
	LastScrape time.Time
}

// activeTargets returns the targets of Prometheus, and none before it is ready.
func activeTargets(t *testing.T, address string) []activeTarget {
	response, err := http.Get("http://" + address + "/api/v1/targets?state=active")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil
	}
	var answer struct {
		Data struct{ ActiveTargets []activeTarget }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Data.ActiveTargets
}

func read(t *testing.T, file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func write(t *testing.T, file, content string) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
