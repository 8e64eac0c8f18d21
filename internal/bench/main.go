// Command bench measures what a probe costs beside what it is compared with,
// in one run against the same mail servers: the bare dialogue and handshake, the
// same with what no exporter can do without, a full probe over HTTP with DNS and
// validation and no handshake reused, blackbox_exporter, which does STARTTLS
// alone, and two commands. From the directory of the repository:
//
//	go run ./internal/bench [-n 2000] [-c 8]
//
// Servers and resolver are in this process; all that is measured is in others,
// so that their CPU and memory are theirs alone. What is not installed is left out.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

func main() {
	probes := flag.Int("n", 2000, "probes of each exporter; commands make a tenth of it")
	atOnce := flag.Int("c", 8, "probes at the same time")
	blackbox := flag.String("blackbox", "prometheus-blackbox-exporter", "its binary")
	bare := flag.String("bare", "", "addresses to make bare handshakes with: what this command runs itself for")
	least := flag.String("least", "", "address of the least exporter: what this command runs itself for as well")
	resolver := flag.String("resolver", "", "whom the least exporter asks")
	flag.Parse()
	load := load{*probes, *atOnce}
	var err error
	switch servers := strings.Split(*bare, ","); {
	case *least != "":
		err = serveLeast(*least, *resolver, servers)
	case *bare != "":
		err = json.NewEncoder(os.Stdout).Encode(measureBare(load, servers))
	default:
		err = run(load, *blackbox)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(load load, blackbox string) error {
	dir, err := os.MkdirTemp("", "dane-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	world, err := newWorld(load.atOnce)
	if err != nil {
		return fmt.Errorf("start the servers: %w", err)
	}
	defer world.close()

	results := make([]result, 0, 6)
	add := func(name string, measured result, err error) {
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", name, err)
			return
		}
		measured.Name = name
		results = append(results, measured)
	}
	measured, err := runBare(load, world)
	if err != nil {
		return fmt.Errorf("bare handshakes: %w", err)
	}
	add("bare handshake", measured, nil)
	least, err := leastExporter(world)
	if err == nil {
		measured, err = measureExporter(load, least)
	}
	add("least exporter", measured, err)
	ours, err := dane(dir, world)
	if err != nil {
		return err
	}
	measured, err = measureExporter(load, ours)
	add("dane_exporter", measured, err)
	theirs, err := blackboxExporter(blackbox, dir, world)
	if err == nil {
		measured, err = measureExporter(load, theirs)
	}
	add("blackbox_exporter", measured, err)
	few := max(1, load.probes/10)
	for _, name := range []string{"openssl s_client", "posttls-finger"} {
		measured, err := measureCommand(few, world, commands[name])
		add(name, measured, err)
	}
	return show(results)
}

// load is how much is asked.
type load struct{ probes, atOnce int }

// result is what it took.
type result struct {
	Name     string
	Probes   int
	Failed   int
	Wall     time.Duration
	CPU      time.Duration // of all probes, user and system
	P50, P99 time.Duration
	Memory   int64  // most resident, or resident at the end, in bytes
	Allocs   uint64 // of all probes; 0: not known
}

// drive makes the probes, several at once, and takes their times.
func (l load) drive(probe func(worker int) error) result {
	took := make([]time.Duration, l.probes)
	var next, failed atomic.Int64
	var workers sync.WaitGroup
	start := time.Now()
	for worker := range l.atOnce {
		workers.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(l.probes) {
					return
				}
				begun := time.Now()
				if probe(worker) != nil {
					failed.Add(1)
				}
				took[i] = time.Since(begun)
			}
		})
	}
	workers.Wait()
	slices.Sort(took)
	return result{Probes: l.probes, Failed: int(failed.Load()), Wall: time.Since(start),
		P50: took[l.probes/2], P99: took[l.probes*99/100]}
}

// show prints a table in Markdown, the first result as the measure of CPU.
func show(results []result) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(out, "| |\tprobes/s |\tCPU/probe |\t× bare |\tp50 |\tp99 |\tmemory |\tallocations/probe |\tfailed |")
	fmt.Fprintln(out, "|---|\t---|\t---|\t---|\t---|\t---|\t---|\t---|\t---|")
	for _, r := range results {
		each := r.CPU / time.Duration(r.Probes)
		bare := results[0].CPU / time.Duration(results[0].Probes)
		allocs := "–"
		if r.Allocs > 0 {
			allocs = fmt.Sprint(r.Allocs / uint64(r.Probes))
		}
		fmt.Fprintf(out, "| %s |\t%.0f |\t%s |\t%.2f |\t%s |\t%s |\t%d MiB |\t%s |\t%d of %d |\n", r.Name,
			float64(r.Probes)/r.Wall.Seconds(), each.Round(time.Microsecond), float64(each)/float64(bare),
			r.P50.Round(10*time.Microsecond), r.P99.Round(10*time.Microsecond), r.Memory>>20, allocs, r.Failed, r.Probes)
	}
	return out.Flush()
}

// build builds dane_exporter from the directory of the repository.
func build(dir string) (binary string, err error) {
	binary = filepath.Join(dir, "dane_exporter")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build dane_exporter: %w: %s", err, out)
	}
	return binary, nil
}
