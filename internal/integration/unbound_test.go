//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// unbound is one Unbound, which can be stopped and started again.
type unbound struct {
	dir, config string
	address     netip.AddrPort
	process     *process
}

// newUnbound configures an Unbound with the given modules at port 53 of an address.
func newUnbound(t testing.TB, w *world, modules string, address netip.Addr) *unbound {
	t.Helper()
	name := strings.ReplaceAll(modules, " ", "-")
	hints := write(t, w.dir, "root.hints", fmt.Sprintf(". NS ns.\nns. A %s\n", knotAddress))
	anchors := ""
	if strings.Contains(modules, "validator") {
		anchors = fmt.Sprintf("trust-anchor: %q\n\tval-sig-skew-min: 0\n\tval-sig-skew-max: 0", w.anchor)
	}
	// "test." is a special-use name (RFC 6761), which Unbound answers by itself unless told otherwise.
	config := write(t, w.dir, name+".conf", fmt.Sprintf(`server:
	directory: %q
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	verbosity: 1
	num-threads: 1
	interface: %s
	access-control: 127.0.0.0/8 allow
	do-ip6: no
	root-hints: %q
	module-config: %q
	local-zone: "test." nodefault
	%s
remote-control:
	control-enable: no
`, w.dir, address, hints, modules, anchors))
	return &unbound{dir: w.dir, config: config, address: netip.AddrPortFrom(address, 53)}
}

// start starts it, with an empty cache.
func (u *unbound) start(t testing.TB) {
	t.Helper()
	u.process = start(t, u.dir, exec.Command(program(t, "unbound"), "-d", "-c", u.config), u.address.String())
}

// stop stops it: nothing listens at its address.
func (u *unbound) stop(t testing.TB) {
	t.Helper()
	u.process.stop(t)
}

// resolveWith makes a validating resolver that of the C library, whose clients
// then believe its AD bit. Only the test's mount namespace sees it.
func resolveWith(t testing.TB, dir string, address netip.Addr) {
	t.Helper()
	file := write(t, dir, "resolv.conf", fmt.Sprintf("nameserver %s\noptions edns0 trust-ad\n", address))
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatalf("make the mounts private: %v", err)
	}
	if err := syscall.Mount(file, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		t.Fatalf("bind /etc/resolv.conf: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount("/etc/resolv.conf", 0); err != nil {
			t.Errorf("give /etc/resolv.conf back: %v", err)
		}
	})
}
