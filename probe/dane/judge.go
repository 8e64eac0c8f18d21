package dane

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// Judge returns what a client that follows the rules does at one time, given
// the facts. It is pure.
func Judge(facts *Facts, rules Rules, at time.Time) Verdict {
	j := &judge{facts: facts, rules: rules, verdict: Verdict{At: at}}
	j.judgeDANE()
	if facts.MTASTS != nil {
		j.judgeMTASTS()
	}
	return j.verdict
}

// judge holds the input of Judge and the verdict as far as it is made.
type judge struct {
	facts   *Facts
	rules   Rules
	verdict Verdict
}

// judgeDANE fills in the verdict except for MTASTS.
func (j *judge) judgeDANE() {
	j.findResolverDifferences()
	if outcome, ended := j.judgeDiscovery(); ended {
		j.verdict.Outcome = outcome
		return
	}
	for i := range j.facts.Hosts {
		host := &j.facts.Hosts[i]
		j.findFailedAddresses(host)
		for k := range host.Services {
			j.verdict.Services = append(j.verdict.Services, j.judgeService(host, &host.Services[k]))
		}
	}
	for _, what := range j.facts.Truncated {
		j.find(Finding{Reason: LimitExceeded, Detail: fmt.Sprintf("the target has more %s than a probe examines", what)})
	}
	j.verdict.Outcome = j.targetOutcome()
	j.verdict.Success = j.succeeds()
	j.advise()
}

// find adds a finding unless it is there: what is wrong with a host is found
// again at each of its services.
func (j *judge) find(f Finding) {
	if !slices.Contains(j.verdict.Findings, f) {
		j.verdict.Findings = append(j.verdict.Findings, f)
	}
}

// findResolverDifferences reports the lookups for which one resolver gave a
// worse answer than another. The better answer counts, so the outcome does not change.
func (j *judge) findResolverDifferences() {
	for _, lookup := range j.facts.Lookups() {
		if lookup.Answer.Inconsistent != "" {
			j.find(Finding{Reason: ResolverInconsistent, Host: lookup.Host, Lookup: lookup.Kind, Detail: lookup.Answer.Inconsistent})
		}
	}
}

// judgeDiscovery judges the way from the target to its hosts. If it leads to
// no host, ended is true and outcome is the target's.
//
// A failed MX lookup refuses (RFC 7672 §2.1.2), a null MX means that the domain
// receives no mail (RFC 7505 §3), and an insecure one leads to hosts that are
// judged although the domain cannot be authenticated (RFC 7672 §2.2.1).
func (j *judge) judgeDiscovery() (outcome Outcome, ended bool) {
	mx := j.facts.MX
	switch {
	case j.facts.Denied:
		j.find(Finding{Reason: TargetNotAllowed, Detail: fmt.Sprintf("access.targets does not allow %q", j.rules.Target)})
		return Unknown, true
	case j.facts.Err != nil:
		j.find(Finding{Reason: InternalError, Detail: j.facts.Err.Error()})
		return Unknown, true
	case j.facts.SRV != nil:
		return j.judgeSRV()
	case mx == nil:
		return "", false
	case mx.Status.Failed():
		reason := reasonOfAnswer(mx)
		j.find(Finding{Reason: reason, Lookup: LookupMX, Detail: describe(mx)})
		return refusedUnlessInternal(reason), true
	case !mx.NameExists():
		j.find(Finding{Reason: NoSuchDomain, Lookup: LookupMX, Detail: describe(mx)})
		return None, true
	case mx.Found() && IsNullMX(mx.Records):
		j.find(Finding{Reason: NullMX, Lookup: LookupMX, Detail: describe(mx)})
		return None, true
	case mx.Status == dnssec.Insecure:
		j.find(Finding{Reason: MXInsecure, Lookup: LookupMX, Detail: describe(mx)})
	}
	return "", false
}

// IsNullMX reports whether MX records say that the domain receives no mail
// (RFC 7505 §3): a null MX is the only record.
func IsNullMX(records []dns.RR) bool {
	for _, rr := range records {
		if mx, ok := rr.(*dns.MX); !ok || mx.Mx != "." {
			return false
		}
	}
	return true
}

// judgeSRV judges discovery by SRV records. A failed lookup leaves the services
// that the other lookups name. Insecure records are followed without DANE (RFC 7673 §3.1).
func (j *judge) judgeSRV() (outcome Outcome, ended bool) {
	for i := range j.facts.SRV {
		switch answer := &j.facts.SRV[i].Answer; {
		case answer.Status.Failed():
			j.find(Finding{Reason: reasonOfAnswer(answer), Lookup: LookupSRV, Detail: describe(answer)})
		case answer.Found() && answer.Status == dnssec.Insecure:
			j.find(Finding{Reason: SRVInsecure, Lookup: LookupSRV, Detail: describe(answer)})
		}
	}
	if len(j.facts.Hosts) > 0 {
		return "", false
	}
	if lost := j.lostServices(); len(lost) > 0 {
		return choose(lost), true
	}
	for i := range j.facts.SRV {
		answer := &j.facts.SRV[i].Answer
		reason := NoSRV
		if answer.Found() {
			reason = SRVNone
		}
		j.find(Finding{Reason: reason, Lookup: LookupSRV, Detail: describe(answer)})
	}
	return None, true
}

// findFailedAddresses reports each address lookup that failed. Its addresses
// are lost; the host is refused only if no other address remains.
func (j *judge) findFailedAddresses(host *Host) {
	find := func(kind LookupKind, answer *dnssec.Answer) {
		if answer != nil && answer.Status.Failed() {
			j.find(Finding{Reason: reasonOfAnswer(answer), Host: host.Name, Lookup: kind, Detail: describe(answer)})
		}
	}
	find(LookupA, host.A)
	find(LookupAAAA, host.AAAA)
}

// judgeService judges one service in the order of RFC 7672 §2.2: addresses,
// TLSA records, and what those require of each endpoint.
func (j *judge) judgeService(host *Host, service *Service) ServiceVerdict {
	v := ServiceVerdict{Service: service, Host: host.Name, Port: service.Port, Policy: cmp.Or(service.Policy, j.rules.Policy)}
	if err := errors.Join(host.Err, service.Err); err != nil {
		j.find(Finding{Reason: InternalError, Host: host.Name, Port: service.Port, Detail: err.Error()})
		v.Outcome = Unknown
		return v
	}
	if len(host.Addresses()) == 0 {
		v.Outcome = j.judgeNoAddress(host)
		return v
	}
	required := j.judgeTLSA(host, &v)
	if host.AddressAnswer() == nil {
		required = requirementWithoutAddress(j.judgeNoAddress(host))
	}
	v.Names = j.referenceIdentifiers(host, service, v.Base)
	for i := range service.Endpoints {
		v.Endpoints = append(v.Endpoints, j.judgeEndpoint(&service.Endpoints[i], &v, required))
	}
	v.Nameservers = j.judgeNameservers(host, service)
	v.Outcome = worstEndpoint(v.Endpoints)
	v.Until = j.expiry(&v)
	return v
}

// judgeNoAddress judges a host without a usable address: its lookups failed, or
// there is no address.
func (j *judge) judgeNoAddress(host *Host) Outcome {
	outcome := None
	exists := false
	for _, answer := range []*dnssec.Answer{host.A, host.AAAA} {
		switch {
		case answer == nil:
		case answer.Status.Failed():
			outcome = worse(outcome, refusedUnlessInternal(reasonOfAnswer(answer)))
		case answer.NameExists():
			exists = true
		}
	}
	if outcome != None {
		return outcome
	}
	reason := NoAddress
	if !exists && host.Name == j.rules.Target {
		reason = NoSuchDomain
	}
	j.find(Finding{Reason: reason, Host: host.Name, Detail: describeAddresses(host)})
	return None
}

// requirement is what the TLSA lookups of a service require of its endpoints (RFC 7672 §2.2).
type requirement uint8

const (
	requireNothing requirement = iota // DANE does not apply
	requireTLS                        // TLS without authentication: secure records, none usable
	requireMatch                      // TLS, and a record that authenticates the server
	requireRefusal                    // the lookup failed on the zone's side: the client must not connect
	requireUnknown                    // the lookup failed on our side
)

// requirementWithoutAddress returns what is required of a host whose address
// the target named, while its address lookups failed: no client would have
// looked up its TLSA records.
func requirementWithoutAddress(outcome Outcome) requirement {
	if outcome == Refused {
		return requireRefusal
	}
	return requireUnknown
}

// judgeTLSA judges the TLSA lookups: what they require, and by which records
// (RFC 7672 §2.2, RFC 6698 §4.1).
func (j *judge) judgeTLSA(host *Host, v *ServiceVerdict) requirement {
	service, result := v.Service, v.Service.TLSAResult
	find := func(reason Reason, kind LookupKind, detail string) {
		j.find(Finding{Reason: reason, Host: host.Name, Port: service.Port, Lookup: kind, Detail: detail})
	}
	if addresses := host.AddressAnswer(); result.State != StateFound && service.NamedSecurely() && needsSecureAddress(service, v.Policy) && addresses != nil && addresses.Status == dnssec.Insecure {
		find(AddressInsecure, kindOf(addresses.Type), describe(addresses))
	}
	switch result.State {
	case StateFailed:
		answer := &result.Lookup.Answer
		reason := reasonOfAnswer(answer)
		find(reason, LookupTLSA, describe(answer))
		if reason.Info().Effect == EffectInternal {
			return requireUnknown
		}
		return requireRefusal
	case StateInsecure, StateAbsent:
		answer := &result.Lookup.Answer
		find(reasonOfNoRecords(answer), LookupTLSA, describe(answer))
		return requireNothing
	case StateFound:
		v.Base, v.Answer = result.Lookup.Base, &result.Lookup.Answer
		return j.judgeRecords(v, TLSARecords(v.Answer))
	default:
		return requireNothing
	}
}

// reasonOfNoRecords returns why a lookup that did not fail gives a client no records.
func reasonOfNoRecords(answer *dnssec.Answer) Reason {
	switch {
	case answer.Status == dnssec.Insecure:
		return TLSAInsecure
	case len(answer.Aliases) > 0 && !answer.Found():
		return TLSAAliasDangling
	default:
		return NoTLSA
	}
}

// judgeRecords judges secure TLSA records before a certificate is examined.
func (j *judge) judgeRecords(v *ServiceVerdict, records []tlsa.Record) requirement {
	assessments := tlsa.Assess(records, usagesOf(v.Policy))
	var unusable []string
	for _, a := range assessments {
		v.Records = append(v.Records, RecordVerdict{Record: a.Record, Usability: a.Usability, Why: a.Why})
		if a.Usability == tlsa.Unusable {
			unusable = append(unusable, fmt.Sprintf("%s: %s", a.Record, a.Why))
		}
	}
	if len(unusable) > 0 {
		j.find(Finding{Reason: TLSAUnusable, Host: v.Host, Port: v.Port, Lookup: LookupTLSA, Detail: strings.Join(unusable, "; ")})
	}
	switch {
	case slices.ContainsFunc(assessments, func(a tlsa.Assessment) bool { return a.Usability == tlsa.Usable }):
		return requireMatch
	case v.Policy == SMTPRelay:
		return requireTLS // RFC 7672 §2.2: TLS stays mandatory
	default:
		return requireNothing // RFC 6698 §4.1: as if there were no records
	}
}

func usagesOf(policy Policy) tlsa.Usages {
	if policy == SMTPRelay {
		return tlsa.SMTPRelay()
	}
	return tlsa.Client()
}

// referenceIdentifiers returns the names that a certificate may be valid for
// (RFC 7672 §3.2.2, RFC 7671 §7). An insecure MX record proves nothing about the
// domain, so the host's own name is the only one.
//
// For services that SRV records name, the service domain always counts, and the
// host if the record is secure (RFC 7673 §4.1).
func (j *judge) referenceIdentifiers(host *Host, service *Service, base string) []string {
	if !service.NamedSecurely() {
		return []string{j.rules.Target}
	}
	names := []string{cmp.Or(base, host.Name)}
	switch mx := j.facts.MX; {
	case service.SRV != nil:
		names = append(names, host.Name, j.rules.Target)
	case mx == nil:
		names = append(names, host.Name)
	case mx.Status == dnssec.Secure:
		names = append(names, j.rules.Target, TextName(mx.Canonical))
	}
	return unique(names)
}

// judgeEndpoint judges one address by what its service's records require.
func (j *judge) judgeEndpoint(e *Endpoint, v *ServiceVerdict, required requirement) EndpointVerdict {
	ev := EndpointVerdict{Address: e.Address, Facts: e, Skipped: e.Skipped}
	if CauseOf(e.Err) == CauseNoKey {
		ev.Outcome = Unknown // not read: the endpoint is skipped
		return ev
	}
	find := func(reason Reason, detail string) {
		if e.KeyType != "" && e.Reached >= StageStartTLS {
			detail = fmt.Sprintf("%s key: %s", e.KeyType, detail)
		}
		j.find(Finding{Reason: reason, Host: v.Host, Port: v.Port, Address: e.Address, Detail: detail})
	}
	reason := reasonOfEndpoint(e)
	if ev.Reason = reason; reason != "" {
		find(reason, e.Err.Error())
	}
	if e.Reached == StageTLS && e.Chain != nil {
		j.measure(&ev, v)
	}
	switch {
	case required == requireRefusal:
		ev.Outcome = Refused
	case required == requireUnknown:
		ev.Outcome = Unknown
	case (e.Reached == StageTLS || reason == CertificateUnparsable) && required != requireMatch:
		// No certificate is examined here, so one that cannot be parsed does no harm.
		ev.Outcome = Opportunistic
		if required == requireTLS {
			ev.Outcome = Encrypted
		}
	case reason != "" && reason.Info().Effect == EffectInternal:
		ev.Outcome = Unknown
	case reason != "":
		ev.Outcome = outcomeWithoutTLS(e, reason, required, v.Policy)
	default:
		var failed Reason
		var detail string
		if ev.Outcome, failed, detail = authenticate(ev.Matches); failed != "" {
			find(failed, detail)
		}
	}
	return ev
}

// outcomeWithoutTLS judges an endpoint that failed before the end of the TLS
// handshake, by a cause on its side.
func outcomeWithoutTLS(e *Endpoint, reason Reason, required requirement, policy Policy) Outcome {
	switch {
	case !e.Dialogue.Offered && reason != StartTLSNotOffered:
		return Unreachable // the failure has nothing to do with TLS
	case required != requireNothing:
		return Refused
	case e.Reached == StageStartTLS && policy == Client:
		return Unreachable // a client does not fall back to cleartext after TLS has started
	default:
		return Opportunistic // a relay delivers in cleartext
	}
}

// measure adds what the certificates show, whether DANE applies or not.
func (j *judge) measure(ev *EndpointVerdict, v *ServiceVerdict) {
	verifier := j.verifier(v, j.verdict.At)
	chain := ev.Facts.Chain
	ev.NameMatch = MeasureOf(verifier.NameMatches(chain))
	if j.rules.Roots != nil {
		err := verifier.PKIX(chain)
		ev.PKIX = MeasureOf(err == nil)
		if err != nil {
			ev.PKIXWhy = err.Error()
		}
	}
	ev.Matches = verifier.Match(recordsOf(v), chain)
	for i, match := range ev.Matches {
		v.Records[i].Matches = v.Records[i].Matches || match.Matches
	}
}

// verifier returns what verifies the chains of a service at a time.
func (j *judge) verifier(v *ServiceVerdict, at time.Time) tlsa.Verifier {
	return tlsa.Verifier{Usages: usagesOf(v.Policy), Names: v.Names, Roots: j.rules.Roots, At: at}
}

func recordsOf(v *ServiceVerdict) []tlsa.Record {
	records := make([]tlsa.Record, len(v.Records))
	for i := range v.Records {
		records[i] = v.Records[i].Record
	}
	return records
}

// authenticate returns Authenticated if any record authenticates the server.
// Otherwise reason and detail are those of the record that came closest.
func authenticate(matches []tlsa.Match) (outcome Outcome, reason Reason, detail string) {
	closest := -1
	for i, match := range matches {
		if match.Authenticates() {
			return Authenticated, "", ""
		}
		if match.Usability == tlsa.Usable && (closest < 0 || closeness(match.Failure) > closeness(matches[closest].Failure)) {
			closest = i
		}
	}
	if closest < 0 {
		return Unknown, InternalError, "no usable record was compared"
	}
	match := matches[closest]
	detail = fmt.Sprintf("%s: %s", match.Record, match.Why)
	if match.Failure == tlsa.Unmeasured {
		return Unknown, RootsUnavailable, detail
	}
	return Refused, reasonOfMismatch(match.Failure), detail
}

// closeness orders failures by how close the record came to authenticating the
// server. A record that could not be measured might have, so it ranks highest.
func closeness(failure tlsa.Failure) int {
	return slices.Index([]tlsa.Failure{
		tlsa.Mismatch, tlsa.AnchorNotSent, tlsa.ChainInvalid, tlsa.PKIXUntrusted,
		tlsa.NameMismatch, tlsa.NotYetValid, tlsa.Expired, tlsa.Unmeasured,
	}, failure)
}

// refusedUnlessInternal returns Unknown if the cause is on our side, else Refused.
func refusedUnlessInternal(reason Reason) Outcome {
	if reason.Info().Effect == EffectInternal {
		return Unknown
	}
	return Refused
}

func kindOf(qtype uint16) LookupKind {
	return LookupKind(strings.ToLower(dns.TypeToString[qtype]))
}

// describe returns one line about a lookup: name, type, status, and why.
func describe(answer *dnssec.Answer) string {
	return fmt.Sprintf("%s %s is %s: %s", TextName(answer.Name), dns.TypeToString[answer.Type], answer.Status, answer.Why)
}

func describeAddresses(host *Host) string {
	var lines []string
	for _, answer := range []*dnssec.Answer{host.A, host.AAAA} {
		if answer != nil {
			lines = append(lines, describe(answer))
		}
	}
	return strings.Join(lines, "; ")
}

// unique returns the names that are not empty, each once.
func unique(names []string) []string {
	var kept []string
	for _, name := range names {
		if name != "" && !slices.Contains(kept, name) {
			kept = append(kept, name)
		}
	}
	return kept
}
