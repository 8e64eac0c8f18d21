package starttls

import "slices"

// Protocol is one row of the table of protocols.
type Protocol struct {
	Name        string   // as the configuration and the command line spell it
	Ports       []uint16 // default ports; must not be modified
	NeedsEHLO   bool     // Settings.EHLO is required
	NeedsDomain bool     // Settings.Domain is required: the server may answer differently for each domain
	ALPN        string   // protocol name that clients send in TLS (RFC 7301); empty: they send none
	Mutual      bool     // clients are servers too, and have a certificate for TLS that a server may require

	silent     bool                      // a client that needs only TLS has nothing to say inside
	implicit   bool                      // TLS begins with the first byte, and negotiator is for what follows
	negotiator func(Settings) negotiator // nil: no dialogue before TLS and none inside
}

// ImplicitTLS is the name of the protocol without a dialogue: TLS begins with
// the first byte, which RFC 8314 §3 calls implicit TLS.
const ImplicitTLS = "tls"

// registry lists the protocols, sorted by name. It is never modified.
var registry = [...]Protocol{
	{Name: "imap", Ports: []uint16{143}, ALPN: "imap", negotiator: newIMAP},
	{Name: "ldap", Ports: []uint16{389}, negotiator: newLDAP},
	{Name: "lmtp", Ports: []uint16{24}, NeedsEHLO: true, negotiator: newLMTP},
	{Name: "pop3", Ports: []uint16{110}, ALPN: "pop3", negotiator: newPOP3},
	{Name: "postgres", Ports: []uint16{5432}, ALPN: "postgresql", silent: true, negotiator: newPostgres},
	{Name: "sieve", Ports: []uint16{4190}, ALPN: "managesieve", negotiator: newSieve},
	{Name: "smtp", Ports: []uint16{25, 587}, NeedsEHLO: true, negotiator: newSMTP},
	{Name: ImplicitTLS}, // every other port
	{Name: "xmpp-client", Ports: []uint16{5222}, NeedsDomain: true, negotiator: newXMPPClient},
	{Name: "xmpp-server", Ports: []uint16{5269}, NeedsDomain: true, Mutual: true, negotiator: newXMPPServer},
}

// Protocols returns all protocols, sorted by name.
func Protocols() []Protocol { return slices.Clone(registry[:]) }

// Names returns the names of all protocols, sorted.
func Names() []string {
	names := make([]string, len(registry))
	for i, p := range registry {
		names[i] = p.Name
	}
	return names
}

// Lookup returns the protocol of that name, and whether there is one.
func Lookup(name string) (Protocol, bool) {
	for _, p := range registry {
		if p.Name == name {
			return p, true
		}
	}
	return Protocol{}, false
}

// ByPort returns the protocol that has port among its default ports, and
// [ImplicitTLS] if there is none.
func ByPort(port uint16) Protocol {
	for _, p := range registry {
		if slices.Contains(p.Ports, port) {
			return p
		}
	}
	p, _ := Lookup(ImplicitTLS)
	return p
}
