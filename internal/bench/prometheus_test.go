package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	prometheusTime       = flag.Duration("prometheus", 0, "duration of TestPrometheus for each series mode; 0 skips it")
	prometheusTargets    = flag.Int("prometheus.targets", 1000, "number of targets of TestPrometheus")
	prometheusInterval   = flag.Duration("prometheus.interval", 15*time.Second, "scrape interval of TestPrometheus")
	prometheusEvaluation = flag.Duration("prometheus.evaluation", 15*time.Second, "evaluation interval of TestPrometheus")
	prometheusRules      = flag.String("prometheus.rules", "../../deploy/prometheus/rules.yml", "rules of TestPrometheus; those of deploy are for intervals up to five minutes")
	prometheusModules    = flag.String("prometheus.modules", "fleet,fleet_summary", "modules of TestPrometheus, one after the other")
)

// TestPrometheus scrapes a fleet of domains with a Prometheus that evaluates the
// shipped rules, in both series modes. It prints the number of series and the memory
// of Prometheus, compared with a Prometheus that scrapes only the exporter's own
// metrics. docs/scaling.md reports a run.
func TestPrometheus(t *testing.T) {
	if *prometheusTime == 0 {
		t.Skip("it takes minutes: set -prometheus")
	}
	env, domains, err := newFleet(*prometheusTargets)
	if err != nil {
		t.Fatal(err)
	}
	defer env.close()
	e := startExporter(t, env, "", "")
	idle := measurePrometheus(t, e, "fleet", nil, min(*prometheusTime, 2*time.Minute))
	t.Logf("no targets: %s", idle)
	for _, module := range strings.Split(*prometheusModules, ",") {
		use := measurePrometheus(t, e, module, domains, *prometheusTime)
		series, samples := use.series-idle.series, use.samples
		if series < samples {
			t.Errorf("%s: %d series, but %d samples", module, series, samples)
		}
		n := float64(len(domains))
		t.Logf("%s, %d targets: %d series, %.1f a target: %.1f samples of probes, 5 of Prometheus, %.1f of rules; %d MiB more than without, %.1f KiB a target; CPU %.1f %% of a core",
			module, len(domains), series, float64(series)/n, float64(samples)/n, float64(series-samples)/n-5, (use.resident-idle.resident)>>20,
			float64(use.resident-idle.resident)/n/1024, 100*(use.cores-idle.cores))
	}
}

// prometheusUse has the resource usage of a Prometheus server.
type prometheusUse struct {
	series   int // in memory
	samples  int // of the last scrape of each target
	resident int // bytes
	cores    float64
}

func (u prometheusUse) String() string {
	return fmt.Sprintf("%d series, %d MiB resident, CPU %.1f %% of a core", u.series, u.resident>>20, 100*u.cores)
}

// measurePrometheus runs Prometheus for a while with the domains as targets.
func measurePrometheus(t *testing.T, e *exporter, module string, domains []fleetDomain, duration time.Duration) prometheusUse {
	t.Helper()
	rules, err := filepath.Abs(*prometheusRules)
	if err != nil {
		t.Fatal(err)
	}
	var config strings.Builder
	fmt.Fprintf(&config, `global: {scrape_interval: 15s, scrape_timeout: 10s, evaluation_interval: %[4]s}
rule_files: [%[1]q]
scrape_configs:
  - {job_name: dane_exporter, static_configs: [{targets: [%[2]q], labels: {exporter: %[2]q}}]}
  - job_name: dane
    scrape_interval: %[5]s
    metrics_path: /probe
    params: {module: [%[3]s]}
    relabel_configs:
      - {source_labels: [__address__], target_label: __param_target}
      - {source_labels: [__address__], target_label: instance}
      - {source_labels: [__param_module], target_label: module}
      - {target_label: __address__, replacement: %[2]q}
      - {target_label: exporter, replacement: %[2]q}
    static_configs:
      - targets:
`, rules, e.address, module, *prometheusEvaluation, *prometheusInterval)
	for _, domain := range domains {
		fmt.Fprintf(&config, "          - %s\n", domain.name)
	}
	address, stop := startPrometheus(t, t.TempDir(), config.String())
	defer stop()
	time.Sleep(duration)
	text, err := fetch(http.DefaultClient, "http://"+address+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return prometheusUse{
		series: int(value(text, "prometheus_tsdb_head_series")), resident: int(value(text, "process_resident_memory_bytes")),
		cores:   value(text, "process_cpu_seconds_total") / duration.Seconds(),
		samples: scalar(t, address, fmt.Sprintf(`sum(last_over_time(scrape_samples_scraped{job="dane"}[%ds])) or vector(0)`, int(2*prometheusInterval.Seconds()))),
	}
}

// startPrometheus starts Prometheus with a configuration, which it writes to dir. It returns
// its address, and a function that stops it.
func startPrometheus(t *testing.T, dir, config string) (address string, stop func()) {
	t.Helper()
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	}
	return listenAddress(t, bufio.NewScanner(log)), stop
}

// listenAddress returns the address at which Prometheus listens, from its log. It
// discards the rest of the log.
func listenAddress(t *testing.T, log *bufio.Scanner) string {
	t.Helper()
	listening := regexp.MustCompile(`component=web .*address=(127\.0\.0\.1:[1-9]\d*)`)
	for log.Scan() {
		if found := listening.FindStringSubmatch(log.Text()); found != nil {
			go func() {
				for log.Scan() {
					continue
				}
			}()
			return found[1]
		}
	}
	t.Fatalf("Prometheus ended before it listened: %v", log.Err())
	return ""
}

// scalar evaluates an expression with one result.
func scalar(t *testing.T, address, expression string) int {
	t.Helper()
	text, err := fetch(http.DefaultClient, "http://"+address+"/api/v1/query?query="+url.QueryEscape(expression))
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Data.Result) != 1 {
		t.Fatalf("%s: %v, %s", expression, err, text)
	}
	number, err := strconv.ParseFloat(answer.Data.Result[0].Value[1].(string), 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(number)
}
