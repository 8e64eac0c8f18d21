package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dane_exporter/internal/command"
)

var (
	scaleTime     = flag.Duration("scale", 4*time.Second, "duration of TestScale")
	scaleTargets  = flag.Int("scale.targets", 99, "number of targets of TestScale")
	scaleInterval = flag.Duration("scale.interval", 2*time.Second, "scrape interval of TestScale")
	cacheMiB      = flag.Int("cache_mib", 32, "resolver.cache_mib of the exporter of all tests")
)

// TestMain runs dane_exporter itself if the program is called by that name. So
// tests start an exporter as a separate process, whose memory and CPU can be measured.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "dane_exporter" {
		example, err := os.ReadFile("../../config.example.yml")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(command.Run(os.Args[1:], example, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// maxResident is the limit of the exporter's resident memory in bytes, whatever
// the number of targets. It is doubled if other processes use the machine.
const maxResident = 200 << 20

// maxCPU is the limit of the exporter's CPU, in cores, at 167 scrapes per second: 100,000
// domains every ten minutes, or 10,000 every minute. It is twice the goal, because machines
// differ, and one machine from hour to hour.
const maxCPU = 1.0

// raceEnabled reports whether the race detector is compiled in. It multiplies
// the memory used.
func raceEnabled() bool {
	build, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// TestScale scrapes a fleet of domains as Prometheus does: each domain once per
// interval, always at the same offset, with the default scrape timeout. It checks
// that no answer is wrong, that memory is bounded and does not grow once every
// domain was seen, and that no goroutines and descriptors are left. Unless other
// processes use the machine, every scrape must also be answered in time, with a
// verdict, with less CPU than maxCPU. docs/scaling.md reports runs.
func TestScale(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	env, domains, err := newFleet(*scaleTargets)
	if err != nil {
		t.Fatal(err)
	}
	defer env.close()
	e := startExporter(t, env, "", "")
	s := &scraper{exporter: e, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000, IdleConnTimeout: time.Minute}}}
	s.scrape(t.Context(), fleetDomain{"hoster0.net", "none"}) // initialises what is initialised once
	before := s.waitUntilIdle(t)
	start, cpuBefore, queries, connections := time.Now(), ownCPU(), env.queries.Load(), env.connections.Load()
	s.run(t, domains, *scaleInterval, *scaleTime)
	after := s.waitUntilIdle(t)
	elapsed := time.Since(start).Seconds()
	s.cores = (after.cpu - before.cpu).Seconds() / elapsed
	s.cpuShare = (s.cores + (ownCPU()-cpuBefore).Seconds()/elapsed) / float64(runtime.NumCPU())
	s.log(t, before, after)
	t.Logf("per scrape: %.2f DNS queries, %.2f connections", float64(env.queries.Load()-queries)/float64(s.scrapes), float64(env.connections.Load()-connections)/float64(s.scrapes))

	if s.wrong > 0 || s.lost() > 0 && !s.starved() {
		t.Errorf("of %d scrapes %d were lost, the last: %s; %d were wrong, the last: %s", s.scrapes, s.lost(), s.lastLost, s.wrong, s.lastWrong)
	}
	const tolerance = 20 // by which goroutines of the runtime and idle connections vary
	if after.goroutines > before.goroutines+tolerance || after.descriptors > before.descriptors+tolerance {
		t.Errorf("before: %s; after: %s", before, after)
	}
	if raceEnabled() {
		return // memory and CPU are not comparable
	}
	if s.cores > maxCPU && !s.starved() {
		t.Errorf("the exporter used %.2f of a core, want at most %v", s.cores, maxCPU)
	}
	limit := uint64(maxResident)
	if s.starved() {
		limit *= 2 // probes take longer, so more of them are in progress
	}
	if peak := peakMemory(slices.Concat(s.samples...)); peak > limit {
		t.Errorf("the exporter used %d MiB, want at most %d MiB", peak>>20, limit>>20)
	}
	if first, last := peakMemory(s.samples[0]), peakMemory(s.samples[len(s.samples)-1]); last > first+first/4+16<<20 {
		t.Errorf("peak memory grew from %d MiB in the first interval to %d MiB in the last", first>>20, last>>20)
	}
}

// startExporter starts dane_exporter with the default configuration, but for the
// environment and settings, in a cgroup unless that is empty. The test stops it when it ends.
func startExporter(t *testing.T, env *environment, settings, cgroup string) *exporter {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, anchors, file := filepath.Join(dir, "dane_exporter"), filepath.Join(dir, "anchors"), filepath.Join(dir, "dane.yml")
	config := fmt.Sprintf("resolver: {servers: [%q], trust_anchors: %q, cache_mib: %d, %[6]s}\naccess: {allow_networks: [127.0.0.0/8]}\nmodules: {fleet: {port: %[4]d}, fleet_summary: {port: %[4]d, series: summary}}\n%[5]s\n", env.resolver, anchors, *cacheMiB, env.port, settings, env.resolverSettings)
	if err := errors.Join(os.Symlink(self, binary), os.WriteFile(anchors, []byte(env.anchors()), 0o600), os.WriteFile(file, []byte(config), 0o600)); err != nil {
		t.Fatal(err)
	}
	e, err := newExporter(nil, binary, "--config.file", file, "--web.systemd-socket", "--web.enable-pprof", "--log.level", "error", "--log.prober", "error")
	if err == nil {
		e.command.Env = append(e.command.Env, "CGROUP="+cgroup)
		err = e.start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = e.command.Process.Signal(syscall.SIGTERM)
		if err := e.command.Wait(); err != nil {
			t.Errorf("the exporter ended with %v", err)
		}
	})
	if _, err := fetch(&http.Client{Timeout: 30 * time.Second}, "http://"+e.address+"/-/ready"); err != nil {
		t.Fatal(err)
	}
	return e
}

// scrapeTimeout is the default scrape timeout of Prometheus.
const scrapeTimeout = 10 * time.Second

// scraper scrapes one exporter, and counts the results.
type scraper struct {
	*exporter
	client *http.Client

	mu                      sync.Mutex
	durations               []time.Duration // of scrapes with the right answer, unless the mail host is silent
	scrapes                 int
	late, rejected, unknown int // after the timeout, with status 503, without a verdict
	wrong                   int
	lastLost, lastWrong     string

	maxDelay time.Duration // by which a scrape began too late
	cores    float64       // that the exporter used
	cpuShare float64       // of the machine's CPU that exporter, servers and scrapes used
	samples  [][]sample    // by interval
}

// sample is what the exporter's own metrics report at one time.
type sample struct {
	goroutines, descriptors, cacheEntries int
	resident                              uint64 // bytes
	cpu                                   time.Duration
}

func (m sample) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d MiB resident, %d DNS cache entries, %s CPU",
		m.goroutines, m.descriptors, m.resident>>20, m.cacheEntries, m.cpu.Round(100*time.Millisecond))
}

// run scrapes each domain once per interval, at an offset that is random and the
// same in each interval. It takes twelve samples per interval.
func (s *scraper) run(t *testing.T, domains []fleetDomain, interval, duration time.Duration) {
	random := rand.New(rand.NewPCG(5, 6))
	offsets := make([]time.Duration, len(domains))
	for i := range offsets {
		offsets[i] = time.Duration(random.Int64N(int64(interval)))
	}
	slices.Sort(offsets) // the domains are in random order
	var scrapes sync.WaitGroup
	defer scrapes.Wait()
	start := time.Now()
	for begin := time.Duration(0); begin < duration; begin += interval {
		s.samples = append(s.samples, nil)
		sampled := begin
		for i, domain := range domains {
			due := begin + offsets[i]
			if due >= duration {
				break
			}
			time.Sleep(time.Until(start.Add(due)))
			s.maxDelay = max(s.maxDelay, time.Since(start)-due)
			scrapes.Go(func() { s.scrape(t.Context(), domain) })
			if due-sampled >= interval/12 {
				sampled = due
				current := len(s.samples) - 1
				s.samples[current] = append(s.samples[current], s.sample(t))
			}
		}
	}
}

// scrape makes one scrape, and compares its outcome with the expected one.
func (s *scraper) scrape(ctx context.Context, domain fleetDomain) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	begin := time.Now()
	text, err := s.get(ctx, domain.name)
	duration := time.Since(begin)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scrapes++
	has := func(outcome string) bool {
		return strings.Contains(text, fmt.Sprintf("\ndane_outcome{outcome=%q} 1\n", outcome))
	}
	example := fmt.Sprintf("%s, expected %s, after %s: %v\n%s", domain.name, domain.outcome, duration, err, text)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		s.late++
		s.lastLost = example
	case errors.Is(err, errRejected):
		s.rejected++
		s.lastLost = example
	case err == nil && has("unknown"):
		s.unknown++
		s.lastLost = example
	case err != nil || !has(domain.outcome):
		s.wrong++
		s.lastWrong = example
	case domain.outcome != "unreachable":
		s.durations = append(s.durations, duration)
	}
}

// lost returns the number of scrapes without a verdict.
func (s *scraper) lost() int { return s.late + s.rejected + s.unknown }

// starved reports whether other processes use the machine: scrapes began late
// although exporter, servers and scrapes used less than half of its CPU.
func (s *scraper) starved() bool { return s.maxDelay > 250*time.Millisecond && s.cpuShare < 0.5 }

var errRejected = errors.New("rejected")

// get requests a probe of target. A response with status 503 is errRejected.
func (s *scraper) get(ctx context.Context, target string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.address+"/probe?module=fleet&target="+target, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(scrapeTimeout.Seconds()))
	response, err := s.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err == nil && response.StatusCode == http.StatusServiceUnavailable:
		err = fmt.Errorf("%w: %s", errRejected, body)
	case err == nil && response.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

// sample reads the exporter's own metrics.
func (s *scraper) sample(t *testing.T) sample {
	t.Helper()
	text, err := fetch(http.DefaultClient, "http://"+s.address+"/metrics")
	if err != nil {
		t.Error(err)
	}
	return sample{
		goroutines: int(value(text, "go_goroutines")), descriptors: int(value(text, "process_open_fds")),
		cacheEntries: int(value(text, "dane_exporter_dns_cache_entries")), resident: uint64(value(text, "process_resident_memory_bytes")),
		cpu: time.Duration(value(text, "process_cpu_seconds_total") * float64(time.Second)),
	}
}

// waitUntilIdle waits until the numbers of goroutines and descriptors have not
// fallen for half a second, and returns the last sample.
func (s *scraper) waitUntilIdle(t *testing.T) sample {
	t.Helper()
	s.client.CloseIdleConnections()
	last := s.sample(t)
	for idle := 0; idle < 5; {
		time.Sleep(100 * time.Millisecond)
		next := s.sample(t)
		if next.goroutines < last.goroutines || next.descriptors < last.descriptors {
			idle = 0
		} else {
			idle++
		}
		last = next
	}
	return last
}

// peakMemory returns the maximum resident memory of the samples in bytes.
func peakMemory(samples []sample) (resident uint64) {
	for _, m := range samples {
		resident = max(resident, m.resident)
	}
	return resident
}

func (s *scraper) log(t *testing.T, before, after sample) {
	t.Helper()
	if len(s.durations) == 0 {
		t.Fatalf("none of %d scrapes had the right answer; the last that was lost: %s", s.scrapes, s.lastLost)
	}
	slices.Sort(s.durations)
	quantile := func(q float64) time.Duration {
		return s.durations[int(q*float64(len(s.durations)-1))].Round(10 * time.Microsecond)
	}
	t.Logf("%d scrapes: %d late, %d rejected, %d unknown, %d wrong", s.scrapes, s.late, s.rejected, s.unknown, s.wrong)
	t.Logf("duration, without silent mail hosts: p50 %s, p99 %s, maximum %s; maximum delay of a scrape %s; CPU: exporter %.2f of a core, with servers and scrapes %.0f %% of the machine",
		quantile(0.5), quantile(0.99), quantile(1), s.maxDelay.Round(time.Millisecond), s.cores, 100*s.cpuShare)
	t.Logf("before: %s", before)
	for i, interval := range s.samples {
		if every := max(1, len(s.samples)/10); i%every == every-1 || i == 0 {
			t.Logf("interval %3d: peak %d MiB; at the end %s", i+1, peakMemory(interval)>>20, interval[len(interval)-1])
		}
	}
	t.Logf("after: %s", after)
}
