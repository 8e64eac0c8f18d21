//go:build integration

package integration

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

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
