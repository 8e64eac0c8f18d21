//go:build integration

package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// binaryVariable tells the process inside the namespaces where the exporter
// is; its presence says that the process is inside.
const binaryVariable = "DANE_EXPORTER_INTEGRATION_BINARY"

// TestMain builds the exporter where the network is, and then runs the tests
// where it is not: in this program again, first process of new namespaces.
func TestMain(m *testing.M) {
	if os.Getenv(binaryVariable) != "" {
		os.Exit(m.Run())
	}
	status, err := runInNamespaces()
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		os.Exit(1)
	}
	os.Exit(status)
}

// runInNamespaces returns the exit status of the tests. Nothing outlives them,
// however they end: the kernel ends a process namespace with its first process,
// and their temporary files are below a directory of ours.
func runInNamespaces() (status int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("only root may make network namespaces: run the tests as root")
	}
	dir, err := os.MkdirTemp("", "dane_exporter-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // daemons that dropped their privileges enter it
		return 0, err
	}
	binary := filepath.Join(dir, "dane_exporter")
	build := exec.Command("go", "build", "-o", binary, "dane_exporter")
	if output, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, output)
	}

	// The death signal follows the thread that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tests := exec.Command("/proc/self/exe", os.Args[1:]...)
	tests.Env = append(os.Environ(), binaryVariable+"="+binary, "TMPDIR="+dir)
	tests.Stdout, tests.Stderr = os.Stdout, os.Stderr
	tests.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	err = tests.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("start the tests in namespaces of their own: %w", err)
	}
	return 0, nil
}
