package command

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestMemoryLimitOfCgroup runs the exporter in a cgroup of 256 MiB, and reads the
// memory limit in its log. It needs the privilege to create a cgroup.
func TestMemoryLimitOfCgroup(t *testing.T) {
	group, err := newMemoryCgroup("dane-exporter-test-"+strconv.Itoa(os.Getpid()), 256<<20)
	if err != nil {
		t.Skip(err)
	}
	defer os.Remove(group)
	for _, test := range []struct{ setting, want string }{
		{"", "GOMEMLIMIT=241591910"},
		{"GOMEMLIMIT=100MiB", ""},
	} {
		// The shell enters the cgroup and becomes the exporter.
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
		got, listening := "", false
		for lines := bufio.NewScanner(log); !listening && lines.Scan(); {
			_, limit, found := strings.Cut(lines.Text(), `msg="Memory limit set from the cgroup" `)
			if found {
				got = limit
			}
			listening = strings.Contains(lines.Text(), `msg="Listening on"`)
		}
		if err := exporter.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = exporter.Wait()
		if !listening || got != test.want {
			t.Errorf("%q: the log has %q, want %q; listening: %t", test.setting, got, test.want, listening)
		}
	}
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
