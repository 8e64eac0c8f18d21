package lab

import (
	"cmp"
	"fmt"
	"net/netip"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// srvScenarios: chat and telephony, which SRV records lead to (RFC 7673). The
// domain is the service's, the hosts have names of their own.
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
			Name:   "xmpp-no-starttls",
			Story:  "The chat server does not offer TLS to clients, though it has a TLSA record.",
			Module: "xmpp_client", Outcome: "refused", Reasons: []string{"starttls_not_offered"},
			build: func(b *builder) { b.chatInTheClear("client", server.XMPP{NoStartTLS: true}, true) },
		},
		{
			Name:   "xmpp-starttls-rejected",
			Story:  "The chat server offers TLS to clients, and answers with failure when they ask for it.",
			Module: "xmpp_client", Outcome: "refused", Reasons: []string{"starttls_rejected"},
			build: func(b *builder) { b.chatInTheClear("client", server.XMPP{Reject: true}, true) },
		},
		{
			Name:   "xmpp-other-domain",
			Story:  "The host that the SRV record names does not know the chat domain, and turns clients away.",
			Module: "xmpp_client", Outcome: "unreachable", Reasons: []string{"client_rejected"},
			build: func(b *builder) { b.chatInTheClear("client", server.XMPP{Domain: "elsewhere.example"}, true) },
		},
		{
			Name:   "xn--plauderstbchen-osb",
			Story:  "A chat domain with a name beyond ASCII: DNS and certificates have it in A-labels, and the chat server in U-labels.",
			Module: "xmpp_client", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.chatInTheClear("client", server.XMPP{Domain: "plauderstübchen.lab.test"}, true)
			},
		},
		{
			Name:   "xmpp-no-srv",
			Story:  "A chat domain without SRV records: its clients go to the domain itself.",
			Module: "xmpp_client", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.serve(b.a("@"), 5222, server.XMPP{Domain: b.bare("@"), TLS: server.Always(certificate.Chain())})
				b.tlsa("_5222._tcp", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "xmpp-one-srv-bogus",
			Story:  "The SRV record for STARTTLS does not verify; the one for TLS from the first byte does, and its host is good.",
			Module: "xmpp_client", Outcome: "authenticated", Reasons: []string{"dnssec_bogus"},
			build: func(b *builder) {
				b.chat(5, "chat")
				b.chatInTheClear("client", server.XMPP{}, true)
				b.broken(zone.Corrupt(zone.At("_xmpp-client._tcp."+b.domain, dns.TypeSRV)))
			},
		},
		{
			Name:   "xmpp-server-good",
			Story:  "A chat domain as other chat servers see it: STARTTLS, and a record of the key.",
			Module: "xmpp_server", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.chatInTheClear("server", server.XMPP{Peers: true}, true) },
		},
		{
			Name:   "xmpp-server-mismatch",
			Story:  "The same, and the record is of the former key.",
			Module: "xmpp_server", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) { b.chatInTheClear("server", server.XMPP{Peers: true}, false) },
		},
		{
			Name:   "xmpp-server-no-starttls",
			Story:  "The same, and TLS is not offered to other servers.",
			Module: "xmpp_server", Outcome: "refused", Reasons: []string{"starttls_not_offered"},
			build: func(b *builder) {
				b.chatInTheClear("server", server.XMPP{Peers: true, NoStartTLS: true}, true)
			},
		},
		{
			Name:   "xmpp-server-starttls-rejected",
			Story:  "The same, and TLS is offered to other servers, and then refused.",
			Module: "xmpp_server", Outcome: "refused", Reasons: []string{"starttls_rejected"},
			build: func(b *builder) {
				b.chatInTheClear("server", server.XMPP{Peers: true, Reject: true}, true)
			},
		},
		{
			Name:   "sip-good",
			Story:  "A telephony domain whose SRV record names a host, with a record of its key.",
			Module: "sip", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.named("sips", 0, 5061, "sip") },
		},
		{
			Name:   "sip-mismatch",
			Story:  "The same, and the host has a new key.",
			Module: "sip", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				at := b.named("sips", 0, 5061, "sip")
				b.serve(at, 5061, server.TLS{Config: server.Always(b.leaf("sip").Chain())})
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
	}
}

// chat makes host a good chat server of the domain, at that priority.
func (b *builder) chat(priority int, host string) netip.Addr {
	return b.named("xmpps-client", priority, 5223, host)
}

// named makes host a good server of a service that speaks TLS from the first
// byte, with an SRV record that names it.
func (b *builder) named(service string, priority int, port uint16, host string) netip.Addr {
	certificate, at := b.leaf("@"), b.a(host)
	b.add("_%s._tcp SRV %d 0 %d %s", service, priority, port, host)
	b.serve(at, port, server.TLS{Config: server.Always(certificate.Chain())})
	b.tlsa(fmt.Sprintf("_%d._tcp.%s", port, host), 3, 1, 1, certificate)
	return at
}

// chatInTheClear makes talk a chat server that begins in the clear, for clients
// or for servers, with a record that is right or is not. It serves the domain,
// unless it has its own.
func (b *builder) chatInTheClear(side string, chat server.XMPP, right bool) {
	ports := map[string]uint16{"client": 5222, "server": 5269}
	certificate := b.leaf("@")
	chat.Domain, chat.TLS = cmp.Or(chat.Domain, b.bare("@")), server.Always(certificate.Chain())
	b.add("_xmpp-%s._tcp SRV 5 0 %d talk", side, ports[side])
	b.serve(b.a("talk"), ports[side], chat)
	if !right {
		certificate = b.leaf("@")
	}
	b.tlsa(fmt.Sprintf("_%d._tcp.talk", ports[side]), 3, 1, 1, certificate)
}

// chatOfAuthority is a chat server whose record is of the CA above certificate.
func (b *builder) chatOfAuthority(certificate *server.Certificate) {
	b.add("_xmpps-client._tcp SRV 5 0 5223 chat")
	b.serve(b.a("chat"), 5223, server.TLS{Config: server.Always(certificate.Chain())})
	b.tlsa("_5223._tcp.chat", 2, 0, 1, &b.web.Certificate)
}
