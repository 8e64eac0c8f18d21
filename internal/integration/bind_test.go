//go:build integration

package integration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bind is BIND: dnssec-signzone signs, named serves.
type bind struct {
	dir   string
	zones []*zone
}

// newBIND returns BIND for the zones that it signs.
func newBIND(t testing.TB, w *world) *bind {
	t.Helper()
	b := &bind{dir: w.dir}
	for _, z := range w.zones {
		if z.signer == signedByBIND {
			b.zones = append(b.zones, z)
		}
	}
	return b
}

// makeKeys makes a key-signing and a zone-signing key and returns the DS record.
func (b *bind) makeKeys(t testing.TB, z *zone) string {
	t.Helper()
	key := strings.TrimSpace(run(t, "dnssec-keygen", "-q", "-K", b.dir, "-a", z.algorithm, "-f", "KSK", z.name))
	run(t, "dnssec-keygen", "-q", "-K", b.dir, "-a", z.algorithm, z.name)
	return run(t, "dnssec-dsfromkey", "-2", filepath.Join(b.dir, key+".key"))
}

// sign writes the signed zone and returns its path.
func (b *bind) sign(t testing.TB, z *zone) string {
	t.Helper()
	unsigned := write(t, b.dir, z.file(), z.text())
	from, until := -24*time.Hour, 24*time.Hour
	if z.expired {
		until = -time.Hour
	}
	timestamp := func(after time.Duration) string { return time.Now().UTC().Add(after).Format("20060102150405") }
	arguments := []string{"-S", "-K", b.dir, "-d", b.dir, "-o", z.name, "-f", unsigned + ".signed", "-s", timestamp(from), "-e", timestamp(until)}
	if z.denial != nsec {
		salt := z.salt
		if salt == "" {
			salt = "-"
		}
		arguments = append(arguments, "-3", salt, "-H", "0")
	}
	if z.denial == nsec3OptOut {
		arguments = append(arguments, "-A")
	}
	if z.expired {
		arguments = append(arguments, "-P") // signed so on purpose: no verification
	}
	run(t, "dnssec-signzone", append(arguments, unsigned)...)
	return unsigned + ".signed"
}

// start signs the zones and serves them.
func (b *bind) start(t testing.TB) {
	t.Helper()
	var served strings.Builder
	for _, z := range b.zones {
		fmt.Fprintf(&served, "zone %q { type primary; file %q; };\n", z.name, b.sign(t, z))
	}
	config := write(t, b.dir, "named.conf", fmt.Sprintf(`options {
	directory %q;
	listen-on { %s; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile none;
	recursion no;
	dnssec-validation no;
	notify no;
};
controls { };
%s`, b.dir, bindAddress, &served))
	start(t, b.dir, exec.Command(program(t, "named"), "-g", "-n", "1", "-c", config), bindAddress.String()+":53")
}
