package report

import (
	"fmt"
	"slices"

	"dane_exporter/probe"
	"dane_exporter/probe/tlsa"
)

// publish makes the records of the leaves that are served, 3 1 1 as RFC 7672
// §3.1.1 recommends for mail: the key alone, so that a renewal that keeps the key
// keeps the record. Where the look-up of the records failed there are none: what
// is published is not known, and more of it would not help.
func publish(v *probe.ServiceVerdict, facts *probe.Service) []Publish {
	if v.Base == "" && slices.ContainsFunc(facts.TLSA, func(l probe.TLSALookup) bool { return l.Answer.Status.Failed() }) {
		return nil
	}
	owner := ownerOf(v, facts)
	var all []Publish
	for _, e := range v.Endpoints {
		if e.Facts.Chain == nil || len(e.Facts.Chain.Certificates) == 0 {
			continue
		}
		record, err := tlsa.For(e.Facts.Chain.Certificates[0], tlsa.DANEEE, tlsa.SPKI, tlsa.SHA256)
		if err != nil {
			continue
		}
		text := record.String()
		if slices.ContainsFunc(all, func(p Publish) bool { return p.Record == text }) {
			continue
		}
		there := slices.ContainsFunc(v.Records, func(r probe.RecordVerdict) bool { return r.Record.String() == text })
		all = append(all, Publish{owner, text, owner + " IN TLSA " + text, there})
	}
	return all
}

// ownerOf is the name to publish at: that of the records in force, else that of
// the first candidate for the TLSA base domain. Where the name is an alias, the
// records belong to its end.
func ownerOf(v *probe.ServiceVerdict, facts *probe.Service) string {
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
