//go:build integration

package prometheus

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestScrapeProtocols scrapes /probe and /metrics of the lab with Prometheus 3 in each format
// that it parses. Each must have the same series. In protobuf, histograms must be
// native and, with the documented settings, classic.
func TestScrapeProtocols(t *testing.T) {
	dir := t.TempDir()
	prometheus3, exporter := filepath.Join(dir, "prometheus3"), filepath.Join(dir, "dane_exporter")
	for _, build := range []*exec.Cmd{
		exec.Command("go", "build", "-modfile=../../tools/promtool/go.mod", "-o", prometheus3, "github.com/prometheus/prometheus/cmd/prometheus"),
		exec.Command("go", "build", "-o", exporter, "dane_exporter"),
	} {
		if output, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", build, err, output)
		}
	}
	address := startLab(t, exporter)

	protocols := []string{"PrometheusText0.0.4", "PrometheusText1.0.0", "OpenMetricsText1.0.0", "PrometheusProto"}
	var config strings.Builder
	// A scrape that takes longer than the timeout would fail in any format.
	config.WriteString("global: {scrape_interval: 5s, scrape_timeout: 5s}\nscrape_configs:\n")
	for _, protocol := range protocols {
		fmt.Fprintf(&config, `- {job_name: "probe %[1]s", scrape_protocols: [%[1]s], metrics_path: /probe, params: {target: [two-mx-one-broken.lab.test]}, static_configs: [{targets: [%[2]q]}]}
- {job_name: "metrics %[1]s", scrape_protocols: [%[1]s], scrape_native_histograms: %[3]t, always_scrape_classic_histograms: %[3]t, static_configs: [{targets: [%[2]q]}]}
`, protocol, address, protocol == "PrometheusProto")
	}
	write(t, filepath.Join(dir, "prometheus.yml"), config.String())
	prometheus := startPrometheus(t, prometheus3, dir)

	// Own metrics of the exporter appear as its jobs are scraped, so their number is compared
	// for a family that is complete after the first probe.
	series := map[string]string{
		"probe":   `count({__name__!~"up|scrape_.*",job="probe %s"})`,
		"metrics": `count({__name__=~"go_info|process_open_fds|dane_exporter_info|promhttp_metric_handler_requests_total",job="metrics %s"})`,
	}
	for page, expr := range series {
		want := query(t, prometheus, fmt.Sprintf(expr, protocols[0]))
		if want < 5 {
			t.Errorf("%s: %g series in %s", page, want, protocols[0])
		}
		for _, protocol := range protocols {
			if up := query(t, prometheus, fmt.Sprintf(`min_over_time(up{job="%s %s"}[1m])`, page, protocol)); up != 1 {
				t.Errorf("%s in %s: a scrape failed", page, protocol)
			}
			if got := query(t, prometheus, fmt.Sprintf(expr, protocol)); got != want {
				t.Errorf("%s: %g series in %s, %g in %s", page, got, protocol, want, protocols[0])
			}
		}
	}
	for _, histogram := range []string{"probe_duration", "handshake_duration", "lookup_duration"} {
		// The first scrape of /metrics may precede the first probe.
		query(t, prometheus, `sum(histogram_count(dane_exporter_`+histogram+`_seconds{job="metrics PrometheusProto"})) >= 1`)
		for _, protocol := range []string{"OpenMetricsText1.0.0", "PrometheusProto"} {
			query(t, prometheus, fmt.Sprintf(`sum(dane_exporter_%s_seconds_bucket{le="+Inf",job="metrics %s"}) >= 1`, histogram, protocol))
		}
	}
}

// startLab starts the lab until the test ends. It returns the address at which it listens.
func startLab(t *testing.T, program string) string {
	command := exec.Command(program, "lab", "--web.listen-address=127.0.0.1:0")
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	listening := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			drained := make(chan struct{})
			go func() { _, _ = io.Copy(io.Discard, log); close(drained) }()
			t.Cleanup(func() {
				_ = command.Process.Signal(syscall.SIGTERM)
				<-drained
				_ = command.Wait()
			})
			return found[1]
		}
	}
	t.Fatalf("the lab ended before it listened: %v", command.Wait())
	return ""
}

// query returns the only value of an instant query, and waits until there is one.
func query(t *testing.T, address, expr string) float64 {
	t.Helper()
	retry := time.NewTicker(200 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-retry.C {
		response, err := http.Get("http://" + address + "/api/v1/query?" + url.Values{"query": {expr}}.Encode())
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Error string
			Data  struct{ Result []struct{ Value [2]any } }
		}
		if response.StatusCode != http.StatusServiceUnavailable { // else Prometheus is not ready yet
			err = json.NewDecoder(response.Body).Decode(&answer)
		}
		response.Body.Close()
		if err != nil || answer.Error != "" {
			t.Fatalf("%s: %v %s", expr, err, answer.Error)
		}
		if len(answer.Data.Result) == 1 {
			value, err := strconv.ParseFloat(fmt.Sprint(answer.Data.Result[0].Value[1]), 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has %d results", expr, len(answer.Data.Result))
		}
	}
}
