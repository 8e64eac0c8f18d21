package command

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestMemoryLimitOfCgroup runs the exporter in a cgroup of 256 MiB, and reads in its log
// the memory limit and the share of the probes. It needs the privilege to create a cgroup.
func TestMemoryLimitOfCgroup(t *testing.T) {
	group, err := newMemoryCgroup("dane-exporter-test-"+strconv.Itoa(os.Getpid()), 256<<20)
	if err != nil {
		t.Skip(err)
	}
	defer os.Remove(group)
	for _, test := range []struct{ setting, want, probes string }{
		{"", "GOMEMLIMIT=214748364", "bytes=107374182"},
		{"GOMEMLIMIT=100MiB", "", "bytes=52428800"},
	} {
		// The shell enters the cgroup and executes the exporter.
		exporter := exec.CommandContext(t.Context(), "sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, group, os.Args[0], "-test.run=^TestTerminated$")
		exporter.Env = append(os.Environ(), terminatedVariable+"=1")
		if test.setting != "" {
			exporter.Env = append(exporter.Env, test.setting)
		}
		log, err := exporter.StderrPipe()
		if err == nil {
			err = exporter.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		got, probes, listening := "", "", false
		for lines := bufio.NewScanner(log); !listening && lines.Scan(); {
			_, limit, found := strings.Cut(lines.Text(), `msg="Memory limit set from the cgroup" `)
			if found {
				got = limit
			}
			if _, share, found := strings.Cut(lines.Text(), `msg="Memory of all probes limited" `); found {
				probes = share
			}
			listening = strings.Contains(lines.Text(), `msg="Listening on"`)
		}
		if err := exporter.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = exporter.Wait()
		if !listening || got != test.want || probes != test.probes {
			t.Errorf("%q: the log has %q and %q, want %q and %q; listening: %t", test.setting, got, probes, test.want, test.probes, listening)
		}
	}
}

// TestProbesFitMemory makes as many concurrent ordinary probes as the default of
// limits.probes allows, within the memory limit of the examples in deploy/.
func TestProbesFitMemory(t *testing.T) {
	const probes, limit, rounds = 256, 512 << 20, 2
	if isRaceBuild() {
		t.Skip("the race detector multiplies the memory")
	}
	group, err := newMemoryCgroup("dane-exporter-probes-"+strconv.Itoa(os.Getpid()), limit)
	if err != nil {
		t.Skip(err)
	}
	defer os.Remove(group)
	exporter := exec.CommandContext(t.Context(), "sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, group, os.Args[0], "-test.run=^TestTerminated$")
	exporter.Env = append(os.Environ(), terminatedVariable+"=1")
	log, err := exporter.StderrPipe()
	if err == nil {
		err = exporter.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, baseURL: "http://" + listenAddress(log), client: newClient()}
	p.waitForMetric(`dane_exporter_trust_anchor_ok{module=""}`, "1")
	var failed atomic.Int32
	var clients sync.WaitGroup
	for range probes {
		clients.Go(func() {
			for range rounds {
				response, err := p.client.Get(p.baseURL + "/probe?target=two-mx-one-broken.lab.test")
				if err != nil {
					failed.Add(1)
					return
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || !strings.Contains(string(body), "dane_probe_complete 1\n") {
					failed.Add(1)
				}
			}
		})
	}
	clients.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d probes failed", n, probes*rounds)
	}
	if peak := peakMemory(group); peak > limit/2 {
		t.Errorf("peak %d MiB, want at most half of %d MiB", peak>>20, limit>>20)
	}
	p.client.CloseIdleConnections()
	if err := exporter.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := exporter.Wait(); err != nil {
		t.Errorf("the exporter failed: %v", err)
	}
}

// peakMemory returns the most memory that a cgroup has used, in bytes, and 0 if the
// kernel does not report it.
func peakMemory(group string) int {
	for _, file := range []string{"memory.max_usage_in_bytes", "memory.peak"} {
		if text, err := os.ReadFile(filepath.Join(group, file)); err == nil {
			peak, _ := strconv.Atoi(strings.TrimSpace(string(text)))
			return peak
		}
	}
	return 0
}

// isRaceBuild reports whether the race detector is on.
func isRaceBuild() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// newMemoryCgroup creates a cgroup of version 1 or 2 with a memory limit in bytes.
func newMemoryCgroup(name string, limit int) (string, error) {
	group, file := filepath.Join("/sys/fs/cgroup", name), "memory.max"
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err == nil {
		group, file = filepath.Join("/sys/fs/cgroup/memory", name), "memory.limit_in_bytes"
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(group, file), []byte(strconv.Itoa(limit)), 0); err != nil {
		os.Remove(group)
		return "", err
	}
	return group, nil
}
