//go:build integration

package integration

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The addresses of the world, all on the loopback interface of its namespace.
// Each mail or web server has the next after those of the one before.
var (
	knotAddress     = netip.MustParseAddr("192.0.2.1")
	bindAddress     = netip.MustParseAddr("192.0.2.2")
	iteratorAddress = netip.MustParseAddr("127.0.0.53")  // recurses, validates nothing
	judgeAddress    = netip.MustParseAddr("127.0.0.54")  // recurses and validates
	nobodyAddress   = netip.MustParseAddr("192.0.2.250") // nothing listens
	firstServer4    = netip.MustParseAddr("192.0.2.10")
	firstServer6    = netip.MustParseAddr("2001:db8::10")
)

// A world is a small Internet with its name servers, resolvers, mail and web
// servers, running until the test ends.
type world struct {
	dir    string // every daemon may read it
	zones  []*zone
	anchor string // the DS record of the root, in presentation format
	roots  string // the PEM file of the Web PKI's only root
	mail   map[string]*site
	web    map[string]*site
	others map[string]*site // by software

	iterator *unbound
}

// newWorld builds and starts everything that the scenarios of both tables need.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: directory(t), zones: zones(), mail: map[string]*site{}, web: map[string]*site{}, others: map[string]*site{}}
	bringUpLoopback(t)

	authority := newAuthority(t, w.dir)
	w.roots = authority.root
	at4, at6 := firstServer4, firstServer6
	place := func(s scenario, protocol string) *site {
		at4, at6 = at4.Next(), at6.Next()
		return newSite(t, authority, s, protocol, at4, at6)
	}
	for _, c := range mailCases() {
		w.mail[c.name] = place(c.scenario, "mx")
		w.zone(t, c.zone).add(t, w.mail[c.name])
	}
	for _, c := range webCases() {
		w.web[c.name] = place(c.scenario, "www")
		w.zone(t, c.zone).add(t, w.web[c.name])
	}
	for _, s := range softwares() {
		w.others[s.name] = place(s.scenario(), "host")
		w.zone(t, "").add(t, w.others[s.name])
	}

	w.publish(t)
	w.iterator = newUnbound(t, w, "iterator", iteratorAddress)
	w.iterator.start(t)
	newUnbound(t, w, "validator iterator", judgeAddress).start(t)
	resolveWith(t, w.dir, judgeAddress)
	startPostfix(t, w.dir, w.mail)
	for _, site := range w.web {
		startTLSServer(t, w.dir, site)
	}
	for _, s := range softwares() {
		site := w.others[s.name]
		s.start(t, filepath.Join(w.dir, s.name), site.IPv4, identity{site.Leaf, keyOf(site.Leaf)})
	}
	return w
}

// directory makes a directory that daemons may enter after they dropped their
// privileges, unlike that of t.TempDir.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "world-")
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

// bringUpLoopback brings up the namespace's only interface.
func bringUpLoopback(t *testing.T) {
	t.Helper()
	run(t, "ip", "link", "set", "lo", "up")
	addAddress(t, knotAddress)
	addAddress(t, bindAddress)
	addAddress(t, nobodyAddress)
}

// addAddress gives the loopback interface one more address, where it has it not.
func addAddress(t testing.TB, address netip.Addr) {
	t.Helper()
	run(t, "ip", "address", "replace", netip.PrefixFrom(address, address.BitLen()).String(), "dev", "lo")
}

// write writes a file into a directory and returns its path.
func write(t testing.TB, dir, name, content string) string {
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

// zone returns the zone of a name; the default is good.test.
func (w *world) zone(t testing.TB, name string) *zone {
	t.Helper()
	if name == "" {
		name = "good.test."
	}
	for _, z := range w.zones {
		if z.name == name {
			return z
		}
	}
	t.Fatalf("no zone %s in the world", name)
	return nil
}

// parent returns the zone that delegates to z, nil for the root.
func (w *world) parent(z *zone) *zone {
	var parent *zone
	for _, candidate := range w.zones {
		above := candidate.name == "." && z.name != "." || strings.HasSuffix(z.name, "."+candidate.name)
		if above && (parent == nil || len(candidate.name) > len(parent.name)) {
			parent = candidate
		}
	}
	return parent
}

// publish makes the keys of all zones, hangs each zone below its parent, and
// has Knot and BIND sign and serve them.
func (w *world) publish(t *testing.T) {
	t.Helper()
	knot, bind := newKnot(t, w), newBIND(t, w)
	for _, z := range w.zones {
		var ds string
		switch z.signer {
		case signedByKnot:
			ds = knot.makeKeys(t, z)
		case signedByBIND:
			ds = bind.makeKeys(t, z)
		}
		if z.wrongDS {
			ds = falsify(ds)
		}
		if parent := w.parent(z); parent != nil {
			parent.delegate(z, ds)
		} else {
			w.anchor = strings.TrimSpace(ds)
		}
	}
	bind.start(t)
	knot.start(t)
}

// falsify changes the last digit of a DS record's digest.
func falsify(ds string) string {
	ds = strings.TrimSpace(ds)
	digit := "0"
	if strings.HasSuffix(ds, digit) {
		digit = "1"
	}
	return ds[:len(ds)-1] + digit + "\n"
}

// A scenario is the part of a case that becomes real: some records in a zone,
// and a server with a certificate.
type scenario struct {
	name  string
	story string
	zone  string // that it is part of; good.test. by default
	// records are below the scenario's own name. They are a template over a
	// site: {{.IPv4}}, and {{tlsa 3 1 1 .Leaf}} for a TLSA record.
	records string
	server  server
}

// A server is what stands at a scenario's address.
type server struct {
	certificate
	absent  bool     // nothing listens
	options []string // settings of Postfix's smtpd
}

// A site is a scenario with its address and certificates: templates read its exported fields.
type site struct {
	scenario
	IPv4, IPv6         netip.Addr
	Leaf               string // PEM files
	Intermediate, Root string
	Stranger           string     // a certificate that the server does not have
	Nobody             netip.Addr // an address where nothing listens

	rest string // PEM file of what the server sends after the leaf; empty if nothing
}

// newSite makes the certificates of a scenario. host is the label of its server's name.
func newSite(t testing.TB, a *authority, s scenario, host string, v4, v6 netip.Addr) *site {
	t.Helper()
	placed := &site{scenario: s, IPv4: v4, IPv6: v6, Nobody: nobodyAddress,
		Intermediate: a.intermediate, Root: a.root, Stranger: a.stranger}
	names := s.server.names
	if len(names) == 0 {
		names = []string{host + "." + strings.TrimSuffix(placed.domain(), ".")}
	}
	issuer := a.intermediate
	if s.server.chain == selfSigned {
		issuer = ""
	}
	placed.Leaf = a.issue(t, s.name, issuer, "leaf", s.server.expired, names...)
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

// domain returns the name that the scenario's records are below.
func (s *site) domain() string {
	zone := s.zone
	if zone == "" {
		zone = "good.test."
	}
	return s.name + "." + zone
}
