//go:build integration

package integration

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The programs of other projects that docs/compatibility.md shows with the exporter. The
// tests run them with the text of the document, against the lab.
const (
	victoriaMetricsAddress = "127.0.0.1:8428"
	vmagentAddress         = "127.0.0.1:8429"
	nodeExporterAddress    = "127.0.0.1:9100"
)

// recipe returns the only block of docs/compatibility.md in a language that contains a text.
func recipe(t *testing.T, language, text string) string {
	t.Helper()
	block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```")
	var found []string
	for _, match := range block.FindAllStringSubmatch(readFile(t, "../../docs/compatibility.md"), -1) {
		if strings.Contains(match[1], text) {
			found = append(found, match[1])
		}
	}
	if len(found) != 1 {
		t.Fatalf("docs/compatibility.md has %d blocks %s with %q", len(found), language, text)
	}
	return found[0]
}

// plugin writes a program that runs commands of the exporter in the lab.
func plugin(t *testing.T, dir string) {
	t.Helper()
	path := writeFile(t, dir, "dane_exporter", "#!/bin/sh\nexec "+os.Getenv(binaryEnv)+" lab \"$@\"\n")
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestIcinga runs Icinga with the documented command and service. It must execute the plugin,
// and read its state and its performance data.
func TestIcinga(t *testing.T) {
	run(t, "ip", "link", "set", "lo", "up")
	dir := tempDir(t)
	plugin(t, dir)
	writeFile(t, dir, "dane.conf", strings.ReplaceAll(recipe(t, "icinga", "CheckCommand"), "check_interval = 5m", "check_interval = 1s"))
	config := writeFile(t, dir, "icinga2.conf", fmt.Sprintf(`const PluginDir = %[1]q
include <itl>
object CheckerComponent "checker" { }
object PerfdataWriter "perfdata" {
  service_perfdata_path = %[1]q + "/perfdata"
  service_temp_path = %[1]q + "/perfdata.tmp"
  host_perfdata_path = %[1]q + "/host"
  host_temp_path = %[1]q + "/host.tmp"
  service_format_template = "$host.name$ $service.state$ $service.output$ | $service.perfdata$"
  rotation_interval = 1s
}
include "dane.conf"
object Host "good.lab.test" {
  check_command = "dummy"
  vars.dane = true
}
object Host "broken" {
  check_command = "dummy"
  vars.dane = true
  vars.dane_target = [ "good.lab.test", "tlsa-mismatch.lab.test" ]
}
`, dir))
	args := []string{"daemon", "-c", config, "-D", "RunAsUser=root", "-D", "RunAsGroup=root"}
	for _, name := range []string{"DataDir", "InitRunDir", "CacheDir", "SpoolDir", "LogDir"} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-D", name+"="+path)
	}
	icinga := start(t, dir, exec.Command(program(t, "icinga2"), args...))
	defer icinga.kill(t) // it hangs sometimes if it and its children receive SIGTERM at once
	for _, want := range []string{
		`good\.lab\.test OK DANE OK - good\.lab\.test: authenticated +\| time=\d+\.\d+s;;;0;30 findings=0;;;0`,
		`broken CRITICAL DANE CRITICAL - 2 targets: 1 OK, 0 WARNING, 1 CRITICAL, 0 UNKNOWN \n` +
			`OK - good\.lab\.test: authenticated\nCRITICAL - tlsa-mismatch\.lab\.test: refused; .* \| ok=1;;;0 warning=0;;;0 critical=1;;;0 unknown=0;;;0 slowest=\d+\.\d+s;;;0`,
	} {
		lines := regexp.MustCompile(`(?m)^` + want + `$`)
		waitFor(t, want, func() bool {
			files, _ := filepath.Glob(filepath.Join(dir, "perfdata*"))
			return slices.ContainsFunc(files, func(file string) bool {
				content, _ := os.ReadFile(file) // it may have been renamed
				return lines.Match(content)
			})
		})
	}
}

// TestVmagent runs vmagent with the shipped scrape configuration and the documented flags. The
// series must arrive in VictoriaMetrics with the labels that the rules need.
func TestVmagent(t *testing.T) {
	run(t, "ip", "link", "set", "lo", "up")
	dir := tempDir(t)
	flags := regexp.MustCompile(`-promscrape\S+|-remoteWrite\S+`).FindAllString(recipe(t, "text", "vmagent "), -1)
	if len(flags) != 3 {
		t.Fatalf("flags %q", flags)
	}
	writeFile(t, dir, "prometheus.yml", strings.NewReplacer("[example.org, example.net]", "[good.lab.test, tlsa-mismatch.lab.test]",
		"[example.com]", "[no-tlsa.lab.test]", "scrape_interval: 1m", "scrape_interval: 5s", "scrape_timeout: 30s", "scrape_timeout: 4s", "scrape_interval: 5m", "scrape_interval: 5s").
		Replace(readFile(t, "../../deploy/prometheus/prometheus.yml")))
	start(t, dir, exec.Command(os.Getenv(binaryEnv), "lab", "--web.listen-address", exporterAddress), exporterAddress)
	start(t, dir, exec.Command(program(t, "victoria-metrics"), "-httpListenAddr="+victoriaMetricsAddress, "-storageDataPath="+filepath.Join(dir, "data"),
		"-search.latencyOffset=0s"), victoriaMetricsAddress)
	command := exec.Command(program(t, "vmagent"), append(flags, "-httpListenAddr="+vmagentAddress, "-remoteWrite.tmpDataPath="+filepath.Join(dir, "queue"))...)
	command.Dir = dir
	start(t, dir, command, vmagentAddress)
	for _, query := range []string{
		`dane_outcome{job="dane",instance="good.lab.test",module="smtp_mx",exporter="localhost:10125",outcome="authenticated"} == 1`,
		`dane_outcome{job="dane",instance="tlsa-mismatch.lab.test",module="smtp_mx",exporter="localhost:10125",outcome="refused"} == 1`,
		`probe_success{job="dane_partners",instance="no-tlsa.lab.test",module="smtp_mx_if_published",exporter="localhost:10125"} == 1`,
		`dane_exporter_build_info{job="dane_exporter",exporter="localhost:10125"}`,
	} {
		waitFor(t, query, func() bool { return resultsAt(t, victoriaMetricsAddress, query) > 0 })
	}
}

// TestTextfileCollector runs the documented script, node_exporter and Prometheus.
func TestTextfileCollector(t *testing.T) {
	run(t, "ip", "link", "set", "lo", "up")
	dir := tempDir(t)
	plugin(t, dir)
	domains := writeFile(t, dir, "domains", "good.lab.test\ntlsa-mismatch.lab.test\nGOOD.lab.test\n")
	textfiles := filepath.Join(dir, "textfiles")
	if err := os.Mkdir(textfiles, 0o755); err != nil {
		t.Fatal(err)
	}
	script := strings.NewReplacer("/var/lib/prometheus/node-exporter", textfiles, "/etc/dane_exporter/domains", domains).Replace(recipe(t, "bash", "--output prom"))
	runScript := func() {
		t.Helper()
		command := exec.Command("sh", "-e", "-c", strings.Replace(script, "dane.prom.new\"\n", "dane.prom.new\" || true\n", 1))
		command.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	}
	runScript()
	start(t, dir, exec.Command(program(t, "prometheus-node-exporter"), "--web.listen-address="+nodeExporterAddress, "--collector.textfile.directory="+textfiles), nodeExporterAddress)
	writeFile(t, dir, "prometheus.yml", "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"+
		strings.Replace(recipe(t, "yaml", "metric_relabel_configs"), "mail1.example.org:9100", nodeExporterAddress, 1))
	startPrometheusServer(t, dir, 1)
	for _, query := range []string{
		`probe_success{job="dane",instance="good.lab.test",module="smtp_mx",exporter="textfile",target=""} == 1`,
		`dane_outcome{job="dane",instance="tlsa-mismatch.lab.test",module="smtp_mx",outcome="refused"} == 1`,
		`node_textfile_scrape_error == 0`,
		`time() - node_textfile_mtime_seconds{file=~".*dane.prom"} < 60`,
	} {
		waitFor(t, query, func() bool { return hasResult(t, query) })
	}
	// Without a valid target there is no new file, and the old one stays.
	before := readFile(t, filepath.Join(textfiles, "dane.prom"))
	writeFile(t, dir, "domains", "https://good.lab.test\n")
	runScript()
	if readFile(t, filepath.Join(textfiles, "dane.prom")) != before {
		t.Error("a check without a result replaced the file")
	}
}

// resultsAt returns the number of results of a query at a server with the API of Prometheus.
func resultsAt(t *testing.T, address, query string) int {
	t.Helper()
	var answer struct {
		Data struct {
			Result []any `json:"result"`
		} `json:"data"`
	}
	getJSON(t, "http://"+address+"/api/v1/query?"+url.Values{"query": {query}}.Encode(), &answer)
	return len(answer.Data.Result)
}
