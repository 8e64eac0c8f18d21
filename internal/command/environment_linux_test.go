package command

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// noRouteVariable makes the test binary the process of TestNoRoute.
const noRouteVariable = "DANE_EXPORTER_TEST_NO_ROUTE"

// TestNoRoute checks the errors of a machine without routes, in a network namespace
// whose loopback interface is down. It needs the privilege to create one.
func TestNoRoute(t *testing.T) {
	if os.Getenv(noRouteVariable) != "" {
		testNoRoute(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoRoute$", "-test.v")
	child.Env = append(os.Environ(), noRouteVariable+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := child.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip(err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

func testNoRoute(t *testing.T) {
	ask := queryServer(func(ctx context.Context, to netip.AddrPort, _ string) (string, error) {
		_, err := (&net.Dialer{}).DialContext(ctx, "udp", to.String())
		return "", err
	})
	for _, test := range []struct {
		address string
		want    error
		cause   dane.Cause
		errno   syscall.Errno
	}{
		{"192.0.2.1:25", probe.ErrNoRoute, dane.CauseInternal, syscall.ENETUNREACH},
		{"[2001:db8::1]:25", probe.ErrNoIPv6, dane.CauseIPv6Unavailable, syscall.EADDRNOTAVAIL},
		{"[::ffff:192.0.2.1]:25", probe.ErrNoRoute, dane.CauseInternal, syscall.ENETUNREACH},
	} {
		address := netip.MustParseAddrPort(test.address)
		_, dialErr := dial(t.Context(), netip.Addr{}, address)
		_, queryErr := ask(t.Context(), address, "")
		for _, err := range []error{dialErr, queryErr} {
			if !errors.Is(err, test.want) || !errors.Is(err, test.errno) || dane.CauseOf(err) != test.cause {
				t.Errorf("%s: %v, want %v and cause %d", test.address, err, test.want, test.cause)
			}
		}
	}

	// Without descriptors, the routes cannot be determined.
	release := exhaustDescriptors(t)
	_, err := dial(t.Context(), netip.Addr{}, netip.MustParseAddrPort("[2001:db8::1]:25"))
	release()
	if !errors.Is(err, syscall.EMFILE) || errors.Is(err, probe.ErrNoIPv6) {
		t.Errorf("without descriptors: %v", err)
	}
}
