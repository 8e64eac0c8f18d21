package dane

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"dane_exporter/probe/caa"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// Renewal has the lookups that a CA makes before it issues the next certificate of a server.
type Renewal struct {
	Name string // of the certificate: the TLSA base domain, or the name of the host without one
	// CAA are the lookups at Name and at its parents, up to the first with records or
	// without a result (RFC 8659 §3).
	CAA []dnssec.Answer
	// Challenge is the lookup of the TXT records at which ACME proves control of Name
	// by DNS (RFC 8555 §8.4).
	Challenge dnssec.Answer
}

// Relevant returns the last lookup of CAA records, which decides. It has the records that
// count, has failed, or shows that no name has records. It is nil if there was no lookup.
func (r *Renewal) Relevant() *dnssec.Answer {
	if len(r.CAA) == 0 {
		return nil
	}
	return &r.CAA[len(r.CAA)-1]
}

// records returns the CAA records that count.
func (r *Renewal) records() []caa.Record {
	relevant := r.Relevant()
	if relevant == nil {
		return nil
	}
	var records []caa.Record
	for _, rr := range relevant.Records {
		if record, ok := rr.(*dns.CAA); ok {
			const critical = 128 // RFC 8659 §4.1
			records = append(records, caa.Record{Critical: record.Flag&critical != 0, Tag: record.Tag, Value: record.Value})
		}
	}
	return records
}

// RenewalLookups returns the lookups that CAs make before the next certificates are
// issued, each once: of CAA records only those that count. [Facts.Lookups] leaves them out:
// DANE does not depend on them.
func (f *Facts) RenewalLookups() []Lookup {
	var all []Lookup
	for i := range f.Hosts {
		host := &f.Hosts[i]
		for j := range host.Services {
			renewal := host.Services[j].Renewal
			if renewal == nil {
				continue
			}
			for _, lookup := range []Lookup{{LookupCAA, host.Name, renewal.Relevant()}, {LookupChallenge, host.Name, &renewal.Challenge}} {
				same := func(l Lookup) bool {
					return l.Host == lookup.Host && l.Kind == lookup.Kind && l.Answer.Name == lookup.Answer.Name
				}
				if lookup.Answer != nil && !slices.ContainsFunc(all, same) {
					all = append(all, lookup)
				}
			}
		}
	}
	return all
}

// judgeRenewals judges whether the next certificates can be issued.
func (j *judge) judgeRenewals() {
	for i := range j.verdict.Services {
		v := &j.verdict.Services[i]
		if v.Service.Renewal != nil {
			j.judgeRenewal(v, v.Service.Renewal)
		}
	}
}

// judgeRenewal judges the lookups of a CA. A CA must not issue if a lookup of CAA
// records fails in a signed zone, and may issue if it fails in an unsigned one (CA/Browser
// Forum, Baseline Requirements for TLS Server Certificates, section 3.2.2.8).
func (j *judge) judgeRenewal(v *ServiceVerdict, renewal *Renewal) {
	find := func(reason Reason, kind LookupKind, format string, args ...any) {
		j.find(Finding{Reason: reason, Host: v.Host, Port: v.Port, Lookup: kind, Detail: fmt.Sprintf(format, args...)})
	}
	failed := func(reason Reason, kind LookupKind, answer *dnssec.Answer) {
		j.find(Finding{Reason: reason, Host: v.Host, Port: v.Port, Lookup: kind, Zone: zoneAtFault(answer), Detail: describe(answer)})
	}
	if j.breaksSigned(&renewal.Challenge) {
		failed(ACMEChallengeBogus, LookupChallenge, &renewal.Challenge)
	}
	relevant := renewal.Relevant()
	switch {
	case relevant == nil:
		return
	case j.breaksSigned(relevant):
		failed(CAALookupFailed, LookupCAA, relevant)
		return
	case relevant.Status.Failed():
		return // in an unsigned zone, or for a reason on our side
	}
	for _, e := range v.Endpoints {
		if e.Skipped || e.Facts == nil || e.Facts.Chain == nil || len(e.Facts.Chain.Certificates) == 0 {
			continue
		}
		organization := strings.Join(e.Facts.Chain.Certificates[0].Issuer.Organization, ", ")
		issuers := j.rules.Issuers[organization]
		if len(issuers) == 0 {
			continue
		}
		wildcard := onlyWildcard(e.Facts.Chain.Certificates[0], renewal.Name)
		if wildcard && relevant.Name == dns.Fqdn(renewal.Name) && relevant.Found() {
			continue // for a wildcard, CAs begin at the parent
		}
		if err := caa.Admit(renewal.records(), issuers, wildcard); err != nil {
			find(CAAForbidsIssuer, LookupCAA, "%s, which issued the certificate of %s, may not issue the next one: %v at %s",
				organization, renewal.Name, err, TextName(relevant.Name))
		}
	}
}

// onlyWildcard reports whether a certificate names a host by a wildcard alone.
func onlyWildcard(certificate *x509.Certificate, host string) bool {
	same := func(name string) bool { return strings.EqualFold(name, host) }
	_, parent, _ := strings.Cut(host, ".")
	covers := func(name string) bool { return strings.EqualFold(name, "*."+parent) }
	return !slices.ContainsFunc(certificate.DNSNames, same) && slices.ContainsFunc(certificate.DNSNames, covers)
}

// breaksSigned reports whether validators cannot use an answer of a signed zone, for a
// reason that is not on our side.
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
