package lab

import (
	"fmt"
	"net/netip"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// srvScenarios: services that SRV records name (RFC 7673). The domain is the
// service's, the hosts have names of their own.
func srvScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "xmpp-good",
			Story:  "A chat domain whose SRV records name one host: STARTTLS at one port, TLS from the first byte at another.",
			Module: "xmpp_client", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.add("_xmpp-client._tcp SRV 5 0 5222 chat")
				b.add("_xmpps-client._tcp SRV 5 0 5223 chat")
				at := b.a("chat")
				b.serve(at, 5222, server.XMPP{Domain: b.bare("@"), TLS: server.Always(certificate.Chain())})
				b.serve(at, 5223, server.TLS{Config: server.Always(certificate.Chain())})
				b.tlsa("_5222._tcp.chat", 3, 1, 1, certificate)
				b.tlsa("_5223._tcp.chat", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "xmpp-srv-insecure",
			Story:  "The chat domain is not signed, and its host is: the TLSA record there is worth nothing.",
			Module: "xmpp_client", Outcome: "opportunistic", Reasons: []string{"srv_insecure"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Unsigned: true})
				hoster := "hoster-of-" + b.domain
				b.add("_xmpps-client._tcp SRV 5 0 5223 chat.%s", hoster)
				certificate, at := b.leaf("@"), b.address()
				b.serve(at, 5223, server.TLS{Config: server.Always(certificate.Chain())})
				b.zone(zone.Zone{Apex: hoster, Records: fmt.Sprintf("chat A %s\n_5223._tcp.chat TLSA %s", at, tlsaData(3, 1, 1, certificate))})
			},
		},
		{
			Name:   "xmpp-srv-bogus",
			Story:  "The signature of an SRV record does not verify: a client must not follow it, nor go anywhere else.",
			Module: "xmpp_client", Outcome: "refused", Reasons: []string{"dnssec_bogus"},
			build: func(b *builder) {
				b.chat(5, "chat")
				b.broken(zone.Corrupt(zone.At("_xmpps-client._tcp."+b.domain, dns.TypeSRV)))
			},
		},
		{
			Name:   "xmpp-srv-none",
			Story:  "The domain says by SRV records with the target . that it has no chat.",
			Module: "xmpp_client", Outcome: "none", Reasons: []string{"srv_none"},
			build: func(b *builder) {
				b.add("_xmpp-client._tcp SRV 0 0 0 .")
				b.add("_xmpps-client._tcp SRV 0 0 0 .")
			},
		},
		{
			Name:   "xmpp-two-hosts-one-broken",
			Story:  "The first of two chat hosts has a new key and no new record: clients get through by the second.",
			Module: "xmpp_client", Outcome: "authenticated", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				first := b.chat(5, "chat")
				b.chat(10, "chat2")
				b.serve(first, 5223, server.TLS{Config: server.Always(b.leaf("@").Chain())})
			},
		},
		{
			Name:   "srv-target-alias",
			Story:  "The host in the SRV record is an alias, and the TLSA record is at the name it leads to.",
			Module: "xmpp_client", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("real")
				b.add("_xmpps-client._tcp SRV 5 0 5223 chat")
				b.add("chat CNAME real")
				b.serve(b.a("real"), 5223, server.TLS{Config: server.Always(certificate.Chain())})
				b.tlsa("_5223._tcp.real", 2, 0, 1, &b.web.Certificate)
			},
		},
		{
			Name:   "srv-certificate-of-domain",
			Story:  "Under a DANE-TA record, the certificate is for the service domain alone, and that will do.",
			Module: "xmpp_client", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.chatOfAuthority(b.leaf("@")) },
		},
		{
			Name:   "srv-certificate-of-other",
			Story:  "Under a DANE-TA record, the certificate is for neither the service domain nor the host.",
			Module: "xmpp_client", Outcome: "refused", Reasons: []string{"name_mismatch"},
			build: func(b *builder) { b.chatOfAuthority(b.leaf("other")) },
		},
		{
			Name:   "srv-host-insecure",
			Story:  "The SRV record is signed, and the host's addresses are not: clients do not look for TLSA records.",
			Module: "xmpp_client", Outcome: "opportunistic", Reasons: []string{"address_insecure"},
			build: func(b *builder) {
				b.add("_xmpps-client._tcp SRV 5 0 5223 chat.plain")
				at := b.address()
				b.serve(at, 5223, server.TLS{Config: server.Always(b.leaf("chat.plain").Chain())})
				b.zone(zone.Zone{Apex: "plain", Unsigned: true, Records: "chat A " + at.String()})
			},
		},
		{
			Name:   "sip-no-srv",
			Story:  "A telephony domain without SRV records: its clients go to the domain itself.",
			Module: "sip", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.serve(b.a("@"), 5061, server.TLS{Config: server.Always(certificate.Chain())})
				b.tlsa("_5061._tcp", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "imap-no-srv",
			Story:  "A mail domain without SRV records: mail programs that look for them find nothing.",
			Module: "imap_srv", Outcome: "none", Reasons: []string{"no_srv"},
			build: func(b *builder) { b.add(`@ TXT "ask the help desk"`) },
		},
		{
			Name:   "imap-srv-tls-alone",
			Story:  "Of the two ways to read mail, the SRV records offer TLS from the first byte, and refuse the other.",
			Module: "imap_srv", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mail")
				b.add("_imap._tcp SRV 0 0 0 .")
				b.add("_imaps._tcp SRV 0 1 993 mail")
				b.serve(b.a("mail"), 993, server.TLS{Config: server.Always(certificate.Chain())})
				b.tlsa("_993._tcp.mail", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "services-good",
			Story:  "One mail server with four services, each with its TLSA record.",
			Module: "mail_server", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.mailServices(b.leaf("@")) },
		},
		{
			Name:   "services-one-broken",
			Story:  "The same, and one service shows another key: its clients have nowhere else to go.",
			Module: "mail_server", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				at := b.mailServices(b.leaf("@"))
				b.serve(at, 465, server.TLS{Config: server.Always(b.leaf("@").Chain())})
			},
		},
		{
			Name:   "services-one-without-tlsa",
			Story:  "The same, and one service has no TLSA record.",
			Module: "mail_server", Outcome: "opportunistic", Reasons: []string{"no_tlsa"},
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.mailServers(b.a("@"), certificate)
				for _, owner := range []string{"_25._tcp", "_465._tcp", "_587._tcp"} {
					b.tlsa(owner, 3, 1, 1, certificate)
				}
			},
		},
	}
}

// chat makes host a good chat server of the domain, at that priority.
func (b *builder) chat(priority int, host string) netip.Addr {
	certificate := b.leaf("@")
	b.add("_xmpps-client._tcp SRV %d 0 5223 %s", priority, host)
	at := b.a(host)
	b.serve(at, 5223, server.TLS{Config: server.Always(certificate.Chain())})
	b.tlsa("_5223._tcp."+host, 3, 1, 1, certificate)
	return at
}

// chatOfAuthority is a chat server whose record is of the CA above certificate.
func (b *builder) chatOfAuthority(certificate *server.Certificate) {
	b.add("_xmpps-client._tcp SRV 5 0 5223 chat")
	b.serve(b.a("chat"), 5223, server.TLS{Config: server.Always(certificate.Chain())})
	b.tlsa("_5223._tcp.chat", 2, 0, 1, &b.web.Certificate)
}

// mailServices makes the domain a mail server with four services, each with a
// record of the certificate.
func (b *builder) mailServices(certificate *server.Certificate) netip.Addr {
	at := b.a("@")
	b.mailServers(at, certificate)
	for _, owner := range []string{"_25._tcp", "_465._tcp", "_587._tcp", "_993._tcp"} {
		b.tlsa(owner, 3, 1, 1, certificate)
	}
	return at
}

// mailServers starts those services.
func (b *builder) mailServers(at netip.Addr, certificate *server.Certificate) {
	for _, port := range []uint16{25, 587} {
		b.serve(at, port, server.SMTP{Name: b.bare("@"), TLS: server.Always(certificate.Chain())})
	}
	for _, port := range []uint16{465, 993} {
		b.serve(at, port, server.TLS{Config: server.Always(certificate.Chain())})
	}
}
