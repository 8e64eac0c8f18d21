package discovery

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestReadLines(t *testing.T) {
	long := strings.Repeat("a", 2*maxLine)
	for _, c := range []struct {
		name, text string
		want       []string
		bad        []string // parts of the messages
	}{
		{"one domain on each line", "example.org\nexample.net\n", []string{"example.net", "example.org"}, nil},
		{"no line end at the end", "example.org", []string{"example.org"}, nil},
		{"comments, empty lines, spaces and CRLF", "# domains\n\n  example.org\t# a customer\r\n#example.net\n", []string{"example.org"}, nil},
		{"a byte order mark", "\ufeffexample.org\n", []string{"example.org"}, nil},
		{"upper case and a final dot", "EXAMPLE.Org.\n", []string{"example.org"}, nil},
		{"an IDN becomes A-labels", "bücher.example\n", []string{"xn--bcher-kva.example"}, nil},
		{"a domain twice", "example.org\nexample.org\n", []string{"example.org"}, nil},
		{"an underscore", "_x.example.org\n", []string{"_x.example.org"}, nil},
		{"invalid lines are reported", "example.org\na b\nhttp://example.org\n*.example.org\n192.0.2.1\n\"\x1b[31m\xff\n", []string{"example.org"},
			[]string{`list:2: "a b"`, `list:3: "http://`, `list:4: "*.example.org"`, `list:5: "192.0.2.1" is not a domain name: it is an address`, `list:6: "\"\x1b`}},
		{"an empty label", "a..example\n.\n", nil, []string{"list:1:", "list:2:"}},
		{"a long label", strings.Repeat("a", 64) + ".example\n", nil, []string{"list:1:"}},
		{"a huge line", "a.example\n" + long + "\nb.example\n", []string{"a.example", "b.example"}, []string{"list:2: "}},
		{"a huge line at the end", "a.example\n" + long, []string{"a.example"}, []string{"list:2: "}},
		{"a huge comment", "a.example # " + long + "\nb.example\n", []string{"a.example", "b.example"}, nil},
		{"a domain after a huge space", strings.Repeat(" ", 2*maxLine) + "a.example\n", nil, []string{"the line is too long"}},
		{"null bytes", "a\x00b.example\n", nil, []string{"list:1:"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var names builder
			var read reading
			if err := readLines(t.Context(), strings.NewReader(c.text), "list", &names, &read); err != nil {
				t.Fatal(err)
			}
			list, _ := names.list()
			if got := list.names(); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			if read.bad != len(c.bad) || len(read.why) != len(c.bad) {
				t.Fatalf("%d invalid lines: %q; want %q", read.bad, read.why, c.bad)
			}
			for i, part := range c.bad {
				if !strings.Contains(read.why[i], part) || len(read.why[i]) > 400 || strings.ContainsAny(read.why[i], "\x1b\n") {
					t.Errorf("message %q, want one with %q", read.why[i], part)
				}
			}
		})
	}
}

func TestBadLinesAreBounded(t *testing.T) {
	var names builder
	var read reading
	if err := readLines(t.Context(), strings.NewReader(strings.Repeat("?\n", 100_000)), "list", &names, &read); err != nil {
		t.Fatal(err)
	}
	if read.bad != 100_000 || len(read.why) != maxLogged {
		t.Errorf("%d invalid lines, %d messages", read.bad, len(read.why))
	}
}

// FuzzReadLines checks that each name of a list is one that a probe accepts, unchanged,
// and that JSON need not escape it.
func FuzzReadLines(f *testing.F) {
	f.Add("example.org # comment\nbücher.example\r\n\"a\"\n\\")
	f.Fuzz(func(t *testing.T, text string) {
		var names builder
		var read reading
		if err := readLines(t.Context(), strings.NewReader(text), "list", &names, &read); err != nil {
			t.Fatal(err)
		}
		list, _ := names.list()
		for _, name := range list.names() {
			if again, err := parseDomain(name); again != name || err != nil || strings.ContainsAny(name, "\"\\\n<>&") {
				t.Errorf("%q becomes %q, %v", name, again, err)
			}
		}
		if lines := strings.Count(text, "\n") + 1; list.Len()+read.bad > lines {
			t.Errorf("%d names and %d invalid lines of %d lines", list.Len(), read.bad, lines)
		}
	})
}

// files writes files, and returns a loader of them whose clock is an hour later.
func files(t *testing.T, pattern string, content map[string]string) (dir string, l *fileLoader) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range content {
		writeList(t, filepath.Join(dir, name), text)
	}
	return dir, &fileLoader{patterns: []string{filepath.Join(dir, pattern)}, poll: 10 * time.Second, now: func() time.Time { return time.Now().Add(time.Hour) }}
}

func writeList(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load calls the loader once.
func load(t *testing.T, l loader) ([]string, error) {
	t.Helper()
	read, _, err := l.load(t.Context())
	if err != nil || read.list == nil {
		return nil, err
	}
	return read.list.names(), nil
}

func TestFileLoader(t *testing.T) {
	dir, l := files(t, "*.txt", map[string]string{"a.txt": "a.example\n", "b.txt": "b.example\n", "c.other": "c.example\n"})
	if err := os.Mkdir(filepath.Join(dir, "d.txt"), 0o700); err != nil {
		t.Fatal(err)
	}
	expect := func(what string, want ...string) {
		t.Helper()
		if got, err := load(t, l); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", what, got, err, want)
		}
	}
	expect("first", "a.example", "b.example")
	expect("unchanged")
	writeList(t, filepath.Join(dir, "b.txt"), "b.example\nb2.example\n")
	expect("a longer file", "a.example", "b.example", "b2.example")
	replacement := filepath.Join(dir, "new")
	writeList(t, replacement, "c.example\nd.example\n\n")
	info, err := os.Stat(filepath.Join(dir, "b.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chtimes(replacement, info.ModTime(), info.ModTime()), os.Rename(replacement, filepath.Join(dir, "b.txt"))); err != nil {
		t.Fatal(err)
	}
	expect("a replaced file of equal size and time", "a.example", "c.example", "d.example")
	writeList(t, filepath.Join(dir, "e.txt"), "e.example\n")
	expect("a new file", "a.example", "c.example", "d.example", "e.example")
	if err := os.Remove(filepath.Join(dir, "e.txt")); err != nil {
		t.Fatal(err)
	}
	expect("a removed file", "a.example", "c.example", "d.example")
}

// A file that was just modified is read once it has not changed between two calls.
func TestFileIsReadWhenItIsComplete(t *testing.T) {
	dir, l := files(t, "list", map[string]string{"list": "a.example\n"})
	l.now = time.Now
	if _, err := load(t, l); !errors.Is(err, errUnsettled) {
		t.Fatalf("a file that was just written: %v", err)
	}
	writeList(t, filepath.Join(dir, "list"), "a.example\nb.exa")
	if _, err := load(t, l); !errors.Is(err, errUnsettled) {
		t.Fatalf("a file that changes: %v", err)
	}
	writeList(t, filepath.Join(dir, "list"), "a.example\nb.example\n")
	if _, err := load(t, l); !errors.Is(err, errUnsettled) {
		t.Fatalf("a file that changes: %v", err)
	}
	if got, err := load(t, l); err != nil || len(got) != 2 {
		t.Errorf("%q, %v", got, err)
	}
}

// Files that change at every check are not read, and that is an error in the end.
func TestFileThatNeverSettles(t *testing.T) {
	dir, l := files(t, "list", map[string]string{"list": "a.example\n"})
	l.now = time.Now
	for i := range 2 * maxUnsettled {
		want := errUnsettled
		if i >= maxUnsettled {
			want = errUnsettledLong
		}
		if _, err := load(t, l); !errors.Is(err, want) {
			t.Fatalf("check %d: %v, want %v", i, err, want)
		}
		writeList(t, filepath.Join(dir, "list"), "a.example\n"+strings.Repeat("\n", i+1))
	}
	for range 2 {
		_, _ = load(t, l)
	}
	if _, err := load(t, l); err != nil || l.unsettled != 0 {
		t.Errorf("after the last change: %v, %d", err, l.unsettled)
	}
}

// What cannot be read as a whole is an error, after which the same files are read again.
func TestFileLoaderErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		pattern string
		change  func(dir string) error
		want    string
	}{
		{"no file", "*.none", nil, "no file matches"},
		{"a pipe", "*", func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600) }, "is not a regular file"},
		{"a device", "*", func(dir string) error { return os.Symlink("/dev/zero", filepath.Join(dir, "zero")) }, "is not a regular file"},
		{"a loop of symbolic links", "*", func(dir string) error { return os.Symlink("loop", filepath.Join(dir, "loop")) }, "too many levels of symbolic links"},
		{"a dangling symbolic link", "*", func(dir string) error { return os.Symlink("gone", filepath.Join(dir, "link")) }, "no such file"},
		{"a truncated file", "list", func(dir string) error { return os.Truncate(filepath.Join(dir, "list"), 0) }, "list no domain"},
		{"a file that is too large, of which nothing is stored", "list", func(dir string) error { return os.Truncate(filepath.Join(dir, "list"), 2<<30) }, "more than 512 MiB"},
		{"a removed file", "list", func(dir string) error { return os.Remove(filepath.Join(dir, "list")) }, "no file matches"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, l := files(t, c.pattern, map[string]string{"list": "a.example\n"})
			if c.change != nil {
				if _, err := load(t, l); err != nil {
					t.Fatal(err)
				}
				if err := c.change(dir); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if got, err := load(t, l); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%q, %v; want an error with %q", got, err, c.want)
				}
			}
		})
	}
}

// Files whose content is rejected are not read again before they change.
func TestRejectedFilesAreReadOnce(t *testing.T) {
	dir, l := files(t, "list", map[string]string{"list": "# no domain\n"})
	_, first := load(t, l)
	if _, again := load(t, l); first == nil || again != first {
		t.Errorf("errors %v and %v, want one error twice", first, again)
	}
	writeList(t, filepath.Join(dir, "list"), "a.example\n")
	if got, err := load(t, l); err != nil || len(got) != 1 {
		t.Errorf("after a change: %q, %v", got, err)
	}
}

// A pipe that replaces a file between the two steps of load must not block.
func TestPipeInsteadOfFile(t *testing.T) {
	dir, l := files(t, "list", map[string]string{"list": "a.example\n"})
	found, err := l.find()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "list")
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := readFiles(t.Context(), found); err == nil {
		t.Error("a pipe was read")
	}
}

// A file that changes while it is read is left for the next call.
func TestFileChangesWhileItIsRead(t *testing.T) {
	dir, l := files(t, "list", map[string]string{"list": "a.example\n"})
	found, err := l.find()
	if err != nil {
		t.Fatal(err)
	}
	writeList(t, filepath.Join(dir, "list"), "a.example\nb.exam")
	if _, err := readFiles(t.Context(), found); !errors.Is(err, errUnsettled) {
		t.Errorf("%v, want %v", err, errUnsettled)
	}
}

// A list has no end: reading it stops at the limit.
func TestEndlessFile(t *testing.T) {
	var names builder
	var read reading
	if err := readLines(t.Context(), endless("example.org\n"), "list", &names, &read); !errors.Is(err, errTooManyNames) {
		t.Errorf("%v, want %v", err, errTooManyNames)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := readLines(ctx, endless("#\n"), "list", new(builder), &read); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

// endless is a reader that repeats a text.
type endless string

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(e) <= len(p) {
		n += copy(p[n:], e)
	}
	if n == 0 {
		return 0, io.ErrShortBuffer
	}
	return n, nil
}
