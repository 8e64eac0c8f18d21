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

// TestIntegration builds the world once and asks everything about it. What
// breaks the world comes last.
func TestIntegration(t *testing.T) {
	w := newWorld(t)
	e := startExporter(t, w)
	t.Run("dnssec", func(t *testing.T) { testDNSSEC(t, w) })
	t.Run("delv", func(t *testing.T) { testDelv(t, w) })
	t.Run("mail", func(t *testing.T) { testMail(t, w, e) })
	t.Run("nameservers", func(t *testing.T) { testNameservers(t, w, e) })
	t.Run("keys", func(t *testing.T) { testKeys(t, w, e) })
	t.Run("web", func(t *testing.T) { testWeb(t, w, e) })
	t.Run("protocols", func(t *testing.T) { testProtocols(t, w, e) })
	t.Run("resolver", func(t *testing.T) { testResolverLost(t, w, e) })
}

// ask sends one query, as a client that wants to know of DNSSEC, and returns the response.
func ask(t testing.TB, server netip.Addr, name string, qtype uint16) *dns.Msg {
	t.Helper()
	query := new(dns.Msg)
	query.SetQuestion(dns.Fqdn(name), qtype)
	query.SetEdns0(1232, true)
	client := dns.Client{Net: "tcp", Timeout: patience}
	response, _, err := client.Exchange(query, netip.AddrPortFrom(server, 53).String())
	if err != nil {
		t.Fatalf("ask %s for %s %s: %v", server, name, dns.TypeToString[qtype], err)
	}
	return response
}

// contains reports whether all wanted strings are in list.
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
