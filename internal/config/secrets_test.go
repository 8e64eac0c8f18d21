package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gopkg.in/yaml.v3"
)

// secretFile writes a file that only its owner may read.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(text), 0o400); err != nil {
		t.Fatal(err)
	}
	return path
}

func withPasswordFile(path string) string {
	return "modules: {m: {proxy: 'socks5://me@192.0.2.1:1080', proxy_password_file: '" + path + "'}}\n"
}

// TestSecrets checks that the password of a file is used, whatever its end, and that no
// encoder writes it.
func TestSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"hunter2": "hunter2", "hunter2\n": "hunter2", "hunter2\r\n": "hunter2", " hunter 2 \n": " hunter 2 ", "pässword\n": "pässword",
		strings.Repeat("x", 255) + "\r\n": strings.Repeat("x", 255),
	} {
		path := secretFile(t, text)
		loaded := load(t, withPasswordFile(path))
		c, err := loaded.WithSecrets(func(string) { t.Errorf("warning about a protected file") })
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := c.Modules["m"].Proxy.Password; got != want || loaded.Modules["m"].Proxy.Password != "" {
			t.Errorf("%q: password %q; in the configuration as loaded %q", text, got, loaded.Modules["m"].Proxy.Password)
		}
		written, err := yaml.Marshal(c)
		if err != nil || strings.Contains(string(written), want) || !strings.Contains(string(written), "proxy_password_file: "+path) {
			t.Errorf("%q: %v\n%s", text, err, written)
		}
		again := load(t, string(written))
		again.origins = loaded.origins
		if !reflect.DeepEqual(again, loaded) {
			t.Errorf("%q: the text that /config shows is not the configuration:\n%s", text, written)
		}
	}
}

// TestSecretFiles checks that several modules may share a file, and that the errors of all
// files name the file and the cause, but not the content.
func TestSecretFiles(t *testing.T) {
	good := secretFile(t, "hunter2\n")
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want string }{
		{"missing", missing, missing + ": no such file or directory"},
		{"directory", dir, dir + " is not a regular file"},
		{"pipe", pipe, pipe + " is not a regular file"},
		{"empty", secretFile(t, ""), "is empty"},
		{"only a line end", secretFile(t, "\n"), "is empty"},
		{"two lines", secretFile(t, "hunter2\nhunter3\n"), "must have one line"},
		{"two line ends", secretFile(t, "hunter2\n\n"), "must have one line"},
		{"long", secretFile(t, strings.Repeat("hunter2", 40)), "has more than 255 bytes"},
		{"binary", secretFile(t, "hunter2\x00"), "must have one line"},
	}
	for _, test := range tests {
		_, err := load(t, withPasswordFile(test.path)).WithSecrets(func(string) {})
		if err == nil || !strings.HasSuffix(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "read a proxy_password_file: ") || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	c := load(t, "modules: {a: &a {proxy: 'socks5://me@192.0.2.1:1080', proxy_password_file: '"+good+"'}, b: *a, c: {proxy: 'socks5://me@192.0.2.1:1080', proxy_password_file: '"+missing+"'}}\n")
	if got := c.SecretFiles(); !slices.Equal(got, []string{good, missing}) {
		t.Errorf("files %q", got)
	}
}

// TestSecretPermissions checks the warning about a file that others may read or change, and
// the error about one that this user must not read.
func TestSecretPermissions(t *testing.T) {
	path := secretFile(t, "hunter2\n")
	for mode, want := range map[os.FileMode]bool{0o400: false, 0o440: false, 0o640: false, 0o444: true, 0o602: true, 0o644: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		var warned []string
		if _, err := load(t, withPasswordFile(path)).WithSecrets(func(path string) { warned = append(warned, path) }); err != nil {
			t.Fatal(err)
		}
		if got := slices.Equal(warned, []string{path}); got != want {
			t.Errorf("mode %o: warnings %q, want one: %t", mode, warned, want)
		}
	}
	if os.Geteuid() == 0 {
		return // root may read everything
	}
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err := load(t, withPasswordFile(path)).WithSecrets(func(string) {})
	if err == nil || !strings.Contains(err.Error(), "permission denied: the user of the exporter, with ID ") {
		t.Error(err)
	}
}
