package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gopkg.in/yaml.v3"
)

// Reloader loads the configuration file and applies it, on request or when the
// file, or a file that it refers to, has changed. A configuration that cannot be
// loaded or applied is discarded: the previous one stays in effect.
type Reloader struct {
	path     string
	defaults *Config
	files    func(*Config) []string
	apply    func(*Config) error
	observe  func(error)

	mu             sync.Mutex // held during a reload
	digest         Digest     // of the file, at the last attempt
	referred       []string   // the files of the last configuration that was parsed
	referredDigest Digest     // at the last attempt
	hadText        bool       // the last configuration that was parsed came from a file that was not empty
}

// NewReloader returns a Reloader of the file at path. An empty path selects
// defaults. files returns the files and directories that a configuration refers to,
// and whose content apply reads; Watch watches them too. apply puts a configuration
// into effect; if it returns an error, it must leave the previous one in effect.
// observe is called with the result of each reload.
func NewReloader(path string, defaults *Config, files func(*Config) []string, apply func(*Config) error, observe func(error)) *Reloader {
	return &Reloader{path: path, defaults: defaults, files: files, apply: apply, observe: observe}
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
	// Digests are taken before the files are read: a change in between causes a
	// further reload.
	r.digest, r.referredDigest = DigestFiles(r.path), DigestFiles(r.referred...)
	config := r.defaults
	if r.path != "" {
		text, err := readFile(r.path)
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
	r.referred = r.files(config)
	r.referredDigest = DigestFiles(r.referred...)
	return r.apply(config)
}

// Watch compares the files with those of the last attempt at each tick, and reloads
// them if one has changed, until ctx is done. An invalid file is tried and reported
// once.
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

func (r *Reloader) changed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return DigestFiles(r.path) != r.digest || DigestFiles(r.referred...) != r.referredDigest
}

// Digest is a digest of files.
type Digest [sha256.Size]byte

// DigestFiles returns a digest of the content of files, and of the names, sizes and
// times of the files in directories. Unreadable files and directories count as empty,
// and so do pipes, which can be read only once. The modification time of a file is not
// used, because it is not reliable if a mounted volume is replaced.
func DigestFiles(paths ...string) Digest {
	all := sha256.New()
	for _, path := range paths {
		content := sha256.New()
		info, err := os.Stat(path)
		switch {
		case err != nil:
		case info.IsDir():
			entries, _ := os.ReadDir(path)
			for _, entry := range entries {
				if info, err := os.Stat(filepath.Join(path, entry.Name())); err == nil {
					fmt.Fprintf(content, "%q %d %d\n", entry.Name(), info.Size(), info.ModTime().UnixNano())
				}
			}
		case info.Mode().IsRegular():
			if file, err := os.Open(path); err == nil {
				_, _ = io.Copy(content, io.LimitReader(file, maxWatchedSize))
				file.Close()
				content.Write([]byte("a file"))
			}
		}
		all.Write(content.Sum(nil))
	}
	return Digest(all.Sum(nil))
}

// maxWatchedSize is the part of a file, in bytes, that DigestFiles reads. The
// certificates of all public CAs take a quarter of a megabyte.
const maxWatchedSize = 16 << 20

// WebConfigFiles returns a file of --web.config.file, and the files of certificates
// and keys that it names, relative to its directory. It returns nil for an empty path.
func WebConfigFiles(path string) []string {
	if path == "" {
		return nil
	}
	files := []string{path}
	text, err := readFile(path)
	if err != nil {
		return files
	}
	var content struct {
		TLS struct {
			Certificate string `yaml:"cert_file"`
			Key         string `yaml:"key_file"`
			ClientCAs   string `yaml:"client_ca_file"`
		} `yaml:"tls_server_config"`
	}
	if err := yaml.Unmarshal(text, &content); err != nil {
		return files // a reload reports it
	}
	for _, file := range []string{content.TLS.Certificate, content.TLS.Key, content.TLS.ClientCAs} {
		if file == "" {
			continue
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), file)
		}
		files = append(files, file)
	}
	return files
}
