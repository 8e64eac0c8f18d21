package dane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// trusted is a certificate that is its own root: that chain, and the pool that
// leads to it. It is for names, or without any for the common name alone.
func trusted(t *testing.T, commonName string, names ...string) (*tlsa.Chain, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: commonName}, DNSNames: names,
		NotBefore: noon.AddDate(0, 0, -1), NotAfter: noon.AddDate(0, 0, 10),
		IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	chain := tlsa.NewChain([]*x509.Certificate{certificate})
	roots := x509.NewCertPool()
	roots.AddCert(chain.Certificates[0])
	return chain, roots
}

// policyOf is what is found of a domain with a policy in good order. Insecure
// answers do for MTA-STS.
func policyOf(mode mtasts.Mode, mx ...string) *MTASTS {
	txt := answer(dnssec.Insecure, "_mta-sts.example.org", dns.TypeTXT)
	return &MTASTS{
		TXT: &txt, Record: mtasts.Record{ID: "1"},
		Host:    Host{Name: "mta-sts.example.org"},
		Fetches: []PolicyFetch{{Address: netip.MustParseAddr("192.0.2.80"), Fetched: mtasts.Fetched{Certificate: &x509.Certificate{NotAfter: noon.AddDate(0, 0, 5)}}}},
		Policy:  &mtasts.Policy{Mode: mode, MX: mx}, TLSRPTErr: mtasts.ErrNoRecord,
	}
}

func TestJudgeSenders(t *testing.T) {
	const name = "mx.example.org"
	chain, roots := trusted(t, name, name)
	nameless, namelessRoots := trusted(t, name)
	foreign, foreignRoots := trusted(t, "example.org", "example.org")
	stranger := served(t)
	keyOf := func(chain *tlsa.Chain) TLSALookup {
		return published(dnssec.Secure, name, fmt.Sprintf("3 1 1 %x", sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo)))
	}
	right := keyOf(chain)
	wrong := published(dnssec.Secure, name, fmt.Sprintf("3 1 1 %x", sha256.Sum256([]byte("another key"))))
	unusable := published(dnssec.Secure, name, fmt.Sprintf("1 1 1 %x", sha256.Sum256([]byte("key"))))
	none := published(dnssec.Secure, name)
	bogus := lost(name, answer(dnssec.Bogus, TLSAOwner(name, 25), dns.TypeTLSA))

	asked := func(sni string, e Endpoint) Endpoint {
		e.SNI = sni
		return e
	}
	met := func(chain *tlsa.Chain) Endpoint { return asked(name, shaken(chain)) }
	noSTARTTLS := stuck(StageConnect, fmt.Errorf("speaking smtp: %w", caused(CauseStartTLSNotOffered)))
	closed := stuck(StageNone, caused(CauseConnect))
	forbidden := stuck(StageNone, caused(CauseNotAllowed))
	hurried := Endpoint{Reached: StageConnect, Err: caused(CauseDeadline), TimedOutEarly: true}
	unparsable := Endpoint{Reached: StageTLS, SNI: name, Err: caused(CauseUnparsable)}
	enforced := policyOf(mtasts.Enforce, name)

	for _, story := range []struct {
		name     string
		policy   *MTASTS
		tlsa     TLSALookup
		endpoint Endpoint
		roots    *x509.CertPool
		covered  Measure
		passes   Measure
		want     Senders
		reasons  []Reason // beside those of DANE
	}{
		{"all agree", enforced, right, met(chain), roots,
			Yes, Yes, Senders{Authenticated, Authenticated, Authenticated}, nil},
		{"a record that nothing matches: the Web PKI does not help a sender that knows DANE", enforced, wrong, met(chain), roots,
			Yes, Yes, Senders{Refused, Authenticated, Refused}, []Reason{MTASTSDisagreement}},
		{"a look-up of TLSA records that is bogus: the same", enforced, bogus, met(chain), roots,
			Yes, Yes, Senders{Refused, Authenticated, Refused}, []Reason{MTASTSDisagreement}},
		{"a certificate of nobody, under DANE-EE", enforced, keyOf(stranger), met(stranger), roots,
			Yes, No, Senders{Authenticated, Refused, Authenticated}, []Reason{MTASTSDisagreement}},
		{"no usable record: TLS is mandatory, and DANE decides", enforced, unusable, met(stranger), roots,
			Yes, No, Senders{Encrypted, Refused, Encrypted}, []Reason{MTASTSDisagreement}},
		{"no TLSA record: what DANE leaves open, MTA-STS decides", enforced, none, met(chain), roots,
			Yes, Yes, Senders{Opportunistic, Authenticated, Authenticated}, nil},
		{"no TLSA record, and a certificate of nobody", enforced, none, met(stranger), roots,
			Yes, No, Senders{Opportunistic, Refused, Refused}, []Reason{MTASTSDisagreement}},
		{"the domain's name is not the MX host's", enforced, keyOf(foreign), met(foreign), foreignRoots,
			Yes, No, Senders{Authenticated, Refused, Authenticated}, []Reason{MTASTSDisagreement}},
		{"a common name does not count", enforced, keyOf(nameless), met(nameless), namelessRoots,
			Yes, No, Senders{Authenticated, Refused, Authenticated}, []Reason{MTASTSDisagreement}},
		{"a host that the policy does not name", policyOf(mtasts.Enforce, "mx2.example.org"), right, met(chain), roots,
			No, Yes, Senders{Authenticated, Refused, Authenticated}, []Reason{MTASTSHostNotCovered, MTASTSDisagreement}},
		{"a host that a wildcard names", policyOf(mtasts.Enforce, "*.example.org"), right, met(chain), roots,
			Yes, Yes, Senders{Authenticated, Authenticated, Authenticated}, nil},
		{"no STARTTLS: neither delivers", enforced, right, noSTARTTLS, roots,
			Yes, No, Senders{Refused, Refused, Refused}, nil},
		{"no STARTTLS, and no TLSA record", enforced, none, noSTARTTLS, roots,
			Yes, No, Senders{Opportunistic, Refused, Refused}, []Reason{MTASTSDisagreement}},
		{"nobody listens: nobody delivers, and neither is to blame", enforced, right, closed, roots,
			Yes, NotMeasured, Senders{Unreachable, Unreachable, Unreachable}, nil},
		{"nobody listens at a host that the policy does not name", policyOf(mtasts.Enforce, "mx2.example.org"), right, closed, roots,
			No, NotMeasured, Senders{Unreachable, Refused, Unreachable}, []Reason{MTASTSHostNotCovered}},
		{"we did not go there", enforced, right, forbidden, roots,
			Yes, NotMeasured, Senders{Unknown, Unknown, Unknown}, nil},
		{"we had no time", enforced, none, hurried, roots,
			Yes, NotMeasured, Senders{Unknown, Unknown, Unknown}, nil},
		{"a certificate that we cannot read", enforced, none, unparsable, roots,
			Yes, NotMeasured, Senders{Opportunistic, Unknown, Unknown}, nil},
		{"we know no roots", enforced, right, met(chain), nil,
			Yes, NotMeasured, Senders{Authenticated, Unknown, Authenticated}, nil},
		{"the handshake asked for another name than an MTA-STS sender would", enforced, right, asked("alias.example.net", shaken(chain)), roots,
			Yes, NotMeasured, Senders{Authenticated, Unknown, Authenticated}, nil},

		{"mode testing: an MTA-STS sender delivers to a certificate of nobody", policyOf(mtasts.Testing, name), keyOf(stranger), met(stranger), roots,
			Yes, No, Senders{Authenticated, Opportunistic, Authenticated}, nil},
		{"mode testing, and the policy does not name the host: it will matter", policyOf(mtasts.Testing, "mx2.example.org"), right, met(chain), roots,
			No, Yes, Senders{Authenticated, Opportunistic, Authenticated}, []Reason{MTASTSHostNotCovered}},
		{"mode testing, and DANE refuses", policyOf(mtasts.Testing, name), wrong, met(chain), roots,
			Yes, Yes, Senders{Refused, Opportunistic, Refused}, nil},
		{"mode none: there is no policy", policyOf(mtasts.None), none, met(stranger), roots,
			NotMeasured, No, Senders{Opportunistic, Opportunistic, Opportunistic}, nil},
		{"mode none, and nobody listens", policyOf(mtasts.None), none, closed, roots,
			NotMeasured, NotMeasured, Senders{Unreachable, Unreachable, Unreachable}, nil},
	} {
		t.Run(story.name, func(t *testing.T) {
			facts := &Facts{
				MX:     mx(dnssec.Secure, name),
				Hosts:  []Host{host(10, addressed(dnssec.Secure, name), Service{TLSA: []TLSALookup{story.tlsa}, Endpoints: []Endpoint{story.endpoint}})},
				MTASTS: story.policy,
			}
			rules := Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireDANE, Roots: story.roots}
			got := judgedBeside(t, facts, rules, noon)
			service := got.MTASTS.Services[0]
			if service.Senders != story.want || got.MTASTS.Senders != story.want {
				t.Errorf("at the host %v, at the domain %v, want %v", service.Senders, got.MTASTS.Senders, story.want)
			}
			if e := service.Endpoints[0]; service.Covered != story.covered || e.Passes != story.passes {
				t.Errorf("covered %d, passes %d (%s); want %d, %d", service.Covered, e.Passes, e.Why, story.covered, story.passes)
			}
			if e := service.Endpoints[0]; (e.Why == "") != (e.Passes == Yes) {
				t.Errorf("passes %d, why %q", e.Passes, e.Why)
			}
			if reasons := besideDANE(got); !slices.Equal(reasons, story.reasons) {
				t.Errorf("reasons %v, want %v", reasons, story.reasons)
			}
		})
	}
}

// judgedBeside judges facts, and makes sure that MTA-STS takes nothing from
// what DANE says of them and adds but its own.
func judgedBeside(t *testing.T, facts *Facts, rules Rules, at time.Time) Verdict {
	t.Helper()
	got := Judge(facts, rules, at)
	alone := *facts
	alone.MTASTS = nil
	dane := Judge(&alone, rules, at)
	if dane.MTASTS != nil || got.MTASTS == nil {
		t.Fatal("a verdict on MTA-STS where none was asked for, or none where one was")
	}
	if got.Outcome != dane.Outcome || got.Success != dane.Success || got.MTASTS.Senders.DANE != dane.Outcome {
		t.Errorf("outcome %s, success %t, for a DANE sender %s; without MTA-STS %s, %t", got.Outcome, got.Success, got.MTASTS.Senders.DANE, dane.Outcome, dane.Success)
	}
	for i, service := range dane.Services {
		if got.Services[i].Outcome != service.Outcome || got.MTASTS.Services[i].DANE != service.Outcome {
			t.Errorf("%s: outcome %s, without MTA-STS %s", service.Host, got.Services[i].Outcome, service.Outcome)
		}
	}
	if len(got.Findings) < len(dane.Findings) || !slices.Equal(got.Findings[:len(dane.Findings)], dane.Findings) {
		t.Errorf("findings %v, without MTA-STS %v", got.Findings, dane.Findings)
	}
	for _, f := range got.Findings[len(dane.Findings):] {
		if effect := f.Reason.Info().Effect; effect != EffectWarning && effect != EffectInternal {
			t.Errorf("%s has effect %s", f.Reason, effect)
		}
	}
	return got
}

// besideDANE are the reasons that are MTA-STS's and TLSRPT's alone.
func besideDANE(v Verdict) []Reason {
	var reasons []Reason
	for _, f := range v.Findings {
		if strings.HasPrefix(string(f.Reason), "mta_sts_") || strings.HasPrefix(string(f.Reason), "tlsrpt_") {
			reasons = append(reasons, f.Reason)
		}
	}
	return reasons
}

// From the record to the policy: where the way ends, and whose fault it is.
func TestJudgePolicy(t *testing.T) {
	const name = "mx.example.org"
	chain, roots := trusted(t, name, name)
	none := func() *MTASTS {
		m := policyOf(mtasts.Enforce, name)
		m.Policy, m.Fetches = nil, nil
		return m
	}
	unread := func(a dnssec.Answer) *MTASTS { return &MTASTS{TXT: &a} }
	recordErr := func(err error) *MTASTS {
		m := none()
		m.RecordErr = err
		return m
	}
	hosted := func(a dnssec.Answer) *MTASTS {
		m := none()
		m.Host.A = &a
		return m
	}
	fetched := func(fetches ...PolicyFetch) *MTASTS {
		m := none()
		m.Fetches = fetches
		return m
	}
	failing := func(address string, err error) PolicyFetch {
		return PolicyFetch{Address: netip.MustParseAddr(address), Err: fmt.Errorf("fetching: %w", err)}
	}
	refusing := failing("192.0.2.80", caused(CausePolicyUnavailable))
	noIPv6 := failing("2001:db8::80", caused(CauseIPv6Unavailable))
	unreadable := none()
	unreadable.PolicyErr = &mtasts.SyntaxError{Why: "it has no mode"}
	badReports := policyOf(mtasts.Enforce, name)
	badReports.TLSRPTErr = &mtasts.SyntaxError{Why: "it has no rua"}

	for _, story := range []struct {
		name    string
		facts   *MTASTS
		want    PolicyStanding
		reasons []Reason
	}{
		{"in force", policyOf(mtasts.Enforce, name), PolicyEnforced, nil},
		{"being tested", policyOf(mtasts.Testing, name), PolicyTesting, nil},
		{"withdrawn", policyOf(mtasts.None), PolicyNone, nil},
		{"no record", recordErr(mtasts.ErrNoRecord), PolicyNone, nil},
		{"two records", recordErr(&mtasts.MultipleRecordsError{Records: []string{"a", "b"}}), PolicyNone, []Reason{MTASTSRecordInvalid}},
		{"a record that is malformed", recordErr(&mtasts.SyntaxError{Why: "it has no id"}), PolicyNone, []Reason{MTASTSRecordInvalid}},
		{"a bogus record", unread(answer(dnssec.Bogus, "_mta-sts.example.org", dns.TypeTXT)), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"name servers that fail", unread(failed(dnssec.ErrServer, "_mta-sts.example.org", dns.TypeTXT)), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"no time for the look-up", unread(failed(dnssec.ErrDeadline, "_mta-sts.example.org", dns.TypeTXT)), PolicyUnknown, []Reason{ProbeDeadline}},
		{"a defect of ours", &MTASTS{Err: &PanicError{Value: "a defect"}}, PolicyUnknown, []Reason{InternalError}},
		{"a policy host without address", hosted(answer(dnssec.Secure, "mta-sts.example.org", dns.TypeA)), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"a policy host with a bogus address", hosted(answer(dnssec.Bogus, "mta-sts.example.org", dns.TypeA)), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"a resolver that does not answer", hosted(failed(dnssec.ErrUnreachable, "mta-sts.example.org", dns.TypeA)), PolicyUnknown, []Reason{ResolverUnreachable}},
		{"nobody listens", fetched(refusing), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"404", fetched(failing("192.0.2.80", &mtasts.StatusError{Code: 404})), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"a certificate that is not trusted", fetched(failing("192.0.2.80", x509.UnknownAuthorityError{})), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"no plain text", fetched(failing("192.0.2.80", WithCause(CausePolicyInvalid, &mtasts.MediaTypeError{Got: "text/html"}))), PolicyNone, []Reason{MTASTSPolicyInvalid}},
		{"too large", fetched(failing("192.0.2.80", WithCause(CausePolicyInvalid, mtasts.ErrTooLarge))), PolicyNone, []Reason{MTASTSPolicyInvalid}},
		{"malformed", unreadable, PolicyNone, []Reason{MTASTSPolicyInvalid}},
		{"an address that we may not go to", fetched(failing("192.0.2.80", caused(CauseNotAllowed))), PolicyUnknown, []Reason{TargetNotAllowed}},
		{"no IPv6 here", fetched(noIPv6), PolicyUnknown, []Reason{IPv6Unavailable}},
		{"no IPv6 here, but IPv4, where nobody listens", fetched(refusing, noIPv6), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"no roots here", fetched(failing("192.0.2.80", WithCause(CauseNoRoots, mtasts.ErrNoRoots))), PolicyUnknown, []Reason{RootsUnavailable}},
		{"no descriptors here", fetched(failing("192.0.2.80", caused(CauseInternal))), PolicyUnknown, []Reason{InternalError}},
		{"no time for the fetch", fetched(PolicyFetch{Err: caused(CauseDeadline), TimedOutEarly: true}), PolicyUnknown, []Reason{ProbeDeadline}},
		{"a TLSRPT record that is malformed", badReports, PolicyEnforced, []Reason{TLSRPTRecordInvalid}},
	} {
		t.Run(story.name, func(t *testing.T) {
			lookup := published(dnssec.Secure, name)
			endpoint := shaken(chain)
			endpoint.SNI = name
			facts := &Facts{
				MX:     mx(dnssec.Secure, name),
				Hosts:  []Host{host(10, addressed(dnssec.Secure, name), Service{TLSA: []TLSALookup{lookup}, Endpoints: []Endpoint{endpoint}})},
				MTASTS: story.facts,
			}
			if story.facts.TLSRPTErr == nil {
				story.facts.TLSRPTErr = mtasts.ErrNoRecord
			}
			got := judgedBeside(t, facts, Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireIfPublished, Roots: roots}, noon)
			if got.MTASTS.Standing != story.want {
				t.Errorf("standing %d, want %d", got.MTASTS.Standing, story.want)
			}
			outcome := map[PolicyStanding]Outcome{PolicyEnforced: Authenticated, PolicyTesting: Opportunistic, PolicyNone: Opportunistic, PolicyUnknown: Unknown}[story.want]
			if want := (Senders{Opportunistic, outcome, outcome}); got.MTASTS.Senders != want {
				t.Errorf("senders %v, want %v", got.MTASTS.Senders, want)
			}
			want := slices.Sorted(slices.Values(append([]Reason{NoTLSA}, story.reasons...)))
			if reasons := reasonsOf(got); !slices.Equal(reasons, want) {
				t.Errorf("reasons %v, want %v", reasons, want)
			}
			for _, f := range got.Findings {
				if f.Detail == "" {
					t.Errorf("%s without detail", f.Reason)
				}
			}
		})
	}
}

// A sender tries hosts by preference, whatever it knows.
func TestJudgeSendersAtADomain(t *testing.T) {
	first, roots := trusted(t, "mx1.example.org", "mx1.example.org")
	second, _ := trusted(t, "mx2.example.org", "mx2.example.org")
	roots.AddCert(second.Certificates[0])
	key := func(host string, chain *tlsa.Chain) TLSALookup {
		return published(dnssec.Secure, host, fmt.Sprintf("3 1 1 %x", sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo)))
	}
	at := func(preference uint16, name string, chain *tlsa.Chain, lookup TLSALookup) Host {
		endpoint := shaken(chain)
		endpoint.SNI = name
		return host(preference, addressed(dnssec.Secure, name), Service{TLSA: []TLSALookup{lookup}, Endpoints: []Endpoint{endpoint}})
	}
	good1, good2 := at(10, "mx1.example.org", first, key("mx1.example.org", first)), at(20, "mx2.example.org", second, key("mx2.example.org", second))
	mismatched1 := at(10, "mx1.example.org", first, key("mx1.example.org", second))
	gone := host(10, addressed(dnssec.Secure, "mx1.example.org"), Service{})
	gone.A.Records, gone.Services[0].TLSA = nil, nil
	lostAddress := gone
	bogus := answer(dnssec.Bogus, "mx1.example.org", dns.TypeA)
	lostAddress.A = &bogus

	for _, story := range []struct {
		name   string
		mx     dnssec.Status
		hosts  []Host
		policy []string
		want   Senders
	}{
		{"the policy names the second host alone, and that is good enough", dnssec.Secure, []Host{good1, good2}, []string{"mx2.example.org"},
			Senders{Authenticated, Authenticated, Authenticated}},
		{"the policy names no host", dnssec.Secure, []Host{good1, good2}, []string{"mx.example.net"},
			Senders{Authenticated, Refused, Authenticated}},
		{"DANE refuses the first, MTA-STS the second: each finds its way", dnssec.Secure, []Host{mismatched1, good2}, []string{"mx1.example.org"},
			Senders{Authenticated, Authenticated, Authenticated}},
		{"one host, and DANE refuses it", dnssec.Secure, []Host{mismatched1}, []string{"mx1.example.org"},
			Senders{Refused, Authenticated, Refused}},
		{"insecure MX records: what DANE proves of the host, MTA-STS proves of the domain", dnssec.Insecure, []Host{good1}, []string{"mx1.example.org"},
			Senders{Opportunistic, Authenticated, Authenticated}},
		{"insecure MX records, and a policy that does not name the host", dnssec.Insecure, []Host{good1}, []string{"mx2.example.org"},
			Senders{Opportunistic, Refused, Opportunistic}},
		{"a host without address, beside one with", dnssec.Secure, []Host{gone, good2}, []string{"mx1.example.org", "mx2.example.org"},
			Senders{Authenticated, Authenticated, Authenticated}},
		{"a host without address, alone", dnssec.Secure, []Host{gone}, []string{"mx1.example.org"},
			Senders{None, None, None}},
		{"a host without address that the policy does not name", dnssec.Secure, []Host{gone}, []string{"mx2.example.org"},
			Senders{None, Refused, None}},
		{"a host whose address is bogus", dnssec.Secure, []Host{lostAddress}, []string{"mx1.example.org"},
			Senders{Refused, Unreachable, Refused}},
		{"MX records that are bogus: nothing was met, and MTA-STS does not ask for DNSSEC", dnssec.Bogus, nil, []string{"mx1.example.org"},
			Senders{Refused, Unknown, Refused}},
	} {
		t.Run(story.name, func(t *testing.T) {
			facts := &Facts{MX: mx(story.mx, "mx1.example.org", "mx2.example.org"), Hosts: story.hosts, MTASTS: policyOf(mtasts.Enforce, story.policy...)}
			got := judgedBeside(t, facts, Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireDANE, Roots: roots}, noon)
			if got.MTASTS.Senders != story.want {
				t.Errorf("senders %v, want %v", got.MTASTS.Senders, story.want)
			}
		})
	}
}

// Judged for later, the certificates end: first the policy host's, then the
// mail server's.
func TestJudgeSendersLater(t *testing.T) {
	const name = "mx.example.org"
	chain, roots := trusted(t, name, name)
	endpoint := shaken(chain)
	endpoint.SNI = name
	for _, story := range []struct {
		name          string
		days          int
		policyEnds    int // days from now
		want          Outcome
		passes        Measure
		policyReasons []Reason
	}{
		{"today", 0, 5, Authenticated, Yes, nil},
		{"when the policy host's certificate has ended", 6, 5, Opportunistic, Yes, []Reason{MTASTSPolicyUnavailable}},
		{"when the mail server's has", 11, 50, Refused, No, []Reason{MTASTSDisagreement}},
	} {
		t.Run(story.name, func(t *testing.T) {
			policy := policyOf(mtasts.Enforce, name)
			policy.Fetches[0].Certificate.NotAfter = noon.AddDate(0, 0, story.policyEnds)
			facts := &Facts{
				MX:     mx(dnssec.Secure, name),
				Hosts:  []Host{host(10, addressed(dnssec.Secure, name), Service{TLSA: []TLSALookup{published(dnssec.Secure, name)}, Endpoints: []Endpoint{endpoint}})},
				MTASTS: policy,
			}
			got := judgedBeside(t, facts, Rules{Target: "example.org", Policy: SMTPRelay, Roots: roots}, noon.AddDate(0, 0, story.days))
			if got.MTASTS.Senders.MTASTS != story.want || got.MTASTS.Services[0].Endpoints[0].Passes != story.passes {
				t.Errorf("got %s, passes %d; want %s, %d", got.MTASTS.Senders.MTASTS, got.MTASTS.Services[0].Endpoints[0].Passes, story.want, story.passes)
			}
			if reasons := besideDANE(got); !slices.Equal(reasons, story.policyReasons) {
				t.Errorf("reasons %v, want %v", reasons, story.policyReasons)
			}
		})
	}
}
