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
// the facts. It is pure, except that rules.Stop can leave verdicts open.
func Judge(facts *Facts, rules Rules, at time.Time) Verdict {
	j := &judge{facts: facts, rules: rules, verdict: Verdict{At: at}}
	j.judgeDANE()
	j.verdict.FaultZone = j.faultZone()
	if facts.MTASTS != nil {
		j.judgeMTASTS()
	}
	j.judgeRenewals()
	j.judgeDelegations()
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
		j.verdict.Success = j.rules.Lookups && j.lookupsSucceed()
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

// faultZone returns the zone that is the only reason why clients refuse the target, or the
// empty string. That zone is at fault for every finding with the effect error. If there is
// another such finding, even about a host that is not tried first, repairing the zone is not
// sufficient. Other outcomes have no zone, because a client refuses if a zone makes a lookup
// fail.
func (j *judge) faultZone() string {
	if j.verdict.Outcome != Refused {
		return ""
	}
	zone := ""
	for _, f := range j.verdict.Findings {
		switch {
		case f.Reason.Info().Effect != EffectError:
		case f.Zone == "", zone != "" && f.Zone != zone:
			return ""
		default:
			zone = f.Zone
		}
	}
	return zone
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
// A failed MX lookup refuses (RFC 7672 §2.1.2). A null MX means that the domain
// receives no mail (RFC 7505 §3). Insecure MX records lead to hosts that are
// judged although the domain cannot be authenticated (RFC 7672 §2.2.1). A domain
// without MX records is its own host (RFC 7672 §2.2.2).
func (j *judge) judgeDiscovery() (outcome Outcome, ended bool) {
	mx := j.facts.MX
	switch {
	case j.facts.Denied:
		j.find(Finding{Reason: TargetNotAllowed, Detail: fmt.Sprintf("access.targets does not allow %q", j.rules.Target)})
		return Unknown, true
	case j.facts.Special:
		j.find(Finding{Reason: SpecialUseName, Detail: fmt.Sprintf("%s is a special-use name: no query was sent", j.rules.Target)})
		return None, true
	case j.facts.Err != nil:
		j.find(Finding{Reason: reasonOfCause(CauseOf(j.facts.Err)), Detail: j.facts.Err.Error()})
		return Unknown, true
	case j.facts.SRV != nil:
		return j.judgeSRV()
	case mx == nil:
		return "", false
	case mx.Status.Failed():
		reason := reasonOfAnswer(mx)
		j.find(Finding{Reason: reason, Lookup: LookupMX, Zone: zoneAtFault(mx), Detail: describe(mx)})
		return refusedUnlessInternal(reason), true
	case !mx.NameExists() && len(mx.Aliases) > 0 && IsSpecialUse(TextName(mx.Canonical), j.rules.Target):
		j.find(Finding{Reason: SpecialUseName, Lookup: LookupMX, Detail: describe(mx)})
		return None, true
	case !mx.NameExists():
		j.find(Finding{Reason: NoSuchDomain, Lookup: LookupMX, Detail: describe(mx)})
		return None, true
	case mx.Found() && IsNullMX(mx.Records):
		j.find(Finding{Reason: NullMX, Lookup: LookupMX, Detail: describe(mx)})
		return None, true
	}
	if hasNullMX(mx.Records) {
		j.find(Finding{Reason: NullMXConflict, Lookup: LookupMX, Detail: fmt.Sprintf("one of the %d MX records is a null MX: %s", len(mx.Records), describe(mx))})
	}
	if mx.Status == dnssec.Insecure {
		j.find(Finding{Reason: MXInsecure, Lookup: LookupMX, Detail: describe(mx)})
	}
	return "", false
}

// judgeSRV judges discovery by SRV records. A failed lookup leaves the services
// that the other lookups name. Insecure records, and the fallback of a domain
// without records, are followed without DANE (RFC 7673 §3.1).
func (j *judge) judgeSRV() (outcome Outcome, ended bool) {
	for i := range j.facts.SRV {
		switch answer := &j.facts.SRV[i].Answer; {
		case j.facts.SRV[i].Failed():
			j.find(Finding{Reason: reasonOfAnswer(answer), Lookup: LookupSRV, Zone: zoneAtFault(answer), Detail: describe(answer)})
		case answer.Found() && answer.Status == dnssec.Insecure:
			j.find(Finding{Reason: SRVInsecure, Lookup: LookupSRV, Detail: describe(answer)})
		}
	}
	for _, host := range j.facts.Hosts {
		for i := range host.Services {
			if host.Services[i].Fallback {
				j.find(Finding{Reason: NoSRV, Lookup: LookupSRV, Detail: fmt.Sprintf("no SRV records of %s name a host: clients fall back to %s port %d, without DANE",
					j.rules.Target, host.Name, host.Services[i].Port)})
			}
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
	others := ""
	if len(host.Addresses()) > 0 && j.rules.Policy == SMTPRelay {
		others = "; Postfix uses the other addresses of the host, strict senders delay the mail (RFC 7672 §2.1.2)"
	}
	find := func(kind LookupKind, answer *dnssec.Answer) {
		if answer != nil && answer.Status.Failed() {
			j.find(Finding{Reason: reasonOfAnswer(answer), Host: host.Name, Lookup: kind, Zone: zoneAtFault(answer), Detail: describe(answer) + others})
		}
	}
	find(LookupA, host.A)
	find(LookupAAAA, host.AAAA)
}

// judgeService judges one service in the order of RFC 7672 §2.2: addresses
// (§2.2.2), TLSA records (§2.2.3), and what those require of each endpoint (§2.2).
func (j *judge) judgeService(host *Host, service *Service) ServiceVerdict {
	v := ServiceVerdict{Service: service, Host: host.Name, Port: service.Port, Policy: cmp.Or(service.Policy, j.rules.Policy)}
	if err := errors.Join(host.Err, service.Err); err != nil {
		j.find(Finding{Reason: InternalError, Host: host.Name, Port: service.Port, Detail: err.Error()})
		v.Outcome = Unknown
		return v
	}
	if host.Fault != HostFine {
		j.findFault(host, service)
	}
	if host.Fault.blocks() {
		v.Outcome = None
		return v
	}
	if len(host.Addresses()) == 0 {
		v.Outcome = j.judgeNoAddress(host)
		return v
	}
	level := j.judgeTLSA(host, &v)
	if host.AddressAnswer() == nil && host.Fault != HostAddress {
		level = levelWithoutAddress(j.judgeNoAddress(host))
	}
	if service.SRV != nil && service.NamedSecurely() && level != levelRefuse && host.lostAddresses() {
		// A client must not connect to any address then (RFC 7673 §3.2). A mail
		// server connects to the addresses that it has.
		level = levelWithoutAddress(j.judgeNoAddress(host))
	}
	v.Names = j.referenceIdentifiers(host, service, v.Base)
	for i := range service.Endpoints {
		v.Endpoints = append(v.Endpoints, j.judgeEndpoint(&service.Endpoints[i], &v, level))
	}
	v.Nameservers = j.judgeNameservers(host, service)
	v.Outcome = worstEndpoint(v.Endpoints)
	if j.rules.Lookups {
		v.Outcome = outcomeOfLookups(level)
	}
	v.From, v.Until = j.authenticationPeriod(&v)
	return v
}

// outcomeOfLookups returns the outcome that the lookups decide. With levelOpportunistic, it
// is the outcome if the server is reachable.
func outcomeOfLookups(level securityLevel) Outcome {
	switch level {
	case levelRefuse:
		return Refused
	case levelUnknown:
		return Unknown
	case levelOpportunistic:
		return Opportunistic
	default:
		return Undecided
	}
}

// findFault reports why clients do not connect to a host, or do so without DANE.
func (j *judge) findFault(host *Host, service *Service) {
	f := Finding{Host: host.Name, Lookup: LookupMX}
	if service.SRV != nil {
		f.Lookup = LookupSRV
	}
	name := host.Name
	if host.FaultyName != "" {
		name, f.Lookup = host.FaultyName, ""
	}
	switch host.Fault {
	case HostSpecialUse:
		f.Reason, f.Detail = SpecialUseName, name+" is a special-use name"
	case HostInvalid:
		f.Reason, f.Detail = InvalidHostname, name+" is not a hostname"
	default:
		f.Reason, f.Detail = MXNamesAddress, fmt.Sprintf("the MX record names the address %s: Postfix connects to it without DANE, other senders may not", name)
	}
	if host.FaultyName != "" {
		f.Detail = host.Name + " is an alias: " + f.Detail
	}
	j.find(f)
}

// judgeNoAddress judges a host without a usable address: its lookups failed
// (RFC 7672 §2.1.2), or there is no address (RFC 7672 §2.2.2, "Not found").
func (j *judge) judgeNoAddress(host *Host) Outcome {
	outcome := None
	exists := false
	for _, answer := range []*dnssec.Answer{host.A, host.AAAA} {
		switch {
		case answer == nil:
		case answer.Status.Failed():
			outcome = Worse(outcome, refusedUnlessInternal(reasonOfAnswer(answer)))
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

// securityLevel is what a client requires of the endpoints of a service after
// the TLSA lookups. Except for levelPKIX and levelUnknown, the levels are the
// four actions of RFC 7672 §2.2.
type securityLevel uint8

const (
	// levelOpportunistic: the TLSA records are insecure, or their absence is
	// proven. DANE does not apply. A relay uses TLS if it is offered, else cleartext.
	levelOpportunistic securityLevel = iota
	// levelEncrypt: there are secure TLSA records and none is usable. TLS is
	// mandatory, authentication is not.
	levelEncrypt
	// levelPKIX: as levelEncrypt, for a service that a secure SRV record names. The
	// Web PKI must authenticate the server (RFC 7673 §4, §4.1).
	levelPKIX
	// levelAuthenticate: there are secure, usable TLSA records. TLS is mandatory,
	// and one of the records must authenticate the server.
	levelAuthenticate
	// levelRefuse: a lookup failed on the zone's side. The client must not connect.
	levelRefuse
	// levelUnknown: a lookup failed on our side.
	levelUnknown
)

// levelWithoutAddress returns the level of a host whose address is that of the
// target, if its address lookups failed or found nothing: a client looks up
// TLSA records only after addresses (RFC 7672 §2.2.2). outcome is that of
// judgeNoAddress.
func levelWithoutAddress(outcome Outcome) securityLevel {
	if outcome == Refused {
		return levelRefuse
	}
	return levelUnknown
}

// judgeTLSA judges the TLSA lookups: what they require, and by which records
// (RFC 7672 §2.2, RFC 7671 §10.3). If no secure records apply and the addresses are
// insecure, it reports those: they are why a client makes no TLSA lookup
// (RFC 7672 §2.2.2).
func (j *judge) judgeTLSA(host *Host, v *ServiceVerdict) securityLevel {
	service, result := v.Service, v.Service.TLSAResult
	find := func(reason Reason, kind LookupKind, detail string) {
		j.find(Finding{Reason: reason, Host: host.Name, Port: service.Port, Lookup: kind, Detail: detail})
	}
	addresses := host.deciding(service)
	insecure := addresses != nil && addresses.Status == dnssec.Insecure
	if insecure && result.State != StateFound && service.NamedSecurely() && needsSecureAddress(service, v.Policy) {
		find(AddressInsecure, kindOf(addresses.Type), describe(addresses))
	}
	switch result.State {
	case StateFailed:
		answer := &result.Lookup.Answer
		reason := reasonOfAnswer(answer)
		j.find(Finding{Reason: reason, Host: host.Name, Port: service.Port, Lookup: LookupTLSA, Zone: zoneAtFault(answer), Detail: describe(answer)})
		if reason.Info().Effect == EffectInternal {
			return levelUnknown
		}
		return levelRefuse
	case StateInsecure, StateAbsent:
		answer := &result.Lookup.Answer
		find(reasonOfNoRecords(answer), LookupTLSA, describe(answer))
		return levelOpportunistic
	case StateFound:
		v.Base, v.Answer = result.Lookup.Base, &result.Lookup.Answer
		return j.judgeRecords(v, TLSARecords(v.Answer))
	default:
		return levelOpportunistic
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
func (j *judge) judgeRecords(v *ServiceVerdict, records []tlsa.Record) securityLevel {
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
	case anyUsable(assessments):
		return levelAuthenticate
	case v.Service.SRV != nil:
		return levelPKIX
	default:
		// The host has committed itself to TLS (RFC 7672 §2.2.3, RFC 7671 §10.3). By
		// RFC 6698 §4.1 there would be no records; RFC 7671 §14 updates that.
		return levelEncrypt
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

// judgeEndpoint judges one address by the level of its service (RFC 7672 §2.2).
func (j *judge) judgeEndpoint(e *Endpoint, v *ServiceVerdict, level securityLevel) EndpointVerdict {
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
	ev.Reason = reason
	excluded := false
	switch {
	case reason == "":
	case level == levelAuthenticate && e.Reached < StageTLS && len(e.Raw) > 0:
		var detail string
		if excluded, detail = matchRaw(v.Records, e.Raw); excluded {
			find(TLSAMismatch, fmt.Sprintf("%s (%v)", detail, e.Err))
		} else {
			find(reason, fmt.Sprintf("%v; %s", e.Err, detail))
		}
	default:
		find(reason, e.Err.Error())
	}
	if e.Dialogue.EarlyData != "" {
		j.find(Finding{Reason: PlaintextAfterSTARTTLS, Host: v.Host, Port: v.Port, Address: e.Address, Detail: e.Dialogue.EarlyData})
	}
	if e.Reached == StageTLS && e.Chain != nil {
		j.measure(&ev, v)
	}
	if e.Reached == StageTLS && (e.TLSVersion != 0 && e.TLSVersion < tls12 || e.InsecureRenegotiation) {
		find(TLSObsolete, describeTLS(e))
	}
	if e.LargeDropped {
		find(LargeClientHelloDropped, "the server does not accept a ClientHello with an ML-KEM key share; it answered one without")
	}
	switch {
	case level == levelRefuse:
		ev.Outcome = Refused
	case level == levelUnknown:
		ev.Outcome = Unknown
	case excluded:
		ev.Outcome = Refused
	case reason == TLSUnsupportedHere && level == levelOpportunistic && v.Policy == SMTPRelay:
		ev.Outcome = Opportunistic // a relay delivers, with TLS or in cleartext
	case e.Reached == StageTLS && reason == "" && e.Chain != nil && level == levelPKIX:
		switch ev.Outcome = Encrypted; ev.PKIX {
		case No:
			ev.Outcome = Refused
			find(PKIXUntrusted, ev.PKIXErr.Error())
		case NotMeasured:
			ev.Outcome = Unknown
			if j.rules.Roots == nil {
				find(RootsUnavailable, "no TLSA record is usable, and the Web PKI could not be applied")
			} else {
				find(reasonOfUnmeasured(ev.PKIXErr), ev.PKIXErr.Error())
			}
		}
	case (e.Reached == StageTLS && reason == "" || reason == CertificateUnparsable) && level != levelAuthenticate && level != levelPKIX:
		// No certificate is examined here, so one that cannot be parsed does no harm.
		ev.Outcome = Opportunistic
		if level == levelEncrypt {
			ev.Outcome = Encrypted
		}
	case e.Reached == StageTLS && level == levelAuthenticate:
		var failed Reason
		var detail string
		if ev.Outcome, failed, detail = j.authenticate(ev.Matches); failed != "" {
			find(failed, detail)
		} else if reason != "" {
			ev.Outcome = refusedUnlessInternal(reason) // the session failed inside TLS
		}
	case reason != "" && reason.Info().Effect == EffectInternal:
		ev.Outcome = Unknown
	case reason != "":
		ev.Outcome = outcomeWithoutTLS(e, reason, level, v.Policy)
	default:
		ev.Outcome = Unknown // not reached: an endpoint without an error has reached StageTLS
	}
	return ev
}

// tls12 is the version number of TLS 1.2 (RFC 5246 §6.2.1).
const tls12 = 0x0303

// describeTLS says what is obsolete about the TLS of an endpoint.
func describeTLS(e *Endpoint) string {
	var faults []string
	switch e.TLSVersion {
	case 0x0301:
		faults = append(faults, "the server selects TLS 1.0")
	case 0x0302:
		faults = append(faults, "the server selects TLS 1.1")
	}
	if e.InsecureRenegotiation {
		faults = append(faults, "the server does not support secure renegotiation (RFC 5746), so OpenSSL 3 refuses it")
	}
	return strings.Join(faults, "; ")
}

// outcomeWithoutTLS judges an endpoint that failed before the server accepted the
// client inside TLS, by a cause on its side. Under levelOpportunistic a relay may
// retry in cleartext; under the other levels it must not (RFC 7672 §2.2).
func outcomeWithoutTLS(e *Endpoint, reason Reason, level securityLevel, policy Policy) Outcome {
	switch {
	case !e.Dialogue.Offered && reason != StartTLSNotOffered:
		return Unreachable // the failure has nothing to do with TLS
	case e.Reached == StageTLS, reason == ClientCertificateRequired:
		// The server rejects the client. Records that authenticate the server
		// prevent a retry without TLS.
		if level == levelAuthenticate {
			return Refused
		}
		return Unreachable
	case level != levelOpportunistic:
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
		ev.PKIX, ev.PKIXErr = measurePKIX(verifier, chain)
	}
	ev.Matches = verifier.Match(recordsOf(v), chain)
	for i, match := range ev.Matches {
		v.Records[i].Matches = v.Records[i].Matches || match.Matches
	}
}

// measurePKIX reports whether a chain leads to the system roots. The error says why
// it does not, or is a tlsa.ErrUnmeasured.
func measurePKIX(verifier tlsa.Verifier, chain *tlsa.Chain) (Measure, error) {
	err := verifier.PKIX(chain)
	if errors.Is(err, tlsa.ErrUnmeasured) {
		return NotMeasured, err
	}
	return MeasureOf(err == nil), err
}

// verifier returns what verifies the chains of a service at a time.
func (j *judge) verifier(v *ServiceVerdict, at time.Time) tlsa.Verifier {
	return tlsa.Verifier{Usages: usagesOf(v.Policy), Names: v.Names, Roots: j.rules.Roots, At: at, Stop: j.rules.Stop}
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
func (j *judge) authenticate(matches []tlsa.Match) (outcome Outcome, reason Reason, detail string) {
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
	switch {
	case match.Failure != tlsa.Unmeasured:
		return Refused, reasonOfMismatch(match.Failure), detail
	case match.Record.Usage <= tlsa.PKIXEE && j.rules.Roots == nil:
		return Unknown, RootsUnavailable, detail
	default:
		return Unknown, reasonOfUnmeasured(match.Open), detail
	}
}

// reasonOfUnmeasured returns the reason why certificates were not judged, given a
// tlsa.ErrUnmeasured.
func reasonOfUnmeasured(err error) Reason {
	switch {
	case errors.Is(err, tlsa.ErrUnsupported):
		return TLSUnsupportedHere
	case errors.Is(err, tlsa.ErrStopped):
		return ProbeDeadline
	default:
		return LimitExceeded
	}
}

// matchRaw compares the usable records with certificates of a handshake that this
// program could not complete. excluded reports that none of the records can
// authenticate the server.
func matchRaw(records []RecordVerdict, sent [][]byte) (excluded bool, detail string) {
	excluded = true
	var matching []string
	for _, r := range records {
		if r.Usability != tlsa.Usable {
			continue
		}
		switch tlsa.MatchRaw(r.Record, sent) {
		case tlsa.RawMatches:
			matching = append(matching, r.Record.String())
			excluded = false
		case tlsa.RawUnknown:
			excluded = false
		}
	}
	switch {
	case excluded:
		return true, "no usable record matches a certificate that the server sends"
	case len(matching) > 0:
		return false, "a certificate that the server sends matches " + strings.Join(matching, ", ") + "; it is not proven that the server has the key"
	default:
		return false, "whether a record matches is not known"
	}
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

// zoneAtFault returns Answer.FaultZone in the form of TextName.
func zoneAtFault(answer *dnssec.Answer) string {
	if answer.FaultZone == "" {
		return ""
	}
	return TextName(answer.FaultZone)
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
