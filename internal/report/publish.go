package report

import (
	"fmt"
	"slices"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/tlsa"
)

// publish makes the records of the leaves that are served, 3 1 1 as RFC 7672
// §3.1.1 recommends for mail: the key alone, so that a renewal that keeps the key
// keeps the record. Where the look-up of the records failed there are none: what
// is published is not known, and more of it would not help.
func publish(v *dane.ServiceVerdict, facts *dane.Service) []Publish {
	if v.Base == "" && slices.ContainsFunc(facts.TLSA, func(l dane.TLSALookup) bool { return l.Answer.Status.Failed() }) {
		return nil
	}
	owner, digest := ownerOf(v, facts), digestOf(v.Records)
	var all []Publish
	for _, e := range v.Endpoints {
		if e.Facts.Chain == nil || len(e.Facts.Chain.Certificates) == 0 {
			continue
		}
		record, err := tlsa.NewRecord(e.Facts.Chain.Certificates[0], tlsa.DANEEE, tlsa.SPKI, digest)
		if err != nil {
			continue
		}
		text := record.String()
		if slices.ContainsFunc(all, func(p Publish) bool { return p.Record == text }) {
			continue
		}
		there := slices.ContainsFunc(v.Records, func(r dane.RecordVerdict) bool { return r.Record.String() == text })
		all = append(all, Publish{owner, text, owner + " IN TLSA " + text, there})
	}
	return all
}

// digestOf is the matching type for a record beside those published: SHA-256, but
// SHA-512 where a key's record has that already, since clients pass the weaker of
// two digests over (RFC 7671 §9).
func digestOf(published []dane.RecordVerdict) tlsa.MatchingType {
	strong := func(r dane.RecordVerdict) bool {
		return r.Usability == tlsa.Usable && r.Record.Usage == tlsa.DANEEE && r.Record.Selector == tlsa.SPKI && r.Record.MatchingType == tlsa.SHA512
	}
	if slices.ContainsFunc(published, strong) {
		return tlsa.SHA512
	}
	return tlsa.SHA256
}

// Wanted are the records to publish now: those of Publish that are not published,
// where the service is not authenticated without them.
func (s *Service) Wanted() []Publish { return wanted(s.Outcome, s.Publish) }

func wanted(outcome string, all []Publish) []Publish {
	if outcome == string(dane.Authenticated) {
		return nil
	}
	var missing []Publish
	for _, p := range all {
		if !p.Published {
			missing = append(missing, p)
		}
	}
	return missing
}

// publish shows the records to publish now, a line each as zone files have it.
func (p *page) publish(r *probe.Report) {
	var missing []Publish
	for i := range r.Verdict.Services {
		v := &r.Verdict.Services[i]
		if facts := factsOf(r, v); facts != nil {
			missing = append(missing, wanted(string(v.Outcome), publish(v, facts))...)
		}
	}
	if len(missing) == 0 {
		return
	}
	p.heading("Records to publish now, if the keys that are served are truly yours")
	if slices.ContainsFunc(r.Verdict.Findings, func(f dane.Finding) bool { return Unsigned(string(f.Reason)) }) {
		p.line(2, "They count once DNSSEC protects the names that lead to them.")
	}
	for _, record := range missing {
		p.unbroken(2, "%s", record.Zone)
	}
}

// Unsigned reports whether it is a finding's reason that TLSA records prove
// nothing yet, for want of DNSSEC.
func Unsigned(reason string) bool {
	switch dane.Reason(reason) {
	case dane.MXInsecure, dane.SRVInsecure, dane.AddressInsecure, dane.TLSAInsecure:
		return true
	}
	return false
}

// ownerOf is the name to publish at: that of the records in force, else that of
// the first candidate for the TLSA base domain. Where the name is an alias, the
// records belong to its end.
func ownerOf(v *dane.ServiceVerdict, facts *dane.Service) string {
	for _, lookup := range facts.TLSA {
		if v.Base != "" && lookup.Base != v.Base {
			continue
		}
		if len(lookup.Answer.Aliases) > 0 && lookup.Answer.Canonical != "" {
			return short(lookup.Answer.Canonical)
		}
		return short(lookup.Answer.Name)
	}
	return fmt.Sprintf("_%d._tcp.%s.", v.Port, short(v.Host))
}
