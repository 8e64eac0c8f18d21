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

// A judge is a validating Unbound that asks a mutator, and can be told to
// forget what it heard.
type judge struct {
	address netip.Addr
	control string // the socket that takes orders
}

// startJudge starts one. It is to judge by the same rules as we do: times are
// strict, and NSEC3 iterations are limited alike. What hardens a resolver by
// going beyond the RFCs is off: of every algorithm in a DS set, one that works
// is enough (RFC 6840 §5.11), and NSEC records answer for no other question.
// It asks once: what a mutator says does not get better.
func startJudge(t testing.TB, w *world, address, mutator netip.Addr) *judge {
	t.Helper()
	name := "judge-" + address.String()
	j := &judge{address: address, control: filepath.Join(w.dir, name+".control")}
	config := write(t, w.dir, name+".conf", fmt.Sprintf(`server:
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
`, w.dir, address, w.anchor, mutator, j.control, nsec3Limit))
	start(t, w.dir, exec.Command(program(t, "unbound"), "-d", "-c", config), netip.AddrPortFrom(address, 53).String())
	return j
}

// forget empties all its caches.
func (j *judge) forget() error {
	for _, order := range []string{"flush_zone .", "flush_infra all"} {
		if err := j.order(order); err != nil {
			return err
		}
	}
	return nil
}

// order sends one line to its control socket, as unbound-control does.
func (j *judge) order(line string) error {
	connection, err := net.DialTimeout("unix", j.control, patience)
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(connection, "UBCT1 %s\n", line); err != nil {
		return fmt.Errorf("order %q: %w", line, err)
	}
	reply, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil || !strings.HasPrefix(reply, "ok") {
		return fmt.Errorf("order %q: %q %v", line, reply, err)
	}
	return nil
}

// ask returns what it says of a question when it has heard nothing before.
func (j *judge) ask(q question) (*dns.Msg, error) {
	if err := j.forget(); err != nil {
		return nil, err
	}
	query := new(dns.Msg)
	query.SetQuestion(q.name, q.qtype)
	query.SetEdns0(4096, true)
	client := dns.Client{Net: "tcp", Timeout: patience}
	response, _, err := client.Exchange(query, netip.AddrPortFrom(j.address, 53).String())
	if err != nil {
		return nil, fmt.Errorf("ask Unbound at %s for %s: %w", j.address, q, err)
	}
	return response, nil
}

// delv is BIND's validator as a command.
type delv struct {
	server  netip.Addr // whom it asks
	anchors string     // the file of the world's trust anchor, in BIND's words
}

func newDelv(t testing.TB, w *world, server netip.Addr) delv {
	t.Helper()
	fields := strings.Fields(w.anchor) // . DS tag algorithm digest-type digest
	ds := fields[len(fields)-4:]
	return delv{server, write(t, w.dir, "delv.anchors",
		fmt.Sprintf("trust-anchors { . static-ds %s %s %s %q; };\n", ds[0], ds[1], ds[2], ds[3]))}
}

// status returns delv's verdict on one look-up, and what it said. An answer
// of several steps is as good as its worst.
func (d delv) status(t testing.TB, q question) (dnssec.Status, string) {
	t.Helper()
	said := say(t, "delv", "@"+d.server.String(), "-a", d.anchors, "+root=.", "+multiline", q.name, dns.TypeToString[q.qtype])
	switch {
	case strings.Contains(said, "resolution failed: ") && !strings.Contains(said, "resolution failed: ncache"):
		return dnssec.Bogus, said
	case strings.Contains(said, "pending validation"): // it found no way to, and shows what it got
		return dnssec.Bogus, said
	case strings.Contains(said, "unsigned answer"), strings.Contains(said, "unsigned additional data"):
		return dnssec.Insecure, said
	case strings.Contains(said, "fully validated"):
		return dnssec.Secure, said
	default:
		t.Errorf("%s: delv says neither that it validated nor that it did not:\n%s", q, said)
		return dnssec.Indeterminate, said
	}
}

// testResolverLost takes the exporter's only resolver away between scrapes, in
// two ways, and gives it back. That is nobody's fault but ours, and the outcome
// says so.
func testResolverLost(t *testing.T, w *world, e *exporter) {
	domain := w.mail["ee-spki-sha256"].domain()
	scrape := func(when, outcome string, reasons ...string) {
		t.Helper()
		got := e.probe(t, domain, "smtp_mx")
		if got.outcome(t) != outcome || !contains(got.reasons(), reasons) {
			t.Errorf("%s: %s because of %q, want %s because of %q", when, got.outcome(t), got.reasons(), outcome, reasons)
		}
	}
	scrape("before", "authenticated")

	w.iterator.stop(t)
	scrape("nothing listens at the resolver's address", "unknown", "resolver_unreachable")
	w.iterator.start(t)
	scrape("the resolver was started again", "authenticated")

	signal := func(s syscall.Signal) {
		t.Helper()
		if err := w.iterator.process.command.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	scrape("the resolver hangs", "unknown", "resolver_unreachable")
	signal(syscall.SIGCONT)
	scrape("the resolver goes on", "authenticated")
}
