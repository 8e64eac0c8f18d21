package dane

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// Mail servers are judged by RFC 7672.
func TestJudgeMailServers(t *testing.T) {
	const domain, name = "example.org", "mx.example.org"
	chain := selfSigned(t)
	digest := sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo)
	matching := fmt.Sprintf("3 1 1 %x", digest)
	mismatching := fmt.Sprintf("3 1 1 %x", sha256.Sum256([]byte("another key")))
	pkixEE := fmt.Sprintf("1 1 1 %x", digest)
	noSTARTTLS := failedAt(StageConnect, fmt.Errorf("speaking smtp: %w", errorWithCause(CauseStartTLSNotOffered)))
	startTLSRejected := withStartTLSOffered(failedAt(StageConnect, errorWithCause(CauseStartTLSRejected)))
	rejected := failedAt(StageConnect, errorWithCause(CauseClientRejected))
	closed := failedAt(StageNone, errorWithCause(CauseConnect))
	timedOut := failedAt(StageConnect, errorWithCause(CauseTimeout))
	tlsFailed := withStartTLSOffered(failedAt(StageStartTLS, errorWithCause(CauseTLS)))

	singleHost := func(a *dnssec.Answer, lookup TLSALookup, endpoints ...Endpoint) []Host {
		return []Host{host(10, a, Service{TLSA: []TLSALookup{lookup}, Endpoints: endpoints})}
	}
	secure, insecure, bogus := dnssec.Secure, dnssec.Insecure, dnssec.Bogus

	for _, c := range []struct {
		name, why   string
		facts       Facts
		want        Outcome
		success     bool // with RequireDANE
		ifPublished bool // success with RequireIfPublished
		reasons     []Reason
	}{
		{"matching record", "secure MX, address and TLSA records authenticate the server",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), completed(chain))},
			Authenticated, true, true, nil},
		{"no record matches", "usable records that do not match mean refusal (RFC 7672 §2.2)",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, mismatching), completed(chain))},
			Refused, false, false, []Reason{TLSAMismatch}},
		{"records of the current and the next key", "one match is enough (RFC 6698 §4.1)",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, mismatching, matching), completed(chain))},
			Authenticated, true, true, nil},
		{"no usable record", "TLS is mandatory, authentication is not (RFC 7672 §2.2)",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, pkixEE), completed(chain))},
			Encrypted, false, true, []Reason{TLSAUnusable}},
		{"no usable record, no STARTTLS", "TLS is mandatory",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, pkixEE), noSTARTTLS)},
			Refused, false, false, []Reason{StartTLSNotOffered, TLSAUnusable}},
		{"no TLSA records", "proven absence means opportunistic TLS",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name), completed(chain))},
			Opportunistic, false, true, []Reason{NoTLSA}},
		{"no TLSA records, no STARTTLS", "without records, DANE does not require STARTTLS",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name), noSTARTTLS)},
			Opportunistic, false, true, []Reason{NoTLSA, StartTLSNotOffered}},
		{"no TLSA records, handshake fails", "a relay falls back to cleartext",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name), tlsFailed)},
			Opportunistic, false, true, []Reason{NoTLSA, TLSHandshakeFailed}},
		{"no STARTTLS", "usable records require TLS",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), noSTARTTLS)},
			Refused, false, false, []Reason{StartTLSNotOffered}},
		{"STARTTLS rejected", "the server replies 454 instead of 220",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), startTLSRejected)},
			Refused, false, false, []Reason{StartTLSRejected}},
		{"handshake fails", "usable records allow no fallback to cleartext",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), tlsFailed)},
			Refused, false, false, []Reason{TLSHandshakeFailed}},
		{"cleartext after STARTTLS", "an injection or a broken server; usable records require TLS",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), withStartTLSOffered(failedAt(StageConnect, errorWithCause(CauseProtocol))))},
			Refused, false, false, []Reason{ProtocolError}},
		{"timeout after STARTTLS was offered", "the server had the minimum time, and TLS is required",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), withStartTLSOffered(timedOut))},
			Refused, false, false, []Reason{Timeout}},
		{"connection refused", "every client fails, with DANE or without",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), closed)},
			Unreachable, false, false, []Reason{ConnectFailed}},
		{"timeout before STARTTLS was offered", "the server had the minimum time",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), timedOut)},
			Unreachable, false, false, []Reason{Timeout}},
		{"deadline before the minimum time", "the server might have answered later",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching),
				Endpoint{Reached: StageConnect, Err: errorWithCause(CauseDeadline), TimedOutEarly: true})},
			Unknown, false, false, []Reason{ProbeDeadline}},
		{"client rejected", "the server replies 554 before STARTTLS",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), rejected)},
			Unreachable, false, false, []Reason{ClientRejected}},
		{"address not allowed", "access forbids the connection, so the server is not measured",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), failedAt(StageNone, errorWithCause(CauseNotAllowed)))},
			Unknown, false, false, []Reason{TargetNotAllowed}},
		{"no local IPv6", "the IPv6 endpoint is skipped and the other one counts",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching),
				completed(chain), Endpoint{Err: errorWithCause(CauseIPv6Unavailable), Skipped: true})},
			Authenticated, true, true, []Reason{IPv6Unavailable}},
		{"no local IPv6, and a host with IPv6 only", "the host is skipped and the other one counts",
			Facts{MX: mxAnswer(secure, name, "mx2.example.org"), Hosts: slices.Concat(
				singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), completed(chain)),
				[]Host{host(20, addressAnswer(secure, "mx2.example.org"), Service{TLSA: []TLSALookup{tlsaLookup(secure, "mx2.example.org", matching)}, Endpoints: []Endpoint{{Err: errorWithCause(CauseIPv6Unavailable), Skipped: true}}})})},
			Authenticated, true, true, []Reason{IPv6Unavailable}},
		{"AAAA lookup failed", "mail is delivered, but the unknown addresses may be broken",
			Facts{MX: mxAnswer(secure, name), Hosts: []Host{withFailedAAAA(host(10, addressAnswer(secure, name), Service{TLSA: []TLSALookup{tlsaLookup(secure, name, matching)}, Endpoints: []Endpoint{completed(chain)}}))}},
			Authenticated, false, false, []Reason{ProbeDeadline}},
		{"A lookup failed", "as for the AAAA lookup",
			Facts{MX: mxAnswer(secure, name), Hosts: []Host{withFailedA(host(10, addressAnswer(secure, name), Service{TLSA: []TLSALookup{tlsaLookup(secure, name, matching)}, Endpoints: []Endpoint{completed(chain)}}))}},
			Authenticated, false, false, []Reason{ProbeDeadline}},
		{"a panic lost the second host", "the host may have been broken",
			Facts{MX: mxAnswer(secure, name, "mx2.example.org"), Hosts: slices.Concat(
				singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), completed(chain)),
				[]Host{{Name: "mx2.example.org", Err: &PanicError{Value: "a defect"}, Services: []Service{{Port: 25, Preference: 20}}}})},
			Authenticated, false, false, []Reason{InternalError}},
		{"no such MX host", "only of the target is it no such domain",
			Facts{MX: mxAnswer(secure, name), Hosts: []Host{host(10, &dnssec.Answer{Name: name + ".", Status: secure, Rcode: dns.RcodeNameError}, Service{})}},
			None, false, false, []Reason{NoAddress}},
		{"target without MX lookup does not exist", "its address lookups return NXDOMAIN",
			Facts{Hosts: []Host{host(0, &dnssec.Answer{Name: domain + ".", Status: secure, Rcode: dns.RcodeNameError}, Service{})}},
			None, false, false, []Reason{NoSuchDomain}},
		{"target without MX lookup has no address", "the name exists",
			Facts{Hosts: []Host{host(0, &dnssec.Answer{Name: domain + ".", Status: secure}, Service{})}},
			None, false, false, []Reason{NoAddress}},
		{"pinned address, bogus address lookup", "no client gets as far as the TLSA records",
			Facts{Hosts: []Host{withPinnedAddress(host(10, addressAnswer(bogus, name), Service{Endpoints: []Endpoint{completed(chain)}}))}},
			Refused, false, false, []Reason{DNSSECBogus}},
		{"pinned address, no resolver answers", "the cause is on our side",
			Facts{Hosts: []Host{withPinnedAddress(host(10, unreachableAnswer(name), Service{Endpoints: []Endpoint{completed(chain)}}))}},
			Unknown, false, false, []Reason{ResolverUnreachable}},
		{"no file descriptors", "the cause is on our side",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching),
				failedAt(StageNone, errorWithCause(CauseInternal)))},
			Unknown, false, false, []Reason{InternalError}},
		{"unparsable certificate, usable record", "the record cannot be compared",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), withStartTLSOffered(failedAt(StageStartTLS, errorWithCause(CauseUnparsable))))},
			Unknown, false, false, []Reason{CertificateUnparsable}},
		{"unparsable certificate, no TLSA records", "no certificate is examined",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name), withStartTLSOffered(failedAt(StageStartTLS, errorWithCause(CauseUnparsable))))},
			Opportunistic, false, true, []Reason{CertificateUnparsable, NoTLSA}},

		{"bogus TLSA lookup", "a failed lookup is never taken as absence (RFC 7672 §2.1.2)",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(bogus, name), completed(chain))},
			Refused, false, false, []Reason{DNSSECBogus}},
		{"TLSA lookup fails", "after SERVFAIL a client must not deliver",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), failedLookup(name, failedAnswer(dnssec.ErrServer, name, dns.TypeTLSA)), completed(chain))},
			Refused, false, false, []Reason{DNSFailure}},
		{"TLSA lookup fails, no resolver answers", "the cause is on our side",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), failedLookup(name, failedAnswer(dnssec.ErrUnreachable, name, dns.TypeTLSA)), completed(chain))},
			Unknown, false, false, []Reason{ResolverUnreachable}},
		{"TLSA lookup fails, as all do", "a failure of the resolvers is not the zone's",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), failedLookup(name, failedAnswer(fmt.Errorf("%w: %w", dnssec.ErrResolverFailed, dnssec.ErrServer), name, dns.TypeTLSA)), completed(chain))},
			Unknown, false, false, []Reason{ResolverFailed}},
		{"insecure address", "no TLSA lookup is made (RFC 7672 §2.2.2)",
			Facts{MX: mxAnswer(secure, name), Hosts: []Host{host(10, addressAnswer(insecure, name), Service{Endpoints: []Endpoint{completed(chain)}})}},
			Opportunistic, false, true, []Reason{AddressInsecure}},
		{"insecure TLSA records", "an alias leads into an unsigned zone",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(insecure, name, mismatching), completed(chain))},
			Opportunistic, false, true, []Reason{TLSAInsecure}},
		{"bogus address", "no address remains",
			Facts{MX: mxAnswer(secure, name), Hosts: []Host{host(10, addressAnswer(bogus, name), Service{})}},
			Refused, false, false, []Reason{DNSSECBogus}},

		{"bogus MX", "no host is probed",
			Facts{MX: mxAnswer(bogus, name)},
			Refused, false, false, []Reason{DNSSECBogus}},
		{"MX lookup fails, no resolver answers", "the cause is on our side",
			Facts{MX: &dnssec.Answer{Err: dnssec.ErrUnreachable}},
			Unknown, false, false, []Reason{ResolverUnreachable}},
		{"resolver strips signatures", "the cause is on our side",
			Facts{MX: &dnssec.Answer{Err: dnssec.ErrStripped}},
			Unknown, false, false, []Reason{DNSSECStripped}},
		{"root bogus", "the clock is wrong, or the trust anchors are",
			Facts{MX: &dnssec.Answer{Status: bogus, Err: dnssec.ErrRootBogus}},
			Unknown, false, false, []Reason{RootBogus}},
		{"root bogus for the TLSA records", "the same for a host",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), failedLookup(name, dnssec.Answer{Name: name, Status: bogus, Err: dnssec.ErrRootBogus}), completed(chain))},
			Unknown, false, false, []Reason{RootBogus}},
		{"null MX", "the domain accepts no mail (RFC 7505 §3)",
			Facts{MX: mxAnswer(secure, ".")},
			None, false, false, []Reason{NullMX}},
		{"no such domain", "the MX lookup returns NXDOMAIN",
			Facts{MX: &dnssec.Answer{Name: "example.org.", Status: secure, Rcode: dns.RcodeNameError}},
			None, false, false, []Reason{NoSuchDomain}},
		{"no address", "the MX host has no A and no AAAA records",
			Facts{MX: mxAnswer(secure, name), Hosts: []Host{host(10, &dnssec.Answer{Name: name + ".", Status: secure}, Service{})}},
			None, false, false, []Reason{NoAddress}},
		{"insecure MX, matching record", "an insecure MX record proves nothing about the host (RFC 7672 §2.2.1)",
			Facts{MX: mxAnswer(insecure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), completed(chain))},
			Opportunistic, false, true, []Reason{MXInsecure}},
		{"insecure MX, no record matches", "the host is refused nevertheless",
			Facts{MX: mxAnswer(insecure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, mismatching), completed(chain))},
			Refused, false, false, []Reason{MXInsecure, TLSAMismatch}},

		{"two hosts, the second broken", "mail is delivered, but the probe fails",
			Facts{MX: mxAnswer(secure, name, "mx2.example.org"), Hosts: slices.Concat(
				singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), completed(chain)),
				[]Host{host(20, addressAnswer(secure, "mx2.example.org"), Service{TLSA: []TLSALookup{tlsaLookup(secure, "mx2.example.org", mismatching)}, Endpoints: []Endpoint{completed(chain)}})})},
			Authenticated, false, false, []Reason{TLSAMismatch}},
		{"two hosts, the first broken", "the second host has no TLSA records and decides the outcome",
			Facts{MX: mxAnswer(secure, name, "mx2.example.org"), Hosts: slices.Concat(
				singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, mismatching), completed(chain)),
				[]Host{host(20, addressAnswer(secure, "mx2.example.org"), Service{TLSA: []TLSALookup{tlsaLookup(secure, "mx2.example.org")}, Endpoints: []Endpoint{completed(chain)}})})},
			Opportunistic, false, false, []Reason{NoTLSA, TLSAMismatch}},
		{"two hosts of equal preference", "a client may choose either, so the worse counts",
			Facts{MX: mxAnswer(secure, name, "mx2.example.org"), Hosts: slices.Concat(
				singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), completed(chain)),
				[]Host{host(10, addressAnswer(secure, "mx2.example.org"), Service{TLSA: []TLSALookup{tlsaLookup(secure, "mx2.example.org")}, Endpoints: []Endpoint{completed(chain)}})})},
			Opportunistic, false, true, []Reason{NoTLSA}},
		{"two addresses, one closed", "a client tries the other address",
			Facts{MX: mxAnswer(secure, name), Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), completed(chain), closed)},
			Authenticated, false, false, []Reason{ConnectFailed}},
		{"one host unreachable, the other refused", "if no host works, refused takes precedence",
			Facts{MX: mxAnswer(secure, name, "mx2.example.org"), Hosts: slices.Concat(
				singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), closed),
				[]Host{host(20, addressAnswer(secure, "mx2.example.org"), Service{TLSA: []TLSALookup{tlsaLookup(secure, "mx2.example.org", mismatching)}, Endpoints: []Endpoint{completed(chain)}})})},
			Refused, false, false, []Reason{ConnectFailed, TLSAMismatch}},
		{"too many hosts", "the hosts that were not probed may be broken",
			Facts{MX: mxAnswer(secure, name), Truncated: []string{"hosts"}, Hosts: singleHost(addressAnswer(secure, name), tlsaLookup(secure, name, matching), completed(chain))},
			Authenticated, false, false, []Reason{LimitExceeded}},
		{"panic", "a panic loses one service and is reported",
			Facts{MX: mxAnswer(secure, name), Hosts: []Host{host(10, addressAnswer(secure, name), Service{Err: &PanicError{Value: "oops"}})}},
			Unknown, false, false, []Reason{InternalError}},
		{"target not allowed", "access.targets does not list the target",
			Facts{Denied: true},
			Unknown, false, false, []Reason{TargetNotAllowed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := Rules{Target: domain, Policy: SMTPRelay, Require: RequireDANE}
			v := Judge(&c.facts, rules, noon)
			if v.Outcome != c.want || v.Success != c.success {
				t.Errorf("%s: got %s, success %t; want %s, %t\n%v", c.why, v.Outcome, v.Success, c.want, c.success, v.Findings)
			}
			if got := reasonsOf(v); !slices.Equal(got, c.reasons) {
				t.Errorf("%s: reasons %v, want %v", c.why, got, c.reasons)
			}
			rules.Require = RequireIfPublished
			if v := Judge(&c.facts, rules, noon); v.Success != c.ifPublished {
				t.Errorf("%s: success %t with if_published, want %t", c.why, v.Success, c.ifPublished)
			}
		})
	}
}

// Certificates that were not judged are never the server's fault.
func TestReasonOfUnmeasured(t *testing.T) {
	for err, want := range map[error]Reason{
		tlsa.ErrUnsupported: TLSUnsupportedHere,
		tlsa.ErrStopped:     ProbeDeadline,
		tlsa.ErrUnmeasured:  LimitExceeded,
	} {
		if got := reasonOfUnmeasured(fmt.Errorf("judge the chain: %w", err)); got != want || got.Info().Effect != EffectInternal {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

// Without time for costly checks, only what needs none is judged. The rest is
// unknown, and is never attributed to the server.
func TestJudgeWithoutTime(t *testing.T) {
	const name = "mx.example.org"
	root := issue(t, "Root", nil, nil, noon.AddDate(-1, 0, 0), noon.AddDate(1, 0, 0))
	leaf := issue(t, name, root, nil, noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 10))
	roots := x509.NewCertPool()
	roots.AddCert(root.Certificate)
	key := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	anchor := sha256.Sum256(root.RawSubjectPublicKeyInfo)
	judge := func(policy Policy, record string, stop func() error) Verdict {
		lookup := tlsaLookup(dnssec.Secure, name, record)
		e := completed(chainOf(t, leaf, root))
		e.SNI = name
		facts := Facts{Hosts: []Host{host(0, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{lookup}, Endpoints: []Endpoint{e}})}}
		if policy == SMTPRelay {
			facts.MX, facts.MTASTS = mxAnswer(dnssec.Secure, name), mtastsFacts(mtasts.Enforce, name)
		} else {
			srv := answer(dnssec.Secure, "_xmpp-client._tcp."+name, dns.TypeSRV)
			srv.Records = []dns.RR{&dns.SRV{Target: name + "."}}
			facts.Hosts[0].Services[0].SRV, facts.SRV = &srv, []SRVLookup{{Service: "xmpp-client", Answer: srv}}
		}
		return Judge(&facts, Rules{Target: name, Policy: policy, Require: RequireDANE, Roots: roots, Stop: stop}, noon)
	}
	for _, c := range []struct {
		name          string
		policy        Policy
		record        string
		with, without Outcome
	}{
		{"DANE-EE needs no path", SMTPRelay, fmt.Sprintf("3 1 1 %x", key), Authenticated, Authenticated},
		{"DANE-TA", SMTPRelay, fmt.Sprintf("2 1 1 %x", anchor), Authenticated, Unknown},
		{"DANE-TA, a record that does not match", SMTPRelay, fmt.Sprintf("2 1 1 %x", key), Refused, Refused},
		{"PKIX-EE", Client, fmt.Sprintf("1 1 1 %x", key), Authenticated, Unknown},
		{"no usable record: the Web PKI", Client, fmt.Sprintf("4 1 1 %x", key), Encrypted, Unknown},
	} {
		if v := judge(c.policy, c.record, nil); v.Outcome != c.with {
			t.Errorf("%s: with time: %s, want %s\n%v", c.name, v.Outcome, c.with, v.Findings)
		}
		v := judge(c.policy, c.record, func() error { return errors.New("the time is over") })
		limited := slices.ContainsFunc(v.Findings, func(f Finding) bool {
			return f.Reason == ProbeDeadline && strings.Contains(f.Detail, "the time is over")
		})
		if v.Outcome != c.without || limited != (c.without == Unknown) {
			t.Errorf("%s: without time: %s, probe_deadline %t; want %s\n%v", c.name, v.Outcome, limited, c.without, v.Findings)
		}
		if e := v.Services[0].Endpoints[0]; e.PKIX != NotMeasured || e.PKIXErr == nil {
			t.Errorf("%s: without time: valid in the Web PKI: %v (%s), want not measured", c.name, e.PKIX, e.PKIXErr)
		}
		if c.policy == SMTPRelay {
			if e := v.MTASTS.Services[0].Endpoints[0]; e.Passes != NotMeasured {
				t.Errorf("%s: without time: passes MTA-STS: %v, want not measured", c.name, e.Passes)
			}
		}
		if slices.ContainsFunc(v.Advice, func(a Advice) bool { return a.Topic == ChainOrder }) {
			t.Errorf("%s: without time: advice %v", c.name, v.Advice)
		}
	}
}

// Clients other than mail relays do not fall back to cleartext, and may use the
// PKIX usages.
func TestJudgeClientPolicy(t *testing.T) {
	const name = "www.example.org"
	chain := selfSigned(t)
	digest := sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo)
	tlsFailed := withStartTLSOffered(failedAt(StageStartTLS, errorWithCause(CauseTLS)))
	for _, c := range []struct {
		name     string
		lookup   TLSALookup
		endpoint Endpoint
		roots    *x509.CertPool
		want     Outcome
		reasons  []Reason
	}{
		{"DANE-EE matches, insecure address", tlsaLookup(dnssec.Secure, name, fmt.Sprintf("3 1 1 %x", digest)), completed(chain), nil, Authenticated, nil},
		{"only malformed records require TLS (RFC 7671 §10.3)", tlsaLookup(dnssec.Secure, name, "3 1 1 abcd"), completed(chain), nil, Encrypted, []Reason{TLSAUnusable}},
		{"only malformed records, no STARTTLS", tlsaLookup(dnssec.Secure, name, "3 1 1 abcd"), failedAt(StageConnect, errorWithCause(CauseStartTLSNotOffered)), nil, Refused, []Reason{StartTLSNotOffered, TLSAUnusable}},
		{"only malformed records, handshake fails", tlsaLookup(dnssec.Secure, name, "3 1 1 abcd"), tlsFailed, nil, Refused, []Reason{TLSHandshakeFailed, TLSAUnusable}},
		{"only malformed records, unparsable certificate", tlsaLookup(dnssec.Secure, name, "3 1 1 abcd"), withStartTLSOffered(failedAt(StageStartTLS, errorWithCause(CauseUnparsable))), nil, Encrypted, []Reason{CertificateUnparsable, TLSAUnusable}},
		{"insecure malformed records require nothing", tlsaLookup(dnssec.Insecure, name, "3 1 1 abcd"), failedAt(StageConnect, errorWithCause(CauseStartTLSNotOffered)), nil, Opportunistic, []Reason{StartTLSNotOffered, TLSAInsecure}},
		{"handshake fails, no records: every client fails", tlsaLookup(dnssec.Secure, name), tlsFailed, nil, Unreachable, []Reason{NoTLSA, TLSHandshakeFailed}},
		{"PKIX-EE matches, no root trusts the chain", tlsaLookup(dnssec.Secure, name, fmt.Sprintf("1 1 1 %x", digest)), completed(chain), x509.NewCertPool(), Refused, []Reason{PKIXUntrusted}},
		{"PKIX-EE matches, no roots on this machine: not measured", tlsaLookup(dnssec.Secure, name, fmt.Sprintf("1 1 1 %x", digest)), completed(chain), nil, Unknown, []Reason{RootsUnavailable}},
		{"PKIX-EE of another key: a mismatch, with roots or without", tlsaLookup(dnssec.Secure, name, fmt.Sprintf("1 1 1 %x", sha256.Sum256([]byte("another key")))), completed(chain), nil, Refused, []Reason{TLSAMismatch}},
	} {
		t.Run(c.name, func(t *testing.T) {
			facts := &Facts{Hosts: []Host{host(0, addressAnswer(dnssec.Insecure, name), Service{TLSA: []TLSALookup{c.lookup}, Endpoints: []Endpoint{c.endpoint}})}}
			v := Judge(facts, Rules{Target: name, Policy: Client, Require: RequireDANE, Roots: c.roots}, noon)
			if v.Outcome != c.want {
				t.Errorf("got %s, want %s: %v", v.Outcome, c.want, v.Findings)
			}
			if got := reasonsOf(v); !slices.Equal(got, c.reasons) {
				t.Errorf("reasons %v, want %v", got, c.reasons)
			}
		})
	}
}

// The service has a secure SRV record. Without a usable TLSA record the Web PKI
// counts (RFC 7673 §4.1). One failed address lookup is enough to refuse (RFC 7673
// §3.2).
func TestJudgeSRV(t *testing.T) {
	const name, unusable = "mx.example.org", "3 1 1 abcd"
	chain, roots := trustedChain(t, name, name)
	ofDomain, domainRoots := trustedChain(t, "example.org", "example.org")
	other, otherRoots := trustedChain(t, "other.example", "other.example")
	matching := fmt.Sprintf("3 1 1 %x", sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo))
	noSTARTTLS := failedAt(StageConnect, errorWithCause(CauseStartTLSNotOffered))
	bogus := answer(dnssec.Bogus, name, dns.TypeAAAA)
	deadline := failedAnswer(dnssec.ErrDeadline, name, dns.TypeAAAA)
	absent := answer(dnssec.Secure, name, dns.TypeAAAA)
	for _, c := range []struct {
		name     string
		srv      dnssec.Status
		fallback bool
		aaaa     *dnssec.Answer
		tlsa     []string
		endpoint Endpoint
		roots    *x509.CertPool
		want     Outcome
		reasons  []Reason
	}{
		{"a record matches", dnssec.Secure, false, &absent, []string{matching}, completed(chain), roots, Authenticated, nil},
		{"none usable, trusted certificate of the host", dnssec.Secure, false, nil, []string{unusable}, completed(chain), roots, Encrypted, []Reason{TLSAUnusable}},
		{"none usable, trusted certificate of the domain", dnssec.Secure, false, nil, []string{unusable}, completed(ofDomain), domainRoots, Encrypted, []Reason{TLSAUnusable}},
		{"none usable, trusted certificate of another name", dnssec.Secure, false, nil, []string{unusable}, completed(other), otherRoots, Refused, []Reason{PKIXUntrusted, TLSAUnusable}},
		{"none usable, certificate not trusted", dnssec.Secure, false, nil, []string{unusable}, completed(chain), x509.NewCertPool(), Refused, []Reason{PKIXUntrusted, TLSAUnusable}},
		{"none usable, no roots here", dnssec.Secure, false, nil, []string{unusable}, completed(chain), nil, Unknown, []Reason{RootsUnavailable, TLSAUnusable}},
		{"none usable, no STARTTLS", dnssec.Secure, false, nil, []string{unusable}, noSTARTTLS, roots, Refused, []Reason{StartTLSNotOffered, TLSAUnusable}},
		{"none usable, certificate that cannot be parsed", dnssec.Secure, false, nil, []string{unusable}, withStartTLSOffered(failedAt(StageStartTLS, errorWithCause(CauseUnparsable))), roots, Unknown, []Reason{CertificateUnparsable, TLSAUnusable}},
		{"no records, certificate not trusted", dnssec.Secure, false, nil, []string{}, completed(chain), x509.NewCertPool(), Opportunistic, []Reason{NoTLSA}},
		{"the AAAA lookup is bogus", dnssec.Secure, false, &bogus, []string{matching}, completed(chain), roots, Refused, []Reason{DNSSECBogus}},
		{"the AAAA lookup is bogus, no records", dnssec.Secure, false, &bogus, []string{}, completed(chain), roots, Refused, []Reason{DNSSECBogus, NoTLSA}},
		{"our deadline cut the AAAA lookup short", dnssec.Secure, false, &deadline, []string{matching}, completed(chain), roots, Unknown, []Reason{ProbeDeadline}},
		{"insecure SRV record, the AAAA lookup is bogus", dnssec.Insecure, false, &bogus, nil, completed(chain), roots, Opportunistic, []Reason{DNSSECBogus, SRVInsecure}},
		{"fallback to the domain", dnssec.Secure, true, nil, nil, completed(chain), roots, Opportunistic, []Reason{NoSRV}},
		{"fallback to the domain, no STARTTLS", dnssec.Secure, true, nil, nil, noSTARTTLS, roots, Opportunistic, []Reason{NoSRV, StartTLSNotOffered}},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := answer(c.srv, "_xmpp-client._tcp.example.org", dns.TypeSRV)
			service := Service{SRV: &srv, Endpoints: []Endpoint{c.endpoint}}
			if c.fallback {
				service.SRV, service.Fallback = nil, true
			} else {
				srv.Records = []dns.RR{&dns.SRV{Target: name + "."}}
			}
			if c.tlsa != nil {
				service.TLSA = []TLSALookup{tlsaLookup(dnssec.Secure, name, c.tlsa...)}
			}
			h := host(0, addressAnswer(dnssec.Secure, name), service)
			h.AAAA = c.aaaa
			v := Judge(&Facts{SRV: []SRVLookup{{Service: "xmpp-client", Answer: srv}}, Hosts: []Host{h}},
				Rules{Target: "example.org", Policy: Client, Require: RequireIfPublished, Roots: c.roots}, noon)
			if got := reasonsOf(v); v.Outcome != c.want || !slices.Equal(got, c.reasons) {
				t.Errorf("got %s, %v; want %s, %v\n%v", v.Outcome, got, c.want, c.reasons, v.Findings)
			}
		})
	}
}

// Without a host, the SRV lookups decide.
func TestJudgeSRVWithoutHosts(t *testing.T) {
	lookup := func(a dnssec.Answer) SRVLookup { return SRVLookup{Service: "xmpp-client", Answer: a} }
	const owner = "_xmpp-client._tcp.example.org"
	absent := lookup(answer(dnssec.Secure, owner, dns.TypeSRV))
	withdrawn := lookup(answer(dnssec.Secure, owner, dns.TypeSRV, &dns.SRV{Target: "."}))
	bogus := lookup(answer(dnssec.Bogus, owner, dns.TypeSRV))
	unreachable := lookup(failedAnswer(dnssec.ErrUnreachable, owner, dns.TypeSRV))
	for _, c := range []struct {
		name    string
		lookups []SRVLookup
		want    Outcome
		reasons []Reason
	}{
		{"no records", []SRVLookup{absent}, None, []Reason{NoSRV}},
		{"the service is not offered", []SRVLookup{withdrawn}, None, []Reason{SRVNone}},
		{"one service is not offered, no records of the other", []SRVLookup{withdrawn, absent}, None, []Reason{NoSRV, SRVNone}},
		{"bogus", []SRVLookup{bogus}, Refused, []Reason{DNSSECBogus}},
		{"one service is not offered, the other is bogus", []SRVLookup{withdrawn, bogus}, Refused, []Reason{DNSSECBogus}},
		{"no resolver answers", []SRVLookup{unreachable}, Unknown, []Reason{ResolverUnreachable}},
		{"bogus, and no resolver answers", []SRVLookup{unreachable, bogus}, Refused, []Reason{DNSSECBogus, ResolverUnreachable}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(&Facts{SRV: c.lookups}, Rules{Target: "example.org", Policy: Client}, noon)
			if got := reasonsOf(v); v.Outcome != c.want || v.Success || !slices.Equal(got, c.reasons) {
				t.Errorf("got %s, %v; want %s, %v", v.Outcome, got, c.want, c.reasons)
			}
		})
	}
}

// The finding on a host that clients do not connect to names the records and the name.
func TestFindingOfHostFault(t *testing.T) {
	const name = "mx.example.org"
	srv := answer(dnssec.Secure, "_xmpp-client._tcp.example.org", dns.TypeSRV)
	for _, c := range []struct {
		name string
		host Host
		want Finding
	}{
		{"MX record", Host{Name: "mx.invalid", Fault: HostSpecialUse, Services: []Service{{}}},
			Finding{Reason: SpecialUseName, Host: "mx.invalid", Lookup: LookupMX, Detail: "mx.invalid is a special-use name"}},
		{"SRV record", Host{Name: "-a.example", Fault: HostInvalid, Services: []Service{{SRV: &srv}}},
			Finding{Reason: InvalidHostname, Host: "-a.example", Lookup: LookupSRV, Detail: "-a.example is not a hostname"}},
		{"alias", Host{Name: name, Fault: HostSpecialUse, FaultyName: "parked.invalid", Services: []Service{{}}},
			Finding{Reason: SpecialUseName, Host: name, Detail: "mx.example.org is an alias: parked.invalid is a special-use name"}},
	} {
		v := Judge(&Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{c.host}}, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
		if len(v.Findings) != 1 || v.Findings[0] != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, v.Findings, c.want)
		}
	}
}

// If no record authenticates the server, the finding is on the one that came closest,
// and on the first of several equal ones.
func TestFindingOfClosestRecord(t *testing.T) {
	const name = "mx.example.org"
	root := issue(t, "root", nil, nil, noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1))
	expired := issue(t, name, root, nil, noon.AddDate(0, 0, -2), noon.AddDate(0, 0, -1))
	other := func(n int) string { return fmt.Sprintf("3 1 1 %064x", n) }
	ta := record(tlsa.DANETA, tlsa.Cert, root)
	for _, c := range []struct {
		name    string
		records []string
		want    Reason
		detail  string // its beginning
	}{
		{"the first is closest", []string{ta, other(1)}, CertificateExpired, "2 0 1 "},
		{"the last is closest", []string{other(1), ta}, CertificateExpired, "2 0 1 "},
		{"one in the middle is closest", []string{other(1), ta, other(2)}, CertificateExpired, "2 0 1 "},
		{"several of equal rank", []string{other(1), other(2)}, TLSAMismatch, other(1)},
	} {
		service := Service{TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, c.records...)}, Endpoints: []Endpoint{completed(chainOf(t, expired, root))}}
		v := Judge(&Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name), service)}}, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
		if len(v.Findings) != 1 || v.Findings[0].Reason != c.want || !strings.HasPrefix(v.Findings[0].Detail, c.detail) {
			t.Errorf("%s: got %+v, want %s: %s", c.name, v.Findings, c.want, c.detail)
		}
	}
}

// A finding names the key type if the handshake reached a step that depends on it.
func TestFindingOfKeyType(t *testing.T) {
	const name = "mx.example.org"
	for _, c := range []struct {
		name    string
		keyType KeyType
		failed  Endpoint
		want    string
	}{
		{"no key types", "", withStartTLSOffered(failedAt(StageStartTLS, errorWithCause(CauseTLS))), "as the case says"},
		{"in the TLS handshake", RSA, withStartTLSOffered(failedAt(StageStartTLS, errorWithCause(CauseTLS))), "rsa key: as the case says"},
		{"before STARTTLS", RSA, failedAt(StageConnect, errorWithCause(CauseTimeout)), "as the case says"},
	} {
		c.failed.KeyType = c.keyType
		service := Service{TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, fmt.Sprintf("3 1 1 %064x", 1))}, Endpoints: []Endpoint{c.failed}}
		v := Judge(&Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name), service)}}, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
		if len(v.Findings) != 1 || v.Findings[0].Detail != c.want {
			t.Errorf("%s: got %+v, want %q", c.name, v.Findings, c.want)
		}
	}
}

// A service may override the policy: port 25 of a mail server serves other mail
// servers, its other ports serve clients.
func TestJudgeServicePolicy(t *testing.T) {
	const name = "mx.example.org"
	chain := selfSigned(t)
	digest := sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo)
	h := host(0, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, fmt.Sprintf("1 1 1 %x", digest))}, Endpoints: []Endpoint{completed(chain)}})
	rules := Rules{Target: name, Policy: Client, Require: RequireDANE, Roots: x509.NewCertPool()}
	if v := Judge(&Facts{Hosts: []Host{h}}, rules, noon); v.Outcome != Refused {
		t.Errorf("client: got %s, want %s", v.Outcome, Refused)
	}
	h.Services[0].Policy = SMTPRelay
	if v := Judge(&Facts{Hosts: []Host{h}}, rules, noon); v.Outcome != Encrypted {
		t.Errorf("relay: got %s, want %s", v.Outcome, Encrypted)
	}
}

// The reference identifiers are the base domain, the next-hop domain and its
// secure expansion (RFC 7672 §3.2.2).
func TestReferenceIdentifiers(t *testing.T) {
	expanded := mxAnswer(dnssec.Secure, "mx.example.org")
	expanded.Canonical = "hosted.example.net."
	for _, c := range []struct {
		name    string
		mx, srv *dnssec.Answer
		base    string
		want    []string
	}{
		{"secure SRV", nil, &dnssec.Answer{Status: dnssec.Secure}, "mx.example.org", []string{"mx.example.org", "example.org"}},
		{"secure SRV, target is an alias", nil, &dnssec.Answer{Status: dnssec.Secure}, "real.example.net", []string{"real.example.net", "mx.example.org", "example.org"}},
		{"insecure SRV", nil, &dnssec.Answer{Status: dnssec.Insecure}, "", []string{"example.org"}},
		{"secure MX", mxAnswer(dnssec.Secure, "mx.example.org"), nil, "mx.example.org", []string{"mx.example.org", "example.org"}},
		{"secure MX, domain is an alias", expanded, nil, "mx.example.org", []string{"mx.example.org", "example.org", "hosted.example.net"}},
		{"insecure MX", mxAnswer(dnssec.Insecure, "mx.example.org"), nil, "mx.example.org", []string{"mx.example.org"}},
		{"no base domain: the host's own name", mxAnswer(dnssec.Secure, "mx.example.org"), nil, "", []string{"mx.example.org", "example.org"}},
		{"no MX lookup, host is an alias", nil, nil, "real.example.net", []string{"real.example.net", "mx.example.org"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := &judge{facts: &Facts{MX: c.mx}, rules: Rules{Target: "example.org"}}
			if got := j.referenceIdentifiers(&Host{Name: "mx.example.org"}, &Service{SRV: c.srv}, c.base); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// Every reason is in the table once, with all its texts.
func TestReasonTable(t *testing.T) {
	seen := make(map[Reason]bool)
	for _, info := range Reasons() {
		if seen[info.Reason] {
			t.Errorf("%s is in the table twice", info.Reason)
		}
		seen[info.Reason] = true
		if info.Effect == "" || info.Meaning == "" || info.Senders == "" || info.Remedy == "" || info.Verify == "" {
			t.Errorf("%s has no effect, meaning, senders, remedy or verify", info.Reason)
		}
	}
}

// A resolver that disagrees with a validating one is a finding. It changes
// neither outcome nor success.
func TestJudgeInconsistentResolver(t *testing.T) {
	chain := selfSigned(t)
	matching := fmt.Sprintf("3 1 1 %x", sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo))
	judged := func(inconsistent string) Verdict {
		lookup := tlsaLookup(dnssec.Secure, "mx.example.org", matching)
		lookup.Answer.Inconsistent = inconsistent
		facts := &Facts{MX: mxAnswer(dnssec.Secure, "mx.example.org"), Complete: true, Hosts: []Host{
			host(10, addressAnswer(dnssec.Secure, "mx.example.org"), Service{TLSA: []TLSALookup{lookup}, Endpoints: []Endpoint{completed(chain)}}),
		}}
		return Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireDANE}, noon)
	}
	consistent, inconsistent := judged(""), judged("192.0.2.53:53: wrong signature; the answer of 192.0.2.54:53 validates")
	if consistent.Outcome != Authenticated || !consistent.Success || len(consistent.Findings) != 0 {
		t.Fatalf("consistent: %s %+v", consistent.Outcome, consistent.Findings)
	}
	if inconsistent.Outcome != Authenticated || !inconsistent.Success {
		t.Errorf("inconsistent: %s, success %v", inconsistent.Outcome, inconsistent.Success)
	}
	if f := inconsistent.Findings; len(f) != 1 || f[0].Reason != ResolverInconsistent || f[0].Lookup != LookupTLSA || f[0].Host != "mx.example.org" || f[0].Detail == "" {
		t.Errorf("findings %+v", f)
	}
}

// A finding about one failed address family says that senders differ.
func TestFailedFamilySaysThatSendersDiffer(t *testing.T) {
	const name, differ = "mx.example.org", "strict senders delay the mail"
	bogus := answer(dnssec.Bogus, name, dns.TypeAAAA)
	for _, c := range []struct {
		name   string
		a      *dnssec.Answer
		policy Policy
		want   bool
	}{
		{"a relay, with other addresses", addressAnswer(dnssec.Secure, name), SMTPRelay, true},
		{"a relay, without", nil, SMTPRelay, false},
		{"a client", addressAnswer(dnssec.Secure, name), Client, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := Host{Name: name, A: c.a, AAAA: &bogus, Services: []Service{{Port: 25}}}
			v := Judge(&Facts{Hosts: []Host{h}}, Rules{Target: name, Policy: c.policy}, noon)
			i := slices.IndexFunc(v.Findings, func(f Finding) bool { return f.Lookup == LookupAAAA })
			if i < 0 || strings.Contains(v.Findings[i].Detail, differ) != c.want {
				t.Errorf("%v", v.Findings)
			}
		})
	}
}
