package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a full disk, a lost volume or half a copy leave of the file must not
// replace what runs: least of all an empty file, which would mean the defaults.
func TestReloadOfADamagedFile(t *testing.T) {
	const good = "limits: {probes: 7}\naccess:\n  targets: [\"*.example.org\"]\n"
	for _, story := range []struct {
		name   string
		damage func(t *testing.T, path string)
		says   string
	}{
		{"empty, after writing to a full disk", func(t *testing.T, path string) { overwrite(t, path, "") }, "is empty and was not before"},
		{"cut within a line", func(t *testing.T, path string) { overwrite(t, path, good[:len(good)-7]) }, ":3: "},
		{"zeroes, after a crash", func(t *testing.T, path string) { overwrite(t, path, string(make([]byte, len(good)))) }, ":1: "},
		{"gone", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
		{"a directory", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
		{"a link that leads nowhere", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(t.TempDir(), "gone"), path); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
	} {
		t.Run(story.name, func(t *testing.T) {
			path := write(t, good)
			r, log := newReloader(t, path)
			if err := r.Reload(); err != nil {
				t.Fatal(err)
			}
			story.damage(t, path)
			if err := r.Reload(); err == nil || !strings.Contains(err.Error(), story.says) {
				t.Errorf("%v, want %q", err, story.says)
			}
			if len(log.applied) != 1 || log.applied[0] != 7 {
				t.Errorf("applied %v", log.applied)
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("# the defaults are meant\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := r.Reload(); err != nil || len(log.applied) != 2 {
				t.Errorf("repaired: %v, applied %v", err, log.applied)
			}
		})
	}
}
