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
	scaleTime     = flag.Duration("scale", 4*time.Second, "how long TestScale lasts")
	scaleTargets  = flag.Int("scale.targets", 99, "targets of TestScale")
	scaleInterval = flag.Duration("scale.interval", 2*time.Second, "how often TestScale scrapes each target")
)

// TestMain is the program itself where it is called so: an exporter in a process
// of its own, whose memory and CPU are its own.
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

// mostResident is what the exporter may take, however many its targets.
const mostResident = 200 << 20

// instrumented reports whether the race detector is compiled in, which takes
// several times the memory.
func instrumented() bool {
	build, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// TestScale watches a fleet as Prometheus does: each domain once in an interval,
// always at the same moment of it, with the time-out that Prometheus has by
// default. No answer is wrong; memory has a bound and grows no more once every
// domain was seen; nothing is left in the end. And every scrape is answered in
// time, with a verdict, unless others have the machine. docs/scaling.md tells of
// ten thousand domains.
func TestScale(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	w, domains, err := newFleet(*scaleTargets)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	e := startExporter(t, w, "")
	f := &fleet{exporter: e, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000, IdleConnTimeout: time.Minute}}}
	f.scrape(t.Context(), watched{"hoster0.net", "none"}) // whatever is made once is made
	begin := f.settled(t)
	start, used := time.Now(), ownCPU()
	f.watch(t, domains, *scaleInterval, *scaleTime)
	end := f.settled(t)
	f.part = (ownCPU() - used + end.cpu - begin.cpu).Seconds() / (time.Since(start).Seconds() * float64(runtime.NumCPU()))
	f.report(t, begin, end)

	if f.wrong > 0 || f.lost() > 0 && !f.starved() {
		t.Errorf("of %d scrapes %d were lost, at last %s; and %d wrong, at last %s", f.asked, f.lost(), f.lastLost, f.wrong, f.lastWrong)
	}
	const spare = 20 // what the runtime and idle connections may have more at one moment than at another
	if end.goroutines > begin.goroutines+spare || end.descriptors > begin.descriptors+spare {
		t.Errorf("at the beginning %s, in the end %s", begin, end)
	}
	if instrumented() {
		return // memory is something else then
	}
	if all := most(slices.Concat(f.seen...)); all > mostResident {
		t.Errorf("it took %d MiB, of %d", all>>20, mostResident>>20)
	}
	if first, last := most(f.seen[0]), most(f.seen[len(f.seen)-1]); last > first+first/4+16<<20 {
		t.Errorf("when every domain had been seen, it had %d MiB at the most; in the last interval %d", first>>20, last>>20)
	}
}

// startExporter starts one with the configuration that there is by default, but
// for where it is, and settings. It ends with the test.
func startExporter(t *testing.T, w *world, settings string) *exporter {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, anchors, file := filepath.Join(dir, "dane_exporter"), filepath.Join(dir, "anchors"), filepath.Join(dir, "dane.yml")
	config := fmt.Sprintf("resolver: {servers: [%q], trust_anchors: %q}\naccess: {allow_networks: [127.0.0.0/8]}\nmodules: {fleet: {port: %d}}\n%s\n", w.resolver, anchors, w.port, settings)
	if err := errors.Join(os.Symlink(self, binary), os.WriteFile(anchors, []byte(w.anchors()), 0o600), os.WriteFile(file, []byte(config), 0o600)); err != nil {
		t.Fatal(err)
	}
	e, err := newExporter(nil, binary, "--config.file", file, "--web.systemd-socket", "--log.level", "error")
	if err == nil {
		err = e.start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = e.command.Process.Signal(syscall.SIGTERM)
		if err := e.command.Wait(); err != nil {
			t.Errorf("the exporter ended so: %v", err)
		}
	})
	if _, err := fetch(&http.Client{Timeout: 30 * time.Second}, "http://"+e.address+"/-/ready"); err != nil {
		t.Fatal(err)
	}
	return e
}

// scrapeTimeout is what Prometheus waits by default.
const scrapeTimeout = 10 * time.Second

// fleet is scrapes of one exporter, and what came of them.
type fleet struct {
	*exporter
	client *http.Client

	mu                    sync.Mutex
	took                  []time.Duration // of scrapes that nobody stalls
	asked                 int
	late, turned, unknown int // after the time-out; away, with 503; without a verdict
	wrong                 int
	lastLost, lastWrong   string

	behind time.Duration // how late a scrape was begun at the most
	part   float64       // of the machine's CPU that all this has used
	seen   [][]moment    // by interval
}

// moment is what the exporter says of itself.
type moment struct {
	goroutines, descriptors, zones int
	resident                       uint64 // bytes
	cpu                            time.Duration
}

func (m moment) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d MiB resident, %d zones and names known, %s of CPU",
		m.goroutines, m.descriptors, m.resident>>20, m.zones, m.cpu.Round(100*time.Millisecond))
}

// watch scrapes each domain once in an interval, at a moment of it that chance
// has given to the domain for good, and looks at the exporter meanwhile.
func (f *fleet) watch(t *testing.T, domains []watched, interval, long time.Duration) {
	chance := rand.New(rand.NewPCG(5, 6))
	offsets := make([]time.Duration, len(domains))
	for i := range offsets {
		offsets[i] = time.Duration(chance.Int64N(int64(interval)))
	}
	slices.Sort(offsets) // the domains are in no order
	var scrapes sync.WaitGroup
	defer scrapes.Wait()
	start := time.Now()
	for begun := time.Duration(0); begun < long; begun += interval {
		f.seen = append(f.seen, nil)
		looked := begun
		for i, domain := range domains {
			due := begun + offsets[i]
			time.Sleep(time.Until(start.Add(due)))
			f.behind = max(f.behind, time.Since(start)-due)
			scrapes.Go(func() { f.scrape(t.Context(), domain) })
			if due-looked >= interval/12 {
				looked = due
				now := len(f.seen) - 1
				f.seen[now] = append(f.seen[now], f.look(t))
			}
		}
	}
}

// scrape makes one, and compares it with what is known of the domain.
func (f *fleet) scrape(ctx context.Context, domain watched) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	begun := time.Now()
	text, err := f.get(ctx, domain.name)
	took := time.Since(begun)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	has := func(outcome string) bool {
		return strings.Contains(text, fmt.Sprintf("\ndane_outcome{outcome=%q} 1\n", outcome))
	}
	example := fmt.Sprintf("%s, which is %s, after %s: %v\n%s", domain.name, domain.outcome, took, err, text)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		f.late++
		f.lastLost = example
	case errors.Is(err, errTurnedAway):
		f.turned++
		f.lastLost = example
	case err == nil && has("unknown"):
		f.unknown++
		f.lastLost = example
	case err != nil || !has(domain.outcome):
		f.wrong++
		f.lastWrong = example
	case domain.outcome != "unreachable":
		f.took = append(f.took, took)
	}
}

// lost is how many scrapes came to nothing.
func (f *fleet) lost() int { return f.late + f.turned + f.unknown }

// starved reports whether others have the machine: not even the scrapes were
// begun in time, and exporter, servers and scrapes have used less than half of it.
func (f *fleet) starved() bool { return f.behind > 250*time.Millisecond && f.part < 0.5 }

var errTurnedAway = errors.New("turned away")

func (f *fleet) get(ctx context.Context, target string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+f.address+"/probe?module=fleet&target="+target, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(scrapeTimeout.Seconds()))
	response, err := f.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err == nil && response.StatusCode == http.StatusServiceUnavailable:
		err = fmt.Errorf("%w: %s", errTurnedAway, body)
	case err == nil && response.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

// look asks the exporter for its own metrics.
func (f *fleet) look(t *testing.T) moment {
	t.Helper()
	text, err := fetch(http.DefaultClient, "http://"+f.address+"/metrics")
	if err != nil {
		t.Error(err)
	}
	return moment{
		goroutines: int(value(text, "go_goroutines")), descriptors: int(value(text, "process_open_fds")),
		zones: int(value(text, "dane_exporter_dns_cache_entries")), resident: uint64(value(text, "process_resident_memory_bytes")),
		cpu: time.Duration(value(text, "process_cpu_seconds_total") * float64(time.Second)),
	}
}

// settled waits until nothing goes on any more, and looks what is left.
func (f *fleet) settled(t *testing.T) moment {
	t.Helper()
	f.client.CloseIdleConnections()
	left := f.look(t)
	for quiet := 0; quiet < 5; {
		time.Sleep(100 * time.Millisecond)
		next := f.look(t)
		if next.goroutines < left.goroutines || next.descriptors < left.descriptors {
			quiet = 0
		} else {
			quiet++
		}
		left = next
	}
	return left
}

// ownCPU is what servers and scrapes, which are in this process, have used.
func ownCPU() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return cpuOf(used)
}

// most is the memory that the exporter had at the most in an interval.
func most(interval []moment) (resident uint64) {
	for _, m := range interval {
		resident = max(resident, m.resident)
	}
	return resident
}

func (f *fleet) report(t *testing.T, begin, end moment) {
	t.Helper()
	if len(f.took) == 0 {
		t.Fatalf("none of %d scrapes was answered as it should be; the last was lost so: %s", f.asked, f.lastLost)
	}
	slices.Sort(f.took)
	at := func(part float64) time.Duration {
		return f.took[int(part*float64(len(f.took)-1))].Round(10 * time.Microsecond)
	}
	t.Logf("%d scrapes, %d late, %d turned away, %d unknown, %d wrong; of servers that answer, %s at the median, %s at 99 %%, %s at the most; a scrape was begun %s late at the most; all this used %.0f %% of the machine",
		f.asked, f.late, f.turned, f.unknown, f.wrong, at(0.5), at(0.99), at(1), f.behind.Round(time.Millisecond), 100*f.part)
	t.Logf("before: %s", begin)
	for i, interval := range f.seen {
		if every := max(1, len(f.seen)/10); i%every == every-1 || i == 0 {
			t.Logf("in interval %3d: at the end %s; at the most %d MiB", i+1, interval[len(interval)-1], most(interval)>>20)
		}
	}
	t.Logf("in the end: %s", end)
}
