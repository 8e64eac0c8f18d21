package lab

import (
	"strings"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// mtaSTSScenarios: domains that have an MTA-STS policy beside DANE, or try to.
// Whatever is wrong with it, the outcome is DANE's.
func mtaSTSScenarios() []Scenario {
	const module = "smtp_mx_mta_sts"
	return []Scenario{
		{
			Name:   "mta-sts-good",
			Story:  "DANE, an enforced MTA-STS policy and a TLSRPT record: every sender delivers, and knows to whom.",
			Module: module, Outcome: "authenticated", Success: true,
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.good()
				b.mtaSTS("enforce", "mx")
				b.tlsrpt()
			},
		},
		{
			Name:   "mta-sts-wildcard-unsigned",
			Story:  "A domain without DNSSEC has a policy with a wildcard: MTA-STS gives what DANE cannot.",
			Module: module, Outcome: "opportunistic", Reasons: []string{"address_insecure", "mx_insecure"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="opportunistic"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Unsigned: true})
				b.mail(b.mx("mx"), b.leaf("mx"))
				b.mtaSTS("enforce", "*")
				b.tlsrpt()
			},
		},
		{
			Name:   "mta-sts-no-record",
			Story:  "DANE alone: there is neither an MTA-STS nor a TLSRPT record.",
			Module: module, Outcome: "authenticated", Success: true,
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="opportunistic"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build:  func(b *builder) { b.good() },
		},
		{
			Name:   "mta-sts-no-tlsrpt",
			Story:  "An enforced policy, and no TLSRPT record: nobody tells when it fails.",
			Module: module, Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.good()
				b.mtaSTS("enforce", "mx")
			},
		},
		{
			Name:   "mta-sts-tlsrpt-invalid",
			Story:  "The TLSRPT record has an address without mailto: in front.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"tlsrpt_record_invalid"},
			build: func(b *builder) {
				b.good()
				b.mtaSTS("enforce", "mx")
				b.add(`_smtp._tls TXT "v=TLSRPTv1; rua=reports@%s"`, b.bare("@"))
			},
		},
		{
			Name:   "mta-sts-several-records",
			Story:  "Two MTA-STS records, so that neither counts.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_record_invalid"},
			build: func(b *builder) {
				b.good()
				b.mtaSTS("enforce", "mx")
				b.add(`_mta-sts TXT "v=STSv1; id=2;"`)
			},
		},
		{
			Name:   "mta-sts-record-invalid",
			Story:  "The MTA-STS record has an id with hyphens.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_record_invalid"},
			build: func(b *builder) {
				b.good()
				b.add(`_mta-sts TXT "v=STSv1; id=2026-06-01"`)
			},
		},
		{
			Name:   "mta-sts-record-bogus",
			Story:  "The signature of the MTA-STS record is wrong: behind a validating resolver there is none.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_unavailable"},
			build: func(b *builder) {
				b.good()
				b.mtaSTS("enforce", "mx")
				b.broken(zone.Corrupt(zone.At(b.name("_mta-sts"), dns.TypeTXT)))
			},
		},
		{
			Name:   "mta-sts-testing",
			Story:  "No CA that anybody knows has issued the certificate; the policy is being tested, so that MTA-STS senders deliver.",
			Module: module, Outcome: "authenticated", Success: true,
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="opportunistic"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.privateCA()
				b.mtaSTS("testing", "mx")
				b.tlsrpt()
			},
		},
		{
			Name:   "mta-sts-mode-none",
			Story:  "The policy says that there is none any more.",
			Module: module, Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.good()
				b.mtaSTS("none")
			},
		},
		{
			Name:   "mta-sts-policy-missing",
			Story:  "The policy host answers 404.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_unavailable"},
			build: func(b *builder) {
				b.good()
				b.policyHost(func(h *server.HTTPS) { h.Path = "/mta-sts.txt" }, "enforce", "mx")
			},
		},
		{
			Name:   "mta-sts-no-policy-host",
			Story:  "There is an MTA-STS record, and no policy host.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_unavailable"},
			build: func(b *builder) {
				b.good()
				b.add(`_mta-sts TXT "v=STSv1; id=1;"`)
			},
		},
		{
			Name:   "mta-sts-redirect",
			Story:  "The policy host redirects to where the policy is; senders must not follow.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_unavailable"},
			build: func(b *builder) {
				b.good()
				b.policyHost(func(h *server.HTTPS) { h.Redirect = "https://" + b.bare("mta-sts") + "/policy.txt" }, "enforce", "mx")
			},
		},
		{
			Name:   "mta-sts-wrong-media-type",
			Story:  "The policy is served as text/html.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_invalid"},
			build: func(b *builder) {
				b.good()
				b.policyHost(func(h *server.HTTPS) { h.MediaType = "text/html; charset=utf-8" }, "enforce", "mx")
			},
		},
		{
			Name:   "mta-sts-oversized",
			Story:  "The policy is followed by a megabyte of nothing.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_invalid"},
			build: func(b *builder) {
				b.good()
				b.policyHost(func(h *server.HTTPS) { h.Body += strings.Repeat("\n", 1<<20) }, "enforce", "mx")
			},
		},
		{
			Name:   "mta-sts-policy-malformed",
			Story:  "The policy knows a mode that nobody else does.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_invalid"},
			build: func(b *builder) {
				b.good()
				b.mtaSTS("report", "mx")
			},
		},
		{
			Name:   "mta-sts-wrong-certificate",
			Story:  "The policy host shows the certificate of the domain, without its own name.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_unavailable"},
			build: func(b *builder) {
				b.good()
				b.policyHost(func(h *server.HTTPS) { h.Config = server.Always(b.leaf("@").Chain()) }, "enforce", "mx")
			},
		},
		{
			Name:   "mta-sts-host-not-covered",
			Story:  "The mail server has moved, and the policy still names the old one.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_disagreement", "mta_sts_host_not_covered"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.good()
				b.mtaSTS("enforce", "old-mx")
			},
		},
		{
			Name:   "mta-sts-dane-refuses",
			Story:  "The certificate is renewed, its TLSA record is not: MTA-STS is content, and a sender that knows both refuses.",
			Module: module, Outcome: "refused", Reasons: []string{"mta_sts_disagreement", "tlsa_mismatch"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="refused"} 1`},
			build: func(b *builder) {
				b.mail(b.mx("mx"), b.leaf("mx"))
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
				b.mtaSTS("enforce", "mx")
			},
		},
		{
			Name:   "mta-sts-pkix-refuses",
			Story:  "No CA that anybody knows has issued the certificate: DANE-EE is content, and a sender that knows MTA-STS alone refuses.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_disagreement"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.privateCA()
				b.mtaSTS("enforce", "mx")
			},
		},
		{
			Name:   "mta-sts-all-refuse",
			Story:  "A new key, of which there is no record, from a CA that nobody knows: no sender delivers, and they agree in that.",
			Module: module, Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="refused"} 1`},
			build: func(b *builder) {
				b.mail(b.mx("mx"), b.ownLeaf("mx"))
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
				b.mtaSTS("enforce", "mx")
			},
		},
		{
			Name:   "mta-sts-expired",
			Story:  "The mail server's certificate ended yesterday: DANE-EE does not care, and MTA-STS does.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_disagreement"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.publishing(3, 1, server.Leaf{Names: []string{"mx"}, NotAfter: b.now.AddDate(0, 0, -1)})
				b.mtaSTS("enforce", "mx")
			},
		},
		{
			Name:   "mta-sts-no-starttls",
			Story:  "The domain has a policy and no TLSA records, and the mail server does not offer STARTTLS: mail goes on in the clear, but not from MTA-STS senders.",
			Module: module, Outcome: "opportunistic", Reasons: []string{"mta_sts_disagreement", "no_tlsa", "starttls_not_offered"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="opportunistic"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="refused"} 1`},
			build: func(b *builder) {
				b.oddMX(server.SMTP{Name: b.bare("mx"), NoStartTLS: true}, false)
				b.mtaSTS("enforce", "mx")
			},
		},
		{
			Name:   "mta-sts-domain-name-only",
			Story:  "The mail server's certificate is for the domain: enough for DANE-TA, and not for MTA-STS.",
			Module: module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_disagreement"},
			build: func(b *builder) {
				b.mail(b.mx("mx"), b.leaf("@"))
				b.tlsa("_25._tcp.mx", 2, 0, 1, &b.web.Certificate)
				b.mtaSTS("enforce", "mx")
			},
		},
	}
}

// mtaSTS publishes an MTA-STS policy in good order. hosts are what it lists:
// names, or "*" for all hosts of the domain.
func (b *builder) mtaSTS(mode string, hosts ...string) {
	b.policyHost(func(*server.HTTPS) {}, mode, hosts...)
}

// policyHost publishes a policy, and breaks the host that serves it.
func (b *builder) policyHost(breaking func(*server.HTTPS), mode string, hosts ...string) {
	policy := []string{"version: STSv1", "mode: " + mode, "max_age: 604800"}
	for _, host := range hosts {
		policy = append(policy, "mx: "+b.bare(host))
	}
	page := server.HTTPS{
		Config: server.Always(b.leaf("mta-sts").Chain()),
		Host:   b.bare("mta-sts"),
		Path:   "/.well-known/mta-sts.txt",
		Body:   strings.Join(policy, "\r\n") + "\r\n",
	}
	breaking(&page)
	b.add(`_mta-sts TXT "v=STSv1; id=20260601120000;"`)
	b.serve(b.a("mta-sts"), 443, page)
}

// tlsrpt asks for reports.
func (b *builder) tlsrpt() {
	b.add(`_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls-reports@%s"`, b.bare("@"))
}

// privateCA is a good mail server, by DANE-EE alone.
func (b *builder) privateCA() {
	certificate := b.ownLeaf("mx")
	b.mail(b.mx("mx"), certificate)
	b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
}
