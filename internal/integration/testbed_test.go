//go:build integration

package integration

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Addresses on the loopback interface of the namespace. Mail, web and STARTTLS
// servers have consecutive addresses.
var (
	knotAddress      = netip.MustParseAddr("192.0.2.1")
	bindAddress      = netip.MustParseAddr("192.0.2.2")
	resolverAddress  = netip.MustParseAddr("127.0.0.53")  // Unbound without validation
	validatorAddress = netip.MustParseAddr("127.0.0.54")  // Unbound with validation
	unusedAddress    = netip.MustParseAddr("192.0.2.250") // nothing listens
	firstServer4     = netip.MustParseAddr("192.0.2.10")
	firstServer6     = netip.MustParseAddr("2001:db8::10")
)

// Web addresses. The files of deploy/prometheus name all but the last two.
const (
	exporterAddress     = "127.0.0.1:10125"
	prometheusAddress   = "127.0.0.1:9090"
	alertmanagerAddress = "127.0.0.1:9093"
	webhookAddress      = "127.0.0.1:9095"
	labControlAddress   = "127.0.0.1:10126"
	driverAddress       = "127.0.0.1:10127" // chromedriver
)

// A testbed is a small Internet with nameservers, resolvers, mail and web
// servers. It runs until the test ends.
type testbed struct {
	dir      string // readable by every daemon
	zones    []*zone
	anchor   string // DS record of the root zone, in presentation format
	roots    string // PEM file with the only root of the Web PKI
	mail     map[string]*site
	web      map[string]*site
	starttls map[string]*site // by name of the daemon

	resolver *unbound
}

// newTestbed starts all servers of mailCases, webCases and daemons.
func newTestbed(t *testing.T) *testbed {
	t.Helper()
	tb := &testbed{dir: tempDir(t), zones: zones(), mail: map[string]*site{}, web: map[string]*site{}, starttls: map[string]*site{}}
	configureLoopback(t)

	authority := newAuthority(t, tb.dir)
	tb.roots = authority.root
	at4, at6 := firstServer4, firstServer6
	place := func(s scenario, label string) *site {
		at4, at6 = at4.Next(), at6.Next()
		return newSite(t, authority, s, label, at4, at6)
	}
	for _, c := range mailCases() {
		tb.mail[c.name] = place(c.scenario, "mx")
		tb.zone(t, c.zone).add(t, tb.mail[c.name])
	}
	for _, c := range webCases() {
		tb.web[c.name] = place(c.scenario, "www")
		tb.zone(t, c.zone).add(t, tb.web[c.name])
	}
	for _, d := range daemons() {
		tb.starttls[d.name] = place(d.scenario(), "host")
		tb.zone(t, "").add(t, tb.starttls[d.name])
	}

	tb.publish(t)
	tb.resolver = newUnbound(t, tb, "iterator", resolverAddress)
	tb.resolver.start(t)
	newUnbound(t, tb, "validator iterator", validatorAddress).start(t)
	resolveWith(t, tb.dir, validatorAddress)
	startPostfix(t, tb.dir, tb.mail)
	for _, site := range tb.web {
		startSServer(t, tb.dir, site)
	}
	for _, d := range daemons() {
		site := tb.starttls[d.name]
		d.start(t, filepath.Join(tb.dir, d.name), site.IPv4, keyPair{site.Leaf, keyOf(site.Leaf)})
	}
	return tb
}

// tempDir makes a directory that daemons can enter after they drop privileges.
// They cannot enter the directory of t.TempDir.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "testbed-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// configureLoopback brings up the only interface of the namespace.
func configureLoopback(t *testing.T) {
	t.Helper()
	run(t, "ip", "link", "set", "lo", "up")
	addAddress(t, knotAddress)
	addAddress(t, bindAddress)
	addAddress(t, unusedAddress)
}

// addAddress adds an address to the loopback interface, unless it is there.
func addAddress(t testing.TB, address netip.Addr) {
	t.Helper()
	run(t, "ip", "address", "replace", netip.PrefixFrom(address, address.BitLen()).String(), "dev", "lo")
}

// writeFile writes a file into a directory and returns its path.
func writeFile(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// readFile returns the content of a file.
func readFile(t testing.TB, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// zone returns the zone with the given name; the empty name means good.test.
func (tb *testbed) zone(t testing.TB, name string) *zone {
	t.Helper()
	if name == "" {
		name = "good.test."
	}
	for _, z := range tb.zones {
		if z.name == name {
			return z
		}
	}
	t.Fatalf("the testbed has no zone %s", name)
	return nil
}

// parent returns the zone that delegates to z, or nil for the root.
func (tb *testbed) parent(z *zone) *zone {
	var parent *zone
	for _, candidate := range tb.zones {
		above := candidate.name == "." && z.name != "." || strings.HasSuffix(z.name, "."+candidate.name)
		if above && (parent == nil || len(candidate.name) > len(parent.name)) {
			parent = candidate
		}
	}
	return parent
}

// publish makes the keys of all zones, adds the delegations, and starts Knot and
// BIND, which sign and serve the zones.
func (tb *testbed) publish(t *testing.T) {
	t.Helper()
	knot, bind := newKnot(t, tb), newBIND(t, tb)
	for _, z := range tb.zones {
		var ds string
		switch z.signer {
		case signedByKnot:
			ds = knot.makeKeys(t, z)
		case signedByBIND:
			ds = bind.makeKeys(t, z)
		}
		if z.wrongDS {
			ds = corruptDigest(ds)
		}
		if parent := tb.parent(z); parent != nil {
			parent.delegate(z, ds)
		} else {
			tb.anchor = strings.TrimSpace(ds)
		}
	}
	bind.start(t)
	knot.start(t)
}

// corruptDigest changes the last digit of the digest of a DS record.
func corruptDigest(ds string) string {
	ds = strings.TrimSpace(ds)
	digit := "0"
	if strings.HasSuffix(ds, digit) {
		digit = "1"
	}
	return ds[:len(ds)-1] + digit + "\n"
}

// A scenario is the setup of one case: records in a zone, and a server with a
// certificate.
type scenario struct {
	name string
	desc string
	zone string // the zone with the records; good.test. by default
	// records are relative to the scenario's name. They are a template over a
	// site: {{.IPv4}}, and {{tlsa 3 1 1 .Leaf}} for a TLSA record.
	records string
	server  server
}

// A server describes the server at the address of a scenario.
type server struct {
	certificate
	absent  bool     // nothing listens
	options []string // options of Postfix's smtpd, or of openssl s_server
}

// A site is a scenario with its addresses and certificates. Templates read its
// exported fields.
type site struct {
	scenario
	IPv4, IPv6         netip.Addr
	Leaf               string // PEM files
	Intermediate, Root string
	Other              string     // certificate that no server uses
	Unused             netip.Addr // address without a listener

	rest string // PEM file of the certificates after the leaf; empty if none
}

// newSite makes the certificates of a scenario. label is the first label of the
// server's name.
func newSite(t testing.TB, a *authority, s scenario, label string, v4, v6 netip.Addr) *site {
	t.Helper()
	placed := &site{scenario: s, IPv4: v4, IPv6: v6, Unused: unusedAddress,
		Intermediate: a.intermediate, Root: a.root, Other: a.other}
	certificate := s.server.certificate
	if len(certificate.names) == 0 {
		certificate.names = []string{label + "." + strings.TrimSuffix(placed.domain(), ".")}
	}
	issuer := a.intermediate
	if s.server.chain == selfSigned {
		issuer = ""
	}
	placed.Leaf = a.issue(t, s.name, issuer, "leaf", certificate)
	rest := filepath.Join(a.dir, s.name+".rest")
	switch s.server.chain {
	case whole:
		placed.rest = concatenate(t, rest, a.intermediate, a.root)
	case withoutRoot:
		placed.rest = concatenate(t, rest, a.intermediate)
	}
	addAddress(t, v4)
	addAddress(t, v6)
	return placed
}

// domain returns the name of the scenario, which its records are relative to.
func (s *site) domain() string {
	zone := s.zone
	if zone == "" {
		zone = "good.test."
	}
	return s.name + "." + zone
}
