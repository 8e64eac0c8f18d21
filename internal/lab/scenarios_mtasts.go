package lab

import (
	"strings"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// mtaSTSScenarios returns scenarios with MTA-STS policies. A fault of the policy
// does not change the outcome, which is that of DANE.
func mtaSTSScenarios() []Scenario {
	const module = "smtp_mx_mta_sts"
	return []Scenario{
		{
			Name:        "mta-sts-good",
			Description: "DANE, an enforced MTA-STS policy and a TLSRPT record. All senders authenticate the server and deliver.",
			Module:      module, Outcome: "authenticated", Success: true,
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`,
				`dane_tlsrpt_record_present{name="mx.mta-sts-good.lab.test"} 1`, `dane_tlsrpt_record_valid{name="mta-sts-good.lab.test"} 1`},
			build: func(b *builder) {
				b.goodMX()
				b.mtaSTS("enforce", "mx")
				b.tlsrpt()
				b.add(`_smtp._tls.mx TXT "v=TLSRPTv1; rua=mailto:tls-reports@%s"`, b.hostname("mx"))
			},
		},
		{
			Name:        "mta-sts-wildcard-unsigned",
			Description: "An unsigned domain has a policy with a wildcard. MTA-STS authenticates the server where DANE does not apply.",
			Module:      module, Outcome: "opportunistic", Reasons: []string{"address_insecure", "mx_insecure"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="opportunistic"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.ownZone(zone.Zone{Unsigned: true})
				b.serveSMTP(b.mx("mx"), b.leaf("mx"))
				b.mtaSTS("enforce", "*")
				b.tlsrpt()
			},
		},
		{
			Name:        "mta-sts-no-record",
			Description: "DANE without MTA-STS and TLSRPT records. DANE clients authenticate the server.",
			Module:      module, Outcome: "authenticated", Success: true,
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="opportunistic"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build:  func(b *builder) { b.goodMX() },
		},
		{
			Name:        "mta-sts-no-tlsrpt",
			Description: "An enforced policy without a TLSRPT record: the domain gets no reports of failures.",
			Module:      module, Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.goodMX()
				b.mtaSTS("enforce", "mx")
			},
		},
		{
			Name:        "mta-sts-tlsrpt-invalid",
			Description: "The address in the TLSRPT record lacks the prefix mailto:.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"tlsrpt_record_invalid"},
			build: func(b *builder) {
				b.goodMX()
				b.mtaSTS("enforce", "mx")
				b.add(`_smtp._tls TXT "v=TLSRPTv1; rua=reports@%s"`, b.hostname("@"))
			},
		},
		{
			Name:        "mta-sts-syntax",
			Description: "The policy has an empty line, which strict senders reject. Other senders authenticate the server.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_syntax"},
			build: func(b *builder) {
				b.goodMX()
				b.policyHost(func(page *server.HTTPS) { page.Body = "\r\n" + page.Body }, "enforce", "mx")
			},
		},
		{
			Name:        "mta-sts-extension-empty",
			Description: "A field of the MTA-STS record has no value, so senders ignore the record.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_record_invalid"},
			build: func(b *builder) {
				b.goodMX()
				b.add(`_mta-sts TXT "v=STSv1; id=1; foo=;"`)
			},
		},
		{
			Name:        "mta-sts-tlsrpt-schemes",
			Description: "One of two URIs in the TLSRPT record has a scheme that senders do not support. They report to the other.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"tlsrpt_syntax"},
			build: func(b *builder) {
				b.goodMX()
				b.mtaSTS("enforce", "mx")
				b.add(`_smtp._tls TXT "v=TLSRPTv1; rua=http://%s/,mailto:reports@%s"`, b.hostname("@"), b.hostname("@"))
			},
		},
		{
			Name:        "mta-sts-several-records",
			Description: "There are two MTA-STS records, so senders ignore both.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_record_invalid"},
			build: func(b *builder) {
				b.goodMX()
				b.mtaSTS("enforce", "mx")
				b.add(`_mta-sts TXT "v=STSv1; id=2;"`)
			},
		},
		{
			Name:        "mta-sts-record-invalid",
			Description: "The id in the MTA-STS record contains hyphens, so senders ignore the record.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_record_invalid"},
			build: func(b *builder) {
				b.goodMX()
				b.add(`_mta-sts TXT "v=STSv1; id=2026-06-01"`)
			},
		},
		{
			Name:        "mta-sts-record-bogus",
			Description: "The signature of the MTA-STS record is invalid. Senders with a validating resolver get no record.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_unavailable"},
			build: func(b *builder) {
				b.goodMX()
				b.mtaSTS("enforce", "mx")
				b.inject(zone.Corrupt(zone.At(b.name("_mta-sts"), dns.TypeTXT)))
			},
		},
		{
			Name:        "mta-sts-testing",
			Description: "No trusted CA has issued the certificate, but the policy's mode is testing. MTA-STS senders deliver.",
			Module:      module, Outcome: "authenticated", Success: true,
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="opportunistic"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.privateMX()
				b.mtaSTS("testing", "mx")
				b.tlsrpt()
			},
		},
		{
			Name:        "mta-sts-mode-none",
			Description: "The policy's mode is none, which withdraws an earlier policy.",
			Module:      module, Outcome: "authenticated", Success: true,
			build: func(b *builder) {
				b.goodMX()
				b.mtaSTS("none")
			},
		},
		{
			Name:        "mta-sts-policy-missing",
			Description: "The policy host answers 404.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_unavailable"},
			build: func(b *builder) {
				b.goodMX()
				b.policyHost(func(h *server.HTTPS) { h.Path = "/mta-sts.txt" }, "enforce", "mx")
			},
		},
		{
			Name:        "mta-sts-no-policy-host",
			Description: "There is an MTA-STS record but no policy host.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_unavailable"},
			build: func(b *builder) {
				b.goodMX()
				b.add(`_mta-sts TXT "v=STSv1; id=1;"`)
			},
		},
		{
			Name:        "mta-sts-redirect",
			Description: "The policy host redirects to the policy. Senders must not follow redirects (RFC 8461 §3.3).",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_unavailable"},
			build: func(b *builder) {
				b.goodMX()
				b.policyHost(func(h *server.HTTPS) { h.Redirect = "https://" + b.hostname("mta-sts") + "/policy.txt" }, "enforce", "mx")
			},
		},
		{
			Name:        "mta-sts-wrong-media-type",
			Description: "The policy is served as text/html.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_invalid"},
			build: func(b *builder) {
				b.goodMX()
				b.policyHost(func(h *server.HTTPS) { h.MediaType = "text/html; charset=utf-8" }, "enforce", "mx")
			},
		},
		{
			Name:        "mta-sts-oversized",
			Description: "A megabyte of empty lines follows the policy.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_invalid"},
			build: func(b *builder) {
				b.goodMX()
				b.policyHost(func(h *server.HTTPS) { h.Body += strings.Repeat("\n", 1<<20) }, "enforce", "mx")
			},
		},
		{
			Name:        "mta-sts-policy-malformed",
			Description: "The policy has an unknown mode.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_invalid"},
			build: func(b *builder) {
				b.goodMX()
				b.mtaSTS("report", "mx")
			},
		},
		{
			Name:        "mta-sts-wrong-certificate",
			Description: "The certificate of the policy host names the domain but not the policy host.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_policy_unavailable"},
			build: func(b *builder) {
				b.goodMX()
				b.policyHost(func(h *server.HTTPS) { h.Config = server.TLSConfig(b.leaf("@").Chain()) }, "enforce", "mx")
			},
		},
		{
			Name:        "mta-sts-host-not-covered",
			Description: "The policy lists only the former mail server. MTA-STS senders do not deliver; DANE clients do.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_disagreement", "mta_sts_host_not_covered"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.goodMX()
				b.mtaSTS("enforce", "old-mx")
			},
		},
		{
			Name:        "mta-sts-dane-refuses",
			Description: "The certificate was renewed, but not its TLSA record. MTA-STS senders deliver; DANE clients, also those with MTA-STS, do not.",
			Module:      module, Outcome: "refused", Reasons: []string{"mta_sts_disagreement", "tlsa_mismatch"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="refused"} 1`},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.leaf("mx"))
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
				b.mtaSTS("enforce", "mx")
			},
		},
		{
			Name:        "mta-sts-pkix-refuses",
			Description: "No trusted CA has issued the certificate. DANE clients authenticate the server; senders with only MTA-STS do not deliver.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_disagreement"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.privateMX()
				b.mtaSTS("enforce", "mx")
			},
		},
		{
			Name:        "mta-sts-all-refuse",
			Description: "The server has a new key without a record, and no trusted CA has issued its certificate. No sender delivers.",
			Module:      module, Outcome: "refused", Reasons: []string{"tlsa_mismatch"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="refused"} 1`},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.privateLeaf("mx"))
				b.tlsa("_25._tcp.mx", 3, 1, 1, b.leaf("mx"))
				b.mtaSTS("enforce", "mx")
			},
		},
		{
			Name:        "mta-sts-expired",
			Description: "The mail server's certificate expired yesterday. DANE clients authenticate the server by DANE-EE; senders with only MTA-STS do not deliver.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_disagreement"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="authenticated"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="authenticated"} 1`},
			build: func(b *builder) {
				b.mxWithRecord(3, 1, server.Leaf{Names: []string{"mx"}, NotAfter: b.now.AddDate(0, 0, -1)})
				b.mtaSTS("enforce", "mx")
			},
		},
		{
			Name:        "mta-sts-no-starttls",
			Description: "There are a policy and no TLSA records, and the mail server does not offer STARTTLS. Only MTA-STS senders do not deliver.",
			Module:      module, Outcome: "opportunistic", Reasons: []string{"mta_sts_disagreement", "no_tlsa", "starttls_not_offered"},
			Series: []string{`dane_mta_sts_sender_outcome{sender="dane",outcome="opportunistic"} 1`, `dane_mta_sts_sender_outcome{sender="mta_sts",outcome="refused"} 1`, `dane_mta_sts_sender_outcome{sender="both",outcome="refused"} 1`},
			build: func(b *builder) {
				b.customMX(server.SMTP{Name: b.hostname("mx"), NoStartTLS: true}, false)
				b.mtaSTS("enforce", "mx")
			},
		},
		{
			Name:        "mta-sts-domain-name-only",
			Description: "The mail server's certificate names the domain, not the host. DANE-TA accepts that, but MTA-STS does not.",
			Module:      module, Outcome: "authenticated", Success: true, Reasons: []string{"mta_sts_disagreement"}, Advice: []string{"intermediate_pinned_alone"},
			build: func(b *builder) {
				b.serveSMTP(b.mx("mx"), b.leaf("@"))
				b.tlsa("_25._tcp.mx", 2, 0, 1, &b.webCA.Certificate)
				b.mtaSTS("enforce", "mx")
			},
		},
	}
}

// mtaSTS publishes a valid MTA-STS policy. It lists hosts: names, or "*" for all
// hosts of the domain.
func (b *builder) mtaSTS(mode string, hosts ...string) {
	b.policyHost(func(*server.HTTPS) {}, mode, hosts...)
}

// policyHost publishes a policy on a host that change may break.
func (b *builder) policyHost(change func(*server.HTTPS), mode string, hosts ...string) {
	policy := []string{"version: STSv1", "mode: " + mode, "max_age: 604800"}
	for _, host := range hosts {
		policy = append(policy, "mx: "+b.hostname(host))
	}
	page := server.HTTPS{
		Config: server.TLSConfig(b.leaf("mta-sts").Chain()),
		Host:   b.hostname("mta-sts"),
		Path:   "/.well-known/mta-sts.txt",
		Body:   strings.Join(policy, "\r\n") + "\r\n",
	}
	change(&page)
	b.add(`_mta-sts TXT "v=STSv1; id=20260601120000;"`)
	b.serve(b.a("mta-sts"), 443, page)
}

// tlsrpt publishes a TLSRPT record of the domain.
func (b *builder) tlsrpt() {
	b.add(`_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls-reports@%s"`, b.hostname("@"))
}

// privateMX adds a mail server that only DANE-EE authenticates: no trusted CA has
// issued its certificate.
func (b *builder) privateMX() {
	certificate := b.privateLeaf("mx")
	b.serveSMTP(b.mx("mx"), certificate)
	b.tlsa("_25._tcp.mx", 3, 1, 1, certificate)
}
