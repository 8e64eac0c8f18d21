package dane

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
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

// mtastsFacts returns the facts about a domain with a valid record and policy.
// MTA-STS does not need secure answers.
func mtastsFacts(mode mtasts.Mode, mx ...string) *MTASTS {
	txt := answer(dnssec.Insecure, "_mta-sts.example.org", dns.TypeTXT)
	return &MTASTS{
		TXT: &txt, Record: mtasts.Record{ID: "1"},
		Host:    Host{Name: "mta-sts.example.org"},
		Fetches: []PolicyFetch{{Address: netip.MustParseAddr("192.0.2.80"), Fetched: mtasts.Fetched{Certificate: &x509.Certificate{NotAfter: noon.AddDate(0, 0, 5)}}}},
		Policy:  &mtasts.Policy{Mode: mode, MX: mx}, TLSRPT: TLSRPT{Err: mtasts.ErrNoRecord},
	}
}

func TestJudgeSenders(t *testing.T) {
	const name = "mx.example.org"
	chain, roots := trustedChain(t, name, name)
	nameless, namelessRoots := trustedChain(t, name)
	domainOnly, domainOnlyRoots := trustedChain(t, "example.org", "example.org")
	untrusted := selfSigned(t)
	keyOf := func(chain *tlsa.Chain) TLSALookup {
		return tlsaLookup(dnssec.Secure, name, fmt.Sprintf("3 1 1 %x", sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo)))
	}
	matching := keyOf(chain)
	mismatching := tlsaLookup(dnssec.Secure, name, fmt.Sprintf("3 1 1 %x", sha256.Sum256([]byte("another key"))))
	unusable := tlsaLookup(dnssec.Secure, name, fmt.Sprintf("1 1 1 %x", sha256.Sum256([]byte("key"))))
	none := tlsaLookup(dnssec.Secure, name)
	bogus := failedLookup(name, answer(dnssec.Bogus, TLSAOwner(name, 25), dns.TypeTLSA))

	withSNI := func(sni string, e Endpoint) Endpoint {
		e.SNI = sni
		return e
	}
	withHostSNI := func(chain *tlsa.Chain) Endpoint { return withSNI(name, completed(chain)) }
	noSTARTTLS := failedAt(StageConnect, fmt.Errorf("speaking smtp: %w", errorWithCause(CauseStartTLSNotOffered)))
	refusedConnection := failedAt(StageNone, errorWithCause(CauseConnect))
	notAllowed := failedAt(StageNone, errorWithCause(CauseNotAllowed))
	timedOutEarly := Endpoint{Reached: StageConnect, Err: errorWithCause(CauseDeadline), TimedOutEarly: true}
	unparsable := Endpoint{Reached: StageTLS, SNI: name, Err: errorWithCause(CauseUnparsable)}
	enforced := mtastsFacts(mtasts.Enforce, name)

	for _, c := range []struct {
		name     string
		policy   *MTASTS
		tlsa     TLSALookup
		endpoint Endpoint
		roots    *x509.CertPool
		covered  Measure
		passes   Measure
		want     Senders
		reasons  []Reason // of MTA-STS and TLSRPT only
	}{
		{"certificate valid for DANE and MTA-STS", enforced, matching, withHostSNI(chain), roots,
			Yes, Yes, Senders{Authenticated, Authenticated, Authenticated}, nil},
		{"no TLSA record matches: a trusted certificate does not help DANE senders", enforced, mismatching, withHostSNI(chain), roots,
			Yes, Yes, Senders{Refused, Authenticated, Refused}, []Reason{MTASTSDisagreement}},
		{"bogus TLSA lookup: a trusted certificate does not help DANE senders", enforced, bogus, withHostSNI(chain), roots,
			Yes, Yes, Senders{Refused, Authenticated, Refused}, []Reason{MTASTSDisagreement}},
		{"untrusted certificate, matching DANE-EE", enforced, keyOf(untrusted), withHostSNI(untrusted), roots,
			Yes, No, Senders{Authenticated, Refused, Authenticated}, []Reason{MTASTSDisagreement}},
		{"untrusted certificate, no usable record: DANE requires TLS and decides", enforced, unusable, withHostSNI(untrusted), roots,
			Yes, No, Senders{Encrypted, Refused, Encrypted}, []Reason{MTASTSDisagreement}},
		{"no TLSA records: DANE does not apply, MTA-STS decides", enforced, none, withHostSNI(chain), roots,
			Yes, Yes, Senders{Opportunistic, Authenticated, Authenticated}, nil},
		{"untrusted certificate, no TLSA records", enforced, none, withHostSNI(untrusted), roots,
			Yes, No, Senders{Opportunistic, Refused, Refused}, []Reason{MTASTSDisagreement}},
		{"certificate for the domain, not for the MX host", enforced, keyOf(domainOnly), withHostSNI(domainOnly), domainOnlyRoots,
			Yes, No, Senders{Authenticated, Refused, Authenticated}, []Reason{MTASTSDisagreement}},
		{"certificate with a common name only", enforced, keyOf(nameless), withHostSNI(nameless), namelessRoots,
			Yes, No, Senders{Authenticated, Refused, Authenticated}, []Reason{MTASTSDisagreement}},
		{"policy does not list the host", mtastsFacts(mtasts.Enforce, "mx2.example.org"), matching, withHostSNI(chain), roots,
			No, Yes, Senders{Authenticated, Refused, Authenticated}, []Reason{MTASTSHostNotCovered, MTASTSDisagreement}},
		{"policy lists the host by a wildcard", mtastsFacts(mtasts.Enforce, "*.example.org"), matching, withHostSNI(chain), roots,
			Yes, Yes, Senders{Authenticated, Authenticated, Authenticated}, nil},
		{"no STARTTLS: DANE and MTA-STS refuse", enforced, matching, noSTARTTLS, roots,
			Yes, No, Senders{Refused, Refused, Refused}, nil},
		{"no STARTTLS, no TLSA records", enforced, none, noSTARTTLS, roots,
			Yes, No, Senders{Opportunistic, Refused, Refused}, []Reason{MTASTSDisagreement}},
		{"connection refused: unreachable for all senders", enforced, matching, refusedConnection, roots,
			Yes, NotMeasured, Senders{Unreachable, Unreachable, Unreachable}, nil},
		{"connection refused, policy does not list the host", mtastsFacts(mtasts.Enforce, "mx2.example.org"), matching, refusedConnection, roots,
			No, NotMeasured, Senders{Unreachable, Refused, Unreachable}, []Reason{MTASTSHostNotCovered}},
		{"address not allowed", enforced, matching, notAllowed, roots,
			Yes, NotMeasured, Senders{Unknown, Unknown, Unknown}, nil},
		{"deadline before the minimum time", enforced, none, timedOutEarly, roots,
			Yes, NotMeasured, Senders{Unknown, Unknown, Unknown}, nil},
		{"unparsable certificate", enforced, none, unparsable, roots,
			Yes, NotMeasured, Senders{Opportunistic, Unknown, Unknown}, nil},
		{"no roots on this machine", enforced, matching, withHostSNI(chain), nil,
			Yes, NotMeasured, Senders{Authenticated, Unknown, Authenticated}, nil},
		{"SNI differs from that of an MTA-STS sender", enforced, matching, withSNI("alias.example.net", completed(chain)), roots,
			Yes, NotMeasured, Senders{Authenticated, Unknown, Authenticated}, nil},

		{"mode testing, untrusted certificate: MTA-STS senders deliver", mtastsFacts(mtasts.Testing, name), keyOf(untrusted), withHostSNI(untrusted), roots,
			Yes, No, Senders{Authenticated, Opportunistic, Authenticated}, nil},
		{"mode testing, policy does not list the host: reported for mode enforce", mtastsFacts(mtasts.Testing, "mx2.example.org"), matching, withHostSNI(chain), roots,
			No, Yes, Senders{Authenticated, Opportunistic, Authenticated}, []Reason{MTASTSHostNotCovered}},
		{"mode testing, DANE refuses", mtastsFacts(mtasts.Testing, name), mismatching, withHostSNI(chain), roots,
			Yes, Yes, Senders{Refused, Opportunistic, Refused}, nil},
		{"mode none: as without a policy", mtastsFacts(mtasts.None), none, withHostSNI(untrusted), roots,
			NotMeasured, No, Senders{Opportunistic, Opportunistic, Opportunistic}, nil},
		{"mode none, connection refused", mtastsFacts(mtasts.None), none, refusedConnection, roots,
			NotMeasured, NotMeasured, Senders{Unreachable, Unreachable, Unreachable}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			facts := &Facts{
				MX:     mxAnswer(dnssec.Secure, name),
				Hosts:  []Host{host(10, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{c.tlsa}, Endpoints: []Endpoint{c.endpoint}})},
				MTASTS: c.policy,
			}
			rules := Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireDANE, Roots: c.roots}
			got := judgeWithMTASTS(t, facts, rules, noon)
			service := got.MTASTS.Services[0]
			if service.Senders != c.want || got.MTASTS.Senders != c.want {
				t.Errorf("senders of the host %v, of the domain %v; want %v", service.Senders, got.MTASTS.Senders, c.want)
			}
			if e := service.Endpoints[0]; service.Covered != c.covered || e.Passes != c.passes {
				t.Errorf("covered %d, passes %d (%s); want %d, %d", service.Covered, e.Passes, e.Why, c.covered, c.passes)
			}
			if e := service.Endpoints[0]; (e.Why == "") != (e.Passes == Yes) {
				t.Errorf("passes %d, but Why is %q", e.Passes, e.Why)
			}
			if reasons := mtastsReasons(got); !slices.Equal(reasons, c.reasons) {
				t.Errorf("reasons %v, want %v", reasons, c.reasons)
			}
		})
	}
}

// The finding on a disagreement says who does not deliver, and why.
func TestDisagreement(t *testing.T) {
	const untrusted = "unknown authority"
	for _, c := range []struct {
		name         string
		dane, mtasts Outcome
		covered      Measure
		want         string // its beginning; empty: no finding
	}{
		{"the policy does not list the host", Authenticated, Refused, No, "the outcome under DANE is authenticated; MTA-STS senders do not deliver: the policy does not list the host; most senders"},
		{"the certificate is not trusted", Encrypted, Refused, Yes, "the outcome under DANE is encrypted; MTA-STS senders do not deliver: unknown authority; most senders"},
		{"DANE refuses", Refused, Authenticated, Yes, "DANE senders do not deliver; MTA-STS senders do"},
		{"both deliver", Authenticated, Authenticated, Yes, ""},
		{"both refuse", Refused, Refused, Yes, ""},
		{"both refuse, the policy does not list the host", Refused, Refused, No, ""},
		{"MTA-STS is not measured", Authenticated, Unknown, Yes, ""},
		{"DANE is not measured", Unknown, Refused, No, ""},
		{"unreachable", Unreachable, Refused, No, ""},
	} {
		got := disagreement(EndpointSenders{Why: untrusted, Senders: Senders{DANE: c.dane, MTASTS: c.mtasts}}, c.covered)
		if (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// The fetch that counts is the last one.
func TestPolicyFetchTimedOutEarly(t *testing.T) {
	cut := PolicyFetch{TimedOutEarly: true}
	for _, c := range []struct {
		name    string
		fetches []PolicyFetch
		want    bool
	}{
		{"no fetch", nil, false},
		{"the only fetch was cut short", []PolicyFetch{cut}, true},
		{"the last fetch was cut short", []PolicyFetch{{}, cut}, true},
		{"a fetch before was cut short", []PolicyFetch{cut, {}}, false},
	} {
		if got := (&MTASTS{Fetches: c.fetches}).TimedOutEarly(); got != c.want {
			t.Errorf("%s: got %t, want %t", c.name, got, c.want)
		}
	}
}

// judgeWithMTASTS judges facts with and without those of MTA-STS, and checks that
// MTA-STS changes nothing in the verdict of DANE and adds only its own findings.
func judgeWithMTASTS(t *testing.T, facts *Facts, rules Rules, at time.Time) Verdict {
	t.Helper()
	got := Judge(facts, rules, at)
	alone := *facts
	alone.MTASTS = nil
	dane := Judge(&alone, rules, at)
	if dane.MTASTS != nil || got.MTASTS == nil {
		t.Fatal("there must be a verdict on MTA-STS if there are facts about it, and only then")
	}
	if got.Outcome != dane.Outcome || got.Success != dane.Success || got.MTASTS.Senders.DANE != dane.Outcome {
		t.Errorf("outcome %s, success %t, for DANE senders %s; without MTA-STS %s, %t", got.Outcome, got.Success, got.MTASTS.Senders.DANE, dane.Outcome, dane.Success)
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

// mtastsReasons returns the reasons of MTA-STS and TLSRPT.
func mtastsReasons(v Verdict) []Reason {
	var reasons []Reason
	for _, f := range v.Findings {
		if strings.HasPrefix(string(f.Reason), "mta_sts_") || strings.HasPrefix(string(f.Reason), "tlsrpt_") {
			reasons = append(reasons, f.Reason)
		}
	}
	return reasons
}

// The state of the policy follows from the record, the policy host and the
// fetch. It is unknown only if the cause is on our side.
func TestJudgePolicy(t *testing.T) {
	const name = "mx.example.org"
	chain, roots := trustedChain(t, name, name)
	withoutPolicy := func() *MTASTS {
		m := mtastsFacts(mtasts.Enforce, name)
		m.Policy, m.Fetches = nil, nil
		return m
	}
	failedTXT := func(a dnssec.Answer) *MTASTS { return &MTASTS{TXT: &a} }
	withRecordErr := func(err error) *MTASTS {
		m := withoutPolicy()
		m.RecordErr = err
		return m
	}
	withAddresses := func(a dnssec.Answer) *MTASTS {
		m := withoutPolicy()
		m.Host.A = &a
		return m
	}
	withFetches := func(fetches ...PolicyFetch) *MTASTS {
		m := withoutPolicy()
		m.Fetches = fetches
		return m
	}
	failedFetch := func(address string, err error) PolicyFetch {
		return PolicyFetch{Address: netip.MustParseAddr(address), Err: fmt.Errorf("fetching: %w", err)}
	}
	unavailable := failedFetch("192.0.2.80", errorWithCause(CausePolicyUnavailable))
	noIPv6 := failedFetch("2001:db8::80", errorWithCause(CauseIPv6Unavailable))
	malformedPolicy := withoutPolicy()
	malformedPolicy.PolicyErr = &mtasts.SyntaxError{Why: "it has no mode"}
	malformedTLSRPT := mtastsFacts(mtasts.Enforce, name)
	malformedTLSRPT.TLSRPT.Err = &mtasts.SyntaxError{Why: "it has no rua"}

	for _, c := range []struct {
		name    string
		facts   *MTASTS
		want    PolicyState
		reasons []Reason
	}{
		{"mode enforce", mtastsFacts(mtasts.Enforce, name), PolicyEnforced, nil},
		{"mode testing", mtastsFacts(mtasts.Testing, name), PolicyTesting, nil},
		{"mode none", mtastsFacts(mtasts.None), PolicyNone, nil},
		{"no record", withRecordErr(mtasts.ErrNoRecord), PolicyNone, nil},
		{"two records", withRecordErr(&mtasts.MultipleRecordsError{Records: []string{"a", "b"}}), PolicyNone, []Reason{MTASTSRecordInvalid}},
		{"malformed record", withRecordErr(&mtasts.SyntaxError{Why: "it has no id"}), PolicyNone, []Reason{MTASTSRecordInvalid}},
		{"bogus record", failedTXT(answer(dnssec.Bogus, "_mta-sts.example.org", dns.TypeTXT)), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"record lookup: nameservers fail", failedTXT(failedAnswer(dnssec.ErrServer, "_mta-sts.example.org", dns.TypeTXT)), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"record lookup: deadline", failedTXT(failedAnswer(dnssec.ErrDeadline, "_mta-sts.example.org", dns.TypeTXT)), PolicyUnknown, []Reason{ProbeDeadline}},
		{"panic", &MTASTS{Err: &PanicError{Value: "a defect"}}, PolicyUnknown, []Reason{InternalError}},
		{"policy host without addresses", withAddresses(answer(dnssec.Secure, "mta-sts.example.org", dns.TypeA)), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"policy host with bogus addresses", withAddresses(answer(dnssec.Bogus, "mta-sts.example.org", dns.TypeA)), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"policy host lookup: no resolver answers", withAddresses(failedAnswer(dnssec.ErrUnreachable, "mta-sts.example.org", dns.TypeA)), PolicyUnknown, []Reason{ResolverUnreachable}},
		{"connection refused", withFetches(unavailable), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"status 404", withFetches(failedFetch("192.0.2.80", &mtasts.StatusError{Code: 404})), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"untrusted certificate", withFetches(failedFetch("192.0.2.80", x509.UnknownAuthorityError{})), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"media type is not text/plain", withFetches(failedFetch("192.0.2.80", WithCause(CausePolicyInvalid, &mtasts.MediaTypeError{Got: "text/html"}))), PolicyNone, []Reason{MTASTSPolicyInvalid}},
		{"policy too large", withFetches(failedFetch("192.0.2.80", WithCause(CausePolicyInvalid, mtasts.ErrTooLarge))), PolicyNone, []Reason{MTASTSPolicyInvalid}},
		{"malformed policy", malformedPolicy, PolicyNone, []Reason{MTASTSPolicyInvalid}},
		{"address not allowed", withFetches(failedFetch("192.0.2.80", errorWithCause(CauseNotAllowed))), PolicyUnknown, []Reason{TargetNotAllowed}},
		{"no local IPv6", withFetches(noIPv6), PolicyUnknown, []Reason{IPv6Unavailable}},
		{"no local IPv6, IPv4 connection refused", withFetches(unavailable, noIPv6), PolicyNone, []Reason{MTASTSPolicyUnavailable}},
		{"no roots on this machine", withFetches(failedFetch("192.0.2.80", WithCause(CauseNoRoots, mtasts.ErrNoRoots))), PolicyUnknown, []Reason{RootsUnavailable}},
		{"no file descriptors", withFetches(failedFetch("192.0.2.80", errorWithCause(CauseInternal))), PolicyUnknown, []Reason{InternalError}},
		{"fetch: deadline before the minimum time", withFetches(PolicyFetch{Err: errorWithCause(CauseDeadline), TimedOutEarly: true}), PolicyUnknown, []Reason{ProbeDeadline}},
		{"malformed TLSRPT record", malformedTLSRPT, PolicyEnforced, []Reason{TLSRPTRecordInvalid}},
	} {
		t.Run(c.name, func(t *testing.T) {
			lookup := tlsaLookup(dnssec.Secure, name)
			endpoint := completed(chain)
			endpoint.SNI = name
			facts := &Facts{
				MX:     mxAnswer(dnssec.Secure, name),
				Hosts:  []Host{host(10, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{lookup}, Endpoints: []Endpoint{endpoint}})},
				MTASTS: c.facts,
			}
			if c.facts.TLSRPT.Err == nil {
				c.facts.TLSRPT.Err = mtasts.ErrNoRecord
			}
			got := judgeWithMTASTS(t, facts, Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireIfPublished, Roots: roots}, noon)
			if got.MTASTS.State != c.want {
				t.Errorf("state %d, want %d", got.MTASTS.State, c.want)
			}
			outcome := map[PolicyState]Outcome{PolicyEnforced: Authenticated, PolicyTesting: Opportunistic, PolicyNone: Opportunistic, PolicyUnknown: Unknown}[c.want]
			if want := (Senders{Opportunistic, outcome, outcome}); got.MTASTS.Senders != want {
				t.Errorf("senders %v, want %v", got.MTASTS.Senders, want)
			}
			want := slices.Sorted(slices.Values(append([]Reason{NoTLSA}, c.reasons...)))
			if reasons := reasonsOf(got); !slices.Equal(reasons, want) {
				t.Errorf("reasons %v, want %v", reasons, want)
			}
			for _, f := range got.Findings {
				if f.Detail == "" {
					t.Errorf("%s has no detail", f.Reason)
				}
			}
		})
	}
}

// All senders try hosts by preference.
func TestJudgeSendersOfDomain(t *testing.T) {
	first, roots := trustedChain(t, "mx1.example.org", "mx1.example.org")
	second, _ := trustedChain(t, "mx2.example.org", "mx2.example.org")
	roots.AddCert(second.Certificates[0])
	key := func(host string, chain *tlsa.Chain) TLSALookup {
		return tlsaLookup(dnssec.Secure, host, fmt.Sprintf("3 1 1 %x", sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo)))
	}
	at := func(preference uint16, name string, chain *tlsa.Chain, lookup TLSALookup) Host {
		endpoint := completed(chain)
		endpoint.SNI = name
		return host(preference, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{lookup}, Endpoints: []Endpoint{endpoint}})
	}
	good1, good2 := at(10, "mx1.example.org", first, key("mx1.example.org", first)), at(20, "mx2.example.org", second, key("mx2.example.org", second))
	mismatching1 := at(10, "mx1.example.org", first, key("mx1.example.org", second))
	withoutAddress := host(10, addressAnswer(dnssec.Secure, "mx1.example.org"), Service{})
	withoutAddress.A.Records, withoutAddress.Services[0].TLSA = nil, nil
	bogusAddress := withoutAddress
	bogus := answer(dnssec.Bogus, "mx1.example.org", dns.TypeA)
	bogusAddress.A = &bogus

	for _, c := range []struct {
		name   string
		mx     dnssec.Status
		hosts  []Host
		policy []string
		want   Senders
	}{
		{"policy lists the second host only", dnssec.Secure, []Host{good1, good2}, []string{"mx2.example.org"},
			Senders{Authenticated, Authenticated, Authenticated}},
		{"policy lists no host", dnssec.Secure, []Host{good1, good2}, []string{"mx.example.net"},
			Senders{Authenticated, Refused, Authenticated}},
		{"DANE refuses the first host, MTA-STS the second", dnssec.Secure, []Host{mismatching1, good2}, []string{"mx1.example.org"},
			Senders{Authenticated, Authenticated, Authenticated}},
		{"one host, refused by DANE", dnssec.Secure, []Host{mismatching1}, []string{"mx1.example.org"},
			Senders{Refused, Authenticated, Refused}},
		{"insecure MX: DANE authenticates the host only, MTA-STS the domain too", dnssec.Insecure, []Host{good1}, []string{"mx1.example.org"},
			Senders{Opportunistic, Authenticated, Authenticated}},
		{"insecure MX, policy does not list the host", dnssec.Insecure, []Host{good1}, []string{"mx2.example.org"},
			Senders{Opportunistic, Refused, Opportunistic}},
		{"first host without addresses", dnssec.Secure, []Host{withoutAddress, good2}, []string{"mx1.example.org", "mx2.example.org"},
			Senders{Authenticated, Authenticated, Authenticated}},
		{"only host without addresses", dnssec.Secure, []Host{withoutAddress}, []string{"mx1.example.org"},
			Senders{None, None, None}},
		{"only host without addresses, policy does not list it", dnssec.Secure, []Host{withoutAddress}, []string{"mx2.example.org"},
			Senders{None, Refused, None}},
		{"host with bogus addresses", dnssec.Secure, []Host{bogusAddress}, []string{"mx1.example.org"},
			Senders{Refused, Unreachable, Refused}},
		{"bogus MX: no host was probed, and MTA-STS does not require DNSSEC", dnssec.Bogus, nil, []string{"mx1.example.org"},
			Senders{Refused, Unknown, Refused}},
	} {
		t.Run(c.name, func(t *testing.T) {
			facts := &Facts{MX: mxAnswer(c.mx, "mx1.example.org", "mx2.example.org"), Hosts: c.hosts, MTASTS: mtastsFacts(mtasts.Enforce, c.policy...)}
			got := judgeWithMTASTS(t, facts, Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireDANE, Roots: roots}, noon)
			if got.MTASTS.Senders != c.want {
				t.Errorf("senders %v, want %v", got.MTASTS.Senders, c.want)
			}
		})
	}
}

// Judged for a later time, first the certificate of the policy host expires, then
// that of the mail server.
func TestJudgeSendersLater(t *testing.T) {
	const name = "mx.example.org"
	chain, roots := trustedChain(t, name, name)
	endpoint := completed(chain)
	endpoint.SNI = name
	for _, c := range []struct {
		name          string
		days          int
		policyEnds    int // days from now
		want          Outcome
		passes        Measure
		policyReasons []Reason
	}{
		{"now", 0, 5, Authenticated, Yes, nil},
		{"certificate of the policy host expired", 6, 5, Opportunistic, Yes, []Reason{MTASTSPolicyUnavailable}},
		{"certificate of the mail server expired", 11, 50, Refused, No, []Reason{MTASTSDisagreement}},
	} {
		t.Run(c.name, func(t *testing.T) {
			policy := mtastsFacts(mtasts.Enforce, name)
			policy.Fetches[0].Certificate.NotAfter = noon.AddDate(0, 0, c.policyEnds)
			facts := &Facts{
				MX:     mxAnswer(dnssec.Secure, name),
				Hosts:  []Host{host(10, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name)}, Endpoints: []Endpoint{endpoint}})},
				MTASTS: policy,
			}
			got := judgeWithMTASTS(t, facts, Rules{Target: "example.org", Policy: SMTPRelay, Roots: roots}, noon.AddDate(0, 0, c.days))
			if got.MTASTS.Senders.MTASTS != c.want || got.MTASTS.Services[0].Endpoints[0].Passes != c.passes {
				t.Errorf("got %s, passes %d; want %s, %d", got.MTASTS.Senders.MTASTS, got.MTASTS.Services[0].Endpoints[0].Passes, c.want, c.passes)
			}
			if reasons := mtastsReasons(got); !slices.Equal(reasons, c.policyReasons) {
				t.Errorf("reasons %v, want %v", reasons, c.policyReasons)
			}
		})
	}
}
