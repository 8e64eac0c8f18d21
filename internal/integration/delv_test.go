//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
)

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
