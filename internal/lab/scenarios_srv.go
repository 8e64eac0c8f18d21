package lab

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/netip"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// srvScenarios returns scenarios of XMPP and SIP, with SRV records (RFC 7673). The
// target is the service domain.
func srvScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "xmpp-good",
			Description: "The SRV records of a chat domain name one host, with STARTTLS on one port and implicit TLS on another. DANE clients authenticate both.",
			Module:      "xmpp_client", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.add("_xmpp-client._tcp SRV 5 0 5222 chat")
				b.add("_xmpps-client._tcp SRV 5 0 5223 chat")
				at := b.a("chat")
				b.serve(at, 5222, server.XMPP{Domain: b.hostname("@"), TLS: server.TLSConfig(certificate.Chain())})
				b.serveTLS(at, 5223, server.TLSConfig(certificate.Chain()))
				b.tlsa("_5222._tcp.chat", 3, 1, 1, certificate)
				b.tlsa("_5223._tcp.chat", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "xmpp-srv-insecure",
			Description: "The chat domain is unsigned, but its host is signed. DANE clients ignore the host's TLSA record.",
			Module:      "xmpp_client", Outcome: "opportunistic", Reasons: []string{"srv_insecure"},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Unsigned: true})
				hoster := "hoster-of-" + b.domain
				b.add("_xmpps-client._tcp SRV 5 0 5223 chat.%s", hoster)
				certificate, at := b.leaf("@"), b.address()
				b.serveTLS(at, 5223, server.TLSConfig(certificate.Chain()))
				b.zone(zone.Zone{Apex: hoster, Records: fmt.Sprintf("chat A %s\n_5223._tcp.chat TLSA %s", at, tlsaData(3, 1, 1, certificate))})
			},
		},
		{
			Name:        "xmpp-srv-bogus",
			Description: "The signature of an SRV record is invalid. DANE clients do not use it, nor fall back to the domain.",
			Module:      "xmpp_client", Outcome: "refused", Reasons: []string{"dnssec_bogus"},
			build: func(b *builder) {
				b.chat(5, "chat")
				b.inject(zone.Corrupt(zone.At("_xmpps-client._tcp."+b.domain, dns.TypeSRV)))
			},
		},
		{
			Name:        "xmpp-srv-none",
			Description: "The chat domain offers no service: the target of its SRV records is the root.",
			Module:      "xmpp_client", Outcome: "none", Reasons: []string{"srv_none"},
			build: func(b *builder) {
				b.add("_xmpp-client._tcp SRV 0 0 0 .")
				b.add("_xmpps-client._tcp SRV 0 0 0 .")
			},
		},
		{
			Name:        "xmpp-two-hosts-one-broken",
			Description: "The first of two chat hosts has a new key but no new record. DANE clients connect to the second.",
			Module:      "xmpp_client", Outcome: "authenticated", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				first := b.chat(5, "chat")
				b.chat(10, "chat2")
				b.serveTLS(first, 5223, server.TLSConfig(b.leaf("@").Chain()))
			},
		},
		{
			Name:        "srv-target-alias",
			Description: "The target of the SRV record is an alias, and the TLSA record is at the canonical name. DANE clients authenticate the host.",
			Module:      "xmpp_client", Outcome: "authenticated", Success: true, Advice: []string{"intermediate_pinned_alone"},
			build: func(b *builder) {
				certificate := b.leaf("real")
				b.add("_xmpps-client._tcp SRV 5 0 5223 chat")
				b.add("chat CNAME real")
				b.serveTLS(b.a("real"), 5223, server.TLSConfig(certificate.Chain()))
				b.tlsa("_5223._tcp.real", 2, 0, 1, &b.webCA.Certificate)
			},
		},
		{
			Name:        "srv-certificate-of-domain",
			Description: "Under a DANE-TA record, the certificate names only the service domain. DANE clients accept that.",
			Module:      "xmpp_client", Outcome: "authenticated", Success: true, Advice: []string{"intermediate_pinned_alone"},
			build: func(b *builder) { b.chatWithTA(b.leaf("@")) },
		},
		{
			Name:        "srv-certificate-of-other",
			Description: "Under a DANE-TA record, the certificate names neither the service domain nor the host. DANE clients do not connect.",
			Module:      "xmpp_client", Outcome: "refused", Reasons: []string{"name_mismatch"},
			build: func(b *builder) { b.chatWithTA(b.leaf("other")) },
		},
		{
			Name:        "srv-host-insecure",
			Description: "The SRV record is signed, but the addresses of the host are not. DANE clients do not look up TLSA records.",
			Module:      "xmpp_client", Outcome: "opportunistic", Reasons: []string{"address_insecure"},
			build: func(b *builder) {
				b.add("_xmpps-client._tcp SRV 5 0 5223 chat.plain")
				at := b.address()
				b.serveTLS(at, 5223, server.TLSConfig(b.leaf("chat.plain").Chain()))
				b.zone(zone.Zone{Apex: "plain", Unsigned: true, Records: "chat A " + at.String()})
			},
		},
		{
			Name:        "srv-unusable-tlsa",
			Description: "The only TLSA record of the chat host is malformed. DANE clients require TLS and a certificate of the Web PKI, which the host has.",
			Module:      "xmpp_client", Outcome: "encrypted", Reasons: []string{"tlsa_unusable"},
			build: func(b *builder) { b.chatUnusable(b.leaf("chat")) },
		},
		{
			Name:        "srv-unusable-tlsa-untrusted",
			Description: "The only TLSA record of the host is malformed, and its certificate is of no public CA. DANE clients do not connect.",
			Module:      "xmpp_client", Outcome: "refused", Reasons: []string{"pkix_untrusted", "tlsa_unusable"},
			build: func(b *builder) { b.chatUnusable(b.privateLeaf("chat")) },
		},
		{
			Name:        "srv-one-family-bogus",
			Description: "The signature of the host's IPv6 address is invalid, and that of its IPv4 address is valid. DANE clients connect to neither.",
			Module:      "xmpp_client", Outcome: "refused", Reasons: []string{"dnssec_bogus"},
			build: func(b *builder) {
				b.chat(5, "chat")
				at := b.address6()
				b.serveTLS(at, 5223, server.TLSConfig(b.leaf("chat").Chain()))
				b.add("chat AAAA %s", at)
				b.inject(zone.Corrupt(zone.At("chat."+b.domain, dns.TypeAAAA)))
			},
		},
		{
			Name:        "xmpp-no-starttls",
			Description: "The chat server has a TLSA record but does not offer STARTTLS. DANE clients do not connect.",
			Module:      "xmpp_client", Outcome: "refused", Reasons: []string{"starttls_not_offered"},
			build: func(b *builder) { b.starttlsChat("client", server.XMPP{NoStartTLS: true}, true) },
		},
		{
			Name:        "xmpp-starttls-rejected",
			Description: "The chat server offers STARTTLS but answers it with failure. DANE clients do not connect.",
			Module:      "xmpp_client", Outcome: "refused", Reasons: []string{"starttls_rejected"},
			build: func(b *builder) { b.starttlsChat("client", server.XMPP{Reject: true}, true) },
		},
		{
			Name:        "xmpp-other-domain",
			Description: "The target of the SRV record does not serve the chat domain, and rejects clients.",
			Module:      "xmpp_client", Outcome: "unreachable", Reasons: []string{"client_rejected"},
			build: func(b *builder) { b.starttlsChat("client", server.XMPP{Domain: "elsewhere.example"}, true) },
		},
		{
			Name:        "xmpp-server-client-certificate",
			Description: "An XMPP server requires a certificate of other servers, which have one. DANE clients authenticate it.",
			Module:      "xmpp_server", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.chatRequiringCertificates(tls.VersionTLS13) },
		},
		{
			Name:        "xmpp-server-client-certificate-tls12",
			Description: "An XMPP server requires a certificate of other servers in TLS 1.2, where the exporter, which has none, cannot complete the handshake.",
			Module:      "xmpp_server", Outcome: "unknown", Reasons: []string{"tls_unsupported_here"},
			build: func(b *builder) { b.chatRequiringCertificates(tls.VersionTLS12) },
		},
		{
			Name:        "xn--plauderstbchen-osb",
			Description: "An internationalised chat domain: DNS and certificates have its A-labels, XMPP has its U-labels. DANE clients authenticate the server.",
			Module:      "xmpp_client", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.starttlsChat("client", server.XMPP{Domain: "plauderstübchen.lab.test"}, true)
			},
		},
		{
			Name:        "xmpp-no-srv",
			Description: "The chat domain has no SRV records, so clients connect to the domain itself, without DANE.",
			Module:      "xmpp_client", Outcome: "opportunistic", Reasons: []string{"no_srv"},
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.serve(b.a("@"), 5222, server.XMPP{Domain: b.hostname("@"), TLS: server.TLSConfig(certificate.Chain())})
				b.tlsa("_5222._tcp", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "xmpp-one-srv-bogus",
			Description: "The SRV record for STARTTLS is bogus, the one for implicit TLS is valid. DANE clients use the latter, and authenticate its host.",
			Module:      "xmpp_client", Outcome: "authenticated", Reasons: []string{"dnssec_bogus"},
			build: func(b *builder) {
				b.chat(5, "chat")
				b.starttlsChat("client", server.XMPP{}, true)
				b.inject(zone.Corrupt(zone.At("_xmpp-client._tcp."+b.domain, dns.TypeSRV)))
			},
		},
		{
			Name:        "xmpp-server-good",
			Description: "A chat domain for other chat servers, with STARTTLS and a record of the key. DANE clients authenticate the server.",
			Module:      "xmpp_server", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.starttlsChat("server", server.XMPP{ServerToServer: true}, true) },
		},
		{
			Name:        "xmpp-server-mismatch",
			Description: "The record of a chat server for other servers is of its former key. DANE clients do not connect.",
			Module:      "xmpp_server", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) { b.starttlsChat("server", server.XMPP{ServerToServer: true}, false) },
		},
		{
			Name:        "xmpp-server-no-starttls",
			Description: "A chat server for other servers has a TLSA record but does not offer STARTTLS. DANE clients do not connect.",
			Module:      "xmpp_server", Outcome: "refused", Reasons: []string{"starttls_not_offered"},
			build: func(b *builder) {
				b.starttlsChat("server", server.XMPP{ServerToServer: true, NoStartTLS: true}, true)
			},
		},
		{
			Name:        "xmpp-server-starttls-rejected",
			Description: "A chat server for other servers offers STARTTLS but answers it with failure. DANE clients do not connect.",
			Module:      "xmpp_server", Outcome: "refused", Reasons: []string{"starttls_rejected"},
			build: func(b *builder) {
				b.starttlsChat("server", server.XMPP{ServerToServer: true, Reject: true}, true)
			},
		},
		{
			Name:        "sip-good",
			Description: "The SRV record of a telephony domain names a host with a record of its key. DANE clients authenticate it.",
			Module:      "sip", Outcome: "authenticated", Success: true,
			build: func(b *builder) { b.srvHost("sips", 0, 5061, "sip") },
		},
		{
			Name:        "sip-mismatch",
			Description: "The SRV record of a telephony domain names a host with a new key but no new record. DANE clients do not connect.",
			Module:      "sip", Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			build: func(b *builder) {
				at := b.srvHost("sips", 0, 5061, "sip")
				b.serveTLS(at, 5061, server.TLSConfig(b.leaf("sip").Chain()))
			},
		},
		{
			Name:        "sip-no-srv",
			Description: "The telephony domain has no SRV records, so clients connect to the domain itself, without DANE.",
			Module:      "sip", Outcome: "opportunistic", Reasons: []string{"no_srv"},
			build: func(b *builder) {
				certificate := b.leaf("@")
				b.serveTLS(b.a("@"), 5061, server.TLSConfig(certificate.Chain()))
				b.tlsa("_5061._tcp", 3, 1, 1, certificate)
			},
		},
	}
}

// chat makes host a working XMPP server of the domain, with that SRV priority. It
// returns the host's address.
func (b *builder) chat(priority int, host string) netip.Addr {
	return b.srvHost("xmpps-client", priority, 5223, host)
}

// srvHost makes host a working server of a service with implicit TLS, and adds its
// SRV record. It returns the host's address.
func (b *builder) srvHost(service string, priority int, port uint16, host string) netip.Addr {
	certificate, at := b.leaf("@"), b.a(host)
	b.add("_%s._tcp SRV %d 0 %d %s", service, priority, port, host)
	b.serveTLS(at, port, server.TLSConfig(certificate.Chain()))
	b.tlsa(fmt.Sprintf("_%d._tcp.%s", port, host), 3, 1, 1, certificate)
	return at
}

// starttlsChat makes the host talk an XMPP server with STARTTLS, for side "client" or
// "server". Its record is of its key if matching is set. chat.Domain defaults to
// the domain.
func (b *builder) starttlsChat(side string, chat server.XMPP, matching bool) {
	ports := map[string]uint16{"client": 5222, "server": 5269}
	certificate := b.leaf("@")
	chat.Domain = cmp.Or(chat.Domain, b.hostname("@"))
	config := server.TLSConfig(certificate.Chain())
	if chat.TLS != nil {
		config.MaxVersion, config.ClientAuth = chat.TLS.MaxVersion, chat.TLS.ClientAuth
	}
	chat.TLS = config
	b.add("_xmpp-%s._tcp SRV 5 0 %d talk", side, ports[side])
	b.serve(b.a("talk"), ports[side], chat)
	if !matching {
		certificate = b.leaf("@")
	}
	b.tlsa(fmt.Sprintf("_%d._tcp.talk", ports[side]), 3, 1, 1, certificate)
}

// chatRequiringCertificates adds an XMPP server for servers that requires a
// certificate of its clients, in a version of TLS.
func (b *builder) chatRequiringCertificates(version uint16) {
	demand := &tls.Config{MaxVersion: version, ClientAuth: tls.RequireAnyClientCert}
	b.starttlsChat("server", server.XMPP{ServerToServer: true, TLS: demand}, true)
}

// chatUnusable adds an XMPP server with certificate and a malformed TLSA record.
func (b *builder) chatUnusable(certificate *server.Certificate) {
	b.add("_xmpps-client._tcp SRV 5 0 5223 chat")
	b.serveTLS(b.a("chat"), 5223, server.TLSConfig(certificate.Chain()))
	b.add("_5223._tcp.chat TLSA 3 1 1 abcd")
}

// chatWithTA adds an XMPP server with certificate and a DANE-TA record of the Web CA.
func (b *builder) chatWithTA(certificate *server.Certificate) {
	b.add("_xmpps-client._tcp SRV 5 0 5223 chat")
	b.serveTLS(b.a("chat"), 5223, server.TLSConfig(certificate.Chain()))
	b.tlsa("_5223._tcp.chat", 2, 0, 1, &b.webCA.Certificate)
}

// mailSRVScenarios returns scenarios of servers that mail programs find by SRV
// records (RFC 6186, RFC 8314 §5.1).
func mailSRVScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "imap-no-srv",
			Description: "The mail domain has no SRV records. Mail programs that use them find no server.",
			Module:      "imap_srv", Outcome: "none", Reasons: []string{"no_srv"},
			build: func(b *builder) { b.add(`@ TXT "no SRV records"`) },
		},
		{
			Name:        "imap-srv-tls-alone",
			Description: "The SRV records offer IMAP with implicit TLS, and declare that there is none with STARTTLS. DANE clients authenticate the server.",
			Module:      "imap_srv", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mail")
				b.add("_imap._tcp SRV 0 0 0 .")
				b.add("_imaps._tcp SRV 0 1 993 mail")
				b.serveTLS(b.a("mail"), 993, server.TLSConfig(certificate.Chain()))
				b.tlsa("_993._tcp.mail", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "imap-srv-both",
			Description: "The SRV records prefer IMAP with implicit TLS, and name STARTTLS on the same host as a fallback. DANE clients authenticate both.",
			Module:      "imap_srv", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mail")
				b.add("_imaps._tcp SRV 0 1 993 mail")
				b.add("_imap._tcp SRV 10 1 143 mail")
				at := b.a("mail")
				b.serveTLS(at, 993, server.TLSConfig(certificate.Chain()))
				b.serve(at, 143, server.IMAP{TLS: server.TLSConfig(certificate.Chain())})
				b.tlsa("_993._tcp.mail", 3, 1, 1, certificate)
				b.tlsa("_143._tcp.mail", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "pop3-srv",
			Description: "The SRV records name a POP3 server with STARTTLS only. DANE clients authenticate it.",
			Module:      "pop3_srv", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mail")
				b.add("_pop3._tcp SRV 0 1 110 mail")
				b.add("_pop3s._tcp SRV 0 0 0 .")
				b.serve(b.a("mail"), 110, server.POP3{TLS: server.TLSConfig(certificate.Chain())})
				b.tlsa("_110._tcp.mail", 3, 1, 1, certificate)
			},
		},
		{
			Name:        "submission-srv",
			Description: "The SRV records prefer a submission server with implicit TLS to one with STARTTLS. DANE clients authenticate both.",
			Module:      "submission_srv", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.srvHost("submissions", 0, 465, "first")
				b.submission(10, "second")
			},
		},
		{
			Name:        "submission-srv-first-broken",
			Description: "The preferred submission server has a new key but no new record. DANE clients that support STARTTLS use the second.",
			Module:      "submission_srv", Outcome: "authenticated", Reasons: []string{"tlsa_mismatch"},
			Series: []string{`dane_host_outcome{port="465",outcome="refused"} 1`, `dane_host_outcome{port="587",outcome="authenticated"} 1`},
			build: func(b *builder) {
				at := b.srvHost("submissions", 0, 465, "first")
				b.serveTLS(at, 465, server.TLSConfig(b.leaf("first").Chain()))
				b.submission(10, "second")
			},
		},
		{
			Name:        "submission-srv-first-unknown",
			Description: "The lookup of the preferred submission server fails. DANE clients use the second.",
			Module:      "submission_srv", Outcome: "authenticated", Reasons: []string{"dns_failure"},
			Series: []string{`dane_host_outcome{port="587",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.submission(10, "second")
				b.inject(zone.Rcode(zone.At("_submissions._tcp."+b.domain, dns.TypeSRV), dns.RcodeServerFailure))
			},
		},
		{
			Name:        "submission-srv-nothing-left",
			Description: "The lookup of one SRV record fails, and the other one names no server. DANE clients must not guess one.",
			Module:      "submission_srv", Outcome: "refused", Reasons: []string{"dns_failure"},
			build: func(b *builder) {
				b.add("_submission._tcp SRV 0 0 0 .")
				b.inject(zone.Rcode(zone.At("_submissions._tcp."+b.domain, dns.TypeSRV), dns.RcodeServerFailure))
			},
		},
	}
}

// submission makes host a working submission server with STARTTLS, and adds its SRV
// record.
func (b *builder) submission(priority int, host string) {
	certificate := b.leaf(host)
	b.add("_submission._tcp SRV %d 0 587 %s", priority, host)
	b.serve(b.a(host), 587, server.SMTP{Name: b.hostname(host), TLS: server.TLSConfig(certificate.Chain())})
	b.tlsa("_587._tcp."+host, 3, 1, 1, certificate)
}
