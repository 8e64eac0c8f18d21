package validate

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write deploy/kubernetes")

const (
	manifests = "../kubernetes"
	heading   = "# Rendered from the Helm chart deploy/helm/dane-exporter by make kubernetes.\n"
)

var (
	source = regexp.MustCompile(`(?m)^---\n# Source: dane-exporter/templates/([a-z]+)\.yaml\n`)
	// Helm's own labels, and the checksum, which only Helm keeps up to date.
	ofHelm = regexp.MustCompile(`(?m)^ *(helm\.sh/chart|app\.kubernetes\.io/(version|managed-by)): .*\n|^ *annotations:\n.*\n *checksum/config: .*\n`)
)

// render returns the files of deploy/kubernetes, one for each template of the chart.
func render(t *testing.T) map[string]string {
	t.Helper()
	stream, err := helm(t, "", "template", "dane-exporter", chart, "--namespace", "monitoring", "--values", "../helm/kubernetes-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	text := string(stream)
	starts := source.FindAllStringSubmatchIndex(text, -1)
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		name := text[at[2]:at[3]] + ".yml"
		document := ofHelm.ReplaceAllString(strings.TrimSpace(text[at[1]:end])+"\n", "")
		if files[name] == "" {
			files[name] = heading + document
		} else {
			files[name] += "---\n" + document
		}
	}
	return files
}

// TestManifests checks that the files of deploy/kubernetes are rendered from the chart.
// With -update, it writes them: make kubernetes.
func TestManifests(t *testing.T) {
	files := render(t)
	if len(files) < 8 {
		t.Fatalf("the chart renders only %d files", len(files))
	}
	for name, want := range files {
		path := filepath.Join(manifests, name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is out of date: run make kubernetes: %v", path, err)
		}
	}
	paths, err := filepath.Glob(manifests + "/*.yml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("files %v, %v", paths, err)
	}
	var stream []byte
	for _, path := range paths {
		if files[filepath.Base(path)] == "" {
			t.Errorf("the chart does not render %s", path)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		stream = append(append(stream, content...), "---\n"...)
	}
	m, err := decode(stream)
	if err != nil {
		t.Fatal(err)
	}
	// Without Helm, no checksum replaces the pods.
	m.deployment.Spec.Template.Annotations = map[string]string{"checksum/config": ""}
	for _, problem := range m.check() {
		t.Error(problem)
	}
	for _, kind := range []string{"NetworkPolicy", "PodMonitor", "Probe", "PrometheusRule"} {
		if !slices.ContainsFunc(m.names, func(name string) bool { return strings.HasPrefix(name, kind+" ") }) {
			t.Errorf("no %s", kind)
		}
	}
	for _, object := range m.all {
		if object.GetNamespace() != "monitoring" {
			t.Errorf("%s is in the namespace %q", object.GetName(), object.GetNamespace())
		}
	}
	for _, word := range []string{"helm.sh", "managed-by", "checksum"} {
		if bytes.Contains(stream, []byte(word)) {
			t.Errorf("the files contain %s", word)
		}
	}
}
