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
	soakTime = flag.Duration("soak", 3*time.Second, "how long TestSoak lasts")
	soakRate = flag.Int("soak.rate", 50, "scrapes a second of TestSoak")
)

// TestSoak scrapes the whole lab over and over, good targets and hostile ones
// as chance has it, and wants every answer to be the right one; and, in the
// end, memory, goroutines and descriptors to be what they were after the first
// moments. docs/reliability.md tells of long ones.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	p := start(t, "--history.limit=20")
	defer p.end()
	s := newSoak(p.base)
	for _, scenario := range lab.Scenarios() { // whatever is made once is made
		s.scrape(scenario)
	}
	begin := s.settle()
	s.run(*soakTime, *soakRate)
	end := s.settle()
	s.report(t, begin, end)

	if wrong := s.wrong.Load(); wrong > 0 { // how many were late depends on the machine: the report says it
		t.Errorf("%d of %d answers were wrong; the last that was wrong or late: %s", wrong, s.asked.Load(), *s.example.Load())
	}
	const spare = 20 // what the runtime and idle connections may have more at one moment than at another
	if end.goroutines > begin.goroutines+spare || end.descriptors > begin.descriptors+spare {
		t.Errorf("at the beginning %s, in the end %s", begin, end)
	}
	if most := begin.heap + 32<<20; end.heap > most {
		t.Errorf("the heap has grown from %d to %d MiB", begin.heap>>20, end.heap>>20)
	}
}

// How long the scrapes of a soak last at the most. Servers that stall are given
// less than any server deserves, so that they come out as probe_deadline.
const (
	ample = 10 * time.Second
	hurry = 2 * time.Second
)

// soak is scrapes of one exporter, and what came of them.
type soak struct {
	base   string
	client *http.Client

	asked       atomic.Int64
	wrong, late atomic.Int64
	example     atomic.Pointer[string] // of what was wrong or late

	mu     sync.Mutex
	took   []time.Duration // of targets that nobody stalls
	traces []trace
}

// trace is what the process holds at a moment.
type trace struct {
	goroutines, descriptors int
	heap, resident          uint64 // bytes
}

func (t trace) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, heap %d MiB, resident %d MiB", t.goroutines, t.descriptors, t.heap>>20, t.resident>>20)
}

func newSoak(base string) *soak {
	return &soak{base: base, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// run scrapes at a rate, until the time is over and every answer is there.
func (s *soak) run(long time.Duration, rate int) {
	chance := rand.New(rand.NewPCG(1, 2))
	scenarios := lab.Scenarios()
	each := time.NewTicker(time.Second / time.Duration(rate))
	defer each.Stop()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	var scrapes sync.WaitGroup
	defer scrapes.Wait()
	for over := time.After(long); ; {
		select {
		case <-over:
			return
		case <-look.C:
			s.mu.Lock()
			s.traces = append(s.traces, now())
			s.mu.Unlock()
		case <-each.C:
			scenario := scenarios[chance.IntN(len(scenarios))]
			scrapes.Go(func() { s.scrape(scenario) })
		}
	}
}

// scrape makes one, and compares it with the story.
func (s *soak) scrape(scenario lab.Scenario) {
	s.asked.Add(1)
	outcome, timeout := scenario.Outcome, ample
	stalls := slices.Contains(scenario.Reasons, "timeout")
	if stalls {
		outcome, timeout = "unknown", hurry
	}
	begun := time.Now()
	body, err := s.get("/probe?target="+scenario.Target()+"&module="+scenario.Module, timeout)
	took := time.Since(begun)
	switch {
	case err != nil:
		s.note(&s.wrong, "%s: %v", scenario.Name, err)
	case !strings.Contains(body, fmt.Sprintf("\ndane_outcome{outcome=%q} 1\n", outcome)):
		s.note(&s.wrong, "%s: want %s, got\n%s", scenario.Name, outcome, body)
	case took > timeout:
		s.note(&s.late, "%s: the answer took %s of %s", scenario.Name, took, timeout)
	}
	if !stalls {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.took = append(s.took, took)
	}
}

func (s *soak) note(count *atomic.Int64, format string, values ...any) {
	count.Add(1)
	example := fmt.Sprintf(format, values...)
	s.example.Store(&example)
}

func (s *soak) get(path string, timeout time.Duration) (string, error) {
	request, err := http.NewRequest("GET", s.base+path, nil)
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

// settle waits until nothing goes on any more, and looks what is left.
func (s *soak) settle() trace {
	s.client.CloseIdleConnections()
	left := now()
	for quiet := 0; quiet < 5; {
		time.Sleep(100 * time.Millisecond)
		runtime.GC()
		next := now()
		if next.goroutines < left.goroutines || next.descriptors < left.descriptors {
			quiet = 0
		} else {
			quiet++
		}
		left = next
	}
	return left
}

func (s *soak) report(t *testing.T, begin, end trace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.took)
	at := func(part float64) time.Duration { return s.took[int(part*float64(len(s.took)-1))] }
	t.Logf("%d scrapes, %d wrong, %d late; %s at the median, %s at 99 %%, %s at the most", s.asked.Load(), s.wrong.Load(), s.late.Load(), at(0.5), at(0.99), at(1))
	t.Logf("before: %s", begin)
	for i := range s.traces {
		if every := max(1, len(s.traces)/10); i%every == every-1 {
			t.Logf("after %4d s: %s", i+1, s.traces[i])
		}
	}
	t.Logf("in the end: %s", end)
}

// now looks at this process. What the system does not tell is zero.
func now() trace {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	found := trace{goroutines: runtime.NumGoroutine(), heap: memory.HeapAlloc}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		found.descriptors = len(open)
	}
	if status, err := os.Open("/proc/self/status"); err == nil {
		defer status.Close()
		for lines := bufio.NewScanner(status); lines.Scan(); {
			var kib uint64
			if n, _ := fmt.Sscanf(lines.Text(), "VmRSS: %d kB", &kib); n == 1 {
				found.resident = kib << 10
			}
		}
	}
	return found
}
