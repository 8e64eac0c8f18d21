package rollover

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
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
	answer := []Observation{{Name: owner, Address: "192.0.2.1", Status: Published, TTL: time.Hour}}
	p.Observe(start, answer)
	file.Put(owner, key, p)
	if err := file.Save(path, start); err != nil {
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

// TestSharedFile saves two services by two processes that loaded the file before.
func TestSharedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const mail, submission, key = "_25._tcp.mx.example.org.", "_587._tcp.mx.example.org.", "aa"
	save := func(f *File, owner string, at time.Time, status Status) {
		t.Helper()
		p, err := f.Publication(owner, key)
		if err != nil {
			t.Fatal(err)
		}
		p.Observe(at, []Observation{{Name: owner, Address: "192.0.2.1", Status: status, TTL: time.Hour}})
		f.Put(owner, key, p)
		if err := f.Save(path, at); err != nil {
			t.Fatal(err)
		}
	}
	load := func() *File {
		t.Helper()
		f, err := Load(path, start.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	save(load(), submission, start, Published)
	one, other := load(), load()
	save(one, submission, start.Add(time.Minute), Missing)
	save(other, mail, start.Add(2*time.Minute), Published)
	now := load()
	if p, err := now.Publication(submission, key); err != nil || len(p.Since) > 0 {
		t.Errorf("the record that was lost: %v, %v", p, err)
	}
	if p, err := now.Publication(mail, key); err != nil || len(p.Since) != 1 {
		t.Errorf("the other service: %v, %v", p, err)
	}
}

// TestDamagedFile loads files that Save did not write. None is trusted.
func TestDamagedFile(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const good = `{"schema":1,"services":{"_25._tcp.mx.example.org.":{"key":"aa","ttl_seconds":60,"since":{"_25._tcp.mx.example.org. 192.0.2.1":"2026-03-01T11:00:00Z"}}}}`
	tests := []struct{ name, from, to string }{
		{"good", "", ""},
		{"empty", good, ""},
		{"cut", good[len(good)/2:], ""},
		{"followed by text", `}}}}`, `}}}}x`},
		{"other schema", `"schema":1`, `"schema":2`},
		{"no key", `"aa"`, `""`},
		{"negative TTL", `60`, `-60`},
		{"huge TTL", `60`, `9223372036854775807`},
		{"time to come", `2026-03-01T11`, `2026-03-01T13`},
		{"no time", `2026-03-01T11:00:00Z`, `0001-01-01T00:00:00Z`},
		{"no address", `192.0.2.1`, `ns`},
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
	unusable := []string{os.DevNull, t.TempDir(), large}
	for i, text := range []string{"-----BEGIN PRIVATE KEY-----\n", "[]", `{"services":{}}`} {
		path := filepath.Join(t.TempDir(), strconv.Itoa(i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		unusable = append(unusable, path)
	}
	for _, path := range unusable {
		if file, err := Load(path, time.Now()); err == nil || errors.Is(err, ErrDamaged) || file != nil {
			t.Errorf("%s: %v, %v", path, file, err)
		}
		if err := new(File).Save(path, time.Now()); err == nil {
			t.Errorf("%s was replaced", path)
		}
	}
}
