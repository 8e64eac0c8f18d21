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
	"testing"
	"time"

	"github.com/miekg/dns"
)

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
