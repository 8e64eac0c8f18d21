package dane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// noon is when everything in these stories happens.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// served is a self-signed certificate for mx.example.org that ended yesterday:
// good enough for DANE-EE, and for nothing else.
func served(t *testing.T) *tlsa.Chain {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "mx.example.org"},
		DNSNames:     []string{"mx.example.org"},
		NotBefore:    noon.AddDate(-1, 0, 0),
		NotAfter:     noon.AddDate(0, 0, -1),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tlsa.NewChain([]*x509.Certificate{certificate})
}

// The pieces that stories are made of.

func answer(status dnssec.Status, name string, qtype uint16, records ...dns.RR) dnssec.Answer {
	return dnssec.Answer{
		Name: dns.Fqdn(name), Type: qtype, Canonical: dns.Fqdn(name),
		Status: status, Why: "as the story says", Records: records,
	}
}

func failed(err error, name string, qtype uint16) dnssec.Answer {
	a := answer(dnssec.Indeterminate, name, qtype)
	a.Err = err
	return a
}

func mx(status dnssec.Status, hosts ...string) *dnssec.Answer {
	var records []dns.RR
	for i, host := range hosts {
		records = append(records, &dns.MX{Preference: uint16(10 * (i + 1)), Mx: dns.Fqdn(host)})
	}
	a := answer(status, "example.org", dns.TypeMX, records...)
	return &a
}

func addressed(status dnssec.Status, name string) *dnssec.Answer {
	a := answer(status, name, dns.TypeA, &dns.A{A: net.IPv4(192, 0, 2, 1)})
	return &a
}

func published(status dnssec.Status, base string, records ...string) TLSALookup {
	var rrs []dns.RR
	for _, text := range records {
		rr, err := dns.NewRR("_25._tcp." + base + ". TLSA " + text)
		if err != nil {
			panic(err)
		}
		rrs = append(rrs, rr)
	}
	return TLSALookup{Base: base, Answer: answer(status, TLSAOwner(base, 25), dns.TypeTLSA, rrs...)}
}

func lost(base string, answer dnssec.Answer) TLSALookup {
	return TLSALookup{Base: base, Answer: answer}
}

func host(preference uint16, a *dnssec.Answer, service Service) Host {
	service.Port, service.Protocol, service.Preference = 25, "smtp", preference
	for i := range service.Endpoints {
		service.Endpoints[i].Address = netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
	}
	service.TLSAResult = DecideTLSA(service.TLSA)
	return Host{Name: TextName(a.Name), A: a, Services: []Service{service}}
}

// halfLost is a host whose AAAA look-up our deadline cut off.
func halfLost(h Host) Host {
	a := failed(dnssec.ErrDeadline, h.Name, dns.TypeAAAA)
	h.AAAA = &a
	return h
}

// pinned is a host at the address that the target named.
func pinned(h Host) Host {
	h.Pinned = netip.MustParseAddr("192.0.2.1")
	return h
}

func unanswered(name string) *dnssec.Answer {
	a := failed(dnssec.ErrUnreachable, name, dns.TypeA)
	return &a
}

func shaken(chain *tlsa.Chain) Endpoint { return Endpoint{Reached: StageTLS, Chain: chain} }

// caused returns an error with a cause, as package handshake attaches it.
func caused(cause Cause) error { return WithCause(cause, errors.New("as the case says")) }

func stuck(reached Stage, err error) Endpoint { return Endpoint{Reached: reached, Err: err} }

// offered is an endpoint that got stuck after it had offered TLS.
func offered(e Endpoint) Endpoint {
	e.Dialogue.Offered = true
	return e
}

func TestJudgeMailServers(t *testing.T) {
	const domain, name = "example.org", "mx.example.org"
	chain := served(t)
	digest := sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo)
	right := fmt.Sprintf("3 1 1 %x", digest)
	wrong := fmt.Sprintf("3 1 1 %x", sha256.Sum256([]byte("another key")))
	pkix := fmt.Sprintf("1 1 1 %x", digest)
	noSTARTTLS := stuck(StageConnect, fmt.Errorf("speaking smtp: %w", caused(CauseStartTLSNotOffered)))
	refusing := offered(stuck(StageConnect, caused(CauseStartTLSRejected)))
	turnedAway := stuck(StageConnect, caused(CauseClientRejected))
	closed := stuck(StageNone, caused(CauseConnect))
	silent := stuck(StageConnect, caused(CauseTimeout))
	alerted := offered(stuck(StageStartTLS, caused(CauseTLS)))

	one := func(a *dnssec.Answer, lookup TLSALookup, endpoints ...Endpoint) []Host {
		return []Host{host(10, a, Service{TLSA: []TLSALookup{lookup}, Endpoints: endpoints})}
	}
	secure, insecure, bogus := dnssec.Secure, dnssec.Insecure, dnssec.Bogus

	for _, story := range []struct {
		name, story string
		facts       Facts
		want        Outcome
		dane        bool // success where DANE is required
		published   bool // success where it is required only if published
		reasons     []Reason
	}{
		{"all is well", "secure MX, address and TLSA, and the record matches",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right), shaken(chain))},
			Authenticated, true, true, nil},
		{"renewed without the record", "RFC 7672 §2.2: usable records that do not match are a refusal",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, wrong), shaken(chain))},
			Refused, false, false, []Reason{TLSAMismatch}},
		{"the next key beside today's", "any one match is enough (RFC 6698 §2.1)",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, wrong, right), shaken(chain))},
			Authenticated, true, true, nil},
		{"none usable", "RFC 7672 §2.2: secure records, none usable: TLS is a must, authentication is not",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, pkix), shaken(chain))},
			Encrypted, false, true, []Reason{TLSAUnusable}},
		{"none usable, no STARTTLS", "TLS was a must",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, pkix), noSTARTTLS)},
			Refused, false, false, []Reason{StartTLSNotOffered, TLSAUnusable}},
		{"none published", "a proof of absence leads to opportunistic TLS",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name), shaken(chain))},
			Opportunistic, false, true, []Reason{NoTLSA}},
		{"none published, no STARTTLS", "without records a missing STARTTLS is not DANE's matter",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name), noSTARTTLS)},
			Opportunistic, false, true, []Reason{NoTLSA, StartTLSNotOffered}},
		{"none published, handshake fails", "a relay goes on in the clear",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name), alerted)},
			Opportunistic, false, true, []Reason{NoTLSA, TLSHandshakeFailed}},
		{"no STARTTLS", "records promise TLS, and it is not there",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right), noSTARTTLS)},
			Refused, false, false, []Reason{StartTLSNotOffered}},
		{"STARTTLS rejected", "454 instead of 220",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right), refusing)},
			Refused, false, false, []Reason{StartTLSRejected}},
		{"handshake fails", "after STARTTLS there is no way back",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right), alerted)},
			Refused, false, false, []Reason{TLSHandshakeFailed}},
		{"words in the clear after STARTTLS", "an injection, or a broken server: TLS was promised",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right), offered(stuck(StageConnect, caused(CauseProtocol))))},
			Refused, false, false, []Reason{ProtocolError}},
		{"stalled after STARTTLS", "the server had its time, and offered what it does not give",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right), offered(silent))},
			Refused, false, false, []Reason{Timeout}},
		{"nobody listens", "every client fails, DANE or not",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right), closed)},
			Unreachable, false, false, []Reason{ConnectFailed}},
		{"silence", "the server had its time",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right), silent)},
			Unreachable, false, false, []Reason{Timeout}},
		{"silence, cut short", "our deadline came first, so nothing can be said",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right),
				Endpoint{Reached: StageConnect, Err: caused(CauseDeadline), TimedOutEarly: true})},
			Unknown, false, false, []Reason{ProbeDeadline}},
		{"turned away", "554 before STARTTLS",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right), turnedAway)},
			Unreachable, false, false, []Reason{ClientRejected}},
		{"forbidden address", "access keeps us out, so nothing can be said",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right), stuck(StageNone, caused(CauseNotAllowed)))},
			Unknown, false, false, []Reason{TargetNotAllowed}},
		{"no IPv6 here", "the endpoint is left out, and the other one counts",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right),
				shaken(chain), Endpoint{Err: caused(CauseIPv6Unavailable), Skipped: true})},
			Authenticated, true, true, []Reason{IPv6Unavailable}},
		{"no IPv6 here, and a host that has nothing else", "it is left out, and the other host counts",
			Facts{MX: mx(secure, name, "mx2.example.org"), Hosts: slices.Concat(
				one(addressed(secure, name), published(secure, name, right), shaken(chain)),
				[]Host{host(20, addressed(secure, "mx2.example.org"), Service{TLSA: []TLSALookup{published(secure, "mx2.example.org", right)}, Endpoints: []Endpoint{{Err: caused(CauseIPv6Unavailable), Skipped: true}}})})},
			Authenticated, true, true, []Reason{IPv6Unavailable}},
		{"one family's look-up failed", "mail is delivered, and what was lost may be broken",
			Facts{MX: mx(secure, name), Hosts: []Host{halfLost(host(10, addressed(secure, name), Service{TLSA: []TLSALookup{published(secure, name, right)}, Endpoints: []Endpoint{shaken(chain)}}))}},
			Authenticated, false, false, []Reason{ProbeDeadline}},
		{"an address is named, and the name's own does not validate", "no client would have come as far as the records",
			Facts{Hosts: []Host{pinned(host(10, addressed(bogus, name), Service{Endpoints: []Endpoint{shaken(chain)}}))}},
			Refused, false, false, []Reason{DNSSECBogus}},
		{"an address is named, and no resolver answers", "it is ours",
			Facts{Hosts: []Host{pinned(host(10, unanswered(name), Service{Endpoints: []Endpoint{shaken(chain)}}))}},
			Unknown, false, false, []Reason{ResolverUnreachable}},
		{"descriptors used up", "it is ours",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right),
				stuck(StageNone, caused(CauseInternal)))},
			Unknown, false, false, []Reason{InternalError}},
		{"a certificate beyond us, and it matters", "records would have to match it",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right), offered(stuck(StageStartTLS, caused(CauseUnparsable))))},
			Unknown, false, false, []Reason{CertificateUnparsable}},
		{"a certificate beyond us, and it does not matter", "no records are published",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name), offered(stuck(StageStartTLS, caused(CauseUnparsable))))},
			Opportunistic, false, true, []Reason{CertificateUnparsable, NoTLSA}},

		{"bogus TLSA look-up", "RFC 7672 §2.1.2: a failed look-up is never 'no record'",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(bogus, name), shaken(chain))},
			Refused, false, false, []Reason{DNSSECBogus}},
		{"TLSA look-up fails", "SERVFAIL: the client must not go on",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), lost(name, failed(dnssec.ErrServer, name, dns.TypeTLSA)), shaken(chain))},
			Refused, false, false, []Reason{DNSFailure}},
		{"TLSA look-up fails at our side", "no resolver: nothing can be said",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), lost(name, failed(dnssec.ErrUnreachable, name, dns.TypeTLSA)), shaken(chain))},
			Unknown, false, false, []Reason{ResolverUnreachable}},
		{"insecure address", "RFC 7672 §2.2.2: no TLSA look-up is made",
			Facts{MX: mx(secure, name), Hosts: []Host{host(10, addressed(insecure, name), Service{Endpoints: []Endpoint{shaken(chain)}})}},
			Opportunistic, false, true, []Reason{AddressInsecure}},
		{"insecure TLSA records", "an alias led them into an unsigned zone",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(insecure, name, wrong), shaken(chain))},
			Opportunistic, false, true, []Reason{TLSAInsecure}},
		{"bogus address", "the only address is lost",
			Facts{MX: mx(secure, name), Hosts: []Host{host(10, addressed(bogus, name), Service{})}},
			Refused, false, false, []Reason{DNSSECBogus}},

		{"bogus MX", "no host is tried",
			Facts{MX: mx(bogus, name)},
			Refused, false, false, []Reason{DNSSECBogus}},
		{"no resolver for MX", "it is ours",
			Facts{MX: &dnssec.Answer{Err: dnssec.ErrUnreachable}},
			Unknown, false, false, []Reason{ResolverUnreachable}},
		{"stripping resolver", "it is ours",
			Facts{MX: &dnssec.Answer{Err: dnssec.ErrStripped}},
			Unknown, false, false, []Reason{DNSSECStripped}},
		{"null MX", "RFC 7505: no mail is taken",
			Facts{MX: mx(secure, ".")},
			None, false, false, []Reason{NullMX}},
		{"no such domain", "NXDOMAIN",
			Facts{MX: &dnssec.Answer{Name: "example.org.", Status: secure, Rcode: dns.RcodeNameError}},
			None, false, false, []Reason{NoSuchDomain}},
		{"no address", "an MX host without A and AAAA",
			Facts{MX: mx(secure, name), Hosts: []Host{host(10, &dnssec.Answer{Name: name + ".", Status: secure}, Service{})}},
			None, false, false, []Reason{NoAddress}},
		{"insecure MX, all matches", "RFC 7672 §2.2.1: the way to the host proves nothing",
			Facts{MX: mx(insecure, name), Hosts: one(addressed(secure, name), published(secure, name, right), shaken(chain))},
			Opportunistic, false, true, []Reason{MXInsecure}},
		{"insecure MX, mismatch", "the host is refused all the same",
			Facts{MX: mx(insecure, name), Hosts: one(addressed(secure, name), published(secure, name, wrong), shaken(chain))},
			Refused, false, false, []Reason{MXInsecure, TLSAMismatch}},

		{"two hosts, the second broken", "mail is delivered, and somebody should know",
			Facts{MX: mx(secure, name, "mx2.example.org"), Hosts: slices.Concat(
				one(addressed(secure, name), published(secure, name, right), shaken(chain)),
				[]Host{host(20, addressed(secure, "mx2.example.org"), Service{TLSA: []TLSALookup{published(secure, "mx2.example.org", wrong)}, Endpoints: []Endpoint{shaken(chain)}})})},
			Authenticated, false, false, []Reason{TLSAMismatch}},
		{"two hosts, the first broken", "the second has no records, so what a client ends up with is less",
			Facts{MX: mx(secure, name, "mx2.example.org"), Hosts: slices.Concat(
				one(addressed(secure, name), published(secure, name, wrong), shaken(chain)),
				[]Host{host(20, addressed(secure, "mx2.example.org"), Service{TLSA: []TLSALookup{published(secure, "mx2.example.org")}, Endpoints: []Endpoint{shaken(chain)}})})},
			Opportunistic, false, false, []Reason{NoTLSA, TLSAMismatch}},
		{"two hosts of one preference", "a client may pick either, so the worse counts",
			Facts{MX: mx(secure, name, "mx2.example.org"), Hosts: slices.Concat(
				one(addressed(secure, name), published(secure, name, right), shaken(chain)),
				[]Host{host(10, addressed(secure, "mx2.example.org"), Service{TLSA: []TLSALookup{published(secure, "mx2.example.org")}, Endpoints: []Endpoint{shaken(chain)}})})},
			Opportunistic, false, true, []Reason{NoTLSA}},
		{"two addresses, one closed", "a client tries the other",
			Facts{MX: mx(secure, name), Hosts: one(addressed(secure, name), published(secure, name, right), shaken(chain), closed)},
			Authenticated, false, false, []Reason{ConnectFailed}},
		{"refused and unreachable", "if nothing works anywhere, DANE's refusal is the news",
			Facts{MX: mx(secure, name, "mx2.example.org"), Hosts: slices.Concat(
				one(addressed(secure, name), published(secure, name, right), closed),
				[]Host{host(20, addressed(secure, "mx2.example.org"), Service{TLSA: []TLSALookup{published(secure, "mx2.example.org", wrong)}, Endpoints: []Endpoint{shaken(chain)}})})},
			Refused, false, false, []Reason{ConnectFailed, TLSAMismatch}},
		{"too many hosts", "those left out may be broken",
			Facts{MX: mx(secure, name), Truncated: []string{"hosts"}, Hosts: one(addressed(secure, name), published(secure, name, right), shaken(chain))},
			Authenticated, false, false, []Reason{LimitExceeded}},
		{"a defect of ours", "a panic costs one service, and is said",
			Facts{MX: mx(secure, name), Hosts: []Host{host(10, addressed(secure, name), Service{Err: &PanicError{Value: "oops"}})}},
			Unknown, false, false, []Reason{InternalError}},
		{"denied", "access.targets",
			Facts{Denied: true},
			Unknown, false, false, []Reason{TargetNotAllowed}},
	} {
		t.Run(story.name, func(t *testing.T) {
			rules := Rules{Target: domain, Policy: SMTPRelay, Require: RequireDANE}
			v := Judge(&story.facts, rules, noon)
			if v.Outcome != story.want || v.Success != story.dane {
				t.Errorf("%s: got %s, success %t; want %s, %t\n%v", story.story, v.Outcome, v.Success, story.want, story.dane, v.Findings)
			}
			if got := reasonsOf(v); !slices.Equal(got, story.reasons) {
				t.Errorf("%s: reasons %v, want %v", story.story, got, story.reasons)
			}
			rules.Require = RequireIfPublished
			if v := Judge(&story.facts, rules, noon); v.Success != story.published {
				t.Errorf("%s: success %t where DANE is required only if published; want %t", story.story, v.Success, story.published)
			}
		})
	}
}

// Clients other than mail relays have no way back into the clear, and may use
// the PKIX usages.
func TestJudgeClients(t *testing.T) {
	const name = "www.example.org"
	chain := served(t)
	digest := sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo)
	alerted := offered(stuck(StageStartTLS, caused(CauseTLS)))
	for _, story := range []struct {
		name     string
		lookup   TLSALookup
		endpoint Endpoint
		roots    *x509.CertPool
		want     Outcome
		reasons  []Reason
	}{
		{"DANE-EE matches in an insecure address zone", published(dnssec.Secure, name, fmt.Sprintf("3 1 1 %x", digest)), shaken(chain), nil, Authenticated, nil},
		{"only malformed records are as good as none", published(dnssec.Secure, name, "3 1 1 abcd"), shaken(chain), nil, Opportunistic, []Reason{TLSAUnusable}},
		{"handshake fails without records: every client fails", published(dnssec.Secure, name), alerted, nil, Unreachable, []Reason{NoTLSA, TLSHandshakeFailed}},
		{"PKIX-EE matches and no root vouches for it", published(dnssec.Secure, name, fmt.Sprintf("1 1 1 %x", digest)), shaken(chain), x509.NewCertPool(), Refused, []Reason{PKIXUntrusted}},
		{"PKIX-EE without roots here is not measured", published(dnssec.Secure, name, fmt.Sprintf("1 1 1 %x", digest)), shaken(chain), nil, Unknown, []Reason{RootsUnavailable}},
		{"PKIX-EE of another key needs no roots to be wrong", published(dnssec.Secure, name, fmt.Sprintf("1 1 1 %x", sha256.Sum256([]byte("another key")))), shaken(chain), nil, Refused, []Reason{TLSAMismatch}},
	} {
		t.Run(story.name, func(t *testing.T) {
			facts := &Facts{Hosts: []Host{host(0, addressed(dnssec.Insecure, name), Service{TLSA: []TLSALookup{story.lookup}, Endpoints: []Endpoint{story.endpoint}})}}
			v := Judge(facts, Rules{Target: name, Policy: Client, Require: RequireDANE, Roots: story.roots}, noon)
			if v.Outcome != story.want {
				t.Errorf("got %s, want %s: %v", v.Outcome, story.want, v.Findings)
			}
			if got := reasonsOf(v); !slices.Equal(got, story.reasons) {
				t.Errorf("reasons %v, want %v", got, story.reasons)
			}
		})
	}
}

// A mail server's port 25 is for other mail servers, whatever else it offers.
func TestAServiceMayHaveAPolicyOfItsOwn(t *testing.T) {
	const name = "mx.example.org"
	chain := served(t)
	digest := sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo)
	h := host(0, addressed(dnssec.Secure, name), Service{TLSA: []TLSALookup{published(dnssec.Secure, name, fmt.Sprintf("1 1 1 %x", digest))}, Endpoints: []Endpoint{shaken(chain)}})
	rules := Rules{Target: name, Policy: Client, Require: RequireDANE, Roots: x509.NewCertPool()}
	if v := Judge(&Facts{Hosts: []Host{h}}, rules, noon); v.Outcome != Refused {
		t.Errorf("a client that may use PKIX-EE got %s, want %s", v.Outcome, Refused)
	}
	h.Services[0].Policy = SMTPRelay
	if v := Judge(&Facts{Hosts: []Host{h}}, rules, noon); v.Outcome != Encrypted {
		t.Errorf("a relay, which may not, got %s, want %s", v.Outcome, Encrypted)
	}
}

// RFC 7672 §3.2.2: base domain, next-hop domain, and its secure expansion.
func TestReferenceIdentifiers(t *testing.T) {
	expanded := mx(dnssec.Secure, "mx.example.org")
	expanded.Canonical = "hosted.example.net."
	for _, story := range []struct {
		name    string
		mx, srv *dnssec.Answer
		base    string
		want    []string
	}{
		{"secure SRV", nil, &dnssec.Answer{Status: dnssec.Secure}, "mx.example.org", []string{"mx.example.org", "example.org"}},
		{"secure SRV to an alias", nil, &dnssec.Answer{Status: dnssec.Secure}, "real.example.net", []string{"real.example.net", "mx.example.org", "example.org"}},
		{"insecure SRV", nil, &dnssec.Answer{Status: dnssec.Insecure}, "", []string{"example.org"}},
		{"secure MX", mx(dnssec.Secure, "mx.example.org"), nil, "mx.example.org", []string{"mx.example.org", "example.org"}},
		{"secure MX through an alias", expanded, nil, "mx.example.org", []string{"mx.example.org", "example.org", "hosted.example.net"}},
		{"insecure MX", mx(dnssec.Insecure, "mx.example.org"), nil, "mx.example.org", []string{"mx.example.org"}},
		{"no records, so the host's own name", mx(dnssec.Secure, "mx.example.org"), nil, "", []string{"mx.example.org", "example.org"}},
		{"no MX look-up, aliased host", nil, nil, "real.example.net", []string{"real.example.net", "mx.example.org"}},
	} {
		t.Run(story.name, func(t *testing.T) {
			j := &judge{facts: &Facts{MX: story.mx}, rules: Rules{Target: "example.org"}}
			if got := j.referenceIdentifiers(&Host{Name: "mx.example.org"}, &Service{SRV: story.srv}, story.base); !slices.Equal(got, story.want) {
				t.Errorf("got %v, want %v", got, story.want)
			}
		})
	}
}

func reasonsOf(v Verdict) []Reason {
	var reasons []Reason
	for _, f := range v.Findings {
		reasons = append(reasons, f.Reason)
	}
	slices.Sort(reasons)
	return slices.Compact(reasons)
}

func TestEveryReasonIsTaught(t *testing.T) {
	seen := make(map[Reason]bool)
	for _, info := range Reasons() {
		if seen[info.Reason] {
			t.Errorf("%s stands twice in the table", info.Reason)
		}
		seen[info.Reason] = true
		if info.Effect == "" || info.Meaning == "" || info.Senders == "" || info.Remedy == "" || info.Verify == "" {
			t.Errorf("%s lacks effect, meaning, senders, remedy or verify", info.Reason)
		}
	}
}

// TestResolversDisagree: where a better resolver was found, nothing follows for
// the target but a finding.
func TestResolversDisagree(t *testing.T) {
	chain := served(t)
	right := fmt.Sprintf("3 1 1 %x", sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo))
	judged := func(inconsistent string) Verdict {
		lookup := published(dnssec.Secure, "mx.example.org", right)
		lookup.Answer.Inconsistent = inconsistent
		facts := &Facts{MX: mx(dnssec.Secure, "mx.example.org"), Complete: true, Hosts: []Host{
			host(10, addressed(dnssec.Secure, "mx.example.org"), Service{TLSA: []TLSALookup{lookup}, Endpoints: []Endpoint{shaken(chain)}}),
		}}
		return Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireDANE}, noon)
	}
	agreed, disagreed := judged(""), judged("192.0.2.53:53: the signature is wrong; 192.0.2.54:53 gave an answer that validates")
	if agreed.Outcome != Authenticated || !agreed.Success || len(agreed.Findings) != 0 {
		t.Fatalf("agreed: %s %+v", agreed.Outcome, agreed.Findings)
	}
	if disagreed.Outcome != Authenticated || !disagreed.Success {
		t.Errorf("disagreed: %s, success %v", disagreed.Outcome, disagreed.Success)
	}
	if f := disagreed.Findings; len(f) != 1 || f[0].Reason != ResolverInconsistent || f[0].Lookup != LookupTLSA || f[0].Host != "mx.example.org" || f[0].Detail == "" {
		t.Errorf("findings %+v", f)
	}
}
