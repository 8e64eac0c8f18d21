package starttls

import (
	"slices"
	"strings"
	"testing"
)

func TestRegistry(t *testing.T) {
	all := Protocols()
	if !slices.IsSortedFunc(all, func(a, b Protocol) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("not sorted by name: %q", Names())
	}
	byPort := make(map[uint16]string)
	for i, p := range all {
		if i > 0 && p.Name == all[i-1].Name || !isWord(p.Name) {
			t.Errorf("the name %q is malformed or not unique", p.Name)
		}
		if (p.negotiator == nil) != (p.Name == ImplicitTLS) || (len(p.Ports) == 0) != (p.Name == ImplicitTLS) {
			t.Errorf("%s: no constructor or no port", p.Name)
		}
		if found, ok := Lookup(p.Name); !ok || found.Name != p.Name {
			t.Errorf("Lookup(%q) = %q, %v", p.Name, found.Name, ok)
		}
		for _, port := range p.Ports {
			if other, taken := byPort[port]; taken || port == 0 {
				t.Errorf("%s: port %d is zero or belongs to %s", p.Name, port, other)
			}
			byPort[port] = p.Name
		}
	}
	for port, want := range map[uint16]string{
		24: "lmtp", 25: "smtp", 110: "pop3", 143: "imap", 389: "ldap", 587: "smtp", 4190: "sieve",
		5222: "xmpp-client", 5269: "xmpp-server", 5432: "postgres", 465: ImplicitTLS, 993: ImplicitTLS, 0: ImplicitTLS,
	} {
		if got := ByPort(port).Name; got != want {
			t.Errorf("ByPort(%d) = %s, want %s", port, got, want)
		}
	}
	if p, ok := Lookup("gopher"); ok || p.Name != "" {
		t.Errorf("found %q", p.Name)
	}
}

// New requires the settings that the table says a protocol needs, and no others.
func TestRequiredSettings(t *testing.T) {
	for _, p := range Protocols() {
		if _, err := New(p.Name, Settings{EHLO: "probe.example.net"}); (err == nil) == p.NeedsDomain {
			t.Errorf("%s without a domain: %v", p.Name, err)
		}
		if _, err := New(p.Name, Settings{Domain: "example.org"}); (err == nil) == p.NeedsEHLO {
			t.Errorf("%s without an EHLO name: %v", p.Name, err)
		}
	}
}
