package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// Reloader puts the configuration file into force again, when it is asked to or
// when the file has changed. What does not load, or cannot be applied, changes
// nothing: what runs goes on running.
type Reloader struct {
	path     string
	defaults *Config
	apply    func(*Config) error
	observe  func(error)

	mu     sync.Mutex // one reload at a time
	seen   [sha256.Size]byte
	filled bool // what was loaded last had text in it
}

// NewReloader returns a Reloader of the file at path; an empty path stands for
// the defaults. apply puts a configuration into force, or refuses it and leaves
// everything as it was. observe is told how each reload ended.
func NewReloader(path string, defaults *Config, apply func(*Config) error, observe func(error)) *Reloader {
	return &Reloader{path: path, defaults: defaults, apply: apply, observe: observe}
}

// Reload loads the file and applies it. The errors are those of Load and apply.
func (r *Reloader) Reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.reload()
	r.observe(err)
	return err
}

func (r *Reloader) reload() error {
	config := r.defaults
	if r.path != "" {
		text, err := r.read()
		if err != nil {
			return fmt.Errorf("read configuration: %w", err)
		}
		if len(text) == 0 && r.filled {
			return fmt.Errorf("read configuration: %s is empty and was not before, as after writing to a full disk; a comment in it says that the defaults are meant", r.path)
		}
		if config, err = Parse(r.path, text, r.defaults); err != nil {
			return err
		}
		r.filled = len(text) > 0
	}
	return r.apply(config)
}

// read returns the file's text and remembers its digest; that of an unreadable
// file is zero.
func (r *Reloader) read() ([]byte, error) {
	text, err := readFile(r.path)
	if err != nil {
		r.seen = [sha256.Size]byte{}
		return nil, err
	}
	r.seen = sha256.Sum256(text)
	return text, nil
}

// Watch reloads at each tick before which the file has changed, until ctx ends.
// A bad file is tried, and told, once.
func (r *Reloader) Watch(ctx context.Context, ticks <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			if r.changed() {
				_ = r.Reload() // observe was told
			}
		}
	}
}

// changed compares the file's digest with that of the last attempt: a modified
// time says nothing where a mounted volume is swapped.
func (r *Reloader) changed() bool {
	if r.path == "" {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var now [sha256.Size]byte
	if text, err := readFile(r.path); err == nil {
		now = sha256.Sum256(text)
	}
	return now != r.seen
}
