package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// recorder records what a Reloader does.
type recorder struct {
	applied  []int // limits.probes of each applied configuration
	results  chan error
	applyErr error    // returned by apply
	files    []string // that the configuration refers to
}

func newReloader(t *testing.T, path string) (*Reloader, *recorder) {
	r := &recorder{results: make(chan error, 10)}
	apply := func(c *Config) error {
		if r.applyErr == nil {
			r.applied = append(r.applied, c.Limits.Probes)
		}
		return r.applyErr
	}
	files := func(*Config) []string { return r.files }
	return NewReloader(path, defaults(t), files, apply, func(err error) { r.results <- err }), r
}

func TestReload(t *testing.T) {
	path := write(t, "limits: {probes: 1}\n")
	r, record := newReloader(t, path)
	steps := []struct {
		name, text string
		applyErr   error
		ok         bool
	}{
		{"a valid file is applied", "limits: {probes: 2}\n", nil, true},
		{"an invalid file is not applied", "limits: {probes: none}\n", nil, false},
		{"apply fails", "limits: {probes: 3}\n", errors.New("no resolver"), false},
		{"a valid file after failures", "limits: {probes: 4}\n", nil, true},
	}
	for _, step := range steps {
		overwrite(t, path, step.text)
		record.applyErr = step.applyErr
		err := r.Reload()
		if (err == nil) != step.ok {
			t.Errorf("%s: got %v", step.name, err)
		}
		if observed := <-record.results; observed != err {
			t.Errorf("%s: observed %v, returned %v", step.name, observed, err)
		}
	}
	if got := record.applied; len(got) != 2 || got[0] != 2 || got[1] != 4 {
		t.Errorf("applied %v, want [2 4]", got)
	}
}

func TestReloadWithoutFile(t *testing.T) {
	r, record := newReloader(t, "")
	if err := r.Reload(); err != nil || len(record.applied) != 1 || record.applied[0] != 256 {
		t.Errorf("got %v, applied %v", err, record.applied)
	}
	if r.changed() {
		t.Error("changed() without a file, want false")
	}
}

// TestReloadDamagedFile: what remains of the file after a full disk, a lost
// volume or an interrupted copy must not replace the configuration in effect. An
// empty file above all: it would select the defaults.
func TestReloadDamagedFile(t *testing.T) {
	const valid = "limits: {probes: 7}\naccess:\n  targets: [\"*.example.org\"]\n"
	remove := func(t *testing.T, path string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		damage func(t *testing.T, path string)
		want   string // part of the error
	}{
		{"empty after a full disk", func(t *testing.T, path string) { overwrite(t, path, "") }, "is empty and was not before"},
		{"cut within a line", func(t *testing.T, path string) { overwrite(t, path, valid[:len(valid)-7]) }, ":3: "},
		{"zeroes after a crash", func(t *testing.T, path string) { overwrite(t, path, string(make([]byte, len(valid)))) }, ":1: "},
		{"removed", remove, "no such file"},
		{"a directory", func(t *testing.T, path string) {
			remove(t, path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
		{"a dangling symbolic link", func(t *testing.T, path string) {
			remove(t, path)
			if err := os.Symlink(filepath.Join(t.TempDir(), "gone"), path); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, valid)
			r, record := newReloader(t, path)
			if err := r.Reload(); err != nil {
				t.Fatal(err)
			}
			test.damage(t, path)
			if err := r.Reload(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if len(record.applied) != 1 || record.applied[0] != 7 {
				t.Errorf("applied %v, want [7]", record.applied)
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("# the defaults are meant\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := r.Reload(); err != nil || len(record.applied) != 2 {
				t.Errorf("after the repair: got %v, applied %v", err, record.applied)
			}
		})
	}
}

// TestWatch: each change is tried once, including a file that is missing or
// invalid, and a valid one that returns.
func TestWatch(t *testing.T) { synctest.Test(t, testWatch) }

func testWatch(t *testing.T) {
	path := write(t, "limits: {probes: 1}\n")
	r, record := newReloader(t, path)
	if err := r.Reload(); err != nil {
		t.Fatal(err)
	}
	<-record.results
	ctx, cancel := context.WithCancel(t.Context())
	ticks, done := make(chan time.Time), make(chan struct{})
	go func() { defer close(done); r.Watch(ctx, ticks) }()
	tick := func() {
		ticks <- time.Time{}
		synctest.Wait() // until Watch has handled the tick
	}

	tick() // no change
	overwrite(t, path, "limits: {probes: 2}\n")
	tick()
	if err := <-record.results; err != nil {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	tick()
	if err := <-record.results; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: got %v, want %v", err, os.ErrNotExist)
	}
	tick() // still missing: not reported again
	overwrite(t, path, "limits: {probes: 2}\n")
	tick()
	if err := <-record.results; err != nil {
		t.Errorf("the file is back: got %v", err)
	}
	tick() // no change
	cancel()
	<-done
	if len(record.results) != 0 {
		t.Errorf("reloaded without a change: %v", <-record.results)
	}
	if got := record.applied; len(got) != 3 {
		t.Errorf("applied %v, want three configurations", got)
	}
}

// TestWatchReferredFiles: a change of a file that the configuration refers to causes
// one reload, as does a file that is replaced, removed, or added to a directory.
func TestWatchReferredFiles(t *testing.T) { synctest.Test(t, testWatchReferredFiles) }

func testWatchReferredFiles(t *testing.T) {
	for _, path := range []string{"", write(t, "limits: {probes: 1}\n")} {
		directory := t.TempDir()
		anchors, certificates := filepath.Join(directory, "root.key"), filepath.Join(directory, "certs")
		overwrite(t, anchors, "one")
		if err := os.Mkdir(certificates, 0o700); err != nil {
			t.Fatal(err)
		}
		r, record := newReloader(t, path)
		record.files = []string{anchors, certificates}
		if err := r.Reload(); err != nil {
			t.Fatal(err)
		}
		<-record.results
		ctx, cancel := context.WithCancel(t.Context())
		ticks, done := make(chan time.Time), make(chan struct{})
		go func() { defer close(done); r.Watch(ctx, ticks) }()
		for _, step := range []struct {
			name   string
			change func() error
			want   bool
		}{
			{"no change", func() error { return nil }, false},
			{"content", func() error { return os.WriteFile(anchors, []byte("two"), 0o600) }, true},
			{"the same content again", func() error { return os.WriteFile(anchors, []byte("two"), 0o600) }, false},
			{"replaced by a rename", func() error {
				overwrite(t, anchors+".new", "three")
				return os.Rename(anchors+".new", anchors)
			}, true},
			{"removed", func() error { return os.Remove(anchors) }, true},
			{"still missing", func() error { return nil }, false},
			{"empty", func() error { return os.WriteFile(anchors, nil, 0o600) }, true},
			{"file in a directory", func() error { return os.WriteFile(filepath.Join(certificates, "ca.pem"), []byte("one"), 0o600) }, true},
			{"content of a file in a directory", func() error { return os.WriteFile(filepath.Join(certificates, "ca.pem"), []byte("other"), 0o600) }, true},
		} {
			if err := step.change(); err != nil {
				t.Fatal(err)
			}
			ticks <- time.Time{}
			synctest.Wait()
			if got := len(record.results) == 1; got != step.want {
				t.Errorf("%q, %s: reloaded %t", path, step.name, got)
			}
			for len(record.results) > 0 {
				<-record.results
			}
		}
		cancel()
		<-done
	}
}

func overwrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWebConfigFiles lists the files that a web configuration names.
func TestWebConfigFiles(t *testing.T) {
	path := write(t, "tls_server_config: {cert_file: cert.pem, key_file: /etc/key.pem, client_ca_file: ca.pem}\nbasic_auth_users: {}\n")
	directory := filepath.Dir(path)
	want := []string{path, filepath.Join(directory, "cert.pem"), "/etc/key.pem", filepath.Join(directory, "ca.pem")}
	if got := WebConfigFiles(path); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := WebConfigFiles(""); got != nil {
		t.Errorf("without a file: %v", got)
	}
}

// TestReloadPipe checks that a file that can be read only once, such as
// --config.file=<(command), is read only once.
func TestReloadPipe(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	path := fmt.Sprintf("/dev/fd/%d", reader.Fd())
	if _, err := os.Stat(path); err != nil {
		t.Skip(err)
	}
	if _, err := writer.WriteString("limits: {probes: 7}\n"); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	r, record := newReloader(t, path)
	if err := r.Reload(); err != nil || !slices.Equal(record.applied, []int{7}) {
		t.Errorf("got %v, applied %v, want [7]", err, record.applied)
	}
	if r.changed() {
		t.Error("changed() is true for a pipe")
	}
}
