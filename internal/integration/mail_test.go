//go:build integration

package integration

import (
	"cmp"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// A mailCase is a mail domain, the expected metrics, and the expected delivery of
// Postfix if it does not follow from the outcome.
type mailCase struct {
	scenario
	outcome  string   // expected outcome
	reasons  []string // findings that must be present
	host     string   // outcome of one host, if it is not that of the domain
	dane     delivery // delivery at level dane; by default it follows from the outcome
	daneOnly delivery // delivery at level dane-only
	// difference is the reason for dane and daneOnly, with the RFC.
	difference string
}

// expectedDelivery returns the delivery of Postfix that follows from an outcome, at
// the levels dane and dane-only.
func expectedDelivery(outcome string) (dane, daneOnly delivery) {
	switch outcome {
	case "authenticated":
		return verified, verified
	case "encrypted":
		return encrypted, refused
	case "opportunistic":
		return withoutDANE, refused
	case "unreachable":
		return unreachable, unreachable
	case "none":
		return noServer, noServer
	default:
		return refused, refused
	}
}

// onlyMX is a mail domain with one mail server.
const onlyMX = "@ MX 10 mx\nmx A {{.IPv4}}\n"

// mailCases returns the mail domains of the testbed.
func mailCases() []mailCase {
	cases := []mailCase{
		// Authenticated.
		{scenario: scenario{name: "ee-spki-sha256",
			desc:    "3 1 1, the most common record",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 1 .Leaf}}`},
			outcome: "authenticated"},
		{scenario: scenario{name: "ee-cert-sha256",
			desc:    "3 0 1 of a self-signed certificate",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 0 1 .Leaf}}`,
			server:  server{certificate: certificate{chain: selfSigned}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "ee-spki-sha512",
			desc:    "3 1 2",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 2 .Leaf}}`},
			outcome: "authenticated"},
		{scenario: scenario{name: "ee-spki-full",
			desc:    "3 1 0: the full key",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 0 .Leaf}}`},
			outcome: "authenticated"},
		{scenario: scenario{name: "ee-cert-full",
			desc:    "3 0 0: the full certificate",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 0 0 .Leaf}}`},
			outcome: "authenticated"},
		{scenario: scenario{name: "ta-cert-sha256",
			desc:    "2 0 1 of a root that the server sends",
			records: onlyMX + `_25._tcp.mx {{tlsa 2 0 1 .Root}}`},
			outcome: "authenticated"},
		{scenario: scenario{name: "ta-spki-sha256",
			desc:    "2 1 1 of an intermediate; the root is not needed",
			records: onlyMX + `_25._tcp.mx {{tlsa 2 1 1 .Intermediate}}`,
			server:  server{certificate: certificate{chain: withoutRoot}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "ta-in-dns",
			desc:    "2 0 0: the record has the root that the server does not send",
			records: onlyMX + `_25._tcp.mx {{tlsa 2 0 0 .Root}}`,
			server:  server{certificate: certificate{chain: withoutRoot}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "ta-key-in-dns",
			desc:    "2 1 0: the record has the key of the root that the server does not send",
			records: onlyMX + `_25._tcp.mx {{tlsa 2 1 0 .Root}}`,
			server:  server{certificate: certificate{chain: withoutRoot}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "ta-next-hop-name",
			desc:    "a certificate for the mail domain, which is also a reference identifier (RFC 7672 §3.2.2)",
			records: onlyMX + `_25._tcp.mx {{tlsa 2 1 1 .Root}}`,
			server:  server{certificate: certificate{names: []string{"ta-next-hop-name.good.test"}}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "ta-wildcard-name",
			desc:    "a wildcard certificate: * matches the first label of the hostname",
			records: onlyMX + `_25._tcp.mx {{tlsa 2 1 1 .Root}}`,
			server:  server{certificate: certificate{names: []string{"*.ta-wildcard-name.good.test"}}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "ee-expired",
			desc:    "an expired certificate: DANE-EE ignores dates (RFC 7671 §5.1)",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 1 .Leaf}}`,
			server:  server{certificate: certificate{expired: true}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "ee-name-mismatch",
			desc:    "a certificate for another name: DANE-EE ignores names (RFC 7671 §5.1)",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 1 .Leaf}}`,
			server:  server{certificate: certificate{names: []string{"unrelated.test"}}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "rollover",
			desc:    "the record of the next key is published before its use",
			records: onlyMX + "_25._tcp.mx {{tlsa 3 1 1 .Other}}\n_25._tcp.mx {{tlsa 3 1 1 .Leaf}}"},
			outcome: "authenticated"},
		{scenario: scenario{name: "no-mx",
			desc:    "no MX records: the domain itself is the mail server",
			records: "@ A {{.IPv4}}\n_25._tcp {{tlsa 3 1 1 .Leaf}}"},
			outcome: "authenticated"},
		{scenario: scenario{name: "only-ipv6",
			desc:    "a mail server without IPv4",
			records: "@ MX 10 mx\nmx AAAA {{.IPv6}}\n_25._tcp.mx {{tlsa 3 1 1 .Leaf}}"},
			outcome: "authenticated"},
		{scenario: scenario{name: "both-families",
			desc:    "a mail server with IPv4 and IPv6",
			records: "@ MX 10 mx\nmx A {{.IPv4}}\nmx AAAA {{.IPv6}}\n_25._tcp.mx {{tlsa 3 1 1 .Leaf}}"},
			outcome: "authenticated"},
		{scenario: scenario{name: "preferred-is-down",
			desc:    "the preferred server is down and the next one accepts the mail",
			records: "@ MX 5 down\ndown A {{.Unused}}\n_25._tcp.down {{tlsa 3 1 1 .Leaf}}\n" + onlyMX + "_25._tcp.mx {{tlsa 3 1 1 .Leaf}}"},
			outcome: "authenticated", reasons: []string{"connect_failed"}, host: "unreachable"},

		// Aliases.
		{scenario: scenario{name: "tlsa-wildcard",
			desc:    "one TLSA record for every port",
			records: onlyMX + `*._tcp.mx {{tlsa 3 1 1 .Leaf}}`},
			outcome: "authenticated"},
		{scenario: scenario{name: "tlsa-cname",
			desc:    "the TLSA name is an alias of another name",
			records: onlyMX + "_25._tcp.mx CNAME tlsa\ntlsa {{tlsa 2 1 1 .Root}}"},
			outcome: "authenticated"},
		{scenario: scenario{name: "tlsa-cname-dangling",
			desc:    "the TLSA name is an alias of a name that does not exist: no TLSA records",
			records: onlyMX + "_25._tcp.mx CNAME nothing.nsec3.test."},
			outcome: "opportunistic", reasons: []string{"tlsa_alias_dangling"}},
		{scenario: scenario{name: "tlsa-cname-insecure",
			desc:    "the TLSA name is an alias into an unsigned zone: no TLSA records",
			records: onlyMX + "_25._tcp.mx CNAME text.unsigned.example."},
			outcome: "opportunistic"},
		{scenario: scenario{name: "tlsa-cname-bogus",
			desc:    "the TLSA name is an alias into a bogus zone",
			records: onlyMX + "_25._tcp.mx CNAME text.wrongds.test."},
			outcome: "refused", reasons: []string{"dnssec_bogus"}},
		{scenario: scenario{name: "mx-alias",
			desc:    "the MX host is an alias: the TLSA records are at its target (RFC 7672 §2.2.2)",
			records: "@ MX 10 alias\nalias CNAME mx\nmx A {{.IPv4}}\n_25._tcp.mx {{tlsa 2 1 1 .Root}}"},
			outcome: "authenticated"},
		{scenario: scenario{name: "mx-alias-own-tlsa",
			desc:    "the MX host is an alias, and only the alias has TLSA records",
			records: "@ MX 10 alias\nalias CNAME mx\nmx A {{.IPv4}}\n_25._tcp.alias {{tlsa 3 1 1 .Leaf}}"},
			outcome: "authenticated"},
		{scenario: scenario{name: "mx-alias-insecure",
			desc:    "the MX host is a signed alias of an unsigned name: the alias has the TLSA records",
			records: "@ MX 10 alias\nalias CNAME mx.mx-unsigned-target.unsigned.test.\n_25._tcp.alias {{tlsa 3 1 1 .Other}}",
			server:  server{absent: true}},
			outcome: "refused", reasons: []string{"tlsa_mismatch"}},
		{scenario: scenario{name: "mx-unsigned-target", zone: "unsigned.test.",
			desc:    "the unsigned mail server that mx-alias-insecure points to",
			records: onlyMX},
			outcome: "opportunistic"},

		// Refused.
		{scenario: scenario{name: "mismatch",
			desc:    "a new certificate with the old TLSA record",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 1 .Other}}`},
			outcome: "refused", reasons: []string{"tlsa_mismatch"}},
		{scenario: scenario{name: "ta-root-not-sent",
			desc:    "2 0 1 of a root that the server does not send",
			records: onlyMX + `_25._tcp.mx {{tlsa 2 0 1 .Root}}`,
			server:  server{certificate: certificate{chain: withoutRoot}}},
			outcome: "refused"},
		{scenario: scenario{name: "ta-of-leaf",
			desc:    "2 1 1 of the leaf, which is not an issuer",
			records: onlyMX + `_25._tcp.mx {{tlsa 2 1 1 .Leaf}}`},
			outcome: "refused"},
		{scenario: scenario{name: "ta-expired",
			desc:    "an expired certificate: DANE-TA checks dates",
			records: onlyMX + `_25._tcp.mx {{tlsa 2 1 1 .Root}}`,
			server:  server{certificate: certificate{expired: true}}},
			outcome: "refused", reasons: []string{"certificate_expired"}},
		{scenario: scenario{name: "ta-name-mismatch",
			desc:    "a certificate for another name: DANE-TA checks names",
			records: onlyMX + `_25._tcp.mx {{tlsa 2 1 1 .Root}}`,
			server:  server{certificate: certificate{names: []string{"unrelated.test"}}}},
			outcome: "refused", reasons: []string{"name_mismatch"}},
		{scenario: scenario{name: "superseded",
			desc:    "SHA-512 wrong, SHA-256 right: only the stronger digest counts (RFC 7671 §9)",
			records: onlyMX + "_25._tcp.mx {{tlsa 3 1 2 .Other}}\n_25._tcp.mx {{tlsa 3 1 1 .Leaf}}"},
			outcome: "refused", reasons: []string{"tlsa_mismatch"}},
		{scenario: scenario{name: "no-starttls",
			desc:    "TLSA records and no STARTTLS",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 1 .Leaf}}`,
			server:  server{options: []string{"smtpd_tls_security_level=none"}}},
			outcome: "refused", reasons: []string{"starttls_not_offered"}},
		{scenario: scenario{name: "unusable-no-starttls",
			desc:    "unusable TLSA records and no STARTTLS: TLS is mandatory (RFC 7672 §2.2)",
			records: onlyMX + `_25._tcp.mx {{tlsa 1 1 1 .Leaf}}`,
			server:  server{options: []string{"smtpd_tls_security_level=none"}}},
			outcome: "refused", reasons: []string{"starttls_not_offered"}},

		// No or unusable TLSA records.
		{scenario: scenario{name: "no-tlsa",
			desc:    "a signed domain without TLSA records",
			records: onlyMX},
			outcome: "opportunistic", reasons: []string{"no_tlsa"}},
		{scenario: scenario{name: "no-tlsa-no-starttls",
			desc:    "a signed domain without TLSA records and STARTTLS: mail is sent in clear text",
			records: onlyMX,
			server:  server{options: []string{"smtpd_tls_security_level=none"}}},
			outcome: "opportunistic", reasons: []string{"no_tlsa"}},
		{scenario: scenario{name: "pkix-usages",
			desc:    "usages 0 and 1 are unusable for mail (RFC 7672 §3.1.3)",
			records: onlyMX + "_25._tcp.mx {{tlsa 1 1 1 .Leaf}}\n_25._tcp.mx {{tlsa 0 1 1 .Root}}"},
			outcome: "encrypted", reasons: []string{"tlsa_unusable"}},
		{scenario: scenario{name: "malformed",
			desc:    "a SHA-256 digest of four octets",
			records: onlyMX + `_25._tcp.mx TLSA 3 1 1 0badcafe`},
			outcome: "encrypted", reasons: []string{"tlsa_unusable"}},
		{scenario: scenario{name: "malformed-and-good",
			desc:    "a malformed and a good record",
			records: onlyMX + "_25._tcp.mx TLSA 3 1 1 0badcafe\n_25._tcp.mx {{tlsa 3 1 1 .Leaf}}"},
			outcome: "authenticated"},

		// Unsigned zones.
		{scenario: scenario{name: "optout", zone: "unsigned.test.",
			desc:    "an unsigned domain below NSEC3 with opt-out",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 1 .Other}}`},
			outcome: "opportunistic", reasons: []string{"mx_insecure"}},
		{scenario: scenario{name: "plain", zone: "unsigned.example.",
			desc:    "an unsigned domain below NSEC",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 1 .Other}}`},
			outcome: "opportunistic", reasons: []string{"mx_insecure"}},
		{scenario: scenario{name: "unsigned-host",
			desc:    "a signed domain whose mail server is in an unsigned zone",
			records: "@ MX 10 mx.plain.unsigned.example.",
			server:  server{absent: true}},
			outcome: "opportunistic", reasons: []string{"address_insecure"}},
		{scenario: scenario{name: "insecure-mx", zone: "unsigned.test.",
			desc:    "an unsigned domain whose mail server is in a signed zone, with TLSA records",
			records: "@ MX 10 mx.ee-spki-sha256.good.test.",
			server:  server{absent: true}},
			outcome: "opportunistic", reasons: []string{"mx_insecure"}, host: "authenticated", dane: trusted, daneOnly: trusted,
			difference: "RFC 7672 §2.2.1: the client MAY use DANE TLS even with MX hosts of an insecure MX RRset; " +
				"Postfix does, and logs the session as trusted. We report the protection of the domain: an attacker who forges the MX records chooses the server"},
		{scenario: scenario{name: "insecure-mx-mismatch", zone: "unsigned.test.",
			desc:    "an unsigned domain whose mail server has a TLSA mismatch",
			records: "@ MX 10 mx.mismatch.good.test.",
			server:  server{absent: true}},
			outcome: "refused", reasons: []string{"mx_insecure", "tlsa_mismatch"}},

		// Bogus zones.
		{scenario: scenario{name: "wrong-ds", zone: "wrongds.test.",
			desc:    "the DS in the parent matches no key",
			records: onlyMX},
			outcome: "refused", reasons: []string{"dnssec_bogus"}},
		{scenario: scenario{name: "expired-signature", zone: "expired.example.",
			desc:    "expired signatures",
			records: onlyMX},
			outcome: "refused", reasons: []string{"dnssec_bogus"}},
		{scenario: scenario{name: "bogus-host",
			desc:    "a signed domain whose mail server is in a bogus zone",
			records: "@ MX 10 mx.wrong-ds.wrongds.test.",
			server:  server{absent: true}},
			outcome: "refused", reasons: []string{"dnssec_bogus"}},

		// No session.
		{scenario: scenario{name: "null-mx",
			desc:    "a domain that accepts no mail (RFC 7505)",
			records: "@ MX 0 .\n@ A {{.IPv4}}",
			server:  server{absent: true}},
			outcome: "none", reasons: []string{"null_mx"}},
		{scenario: scenario{name: "null-mx-conflict",
			desc:    "a null MX and the MX record of a working mail server (RFC 7505 §3)",
			records: onlyMX + "@ MX 0 .\n_25._tcp.mx {{tlsa 3 1 1 .Leaf}}"},
			outcome: "authenticated", reasons: []string{"null_mx_conflict"}, dane: noServer, daneOnly: noServer,
			difference: "Postfix takes a null MX among others for the only record and bounces the mail; the null MX fails the probe"},
		{scenario: scenario{name: "null-mx-preferred-last",
			desc:    "a null MX of the worst preference",
			records: onlyMX + "@ MX 90 .\n_25._tcp.mx {{tlsa 3 1 1 .Leaf}}"},
			outcome: "authenticated", reasons: []string{"null_mx_conflict"}, dane: noServer, daneOnly: noServer,
			difference: "as null-mx-conflict"},
		{scenario: scenario{name: "null-mx-preference",
			desc:    "a null MX with the preference 10",
			records: "@ MX 10 .\n@ A {{.IPv4}}",
			server:  server{absent: true}},
			outcome: "none", reasons: []string{"null_mx"}},
		{scenario: scenario{name: "mx-is-address",
			desc:    "an MX record that names an address: Postfix connects without DANE",
			records: "@ MX 10 {{.IPv4}}."},
			outcome: "opportunistic", reasons: []string{"mx_names_address"}},
		{scenario: scenario{name: "mx-not-a-hostname",
			desc:    "a host in UTF-8 and a working mail server: Postfix ignores it",
			records: onlyMX + "@ MX 5 b\\195\\188cher\n_25._tcp.mx {{tlsa 3 1 1 .Leaf}}"},
			outcome: "authenticated", reasons: []string{"invalid_hostname"}},
		{scenario: scenario{name: "mx-only-not-a-hostname",
			desc:    "the only MX record names a host with a space",
			records: "@ MX 10 a\\032b",
			server:  server{absent: true}},
			outcome: "none", reasons: []string{"invalid_hostname"}},
		{scenario: scenario{name: "mx-invalid",
			desc:    "the MX record names a host below invalid (RFC 6761 §6.4)",
			records: "@ MX 10 mx.invalid.",
			server:  server{absent: true}},
			outcome: "none", reasons: []string{"special_use_name"}},
		{scenario: scenario{name: "mx-alias-of-invalid",
			desc:    "the mail server is an alias of a name below invalid",
			records: "@ MX 10 mx\nmx CNAME parked.invalid.",
			server:  server{absent: true}},
			outcome: "none", reasons: []string{"special_use_name"}},
		{scenario: scenario{name: "nxdomain",
			desc:    "the domain does not exist",
			records: "",
			server:  server{absent: true}},
			outcome: "none", reasons: []string{"no_such_domain"}},
		{scenario: scenario{name: "down",
			desc:    "a mail server that does not listen",
			records: "@ MX 10 mx\nmx A {{.Unused}}\n_25._tcp.mx {{tlsa 3 1 1 .Leaf}}",
			server:  server{absent: true}},
			outcome: "unreachable", reasons: []string{"connect_failed"}},
		{scenario: scenario{name: "rejects-us",
			desc:    "a mail server that rejects the client",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 1 .Leaf}}`,
			server:  server{options: []string{"smtpd_client_restrictions=reject", "smtpd_delay_reject=no"}}},
			outcome: "unreachable", reasons: []string{"client_rejected"}},
		{scenario: scenario{name: "requires-certificate",
			desc:    "a mail server that requires a certificate of the client",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 1 .Leaf}}`,
			server:  server{options: []string{"smtpd_tls_security_level=encrypt", "smtpd_tls_req_ccert=yes"}}},
			outcome: "refused", reasons: []string{"client_rejected"}, // Postfix completes the handshake and answers EHLO with 421
			dane: verified, daneOnly: verified, difference: "posttls-finger reports the handshake; smtp(8) defers the mail after the 421, which RFC 5321 §4.3.2 allows as a reply to EHLO"},
		{scenario: scenario{name: "requests-certificate",
			desc:    "a mail server that requests a certificate of the client and accepts none",
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 1 .Leaf}}`,
			server:  server{options: []string{"smtpd_tls_ask_ccert=yes"}}},
			outcome: "authenticated"},
	}
	// The same record in zones of every algorithm and kind of denial.
	for _, z := range []struct {
		zone, outcome, difference string
		dane, daneOnly            delivery
	}{
		{zone: "deep.good.test.", outcome: "authenticated"},
		{zone: "nsec3.test.", outcome: "authenticated"},
		{zone: "p384.test.", outcome: "authenticated"},
		{zone: "ed25519.test.", outcome: "authenticated"},
		{zone: "knot.example.", outcome: "authenticated"},
		{zone: "bind.test.", outcome: "authenticated"},
		{zone: "rsasha512.example.", outcome: "authenticated"},
		{zone: "island.unsigned.example.", outcome: "opportunistic"},
		{zone: "rsasha1.example.", outcome: "opportunistic", dane: verified, daneOnly: verified, difference: rsasha1Difference},
		{zone: "ed448.example.", outcome: "authenticated"},
	} {
		cases = append(cases, mailCase{scenario: scenario{name: "mail-" + firstLabel(z.zone), zone: z.zone,
			desc:    "an ordinary mail domain in " + z.zone,
			records: onlyMX + `_25._tcp.mx {{tlsa 3 1 1 .Leaf}}`},
			outcome: z.outcome, dane: z.dane, daneOnly: z.daneOnly, difference: z.difference})
	}
	return cases
}

// testMail compares the exporter and Postfix for every mail domain.
func testMail(t *testing.T, tb *testbed, e *exporter) {
	for _, c := range mailCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			domain := tb.mail[c.name].domain()
			c.checkExporter(t, tb, e.probe(t, domain, "smtp_mx"), func() string { return e.report(t, domain, "smtp_mx") })
			c.checkPostfix(t, tb, domain)
		})
	}
}

// checkExporter compares the metrics with the table, and the status of the MX lookup
// with that of Unbound.
func (c mailCase) checkExporter(t *testing.T, tb *testbed, ours probeResult, report func() string) {
	t.Helper()
	if outcome := ours.outcome(t); outcome != c.outcome || !contains(ours.reasons(), c.reasons) {
		t.Errorf("%s: outcome %s, reasons %q; want %s and %q\n%s", c.desc,
			outcome, ours.reasons(), c.outcome, c.reasons, report())
	}
	host := c.host
	if host == "" && c.outcome != "refused" && c.outcome != "none" {
		host = c.outcome
	}
	if hosts := ours.activeLabels("dane_host_outcome", nil, "outcome"); host != "" && !slices.Contains(hosts, host) {
		t.Errorf("%s: host outcomes %q, want %s\n%s", c.desc, hosts, host, report())
	}
	q := question{tb.mail[c.name].domain(), dns.TypeMX}
	want := tb.expected(q, statusOf(query(t, validatorAddress, q.name, q.qtype))).String()
	if status := ours.activeLabels("dane_dnssec_info", map[string]string{"lookup": "mx"}, "status"); !slices.Equal(status, []string{want}) {
		t.Errorf("%s: the MX lookup is %q, want %s as for Unbound\n%s", c.desc, status, want, report())
	}
}

// checkPostfix compares the delivery of Postfix with the table.
func (c mailCase) checkPostfix(t *testing.T, tb *testbed, domain string) {
	t.Helper()
	if (c.dane != "" || c.daneOnly != "") && c.difference == "" {
		t.Error("the table gives no reason for the difference")
	}
	dane, daneOnly := expectedDelivery(c.outcome)
	wanted := map[string]delivery{"dane": cmp.Or(c.dane, dane), "dane-only": cmp.Or(c.daneOnly, daneOnly)}
	for level, want := range wanted {
		if got, text := postTLSFinger(t, tb.dir, level, domain); got != want {
			t.Errorf("%s: posttls-finger -l %s: %s, want %s\n%s", c.desc, level, got, want, text)
		}
	}
}
