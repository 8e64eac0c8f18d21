//go:build integration

package integration

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
)

// An unbound is an Unbound resolver that can be stopped and started again.
type unbound struct {
	dir, config string
	address     netip.AddrPort
	process     *process
}

// newUnbound configures an Unbound with the given modules at port 53 of an address. settings
// are lines of its server section. With the default of ten TCP connections, Unbound would close
// those of parallel tests that send no query within 200 ms.
func newUnbound(t testing.TB, tb *testbed, modules string, address netip.Addr, settings ...string) *unbound {
	t.Helper()
	name := strings.ReplaceAll(modules, " ", "-") + "-" + address.String()
	hints := writeFile(t, tb.dir, "root.hints", fmt.Sprintf(". NS ns.\nns. A %s\n", knotAddress))
	anchors := ""
	if strings.Contains(modules, "validator") {
		anchors = fmt.Sprintf("trust-anchor: %q\n\tval-sig-skew-min: 0\n\tval-sig-skew-max: 0", tb.anchor)
	}
	// Unbound answers the special-use domain "test." (RFC 6761) itself unless it is configured as nodefault.
	config := writeFile(t, tb.dir, name+".conf", fmt.Sprintf(`server:
	directory: %q
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	verbosity: 1
	num-threads: 1
	incoming-num-tcp: 64
	interface: %s
	access-control: 127.0.0.0/8 allow
	do-ip6: no
	root-hints: %q
	module-config: %q
	local-zone: "test." nodefault
	%s
	%s
remote-control:
	control-enable: no
`, tb.dir, address, hints, modules, anchors, strings.Join(settings, "\n\t")))
	return &unbound{dir: tb.dir, config: config, address: netip.AddrPortFrom(address, 53)}
}

// start starts Unbound with an empty cache.
func (u *unbound) start(t testing.TB) {
	t.Helper()
	u.process = start(t, u.dir, exec.Command(program(t, "unbound"), "-d", "-c", u.config), u.address.String())
}

// stop stops Unbound. Its address then has no listener.
func (u *unbound) stop(t testing.TB) {
	t.Helper()
	u.process.stop(t)
}

// resolveWith makes the C library use a validating resolver and trust its AD bit.
// The change is limited to the mount namespace of the tests.
func resolveWith(t testing.TB, dir string, address netip.Addr) {
	t.Helper()
	file := writeFile(t, dir, "resolv.conf", fmt.Sprintf("nameserver %s\noptions edns0 trust-ad\n", address))
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatalf("make all mounts private: %v", err)
	}
	if err := syscall.Mount(file, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		t.Fatalf("mount over /etc/resolv.conf: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount("/etc/resolv.conf", 0); err != nil {
			t.Errorf("unmount /etc/resolv.conf: %v", err)
		}
	})
}

// A validator is a validating Unbound behind a mutator, whose caches can be
// flushed.
type validator struct {
	address netip.Addr
	control string // path of its control socket
}

// startValidator starts a validator with the same rules as ours: strict times and
// the same limit of NSEC3 iterations. Hardening beyond the RFCs is off: one
// working algorithm of a DS set is enough (RFC 6840 §5.11), and NSEC records
// answer no other question. It does not retry bogus data, because a mutator
// repeats its answers.
func startValidator(t testing.TB, tb *testbed, address, mutator netip.Addr) *validator {
	t.Helper()
	name := "validator-" + address.String()
	v := &validator{address: address, control: filepath.Join(tb.dir, name+".control")}
	config := writeFile(t, tb.dir, name+".conf", fmt.Sprintf(`server:
	directory: %q
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	verbosity: 0
	num-threads: 1
	interface: %s
	access-control: 127.0.0.0/8 allow
	do-not-query-localhost: no
	do-ip6: no
	edns-buffer-size: 4096
	msg-cache-size: 1m
	rrset-cache-size: 1m
	key-cache-size: 1m
	neg-cache-size: 0
	local-zone: "test." nodefault
	module-config: "validator iterator"
	trust-anchor: %q
	val-sig-skew-min: 0
	val-sig-skew-max: 0
	val-max-restart: 0
	val-nsec3-keysize-iterations: "1024 %[6]d 2048 %[6]d 4096 %[6]d"
	harden-algo-downgrade: no
	harden-below-nxdomain: no
	harden-dnssec-stripped: yes
	harden-referral-path: no
	aggressive-nsec: no
	qname-minimisation: no
	minimal-responses: no
	serve-expired: no
forward-zone:
	name: "."
	forward-addr: %[4]s
remote-control:
	control-enable: yes
	control-interface: %[5]q
`, tb.dir, address, tb.anchor, mutator, v.control, nsec3Limit))
	start(t, tb.dir, exec.Command(program(t, "unbound"), "-d", "-c", config), netip.AddrPortFrom(address, 53).String())
	return v
}

// flush empties all caches.
func (v *validator) flush() error {
	for _, command := range []string{"flush_zone .", "flush_infra all"} {
		if err := v.command(command); err != nil {
			return err
		}
	}
	return nil
}

// command sends one line to the control socket, as unbound-control does.
func (v *validator) command(line string) error {
	connection, err := net.DialTimeout("unix", v.control, timeout)
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(timeout))
	if _, err := fmt.Fprintf(connection, "UBCT1 %s\n", line); err != nil {
		return fmt.Errorf("unbound command %q: %w", line, err)
	}
	reply, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil || !strings.HasPrefix(reply, "ok") {
		return fmt.Errorf("unbound command %q: reply %q, error %v", line, reply, err)
	}
	return nil
}

// ask flushes the caches and returns the response to a question.
func (v *validator) ask(q question) (*dns.Msg, error) {
	if err := v.flush(); err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.qtype)
	m.SetEdns0(4096, true)
	client := dns.Client{Net: "tcp", Timeout: timeout}
	response, _, err := client.Exchange(m, netip.AddrPortFrom(v.address, 53).String())
	if err != nil {
		return nil, fmt.Errorf("query Unbound at %s for %s: %w", v.address, q, err)
	}
	return response, nil
}

// A delv runs BIND's command-line validator.
type delv struct {
	server  netip.Addr // the resolver that delv queries
	anchors string     // file with the trust anchor of the testbed, in BIND's syntax
}

func newDelv(t testing.TB, tb *testbed, server netip.Addr) delv {
	t.Helper()
	fields := strings.Fields(tb.anchor) // . DS tag algorithm digest-type digest
	ds := fields[len(fields)-4:]
	return delv{server, writeFile(t, tb.dir, "delv.anchors",
		fmt.Sprintf("trust-anchors { . static-ds %s %s %s %q; };\n", ds[0], ds[1], ds[2], ds[3]))}
}

// status returns delv's verdict on one lookup, and its output. The verdict on an
// alias chain is the worst of its steps.
func (d delv) status(t testing.TB, q question) (dnssec.Status, string) {
	t.Helper()
	text := output(t, "delv", "@"+d.server.String(), "-a", d.anchors, "+root=.", "+multiline", q.name, dns.TypeToString[q.qtype])
	switch {
	case strings.Contains(text, "resolution failed: ") && !strings.Contains(text, "resolution failed: ncache"):
		return dnssec.Bogus, text
	case strings.Contains(text, "pending validation"): // delv prints data that it could not validate
		return dnssec.Bogus, text
	case strings.Contains(text, "unsigned answer"), strings.Contains(text, "unsigned additional data"):
		return dnssec.Insecure, text
	case strings.Contains(text, "fully validated"):
		return dnssec.Secure, text
	default:
		t.Errorf("%s: no verdict in the output of delv:\n%s", q, text)
		return dnssec.Indeterminate, text
	}
}

// testResolverLost stops the exporter's only resolver between scrapes, in two
// ways, and starts it again. A lost resolver makes the outcome unknown, because
// the target is not at fault. Failed lookups are cached for some seconds.
func testResolverLost(t *testing.T, tb *testbed, e *exporter) {
	domain := tb.mail["ee-spki-sha256"].domain()
	scrape := func(when, outcome string, reasons ...string) {
		t.Helper()
		got := e.probe(t, domain, "smtp_mx")
		if got.outcome(t) != outcome || !contains(got.reasons(), reasons) {
			t.Errorf("%s: outcome %s, reasons %q; want %s and %q", when, got.outcome(t), got.reasons(), outcome, reasons)
		}
	}
	recovers := func(when string) {
		t.Helper()
		waitFor(t, when+": the outcome is authenticated", func() bool { return e.probe(t, domain, "smtp_mx").outcome(t) == "authenticated" })
	}
	scrape("before the resolver stops", "authenticated")

	tb.resolver.stop(t)
	scrape("the resolver is stopped", "unknown", "resolver_unreachable")
	tb.resolver.start(t)
	recovers("the resolver is started again")

	signal(t, tb.resolver.process, syscall.SIGSTOP)
	scrape("the resolver hangs", "unknown", "resolver_unreachable")
	signal(t, tb.resolver.process, syscall.SIGCONT)
	recovers("the resolver answers again")
}
