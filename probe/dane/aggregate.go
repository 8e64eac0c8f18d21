package dane

import (
	"net/netip"
	"slices"

	"dane_exporter/probe/dnssec"
)

// targetOutcome returns the worst outcome of the target's clients. Each port has
// clients of its own, which try the hosts by preference. The services that SRV
// records name have one kind of client, which accepts any of them (RFC 6186 §3.4,
// XEP-0368). Insecure MX records do not authenticate the domain, whatever the
// hosts do (RFC 7672 §2.2.1).
func (j *judge) targetOutcome() Outcome {
	clients := make(map[uint16][]candidate)
	for _, v := range j.verdict.Services {
		client := v.Port
		if j.facts.SRV != nil {
			client = 0
		}
		for _, outcome := range outcomesOf(v) {
			clients[client] = append(clients[client], candidate{v.Service.Preference, outcome})
		}
	}
	if len(clients) == 0 {
		return None
	}
	if lost := j.lostServices(); len(lost) > 0 {
		clients[0] = append(clients[0], lost...)
	}
	var outcomes []Outcome
	for _, all := range clients {
		outcomes = append(outcomes, choose(all))
	}
	if !j.mxSecure() {
		outcomes = append(outcomes, Opportunistic)
	}
	return worst(outcomes)
}

// mxSecure reports whether the hosts certainly belong to the domain.
func (j *judge) mxSecure() bool {
	return j.facts.MX == nil || j.facts.MX.Status == dnssec.Secure
}

// lostServices stands for the services that failed SRV lookups may have named:
// each is refused, or unknown if the cause is on our side.
func (j *judge) lostServices() []candidate {
	var lost []candidate
	for i := range j.facts.SRV {
		if lookup := &j.facts.SRV[i]; lookup.Failed() {
			lost = append(lost, candidate{outcome: refusedUnlessInternal(reasonOfAnswer(&lookup.Answer))})
		}
	}
	return lost
}

// candidate is one outcome that a client may get.
type candidate struct {
	preference uint16
	outcome    Outcome
}

// choose returns the outcome of a client that tries hosts by preference: the
// worst at the best preference at which any candidate delivers. A host with
// TLSA records takes no precedence over one of better preference without
// (RFC 7672 §2.2.1). A host that fails leads to the next (RFC 7672 §2.2). If none
// delivers, the outcome is Refused if any is, then Unreachable, then Unknown. A candidate
// that is Undecided counts as one that may deliver.
func choose(all []candidate) Outcome {
	var best, failed []Outcome
	var preference uint16
	for _, c := range all {
		switch {
		case !c.outcome.delivers() && c.outcome != Undecided:
			failed = append(failed, c.outcome)
		case best == nil || c.preference < preference:
			best, preference = []Outcome{c.outcome}, c.preference
		case c.preference == preference:
			best = append(best, c.outcome)
		}
	}
	switch {
	case slices.Contains(best, Opportunistic):
		return Opportunistic // the worst outcome that delivers, so an Undecided one does not change it
	case best != nil:
		return worst(best)
	}
	for _, outcome := range []Outcome{Refused, Unreachable, Unknown} {
		if slices.Contains(failed, outcome) {
			return outcome
		}
	}
	return None
}

// outcomesOf returns the outcomes that count for a service: one for each address that
// was not skipped, or the service's own if there are none.
func outcomesOf(v ServiceVerdict) []Outcome {
	var all addressOutcomes
	for _, e := range v.Endpoints {
		if !e.Skipped {
			all.add(e.Address, e.Outcome)
		}
	}
	if len(all.outcomes) == 0 {
		return []Outcome{v.Outcome}
	}
	return all.outcomes
}

// addressOutcomes has one outcome for each address: the worst of its key types. A
// client cannot choose among them. It gets the certificate of one, by what it offers.
type addressOutcomes struct {
	addresses []netip.Addr
	outcomes  []Outcome // in the order of addresses
}

func (a *addressOutcomes) add(address netip.Addr, outcome Outcome) {
	if i := slices.Index(a.addresses, address); i >= 0 {
		a.outcomes[i] = Worse(a.outcomes[i], outcome)
		return
	}
	a.addresses, a.outcomes = append(a.addresses, address), append(a.outcomes, outcome)
}

// worstEndpoint returns the outcome of a service with these endpoints.
func worstEndpoint(endpoints []EndpointVerdict) Outcome {
	return worst(outcomesOf(ServiceVerdict{Endpoints: endpoints, Outcome: Unknown}))
}

// succeeds returns the value of probe_success: everything that counts is as the
// module requires. A host without an address does not count, nor does a service
// whose endpoints were all skipped. What a limit or a failed lookup lost may have
// been broken, so it fails the probe. So does a null MX among other MX records, for
// which Postfix bounces all mail.
func (j *judge) succeeds() bool {
	accepted := func(outcome Outcome) bool {
		return outcome == Authenticated || j.rules.Require == RequireIfPublished && outcome.delivers()
	}
	lost := func(host Host) bool { return host.lostAddresses() }
	if j.rules.Lookups {
		return j.lookupsSucceed()
	}
	if mx := j.facts.MX; mx != nil && hasNullMX(mx.Records) {
		return false
	}
	if !accepted(j.verdict.Outcome) || len(j.facts.Truncated) > 0 || len(j.lostServices()) > 0 || slices.ContainsFunc(j.facts.Hosts, lost) {
		return false
	}
	for _, v := range j.verdict.Services {
		counts := func(e EndpointVerdict) bool { return !e.Skipped }
		if len(v.Endpoints) > 0 && !slices.ContainsFunc(v.Endpoints, counts) {
			continue
		}
		for _, outcome := range outcomesOf(v) {
			if outcome != None && !accepted(outcome) {
				return false
			}
		}
	}
	return true
}

// lookupsSucceed returns the value of probe_success if only the lookups are judged: there
// was at least one lookup, all succeeded, and every host was judged. The requirement of the
// module is about endpoints, so it does not apply.
func (j *judge) lookupsSucceed() bool {
	failed := func(l Lookup) bool { return l.Answer.Status.Failed() }
	unknown := func(v ServiceVerdict) bool { return v.Outcome == Unknown }
	lookups := j.facts.Lookups()
	nullMXConflict := j.facts.MX != nil && !IsNullMX(j.facts.MX.Records) && hasNullMX(j.facts.MX.Records)
	return len(lookups) > 0 && !slices.ContainsFunc(lookups, failed) && len(j.facts.Truncated) == 0 &&
		!slices.ContainsFunc(j.verdict.Services, unknown) && !nullMXConflict
}
