//go:build integration

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// knot is Knot DNS. It signs its zones as it loads them, with keys that
// keymgr makes beforehand, so that the parents' DS records are known.
type knot struct {
	config string
	dir    string
	zones  []*zone
}

// newKnot configures Knot for every zone that BIND does not serve.
func newKnot(t testing.TB, w *world) *knot {
	t.Helper()
	k := &knot{dir: w.dir}
	var policies, served strings.Builder
	for _, z := range w.zones {
		if z.signer == signedByBIND {
			continue
		}
		k.zones = append(k.zones, z)
		fmt.Fprintf(&served, "  - domain: %q\n    file: %q\n    zonefile-sync: -1\n    journal-content: none\n", z.name, z.file())
		if z.signer == signedByKnot {
			fmt.Fprintf(&served, "    dnssec-signing: on\n    dnssec-policy: %q\n", z.name)
			fmt.Fprintf(&policies, "  - id: %q\n    manual: on\n    single-type-signing: off\n    cds-cdnskey-publish: none\n    nsec3: %s\n    nsec3-opt-out: %s\n    nsec3-iterations: 3\n    nsec3-salt-length: 0\n",
				z.name, onOff(z.denial != nsec), onOff(z.denial == nsec3OptOut))
		}
	}
	k.config = write(t, w.dir, "knot.conf", fmt.Sprintf(`server:
    rundir: %[1]q
    listen: %[2]s@53
    udp-workers: 1
    tcp-workers: 1
    background-workers: 2
log:
  - target: stderr
    any: info
database:
    storage: "%[1]s/knot"
template:
  - id: default
    storage: %[1]q
policy:
%[3]szone:
%[4]s`, w.dir, knotAddress, &policies, &served))
	if err := os.Mkdir(filepath.Join(w.dir, "knot"), 0o755); err != nil {
		t.Fatal(err)
	}
	return k
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// makeKeys makes a key-signing and a zone-signing key and returns the DS record.
func (k *knot) makeKeys(t testing.TB, z *zone) string {
	t.Helper()
	run(t, "keymgr", "-c", k.config, z.name, "generate", "algorithm="+z.algorithm, "ksk=yes")
	run(t, "keymgr", "-c", k.config, z.name, "generate", "algorithm="+z.algorithm, "zsk=yes")
	for line := range strings.Lines(run(t, "keymgr", "-c", k.config, z.name, "ds")) {
		if fields := strings.Fields(line); len(fields) > 5 && fields[4] == "2" { // SHA-256
			return line
		}
	}
	t.Fatalf("keymgr made no SHA-256 DS record for %s", z.name)
	return ""
}

// start serves the zones.
func (k *knot) start(t testing.TB) {
	t.Helper()
	for _, z := range k.zones {
		write(t, k.dir, z.file(), z.text())
	}
	start(t, k.dir, exec.Command(program(t, "knotd"), "-c", k.config), knotAddress.String()+":53")
}
