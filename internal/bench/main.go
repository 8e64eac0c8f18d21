// Command bench compares the cost of a probe of dane_exporter with that of other
// programs, in one run and against the same mail servers:
//
//   - bare handshake: SMTP dialogue and TLS handshake alone, without DNS or HTTP
//   - minimal exporter: the same over HTTP, with DNS queries but no validation
//   - dane_exporter: a complete probe, with its own handshake
//   - dane_exporter, shared handshakes: the same, reusing recent handshakes
//   - blackbox_exporter: STARTTLS alone, without DNS or DANE
//   - the commands openssl s_client and posttls-finger
//
// Run it from the repository root:
//
//	go run ./internal/bench [-n 2000] [-c 8]
//
// The servers and the resolver run in this process, the subjects in others, so
// that CPU time is measured for each subject alone. Each subject is measured in
// every one of ten rounds. Programs that are not installed are skipped.
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
	probes := flag.Int("n", 2000, "number of probes of each subject, a multiple of 10; the commands make a tenth of it")
	concurrency := flag.Int("c", 8, "number of concurrent probes")
	blackbox := flag.String("blackbox", "prometheus-blackbox-exporter", "path of the blackbox_exporter binary")
	bare := flag.String("bare", "", "internal: addresses to make bare handshakes with, in a child process")
	minimal := flag.String("minimal", "", "internal: resolver of the minimal exporter, in a child process")
	flag.Parse()
	load := load{*probes, *concurrency}
	var err error
	switch servers := strings.Split(*bare, ","); {
	case *minimal != "":
		err = serveMinimal(*minimal, servers)
	case *bare != "":
		err = json.NewEncoder(os.Stdout).Encode(measureBareHandshakes(load, servers))
	default:
		err = run(load, *blackbox)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures all subjects and prints the table.
func run(l load, blackbox string) error {
	dir, err := os.MkdirTemp("", "dane-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	env, err := newEnvironment(l.concurrency)
	if err != nil {
		return fmt.Errorf("start the servers: %w", err)
	}
	defer env.close()

	binary, err := build(dir)
	if err != nil {
		return err
	}
	bare := &subject{name: "bare handshake", measure: func(l load) (result, error) { return runBareHandshakes(l, env) }}
	subjects := []*subject{bare}
	for _, candidate := range []struct {
		name string
		new  func() (*exporter, error)
	}{
		{"minimal exporter", func() (*exporter, error) { return minimalExporter(env) }},
		{"dane_exporter", func() (*exporter, error) { return daneExporter(binary, dir, env, 0) }},
		{"dane_exporter, shared handshakes", func() (*exporter, error) { return daneExporter(binary, dir, env, 30*time.Second) }},
		{"blackbox_exporter", func() (*exporter, error) { return blackboxExporter(blackbox, dir, env) }},
	} {
		e, err := candidate.new()
		if err == nil {
			err = e.start()
		}
		if err != nil {
			logSkipped(candidate.name, err)
			continue
		}
		defer e.stop()
		subjects = append(subjects, &subject{name: candidate.name, measure: e.measure})
	}
	for _, name := range []string{"openssl s_client", "posttls-finger"} {
		subjects = append(subjects, &subject{name: name, measure: func(l load) (result, error) {
			return measureCommand(max(1, l.probes/10), env, commands[name])
		}})
	}
	subjects = measureInRounds(l, subjects)
	if !slices.Contains(subjects, bare) {
		return errors.New("the bare handshake, with which all others are compared, failed")
	}
	return printTable(subjects, bare.total.cpuPerProbe())
}

// printTable prints the results as a Markdown table. bare is the CPU time of a
// bare handshake, with which all are compared.
func printTable(subjects []*subject, bare time.Duration) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(out, "| program |\tprobes/s |\tCPU/probe |\tCPU relative to bare handshake |\tp50 |\tp99 |\tmemory |\tallocations/probe |\tfailed |")
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
			float64(r.probes())/r.Wall.Seconds(), r.cpuPerProbe().Round(time.Microsecond), float64(r.cpuPerProbe())/float64(bare),
			r.quantile(0.5).Round(10*time.Microsecond), r.quantile(0.99).Round(10*time.Microsecond), memory, allocs, r.Failed, r.probes())
	}
	return out.Flush()
}

// build builds dane_exporter in the repository root, which is the working directory.
func build(dir string) (binary string, err error) {
	binary = filepath.Join(dir, "dane_exporter")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build dane_exporter: %w: %s", err, out)
	}
	return binary, nil
}
