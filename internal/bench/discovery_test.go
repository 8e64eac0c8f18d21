package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	sdInterval = flag.Duration("sd", 0, "scrape interval of the domains in TestDiscovery, at most 4m; 0 skips it")
	sdTargets  = flag.Int("sd.targets", 100, "number of domains of TestDiscovery")
)

// sdMinute returns what a minute of the shipped configuration is in TestDiscovery.
func sdMinute() time.Duration { return min(time.Minute, *sdInterval) }

// sdTimeout returns the scrape timeout of TestDiscovery.
func sdTimeout() time.Duration { return min(30*time.Second, *sdInterval) }

// TestDiscovery scrapes a fleet of domains by /sd, with a Prometheus that has the shipped
// configuration for it: the MX hosts with module smtp, the domains with smtp_mx_dns.
// Prometheus must get each target, scrape each in time, and have the expected outcomes. It
// must keep all targets while a new exporter looks up the MX records. docs/scaling.md
// reports a run with 20,000 domains.
func TestDiscovery(t *testing.T) {
	if *sdInterval == 0 {
		t.Skip("it needs Prometheus, and takes a minute: set -sd")
	}
	// A domain without mail hosts, and one that does not exist: lookups alone decide their outcomes.
	const withoutHost, missing = "hoster0.net", "missing.org"
	b := &discoveryBench{
		domains: map[string]string{withoutHost: "secure", missing: "secure"}, hosts: map[string]string{withoutHost: "none"},
		decided: map[string]string{withoutHost: "none", missing: "none"},
	}
	env, fleet, err := newFleet(*sdTargets - len(b.domains))
	if err != nil {
		t.Fatal(err)
	}
	defer env.close()
	for _, d := range fleet {
		b.expect(t, d)
	}
	b.start(t, env)
	passed := b.awaitMX(t)
	b.startPrometheus(t)
	b.awaitTargets(t)
	cpu := b.usage(t)
	b.checkScrapes(t)
	after := b.usage(t)
	b.checkOutcomes(t)
	if rejected := value(b.exporterMetrics(t), "dane_exporter_probes_rejected_total"); rejected != 0 {
		t.Errorf("the exporter rejected %v probes", rejected)
	}
	t.Logf("%d domains on %d hosts; first MX pass %s", len(b.domains), len(b.hosts), passed.Round(time.Second))
	for _, program := range []string{"Prometheus", "exporter"} {
		t.Logf("%s: %d MiB resident, CPU %.1f %% of a core", program, after.resident[program]>>20,
			100*(after.cpu[program]-cpu.cpu[program]).Seconds()/after.at.Sub(cpu.at).Seconds())
	}
	t.Logf("%d series, %d samples of domains, %d of hosts", int(value(b.prometheusMetrics(t), "prometheus_tsdb_head_series")),
		scalar(t, b.prometheus, `sum(scrape_samples_scraped{job="dane_domains"})`), scalar(t, b.prometheus, `sum(scrape_samples_scraped{job="dane_hosts"})`))

	failures := func() float64 { return value(b.prometheusMetrics(t), "prometheus_sd_http_failures_total") }
	failed := failures()
	b.restart(t)
	passed = b.awaitMX(t)
	if failures() == failed {
		t.Error("Prometheus did not ask for the targets while the new exporter lacked the MX records")
	}
	b.checkScrapes(t)
	b.checkOutcomes(t)
	t.Logf("after a restart: MX pass %s, no target was lost", passed.Round(time.Second))
}

// discoveryBench is an exporter with a list of domains, and a Prometheus that uses its /sd.
type discoveryBench struct {
	domains map[string]string // DNSSEC status of the MX lookup
	decided map[string]string // outcomes of the domains that have one
	hosts   map[string]string // outcomes

	command    *exec.Cmd // exporter that is not started
	exporter   *exporter
	prometheus string // address
}

// expect adds what is expected of a domain and its hosts. All hosts have TLSA records, so
// lookups alone do not decide the outcome of the domain.
func (b *discoveryBench) expect(t *testing.T, d fleetDomain) {
	var i int
	if _, err := fmt.Sscanf(d.name, "domain%d.", &i); err != nil {
		t.Fatal(err)
	}
	b.domains[d.name] = "secure"
	switch kind := i % 100; {
	case kind >= signedHosted+plainHosted:
		b.hosts["mx."+d.name] = d.outcome
		return
	case kind >= signedHosted:
		b.domains[d.name] = "insecure"
	}
	for _, mx := range []string{"mx1", "mx2"} {
		b.hosts[fmt.Sprintf("%s.hoster%d.net", mx, i%providers)] = "authenticated"
	}
}

// start starts an exporter with the domains as a list. The test stops the last one.
func (b *discoveryBench) start(t *testing.T, env *environment) {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, anchors, list, file := filepath.Join(dir, "dane_exporter"), filepath.Join(dir, "anchors"), filepath.Join(dir, "domains.txt"), filepath.Join(dir, "dane.yml")
	// With few domains, the MX pass must still be longer than the refresh interval.
	rate := min(100, max(1, *sdTargets/int(3*sdMinute().Seconds())))
	config := fmt.Sprintf(`resolver: {servers: [%q], trust_anchors: %q}
access: {allow_networks: [127.0.0.0/8]}
discovery: {sources: [{name: fleet, files: [%q]}], mx_rate: %d}
modules: {smtp: {discover: none, port: %[5]d, timeout: %[6]s}, smtp_mx_dns: {connect: false, port: %[5]d}}
`, env.resolver, anchors, list, rate, env.port, sdTimeout()*2/3) // on a busy machine, answers about silent hosts need more time
	var domains strings.Builder
	for name := range b.domains {
		domains.WriteString(name + "\n")
	}
	if err := errors.Join(os.Symlink(self, binary), os.WriteFile(anchors, []byte(env.anchors()), 0o600),
		os.WriteFile(list, []byte(domains.String()), 0o600), os.WriteFile(file, []byte(config), 0o600)); err != nil {
		t.Fatal(err)
	}
	e, err := newExporter(nil, binary, "--config.file", file, "--web.systemd-socket", "--log.level", "error", "--log.prober", "error")
	if err != nil {
		t.Fatal(err)
	}
	b.exporter, b.command = e, e.command
	b.run(t)
	t.Cleanup(func() { b.stop(t) })
}

// run starts the exporter. The listener stays open in this process, as in systemd, for the
// next one.
func (b *discoveryBench) run(t *testing.T) {
	t.Helper()
	first := b.command
	b.exporter.command = &exec.Cmd{Path: first.Path, Args: first.Args, Env: first.Env, ExtraFiles: first.ExtraFiles, Stderr: first.Stderr}
	if err := b.exporter.command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(&http.Client{Timeout: 30 * time.Second}, "http://"+b.exporter.address+"/-/ready"); err != nil {
		t.Fatal(err)
	}
}

func (b *discoveryBench) stop(t *testing.T) {
	t.Helper()
	_ = b.exporter.command.Process.Signal(syscall.SIGTERM)
	if err := b.exporter.command.Wait(); err != nil {
		t.Errorf("the exporter ended with %v", err)
	}
}

func (b *discoveryBench) restart(t *testing.T) {
	t.Helper()
	b.stop(t)
	b.run(t)
}

// startPrometheus starts Prometheus with the shipped configuration. It replaces addresses
// and intervals. The rules are those of an interval of an hour, as the file says.
func (b *discoveryBench) startPrometheus(t *testing.T) {
	t.Helper()
	shipped, err := os.ReadFile("../../deploy/prometheus/prometheus-http-sd.yml")
	if err != nil {
		t.Fatal(err)
	}
	config, dir := string(shipped), t.TempDir()
	for _, r := range []struct{ shipped, replacement string }{
		{"localhost:10125", b.exporter.address},
		{"localhost:9093", "127.0.0.1:1"}, // no Alertmanager
		{"refresh_interval: 1m", "refresh_interval: " + sdMinute().String()},
		{"scrape_interval: 1m", "scrape_interval: " + sdMinute().String()},
		{"scrape_timeout: 30s", "scrape_timeout: " + sdTimeout().String()},
		{"scrape_interval: 1h", "scrape_interval: " + sdInterval.String()},
	} {
		if !strings.Contains(config, r.shipped) {
			t.Fatalf("prometheus-http-sd.yml does not contain %q", r.shipped)
		}
		config = strings.ReplaceAll(config, r.shipped, r.replacement)
	}
	rules := exec.Command("go", "tool", "-modfile=tools/jsonnet/go.mod", "jsonnet", "-o", filepath.Join(dir, "rules.yml"), "-e", // JSON is YAML
		`local mixin = (import 'deploy/mixin/mixin.libsonnet') { _config+:: { intervalMinutes: 60 } };
		{ groups: mixin.prometheusRules.groups + mixin.prometheusAlerts.groups }`)
	rules.Dir = "../.."
	if output, err := rules.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", rules, err, output)
	}
	address, stop := startPrometheus(t, dir, config)
	t.Cleanup(stop)
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		_, err := fetch(http.DefaultClient, "http://"+address+"/-/ready")
		switch {
		case err == nil:
			b.prometheus = address
			return
		case time.Since(start) > time.Minute:
			t.Fatalf("Prometheus is not ready: %v", err)
		}
	}
}

func (b *discoveryBench) exporterMetrics(t *testing.T) string {
	return b.metrics(t, b.exporter.address)
}

func (b *discoveryBench) prometheusMetrics(t *testing.T) string { return b.metrics(t, b.prometheus) }

func (b *discoveryBench) metrics(t *testing.T, address string) string {
	t.Helper()
	text, err := fetch(http.DefaultClient, "http://"+address+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// targets returns the numbers of domains and hosts that Prometheus scrapes.
func (b *discoveryBench) targets(t *testing.T) (domains, hosts int) {
	t.Helper()
	text := b.prometheusMetrics(t)
	count := func(job string) int {
		return int(value(text, fmt.Sprintf("prometheus_target_scrape_pool_targets{scrape_job=%q}", job)))
	}
	return count("dane_domains"), count("dane_hosts")
}

// awaitMX waits until the exporter has all targets, and returns how long that took. If
// Prometheus runs, it must keep its targets meanwhile.
func (b *discoveryBench) awaitMX(t *testing.T) time.Duration {
	t.Helper()
	const maxLookups = 100 // per second
	start := time.Now()
	for limit := time.Duration(*sdTargets)*time.Second/maxLookups*3 + 10**sdInterval; time.Since(start) < limit; time.Sleep(200 * time.Millisecond) {
		if b.prometheus != "" {
			if domains, hosts := b.targets(t); domains != len(b.domains) || hosts != len(b.hosts) {
				t.Fatalf("Prometheus has %d domains and %d hosts while the exporter starts, want %d and %d", domains, hosts, len(b.domains), len(b.hosts))
			}
		}
		response, err := http.Get("http://" + b.exporter.address + "/sd?by=mx")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		switch response.StatusCode {
		case http.StatusOK:
			return time.Since(start)
		case http.StatusServiceUnavailable:
		default:
			t.Fatalf("/sd?by=mx: %s", response.Status)
		}
	}
	t.Fatal("the MX pass does not end")
	return 0
}

// awaitTargets waits until Prometheus has all targets and has scraped each.
func (b *discoveryBench) awaitTargets(t *testing.T) {
	t.Helper()
	want := len(b.domains) + len(b.hosts)
	for start := time.Now(); ; time.Sleep(time.Second) {
		domains, hosts := b.targets(t)
		scraped := scalar(t, b.prometheus, `count(up{job=~"dane_domains|dane_hosts"}) or vector(0)`)
		switch {
		case domains == len(b.domains) && hosts == len(b.hosts) && scraped == want:
			return
		case time.Since(start) > 5**sdInterval+time.Minute:
			t.Fatalf("Prometheus has %d domains and %d hosts, and has scraped %d targets; want %d and %d", domains, hosts, scraped, len(b.domains), len(b.hosts))
		}
	}
}

// checkScrapes watches one interval, and a timeout more: Prometheus stores a scrape when it
// has ended. Each target must be scraped, successfully, and never later than the interval
// after its last scrape.
func (b *discoveryBench) checkScrapes(t *testing.T) {
	t.Helper()
	tolerance := max(2*time.Second, *sdInterval/10) // the machine has other work
	start, oldest := time.Now(), make(map[string]int)
	intervals := map[string]time.Duration{"dane_domains": *sdInterval, "dane_hosts": sdMinute()}
	for time.Since(start) < *sdInterval+sdTimeout()+tolerance {
		time.Sleep(*sdInterval / 10)
		for job := range intervals {
			// The time of a sample is that at which its scrape began.
			age := scalar(t, b.prometheus, fmt.Sprintf(`ceil(max(time() - timestamp(up{job=%q}) - scrape_duration_seconds))`, job))
			oldest[job] = max(oldest[job], age)
		}
	}
	for job, interval := range intervals {
		if age := time.Duration(oldest[job]) * time.Second; age > interval+tolerance {
			t.Errorf("a target of %s was not scraped for %s", job, age)
		}
	}
	t.Logf("seconds from scrape to scrape, at most: %v; longest scrape of a domain: %d ms", oldest, scalar(t, b.prometheus, `1000 * max(scrape_duration_seconds{job="dane_domains"})`))
	window := time.Since(start).Round(time.Second)
	if lost := scalar(t, b.prometheus, fmt.Sprintf(`count(min_over_time(up{job=~"dane_domains|dane_hosts"}[%s]) < 1) or vector(0)`, window)); lost > 0 {
		t.Errorf("scrapes of %d targets failed", lost)
	}
	for job, want := range map[string]map[string]string{"dane_domains": b.domains, "dane_hosts": b.hosts} {
		scraped := b.query(t, fmt.Sprintf(`count_over_time(up{job=%q}[%s])`, job, window), "job")
		if len(scraped) != len(want) {
			t.Errorf("%s: %d targets were scraped, want %d", job, len(scraped), len(want))
		}
		for name := range want {
			if scraped[name] == "" {
				t.Fatalf("%s: %s was not scraped", job, name)
			}
		}
	}
}

// checkOutcomes compares the outcome of each target, and the DNSSEC status of the MX lookup of
// each domain, with the expected ones.
func (b *discoveryBench) checkOutcomes(t *testing.T) {
	t.Helper()
	for _, check := range []struct {
		expression, label string
		want              map[string]string
	}{
		{`dane_outcome{job="dane_hosts"} == 1`, "outcome", b.hosts},
		{`dane_outcome{job="dane_domains"} == 1`, "outcome", b.decided},
		{`dane_dnssec_info{job="dane_domains",lookup="mx"}`, "status", b.domains},
	} {
		got := b.query(t, check.expression, check.label)
		if maps.Equal(got, check.want) {
			continue
		}
		t.Errorf("%s: %d targets, want %d", check.expression, len(got), len(check.want))
		for name, want := range check.want {
			if got[name] != want {
				t.Fatalf("%s: %s of %s is %q, want %q", check.expression, check.label, name, got[name], want)
			}
		}
	}
	if failed := scalar(t, b.prometheus, `count(probe_success{job="dane_domains"} != 1) or vector(0)`); failed > 0 {
		t.Errorf("the lookups of %d domains failed", failed)
	}
}

// query evaluates an expression, and returns a label of each series, by instance.
func (b *discoveryBench) query(t *testing.T, expression, label string) map[string]string {
	t.Helper()
	text, err := fetch(http.DefaultClient, "http://"+b.prometheus+"/api/v1/query?query="+url.QueryEscape(expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	var answer struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	labels := make(map[string]string)
	for _, series := range answer.Data.Result {
		instance := series.Metric["instance"]
		if labels[instance] != "" {
			t.Errorf("%s: more than one series of %s", expression, instance)
		}
		labels[instance] = series.Metric[label]
	}
	return labels
}

// programUsage is the CPU time and resident memory in bytes of each program at one time.
type programUsage struct {
	at       time.Time
	cpu      map[string]time.Duration
	resident map[string]int
}

func (b *discoveryBench) usage(t *testing.T) programUsage {
	t.Helper()
	u := programUsage{at: time.Now(), cpu: make(map[string]time.Duration), resident: make(map[string]int)}
	for program, text := range map[string]string{"Prometheus": b.prometheusMetrics(t), "exporter": b.exporterMetrics(t)} {
		u.cpu[program] = time.Duration(value(text, "process_cpu_seconds_total") * float64(time.Second))
		u.resident[program] = int(value(text, "process_resident_memory_bytes"))
	}
	return u
}
