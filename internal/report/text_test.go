package report

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/handshake"
	"dane_exporter/probe/mtasts"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// mismatch returns the report of a domain whose mail server does not match its TLSA
// record.
func mismatch(t *testing.T) *probe.Report {
	t.Helper()
	record, err := dns.NewRR("example.org. 3600 IN MX 10 mx.example.org.")
	if err != nil {
		t.Fatal(err)
	}
	mx := &dnssec.Answer{
		Name: "example.org.", Status: dnssec.Secure, Why: "example.org. MX is signed by example.org.",
		Records: []dns.RR{record}, TTL: time.Hour, Server: "192.0.2.53:53", RTT: 3 * time.Millisecond,
		Work: dnssec.Work{Queries: 4, Signatures: 3},
		EDE:  []string{"22 (No Reachable Authority)"},
		Chain: []dnssec.Link{
			{Zone: ".", Status: dnssec.Secure, Why: "its keys are signed by key 1", Keys: []dnssec.Key{{Tag: 1, Algorithm: 8, SEP: true, Signing: true}, {Tag: 2, Algorithm: 8}}},
			{Zone: "example.org.", Status: dnssec.Secure, Why: "its keys are signed by key 3", Validity: dnssec.Validity{Expiry: noon.Add(day)}, DS: []dnssec.DS{{Tag: 3, Algorithm: 13, DigestType: 2, Used: true}}},
		},
	}
	a := *mx
	a.Name, a.Records, a.EDE = "mx.example.org.", nil, nil
	a.Aliases = []dnssec.Alias{{From: "mx.example.org.", To: "host.example.org.", Status: dnssec.Secure}}
	leaf := &x509.Certificate{
		Raw: []byte("leaf"), RawSubjectPublicKeyInfo: []byte("key"), SerialNumber: big.NewInt(0xbeef),
		Subject: pkix.Name{CommonName: "mx.example.org"}, Issuer: pkix.Name{CommonName: "Some CA"},
		DNSNames: []string{"mx.example.org", "mail.example.org"}, NotBefore: noon.Add(-day), NotAfter: noon.Add(-time.Hour),
	}
	published := tlsa.Record{Usage: tlsa.DANEEE, Selector: tlsa.SPKI, MatchingType: tlsa.SHA256, Data: []byte{0xab, 0xcd}}
	facts := dane.Endpoint{
		Address: netip.MustParseAddr("192.0.2.1"), Reached: dane.StageTLS, SNI: "mx.example.org",
		Dialogue:   starttls.Dialogue{Offered: true, Transcript: starttls.Transcript{{Text: "220 ready"}, {Sent: true, Text: "EHLO probe.example"}}},
		TLSVersion: tls.VersionTLS13, Cipher: tls.TLS_AES_128_GCM_SHA256, Group: uint16(tls.X25519MLKEM768), Chain: &tlsa.Chain{Certificates: []*x509.Certificate{leaf}},
	}
	skipped := dane.Endpoint{Address: netip.MustParseAddr("2001:db8::1"), Skipped: true, Err: errors.New("no way to IPv6 addresses from here")}
	host := dane.Host{Name: "mx.example.org", A: &a, Services: []dane.Service{{Port: 25, Protocol: "smtp", Preference: 10}}}
	return &probe.Report{
		Target: probe.Target{Asked: "example.org", Name: "example.org"},
		Module: probe.Module{Name: "smtp_mx", Policy: dane.SMTPRelay, Require: dane.RequireDANE},
		Start:  noon, Duration: 1234 * time.Millisecond, Deadline: 30 * time.Second,
		Facts: dane.Facts{MX: mx, Complete: true, Hosts: []dane.Host{host},
			Phases: []dane.Phase{{Name: "tls", Span: dane.Span{Start: noon.Add(time.Second), End: noon.Add(1200 * time.Millisecond)}}}},
		Verdict: dane.Verdict{
			At: noon, Outcome: dane.Refused,
			Services: []dane.ServiceVerdict{{
				Host: "mx.example.org", Port: 25, Policy: dane.SMTPRelay, Service: &host.Services[0], Outcome: dane.Refused, Base: "mx.example.org", Names: []string{"mx.example.org", "example.org"},
				Records: []dane.RecordVerdict{{Record: published, Usability: tlsa.Usable}},
				Endpoints: []dane.EndpointVerdict{
					{Address: facts.Address, Outcome: dane.Refused, Facts: &facts, NameMatch: dane.Yes, PKIX: dane.No, PKIXErr: errors.New("the certificate has expired"),
						Matches: []tlsa.Match{{Record: published, Failure: tlsa.Mismatch, Why: "the leaf's key is another"}}},
					{Address: skipped.Address, Skipped: true, Facts: &skipped},
				},
			}},
			Findings: []dane.Finding{{Reason: dane.TLSAMismatch, Host: "mx.example.org", Port: 25, Address: facts.Address, Detail: "3 1 1 abcd: the leaf's key is another"}},
		},
	}
}

const mismatchText = `example.org: refused: DANE-validating clients do not connect
probe_success 0: module smtp_mx, policy smtp-relay, require dane
probed 2026-03-01 12:00:00 UTC, took 1.234s of 30s

Findings
  tlsa_mismatch (error): mx.example.org port 25, 192.0.2.1
    None of the TLSA records matches the certificates that the server sends. The usual cause: the
      certificate was renewed and the record was not.
    Detail: 3 1 1 abcd: the leaf's key is another
    Remedy: Publish the record for the certificate that is served, or serve the certificate that the
      record describes. For the next renewal, publish the new record first and keep the key.

Records to publish now, if the served keys are yours
  _25._tcp.mx.example.org. IN TLSA 3 1 1 2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683

mx.example.org port 25, preference 10: refused
  TLSA base domain mx.example.org
  accepted certificate names: mx.example.org, example.org
  TLSA 3 1 1 abcd
    usable
    matches no certificate that was seen
  certificates with other types of keys were not seen: set key_types to see them
  ready for a rollover, with a record of the next key: no

  192.0.2.1: refused
    server: 220 ready
    client: EHLO probe.example
    TLS 1.3, TLS_AES_128_GCM_SHA256, X25519MLKEM768, SNI mx.example.org
    certificate 0: CN=mx.example.org
        issuer CN=Some CA
        names mx.example.org, mail.example.org
        valid from 2026-02-28 12:00:00 UTC to 2026-03-01 11:00:00 UTC (expired)
        serial beef
        SHA-256 9f91161f43433e49a6de6db680d79f60159f2e4ac9172621a12846428158440b
        SPKI SHA-256 2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683
    TLSA 3 1 1 abcd
        does not authenticate: the leaf's key is another
    certificate has an accepted name: yes
    certificate is valid in the Web PKI: no: the certificate has expired

  2001:db8::1: skipped: no way to IPv6 addresses from here

Lookups
  MX example.org.: secure
    example.org. MX is signed by example.org.
    example.org. 3600 IN MX 10 mx.example.org.
    chain . > example.org.
    signatures expire at 2026-03-02 12:00:00 UTC
    extended DNS error: 22 (No Reachable Authority)
    answered by 192.0.2.53:53 in 3ms
    TTL 1h
    cost: queries 4, signature checks 3, NSEC3 hashes 0
  A mx.example.org.: secure
    example.org. MX is signed by example.org.
    mx.example.org. is an alias of host.example.org.: secure
    chain . > example.org.
    signatures expire at 2026-03-02 12:00:00 UTC
    answered by 192.0.2.53:53 in 3ms
    TTL 1h
    cost: queries 4, signature checks 3, NSEC3 hashes 0

Chain of trust
  .: secure
    its keys are signed by key 1
    key 1, algorithm 8, secure entry point, signs
    key 2, algorithm 8
  example.org.: secure
    its keys are signed by key 3
    DS 3, algorithm 13, digest type 2, matches a key in use

Phases (time since the start of the probe)
  tls             1s to 1.2s
`

func TestText(t *testing.T) {
	if got := textOf(t, mismatch(t)); got != mismatchText {
		t.Errorf("got\n%s", got)
	}
}

// TestTextVariants changes one thing in the report and expects its text.
func TestTextVariants(t *testing.T) {
	tests := []struct {
		name   string
		change func(*probe.Report)
		want   string
	}{
		{"target not allowed: only a finding", func(r *probe.Report) {
			*r = probe.Report{Target: r.Target, Verdict: dane.Verdict{Outcome: dane.Unknown, Findings: []dane.Finding{{Reason: dane.TargetNotAllowed}}}}
		}, "\n  target_not_allowed (internal)\n"},
		{"incomplete", func(r *probe.Report) { r.Facts.Complete = false }, "\nincomplete: the deadline ended the probe early\n"},
		{"finding of a lookup", func(r *probe.Report) {
			r.Verdict.Findings = []dane.Finding{{Reason: dane.DNSSECBogus, Host: "mx.example.org", Lookup: dane.LookupA}}
		}, "\n  dnssec_bogus (error): mx.example.org, lookup A\n"},
		{"finding of a lookup that a zone broke", func(r *probe.Report) {
			r.Verdict.Findings = []dane.Finding{{Reason: dane.DNSSECBogus, Lookup: dane.LookupMX, Zone: "org"}}
		}, "\n  dnssec_bogus (error): lookup MX, zone at fault org\n"},
		{"outcome with a zone as its only cause", func(r *probe.Report) { r.Verdict.FaultZone = "org" }, "\nzone at fault, the only cause of the outcome: org\n"},
		{"no TLSA records", func(r *probe.Report) { r.Verdict.Services[0].Base = "" }, "\n  no secure TLSA records apply\n"},
		{"service with another policy than the module", func(r *probe.Report) { r.Verdict.Services[0].Policy = dane.Client },
			"\nmx.example.org port 25, preference 10: refused\n  judged by policy client\n"},
		{"unusable record", func(r *probe.Report) {
			r.Verdict.Services[0].Records[0].Usability, r.Verdict.Services[0].Records[0].Why = tlsa.Unusable, "usage 0 is not for mail"
		}, "\n    unusable: usage 0 is not for mail\n"},
		{"full certificate in a TLSA record", func(r *probe.Report) {
			r.Verdict.Services[0].Records[0].Record.Data = make([]byte, 1000)
		}, "\n  TLSA 3 1 1 sha256:541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53 (1000 bytes)\n"},
		{"expiry of the authentication", func(r *probe.Report) { r.Verdict.Services[0].Until = noon }, "\n  DANE authentication expires at 2026-03-01 12:00:00 UTC if no certificate changes\n"},
		{"no connection", func(r *probe.Report) {
			*r.Verdict.Services[0].Endpoints[0].Facts = dane.Endpoint{Err: errors.New("connection refused")}
		}, "\n    error: connection refused\n"},
		{"verdict for another time: the differences", func(r *probe.Report) {
			later := r.Verdict
			later.At, later.Outcome = noon.AddDate(0, 0, 14), dane.Unreachable
			later.Services = []dane.ServiceVerdict{{Host: "mx.example.org", Port: 25, Outcome: dane.Unreachable}}
			later.Findings = []dane.Finding{{Reason: dane.CertificateExpired, Host: "mx.example.org", Port: 25, Detail: "it ended"}}
			r.Later = &later
		}, `
Judged for 2026-03-15 12:00:00 UTC: unreachable: no client can connect, with or without DANE
  probe_success would be 0. Only the dates of certificates are judged for that time. The served
    certificates, DNS records and DNSSEC statuses are the current ones.
  mx.example.org port 25: unreachable, now refused
  new: certificate_expired (error): mx.example.org port 25
    it ended
  gone: tlsa_mismatch (error): mx.example.org port 25, 192.0.2.1
    3 1 1 abcd: the leaf's key is another
`},
		{"advice", func(r *probe.Report) {
			r.Verdict.Advice = []dane.Advice{{Topic: dane.MicrosoftUnsigned, Host: "mx.example.org", Port: 25, Detail: "its name"}}
		}, "\n\nAdvice, which does not affect the outcome\n  microsoft_unsigned_host: mx.example.org port 25\n"},
		{"nameservers", func(r *probe.Report) {
			r.Verdict.Services[0].Nameservers = []dane.NameserverVerdict{
				{Name: "ns1.example.org", Address: netip.MustParseAddr("192.0.2.53"), Up: dane.Yes, Consistent: dane.Yes, Serial: 7, SerialKnown: true, Expiry: noon},
				{Name: "ns2.example.org", Address: netip.MustParseAddr("192.0.2.54"), Up: dane.No, Why: "no reply in time"},
			}
		}, `
  nameservers of the zone of the TLSA records:
    ns1.example.org (192.0.2.53): up, same TLSA records, serial 7, signatures expire at 2026-03-01
      12:00:00 UTC
    ns2.example.org (192.0.2.54): does not answer for the zone
      no reply in time
`},
		{"delegation", func(r *probe.Report) {
			r.Facts.Delegations = []*dane.Delegation{{Zone: "example.org", Parent: "org", At: noon, DSKnown: true, KeysKnown: true,
				ParentServers: []dane.NameserverVerdict{
					{Name: "a.org", Address: netip.MustParseAddr("192.0.2.1"), Up: dane.Yes, Consistent: dane.Yes},
					{Name: "b.org", Address: netip.MustParseAddr("192.0.2.2"), Up: dane.Yes, Consistent: dane.No, Why: "its answer is bogus"},
					{Name: "c.org", Address: netip.MustParseAddr("2001:db8::1")},
				},
				Servers: []dane.NameserverVerdict{{Name: "ns1.example.org", Address: netip.MustParseAddr("192.0.2.53"), Up: dane.No, Why: "no reply in time"}},
				DS:      []dane.DelegationDS{{DS: dnssec.DS{Tag: 1, Algorithm: 13, DigestType: 2, Used: true}, Compared: true}, {DS: dnssec.DS{Tag: 2, Algorithm: 8, DigestType: 1}, Compared: true}},
				Keys:    []dane.DelegationKey{{Key: dnssec.Key{Tag: 1, Algorithm: 13, SEP: true, Signing: true}, InDS: true}, {Key: dnssec.Key{Tag: 3, Algorithm: 13}}},
				CDS:     dane.Consistency{Agree: dane.Yes}, CDSPending: dane.Yes, Requested: "3 13 2 abcd",
				NS: dane.Consistency{Agree: dane.No, Why: "only in the parent: old.example.net; only in the zone: none"},
			}, {Zone: "example.net", Parent: "net", At: noon, DSKnown: true}, {Zone: "example.com", Parent: "com", At: noon}}
		}, `
Delegations
  example.org in org, checked at 2026-03-01 12:00:00 UTC
    DS 1, ECDSAP256SHA256, SHA256, matches a key
    DS 2, RSASHA256, SHA1, matches no key
    key 3, ECDSAP256SHA256, is published but not used
    nameservers return equal CDS and CDNSKEY records: yes
    other DS records are requested: yes: 3 13 2 abcd
    NS records of parent and zone are equal: no: only in the parent: old.example.net; only in the
      zone: none
    addresses of nameservers: 3 of org, 1 of example.org
      b.org (192.0.2.2): its answer is bogus
      ns1.example.org (192.0.2.53): no reply in time
  example.net in net, checked at 2026-03-01 12:00:00 UTC
    no DS record
    addresses of nameservers: 0 of net, 0 of example.net
  example.com in com, checked at 2026-03-01 12:00:00 UTC
    addresses of nameservers: 0 of com, 0 of example.com
`},
		{"certificates that cannot be parsed", func(r *probe.Report) {
			e := r.Verdict.Services[0].Endpoints[0].Facts
			e.Chain, e.Raw = nil, [][]byte{[]byte("leaf")}
		}, "\n    certificate 0: not parsed, 4 bytes\n        SHA-256 9f91161f43433e49a6de6db680d79f60159f2e4ac9172621a12846428158440b\n"},
		{"source address and proxy", func(r *probe.Report) {
			r.Module.SourceAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.7")}
			r.Module.Proxy = handshake.Proxy{Address: netip.MustParseAddrPort("192.0.2.1:1080"), User: "me", Password: "key"}
		}, "source address of connections: 192.0.2.7\nconnections through proxy socks5://me:<secret>@192.0.2.1:1080\n"},
		{"resolver of the module", func(r *probe.Report) {
			r.Module.Resolver = &probe.ResolverSettings{Servers: []string{"192.0.2.53", "tls://192.0.2.54"}}
		}, "\nresolvers of the module: 192.0.2.53, tls://192.0.2.54\n"},
		{"service from an SRV record", func(r *probe.Report) {
			r.Facts.MX, r.Facts.SRV = nil, []dane.SRVLookup{{}}
			r.Verdict.Services[0].Service.Preference, r.Verdict.Services[0].Service.Weight = 5, 7
		}, "\nmx.example.org port 25, priority 5, weight 7: refused\n"},
		{"failed lookup", func(r *probe.Report) { r.Facts.MX.Err = errors.New("SERVFAIL") }, "\n    error: SERVFAIL\n"},
		{"too many records", func(r *probe.Report) {
			for range 200 {
				r.Facts.MX.Records = append(r.Facts.MX.Records, r.Facts.MX.Records[0])
			}
		}, "\n    … and 101 more records\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mismatch(t)
			test.change(r)
			if got := textOf(t, r); !strings.Contains(got, test.want) {
				t.Errorf("no %q in\n%s", test.want, got)
			}
		})
	}
}

// TestRecordType: a lookup is shown by the type of its records.
func TestRecordType(t *testing.T) {
	for kind, want := range map[dane.LookupKind]string{dane.LookupMX: "MX", dane.LookupTXT: "TXT", dane.LookupChallenge: "TXT"} {
		if got := RecordType(string(kind)); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
}

// TestTextHostile checks that text from servers and zones cannot control a terminal,
// and that its length is limited.
func TestTextHostile(t *testing.T) {
	for _, hostile := range []string{"\x1b[2J", "a\nb\r\nc", "\xff\xfe\x00", "\u202egnp", strings.Repeat("x", 1<<20), strings.Repeat("\x07", 1<<20)} {
		r := mismatch(t)
		r.Target.Name, r.Facts.MX.Name, r.Facts.MX.Why, r.Facts.MX.EDE = hostile, hostile, hostile, []string{hostile}
		r.Verdict.Findings[0].Host, r.Verdict.Findings[0].Detail = hostile, hostile
		e := r.Verdict.Services[0].Endpoints[0].Facts
		e.Dialogue.Transcript[0].Text, e.SNI, e.Err = hostile, hostile, errors.New(hostile)
		r.Verdict.Services[0].Base = hostile // as the SNI, so that there is a record to publish
		e.Chain.Certificates[0].Subject, e.Chain.Certificates[0].DNSNames = pkix.Name{CommonName: hostile}, []string{hostile}
		got := textOf(t, r)
		if strings.ContainsAny(got, "\x1b\r\x00\x07\u202e") || !utf8.ValidString(got) {
			t.Errorf("%.20q was not escaped", hostile)
		}
		if len(got) > 200_000 {
			t.Errorf("%.20q: %d bytes", hostile, len(got))
		}
		if lines := strings.Count(got, "\n"); lines < strings.Count(mismatchText, "\n") {
			t.Errorf("%.20q: only %d lines", hostile, lines)
		}
	}
}

func TestPrintable(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain text, ÄÖ, 漢", "plain text, ÄÖ, 漢"},
		{"tab\tline\n", `tab\tline\n`},
		{"\x1b[31m", `\x1b[31m`},
		{"\x80\xff", `\x80\xff`},
		{"\ufffd", "\ufffd"},
		{"\u202e", `\u202e`},
		{"it's", "it's"},
	}
	for _, test := range tests {
		if got := Printable(test.in); got != test.want {
			t.Errorf("Printable(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestBreakLine(t *testing.T) {
	tests := []struct {
		text        string
		room        int
		first, rest string
	}{
		{"short", 10, "short", ""},
		{"one two three", 7, "one two", "three"},
		{"one two three", 6, "one", "two three"},
		{"äöü äöü", 7, "äöü äöü", ""},
		{"unbreakable", 3, "unbreakable", ""},
		{"unbreakable word", 3, "unbreakable", "word"},
		{"a   b", 2, "a", "b"},
	}
	for _, test := range tests {
		if first, rest := breakLine(test.text, test.room); first != test.first || rest != test.rest {
			t.Errorf("breakLine(%q, %d) = %q, %q", test.text, test.room, first, rest)
		}
	}
}

// TestLongLines checks that all continuation lines have the same indentation.
func TestLongLines(t *testing.T) {
	var b strings.Builder
	w := &textWriter{bufio.NewWriter(&b)}
	w.line(4, "%s", strings.Repeat("nine char ", 24))
	if err := w.w.Flush(); err != nil {
		t.Fatal(err)
	}
	var indents []int
	for line := range strings.Lines(b.String()) {
		indents = append(indents, len(line)-len(strings.TrimLeft(line, " ")))
	}
	if !slices.Equal(indents, []int{4, 6, 6}) {
		t.Errorf("indented by %v:\n%s", indents, &b)
	}
}

// TestTextWriteError checks that the error of the writer is returned.
func TestTextWriteError(t *testing.T) {
	broken := errors.New("the pipe is broken")
	if err := Text(writer(func([]byte) (int, error) { return 0, broken }), mismatch(t)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// TestTextHandshakeAge checks the age of a handshake that was made for another probe.
func TestTextHandshakeAge(t *testing.T) {
	for _, test := range []struct {
		name string
		made time.Duration // after the probe began
		want string
	}{
		{"before the probe", -12 * time.Second, "handshake of another probe, made 12s earlier"},
		{"while it ran", time.Second, "handshake of another probe, made at the same time"},
	} {
		r := mismatch(t)
		facts := r.Verdict.Services[0].Endpoints[0].Facts
		facts.Reused, facts.TLS = true, dane.Span{Start: noon, End: noon.Add(test.made)}
		if got := textOf(t, r); !strings.Contains(got, test.want) {
			t.Errorf("%s: %q is not in\n%s", test.name, test.want, got)
		}
	}
}

// policyMismatch returns the report of a domain whose mail server DANE authenticates,
// and MTA-STS does not.
func policyMismatch() *probe.Report {
	txt := &dnssec.Answer{Name: "_mta-sts.example.org.", Status: dnssec.Insecure, Why: "example.org. is unsigned"}
	tlsrptTXT := &dnssec.Answer{Name: "_smtp._tls.example.org.", Status: dnssec.Insecure, Why: "example.org. is unsigned"}
	address := netip.MustParseAddr("192.0.2.1")
	senders := dane.Senders{DANE: dane.Authenticated, MTASTS: dane.Refused, Both: dane.Authenticated}
	return &probe.Report{
		Target: probe.Target{Name: "example.org"},
		Facts: dane.Facts{MTASTS: &dane.MTASTS{
			TXT: txt, Record: mtasts.Record{ID: "20260301"}, TLSRPT: dane.TLSRPT{Domain: "example.org", TXT: tlsrptTXT, Record: mtasts.TLSRPT{RUA: []string{"mailto:a@example.org", "https://example.org/"}}},
			Host: dane.Host{Name: "mta-sts.example.org"},
			Fetches: []dane.PolicyFetch{
				{Address: netip.MustParseAddr("192.0.2.80"), Err: errors.New("connecting to 192.0.2.80:443: refused")},
				{Address: netip.MustParseAddr("192.0.2.81"), Fetched: mtasts.Fetched{Certificate: &x509.Certificate{NotBefore: noon, NotAfter: noon.Add(time.Hour)}}},
			},
			Policy: &mtasts.Policy{Mode: mtasts.Enforce, MaxAge: 36 * time.Hour, MX: []string{"mx.example.org"}},
		}},
		Verdict: dane.Verdict{MTASTS: &dane.MTASTSVerdict{
			State: dane.PolicyEnforced, Senders: senders,
			Services: []dane.ServiceSenders{{Host: "mx.example.org", Port: 25, Covered: dane.Yes, Senders: senders,
				Endpoints: []dane.EndpointSenders{{Address: address, Passes: dane.No, Why: "it ended\x1b[2J", Senders: senders}}}},
		}},
	}
}

func textOf(t *testing.T, r *probe.Report) string {
	t.Helper()
	var b strings.Builder
	if err := Text(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRollover checks the timeline of a rollover: of one probe alone, and of several.
func TestRollover(t *testing.T) {
	r := labReport(t, "rollover.lab.test")
	r.Start = labTime()
	v := &r.Verdict.Services[0]
	current, next := v.Records[0].Record, v.Records[1].Record
	if !v.Records[0].Matches {
		current, next = next, current
	}
	check := func(want string) {
		t.Helper()
		if got := textOf(t, r); !strings.Contains(got, want) {
			t.Errorf("no\n%s\nin\n%s", want, got)
		}
	}
	// The exporter has just started. It does not query nameservers.
	check("      published: before the first probe\n      seen at every nameserver: not known, or a nameserver lacks the record\n" +
		"      safe to serve: 2026-01-01 14:00:00 UTC\n      served: not yet\n")

	at := func(hour int) time.Time { return labTime().Add(time.Duration(hour) * time.Hour) }
	queried := dane.TimelineStep{Queried: true, TTL: time.Hour}
	first, second := queried, queried
	first.Record, first.Published, first.Everywhere, first.Served, first.Replaced = current, at(0), at(0), at(0), at(4)
	second.Record, second.Published, second.Everywhere, second.Served = next, at(1), at(2), at(4)
	of := func(service dane.ServiceKey, steps ...dane.TimelineStep) dane.ServiceTimeline {
		return dane.ServiceTimeline{Service: service, Timeline: dane.Timeline{Began: at(0), Steps: steps}}
	}
	otherPort, otherHost := dane.ServiceKey{Host: v.Host}, dane.ServiceKey{Port: v.Port}
	r.Timelines = dane.Timelines{of(otherPort, queried, queried), of(otherHost, queried, queried), of(v.Key(), first, second)}
	check("  rollover:\n    TLSA " + current.String() + "\n      published: before the first probe\n      seen at every nameserver: 2026-01-01 12:00:00 UTC\n" +
		"      served: 2026-01-01 12:00:00 UTC\n      replaced: 2026-01-01 16:00:00 UTC\n      record removable: 2026-01-01 18:00:00 UTC\n" +
		"    TLSA " + next.String() + "\n      published: 2026-01-01 13:00:00 UTC\n      seen at every nameserver: 2026-01-01 14:00:00 UTC\n" +
		"      served: 2026-01-01 16:00:00 UTC\n")
	d := NewDocument(r)
	var removable, safe []time.Time
	for _, step := range d.Services[0].Rollover {
		if step.Safe != nil {
			safe = append(safe, *step.Safe)
		}
		if step.Removable != nil {
			removable = append(removable, *step.Removable)
		}
	}
	if !slices.Equal(safe, []time.Time{at(2), at(4)}) || !slices.Equal(removable, []time.Time{at(6)}) {
		t.Errorf("safe to serve at %s, removable at %s", safe, removable)
	}

	second.Everywhere, second.Served, first.Replaced = time.Time{}, time.Time{}, time.Time{}
	r.Timelines = dane.Timelines{of(v.Key(), first, second)}
	check("      safe to serve: not known: a nameserver lacks the record, or did not answer\n      served: not yet\n")
}

func TestTextMTASTS(t *testing.T) {
	const want = `
MTA-STS and DANE
  outcome for senders with  only DANE      only MTA-STS   both
  example.org               authenticated  refused        authenticated
  mx.example.org port 25    authenticated  refused        authenticated
  mx.example.org is listed in the policy: yes
  mx.example.org port 25 at 192.0.2.1 satisfies MTA-STS: no: it ended\x1b[2J
  policy: enforced: senders deliver only to servers that meet it
    record with id 20260301
    mta-sts.example.org at 192.0.2.80: connecting to 192.0.2.80:443: refused
    mta-sts.example.org at 192.0.2.81: fetched
      its certificate is valid from 2026-03-01 12:00:00 UTC to 2026-03-01 13:00:00 UTC
    mode enforce, max_age 1.5 days
    mx mx.example.org
  TLSRPT of example.org: reports are sent to mailto:a@example.org, https://example.org/
  TXT _mta-sts.example.org.: insecure
`
	if got := textOf(t, policyMismatch()); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}
}

// TestTextMTASTSFailures checks that the text ends at the first failure.
func TestTextMTASTSFailures(t *testing.T) {
	broken := &dnssec.Answer{Name: "_mta-sts.example.org.", Status: dnssec.Bogus, Why: "the signature has ended"}
	for _, test := range []struct {
		name   string
		change func(*probe.Report)
		want   []string
		not    []string
	}{
		{"not requested", func(r *probe.Report) { r.Facts.MTASTS, r.Verdict.MTASTS = nil, nil },
			nil, []string{"MTA-STS"}},
		{"no record", func(r *probe.Report) {
			r.Facts.MTASTS.RecordErr, r.Facts.MTASTS.TLSRPT.Err = mtasts.ErrNoRecord, mtasts.ErrNoRecord
			r.Verdict.MTASTS.State = dane.PolicyNone
		}, []string{"policy: none in effect", "there is no record at _mta-sts.example.org.", "TLSRPT of example.org: no record, so senders do not report failures"}, []string{"record with id", "mode"}},
		{"invalid records", func(r *probe.Report) {
			r.Facts.MTASTS.RecordErr, r.Facts.MTASTS.TLSRPT.Err = &mtasts.SyntaxError{Why: "it has no id"}, &mtasts.SyntaxError{Why: "it has no rua"}
		}, []string{"the record is not valid: it has no id", "TLSRPT of example.org: the record is not valid: it has no rua"}, []string{"record with id"}},
		{"failed lookups", func(r *probe.Report) {
			r.Facts.MTASTS.TXT, r.Facts.MTASTS.TLSRPT.TXT = broken, nil
			r.Verdict.MTASTS.State = dane.PolicyUnknown
		}, []string{"policy: unknown, for a reason on the exporter's side", "TLSRPT: unknown", "TXT _mta-sts.example.org.: bogus"}, []string{"record with id"}},
		{"invalid policy", func(r *probe.Report) {
			r.Facts.MTASTS.Policy, r.Facts.MTASTS.PolicyErr = nil, &mtasts.SyntaxError{Line: 2, Text: "mode: report", Why: "the mode is wrong"}
		}, []string{`the policy is not valid: line 2: "mode: report": the mode is wrong`}, []string{"mode enforce"}},
		{"short max_age, and an address that was not measured", func(r *probe.Report) {
			r.Facts.MTASTS.Policy.MaxAge = time.Hour
			r.Verdict.MTASTS.Services[0].Endpoints[0].Passes = dane.NotMeasured
		}, []string{"max_age 1h", "satisfies MTA-STS: not measured: it ended"}, nil},
		{"a skipped key type", func(r *probe.Report) {
			e := &r.Verdict.MTASTS.Services[0].Endpoints[0]
			e.KeyType, e.Skipped = dane.RSA, true
		}, []string{"mx.example.org port 25 at 192.0.2.1, rsa key: skipped: it ended"}, []string{"satisfies MTA-STS"}},
		{"too many patterns", func(r *probe.Report) { r.Facts.MTASTS.Policy.MX = make([]string, 1000) },
			[]string{"… and 900 more mx patterns"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := policyMismatch()
			test.change(r)
			got := textOf(t, r)
			for _, part := range test.want {
				if !strings.Contains(got, part) {
					t.Errorf("%q is not in\n%s", part, got)
				}
			}
			for _, part := range test.not {
				if strings.Contains(got, part) {
					t.Errorf("%q is in\n%s", part, got)
				}
			}
		})
	}
}
