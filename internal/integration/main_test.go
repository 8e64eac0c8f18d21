//go:build integration

package integration

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// binaryEnv is the environment variable with the path of the exporter's binary.
// It is set only in the process inside the namespaces.
const binaryEnv = "DANE_EXPORTER_INTEGRATION_BINARY"

// pebbleBinary is the path of Pebble, the ACME server, inside the namespaces.
func pebbleBinary() string { return filepath.Join(filepath.Dir(os.Getenv(binaryEnv)), "pebble") }

// axePath returns the path of axe, the accessibility checker, inside the namespaces.
func axePath() string {
	return filepath.Join(filepath.Dir(os.Getenv(binaryEnv)), "axe/node_modules/axe-core/axe.min.js")
}

// TestMain builds the exporter and Pebble and installs axe, which may need the network, and runs the tests
// in a child process inside new namespaces, which have none.
func TestMain(m *testing.M) {
	if os.Getenv(binaryEnv) != "" {
		os.Exit(m.Run())
	}
	status, err := runInNamespaces()
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		os.Exit(1)
	}
	os.Exit(status)
}

// runInNamespaces returns the exit status of the tests. The kernel kills all
// processes of a process namespace with its first one, and all temporary files
// are below one directory, so nothing outlives the tests.
func runInNamespaces() (status int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("network namespaces need root: run the tests as root")
	}
	dir, err := os.MkdirTemp("", "dane_exporter-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // readable by daemons without privileges
		return 0, err
	}
	binary := filepath.Join(dir, "dane_exporter")
	axe := filepath.Join(dir, "axe")
	if err := os.CopyFS(axe, os.DirFS("../../tools/axe")); err != nil {
		return 0, err
	}
	for _, build := range []*exec.Cmd{
		exec.Command("go", "build", "-o", binary, "dane_exporter"),
		exec.Command("go", "build", "-modfile=../../tools/pebble/go.mod", "-o", dir, "github.com/letsencrypt/pebble/v2/cmd/pebble"),
		exec.Command("npm", "ci", "--prefix", axe, "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"),
	} {
		if output, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%s: %w\n%s", build, err, output)
		}
	}

	// The kernel sends the death signal when the thread that started the process ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tests := exec.Command("/proc/self/exe", os.Args[1:]...)
	tests.Env = append(os.Environ(), binaryEnv+"="+binary, "TMPDIR="+dir)
	tests.Stdout, tests.Stderr = os.Stdout, os.Stderr
	tests.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	err = tests.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("start the tests in new namespaces: %w", err)
	}
	return 0, nil
}

// TestIntegration builds the testbed once and runs all comparisons against it.
// The resolver test comes last, since it stops the resolver.
func TestIntegration(t *testing.T) {
	tb := newTestbed(t)
	e := startExporter(t, tb)
	t.Run("dnssec", func(t *testing.T) { testDNSSEC(t, tb) })
	t.Run("delv", func(t *testing.T) { testDelv(t, tb) })
	t.Run("mail", func(t *testing.T) { testMail(t, tb, e) })
	t.Run("nameservers", func(t *testing.T) { testNameservers(t, tb, e) })
	t.Run("keys", func(t *testing.T) { testKeys(t, tb, e) })
	t.Run("web", func(t *testing.T) { testWeb(t, tb, e) })
	t.Run("protocols", func(t *testing.T) { testProtocols(t, tb, e) })
	t.Run("resolver", func(t *testing.T) { testResolverLost(t, tb, e) })
}

// query sends one query with the DO bit over TCP and returns the response.
func query(t testing.TB, server netip.Addr, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.SetEdns0(1232, true)
	client := dns.Client{Net: "tcp", Timeout: timeout}
	response, _, err := client.Exchange(m, netip.AddrPortFrom(server, 53).String())
	if err != nil {
		t.Fatalf("query %s for %s %s: %v", server, name, dns.TypeToString[qtype], err)
	}
	return response
}

// contains reports whether list has all wanted strings.
func contains(list, wanted []string) bool {
	for _, w := range wanted {
		if !slices.Contains(list, w) {
			return false
		}
	}
	return true
}

func firstLabel(name string) string {
	label, _, _ := strings.Cut(name, ".")
	return label
}
