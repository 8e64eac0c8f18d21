package lab

import (
	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// mailSRVScenarios: the servers that a mail program finds by SRV records (RFC
// 6186, RFC 8314 §5.1).
func mailSRVScenarios() []Scenario {
	return []Scenario{
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
			Name:   "imap-srv-both",
			Story:  "The SRV records prefer TLS from the first byte, and name STARTTLS at the same host for those that cannot.",
			Module: "imap_srv", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mail")
				b.add("_imaps._tcp SRV 0 1 993 mail")
				b.add("_imap._tcp SRV 10 1 143 mail")
				at := b.a("mail")
				b.serve(at, 993, server.TLS{Config: server.Always(certificate.Chain())})
				b.serve(at, 143, server.IMAP{TLS: server.Always(certificate.Chain())})
				b.tlsa("_993._tcp.mail", 3, 1, 1, certificate)
				b.tlsa("_143._tcp.mail", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "pop3-srv",
			Story:  "A mail domain whose SRV records name a POP3 server, by STARTTLS alone.",
			Module: "pop3_srv", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				certificate := b.leaf("mail")
				b.add("_pop3._tcp SRV 0 1 110 mail")
				b.add("_pop3s._tcp SRV 0 0 0 .")
				b.serve(b.a("mail"), 110, server.POP3{TLS: server.Always(certificate.Chain())})
				b.tlsa("_110._tcp.mail", 3, 1, 1, certificate)
			},
		},
		{
			Name:   "submission-srv",
			Story:  "The SRV records name one submission server by STARTTLS, and by TLS from the first byte another one, to be tried first.",
			Module: "submission_srv", Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.named("submissions", 0, 465, "first")
				b.submission(10, "second")
			},
		},
		{
			Name:   "submission-srv-first-broken",
			Story:  "The same, and the first has a new key: mail programs that know STARTTLS get through by the second.",
			Module: "submission_srv", Outcome: "authenticated", Reasons: []string{"tlsa_mismatch"},
			Series: []string{`dane_host_outcome{port="465",outcome="refused"} 1`, `dane_host_outcome{port="587",outcome="authenticated"} 1`},
			build: func(b *builder) {
				at := b.named("submissions", 0, 465, "first")
				b.serve(at, 465, server.TLS{Config: server.Always(b.leaf("first").Chain())})
				b.submission(10, "second")
			},
		},
		{
			Name:   "submission-srv-first-unknown",
			Story:  "The look-up that names the first fails: what the other one names is there all the same.",
			Module: "submission_srv", Outcome: "authenticated", Reasons: []string{"dns_failure"},
			Series: []string{`dane_host_outcome{port="587",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.submission(10, "second")
				b.broken(zone.Rcode(zone.At("_submissions._tcp."+b.domain, dns.TypeSRV), dns.RcodeServerFailure))
			},
		},
		{
			Name:   "submission-srv-nothing-left",
			Story:  "The same, and the records that can be had name no server: a mail program must not guess.",
			Module: "submission_srv", Outcome: "refused", Reasons: []string{"dns_failure"},
			build: func(b *builder) {
				b.add("_submission._tcp SRV 0 0 0 .")
				b.broken(zone.Rcode(zone.At("_submissions._tcp."+b.domain, dns.TypeSRV), dns.RcodeServerFailure))
			},
		},
	}
}

// submission makes host a good submission server with STARTTLS, with an SRV
// record that names it.
func (b *builder) submission(priority int, host string) {
	certificate := b.leaf(host)
	b.add("_submission._tcp SRV %d 0 587 %s", priority, host)
	b.serve(b.a(host), 587, server.SMTP{Name: b.bare(host), TLS: server.Always(certificate.Chain())})
	b.tlsa("_587._tcp."+host, 3, 1, 1, certificate)
}
