package rollover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/google/renameio/v2/maybe"
)

// maxFile is the largest accepted state file, in bytes. A hundred services with sixteen
// addresses each need less.
const maxFile = 1 << 20

// schema is the version of the format of state files.
const schema = 1

// File holds the publications of several services. Load reads it from a file, and Save
// writes it.
type File struct {
	services map[string]savedService // by owner of the TLSA records
	put      map[string]bool         // the owners that Put replaced
}

// savedFile is the form of a File on disk.
type savedFile struct {
	Schema   int                     `json:"schema"`
	Services map[string]savedService `json:"services"`
}

type savedService struct {
	Key        string               `json:"key"`
	TTLSeconds int64                `json:"ttl_seconds"`
	Since      map[string]time.Time `json:"since"` // as in Publication
}

// ErrDamaged is wrapped by an error of Load if the file is not as Save wrote it.
var ErrDamaged = errors.New("the file is damaged")

// start matches the start of a state file. Load and Save return an error for any other
// file, which path may name by mistake.
var start = regexp.MustCompile(`^\s*\{\s*"schema"`)

// Load reads the file at path. If there is none, or path is empty, it returns an empty
// File. With ErrDamaged, the File is empty and can be used; it is nil with other errors.
func Load(path string, now time.Time) (*File, error) {
	file := &File{services: make(map[string]savedService), put: make(map[string]bool)}
	info, err := os.Stat(path)
	switch {
	case path == "", errors.Is(err, fs.ErrNotExist):
		return file, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxFile:
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(text) > 0 && !start.Match(text) {
		return nil, fmt.Errorf("%s is not a state file; remove it, or use another name", path)
	}
	var saved savedFile
	if err := json.Unmarshal(text, &saved); err != nil {
		return file, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	if saved.Schema != schema {
		return file, fmt.Errorf("%s: %w: schema %d, want %d", path, ErrDamaged, saved.Schema, schema)
	}
	for owner, service := range saved.Services {
		if err := service.check(now); err != nil {
			return file, fmt.Errorf("%s: %w: %s: %w", path, ErrDamaged, owner, err)
		}
	}
	if saved.Services != nil {
		file.services = saved.Services
	}
	return file, nil
}

// maxTTL is the largest TTL, in seconds (RFC 2181 §8).
const maxTTL = 1<<31 - 1

// check returns an error if the values cannot have been saved before now.
func (s savedService) check(now time.Time) error {
	if s.Key == "" || s.TTLSeconds < 0 || s.TTLSeconds > maxTTL {
		return fmt.Errorf("no key, or a TTL of %d seconds", s.TTLSeconds)
	}
	for key, since := range s.Since {
		if _, err := netip.ParseAddr(key[strings.LastIndexByte(key, ' ')+1:]); err != nil {
			return err
		}
		if since.IsZero() || since.After(now) {
			return fmt.Errorf("%s: the time %s is zero or after now, %s", key, since.Format(time.RFC3339), now.Format(time.RFC3339))
		}
	}
	return nil
}

// ErrOtherKey is returned if a file has the publication of another key.
var ErrOtherKey = errors.New("the state is of another certificate or key")

// Publication returns the stored publication of the records at owner. It is empty if there
// is none. If it is of another key, Publication returns an empty one and ErrOtherKey.
func (f *File) Publication(owner, key string) (*Publication, error) {
	saved, ok := f.services[owner]
	switch {
	case !ok:
		return new(Publication), nil
	case saved.Key != key:
		return new(Publication), fmt.Errorf("%s: %w", owner, ErrOtherKey)
	}
	return &Publication{Since: saved.Since, TTL: time.Duration(saved.TTLSeconds) * time.Second}, nil
}

// Put replaces the publication of the records at owner.
func (f *File) Put(owner, key string, p *Publication) {
	f.services[owner] = savedService{Key: key, TTLSeconds: int64(p.TTL / time.Second), Since: p.Since}
	f.put[owner] = true
}

// Save replaces the file at path atomically. For services that were not Put, it keeps the
// present content of the file, which another process may have saved since Load.
func (f *File) Save(path string, now time.Time) error {
	latest, err := Load(path, now)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	for owner := range f.put {
		latest.services[owner] = f.services[owner]
	}
	text, err := json.MarshalIndent(savedFile{Schema: schema, Services: latest.services}, "", "  ")
	if err != nil {
		return err
	}
	return maybe.WriteFile(path, append(text, '\n'), 0o600)
}
