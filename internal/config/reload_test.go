package config

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// log is what a Reloader did.
type log struct {
	applied []int // limits.probes of each configuration in force
	results chan error
	refuse  error
}

func newReloader(t *testing.T, path string) (*Reloader, *log) {
	l := &log{results: make(chan error, 10)}
	apply := func(c *Config) error {
		if l.refuse == nil {
			l.applied = append(l.applied, c.Limits.Probes)
		}
		return l.refuse
	}
	return NewReloader(path, defaults(t), apply, func(err error) { l.results <- err }), l
}

func TestReload(t *testing.T) {
	path := write(t, "limits: {probes: 1}\n")
	r, log := newReloader(t, path)
	steps := []struct {
		name, text string
		refuse     error
		good       bool
	}{
		{"a good file is applied", "limits: {probes: 2}\n", nil, true},
		{"a bad one changes nothing", "limits: {probes: none}\n", nil, false},
		{"one that cannot be applied neither", "limits: {probes: 3}\n", errors.New("no resolver"), false},
		{"and then a good one is again", "limits: {probes: 4}\n", nil, true},
	}
	for _, step := range steps {
		overwrite(t, path, step.text)
		log.refuse = step.refuse
		err := r.Reload()
		if (err == nil) != step.good {
			t.Errorf("%s: %v", step.name, err)
		}
		if told := <-log.results; told != err {
			t.Errorf("%s: told %v, returned %v", step.name, told, err)
		}
	}
	if got := log.applied; len(got) != 2 || got[0] != 2 || got[1] != 4 {
		t.Errorf("applied %v", got)
	}
}

func TestReloadWithoutFile(t *testing.T) {
	r, log := newReloader(t, "")
	if err := r.Reload(); err != nil || len(log.applied) != 1 || log.applied[0] != 256 {
		t.Errorf("%v, applied %v", err, log.applied)
	}
	if r.changed() {
		t.Error("no file has changed")
	}
}

// TestWatch: every change is tried once, a bad or missing file too, and a good
// one that comes back.
func TestWatch(t *testing.T) { synctest.Test(t, testWatch) }

func testWatch(t *testing.T) {
	path := write(t, "limits: {probes: 1}\n")
	r, log := newReloader(t, path)
	if err := r.Reload(); err != nil {
		t.Fatal(err)
	}
	<-log.results
	ctx, cancel := context.WithCancel(t.Context())
	ticks, done := make(chan time.Time), make(chan struct{})
	go func() { defer close(done); r.Watch(ctx, ticks) }()
	tick := func() {
		ticks <- time.Time{}
		synctest.Wait() // until Watch has done with it
	}

	tick() // nothing has changed
	overwrite(t, path, "limits: {probes: 2}\n")
	tick()
	if err := <-log.results; err != nil {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	tick()
	if err := <-log.results; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	tick() // still missing: told once
	overwrite(t, path, "limits: {probes: 2}\n")
	tick()
	if err := <-log.results; err != nil {
		t.Errorf("the file is back: %v", err)
	}
	tick() // nothing has changed
	cancel()
	<-done
	if len(log.results) != 0 {
		t.Errorf("reloaded without a change: %v", <-log.results)
	}
	if got := log.applied; len(got) != 3 {
		t.Errorf("applied %v", got)
	}
}

func overwrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
