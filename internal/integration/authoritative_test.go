//go:build integration

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A knot is Knot DNS. It signs its zones when it loads them. keymgr makes the keys
// before that, so that the DS records of the parents are known.
type knot struct {
	config string
	dir    string
	zones  []*zone
}

// newKnot configures Knot for every zone that BIND does not sign.
func newKnot(t testing.TB, tb *testbed) *knot {
	t.Helper()
	k := &knot{dir: tb.dir}
	var policies, served strings.Builder
	for _, z := range tb.zones {
		if z.signer == signedByBIND {
			continue
		}
		k.zones = append(k.zones, z)
		fmt.Fprintf(&served, "  - domain: %q\n    file: %q\n    zonefile-sync: -1\n    journal-content: none\n", z.name, z.file())
		if z.signer == signedByKnot {
			fmt.Fprintf(&served, "    dnssec-signing: on\n    dnssec-policy: %q\n", z.name)
			fmt.Fprintf(&policies, "  - id: %q\n    manual: on\n    single-type-signing: off\n    cds-cdnskey-publish: always\n    nsec3: %s\n    nsec3-opt-out: %s\n    nsec3-iterations: 3\n    nsec3-salt-length: 0\n",
				z.name, onOff(z.denial != nsec), onOff(z.denial == nsec3OptOut))
		}
	}
	k.config = writeFile(t, tb.dir, "knot.conf", fmt.Sprintf(`server:
    rundir: %[1]q
    listen: [%[2]s]
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
%[4]s`, tb.dir, addresses(t, knotAddress, k.zones, "@53", ", "), &policies, &served))
	if err := os.Mkdir(filepath.Join(tb.dir, "knot"), 0o755); err != nil {
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

// start writes the zone files and starts Knot.
func (k *knot) start(t testing.TB) {
	t.Helper()
	for _, z := range k.zones {
		writeFile(t, k.dir, z.file(), z.text())
	}
	start(t, k.dir, exec.Command(program(t, "knotd"), "-c", k.config), knotAddress.String()+":53")
}

// A bind is BIND: dnssec-signzone signs the zones and named serves them.
type bind struct {
	dir   string
	zones []*zone
}

// newBIND returns BIND for the zones that it signs.
func newBIND(t testing.TB, tb *testbed) *bind {
	t.Helper()
	b := &bind{dir: tb.dir}
	for _, z := range tb.zones {
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
	unsigned := writeFile(t, b.dir, z.file(), z.text())
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
		arguments = append(arguments, "-P") // no verification: the signatures are expired on purpose
	}
	run(t, "dnssec-signzone", append(arguments, unsigned)...)
	return unsigned + ".signed"
}

// start signs the zones and starts named.
func (b *bind) start(t testing.TB) {
	t.Helper()
	var served strings.Builder
	for _, z := range b.zones {
		fmt.Fprintf(&served, "zone %q { type primary; file %q; };\n", z.name, b.sign(t, z))
	}
	config := writeFile(t, b.dir, "named.conf", fmt.Sprintf(`options {
	directory %q;
	listen-on { %s };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile none;
	recursion no;
	dnssec-validation no;
	notify no;
};
controls { };
%s`, b.dir, addresses(t, bindAddress, b.zones, ";", " "), &served))
	start(t, b.dir, exec.Command(program(t, "named"), "-g", "-n", "1", "-c", config), bindAddress.String()+":53")
}

// testNameservers checks the module that queries the zone's nameserver directly
// over UDP. The nameserver is up and has the same signed records as the resolver. That of the
// parent has the DS record, which matches a key, and is what the zone requests by CDS and CDNSKEY.
func testNameservers(t *testing.T, tb *testbed, e *exporter) {
	site := tb.mail["ee-spki-sha256"]
	if site == nil {
		t.Fatal("the testbed has no mail domain ee-spki-sha256")
	}
	read := e.probe(t, site.domain(), "smtp_mx_full")
	for _, series := range []string{"dane_nameserver_up", "dane_nameserver_tlsa_consistent", "dane_nameserver_ds_consistent", "dane_nameserver_keys_valid"} {
		if servers := read.activeLabels(series, nil, "nameserver"); len(servers) == 0 || len(servers) != len(read.families[series].GetMetric()) {
			t.Errorf("%s is 1 only at %q\n%s", series, servers, read.body)
		}
	}
	for _, series := range []string{"dane_nameserver_soa_serial", "dane_nameserver_signature_expiry_timestamp_seconds"} {
		if len(read.families[series].GetMetric()) == 0 {
			t.Errorf("%s is missing\n%s", series, read.body)
		}
	}
	for series, want := range map[string]bool{
		"dane_delegation_ds_records": true, "dane_delegation_cds_consistent": true, "dane_delegation_cds_pending": false, "dane_delegation_keys_idle": false,
	} {
		isOne := slices.Contains(read.activeLabels(series, nil, "zone"), "good.test")
		if isOne != want || len(read.families[series].GetMetric()) == 0 {
			t.Errorf("%s is 1: %t, want %t\n%s", series, isOne, want, read.body)
		}
	}
	if outcome := read.outcome(t); outcome != "authenticated" || slices.Contains(read.reasons(), "nameserver_inconsistent") {
		t.Errorf("outcome %s, reasons %q; want authenticated without nameserver_inconsistent\n%s", outcome, read.reasons(), read.body)
	}
}
