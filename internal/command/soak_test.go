package command

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dane_exporter/internal/lab"
)

var (
	soakTime = flag.Duration("soak", 3*time.Second, "duration of TestSoak")
	soakRate = flag.Int("soak.rate", 50, "scrapes per second of TestSoak")
)

// TestSoak scrapes random scenarios of the lab, working and hostile ones, and
// compares every outcome. Memory, goroutines and descriptors must be the same at
// the end as after a first scrape of each scenario. docs/reliability.md has the
// results of long runs.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	p := startProgram(t, "--history.limit=20")
	defer p.stop()
	s := newSoak(p.baseURL)
	s.scrapeAll() // creates what is created once
	begin := s.settle()
	s.run(*soakTime, *soakRate)
	end := s.settle()
	s.logResults(t, begin, end)

	if wrong := s.wrong.Load(); wrong > 0 { // the number of late ones depends on the machine, and is only logged
		t.Errorf("%d of %d results are wrong; the last wrong or late one: %s", wrong, s.scrapes.Load(), *s.example.Load())
	}
	const slack = 20 // the runtime and idle connections vary
	if end.goroutines > begin.goroutines+slack || end.descriptors > begin.descriptors+slack {
		t.Errorf("at the beginning %s, at the end %s", begin, end)
	}
	if limit := begin.heap + 32<<20; end.heap > limit {
		t.Errorf("the heap has grown from %d to %d MiB", begin.heap>>20, end.heap>>20)
	}
}

// Scrape timeouts of a soak. The timeout for servers that stall is too short for
// any server, so that the outcome is unknown with probe_deadline.
const (
	soakTimeout  = 10 * time.Second
	stallTimeout = 2 * time.Second
)

// soak scrapes one exporter and counts the results.
type soak struct {
	baseURL string
	client  *http.Client

	scrapes     atomic.Int64
	wrong, late atomic.Int64
	example     atomic.Pointer[string] // the last wrong or late result

	mu        sync.Mutex
	durations []time.Duration // of targets that do not stall
	usages    []usage
}

// usage is what the process uses at one time.
type usage struct {
	goroutines, descriptors int
	heap, resident          uint64 // bytes
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, heap %d MiB, resident %d MiB", u.goroutines, u.descriptors, u.heap>>20, u.resident>>20)
}

func newSoak(baseURL string) *soak {
	return &soak{baseURL: baseURL, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// scrapeAll scrapes every scenario once, a few at a time.
func (s *soak) scrapeAll() {
	slots := make(chan struct{}, 16)
	var group sync.WaitGroup
	for _, scenario := range lab.Scenarios() {
		slots <- struct{}{}
		group.Go(func() { s.scrape(scenario); <-slots })
	}
	group.Wait()
}

// run scrapes random scenarios for a duration, at a rate per second, and waits for
// all results.
func (s *soak) run(duration time.Duration, rate int) {
	random := rand.New(rand.NewPCG(1, 2))
	scenarios := lab.Scenarios()
	scrape := time.NewTicker(time.Second / time.Duration(rate))
	defer scrape.Stop()
	measure := time.NewTicker(time.Second)
	defer measure.Stop()
	var group sync.WaitGroup
	defer group.Wait()
	for end := time.After(duration); ; {
		select {
		case <-end:
			return
		case <-measure.C:
			s.mu.Lock()
			s.usages = append(s.usages, currentUsage())
			s.mu.Unlock()
		case <-scrape.C:
			scenario := scenarios[random.IntN(len(scenarios))]
			group.Go(func() { s.scrape(scenario) })
		}
	}
}

// scrape makes one scrape and compares the outcome with that of the scenario.
func (s *soak) scrape(scenario lab.Scenario) {
	s.scrapes.Add(1)
	outcome, timeout := scenario.Outcome, soakTimeout
	stalls := slices.Contains(scenario.Reasons, "timeout")
	if stalls {
		outcome, timeout = "unknown", stallTimeout
	}
	start := time.Now()
	body, err := s.get("/probe?target="+scenario.Target()+"&module="+scenario.Module, timeout)
	duration := time.Since(start)
	switch {
	case err != nil:
		s.count(&s.wrong, "%s: %v", scenario.Name, err)
	case !strings.Contains(body, fmt.Sprintf("\ndane_outcome{outcome=%q} 1\n", outcome)):
		s.count(&s.wrong, "%s: want %s, got\n%s", scenario.Name, outcome, body)
	case duration > timeout:
		s.count(&s.late, "%s: the response took %s of %s", scenario.Name, duration, timeout)
	}
	if !stalls {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.durations = append(s.durations, duration)
	}
}

func (s *soak) count(counter *atomic.Int64, format string, values ...any) {
	counter.Add(1)
	example := fmt.Sprintf(format, values...)
	s.example.Store(&example)
}

func (s *soak) get(path string, timeout time.Duration) (string, error) {
	request, err := http.NewRequest("GET", s.baseURL+path, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(timeout.Seconds()))
	response, err := s.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

// settle waits until the number of goroutines and descriptors falls no more.
func (s *soak) settle() usage {
	s.client.CloseIdleConnections()
	last := currentUsage()
	for unchanged := 0; unchanged < 5; {
		time.Sleep(100 * time.Millisecond)
		runtime.GC()
		next := currentUsage()
		if next.goroutines < last.goroutines || next.descriptors < last.descriptors {
			unchanged = 0
		} else {
			unchanged++
		}
		last = next
	}
	return last
}

func (s *soak) logResults(t *testing.T, begin, end usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.durations)
	quantile := func(q float64) time.Duration { return s.durations[int(q*float64(len(s.durations)-1))] }
	t.Logf("%d scrapes, %d wrong, %d late; median %s, 99%% %s, maximum %s", s.scrapes.Load(), s.wrong.Load(), s.late.Load(), quantile(0.5), quantile(0.99), quantile(1))
	t.Logf("before: %s", begin)
	for i := range s.usages {
		if every := max(1, len(s.usages)/10); i%every == every-1 {
			t.Logf("after %4d s: %s", i+1, s.usages[i])
		}
	}
	t.Logf("at the end: %s", end)
}

// currentUsage returns what this process uses. What the system does not report is zero.
func currentUsage() usage {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	u := usage{goroutines: runtime.NumGoroutine(), heap: memory.HeapAlloc}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.descriptors = len(files)
	}
	if status, err := os.Open("/proc/self/status"); err == nil {
		defer status.Close()
		for lines := bufio.NewScanner(status); lines.Scan(); {
			var kib uint64
			if n, _ := fmt.Sscanf(lines.Text(), "VmRSS: %d kB", &kib); n == 1 {
				u.resident = kib << 10
			}
		}
	}
	return u
}
