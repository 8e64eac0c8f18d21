package repocheck

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dane_exporter/internal/command"
)

// configVariable is the environment variable that holds the path of
// config.example.yml for the program, which runs in other directories.
const configVariable = "DANE_EXPORTER_TEST_CONFIG"

// TestMain changes to the root of the repository: all paths in these tests are
// relative to it. Under the name dane_exporter, this binary is the program, so
// that the tests need no compiler to run it.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "dane_exporter" {
		example, err := os.ReadFile(os.Getenv(configVariable))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(70)
		}
		os.Exit(command.Run(os.Args[1:], example, os.Stdout, os.Stderr))
	}
	if err := os.Chdir("../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// readFile returns the content of a file of the repository.
func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// A program is dane_exporter, ready to be run.
type program struct {
	dir string   // holds the executable
	env []string // the environment to run it with; dir is in PATH
}

func newProgram(t *testing.T) program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config, err := filepath.Abs("config.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "dane_exporter")); err != nil {
		t.Fatal(err)
	}
	path := dir + string(os.PathListSeparator) + os.Getenv("PATH")
	return program{dir: dir, env: append(os.Environ(), configVariable+"="+config, "PATH="+path)}
}
