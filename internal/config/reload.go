package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// Reloader loads the configuration file and applies it, on request or when the
// file has changed. A configuration that cannot be loaded or applied is
// discarded: the previous one stays in effect.
type Reloader struct {
	path     string
	defaults *Config
	apply    func(*Config) error
	observe  func(error)

	mu      sync.Mutex // held during a reload
	digest  [sha256.Size]byte
	hadText bool // the last configuration that was parsed came from a file that was not empty
}

// NewReloader returns a Reloader of the file at path. An empty path selects
// defaults. apply puts a configuration into effect; if it returns an error, it
// must leave the previous one in effect. observe is called with the result of
// each reload.
func NewReloader(path string, defaults *Config, apply func(*Config) error, observe func(error)) *Reloader {
	return &Reloader{path: path, defaults: defaults, apply: apply, observe: observe}
}

// Reload loads the file and applies it. It returns the errors of Load and of
// apply. It also rejects an empty file if the previous one was not empty.
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
		if len(text) == 0 && r.hadText {
			return fmt.Errorf("read configuration: %s is empty and was not before, which happens on a full disk; to select the defaults, write a comment into it", r.path)
		}
		if config, err = Parse(r.path, text, r.defaults); err != nil {
			return err
		}
		r.hadText = len(text) > 0
	}
	return r.apply(config)
}

// read returns the contents of the file and stores their digest. The digest of
// an unreadable file is zero.
func (r *Reloader) read() ([]byte, error) {
	text, err := readFile(r.path)
	if err != nil {
		r.digest = [sha256.Size]byte{}
		return nil, err
	}
	r.digest = sha256.Sum256(text)
	return text, nil
}

// Watch checks the file at each tick and reloads it if it has changed, until ctx
// is done. An invalid file is tried and reported once.
func (r *Reloader) Watch(ctx context.Context, ticks <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			if r.changed() {
				_ = r.Reload() // observe has reported the error
			}
		}
	}
}

// changed compares the digest of the file with that of the last attempt. The
// modification time is not reliable if a mounted volume is replaced.
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
	return now != r.digest
}
