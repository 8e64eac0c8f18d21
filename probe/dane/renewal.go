package dane

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dane_exporter/probe/caa"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// Renewal has the lookups that a CA makes before it issues the next certificate of a server.
type Renewal struct {
	Name string // of the certificate: the TLSA base domain; without one, the name of the host
	// CAA are the lookups at Name and at its parents, up to the first that decides (RFC 8659
	// §3). If the one at Name decides, those for a wildcard certificate follow.
	CAA []dnssec.Answer
	// Challenge is the lookup of the TXT records by which an ACME client proves control of
	// Name (RFC 8555 §8.4).
	Challenge dnssec.Answer
	// WildcardChallenge is the same for the wildcard that covers Name; nil: there is none.
	WildcardChallenge *dnssec.Answer
}

// Decides reports whether a lookup of CAA records ends the search at the parents of a
// name: it has records or has failed (RFC 8659 §3).
func Decides(answer *dnssec.Answer) bool { return answer.Status.Failed() || answer.Found() }

// Relevant returns the lookup of CAA records that decides on a certificate for Name, or for
// the wildcard that covers it. It has the records that count, has failed, or shows that no
// name has records. It is nil if there was no lookup.
func (r *Renewal) Relevant(wildcard bool) *dnssec.Answer {
	answers := r.CAA
	if wildcard && len(answers) > 0 {
		answers = answers[1:] // a CA begins at the name without the asterisk (RFC 8659 §3)
	}
	for i := range answers {
		if Decides(&answers[i]) || i == len(answers)-1 {
			return &answers[i]
		}
	}
	return nil
}

// challenge returns the lookup of the TXT records by which an ACME client proves control of
// Name, or of the wildcard that covers it. It is nil if there was none.
func (r *Renewal) challenge(wildcard bool) *dnssec.Answer {
	if wildcard {
		return r.WildcardChallenge
	}
	return &r.Challenge
}

// caaRecords returns the CAA records of an answer.
func caaRecords(answer *dnssec.Answer) []caa.Record {
	var records []caa.Record
	for _, rr := range answer.Records {
		if record, ok := rr.(*dns.CAA); ok {
			const critical = 128 // RFC 8659 §4.1
			records = append(records, caa.Record{Critical: record.Flag&critical != 0, Tag: record.Tag, Value: record.Value})
		}
	}
	return records
}

// RenewalLookups returns the lookups that decide whether CAs issue the next certificates,
// each once. [Facts.Lookups] leaves them out: DANE does not depend on them.
func (f *Facts) RenewalLookups() []Lookup {
	var all []Lookup
	for i := range f.Hosts {
		host := &f.Hosts[i]
		for j := range host.Services {
			service := &host.Services[j]
			for _, wildcard := range service.renewed() {
				for _, lookup := range []Lookup{{LookupCAA, host.Name, service.Renewal.Relevant(wildcard)}, {LookupChallenge, host.Name, service.Renewal.challenge(wildcard)}} {
					same := func(l Lookup) bool {
						return l.Host == lookup.Host && l.Kind == lookup.Kind && l.Answer.Name == lookup.Answer.Name
					}
					if lookup.Answer != nil && !slices.ContainsFunc(all, same) {
						all = append(all, lookup)
					}
				}
			}
		}
	}
	return all
}

// renewed returns the forms of Renewal.Name in the certificates of the server, each once,
// as [formsIn] does. If the server sent none, the next one is for the name itself.
func (s *Service) renewed() (forms []bool) {
	if s.Renewal == nil {
		return nil
	}
	seen := false
	for i := range s.Endpoints {
		if leaf := s.Endpoints[i].leaf(); leaf != nil {
			seen = true
			forms = append(forms, formsIn(leaf, s.Renewal.Name)...)
		}
	}
	if !seen {
		return []bool{false}
	}
	return slices.DeleteFunc([]bool{false, true}, func(form bool) bool { return !slices.Contains(forms, form) })
}

// leaf returns the certificate of the server. It is nil if the server sent none, or was
// not connected to.
func (e *Endpoint) leaf() *x509.Certificate {
	if e.Skipped || e.Chain == nil || len(e.Chain.Certificates) == 0 {
		return nil
	}
	return e.Chain.Certificates[0]
}

// formsIn returns the forms of a host's name in a certificate: false for the name itself,
// true for a wildcard that covers it. It returns none if no CA issues the next certificate
// for the host: the certificate is self-issued, or is for other names, as a DANE-EE record
// allows.
func formsIn(leaf *x509.Certificate, host string) (forms []bool) {
	if bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
		return nil
	}
	_, parent, _ := strings.Cut(host, ".")
	for _, wildcard := range []bool{false, true} {
		name := host
		if wildcard {
			name = "*." + parent
		}
		if slices.ContainsFunc(leaf.DNSNames, func(n string) bool { return strings.EqualFold(n, name) }) {
			forms = append(forms, wildcard)
		}
	}
	return forms
}

// judgeRenewals judges whether the next certificates can be issued.
func (j *judge) judgeRenewals() {
	for i := range j.verdict.Services {
		v := &j.verdict.Services[i]
		if v.Service.Renewal == nil {
			continue
		}
		seen := false
		for _, e := range v.Endpoints {
			if e.Facts == nil || e.Facts.leaf() == nil {
				continue
			}
			seen = true
			j.judgeRenewal(v, &e)
		}
		if !seen {
			j.judgeIssuance(v, false, "")
		}
	}
}

// judgeRenewal judges the lookups of the CA that issued a certificate. It does not judge
// private CAs: they make no such lookups.
func (j *judge) judgeRenewal(v *ServiceVerdict, e *EndpointVerdict) {
	leaf := e.Facts.leaf()
	organization := strings.Join(leaf.Issuer.Organization, ", ")
	if errors.Is(e.PKIXErr, tlsa.ErrUntrusted) && len(j.rules.Issuers[organization]) == 0 {
		return
	}
	for _, wildcard := range formsIn(leaf, v.Service.Renewal.Name) {
		j.judgeIssuance(v, wildcard, organization)
	}
}

// judgeIssuance judges the lookups of a CA for the name of a host, or for the wildcard that
// covers it. A CA must not issue if a lookup of CAA records fails in a signed zone, and may
// issue if it fails in an unsigned one (CA/Browser Forum, Baseline Requirements for TLS
// Server Certificates, section 3.2.2.8).
func (j *judge) judgeIssuance(v *ServiceVerdict, wildcard bool, organization string) {
	renewal := v.Service.Renewal
	failed := func(reason Reason, kind LookupKind, answer *dnssec.Answer) {
		j.find(Finding{Reason: reason, Host: v.Host, Port: v.Port, Lookup: kind, Zone: zoneAtFault(answer), Detail: describe(answer)})
	}
	if challenge := renewal.challenge(wildcard); challenge != nil && j.breaksSigned(challenge) {
		failed(ACMEChallengeBogus, LookupChallenge, challenge)
	}
	relevant := renewal.Relevant(wildcard)
	switch {
	case relevant == nil:
		return
	case j.breaksSigned(relevant):
		failed(CAALookupFailed, LookupCAA, relevant)
		return
	case relevant.Status.Failed():
		return // in an unsigned zone, or for a reason on our side
	}
	issuers := j.rules.Issuers[organization]
	if len(issuers) == 0 {
		return
	}
	if err := caa.Admit(caaRecords(relevant), issuers, wildcard); err != nil {
		j.find(Finding{Reason: CAAForbidsIssuer, Host: v.Host, Port: v.Port, Lookup: LookupCAA,
			Detail: fmt.Sprintf("%s issued the certificate of %s, but must not issue the next one: %v at %s",
				organization, renewal.Name, err, TextName(relevant.Name))})
	}
}

// breaksSigned reports whether an answer of a signed zone is unusable for validators, and
// the cause is not on our side.
func (j *judge) breaksSigned(answer *dnssec.Answer) bool {
	if !answer.Status.Failed() || reasonOfAnswer(answer).Info().Effect == EffectInternal {
		return false
	}
	return answer.Status == dnssec.Bogus || j.inSignedZone(answer.Name)
}

// inSignedZone reports whether a name is in a zone that other lookups found to be secure.
func (j *judge) inSignedZone(name string) bool {
	deepest := dnssec.Link{}
	for _, lookup := range slices.Concat(j.facts.Lookups(), j.facts.RenewalLookups()) {
		for _, link := range lookup.Answer.Chain {
			if dns.IsSubDomain(link.Zone, name) && (deepest.Zone == "" || dns.CountLabel(link.Zone) > dns.CountLabel(deepest.Zone)) {
				deepest = link
			}
		}
	}
	// A zone above the registered domain is no proof: the domain itself may be unsigned.
	return deepest.Status == dnssec.Secure && dns.IsSubDomain(dnssec.RegisteredDomain(name), deepest.Zone)
}
