package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"dane_exporter/probe/mtasts"
	"dane_exporter/probe/tlsa"
)

// MTASTSVerdict sets three senders side by side: what each would do with the
// domain and its hosts. It has no part in the outcome and the success of the
// Verdict that it stands in, which are DANE's.
type MTASTSVerdict struct {
	Standing PolicyStanding
	Senders  Senders          // at the domain as a whole
	Services []ServiceSenders // in the order of Verdict.Services
}

// PolicyStanding is what an MTA-STS sender that has nothing in its cache makes
// of the domain.
type PolicyStanding uint8

const (
	PolicyUnknown  PolicyStanding = iota // by our own fault
	PolicyNone                           // there is none in force; of mode none too
	PolicyTesting                        // a sender delivers, whatever it finds
	PolicyEnforced                       // a sender delivers only where the policy is met
)

// Senders are the outcomes of three senders. Under MTA-STS, Authenticated is
// a host that the policy names and the Web PKI proves, Refused one that the
// policy in mode enforce forbids, and Opportunistic one of which nothing is demanded.
type Senders struct {
	DANE   Outcome // knows DANE alone: as in the rest of the Verdict
	MTASTS Outcome // knows MTA-STS alone
	Both   Outcome // knows both: where secure TLSA records exist, DANE decides (RFC 8461 §2)
}

// ServiceSenders are the senders at one service: at the worst of its endpoints.
type ServiceSenders struct {
	Host    string
	Port    uint16
	Covered Measure // the policy names the host
	Senders
	Endpoints []EndpointSenders // in the order of ServiceVerdict.Endpoints
}

// EndpointSenders are the senders at one endpoint.
type EndpointSenders struct {
	Address netip.Addr
	KeyType KeyType // as in Endpoint
	Skipped bool    // it does not count
	Passes  Measure // it is as MTA-STS wants it, whatever the policy says
	Why     string  // why not
	Senders
}

// mtaSTS adds the verdict on MTA-STS to that on DANE.
func (j *judgement) mtaSTS() {
	v := &MTASTSVerdict{Standing: j.policy()}
	for i := range j.Services {
		v.Services = append(v.Services, j.senders(v.Standing, &j.Services[i]))
	}
	v.Senders = j.atDomain(v)
	if err := j.facts.MTASTS.TLSRPTErr; err != nil && !errors.Is(err, mtasts.ErrNoRecord) {
		j.find(Finding{Reason: TLSRPTRecordInvalid, Lookup: LookupTXT, Detail: err.Error()})
	}
	j.MTASTS = v
}

// policy follows the sender from the record to the policy (RFC 8461 §3). Where
// it does not get there, MTA-STS does not apply, and mail is sent as it would be without.
func (j *judgement) policy() PolicyStanding {
	m := j.facts.MTASTS
	switch {
	case m.Fault != nil:
		return j.withoutPolicy(Finding{Reason: InternalError, Detail: m.Fault.Error()})
	case m.TXT == nil:
		return PolicyUnknown
	case m.TXT.Status.Failed():
		return j.withoutPolicy(Finding{Reason: policyReason(reasonOfAnswer(m.TXT)), Lookup: LookupTXT, Detail: describe(m.TXT)})
	case errors.Is(m.RecordErr, mtasts.ErrNoRecord):
		return PolicyNone
	case m.RecordErr != nil:
		return j.withoutPolicy(Finding{Reason: MTASTSRecordInvalid, Lookup: LookupTXT, Detail: m.RecordErr.Error()})
	case m.PolicyErr != nil:
		return j.withoutPolicy(Finding{Reason: MTASTSPolicyInvalid, Detail: m.PolicyErr.Error()})
	case m.Policy == nil:
		return j.withoutPolicy(whyNoPolicy(m))
	}
	if end := m.CertificateEnd(); !end.IsZero() && j.At.After(end) { // judged for a later moment
		return j.withoutPolicy(Finding{Reason: MTASTSPolicyUnavailable,
			Detail: fmt.Sprintf("the certificate of %s will have ended: it is valid until %s", m.Host.Name, end.UTC().Format(time.RFC3339))})
	}
	switch m.Policy.Mode {
	case mtasts.Enforce:
		return PolicyEnforced
	case mtasts.Testing:
		return PolicyTesting
	default:
		return PolicyNone
	}
}

func (j *judgement) withoutPolicy(f Finding) PolicyStanding {
	j.find(f)
	if f.Reason.Info().Effect == Ours {
		return PolicyUnknown
	}
	return PolicyNone
}

// policyReason is what a failure of any kind means here: ours stays ours, and
// for all else there is no policy. It refuses nothing.
func policyReason(reason Reason) Reason {
	if reason.Info().Effect == Ours {
		return reason
	}
	return MTASTSPolicyUnavailable
}

// whyNoPolicy says why nothing was fetched. Of several addresses, one that
// failed by its own fault tells more than one that we could not ask.
func whyNoPolicy(m *MTASTS) Finding {
	var why Finding
	for i := range m.Fetches {
		fetch := &m.Fetches[i]
		f := Finding{Reason: reasonOfFetch(fetch), Detail: fmt.Sprintf("%s: %v", m.Host.Name, fetch.Err)}
		if why.Reason == "" || f.Reason.Info().Effect != Ours {
			why = f
		}
	}
	if why.Reason != "" {
		return why
	}
	why = Finding{Reason: MTASTSPolicyUnavailable, Detail: "the policy host has no address: " + describeNone(&m.Host)}
	for _, lookup := range m.Lookups() {
		if lookup.Host != "" && lookup.Answer.Status.Failed() {
			return Finding{Reason: policyReason(reasonOfAnswer(lookup.Answer)), Lookup: lookup.Kind, Detail: describe(lookup.Answer)}
		}
	}
	return why
}

// reasonOfFetch names why a policy could not be fetched.
func reasonOfFetch(fetch *PolicyFetch) Reason {
	var media *mtasts.MediaTypeError
	err := fetch.Err
	switch {
	case errors.Is(err, ErrNotAllowed):
		return TargetNotAllowed
	case errors.Is(err, mtasts.ErrNoRoots):
		return RootsUnavailable
	case errors.Is(err, ErrNoIPv6):
		return IPv6Unavailable
	case isExhausted(err):
		return InternalError
	case fetch.Hurried:
		return ProbeDeadline
	case errors.Is(err, errProxy):
		return ProxyFailed
	case errors.As(err, &media), errors.Is(err, mtasts.ErrTooLarge):
		return MTASTSPolicyInvalid
	default:
		return MTASTSPolicyUnavailable
	}
}

// senders sets the senders side by side at one service.
func (j *judgement) senders(standing PolicyStanding, v *ServiceVerdict) ServiceSenders {
	s := ServiceSenders{Host: v.Host, Port: v.Port, Senders: Senders{DANE: v.Outcome}}
	if standing == PolicyEnforced || standing == PolicyTesting {
		s.Covered = MeasureOf(j.facts.MTASTS.Policy.Matches(v.Host))
	}
	if s.Covered == No {
		j.find(Finding{Reason: MTASTSHostNotCovered, Host: v.Host,
			Detail: fmt.Sprintf("the policy, of mode %s, names %s", j.facts.MTASTS.Policy.Mode, listed(j.facts.MTASTS.Policy.MX))})
	}
	var counted []EndpointSenders
	for i := range v.Endpoints {
		e := j.atEndpoint(standing, s.Covered, v, &v.Endpoints[i])
		s.Endpoints = append(s.Endpoints, e)
		if !e.Skipped {
			counted = append(counted, e)
		}
	}
	if len(counted) == 0 {
		s.MTASTS = unmet(standing, s.Covered, v.Outcome)
		s.Both = both(s.Senders)
		return s
	}
	s.MTASTS, s.Both = Authenticated, Authenticated
	for _, e := range counted {
		s.MTASTS, s.Both = worse(s.MTASTS, e.MTASTS), worse(s.Both, e.Both)
	}
	return s
}

// unmet is what an MTA-STS sender ends up with at a service that has no
// endpoint, going by what became of it under DANE: an address that a
// validating client cannot have, nobody has behind a resolver that validates.
func unmet(standing PolicyStanding, covered Measure, dane Outcome) Outcome {
	switch {
	case standing == PolicyUnknown:
		return Unknown
	case standing == PolicyEnforced && covered == No:
		return Refused
	case dane == Refused:
		return Unreachable
	default:
		return dane
	}
}

// atEndpoint sets the senders side by side at one endpoint. Where the policy
// is enforced and only one of them delivers, that is found.
func (j *judgement) atEndpoint(standing PolicyStanding, covered Measure, v *ServiceVerdict, ev *EndpointVerdict) EndpointSenders {
	e := EndpointSenders{Address: ev.Address, KeyType: ev.Facts.KeyType, Skipped: ev.Skipped, Senders: Senders{DANE: ev.Outcome}}
	e.Passes, e.Why = j.passes(v.Host, ev.Facts)
	e.MTASTS = j.underMTASTS(standing, covered, e.Passes, ev.Facts)
	e.Both = both(e.Senders)
	if detail := disagreement(e, covered); standing == PolicyEnforced && !e.Skipped && detail != "" {
		j.find(Finding{Reason: MTASTSDisagreement, Host: v.Host, Port: v.Port, Address: e.Address, Detail: detail})
	}
	return e
}

// passes says whether an endpoint is as MTA-STS wants it (RFC 8461 §4.2): it
// offers STARTTLS, and its certificate is in date, leads to the Web PKI, and has
// the MX host's name in its subjectAltName. The common name does not count, nor
// does the mail domain.
func (j *judgement) passes(host string, e *Endpoint) (passes Measure, why string) {
	reason := reasonOfEndpoint(e)
	switch {
	case reason != "" && reason.Info().Effect != Ours && withoutHandshake(e, reason, demandTLS, SMTPRelay) == Refused:
		return No, e.Err.Error()
	case reason != "":
		return NotMeasured, e.Err.Error()
	case e.SNI != host:
		return NotMeasured, fmt.Sprintf("the handshake asked for the TLSA base domain %s, and an MTA-STS sender asks for %s", e.SNI, host)
	case j.rules.Roots == nil:
		return NotMeasured, mtasts.ErrNoRoots.Error()
	}
	verifier := tlsa.Verifier{Names: []string{host}, Roots: j.rules.Roots, At: j.At}
	err := verifier.PKIX(e.Chain)
	if err == nil {
		err = e.Chain.Certificates[0].VerifyHostname(host)
	}
	if err != nil {
		return No, err.Error()
	}
	return Yes, ""
}

// underMTASTS is what a sender ends up with that knows MTA-STS alone (RFC 8461 §5).
func (j *judgement) underMTASTS(standing PolicyStanding, covered, passes Measure, e *Endpoint) Outcome {
	switch {
	case standing == PolicyUnknown:
		return Unknown
	case standing != PolicyEnforced:
		return j.undemanding(e)
	case covered == No, passes == No:
		return Refused
	case passes == Yes:
		return Authenticated
	case j.undemanding(e) == Unreachable:
		return Unreachable
	default:
		return Unknown
	}
}

// undemanding is what a sender ends up with that takes whatever TLS there is.
func (j *judgement) undemanding(e *Endpoint) Outcome {
	switch reason := reasonOfEndpoint(e); {
	case e.Reached == StageTLS:
		return Opportunistic
	case reason.Info().Effect == Ours:
		return Unknown
	default:
		return withoutHandshake(e, reason, demandNothing, SMTPRelay)
	}
}

// both is what a sender ends up with that knows both: MTA-STS has a say only
// where DANE does not apply, so that it never overrides a refusal (RFC 8461 §2).
func both(s Senders) Outcome {
	if s.DANE == Opportunistic {
		return s.MTASTS
	}
	return s.DANE
}

// disagreement says which of two senders delivers where the other refuses;
// empty: they agree, or one of them was not measured.
func disagreement(e EndpointSenders, covered Measure) string {
	switch {
	case usable(e.DANE) && e.MTASTS == Refused && covered == No:
		return fmt.Sprintf("under DANE it is %s; MTA-STS senders do not deliver: the policy does not name the host", e.DANE)
	case usable(e.DANE) && e.MTASTS == Refused:
		return fmt.Sprintf("under DANE it is %s; MTA-STS senders do not deliver: %s", e.DANE, e.Why)
	case e.DANE == Refused && usable(e.MTASTS):
		return "DANE senders do not deliver; MTA-STS senders do, since the Web PKI proves the host"
	default:
		return ""
	}
}

// atDomain is what the senders end up with at the domain. Insecure MX records
// keep DANE from proving anything of it; a policy that is met proves it all the same.
func (j *judgement) atDomain(v *MTASTSVerdict) Senders {
	s := Senders{DANE: j.Outcome}
	if len(j.Services) == 0 { // nothing was met: the way there ended before
		s.MTASTS, s.Both = j.Outcome, j.Outcome
		if j.Outcome == Refused { // by DNSSEC, which is not MTA-STS's business
			s.MTASTS = Unknown
		}
		return s
	}
	var mtaSTS, both []candidate
	for i, service := range v.Services {
		preference := j.Services[i].Preference
		counted := 0
		for _, e := range service.Endpoints {
			if !e.Skipped {
				counted++
				mtaSTS = append(mtaSTS, candidate{preference, e.MTASTS})
				both = append(both, candidate{preference, e.Both})
			}
		}
		if counted == 0 {
			mtaSTS = append(mtaSTS, candidate{preference, service.MTASTS})
			both = append(both, candidate{preference, service.Both})
		}
	}
	s.MTASTS, s.Both = choose(mtaSTS), choose(both)
	if !j.mxSecure() && s.MTASTS != Authenticated {
		s.Both = worse(s.Both, Opportunistic)
	}
	return s
}

// listed is the first few of a list, of a policy's patterns for one.
func listed(patterns []string) string {
	const few = 8
	if len(patterns) <= few {
		return strings.Join(patterns, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(patterns[:few], ", "), len(patterns)-few)
}
