package rollover

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFile saves a publication, loads it, and continues it.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const owner, key = "_25._tcp.mx.example.org.", "aa"
	file, err := Load(path, start)
	if err != nil {
		t.Fatal(err)
	}
	p, err := file.Publication(owner, key)
	if err != nil {
		t.Fatal(err)
	}
	answer := []Observation{{Address: "192.0.2.1", Status: Published, TTL: time.Hour}}
	p.Observe(start, answer)
	file.Put(owner, key, p)
	if err := file.Save(path); err != nil {
		t.Fatal(err)
	}

	later := start.Add(30 * time.Minute)
	if file, err = Load(path, later); err != nil {
		t.Fatal(err)
	}
	if p, err = file.Publication(owner, key); err != nil {
		t.Fatal(err)
	}
	if !p.Safe().IsZero() {
		t.Error("a key is safe by the file alone, before the servers were asked again")
	}
	p.Observe(later, answer)
	if want := start.Add(2 * time.Hour); !p.Safe().Equal(want) {
		t.Errorf("safe at %s, want %s", p.Safe(), want)
	}
	if other, err := file.Publication(owner, "bb"); !errors.Is(err, ErrOtherKey) || len(other.Since) > 0 || other.TTL != 0 {
		t.Errorf("the publication of another key: %v, %v", other, err)
	}
	if other, err := file.Publication("_465._tcp.mx.example.org.", key); err != nil || len(other.Since) > 0 {
		t.Errorf("the publication of another service: %v, %v", other, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v, %v; want the state alone", entries, err)
	}
}

// TestDamagedFile loads files that Save did not write. None is trusted.
func TestDamagedFile(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const good = `{"schema":1,"services":{"_25._tcp.mx.example.org.":{"key":"aa","ttl_seconds":60,"since":{"192.0.2.1":"2026-03-01T11:00:00Z"}}}}`
	tests := []struct{ name, from, to string }{
		{"good", "", ""},
		{"empty", good, ""},
		{"cut", good[len(good)/2:], ""},
		{"followed by text", `}}}}`, `}}}}x`},
		{"other schema", `"schema":1`, `"schema":2`},
		{"no schema", `"schema":1,`, ``},
		{"no key", `"aa"`, `""`},
		{"negative TTL", `60`, `-60`},
		{"huge TTL", `60`, `9223372036854775807`},
		{"time to come", `2026-03-01T11`, `2026-03-01T13`},
		{"no time", `2026-03-01T11:00:00Z`, `0001-01-01T00:00:00Z`},
		{"no address", `192.0.2.1`, `ns`},
		{"a list", good, `[]`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.json")
			if err := os.WriteFile(path, []byte(strings.Replace(good, test.from, test.to, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := Load(path, now)
			if test.name == "good" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("error %v", err)
			}
			p, err := file.Publication("_25._tcp.mx.example.org.", "aa")
			if err != nil || len(p.Since) > 0 || p.TTL != 0 {
				t.Errorf("publication %v, %v", p, err)
			}
		})
	}
}

// TestLoadUnusable checks that what is no state file is left as it is.
func TestLoadUnusable(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{os.DevNull, t.TempDir(), large} {
		if file, err := Load(path, time.Now()); err == nil || errors.Is(err, ErrDamaged) || file != nil {
			t.Errorf("%s: %v, %v", path, file, err)
		}
	}
}
