//go:build integration

package integration

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A webCase is a TLS server and the expected outcome for a client of RFC 6698 and
// 7671.
type webCase struct {
	scenario
	outcome string
	reasons []string

	reference string // outcome of s_client, if another
	postfix   string // what posttls-finger does with the server, for TLS on port 443; empty: not tested
	why       string // the difference
}

// onlyWWW is a web server with one address.
const onlyWWW = "www A {{.IPv4}}\n"

// webCases returns the web servers of the testbed.
func webCases() []webCase {
	return append(tlsCases(), []webCase{
		{scenario: scenario{name: "pkix-ta",
			desc:    "0 0 1 of a root that the Web PKI trusts",
			records: onlyWWW + `_443._tcp.www {{tlsa 0 0 1 .Root}}`},
			outcome: "authenticated"},
		{scenario: scenario{name: "pkix-ta-intermediate",
			desc:    "0 1 1 of an intermediate; the client has the root",
			records: onlyWWW + `_443._tcp.www {{tlsa 0 1 1 .Intermediate}}`,
			server:  server{certificate: certificate{chain: withoutRoot}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "pkix-ta-root-not-sent",
			desc:    "0 0 1 of a root that is not sent: every client has it (RFC 7671 §5.4)",
			records: onlyWWW + `_443._tcp.www {{tlsa 0 0 1 .Root}}`,
			server:  server{certificate: certificate{chain: withoutRoot}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "pkix-ta-mismatch",
			desc:    "0 0 1 of a root that did not issue the certificate",
			records: onlyWWW + `_443._tcp.www {{tlsa 0 0 1 .Other}}`},
			outcome: "refused"},
		{scenario: scenario{name: "pkix-ee",
			desc:    "1 1 1 of a leaf that the Web PKI trusts",
			records: onlyWWW + `_443._tcp.www {{tlsa 1 1 1 .Leaf}}`,
			server:  server{certificate: certificate{chain: withoutRoot}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "pkix-ee-full",
			desc:    "1 0 0: the full certificate",
			records: onlyWWW + `_443._tcp.www {{tlsa 1 0 0 .Leaf}}`},
			outcome: "authenticated"},
		{scenario: scenario{name: "pkix-ee-self-signed",
			desc:    "1 1 1 of a self-signed leaf",
			records: onlyWWW + `_443._tcp.www {{tlsa 1 1 1 .Leaf}}`,
			server:  server{certificate: certificate{chain: selfSigned}}},
			outcome: "refused", reasons: []string{"pkix_untrusted"}},
		{scenario: scenario{name: "pkix-ee-expired",
			desc:    "1 1 1 of an expired leaf",
			records: onlyWWW + `_443._tcp.www {{tlsa 1 1 1 .Leaf}}`,
			server:  server{certificate: certificate{expired: true}}},
			outcome: "refused", reasons: []string{"certificate_expired"}},
		{scenario: scenario{name: "pkix-ee-name-mismatch",
			desc:    "1 1 1 of a leaf for another name",
			records: onlyWWW + `_443._tcp.www {{tlsa 1 1 1 .Leaf}}`,
			server:  server{certificate: certificate{names: []string{"unrelated.test"}}}},
			outcome: "refused", reasons: []string{"name_mismatch"}},
		{scenario: scenario{name: "dane-ta",
			desc:    "2 0 1 of a root that is sent",
			records: onlyWWW + `_443._tcp.www {{tlsa 2 0 1 .Root}}`},
			outcome: "authenticated"},
		{scenario: scenario{name: "dane-ta-in-dns",
			desc:    "2 0 0 of a root that is not sent",
			records: onlyWWW + `_443._tcp.www {{tlsa 2 0 0 .Root}}`,
			server:  server{certificate: certificate{chain: withoutRoot}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "dane-ta-not-sent",
			desc:    "2 1 1 of a root that is not sent, although the client has it (RFC 7671 §5.2)",
			records: onlyWWW + `_443._tcp.www {{tlsa 2 1 1 .Root}}`,
			server:  server{certificate: certificate{chain: withoutRoot}}},
			outcome: "refused", reasons: []string{"trust_anchor_not_sent"}},
		{scenario: scenario{name: "dane-ta-name-mismatch",
			desc:    "2 1 1 and a leaf for another name",
			records: onlyWWW + `_443._tcp.www {{tlsa 2 1 1 .Root}}`,
			server:  server{certificate: certificate{names: []string{"unrelated.test"}}}},
			outcome: "refused", reasons: []string{"name_mismatch"}},
		{scenario: scenario{name: "dane-ee",
			desc:    "3 1 1 of a self-signed, expired leaf for another name",
			records: onlyWWW + `_443._tcp.www {{tlsa 3 1 1 .Leaf}}`,
			server:  server{certificate: certificate{chain: selfSigned, expired: true, names: []string{"unrelated.test"}}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "dane-ee-mismatch",
			desc:    "3 1 1 of another leaf",
			records: onlyWWW + `_443._tcp.www {{tlsa 3 1 1 .Other}}`},
			outcome: "refused", reasons: []string{"tlsa_mismatch"}},
		{scenario: scenario{name: "either",
			desc:    "one record of two matches",
			records: onlyWWW + "_443._tcp.www {{tlsa 3 1 1 .Other}}\n_443._tcp.www {{tlsa 2 1 1 .Intermediate}}"},
			outcome: "authenticated"},
		{scenario: scenario{name: "web-alias",
			desc:    "the hostname is an alias and its target has the TLSA records (RFC 7671 §7)",
			records: "www CNAME host\nhost A {{.IPv4}}\n_443._tcp.host {{tlsa 2 1 1 .Root}}",
			server:  server{certificate: certificate{names: []string{"host.web-alias.good.test"}}}},
			outcome: "authenticated"},
		{scenario: scenario{name: "web-no-tlsa",
			desc:    "no TLSA records",
			records: onlyWWW},
			outcome: "opportunistic", reasons: []string{"no_tlsa"}},
		{scenario: scenario{name: "web-unsigned", zone: "unsigned.example.",
			desc:    "TLSA records in an unsigned zone",
			records: onlyWWW + `_443._tcp.www {{tlsa 3 1 1 .Other}}`},
			outcome: "opportunistic"},
		{scenario: scenario{name: "web-bogus", zone: "wrongds.test.",
			desc:    "a bogus zone",
			records: onlyWWW + `_443._tcp.www {{tlsa 3 1 1 .Leaf}}`},
			outcome: "refused", reasons: []string{"dnssec_bogus"}},
	}...)
}

// testWeb compares the exporter and OpenSSL for every web server.
func testWeb(t *testing.T, tb *testbed, e *exporter) {
	for _, c := range webCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := tb.web[c.name]
			host := "www." + s.domain()
			if ours := e.probe(t, host, "https"); ours.outcome(t) != c.outcome || !contains(ours.reasons(), c.reasons) {
				t.Errorf("%s: outcome %s, reasons %q; want %s and %q\n%s", c.desc,
					ours.outcome(t), ours.reasons(), c.outcome, c.reasons, e.report(t, host, "https"))
			}
			want := cmp.Or(c.reference, c.outcome)
			if got, text := daneClient(t, tb, host, netip.AddrPortFrom(s.IPv4, 443)); got != want {
				t.Errorf("%s: the outcome of Unbound and s_client is %s, want %s\n%s", c.desc, got, want, text)
			}
			if c.reference != "" && c.why == "" {
				t.Error("the table gives no reason for the difference")
			}
			if got, text := postfixTLS(t, tb.dir, netip.AddrPortFrom(s.IPv4, 443)); c.postfix != "" && got != c.postfix {
				t.Errorf("%s: Postfix: %s, want %s\n%s", c.desc, got, c.postfix, text)
			}
		})
	}
}

// daneClient is a DANE client made of a validating resolver and openssl s_client. It
// returns an outcome and the text that it is based on.
func daneClient(t testing.TB, tb *testbed, host string, server netip.AddrPort) (outcome, why string) {
	t.Helper()
	address := query(t, validatorAddress, host, dns.TypeA)
	if address.Rcode != dns.RcodeSuccess {
		return "refused", address.String()
	}
	base := host
	for _, record := range address.Answer {
		if alias, ok := record.(*dns.CNAME); ok && strings.EqualFold(alias.Hdr.Name, base) {
			base = alias.Target
		}
	}
	tlsa := query(t, validatorAddress, fmt.Sprintf("_%d._tcp.%s", server.Port(), base), dns.TypeTLSA)
	if tlsa.Rcode == dns.RcodeServerFailure {
		return "refused", tlsa.String()
	}
	var records []string
	for _, record := range tlsa.Answer {
		if r, ok := record.(*dns.TLSA); ok {
			records = append(records, fmt.Sprintf("%d %d %d %s", r.Usage, r.Selector, r.MatchingType, r.Certificate))
		}
	}
	if !tlsa.AuthenticatedData || !address.AuthenticatedData || len(records) == 0 {
		return "opportunistic", tlsa.String()
	}
	verified, text := sClient{base: strings.TrimSuffix(base, "."), records: records, roots: tb.roots}.verify(t, server)
	if verified {
		return "authenticated", text
	}
	return "refused", text
}

// testKeys probes openssl s_server with a module of two key types, for servers with
// one or both keys and with either version of TLS only.
func testKeys(t *testing.T, tb *testbed, e *exporter) {
	ecdsa, rsa := selfSignedPair(t, tb.dir, "ecdsa", "ec", "ec_paramgen_curve:P-256"), selfSignedPair(t, tb.dir, "rsa", "rsa", "rsa_keygen_bits:2048")
	for i, c := range []struct {
		name    string
		options []string
		want    map[string]string // TLS version by key type
	}{
		{"both, TLS 1.3 only", []string{"-tls1_3", "-cert", ecdsa, "-key", keyOf(ecdsa), "-dcert", rsa, "-dkey", keyOf(rsa)},
			map[string]string{"ecdsa": "TLS 1.3", "rsa": "TLS 1.3"}},
		{"both, TLS 1.2 only", []string{"-tls1_2", "-cert", ecdsa, "-key", keyOf(ecdsa), "-dcert", rsa, "-dkey", keyOf(rsa)},
			map[string]string{"ecdsa": "TLS 1.2", "rsa": "TLS 1.2"}},
		{"ECDSA alone", []string{"-cert", ecdsa, "-key", keyOf(ecdsa)}, map[string]string{"ecdsa": "TLS 1.3"}},
		{"RSA alone", []string{"-cert", rsa, "-key", keyOf(rsa)}, map[string]string{"rsa": "TLS 1.3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := netip.AddrFrom4([4]byte{192, 0, 2, byte(240 + i)})
			addAddress(t, address)
			at := netip.AddrPortFrom(address, 443).String()
			start(t, tb.dir, exec.Command(program(t, "openssl"), append([]string{"s_server", "-accept", at, "-quiet", "-www"}, c.options...)...), at)

			read := e.probeQuery(t, url.Values{"target": {at}, "hostname": {"nothing.good.test"}, "module": {"https_keys"}})
			versions := map[string]string{}
			for _, key := range read.activeLabels("dane_tls_info", nil, "key_type") {
				for _, version := range read.activeLabels("dane_tls_info", map[string]string{"key_type": key}, "version") {
					versions[key] += version
				}
				if subjects := read.activeLabels("dane_certificate_info", map[string]string{"key_type": key}, "subject"); len(subjects) != 1 || subjects[0] != "CN="+key {
					t.Errorf("certificate of key type %s is %q", key, subjects)
				}
			}
			if !maps.Equal(versions, c.want) {
				t.Errorf("TLS versions %v, want %v\n%s", versions, c.want, read.body)
			}
			if outcome := read.outcome(t); outcome != "opportunistic" {
				t.Errorf("outcome %s, want opportunistic: every key works\n%s", outcome, read.body)
			}
		})
	}
}

// selfSignedPair makes a key of an algorithm and a self-signed certificate with its
// name.
func selfSignedPair(t testing.TB, dir, name, algorithm, option string) (cert string) {
	t.Helper()
	cert = filepath.Join(dir, name+"-pair.pem")
	run(t, "openssl", "req", "-x509", "-newkey", algorithm, "-pkeyopt", option, "-noenc", "-days", "2",
		"-subj", "/CN="+name, "-keyout", keyOf(cert), "-out", cert)
	return cert
}
