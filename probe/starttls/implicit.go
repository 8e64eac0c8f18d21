package starttls

// application is a protocol that is spoken inside TLS from the first byte.
type application struct {
	port     uint16 // assigned by IANA
	service  string // name in SRV records, without underscore; empty: none
	protocol Protocol
}

// applications lists the protocols inside [ImplicitTLS] whose clients send a name
// in ALPN or have a first exchange. The names are those of IANA's registry of ALPN
// protocol IDs, which has none for SMTP and LDAP. It is never modified.
var applications = [...]application{
	{443, "", Protocol{ALPN: "http/1.1"}},
	{465, "submissions", Protocol{NeedsEHLO: true, negotiator: newSMTP}},
	{636, "ldaps", Protocol{negotiator: newLDAP}},
	{853, "", Protocol{ALPN: "dot"}},
	{993, "imaps", Protocol{ALPN: "imap", negotiator: newIMAP}},
	{995, "pop3s", Protocol{ALPN: "pop3", negotiator: newPOP3}},
	{5223, "xmpps-client", Protocol{NeedsDomain: true, ALPN: "xmpp-client", negotiator: newXMPPClient}},               // XEP-0368
	{5270, "xmpps-server", Protocol{NeedsDomain: true, ALPN: "xmpp-server", Mutual: true, negotiator: newXMPPServer}}, // XEP-0368
	{5432, "", Protocol{ALPN: "postgresql"}},                                                                          // sslnegotiation=direct of libpq
}

// Resolve returns the protocol of that name, and whether there is one. For
// [ImplicitTLS], it is the protocol inside TLS, as far as it is known. The service
// of the SRV record that named the server selects it, or the port if service is
// empty.
func Resolve(name, service string, port uint16) (Protocol, bool) {
	p, ok := Lookup(name)
	if name != ImplicitTLS {
		return p, ok
	}
	for _, a := range applications {
		if service != "" && service == a.service || service == "" && port == a.port {
			p = a.protocol
			p.Name = ImplicitTLS
		}
	}
	p.implicit = true
	return p, ok
}
