package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/smtp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// newLab returns a lab that is closed when the test ends.
func newLab(t *testing.T) *Lab {
	t.Helper()
	l, err := New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// The lab's resolvers implement dnssec.Transport, which the lab does not import.
var _ interface {
	Exchange(context.Context, *dns.Msg) (*dns.Msg, string, error)
	ExchangeWith(context.Context, string, *dns.Msg) (*dns.Msg, error)
	Servers() []string
} = (*zone.Internet)(nil)

// Values of the public contract. The table may use no others.
var (
	outcomes = words("authenticated encrypted opportunistic refused unreachable none unknown")
	modules  = words(`smtp_mx smtp_mx_mta_sts smtp_mx_full https submission submissions lmtp imap pop3 sieve ldap postgres
		xmpp_client xmpp_server sip imap_srv pop3_srv submission_srv mail_server
		lab_proxy lab_proxy_ip6 lab_proxy_dead lab_source lab_ip4 lab_ip6 lab_renewal`)
	reasons = words(`no_such_domain null_mx no_address dns_failure dnssec_bogus mx_insecure address_insecure tlsa_insecure
		no_tlsa tlsa_unusable tlsa_alias_dangling tlsa_mismatch trust_anchor_not_sent chain_invalid chain_too_deep name_mismatch
		certificate_expired certificate_not_yet_valid pkix_untrusted connect_failed timeout client_rejected protocol_error
		starttls_not_offered starttls_rejected tls_handshake_failed client_certificate_required tls_unsupported_here tls_obsolete
		large_client_hello_dropped certificate_unparsable resolver_inconsistent
		mta_sts_record_invalid mta_sts_policy_unavailable mta_sts_policy_invalid mta_sts_host_not_covered mta_sts_disagreement
		tlsrpt_record_invalid nameserver_inconsistent parent_inconsistent lame_delegation cds_inconsistent limit_exceeded srv_insecure srv_none no_srv
		proxy_failed ipv6_unavailable plaintext_after_starttls null_mx_conflict mx_names_address invalid_hostname special_use_name mta_sts_syntax tlsrpt_syntax caa_lookup_failed caa_forbids_issuer acme_challenge_bogus`)
)

func words(s string) []string { return strings.Fields(s) }

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Scenarios() {
		if seen[s.Name] {
			t.Errorf("%s: duplicate name", s.Name)
		}
		seen[s.Name] = true
		want := 3
		if s.OwnTLD {
			want = 2
		}
		if labels, ok := dns.IsDomainName(s.Target()); !ok || labels != want || s.Name != strings.ToLower(s.Name) {
			t.Errorf("%s: target %q", s.Name, s.Target())
		}
		if !strings.HasSuffix(s.Description, ".") {
			t.Errorf("%s: the description %q is not a sentence", s.Name, s.Description)
		}
		if !slices.Contains(modules, s.Module) || !slices.Contains(outcomes, s.Outcome) || s.Later != "" && !slices.Contains(outcomes, s.Later) {
			t.Errorf("%s: module %q, outcome %q", s.Name, s.Module, s.Outcome)
		}
		if !slices.IsSorted(s.Reasons) || len(slices.Compact(slices.Clone(s.Reasons))) != len(s.Reasons) {
			t.Errorf("%s: reasons %q are not sorted, each once", s.Name, s.Reasons)
		}
		if !slices.IsSorted(s.Advice) || len(slices.Compact(slices.Clone(s.Advice))) != len(s.Advice) {
			t.Errorf("%s: advice %q is not sorted, each once", s.Name, s.Advice)
		}
		for _, reason := range s.Reasons {
			if !slices.Contains(reasons, reason) {
				t.Errorf("%s: reason %q", s.Name, reason)
			}
		}
		if s.Success && s.Outcome != "authenticated" || s.Outcome != "authenticated" && len(s.Reasons) == 0 {
			t.Errorf("%s: outcome %s, success %v, reasons %q", s.Name, s.Outcome, s.Success, s.Reasons)
		}
	}
	required := words(`good good-nsec3 good-ipv6 two-mx-one-broken two-addresses-one-broken tlsa-mismatch no-tlsa unsigned
		optout-unsigned bogus-signature expired-signature wrong-ds tlsa-denial-bogus tlsa-servfail insecure-host-tlsa-servfail
		insecure-mx-secure-host insecure-mx-mismatch mx-cname mx-cname-tlsa-at-alias tlsa-cname tlsa-cname-unsigned
		wildcard-tlsa rollover dane-ta dane-ta-anchor-in-dns dane-ta-root-not-sent dane-ta-of-leaf dane-ta-name-mismatch
		dane-ta-alias-name dane-ta-cn-only dane-ta-expired dane-ee-expired pkix-usages-only malformed-tlsa
		malformed-and-good sha512-wrong-sha256-right full-certificate-tlsa no-starttls no-starttls-no-tlsa
		starttls-rejected client-rejected garbage-banner tarpit connection-refused null-mx no-mx no-such-domain
		mta-sts-good mta-sts-no-record mta-sts-several-records mta-sts-testing mta-sts-policy-missing mta-sts-redirect
		mta-sts-wrong-media-type mta-sts-oversized mta-sts-wrong-certificate mta-sts-host-not-covered mta-sts-dane-refuses
		mta-sts-pkix-refuses mta-sts-no-tlsrpt xmpp-good xmpp-srv-insecure xmpp-srv-bogus xmpp-srv-none xmpp-two-hosts-one-broken
		srv-target-alias srv-certificate-of-domain srv-certificate-of-other srv-host-insecure sip-no-srv imap-no-srv
		imap-srv-tls-alone services-good services-one-broken services-one-without-tlsa
		lmtp-good lmtp-mismatch lmtp-no-starttls lmtp-starttls-rejected imap-good imap-mismatch imap-no-starttls imap-starttls-rejected
		pop3-good pop3-mismatch pop3-no-starttls pop3-starttls-rejected sieve-good sieve-mismatch sieve-no-starttls sieve-starttls-rejected sieve-silent-inside-tls
		ldap-good ldap-mismatch ldap-no-starttls ldap-starttls-rejected postgres-good postgres-mismatch postgres-no-starttls postgres-garbage
		xmpp-no-starttls xmpp-starttls-rejected xmpp-server-good xmpp-server-mismatch xmpp-server-no-starttls xmpp-server-starttls-rejected
		xmpp-server-client-certificate xmpp-server-client-certificate-tls12
		xmpp-one-srv-bogus sip-good sip-mismatch imap-srv-both pop3-srv submission-srv submission-srv-first-broken submission-srv-first-unknown
		submission-srv-nothing-left proxy proxy-not-used proxy-dead proxy-without-ipv6 proxy-without-ipv6-demanded source-address
		source-address-other ip4-alone ip6-alone ip6-demanded both-keys both-keys-tls12 both-keys-one-stale rsa-key-alone ed25519-key-alone
		dialogue-foreign-lines dialogue-codes-differ dialogue-dropped dialogue-named-starttls dialogue-late-starttls
		dialogue-ehlo-refused dialogue-ehlo-refused-no-tlsa plaintext-injected null-mx-conflict null-mx-twice mx-is-address mx-not-a-hostname mx-localhost mx-alias-invalid
		mx-nonexistent-tld mta-sts-syntax mta-sts-extension-empty mta-sts-tlsrpt-schemes ends-soon-dane-ta nsec3-iterations nsec3-iterations-denial mta-sts-all-refuse mta-sts-expired mta-sts-no-starttls
		renewal-good renewal-other-ca renewal-host-caa renewal-caa-bogus renewal-caa-servfail renewal-caa-servfail-unsigned renewal-caa-many renewal-challenge-bogus
		renewal-challenge-unsigned renewal-challenge-loop renewal-aliased-host renewal-wildcard renewal-wildcard-forbidden renewal-other-name`)
	for _, name := range required {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

func ask(t *testing.T, l *Lab, name string, qtype uint16) *dns.Msg {
	t.Helper()
	query := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	query.SetEdns0(1232, true)
	response, _, err := l.DNS().Exchange(t.Context(), query)
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.TypeToString[qtype], err)
	}
	return response
}

// records returns the records of one type in the answer, without aliases.
func records[T dns.RR](t *testing.T, l *Lab, name string, qtype uint16) []T {
	t.Helper()
	var found []T
	for _, rr := range ask(t, l, name, qtype).Answer {
		if record, ok := rr.(T); ok {
			found = append(found, record)
		}
	}
	return found
}

// service is a host, a port and the host's addresses.
type service struct {
	host  string
	port  uint16
	addrs []netip.Addr
}

// services returns the services of a scenario's target, without validating DNS.
func services(t *testing.T, l *Lab, s Scenario) []service {
	t.Helper()
	port, ok := map[string]uint16{"https": 443, "submission": 587, "submissions": 465, "sip": 5061, "xmpp_client": 5222,
		"lmtp": 24, "imap": 143, "pop3": 110, "sieve": 4190, "ldap": 389, "postgres": 5432}[s.Module]
	if !ok {
		port = 25
	}
	all := []service{{host: s.Target(), port: port}}
	if mx := records[*dns.MX](t, l, s.Target(), dns.TypeMX); port == 25 && len(mx) > 0 {
		all = nil
		for _, record := range mx {
			all = append(all, service{host: record.Mx, port: port})
		}
	}
	if s.Name == "mx-servfail" { // its MX record cannot be looked up
		all[0].host = "mx." + s.Target()
	}
	if s.Module == "smtp_mx_mta_sts" {
		all = append(all, service{host: "mta-sts." + s.Target(), port: 443})
	}
	if s.Module == "mail_server" {
		all = []service{{host: s.Target(), port: 25}, {host: s.Target(), port: 465}, {host: s.Target(), port: 587}, {host: s.Target(), port: 993}}
	}
	if named := bySRV(t, l, s); len(named) > 0 {
		all = named
	}
	for i := range all {
		if address, err := netip.ParseAddr(strings.TrimSuffix(all[i].host, ".")); err == nil {
			all[i].addrs = append(all[i].addrs, address)
		}
		for _, a := range records[*dns.A](t, l, all[i].host, dns.TypeA) {
			address, _ := netip.AddrFromSlice(a.A.To4())
			all[i].addrs = append(all[i].addrs, address)
		}
		for _, aaaa := range records[*dns.AAAA](t, l, all[i].host, dns.TypeAAAA) {
			address, _ := netip.AddrFromSlice(aaaa.AAAA)
			all[i].addrs = append(all[i].addrs, address)
		}
	}
	return all
}

// bySRV returns the services that the SRV records of a scenario name.
func bySRV(t *testing.T, l *Lab, s Scenario) (all []service) {
	t.Helper()
	names := map[string]string{"xmpp_client": "xmpp-client xmpps-client", "xmpp_server": "xmpp-server xmpps-server", "sip": "sips",
		"imap_srv": "imap imaps", "pop3_srv": "pop3 pop3s", "submission_srv": "submission submissions"}
	for _, name := range words(names[s.Module]) {
		for _, srv := range records[*dns.SRV](t, l, "_"+name+"._tcp."+s.Target(), dns.TypeSRV) {
			if srv.Target != "." {
				all = append(all, service{host: srv.Target, port: srv.Port})
			}
		}
	}
	return all
}

// TestServersListen checks that there is a server at each address in DNS, except in
// scenarios without one and at addresses beyond the limit of a probe. Each server but
// the proxy has its address in DNS, and all addresses are documentation addresses.
func TestServersListen(t *testing.T) {
	l := newLab(t)
	reached := map[netip.AddrPort]bool{}
	for _, s := range Scenarios() {
		for _, service := range services(t, l, s) {
			slices.SortFunc(service.addrs, netip.Addr.Compare)
			for i, address := range service.addrs {
				to := netip.AddrPortFrom(address, service.port)
				conn, err := l.Dial(t.Context(), l.plan.onlyClient[to], to)
				if s.Name == "connection-refused" || s.Name == "proxy-target-refuses" {
					if !errors.Is(err, syscall.ECONNREFUSED) {
						t.Errorf("%s: %v, want a refused connection", s.Name, err)
					}
					continue
				}
				if s.Name == "hundreds-of-addresses" && i >= 16 {
					break
				}
				if err != nil {
					t.Errorf("%s: %v", s.Name, err)
					continue
				}
				reached[to] = true
				if conn.RemoteAddr().String() != to.String() {
					t.Errorf("%s: connected to %s, want %s", s.Name, conn.RemoteAddr(), to)
				}
				conn.Close()
			}
		}
	}
	reached[proxyAddress()] = true
	if len(reached) != len(l.servers) {
		t.Errorf("%d servers are in DNS or the proxy, %d listen", len(reached), len(l.servers))
	}
	for at := range l.servers {
		if !slices.ContainsFunc(Networks(), func(n netip.Prefix) bool { return n.Contains(at.Addr()) }) {
			t.Errorf("a server at %s", at)
		}
	}
}

// TestRecordsMatchServers checks that the certificates that servers send match the TLSA
// records, or do not, as the scenario describes. It uses the clients of the standard
// library, and a simple match that ignores usages and chains.
func TestRecordsMatchServers(t *testing.T) {
	tests := map[string]bool{ // whether at every endpoint some record matches a certificate of the chain
		"good": true, "good-nsec3": true, "good-ipv6": true, "good-dual-stack": true, "rollover": true, "wildcard-tlsa": true,
		"full-certificate-tlsa": true, "dane-ee-expired": true, "hostile-subject": true, "no-mx": true, "malformed-and-good": true,
		"two-mx-one-broken": false, "two-addresses-one-broken": false, "tlsa-mismatch": false, "insecure-mx-secure-host": true, "insecure-mx-mismatch": false,
		"mx-cname": true, "tlsa-cname": true, "tlsa-cname-unsigned": true, "dane-ta": true, "dane-ta-intermediate": true,
		"dane-ta-anchor-in-dns": false, "dane-ta-key-in-dns": false, "dane-ta-root-not-sent": false, "dane-ta-of-leaf": true,
		"dane-ta-wrong-chain": true, "dane-ta-name-mismatch": true, "dane-ta-alias-name": true, "pkix-usages-only": true, "malformed-tlsa": false,
		"sha512-wrong-sha256-right": true, "https-pkix-ee": true, "https-dane-ee": true, "submission-dane-ee": true, "submissions-dane-ta": true,
	}
	l := newLab(t)
	for _, s := range Scenarios() {
		want, listed := tests[s.Name]
		if !listed {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			all := true
			for _, service := range services(t, l, s) {
				base := canonical(t, l, service.host)
				tlsa := records[*dns.TLSA](t, l, fmt.Sprintf("_%d._tcp.%s", service.port, base), dns.TypeTLSA)
				if len(tlsa) == 0 {
					t.Fatalf("no TLSA records at %s", base)
				}
				for _, address := range service.addrs {
					sent := handshake(t, l, netip.AddrPortFrom(address, service.port), strings.TrimSuffix(base, "."))
					all = all && slices.ContainsFunc(tlsa, func(record *dns.TLSA) bool { return hasData(record, sent) })
				}
			}
			if all != want {
				t.Errorf("every endpoint matches a record: %v, want %v", all, want)
			}
		})
	}
}

// canonical returns the canonical name of host.
func canonical(t *testing.T, l *Lab, host string) string {
	t.Helper()
	for _, alias := range records[*dns.CNAME](t, l, host, dns.TypeA) {
		host = alias.Target
	}
	return host
}

func handshake(t *testing.T, l *Lab, to netip.AddrPort, name string) []*x509.Certificate {
	t.Helper()
	conn, err := l.Dial(t.Context(), netip.Addr{}, to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	config := &tls.Config{ServerName: name, InsecureSkipVerify: true}
	if to.Port() == 443 || to.Port() == 465 {
		client := tls.Client(conn, config)
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		return client.ConnectionState().PeerCertificates
	}
	client, err := smtp.NewClient(conn, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.StartTLS(config); err != nil {
		t.Fatal(err)
	}
	state, _ := client.TLSConnectionState()
	return state.PeerCertificates
}

func hasData(record *dns.TLSA, sent []*x509.Certificate) bool {
	want, err := hex.DecodeString(record.Certificate)
	return err == nil && slices.ContainsFunc(sent, func(certificate *x509.Certificate) bool {
		data := certificate.Raw
		if record.Selector == 1 {
			data = certificate.RawSubjectPublicKeyInfo
		}
		sum256, sum512 := sha256.Sum256(data), sha512.Sum512(data)
		return bytes.Equal(want, [][]byte{data, sum256[:], sum512[:]}[record.MatchingType])
	})
}

// TestFaultsInDNS checks that DNS faults apply where they should, and only there.
func TestFaultsInDNS(t *testing.T) {
	l := newLab(t)
	rcodes := map[string]struct {
		qtype uint16
		rcode int
	}{
		"_25._tcp.mx.tlsa-servfail.lab.test":                     {dns.TypeTLSA, dns.RcodeServerFailure},
		"mx.tlsa-servfail.lab.test":                              {dns.TypeA, dns.RcodeSuccess},
		"_25._tcp.mx.plain.insecure-host-tlsa-servfail.lab.test": {dns.TypeTLSA, dns.RcodeServerFailure},
		"mx-servfail.lab.test":                                   {dns.TypeMX, dns.RcodeServerFailure},
		"no-such-domain.lab.test":                                {dns.TypeMX, dns.RcodeNameError},
		"_25._tcp.mx.no-tlsa.lab.test":                           {dns.TypeTLSA, dns.RcodeNameError},
		"_25._tcp.mx.tlsa-denial-bogus.lab.test":                 {dns.TypeTLSA, dns.RcodeNameError},
		"null-mx.lab.test":                                       {dns.TypeMX, dns.RcodeSuccess},
	}
	for name, want := range rcodes {
		if m := ask(t, l, name, want.qtype); m.Rcode != want.rcode {
			t.Errorf("%s: %s, want %s", name, dns.RcodeToString[m.Rcode], dns.RcodeToString[want.rcode])
		}
	}
	proofs := func(name string) int {
		return len(slices.DeleteFunc(ask(t, l, name, dns.TypeTLSA).Ns, func(rr dns.RR) bool { return rr.Header().Rrtype != dns.TypeNSEC }))
	}
	if with, without := proofs("_25._tcp.mx.no-tlsa.lab.test"), proofs("_25._tcp.mx.tlsa-denial-bogus.lab.test"); with == 0 || without != 0 {
		t.Errorf("%d NSEC records with the proof, %d without", with, without)
	}
	for name, want := range map[string]bool{"expired-signature.lab.test": false, "good.lab.test": true} {
		for _, signature := range records[*dns.RRSIG](t, l, name, dns.TypeMX) {
			if got := signature.ValidityPeriod(time.Now()); got != want {
				t.Errorf("signature of %s is valid now: %v, want %v", name, got, want)
			}
		}
	}
}

func TestHostileCertificates(t *testing.T) {
	subject, err := hostileSubject()
	if err != nil {
		t.Fatal(err)
	}
	for _, octets := range []string{"\n", `"`, `\`, "\x00", "\xff"} {
		if !bytes.Contains(subject, []byte(octets)) {
			t.Errorf("the hostile subject has no %q", octets)
		}
	}
	l := newLab(t)
	for _, s := range Scenarios() {
		if s.Name != "unparsable-certificate" {
			continue
		}
		conn, err := l.Dial(t.Context(), netip.Addr{}, netip.AddrPortFrom(services(t, l, s)[0].addrs[0], 25))
		if err != nil {
			t.Fatal(err)
		}
		client, err := smtp.NewClient(conn, "mx")
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.StartTLS(&tls.Config{InsecureSkipVerify: true}); err == nil || !strings.Contains(err.Error(), "parse certificate") {
			t.Errorf("error %v, want that the certificate cannot be parsed", err)
		}
	}
}

// TestServersWithOneClient checks servers that accept connections from one address only.
func TestServersWithOneClient(t *testing.T) {
	l := newLab(t)
	if len(l.plan.onlyClient) == 0 {
		t.Fatal("no scenario has such a server")
	}
	for to, only := range l.plan.onlyClient {
		for _, from := range []netip.Addr{{}, only.Next()} {
			if _, err := l.Dial(t.Context(), from, to); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("from %s to %s, which accepts connections only from %s: %v", from, to, only, err)
			}
		}
		conn, err := l.Dial(t.Context(), only, to)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

func TestDialWithoutServer(t *testing.T) {
	l := newLab(t)
	for _, to := range []string{"192.0.2.1:25", "[2001:db8::ffff]:25", "127.0.0.1:25"} {
		_, err := l.Dial(t.Context(), netip.Addr{}, netip.MustParseAddrPort(to))
		op, ok := errors.AsType[*net.OpError](err)
		if !ok || op.Addr.String() != to || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", to, err)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	l, err := New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for at := range l.servers {
		conn, err := l.Dial(t.Context(), l.plan.onlyClient[at], at)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	l.Close()
	for _, conn := range conns {
		io.Copy(io.Discard, conn) // ends because the other side is closed
		conn.Close()
	}
	// Goroutines that Close has waited for may not have exited yet.
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
