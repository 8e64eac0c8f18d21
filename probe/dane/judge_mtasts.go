package dane

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"dane_exporter/probe/mtasts"
	"dane_exporter/probe/tlsa"
)

// MTASTSVerdict compares three senders: what each does with the domain and its
// hosts. It changes neither Outcome nor Success of the Verdict, which are DANE's.
type MTASTSVerdict struct {
	State    PolicyState
	Senders  Senders          // for the domain as a whole
	Services []ServiceSenders // in the order of Verdict.Services
}

// PolicyState is what an MTA-STS sender with an empty cache makes of the domain.
type PolicyState uint8

const (
	PolicyUnknown  PolicyState = iota // not known, and the cause is on our side
	PolicyNone                        // no policy, or one of mode none
	PolicyTesting                     // mode testing: a sender delivers in any case
	PolicyEnforced                    // mode enforce: a sender delivers only if the host satisfies the policy
)

// Senders are the outcomes of three senders. Under MTA-STS, Authenticated means
// that the policy lists the host and its certificate is valid for the Web PKI,
// Refused that a policy in mode enforce forbids the host, and Opportunistic that
// nothing is required of it.
type Senders struct {
	DANE   Outcome // supports DANE alone: the outcome of the Verdict
	MTASTS Outcome // supports MTA-STS alone
	// Both: supports both. DANE alone decides where secure TLSA records exist, which
	// is common practice. RFC 8461 §2 only forbids MTA-STS to override a failure of
	// DANE, and §5 forbids delivery if an enforced policy fails, DANE or not.
	Both Outcome
}

// ServiceSenders are the senders at one service: at the worst of its endpoints.
type ServiceSenders struct {
	Host    string
	Port    uint16
	Covered Measure // the policy lists the host
	Senders
	Endpoints []EndpointSenders // in the order of ServiceVerdict.Endpoints
}

// EndpointSenders are the senders at one endpoint.
type EndpointSenders struct {
	Address netip.Addr
	KeyType KeyType // as in Endpoint
	Skipped bool    // does not count
	Passes  Measure // the endpoint satisfies the TLS requirements of MTA-STS
	Why     string  // why it does not
	Senders
}

// judgeMTASTS adds the verdict on MTA-STS to that on DANE.
func (j *judge) judgeMTASTS() {
	v := &MTASTSVerdict{State: j.judgePolicy()}
	for i := range j.verdict.Services {
		v.Services = append(v.Services, j.sendersAtService(v.State, &j.verdict.Services[i]))
	}
	v.Senders = j.sendersAtDomain(v)
	for i, record := range j.facts.TLSRPTs() {
		host := ""
		if i > 0 {
			host = record.Domain
		}
		if record.Err != nil && !errors.Is(record.Err, mtasts.ErrNoRecord) {
			j.find(Finding{Reason: TLSRPTRecordInvalid, Host: host, Lookup: LookupTXT, Detail: record.Err.Error()})
		}
		j.findTolerated(TLSRPTSyntax, host, LookupTXT, record.Record.Tolerated)
	}
	j.findTolerated(MTASTSSyntax, "", LookupTXT, j.facts.MTASTS.Record.Tolerated)
	if policy := j.facts.MTASTS.Policy; policy != nil {
		j.findTolerated(MTASTSSyntax, "", "", policy.Tolerated)
	}
	j.verdict.MTASTS = v
}

// findTolerated reports what some senders tolerate and others do not.
func (j *judge) findTolerated(reason Reason, host string, kind LookupKind, tolerated []string) {
	if len(tolerated) > 0 {
		j.find(Finding{Reason: reason, Host: host, Lookup: kind, Detail: strings.Join(tolerated, "; ")})
	}
}

// judgePolicy follows a sender from the record to the policy (RFC 8461 §3). If
// either is missing or invalid, MTA-STS does not apply.
func (j *judge) judgePolicy() PolicyState {
	m := j.facts.MTASTS
	switch {
	case m.Err != nil:
		return j.noPolicy(Finding{Reason: InternalError, Detail: m.Err.Error()})
	case m.TXT == nil:
		return PolicyUnknown
	case m.TXT.Status.Failed():
		return j.noPolicy(Finding{Reason: policyReason(reasonOfAnswer(m.TXT)), Lookup: LookupTXT, Zone: zoneAtFault(m.TXT), Detail: describe(m.TXT)})
	case errors.Is(m.RecordErr, mtasts.ErrNoRecord):
		return PolicyNone
	case m.RecordErr != nil:
		return j.noPolicy(Finding{Reason: MTASTSRecordInvalid, Lookup: LookupTXT, Detail: m.RecordErr.Error()})
	case m.PolicyErr != nil:
		return j.noPolicy(Finding{Reason: MTASTSPolicyInvalid, Detail: m.PolicyErr.Error()})
	case m.Policy == nil:
		return j.noPolicy(fetchFinding(m))
	}
	if expiry := m.CertificateExpiry(); !expiry.IsZero() && j.verdict.At.After(expiry) { // judged for a later time
		return j.noPolicy(Finding{Reason: MTASTSPolicyUnavailable,
			Detail: fmt.Sprintf("the certificate of %s expires at %s", m.Host.Name, expiry.UTC().Format(time.RFC3339))})
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

func (j *judge) noPolicy(f Finding) PolicyState {
	j.find(f)
	if f.Reason.Info().Effect == EffectInternal {
		return PolicyUnknown
	}
	return PolicyNone
}

// policyReason maps a failed lookup to its finding for MTA-STS: an internal
// reason stays, and any other means that there is no policy.
func policyReason(reason Reason) Reason {
	if reason.Info().Effect == EffectInternal {
		return reason
	}
	return MTASTSPolicyUnavailable
}

// fetchFinding returns why no policy was fetched. Of several addresses, one that
// failed by its own fault explains more than one that could not be connected to from here.
func fetchFinding(m *MTASTS) Finding {
	var why Finding
	for i := range m.Fetches {
		fetch := &m.Fetches[i]
		f := Finding{Reason: reasonOfFetch(fetch), Detail: fmt.Sprintf("%s: %v", m.Host.Name, fetch.Err)}
		if why.Reason == "" || f.Reason.Info().Effect != EffectInternal {
			why = f
		}
	}
	if why.Reason != "" {
		return why
	}
	why = Finding{Reason: MTASTSPolicyUnavailable, Detail: "the policy host has no address: " + describeAddresses(&m.Host)}
	for _, lookup := range []Lookup{{LookupA, m.Host.Name, m.Host.A}, {LookupAAAA, m.Host.Name, m.Host.AAAA}} {
		if lookup.Answer != nil && lookup.Answer.Status.Failed() {
			return Finding{Reason: policyReason(reasonOfAnswer(lookup.Answer)), Lookup: lookup.Kind, Zone: zoneAtFault(lookup.Answer), Detail: describe(lookup.Answer)}
		}
	}
	return why
}

// reasonOfFetch returns why a policy could not be fetched.
func reasonOfFetch(fetch *PolicyFetch) Reason {
	if cause := CauseOf(fetch.Err); cause != CauseNone {
		return reasonOfCause(cause)
	}
	return MTASTSPolicyUnavailable
}

// sendersAtService compares the senders at one service.
func (j *judge) sendersAtService(state PolicyState, v *ServiceVerdict) ServiceSenders {
	s := ServiceSenders{Host: v.Host, Port: v.Port, Senders: Senders{DANE: v.Outcome}}
	if state == PolicyEnforced || state == PolicyTesting {
		s.Covered = MeasureOf(j.facts.MTASTS.Policy.Matches(v.Host))
	}
	if s.Covered == No {
		j.find(Finding{Reason: MTASTSHostNotCovered, Host: v.Host,
			Detail: fmt.Sprintf("the policy (mode %s) lists %s", j.facts.MTASTS.Policy.Mode, firstFew(j.facts.MTASTS.Policy.MX))})
	}
	var counted []EndpointSenders
	for i := range v.Endpoints {
		e := j.sendersAtEndpoint(state, s.Covered, v, &v.Endpoints[i])
		s.Endpoints = append(s.Endpoints, e)
		if !e.Skipped {
			counted = append(counted, e)
		}
	}
	if len(counted) == 0 {
		s.MTASTS = mtastsWithoutEndpoint(state, s.Covered, v.Outcome)
		s.Both = bothOutcome(s.Senders)
		return s
	}
	s.MTASTS, s.Both = Authenticated, Authenticated
	for _, e := range counted {
		s.MTASTS, s.Both = Worse(s.MTASTS, e.MTASTS), Worse(s.Both, e.Both)
	}
	return s
}

// mtastsWithoutEndpoint returns the outcome of an MTA-STS sender at a service
// without endpoints, from DANE's outcome there. An address that a validating
// client cannot get, no sender behind a validating resolver can get.
func mtastsWithoutEndpoint(state PolicyState, covered Measure, dane Outcome) Outcome {
	switch {
	case state == PolicyUnknown:
		return Unknown
	case state == PolicyEnforced && covered == No:
		return Refused
	case dane == Refused:
		return Unreachable
	default:
		return dane
	}
}

// sendersAtEndpoint compares the senders at one endpoint. If the policy is
// enforced and only one kind of sender delivers, it adds a finding.
func (j *judge) sendersAtEndpoint(state PolicyState, covered Measure, v *ServiceVerdict, ev *EndpointVerdict) EndpointSenders {
	e := EndpointSenders{Address: ev.Address, KeyType: ev.Facts.KeyType, Skipped: ev.Skipped, Senders: Senders{DANE: ev.Outcome}}
	e.Passes, e.Why = j.passesMTASTS(v.Host, ev.Facts)
	e.MTASTS = j.mtastsOutcome(state, covered, e.Passes, ev.Facts)
	e.Both = bothOutcome(e.Senders)
	if detail := disagreement(e, covered); state == PolicyEnforced && !e.Skipped && detail != "" {
		j.find(Finding{Reason: MTASTSDisagreement, Host: v.Host, Port: v.Port, Address: e.Address, Detail: detail})
	}
	return e
}

// passesMTASTS reports whether an endpoint satisfies RFC 8461 §4.2: it offers
// STARTTLS, and its certificate is in date, chains to the Web PKI, and has the MX
// host's name in its subjectAltName. The common name and the mail domain do not count.
func (j *judge) passesMTASTS(host string, e *Endpoint) (passes Measure, why string) {
	reason := reasonOfEndpoint(e)
	switch {
	case reason != "" && reason.Info().Effect != EffectInternal && outcomeWithoutTLS(e, reason, levelEncrypt, SMTPRelay) == Refused:
		return No, e.Err.Error()
	case reason != "":
		return NotMeasured, e.Err.Error()
	case e.SNI != host:
		return NotMeasured, fmt.Sprintf("the handshake sent the TLSA base domain %s as SNI, an MTA-STS sender sends %s", e.SNI, host)
	case j.rules.Roots == nil:
		return NotMeasured, mtasts.ErrNoRoots.Error()
	}
	verifier := tlsa.Verifier{Names: []string{host}, Roots: j.rules.Roots, At: j.verdict.At, Stop: j.rules.Stop}
	passes, err := measurePKIX(verifier, e.Chain)
	if invalid := e.Chain.Certificates[0].VerifyHostname(host); passes != No && invalid != nil {
		passes, err = No, invalid
	}
	if err != nil {
		why = err.Error()
	}
	return passes, why
}

// mtastsOutcome returns the outcome of a sender that supports MTA-STS alone (RFC 8461 §5).
func (j *judge) mtastsOutcome(state PolicyState, covered, passes Measure, e *Endpoint) Outcome {
	switch {
	case state == PolicyUnknown:
		return Unknown
	case state != PolicyEnforced:
		return opportunisticOutcome(e)
	case covered == No, passes == No:
		return Refused
	case passes == Yes:
		return Authenticated
	case opportunisticOutcome(e) == Unreachable:
		return Unreachable
	default:
		return Unknown
	}
}

// opportunisticOutcome returns the outcome of a sender that requires no TLS.
func opportunisticOutcome(e *Endpoint) Outcome {
	switch reason := reasonOfEndpoint(e); {
	case e.Reached == StageTLS && reason == "":
		return Opportunistic
	case reason == TLSUnsupportedHere:
		return Opportunistic
	case reason.Info().Effect == EffectInternal:
		return Unknown
	default:
		return outcomeWithoutTLS(e, reason, levelOpportunistic, SMTPRelay)
	}
}

// bothOutcome returns the outcome of a sender that supports both. MTA-STS counts
// only where DANE does not apply, so it never overrides a refusal (RFC 8461 §2).
func bothOutcome(s Senders) Outcome {
	if s.DANE == Opportunistic {
		return s.MTASTS
	}
	return s.DANE
}

// bothDiffer says what senders that support both do if only DANE succeeds.
const bothDiffer = "; most senders that support both deliver, although RFC 8461 §5 forbids it"

// disagreement says which of two senders delivers where the other refuses. It is
// empty if they agree, or if one of them was not measured.
func disagreement(e EndpointSenders, covered Measure) string {
	switch {
	case e.DANE.delivers() && e.MTASTS == Refused && covered == No:
		return fmt.Sprintf("the outcome under DANE is %s; MTA-STS senders do not deliver: the policy does not list the host%s", e.DANE, bothDiffer)
	case e.DANE.delivers() && e.MTASTS == Refused:
		return fmt.Sprintf("the outcome under DANE is %s; MTA-STS senders do not deliver: %s%s", e.DANE, e.Why, bothDiffer)
	case e.DANE == Refused && e.MTASTS.delivers():
		return "DANE senders do not deliver; MTA-STS senders do, because the certificate is valid for the Web PKI"
	default:
		return ""
	}
}

// sendersAtDomain returns the outcomes for the domain. Insecure MX records keep
// DANE from authenticating it; a policy that the hosts satisfy does authenticate it.
func (j *judge) sendersAtDomain(v *MTASTSVerdict) Senders {
	s := Senders{DANE: j.verdict.Outcome}
	if len(j.verdict.Services) == 0 { // discovery led to no host
		s.MTASTS, s.Both = s.DANE, s.DANE
		if s.DANE == Refused { // by DNSSEC, which MTA-STS does not require
			s.MTASTS = Unknown
		}
		return s
	}
	var mtaSTS, both []candidate
	for i, service := range v.Services {
		preference := j.verdict.Services[i].Service.Preference
		var withMTASTS, withBoth addressOutcomes
		for _, e := range service.Endpoints {
			if !e.Skipped {
				withMTASTS.add(e.Address, e.MTASTS)
				withBoth.add(e.Address, e.Both)
			}
		}
		if len(withMTASTS.outcomes) == 0 {
			withMTASTS.outcomes, withBoth.outcomes = []Outcome{service.MTASTS}, []Outcome{service.Both}
		}
		for k := range withMTASTS.outcomes {
			mtaSTS = append(mtaSTS, candidate{preference, withMTASTS.outcomes[k]})
			both = append(both, candidate{preference, withBoth.outcomes[k]})
		}
	}
	s.MTASTS, s.Both = choose(mtaSTS), choose(both)
	if !j.mxSecure() && s.MTASTS != Authenticated {
		s.Both = Worse(s.Both, Opportunistic)
	}
	return s
}
