// Command bench measures what a probe costs beside what it is compared with,
// in one run against the same mail servers: the bare dialogue and handshake, the
// same with what no exporter can do without, a full probe over HTTP with DNS and
// validation, with a handshake of its own and with one that is shared,
// blackbox_exporter, which does STARTTLS alone, and two commands. From the
// directory of the repository:
//
//	go run ./internal/bench [-n 2000] [-c 8]
//
// The subjects take turns. Servers and resolver are in this process; all that is
// measured is in others, so that their CPU is theirs alone. What is not installed
// is left out.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	probes := flag.Int("n", 2000, "probes of each subject, in tens; commands make a tenth of it")
	atOnce := flag.Int("c", 8, "probes at the same time")
	blackbox := flag.String("blackbox", "prometheus-blackbox-exporter", "its binary")
	bare := flag.String("bare", "", "addresses to make bare handshakes with: what this command runs itself for")
	least := flag.String("least", "", "resolver of the least exporter: what this command runs itself for as well")
	flag.Parse()
	load := load{*probes, *atOnce}
	var err error
	switch servers := strings.Split(*bare, ","); {
	case *least != "":
		err = serveLeast(*least, servers)
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

func run(l load, blackbox string) error {
	dir, err := os.MkdirTemp("", "dane-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	world, err := newWorld(l.atOnce)
	if err != nil {
		return fmt.Errorf("start the servers: %w", err)
	}
	defer world.close()

	binary, err := build(dir)
	if err != nil {
		return err
	}
	bare := &subject{name: "bare handshake", measure: func(l load) (result, error) { return runBare(l, world) }}
	subjects := []*subject{bare}
	for _, exporter := range []struct {
		name string
		made func() (*exporter, error)
	}{
		{"least exporter", func() (*exporter, error) { return leastExporter(world) }},
		{"dane_exporter", func() (*exporter, error) { return dane(binary, dir, world, 0) }},
		{"dane_exporter, handshakes shared", func() (*exporter, error) { return dane(binary, dir, world, 30*time.Second) }},
		{"blackbox_exporter", func() (*exporter, error) { return blackboxExporter(blackbox, dir, world) }},
	} {
		e, err := exporter.made()
		if err == nil {
			err = e.start()
		}
		if err != nil {
			leaveOut(exporter.name, err)
			continue
		}
		defer e.stop()
		subjects = append(subjects, &subject{name: exporter.name, measure: e.measure})
	}
	for _, name := range []string{"openssl s_client", "posttls-finger"} {
		subjects = append(subjects, &subject{name: name, measure: func(l load) (result, error) {
			return measureCommand(max(1, l.probes/10), world, commands[name])
		}})
	}
	subjects = takeTurns(l, subjects)
	if !slices.Contains(subjects, bare) {
		return errors.New("there is nothing to compare with")
	}
	return show(subjects, bare.total.each())
}

// show prints a table in Markdown; bare is the CPU that all are compared with.
func show(subjects []*subject, bare time.Duration) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(out, "| |\tprobes/s |\tCPU/probe |\t× bare |\tp50 |\tp99 |\tmemory |\tallocations/probe |\tfailed |")
	fmt.Fprintln(out, "|---|\t---|\t---|\t---|\t---|\t---|\t---|\t---|\t---|")
	for _, s := range subjects {
		r := &s.total
		allocs, memory := "–", "–"
		if r.Allocs > 0 {
			allocs = fmt.Sprint(r.Allocs / uint64(r.probes()))
		}
		if r.Memory > 0 {
			memory = fmt.Sprint(r.Memory>>20, " MiB")
		}
		fmt.Fprintf(out, "| %s |\t%.0f |\t%s |\t%.2f |\t%s |\t%s |\t%s |\t%s |\t%d of %d |\n", s.name,
			float64(r.probes())/r.Wall.Seconds(), r.each().Round(time.Microsecond), float64(r.each())/float64(bare),
			r.within(0.5).Round(10*time.Microsecond), r.within(0.99).Round(10*time.Microsecond), memory, allocs, r.Failed, r.probes())
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
