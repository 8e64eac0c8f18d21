package probe

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// Rules are what a verdict depends on beside the facts.
type Rules struct {
	Target  string // the domain or host that was asked about
	Policy  Policy
	Require Requirement
	Roots   *x509.CertPool // of the Web PKI; nil: what needs them is not measured
}

// Judge says what a client that follows the rules would do, given the facts,
// at one moment. It is pure: the same facts can be judged for another day.
func Judge(facts *Facts, rules Rules, at time.Time) Verdict {
	j := &judgement{facts: facts, rules: rules, Verdict: Verdict{At: at}}
	j.dane()
	if facts.MTASTS != nil {
		j.mtaSTS()
	}
	return j.Verdict
}

// dane judges by DANE: all of the verdict but MTASTS.
func (j *judgement) dane() {
	j.resolvers()
	if outcome, ended := j.discovery(); ended {
		j.Outcome = outcome
		return
	}
	for i := range j.facts.Hosts {
		host := &j.facts.Hosts[i]
		j.addresses(host)
		for k := range host.Services {
			j.Services = append(j.Services, j.service(host, &host.Services[k]))
		}
	}
	for _, what := range j.facts.Truncated {
		j.find(Finding{Reason: LimitExceeded, Detail: fmt.Sprintf("the target has more %s than are probed", what)})
	}
	j.Outcome = j.target()
	j.Success = j.meets()
	j.advise()
}

// judgement is a verdict in the making.
type judgement struct {
	facts *Facts
	rules Rules
	Verdict
}

// find notes each finding once: what is the matter with a host is no more than
// that at each of its services.
func (j *judgement) find(f Finding) {
	if !slices.Contains(j.Findings, f) {
		j.Findings = append(j.Findings, f)
	}
}

// resolvers notes where one resolver gave a worse answer than another. It is
// the better one that counts, so nothing follows for the target.
func (j *judgement) resolvers() {
	for _, lookup := range j.facts.Lookups() {
		if lookup.Answer.Inconsistent != "" {
			j.find(Finding{Reason: ResolverInconsistent, Host: lookup.Host, Lookup: lookup.Kind, Detail: lookup.Answer.Inconsistent})
		}
	}
}

// demand is what the TLSA look-ups of a service demand of its endpoints
// (RFC 7672 §2.2).
type demand uint8

const (
	demandNothing demand = iota // DANE does not apply
	demandTLS                   // TLS, without authentication: secure records, none usable
	demandMatch                 // TLS, and a record that authenticates
	demandRefusal               // the look-up failed at the zone's side: the client must not go on
	demandSilence               // the look-up failed at our side: nothing can be said
)

// discovery judges the way from the target to its hosts. ended: there are
// none, and outcome is the target's (RFC 7672 §2.2.1, RFC 7505).
func (j *judgement) discovery() (outcome Outcome, ended bool) {
	mx := j.facts.MX
	switch {
	case j.facts.Denied:
		j.find(Finding{Reason: TargetNotAllowed, Detail: fmt.Sprintf("access.targets does not allow %q", j.rules.Target)})
		return Unknown, true
	case j.facts.Fault != nil:
		j.find(Finding{Reason: InternalError, Detail: j.facts.Fault.Error()})
		return Unknown, true
	case j.facts.SRV != nil:
		return j.srv()
	case mx == nil:
		return "", false
	case mx.Status.Failed():
		reason := reasonOfAnswer(mx)
		j.find(Finding{Reason: reason, Lookup: LookupMX, Detail: describe(mx)})
		return refusedUnlessOurs(reason), true
	case !mx.NameExists():
		j.find(Finding{Reason: NoSuchDomain, Lookup: LookupMX, Detail: describe(mx)})
		return NothingThere, true
	case mx.Found() && isNullMX(mx.Records):
		j.find(Finding{Reason: NullMX, Lookup: LookupMX, Detail: describe(mx)})
		return NothingThere, true
	case mx.Status == dnssec.Insecure:
		j.find(Finding{Reason: MXInsecure, Lookup: LookupMX, Detail: describe(mx)})
	}
	return "", false
}

// srv judges the way by SRV records. A look-up that fails leaves those services
// that the others name; insecure records are followed, without DANE (RFC 7673 §3.1).
func (j *judgement) srv() (outcome Outcome, ended bool) {
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
	return NothingThere, true
}

// lostServices stand for what the failed look-ups of SRV records may have named:
// the client is refused there, or the failure is ours.
func (j *judgement) lostServices() (lost []candidate) {
	for i := range j.facts.SRV {
		if lookup := &j.facts.SRV[i]; lookup.failed() {
			lost = append(lost, candidate{outcome: refusedUnlessOurs(reasonOfAnswer(&lookup.Answer))})
		}
	}
	return lost
}

// addresses notes each address look-up that failed. It costs its addresses,
// and the host only if none remain.
func (j *judgement) addresses(host *Host) {
	note := func(kind LookupKind, answer *dnssec.Answer) {
		if answer != nil && answer.Status.Failed() {
			j.find(Finding{Reason: reasonOfAnswer(answer), Host: host.Name, Lookup: kind, Detail: describe(answer)})
		}
	}
	note(LookupA, host.A)
	note(LookupAAAA, host.AAAA)
}

func (j *judgement) service(host *Host, service *Service) ServiceVerdict {
	v := ServiceVerdict{Host: host.Name, Port: service.Port, Policy: cmp.Or(service.Policy, j.rules.Policy), Preference: service.Preference, Weight: service.Weight}
	if fault := errors.Join(host.Fault, service.Fault); fault != nil {
		j.find(Finding{Reason: InternalError, Host: host.Name, Port: service.Port, Detail: fault.Error()})
		v.Outcome = Unknown
		return v
	}
	if addresses, _ := addressesOf(host); len(addresses) == 0 {
		v.Outcome = j.withoutAddress(host)
		return v
	}
	demand := j.tlsa(host, service, &v)
	if addressAnswer(host) == nil {
		demand = demandWithoutAddress(j.withoutAddress(host))
	}
	v.Names = j.names(host, service, v.Base)
	for i := range service.Endpoints {
		v.Endpoints = append(v.Endpoints, j.endpoint(&service.Endpoints[i], &v, demand))
	}
	v.Nameservers = j.nameservers(host, service)
	v.Outcome = worstEndpoint(v.Endpoints)
	v.Until = j.until(&v)
	return v
}

// demandWithoutAddress is what remains to demand of a host whose address the
// target named, while the look-ups of its addresses failed: no client would
// have come as far as its TLSA records.
func demandWithoutAddress(outcome Outcome) demand {
	if outcome == Refused {
		return demandRefusal
	}
	return demandSilence
}

// withoutAddress judges a host that cannot be connected to: its addresses are
// lost to failed look-ups, or there are none.
func (j *judgement) withoutAddress(host *Host) Outcome {
	outcome := NothingThere
	exists := false
	for _, answer := range []*dnssec.Answer{host.A, host.AAAA} {
		switch {
		case answer == nil:
		case answer.Status.Failed():
			outcome = worse(outcome, refusedUnlessOurs(reasonOfAnswer(answer)))
		case answer.NameExists():
			exists = true
		}
	}
	if outcome != NothingThere {
		return outcome
	}
	reason := NoAddress
	if !exists && host.Name == j.rules.Target {
		reason = NoSuchDomain
	}
	j.find(Finding{Reason: reason, Host: host.Name, Detail: describeNone(host)})
	return NothingThere
}

// tlsa judges the look-ups of TLSA records: what they demand, and of which
// records (RFC 7672 §2.2, RFC 6698 §4.1).
func (j *judgement) tlsa(host *Host, service *Service, v *ServiceVerdict) demand {
	state, lookup := decideTLSA(service.TLSA)
	find := func(reason Reason, kind LookupKind, detail string) {
		j.find(Finding{Reason: reason, Host: host.Name, Port: service.Port, Lookup: kind, Detail: detail})
	}
	if addresses := addressAnswer(host); state != tlsaFound && service.secure() && needsSecureAddress(service, v.Policy) && addresses != nil && addresses.Status == dnssec.Insecure {
		find(AddressInsecure, lookupKind(addresses.Type), describe(addresses))
	}
	switch state {
	case tlsaFailed:
		reason := reasonOfAnswer(&lookup.Answer)
		find(reason, LookupTLSA, describe(&lookup.Answer))
		if reason.Info().Effect == Ours {
			return demandSilence
		}
		return demandRefusal
	case tlsaInsecure, tlsaNone:
		find(whyNoRecords(&lookup.Answer), LookupTLSA, describe(&lookup.Answer))
		return demandNothing
	case tlsaFound:
		v.Base, v.Answer = lookup.Base, &lookup.Answer
		return j.records(host, service, v, tlsaRecords(&lookup.Answer))
	default:
		return demandNothing
	}
}

// whyNoRecords says why a look-up that did not fail gives a client nothing.
func whyNoRecords(answer *dnssec.Answer) Reason {
	switch {
	case answer.Status == dnssec.Insecure:
		return TLSAInsecure
	case len(answer.Aliases) > 0 && !answer.Found():
		return TLSAAliasDangling
	default:
		return NoTLSA
	}
}

// records judges secure TLSA records before a certificate is seen.
func (j *judgement) records(host *Host, service *Service, v *ServiceVerdict, records []tlsa.Record) demand {
	assessments := tlsa.Assess(records, usagesOf(v.Policy))
	var unusable []string
	for _, a := range assessments {
		v.Records = append(v.Records, RecordVerdict{Record: a.Record, Standing: a.Usability, Why: a.Why})
		if a.Usability == tlsa.Unusable {
			unusable = append(unusable, fmt.Sprintf("%s: %s", a.Record, a.Why))
		}
	}
	if len(unusable) > 0 {
		j.find(Finding{Reason: TLSAUnusable, Host: host.Name, Port: service.Port, Lookup: LookupTLSA, Detail: strings.Join(unusable, "; ")})
	}
	switch {
	case slices.ContainsFunc(assessments, func(a tlsa.Assessment) bool { return a.Usability == tlsa.Usable }):
		return demandMatch
	case v.Policy == SMTPRelay:
		return demandTLS // RFC 7672 §2.2: TLS is mandatory all the same
	default:
		return demandNothing // RFC 6698 §4.1: as if there were none
	}
}

func usagesOf(policy Policy) tlsa.Usages {
	if policy == SMTPRelay {
		return tlsa.SMTPRelay()
	}
	return tlsa.Client()
}

// names are the reference identifiers that a certificate may be for
// (RFC 7672 §3.2.2, RFC 7671 §7). A name that came by an insecure MX record
// proves nothing about the domain, so the host's own is all there is.
//
// Of services that SRV records name, the service domain counts always, and the
// host where the record is secure (RFC 7673 §4.1).
func (j *judgement) names(host *Host, service *Service, base string) []string {
	if !service.secure() {
		return []string{j.rules.Target}
	}
	if base == "" {
		base = host.Name
	}
	names := []string{base}
	switch mx := j.facts.MX; {
	case service.SRV != nil:
		names = append(names, host.Name, j.rules.Target)
	case mx == nil:
		names = append(names, host.Name)
	case mx.Status == dnssec.Secure:
		names = append(names, j.rules.Target, nameOf(mx.Canonical))
	}
	return unique(names)
}

// endpoint judges one address by what its service's records demand.
func (j *judgement) endpoint(e *Endpoint, v *ServiceVerdict, demand demand) EndpointVerdict {
	ev := EndpointVerdict{Address: e.Address, Facts: e, Skipped: e.Skipped}
	if errors.Is(e.Err, errNoKey) {
		ev.Outcome = Unknown // nobody asks: see Skipped
		return ev
	}
	find := func(reason Reason, detail string) {
		if e.KeyType != "" && e.Reached >= StageStartTLS {
			detail = fmt.Sprintf("with its %s key: %s", e.KeyType, detail)
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
	case demand == demandRefusal:
		ev.Outcome = Refused
	case demand == demandSilence:
		ev.Outcome = Unknown
	case (e.Reached == StageTLS || reason == CertificateUnparsable) && demand != demandMatch:
		// Certificates that are beyond us do not matter here.
		ev.Outcome = Opportunistic
		if demand == demandTLS {
			ev.Outcome = Encrypted
		}
	case reason != "" && reason.Info().Effect == Ours:
		ev.Outcome = Unknown
	case reason != "":
		ev.Outcome = withoutHandshake(e, reason, demand, v.Policy)
	default:
		var failed Reason
		var detail string
		if ev.Outcome, failed, detail = authenticate(ev.Matches); failed != "" {
			find(failed, detail)
		}
	}
	return ev
}

// withoutHandshake judges an endpoint that got no TLS, by its own fault.
func withoutHandshake(e *Endpoint, reason Reason, demand demand, policy Policy) Outcome {
	switch {
	case !e.Dialogue.Offered && reason != StartTLSNotOffered:
		return Unreachable // it was never about TLS
	case demand != demandNothing:
		return Refused
	case e.Reached == StageStartTLS && policy == Client:
		return Unreachable // what a client has begun in TLS it does not go on with in the clear
	default:
		return Opportunistic // a relay goes on in the clear
	}
}

// measure adds what the certificates say, with DANE or without.
func (j *judgement) measure(ev *EndpointVerdict, v *ServiceVerdict) {
	verifier := j.verifier(v, j.At)
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

// verifier is what a client knows of the service's endpoints at a time.
func (j *judgement) verifier(v *ServiceVerdict, at time.Time) tlsa.Verifier {
	return tlsa.Verifier{Usages: usagesOf(v.Policy), Names: v.Names, Roots: j.rules.Roots, At: at}
}

func recordsOf(v *ServiceVerdict) []tlsa.Record {
	records := make([]tlsa.Record, len(v.Records))
	for i := range v.Records {
		records[i] = v.Records[i].Record
	}
	return records
}

// authenticate says whether any record proves the peer, and if none does, why
// the one that came nearest does not.
func authenticate(matches []tlsa.Match) (outcome Outcome, reason Reason, detail string) {
	nearest := -1
	for i, match := range matches {
		if match.Authenticates() {
			return Authenticated, "", ""
		}
		if match.Usability == tlsa.Usable && (nearest < 0 || nearness(match.Failure) > nearness(matches[nearest].Failure)) {
			nearest = i
		}
	}
	if nearest < 0 {
		return Unknown, InternalError, "no usable record was compared"
	}
	match := matches[nearest]
	detail = fmt.Sprintf("%s: %s", match.Record, match.Why)
	if match.Failure == tlsa.Unmeasured {
		return Unknown, RootsUnavailable, detail
	}
	return Refused, reasonOfFailure(match.Failure), detail
}

// nearness orders failures by how near the record came to authenticating. One
// that could not be measured might have, so it comes first.
func nearness(failure tlsa.Failure) int {
	return slices.Index([]tlsa.Failure{
		tlsa.Mismatch, tlsa.AnchorNotSent, tlsa.ChainInvalid, tlsa.PKIXUntrusted,
		tlsa.NameMismatch, tlsa.NotYetValid, tlsa.Expired, tlsa.Unmeasured,
	}, failure)
}

// target is the worst of what its clients end up with. Each port has clients of
// its own, which try the hosts by preference. The services that SRV records name
// have one kind of client, to which any of them will do (RFC 6186 §3.4, XEP-0368).
func (j *judgement) target() Outcome {
	clients := make(map[uint16][]candidate)
	for _, v := range j.Services {
		client := v.Port
		if j.facts.SRV != nil {
			client = 0
		}
		for _, outcome := range outcomesOf(v) {
			clients[client] = append(clients[client], candidate{v.Preference, outcome})
		}
	}
	if len(clients) == 0 {
		return NothingThere
	}
	if lost := j.lostServices(); len(lost) > 0 {
		clients[0] = append(clients[0], lost...)
	}
	var ends []Outcome
	for _, all := range clients {
		ends = append(ends, choose(all))
	}
	if !j.mxSecure() {
		ends = append(ends, Opportunistic)
	}
	return worst(ends)
}

// mxSecure reports whether it is certain that the hosts are the domain's.
func (j *judgement) mxSecure() bool {
	return j.facts.MX == nil || j.facts.MX.Status == dnssec.Secure
}

// candidate is what a client may end up with.
type candidate struct {
	preference uint16
	outcome    Outcome
}

// choose returns what a client ends up with that tries hosts by preference, and
// what is broken only after what works.
func choose(all []candidate) Outcome {
	var best, broken []Outcome
	var preference uint16
	for _, c := range all {
		switch {
		case !usable(c.outcome):
			broken = append(broken, c.outcome)
		case best == nil || c.preference < preference:
			best, preference = []Outcome{c.outcome}, c.preference
		case c.preference == preference:
			best = append(best, c.outcome)
		}
	}
	if best != nil {
		return worst(best)
	}
	for _, outcome := range []Outcome{Refused, Unreachable, Unknown} {
		if slices.Contains(broken, outcome) {
			return outcome
		}
	}
	return NothingThere
}

// usable reports whether a client that gets this outcome delivers.
func usable(outcome Outcome) bool {
	return outcome == Authenticated || outcome == Encrypted || outcome == Opportunistic
}

// outcomesOf lists what counts of a service: its endpoints but for those that
// were skipped, or the service itself where it came to none.
func outcomesOf(v ServiceVerdict) []Outcome {
	var outcomes []Outcome
	for _, e := range v.Endpoints {
		if !e.Skipped {
			outcomes = append(outcomes, e.Outcome)
		}
	}
	if len(outcomes) == 0 {
		return []Outcome{v.Outcome}
	}
	return outcomes
}

// meets says whether everything that counts is as the module requires. A host
// without an address is no endpoint, so it does not count; nor does one whose
// endpoints were all skipped. What was lost, to a limit or to a look-up that
// failed, may have been broken, so it counts as such.
func (j *judgement) meets() bool {
	accepted := func(outcome Outcome) bool {
		return outcome == Authenticated || j.rules.Require == RequireIfPublished && usable(outcome)
	}
	if !accepted(j.Outcome) || len(j.facts.Truncated) > 0 || len(j.lostServices()) > 0 || slices.ContainsFunc(j.facts.Hosts, losesAddresses) {
		return false
	}
	for _, v := range j.Services {
		if skipped := func(e EndpointVerdict) bool { return e.Skipped }; len(v.Endpoints) > 0 && all(v.Endpoints, skipped) {
			continue
		}
		for _, outcome := range outcomesOf(v) {
			if outcome != NothingThere && !accepted(outcome) {
				return false
			}
		}
	}
	return true
}

// losesAddresses reports whether a look-up of the host's addresses failed.
func losesAddresses(host Host) bool {
	return host.A != nil && host.A.Status.Failed() || host.AAAA != nil && host.AAAA.Status.Failed()
}

func all[T any](list []T, holds func(T) bool) bool {
	return !slices.ContainsFunc(list, func(t T) bool { return !holds(t) })
}

// worstEndpoint is the outcome of a service: its worst endpoint's.
func worstEndpoint(endpoints []EndpointVerdict) Outcome {
	return worst(outcomesOf(ServiceVerdict{Endpoints: endpoints, Outcome: Unknown}))
}

func worst(outcomes []Outcome) Outcome {
	w := Authenticated
	for _, outcome := range outcomes {
		w = worse(w, outcome)
	}
	return w
}

func worse(a, b Outcome) Outcome {
	if order := Outcomes(); slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

func refusedUnlessOurs(reason Reason) Outcome {
	if reason.Info().Effect == Ours {
		return Unknown
	}
	return Refused
}

func lookupKind(qtype uint16) LookupKind {
	return LookupKind(strings.ToLower(dns.TypeToString[qtype]))
}

// describe tells a look-up in one line.
func describe(answer *dnssec.Answer) string {
	return fmt.Sprintf("%s %s is %s: %s", nameOf(answer.Name), dns.TypeToString[answer.Type], answer.Status, answer.Why)
}

func describeNone(host *Host) string {
	var lines []string
	for _, answer := range []*dnssec.Answer{host.A, host.AAAA} {
		if answer != nil {
			lines = append(lines, describe(answer))
		}
	}
	return strings.Join(lines, "; ")
}

func unique(names []string) []string {
	var kept []string
	for _, name := range names {
		if name != "" && !slices.Contains(kept, name) {
			kept = append(kept, name)
		}
	}
	return kept
}
